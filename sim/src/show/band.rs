//! From what begins and ends to what held meanwhile.

use std::time::Duration;

use super::chart::{Band, BandKind, Row};
use crate::scenario::{Fault, Operation, RedisFault, Touch};
use crate::trace;

/// Something begins or ends to hold.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// In which row.
    pub(super) row: usize,
    /// About which hosts.
    lanes: Vec<usize>,
    what: Turn,
}

#[derive(Clone, Debug)]
enum Turn {
    Begins {
        kind: BandKind,
        text: String,
        /// When it ends by itself.
        until: Option<Duration>,
    },
    /// What is of one of these kinds, about the same hosts, is over.
    Ends(&'static [BandKind]),
}

impl Change {
    /// A client has a new connection.
    pub(super) fn back(lane: usize, row: usize) -> Self {
        Self { row, lanes: vec![lane], what: Turn::Ends(&[BandKind::Deaf]) }
    }
}

/// What a client's operation begins or ends.
pub(super) fn of_operation(lane: usize, row: usize, operation: &Operation) -> Option<Change> {
    let begins = |text: &str| Turn::Begins { kind: BandKind::Deaf, text: text.to_owned(), until: None };
    let what = match operation.touch() {
        Touch::Vanishes => begins("gone without a word"),
        Touch::StopsReading => begins("does not read"),
        Touch::ResumesReading => Turn::Ends(&[BandKind::Deaf]),
        Touch::Opens | Touch::Writes | Touch::EndsWriting | Touch::Closes | Touch::Resets => return None,
    };
    Some(Change { row, lanes: vec![lane], what })
}

/// The hosts that a fault is about.
pub(super) fn hosts(fault: &Fault) -> Vec<&str> {
    match (fault.ends(), fault.daemon()) {
        (Some((from, to)), _) => vec![from, to],
        (None, Some(daemon)) => vec![daemon],
        (None, None) => vec![super::build::REDIS],
    }
}

/// What a fault begins or ends, in that order of what ends first.
pub(super) fn of_fault(lanes: Vec<usize>, row: usize, at: Duration, fault: &Fault) -> Vec<Change> {
    use BandKind::{Down, Frozen, Hold, Impaired, Latency, Partition};
    let begins = |kind, until| Turn::Begins { kind, text: trace::fault_line(fault), until };
    let turns = match fault {
        Fault::Partition { .. } => vec![begins(Partition, None)],
        Fault::Repair { .. } => vec![Turn::Ends(&[Partition])],
        Fault::Hold { .. } => vec![begins(Hold, None)],
        Fault::Release { .. } => vec![Turn::Ends(&[Hold])],
        Fault::Latency { .. } => vec![Turn::Ends(&[Latency]), begins(Latency, None)],
        Fault::Crash { .. } | Fault::Stop { .. } => vec![Turn::Ends(&[Frozen, Impaired]), begins(Down, None)],
        Fault::Restart { .. } => vec![Turn::Ends(&[Down, Frozen, Impaired])],
        Fault::Drain { within, .. } => vec![begins(Impaired, Some(at.saturating_add(*within)))],
        Fault::Stall { gap, .. } => vec![begins(Frozen, Some(at.saturating_add(*gap)))],
        Fault::CloseUser { .. } | Fault::Ask { .. } => Vec::new(),
        Fault::Redis(fault) => match fault {
            RedisFault::Crash => vec![Turn::Ends(&[Frozen, Impaired]), begins(Down, None)],
            RedisFault::Restart | RedisFault::RestartEmpty => vec![Turn::Ends(&[Down, Frozen, Impaired])],
            RedisFault::Freeze => vec![begins(Frozen, None)],
            RedisFault::Thaw => vec![Turn::Ends(&[Frozen])],
            RedisFault::Slow(_) | RedisFault::Lie | RedisFault::Garble => {
                vec![Turn::Ends(&[Impaired]), begins(Impaired, None)]
            }
            RedisFault::Heal => vec![Turn::Ends(&[Impaired])],
        },
    };
    turns.into_iter().map(|what| Change { row, lanes: lanes.clone(), what }).collect()
}

/// What held, and over which rows.
pub(super) fn bands(changes: &[Change], rows: &[Row]) -> Vec<Band> {
    let mut bands = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let Turn::Begins { kind, text, until } = &change.what else { continue };
        let is_end = |later: &&Change| match &later.what {
            Turn::Ends(kinds) => kinds.contains(kind) && same(&later.lanes, &change.lanes),
            Turn::Begins { .. } => false,
        };
        let ended = changes[index + 1..].iter().find(is_end).map(|end| end.row);
        let over = until.and_then(|until| rows.iter().position(|row| row.at >= until)).map(|row| row.saturating_sub(1));
        let last = rows.len().saturating_sub(1);
        let to = ended.unwrap_or(last).min(over.unwrap_or(last)).max(change.row);
        bands.push(Band { lanes: change.lanes.clone(), from: change.row, to, kind: *kind, text: text.clone() });
    }
    bands
}

/// Whether both are about the same hosts, whichever is named first.
fn same(one: &[usize], other: &[usize]) -> bool {
    one.len() == other.len() && one.iter().all(|lane| other.contains(lane))
}
