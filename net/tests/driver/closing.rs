//! How a connection ends: the client reads why, also if it goes on sending, and its session's name dies with it.

use std::time::Duration;

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, CloseReason, Secret, ServerPacket};
use tokio::task::LocalSet;

use crate::memory::settle;
use crate::pipe::World;

/// A frame whose packet has a number that no packet has.
const UNKNOWN_PACKET: &[u8] = &[1, 0, 0, 0, 99];
const UNKNOWN: ServerPacket = ServerPacket::Closing { reason: CloseReason::PacketUnknown };

#[tokio::test(start_paused = true)]
async fn client_that_has_sent_more_reads_why_it_is_closed() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let client = world.connect().await;
            client.send(&[UNKNOWN_PACKET, &[7; 40_000]].concat());
            settle().await;
            assert!(client.is_closed() && !client.is_reset());
            assert_eq!(client.read(), [UNKNOWN]);
            client.end();
            settle().await;
            assert!(client.is_let_go() && !client.is_reset());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_know_yet_may_go_on_sending() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let client = world.connect().await;
            client.send(UNKNOWN_PACKET);
            for _ in 0..9 {
                settle().await;
                client.say(&[ClientPacket::Ping { nonce: 1 }]);
                tokio::time::advance(Duration::from_millis(100)).await;
            }
            assert!(!client.is_reset(), "what the client has not read is gone");
            assert_eq!(client.read(), [UNKNOWN]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn client_that_never_ends_is_let_go_after_a_second_or_64_kib() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let (silent, endless) = (world.connect().await, world.connect().await);
            silent.send(UNKNOWN_PACKET);
            endless.send(&[UNKNOWN_PACKET, &[7; 200_000]].concat());
            settle().await;
            assert!(!silent.is_let_go() && endless.is_let_go());
            tokio::time::advance(Duration::from_millis(999)).await;
            settle().await;
            assert!(!silent.is_let_go());
            tokio::time::advance(Duration::from_millis(2)).await;
            settle().await;
            assert!(silent.is_let_go() && !silent.is_reset());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_two_sessions_have_one_name() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            for _ in 0..5 {
                let client = world.connect().await;
                let (request, user, secret) = (RequestId(1), "ada".into(), Secret(b"secret"));
                client.say(&[ClientPacket::LoginRequest { request, user, secret }]);
                settle().await;
                client.end();
                settle().await;
                assert!(client.is_let_go());
            }
            let taken = world.taken.borrow();
            assert_eq!(taken.len(), 5);
            let places: Vec<_> = taken.iter().map(|ticket| ticket.session.index).collect();
            assert_eq!(places, [0; 5], "a place that is free again is used again");
            let lives: Vec<_> = taken.iter().map(|ticket| ticket.session.generation).collect();
            assert!(lives.is_sorted_by(|one, next| one < next), "{lives:?}");
        })
        .await;
}
