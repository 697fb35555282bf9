//! A digest of the engine's whole state, the same on every machine, in every build and in every run.
//!
//! It covers exactly what a snapshot stores, because it reads the state through the same `Serialize`.

use core::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

/// 64-bit FNV-1a (Fowler, Noll, Vo; RFC 9923) over the state. It tells states apart, it is no defence against
/// somebody who looks for a collision.
pub(crate) fn digest<T: Serialize>(state: &T) -> u64 {
    let mut hasher = Hasher(0xcbf2_9ce4_8422_2325);
    state.serialize(&mut hasher).expect("hashing cannot fail, and no part of the state refuses to be serialized");
    hasher.0
}

struct Hasher(u64);

impl Hasher {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn length(&mut self, length: usize) {
        self.bytes(&(length as u64).to_le_bytes());
    }
}

macro_rules! hash_numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, number: $number) -> fmt::Result {
            self.bytes(&number.to_le_bytes());
            Ok(())
        })*
    };
}

/// Kinds of values that the state has none of. One that comes to be needed is noticed by the first digest.
macro_rules! not_in_the_state {
    ($($method:ident($($argument:ty),*) -> $result:ty),*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, fmt::Error> {
            unreachable!("the state needs {}, which is not written yet", stringify!($method))
        })*
    };
}

impl Serializer for &mut Hasher {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    not_in_the_state! {
        serialize_char(char) -> (),
        serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (),
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), fmt::Error>,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), fmt::Error>
    }

    hash_numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64
    }

    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.serialize_u8(value.into())
    }

    fn serialize_str(self, value: &str) -> fmt::Result {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> fmt::Result {
        self.length(value.len());
        self.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> fmt::Result {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        self.bytes(&[1]);
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> fmt::Result {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.bytes(&index.to_le_bytes());
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, fmt::Error> {
        self.length(length.unwrap_or(0));
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, fmt::Error> {
        self.bytes(&index.to_le_bytes());
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, fmt::Error> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }
}

macro_rules! hash_parts {
    ($($kind:ident::$method:ident($($key:ident: $key_type:ty)?)),*) => {
        $(impl ser::$kind for &mut Hasher {
            type Ok = ();
            type Error = fmt::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $key_type,)? part: &T) -> fmt::Result {
                part.serialize(&mut **self)
            }

            fn end(self) -> fmt::Result {
                Ok(())
            }
        })*
    };
}

hash_parts!(
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(_name: &'static str)
);

impl ser::SerializeMap for &mut Hasher {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> fmt::Result {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        value.serialize(&mut **self)
    }

    fn end(self) -> fmt::Result {
        Ok(())
    }
}
