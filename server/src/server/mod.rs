//! The server as a part of a program: assembled by a builder, run on a thread of its own, and spoken to by a handle. The
//! daemon is built in the same way.

mod error;
mod handle;
mod thread;

use std::path::PathBuf;
use std::rc::Rc;

use lobbyd_core::extension::{CommandHandler, RegisterError};
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::Middleware;
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::Accounts;

pub use self::error::{EndError, StartError};
pub use self::handle::ServerHandle;
use crate::config::{Settings, Sources};

/// A room server. [`Server::builder`] begins one; what speaks to it is a [`ServerHandle`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Server;

impl Server {
    /// A server with the default settings and nothing that extends it.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            settings: Given::Values(Box::default()),
            store: None,
            accounts: None,
            extensions: Vec::new(),
            seed: None,
        }
    }
}

/// A server to be. What is wrong with it is said by [`ServerBuilder::start`].
///
/// ```
/// use lobbyd::config::Settings;
/// use lobbyd::lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Reply};
/// use lobbyd::lobbyd_net::extension::middleware::{PacketLog, WordFilter};
/// use lobbyd::stores::listed::ListedAccounts;
/// use lobbyd::{Server, StartError};
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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut settings = Settings::default();
/// # settings.server.listen = vec!["127.0.0.1:0".parse()?];
/// let builder = Server::builder()
///     .settings(settings)
///     .accounts(ListedAccounts::new)
///     .command("echo", Echo)
///     .middleware(PacketLog)
///     .middleware(WordFilter::masking(["darn"]));
/// // What is wrong is said at the start.
/// let refused = builder.command("echo", Echo).start().await;
/// assert!(matches!(refused, Err(StartError::Extension(_))));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing listens before `start`"]
pub struct ServerBuilder {
    settings: Given,
    store: Option<String>,
    accounts: Option<MakeAccounts>,
    extensions: Vec<Extend>,
    seed: Option<u64>,
}

/// Where the settings come from.
enum Given {
    Values(Box<Settings>),
    File(PathBuf),
}

// What a node is extended by is not `Send`, so it is made on the thread that will run it.
type MakeAccounts = Box<dyn FnOnce() -> Rc<dyn Accounts> + Send>;
type Extend = Box<dyn FnOnce(&mut Extensions) -> Result<(), RegisterError> + Send>;

impl ServerBuilder {
    /// Uses these settings, in the place of all that were given before. [`Settings::load`] reads them from a file, the
    /// environment and flags.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Given::Values(Box::new(settings));
        self
    }

    /// Reads the settings from a TOML file, as the daemon does with `--config`; the environment is left alone.
    pub fn config_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings = Given::File(file.into());
        self
    }

    /// Where accounts and presence live, over what the settings say: `embedded` for the data folder of the settings, or
    /// `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`.
    pub fn store(mut self, store: impl Into<String>) -> Self {
        self.store = Some(store.into());
        self
    }

    /// Asks accounts of your own who may log in, in the place of a store. They are made on the server's thread, and are
    /// asked there. Without a shared store this server alone knows who is online.
    pub fn accounts<A: Accounts + 'static>(mut self, make: impl FnOnce() -> A + Send + 'static) -> Self {
        self.accounts = Some(Box::new(move || Rc::new(make())));
        self
    }

    /// Adds whatever `extend` adds: commands, services, middleware. It is called on the server's thread. A function of
    /// this shape extends simulated daemons, too.
    pub fn extensions(
        mut self,
        extend: impl FnOnce(&mut Extensions) -> Result<(), RegisterError> + Send + 'static,
    ) -> Self {
        self.extensions.push(Box::new(extend));
        self
    }

    /// Adds a handler for the commands of that name, and for those with that name, a dot and anything.
    pub fn command(self, name: impl Into<String>, handler: impl CommandHandler + 'static) -> Self {
        let name = name.into();
        self.extensions(move |extensions| extensions.command(&name, handler).map(|_| ()))
    }

    /// Adds a service that handlers call by that name.
    pub fn service(self, name: impl Into<String>, service: impl Service + Send + 'static) -> Self {
        let name = name.into();
        self.extensions(move |extensions| extensions.service(&name, service).map(|_| ()))
    }

    /// Adds middleware behind what is there: packets pass it in the order in which it was added.
    pub fn middleware(self, middleware: impl Middleware + 'static) -> Self {
        self.extensions(move |extensions| {
            extensions.middleware(middleware);
            Ok(())
        })
    }

    /// The root of the engine's randomness, and so of what handlers draw. Without one it is the system's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the server on a thread of its own, or on as many as `server.io_threads` says, and gives its handle once it
    /// listens. Several may run in one process.
    ///
    /// The server goes on when every handle is dropped; what ends it is [`ServerHandle::stop`] or
    /// [`ServerHandle::drain`]. Given up before it is ready, this starts nothing. It can be awaited in any runtime. How
    /// many files the process may open is the program's own affair: each connection is one.
    ///
    /// # Errors
    /// When it cannot serve: says what is wrong and what to do. Nothing is left running then.
    pub async fn start(self) -> Result<ServerHandle, StartError> {
        thread::start(self).await
    }

    fn load(&mut self) -> Result<Settings, StartError> {
        let mut settings = match std::mem::replace(&mut self.settings, Given::Values(Box::default())) {
            Given::Values(settings) => *settings,
            Given::File(file) => Settings::load(&Sources { file: Some(file), ..Sources::default() })?,
        };
        if let Some(store) = self.store.take() {
            settings.server.store = store.parse().map_err(|refused| StartError::StoreUnknown { refused })?;
        }
        Ok(settings)
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder").field("seed", &self.seed).finish_non_exhaustive()
    }
}
