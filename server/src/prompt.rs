//! Asks a person, or a pipe, for a password. Never takes one from the command line, which every user of the machine can
//! read.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use anyhow::{Context, bail};
use lobbyd_core::name::UserName;
use lobbyd_net::stores::SecretBytes;

use crate::stores::directory::{PASSWORD_BYTES_MAX, Password};

/// A new password of `user`: on a terminal asked for twice and not shown, otherwise one line of the standard input.
///
/// # Errors
/// When it is empty or too long, the two are not the same, or the input fails.
pub fn new_password(user: UserName) -> anyhow::Result<Password> {
    let input = io::stdin();
    if input.is_terminal() {
        return ask_twice(user, rpassword::prompt_password);
    }
    // Past the buffer of `io::stdin`, which would keep the password, and take more than its line.
    let mut input = File::from(input.as_fd().try_clone_to_owned().context("the standard input cannot be read")?);
    read_line(&mut input)
}

fn ask_twice(user: UserName, mut ask: impl FnMut(String) -> io::Result<String>) -> anyhow::Result<Password> {
    let mut ask = |question: String| -> anyhow::Result<SecretBytes> {
        let answer = ask(question).context("the password cannot be read from the terminal")?;
        Ok(SecretBytes::new(answer.into_bytes()))
    };
    let password = ask(format!("Password of \"{user}\": "))?;
    let checked = Password::new(password.clone())?;
    if ask(format!("Password of \"{user}\" again: "))? != password {
        bail!("the two passwords are not the same; nothing was changed");
    }
    Ok(checked)
}

/// One line, without its end (`\n` or `\r\n`), and not a byte of the next.
fn read_line(input: &mut impl Read) -> anyhow::Result<Password> {
    // With room for the end of the line, and for one more byte, by which a password is known to be too long.
    let mut line = SecretBytes::new(Vec::with_capacity(PASSWORD_BYTES_MAX + 3));
    let mut byte = [0];
    while line.len() < PASSWORD_BYTES_MAX + 2 {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                break;
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("the password cannot be read from the standard input"),
        }
    }
    Password::new(line).context("the first line of the standard input is no password")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(input: &[u8]) -> Result<Vec<u8>, String> {
        read_line(&mut &*input).map(|password| password.into_bytes().to_vec()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn one_line_is_read_without_its_end_and_nothing_after_it() {
        assert_eq!(line(b"hush\nnext\n"), Ok(b"hush".to_vec()));
        assert_eq!(line(b"hush\r\n"), Ok(b"hush".to_vec()));
        assert_eq!(line(b"hush"), Ok(b"hush".to_vec()));
        assert_eq!(line(b" \xff\0 \n"), Ok(b" \xff\0 ".to_vec()));
        let mut input = &b"first\nsecond\n"[..];
        read_line(&mut input).unwrap();
        assert_eq!(input, b"second\n");
    }

    #[test]
    fn empty_and_too_long_lines_are_refused() {
        for empty in [&b""[..], b"\n", b"\r\n"] {
            assert!(line(empty).unwrap_err().contains("the password is empty"), "{empty:?}");
        }
        for end in [&b""[..], b"\n", b"\r\n"] {
            let longest = [b'x'; PASSWORD_BYTES_MAX];
            assert_eq!(line(&[&longest, end].concat()).unwrap().len(), PASSWORD_BYTES_MAX);
            assert!(line(&[&longest, &b"x"[..], end].concat()).unwrap_err().contains("too long"), "{end:?}");
        }
        assert!(line(&[b'x'; 100_000]).unwrap_err().contains("too long"));
    }

    #[test]
    fn password_is_asked_for_twice_and_both_must_be_the_same() {
        let ask = |answers: &[&str]| {
            let mut answers = answers.iter();
            let mut questions = Vec::new();
            let password = ask_twice("alice".parse().unwrap(), |question| {
                questions.push(question);
                Ok((*answers.next().expect("not asked more often than twice")).to_owned())
            });
            (password.map(|password| password.into_bytes().to_vec()).map_err(|error| error.to_string()), questions)
        };
        let questions = ["Password of \"alice\": ".to_owned(), "Password of \"alice\" again: ".to_owned()];
        assert_eq!(ask(&["hush", "hush"]), (Ok(b"hush".to_vec()), questions.to_vec()));
        let (refused, _) = ask(&["hush", "hash"]);
        assert_eq!(refused, Err("the two passwords are not the same; nothing was changed".into()));
        let (refused, asked) = ask(&[""]);
        assert!(refused.unwrap_err().contains("empty"));
        assert_eq!(asked.len(), 1);
    }
}
