//! The rules of what people write, as `net/PROTOCOL.md` says them.

use lobbyd_core::name::UserName;
use lobbyd_core::packet::Code;
use lobbyd_core::text::RawText;

/// The text of a message.
pub(super) fn message(RawText(bytes): RawText<'_>, bytes_max: u32) -> Result<&str, Code> {
    if bytes.is_empty() {
        return Err(Code::TextEmpty);
    }
    if bytes.len() > bytes_max as usize {
        return Err(Code::TextTooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Code::TextInvalid)?;
    // Most text is plain, and most packets are text.
    let is_plain = bytes.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
    let is_fine = is_plain || text.chars().all(|character| character == '\n' || is_allowed(character));
    if is_fine { Ok(text) } else { Err(Code::TextInvalid) }
}

/// A room's title.
pub(super) fn title(RawText(bytes): RawText<'_>) -> Result<&str, Code> {
    let text = std::str::from_utf8(bytes).map_err(|_| Code::TitleInvalid)?;
    let has_length = (1..=64).contains(&text.chars().count());
    if has_length && text.chars().all(is_allowed) { Ok(text) } else { Err(Code::TitleInvalid) }
}

/// A user name, in lower case.
pub(super) fn name(raw: RawText<'_>) -> Result<UserName, Code> {
    let is_allowed = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    let RawText(bytes) = raw;
    if !(1..=32).contains(&bytes.len()) || !bytes.iter().all(is_allowed) {
        return Err(Code::NameInvalid);
    }
    UserName::parse(raw).map_err(|_| Code::NameInvalid)
}

fn is_allowed(character: char) -> bool {
    !matches!(
        u32::from(character),
        0..=0x1f | 0x7f..=0x9f | 0x202a..=0x202e | 0x2066..=0x2069 | 0x2028 | 0x2029
    )
}
