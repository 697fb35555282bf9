//! Sizes in bytes.

use std::ops::RangeInclusive;

use super::value::{Given, OkOrDefault, Refusal, Value, digits};

/// A number of bytes below 4 GiB. In configuration a plain number, or one with a unit: `16384` or `"16KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u32);

impl Size {
    /// `count` bytes.
    #[must_use]
    pub const fn bytes(count: u32) -> Self {
        Self(count)
    }

    /// `count` times 1024 bytes.
    ///
    /// # Panics
    /// From 4 GiB on.
    #[must_use]
    pub const fn kib(count: u32) -> Self {
        Self(count.checked_mul(1024).expect("the size is below 4 GiB"))
    }

    /// `count` times 1024 KiB.
    ///
    /// # Panics
    /// From 4 GiB on.
    #[must_use]
    pub const fn mib(count: u32) -> Self {
        Self::kib(count.checked_mul(1024).expect("the size is below 4 GiB"))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u32 {
        self.0
    }

    /// The number of whole KiB.
    #[must_use]
    pub const fn as_kib(self) -> u32 {
        self.0 / 1024
    }
}

/// The units, the largest first.
const UNITS: [(&str, u32); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Value for Size {
    type Allowed = RangeInclusive<Self>;

    fn read(given: Given<'_>, allowed: &Self::Allowed) -> Result<Self, Refusal> {
        let bytes = match (given.number(), given.text()) {
            (Some(number), _) => number,
            (None, text) => {
                let text = text.ok_or_default()?;
                let unit = text.find(|character: char| !character.is_ascii_digit()).ok_or_default()?;
                let (number, unit) = text.split_at(unit);
                let (_, bytes) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_default()?;
                digits(number).and_then(|number| number.checked_mul(u64::from(bytes))).ok_or_default()?
            }
        };
        let size = u32::try_from(bytes).ok().map(Self);
        size.filter(|size| allowed.contains(size)).ok_or_default()
    }

    fn allowed(allowed: &Self::Allowed) -> String {
        format!("{} to {} (bytes, or units KiB, MiB, GiB)", allowed.start().literal(), allowed.end().literal())
    }

    fn literal(&self) -> String {
        let fits = |(_, unit): &(&str, u32)| self.0 != 0 && self.0.is_multiple_of(*unit);
        match UNITS.into_iter().find(fits) {
            Some((name, unit)) if unit > 1 => format!("\"{}{name}\"", self.0 / unit),
            Some(_) | None => self.0.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        let allowed = Size::bytes(1)..=Size::mib(1024);
        for (text, bytes) in
            [("1", 1), ("2000", 2000), ("7B", 7), ("16KiB", 16_384), ("1MiB", 1 << 20), ("1GiB", 1 << 30)]
        {
            let size = Size::read(Given::Plain(text), &allowed);
            assert_eq!(size, Ok(Size::bytes(bytes)), "{text}");
        }
        for text in ["", "0", "-1", "KiB", "16kb", "16 KiB", "1.5MiB", "1025MiB", "5GiB", "18446744073709551615GiB"] {
            assert!(Size::read(Given::Plain(text), &allowed).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_in_its_largest_whole_unit() {
        for (bytes, literal) in
            [(0, "0"), (1, "1"), (2000, "2000"), (1536, "1536"), (2048, "\"2KiB\""), (1 << 30, "\"1GiB\"")]
        {
            assert_eq!(Size::bytes(bytes).literal(), literal);
        }
        assert_eq!(Size::mib(19).as_kib(), 19 * 1024);
    }
}
