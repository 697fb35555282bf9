//! Clients play against each example, as a program of its own.

use std::process::Command;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::{CloseReason, Code};
use lobbyd_net::client::{ClientError, Event};

use crate::player::{Example, GENERAL, Player};

#[tokio::test]
async fn minimal_server_lets_people_talk_and_drains() {
    let mut example = Example::start(env!("CARGO_BIN_EXE_example-minimal"), &[]);
    let (alice, mut bob) = example.players().await;
    alice.handle.chat(GENERAL, "hello").await.expect("she is in the room");
    loop {
        if let Event::RoomChat { text, .. } = bob.event().await {
            assert_eq!(text.as_str(), "hello");
            break;
        }
    }
    let third = example.connect().await;
    while bob.event().await != (Event::Announce { text: "3 connected".into() }) {}
    drop(third);
    let process = example.process().id().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().expect("kill can be run").success());
    loop {
        match bob.handle.ping().await {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, ClientError::Closed(CloseReason::Draining)), "{error}");
                break;
            }
        }
    }
    drop(alice);
    assert_eq!(example.line(), "served 3 connections\n");
    assert!(example.process().wait().expect("it is a child of this process").success());
}

#[tokio::test]
async fn dice_fall_for_everybody_and_again_with_the_same_seed() {
    let mut games = Vec::new();
    for seed in ["7", "7", "8"] {
        let example = Example::start(env!("CARGO_BIN_EXE_example-custom-command"), &[seed]);
        let (mut alice, mut bob) = example.players().await;
        let eyes = Player::done(alice.command("dice", "3d1000").await);
        assert_eq!(alice.told().await, format!("alice throws {eyes}"));
        assert_eq!(bob.told().await, format!("alice throws {eyes}"));
        let sum = eyes.split_once(" = ").map(|(throws, sum)| {
            let throws: u64 = throws.split(" + ").map(|eyes| eyes.parse::<u64>().expect("eyes")).sum();
            (throws, sum.parse::<u64>().expect("a sum"))
        });
        assert!(sum.is_some_and(|(throws, sum)| throws == sum), "{eyes}");
        for wrong in ["", "2x6", "0d6", "21d6", "2d1", "-1d6", "99999999999999999999d6"] {
            assert!(Player::refused(bob.command("dice", wrong).await).contains("such as 2d6"), "{wrong}");
        }
        assert_eq!(Player::done(bob.command("dice.total", "").await), "3");
        let unknown = bob.command("cards", "").await;
        assert!(matches!(unknown, Err(ClientError::Refused(Code::CommandUnknown))), "{unknown:?}");
        games.push(eyes);
    }
    assert_eq!(games[0], games[1]);
    assert_ne!(games[0], games[2]);
}

#[test]
fn dice_client_shows_what_fell_or_why_not() {
    let example = Example::start(env!("CARGO_BIN_EXE_example-custom-command"), &[]);
    for (dice, shown) in [("3d6", "bob throws"), ("many", "refused: \"say how many dice")] {
        let client = Command::new(env!("CARGO_BIN_EXE_example-dice-client")).arg(example.address()).arg(dice).output();
        let client = client.expect("the client can be started");
        let said = String::from_utf8_lossy(&client.stdout);
        assert!(client.status.success() && said.contains(shown), "{said}{}", String::from_utf8_lossy(&client.stderr));
    }
}

#[tokio::test]
async fn match_begins_when_everybody_is_ready() {
    let example = Example::start(env!("CARGO_BIN_EXE_example-game-lobby"), &[]);
    let (mut alice, mut bob) = example.players().await;
    Player::done(alice.command("match.ready", "").await);
    assert_eq!(bob.told().await, "1 of 2 are ready");
    assert_eq!(Player::refused(alice.command("match.over", "").await), "no match is on");
    Player::done(bob.command("match.ready", "").await);
    assert_eq!(bob.told().await, "all 2 are ready");
    assert_eq!(Player::done(bob.command("match.status", "").await), "about to begin");
    let begins = bob.told().await;
    assert!(begins.starts_with("match 1 begins on map "), "{begins}");
    let mut told = Vec::new();
    while told.last() != Some(&begins) {
        told.push(alice.told().await);
    }
    assert_eq!(told.len(), 3, "{told:?}");
    bob.handle.leave(GENERAL).await.expect("he is there");
    assert_eq!(alice.told().await, "match 1 is over: too few are left");
    assert_eq!(Player::refused(bob.command("match.ready", "").await), "enter a room first");
}

#[tokio::test]
async fn moderation_masks_and_refuses() {
    let example = Example::start(env!("CARGO_BIN_EXE_example-moderation"), &[]);
    let (alice, mut bob) = example.players().await;
    let link = "see http://example.com";
    let refused = bob.handle.chat(GENERAL, link).await;
    assert!(matches!(refused, Err(ClientError::Refused(Code::TextRefused))), "{refused:?}");
    alice.handle.chat(GENERAL, link).await.expect("an administrator may");
    alice.handle.chat(GENERAL, "Heck!").await.expect("it is masked");
    for expected in [link, "****!"] {
        let event = bob.event().await;
        assert!(matches!(&event, Event::RoomChat { text, .. } if text.as_str() == expected), "{event:?}");
    }
    let mut refused = None;
    for _ in 0..20 {
        refused = refused.or(bob.handle.chat(GENERAL, "hello").await.err());
    }
    assert!(matches!(refused, Some(ClientError::Refused(Code::OverBudget))), "{refused:?}");
}

#[tokio::test]
async fn inventory_is_kept_by_its_service() {
    let example = Example::start(env!("CARGO_BIN_EXE_example-inventory-service"), &[]);
    let (alice, bob) = example.players().await;
    // More at once than the service takes at once; each is answered, none is lost.
    let taken = futures_of((0..8).map(|_| alice.command("inventory.take", "coin"))).await;
    assert_eq!(taken.len(), 8);
    taken.into_iter().for_each(|reply| drop(Player::done(reply)));
    assert_eq!(Player::done(alice.command("inventory.list", "").await), r#"{"Ok":{"coin":8}}"#);
    assert_eq!(Player::done(alice.command("inventory.drop", "coin").await), r#"{"Ok":{"coin":7}}"#);
    assert_eq!(Player::done(bob.command("inventory.list", "").await), r#"{"Ok":{}}"#);
    assert_eq!(Player::refused(bob.command("inventory.drop", "coin").await), "you have no coin");
    assert!(Player::refused(bob.command("inventory.take", "A COIN").await).contains("letters"));
    bob.handle.leave(GENERAL).await.expect("a slow service holds nothing else up");
    assert!(bob.handle.enter(RoomNumber(1), None).await.is_ok());
}

/// Waits for all of them, side by side.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut waiting {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
