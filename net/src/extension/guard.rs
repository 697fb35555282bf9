//! The guard around a handler: a panic ends the extension, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure};
use lobbyd_core::id::CallTicket;
use lobbyd_core::input::ServiceError;
use tracing::{error, warn};

use super::figures::{End, Figures};
use super::panic_message;

/// A call that takes longer than this is told in the log: everybody waits while it runs. What takes long is a service.
const STALL: Duration = Duration::from_millis(10);

/// A handler behind its guard.
///
/// At the first call in each second of the engine's time it takes a copy of the handler; a handler that panics is set
/// back to that copy, and is not called again before it is enabled. Copy and second are part of the state that is stored, so that a restored
/// engine does the same as the one that went on.
#[derive(Clone)]
pub(super) struct Guarded {
    name: CommandName,
    handler: Box<dyn CommandHandler>,
    copy: Box<dyn CommandHandler>,
    /// The second, by the engine's time, in which the copy was taken.
    copied_in: u64,
    is_broken: bool,
    figures: Figures,
}

impl Guarded {
    pub(super) fn new(name: CommandName, handler: Box<dyn CommandHandler>, figures: Figures) -> Self {
        Self { name, copy: handler.clone(), handler, copied_in: 0, is_broken: false, figures }
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut dyn CommandHandler, &mut Context<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.is_broken {
            return Err(Failure::panicked("it panicked before"));
        }
        let started = tokio::time::Instant::now();
        let second = context.now().as_nanos() / 1_000_000_000;
        // Nothing broken is seen after a panic: the copy takes the handler's place, and the engine drops what was done.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if second != self.copied_in {
                self.copy = self.handler.clone();
                self.copied_in = second;
            }
            work(self.handler.as_mut(), context)
        }));
        let spent = started.elapsed();
        let is_stall = spent > STALL;
        if is_stall {
            let milliseconds = spent.as_millis();
            warn!(extension = %self.name, milliseconds, "an extension kept everybody waiting; slow work belongs in a service");
        }
        let end = match &result {
            Ok(Ok(())) => End::Done,
            Ok(Err(_)) => End::Failed,
            Err(_) => End::Panicked,
        };
        self.figures.count(spent, is_stall, end);
        result.unwrap_or_else(|payload| {
            std::mem::swap(&mut self.handler, &mut self.copy);
            self.is_broken = true;
            Err(Failure::panicked(panic_message(payload.as_ref())))
        })
    }
}

impl CommandHandler for Guarded {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        self.call(context, |handler, context| handler.command(context, command))
    }

    fn event(&mut self, context: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        if event == Event::Enabled {
            self.mend();
        }
        self.call(context, |handler, context| handler.event(context, event))
    }

    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        self.call(context, |handler, context| handler.deadline(context, key))
    }

    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        result: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        self.call(context, |handler, context| handler.service_reply(context, ticket, result))
    }

    /// The second, whether it is broken, the length of the handler's state, that state, and the copy's.
    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.copied_in.to_le_bytes());
        out.push(self.is_broken.into());
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        self.save_one(self.handler.as_ref(), out);
        let length = (out.len() - length_at - 8) as u64;
        out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
        // The copy of a broken one is what broke: nobody will look at it again.
        if !self.is_broken {
            self.save_one(self.copy.as_ref(), out);
        }
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        let damaged = || "what the guard has stored around it is damaged".to_owned();
        let (second, rest) = state.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (is_broken, rest) = rest.split_first_chunk::<1>().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (handler, copy) = rest.split_at_checked(length).ok_or_else(damaged)?;
        self.copied_in = u64::from_le_bytes(*second);
        self.is_broken = match is_broken {
            [0] => false,
            [1] if copy.is_empty() => true,
            _ => return Err(damaged()),
        };
        load_one(self.handler.as_mut(), handler)?;
        if self.is_broken { Ok(()) } else { load_one(self.copy.as_mut(), copy) }
    }
}

impl Guarded {
    /// A handler that was broken is to be called again, as its last copy has it.
    fn mend(&mut self) {
        if !self.is_broken {
            return;
        }
        // What broke is in the place of the copy. A handler whose state cannot be copied stays broken.
        match catch_unwind(AssertUnwindSafe(|| self.handler.clone())) {
            Ok(copy) => {
                self.copy = copy;
                self.is_broken = false;
            }
            Err(payload) => {
                let reason = panic_message(payload.as_ref());
                error!(extension = %self.name, reason, "an extension panicked in being copied, and cannot be enabled");
            }
        }
    }

    fn save_one(&self, handler: &dyn CommandHandler, out: &mut Vec<u8>) {
        let length = out.len();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| handler.save(out))) {
            out.truncate(length);
            let reason = panic_message(payload.as_ref());
            error!(extension = %self.name, reason, "an extension panicked in saving its state; nothing of it is saved");
        }
    }
}

fn load_one(handler: &mut dyn CommandHandler, state: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| handler.load(state)))
        .unwrap_or_else(|payload| Err(format!("it panicked: {}", panic_message(payload.as_ref()))))
}
