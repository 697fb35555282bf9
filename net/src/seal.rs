//! Seals secrets on their way into the engine, so that it can compare and hand back what it must not know.

use lobbyd_core::packet::{ClientPacket, Sealed, Secret};
use siphasher::sip128::SipHasher24;

use crate::stores::SecretBytes;

/// Seals the secrets of one node.
pub(crate) struct Sealer {
    key: [u8; 16],
    last_handle: u128,
    /// The login secret of the packet that is being stepped. The engine asks for it in the same step, or never.
    held: Option<(Sealed, SecretBytes)>,
}

impl Sealer {
    /// Digests of room passwords follow from `key`, which is kept to the node. Each thread has a sealer, and handles that
    /// none of the others has.
    pub(crate) fn new(key: [u8; 16], thread: usize) -> Self {
        Self { key, last_handle: (thread as u128) << 64, held: None }
    }

    /// The packet as the engine may see it.
    pub(crate) fn seal<'a>(&mut self, packet: ClientPacket<'a, Secret<'a>>) -> ClientPacket<'a, Sealed> {
        let is_login = matches!(packet, ClientPacket::LoginRequest { .. });
        packet.seal(|Secret(secret)| if is_login { self.hold(secret) } else { password_digest(self.key, secret) })
    }

    fn hold(&mut self, secret: &[u8]) -> Sealed {
        self.last_handle += 1;
        let handle = Sealed(self.last_handle.to_be_bytes());
        self.held = Some((handle, SecretBytes::new(secret.to_vec())));
        handle
    }

    /// The secret behind a handle, once.
    pub(crate) fn take(&mut self, handle: Sealed) -> Option<SecretBytes> {
        self.held.take_if(|(held, _)| *held == handle).map(|(_, secret)| secret)
    }

    /// Wipes a secret that the engine did not ask for.
    pub(crate) fn wipe(&mut self) {
        self.held = None;
    }
}

/// What stands for a room's password inside an engine: SipHash-2-4 with 128 bits under the node's key. Without the key
/// nobody can try passwords against it.
#[must_use]
pub fn password_digest(key: [u8; 16], password: &[u8]) -> Sealed {
    Sealed(SipHasher24::new_with_key(&key).hash(password).as_bytes())
}

#[cfg(test)]
mod tests {
    use lobbyd_core::id::{RequestId, RoomNumber};

    use super::*;

    fn enter<'a>(password: &'a [u8]) -> ClientPacket<'a> {
        ClientPacket::RoomEnterRequest { request: RequestId(1), room: RoomNumber(1), password: Some(Secret(password)) }
    }

    fn login<'a>(secret: &'a [u8]) -> ClientPacket<'a> {
        ClientPacket::LoginRequest { request: RequestId(1), user: "alice".into(), secret: Secret(secret) }
    }

    fn handle(packet: ClientPacket<'_, Sealed>) -> Sealed {
        let ClientPacket::LoginRequest { secret, .. } = packet else {
            panic!("not a login: {packet:?}");
        };
        secret
    }

    #[test]
    fn equal_passwords_have_equal_seals_under_one_key_only() {
        let (mut one, mut other) = (Sealer::new([1; 16], 0), Sealer::new([2; 16], 0));
        assert_eq!(one.seal(enter(b"open")), one.seal(enter(b"open")));
        assert_ne!(one.seal(enter(b"open")), one.seal(enter(b"Open")));
        assert_ne!(one.seal(enter(b"open")), other.seal(enter(b"open")));
    }

    #[test]
    fn login_secret_is_handed_back_once_and_only_for_its_handle() {
        let mut sealer = Sealer::new([1; 16], 0);
        let first = handle(sealer.seal(login(b"one")));
        let second = handle(sealer.seal(login(b"one")));
        assert_ne!(first, second, "a handle says nothing about the secret");
        assert_eq!(sealer.take(first), None);
        assert_eq!(sealer.take(second).as_deref(), Some(&b"one".to_vec()));
        assert_eq!(sealer.take(second), None);
    }

    #[test]
    fn wiped_secret_is_gone() {
        let mut sealer = Sealer::new([1; 16], 0);
        let sealed = handle(sealer.seal(login(b"one")));
        sealer.wipe();
        assert_eq!(sealer.take(sealed), None);
    }
}
