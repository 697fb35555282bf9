//! A daemon with several I/O threads: named so that one sees what each costs, and ended together.

use std::collections::BTreeSet;
use std::time::Duration;

use lobbyd_core::packet::{CloseReason, ServerPacket};

use crate::support::{Setup, Signal, Wire, say};

const GENERAL: u32 = 1;
const NAMES: [&str; 6] = ["ada", "grace", "mary", "joan", "edith", "karen"];

#[test]
fn clients_of_several_io_threads_talk_and_are_drained_together() {
    let setup = Setup::new().set("server.io_threads", "3").set("server.drain_timeout", "300ms").users(&NAMES);
    let mut daemon = setup.start();
    let mut wires: Vec<Wire> = NAMES.iter().map(|name| daemon.log_in(name)).collect();
    for wire in &mut wires {
        wire.enter(GENERAL);
    }
    for (place, wire) in wires.iter_mut().enumerate() {
        for _ in place + 1..NAMES.len() {
            assert!(matches!(wire.receive(), ServerPacket::RoomNewUserNotify { .. }));
        }
    }
    let names: BTreeSet<_> = daemon.thread_names().into_iter().filter(|name| name.starts_with("lobbyd-io-")).collect();
    assert_eq!(names, BTreeSet::from(["lobbyd-io-1".to_owned(), "lobbyd-io-2".to_owned()]), "beside the first");

    let mut sequence = NAMES.len() as u64;
    for speaker in 0..NAMES.len() {
        sequence += 1;
        wires[speaker].say(say::chat(5, GENERAL, "hello"));
        let user = wires[speaker].user();
        for (place, wire) in wires.iter_mut().enumerate() {
            let hears = say::heard(GENERAL, sequence, &user, "hello");
            wire.expect(if place == speaker { say::chatted(5, GENERAL, sequence) } else { hears });
        }
    }

    daemon.signal(Signal::Terminate);
    for mut wire in wires {
        assert!(matches!(wire.receive(), ServerPacket::GoAway { .. }));
        let end = loop {
            match wire.receive_within(Duration::from_secs(5)) {
                // Others leave before.
                Some(ServerPacket::RoomLeaveUserNotify { .. }) => {}
                end => break end,
            }
        };
        assert_eq!(end, Some(ServerPacket::Closing { reason: CloseReason::Draining }));
    }
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
}
