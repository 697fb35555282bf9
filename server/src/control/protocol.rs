//! What travels over the control socket: one line of JSON each way, at most [`LINE_BYTES_MAX`] long. The two sides are
//! the same program as a rule, but an older daemon may still run when a newer `lobbyd user` is called: both say their
//! version, and one that does not know the other's says so.

use std::io;

use lobbyd_core::name::UserName;
use lobbyd_net::stores::SecretBytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::stores::directory::{Nickname, Password, UserEntry};

/// The version of this protocol.
pub const VERSION: u32 = 1;
/// The most bytes in a line, its newline included.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most users in one answer: with all of them at their longest (a name of 32 bytes, a nickname of 128 that are all
/// escaped) it is within a line.
pub const PAGE_USERS: usize = 100;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// The command.
    pub command: Command,
}

/// A command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Add a user.
    Add {
        /// Its name.
        user: UserName,
        /// Its password.
        password: Password,
        /// What to show instead of its name.
        nickname: Option<Nickname>,
        /// Whether it may kick in every room.
        administrator: bool,
    },
    /// Give a user another password.
    SetPassword {
        /// Whom.
        user: UserName,
        /// The new password.
        password: Password,
    },
    /// Remove a user, and close its sessions.
    Remove {
        /// Whom.
        user: UserName,
    },
    /// The first [`PAGE_USERS`] users whose names come after `after`.
    List {
        /// The last name of the page before.
        after: Option<UserName>,
    },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// [`VERSION`].
    pub version: u32,
    /// The answer.
    pub answer: Answer,
}

/// An answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It is done, and on the disk.
    Done,
    /// The users, sorted by name; none when there are no more.
    Users(Vec<UserEntry>),
    /// The user to be added exists.
    AlreadyExists,
    /// There is no such user.
    Unknown,
    /// The store does not do it, for the reason that the text gives.
    Unavailable(String),
    /// The request is none, for the reason that the text gives.
    Refused(String),
}

impl Request {
    /// The command in a line; what is wrong with the line otherwise, in words that show nothing of it.
    ///
    /// # Errors
    /// When it is no request, or one of another version.
    pub fn parse(line: &[u8]) -> Result<Command, String> {
        check_version(line, "this `lobbyd user`", "the running lobbyd")?;
        // The text of the error may quote the line, and so a password.
        let request: Self = serde_json::from_slice(line).map_err(|error| {
            format!("the running lobbyd does not understand the request ({:?} error)", error.classify())
        })?;
        Ok(request.command)
    }
}

impl Response {
    /// The answer in a line.
    ///
    /// # Errors
    /// When it is no response, or one of another version.
    pub fn parse(line: &[u8]) -> Result<Answer, String> {
        check_version(line, "the running lobbyd", "this `lobbyd user`")?;
        let response: Self = serde_json::from_slice(line)
            .map_err(|error| format!("the answer of the running lobbyd cannot be understood: {error}"))?;
        Ok(response.answer)
    }
}

fn check_version(line: &[u8], sender: &str, reader: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(line)
        .map_err(|error| format!("what {sender} says is not of the control protocol ({:?} error)", error.classify()))?;
    if version == VERSION {
        Ok(())
    } else {
        Err(format!(
            "{sender} speaks version {version} of the control protocol and {reader} version {VERSION}: restart lobbyd, \
             so that both are of one release"
        ))
    }
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream ended before the end of a line.
    #[error("the connection ended before the line did")]
    Ended,
    /// The line goes on past its limit.
    #[error("the line is over {LINE_BYTES_MAX} bytes long")]
    TooLong,
    /// The system says so.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Reads up to a newline, which is not part of the result. It may hold a password and is wiped when dropped.
///
/// # Errors
/// When the stream fails or ends before, or the line is too long.
pub async fn read_line(stream: &mut UnixStream) -> Result<SecretBytes, ReadError> {
    // All of its room at once: a buffer that grew would leave parts of a secret behind.
    let mut line = SecretBytes::new(vec![0; LINE_BYTES_MAX]);
    let mut length = 0;
    loop {
        let came = stream.read(&mut line[length..]).await?;
        let end = line[length..length + came].iter().position(|byte| *byte == b'\n');
        if let Some(end) = end {
            line.truncate(length + end);
            return Ok(line);
        }
        length += came;
        if length == line.len() {
            return Err(ReadError::TooLong);
        }
        if came == 0 {
            return Err(ReadError::Ended);
        }
    }
}

/// Writes `value` and a newline.
///
/// # Errors
/// When the stream fails or the line would be too long.
pub async fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = SecretBytes::new(vec![0; LINE_BYTES_MAX]);
    let mut rest = line.as_mut_slice();
    serde_json::to_writer(&mut rest, value)?;
    io::Write::write_all(&mut rest, b"\n")?;
    let written = LINE_BYTES_MAX - rest.len();
    stream.write_all(&line[..written]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_of_another_version_is_told_apart_from_a_broken_one() {
        let text = Request::parse(br#"{"version":2,"anything":[]}"#).unwrap_err();
        assert!(text.starts_with("this `lobbyd user` speaks version 2 of the control protocol and"), "{text}");
        let text = Response::parse(br#"{"version":7}"#).unwrap_err();
        assert!(text.starts_with("the running lobbyd speaks version 7"), "{text}");
        for junk in [&b""[..], b"hello", b"{}", b"\xff", br#"{"version":"1"}"#] {
            let text = Request::parse(junk).unwrap_err();
            assert!(text.contains("is not of the control protocol"), "{text}");
        }
    }

    #[test]
    fn error_about_a_request_does_not_show_it() {
        let text = Request::parse(br#"{"version":1,"command":{"set_password":{"user":"al","password":"hush"}}}"#);
        let text = text.unwrap_err();
        assert!(text.contains("does not understand the request") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn unknown_fields_and_bad_values_are_refused() {
        for command in [
            r#"{"remove":{"user":"alice","force":true}}"#,
            r#"{"remove":{"user":"Alice"}}"#,
            r#"{"remove":{"user":"a b"}}"#,
            r#"{"set_password":{"user":"alice","password":[]}}"#,
            r#"{"add":{"user":"alice","password":[1],"nickname":"\u0007","administrator":false}}"#,
            r#"{"drop":{}}"#,
        ] {
            assert!(Request::parse(format!(r#"{{"version":1,"command":{command}}}"#).as_bytes()).is_err(), "{command}");
        }
        assert!(matches!(
            Request::parse(br#"{"version":1,"command":{"list":{"after":null}}}"#),
            Ok(Command::List { after: None })
        ));
    }

    #[test]
    fn longest_page_fits_into_a_line() {
        let user: UserName = "x".repeat(32).parse().unwrap();
        let longest = [Nickname::new(&"\\".repeat(32)), Nickname::new(&"\u{1f600}".repeat(32))];
        for nickname in longest {
            let entry = UserEntry {
                user,
                nickname: Some(nickname.unwrap().as_str().to_owned()),
                administrator: false,
                created: Some(u64::MAX),
            };
            let response = Response { version: VERSION, answer: Answer::Users(vec![entry; PAGE_USERS]) };
            assert!(serde_json::to_vec(&response).unwrap().len() < LINE_BYTES_MAX);
        }
    }

    #[tokio::test]
    async fn line_over_the_limit_is_refused_and_one_at_it_is_read() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let mut line = vec![b'x'; LINE_BYTES_MAX - 1];
        line.push(b'\n');
        let writing = tokio::spawn(async move {
            far.write_all(&line).await.unwrap();
            far.write_all(&vec![b'x'; LINE_BYTES_MAX]).await.unwrap();
            far
        });
        assert_eq!(read_line(&mut near).await.unwrap().len(), LINE_BYTES_MAX - 1);
        assert!(matches!(read_line(&mut near).await, Err(ReadError::TooLong)));
        drop(writing.await.unwrap());
        assert!(matches!(read_line(&mut near).await, Err(ReadError::Ended)));
    }
}
