//! By what a violation is known again when its scenario is made smaller.

use super::outcome::{Kind, Violation};

/// What two violations have in common that show the same fault, wherever in a scenario they come up.
///
/// Of an expectation: what was expected and at whom, by the names of its packets; what arrived instead, by its name and
/// its code; and the field that differed, or all fields if nothing came. So a smaller scenario does not pass for the same
/// one because it fails for another reason. Of everything else: the words, without texts in quotes and without numbers.
/// Values (texts, numbers, durations) take no part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    kind: Kind,
    expected: String,
    arrived: String,
}

impl Violation {
    /// By what this violation is known again.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let (expected, arrived) = if self.kind == Kind::Expectation {
            let arrived = arrived_names(&self.arrived);
            // Where nothing came, no field can have differed: all of them say what is missing.
            let is_missing = arrived.starts_with("nothing ");
            let expected = if is_missing {
                without_numbers(&without_quoted(&self.expected))
            } else {
                expected_names(&self.expected)
            };
            (expected, arrived)
        } else {
            let words = |text: &str| without_numbers(&without_quoted(text));
            (words(&self.expected), words(&self.arrived))
        };
        Signature { kind: self.kind, expected, arrived }
    }
}

/// `RoomChatNotify text="hi" at bob` is `RoomChatNotify at bob`.
fn expected_names(expected: &str) -> String {
    words(&without_quoted(expected), |word| !word.contains('='))
}

/// `LoginResponse refused=LoginDenied request=1 (request is 1, expected was 2)` is
/// `LoginResponse refused=LoginDenied (request)`.
fn arrived_names(arrived: &str) -> String {
    let arrived = without_quoted(arrived);
    let (packet, why) = arrived.split_once(" (").unwrap_or((&arrived, ""));
    let is_code = |word: &str| ["refused=", "reason=", "cause="].iter().any(|code| word.starts_with(code));
    let packet = words(packet, |word| !word.contains('=') || is_code(word));
    // What is expected follows, with its value.
    let why = why.split(", expected was ").next().unwrap_or_default().trim_end_matches(')');
    let field = why.split(" is ").next().unwrap_or_default();
    without_numbers(&if field.is_empty() { packet } else { format!("{packet} ({field})") })
}

fn words(text: &str, is_kept: impl Fn(&str) -> bool) -> String {
    text.split(' ').filter(|word| is_kept(word)).collect::<Vec<_>>().join(" ")
}

/// Without what stands in quotes, quotes included; a quote that does not end goes on to the end.
fn without_quoted(text: &str) -> String {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        let was_quoted = is_quoted;
        match *character {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && *character == '\\' && !is_escaped;
        !was_quoted && *character != '"'
    };
    text.chars().filter(is_kept).collect()
}

/// Every run of letters and digits that has a digit is `#`, decimals with it: numbers with their units, hexadecimal ones
/// too.
fn without_numbers(text: &str) -> String {
    let mut shown = String::new();
    let mut run = String::new();
    for character in text.chars().map(Some).chain([None]) {
        match character {
            Some(character) if character.is_ascii_alphanumeric() => run.push(character),
            _ => {
                shown.push_str(if run.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { &run });
                run.clear();
                shown.extend(character);
            }
        }
    }
    shown.replace("#.#", "#")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn signature(kind: Kind, expected: &str, arrived: &str) -> Signature {
        let (expected, arrived) = (expected.to_owned(), arrived.to_owned());
        Violation { kind, line: 3, step: 2, expected, arrived, trace: Vec::new(), at: Duration::ZERO }.signature()
    }

    fn expectation(expected: &str, arrived: &str) -> Signature {
        signature(Kind::Expectation, expected, arrived)
    }

    #[test]
    fn values_take_no_part() {
        let one = expectation(
            r#"RoomChatNotify text="a \" (b" sequence=3 at bob"#,
            r#"RoomChatNotify name=x room=1 text="(c) d\\" (text is "c is e", expected was "a")"#,
        );
        let other = expectation(
            "RoomChatNotify text=\"\" at bob",
            r#"RoomChatNotify name=yy room=222 text="" (text is "", expected was "f")"#,
        );
        assert_eq!(one, other);
        assert_eq!((one.expected.as_str(), one.arrived.as_str()), ("RoomChatNotify at bob", "RoomChatNotify (text)"));
        let late = |within| expectation("any of Ping | GoAway after_ms=3 at bob", within);
        assert_eq!(late("nothing within 5s"), late("nothing within 3.25ms"));
    }

    #[test]
    fn another_packet_code_field_or_client_is_another_fault() {
        let known = expectation("LoginResponse name=bob at b", "LoginResponse refused=LoginDenied request=1");
        assert_eq!(known.arrived, "LoginResponse refused=LoginDenied");
        for (expected, arrived) in [
            ("Pong at b", "LoginResponse refused=LoginDenied request=1"),
            ("LoginResponse name=bob at c", "LoginResponse refused=LoginDenied request=1"),
            ("LoginResponse name=bob at b", "LoginResponse refused=Draining request=1"),
            ("LoginResponse name=bob at b", "LogoutResponse refused=LoginDenied request=1"),
            ("LoginResponse name=bob at b", "nothing within 5s"),
            ("LoginResponse name=bob at b", "closed"),
        ] {
            assert_ne!(expectation(expected, arrived), known, "{expected}, {arrived}");
        }
        let missing = |expected| expectation(expected, "nothing within 5s");
        assert_eq!(missing("A text=\"x\" rooms=[1] at b"), missing("A text=\"y\" rooms=[22] at b"));
        assert_ne!(missing("A text=\"x\" rooms=[1] at b"), missing("A text=\"x\" at b"));
        let differs = |field| expectation("A at b", &format!("A x=1 y=1 ({field} is 1, expected was 2)"));
        assert_ne!(differs("x"), differs("y"));
        assert_ne!(known, signature(Kind::World, "LoginResponse at b", "LoginResponse refused=LoginDenied"));
    }

    #[test]
    fn invariants_and_panics_are_their_words_up_to_numbers() {
        let failure = |what| signature(Kind::World, "a world in order", what);
        assert_eq!(
            failure("session 7 is in room 3 twice (digest 3af0)"),
            failure("session 12 is in room 1 twice (digest 9)")
        );
        assert_ne!(failure("session 7 is in room 3 twice"), failure("session 7 is in no room"));
        let check = |expected, arrived| signature(Kind::Check, expected, arrived);
        assert_eq!(
            check("empty at a within 5s", "2 sessions, expected was 0"),
            check("empty at a within 1s", "1 sessions, expected was 0")
        );
        assert_ne!(
            check("empty at a within 5s", "2 sessions, expected was 0"),
            check("empty at a within 5s", "2 deadlines, expected was 0")
        );
    }
}
