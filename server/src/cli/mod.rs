//! The command line: what the program's arguments mean, and which command they run.
//!
//! What a command does is in its own file; this one owns the frame: parsing, settings, messages, exit codes.

mod arguments;
#[cfg(target_os = "linux")]
mod bench;
mod chat;
mod completions;
mod config;
mod exit;
mod output;
mod replay;
mod serve;
mod user;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use lobbyd_core::extension::RegisterError;
use lobbyd_net::extension::Extensions;

pub use self::exit::Exit;

use self::arguments::{Overrides, ServeArguments};
use crate::config::{ConfigErrors, Settings};
use crate::telemetry;

/// A chat and lobby server for games and communities.
///
/// Without a command it serves, like `lobbyd serve`.
#[derive(Debug, Parser)]
#[command(name = "lobbyd", version, after_help = exit::HELP)]
struct CommandLine {
    #[command(flatten)]
    serve: ServeArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients until told to stop (SIGTERM or Ctrl-C).
    Serve(ServeArguments),
    /// Manage accounts, also beside a running server.
    User(user::UserArguments),
    /// Chat from this terminal.
    Chat(chat::ChatArguments),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Have what a journal tells of happen again, and compare.
    Replay(replay::ReplayArguments),
    /// Measure how fast this server is, beside others.
    #[cfg(target_os = "linux")]
    Bench(bench::BenchArguments),
    /// Serve as the floor of a bench.
    #[cfg(target_os = "linux")]
    #[command(name = crate::bench::FLOOR_COMMAND, hide = true)]
    BenchFloor,
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArguments),
}

/// What extends the server that is served, or replayed.
type Extend = Box<dyn FnMut(&mut Extensions) -> Result<(), RegisterError> + Send>;

/// Runs the program with these arguments (the first is the program's own name) and environment variables.
///
/// What was asked for goes to standard output, everything else to standard error. Says how the process should exit.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Exit {
    main_with(arguments, environment, |_| Ok(()))
}

/// Runs the same program, and extends by `extend` what it serves: a daemon of your own, with configuration, accounts,
/// logs and signals as those of `lobbyd`. `extend` is called on the server's thread, and by `replay` as often as a journal
/// has a gap.
///
/// ```no_run
/// use std::env;
/// use std::process::ExitCode;
///
/// use lobbyd::lobbyd_core::extension::RegisterError;
/// use lobbyd::lobbyd_net::extension::Extensions;
/// use lobbyd::lobbyd_net::extension::middleware::WordFilter;
///
/// fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
///     extensions.middleware(WordFilter::masking(["darn"]));
///     Ok(())
/// }
///
/// fn main() -> ExitCode {
///     lobbyd::cli::main_with(env::args_os(), env::vars_os(), extend).into()
/// }
/// ```
pub fn main_with(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    extend: impl FnMut(&mut Extensions) -> Result<(), RegisterError> + Send + 'static,
) -> Exit {
    let outcome = match parse(arguments) {
        Ok(command_line) => run(command_line, environment.into_iter().collect(), Box::new(extend)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) => report(&error),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let mut command_line = CommandLine::from_arg_matches(&matches)?;
    if let Some(Command::User(_)) = command_line.command {
        // What is global to a command is found before that command, too, wherever it stood.
        command_line.serve.forget_settings();
    }
    Ok(command_line)
}

/// The command line as it is parsed, and as completions know it.
fn command() -> clap::Command {
    // The store is named as well before as after `add`, `passwd` and the others.
    CommandLine::command().mut_subcommand("user", |user| user.mut_args(|argument| argument.global(true)))
}

fn run(command_line: CommandLine, environment: Vec<(OsString, OsString)>, extend: Extend) -> anyhow::Result<Exit> {
    let CommandLine { serve: outer, command } = command_line;
    let outer = Overrides::from(outer);
    let load = |overrides: Overrides| Settings::load(&overrides.into_sources(environment.clone()));
    match command {
        None => serve(load(outer)?, extend),
        Some(Command::Serve(arguments)) => serve(load(outer.and(arguments.into())?)?, extend),
        Some(Command::User(user::UserArguments { settings, command })) => {
            let settings = load(outer.and(settings.into())?)?;
            user::run(command, &settings)?;
            Ok(Exit::Fine)
        }
        Some(Command::Chat(arguments)) => {
            outer.must_be_none("chat")?;
            chat::run(arguments)?;
            Ok(Exit::Fine)
        }
        Some(Command::Config(command)) => config::run(command, outer, environment),
        Some(Command::Replay(arguments)) => {
            outer.must_be_none("replay")?;
            replay::run(arguments, extend)
        }
        #[cfg(target_os = "linux")]
        Some(Command::Bench(arguments)) => {
            outer.must_be_none("bench")?;
            bench::run(arguments)
        }
        #[cfg(target_os = "linux")]
        Some(Command::BenchFloor) => bench::run_floor(),
        Some(Command::Completions(arguments)) => {
            outer.must_be_none("completions")?;
            completions::run(arguments, &mut self::command())?;
            Ok(Exit::Fine)
        }
    }
}

fn serve(settings: Settings, extend: Extend) -> anyhow::Result<Exit> {
    telemetry::init(settings.log.format, settings.log.levels.as_str())?;
    serve::run(settings, extend)?;
    Ok(Exit::Fine)
}

/// Says what went wrong. A standard error that is closed is nobody's to complain to.
fn report(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        // Help and version come as errors, too.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
    }
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        let hint = "`lobbyd config doc` explains every setting, `lobbyd config default` prints a file to begin with.";
        let _ = writeln!(io::stderr(), "lobbyd: {errors}\n{hint}");
        return Exit::Usage;
    }
    let _ = writeln!(io::stderr(), "lobbyd: {error:#}");
    Exit::Failed
}

#[cfg(test)]
mod tests;
