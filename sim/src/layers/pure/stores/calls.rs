//! Calls: commands on their way to Redis, and what becomes of them.

use lobbyd_core::input::Verdict;

use super::Stores;
use crate::layers::pure::link::RESPONSE_NANOS;
use crate::layers::pure::network::Passage;
use crate::layers::pure::queue::Event;
use crate::layers::pure::redis::{Claim, Command, Process, Reply, StoreEvent};
use crate::layers::pure::wire::Wire;

/// A command on its way to Redis or back.
pub(super) struct Call {
    pub(super) daemon: u32,
    /// The life of the daemon, which owns the leases.
    pub(super) node: u32,
    pub(super) connection: u32,
    /// The start of Redis that the connection leads to.
    pub(super) redis_life: u32,
    pub(super) command: Command,
    pub(super) reply: Option<Reply>,
    pub(super) sent_at: u64,
    /// The login that waits for it.
    pub(super) login: Option<u32>,
    /// Whether anybody still waits for the answer.
    pub(super) is_awaited: bool,
    /// Whether Redis has it, or will.
    pub(super) is_under_way: bool,
}

impl Stores {
    /// Sends a command. False if there is no connection.
    pub(super) fn call(&mut self, daemon: u32, command: Command, login: Option<u32>, wire: &mut Wire) -> bool {
        let node = &mut self.nodes[daemon as usize];
        let Some(connection) = node.connection() else { return false };
        let arrives_at = node.send_at(wire);
        let is_prompt = self.redis.as_ref().is_some_and(|redis| redis.process != Process::Frozen);
        let call = Call {
            daemon,
            node: node.number,
            connection,
            redis_life: node.redis_life,
            command,
            reply: None,
            sent_at: wire.now,
            login,
            is_awaited: true,
            is_under_way: arrives_at.is_some(),
        };
        let number = self.number();
        wire.traffic.asks(wire.now, daemon, number, || call.command.to_string(), arrives_at.is_none());
        self.calls.insert(number, call);
        if let Some(at) = arrives_at {
            let event = Event::Store(StoreEvent::Asked(number));
            if is_prompt { wire.queue.send(at, event) } else { wire.queue.plan(at, event) }
        }
        wire.queue.plan(wire.now + self.deadline, Event::Store(StoreEvent::Overdue(number)));
        true
    }

    /// A call reaches Redis.
    pub(super) fn asked(&mut self, number: u32, wire: &mut Wire) {
        let (Some(redis), Some(call)) = (&mut self.redis, self.calls.get_mut(&number)) else { return };
        let node = &self.nodes[call.daemon as usize];
        match wire.network.pass(node.way, Event::Store(StoreEvent::Asked(number))) {
            Passage::Through => {}
            Passage::Lost => {
                wire.traffic.call_lost(wire.now, number);
                return self.drop_call(number);
            }
            Passage::Held => return,
        }
        if redis.process == Process::Crashed || call.redis_life != redis.life {
            wire.traffic.call_lost(wire.now, number);
            // The connection is not known there any more.
            if let Some(delay) = wire.network.delay(node.back) {
                let event = StoreEvent::Lost(call.daemon, call.connection);
                wire.queue.send(wire.now + delay, Event::Store(event));
            }
            return self.drop_call(number);
        }
        wire.traffic.call_arrived(wire.now, number);
        if redis.process == Process::Frozen {
            redis.backlog.push(number);
        } else {
            self.run(number, wire);
        }
    }

    /// Redis runs a call.
    pub(super) fn run(&mut self, number: u32, wire: &mut Wire) {
        let (Some(redis), Some(call)) = (&mut self.redis, self.calls.get_mut(&number)) else { return };
        let (reply, eviction) = redis.run(call.node, &call.command, wire.now);
        let node = &mut self.nodes[call.daemon as usize];
        let answers_at = if call.is_awaited { node.answer_at(redis.delay, wire) } else { None };
        if call.is_awaited {
            wire.traffic.says(wire.now, call.daemon, number, || reply.to_string(), answers_at.is_none());
        }
        call.reply = Some(reply);
        let is_slow = redis.delay > 0;
        match answers_at {
            Some(at) if is_slow => wire.queue.plan(at, Event::Store(StoreEvent::Answered(number))),
            Some(at) => wire.queue.send(at, Event::Store(StoreEvent::Answered(number))),
            None => self.drop_call(number),
        }
        if let Some(eviction) = eviction {
            self.publish(eviction, wire);
        }
    }

    /// Nothing comes back of a call.
    pub(super) fn drop_call(&mut self, number: u32) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.is_under_way = false;
            if !call.is_awaited {
                self.calls.remove(&number);
            }
        }
    }

    /// An answer reaches a daemon.
    pub(super) fn answered(&mut self, number: u32, wire: &mut Wire) {
        let Some(call) = self.calls.get(&number) else { return };
        let daemon = call.daemon;
        match wire.network.pass(self.nodes[daemon as usize].back, Event::Store(StoreEvent::Answered(number))) {
            Passage::Through => wire.traffic.call_arrived(wire.now, number),
            Passage::Lost => {
                wire.traffic.call_lost(wire.now, number);
                return self.drop_call(number);
            }
            Passage::Held => return,
        }
        let Some(call) = self.calls.remove(&number).filter(|call| call.is_awaited) else { return };
        let Some(reply) = call.reply else { return };
        self.nodes[daemon as usize].heard_at = wire.now;
        match (reply, call.command) {
            (Reply::Garbage, command) => {
                self.fail(daemon, call.login, command, false, wire);
                self.lose_link(daemon, wire);
            }
            (Reply::Pong, Command::Ping) => {}
            (Reply::Token(token), Command::Token(_)) => self.judge(call.login, token, wire),
            (Reply::Take { owner, deleted }, Command::Take { grant, first, claim }) => {
                self.note_returned(daemon, &first, deleted, wire.now);
                match (owner, claim) {
                    (None, _) => self.note_taken(daemon, call.login, grant, call.sent_at, wire.now),
                    (Some(_), Claim::Free) => self.note_owned(daemon, call.login, grant),
                    (Some(owner), Claim::Over(_)) => self.take_over(daemon, call.login, grant, owner, wire),
                }
            }
            (Reply::GiveBack(deleted), Command::GiveBack(grants)) => {
                self.note_returned(daemon, &grants, deleted, wire.now);
            }
            (Reply::Renew(renewals), Command::Renew(grants)) => {
                self.note_renewals(daemon, &grants, renewals, call.sent_at, wire);
            }
            (Reply::Retake(taken), Command::Retake(grants)) => {
                self.note_retaken(daemon, &grants, taken, call.sent_at, wire.now);
            }
            // Of the wrong type.
            (_, command) => self.fail(daemon, call.login, command, true, wire),
        }
        self.look_after(daemon, wire);
    }

    /// A call has waited long enough.
    pub(super) fn overdue(&mut self, number: u32, wire: &mut Wire) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| call.is_awaited) else { return };
        call.is_awaited = false;
        let (daemon, login, command) = (call.daemon, call.login, call.command.clone());
        if !call.is_under_way {
            self.calls.remove(&number);
        }
        self.fail(daemon, login, command, false, wire);
        if self.deadline == RESPONSE_NANOS {
            // The stream may be dead for ever.
            self.lose_link(daemon, wire);
        }
        self.look_after(daemon, wire);
    }

    /// Nothing that can be used came of a command. `is_certain` if it has run or never will.
    pub(super) fn fail(
        &mut self,
        daemon: u32,
        login: Option<u32>,
        command: Command,
        is_certain: bool,
        wire: &mut Wire,
    ) {
        if let Command::Take { grant, .. } = command {
            let book = &mut self.nodes[daemon as usize].book;
            book.end(grant.1);
            book.give_up(grant, is_certain, wire.now);
        }
        if let Some(login) = login {
            self.tell(login, Verdict::Unavailable);
        }
    }
}
