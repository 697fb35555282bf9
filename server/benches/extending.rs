//! What extensions and handle calls cost a whole server: `cargo bench -p lobbyd --bench extending -- [ROUNDS [SECONDS [GROUP]]]`,
//! where no group means each of these:
//!
//! ```text
//! saturation   a server without middleware, the same again, one with five pieces in a chain that only look, and one with
//!              five ready-made ones
//! saturation-1 the same
//! pieces       a server without middleware, the same again, and one with each of the five ready-made ones alone
//! paced        a server that nobody asks, the same again, and one that is asked ten times each millisecond
//! ```
//!
//! The servers take turns within each round, under saturation of 50 ms while all of them run, and the same one is measured
//! twice: the difference between these two is the noise that a true difference has to be above. Each server is this program, started by the bench of the library under
//! a name that says what is different about it.

use std::env;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use lobbyd::bench::{self, Options, Progress, Scenario, Target};
use lobbyd::config::{Settings, Sources};
use lobbyd::{Server, ServerBuilder, ServerHandle};
use lobbyd_core::data::Data;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::ServiceError;
use lobbyd_core::limits::Rate;
use lobbyd_net::extension::middleware::{
    CommandBudget, Decision, Interest, Middleware, Packet, PacketKind, PacketLog, PacketMetrics, Passage, WordFilter,
};
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;
use tokio::time::{MissedTickBehavior, interval};

/// A name of this program as a server, and what it is.
const PLAIN: &str = "plain";
const PLAIN_AGAIN: &str = "plain-again";
const FIVE_LOOK: &str = "five-that-look";
const FIVE_READY_MADE: &str = "five-ready-made";
const ONLY_LOG: &str = "only-log";
const ONLY_MASK: &str = "only-mask";
const ONLY_REFUSE: &str = "only-refuse";
const ONLY_BUDGET: &str = "only-budget";
const ONLY_METRICS: &str = "only-metrics";
const TEN_CALLS: &str = "ten-calls-a-millisecond";

/// What a server is asked at a time, where all of them run at the same time.
const TURN: Duration = Duration::from_millis(50);

fn main() -> anyhow::Result<()> {
    // Cargo says `--bench` to every benchmark.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve(&arguments);
    }
    let number = |place: usize| arguments.get(place).map(|argument| argument.parse::<f64>()).transpose();
    let rounds = number(0)?.unwrap_or(9.0) as u32;
    let duration = Duration::from_secs_f64(number(1)?.unwrap_or(2.0));
    let folder = tempfile::tempdir()?;
    let mut is_fine = true;
    let middleware = [PLAIN, PLAIN_AGAIN, FIVE_LOOK, FIVE_READY_MADE];
    let calls = [PLAIN, PLAIN_AGAIN, TEN_CALLS];
    let pieces = [PLAIN, PLAIN_AGAIN, ONLY_LOG, ONLY_MASK, ONLY_REFUSE, ONLY_BUDGET, ONLY_METRICS];
    let measured: [(&str, Scenario, &[&str]); 4] = [
        ("saturation", Scenario::Saturation, &middleware),
        ("saturation-1", Scenario::Saturation1, &middleware),
        ("paced", Scenario::Paced, &calls),
        ("pieces", Scenario::Saturation, &pieces),
    ];
    let only = arguments.get(2);
    if let Some(only) = only
        && !measured.iter().any(|(group, ..)| group == only)
    {
        bail!("{only:?} is not measured here; name one of {}", measured.map(|(group, ..)| group).join(", "));
    }
    for (group, scenario, names) in measured {
        if only.is_some_and(|only| only != group) {
            continue;
        }
        let targets = names.iter().map(|name| named(folder.path(), name)).collect::<anyhow::Result<Vec<_>>>()?;
        // What comes on a schedule waits for no turn.
        let turn = (scenario != Scenario::Paced).then_some(TURN);
        let options = Options { scenarios: vec![scenario], targets, rounds, duration, turn, ..Options::default() };
        // On a thread of its own, because a bench keeps its thread to the generator's processor from then on.
        let bench = std::thread::spawn(move || bench::run(&options, tell));
        let report = bench.join().map_err(|_| anyhow!("the bench panicked"))??;
        println!("{}", bench::text(&report));
        is_fine &= report.is_fine();
    }
    if !is_fine {
        bail!("something failed, was lost or came out of order: the report says what");
    }
    Ok(())
}

fn tell(progress: &Progress) -> ControlFlow<()> {
    eprintln!("[{}/{}] {}", progress.done, progress.all, progress.step);
    ControlFlow::Continue(())
}

/// This program under that name.
fn named(folder: &Path, name: &str) -> anyhow::Result<Target> {
    let program = folder.join(name);
    if !program.exists() {
        std::os::unix::fs::symlink(env::current_exe()?, &program).context("a link in the temporary folder")?;
    }
    Ok(Target::Lobbyd { name: name.to_owned(), program, io_threads: None })
}

/// `serve --config FILE --data FOLDER ..`, as the bench starts a lobbyd.
fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let value = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag);
        place.and_then(|place| arguments.get(place + 1)).with_context(|| format!("{flag} is missing"))
    };
    let file = PathBuf::from(value("--config")?);
    let mut settings = Settings::load(&Sources { file: Some(file), ..Sources::default() })?;
    settings.server.data = PathBuf::from(value("--data")?);
    let program = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let builder = Server::builder().settings(settings);
    let builder = match name {
        FIVE_LOOK => (0..5).fold(builder, |builder, _| builder.middleware(Looks { seen: 0 })),
        FIVE_READY_MADE => {
            [ONLY_LOG, ONLY_MASK, ONLY_REFUSE, ONLY_BUDGET, ONLY_METRICS].into_iter().fold(builder, with_ready_made)
        }
        ONLY_LOG | ONLY_MASK | ONLY_REFUSE | ONLY_BUDGET | ONLY_METRICS => with_ready_made(builder, name),
        TEN_CALLS => builder.service("echo", Echo),
        PLAIN | PLAIN_AGAIN => builder,
        other => bail!("{other:?} is no server of this bench"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = builder.start().await?;
        println!("{{\"address\": \"{}\"}}", server.address());
        if name == TEN_CALLS { call_on(&server).await } else { server.ended().await.map(drop).map_err(Into::into) }
    })
}

/// Middleware that counts and lets everything pass.
struct Looks {
    seen: u64,
}

impl Middleware for Looks {
    fn name(&self) -> &str {
        "looks"
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, _: &Packet<'p>) -> Decision<'p> {
        self.seen += 1;
        Decision::Pass
    }

    fn interest(&self) -> Interest {
        Interest::nothing().before(PacketKind::ALL)
    }
}

fn with_ready_made(builder: ServerBuilder, name: &str) -> ServerBuilder {
    // Above any load: the budget is kept, and nobody is refused.
    let rate = Rate { burst: 1_000_000_000, interval: Duration::from_micros(1) };
    match name {
        ONLY_LOG => builder.middleware(PacketLog),
        ONLY_MASK => builder.middleware(WordFilter::masking(["darn", "heck", "blast"])),
        ONLY_REFUSE => builder.middleware(WordFilter::refusing(["rascal", "villain"])),
        ONLY_BUDGET => builder.middleware(CommandBudget::new().packet(PacketKind::RoomChatRequest, rate)),
        _metrics => builder.middleware(PacketMetrics::new().0),
    }
}

/// Answers at once.
struct Echo;

impl Service for Echo {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        Box::pin(async move { Ok(request) })
    }
}

/// Asks the server ten things at once in each millisecond, and all of them are answered before the next ten.
async fn call_on(server: &ServerHandle) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let room = RoomNumber(1);
    loop {
        ticks.tick().await;
        let (one, two, three, four, five, six, seven, eight, nine, ten) = tokio::join!(
            server.connection_count(),
            server.connection_count(),
            server.room_status(room),
            server.room_status(RoomNumber(2)),
            server.rooms(),
            server.stats(),
            // Inputs of the engine that nobody hears of: clients of the bench would be surprised.
            server.send_to_user("nobody", "hello"),
            server.kick(room, "nobody", false),
            server.broadcast_to_room(RoomNumber(0), "hello"),
            server.call_service("echo", "hello"),
        );
        let _ = (one?, two?, three?, four?, five?, six?);
        let refused = [seven, eight, nine];
        anyhow::ensure!(refused.iter().all(Result::is_err) && ten.is_ok(), "an answer of another kind: {refused:?}");
    }
}
