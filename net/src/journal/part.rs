//! How a part is written and read.

use serde::de::DeserializeOwned;

use super::block::{self, Damage, HEADER_BYTES, MAGIC};
use super::entry::{Beginning, Heading, Outcome, Read};
use crate::codec;

/// A part of a journal that is read from memory.
#[derive(Debug)]
pub struct Part<'a> {
    /// What it is of.
    pub heading: Heading,
    /// Where it begins.
    pub beginning: Beginning,
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

impl Heading {
    /// Reads what a part is of. Builds of another version can read this, too.
    ///
    /// # Errors
    /// When it is none, or damaged there.
    pub fn read(part: &[u8]) -> Result<Self, Damage> {
        Self::read_with_end(part).map(|(heading, _)| heading)
    }

    /// The same, and where it ends.
    fn read_with_end(bytes: &[u8]) -> Result<(Self, usize), Damage> {
        let Some((magic, _)) = bytes.split_first_chunk::<{ MAGIC.len() }>() else {
            return Err(if MAGIC.starts_with(bytes) { Damage::CutOff { at: 0 } } else { Damage::NoJournal });
        };
        if *magic != MAGIC {
            let is_journal = magic[..MAGIC.len() - 1] == MAGIC[..MAGIC.len() - 1];
            return Err(if is_journal { Damage::Version { found: magic[7] } } else { Damage::NoJournal });
        }
        first_value(bytes, MAGIC.len(), "what the part is of")
    }
}

/// The value that is all of the block at `at`, and where the next block begins.
fn first_value<T: DeserializeOwned>(bytes: &[u8], at: usize, what: &'static str) -> Result<(T, usize), Damage> {
    let Some((content, next_at)) = block::read(bytes, at)? else { return Err(Damage::CutOff { at }) };
    match codec::read_value(content) {
        Some((value, read)) if read == content.len() => Ok((value, next_at)),
        Some(_) | None => Err(Damage::Unreadable { at, within: 0, what }),
    }
}

impl<'a> Part<'a> {
    /// Reads how a part begins.
    ///
    /// # Errors
    /// When it is none, or damaged where it begins, or its state is not one that this build has.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (heading, beginning_at) = Heading::read_with_end(bytes)?;
        let (beginning, begins_at) = first_value(bytes, beginning_at, "the server's state")?;
        Ok(Self { heading, beginning, bytes, begins_at })
    }

    /// Appends how a part begins to `out`.
    ///
    /// # Panics
    /// If the state has 4 GiB or more.
    pub fn append_beginning(heading: &Heading, beginning: &Beginning, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let mut content = Vec::new();
        codec::append_value(heading, &mut content);
        block::append(&content, out);
        content.clear();
        codec::append_value(beginning, &mut content);
        block::append(&content, out);
    }

    /// Appends entries to `out`, as they came to a [`JournalSink`](super::JournalSink): at least one.
    ///
    /// # Panics
    /// If they are 4 GiB or more.
    pub fn append_entries(entries: &[u8], out: &mut Vec<u8>) {
        block::append(entries, out);
    }

    /// What [`Part::append_entries`] puts before them.
    ///
    /// # Panics
    /// If they are 4 GiB or more.
    #[must_use]
    pub fn entries_header(entries: &[u8]) -> [u8; HEADER_BYTES] {
        block::header(entries)
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
