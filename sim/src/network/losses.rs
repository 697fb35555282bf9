//! What partitions take on its way from daemons to clients, for whoever watches. The network itself drops it in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::packet::ServerPacket;

use super::pipe::Pipe;
use super::{Network, SimulatedStream};

/// The ways that are cut, and the streams on which something may be lost.
#[derive(Default)]
pub(super) struct Losses {
    cuts: BTreeSet<(IpAddr, IpAddr)>,
    /// By sender and receiver. They outlive their streams, since what is lost may be found only afterwards.
    pipes: BTreeMap<(SocketAddr, SocketAddr), Rc<Pipe>>,
    /// Who is at an end.
    names: BTreeMap<SocketAddr, String>,
}

impl Losses {
    pub(super) fn are_cut(&self, way: (IpAddr, IpAddr)) -> bool {
        self.cuts.contains(&way)
    }
}

/// A packet that will never arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// When that was certain.
    pub(crate) at: Duration,
    /// The host of the daemon that has sent it.
    pub(crate) from: IpAddr,
    /// The client that it was for.
    pub(crate) to: String,
    pub(crate) packet: ServerPacket,
}

impl Network {
    /// Takes note from now on of what is lost between a daemon that accepts a connection and the client. Nothing else
    /// becomes different by it.
    pub(crate) fn watch(&self) {
        self.0.losses.borrow_mut().get_or_insert_default();
    }

    /// A daemon has accepted a connection.
    pub(super) fn watch_for_losses(&self, stream: &SimulatedStream) {
        if let Some(losses) = &mut *self.0.losses.borrow_mut() {
            stream.outgoing.keep_ledger();
            losses.pipes.insert(stream.ends, stream.outgoing.clone());
        }
    }

    /// Says whose a client's end of a stream is.
    pub(crate) fn name(&self, stream: &SimulatedStream, client: &str) {
        if let Some(losses) = &mut *self.0.losses.borrow_mut() {
            losses.names.insert(stream.ends.0, client.to_owned());
        }
    }

    /// A partition begins to take what goes one way. `under_way` says how many bytes of which stream it takes that were
    /// sent before.
    pub(crate) fn cut(&self, way: (IpAddr, IpAddr), under_way: &BTreeMap<(SocketAddr, SocketAddr), usize>) {
        let now = self.now();
        if let Some(losses) = &mut *self.0.losses.borrow_mut() {
            losses.cuts.insert(way);
            for ((from, to), pipe) in &losses.pipes {
                if let Some(count) = under_way.get(&(*from, *to)).filter(|_| (from.ip(), to.ip()) == way)
                    && let Some(mut ledger) = pipe.ledger()
                {
                    ledger.cut(now, *count);
                }
            }
        }
    }

    /// No partition takes what goes between two hosts any more.
    pub(crate) fn mend(&self, from: IpAddr, to: IpAddr) {
        if let Some(losses) = &mut *self.0.losses.borrow_mut() {
            losses.cuts.retain(|way| *way != (from, to) && *way != (to, from));
        }
    }

    /// What was lost since the last call, in order. What was for a client that never learned that it had a connection
    /// is left out.
    pub(crate) fn take_lost(&self) -> Vec<Lost> {
        let mut found = Vec::new();
        if let Some(losses) = &*self.0.losses.borrow() {
            for ((from, to), pipe) in &losses.pipes {
                let Some(client) = losses.names.get(to) else { continue };
                let lost = pipe.ledger().map(|mut ledger| ledger.take_lost()).unwrap_or_default();
                let of = |(at, packet)| Lost { at, from: from.ip(), to: client.clone(), packet };
                found.extend(lost.into_iter().map(of));
            }
        }
        found.sort_by_key(|lost| lost.at);
        found
    }
}
