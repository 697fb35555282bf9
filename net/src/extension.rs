//! Extensions of a node: handlers of custom commands, services that do slow work for them, and middleware that every
//! packet passes. Who embeds the server fills an [`Extensions`]; a node, and every layer of the simulator, runs it.
//!
//! Architecture invariant: nothing in an extension ends the process. A handler runs inside the engine behind a guard, a
//! service in a task of its own behind another, middleware behind a third; what panics is caught, told in the log, and
//! not called again.

pub(crate) mod figures;
mod guard;
pub mod middleware;
pub mod service;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use lobbyd_core::Engine;
use lobbyd_core::command::CommandName;
use lobbyd_core::config::Config;
use lobbyd_core::engine::{RestoreError, Snapshot};
use lobbyd_core::extension::{CommandHandler, Handlers, RegisterError};
use lobbyd_core::time::Instant;

use self::figures::ExtensionFigures;
use self::guard::Guarded;
use self::middleware::{Chain, Middleware};
use self::service::{Service, Services};
use crate::buffers::Buffers;
use crate::journal::RecordedEngine;

/// What extends a node. Made anew for each node, since it holds their states.
///
/// ```
/// use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Reply};
/// use lobbyd_net::extension::Extensions;
/// use lobbyd_net::extension::middleware::WordFilter;
///
/// #[derive(Clone)]
/// struct Echo;
///
/// impl CommandHandler for Echo {
///     fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
///         Ok(context.reply(Reply::success(command.parameters))?)
///     }
/// }
///
/// # fn main() -> Result<(), lobbyd_core::extension::RegisterError> {
/// let mut extensions = Extensions::new();
/// extensions.command("echo", Echo)?.middleware(WordFilter::masking(["darn"]));
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Extensions {
    handlers: Handlers,
    services: BTreeMap<CommandName, Rc<dyn Service>>,
    middleware: Vec<Box<dyn Middleware>>,
    buffers: Buffers,
}

/// The parts of [`Extensions`] that are run beside the engine.
#[non_exhaustive]
pub struct Assembled {
    /// The engine, with its handlers behind guards.
    pub engine: RecordedEngine,
    /// What handlers may call.
    pub services: Services,
    /// What every packet passes.
    pub chain: Chain,
    pub(crate) figures: ExtensionFigures,
    pub(crate) buffers: Buffers,
}

impl Extensions {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for the commands of that name, and for those with that name, a dot and anything.
    ///
    /// # Errors
    /// When the name is not 1 to 32 of `a-z 0-9 _ . -`, or another handler has it.
    pub fn command(&mut self, name: &str, handler: impl CommandHandler + 'static) -> Result<&mut Self, RegisterError> {
        self.handlers.register(name, handler)?;
        Ok(self)
    }

    /// Adds a service that handlers call by that name.
    ///
    /// # Errors
    /// When the name is not 1 to 32 of `a-z 0-9 _ . -`, or another service has it.
    pub fn service(&mut self, name: &str, service: impl Service + 'static) -> Result<&mut Self, RegisterError> {
        let parsed = name.parse().map_err(|_| RegisterError::NameInvalid { name: name.to_owned() });
        let name: CommandName = parsed?;
        if self.services.contains_key(&name) {
            return Err(RegisterError::Duplicate(name));
        }
        self.services.insert(name, Rc::new(service));
        Ok(self)
    }

    /// Puts a service in the place of the one of that name, if there is one: a stand-in, in a simulation.
    pub fn replace_service(&mut self, name: CommandName, service: impl Service + 'static) -> &mut Self {
        self.services.insert(name, Rc::new(service));
        self
    }

    /// Adds middleware behind what is there: packets pass it in the order in which it was added.
    pub fn middleware(&mut self, middleware: impl Middleware + 'static) -> &mut Self {
        self.middleware.push(Box::new(middleware));
        self
    }

    /// The pool of buffers that services may build their replies in; the node keeps it in order and reports it.
    #[must_use]
    pub fn buffers(&self) -> Buffers {
        self.buffers.clone()
    }

    /// Whether there are neither handlers nor middleware: nothing that packets would meet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handlers.names().next().is_none() && self.middleware.is_empty()
    }

    /// Whether there is middleware.
    #[must_use]
    pub fn has_middleware(&self) -> bool {
        !self.middleware.is_empty()
    }

    /// The names of the services, in order.
    pub fn services(&self) -> impl Iterator<Item = CommandName> {
        self.services.keys().copied()
    }

    /// An engine without sessions and what runs beside it. Drivers and simulators begin here.
    ///
    /// # Panics
    /// If the configuration was not accepted by [`Config::validate`].
    #[must_use]
    pub fn assemble(self, config: Config, seed: u64, now: Instant) -> Assembled {
        let made = |handlers| Ok::<_, Infallible>(Engine::with_extensions(config, seed, now, handlers));
        let Ok(assembled) = self.assemble_with(made);
        assembled
    }

    /// The same for an engine that goes on where a snapshot was taken. Middleware begins anew.
    ///
    /// # Errors
    /// As [`Engine::restore_with_extensions`].
    pub fn restore(self, snapshot: Snapshot) -> Result<Assembled, RestoreError> {
        self.assemble_with(|handlers| Engine::restore_with_extensions(snapshot, handlers))
    }

    fn assemble_with<E>(self, make: impl FnOnce(Handlers) -> Result<Engine, E>) -> Result<Assembled, E> {
        let Self { handlers, services, middleware, buffers } = self;
        let mut figures = ExtensionFigures::default();
        let handlers = handlers.map(|name, handler| Box::new(Guarded::new(name, handler, figures.of(name))));
        let (services, chain) = (Services::new(services), Chain::new(middleware));
        Ok(Assembled { engine: RecordedEngine::new(make(handlers)?), services, chain, figures, buffers })
    }
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extensions")
            .field("handlers", &self.handlers)
            .field("services", &self.services.keys().collect::<Vec<_>>())
            .field("middleware", &self.middleware.iter().map(|middleware| middleware.name()).collect::<Vec<_>>())
            .finish()
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
