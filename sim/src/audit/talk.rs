//! What is said: in rooms, and to one user.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{Code, RoomChange};
use lobbyd_core::text::Text;

use super::requests::{Asked, Kind};
use super::rooms::{Change, Heard, Record};
use super::whispers::Whisper;
use super::{Auditor, Breach, Invariant};
use crate::marks::Mark;

impl Auditor {
    pub(super) fn chatted(
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
    pub(super) fn is_said(
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
    pub(super) fn takes_claim(
        &mut self,
        by: usize,
        name: UserName,
        room: RoomNumber,
        sequence: u64,
        text: &Text,
    ) -> bool {
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

    /// Whether the same words were said once more on this connection, and so are what was heard as `sequence`: they
    /// were not heard yet, or in place of those that are answered now, which are change `answered`.
    fn hands_on(&mut self, index: usize, room: RoomNumber, text: &[u8], sequence: u64, answered: Option<u64>) -> bool {
        let same = self.connections[index].requests.waiting_mut().filter_map(|request| {
            let Asked::RoomChat { room: in_room, text: said, heard_at } = &mut request.asked else { return None };
            let is_free = heard_at.is_none() || *heard_at == answered;
            (*in_room == room && is_free && said == text).then_some(heard_at)
        });
        // What was heard in its place goes first.
        same.max_by_key(|heard_at| heard_at.is_some()).map(|heard_at| *heard_at = Some(sequence)).is_some()
    }

    pub(super) fn room_chat(
        &mut self,
        index: usize,
        id: RequestId,
        result: &Result<RoomChange, Code>,
    ) -> Result<(), Breach> {
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
            // What is said twice in the same words cannot be told apart until it is answered.
            (Err(_), Some(sequence)) if self.hands_on(index, room, &text, sequence, None) => return Ok(()),
            (Err(code), Some(sequence)) => {
                let what = format!("is refused ({code:?}) what others heard as change {sequence} of room {room}");
                return self.breach(Invariant::Texts, index, &what);
            }
            (Err(_), None) => return Ok(()),
            (Ok(change), _) => *change,
        };
        let heard_at = heard_at.filter(|sequence| {
            *sequence == change.sequence || !self.hands_on(index, room, &text, *sequence, Some(change.sequence))
        });
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

    pub(super) fn direct_message(
        &mut self,
        index: usize,
        id: RequestId,
        result: &Result<(), Code>,
    ) -> Result<(), Breach> {
        self.answered(index, id, Kind::DirectMessage, result)?;
        let Err(code) = result else { return Ok(()) };
        let is_it = |whisper: &Whisper| whisper.from == index && whisper.request == id;
        let Some(whisper) = self.whispers.find(is_it) else { return Ok(()) };
        whisper.is_refused = true;
        if whisper.heard_on.is_empty() {
            return Ok(());
        }
        self.breach(Invariant::Texts, index, &format!("is refused ({code:?}) a direct message that was heard"))
    }

    pub(super) fn whispered(&mut self, index: usize, name: UserName, text: &Text) -> Result<(), Breach> {
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
