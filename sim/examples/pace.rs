//! How fast the pure layer is: 50 clients in 5 rooms, each says something every 100 ms.
//!
//! `cargo run --release -p lobbyd-sim --example pace [SIMULATED_SECONDS] [checks]`

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;
use lobbyd_core::text::Text;
use lobbyd_sim::audit::Auditor;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::scenario::{Account, Network, Operation, Setup, Store};

const CLIENTS: usize = 50;
const ROOMS: usize = 5;
const ROUND: Duration = Duration::from_millis(100);
/// Each text is a packet, goes to all others in the room, and is answered.
const PACKETS_PER_SECOND: usize = CLIENTS * 10 * (1 + CLIENTS / ROOMS);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let checks = arguments.iter().any(|argument| argument == "checks");
    let seconds = arguments.iter().find(|argument| *argument != "checks").map_or(Ok(200), |seconds| seconds.parse());
    let seconds: u32 = seconds.context("how many simulated seconds?")?;

    let names: Vec<_> = (0..CLIENTS).map(|number| format!("client{number}")).collect();
    let setup = setup(&names)?;
    let mut world = Pure::with_checks(&setup, 7, checks)?;
    let mut auditor = Auditor::new(&setup);
    let numbers: Vec<_> = names.iter().map(|name| auditor.client(name)).collect();
    for (number, name) in names.iter().enumerate() {
        let room = RoomNumber((number % ROOMS) as u32 + 1);
        let login = Operation::Login { user: name.clone(), secret: "secret".to_owned() };
        for operation in [Operation::Connect { daemon: "server".to_owned() }, hello(), login] {
            world.begin(name, &operation)?;
            auditor.begun(world.now(), numbers[number], &operation);
        }
        go_on(&mut world, Duration::from_millis(10))?;
        let enter = Operation::RoomEnter { room, password: None };
        world.begin(name, &enter)?;
        auditor.begun(world.now(), numbers[number], &enter);
        go_on(&mut world, Duration::from_millis(10))?;
        ensure!(world.arrived(name).len() == 4, "{name} is not in its room: {:?}", world.arrived(name));
    }
    for (name, number) in names.iter().zip(&numbers) {
        let now = world.now();
        world.arrived(name).drain(..).try_for_each(|arrival| auditor.arrived(now, *number, &arrival))?;
    }

    let says: Vec<_> = (0..CLIENTS)
        .map(|number| Operation::RoomChat {
            room: RoomNumber((number % ROOMS) as u32 + 1),
            text: b"nobody reads this, but it has the length of a line".to_vec(),
        })
        .collect();
    let started_at = Instant::now();
    let mut packets = 0;
    for _ in 0..seconds * 10 {
        for ((name, says), number) in names.iter().zip(&says).zip(&numbers) {
            world.begin(name, says)?;
            if checks {
                auditor.begun(world.now(), *number, says);
            }
            packets += 1;
            go_on(&mut world, ROUND / CLIENTS as u32)?;
        }
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
    let taken = started_at.elapsed().as_secs_f64();
    ensure!(packets / seconds as usize >= PACKETS_PER_SECOND * 99 / 100, "only {packets} packets have arrived");
    let (speed, rate) = (f64::from(seconds) / taken, packets as f64 / taken);
    println!("{speed:.0} simulated seconds a second, {rate:.0} packets a second (checks: {checks})");
    Ok(())
}

fn hello() -> Operation {
    Operation::Hello { version: PROTOCOL_VERSION }
}

fn go_on(world: &mut Pure, by: Duration) -> anyhow::Result<()> {
    let until = world.now() + by;
    while world.now() < until {
        world.step(until - world.now())?;
    }
    Ok(())
}

fn setup(names: &[String]) -> anyhow::Result<Setup> {
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
        daemons: Vec::new(),
        store: Store::Listed,
        network: Network::default(),
        is_loose: false,
    })
}
