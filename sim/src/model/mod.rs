//! The naive model: what a daemon's engine must do, said a second time and as plainly as possible.
//!
//! It is written from DESIGN section 4 and `net/PROTOCOL.md` and shares nothing with the engine but the vocabulary:
//! lists that are searched from one end to the other, and every moment judged by looking at everybody. Beside an
//! engine it reads each step's actions, compares every one with what it expects, in order, and takes from them only
//! what chance decides: nonces, epochs and the moments of a drain. Where several deadlines have become due by one step,
//! it follows the order in which the engine takes them up.
//!
//! It can also stand in for an engine, and do what it would expect of one; then chance is its own. So a scenario can be
//! held against what a sound server does.
//!
//! It does not predict where the engine cuts a long list, only that each part fits and that a part is not cut without
//! need; nor which address or name the engine forgets when it has more to remember than it has to.

mod allowance;
mod due;
mod login;
mod operator;
mod request;
mod room;
mod services;
mod session;
mod told;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::Config;
use lobbyd_core::engine::Counts;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Input, WireFault};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, LeaveCause, PROTOCOL_VERSION, ServerPacket};
use lobbyd_core::time::Instant;

use self::allowance::{Allowance, Ledger};
use self::operator::Drain;
use self::room::Room;
use self::services::Call;
use self::session::{Online, Session, State, network};
use self::told::Told;

pub use self::told::Mismatch;

/// What happens to an engine.
#[derive(Clone, Copy, Debug)]
pub enum Stimulus<'a> {
    /// `Engine::handle_input`.
    Input(&'a Input<'a>),
    /// `Engine::handle_timeout`.
    Timeout,
}

/// What the model believes of an engine.
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    now: Instant,
    /// The living sessions, each at the place that its index says.
    sessions: Vec<Option<Session>>,
    /// In the order of their numbers.
    rooms: Vec<Room>,
    /// Every epoch that a room has had.
    epochs: BTreeSet<u64>,
    drain: Option<Drain>,
    /// What services were asked and have not answered.
    calls: Vec<Call>,
    /// How often services were asked: the last call's number.
    calls_made: u64,
    /// How many logins have been verified: the last one's number.
    logins: u64,
    connects: Ledger<IpAddr>,
    attempts_by_user: Ledger<UserName>,
    attempts_by_address: Ledger<IpAddr>,
    creations: Ledger<UserName>,
    wrong_passwords: Ledger<UserName>,
    /// Nothing is due before this moment.
    quiet_until: Instant,
}

impl Model {
    /// Beside an engine that was just made with this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let keys_max = config.remembered_max;
        let mut rooms: Vec<_> = config.fixed_rooms.iter().map(Room::fixed).collect();
        rooms.sort_by_key(|room| room.number);
        Self {
            config: config.clone(),
            now: Instant::ZERO,
            sessions: Vec::new(),
            rooms,
            epochs: BTreeSet::new(),
            drain: None,
            calls: Vec::new(),
            calls_made: 0,
            logins: 0,
            connects: Ledger::new(keys_max),
            attempts_by_user: Ledger::new(keys_max),
            attempts_by_address: Ledger::new(keys_max),
            creations: Ledger::new(keys_max),
            wrong_passwords: Ledger::new(keys_max),
            quiet_until: Instant::ZERO,
        }
    }

    /// Takes in what has happened to the engine, and compares what the engine has done about it with what it had to do.
    /// `actions` are those of this step alone.
    ///
    /// # Errors
    /// Says the first action that was expected and did not come. The model is of no use then.
    pub fn check(&mut self, now: Instant, what: Stimulus<'_>, actions: &Actions) -> Result<(), Mismatch> {
        self.follows(now, what, &mut Told::new(actions))
    }

    /// Takes in what has happened, and says what a server has to do about it. What a server is free to choose comes
    /// from `chance`. Packets to many are said once to each.
    ///
    /// # Errors
    /// When the model does not know what to do. It is of no use then.
    pub fn answer(
        &mut self,
        now: Instant,
        what: Stimulus<'_>,
        chance: &mut dyn FnMut() -> u64,
    ) -> Result<Vec<Action>, Mismatch> {
        let mut told = Told::by_model(chance);
        self.follows(now, what, &mut told)?;
        Ok(told.into_actions())
    }

    fn follows(&mut self, now: Instant, what: Stimulus<'_>, told: &mut Told<'_>) -> Result<(), Mismatch> {
        // The engine's time stands still half-way to what 64 bits can count.
        self.now = self.now.max(now).min(Instant::from_nanos(u64::MAX / 2));
        if let Stimulus::Input(Input::Stalled { gap }) = what {
            self.puts_off(*gap);
        }
        self.fires_what_is_due(told)?;
        match what {
            Stimulus::Input(input) => self.takes(input, told)?,
            Stimulus::Timeout => {}
        }
        told.ends()
    }

    /// How many there are of what an engine counts, but for its deadlines, which are its own affair (0).
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count =
            |is_counted: fn(&Session) -> bool| self.sessions().filter(|session| is_counted(session)).count() as u32;
        Counts {
            sessions: count(|_| true),
            online: count(|session| session.online().is_some()),
            logins_pending: count(Session::is_pending),
            rooms: self.rooms.len() as u32,
            members: self.rooms.iter().map(|room| room.members.len() as u32).sum(),
            deadlines: 0,
            commands_waiting: 0,
            service_calls: self.calls.len() as u32,
        }
    }

    /// Compares an engine's counts with the model's.
    ///
    /// # Errors
    /// Says both.
    pub fn check_counts(&self, counts: Counts) -> Result<(), Mismatch> {
        let expected = self.counts();
        if expected == (Counts { deadlines: 0, ..counts }) {
            return Ok(());
        }
        Err(Mismatch::new(format!("{expected:?}"), format!("{counts:?}")))
    }

    /// Whether it has been told to drain or to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether nothing is left but the rooms of the configuration, and nobody waits for a service.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
            && self.sessions().next().is_none()
            && self.rooms.iter().all(|room| room.is_fixed() && room.members.is_empty())
    }

    /// What becomes of an input, once what was due has happened.
    fn takes(&mut self, input: &Input<'_>, told: &mut Told<'_>) -> Result<(), Mismatch> {
        match input {
            Input::Connected { session, address } => self.connects(*session, *address, told),
            Input::Received { session, packet } => self.hears(*session, packet, None, told),
            Input::Stopped { session, packet, code } => self.hears(*session, packet, Some(*code), told),
            Input::Malformed { session, fault } => {
                let reason = match fault {
                    WireFault::FrameEmpty => CloseReason::FrameEmpty,
                    WireFault::FrameTooLong => CloseReason::FrameTooLong,
                    WireFault::PacketUnknown => CloseReason::PacketUnknown,
                    WireFault::PacketMalformed => CloseReason::PacketMalformed,
                };
                self.closes(*session, reason, told)
            }
            Input::Disconnected { session } => self.closes(*session, CloseReason::Disconnected, told),
            Input::OutboxFull { session } => self.closes(*session, CloseReason::SlowConsumer, told),
            Input::LoginVerdict { ticket, user, verdict } => self.judges(*ticket, *user, verdict, told),
            Input::PresenceLost { ticket } => self.loses_presence(*ticket, told),
            // Was done first.
            Input::Stalled { .. } => Ok(()),
            Input::Admin(command) => self.obeys(command, told),
            Input::ServiceReply { ticket, result } => self.hears_service(*ticket, result, told),
            // The model knows no extensions, so whatever is disabled is not there.
            Input::DisableExtension { .. } => Ok(()),
        }
    }

    fn connects(&mut self, id: SessionId, address: IpAddr, told: &mut Told<'_>) -> Result<(), Mismatch> {
        let network = network(address);
        if let Some(reason) = self.refuses_connection(network) {
            told.sends(id, ServerPacket::Closing { reason })?;
            return told.does(&Action::Close { session: id, reason });
        }
        let (welcome, index) = (self.welcome(), id.index as usize);
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        let login_by = self.now + self.config.login_grace;
        self.sessions[index] = Some(Session {
            id,
            network,
            state: State::Connected,
            heard_at: self.now,
            is_pinged: false,
            login_by: Some(login_by),
            goes: None,
            flood: Allowance::default(),
            flood_refusals: Allowance::default(),
            wrong_secrets: 0,
        });
        self.wakes_at(login_by.min(self.now + self.config.heartbeat_interval));
        told.sends(id, welcome)
    }

    fn refuses_connection(&mut self, network: IpAddr) -> Option<CloseReason> {
        if self.drain.is_some() {
            return Some(CloseReason::Draining);
        }
        if self.sessions().count() >= self.config.sessions_max as usize {
            return Some(CloseReason::ServerFull);
        }
        let neighbours = self.sessions().filter(|session| session.network == network).count();
        if neighbours >= self.config.sessions_per_address_max as usize {
            return Some(CloseReason::AddressFull);
        }
        let allowed = self.connects.uses(network, self.now, self.config.connects_per_address);
        (!allowed).then_some(CloseReason::ConnectRate)
    }

    fn welcome(&self) -> ServerPacket {
        ServerPacket::Welcome {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            server: self.config.server_name.clone(),
            heartbeat_interval_ms: u32::try_from(self.config.heartbeat_interval.as_millis()).unwrap_or(u32::MAX),
            frame_bytes_max: self.config.frame_bytes_max,
            text_bytes_max: self.config.text_bytes_max,
        }
    }

    /// The end of a session, for whatever reason; of one that is gone already nothing comes.
    fn closes(&mut self, id: SessionId, reason: CloseReason, told: &mut Told<'_>) -> Result<(), Mismatch> {
        let Some(session) = self.sessions.get_mut(id.index as usize).and_then(|slot| slot.take_if(|it| it.id == id))
        else {
            return Ok(());
        };
        if let State::Online(online) = &session.state {
            self.goes_offline(id, online, LeaveCause::Disconnected, told)?;
        }
        if reason == CloseReason::Disconnected {
            return Ok(());
        }
        told.sends(id, ServerPacket::Closing { reason })?;
        told.does(&Action::Close { session: id, reason })
    }

    /// A user is no longer online, and so in no room, and gives the presence back.
    fn goes_offline(
        &mut self,
        id: SessionId,
        online: &Online,
        cause: LeaveCause,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        if let Some(room) = online.room {
            self.leaves(id, online.user.id, room, cause, told)?;
        }
        if online.is_leased {
            told.does(&Action::ReleasePresence { ticket: online.ticket, user: online.user.name })?;
        }
        Ok(())
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().flatten()
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.index as usize)?.as_ref().filter(|session| session.id == id)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.index as usize)?.as_mut().filter(|session| session.id == id)
    }

    /// Who logged in on this session.
    fn online(&self, id: SessionId) -> Option<&Online> {
        self.session(id)?.online()
    }
}
