//! Services that the operator asks by a handle. Extensions, which ask them too, the model does not know.

use std::time::Duration;

use lobbyd_core::action::Action;
use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::extension::REQUEST_BYTES_MAX;
use lobbyd_core::id::{AskId, CallTicket};
use lobbyd_core::input::ServiceError;
use lobbyd_core::time::Instant;

use super::Model;
use super::told::{Mismatch, Told};

/// A question that a service has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    ticket: CallTicket,
    ask: AskId,
    /// When its answer comes too late.
    pub(super) answer_by: Instant,
}

impl Model {
    /// The operator asks, and has one answer for sure.
    pub(super) fn asks_service(
        &mut self,
        ask: AskId,
        service: CommandName,
        request: RawBytes<'_>,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        if request.0.len() > REQUEST_BYTES_MAX {
            return told.does(&Action::ServiceAnswer { ask, result: Err(ServiceError::TooLong) });
        }
        if self.calls.len() >= self.config.service_calls_max as usize {
            return told.does(&Action::ServiceAnswer { ask, result: Err(ServiceError::Busy) });
        }
        self.calls_made += 1;
        let (ticket, answer_by) = (CallTicket(self.calls_made), self.now + self.config.service_timeout);
        self.calls.push(Call { ticket, ask, answer_by });
        self.wakes_at(answer_by);
        told.does(&Action::CallService { ticket, service, request: Data::new(request.0) })
    }

    /// A service answers, perhaps what nobody waits for any more.
    pub(super) fn hears_service(
        &mut self,
        ticket: CallTicket,
        result: &Result<Data, ServiceError>,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        match self.calls.iter().position(|call| call.ticket == ticket) {
            Some(place) => {
                let Call { ask, .. } = self.calls.remove(place);
                told.does(&Action::ServiceAnswer { ask, result: result.clone() })
            }
            None => Ok(()),
        }
    }

    /// Takes up the next question whose time is over, if there is one that the next action can be about.
    pub(super) fn misses_answer(&mut self, told: &mut Told<'_>) -> Result<bool, Mismatch> {
        let next = match told.next() {
            Some(Action::ServiceAnswer { ask, .. }) => Some(*ask),
            _ => None,
        };
        let is_it = |call: &Call| call.answer_by <= self.now && (told.is_by_model() || next == Some(call.ask));
        let Some(place) = self.calls.iter().position(is_it) else { return Ok(false) };
        let Call { ask, .. } = self.calls.remove(place);
        told.does(&Action::ServiceAnswer { ask, result: Err(ServiceError::TimedOut) })?;
        Ok(true)
    }

    /// A question whose time is over.
    pub(super) fn overdue_call(&self) -> Option<&Call> {
        self.calls.iter().find(|call| call.answer_by <= self.now)
    }

    /// Whoever answers did not run either.
    pub(super) fn puts_off_calls(&mut self, gap: Duration) {
        for call in &mut self.calls {
            call.answer_by = call.answer_by + gap;
        }
    }
}
