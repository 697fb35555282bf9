//! What `net/PROTOCOL.md` says a packet is: a second reader of packets, naive and strict, which knows nothing but the
//! tables of that page. Where it and the codec differ, nobody could write a client from the page alone.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lobbyd_core::input::WireFault;
use lobbyd_net::frame::HEADER_BYTES;

const PAGE: &str = include_str!("../../net/PROTOCOL.md");

/// What one side says: the fields of each packet, by its number.
pub(crate) struct Vocabulary {
    packets: Vec<Vec<Type>>,
}

/// How a field is encoded: "Values" in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    U32,
    U64,
    Bool,
    Bytes,
    String,
    Name,
    Nothing,
    /// One of so many numbers.
    Numbered(u32),
    Option(Box<Self>),
    List(Box<Self>),
    /// Of this, or of one of so many codes.
    Result(Box<Self>, u32),
    Composite(Vec<Self>),
}

/// The bytes are not what they should be.
#[derive(Debug)]
struct Refused;

/// What clients say.
pub(crate) fn client() -> &'static Vocabulary {
    static CLIENT: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::of("## What clients say"));
    &CLIENT
}

/// What servers say.
pub(crate) fn server() -> &'static Vocabulary {
    static SERVER: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::of("## What servers say"));
    &SERVER
}

/// A packet ends where it ends: neither one byte less nor one more is a packet, nor its first half. `frame` is the packet's
/// frame.
pub(crate) fn assert_nothing_near_is_a_packet(mut frame: Vec<u8>, is_packet: impl Fn(&[u8]) -> bool) {
    let payload = &frame[HEADER_BYTES..];
    for length in [payload.len() - 1, payload.len() / 2] {
        assert!(!is_packet(&payload[..length]), "{length} bytes of {payload:?} are a packet too");
    }
    frame.push(0);
    let longer = &frame[HEADER_BYTES..];
    assert!(!is_packet(longer), "{longer:?} is a packet too");
}

impl Vocabulary {
    fn of(heading: &str) -> Self {
        let tables = Tables::new();
        let mut packets = Vec::new();
        for part in section(heading).split("\n#### ").skip(1) {
            let number = part.split(' ').next().and_then(|number| number.parse().ok());
            assert_eq!(number, Some(packets.len()), "the page's packets are in order: {part}");
            packets.push(tables.fields(part));
        }
        assert!(!packets.is_empty(), "{heading} has no packets");
        Self { packets }
    }

    /// How many packets there are.
    #[cfg(test)]
    pub(crate) fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Whether the page says that a frame's payload is a packet.
    pub(crate) fn judge(&self, payload: &[u8]) -> Result<(), WireFault> {
        let mut rest = payload;
        let number = integer(&mut rest, u64::from(u32::MAX)).map_err(|Refused| WireFault::PacketMalformed)?;
        let fields = usize::try_from(number).ok().and_then(|number| self.packets.get(number));
        let fields = fields.ok_or(WireFault::PacketUnknown)?;
        match read_all(fields, &mut rest) {
            Ok(()) if rest.is_empty() => Ok(()),
            Ok(()) | Err(Refused) => Err(WireFault::PacketMalformed),
        }
    }
}

/// The page's tables of things that fields are made of.
struct Tables {
    codes: u32,
    reasons: u32,
    causes: u32,
    composites: BTreeMap<&'static str, &'static str>,
}

impl Tables {
    fn new() -> Self {
        let rows = |heading| {
            let rows = section(heading).lines().filter(|line| line.starts_with("| ")).count();
            u32::try_from(rows - 1).expect("a page has few rows")
        };
        let composites = section("## Composite values").split("\n**`").skip(1).map(|part| {
            let (name, table) = part.split_once('`').expect("a name ends with a backtick");
            (name, table)
        });
        Self {
            codes: rows("## Codes"),
            reasons: rows("## Close reasons"),
            causes: rows("## Leave causes"),
            composites: composites.collect(),
        }
    }

    /// The types of the fields in a part's table.
    fn fields(&self, part: &str) -> Vec<Type> {
        let rows = part.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| self.parse(row.split('|').nth(2).expect("a row has three cells").trim())).collect()
    }

    fn parse(&self, text: &str) -> Type {
        let inner = |text| Box::new(self.parse(text));
        if let Some(text) = text.strip_prefix("option of ") {
            return Type::Option(inner(text));
        }
        if let Some(text) = text.strip_prefix("list of ") {
            return Type::List(inner(text));
        }
        if let Some(text) = text.strip_prefix("result of ") {
            return Type::Result(inner(text), self.codes);
        }
        // A link's text is what counts.
        let text = text.strip_prefix('[').and_then(|text| text.split(']').next()).unwrap_or(text);
        match text.trim_matches('`') {
            "u32" => Type::U32,
            "u64" => Type::U64,
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            "name" => Type::Name,
            "nothing" => Type::Nothing,
            "code" => Type::Numbered(self.codes),
            "close reason" => Type::Numbered(self.reasons),
            "leave cause" => Type::Numbered(self.causes),
            name => {
                let table = self.composites.get(name).unwrap_or_else(|| panic!("the page does not say what {name} is"));
                Type::Composite(self.fields(table))
            }
        }
    }
}

/// The text below a heading of the second level.
fn section(heading: &str) -> &'static str {
    let part = PAGE.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("the page has no {heading:?}"));
    part.split("\n## ").next().unwrap_or_default()
}

fn read_all(types: &[Type], rest: &mut &[u8]) -> Result<(), Refused> {
    types.iter().try_for_each(|field| read(field, rest))
}

fn read(field: &Type, rest: &mut &[u8]) -> Result<(), Refused> {
    match field {
        Type::U32 => integer(rest, u64::from(u32::MAX)).map(drop),
        Type::U64 => integer(rest, u64::MAX).map(drop),
        Type::Bool => tag(rest).map(drop),
        Type::Bytes => bytes(rest).map(drop),
        Type::String => str::from_utf8(bytes(rest)?).map(drop).map_err(|_| Refused),
        Type::Name => name(bytes(rest)?),
        Type::Nothing => Ok(()),
        Type::Numbered(count) => integer(rest, u64::from(*count - 1)).map(drop),
        Type::Option(inner) => {
            if tag(rest)? {
                read(inner, rest)
            } else {
                Ok(())
            }
        }
        Type::List(inner) => (0..integer(rest, u64::MAX)?).try_for_each(|_| read(inner, rest)),
        Type::Result(inner, codes) => match tag(rest)? {
            false => read(inner, rest),
            true => read(&Type::Numbered(*codes), rest),
        },
        Type::Composite(fields) => read_all(fields, rest),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Refused> {
    let (taken, behind) = rest.split_at_checked(count).ok_or(Refused)?;
    *rest = behind;
    Ok(taken)
}

/// An integer in the fewest bytes that hold it.
fn integer(rest: &mut &[u8], max: u64) -> Result<u64, Refused> {
    let (width, least) = match take(rest, 1)? {
        [251] => (2, 251),
        [252] => (4, 1 << 16),
        [253] => (8, 1 << 32),
        [254 | 255] | [] => return Err(Refused),
        [small, ..] => return if u64::from(*small) <= max { Ok(u64::from(*small)) } else { Err(Refused) },
    };
    let value = take(rest, width)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if (least..=max).contains(&value) { Ok(value) } else { Err(Refused) }
}

fn tag(rest: &mut &[u8]) -> Result<bool, Refused> {
    match take(rest, 1)? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Refused),
    }
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    let length = integer(rest, u64::MAX)?;
    take(rest, usize::try_from(length).map_err(|_| Refused)?)
}

fn name(bytes: &[u8]) -> Result<(), Refused> {
    let is_allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(byte);
    if (1..=32).contains(&bytes.len()) && bytes.iter().all(is_allowed) { Ok(()) } else { Err(Refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_page_are_understood() {
        assert_eq!((client().packets.len(), server().packets.len()), (13, 24));
        assert_eq!(client().packets[6][3], Type::Option(Box::new(Type::Bytes)));
        let user = Type::Composite(vec![Type::U64, Type::Name, Type::Option(Box::new(Type::String))]);
        assert_eq!(server().packets[5], [Type::U32, Type::Result(Box::new(user), 36)]);
        assert_eq!(server().packets[4], [Type::Numbered(20)]);
    }

    #[test]
    fn integers_are_minimal() {
        let read = |mut bytes: &[u8], max| integer(&mut bytes, max).ok();
        assert_eq!(read(&[250], 250), Some(250));
        assert_eq!(read(&[250], 249), None);
        assert_eq!(read(&[251, 251, 0], u64::MAX), Some(251));
        assert_eq!(read(&[251, 250, 0], u64::MAX), None);
        assert_eq!(read(&[252, 0, 0, 1, 0], u64::MAX), Some(65_536));
        assert_eq!(read(&[252, 255, 255, 0, 0], u64::MAX), None);
        assert_eq!(read(&[253, 0, 0, 0, 0, 1, 0, 0, 0], u64::MAX), Some(1 << 32));
        assert_eq!(read(&[253, 0, 0, 0, 0, 1, 0, 0, 0], u64::from(u32::MAX)), None);
        assert_eq!(read(&[253, 255, 255, 255, 255, 0, 0, 0, 0], u64::MAX), None);
        assert_eq!(read(&[254], u64::MAX), None);
    }
}
