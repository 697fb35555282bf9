//! How fast the simulated layers are: 50 clients in 5 rooms, each says something every 100 ms.
//!
//! `cargo run --release -p lobbyd-sim --example pace [pure|turmoil|floor] [SIMULATED_SECONDS] [checks] [chop=BYTES]`
//!
//! `checks` holds everything against the model and the invariants, `chop` moves at most so many bytes at a time. The
//! network is the usual one. On turmoil the clients are on five hosts; `floor` is what turmoil itself costs with as much
//! traffic between as many hosts, in the same ticks. Where the system tells it, the processor's time is said beside the
//! clock's.

mod floor;

use std::cell::RefCell;
use std::env;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;
use lobbyd_core::text::Text;
use lobbyd_sim::audit::Auditor;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::scenario::{Account, Network, Operation, Setup, Store};

const CLIENTS: usize = 50;
const ROOMS: usize = 5;
const ROUND: Duration = Duration::from_millis(100);
/// Where every answer has to be there at the end of a round, all have had their turn some milliseconds before that.
const CHECKED_TURN: Duration = Duration::from_micros(1_800);
const CLIENT_HOSTS: usize = 5;
const SEED: u64 = 7;
const TEXT: &[u8] = b"nobody reads this, but it has the length of a line";
/// Each text is a packet, goes to all others in the room, and is answered.
const PACKETS_PER_SECOND: usize = CLIENTS * 10 * (1 + CLIENTS / ROOMS);

fn main() -> anyhow::Result<()> {
    let (mut checks, mut layer, mut seconds, mut chop) = (false, "pure", None, None);
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "checks" => checks = true,
            "pure" => layer = "pure",
            "turmoil" => layer = "turmoil",
            "floor" => layer = "floor",
            other => match other.strip_prefix("chop=") {
                Some(bytes) => chop = Some(bytes.parse().with_context(|| format!("{bytes:?} is no number of bytes"))?),
                None => {
                    seconds = Some(other.parse().with_context(|| format!("{other:?} is no number of seconds"))?);
                }
            },
        }
    }
    let seconds: u32 = seconds.unwrap_or(if layer == "pure" { 200 } else { 30 });
    ensure!(layer != "floor" || !checks && chop.is_none(), "the floor knows no checks and no chopper");

    let names: Vec<_> = (0..CLIENTS).map(|number| format!("client{number}")).collect();
    let setup = setup(&names, chop)?;
    println!("{layer}, {seconds} simulated seconds (checks: {checks}, chop: {chop:?})");
    match layer {
        "turmoil" => {
            measure(&mut Turmoil::with_client_hosts(&setup, SEED, CLIENT_HOSTS)?, &setup, &names, seconds, checks)
        }
        "floor" => measure_floor(seconds),
        _pure => measure(&mut Pure::with_checks(&setup, SEED, checks)?, &setup, &names, seconds, checks),
    }
}

/// The same for the floor.
fn measure_floor(seconds: u32) -> anyhow::Result<()> {
    let heard = Rc::new(RefCell::new(0));
    let mut simulation = floor::simulation(&heard);
    floor::go_on(&mut simulation, Duration::from_secs(1))?;
    let before = *heard.borrow();
    let begun = Begun::now();
    floor::go_on(&mut simulation, Duration::from_secs(seconds.into()))?;
    // What each says is one packet, and one for everybody who hears it, itself too in place of an answer.
    let packets = PACKETS_PER_SECOND * seconds as usize;
    let bytes = *heard.borrow() - before;
    ensure!(bytes / TEXT.len() >= packets * 9 / 10, "only {bytes} bytes have arrived");
    begun.tell(seconds, packets);
    Ok(())
}

/// Lets everybody come in, and then talk for so many simulated seconds, and says how long that took.
fn measure<W: World>(world: &mut W, setup: &Setup, names: &[String], seconds: u32, checks: bool) -> anyhow::Result<()> {
    let mut auditor = Auditor::new(setup);
    let numbers: Vec<_> = names.iter().map(|name| auditor.client(name)).collect();
    for (number, name) in names.iter().enumerate() {
        let room = RoomNumber((number % ROOMS) as u32 + 1);
        let login = Operation::Login { user: name.clone(), secret: "secret".to_owned() };
        for operation in [Operation::Connect { daemon: "server".to_owned() }, hello(), login] {
            world.begin(name, &operation)?;
            auditor.begun(world.now(), numbers[number], &operation);
        }
        go_on(world, Duration::from_millis(10))?;
        let enter = Operation::RoomEnter { room, password: None };
        world.begin(name, &enter)?;
        auditor.begun(world.now(), numbers[number], &enter);
        go_on(world, Duration::from_millis(10))?;
        ensure!(world.arrived(name).len() == 4, "{name} is not in its room: {:?}", world.arrived(name));
    }
    for (name, number) in names.iter().zip(&numbers) {
        let now = world.now();
        world.arrived(name).drain(..).try_for_each(|arrival| auditor.arrived(now, *number, &arrival))?;
    }

    let says: Vec<_> = (0..CLIENTS)
        .map(|number| Operation::RoomChat { room: RoomNumber((number % ROOMS) as u32 + 1), text: TEXT.to_vec() })
        .collect();
    let begun = Begun::now();
    let mut packets = 0;
    let since = world.now();
    let turn_lasts = if checks { CHECKED_TURN } else { ROUND / CLIENTS as u32 };
    for round in 0..seconds * 10 {
        let turns = (1..).map(|turn| since + ROUND * round + turn_lasts * turn);
        for (((name, says), number), turn_ends_at) in names.iter().zip(&says).zip(&numbers).zip(turns) {
            world.begin(name, says)?;
            if checks {
                auditor.begun(world.now(), *number, says);
            }
            packets += 1;
            go_to(world, turn_ends_at)?;
        }
        go_to(world, since + ROUND * (round + 1))?;
        for (name, number) in names.iter().zip(&numbers) {
            let now = world.now();
            for arrival in world.arrived(name).drain(..) {
                packets += 1;
                if checks {
                    auditor.arrived(now, *number, &arrival)?;
                }
            }
        }
        if checks {
            auditor.quiet(world.now())?;
        }
    }
    ensure!(packets / seconds as usize >= PACKETS_PER_SECOND * 99 / 100, "only {packets} packets have arrived");
    begun.tell(seconds, packets);
    Ok(())
}

/// When a measurement began.
struct Begun {
    at: Instant,
    processor: Option<Duration>,
}

impl Begun {
    fn now() -> Self {
        Self { at: Instant::now(), processor: processor_time() }
    }

    /// Says how fast so much has gone by.
    fn tell(&self, seconds: u32, packets: usize) {
        let taken = self.at.elapsed();
        let used = processor_time().zip(self.processor).map(|(now, then)| now.saturating_sub(then));
        for (what, time) in [("clock", Some(taken)), ("processor", used)] {
            if let Some(time) = time.map(|time| time.as_secs_f64()) {
                let (speed, rate) = (f64::from(seconds) / time, packets as f64 / time);
                println!("  by the {what}: {speed:.0} simulated seconds a second, {rate:.0} packets a second");
            }
        }
    }
}

/// How long this thread, which is the only one, has been on a processor; Linux tells it.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn hello() -> Operation {
    Operation::Hello { version: PROTOCOL_VERSION }
}

fn go_on<W: World>(world: &mut W, by: Duration) -> anyhow::Result<()> {
    let until = world.now() + by;
    go_to(world, until)
}

fn go_to<W: World>(world: &mut W, until: Duration) -> anyhow::Result<()> {
    while world.now() < until {
        world.step(until - world.now())?;
    }
    Ok(())
}

fn setup(names: &[String], chop: Option<u32>) -> anyhow::Result<Setup> {
    let room = |number| FixedRoom { number, title: Text::new("Room"), capacity: 100, password: None };
    let fixed_rooms = (1..=ROOMS as u32).map(|number| room(RoomNumber(number))).collect();
    let account = |name: &String| {
        let user = name.parse().with_context(|| format!("{name} is no user name"))?;
        Ok(Account { user, secret: "secret".to_owned(), nickname: None, administrator: false })
    };
    Ok(Setup {
        config: Config { fixed_rooms, ..Config::default() },
        room_passwords: Vec::new(),
        accounts: names.iter().map(account).collect::<anyhow::Result<_>>()?,
        daemons: Setup::default().daemons,
        store: Store::Listed,
        io_threads: 1,
        network: Network { chop, ..Network::default() },
        is_loose: false,
    })
}
