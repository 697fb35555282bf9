//! The network between hosts: how long bytes are under way, what is lost and what waits.
//!
//! As on turmoil, what is lost is not sent again: a stream that has lost something delivers nothing more that way.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::nanos;
use super::queue::Event;
use super::random::Random;
use crate::scenario;

/// One way between two hosts.
pub(super) type Way = u32;

pub(super) struct Network {
    seed: u64,
    latency: (u64, u64),
    known: BTreeMap<(String, String), Way>,
    ways: Vec<State>,
}

struct State {
    latency: (u64, u64),
    random: Random,
    is_cut: bool,
    is_held: bool,
    /// What has arrived meanwhile, in order.
    held: Vec<Event>,
}

/// What becomes of something that has arrived at the end of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Through,
    Lost,
    /// It was put aside, and comes again when the way is released.
    Held,
}

impl Network {
    pub(super) fn new(network: &scenario::Network, seed: u64) -> Self {
        Self { seed, latency: span(network.latency), known: BTreeMap::new(), ways: Vec::new() }
    }

    /// The way from one host to another.
    pub(super) fn way(&mut self, from: &str, to: &str) -> Way {
        let key = (from.to_owned(), to.to_owned());
        if let Some(way) = self.known.get(&key) {
            return *way;
        }
        let way = u32::try_from(self.ways.len()).expect("a scenario names a few hosts");
        let random = Random::derived(self.seed, &format!("latency from {from} to {to}"));
        let held = Vec::new();
        self.ways.push(State { latency: self.latency, random, is_cut: false, is_held: false, held });
        self.known.insert(key, way);
        way
    }

    /// How long what is sent now is under way; none if it is lost.
    pub(super) fn delay(&mut self, way: Way) -> Option<u64> {
        let state = &mut self.ways[way as usize];
        let (least, most) = state.latency;
        (!state.is_cut).then(|| state.random.between(least, most))
    }

    /// What becomes of what has arrived. It comes again as `event` if it is held.
    pub(super) fn pass(&mut self, way: Way, event: Event) -> Passage {
        let state = &mut self.ways[way as usize];
        if state.is_cut {
            Passage::Lost
        } else if state.is_held {
            state.held.push(event);
            Passage::Held
        } else {
            Passage::Through
        }
    }

    /// Whether bytes pass now, without delay by a hold.
    pub(super) fn is_open(&self, way: Way) -> bool {
        let state = &self.ways[way as usize];
        !state.is_cut && !state.is_held
    }

    pub(super) fn set_cut(&mut self, from: &str, to: &str, is_cut: bool) {
        let way = self.way(from, to);
        self.ways[way as usize].is_cut = is_cut;
    }

    pub(super) fn hold(&mut self, from: &str, to: &str) {
        let way = self.way(from, to);
        self.ways[way as usize].is_held = true;
    }

    /// Ends a hold, and gives back what has arrived meanwhile.
    pub(super) fn release(&mut self, from: &str, to: &str) -> Vec<Event> {
        let way = self.way(from, to);
        let state = &mut self.ways[way as usize];
        state.is_held = false;
        mem::take(&mut state.held)
    }

    pub(super) fn set_latency(&mut self, from: &str, to: &str, latency: (Duration, Duration)) {
        let way = self.way(from, to);
        self.ways[way as usize].latency = span(latency);
    }
}

fn span((least, most): (Duration, Duration)) -> (u64, u64) {
    (nanos(least), nanos(most))
}
