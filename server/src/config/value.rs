//! Values: how each type of setting is read from a source, what it allows, and how it is written in TOML.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lobbyd_core::text::{Text, check_title};
use toml::Spanned;
use toml::de::DeValue;

/// A value as a source gives it, not yet looked at.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// The text of an environment variable or a flag. Which type it means is for the setting to say.
    Plain(&'a str),
    /// A value of a TOML document, and how it is spelled there.
    Typed { value: &'a DeValue<'a>, literal: &'a str },
}

/// How much of a refused value an error shows.
const SHOWN_CHARS_MAX: usize = 80;

impl<'a> Given<'a> {
    /// A value inside `source`.
    pub(super) fn typed(value: &'a Spanned<DeValue<'a>>, source: &'a str) -> Self {
        Self::Typed { value: value.get_ref(), literal: source.get(value.span()).unwrap_or_default() }
    }

    /// The text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Typed { value, .. } => value.as_str(),
        }
    }

    /// The whole number that is not negative, if it is one.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Plain(text) => digits(&text.replace('_', "")),
            Self::Typed { value, .. } => {
                let integer = value.as_integer()?;
                u64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
        }
    }

    /// The value for people: as it was spelled, on one line, not too long, and without anything that steers a terminal.
    pub(super) fn shown(self) -> String {
        let spelled = match self {
            Self::Plain(text) => format!("{text:?}"),
            Self::Typed { literal, .. } => {
                let words: Vec<&str> = literal.split_whitespace().collect();
                words.join(" ").chars().flat_map(shown_char).collect()
            }
        };
        match spelled.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &spelled[..end]),
            None => spelled,
        }
    }
}

fn shown_char(character: char) -> Vec<char> {
    if character == '"' || character == '\'' || character == '\\' {
        return vec![character];
    }
    character.escape_debug().collect()
}

/// Why a value is refused, where there is more to say than what is allowed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) because: Option<String>,
}

impl Refusal {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { because: Some(reason.into()) }
    }
}

/// A type of setting.
pub(super) trait Value: Sized {
    /// What an entry of the table says about its bounds.
    type Allowed;

    /// The value that `given` spells.
    fn read(given: Given<'_>, allowed: &Self::Allowed) -> Result<Self, Refusal>;

    /// What is allowed, for people.
    fn allowed(allowed: &Self::Allowed) -> String;

    /// The value in TOML.
    fn literal(&self) -> String;

    /// A refused value for people. Types that may hold a secret hide it here.
    fn shown(given: Given<'_>) -> String {
        given.shown()
    }
}

impl Value for u32 {
    type Allowed = RangeInclusive<Self>;

    fn read(given: Given<'_>, allowed: &Self::Allowed) -> Result<Self, Refusal> {
        let number = given.number().and_then(|number| Self::try_from(number).ok());
        number.filter(|number| allowed.contains(number)).ok_or_default()
    }

    fn allowed(allowed: &Self::Allowed) -> String {
        format!("{} to {}", allowed.start(), allowed.end())
    }

    fn literal(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        match given {
            Given::Plain("true") => Ok(true),
            Given::Plain("false") => Ok(false),
            Given::Plain(_) => Err(Refusal::default()),
            Given::Typed { value, .. } => value.as_bool().ok_or_default(),
        }
    }

    fn allowed((): &()) -> String {
        String::from("true or false")
    }

    fn literal(&self) -> String {
        self.to_string()
    }
}

/// The units of durations, in milliseconds, the longest first.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Value for Duration {
    type Allowed = RangeInclusive<Self>;

    fn read(given: Given<'_>, allowed: &Self::Allowed) -> Result<Self, Refusal> {
        let text = given.text().ok_or_default()?;
        let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit()).ok_or_default()?);
        let (_, millis) = DURATION_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_default()?;
        let millis = digits(number).and_then(|number| number.checked_mul(millis)).ok_or_default()?;
        Some(Self::from_millis(millis)).filter(|duration| allowed.contains(duration)).ok_or_default()
    }

    fn allowed(allowed: &Self::Allowed) -> String {
        format!("{} to {} (units ms, s, m, h)", allowed.start().literal(), allowed.end().literal())
    }

    fn literal(&self) -> String {
        let millis = self.as_millis();
        if millis == 0 {
            return String::from("\"0s\"");
        }
        let fits = |(_, unit): &(&str, u64)| millis.is_multiple_of(u128::from(*unit));
        let (name, unit) = DURATION_UNITS.into_iter().find(fits).unwrap_or(("ms", 1));
        format!("\"{}{name}\"", millis / u128::from(unit))
    }
}

/// What a line of text is for, which decides how long it may be.
pub(super) enum Line {
    /// The name that `Welcome` carries.
    ServerName,
    /// What the room directory shows.
    RoomTitle,
}

impl Value for Text {
    type Allowed = Line;

    fn read(given: Given<'_>, allowed: &Line) -> Result<Self, Refusal> {
        let text = given.text().ok_or_default()?;
        let text = check_title(text.into()).map_err(|error| Refusal::because(error.to_string()))?;
        match allowed {
            Line::ServerName if text.len() > 64 => Err(Refusal::because("it is too long")),
            Line::ServerName | Line::RoomTitle => Ok(Self::new(text)),
        }
    }

    fn allowed(allowed: &Line) -> String {
        match allowed {
            Line::ServerName => String::from("text of 1 to 64 bytes on one line"),
            Line::RoomTitle => String::from("text of 1 to 64 characters on one line"),
        }
    }

    fn literal(&self) -> String {
        quoted(self.as_str())
    }
}

impl Value for PathBuf {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        given.text().filter(|text| !text.is_empty() && !text.contains('\0')).map(Self::from).ok_or_default()
    }

    fn allowed((): &()) -> String {
        String::from("a path")
    }

    fn literal(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// One address or many: where to listen.
impl Value for Vec<SocketAddr> {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        let spelled: Vec<&str> = match given {
            Given::Plain(text) => text.split(',').map(str::trim).collect(),
            Given::Typed { value: DeValue::Array(list), .. } => {
                list.iter().map(|item| item.get_ref().as_str()).collect::<Option<_>>().ok_or_default()?
            }
            Given::Typed { value, .. } => vec![value.as_str().ok_or_default()?],
        };
        let mut addresses = Self::new();
        for text in spelled {
            let address: SocketAddr =
                text.parse().map_err(|_| Refusal::because(format!("{text:?} is no such address")))?;
            // Port 0 is a different port each time.
            if address.port() != 0 && addresses.contains(&address) {
                return Err(Refusal::because(format!("{address} is given twice")));
            }
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Refusal::because("nobody could connect")) } else { Ok(addresses) }
    }

    fn allowed((): &()) -> String {
        String::from("an IP address and port such as \"127.0.0.1:7400\" or \"[::]:7400\", or a list of them")
    }

    fn literal(&self) -> String {
        let addresses: Vec<String> = self.iter().map(|address| quoted(&address.to_string())).collect();
        match addresses.as_slice() {
            [address] => address.clone(),
            addresses => format!("[{}]", addresses.join(", ")),
        }
    }
}

/// Shorthand for a refusal with nothing to add.
pub(super) trait OkOrDefault<T> {
    /// The value, or a refusal without a reason of its own.
    fn ok_or_default(self) -> Result<T, Refusal>;
}

impl<T> OkOrDefault<T> for Option<T> {
    fn ok_or_default(self) -> Result<T, Refusal> {
        self.ok_or(Refusal { because: None })
    }
}

/// The number that `text` spells in decimal digits alone: no sign, no space.
pub(super) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `text` as a TOML string on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => quoted.push(plain),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read<T: Value>(toml: &str, allowed: &T::Allowed) -> Result<T, Refusal> {
        let value = DeValue::parse(toml).unwrap();
        T::read(Given::typed(&value, toml), allowed)
    }

    fn day() -> RangeInclusive<Duration> {
        Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60)
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, millis) in [("1ms", 1), ("500ms", 500), ("20s", 20_000), ("2m", 120_000), ("24h", 86_400_000)] {
            assert_eq!(Duration::read(Given::Plain(text), &day()), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "20", "s", "-1s", "+1s", "1.5s", "20 s", " 20s", "1d", "1m30s", "0s", "25h", "99999999999999999999s"]
        {
            assert_eq!(Duration::read(Given::Plain(text), &day()), Err(Refusal::default()), "{text}");
        }
        assert_eq!(Duration::read(Given::Plain("18446744073709551615h"), &day()), Err(Refusal::default()), "overflow");
        assert_eq!(read::<Duration>("20", &day()), Err(Refusal::default()), "a number without a unit");
    }

    #[test]
    fn a_duration_is_written_in_its_longest_whole_unit() {
        for (millis, literal) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (90_000, "90s"), (60_000, "1m"), (7_200_000, "2h")]
        {
            assert_eq!(Duration::from_millis(millis).literal(), format!("\"{literal}\""));
        }
    }

    #[test]
    fn a_number_is_whole_and_within_its_bounds() {
        for (toml, number) in [("1", 1), ("10", 10), ("0x0a", 10), ("1_0", 10)] {
            assert_eq!(read::<u32>(toml, &(1..=10)), Ok(number), "{toml}");
        }
        for toml in ["0", "11", "-1", "1.0", "\"1\"", "true", "[1]", "99999999999999999999999"] {
            assert_eq!(read::<u32>(toml, &(1..=10)), Err(Refusal::default()), "{toml}");
        }
        assert_eq!(u32::read(Given::Plain("1_0"), &(1..=10)), Ok(10));
        for text in ["", "+1", " 1", "1e1", "0x1", "4294967297"] {
            assert_eq!(u32::read(Given::Plain(text), &(1..=10)), Err(Refusal::default()), "{text}");
        }
    }

    #[test]
    fn listeners_are_one_address_or_a_list() {
        let both: Vec<SocketAddr> = vec!["127.0.0.1:7400".parse().unwrap(), "[::1]:7400".parse().unwrap()];
        assert_eq!(read("\"127.0.0.1:7400\"", &()), Ok(both[..1].to_vec()));
        assert_eq!(read("[\"127.0.0.1:7400\", \"[::1]:7400\"]", &()), Ok(both.clone()));
        assert_eq!(Value::read(Given::Plain("127.0.0.1:7400, [::1]:7400"), &()), Ok(both.clone()));
        assert_eq!(read(&both.literal(), &()), Ok(both));

        let any_ports: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap(); 2];
        assert_eq!(Value::read(Given::Plain("127.0.0.1:0,127.0.0.1:0"), &()), Ok(any_ports));

        for toml in
            ["7400", "[7400]", "[]", "\"\"", "\":7400\"", "\"localhost:7400\"", "\"127.0.0.1\"", "\"127.0.0.1:70000\""]
        {
            assert!(read::<Vec<SocketAddr>>(toml, &()).is_err(), "{toml}");
        }
        let twice = Vec::<SocketAddr>::read(Given::Plain("[::]:7400,[::]:7400"), &());
        assert_eq!(twice, Err(Refusal::because("[::]:7400 is given twice")));
    }

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(read("\"Die Höhle\"", &Line::ServerName), Ok(Text::new("Die Höhle")));
        assert_eq!(read::<Text>("\"\"", &Line::ServerName), Err(Refusal::because("it is empty")));
        assert_eq!(read::<Text>("1", &Line::ServerName), Err(Refusal::default()));
        let forbidden = "it holds a control character or one that overrides the direction of writing";
        assert_eq!(read::<Text>(r#""a\nb""#, &Line::ServerName), Err(Refusal::because(forbidden)));
        // 64 characters of two bytes each: fine as a title, too long as a name.
        let long = quoted(&"ö".repeat(64));
        assert!(read::<Text>(&long, &Line::RoomTitle).is_ok());
        assert_eq!(read::<Text>(&long, &Line::ServerName), Err(Refusal::because("it is too long")));
    }

    #[test]
    fn a_refused_value_is_shown_on_one_line_and_cannot_steer_a_terminal() {
        assert_eq!(Given::Plain("a\u{1b}[31m\nb").shown(), r#""a\u{1b}[31m\nb""#);
        let toml = "[\n  1,\n  \"\u{202e}x\"\n]";
        let value = DeValue::parse(toml).unwrap();
        assert_eq!(Given::typed(&value, toml).shown(), "[ 1, \"\\u{202e}x\" ]");
        assert_eq!(Given::Plain(&"x".repeat(500)).shown().chars().count(), SHOWN_CHARS_MAX + 1);
    }

    #[test]
    fn quoted_text_reads_back() {
        for text in ["plain", "a \"b\" \\ c", "tab\tnewline\nescape\u{1b}", "ö 你好"] {
            let toml = quoted(text);
            assert_eq!(DeValue::parse(&toml).unwrap().get_ref().as_str(), Some(text));
        }
    }
}
