//! What this layer sees between hosts: what daemons and Redis say to each other, at the moment when Redis runs it, and
//! what partitions take on its way to clients.

use std::time::Duration;

use turmoil::Sim;

use super::redis_host;
use crate::network::Lost;
use crate::redis::Exchange;
use crate::traffic::{Cargo, Seen};

/// Numbers what was seen.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    last_number: u32,
}

impl Sightings {
    /// Exchanges and losses as sightings, in the order of their times.
    pub(super) fn of(
        &mut self,
        simulation: &Sim<'_>,
        exchanges: Vec<Exchange>,
        losses: Vec<Lost>,
    ) -> Vec<(Duration, Seen)> {
        let mut seen = Vec::new();
        for Exchange { host, at, command, reply } in exchanges {
            let redis = redis_host::HOST.to_owned();
            for (from, to, cargo) in
                [(host.clone(), redis.clone(), Cargo::Command(command)), (redis, host, Cargo::Reply(reply))]
            {
                let number = self.number();
                seen.extend([(at, Seen::Sent { number, from, to, cargo }), (at, Seen::Arrived { number })]);
            }
        }
        for Lost { at, from, to, packet } in losses {
            let (number, cargo) = (self.number(), Cargo::Packet(packet));
            let from = simulation.reverse_lookup(from).expect("the daemon's host has a name");
            seen.extend([(at, Seen::Sent { number, from, to, cargo }), (at, Seen::Lost { number })]);
        }
        // Stable, so that nothing is lost before it was sent.
        seen.sort_by_key(|(at, _)| *at);
        seen
    }

    fn number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }
}
