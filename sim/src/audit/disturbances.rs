//! Which hosts are kept apart, and whether the presence of users may have suffered.

use std::collections::BTreeSet;

use super::REDIS;

/// What faults have done to the network.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    cut: BTreeSet<(String, String)>,
    held: BTreeSet<(String, String)>,
    is_presence_disturbed: bool,
}

impl Disturbances {
    pub(super) fn cut(&mut self, from: &str, to: &str) {
        self.cut.insert(pair(from, to));
        self.note(from, to);
    }

    pub(super) fn hold(&mut self, from: &str, to: &str) {
        self.held.insert(pair(from, to));
        self.note(from, to);
    }

    pub(super) fn repair(&mut self, from: &str, to: &str) {
        self.cut.remove(&pair(from, to));
    }

    pub(super) fn release(&mut self, from: &str, to: &str) {
        self.held.remove(&pair(from, to));
    }

    pub(super) fn presence_is_disturbed(&mut self) {
        self.is_presence_disturbed = true;
    }

    /// Whether leases may have expired, or been lost or taken unseen, at any time so far.
    pub(super) fn was_presence_disturbed(&self) -> bool {
        self.is_presence_disturbed
    }

    /// Whether something between two hosts is lost or waits now.
    pub(super) fn are_apart(&self, one: &str, other: &str) -> bool {
        let pair = pair(one, other);
        self.cut.contains(&pair) || self.held.contains(&pair)
    }

    fn note(&mut self, from: &str, to: &str) {
        self.is_presence_disturbed |= from == REDIS || to == REDIS;
    }
}

fn pair(one: &str, other: &str) -> (String, String) {
    let (least, most) = if one <= other { (one, other) } else { (other, one) };
    (least.to_owned(), most.to_owned())
}
