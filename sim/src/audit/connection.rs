//! A client's connection: how far it has come, what it waits for, who it is and where.

use std::time::Duration;

use lobbyd_core::id::UserId;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::ServerPacket;

use super::requests::Requests;
use super::rooms::{Listing, View};

pub(super) struct Connection {
    pub(super) client: usize,
    pub(super) daemon: usize,
    /// With which life of the daemon; none if that cannot be told.
    pub(super) life: Option<u32>,
    pub(super) phase: Phase,
    /// Whether something may have been kept from arriving for good.
    pub(super) is_impaired: bool,
    /// Whether it has sent bytes as they are.
    pub(super) is_wild: bool,
    pub(super) is_half_closed: bool,
    pub(super) requests: Requests,
    /// The nonces of pings that were not answered.
    pub(super) pings: Vec<u64>,
    pub(super) login: Option<Login>,
    /// Every name that it has asked to be.
    pub(super) names: Vec<UserName>,
    pub(super) view: Option<View>,
    /// A list of users of which the last part has not come.
    pub(super) listing: Option<Listing>,
}

/// Who a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) id: UserId,
    pub(super) name: UserName,
    /// When the client learned it.
    pub(super) at: Duration,
    /// Whether another login of this user was under way at the same time.
    pub(super) has_raced: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has arrived.
    Dialled,
    /// The server has welcomed it.
    Welcomed,
    /// The server has said why it closes it.
    Farewell,
    /// Its end has arrived.
    Closed,
    /// The client has closed it, so that the server learns of it.
    Left,
    /// The client is gone from it, and the server may not know.
    Lost,
}

impl Connection {
    pub(super) fn new(client: usize, daemon: usize, life: u32, is_impaired: bool) -> Self {
        Self {
            client,
            daemon,
            life: Some(life),
            phase: Phase::Dialled,
            is_impaired,
            is_wild: false,
            is_half_closed: false,
            requests: Requests::default(),
            pings: Vec::new(),
            login: None,
            names: Vec::new(),
            view: None,
            listing: None,
        }
    }

    /// Nothing that arrives from now on counts.
    pub(super) fn leave(&mut self, phase: Phase) {
        if matches!(self.phase, Phase::Dialled | Phase::Welcomed | Phase::Farewell) {
            self.phase = phase;
        }
    }

    /// Whether everything that was sent to the client must have arrived when nothing is under way.
    pub(super) fn is_sound(&self) -> bool {
        self.phase == Phase::Welcomed && !self.is_impaired && !self.is_half_closed
    }

    /// Whether the server must know that the connection is over, or that it is not, when nothing is under way.
    pub(super) fn is_known_to_the_server(&self) -> bool {
        !self.is_impaired && matches!(self.phase, Phase::Welcomed | Phase::Closed | Phase::Left)
    }

    /// Whether it is this packet's turn: a list in parts is not interrupted.
    pub(super) fn may_hear(&self, packet: &ServerPacket) -> bool {
        self.listing.is_none()
            || matches!(packet, ServerPacket::RoomUserListNotify { .. } | ServerPacket::Closing { .. })
    }
}
