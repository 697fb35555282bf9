//! Two users who talk in a room while something happens to others, and who must not notice.

use lobbyd_core::packet::ServerPacket;

use super::{Daemon, Wire, say};

/// Two members of one room. What they hear is compared in full, numbers included, so that whatever else reaches them,
/// or keeps one of their messages from them, fails the test.
pub(crate) struct Pair {
    speaker: Wire,
    listener: Wire,
    room: u32,
    sequence: u64,
}

impl Pair {
    /// Logs both in and has them enter a room in which nobody is.
    #[track_caller]
    pub(crate) fn in_room(daemon: &Daemon, names: [&str; 2], room: u32) -> Self {
        let [mut speaker, mut listener] = names.map(|name| {
            let mut wire = daemon.log_in(name);
            wire.answers_pings = true;
            wire
        });
        speaker.enter(room);
        let (entered, users) = listener.enter(room);
        assert_eq!(users, [speaker.user(), listener.user()]);
        speaker.expect(say::new_user(room, entered.sequence, &listener.user()));
        Self { speaker, listener, room, sequence: entered.sequence }
    }

    /// One says something and the other hears it, and nothing has come to either since the last time.
    #[track_caller]
    pub(crate) fn talk(&mut self) {
        self.sequence += 1;
        let text = format!("message {}", self.sequence);
        self.speaker.say(say::chat(3, self.room, &text));
        self.speaker.expect(say::chatted(3, self.room, self.sequence));
        self.listener.expect(say::heard(self.room, self.sequence, &self.speaker.user(), &text));
        std::mem::swap(&mut self.speaker, &mut self.listener);
    }

    /// One of the two.
    pub(crate) fn member(&mut self, name: &str) -> &mut Wire {
        if self.speaker.name == name { &mut self.speaker } else { &mut self.listener }
    }

    /// The next change in the room, which both hear.
    #[track_caller]
    pub(crate) fn expect(&mut self, packet: impl Fn(u64) -> ServerPacket) {
        self.sequence += 1;
        self.speaker.expect(packet(self.sequence));
        self.listener.expect(packet(self.sequence));
    }
}
