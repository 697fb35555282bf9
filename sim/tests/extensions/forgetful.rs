//! An extension that may leave out what it should store.

use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Reply};

/// Counts its commands, and answers how many there were.
#[derive(Clone)]
pub(crate) struct Forgetful {
    pub(crate) count: u8,
    /// Beyond so many commands it fails.
    pub(crate) count_max: u8,
    /// Whether the count is stored.
    pub(crate) stores: bool,
}

impl CommandHandler for Forgetful {
    fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        self.count += 1;
        if self.count > self.count_max {
            return Err(Failure::new("that is enough"));
        }
        Ok(context.reply(Reply::success(self.count.to_string().as_bytes()))?)
    }

    fn save(&self, out: &mut Vec<u8>) {
        if self.stores {
            out.push(self.count);
        }
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        self.count = state.first().copied().unwrap_or(0);
        Ok(())
    }
}
