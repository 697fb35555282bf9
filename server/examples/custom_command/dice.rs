//! Dice: `dice` throws some for everybody in the room to see, `dice.total` says how many have been thrown.

use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, RegisterError, Reply};
use lobbyd_net::extension::Extensions;

/// Adds the dice to a server, or to a simulated one.
pub(crate) fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
    extensions.command("dice", Dice::default())?;
    Ok(())
}

/// Throws dice, and counts them.
#[derive(Clone, Default)]
struct Dice {
    thrown: u64,
}

impl CommandHandler for Dice {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        match command.name.as_str() {
            "dice" => self.throw(context, command),
            "dice.total" => Ok(context.reply(Reply::success(self.thrown.to_string().as_bytes()))?),
            _ => Ok(context.reply(Reply::failure("there is dice and dice.total"))?),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.thrown.to_le_bytes());
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        let thrown = state.try_into().map_err(|_| format!("a count has 8 bytes, not {}", state.len()))?;
        self.thrown = u64::from_le_bytes(thrown);
        Ok(())
    }
}

impl Dice {
    fn throw(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        // Whatever a client sends is possible here, and a wrong request is no failure of this handler.
        let Some((count, sides)) = parse(command.parameters) else {
            return Ok(context.reply(Reply::failure("say how many dice of how many sides, such as 2d6"))?);
        };
        // The only randomness that can be simulated and replayed.
        let eyes: Vec<u64> = (0..count).map(|_| 1 + context.random_below(sides)).collect();
        let words: Vec<String> = eyes.iter().map(u64::to_string).collect();
        let result = format!("{} = {}", words.join(" + "), eyes.iter().sum::<u64>());

        context.reply(Reply::success(result.as_bytes()))?;
        let user = context.user(command.session).ok_or_else(|| Failure::new("only users send commands"))?;
        if let Some(room) = user.room() {
            context.notify_room(room, format!("{} throws {result}", user.name()).as_bytes())?;
        }
        // Last, since what is done before an error is undone by the server, but not in this handler's own fields.
        self.thrown += count;
        Ok(())
    }
}

/// How many dice, and how many sides they have: at most 20 of 1000.
fn parse(parameters: &[u8]) -> Option<(u64, u64)> {
    let (count, sides) = std::str::from_utf8(parameters).ok()?.split_once('d')?;
    let (count, sides) = (count.parse().ok()?, sides.parse().ok()?);
    ((1..=20).contains(&count) && (2..=1000).contains(&sides)).then_some((count, sides))
}
