//! Seals secrets on their way into an engine, as the driver does.

use lobbyd_core::packet::{ClientPacket, Sealed, Secret};
use lobbyd_net::password_digest;

pub(super) struct Seals {
    key: [u8; 16],
    last_handle: u128,
    /// The login secret of the packet that is being stepped.
    held: Option<(Sealed, Vec<u8>)>,
}

impl Seals {
    /// Digests of room passwords follow from `key`.
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { key, last_handle: 0, held: None }
    }

    pub(super) fn seal<'a>(&mut self, packet: ClientPacket<'a>) -> ClientPacket<'a, Sealed> {
        let is_login = matches!(packet, ClientPacket::LoginRequest { .. });
        packet.seal(|Secret(secret)| {
            if !is_login {
                return password_digest(self.key, secret);
            }
            self.last_handle += 1;
            let handle = Sealed(self.last_handle.to_be_bytes());
            self.held = Some((handle, secret.to_vec()));
            handle
        })
    }

    /// The secret behind a handle, once.
    pub(super) fn take(&mut self, handle: Sealed) -> Option<Vec<u8>> {
        self.held.take_if(|(held, _)| *held == handle).map(|(_, secret)| secret)
    }

    /// Forgets a secret that the engine did not ask for.
    pub(super) fn forget(&mut self) {
        self.held = None;
    }
}
