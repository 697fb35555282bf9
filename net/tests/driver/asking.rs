//! What a handle asks for: answered between the inputs of clients, and with a clear error after the end.

use std::time::Duration;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::{Code, ServerPacket};
use lobbyd_net::node::Stopped;
use lobbyd_net::{AskError, Message};
use tokio::task::LocalSet;

use crate::memory::{Client, Gate, World, settle};

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

#[tokio::test(start_paused = true)]
async fn connections_tell_since_when_they_are_there_and_silent() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let gate = Gate::default();
            world.connect(Client::new("talker").with_flood(&gate, 1));
            world.connect(Client::new("listener"));
            settle().await;
            tokio::time::advance(Duration::from_secs(5)).await;
            gate.open();
            settle().await;
            tokio::time::advance(Duration::from_secs(2)).await;

            let connections = world.handle.connection_stats().await.unwrap();
            let times: Vec<_> = connections.iter().map(|one| (one.connected.as_secs(), one.idle.as_secs())).collect();
            assert_eq!(times, [(7, 2), (7, 7)]);
            assert_eq!(connections.iter().map(|one| one.packets_in).collect::<Vec<_>>(), [2, 1]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn connections_are_told_in_pieces_and_all_of_them() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            for _ in 0..300 {
                world.connect(Client::new("one of many"));
            }
            while world.handle.report().await.unwrap().counts.sessions < 300 {
                settle().await;
            }
            let before = world.handle.report().await.unwrap().lanes.system.handled;
            let slots = world.handle.connection_stats().await.unwrap().into_iter().map(|one| one.session.index);
            assert_eq!(slots.collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
            // Three pieces, and the question for this report.
            assert_eq!(world.handle.report().await.unwrap().lanes.system.handled - before, 4);
        })
        .await;
}
