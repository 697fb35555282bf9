//! Everything that is shown, in words. Lines of the program's own begin with `* ` or with space, which no user's name
//! does.

use std::time::Duration;

use lobbyd_core::data::Data;
use lobbyd_core::id::UserId;
use lobbyd_core::packet::{Code, LeaveCause, RoomSummary, User};
use lobbyd_core::text::Text;
use lobbyd_net::client::{Event, Welcome};
use unicode_width::UnicodeWidthStr;

use super::command::{COMMANDS, Explanation};
use super::escape::{escape, escape_message};
use super::view::Room;

/// The most members that are named to one who enters.
const NAMED_MAX: usize = 10;

/// What happened, to `me` in `room` as it was before.
pub(super) fn event(event: &Event, room: Option<&Room>, me: Option<&User>) -> Vec<String> {
    let known = |id: UserId| room.and_then(|room| room.member(id));
    match event {
        Event::RoomNewUser { user, .. } => vec![format!("* {} came in", label(user))],
        Event::RoomLeaveUser { user, cause, owner, .. } => {
            let who = known(*user).map_or_else(|| format!("user number {user}"), label);
            let mut lines = vec![format!("* {who} {}", leave_cause(*cause))];
            if let Some(room) = room
                && room.owner != *owner
            {
                lines.push(match owner {
                    Some(owner) if me.is_some_and(|me| me.id == *owner) => "* you own the room now".to_owned(),
                    Some(owner) => match known(*owner) {
                        Some(owner) => format!("* {} owns the room now", label(owner)),
                        None => format!("* user number {owner} owns the room now"),
                    },
                    None => "* nobody owns the room now".to_owned(),
                });
            }
            lines
        }
        Event::RoomChat { user, name, text, .. } => {
            let who = known(*user).map_or_else(|| name.to_string(), label);
            vec![format!("{who}: {}", escape_message(text.as_str()))]
        }
        Event::DirectMessage { user, name, text } => {
            let who = known(*user).map_or_else(|| name.to_string(), label);
            vec![format!("{who} -> you: {}", escape_message(text.as_str()))]
        }
        Event::Kicked { room: number, by, banned, .. } => {
            let who = match by {
                Some(by) => known(*by).map_or_else(|| format!("user number {by}"), label),
                None => "the operator".to_owned(),
            };
            let ban = if *banned { ", and you may not come back" } else { "" };
            vec![format!("* {who} sent you out of room {number}{ban}")]
        }
        Event::Announce { text } => vec![format!("* announcement: {}", escape_message(text.as_str()))],
        Event::Notice { text, .. } => vec![format!("* notice: {}", escape_message(text.as_str()))],
        Event::Custom { command_type, data } => {
            let said = String::from_utf8_lossy(data.as_bytes());
            vec![format!("* {command_type} says: {}", escape_message(&said))]
        }
        Event::GoAway { after } => {
            vec![format!("* the server is going to stop: it closes this connection in {}", duration(*after))]
        }
        Event::Gap { room, .. } => vec![format!(
            "* something that happened in room {room} was not heard here; /leave and /enter {room} shows who is there"
        )],
        // What a later client library tells of is shown by a later chat.
        _ => Vec::new(),
    }
}

/// One is logged in to a server.
pub(super) fn logged_in(me: &User, welcome: &Welcome) -> String {
    let server = escape(welcome.server.as_str());
    format!("* you are logged in to {server} as {}; /rooms lists rooms, /enter NUMBER enters one, /help", label(me))
}

/// One has just entered a room.
pub(super) fn entered(room: &Room, me: Option<&User>) -> Vec<String> {
    let mut others = room.members.iter().filter(|member| me.is_none_or(|me| me.id != member.id));
    let mut names: Vec<_> = others.by_ref().take(NAMED_MAX).map(label).collect();
    match others.count() {
        0 => {}
        more => names.push(format!("{more} more (/who)")),
    }
    let number = room.number;
    vec![match &names[..] {
        [] => format!("* you are in room {number}, alone so far; what you type is said to those who come"),
        [name] => format!("* you are in room {number} with {name}; what you type is said there"),
        [before @ .., last] => {
            format!("* you are in room {number} with {} and {last}; what you type is said there", before.join(", "))
        }
    }]
}

/// The rooms, as a table.
pub(super) fn rooms(rooms: &[RoomSummary]) -> Vec<String> {
    if rooms.is_empty() {
        return vec!["* there are no rooms yet; /create TITLE makes one".to_owned()];
    }
    let row = |number: &str, members: &str, title: &str| format!("  {number:>6}  {members:>9}  {title}");
    let mut lines = vec![row("number", "members", "title")];
    lines.extend(rooms.iter().map(|room| {
        let password = if room.protected { "  (password)" } else { "" };
        let title = format!("{}{password}", escape(room.title.as_str()));
        row(&room.room.to_string(), &format!("{}/{}", room.members, room.capacity), &title)
    }));
    lines
}

/// The members of a room, as a table.
pub(super) fn members(room: &Room, me: Option<&User>) -> Vec<String> {
    let labels: Vec<_> = room.members.iter().map(label).collect();
    let width = labels.iter().map(|label| label.width()).max().unwrap_or(0);
    let rows = room.members.iter().zip(&labels).map(|(member, label)| {
        let owner = (room.owner == Some(member.id)).then_some("owner");
        let you = me.is_some_and(|me| me.id == member.id).then_some("you");
        let notes: Vec<_> = [owner, you].into_iter().flatten().collect();
        // Padded by hand: the formatter counts characters, of which some take two columns and some none.
        let padding = " ".repeat(width.saturating_sub(label.width()));
        format!("  {label}{padding}  {}", notes.join(", ")).trim_end().to_owned()
    });
    let count = match room.members.len() {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    };
    std::iter::once(format!("* room {}: {count}", room.number)).chain(rows).collect()
}

/// What an extension has answered to the command of that name.
pub(super) fn reply(name: &str, data: &Data) -> String {
    let said = String::from_utf8_lossy(data.as_bytes());
    let name = escape(name);
    if said.is_empty() { format!("* {name}: done") } else { format!("* {name}: {}", escape_message(&said)) }
}

/// Why an extension has not done the command of that name.
pub(super) fn failure(name: &str, why: Option<&Text>) -> String {
    let why =
        why.map_or_else(|| "it was not done, and nothing says why".to_owned(), |why| escape_message(why.as_str()));
    format!("{}: {why}", escape(name))
}

/// The commands, as a table.
pub(super) fn help() -> Vec<String> {
    let width = COMMANDS.iter().map(|command| command.usage.len()).max().unwrap_or(0);
    COMMANDS.iter().map(|Explanation { usage, effect }| format!("  {usage:width$}  {effect}")).collect()
}

/// Why a request was refused, and what helps.
pub(super) fn refusal(code: Code) -> String {
    const HINTS: [(Code, &str); 6] = [
        (Code::NotLoggedIn, "/login"),
        (Code::NotInLobby, "/leave"),
        (Code::RoomUnknown, "/rooms lists those there are"),
        (Code::RoomPasswordWrong, "/enter NUMBER PASSWORD"),
        (Code::CapacityInvalid, "/create TITLE CAPACITY"),
        (Code::AlreadyLoggedIn, "/logout first"),
    ];
    match HINTS.iter().find(|(hinted, _)| *hinted == code) {
        Some((_, hint)) => format!("{code}: {hint}"),
        None => code.to_string(),
    }
}

/// How long something takes, for people.
pub(super) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds < 10 {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    } else if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else if milliseconds < 120_000 {
        // Rounded up: time that is left is never said to be none.
        format!("{} s", milliseconds.div_ceil(1000))
    } else {
        format!("{} min", milliseconds / 60_000)
    }
}

/// A user's name, and the nickname beside it.
pub(super) fn label(user: &User) -> String {
    match &user.nickname {
        Some(nickname) => format!("{} ({})", user.name, escape(nickname.as_str())),
        None => user.name.to_string(),
    }
}

fn leave_cause(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Left => "left",
        LeaveCause::LoggedOut => "logged out",
        LeaveCause::Disconnected => "lost the connection",
        LeaveCause::Kicked => "was sent out",
        // A later server knows more of them.
        _ => "is gone",
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_core::id::RoomNumber;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(3);
    const NASTY: &str = "x\u{1b}[2J\u{202e}y";
    const HARMLESS: &str = "x\\u{1b}[2J\\u{202e}y";

    fn user(id: u64, name: &str, nickname: Option<&str>) -> User {
        User { id: UserId(id), name: name.parse().unwrap(), nickname: nickname.map(Text::new) }
    }

    /// Bob owns it; ann has a nickname.
    fn room() -> Room {
        let members = vec![user(1, "bob", None), user(2, "ann", Some("日本")), user(3, "christopher", None)];
        Room { number: ROOM, owner: Some(UserId(1)), members }
    }

    fn shown(happened: &Event) -> Vec<String> {
        event(happened, Some(&room()), Some(&user(3, "christopher", None)))
    }

    fn left(id: u64, cause: LeaveCause, owner: Option<u64>) -> Event {
        Event::RoomLeaveUser { room: ROOM, sequence: 1, user: UserId(id), cause, owner: owner.map(UserId) }
    }

    #[test]
    fn speakers_are_named_with_their_nicknames() {
        let say = |id, name: &str| Event::RoomChat {
            room: ROOM,
            sequence: 1,
            user: UserId(id),
            name: name.parse().unwrap(),
            text: "hello\nthere".into(),
        };
        assert_eq!(shown(&say(1, "bob")), ["bob: hello\n    there"]);
        assert_eq!(shown(&say(2, "ann")), ["ann (日本): hello\n    there"]);
        assert_eq!(shown(&say(9, "dan")), ["dan: hello\n    there"]);
        let whisper = Event::DirectMessage { user: UserId(9), name: "dan".parse().unwrap(), text: "psst".into() };
        assert_eq!(shown(&whisper), ["dan -> you: psst"]);
    }

    #[test]
    fn leaving_says_how_and_who_owns_the_room_then() {
        assert_eq!(shown(&left(2, LeaveCause::Left, Some(1))), ["* ann (日本) left"]);
        assert_eq!(shown(&left(2, LeaveCause::LoggedOut, Some(1))), ["* ann (日本) logged out"]);
        assert_eq!(shown(&left(2, LeaveCause::Kicked, Some(1))), ["* ann (日本) was sent out"]);
        let lost = "* bob lost the connection";
        assert_eq!(shown(&left(1, LeaveCause::Disconnected, Some(2))), [lost, "* ann (日本) owns the room now"]);
        assert_eq!(shown(&left(1, LeaveCause::Disconnected, Some(3))), [lost, "* you own the room now"]);
        assert_eq!(shown(&left(1, LeaveCause::Disconnected, None)), [lost, "* nobody owns the room now"]);
        assert_eq!(shown(&left(8, LeaveCause::Left, Some(1))), ["* user number 8 left"]);
    }

    #[test]
    fn kicks_say_who_did_it_and_whether_for_good() {
        let kicked = |by: Option<u64>, banned| Event::Kicked { room: ROOM, sequence: 1, by: by.map(UserId), banned };
        assert_eq!(shown(&kicked(Some(1), false)), ["* bob sent you out of room 3"]);
        assert_eq!(shown(&kicked(None, true)), ["* the operator sent you out of room 3, and you may not come back"]);
    }

    #[test]
    fn nothing_from_the_server_acts_on_the_terminal() {
        let mallory = user(1, "mallory", Some(NASTY));
        let nasty = Room { number: ROOM, owner: None, members: vec![mallory.clone()] };
        let welcome = Welcome {
            server: NASTY.into(),
            heartbeat_interval: Duration::from_secs(1),
            frame_bytes_max: 1024,
            text_bytes_max: 1024,
        };
        let summary = RoomSummary { room: ROOM, title: NASTY.into(), members: 0, capacity: 1, protected: false };
        let (id, name, text) = (mallory.id, mallory.name, Text::new(NASTY));
        let events = [
            Event::RoomNewUser { room: ROOM, sequence: 1, user: mallory.clone() },
            left(1, LeaveCause::Left, None),
            Event::RoomChat { room: ROOM, sequence: 1, user: id, name, text: text.clone() },
            Event::DirectMessage { user: id, name, text: text.clone() },
            Event::Kicked { room: ROOM, sequence: 1, by: Some(id), banned: false },
            Event::Announce { text },
        ];
        let mut shown: Vec<_> = events.iter().map(|happened| event(happened, Some(&nasty), None).concat()).collect();
        shown.push(logged_in(&mallory, &welcome));
        shown.push(entered(&nasty, None).concat());
        shown.push(members(&nasty, None).concat());
        shown.push(rooms(&[summary]).concat());
        shown.push(reply("dice", &Data::from(NASTY)));
        shown.push(failure("dice", Some(&Text::new(NASTY))));
        for line in shown {
            assert!(line.contains(HARMLESS) && !line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line:?}");
        }
    }

    #[test]
    fn rooms_are_a_table() {
        let room = |room, title: &str, members, protected| RoomSummary {
            room: RoomNumber(room),
            title: title.into(),
            members,
            capacity: 100,
            protected,
        };
        assert_eq!(
            rooms(&[room(1, "General", 3, false), room(12_345, "日本", 0, true)]),
            ["  number    members  title", "       1      3/100  General", "   12345      0/100  日本  (password)",]
        );
        assert_eq!(rooms(&[]), ["* there are no rooms yet; /create TITLE makes one"]);
    }

    #[test]
    fn members_are_a_table_that_marks_owner_and_oneself() {
        assert_eq!(
            members(&room(), Some(&user(3, "christopher", None))),
            ["* room 3: 3 members", "  bob          owner", "  ann (日本)", "  christopher  you",]
        );
    }

    #[test]
    fn entrant_is_told_who_is_there() {
        let me = user(3, "christopher", None);
        assert_eq!(
            entered(&room(), Some(&me)),
            ["* you are in room 3 with bob and ann (日本); what you type is said there"]
        );
        let alone = Room { members: vec![me.clone()], ..room() };
        assert!(entered(&alone, Some(&me))[0].starts_with("* you are in room 3, alone so far"));
        let members = (0..20).map(|id| user(id, &format!("u{id}"), None)).collect();
        let lines = entered(&Room { members, ..room() }, Some(&me));
        let expected = "u0, u1, u2, u4, u5, u6, u7, u8, u9, u10 and 9 more (/who);";
        assert!(lines[0].contains(expected), "{lines:?}");
    }

    #[test]
    fn extensions_answer_with_words_or_without() {
        assert_eq!(reply("dice", &Data::from("4 + 5 = 9")), "* dice: 4 + 5 = 9");
        assert_eq!(reply("match.ready", &Data::default()), "* match.ready: done");
        assert_eq!(failure("dice", Some(&Text::new("say how many"))), "dice: say how many");
        assert_eq!(failure("dice", None), "dice: it was not done, and nothing says why");
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        for (milliseconds, expected) in [
            (0, "0.0 ms"),
            (9, "9.0 ms"),
            (10, "10 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (19_001, "20 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn help_fits_a_narrow_terminal() {
        let lines = help();
        assert_eq!(lines.len(), COMMANDS.len());
        assert!(lines.iter().all(|line| line.len() < 80), "{lines:#?}");
        assert_eq!(lines[1], "  /enter NUMBER [PASSWORD]               enter a room");
    }

    #[test]
    fn refusals_say_what_helps() {
        assert_eq!(refusal(Code::NotInLobby), "leave the room first: /leave");
        assert_eq!(refusal(Code::RoomFull), "the room is full");
    }
}
