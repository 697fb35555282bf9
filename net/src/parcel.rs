//! Parcels: what the holder of the engine has decided about another I/O thread's connections, in one piece.
//!
//! A frame is in it once, whoever gets it, with the names of its recipients. A name has the generation of its slot, so
//! that nobody gets what was meant for whoever had the slot before.

use std::sync::Arc;

use lobbyd_core::action::Presence;
use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::id::{AskId, CallTicket, SessionId, Ticket};
use lobbyd_core::input::ServiceError;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, User};
use lobbyd_core::time::Instant;

use crate::place::Places;
use crate::stores::SecretBytes;

/// What one thread is told by another: in the order in which the engine decided it.
#[derive(Default)]
pub(crate) struct Parcel {
    items: Vec<Item>,
    /// Those of the frames, one frame's behind another's.
    recipients: Vec<SessionId>,
    /// How many of them belong to frames that are in it already.
    addressed: usize,
    bytes: Vec<u8>,
    affairs: Vec<Affair>,
}

enum Item {
    /// For so many recipients, the next so many bytes.
    Frame {
        recipients: u32,
        bytes: u32,
        frame: FrameKind,
    },
    Notice(Notice),
}

/// What is to be known of a frame beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameKind {
    /// The packet's number, for those who count.
    pub(crate) packet: u8,
    pub(crate) role: Role,
}

/// What a frame means to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Usual,
    /// It says why the session is closed.
    Farewell,
    /// The client will answer it with that number.
    Ping { nonce: u64, at: Instant },
}

/// What is done to a connection beside sending.
pub(crate) enum Notice {
    /// The session is over.
    Close { session: SessionId, reason: CloseReason },
    /// This user has logged in.
    Online { session: SessionId, user: Option<Arc<User>> },
    /// It has come over from another thread, and waits in the corridor (`corridor.rs`).
    Arrived { session: SessionId },
}

/// What only the home of a node sees to.
pub(crate) enum Affair {
    /// A login is to be decided.
    VerifyLogin { ticket: Ticket, user: UserName, secret: SecretBytes, presence: Presence },
    /// Nobody waits for a verdict about that session any more.
    LoginOver { session: SessionId },
    /// A lease goes back.
    ReleasePresence { ticket: Ticket, user: UserName },
    /// A service is asked.
    CallService { ticket: CallTicket, service: CommandName, request: Data },
    /// A handle has its answer.
    Answer { ask: AskId, result: Result<u32, Code> },
    /// A handle has a service's answer.
    ServiceAnswer { ask: AskId, result: Result<Data, ServiceError> },
}

/// One thing out of a parcel.
pub(crate) enum Unpacked<'p> {
    /// Goes to all of these.
    Frame { to: &'p [SessionId], bytes: &'p [u8], kind: FrameKind },
    /// Is done to one.
    Notice(Notice),
}

/// A parcel that has grown beyond this is not kept.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl Parcel {
    /// One more recipient of the frame that is put in next.
    #[inline]
    pub(crate) fn address(&mut self, to: SessionId) {
        self.recipients.push(to);
    }

    /// A frame for those who were addressed since the last one.
    pub(crate) fn put_frame(&mut self, bytes: &[u8], frame: FrameKind) {
        let length = |length: usize| u32::try_from(length).expect("a turn gives less than 2^32 of anything");
        let recipients = length(self.recipients.len() - self.addressed);
        self.addressed = self.recipients.len();
        self.bytes.extend_from_slice(bytes);
        self.items.push(Item::Frame { recipients, bytes: length(bytes.len()), frame });
    }

    pub(crate) fn put_notice(&mut self, notice: Notice) {
        self.items.push(Item::Notice(notice));
    }

    pub(crate) fn put_affair(&mut self, affair: Affair) {
        self.affairs.push(affair);
    }

    /// How many bytes of frames and their addresses are in it. What else there may be is rare, and has a bound of its own.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(self.recipients.as_slice())
    }

    /// Takes everything out of it: what concerns connections, one by one, and then the affairs.
    pub(crate) fn unpack(&mut self, mut connections: impl FnMut(Unpacked<'_>), affairs: impl FnMut(Affair)) {
        let (mut to, mut bytes) = (self.recipients.as_slice(), self.bytes.as_slice());
        for item in self.items.drain(..) {
            connections(match item {
                Item::Frame { recipients, bytes: length, frame: kind } => {
                    let (these, others) = to.split_at(recipients as usize);
                    let (frame, rest) = bytes.split_at(length as usize);
                    (to, bytes) = (others, rest);
                    Unpacked::Frame { to: these, bytes: frame, kind }
                }
                Item::Notice(notice) => Unpacked::Notice(notice),
            });
        }
        self.affairs.drain(..).for_each(affairs);
        if self.bytes() > KEPT_BYTES_MAX {
            *self = Self::default();
        } else {
            self.bytes.clear();
            self.recipients.clear();
            self.addressed = 0;
        }
    }
}

/// The parcels that the holder of the engine packs, one for each thread; its own stays empty.
pub(crate) struct Outgoing {
    parcels: Vec<Parcel>,
    /// A bit for each that has something in it.
    filled: u64,
    /// Which of them is for whom.
    places: Places,
}

impl Outgoing {
    /// For so many threads, at most 64.
    pub(crate) fn new(threads: usize) -> Self {
        assert!(threads <= u64::BITS as usize, "a word has a bit for each thread");
        let parcels = (0..threads).map(|_| Parcel::default()).collect();
        Self { parcels, filled: 0, places: Places::new(threads) }
    }

    /// The thread on which that session's connection is, or the last one on which it was.
    #[inline]
    pub(crate) fn thread_of(&self, session: SessionId) -> usize {
        self.places.thread_of(session)
    }

    /// It is on that thread from now on.
    pub(crate) fn settle(&mut self, session: SessionId, thread: usize) {
        self.places.settle(session, thread);
    }

    /// Whether there is nobody to send any to.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.parcels.len() == 1
    }

    /// The parcel for that thread, in which something is about to be put.
    #[inline]
    pub(crate) fn to(&mut self, thread: usize) -> &mut Parcel {
        self.filled |= 1 << thread;
        &mut self.parcels[thread]
    }

    /// Gives every parcel that has something in it, with the thread that it is for and its bytes, in exchange for an empty
    /// one.
    pub(crate) fn unload(&mut self, mut give: impl FnMut(usize, &mut Parcel, usize)) {
        let mut left = std::mem::take(&mut self.filled);
        while left != 0 {
            let thread = left.trailing_zeros() as usize;
            let parcel = &mut self.parcels[thread];
            let bytes = parcel.bytes();
            give(thread, parcel, bytes);
            left &= left - 1;
        }
    }

    /// Puts a frame into the parcels of those threads for which it was addressed: a bit for each.
    pub(crate) fn put_frame(&mut self, threads: u64, bytes: &[u8], kind: FrameKind) {
        let mut left = threads;
        while left != 0 {
            self.parcels[left.trailing_zeros() as usize].put_frame(bytes, kind);
            left &= left - 1;
        }
    }
}
