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

/// The actions of one step: those of an engine and how far they have been read, or those that the model makes itself.
pub(super) struct Told<'a> {
    source: Source<'a>,
}

enum Source<'a> {
    /// An engine's, and how many of them have been read.
    Engine { actions: &'a Actions, read: usize },
    /// The model's own so far, and what it leaves to chance.
    Model { actions: Vec<Action>, chance: &'a mut dyn FnMut() -> u64 },
}

impl<'a> Told<'a> {
    /// What an engine has told.
    pub(super) fn new(actions: &'a Actions) -> Self {
        Self { source: Source::Engine { actions, read: 0 } }
    }

    /// Nothing yet: whatever is expected is what the model tells.
    pub(super) fn by_model(chance: &'a mut dyn FnMut() -> u64) -> Self {
        Self { source: Source::Model { actions: Vec::new(), chance } }
    }

    /// What the model has told.
    pub(super) fn into_actions(self) -> Vec<Action> {
        match self.source {
            Source::Engine { .. } => Vec::new(),
            Source::Model { actions, .. } => actions,
        }
    }

    /// A number that the model is free to choose; none where an engine has chosen.
    pub(super) fn choice(&mut self) -> Option<u64> {
        match &mut self.source {
            Source::Engine { .. } => None,
            Source::Model { chance, .. } => Some(chance()),
        }
    }

    /// Whether the model tells.
    pub(super) fn is_by_model(&self) -> bool {
        matches!(self.source, Source::Model { .. })
    }

    /// The engine's action that comes next.
    pub(super) fn next(&self) -> Option<&'a Action> {
        match self.source {
            Source::Engine { actions, read } => actions.get(read),
            Source::Model { .. } => None,
        }
    }

    /// The packet that the next action sends to one session.
    pub(super) fn next_sent(&self) -> Option<(SessionId, &'a ServerPacket)> {
        if let Some(Action::Send { to, packet }) = self.next() { Some((*to, packet)) } else { None }
    }

    /// The reason for which one of the actions to come closes this session.
    pub(super) fn reason_to_come(&self, of: SessionId) -> Option<CloseReason> {
        let Source::Engine { actions, read } = self.source else { return None };
        actions.iter().skip(read).find_map(|action| match action {
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

    /// Reads this action, or tells it.
    pub(super) fn does(&mut self, expected: &Action) -> Result<(), Mismatch> {
        match &mut self.source {
            Source::Model { actions, .. } => {
                actions.push(expected.clone());
                Ok(())
            }
            Source::Engine { actions, read } if actions.get(*read) == Some(expected) => {
                *read += 1;
                Ok(())
            }
            Source::Engine { .. } => Err(self.mismatch(format!("{expected:?}"))),
        }
    }

    /// Reads or tells a packet to one session.
    pub(super) fn sends(&mut self, to: SessionId, packet: ServerPacket) -> Result<(), Mismatch> {
        self.does(&Action::Send { to, packet })
    }

    /// Reads or tells a packet to many sessions, in this order; to nobody is no action.
    pub(super) fn broadcasts(
        &mut self,
        to: impl Iterator<Item = SessionId> + Clone,
        packet: &ServerPacket,
    ) -> Result<(), Mismatch> {
        if to.clone().next().is_none() {
            return Ok(());
        }
        match &mut self.source {
            // Whom a broadcast goes to only an engine can say in one action.
            Source::Model { actions, .. } => {
                actions.extend(to.map(|to| Action::Send { to, packet: packet.clone() }));
                Ok(())
            }
            Source::Engine { actions, read } => match actions.get(*read) {
                Some(Action::Broadcast { to: came, packet: found })
                    if found == packet && actions.recipients(*came).iter().copied().eq(to.clone()) =>
                {
                    *read += 1;
                    Ok(())
                }
                _ => Err(self.mismatch(format!("{packet:?} to {:?}", to.collect::<Vec<_>>()))),
            },
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
            Some(Action::Broadcast { to, packet }) if let Source::Engine { actions, .. } = self.source => {
                format!("{packet:?} to {:?}", actions.recipients(*to))
            }
            Some(action) => format!("{action:?}"),
        };
        Mismatch::new(expected, came)
    }
}
