//! What the client knows: who one is, and the room one is in. Told of what happens, it says what to show.

use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::User;
use lobbyd_net::client::{Entered, Event};

use super::render;

/// The room that one is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Its number.
    pub(super) number: RoomNumber,
    /// Who owns it.
    pub(super) owner: Option<UserId>,
    /// Who is in it, in the order in which they came.
    pub(super) members: Vec<User>,
}

impl Room {
    /// The member with this id.
    pub(super) fn member(&self, id: UserId) -> Option<&User> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The members of this name: more than one where the server lets a user be online more than once.
    pub(super) fn named(&self, name: UserName) -> Vec<UserId> {
        self.members.iter().filter(|member| member.name == name).map(|member| member.id).collect()
    }
}

/// What the client knows.
#[derive(Debug, Default)]
pub(super) struct View {
    me: Option<User>,
    room: Option<Room>,
    entry: Option<Entry>,
}

/// An entry that was asked for. What happens behind it may be heard of before its response has been seen.
#[derive(Debug, Default)]
struct Entry {
    early: Vec<Event>,
}

impl View {
    /// Who one is, when logged in.
    pub(super) fn me(&self) -> Option<&User> {
        self.me.as_ref()
    }

    /// The room that one is in.
    pub(super) fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    /// What to show where the next line is typed.
    pub(super) fn prompt(&self) -> String {
        match (&self.me, &self.room) {
            (None, _) => "(logged out)> ".to_owned(),
            (Some(me), None) => format!("{}> ", me.name),
            (Some(me), Some(room)) => format!("{} #{}> ", me.name, room.number),
        }
    }

    /// One is logged in.
    pub(super) fn logged_in(&mut self, me: User) {
        *self = Self { me: Some(me), room: None, entry: None };
    }

    /// One is logged out, and so in no room.
    pub(super) fn logged_out(&mut self) {
        *self = Self::default();
    }

    /// One has asked to enter a room. [`View::entered`] or [`View::stayed_out`] follows.
    pub(super) fn entering(&mut self) {
        self.entry = Some(Entry::default());
    }

    /// The entry was refused.
    pub(super) fn stayed_out(&mut self) -> Vec<String> {
        // Nothing should have come early; if something has, it is shown as if nobody had waited.
        let entry = self.entry.take().unwrap_or_default();
        entry.early.into_iter().flat_map(|event| self.happened(event)).collect()
    }

    /// One is in this room.
    pub(super) fn entered(&mut self, entered: Entered) -> Vec<String> {
        let entry = self.entry.take().unwrap_or_default();
        let room = Room { number: entered.room, owner: entered.owner, members: entered.users };
        let mut lines = render::entered(&room, self.me.as_ref());
        self.room = Some(room);
        lines.extend(entry.early.into_iter().flat_map(|event| self.happened(event)));
        lines
    }

    /// One has left the room.
    pub(super) fn left(&mut self) {
        self.room = None;
    }

    /// Something happened: what to show of it.
    pub(super) fn happened(&mut self, event: Event) -> Vec<String> {
        let number = room_of(&event);
        if let Some(entry) = &mut self.entry
            && number.is_some()
            && number != self.room.as_ref().map(|room| room.number)
        {
            entry.early.push(event);
            return Vec::new();
        }
        let lines = render::event(&event, self.room.as_ref(), self.me.as_ref());
        self.apply(event);
        lines
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::RoomNewUser { room, user, .. } => {
                if let Some(room) = self.room_numbered(room) {
                    room.members.retain(|member| member.id != user.id);
                    room.members.push(user);
                }
            }
            Event::RoomLeaveUser { room, user, owner, .. } => {
                if let Some(room) = self.room_numbered(room) {
                    room.members.retain(|member| member.id != user);
                    room.owner = owner;
                }
            }
            Event::Kicked { room, .. } if self.room_numbered(room).is_some() => self.room = None,
            Event::Kicked { .. }
            | Event::RoomChat { .. }
            | Event::DirectMessage { .. }
            | Event::Announce { .. }
            | Event::Notice { .. }
            | Event::Custom { .. }
            | Event::GoAway { .. }
            | Event::Gap { .. } => {}
            // What a later client library tells of is not known here.
            _ => {}
        }
    }

    fn room_numbered(&mut self, number: RoomNumber) -> Option<&mut Room> {
        self.room.as_mut().filter(|room| room.number == number)
    }
}

/// The room in which it happened.
fn room_of(event: &Event) -> Option<RoomNumber> {
    match event {
        Event::RoomNewUser { room, .. }
        | Event::RoomLeaveUser { room, .. }
        | Event::RoomChat { room, .. }
        | Event::Kicked { room, .. }
        | Event::Gap { room, .. } => Some(*room),
        Event::Notice { room, .. } => *room,
        Event::DirectMessage { .. } | Event::Announce { .. } | Event::Custom { .. } | Event::GoAway { .. } => None,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_core::packet::LeaveCause;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(3);

    fn user(id: u64, name: &str) -> User {
        User { id: UserId(id), name: name.parse().unwrap(), nickname: None }
    }

    fn entered(users: &[(u64, &str)]) -> Entered {
        let users: Vec<_> = users.iter().map(|(id, name)| user(*id, name)).collect();
        Entered { room: ROOM, epoch: 1, sequence: 9, owner: users.first().map(|user| user.id), users }
    }

    fn came(id: u64, name: &str) -> Event {
        Event::RoomNewUser { room: ROOM, sequence: 10, user: user(id, name) }
    }

    fn left(id: u64, owner: Option<u64>) -> Event {
        let (user, owner) = (UserId(id), owner.map(UserId));
        Event::RoomLeaveUser { room: ROOM, sequence: 11, user, cause: LeaveCause::Left, owner }
    }

    fn kicked() -> Event {
        Event::Kicked { room: ROOM, sequence: 12, by: Some(UserId(1)), banned: false }
    }

    fn members(view: &View) -> Vec<&str> {
        view.room().unwrap().members.iter().map(|member| member.name.as_str()).collect()
    }

    /// Ann is in a room that bob owns.
    fn in_room() -> View {
        let mut view = View::default();
        view.logged_in(user(2, "ann"));
        view.entering();
        view.entered(entered(&[(1, "bob"), (2, "ann")]));
        view
    }

    #[test]
    fn members_come_and_go_by_id() {
        let mut view = in_room();
        assert_eq!(view.happened(came(3, "bob")), ["* bob came in"]);
        assert_eq!(members(&view), ["bob", "ann", "bob"]);
        assert_eq!(view.room().unwrap().named("bob".parse().unwrap()), [UserId(1), UserId(3)]);
        assert_eq!(view.happened(left(1, Some(2))), ["* bob left", "* you own the room now"]);
        assert_eq!(members(&view), ["ann", "bob"]);
        assert_eq!(view.room().unwrap().owner, Some(UserId(2)));
        assert_eq!(view.happened(left(3, Some(2))), ["* bob left"]);
        assert_eq!(members(&view), ["ann"]);
    }

    #[test]
    fn what_comes_behind_an_entry_waits_for_its_response() {
        let mut view = View::default();
        view.logged_in(user(2, "ann"));
        view.entering();
        assert_eq!(view.happened(came(3, "carl")), [""; 0]);
        let announced = Event::Announce { text: "hi".into() };
        assert_eq!(view.happened(announced), ["* announcement: hi"]);
        let lines = view.entered(entered(&[(1, "bob"), (2, "ann")]));
        assert_eq!(lines.last().unwrap(), "* carl came in");
        assert_eq!(members(&view), ["bob", "ann", "carl"]);
    }

    #[test]
    fn kick_and_entry_may_cross() {
        // The kick is from before the entry, which so succeeds, and a second kick comes behind it.
        let mut view = in_room();
        view.entering();
        assert_eq!(view.happened(kicked()), ["* bob sent you out of room 3"]);
        assert_eq!(view.room(), None);
        assert_eq!(view.happened(kicked()), [""; 0]);
        let lines = view.entered(entered(&[(1, "bob"), (2, "ann")]));
        assert_eq!(lines.last().unwrap(), "* bob sent you out of room 3");
        assert_eq!(view.room(), None);
    }

    #[test]
    fn refused_entry_loses_nothing() {
        let mut view = in_room();
        view.entering();
        assert_eq!(view.happened(came(3, "carl")), ["* carl came in"]);
        assert_eq!(view.stayed_out(), [""; 0]);
        assert_eq!(view.happened(left(3, Some(1))), ["* carl left"]);
    }

    #[test]
    fn prompt_says_who_and_where() {
        let mut view = View::default();
        assert_eq!(view.prompt(), "(logged out)> ");
        view.logged_in(user(2, "ann"));
        assert_eq!(view.prompt(), "ann> ");
        view.entered(entered(&[(2, "ann")]));
        assert_eq!(view.prompt(), "ann #3> ");
        view.left();
        assert_eq!(view.prompt(), "ann> ");
        view.entered(entered(&[(2, "ann")]));
        view.logged_out();
        assert_eq!(view.prompt(), "(logged out)> ");
        assert_eq!(view.room(), None);
    }
}
