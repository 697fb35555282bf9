//! The journal: everything that an engine is told, in the order in which it is told, so that another one can be told the
//! same again and does the same, bit for bit (DESIGN sections 1 and 3).
//!
//! A [`RecordedEngine`] is the only door to an engine in a node. What goes in there is an [`Entry`]: the time, and an
//! input or the coming of a deadline; and with it an [`Outcome`], how much the engine had to say about it, so that
//! whoever replays the journal sees at which entry something else happens. Where entries go is up to a [`JournalSink`]:
//! files in the daemon, memory in a simulation. No secret is in them, since none goes into the engine; what people say
//! is.
//!
//! A journal has *parts*, which can be read each by itself. A part begins with a [`Beginning`], in which the engine's
//! whole state is. In a journal without a gap, the state at the end of a part is that at the beginning of the next:
//! [`Replay`] compares them.
//!
//! **Format of a part.** Eight bytes say what it is ([`MAGIC`]). Then come *blocks*: the length of what is in it, the
//! CRC-32C of that length and the CRC-32C of what is in it (each a `u32`, little-endian; RFC 3720, appendix B.4), and so
//! many bytes. The first block is a [`Heading`], the second a [`Beginning`], the others are whole entries, each with its
//! outcome, all in the encoding of `codec.rs`. Only the last entry may lack its outcome: the engine never came back from
//! it. A part that ends within a block is cut off and whole up to there, also where zeros are in the place of the rest.

mod block;
mod entry;
mod memory;
mod part;
mod recorder;
mod replay;

pub use self::block::{Damage, MAGIC};
pub use self::entry::{Beginning, Entry, Event, Heading, Outcome};
pub use self::memory::Memory;
pub use self::part::{Entries, Part};
pub use self::recorder::{Appetite, JournalSink, JournalStats, RecordedEngine};
pub use self::replay::{Difference, Replay};
