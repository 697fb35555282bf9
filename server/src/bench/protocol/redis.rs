//! Redis pub/sub over RESP3: each client subscribes to the channel of its room and publishes to it, on one connection.
//! It hears its own messages, too.

use super::{Heard, Protocol, Taken, Unit, Who, line, number};

/// Redis pub/sub.
pub(crate) struct Redis;

impl Protocol for Redis {
    const GREETS: bool = true;
    const LOGS_IN: bool = false;
    const TAKEN: Taken = Taken::Answer;
    const ECHOES: bool = true;

    fn next<'a>(&self, _who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let Some((head, start)) = line(bytes) else {
            return Ok(None);
        };
        match head.split_first() {
            Some((b':', _)) => Ok(Some((Heard::Said { change: None }, start))),
            Some((b'-', error)) => Err(format!("Redis says: {}", error.escape_ascii())),
            Some((b'>', count)) => pushed(bytes, start, count),
            // The answer to HELLO.
            Some((b'%', _)) => Ok(skip(bytes, 0).map(|end| (Heard::Done { entered: None }, end))),
            Some(_) | None => Ok(skip(bytes, 0).map(|end| (Heard::Nothing, end))),
        }
    }

    fn open(&self, _who: Who<'_>, out: &mut Vec<u8>) {
        command(&[b"HELLO", b"3"], out);
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        command(&[b"SUBSCRIBE", channel(who).as_bytes()], out);
    }

    fn leave(&self, who: Who<'_>, out: &mut Vec<u8>) {
        command(&[b"UNSUBSCRIBE", channel(who).as_bytes()], out);
    }

    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        command(&[b"PUBLISH", channel(who).as_bytes(), text], out);
    }

    fn answer(&self, _asked: &[u8], _out: &mut Vec<u8>) {}
}

/// Appends a command.
pub(crate) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn channel(who: Who<'_>) -> String {
    format!("room{}", who.room)
}

/// A push: its kind, the channel, and the text or the number of subscriptions.
fn pushed<'a>(bytes: &'a [u8], start: usize, count: &[u8]) -> Result<Unit<'a>, String> {
    if number(count) != Some(3) {
        return Err(format!("a push of {} parts", count.escape_ascii()));
    }
    let parts = || {
        let (kind, end) = string(bytes, start)?;
        let (_channel, end) = string(bytes, end)?;
        Some((kind, end))
    };
    let Some((kind, third)) = parts() else {
        return Ok(None);
    };
    match kind {
        b"message" => Ok(string(bytes, third).map(|(text, end)| (Heard::Message { text, change: None }, end))),
        b"subscribe" | b"unsubscribe" => Ok(skip(bytes, third).map(|end| (Heard::Done { entered: None }, end))),
        kind => Err(format!("a push of an unknown kind: {}", kind.escape_ascii())),
    }
}

/// The bulk string that begins at `start`, and where it ends.
fn string(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let (head, length) = line(bytes.get(start..)?)?;
    let bytes_in_it = number(head.strip_prefix(b"$")?)?;
    let begin = start + length;
    let end = begin + bytes_in_it + 2;
    (bytes.len() >= end).then(|| (&bytes[begin..end - 2], end))
}

/// Where the value that begins at `start` ends, whatever it is.
fn skip(bytes: &[u8], start: usize) -> Option<usize> {
    let (head, length) = line(bytes.get(start..)?)?;
    let end = start + length;
    let (kind, count) = head.split_first()?;
    let values = match kind {
        b'$' | b'=' | b'!' => return string(bytes, start).map(|(_, end)| end),
        b'%' => 2 * number(count)?,
        b'*' | b'~' | b'>' => number(count)?,
        _ => 0,
    };
    (0..values).try_fold(end, |end, _| skip(bytes, end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::units;
    use super::*;

    const WHO: Who<'static> = Who { user: "b1", room: 3 };

    #[test]
    fn answers_and_pushes_are_told_apart() {
        let bytes = b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nmodules\r\n*0\r\n\
            >3\r\n$9\r\nsubscribe\r\n$5\r\nroom3\r\n:1\r\n:10\r\n>3\r\n$7\r\nmessage\r\n$5\r\nroom3\r\n$4\r\na\r\nb\r\n";
        let done = Heard::Done { entered: None };
        let message = Heard::Message { text: b"a\r\nb", change: None };
        assert_eq!(units(&Redis, WHO, bytes), [done, done, Heard::Said { change: None }, message]);
        assert!(Redis.next(WHO, b"-ERR no\r\n").unwrap_err().contains("ERR no"));
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut out = Vec::new();
        Redis.say(WHO, b"text", &mut out);
        assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$5\r\nroom3\r\n$4\r\ntext\r\n");
    }
}
