//! How I/O threads hand each other what a turn has decided.

use std::mem;
use std::task::{Context, Poll};

use super::Hub;
use crate::commons::{Commons, Helm};
use crate::parcel::{FrameKind, Parcel, Role, Unpacked};
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// Does what other threads have decided about this one's connections. The task for that polls this, and is woken once
    /// for all mail that comes before it has looked.
    pub(crate) fn poll_mail(&mut self, context: &Context<'_>) -> Poll<()> {
        let commons = self.commons.clone();
        commons.desk(self.place.thread).mailbox.remember(context.waker());
        self.read_mail(&commons);
        // An outbox may have been full.
        self.take_own_turn();
        self.call_flusher();
        Poll::Pending
    }

    /// Puts what the turn has decided about others into their mailboxes. The engine is still held, so that nobody who
    /// takes it next can be ahead of this; whom that wakes is woken later, with the flusher.
    pub(super) fn hand_over(&mut self, helm: &mut Helm) {
        for (thread, parcel) in helm.outgoing.take_filled() {
            if let Some(task) = self.commons.desk(thread).mailbox.put(parcel) {
                self.sleepers.push(task);
            }
        }
    }

    /// Does everything that is in the mailbox.
    pub(super) fn read_mail(&mut self, commons: &Commons) {
        let mailbox = &commons.desk(self.place.thread).mailbox;
        if !mailbox.has_mail() {
            return;
        }
        let mut mail = mem::take(&mut self.mail);
        mailbox.take(&mut mail);
        mail.iter_mut().for_each(|parcel| self.unpack(parcel));
        self.mail = mail;
    }

    fn unpack(&mut self, parcel: &mut Parcel) {
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
