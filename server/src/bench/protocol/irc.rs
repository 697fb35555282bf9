//! IRC: each client joins the channel of its room. Nothing tells a sender that its message has been taken.

use super::{Heard, Protocol, Taken, Unit, Who, line};

/// IRC.
pub(crate) struct Irc;

impl Protocol for Irc {
    const GREETS: bool = true;
    const LOGS_IN: bool = false;
    const TAKEN: Taken = Taken::Witness;
    const ECHOES: bool = false;
    // InspIRCd lets those in who have come only once a second: more at a time, or thousands take minutes.
    const OPENING_MAX: usize = 500;

    fn next<'a>(&self, who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let Some((line, end)) = line(bytes) else {
            return Ok(None);
        };
        let done = Heard::Done { entered: None };
        let Some(prefixed) = line.strip_prefix(b":") else {
            return match line.split(|byte| *byte == b' ').next() {
                Some(b"PING") => Ok(Some((Heard::Asked(&line[b"PING".len()..]), end))),
                Some(b"ERROR") => Err(format!("the server closes a connection: {}", line.escape_ascii())),
                Some(_) | None => Ok(Some((Heard::Nothing, end))),
            };
        };
        let mut words = prefixed.splitn(4, |byte| *byte == b' ');
        let (source, command) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let heard = match command {
            b"PRIVMSG" => {
                let text = words.nth(1).unwrap_or_default();
                Heard::Message { text: text.strip_prefix(b":").unwrap_or(text), change: None }
            }
            // The end of the message of the day, or that there is none: the greeting is over. The end of a list of names.
            b"376" | b"422" | b"366" => done,
            b"PART" if is_of(source, who.user) => done,
            // 433: the name is taken. 465: banned. 4xx of a channel.
            b"433" | b"465" | b"403" | b"404" | b"405" | b"471" | b"474" => {
                return Err(format!("the server refuses: {}", line.escape_ascii()));
            }
            _ => Heard::Nothing,
        };
        Ok(Some((heard, end)))
    }

    fn open(&self, who: Who<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("NICK {0}\r\nUSER {0} 0 * :bench\r\n", who.user).as_bytes());
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("JOIN #room{}\r\n", who.room).as_bytes());
    }

    fn leave(&self, who: Who<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PART #room{}\r\n", who.room).as_bytes());
    }

    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PRIVMSG #room{} :", who.room).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    fn answer(&self, asked: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"PONG");
        out.extend_from_slice(asked);
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a source, `NICK!USER@HOST`, is that user.
fn is_of(source: &[u8], user: &str) -> bool {
    source.split(|byte| *byte == b'!').next() == Some(user.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::tests::units;
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let who = Who { user: "b1", room: 3 };
        let bytes =
            b":s 001 b1 :hi\r\n:s 422 b1 :none\r\n:b1!b1@h JOIN #room3\r\n:s 366 b1 #room3 :End\r\nPING :x y\r\n\
            :b2!b2@h PRIVMSG #room3 :a b :c\r\n:b2!b2@h PART #room3\r\n:b1!b1@h PART #room3\r\n";
        let done = Heard::Done { entered: None };
        let message = Heard::Message { text: b"a b :c", change: None };
        let nothing = Heard::Nothing;
        let heard = [nothing, done, nothing, done, Heard::Asked(b" :x y"), message, nothing, done];
        assert_eq!(units(&Irc, who, bytes), heard);
        assert!(Irc.next(who, b"ERROR :no\r\n").is_err());
        let mut out = Vec::new();
        Irc.answer(b" :x y", &mut out);
        assert_eq!(out, b"PONG :x y\r\n");
    }
}
