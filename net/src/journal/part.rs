//! How a part is written and read.

use super::block::{self, Damage, MAGIC};
use super::entry::{Heading, Outcome, Read};
use crate::codec;

/// A part of a journal that is read from memory.
#[derive(Debug)]
pub struct Part<'a> {
    /// How it begins.
    pub heading: Heading,
    bytes: &'a [u8],
    begins_at: usize,
}

/// The entries of a [`Part`], in their order, each with how much the engine had to say about it: nothing if it never
/// came back from it, which can only be the last. Ends after an error.
#[derive(Debug)]
pub struct Entries<'a> {
    part: &'a [u8],
    /// The present block, and where it begins.
    block: &'a [u8],
    block_at: usize,
    /// How much of it is read.
    read: usize,
    next_at: usize,
}

impl<'a> Part<'a> {
    /// Reads how a part begins.
    ///
    /// # Errors
    /// When it is none, or damaged where it begins.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        let Some((magic, _)) = bytes.split_first_chunk::<{ MAGIC.len() }>() else {
            return Err(if MAGIC.starts_with(bytes) { Damage::CutOff { at: 0 } } else { Damage::NoJournal });
        };
        if *magic != MAGIC {
            let is_journal = magic[..MAGIC.len() - 1] == MAGIC[..MAGIC.len() - 1];
            return Err(if is_journal { Damage::Version { found: magic[7] } } else { Damage::NoJournal });
        }
        let at = MAGIC.len();
        let Some((content, begins_at)) = block::read(bytes, at)? else { return Err(Damage::CutOff { at }) };
        match codec::read_value::<Heading>(content) {
            Some((heading, read)) if read == content.len() => Ok(Self { heading, bytes, begins_at }),
            Some(_) | None => Err(Damage::Unreadable { at, within: 0, what: "how the part begins" }),
        }
    }

    /// Appends how a part begins to `out`.
    pub fn append_heading(heading: &Heading, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let mut content = Vec::new();
        codec::append_value(heading, &mut content);
        block::append(&content, out);
    }

    /// Appends entries to `out`, as they came to a [`JournalSink`](super::JournalSink): at least one.
    ///
    /// # Panics
    /// If they are 4 GiB or more.
    pub fn append_entries(entries: &[u8], out: &mut Vec<u8>) {
        block::append(entries, out);
    }

    /// What is in it.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        Entries { part: self.bytes, block: &[], block_at: self.begins_at, read: 0, next_at: self.begins_at }
    }
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Result<Option<(Read<'a>, Option<Outcome>)>, Damage> {
        if self.read == self.block.len() {
            let Some((block, next_at)) = block::read(self.part, self.next_at)? else { return Ok(None) };
            (self.block, self.block_at, self.read, self.next_at) = (block, self.next_at, 0, next_at);
        }
        let entry = self.value("an entry")?;
        let is_all = self.read == self.block.len() && self.next_at == self.part.len();
        let outcome = if is_all { None } else { Some(self.value("an outcome")?) };
        Ok(Some((entry, outcome)))
    }

    fn value<T: serde::Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, Damage> {
        let Some((value, bytes)) = codec::read_value(&self.block[self.read..]) else {
            return Err(Damage::Unreadable { at: self.block_at, within: self.read, what });
        };
        self.read += bytes;
        Ok(value)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(Read<'a>, Option<Outcome>), Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            // Nothing behind what is damaged can be trusted.
            (self.block, self.read, self.next_at) = (&[], 0, self.part.len());
        }
        read.transpose()
    }
}
