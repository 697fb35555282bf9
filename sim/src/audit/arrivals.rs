//! What each packet says, held against what is known.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, RoomChange, RoomEntered, RoomPage, ServerPacket, User};
use lobbyd_core::text::Text;

use super::connection::{Login, Phase};
use super::requests::{Asked, Kind, Request};
use super::rooms::{Change, Heard, Listing, Record, View};
use super::{Auditor, Breach, Invariant, REDIS};
use crate::marks::Mark;
use crate::scenario::Operation;

impl Auditor {
    /// A client has asked for something.
    pub(super) fn ask(&mut self, at: Duration, index: usize, operation: &Operation) {
        let asked = match operation {
            Operation::Login { user, .. } => self.asked_to_log_in(index, user),
            Operation::Logout => Asked::Logout,
            Operation::RoomList { from, limit } => Asked::RoomList { from: *from, limit: *limit },
            Operation::RoomCreate { .. } => Asked::RoomCreate,
            Operation::RoomEnter { room, .. } => {
                let entered = self.rooms.entered(self.connections[index].daemon, *room);
                Asked::RoomEnter { room: *room, entered }
            }
            Operation::RoomLeave { room } => Asked::RoomLeave { room: *room },
            Operation::RoomChat { room, text } => Asked::RoomChat { room: *room, text: text.clone(), heard_at: None },
            Operation::DirectMessage { .. } => Asked::DirectMessage,
            Operation::Kick { room, .. } => Asked::Kick { room: *room },
            Operation::Command { .. } => Asked::Command,
            Operation::Connect { .. }
            | Operation::Hello { .. }
            | Operation::Ping { .. }
            | Operation::Raw(_)
            | Operation::HalfClose
            | Operation::Close
            | Operation::Reset
            | Operation::Vanish
            | Operation::StopReading
            | Operation::ResumeReading => return,
        };
        let id = self.connections[index].requests.ask(at, asked);
        if let Operation::DirectMessage { user, text } = operation
            && let Ok(to) = UserName::parse(user.as_str().into())
        {
            self.whispers.say(index, id, to, text);
        }
    }

    fn asked_to_log_in(&mut self, index: usize, user: &str) -> Asked {
        let Ok(name) = UserName::parse(user.into()) else { return Asked::Login { name: None, has_raced: false } };
        let mut has_raced = false;
        for client in &self.clients {
            let Some(other) = client.connection else { continue };
            for request in self.connections[other].requests.waiting_mut() {
                if let Asked::Login { name: Some(known), has_raced: other_has } = &mut request.asked
                    && *known == name
                    && other != index
                {
                    (*other_has, has_raced) = (true, true);
                }
            }
        }
        let names = &mut self.connections[index].names;
        if !names.contains(&name) {
            names.push(name);
        }
        Asked::Login { name: Some(name), has_raced }
    }

    /// A packet has arrived on a connection that is not over.
    pub(super) fn packet(&mut self, at: Duration, index: usize, packet: &ServerPacket) -> Result<(), Breach> {
        let connection = &self.connections[index];
        let is_first = matches!(packet, ServerPacket::Welcome { .. });
        let is_farewell = matches!(packet, ServerPacket::Closing { .. });
        match connection.phase {
            Phase::Welcomed if is_first => {
                return self.breach(Invariant::BeginAndEnd, index, "is welcomed twice");
            }
            Phase::Dialled if !is_first && !is_farewell => {
                return self.breach(Invariant::BeginAndEnd, index, "is not welcomed first");
            }
            Phase::Farewell => return self.breach(Invariant::BeginAndEnd, index, "hears something behind `Closing`"),
            Phase::Dialled | Phase::Welcomed | Phase::Closed | Phase::Left | Phase::Lost => {}
        }
        if !connection.may_hear(packet) {
            return self.breach(Invariant::Membership, index, "hears something between the parts of a list of users");
        }
        match packet {
            ServerPacket::Welcome { .. } => self.connections[index].phase = Phase::Welcomed,
            ServerPacket::Ping { .. } => self.marks.reach(Mark::Pinged),
            ServerPacket::Pong { nonce } => self.pong(index, *nonce)?,
            ServerPacket::GoAway { .. } => self.marks.reach(Mark::GoneAway),
            ServerPacket::Closing { reason } => self.farewell(index, *reason),
            ServerPacket::LoginResponse { request, result } => self.login_response(at, index, *request, result)?,
            ServerPacket::LogoutResponse { request, result } => {
                self.answered(index, *request, Kind::Logout, result)?;
                if result.is_ok() {
                    (self.connections[index].login, self.connections[index].view) = (None, None);
                }
            }
            ServerPacket::RoomListResponse { request, result } => self.room_list(index, *request, result)?,
            ServerPacket::RoomCreateResponse { request, result } => {
                self.answered(index, *request, Kind::RoomCreate, result)?;
                if let Ok(entered) = result {
                    self.is_in(index, *entered)?;
                }
            }
            ServerPacket::RoomEnterResponse { request, result } => self.room_enter(index, *request, result)?,
            ServerPacket::RoomLeaveResponse { request, result } => self.room_leave(index, *request, result)?,
            ServerPacket::RoomChatResponse { request, result } => self.room_chat(index, *request, result)?,
            ServerPacket::DirectMessageResponse { request, result } => {
                self.direct_message(index, *request, result)?;
            }
            ServerPacket::KickResponse { request, result } => self.kick(index, *request, result)?,
            ServerPacket::RoomNewUserNotify { room, sequence, user } => self.entered(index, *room, *sequence, user)?,
            ServerPacket::RoomLeaveUserNotify { room, sequence, user, cause: _, owner } => {
                self.left(index, *room, *sequence, *user, *owner)?;
            }
            ServerPacket::RoomUserListNotify { room, epoch, sequence, owner, users, last } => {
                let users = users.0.iter().map(|user| (user.id, user.name)).collect();
                let part = Listing { room: *room, epoch: *epoch, sequence: *sequence, owner: *owner, users };
                self.listed(index, part, *last)?;
            }
            ServerPacket::RoomChatNotify { room, sequence, user, name, text } => {
                self.chatted(index, *room, *sequence, *user, *name, text)?;
            }
            ServerPacket::DirectMessageNotify { user: _, name, text } => self.whispered(index, *name, text)?,
            ServerPacket::Kicked { room, sequence, by: _, banned } => {
                self.marks.reach(if *banned { Mark::Banned } else { Mark::Kicked });
                self.went(index, *room, *sequence)?;
            }
            ServerPacket::AnnounceNotify { .. } => {
                if self.connections[index].login.is_none() {
                    return self.breach(Invariant::RoomOrder, index, "hears an announcement and is not logged in");
                }
            }
            ServerPacket::CustomResponse { request, command_type: _, result } => {
                self.answered(index, *request, Kind::Command, result)?;
            }
            ServerPacket::CustomNotify { .. } | ServerPacket::NoticeNotify { .. } => {
                if self.connections[index].login.is_none() {
                    return self.breach(Invariant::RoomOrder, index, "hears a notice and is not logged in");
                }
            }
        }
        Ok(())
    }

    fn breach<T>(&self, invariant: Invariant, index: usize, what: &str) -> Result<T, Breach> {
        Err(Breach::new(invariant, format!("{} {what}", self.name(index))))
    }

    fn pong(&mut self, index: usize, nonce: u64) -> Result<(), Breach> {
        let connection = &mut self.connections[index];
        match connection.pings.iter().position(|asked| *asked == nonce) {
            Some(place) => {
                connection.pings.remove(place);
                Ok(())
            }
            None if connection.is_wild => Ok(()),
            None => self.breach(Invariant::OneResponse, index, &format!("has a pong {nonce} for no ping")),
        }
    }

    fn farewell(&mut self, index: usize, reason: CloseReason) {
        self.marks.closed(reason);
        if reason == CloseReason::Superseded
            && let Some(login) = self.connections[index].login
        {
            let daemon = self.connections[index].daemon;
            let is_it = |other: usize| {
                let other = &self.connections[other];
                let asks =
                    |request: &Request| matches!(request.asked, Asked::Login { name, .. } if name == Some(login.name));
                other.login.is_some_and(|known| known.name == login.name) || other.requests.waiting().any(asks)
            };
            let winners: Vec<_> = self.current().filter(|other| *other != index && is_it(*other)).collect();
            if winners.iter().any(|winner| self.connections[*winner].daemon == daemon) {
                self.marks.reach(Mark::SupersededHere);
            } else if !winners.is_empty() {
                self.marks.reach(Mark::SupersededAcross);
            }
            if login.has_raced {
                self.marks.reach(Mark::NewestWinsRace);
            }
        }
        let connection = &mut self.connections[index];
        connection.phase = Phase::Farewell;
        (connection.view, connection.listing) = (None, None);
    }

    /// The request that a response answers; none if it may be one that the auditor does not know.
    fn answered<T>(
        &mut self,
        index: usize,
        id: RequestId,
        kind: Kind,
        result: &Result<T, Code>,
    ) -> Result<Option<Request>, Breach> {
        if let Err(code) = result {
            self.marks.refused(*code);
        }
        let connection = &mut self.connections[index];
        match connection.requests.answer(id, kind, result.is_ok()) {
            Ok(request) => Ok(Some(request)),
            Err(_) if connection.is_wild => Ok(None),
            Err(Breach { invariant, what }) => {
                Err(Breach { invariant, what: format!("{} at {}", what, self.name(index)) })
            }
        }
    }

    fn login_response(
        &mut self,
        at: Duration,
        index: usize,
        id: RequestId,
        result: &Result<User, Code>,
    ) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::Login, result)?;
        let asked = match request.map(|request| request.asked) {
            Some(Asked::Login { name, has_raced }) => Some((name, has_raced)),
            Some(_) | None => None,
        };
        let has_raced = asked.is_some_and(|(_, has_raced)| has_raced);
        let user = match result {
            Ok(user) => user,
            Err(Code::AlreadyOnline) if has_raced => {
                self.marks.reach(Mark::RejectRace);
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        if let Some((name, _)) = asked
            && name != Some(user.name)
        {
            return self.breach(Invariant::Texts, index, &format!("asked to be {name:?} and is {}", user.name));
        }
        let connection = &self.connections[index];
        if connection.view.is_some() || connection.login.is_some() {
            return self.breach(Invariant::OneSession, index, "is logged in twice on one connection");
        }
        if let Some(life) = connection.life {
            let same = |other: &&super::Connection| {
                other.daemon == connection.daemon
                    && other.life == Some(life)
                    && other.login.is_some_and(|login| login.id == user.id)
            };
            if let Some(other) = self.connections.iter().find(same) {
                let other = &self.clients[other.client].name;
                let what = format!("is login {}, and so is or was {other}", user.id);
                return self.breach(Invariant::OneSession, index, &what);
            }
        }
        self.notice_expired_lease(index, user.name);
        let login = Login { id: user.id, name: user.name, at, has_raced };
        self.connections[index].login = Some(login);
        Ok(())
    }

    fn notice_expired_lease(&mut self, index: usize, name: UserName) {
        if self.rules.duplicate_login == DuplicateLogin::Allow || !self.rules.shares_presence {
            return;
        }
        let daemon = self.connections[index].daemon;
        let has_expired = self.current().any(|other| {
            let other = &self.connections[other];
            other.phase == Phase::Welcomed
                && other.daemon != daemon
                && other.login.is_some_and(|login| login.name == name)
                && self.network.are_apart(&self.daemons[other.daemon].name, REDIS)
        });
        if has_expired {
            self.marks.reach(Mark::LeaseExpiredInPartition);
        }
    }

    fn room_list(&mut self, index: usize, id: RequestId, result: &Result<RoomPage, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomList, result)?;
        let (Ok(page), Some(Request { asked: Asked::RoomList { from, limit }, .. })) = (result, request) else {
            return Ok(());
        };
        let rooms = &page.rooms.0;
        let rises = rooms.windows(2).all(|pair| pair[0].room < pair[1].room);
        let is_within = rooms.first().is_none_or(|room| room.room >= from)
            && page.next.is_none_or(|next| rooms.last().is_some_and(|room| room.room < next));
        if !rises || !is_within || (limit > 0 && rooms.len() > limit as usize) {
            return self.breach(
                Invariant::OneResponse,
                index,
                "has a page of rooms that was not asked for, or not in order",
            );
        }
        match rooms.iter().find(|room| room.members > room.capacity) {
            Some(room) => self.breach(
                Invariant::Membership,
                index,
                &format!("sees room {} with more members than it holds", room.room),
            ),
            None => Ok(()),
        }
    }

    fn room_enter(&mut self, index: usize, id: RequestId, result: &Result<RoomEntered, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomEnter, result)?;
        let asked = match request.map(|request| request.asked) {
            Some(Asked::RoomEnter { room, entered }) => Some((room, entered)),
            Some(_) | None => None,
        };
        match (result, asked) {
            (Ok(entered), Some((room, _))) if entered.room != room => self.breach(
                Invariant::OneResponse,
                index,
                &format!("asks for room {room} and is in room {}", entered.room),
            ),
            (Ok(entered), _) => self.is_in(index, *entered),
            (Err(Code::RoomFull), Some((room, entered))) => {
                if self.rooms.entered(self.connections[index].daemon, room) > entered {
                    self.marks.reach(Mark::RoomFilledWhileWaiting);
                }
                Ok(())
            }
            (Err(_), _) => Ok(()),
        }
    }

    /// The list of users has said it just before.
    fn is_in(&self, index: usize, entered: RoomEntered) -> Result<(), Breach> {
        let view = self.connections[index].view.as_ref();
        let seen = view.map(|view| RoomEntered { room: view.room, epoch: view.epoch, sequence: view.sequence });
        if seen == Some(entered) {
            return Ok(());
        }
        self.breach(Invariant::Membership, index, &format!("is told {entered:?} and sees {seen:?}"))
    }

    fn room_leave(&mut self, index: usize, id: RequestId, result: &Result<RoomChange, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomLeave, result)?;
        let Ok(change) = result else { return Ok(()) };
        if let Some(Request { asked: Asked::RoomLeave { room }, .. }) = request
            && room != change.room
        {
            return self.breach(
                Invariant::OneResponse,
                index,
                &format!("leaves room {room} and is told of {}", change.room),
            );
        }
        self.went(index, change.room, change.sequence)
    }

    /// A client is no longer in its room.
    fn went(&mut self, index: usize, room: RoomNumber, sequence: u64) -> Result<(), Breach> {
        let Some(mut view) = self.connections[index].view.take().filter(|view| view.room == room) else {
            return self.breach(Invariant::Membership, index, &format!("leaves room {room}, in which it is not"));
        };
        view.advance(sequence).map_err(|breach| self.at(index, breach))?;
        let Some(login) = self.connections[index].login else {
            return self.breach(Invariant::Membership, index, "is in a room and not logged in");
        };
        self.rooms.logs[view.log]
            .changed(sequence, Change::Left(login.id), None)
            .map_err(|breach| self.at(index, breach))
    }

    fn at(&self, index: usize, breach: Breach) -> Breach {
        Breach { what: format!("{}, at {}", breach.what, self.name(index)), ..breach }
    }

    fn kick(&mut self, index: usize, id: RequestId, result: &Result<RoomChange, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::Kick, result)?;
        let Ok(change) = result else { return Ok(()) };
        if let Some(Request { asked: Asked::Kick { room }, .. }) = request
            && room != change.room
        {
            return self.breach(
                Invariant::OneResponse,
                index,
                &format!("kicks from room {room} and is told of {}", change.room),
            );
        }
        // A member has been told of the leaving just before; an administrator may be elsewhere.
        match &self.connections[index].view {
            Some(view) if view.room == change.room && view.sequence != change.sequence => {
                let what = format!("kicks by change {} and has seen {} last", change.sequence, view.sequence);
                self.breach(Invariant::RoomOrder, index, &what)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn listed(&mut self, index: usize, part: Listing, is_last: bool) -> Result<(), Breach> {
        let connection = &mut self.connections[index];
        let mut listing = match connection.listing.take() {
            None => {
                let is_due = connection.is_wild || connection.requests.asks_for_a_room();
                if connection.view.is_some() || !is_due {
                    return self.breach(Invariant::Membership, index, "has a list of users and enters no room");
                }
                part
            }
            Some(mut listing) => {
                let Listing { room, epoch, sequence, owner, users } = part;
                let is_same =
                    (listing.room, listing.epoch, listing.sequence, listing.owner) == (room, epoch, sequence, owner);
                if !is_same {
                    return self.breach(Invariant::Membership, index, "has a list of users with parts of another");
                }
                listing.users.extend(users);
                listing
            }
        };
        if !is_last {
            self.marks.reach(Mark::ListInParts);
            self.connections[index].listing = Some(listing);
            return Ok(());
        }
        let (room, sequence) = (listing.room, listing.sequence);
        let Some(login) = self.connections[index].login else {
            return self.breach(Invariant::Membership, index, "enters a room and is not logged in");
        };
        if listing.users.last() != Some(&(login.id, login.name)) {
            return self.breach(
                Invariant::Membership,
                index,
                &format!("enters room {room} and is not the last on its list"),
            );
        }
        let fixed = self.rules.fixed_rooms.iter().find(|(number, _)| *number == room);
        let capacity = fixed.map_or(self.rules.room_members_max, |(_, capacity)| *capacity);
        if listing.users.len() > capacity as usize {
            let what = format!("sees {} members in room {room}, which holds {capacity}", listing.users.len());
            return self.breach(Invariant::Membership, index, &what);
        }
        let members: Vec<_> = listing.users.iter().map(|(id, _)| *id).collect();
        listing.users.sort_unstable();
        let is_twice = |pair: &[(UserId, UserName)]| pair[0].0 == pair[1].0;
        if listing.users.windows(2).any(is_twice) {
            return self.breach(Invariant::Membership, index, &format!("sees a member of room {room} twice"));
        }
        let daemon = self.connections[index].daemon;
        let (log, is_again) = self.rooms.log(daemon, room, listing.epoch, sequence);
        if is_again {
            self.marks.reach(Mark::RoomAgain);
        }
        let view = View { log, room, epoch: listing.epoch, sequence, members, owner: listing.owner };
        let log = &mut self.rooms.logs[log];
        if log.daemon != daemon {
            return self.breach(Invariant::Membership, index, &format!("is in room {room} of another daemon"));
        }
        log.seat(login.id, index);
        let heard = log.changed(sequence, Change::Entered(login.id), Some(view.digest()));
        self.connections[index].view = Some(view);
        heard.map_err(|breach| self.at(index, breach))
    }

    /// The room that a client sees, if it is this one.
    fn view(&mut self, index: usize, room: RoomNumber) -> Result<&mut View, Breach> {
        if self.connections[index].view.as_ref().is_none_or(|view| view.room != room) {
            return self.breach(Invariant::RoomOrder, index, &format!("hears of room {room} and is not in it"));
        }
        Ok(self.connections[index].view.as_mut().expect("it is there, as was seen just now"))
    }

    fn entered(&mut self, index: usize, room: RoomNumber, sequence: u64, user: &User) -> Result<(), Breach> {
        let view = self.view(index, room)?;
        let advanced = view.advance(sequence);
        let is_twice = view.members.contains(&user.id);
        view.members.push(user.id);
        let (log, digest) = (view.log, view.digest());
        if is_twice {
            return self.breach(
                Invariant::Membership,
                index,
                &format!("hears that {} enters, who is there", user.name),
            );
        }
        let heard = self.rooms.logs[log].changed(sequence, Change::Entered(user.id), Some(digest));
        advanced.and(heard).map_err(|breach| self.at(index, breach))
    }

    fn left(
        &mut self,
        index: usize,
        room: RoomNumber,
        sequence: u64,
        user: UserId,
        owner: Option<UserId>,
    ) -> Result<(), Breach> {
        let own = self.connections[index].login.map(|login| login.id);
        let view = self.view(index, room)?;
        let advanced = view.advance(sequence);
        let Some(place) = view.members.iter().position(|member| *member == user).filter(|_| own != Some(user)) else {
            return self.breach(Invariant::Membership, index, &format!("hears that {user} leaves, who is not there"));
        };
        view.members.remove(place);
        let has_passed = view.owner == Some(user);
        // Ownership passes to the longest-standing member.
        let expected = if has_passed { view.members.first().copied() } else { view.owner };
        view.owner = owner;
        let (log, digest) = (view.log, view.digest());
        if owner != expected {
            let what = format!("is told that {owner:?} owns room {room}; expected was {expected:?}");
            return self.breach(Invariant::Membership, index, &what);
        }
        if has_passed {
            self.marks.reach(Mark::OwnershipPassed);
        }
        let heard = self.rooms.logs[log].changed(sequence, Change::Left(user), Some(digest));
        advanced.and(heard).map_err(|breach| self.at(index, breach))
    }

    fn chatted(
        &mut self,
        index: usize,
        room: RoomNumber,
        sequence: u64,
        user: UserId,
        name: UserName,
        text: &Text,
    ) -> Result<(), Breach> {
        let view = self.view(index, room)?;
        if let Err(breach) = view.advance(sequence) {
            return Err(self.at(index, breach));
        }
        let log = view.log;
        match self.rooms.logs[log].hear(sequence) {
            Heard::LongAgo => return Ok(()),
            Heard::Before(Record { change: Change::Chatted { user: known, text: said }, .. }) => {
                if *known == user && said == text {
                    return Ok(());
                }
            }
            Heard::Before(_) => {}
            Heard::Never(slot) => {
                *slot = Some(Record::chat(user, text.clone()));
                return self.is_said(index, log, sequence, (user, name), text);
            }
        }
        self.breach(
            Invariant::Texts,
            index,
            &format!("hears {text:?} as change {sequence} of room {room}, and others do not"),
        )
    }

    /// The first to hear a text makes sure that it was said, and by whom.
    fn is_said(
        &mut self,
        index: usize,
        log: usize,
        sequence: u64,
        (user, name): (UserId, UserName),
        text: &Text,
    ) -> Result<(), Breach> {
        let view = self.connections[index].view.as_ref();
        let is_member = view.is_some_and(|view| view.members.contains(&user));
        if !is_member || self.connections[index].login.is_some_and(|login| login.id == user) {
            return self.breach(
                Invariant::RoomOrder,
                index,
                &format!("hears {name}, who is not another member of its room"),
            );
        }
        let (room, daemon) = (self.rooms.logs[log].room, self.rooms.logs[log].daemon);
        if let Some(seat) = self.rooms.logs[log].seat_of(user)
            && self.takes_claim(seat, name, room, sequence, text)
        {
            return Ok(());
        }
        // Its own entering has not reached the speaker yet.
        for other in (0..self.connections.len()).rev() {
            if self.connections[other].daemon == daemon && self.takes_claim(other, name, room, sequence, text) {
                return Ok(());
            }
        }
        if self.daemons[daemon].is_wild {
            return Ok(());
        }
        self.breach(
            Invariant::Texts,
            index,
            &format!("hears {text:?} from {name}, who has not said it, or not once more"),
        )
    }

    /// Whether it was said on this connection, and was not heard as another change.
    fn takes_claim(&mut self, by: usize, name: UserName, room: RoomNumber, sequence: u64, text: &Text) -> bool {
        let connection = &mut self.connections[by];
        if !connection.names.contains(&name) {
            return false;
        }
        let said = connection.requests.waiting_mut().find_map(|request| {
            let Asked::RoomChat { room: in_room, text: said, heard_at } = &mut request.asked else { return None };
            let is_it = *in_room == room && heard_at.is_none() && said.as_slice() == text.as_str().as_bytes();
            is_it.then_some(heard_at)
        });
        said.map(|heard_at| *heard_at = Some(sequence)).is_some()
    }

    fn room_chat(&mut self, index: usize, id: RequestId, result: &Result<RoomChange, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomChat, result)?;
        let (room, text, heard_at) = match (request.map(|request| request.asked), result) {
            (Some(Asked::RoomChat { room, text, heard_at }), _) => (room, text, heard_at),
            (_, Err(_)) => return Ok(()),
            // It says what the auditor does not know.
            (_, Ok(change)) => {
                let advanced = self.view(index, change.room)?.advance(change.sequence);
                return advanced.map_err(|breach| self.at(index, breach));
            }
        };
        let change = match (result, heard_at) {
            (Err(code), Some(sequence)) => {
                let what = format!("is refused ({code:?}) what others heard as change {sequence} of room {room}");
                return self.breach(Invariant::Texts, index, &what);
            }
            (Err(_), None) => return Ok(()),
            (Ok(change), _) => *change,
        };
        if change.room != room || heard_at.is_some_and(|sequence| sequence != change.sequence) {
            let what = format!("is told {change:?} of what others heard as {heard_at:?} in room {room}");
            return self.breach(Invariant::RoomOrder, index, &what);
        }
        let own = self.connections[index].login.map(|login| login.id);
        let view = self.view(index, room)?;
        if let Err(breach) = view.advance(change.sequence) {
            return Err(self.at(index, breach));
        }
        let (log, Some(user)) = (view.log, own) else {
            return self.breach(Invariant::Membership, index, "is in a room and not logged in");
        };
        match self.rooms.logs[log].hear(change.sequence) {
            Heard::LongAgo => return Ok(()),
            Heard::Before(Record { change: Change::Chatted { user: known, text: heard }, .. }) => {
                if *known == user && heard.as_str().as_bytes() == text {
                    return Ok(());
                }
            }
            Heard::Before(_) => {}
            Heard::Never(slot) => {
                if let Ok(text) = str::from_utf8(&text) {
                    *slot = Some(Record::chat(user, Text::new(text)));
                    return Ok(());
                }
            }
        }
        let text = text.escape_ascii();
        self.breach(
            Invariant::Texts,
            index,
            &format!("said \"{text}\" as change {}, and others do not hear it", change.sequence),
        )
    }

    fn direct_message(&mut self, index: usize, id: RequestId, result: &Result<(), Code>) -> Result<(), Breach> {
        self.answered(index, id, Kind::DirectMessage, result)?;
        let Err(code) = result else { return Ok(()) };
        let is_it = |whisper: &super::whispers::Whisper| whisper.from == index && whisper.request == id;
        let Some(whisper) = self.whispers.find(is_it) else { return Ok(()) };
        whisper.is_refused = true;
        if whisper.heard_on.is_empty() {
            return Ok(());
        }
        self.breach(Invariant::Texts, index, &format!("is refused ({code:?}) a direct message that was heard"))
    }

    fn whispered(&mut self, index: usize, name: UserName, text: &Text) -> Result<(), Breach> {
        let Some(login) = self.connections[index].login else {
            return self.breach(Invariant::Texts, index, "has a direct message and is not logged in");
        };
        let (connections, daemon) = (&self.connections, self.connections[index].daemon);
        let said = self.whispers.find(|whisper| {
            let from = &connections[whisper.from];
            whisper.to == login.name
                && !whisper.is_refused
                && from.daemon == daemon
                && from.names.contains(&name)
                && whisper.text.as_slice() == text.as_str().as_bytes()
                && !whisper.heard_on.contains(&index)
        });
        if let Some(whisper) = said {
            whisper.heard_on.push(index);
            if whisper.heard_on.len() > 1 {
                self.marks.reach(Mark::DirectMessageToMany);
            }
            return Ok(());
        }
        if self.daemons[daemon].is_wild || self.whispers.have_forgotten() {
            return Ok(());
        }
        self.breach(Invariant::Texts, index, &format!("has a direct message {text:?} from {name}, who has not said it"))
    }
}
