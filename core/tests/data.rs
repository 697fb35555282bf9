//! Bytes and texts as they are stored: in formats for people readable, in others as bytes, and what is shown of them.

use bytes::Bytes;
use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{CallTicket, SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{List, Sealed, Secret};
use lobbyd_core::text::{RawText, Text};
use lobbyd_core::time::Instant;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::{Value, json};

/// A format that is not for people and knows nothing but bytes.
struct Compact(&'static [u8]);

impl<'de> Deserializer<'de> for Compact {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A format for people that has bytes of its own.
struct Readable(&'static [u8]);

impl<'de> Deserializer<'de> for Readable {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn data_for_people_is_text_where_it_is_text_and_else_digits() {
    for (data, stored) in [
        (Data::from("größe\n"), json!("größe\n")),
        (Data::new(b""), json!("")),
        (Data::new(&[0xff, 0x00, 0xa1]), json!({ "hex": "ff00a1" })),
    ] {
        assert_eq!(serde_json::to_value(&data).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Data>(stored).unwrap(), data);
    }
    assert_eq!(serde_json::from_value::<Data>(json!({ "hex": "" })).unwrap(), Data::default());
    assert_eq!(Data::deserialize(Readable(b"own")).unwrap(), "own".into());
}

#[test]
fn data_that_is_stored_wrongly_is_refused() {
    let refusal = |stored: Value| serde_json::from_value::<Data>(stored).unwrap_err().to_string();
    for digits in
        [json!({ "hex": "f" }), json!({ "hex": "zz" }), json!({ "hex": "é1" }), json!({ "hax": "ff" }), json!({})]
    {
        assert_eq!(refusal(digits), "not an even number of hexadecimal digits");
    }
    assert_eq!(refusal(json!(7)), "invalid type: integer `7`, expected bytes, a string, or {\"hex\": \"..\"}");
}

#[test]
fn bytes_are_read_where_a_format_has_them() {
    let bytes = &[0, 255, 7][..];
    assert_eq!(Data::deserialize(Compact(&[0, 255, 7])).unwrap().as_bytes(), bytes);
    assert_eq!(RawBytes::deserialize(Compact(&[0, 255, 7])).unwrap().0, bytes);
    assert_eq!(RawText::deserialize(Compact(&[0, 255, 7])).unwrap().0, bytes);
    assert!(Secret::deserialize(Compact(&[0, 255, 7])).unwrap() == Secret(bytes));
}

#[test]
fn length_of_data_is_counted_in_bytes() {
    let data = Data::from(vec![1, 2, 3]);
    assert_eq!((data.as_bytes(), data.len(), data.is_empty()), (&[1, 2, 3][..], 3, false));
    let none = Data::default();
    assert_eq!((none.len(), none.is_empty()), (0, true));
}

#[test]
fn what_is_shown_names_things_and_no_secrets() {
    assert_eq!(format!("{:?}", Secret(b"hush")), "(secret)");
    let seal = format!("{:?}", Sealed(std::array::from_fn(|place| place as u8)));
    assert_eq!(seal, "sealed:000102030405060708090a0b0c0d0e0f");
    let ticket = Ticket { session: SessionId { index: 3, generation: 4 }, serial: 5 };
    assert_eq!(format!("{ticket} {ticket:?} {}", CallTicket(6)), "3.4#5 ticket 3.4#5 6");
    assert_eq!(format!("{:?} {:?}", Data::from("hi"), Data::new(&[0xfe, 1])), "\"hi\" hex:fe01");
    assert_eq!(format!("{:?} {:?}", RawBytes::from("hi"), RawBytes(&[0xfe])), "\"hi\" hex:fe");
    assert_eq!(format!("{:?}", RawText(b"a\xffb")), "\"a\u{fffd}b\"");
}

#[test]
fn name_of_a_command_is_stored_in_its_one_spelling() {
    let name: CommandName = "dice.roll".parse().unwrap();
    assert_eq!(serde_json::to_value(name).unwrap(), json!("dice.roll"));
    assert_eq!(serde_json::from_value::<CommandName>(json!("dice.roll")).unwrap(), name);
    let refusal = |stored: Value| serde_json::from_value::<CommandName>(stored).unwrap_err().to_string();
    assert_eq!(refusal(json!("Dice")), "invalid value: string \"Dice\", expected a command's name");
    assert_eq!(refusal(json!(1)), "invalid type: integer `1`, expected a command's name");
}

#[test]
fn moment_says_its_nanoseconds() {
    assert_eq!([0, 1, 2, u64::MAX].map(|nanos| Instant::from_nanos(nanos).as_nanos()), [0, 1, 2, u64::MAX]);
}

#[test]
fn refusal_to_read_says_what_was_expected() {
    fn refusal<T: serde::de::DeserializeOwned>() -> String {
        serde_json::from_value::<T>(json!(true)).err().expect("true is none of these").to_string()
    }
    assert_eq!(refusal::<UserName>(), "invalid type: boolean `true`, expected a user name in lower case");
    assert_eq!(refusal::<Text>(), "invalid type: boolean `true`, expected a string");
    assert_eq!(refusal::<List<u32>>(), "invalid type: boolean `true`, expected a list");
}

#[test]
fn data_is_the_bytes_that_it_was_made_of() {
    for data in [Data::from(Bytes::from_static(b"a\xff")), Data::from(b"a\xff".to_vec()), Data::new(b"a\xff")] {
        assert_eq!(data.as_bytes(), b"a\xff");
    }
    assert_eq!(Data::from("text").as_bytes(), b"text");
    let bytes = Bytes::from(vec![1; 100]);
    let data = Data::from(bytes.clone());
    assert_eq!(data.as_bytes().as_ptr(), bytes.as_ptr(), "they are not copied");
}
