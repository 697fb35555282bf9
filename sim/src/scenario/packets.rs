//! The packets that an expectation may name, with their fields and what those hold: learned from the packets
//! themselves, so that a slip of the pen is an error of the file and not a pattern that never matches.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{
    CloseReason, Code, CommandReply, LeaveCause, List, RoomChange, RoomEntered, RoomPage, RoomSummary, ServerPacket,
    User,
};
use lobbyd_core::text::Text;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::Pattern;
use super::error::did_you_mean;
use super::fields;
use super::tokens::{self, Line, Parsed, Refusal, here};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
    /// Free text, in quotes.
    Text,
    /// A user's name.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// User names.
    Names,
    /// Room numbers.
    Numbers,
}

/// A field of a packet.
#[derive(Clone, Copy, Debug)]
struct Field {
    kind: Kind,
    /// Whether it may be `none`.
    is_optional: bool,
}

/// Every packet's fields, by their names.
static PACKETS: LazyLock<BTreeMap<String, BTreeMap<String, Field>>> = LazyLock::new(learn);

/// The pattern that comes next on the line: a packet's name, and `field=value` for each field that matters.
pub(super) fn pattern(line: &mut Line<'_>) -> Parsed<Pattern> {
    let at = here(line);
    let refused = || Refusal::expected(at, "a packet such as RoomChatNotify, `any of`, `closed` or `nothing`");
    let packet = tokens::word(line, "a packet").map_err(|_| refused())?;
    let Some(fields) = PACKETS.get(packet) else {
        let names = PACKETS.keys().map(String::as_str).chain(["any", "closed", "nothing"]);
        return Err(refused().with_help(did_you_mean(packet, names)));
    };
    let mut pattern = Pattern { packet: packet.to_owned(), fields: Vec::new() };
    while !tokens::is_at_end(line) && !line.starts_with('|') {
        let at = here(line);
        let listed = || fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let name = tokens::word(line, &format!("a field of {packet}: {}", listed()))?;
        let Some(field) = fields.get(name) else {
            let help = did_you_mean(name, fields.keys().map(String::as_str));
            return Err(Refusal::expected(at, format!("a field of {packet}: {}", listed())).with_help(help));
        };
        if pattern.fields.iter().any(|(known, _)| known == name) {
            return Err(Refusal::wrong(at, format!("{name} is given twice")));
        }
        if !tokens::sign(line, "=") {
            return Err(Refusal::expected(here(line), format!("`=` and the value of {name}")));
        }
        pattern.fields.push((name.to_owned(), value(line, *field)?));
    }
    Ok(pattern)
}

/// A field's value, as [`fields::of`] writes it.
fn value(line: &mut Line<'_>, field: Field) -> Parsed<String> {
    if field.is_optional && tokens::keyword(line, "none") {
        return Ok("none".to_owned());
    }
    let or_none = |what: &str| format!("{what}{}", if field.is_optional { " or none" } else { "" });
    Ok(match field.kind {
        Kind::Number => tokens::number::<u64>(line, &or_none("a whole number"))?.to_string(),
        Kind::Truth => tokens::one_of_words(line, "a truth", &[("true", true), ("false", false)])?.to_string(),
        Kind::Text if line.starts_with('"') => serde_json::Value::from(tokens::quoted(line)?).to_string(),
        // Written as data that is no text is shown; what is text is shown as that.
        Kind::Text if line.starts_with("hex:") => {
            let bytes = tokens::text_or_bytes(line, "data")?;
            match String::from_utf8(bytes) {
                Ok(text) => serde_json::Value::from(text).to_string(),
                Err(error) => format!("hex:{}", tokens::show_hex(error.as_bytes())),
            }
        }
        Kind::Text => return Err(Refusal::expected(here(line), or_none("a text in quotes"))),
        Kind::Name => tokens::user_name(line)?.to_string(),
        Kind::Word(words) => {
            let choices: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            tokens::one_of_words(line, "one of the words", &choices)?.to_owned()
        }
        Kind::Names => {
            let at = here(line);
            let name = |name: &str| name.parse::<UserName>().map(|name| name.to_string());
            let names: Result<Vec<_>, _> = tokens::list(line)?.into_iter().map(name).collect();
            let names = names.map_err(|_| Refusal::expected(at, "a list of user names, such as [alice,bob]"))?;
            format!("[{}]", names.join(","))
        }
        Kind::Numbers => {
            let at = here(line);
            let number = |number: &str| number.parse::<u32>().map(|number| number.to_string());
            let numbers: Result<Vec<_>, _> = tokens::list(line)?.into_iter().map(number).collect();
            let numbers = numbers.map_err(|_| Refusal::expected(at, "a list of room numbers, such as [1,2]"))?;
            format!("[{}]", numbers.join(","))
        }
    })
}

/// Reads packets, fields and kinds off a sample of each packet.
fn learn() -> BTreeMap<String, BTreeMap<String, Field>> {
    let mut packets: BTreeMap<String, BTreeMap<String, Field>> = BTreeMap::new();
    let mut absent = Vec::new();
    for sample in samples() {
        let (packet, fields) = fields::of(&sample);
        let known = packets.entry(packet.clone()).or_default();
        for (name, value) in fields {
            match kind_of(&name, &value) {
                Some(kind) => {
                    known.insert(name, Field { kind, is_optional: false });
                }
                None => absent.push((packet.clone(), name)),
            }
        }
    }
    for (packet, name) in absent {
        let field = packets.get_mut(&packet).and_then(|fields| fields.get_mut(&name));
        field.expect("what is absent in one sample is there in another").is_optional = true;
    }
    packets
}

/// What a field holds whose sample is `value`; `None` for an option that is absent.
fn kind_of(name: &str, value: &str) -> Option<Kind> {
    Some(match (name, value) {
        (_, "none") => return None,
        ("refused", _) => Kind::Word(words_of::<Code>()),
        ("reason", _) => Kind::Word(words_of::<CloseReason>()),
        ("cause", _) => Kind::Word(words_of::<LeaveCause>()),
        ("users", _) => Kind::Names,
        ("rooms", _) => Kind::Numbers,
        (_, "true" | "false") => Kind::Truth,
        (_, value) if value.starts_with('"') || value.starts_with("hex:") => Kind::Text,
        (_, value) if value.starts_with(|first: char| first.is_ascii_digit()) => Kind::Number,
        (_, _) => Kind::Name,
    })
}

/// At least one of each packet; of those with a result or an option, one of each kind.
fn samples() -> Vec<ServerPacket> {
    let request = RequestId(1);
    let (room, epoch, sequence) = (RoomNumber(1), 1, 1);
    let name: UserName = "sample".parse().expect("a good name");
    let text = Text::new("sample");
    let user = |nickname| User { id: UserId(1), name, nickname };
    let page = |next| RoomPage {
        rooms: List(vec![RoomSummary { room, title: text.clone(), members: 0, capacity: 1, protected: false }]),
        next,
    };
    let entered = RoomEntered { room, epoch, sequence };
    let change = RoomChange { room, sequence };
    let code = Code::Flooding;
    let command_type: CommandName = "sample".parse().expect("a good name");
    let command = |command_type, result| ServerPacket::CustomResponse { request, command_type, result };
    let done = |data, error_message| Ok(Box::new(CommandReply { success: true, data, error_message }));
    let list = |owner| ServerPacket::RoomUserListNotify {
        room,
        epoch,
        sequence,
        owner,
        users: List(vec![user(None)]),
        last: true,
    };
    let leave =
        |owner| ServerPacket::RoomLeaveUserNotify { room, sequence, user: UserId(1), cause: LeaveCause::Left, owner };
    vec![
        ServerPacket::Welcome {
            version_min: 1,
            version_max: 1,
            server: text.clone(),
            heartbeat_interval_ms: 1,
            frame_bytes_max: 1,
            text_bytes_max: 1,
        },
        ServerPacket::Ping { nonce: 1 },
        ServerPacket::Pong { nonce: 1 },
        ServerPacket::GoAway { after_ms: 1 },
        ServerPacket::Closing { reason: CloseReason::Stopped },
        ServerPacket::LoginResponse { request, result: Ok(user(None)) },
        ServerPacket::LoginResponse { request, result: Ok(user(Some(text.clone()))) },
        ServerPacket::LoginResponse { request, result: Err(code) },
        ServerPacket::LogoutResponse { request, result: Ok(()) },
        ServerPacket::LogoutResponse { request, result: Err(code) },
        ServerPacket::RoomListResponse { request, result: Ok(page(None)) },
        ServerPacket::RoomListResponse { request, result: Ok(page(Some(room))) },
        ServerPacket::RoomListResponse { request, result: Err(code) },
        ServerPacket::RoomCreateResponse { request, result: Ok(entered) },
        ServerPacket::RoomCreateResponse { request, result: Err(code) },
        ServerPacket::RoomEnterResponse { request, result: Ok(entered) },
        ServerPacket::RoomEnterResponse { request, result: Err(code) },
        ServerPacket::RoomLeaveResponse { request, result: Ok(change) },
        ServerPacket::RoomLeaveResponse { request, result: Err(code) },
        ServerPacket::RoomChatResponse { request, result: Ok(change) },
        ServerPacket::RoomChatResponse { request, result: Err(code) },
        ServerPacket::DirectMessageResponse { request, result: Ok(()) },
        ServerPacket::DirectMessageResponse { request, result: Err(code) },
        ServerPacket::KickResponse { request, result: Ok(change) },
        ServerPacket::KickResponse { request, result: Err(code) },
        ServerPacket::RoomNewUserNotify { room, sequence, user: user(None) },
        ServerPacket::RoomNewUserNotify { room, sequence, user: user(Some(text.clone())) },
        leave(None),
        leave(Some(UserId(1))),
        list(None),
        list(Some(UserId(1))),
        ServerPacket::RoomChatNotify { room, sequence, user: UserId(1), name, text: text.clone() },
        ServerPacket::DirectMessageNotify { user: UserId(1), name, text: text.clone() },
        ServerPacket::Kicked { room, sequence, by: None, banned: false },
        ServerPacket::Kicked { room, sequence, by: Some(UserId(1)), banned: true },
        ServerPacket::AnnounceNotify { text: text.clone() },
        command(None, Err(code)),
        command(Some(command_type), done(text.as_str().into(), None)),
        command(Some(command_type), done(Data::new(&[0xff, 0]), Some(text.clone()))),
        ServerPacket::CustomNotify { command_type, data: text.as_str().into() },
        ServerPacket::CustomNotify { command_type, data: Data::new(&[0xff, 0]) },
        ServerPacket::NoticeNotify { room: None, text: text.clone() },
        ServerPacket::NoticeNotify { room: Some(room), text },
    ]
}

/// The variants of an enum, as it names them to whoever deserializes it.
pub(crate) fn words_of<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut words: &'static [&'static str] = &[];
    // Always an error: all that is wanted is what the enum asks for.
    let _ = T::deserialize(Listing { words: &mut words });
    words
}

/// A deserializer that has nothing to give and notes which variants it is asked for.
struct Listing<'w> {
    words: &'w mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Listing<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("nothing is there"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.words = variants;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (usize, Option<String>) {
        let refusal = pattern(&mut Line::new(line)).expect_err("no such pattern");
        (refusal.at, refusal.help)
    }

    #[test]
    fn every_packet_has_a_sample() {
        let mut words = words_of::<ServerPacket>().to_vec();
        words.sort_unstable();
        assert!(!words.is_empty());
        assert_eq!(PACKETS.keys().map(String::as_str).collect::<Vec<_>>(), words);
    }

    #[test]
    fn every_packet_as_traces_write_it_is_a_pattern_that_matches_it() {
        for sample in samples() {
            let line = fields::line(&sample);
            let pattern = pattern(&mut Line::new(&line)).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"));
            assert_eq!(pattern.matches(&sample), Ok(()), "{line}");
        }
    }

    #[test]
    fn slips_in_names_are_refused_with_what_was_meant() {
        assert_eq!(refusal("RoomChatNotfy"), (0, Some("did you mean `RoomChatNotify`?".to_owned())));
        assert_eq!(refusal("Pong nonse=1"), (5, Some("did you mean `nonce`?".to_owned())));
        assert_eq!(refusal("LoginResponse refused=LoginDenid"), (22, Some("did you mean `LoginDenied`?".to_owned())));
        assert_eq!(refusal("Closing reason=Silnt"), (15, Some("did you mean `Silent`?".to_owned())));
        assert_eq!(refusal("RoomLeaveUserNotify cause=Kick"), (26, Some("did you mean `Kicked`?".to_owned())));
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        assert_eq!(refusal("Pong nonce=many").0, 11);
        assert_eq!(refusal("Pong nonce=none").0, 11);
        assert_eq!(refusal("RoomChatNotify text=hello").0, 20);
        assert_eq!(refusal("RoomUserListNotify last=maybe").0, 24);
        assert_eq!(refusal("RoomUserListNotify users=alice").0, 25);
        assert_eq!(refusal("Pong nonce=1 nonce=2").0, 13);
        assert_eq!(refusal("Pong nonce").0, 10);
    }
}
