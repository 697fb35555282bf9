//! What a line that a person types means.

use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Secret;

/// How many a new room holds when its creator does not say.
pub(super) const DEFAULT_CAPACITY: u32 = 100;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// A line without anything on it.
    Nothing,
    /// Say this in the room.
    Say(&'a str),
    /// List the rooms.
    Rooms,
    /// Create a room and enter it.
    Create {
        /// Its title.
        title: &'a str,
        /// How many it holds.
        capacity: u32,
        /// Whether it gets a password, which is then asked for.
        protected: bool,
    },
    /// Enter a room.
    Enter {
        /// Which.
        room: RoomNumber,
        /// Its password, if it was given on the line.
        password: Option<Secret<'a>>,
    },
    /// Leave the room.
    Leave,
    /// List who is in the room.
    Who,
    /// Say this to one user alone.
    Message {
        /// To whom.
        user: UserName,
        /// What.
        text: &'a str,
    },
    /// Send a member back to the lobby.
    Kick {
        /// Whom.
        user: UserName,
        /// Whether for as long as the room exists.
        ban: bool,
    },
    /// Ask an extension of the server for something.
    Custom {
        /// The command's name, as the extension is registered under it.
        name: &'a str,
        /// What the extension makes of it is its own affair.
        parameters: &'a str,
    },
    /// Log in again.
    Login {
        /// As whom; absent, the name is asked for.
        user: Option<UserName>,
    },
    /// Log out, and stay connected.
    Logout,
    /// Measure how long the server takes to answer.
    Ping,
    /// Explain the commands.
    Help,
    /// Leave the program.
    Quit,
}

/// Why a line is no command. Fit for a terminal if the line is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misspelled {
    /// A word that is no command.
    #[error("there is no command {0}: /help lists them, // says a text that begins with /")]
    Unknown(String),
    /// Something is missing or too much.
    #[error("that is written: {0}")]
    Usage(&'static str),
    /// Not a user's name.
    #[error("\"{0}\" is no user name: 1 to 32 characters of A-Z a-z 0-9 _ . -")]
    Name(String),
}

/// How a command is written, and what it does.
pub(super) struct Explanation {
    /// How it is written.
    pub(super) usage: &'static str,
    /// What it does.
    pub(super) effect: &'static str,
}

const CREATE: &str = "/create TITLE [CAPACITY] [--password]";
const ENTER: &str = "/enter NUMBER [PASSWORD]";
const MESSAGE: &str = "/msg USER TEXT";
const KICK: &str = "/kick USER";
const BAN: &str = "/ban USER";
const CUSTOM: &str = "/command NAME [PARAMETERS]";
const LOGIN: &str = "/login [USER]";

/// All commands, in the order in which a newcomer needs them.
pub(super) const COMMANDS: [Explanation; 15] = [
    Explanation { usage: "/rooms", effect: "list the rooms" },
    Explanation { usage: ENTER, effect: "enter a room" },
    Explanation { usage: "TEXT", effect: "say it in the room (//text says /text)" },
    Explanation { usage: "/who", effect: "list who is in the room" },
    Explanation { usage: MESSAGE, effect: "say it to that user alone" },
    Explanation { usage: "/leave", effect: "go back to the lobby" },
    Explanation { usage: CREATE, effect: "create a room, for example \"Area 51\" 8" },
    Explanation { usage: KICK, effect: "send a member back to the lobby" },
    Explanation { usage: BAN, effect: "the same, and keep that user out" },
    Explanation { usage: CUSTOM, effect: "ask an extension of the server" },
    Explanation { usage: "/ping", effect: "measure the server's response time" },
    Explanation { usage: "/logout", effect: "log out and stay connected" },
    Explanation { usage: LOGIN, effect: "log in after that" },
    Explanation { usage: "/help", effect: "this list" },
    Explanation { usage: "/quit", effect: "end; so do Ctrl-C and Ctrl-D" },
];

/// What `line` means. Its end (`\n` or `\r\n`) may be there or not.
///
/// # Errors
/// When it begins with `/` and is no command as it should be.
pub(super) fn parse(line: &str) -> Result<Command<'_>, Misspelled> {
    let line = line.trim_end();
    if line.is_empty() {
        return Ok(Command::Nothing);
    }
    if line.starts_with("//") {
        return Ok(Command::Say(&line[1..]));
    }
    if !line.starts_with('/') {
        return Ok(Command::Say(line));
    }
    let (word, rest) = split_word(line);
    let alone = |command, usage| if rest.is_empty() { Ok(command) } else { Err(Misspelled::Usage(usage)) };
    match word {
        "/rooms" => alone(Command::Rooms, "/rooms"),
        "/create" => create(rest),
        "/enter" => enter(rest),
        "/leave" => alone(Command::Leave, "/leave"),
        "/who" => alone(Command::Who, "/who"),
        "/msg" => message(rest),
        "/kick" => Ok(Command::Kick { user: only_user(rest, KICK)?, ban: false }),
        "/ban" => Ok(Command::Kick { user: only_user(rest, BAN)?, ban: true }),
        "/command" => custom(rest),
        "/login" if rest.is_empty() => Ok(Command::Login { user: None }),
        "/login" => Ok(Command::Login { user: Some(only_user(rest, LOGIN)?) }),
        "/logout" => alone(Command::Logout, "/logout"),
        "/ping" => alone(Command::Ping, "/ping"),
        "/help" => alone(Command::Help, "/help"),
        "/quit" => alone(Command::Quit, "/quit"),
        other => Err(Misspelled::Unknown(other.to_owned())),
    }
}

/// Whether `line` holds a secret and so should not be kept in a history.
pub(super) fn holds_secret(line: &str) -> bool {
    // Also when the line is refused, because the number is wrong or `/login` takes no password: it was typed.
    let (word, rest) = split_word(line.trim());
    matches!(word, "/enter" | "/login") && rest.contains(char::is_whitespace)
}

/// The first word, and what comes after the space behind it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// What comes before the last word, and the last word.
fn split_last_word(text: &str) -> (&str, &str) {
    match text.rsplit_once(char::is_whitespace) {
        Some((before, word)) => (before.trim_end(), word),
        None => ("", text),
    }
}

fn create(rest: &str) -> Result<Command<'_>, Misspelled> {
    const FLAG: &str = "--password";
    let (before, last) = split_last_word(rest);
    let (rest, protected) = if last == FLAG { (before, true) } else { (rest, false) };
    let (title, capacity) = if let Some(quoted) = rest.strip_prefix('"') {
        let (title, behind) = quoted.split_once('"').ok_or(Misspelled::Usage(CREATE))?;
        let behind = behind.trim();
        let capacity = if behind.is_empty() { Some(DEFAULT_CAPACITY) } else { behind.parse().ok() };
        (title, capacity.ok_or(Misspelled::Usage(CREATE))?)
    } else {
        let (before, last) = split_last_word(rest);
        match last.parse() {
            Ok(capacity) if !before.is_empty() => (before, capacity),
            Ok(_) | Err(_) => (rest, DEFAULT_CAPACITY),
        }
    };
    // A flag in the wrong place would make the room's title, and a room without a password.
    let flag_in_title = !rest.starts_with('"') && title.split_whitespace().any(|word| word == FLAG);
    if title.is_empty() || flag_in_title {
        return Err(Misspelled::Usage(CREATE));
    }
    Ok(Command::Create { title, capacity, protected })
}

fn enter(rest: &str) -> Result<Command<'_>, Misspelled> {
    let (number, password) = split_word(rest);
    let room = number.strip_prefix('#').unwrap_or(number).parse().map_err(|_| Misspelled::Usage(ENTER))?;
    let password = (!password.is_empty()).then_some(Secret(password.as_bytes()));
    Ok(Command::Enter { room: RoomNumber(room), password })
}

fn message(rest: &str) -> Result<Command<'_>, Misspelled> {
    let (name, text) = split_word(rest);
    if text.is_empty() {
        return Err(Misspelled::Usage(MESSAGE));
    }
    Ok(Command::Message { user: user(name)?, text })
}

fn custom(rest: &str) -> Result<Command<'_>, Misspelled> {
    let (name, parameters) = split_word(rest);
    if name.is_empty() { Err(Misspelled::Usage(CUSTOM)) } else { Ok(Command::Custom { name, parameters }) }
}

fn only_user(rest: &str, usage: &'static str) -> Result<UserName, Misspelled> {
    let (name, behind) = split_word(rest);
    if name.is_empty() || !behind.is_empty() {
        return Err(Misspelled::Usage(usage));
    }
    user(name)
}

fn user(name: &str) -> Result<UserName, Misspelled> {
    name.parse().map_err(|_| Misspelled::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_no_command_is_said() {
        assert_eq!(parse("hello there\r\n"), Ok(Command::Say("hello there")));
        assert_eq!(parse("  indented"), Ok(Command::Say("  indented")));
        assert_eq!(parse(" /rooms"), Ok(Command::Say(" /rooms")));
        assert_eq!(parse("//rooms"), Ok(Command::Say("/rooms")));
        assert_eq!(parse("///"), Ok(Command::Say("//")));
        assert_eq!(parse(" \n"), Ok(Command::Nothing));
        assert_eq!(parse(""), Ok(Command::Nothing));
    }

    #[test]
    fn commands_are_understood() {
        for (line, command) in [
            ("/rooms", Command::Rooms),
            ("/leave ", Command::Leave),
            ("/who\n", Command::Who),
            ("/msg Bob  well,  hello", Command::Message { user: name("bob"), text: "well,  hello" }),
            ("/kick bob", Command::Kick { user: name("bob"), ban: false }),
            ("/ban BOB", Command::Kick { user: name("bob"), ban: true }),
            ("/command dice", Command::Custom { name: "dice", parameters: "" }),
            ("/command dice  2d6 now", Command::Custom { name: "dice", parameters: "2d6 now" }),
            ("/login", Command::Login { user: None }),
            ("/login bob", Command::Login { user: Some(name("bob")) }),
            ("/logout", Command::Logout),
            ("/ping", Command::Ping),
            ("/help", Command::Help),
            ("/quit", Command::Quit),
            ("/enter 3", Command::Enter { room: RoomNumber(3), password: None }),
            ("/enter #3", Command::Enter { room: RoomNumber(3), password: None }),
            ("/enter 3 two words", Command::Enter { room: RoomNumber(3), password: Some(Secret(b"two words")) }),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn every_command_is_explained() {
        for Explanation { usage, .. } in COMMANDS {
            let (word, _) = split_word(usage);
            assert!(!matches!(parse(word), Err(Misspelled::Unknown(_))), "{usage}");
        }
    }

    #[test]
    fn title_may_have_spaces_and_numbers() {
        let create = |line| match parse(line) {
            Ok(Command::Create { title, capacity, protected }) => (title, capacity, protected),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(create("/create Chess"), ("Chess", DEFAULT_CAPACITY, false));
        assert_eq!(create("/create Chess club 8"), ("Chess club", 8, false));
        assert_eq!(create("/create Chess club  8 --password"), ("Chess club", 8, true));
        assert_eq!(create("/create Chess --password"), ("Chess", DEFAULT_CAPACITY, true));
        assert_eq!(create("/create 51"), ("51", DEFAULT_CAPACITY, false));
        assert_eq!(create("/create \"Area 51\""), ("Area 51", DEFAULT_CAPACITY, false));
        assert_eq!(create("/create \"Area 51\" 9"), ("Area 51", 9, false));
        assert_eq!(create("/create \" --password \" 9 --password"), (" --password ", 9, true));
    }

    #[test]
    fn misspelled_commands_say_how_they_are_written() {
        for (line, usage) in [
            ("/create", CREATE),
            ("/create --password", CREATE),
            ("/create \"", CREATE),
            ("/create \"\" 3", CREATE),
            ("/create \"a\" b", CREATE),
            ("/create Chess --password 8", CREATE),
            ("/enter", ENTER),
            ("/enter chess", ENTER),
            ("/enter -1", ENTER),
            ("/enter 4294967296", ENTER),
            ("/msg", MESSAGE),
            ("/msg bob", MESSAGE),
            ("/kick", KICK),
            ("/kick bob now", KICK),
            ("/ban", BAN),
            ("/command", CUSTOM),
            ("/rooms all", "/rooms"),
        ] {
            assert_eq!(parse(line), Err(Misspelled::Usage(usage)), "{line}");
        }
        assert_eq!(parse("/foo bar"), Err(Misspelled::Unknown("/foo".into())));
        assert_eq!(parse("/"), Err(Misspelled::Unknown("/".into())));
        assert_eq!(parse("/kick b/b"), Err(Misspelled::Name("b/b".into())));
        assert_eq!(parse("/msg b\u{1b}b text"), Err(Misspelled::Name("b\u{1b}b".into())));
    }

    #[test]
    fn secrets_are_neither_shown_nor_remembered() {
        assert!(!format!("{:?}", parse("/enter 3 hunter2")).contains("hunter2"));
        assert!(holds_secret("/enter 3 hunter2"));
        assert!(holds_secret("/enter three hunter2"));
        assert!(holds_secret("/login bob hunter2"));
        for line in ["/enter 3", "/enter 3 ", "/rooms", "enter 3 hunter2", "/msg bob hello"] {
            assert!(!holds_secret(line), "{line}");
        }
    }
}
