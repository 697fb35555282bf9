//! `lobbyd bench`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use super::output::print;
use crate::bench::{self, Options, Progress, Report, Scenario, Target};

/// What to measure, against what, and how to show it.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// What to measure [default: saturation saturation-1 paced big-room idle]
    #[arg(value_name = "SCENARIO", value_parser = scenarios())]
    scenarios: Vec<Scenario>,
    /// Measure this server, too, in turn with lobbyd; repeat for more. Those of others are started from PATH
    #[arg(long, value_name = "SERVER")]
    peer: Vec<Peer>,
    /// Measure this other lobbyd program, too: the one before a change
    #[arg(long, value_name = "PROGRAM")]
    against: Vec<PathBuf>,
    /// Measure lobbyd with so many I/O threads, too, on all processors; repeat for more
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=64))]
    io_threads: Vec<u32>,
    /// How often to measure everything, the servers in turn
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each measurement is
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Run all servers at once and ask them in turns of so many milliseconds, so that small differences of what a delivery
    /// costs show; for saturation (then the default) and texts
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    turns: Option<u32>,
    /// How many clients, instead of what each scenario usually has
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: Option<u32>,
    /// In how many rooms, instead of what each scenario usually has
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rooms: Option<u32>,
    /// How many messages a second in all, instead of what each scenario with a schedule usually has
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: Option<u32>,
    /// Measure a lobbyd that runs already. Its limits must be above the load, and rooms from 1 on must be open
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SocketAddr>,
    /// With --address: the names of its users, with {} where their number goes
    #[arg(long, value_name = "NAMES", default_value = "b{}", requires = "address")]
    users: String,
    /// With --address: the secret of all these users
    #[arg(long, default_value = "bench", requires = "address")]
    secret: String,
    /// With --address: its process on this machine, to measure what it costs
    #[arg(long, value_name = "NUMBER", requires = "address")]
    process: Option<u32>,
    /// A setting of the lobbyd that is started; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value, conflicts_with = "address")]
    set: Vec<(String, String)>,
    /// How the report looks
    #[arg(long, default_value = "text")]
    format: Format,
    /// Write the report to this file
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// Servers to compare with.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Peer {
    /// The least that any server must do: part of this program
    Floor,
    /// Redis pub/sub (package redis-server)
    Redis,
    /// NATS (package nats-server)
    Nats,
    /// Mosquitto with QoS 0 (package mosquitto)
    Mqtt,
    /// InspIRCd (package inspircd)
    Irc,
    /// ngIRCd (package ngircd)
    Ngircd,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Tables for a terminal
    Text,
    /// One table, for a README
    Markdown,
    /// Everything, for programs
    Json,
    /// A page with plots
    Html,
}

/// Measures, and shows what it found.
pub(super) fn run(arguments: BenchArguments) -> anyhow::Result<Exit> {
    let (format, output) = (arguments.format, arguments.output.clone());
    let options = options(arguments)?;
    let report = watched(&options)?;
    let text = match format {
        Format::Text => bench::text(&report),
        Format::Markdown => bench::markdown(&report),
        Format::Json => report.json(),
        Format::Html => bench::html(&report),
    };
    match output {
        Some(path) => fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?,
        None => print(&text)?,
    }
    if report.is_fine() {
        return Ok(Exit::Fine);
    }
    let _ = writeln!(io::stderr(), "lobbyd: something failed, was lost or came out of order: the report says what");
    Ok(Exit::Failed)
}

/// Serves as the floor.
pub(super) fn run_floor() -> anyhow::Result<Exit> {
    bench::serve_floor()?;
    Ok(Exit::Fine)
}

fn options(arguments: BenchArguments) -> anyhow::Result<Options> {
    let program = std::env::current_exe().context("the system does not say which program this is")?;
    let first = match arguments.address {
        Some(address) => Target::Address(address),
        None => Target::Lobbyd { name: "lobbyd".to_owned(), program: program.clone(), io_threads: None },
    };
    let mut targets = vec![first];
    targets.extend(arguments.against.into_iter().enumerate().map(|(place, program)| {
        let name = if place == 0 { "other lobbyd".to_owned() } else { format!("other lobbyd {}", place + 1) };
        Target::Lobbyd { name, program, io_threads: None }
    }));
    targets.extend(arguments.io_threads.into_iter().map(|count| {
        let name = format!("lobbyd, {count} I/O threads");
        Target::Lobbyd { name, program: program.clone(), io_threads: Some(count) }
    }));
    for peer in arguments.peer {
        let target = match peer {
            Peer::Floor => Target::Floor { program: program.clone() },
            Peer::Redis => Target::Redis,
            Peer::Nats => Target::Nats,
            Peer::Mqtt => Target::Mosquitto,
            Peer::Irc => Target::Inspircd,
            Peer::Ngircd => Target::Ngircd,
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let scenarios = match (arguments.scenarios, arguments.turns) {
        (none, None) if none.is_empty() => Scenario::DEFAULT.to_vec(),
        (none, Some(_)) if none.is_empty() => vec![Scenario::Saturation, Scenario::Saturation1],
        (named, _) => named,
    };
    Ok(Options {
        scenarios,
        targets,
        rounds: arguments.rounds,
        duration: Duration::from_secs_f64(arguments.seconds),
        turn: arguments.turns.map(|turn| Duration::from_millis(turn.into())),
        clients: arguments.clients,
        rooms: arguments.rooms,
        messages: arguments.messages,
        users: arguments.users,
        secret: arguments.secret,
        settings: arguments.set,
        process: arguments.process,
    })
}

/// Runs it, with a bar on a terminal and with lines elsewhere, both on standard error. A signal ends it early.
fn watched(options: &Options) -> anyhow::Result<Report> {
    let stop = stop_on_signal()?;
    let flow = || if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    if !io::stderr().is_terminal() {
        let mut told = String::new();
        return bench::run(options, |progress| {
            let Progress { step, done, all } = progress;
            if *step != told {
                step.clone_into(&mut told);
                let _ = writeln!(io::stderr(), "[{}/{all}] {step}", done + 1);
            }
            flow()
        });
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}").context("the bar has no shape")?;
    let bar = ProgressBar::new(0).with_style(style);
    let report = bench::run(options, |progress| {
        bar.set_length(progress.all as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.step.clone());
        flow()
    });
    bar.finish_and_clear();
    report
}

/// What SIGINT and SIGTERM set: the bench then ends after the measurement that is under way, so that its server is ended,
/// too, and reports what it has. A second signal ends the program at once.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("the runtime for signals cannot be started")?;
    let signals = runtime
        .block_on(async { Ok::<_, io::Error>((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) });
    let (mut interrupt, mut terminate) = signals.context("the signals that end a bench cannot be received")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if set.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
                let _ = writeln!(io::stderr(), "stopping after this measurement; a second signal stops at once");
            }
        });
    });
    Ok(stop)
}

fn scenarios() -> impl TypedValueParser<Value = Scenario> {
    PossibleValuesParser::new(
        Scenario::ALL.map(|scenario| clap::builder::PossibleValue::new(scenario.name()).help(scenario.about())),
    )
    .try_map(|name| Scenario::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or("no such scenario"))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("it is a number from 0.1 to 3600".to_owned()),
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no =, as in --set limits.users_max=500")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
