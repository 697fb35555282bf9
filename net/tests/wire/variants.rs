//! The names and numbers of an enum's variants, asked of the enum itself, so that no list here can fall behind it.

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The variants' names; their places are their numbers on the wire.
pub(crate) fn names<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _: Result<T, Error> = T::deserialize(Catch(&mut names));
    assert!(!names.is_empty(), "an enum says its variants");
    names
}

/// Every value of an enum whose variants hold nothing.
pub(crate) fn all<T: Deserialize<'static>>() -> Vec<T> {
    let number = |place| u32::try_from(place).unwrap();
    let value = |place| T::deserialize(IntoDeserializer::<Error>::into_deserializer(number(place))).unwrap();
    (0..names::<T>().len()).map(value).collect()
}

/// Keeps the names that an enum asks it for.
struct Catch<'a>(&'a mut &'static [&'static str]);

impl Deserializer<'static> for Catch<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'static>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enum"))
    }

    fn deserialize_enum<V: Visitor<'static>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        Err(Error::custom("only the names are wanted"))
    }

    forward_to_deserialize_any! {
        <V: Visitor<'static>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
