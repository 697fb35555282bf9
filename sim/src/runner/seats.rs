//! What has arrived at each client, and what a step still expects there.

use std::collections::VecDeque;
use std::time::Duration;

use lobbyd_core::packet::ServerPacket;

use crate::layers::Arrival;
use crate::scenario::Pattern;

/// A client, as the runner sees it.
pub(super) struct Seat<'a> {
    pub(super) name: &'a str,
    /// What the auditor calls it.
    pub(super) number: usize,
    /// What has arrived and was not expected yet.
    pub(super) inbox: VecDeque<Arrival>,
    /// What this step still expects, in order.
    pub(super) pending: VecDeque<Pending<'a>>,
    /// By when nothing may have come, if the step says so.
    pub(super) silent_until: Option<Duration>,
    /// Whether the step names the client, so that nothing may be left over.
    pub(super) is_concerned: bool,
}

impl<'a> Seat<'a> {
    pub(super) fn new(name: &'a str, number: usize) -> Self {
        Self { name, number, inbox: VecDeque::new(), pending: VecDeque::new(), silent_until: None, is_concerned: false }
    }
}

pub(super) struct Pending<'a> {
    pub(super) what: Awaited<'a>,
    pub(super) deadline: Duration,
    pub(super) within: Duration,
}

pub(super) enum Awaited<'a> {
    Packet(&'a Pattern),
    /// One of a set, which it may share with others of its step.
    AnyOf(usize),
    Closed,
}

/// The packets of an `any of` that nobody took yet.
pub(super) struct Set<'a> {
    pub(super) patterns: &'a [Pattern],
    pub(super) left: Vec<&'a Pattern>,
    pub(super) is_shared: bool,
}

impl Set<'_> {
    pub(super) fn take(&mut self, packet: &ServerPacket) -> Result<(), String> {
        let Some(index) = self.left.iter().position(|pattern| pattern.matches(packet).is_ok()) else {
            return Err("it is none of them".to_owned());
        };
        if self.is_shared {
            self.left.remove(index);
        }
        Ok(())
    }
}

/// Sets that are expected more than once, but no more often than they have packets, are shared.
pub(super) fn share(sets: &mut [Set<'_>], seats: &[Seat<'_>]) {
    for (index, set) in sets.iter_mut().enumerate() {
        let pending = seats.iter().flat_map(|seat| &seat.pending);
        let takers = pending.filter(|pending| matches!(pending.what, Awaited::AnyOf(known) if known == index)).count();
        set.is_shared = takers <= set.patterns.len();
    }
}

pub(super) fn pattern_line(pattern: &Pattern) -> String {
    let fields = pattern.fields.iter();
    fields.fold(pattern.packet.clone(), |line, (field, value)| format!("{line} {field}={value}"))
}
