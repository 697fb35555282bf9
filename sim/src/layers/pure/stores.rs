//! The stores as daemons see them: a list of accounts inside each daemon, or the Redis that all share.
//!
//! Every login gets a verdict within a deadline, whatever Redis does, and a lease that nobody may hold is given back.

mod calls;
mod connections;
mod presence;

use std::collections::{BTreeMap, VecDeque};

use lobbyd_core::action::Presence;
use lobbyd_core::id::Ticket;
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::name::UserName;

use self::calls::Call;
use super::leases::LEASE;
use super::link::{Link, PING_NANOS, RESPONSE_NANOS};

use super::queue::Event;
use super::random::Random;
use super::redis::{Claim, Command, Consequence, Eviction, Redis, StoreEvent};
use super::wire::Wire;
use super::{millis, nanos};
use crate::layers::CannotDo;
use crate::scenario::{RedisFault, Setup, Store};

/// How long a list takes to answer.
const LIST_NANOS: (u64, u64) = (millis(1), millis(5));

/// What a daemon asks about a login.
pub(super) struct Question {
    pub(super) ticket: Ticket,
    pub(super) user: UserName,
    pub(super) secret: Vec<u8>,
    pub(super) presence: Presence,
}

/// What a daemon is told.
pub(super) struct Told {
    pub(super) daemon: u32,
    pub(super) input: Input<'static>,
}

pub(super) struct Stores {
    /// What daemons are to be told now.
    pub(super) told: VecDeque<Told>,
    accounts: BTreeMap<UserName, (String, Account)>,
    /// Absent where each daemon has its list.
    redis: Option<Redis>,
    nodes: Vec<Link>,
    nodes_begun: u32,
    logins: BTreeMap<u32, Login>,
    calls: BTreeMap<u32, Call>,
    evictions: BTreeMap<u32, Eviction>,
    last_number: u32,
    /// How long an answer may take: the least of what applies.
    deadline: u64,
    list_delay: Random,
    seed: u64,
}

/// A login to be decided.
struct Login {
    daemon: u32,
    question: Question,
    /// Known before it is told where there was nobody to ask.
    verdict: Option<Verdict>,
}

impl Stores {
    pub(super) fn new(setup: &Setup, daemons: &[String], seed: u64, wire: &mut Wire) -> Self {
        let account = |account: &crate::scenario::Account| {
            let nickname = account.nickname.as_deref().map(Into::into);
            let known = Account { nickname, administrator: account.administrator };
            (account.user, (account.secret.clone(), known))
        };
        let accounts: BTreeMap<_, _> = setup.accounts.iter().map(account).collect();
        let tokens = || accounts.iter().map(|(user, (secret, _))| (*user, secret.clone())).collect();
        let redis = (setup.store == Store::Redis).then(|| Redis::new(tokens()));
        let mut stores = Self {
            told: VecDeque::new(),
            accounts,
            redis,
            nodes: Vec::new(),
            nodes_begun: 0,
            logins: BTreeMap::new(),
            calls: BTreeMap::new(),
            evictions: BTreeMap::new(),
            last_number: 0,
            deadline: RESPONSE_NANOS.min(nanos(setup.config.login_timeout)),
            list_delay: Random::derived(seed, "answers of listed accounts"),
            seed,
        };
        for (index, daemon) in (0..).zip(daemons) {
            let node = stores.begin_node();
            stores.nodes.push(Link::new(node, daemon, seed, &mut wire.network));
            if stores.redis.is_some() {
                wire.queue.plan(PING_NANOS, Event::Store(StoreEvent::Ping(index)));
            }
        }
        stores
    }

    /// A daemon asks about a login. It is told the verdict later, whatever happens.
    pub(super) fn ask(&mut self, daemon: u32, question: Question, wire: &mut Wire) {
        let number = self.number();
        let user = question.user;
        let is_empty = question.secret.is_empty();
        self.logins.insert(number, Login { daemon, question, verdict: None });
        if self.redis.is_none() {
            let delay = self.list_delay.between(LIST_NANOS.0, LIST_NANOS.1);
            wire.queue.send(wire.now + delay, Event::Store(StoreEvent::Decided(number)));
        } else if is_empty {
            self.decide_later(number, Verdict::Denied, wire);
        } else if !self.call(daemon, Command::Token(user), Some(number), wire) {
            self.decide_later(number, Verdict::Unavailable, wire);
        }
    }

    /// A daemon gives a lease back, if it has it.
    pub(super) fn release(&mut self, daemon: u32, ticket: Ticket, user: UserName, wire: &mut Wire) {
        if self.redis.is_some() {
            self.nodes[daemon as usize].book.release((user, ticket), wire.now);
            self.look_after(daemon, wire);
        }
    }

    /// How many leases a daemon has, by its own book or by Redis.
    pub(super) fn leases_of(&self, daemon: u32, now: u64) -> usize {
        let node = &self.nodes[daemon as usize];
        let owned = self.redis.as_ref().map_or(0, |redis| redis.leases_of(node.number, now));
        owned.max(node.book.len())
    }

    /// A daemon is gone: it waits for nothing and holds nothing, and knows nothing of its leases when it comes back.
    pub(super) fn forget(&mut self, daemon: u32, wire: &mut Wire) {
        self.logins.retain(|_, login| login.daemon != daemon);
        for call in self.calls.values_mut().filter(|call| call.daemon == daemon) {
            call.is_awaited = false;
        }
        let number = self.begin_node();
        self.nodes[daemon as usize].begin_anew(number, self.seed);
        if self.redis.as_ref().is_some_and(|redis| !redis.is_healthy()) {
            self.lose_link(daemon, wire);
        } else if let Some(redis) = &self.redis {
            self.nodes[daemon as usize].redis_life = redis.life;
        }
    }

    /// A daemon's process is gone, or there again.
    pub(super) fn set_running(&mut self, daemon: u32, is_running: bool) {
        self.nodes[daemon as usize].is_running = is_running;
    }

    /// Breaks or heals Redis.
    ///
    /// # Errors
    /// When there is none, or it makes no sense now.
    pub(super) fn inject(&mut self, fault: RedisFault, wire: &mut Wire) -> Result<(), CannotDo> {
        let Some(redis) = &mut self.redis else {
            return Err(CannotDo::Scenario("there is no Redis in this scenario".to_owned()));
        };
        match redis.inject(fault)? {
            Consequence::Nothing => {}
            Consequence::Reset(dropped) => {
                dropped.into_iter().for_each(|call| self.drop_call(call));
                for daemon in 0..self.nodes.len() {
                    let node = &self.nodes[daemon];
                    if let Some(connection) = node.connection()
                        && let Some(delay) = wire.network.delay(node.back)
                    {
                        let event = StoreEvent::Lost(daemon as u32, connection);
                        wire.queue.send(wire.now + delay, Event::Store(event));
                    }
                }
            }
            Consequence::Run(calls) => calls.into_iter().for_each(|call| self.run(call, wire)),
        }
        Ok(())
    }

    /// The daemon in whose process an event happens; none for Redis' own.
    pub(super) fn daemon_of(&self, event: StoreEvent) -> Option<u32> {
        match event {
            StoreEvent::Decided(login) => self.logins.get(&login).map(|login| login.daemon),
            StoreEvent::Asked(_) => None,
            StoreEvent::Answered(call) | StoreEvent::Overdue(call) => self.calls.get(&call).map(|call| call.daemon),
            StoreEvent::Lost(daemon, _)
            | StoreEvent::Dial(daemon)
            | StoreEvent::Connected(daemon)
            | StoreEvent::Ping(daemon)
            | StoreEvent::Keep(daemon) => Some(daemon),
            StoreEvent::Evicted(eviction) => {
                let owner = self.evictions.get(&eviction)?.owner;
                self.nodes.iter().position(|node| node.number == owner.node).map(|index| index as u32)
            }
        }
    }

    /// Something happens. What daemons are to be told of it is in [`Stores::told`] then.
    pub(super) fn handle(&mut self, event: StoreEvent, wire: &mut Wire) {
        match event {
            StoreEvent::Decided(login) => self.decided(login),
            StoreEvent::Asked(call) => self.asked(call, wire),
            StoreEvent::Answered(call) => self.answered(call, wire),
            StoreEvent::Overdue(call) => self.overdue(call, wire),
            StoreEvent::Lost(daemon, connection) => {
                if self.nodes[daemon as usize].connection() == Some(connection) {
                    self.lose_link(daemon, wire);
                }
            }
            StoreEvent::Dial(daemon) => self.dial(daemon, wire),
            StoreEvent::Connected(daemon) => self.connected(daemon, wire),
            StoreEvent::Ping(daemon) => self.ping(daemon, wire),
            StoreEvent::Keep(daemon) => self.keep(daemon, wire),
            StoreEvent::Evicted(eviction) => self.evicted(eviction, wire),
        }
    }

    fn begin_node(&mut self) -> u32 {
        self.nodes_begun += 1;
        self.nodes_begun
    }

    fn number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    fn decide_later(&mut self, login: u32, verdict: Verdict, wire: &mut Wire) {
        if let Some(known) = self.logins.get_mut(&login) {
            known.verdict = Some(verdict);
            wire.queue.send(wire.now, Event::Store(StoreEvent::Decided(login)));
        }
    }

    fn decided(&mut self, login: u32) {
        let Some(Login { verdict, question, .. }) = self.logins.get(&login) else { return };
        let verdict = verdict.clone().unwrap_or_else(|| {
            let known = self.accounts.get(&question.user);
            let right = known.filter(|(secret, _)| !secret.is_empty() && *secret.as_bytes() == *question.secret);
            right.map_or(Verdict::Denied, |(_, account)| Verdict::Accepted { account: account.clone(), leased: false })
        });
        self.tell(login, verdict);
    }

    fn tell(&mut self, login: u32, verdict: Verdict) {
        let Some(Login { daemon, question, .. }) = self.logins.remove(&login) else { return };
        let input = Input::LoginVerdict { ticket: question.ticket, user: question.user, verdict };
        self.told.push_back(Told { daemon, input });
    }

    /// The stored token has come.
    fn judge(&mut self, login: Option<u32>, token: Option<String>, wire: &mut Wire) {
        let Some((number, login)) = login.and_then(|number| Some((number, self.logins.get(&number)?))) else { return };
        let Question { ticket, user, ref secret, presence } = login.question;
        let daemon = login.daemon;
        let is_right = token.is_some_and(|token| !token.is_empty() && *token.as_bytes() == **secret);
        if !is_right {
            return self.tell(number, Verdict::Denied);
        }
        let claim = match presence {
            // Beside a token there is neither a nickname nor a right.
            Presence::None => {
                return self.tell(number, Verdict::Accepted { account: Account::default(), leased: false });
            }
            Presence::Take => Claim::Free,
            Presence::Replace => Claim::Over(None),
        };
        self.nodes[daemon as usize].book.begin(ticket);
        self.take(daemon, Some(number), (user, ticket), claim, wire);
    }
}

const _: () = assert!(RESPONSE_NANOS < LEASE, "an answer comes well within a lease's life");
