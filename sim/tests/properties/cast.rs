//! Who appears in cases, from where, and with what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lobbyd_core::input::{Account, WireFault};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Sealed;
use lobbyd_core::text::Text;

use crate::operation::ADMINISTRATOR;

/// What can be wrong with bytes.
pub(crate) const FAULTS: [WireFault; 4] =
    [WireFault::FrameEmpty, WireFault::FrameTooLong, WireFault::PacketUnknown, WireFault::PacketMalformed];

/// Where connections come from. Two of them are one network.
pub(crate) const ADDRESSES: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 0, 0, 9)),
];

/// 0 is none, and 1 the vault's.
pub(crate) fn password_of(password: u8) -> Option<Sealed> {
    (password > 0).then_some(Sealed([password; 16]))
}

/// The account behind a name: most have nicknames as long as can be, so that lists get long; one has a bad one.
pub(crate) fn account(user: UserName) -> Account {
    let nickname = match user.as_str() {
        "ada" => None,
        "grace" => Some(Text::new("two\nlines")),
        _ => Some(Text::new(LONG_NICKNAME)),
    };
    Account { nickname, administrator: user.as_str() == ADMINISTRATOR }
}

/// 32 characters of four bytes each.
const LONG_NICKNAME: &str = "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀";
