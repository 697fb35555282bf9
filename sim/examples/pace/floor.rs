//! The floor: what the same hosts, connections and bytes cost on turmoil when nothing of lobbyd is between them.

use std::cell::RefCell;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::anyhow;
use lobbyd_sim::layers::turmoil::tick;
use lobbyd_sim::scenario::Network;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_local;
use tokio::time::sleep;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use super::{CLIENT_HOSTS, CLIENTS, ROOMS, ROUND, SEED, TEXT};

const PORT: u16 = 1;
/// A message with its frame is longer than its text by about so much.
const FRAME_BYTES: usize = 10;

type Room = Rc<RefCell<Vec<OwnedWriteHalf>>>;

/// A simulation in which a host passes on whatever a client says to everybody in its room, on a network and in ticks as
/// on the layer. `heard` counts the bytes.
pub(crate) fn simulation(heard: &Rc<RefCell<usize>>) -> Sim<'static> {
    let network = Network::default();
    let (least, most) = network.latency;
    let mut simulation = Builder::new()
        .rng_seed(SEED)
        .tick_duration(tick(&network))
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(least)
        .max_message_latency(most)
        .tcp_capacity(65_536)
        .build();
    simulation.host("server", || async {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        let rooms: Vec<Room> = (0..ROOMS).map(|_| Room::default()).collect();
        for room in rooms.iter().cycle() {
            let (reading, writing) = listener.accept().await?.0.into_split();
            room.borrow_mut().push(writing);
            spawn_local(pass_on(reading, Rc::clone(room)));
        }
        Ok(())
    });
    for host in 0..CLIENT_HOSTS {
        let heard = Rc::clone(heard);
        simulation.client(format!("clients {host}"), async move {
            for number in (host..CLIENTS).step_by(CLIENT_HOSTS) {
                let (reading, writing) = TcpStream::connect(("server", PORT)).await?.into_split();
                spawn_local(hear(reading, Rc::clone(&heard)));
                spawn_local(talk(number, writing));
            }
            pending().await
        });
    }
    simulation
}

/// Lets simulated time go by.
pub(crate) fn go_on(simulation: &mut Sim<'_>, by: Duration) -> anyhow::Result<()> {
    let until = simulation.elapsed() + by;
    while simulation.elapsed() < until {
        simulation.step().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

async fn pass_on(mut reading: OwnedReadHalf, room: Room) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reading.read(&mut buffer).await {
        for member in room.borrow_mut().iter_mut() {
            let mut context = Context::from_waker(Waker::noop());
            let written = Pin::new(member).poll_write(&mut context, &buffer[..count]);
            assert!(matches!(written, Poll::Ready(Ok(_))), "there is room for what is under way");
        }
    }
}

async fn hear(mut reading: OwnedReadHalf, heard: Rc<RefCell<usize>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = reading.read(&mut buffer).await {
        *heard.borrow_mut() += count;
    }
}

/// Says something in each round, everybody at a time of their own.
async fn talk(number: usize, mut writing: OwnedWriteHalf) {
    let message = [b'-'; TEXT.len() + FRAME_BYTES];
    sleep(ROUND / CLIENTS as u32 * number as u32).await;
    while writing.write_all(&message).await.is_ok() {
        sleep(ROUND).await;
    }
}
