//! What Redis answers, and how it is written.
//!
//! The forms are those of RESP2 and RESP3 (redis.io, "Redis serialization protocol specification").

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// What `HELLO 3` asks for.
    Resp3,
}

/// An answer, or a message that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word, such as `OK`.
    Simple(&'static str),
    /// A refusal: a code and what is wrong.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Nothing.
    Nil,
    /// Answers in a row.
    Array(Vec<Reply>),
    /// Names and what belongs to them; pairs in a row in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// What RESP3 sends beside the answers; an array in RESP2.
    Push(Vec<Reply>),
    /// Several answers to one command.
    Several(Vec<Reply>),
}

impl Reply {
    /// The answer to what succeeded and has nothing else to say.
    pub(super) const OK: Self = Self::Simple("OK");

    /// A refusal. `text` begins with its code.
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    /// Bytes.
    pub(super) fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// Bytes, or nothing.
    pub(super) fn bulk_or_nil(bytes: Option<&Vec<u8>>) -> Self {
        bytes.map_or(Self::Nil, |bytes| Self::Bulk(bytes.clone()))
    }

    /// A number of things.
    pub(super) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Appends it as it goes over the wire.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match (self, protocol) {
            (Self::Simple(word), _) => line(out, '+', word),
            (Self::Error(text), _) => line(out, '-', text),
            (Self::Integer(number), _) => line(out, ':', number),
            (Self::Bulk(bytes), _) => {
                line(out, '$', bytes.len());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            (Self::Nil, Protocol::Resp2) => out.extend_from_slice(b"$-1\r\n"),
            (Self::Nil, Protocol::Resp3) => out.extend_from_slice(b"_\r\n"),
            (Self::Push(replies), Protocol::Resp3) => row(out, '>', replies, protocol),
            (Self::Push(replies), Protocol::Resp2) | (Self::Array(replies), _) => row(out, '*', replies, protocol),
            (Self::Map(pairs), _) => {
                match protocol {
                    Protocol::Resp2 => line(out, '*', 2 * pairs.len()),
                    Protocol::Resp3 => line(out, '%', pairs.len()),
                }
                for (name, value) in pairs {
                    name.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            (Self::Several(replies), _) => replies.iter().for_each(|reply| reply.encode(protocol, out)),
        }
    }
}

fn row(out: &mut Vec<u8>, kind: char, replies: &[Reply], protocol: Protocol) {
    line(out, kind, replies.len());
    replies.iter().for_each(|reply| reply.encode(protocol, out));
}

fn line(out: &mut Vec<u8>, kind: char, content: impl std::fmt::Display) {
    out.extend_from_slice(format!("{kind}{content}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Reply};

    fn both(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut out = Vec::new();
            reply.encode(protocol, &mut out);
            String::from_utf8(out).expect("these replies are text")
        })
    }

    #[test]
    fn forms_that_differ_between_the_versions_are_written_as_each_has_them() {
        assert_eq!(both(&Reply::Nil), ["$-1\r\n", "_\r\n"]);
        let map = Reply::Map(vec![(Reply::bulk("a"), Reply::Integer(-1))]);
        assert_eq!(both(&map), ["*2\r\n$1\r\na\r\n:-1\r\n", "%1\r\n$1\r\na\r\n:-1\r\n"]);
        assert_eq!(both(&Reply::Push(vec![Reply::OK])), ["*1\r\n+OK\r\n", ">1\r\n+OK\r\n"]);
    }

    #[test]
    fn several_answers_follow_each_other() {
        let several = Reply::Several(vec![Reply::error("ERR no"), Reply::Array(vec![])]);
        assert_eq!(both(&several), ["-ERR no\r\n*0\r\n"; 2]);
    }
}
