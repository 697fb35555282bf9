//! What users carry: `inventory.list`, `inventory.take ITEM` and `inventory.drop ITEM`.
//!
//! The handler is part of the engine, so it must not wait. The service waits, beside it; its answer comes back as an
//! input, so that it is simulated and replayed like everything else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::extension::{
    Command, CommandHandler, Context, ContextError, Event, Failure, KeptCommand, RegisterError, Reply,
};
use lobbyd_core::id::CallTicket;
use lobbyd_core::input::ServiceError;
use lobbyd_core::name::UserName;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;
use serde::{Deserialize, Serialize};

/// Adds the inventory and its service to a server, or to a simulated one.
pub(crate) fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
    let handler = Inventory { asked: BTreeMap::new() };
    extensions.command("inventory", handler)?.service("items", Items::default())?;
    Ok(())
}

/// What the service is asked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Whose inventory.
    pub(crate) user: UserName,
    /// What is to be done to it.
    pub(crate) wish: Wish,
}

/// What a user wants.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// To see what is there.
    List,
    /// To have one more of it.
    Take(String),
    /// To have one less.
    Drop(String),
}

/// What the service answers: how many of what the user carries, or why that cannot be.
pub(crate) type Answer = Result<BTreeMap<String, u32>, String>;

/// Asks the service, and keeps the command until it has answered.
#[derive(Clone)]
struct Inventory {
    asked: BTreeMap<CallTicket, KeptCommand>,
}

impl CommandHandler for Inventory {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let user = context.user(command.session).ok_or_else(|| Failure::new("only users send commands"))?.name();
        let wish = match (command.name.as_str(), item(command.parameters)) {
            ("inventory.list", _) => Wish::List,
            ("inventory.take", Some(item)) => Wish::Take(item),
            ("inventory.drop", Some(item)) => Wish::Drop(item),
            ("inventory.take" | "inventory.drop", None) => {
                return Ok(context.reply(Reply::failure("an item is 1 to 32 letters of a to z"))?);
            }
            _ => {
                let commands = "there is inventory.list, inventory.take and inventory.drop";
                return Ok(context.reply(Reply::failure(commands))?);
            }
        };
        let question = serde_json::to_vec(&Question { user, wish }).map_err(|error| Failure::new(error.to_string()))?;
        let service: CommandName = "items".parse().map_err(|_| Failure::new("the service has a bad name"))?;
        // Over the limit of calls or of kept commands this is answered `ExtensionBusy`.
        let ticket = context.call_service(service, &question)?;
        let kept = context.keep()?;
        self.asked.insert(ticket, kept);
        Ok(())
    }

    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        result: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        let kept = self.asked.remove(&ticket).ok_or_else(|| Failure::new("an answer to no question"))?;
        // An answer that makes no sense is as good as none.
        let understood = |bytes| serde_json::from_slice::<Answer>(bytes).map_err(|_| ServiceError::Failed);
        let answer = result.and_then(understood);
        let reply = match &answer {
            // As it came: clients read the same words.
            Ok(Ok(_)) => Reply::success(result.unwrap_or_default()),
            Ok(Err(why)) => Reply::failure(why),
            // Not even whether it was done is known.
            Err(ServiceError::TimedOut) => Reply::failure("the inventory does not answer: look what you have, later"),
            Err(_) => Reply::failure("the inventory is out of reach: try again"),
        };
        match context.answer(kept, reply) {
            // Whoever asked may have gone, or have waited for too long.
            Ok(()) | Err(ContextError::NotWaiting) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn event(&mut self, _: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        if event == Event::Enabled {
            // After a panic: what was asked before it is answered by nobody.
            self.asked.clear();
        }
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) {
        let pairs: Vec<_> = self.asked.iter().collect();
        serde_json::to_writer(out, &pairs).expect("numbers can be written");
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        let pairs: Vec<_> = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        self.asked = pairs.into_iter().collect();
        Ok(())
    }
}

fn item(parameters: &[u8]) -> Option<String> {
    let is_item = (1..=32).contains(&parameters.len()) && parameters.iter().all(u8::is_ascii_lowercase);
    is_item.then(|| String::from_utf8_lossy(parameters).into_owned())
}

/// Where the items are. In a real game this would ask a database; here the way there is a little sleep.
#[derive(Default)]
struct Items {
    by_user: RefCell<BTreeMap<UserName, BTreeMap<String, u32>>>,
}

impl Service for Items {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        Box::pin(async move {
            let question: Question = serde_json::from_slice(request.as_bytes()).map_err(|_| ServiceError::Failed)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = serde_json::to_vec(&self.decide(question)).map_err(|_| ServiceError::Failed)?;
            Ok(answer.into())
        })
    }

    fn concurrent_max(&self) -> usize {
        // As many as the database takes.
        8
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl Items {
    fn decide(&self, question: Question) -> Answer {
        let mut by_user = self.by_user.borrow_mut();
        let items = by_user.entry(question.user).or_default();
        match question.wish {
            Wish::List => {}
            Wish::Take(item) => *items.entry(item).or_default() += 1,
            Wish::Drop(item) => {
                let count = items.get_mut(&item).ok_or_else(|| format!("you have no {item}"))?;
                *count -= 1;
                items.retain(|_, count| *count > 0);
            }
        }
        Ok(items.clone())
    }
}
