//! What the model knows of a connection.

use std::net::IpAddr;

use lobbyd_core::id::{RequestId, RoomNumber, SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::User;
use lobbyd_core::time::Instant;

use super::allowance::Allowance;

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) network: IpAddr,
    pub(super) state: State,
    pub(super) heard_at: Instant,
    pub(super) is_pinged: bool,
    /// When its time to log in, or that of the verdict, is over; nobody who is online has one.
    pub(super) login_by: Option<Instant>,
    /// Between which moments it is closed because the server drains.
    pub(super) goes: Option<(Instant, Instant)>,
    pub(super) flood: Allowance,
    pub(super) flood_refusals: Allowance,
    pub(super) wrong_secrets: u32,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Connected,
    Anonymous,
    LoginPending { ticket: Ticket, request: RequestId, user: UserName },
    Online(Online),
}

/// Who logged in.
#[derive(Clone, Debug)]
pub(super) struct Online {
    pub(super) user: User,
    pub(super) is_administrator: bool,
    pub(super) ticket: Ticket,
    pub(super) is_leased: bool,
    pub(super) room: Option<RoomNumber>,
}

impl Session {
    pub(super) fn online(&self) -> Option<&Online> {
        if let State::Online(online) = &self.state { Some(online) } else { None }
    }

    pub(super) fn online_mut(&mut self) -> Option<&mut Online> {
        if let State::Online(online) = &mut self.state { Some(online) } else { None }
    }

    /// Whether it has logged in under this name.
    pub(super) fn is_user(&self, name: UserName) -> bool {
        self.online().is_some_and(|online| online.user.name == name)
    }

    /// Whether it waits for the verdict about a login.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::LoginPending { .. })
    }
}

/// What limits count by: an address, but for IPv6 its /64 network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 0].into()
        }
    }
}
