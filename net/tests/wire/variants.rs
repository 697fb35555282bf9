//! The names, numbers and fields of packets, asked of the types themselves, so that no list here can fall behind them.

use serde::de::value::{Error, U32Deserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// The variants' names; their places are their numbers on the wire.
pub(crate) fn names<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut shape = Shape::default();
    let _: Result<T, Error> = T::deserialize(Probe { shape: &mut shape, variant: None });
    assert!(!shape.variants.is_empty(), "an enum says its variants");
    shape.variants
}

/// The fields' names of an enum's variant.
pub(crate) fn variant_fields<T: Deserialize<'static>>(number: u32) -> &'static [&'static str] {
    let mut shape = Shape::default();
    let _: Result<T, Error> = T::deserialize(Probe { shape: &mut shape, variant: Some(number) });
    assert!(!shape.fields.is_empty(), "a packet says its fields");
    shape.fields
}

/// The fields' names of a struct.
pub(crate) fn struct_fields<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut shape = Shape::default();
    let _: Result<T, Error> = T::deserialize(Probe { shape: &mut shape, variant: None });
    assert!(!shape.fields.is_empty(), "a struct says its fields");
    shape.fields
}

/// Every value of an enum whose variants hold nothing.
pub(crate) fn all<T: Deserialize<'static>>() -> Vec<T> {
    let number = |place| u32::try_from(place).unwrap();
    let value = |place| T::deserialize(IntoDeserializer::<Error>::into_deserializer(number(place))).unwrap();
    (0..names::<T>().len()).map(value).collect()
}

/// What a type says about itself when it is to be read.
#[derive(Default)]
struct Shape {
    variants: &'static [&'static str],
    fields: &'static [&'static str],
}

/// Listens to what a type wants, and gives it nothing but perhaps the number of a variant.
struct Probe<'a> {
    shape: &'a mut Shape,
    variant: Option<u32>,
}

fn nothing<T>() -> Result<T, Error> {
    Err(Error::custom("only the shape is wanted"))
}

impl Deserializer<'static> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'static>>(self, _: V) -> Result<V::Value, Error> {
        nothing()
    }

    fn deserialize_enum<V: Visitor<'static>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.shape.variants = variants;
        visitor.visit_enum(self)
    }

    fn deserialize_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.shape.fields = fields;
        nothing()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'static>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl EnumAccess<'static> for Probe<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'static>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let Some(number) = self.variant else { return nothing() };
        let number: U32Deserializer<Error> = number.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl VariantAccess<'static> for Probe<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        nothing()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'static>>(self, _: T) -> Result<T::Value, Error> {
        nothing()
    }

    fn tuple_variant<V: Visitor<'static>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        nothing()
    }

    fn struct_variant<V: Visitor<'static>>(self, fields: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        self.shape.fields = fields;
        nothing()
    }
}
