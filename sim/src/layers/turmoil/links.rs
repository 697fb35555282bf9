//! What the scenario has done to the network between two hosts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turmoil::{Protocol, Segment, Sim};

use crate::network::Network;

/// The links that are not as they were.
#[derive(Debug, Default)]
pub(super) struct Links {
    changed: BTreeMap<(IpAddr, IpAddr), State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Partitioned,
    Held,
}

impl Links {
    /// Nothing passes any more, or nothing passes from the one to the other. What is under way is lost. The network is
    /// told about it.
    pub(super) fn partition(
        &mut self,
        simulation: &Sim<'_>,
        network: &Network,
        (from, to): (IpAddr, IpAddr),
        one_way: bool,
    ) {
        let under_way = bytes_under_way(simulation);
        network.cut((from, to), &under_way);
        if one_way && self.changed.get(&pair(from, to)) != Some(&State::Held) {
            simulation.partition_oneway(from, to);
        } else {
            // The two cannot be had together: what was held is lost with the rest.
            simulation.partition(from, to);
            network.cut((to, from), &under_way);
        }
        self.changed.insert(pair(from, to), State::Partitioned);
    }

    /// A partition is over. A hold is not: what waits would never arrive.
    pub(super) fn repair(&mut self, simulation: &Sim<'_>, network: &Network, (from, to): (IpAddr, IpAddr)) {
        if self.changed.get(&pair(from, to)) == Some(&State::Partitioned) {
            self.changed.remove(&pair(from, to));
            simulation.repair(from, to);
            network.mend(from, to);
        }
    }

    /// What is sent waits. Between partitioned hosts nothing is sent.
    pub(super) fn hold(&mut self, simulation: &Sim<'_>, from: IpAddr, to: IpAddr) {
        if let Entry::Vacant(place) = self.changed.entry(pair(from, to)) {
            place.insert(State::Held);
            simulation.hold(from, to);
        }
    }

    /// What waits arrives.
    pub(super) fn release(&mut self, simulation: &Sim<'_>, from: IpAddr, to: IpAddr) {
        if self.changed.get(&pair(from, to)) == Some(&State::Held) {
            self.changed.remove(&pair(from, to));
            simulation.release(from, to);
        }
    }

    /// How long bytes are under way from now on.
    pub(super) fn set_latency(simulation: &Sim<'_>, from: IpAddr, to: IpAddr, (least, most): (Duration, Duration)) {
        simulation.set_link_latency(from, to, least);
        simulation.set_link_max_message_latency(from, to, most);
    }

    /// Whether something is under way that will arrive by itself.
    pub(super) fn are_busy(&self, simulation: &Sim<'_>) -> bool {
        let mut is_busy = false;
        simulation.links(|links| {
            is_busy = links.into_iter().any(|mut link| {
                let (one, other) = link.pair();
                self.changed.get(&pair(one, other)) != Some(&State::Held) && link.next().is_some()
            });
        });
        is_busy
    }
}

/// How many bytes are on the network, by sender and receiver of each stream.
fn bytes_under_way(simulation: &Sim<'_>) -> BTreeMap<(SocketAddr, SocketAddr), usize> {
    let mut bytes = BTreeMap::new();
    simulation.links(|links| {
        for sent in links.flatten() {
            if let Protocol::Tcp(Segment::Data(_, data)) = sent.protocol() {
                *bytes.entry(sent.pair()).or_default() += data.len();
            }
        }
    });
    bytes
}

fn pair(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    (one.min(other), one.max(other))
}
