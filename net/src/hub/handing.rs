//! How I/O threads hand each other what a turn has decided.

use std::mem;
use std::task::{Context, Poll};

use super::Hub;
use crate::parcel::{FrameKind, Parcel, Role, Unpacked};
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// Does what other threads have decided about this one's connections. The task for that polls this, and is woken once
    /// for all mail that comes before it has looked.
    pub(crate) fn poll_mail(&mut self, context: &Context<'_>) -> Poll<()> {
        self.commons.relay().mailbox(self.place.thread).remember(context.waker());
        self.read_mailbox();
        // What others have decided may be what a handle has asked.
        self.answered.wake();
        // An outbox may have been full.
        self.take_own_turn();
        self.call_flusher();
        Poll::Pending
    }

    /// Does what is in the mailbox, if anything is.
    pub(super) fn read_mailbox(&mut self) {
        if self.commons.relay().mailbox(self.place.thread).take(&mut self.mail) {
            self.read_mail();
        }
    }

    /// Does what the mail says that was taken.
    pub(super) fn read_mail(&mut self) {
        let mut mail = mem::take(&mut self.mail);
        mail.iter_mut().for_each(|parcel| self.unpack(parcel));
        self.mail = mail;
    }

    pub(super) fn unpack(&mut self, parcel: &mut Parcel) {
        self.parcels += 1;
        let mut affairs = Vec::new();
        parcel.unpack(
            |content| match content {
                Unpacked::Frame { to, bytes, kind } => {
                    let FrameKind { packet, role } = kind;
                    let recipients = match (role, to) {
                        (Role::Usual, to) => self.append_all(to, bytes),
                        (role, to) => to.iter().map(|to| u64::from(self.append(*to, bytes, role))).sum(),
                    };
                    self.appends += recipients;
                    self.sent(packet, bytes.len(), recipients);
                }
                Unpacked::Notice(notice) => self.obey(notice),
            },
            |affair| affairs.push(affair),
        );
        affairs.into_iter().for_each(|affair| self.see_to(affair));
    }
}
