//! What a handle asks for: answered between the inputs of clients, and with a clear error after the end.

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::{Code, ServerPacket};
use lobbyd_net::node::Stopped;
use lobbyd_net::{AskError, Message};
use tokio::task::LocalSet;

use crate::memory::{Client, World, settle};

#[tokio::test(start_paused = true)]
async fn handle_speaks_to_users_and_looks_at_rooms() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::start(None);
            world.connect(Client::new("ada").with_login());
            settle().await;
            world.logins.try_recv().unwrap().send(true).unwrap();
            settle().await;
            let handle = world.handle.clone();
            let ada = "ada".parse().unwrap();
            world.clear_log();
            assert_eq!(handle.notify_user(ada, "hello".into()).await, Ok(1));
            let custom = Message::Custom { command_type: "game".parse().unwrap(), data: b"go".to_vec() };
            assert_eq!(handle.notify_user(ada, custom).await, Ok(1));
            settle().await;
            let sent = world.sent();
            assert!(
                matches!(
                    &sent[..],
                    [
                        ("ada", ServerPacket::NoticeNotify { room: None, .. }),
                        ("ada", ServerPacket::CustomNotify { .. })
                    ]
                ),
                "{sent:?}"
            );
            let nobody = handle.notify_user("nobody".parse().unwrap(), "hello".into()).await;
            assert_eq!(nobody, Err(AskError::Refused(Code::UserUnknown)));
            assert_eq!(
                handle.notify_room(RoomNumber(9), "hello".into()).await,
                Err(AskError::Refused(Code::RoomUnknown))
            );
            assert_eq!(handle.kick(RoomNumber(9), ada, true).await, Err(AskError::Refused(Code::RoomUnknown)));
            assert_eq!(handle.clean_up_empty_rooms().await, Ok(0));
            assert_eq!(handle.room_status(RoomNumber(9)).await, Ok(None));
            assert_eq!(handle.rooms(RoomNumber(0), 10).await.unwrap().rooms.0, []);

            handle.stop().await.unwrap();
            world.running.await.unwrap();
            assert_eq!(handle.notify_user(ada, "hello".into()).await, Err(AskError::Stopped(Stopped)));
            assert_eq!(handle.room_status(RoomNumber(9)).await, Err(Stopped));
        })
        .await;
}
