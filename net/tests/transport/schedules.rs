//! Schedules by chance.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{OUTBOX_LARGE, OUTBOX_SMALL, Setup, Step, run};

const CLIENTS: usize = 4;

fn setup(outbox_bytes_max: u32, texts: usize) -> impl Strategy<Value = Setup> {
    let sizes = vec(prop_oneof![2 => 1..6usize, 1 => Just(0), 2 => 6..2_000usize], 0..5).prop_map(|mut sizes| {
        sizes.push(100);
        sizes
    });
    let wires = vec((sizes, prop_oneof![Just(0), 1..500usize, Just(1_000_000)]), 1..=CLIENTS);
    (wires, 0..300u64).prop_map(move |(wires, login_ms)| Setup {
        wires,
        texts,
        login_time: Duration::from_millis(login_ms),
        outbox_bytes_max,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), prop_oneof![1..8usize, 1..1_000usize]).prop_map(|(client, bytes)| Step::Send(client, bytes)),
        4 => (client(), prop_oneof![1..8usize, 1..1_000usize])
            .prop_map(|(client, bytes)| Step::OpenWindow(client, bytes)),
        6 => Just(Step::Run),
        3 => (1..400u64).prop_map(|ms| Step::Advance(Duration::from_millis(ms))),
        1 => client().prop_map(Step::HangUp),
        1 => client().prop_map(Step::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_reordered_or_leaked(setup in setup(OUTBOX_LARGE, 8), steps in vec(step(), 0..80)) {
        run(&setup, &steps);
    }

    #[test]
    fn slow_consumer_hears_a_beginning_and_disturbs_nobody(
        setup in setup(OUTBOX_SMALL, 25),
        steps in vec(step(), 0..80),
    ) {
        run(&setup, &steps);
    }
}

#[test]
fn same_schedule_does_the_same() {
    let setup = Setup {
        wires: vec![(vec![3, 0, 100], 50), (vec![7], 0), (vec![1, 2, 0], 1_000)],
        texts: 5,
        login_time: Duration::from_millis(20),
        outbox_bytes_max: OUTBOX_LARGE,
    };
    let steps =
        [Step::Send(0, 60), Step::Run, Step::Send(1, 40), Step::Advance(Duration::from_millis(30)), Step::Cut(2)];
    let changes = run(&setup, &steps).changes;
    assert!(changes.len() > 10, "{changes:?}");
    assert_eq!(run(&setup, &steps).changes, changes);
}
