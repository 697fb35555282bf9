//! Marks: hard cases that a search must reach. A search that never was in one of them has proved less than it seems to.
//!
//! Most are told by what the scenario did and what arrived at the clients, on every layer; some only by what goes into
//! an engine and comes out of it, which the pure layer sees. Nothing in the server counts for them.

use std::fmt::{self, Write as _};

use lobbyd_core::packet::{CloseReason, Code};

use crate::scenario::packets::words_of;

macro_rules! marks {
    ($($(#[doc = $doc:literal])* $name:ident => $sentence:literal, $pure:literal;)*) => {
        /// A hard case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mark {
            $($(#[doc = $doc])* $name,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What happened.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }

            /// Whether only the pure layer can tell, or do, it.
            #[must_use]
            pub const fn is_pure_only(self) -> bool {
                match self {
                    $(Self::$name => $pure,)*
                }
            }
        }
    };
}

marks! {
    /// A login's verdict names a session that is gone.
    VerdictForClosedSession => "a login's verdict came for a session that was closed", true;
    /// A verdict that nobody waits for any more carries a lease.
    StaleLeaseReleased => "a verdict that nobody waited for brought a lease, which was given back", true;
    /// An outbox is over its limit while a broadcast to others, too, is being sent.
    SlowInBroadcast => "a slow consumer was closed in mid-broadcast", false;
    /// A process stood still for more than a heartbeat interval.
    Stalled => "a daemon's process stood still and noticed", true;
    /// A room had a place when an entrant asked, and none when it was its turn.
    RoomFilledWhileWaiting => "a room filled while an entrant's request was under way", false;
    /// Two logins of one user wait at the same time, and one is refused.
    RejectRace => "two logins of one user raced, and the second was refused", false;
    /// Two logins of one user wait at the same time, and one closes the other.
    NewestWinsRace => "two logins of one user raced, and the newest won", false;
    /// A daemon begins to drain while a login waits.
    DrainDuringLogin => "a daemon began to drain while a login waited", false;
    /// Redis comes back while a login waits that was asked for during its outage.
    RedisBackDuringLogin => "Redis came back while a login waited", false;
    /// A user is admitted elsewhere while online at a daemon that is cut off from Redis.
    LeaseExpiredInPartition => "a lease expired while its owner was cut off from Redis, and another took it", false;
    /// The owner of a room leaves it, and another member owns it then.
    OwnershipPassed => "the ownership of a room was passed on", false;
    /// A member is banned.
    Banned => "a member was banned", false;
    /// A member is kicked.
    Kicked => "a member was kicked", false;
    /// A user is superseded by a login at the same daemon.
    SupersededHere => "a login closed another at the same daemon", false;
    /// A user is superseded by a login at another daemon.
    SupersededAcross => "a login closed another at another daemon", false;
    /// A daemon crashes while users are online.
    CrashWhileOnline => "a daemon crashed with users online", false;
    /// A daemon tells everybody to go.
    GoneAway => "a draining daemon told a client to go away", false;
    /// A silent client is pinged.
    Pinged => "a silent client was pinged", false;
    /// A list of users comes in more than one part.
    ListInParts => "a list of users came in parts", false;
    /// A room number is used again for a new room.
    RoomAgain => "a room was created anew under a number that was used before", false;
    /// A direct message reaches more than one session of its user.
    DirectMessageToMany => "a direct message reached two sessions of one user", false;
    /// A service answers the operator.
    ServiceAnswered => "a service answered the operator", true;
    /// A service says to the operator that it has failed.
    ServiceFailed => "a service failed the operator", true;
    /// A service does not answer the operator in time.
    ServiceMissing => "a service did not answer the operator in time", true;
    /// A service answers after its time, when nobody waits any more.
    ServiceLate => "a service answered when nobody waited any more", true;
    /// Services have as many questions as they may.
    ServicesBusy => "a question was refused because services had enough of them", true;
    /// A connection is refused by nobody being there.
    ConnectRefused => "a connection was refused because no process was there", false;
}

/// How often each hard case was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    histories: Vec<u64>,
    refusals: Vec<u64>,
    closes: Vec<u64>,
}

impl Marks {
    /// Counts a case.
    pub fn reach(&mut self, mark: Mark) {
        count(&mut self.histories, mark as usize, 1);
    }

    /// Counts a request that was refused.
    pub fn refused(&mut self, code: Code) {
        count(&mut self.refusals, code as usize, 1);
    }

    /// Counts a connection that the server closed.
    pub fn closed(&mut self, reason: CloseReason) {
        count(&mut self.closes, reason as usize, 1);
    }

    /// How often a case was reached.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.histories.get(mark as usize).copied().unwrap_or(0)
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Self) {
        let add = |to: &mut Vec<u64>, from: &[u64]| {
            from.iter().enumerate().for_each(|(index, times)| count(to, index, *times));
        };
        add(&mut self.histories, &other.histories);
        add(&mut self.refusals, &other.refusals);
        add(&mut self.closes, &other.closes);
    }

    /// Every case that a layer can reach, in words, and how often it was reached: the histories, then every refusal,
    /// then every reason to close a connection.
    #[must_use]
    pub fn all(&self, is_pure: bool) -> Vec<(String, u64)> {
        let histories = Mark::ALL.iter().filter(|mark| is_pure || !mark.is_pure_only());
        let histories = histories.map(|mark| (mark.sentence().to_owned(), self.count(*mark)));
        let codes = words_of::<Code>().iter().enumerate();
        // A server that nobody extends never says the others.
        let codes = codes.filter(|(index, _)| !OF_EXTENSIONS.iter().any(|code| *code as usize == *index));
        let refusals = codes.map(|(index, code)| (format!("refused as {code}"), at(&self.refusals, index)));
        let reasons = words_of::<CloseReason>().iter().enumerate();
        // That the connection has ended is never told to the one whose it was.
        let reasons = reasons.filter(|(index, _)| *index != CloseReason::Disconnected as usize);
        let closes = reasons.map(|(index, reason)| (format!("closed as {reason}"), at(&self.closes, index)));
        histories.chain(refusals).chain(closes).collect()
    }

    /// The cases that were never reached, in words.
    #[must_use]
    pub fn unreached(&self, is_pure: bool) -> Vec<String> {
        self.all(is_pure).into_iter().filter(|(_, times)| *times == 0).map(|(case, _)| case).collect()
    }
}

impl fmt::Display for Marks {
    /// A line for each case that was reached.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (case, times) in self.all(true).into_iter().filter(|(_, times)| *times > 0) {
            writeln!(text, "{times:>9}  {case}")?;
        }
        f.write_str(&text)
    }
}

/// What only an extension refuses.
const OF_EXTENSIONS: [Code; 5] =
    [Code::CommandCancelled, Code::ExtensionFailed, Code::ExtensionBusy, Code::TextRefused, Code::OverBudget];

fn count(counts: &mut Vec<u64>, index: usize, times: u64) {
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts[index] += times;
}

fn at(counts: &[u64], index: usize) -> u64 {
    counts.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_counted_and_the_rest_is_named() {
        let (mut marks, mut more) = (Marks::default(), Marks::default());
        marks.reach(Mark::Banned);
        more.reach(Mark::Banned);
        more.refused(Code::BansFull);
        more.closed(CloseReason::Stopped);
        marks.add(&more);
        assert_eq!(
            marks.to_string(),
            "        2  a member was banned\n        1  refused as BansFull\n        1  closed as Stopped\n"
        );
        let unreached = marks.unreached(true);
        assert!(unreached.contains(&"a member was kicked".to_owned()));
        assert!(unreached.contains(&"refused as Flooding".to_owned()));
        assert!(!unreached.contains(&"closed as Stopped".to_owned()));
        assert!(!unreached.contains(&"closed as Disconnected".to_owned()));
        assert!(marks.unreached(false).len() < unreached.len());
    }
}
