//! Addresses as people type them.

use std::net::Ipv6Addr;

/// The port that `lobbyd serve` listens on unless it is told otherwise.
const DEFAULT_PORT: u16 = 7400;

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is HOST or HOST:PORT, for example 127.0.0.1:7400, [::1]:7400 or chat.example.org")]
pub struct InvalidAddress;

/// The address that `text` spells, as `HOST:PORT`, with the default port where it names none. Looks nothing up.
///
/// # Errors
/// When it is not `HOST`, `HOST:PORT`, `IPV6` or `[IPV6]:PORT` with a port from 1 to 65535.
pub fn parse_address(text: &str) -> Result<String, InvalidAddress> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{text}]:{DEFAULT_PORT}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().map_err(|_| InvalidAddress)?),
        Some(_) | None => (text, DEFAULT_PORT),
    };
    let host_is_fine = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()),
        None => {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.bytes().all(fine)
        }
    };
    if port == 0 || !host_is_fine {
        return Err(InvalidAddress);
    }
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_optional() {
        for (text, address) in [
            ("127.0.0.1:7401", "127.0.0.1:7401"),
            ("127.0.0.1", "127.0.0.1:7400"),
            ("chat.example.org", "chat.example.org:7400"),
            ("chat.example.org:1", "chat.example.org:1"),
            ("::1", "[::1]:7400"),
            ("[::1]", "[::1]:7400"),
            ("[::1]:65535", "[::1]:65535"),
        ] {
            assert_eq!(parse_address(text).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", ":7400", "host:", "host:0", "host:65536", "host:x", "a b", "[::1", "[x]:1", "::1]:1", "a:b:1"]
        {
            assert_eq!(parse_address(text), Err(InvalidAddress), "{text}");
        }
    }
}
