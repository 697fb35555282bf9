//! The record of what moves between hosts, kept only where somebody watches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use crate::traffic::{Cargo, Seen};

/// The number of what nobody watches.
pub(super) const UNSEEN: u32 = 0;

#[derive(Default)]
pub(super) struct Traffic {
    /// The names of the daemons; none while nobody watches.
    daemons: Option<Vec<String>>,
    seen: Vec<(Duration, Seen)>,
    last_number: u32,
    /// The numbers of the pieces on their way to daemons, by their streams, and of those to clients. What travels in
    /// several pieces has its number there several times.
    up: BTreeMap<u32, VecDeque<u32>>,
    down: BTreeMap<u32, VecDeque<u32>>,
    /// Calls to Redis, and its answers.
    calls: BTreeMap<u32, u32>,
    lost: BTreeSet<u32>,
}

/// One of the two ways of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toward {
    Daemon,
    Client,
}

impl Traffic {
    pub(super) fn watch(&mut self, daemons: Vec<String>) {
        self.daemons = Some(daemons);
    }

    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.daemons.is_some()
    }

    /// What was seen since the last call.
    pub(super) fn take(&mut self) -> Vec<(Duration, Seen)> {
        mem::take(&mut self.seen)
    }

    /// Something leaves a client.
    pub(super) fn leaves_client(&mut self, now: u64, client: &str, daemon: u32, cargo: Cargo) -> u32 {
        let Some(daemon) = self.name(daemon) else { return UNSEEN };
        self.sent(now, client.to_owned(), daemon, cargo)
    }

    /// Something leaves a daemon for a client.
    pub(super) fn leaves_daemon(&mut self, now: u64, daemon: u32, client: &str, cargo: Cargo) -> u32 {
        let Some(daemon) = self.name(daemon) else { return UNSEEN };
        self.sent(now, daemon, client.to_owned(), cargo)
    }

    /// A piece is on its way in a stream, or lost at once.
    pub(super) fn piece_sent(&mut self, now: u64, stream: u32, toward: Toward, number: u32, is_lost: bool) {
        if !self.is_watched() {
            return;
        }
        if is_lost {
            self.is_lost(now, number);
        } else {
            self.pieces(stream, toward).push_back(number);
        }
    }

    /// The next piece of a stream is taken.
    pub(super) fn piece_taken(&mut self, now: u64, stream: u32, toward: Toward) {
        if !self.is_watched() {
            return;
        }
        let pieces = self.pieces(stream, toward);
        let Some(number) = pieces.pop_front() else { return };
        let is_whole = !pieces.contains(&number);
        if number != UNSEEN && is_whole && !self.lost.contains(&number) {
            self.see(now, Seen::Arrived { number });
        }
    }

    /// The first `count` pieces of a stream, or those behind the first `skipped`, are dropped.
    pub(super) fn pieces_lost(&mut self, now: u64, stream: u32, toward: Toward, skipped: usize, count: usize) {
        if !self.is_watched() {
            return;
        }
        let pieces = self.pieces(stream, toward);
        let (start, end) = (skipped.min(pieces.len()), skipped.saturating_add(count).min(pieces.len()));
        let dropped: Vec<_> = pieces.drain(start..end).collect();
        dropped.into_iter().for_each(|number| self.is_lost(now, number));
    }

    /// A daemon's call leaves for Redis, or is lost at once.
    pub(super) fn asks(&mut self, now: u64, daemon: u32, call: u32, what: impl FnOnce() -> String, is_lost: bool) {
        let Some(daemon) = self.name(daemon) else { return };
        let number = self.sent(now, daemon, super::link::HOST.to_owned(), Cargo::Command(what()));
        self.calls.insert(call, number);
        if is_lost {
            self.call_lost(now, call);
        }
    }

    /// What Redis says leaves for a daemon, or is lost at once.
    pub(super) fn says(&mut self, now: u64, daemon: u32, call: u32, what: impl FnOnce() -> String, is_lost: bool) {
        let Some(daemon) = self.name(daemon) else { return };
        let number = self.sent(now, super::link::HOST.to_owned(), daemon, Cargo::Reply(what()));
        self.calls.insert(call, number);
        if is_lost {
            self.call_lost(now, call);
        }
    }

    /// What was under way of a call is there.
    pub(super) fn call_arrived(&mut self, now: u64, call: u32) {
        if let Some(number) = self.calls.remove(&call) {
            self.see(now, Seen::Arrived { number });
        }
    }

    /// What was under way of a call, if anything was, is lost.
    pub(super) fn call_lost(&mut self, now: u64, call: u32) {
        if let Some(number) = self.calls.remove(&call) {
            self.is_lost(now, number);
        }
    }

    fn name(&self, daemon: u32) -> Option<String> {
        self.daemons.as_ref().and_then(|daemons| daemons.get(daemon as usize).cloned())
    }

    fn pieces(&mut self, stream: u32, toward: Toward) -> &mut VecDeque<u32> {
        match toward {
            Toward::Daemon => self.up.entry(stream).or_default(),
            Toward::Client => self.down.entry(stream).or_default(),
        }
    }

    fn sent(&mut self, now: u64, from: String, to: String, cargo: Cargo) -> u32 {
        self.last_number += 1;
        self.see(now, Seen::Sent { number: self.last_number, from, to, cargo });
        self.last_number
    }

    fn is_lost(&mut self, now: u64, number: u32) {
        if number != UNSEEN && self.lost.insert(number) {
            self.see(now, Seen::Lost { number });
        }
    }

    fn see(&mut self, now: u64, what: Seen) {
        self.seen.push((Duration::from_nanos(now), what));
    }
}
