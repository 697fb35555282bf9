//! User names: what may be one, and that case makes no other user.

use lobbyd_core::name::{InvalidUserName, USER_NAME_MAX, UserName};
use lobbyd_core::packet::{Code, User};
use lobbyd_core::text::{RawText, Text};
use serde::de::DeserializeOwned;
use serde::de::value::BytesDeserializer;

use crate::support::packets::{login, plain_user};
use crate::support::{Server, accepted};

#[test]
fn name_is_made_of_letters_digits_and_three_signs() {
    for byte in 0..=u8::MAX {
        let is_fine = byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        for raw in [&[byte][..], &[b'a', byte], &[byte, b'a']] {
            assert_eq!(UserName::parse(RawText(raw)).is_ok(), is_fine, "{raw:?}");
        }
    }
    for name in ["ünal", "a b", "a\0", "имя", "a/b", "a:b", "a*"] {
        assert_eq!(name.parse::<UserName>(), Err(InvalidUserName), "{name:?}");
    }
}

#[test]
fn name_is_1_to_32_characters() {
    assert_eq!("".parse::<UserName>(), Err(InvalidUserName));
    let (longest, too_long) = ("n".repeat(USER_NAME_MAX), "n".repeat(USER_NAME_MAX + 1));
    assert_eq!(longest.parse::<UserName>().unwrap().as_str(), longest);
    assert_eq!(too_long.parse::<UserName>(), Err(InvalidUserName));
    assert_eq!(UserName::parse(RawText(&[b'n'; 1_000_000])), Err(InvalidUserName));
    assert_eq!(USER_NAME_MAX, 32);
}

#[test]
fn name_is_held_in_lower_case() {
    let name: UserName = "Anna_B.C-9".parse().unwrap();
    assert_eq!(name.as_str(), "anna_b.c-9");
    assert_eq!(name, "ANNA_B.C-9".parse().unwrap());
    assert_eq!((format!("{name}"), format!("{name:?}")), ("anna_b.c-9".into(), "\"anna_b.c-9\"".into()));
    assert_eq!(format!("{name:>12}|"), "  anna_b.c-9|");
}

#[test]
fn names_are_in_the_order_of_their_texts() {
    let mut texts = ["b", "a", "ab", "a-", "a.", "a_", "a0", "aa", "z", "0", "-", "_", "a-b", "aaaa", "9"];
    let mut names = texts.map(|text| text.parse::<UserName>().unwrap());
    texts.sort_unstable();
    names.sort_unstable();
    assert_eq!(names.map(|name| name.as_str().to_owned()), texts);
}

#[test]
fn stored_name_has_one_spelling() {
    let name: UserName = "anna".parse().unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"anna\"");
    assert_eq!(serde_json::from_str::<UserName>("\"anna\"").unwrap(), name);
    for refused in ["\"Anna\"", "\"\"", "\"a b\"", "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\"", "1"] {
        assert!(serde_json::from_str::<UserName>(refused).is_err(), "{refused}");
    }
}

#[test]
fn user_is_the_same_in_any_case() {
    let mut server = Server::new();
    let anna = server.user(0, "ANNA");
    let User { id, .. } = server.user_of(anna);
    assert_eq!(server.user_of(anna), plain_user(id.0, "anna"));
    let other = server.guest(1);
    server.refuses(other, login(1, "Anna"), Code::AlreadyOnline);
    server.disconnects(anna);
    server.take_events();
    server.logs_in(other, "aNNa", accepted());
}

/// A format that describes itself, and gives back as bytes what was written as such.
fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    T::deserialize(BytesDeserializer::<serde::de::value::Error>::new(bytes)).ok()
}

#[test]
fn names_and_texts_are_read_from_bytes_too() {
    let dora: UserName = "dora".parse().unwrap();
    assert_eq!(from_bytes(b"dora"), Some(dora));
    for refused in [&b"Dora"[..], b"", b"dor\xff"] {
        assert_eq!(from_bytes::<UserName>(refused), None, "{refused:?}");
    }
    assert_eq!(from_bytes("Grüße".as_bytes()), Some(Text::new("Grüße")));
    assert_eq!(from_bytes::<Text>(b"\xff"), None);
}
