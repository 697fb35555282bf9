//! Commands as they come over the wire: arrays of byte strings. Inline commands, which people type, are not known.

/// Bytes that are no command, after which nothing on the connection can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Protocol error: {0}")]
pub struct RequestFault(&'static str);

/// The most arguments and the most bytes in one of them, as Redis has them by default.
const ARGUMENTS_MAX: usize = 1024 * 1024;
const ARGUMENT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A command: its name and its arguments.
pub type Command = Vec<Vec<u8>>;

/// The command at the front of `bytes` and how many bytes it takes; nothing while it has not arrived in full.
///
/// # Errors
/// When it is no array of byte strings.
pub fn next_request(bytes: &[u8]) -> Result<Option<(Command, usize)>, RequestFault> {
    let mut rest = bytes;
    let Some(count) = length(&mut rest, b'*', ARGUMENTS_MAX)? else { return Ok(None) };
    let mut arguments = Vec::new();
    for _ in 0..count {
        let Some(length) = length(&mut rest, b'$', ARGUMENT_BYTES_MAX)? else { return Ok(None) };
        let Some((argument, behind)) = rest.split_at_checked(length) else { return Ok(None) };
        let Some(behind) = behind.get(2..) else { return Ok(None) };
        arguments.push(argument.to_vec());
        rest = behind;
    }
    Ok(Some((arguments, bytes.len() - rest.len())))
}

/// The length in a line that begins with `kind`.
fn length(bytes: &mut &[u8], kind: u8, most: usize) -> Result<Option<usize>, RequestFault> {
    let fault = RequestFault(if kind == b'*' { "invalid multibulk length" } else { "invalid bulk length" });
    let Some((first, line)) = bytes.split_first() else { return Ok(None) };
    if *first != kind {
        return Err(RequestFault("the command is no array of byte strings"));
    }
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() > 32 { Err(fault) } else { Ok(None) };
    };
    let (number, behind) = line.split_at(end);
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    *bytes = &behind[2..];
    number.filter(|number| *number <= most).map(Some).ok_or(fault)
}

#[cfg(test)]
mod tests {
    use super::next_request;

    #[test]
    fn command_is_cut_where_it_ends_and_not_before_it_is_whole() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1";
        let whole = bytes.len() - 2;
        let get = vec![b"GET".to_vec(), b"k".to_vec()];
        assert_eq!(next_request(bytes), Ok(Some((get, whole))));
        for cut in 0..whole {
            assert_eq!(next_request(&bytes[..cut]), Ok(None), "{cut} bytes");
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for bad in ["GET k\r\n", "*x\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n", "*-1\r\n"] {
            assert!(next_request(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
