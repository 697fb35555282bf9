//! The daemons' connections to Redis: how they are lost and made again.

use super::Stores;
use crate::layers::pure::link::PING_NANOS;
use crate::layers::pure::queue::Event;
use crate::layers::pure::redis::{Command, Process, StoreEvent};
use crate::layers::pure::wire::Wire;

impl Stores {
    pub(super) fn ping(&mut self, daemon: u32, wire: &mut Wire) {
        let node = &self.nodes[daemon as usize];
        let ping_at = node.heard_at + PING_NANOS;
        if node.is_running && node.connection().is_some() && ping_at <= wire.now {
            self.call(daemon, Command::Ping, None, wire);
        }
        let next_at = if ping_at > wire.now { ping_at } else { wire.now + PING_NANOS };
        wire.queue.plan(next_at, Event::Store(StoreEvent::Ping(daemon)));
    }

    /// A daemon's connection is gone: whoever waits on it has no answer, and another is made.
    pub(super) fn lose_link(&mut self, daemon: u32, wire: &mut Wire) {
        let Some(dial_at) = self.nodes[daemon as usize].lose(wire.now) else { return };
        wire.queue.plan(dial_at, Event::Store(StoreEvent::Dial(daemon)));
        let waiting = self.calls.iter().filter(|(_, call)| call.daemon == daemon && call.is_awaited);
        let waiting: Vec<u32> = waiting.map(|(number, _)| *number).collect();
        for number in waiting {
            let Some(call) = self.calls.get_mut(&number) else { continue };
            call.is_awaited = false;
            let (login, command) = (call.login, call.command.clone());
            if !call.is_under_way {
                self.calls.remove(&number);
            }
            self.fail(daemon, login, command, false, wire);
        }
        self.look_after(daemon, wire);
    }

    pub(super) fn dial(&mut self, daemon: u32, wire: &mut Wire) {
        let Some(redis) = &self.redis else { return };
        let node = &mut self.nodes[daemon as usize];
        let connected_at = if redis.is_healthy() { node.round_trip(redis.delay, wire) } else { None };
        match connected_at {
            Some(at) => wire.queue.send(at, Event::Store(StoreEvent::Connected(daemon))),
            None => {
                let is_silent = redis.process == Process::Frozen || !node.is_open(wire);
                let at = node.dial_again(wire.now, is_silent);
                wire.queue.plan(at, Event::Store(StoreEvent::Dial(daemon)));
            }
        }
    }

    pub(super) fn connected(&mut self, daemon: u32, wire: &mut Wire) {
        let Some(redis) = &self.redis else { return };
        if !redis.is_healthy() {
            let at = self.nodes[daemon as usize].dial_again(wire.now, false);
            wire.queue.plan(at, Event::Store(StoreEvent::Dial(daemon)));
            return;
        }
        self.nodes[daemon as usize].connect(redis.life, wire.now);
        self.look_after(daemon, wire);
    }
}
