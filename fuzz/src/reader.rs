//! Choices out of bytes: what a structured target is told to do.

/// Reads choices from the front of some bytes. Whatever is asked for beyond their end is 0, `false` or empty, so every
/// sequence of bytes means something and a shorter one means less.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that has not been read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// One byte: is it odd?
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// One byte: a number below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    /// A number of any size: small ones are one byte, and 253 to 255 say that the next 2, 4 or 8 bytes are one (least
    /// significant first).
    pub(crate) fn long_number(&mut self) -> u64 {
        let width = match self.byte() {
            253 => 2,
            254 => 4,
            255 => 8,
            small => return u64::from(small),
        };
        let mut bytes = [0; 8];
        bytes[..width].fill_with(|| self.byte());
        u64::from_le_bytes(bytes)
    }

    /// The same, cut to 32 bits.
    pub(crate) fn number(&mut self) -> u32 {
        (self.long_number() & u64::from(u32::MAX)) as u32
    }

    /// A length of one byte, and as many bytes, if they are there.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length)
    }

    /// The same, of fewer than `count` bytes.
    pub(crate) fn few_bytes(&mut self, count: u8) -> &'a [u8] {
        let length = self.below(count);
        self.take(length)
    }

    fn take(&mut self, length: u8) -> &'a [u8] {
        let length = usize::from(length).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }

    /// The same as text, with what is no UTF-8 replaced.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// One of the choices, by one byte.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_say() {
        let mut reader = Reader::new(&[252, 253, 1, 2, 254, 1, 2, 3, 4, 255, 1, 2, 3, 4, 5, 6, 7, 8, 254, 9]);
        assert_eq!(reader.long_number(), 252);
        assert_eq!(reader.long_number(), 0x0201);
        assert_eq!(reader.long_number(), 0x0403_0201);
        assert_eq!(reader.long_number(), 0x0807_0605_0403_0201);
        assert_eq!(reader.long_number(), 9, "what is missing is 0");
        assert!(reader.is_empty());
    }

    #[test]
    fn bytes_end_where_the_data_ends() {
        let mut reader = Reader::new(&[2, b'a', b'b', 9, b'c']);
        assert_eq!(reader.bytes(), b"ab");
        assert_eq!(reader.text(), "c");
        assert_eq!((reader.byte(), reader.flag(), reader.bytes()), (0, false, &[][..]));
    }
}
