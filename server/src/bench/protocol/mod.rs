//! What the generator says to a server and what it hears from it: one small trait, and each protocol by hand.
//!
//! Only what a bench needs is understood, and only what it counts is looked at: a generator that decodes everything
//! would be busier than the server.

pub(crate) mod floor;
pub(crate) mod irc;
pub(crate) mod lobbyd;
pub(crate) mod mqtt;
pub(crate) mod nats;
pub(crate) mod redis;

/// Who a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who<'a> {
    /// The user's name: unlike all others.
    pub(crate) user: &'a str,
    /// The room, counted from 1.
    pub(crate) room: u32,
}

/// By what a sender knows that the server has taken a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The server answers.
    Answer,
    /// The sender hears its own message.
    Echo,
    /// Nothing tells the sender: the next member of the room has heard it.
    Witness,
}

/// What the server has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A message in the room.
    Message {
        /// Its text.
        text: &'a [u8],
        /// Its number among the changes of the room, where the protocol has one.
        change: Option<u64>,
    },
    /// A message of our own has been taken.
    Said {
        /// Its number among the changes of the room, where the protocol has one.
        change: Option<u64>,
    },
    /// Another change of the room, with its number.
    Changed(u64),
    /// What was asked for last (a greeting, a login, an entering, a leaving, a logout) is done.
    Done {
        /// The number that our entering has among the changes of the room, where the protocol has one.
        entered: Option<u64>,
    },
    /// The server wants to hear something back: [`Protocol::answer`].
    Asked(&'a [u8]),
    /// Something that does not matter here.
    Nothing,
}

/// A unit at the front of what has been received, and how many bytes it takes; `None` if it is not complete.
pub(crate) type Unit<'a> = Option<(Heard<'a>, usize)>;

/// A protocol. An error of [`next`](Self::next) says in words for people what the server has refused.
pub(crate) trait Protocol {
    /// Whether the server says something first, or in answer to [`open`](Self::open).
    const GREETS: bool;
    /// Whether there is a login to wait for.
    const LOGS_IN: bool;
    /// How a sender knows that a message has been taken.
    const TAKEN: Taken;
    /// Whether a sender hears its own messages.
    const ECHOES: bool;
    /// Clients that connect and log in at the same time: few, so that no server's queue of connects or logins overflows.
    const OPENING_MAX: usize = 32;

    /// Cuts the unit at the front of `bytes`.
    fn next<'a>(&self, who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String>;

    /// What is said as soon as the connection is there.
    fn open(&self, _who: Who<'_>, _out: &mut Vec<u8>) {}

    /// What is said after the greeting, and not answered.
    fn hello(&self, _out: &mut Vec<u8>) {}

    /// Logs in.
    fn log_in(&self, _who: Who<'_>, _out: &mut Vec<u8>) {}

    /// Logs out.
    fn log_out(&self, _out: &mut Vec<u8>) {}

    /// Enters the room.
    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>);

    /// Leaves the room.
    fn leave(&self, who: Who<'_>, out: &mut Vec<u8>);

    /// Says a text in the room.
    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>);

    /// Answers what [`Heard::Asked`] holds.
    fn answer(&self, asked: &[u8], out: &mut Vec<u8>);
}

/// The line at the front of `bytes` without its end, and how many bytes it takes with it.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// A decimal number, which is all there is.
fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every unit, cut from the whole; and nothing is cut from less than a unit, nor read beyond its end.
    #[track_caller]
    pub(super) fn units<'a>(protocol: &impl Protocol, who: Who<'_>, bytes: &'a [u8]) -> Vec<Heard<'a>> {
        let mut heard = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            let (unit, length) = protocol.next(who, &bytes[start..]).unwrap().expect("the bytes end with a whole unit");
            for part in 0..length {
                assert_eq!(protocol.next(who, &bytes[start..start + part]), Ok(None), "{part} of {length} bytes");
            }
            heard.push(unit);
            start += length;
        }
        heard
    }
}
