//! Which packets middleware is called for: what it does not care for costs it nothing.

use std::sync::Arc;

use lobbyd_core::packet::{ClientPacket, Sealed};
use lobbyd_core::text::RawText;

use super::Packet;
use super::words::Words;

/// A kind of packet that clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// The first packet of a client.
    Hello,
    /// A client asks for a sign of life.
    Ping,
    /// A client gives one.
    Pong,
    /// Somebody logs in.
    LoginRequest,
    /// Somebody logs out.
    LogoutRequest,
    /// A page of the directory.
    RoomListRequest,
    /// A new room.
    RoomCreateRequest,
    /// Into a room.
    RoomEnterRequest,
    /// Out of it.
    RoomLeaveRequest,
    /// A message to the room.
    RoomChatRequest,
    /// A message to one user.
    DirectMessageRequest,
    /// Somebody is to leave the room.
    KickRequest,
    /// A command of an extension.
    CustomCommand,
}

impl PacketKind {
    /// All of them, each at its number on the wire.
    pub const ALL: &'static [Self] = &[
        Self::Hello,
        Self::Ping,
        Self::Pong,
        Self::LoginRequest,
        Self::LogoutRequest,
        Self::RoomListRequest,
        Self::RoomCreateRequest,
        Self::RoomEnterRequest,
        Self::RoomLeaveRequest,
        Self::RoomChatRequest,
        Self::DirectMessageRequest,
        Self::KickRequest,
        Self::CustomCommand,
    ];

    /// The kind of a packet.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Self {
        Self::ALL[usize::from(packet.number())]
    }

    /// Its name, as [`ClientPacket::name`] has it: `RoomChatRequest`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ClientPacket::<'static, Sealed>::NAMES[self.place()]
    }

    /// Its number on the wire, for tables.
    pub(super) const fn place(self) -> usize {
        self as usize
    }
}

/// How many kinds there are.
pub(super) const KINDS: usize = PacketKind::ALL.len();

/// For which packets middleware is called before the engine, and for which after it.
///
/// ```
/// use lobbyd_net::extension::middleware::{Interest, PacketKind};
///
/// // Looks at what users say, and does not ask what came of it.
/// let talk = Interest::nothing().before(&[PacketKind::RoomChatRequest, PacketKind::DirectMessageRequest]);
/// assert_ne!(talk, Interest::everything());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    before: Kinds,
    after: Kinds,
    words: Option<Arc<Words>>,
}

impl Interest {
    /// Every packet, before and after.
    #[must_use]
    pub fn everything() -> Self {
        Self::nothing().before(PacketKind::ALL).after(PacketKind::ALL)
    }

    /// No packet at all.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { before: Kinds(0), after: Kinds(0), words: None }
    }

    /// Packets of these kinds too, on their way to the engine.
    #[must_use]
    pub fn before(mut self, kinds: &[PacketKind]) -> Self {
        self.before.add(kinds);
        self
    }

    /// Packets of these kinds too, when the engine is through with them.
    #[must_use]
    pub fn after(mut self, kinds: &[PacketKind]) -> Self {
        self.after.add(kinds);
        self
    }

    /// Of messages and room titles on their way to the engine, only those with one of these words. A word is a run of
    /// letters and digits, and is compared as a whole and without case.
    ///
    /// The chain looks for the words of all its pieces at once, so that a text without any costs little however many they
    /// are. It looks but quickly: middleware is called for every text with a word of its own, and for some without, such
    /// as those with a word of another piece, or with anything beyond ASCII if some piece has that in its words. A word
    /// with anything but letters and digits in it is in no text. Of two lists the last one holds.
    ///
    /// ```
    /// use lobbyd_net::extension::middleware::{Interest, PacketKind};
    ///
    /// // Answers who calls for help, and is not asked about all the other messages.
    /// let calls = Interest::nothing().before(&[PacketKind::RoomChatRequest]).only_with_words(["help", "moderator"]);
    /// ```
    #[must_use]
    pub fn only_with_words(self, words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.only_with(Arc::new(Words::new(words)))
    }

    /// The same, with a list that somebody else has too.
    pub(super) fn only_with(self, words: Arc<Words>) -> Self {
        Self { words: Some(words), ..self }
    }

    /// Whether it is to be called for packets of that number before the engine.
    pub(super) fn is_before(&self, number: usize) -> bool {
        self.before.has(number)
    }

    /// Whether it is to be called for packets of that number after the engine.
    pub(super) fn is_after(&self, number: usize) -> bool {
        self.after.has(number)
    }

    /// What has to be in a text, if it is not to be called for every one.
    pub(super) fn words(&self) -> Option<&Words> {
        self.words.as_deref()
    }
}

/// What the packet says to others: a message, or the title of a room.
pub(super) fn said<'p>(packet: &Packet<'p>) -> Option<RawText<'p>> {
    match *packet {
        ClientPacket::RoomChatRequest { text, .. } | ClientPacket::DirectMessageRequest { text, .. } => Some(text),
        ClientPacket::RoomCreateRequest { title, .. } => Some(title),
        ClientPacket::Hello { .. }
        | ClientPacket::Ping { .. }
        | ClientPacket::Pong { .. }
        | ClientPacket::LoginRequest { .. }
        | ClientPacket::LogoutRequest { .. }
        | ClientPacket::RoomListRequest { .. }
        | ClientPacket::RoomEnterRequest { .. }
        | ClientPacket::RoomLeaveRequest { .. }
        | ClientPacket::KickRequest { .. }
        | ClientPacket::CustomCommand { .. } => None,
    }
}

/// A bit for each kind, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds(u32);

impl Kinds {
    fn add(&mut self, kinds: &[PacketKind]) {
        self.0 = kinds.iter().fold(self.0, |bits, kind| bits | 1 << kind.place());
    }

    fn has(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_packets_in_their_order() {
        let names: Vec<_> = PacketKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, ClientPacket::<'static, Sealed>::NAMES);
        assert!(PacketKind::ALL.iter().all(|kind| format!("{kind:?}") == kind.name()));
        assert_eq!(PacketKind::of(&ClientPacket::Pong { nonce: 1 }), PacketKind::Pong);
    }

    #[test]
    fn interest_is_what_was_named() {
        let interest = Interest::nothing().before(&[PacketKind::Ping]).after(&[PacketKind::CustomCommand]);
        let before: Vec<_> = (0..13).filter(|number| interest.is_before(*number)).collect();
        let after: Vec<_> = (0..13).filter(|number| interest.is_after(*number)).collect();
        assert_eq!((before, after), (vec![1], vec![12]));
        assert!((0..13).all(|number| Interest::everything().is_before(number)));
        assert!((0..13).all(|number| Interest::everything().is_after(number)));
    }
}
