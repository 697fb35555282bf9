//! An end at every point of a client's life, and a standstill at every point of what is written to it.

use std::time::Duration;

use crate::judge::{Change, Judge};
use crate::world::{OUTBOX_LARGE, OUTBOX_SMALL, Setup, Step, run};

const TEXTS: usize = 3;

/// One who listens from the beginning, and one of whom something is tried.
fn setup(window: usize, outbox_bytes_max: u32, texts: usize) -> Setup {
    Setup {
        wires: vec![(vec![1_000], 1_000_000), (vec![1_000], window)],
        texts,
        login_time: Duration::ZERO,
        outbox_bytes_max,
    }
}

/// The listener is in the room and has said what it had to say.
fn listener_is_there() -> Vec<Step> {
    vec![
        Step::Send(0, 10_000),
        Step::Advance(Duration::from_millis(1)),
        Step::Send(0, 10_000),
        Step::Run,
        Step::Send(0, 10_000),
        Step::Run,
    ]
}

fn said(judge: &Judge) -> usize {
    judge.changes.values().filter(|change| matches!(change, Change::Said(..))).count()
}

/// Sends a client's bytes up to a point, and returns how many texts were heard after the given end.
fn ends_at(point: usize, end: &Step) -> Judge {
    let mut steps = listener_is_there();
    // One byte at a time, so that each of its steps has its answer before the next.
    for _ in 0..point {
        steps.push(Step::Send(1, 1));
        steps.push(Step::Advance(Duration::from_millis(1)));
    }
    steps.push(end.clone());
    run(&setup(1_000_000, OUTBOX_LARGE, TEXTS), &steps)
}

/// Enough bytes for all that a client says.
fn points() -> impl Iterator<Item = usize> {
    (0..60).chain((60..420).step_by(7))
}

#[test]
fn end_at_every_point_loses_nothing_that_came_before() {
    let mut heard = Vec::new();
    for point in points() {
        let judge = ends_at(point, &Step::HangUp(1));
        assert_eq!(judge.living, [true, false]);
        heard.push(said(&judge));
    }
    assert!(heard.is_sorted(), "an end that comes later is heard less of: {heard:?}");
    assert_eq!((heard.first(), heard.last()), (Some(&TEXTS), Some(&(2 * TEXTS))), "{heard:?}");
}

#[test]
fn client_that_has_hung_up_still_hears_the_answers() {
    for point in (0..420).step_by(13) {
        let mut steps = listener_is_there();
        for _ in 0..2 {
            steps.extend([Step::Send(1, 10_000), Step::Advance(Duration::from_millis(1))]);
        }
        // All in one read, and the end right behind it.
        steps.extend([Step::Send(1, point), Step::HangUp(1)]);
        let judge = run(&setup(1_000_000, OUTBOX_LARGE, TEXTS), &steps);
        // Login and entering were answered before.
        assert_eq!(judge.answers(1), 2 + said(&judge) - TEXTS, "{point} bytes");
    }
}

#[test]
fn break_at_every_point_leaves_nothing_behind() {
    for point in points() {
        let judge = ends_at(point, &Step::Cut(1));
        assert_eq!(judge.living, [true, false]);
        assert!((TEXTS..=2 * TEXTS).contains(&said(&judge)));
    }
}

/// A client whose transport takes so many bytes and then no more for a while, or breaks.
fn stands_still_after(window: usize, outbox_bytes_max: u32, texts: usize, then: &[Step]) -> Judge {
    let mut steps = listener_is_there();
    for _ in 0..3 {
        steps.extend([Step::Send(1, 10_000), Step::Advance(Duration::from_millis(1))]);
    }
    steps.extend_from_slice(then);
    run(&setup(window, outbox_bytes_max, texts), &steps)
}

/// Enough bytes for all that is written to a client.
fn windows() -> impl Iterator<Item = usize> {
    (0..130).chain((130..300).step_by(11))
}

#[test]
fn write_that_blocks_at_every_point_goes_on_there() {
    for window in windows() {
        let judge = stands_still_after(window, OUTBOX_LARGE, TEXTS, &[Step::OpenWindow(1, 1), Step::Run]);
        assert_eq!((judge.living.as_slice(), said(&judge)), (&[true, true][..], 2 * TEXTS), "a window of {window}");
    }
}

#[test]
fn write_that_fails_at_every_point_leaves_nothing_behind() {
    for window in windows() {
        let judge = stands_still_after(window, OUTBOX_LARGE, TEXTS, &[Step::Cut(1), Step::OpenWindow(1, 500)]);
        assert_eq!(judge.living, [true, false], "a window of {window}");
    }
}

#[test]
fn client_that_never_reads_is_closed_and_the_others_go_on() {
    let texts = 30;
    // It enters, and takes hardly more than what that takes.
    let mut steps = vec![Step::Send(1, 10_000), Step::Advance(Duration::from_millis(1)), Step::Send(1, 100), Step::Run];
    steps.extend([Step::Send(0, 10_000), Step::Advance(Duration::from_millis(1))]);
    for _ in 0..60 {
        steps.extend([Step::Send(0, 150), Step::Run]);
    }
    steps.push(Step::Advance(Duration::from_secs(2)));
    let judge = run(&setup(200, OUTBOX_SMALL, texts), &steps);
    assert_eq!((judge.living.as_slice(), said(&judge)), (&[true, false][..], texts));
}
