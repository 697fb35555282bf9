//! What an engine has said in one step, read action by action beside what was expected.

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::id::SessionId;
use lobbyd_core::packet::{CloseReason, ServerPacket};

/// An engine did something else than the model expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected} was expected, and {came} came")]
pub struct Mismatch {
    /// What the model expected.
    pub expected: String,
    /// What came instead.
    pub came: String,
}

impl Mismatch {
    pub(super) fn new(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { expected: expected.into(), came: came.into() }
    }
}

/// The actions of one step and how far they have been read.
pub(super) struct Told<'a> {
    actions: &'a Actions,
    read: usize,
}

impl<'a> Told<'a> {
    pub(super) fn new(actions: &'a Actions) -> Self {
        Self { actions, read: 0 }
    }

    /// The action that comes next.
    pub(super) fn next(&self) -> Option<&'a Action> {
        self.actions.get(self.read)
    }

    /// The packet that the next action sends to one session.
    pub(super) fn next_sent(&self) -> Option<(SessionId, &'a ServerPacket)> {
        if let Some(Action::Send { to, packet }) = self.next() { Some((*to, packet)) } else { None }
    }

    /// The reason for which one of the actions to come closes this session.
    pub(super) fn reason_to_come(&self, of: SessionId) -> Option<CloseReason> {
        self.actions.iter().skip(self.read).find_map(|action| match action {
            Action::Close { session, reason } if *session == of => Some(*reason),
            Action::Send { .. }
            | Action::Broadcast { .. }
            | Action::Close { .. }
            | Action::VerifyLogin { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => None,
        })
    }

    /// Reads this action.
    pub(super) fn does(&mut self, expected: &Action) -> Result<(), Mismatch> {
        if self.next() != Some(expected) {
            return Err(self.mismatch(format!("{expected:?}")));
        }
        self.read += 1;
        Ok(())
    }

    /// Reads a packet to one session.
    pub(super) fn sends(&mut self, to: SessionId, packet: ServerPacket) -> Result<(), Mismatch> {
        self.does(&Action::Send { to, packet })
    }

    /// Reads a packet to many sessions, in this order; to nobody is no action.
    pub(super) fn broadcasts(
        &mut self,
        to: impl Iterator<Item = SessionId> + Clone,
        packet: &ServerPacket,
    ) -> Result<(), Mismatch> {
        if to.clone().next().is_none() {
            return Ok(());
        }
        match self.next() {
            Some(Action::Broadcast { to: came, packet: found })
                if found == packet && self.actions.recipients(*came).iter().copied().eq(to.clone()) =>
            {
                self.read += 1;
                Ok(())
            }
            _ => Err(self.mismatch(format!("{packet:?} to {:?}", to.collect::<Vec<_>>()))),
        }
    }

    /// Nothing is left to read.
    pub(super) fn ends(&self) -> Result<(), Mismatch> {
        if self.next().is_none() { Ok(()) } else { Err(self.mismatch("nothing more")) }
    }

    /// Something else than what comes next was expected.
    pub(super) fn mismatch(&self, expected: impl Into<String>) -> Mismatch {
        let came = match self.next() {
            None => "nothing more".to_owned(),
            Some(Action::Broadcast { to, packet }) => format!("{packet:?} to {:?}", self.actions.recipients(*to)),
            Some(action) => format!("{action:?}"),
        };
        Mismatch::new(expected, came)
    }
}
