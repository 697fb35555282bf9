//! What stands between the daemons and a real Redis in scenarios that slow its answers down or spoil them.
//!
//! A gate takes connections of its own and hands bytes on, on threads. Where Redis itself is gone it closes what it has
//! taken, so a scenario without such faults does without a gate, and meets what the system says.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const CHUNK_BYTES: usize = 16 * 1024;
/// No RESP, as the model has it.
const GARBAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

/// A way to Redis. It takes no more connections when it is dropped; those that are there end with either side.
pub(super) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mutex<Mode>,
    redis: SocketAddr,
}

#[derive(Clone, Copy, Default)]
struct Mode {
    /// How long each answer takes.
    delay: Duration,
    garbles: bool,
    is_over: bool,
}

impl Gate {
    /// Opens one in front of Redis, on a port of its own.
    ///
    /// # Errors
    /// When the system gives no port or no thread.
    pub(super) fn open(redis: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { mode: Mutex::default(), redis });
        let taken = shared.clone();
        thread::Builder::new().name("live-gate".to_owned()).spawn(move || taken.take_connections(&listener))?;
        Ok(Self { address, shared })
    }

    /// Where daemons find it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every answer takes this long from now on.
    pub(super) fn slow(&self, delay: Duration) {
        self.shared.mode().delay = delay;
    }

    /// Every answer is no RESP from now on.
    pub(super) fn garble(&self) {
        self.shared.mode().garbles = true;
    }

    /// Answers are handed on as they are again.
    pub(super) fn heal(&self) {
        *self.shared.mode() = Mode::default();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.mode().is_over = true;
        // Wakes who waits for the next connection. If that fails, nobody waits.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_connections(self: &Arc<Self>, listener: &TcpListener) {
        for daemon in listener.incoming() {
            if self.mode().is_over {
                return;
            }
            // Without the one or the other there is nothing to hand on, and what is there is closed.
            if let (Ok(daemon), Ok(redis)) = (daemon, TcpStream::connect(self.redis)) {
                let _ = self.hand_on(daemon, redis);
            }
        }
    }

    /// Starts a thread for each direction.
    fn hand_on(self: &Arc<Self>, daemon: TcpStream, redis: TcpStream) -> io::Result<()> {
        daemon.set_nodelay(true)?;
        redis.set_nodelay(true)?;
        let (commands, answers) = ((daemon.try_clone()?, redis.try_clone()?), (redis, daemon));
        thread::Builder::new().name("live-gate-in".to_owned()).spawn(move || pump(commands, || None))?;
        let shared = self.clone();
        let spoil = move || {
            let Mode { delay, garbles, is_over: _ } = *shared.mode();
            thread::sleep(delay);
            garbles.then_some(GARBAGE)
        };
        thread::Builder::new().name("live-gate-out".to_owned()).spawn(move || pump(answers, spoil))?;
        Ok(())
    }
}

/// Hands on what comes, or what `instead` has for it, until either side ends; then both directions end.
fn pump((mut from, mut to): (TcpStream, TcpStream), mut instead: impl FnMut() -> Option<&'static [u8]>) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(count) = from.read(&mut chunk) {
        if count == 0 || to.write_all(instead().unwrap_or(&chunk[..count])).is_err() {
            break;
        }
    }
    // They may have ended already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn answers_are_slow_then_garbage_then_themselves_and_commands_always_arrive() {
        let redis = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Gate::open(redis.local_addr().unwrap()).unwrap();
        let mut daemon = TcpStream::connect(gate.address()).unwrap();
        let (mut redis, _) = redis.accept().unwrap();
        let mut exchange = |answer: &[u8]| {
            let (mut heard, mut told) = ([0; 4], vec![0; answer.len()]);
            daemon.write_all(b"PING").unwrap();
            redis.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"PING");
            redis.write_all(b"PONG").unwrap();
            daemon.read_exact(&mut told).unwrap();
            assert_eq!(told, answer);
        };
        exchange(b"PONG");
        let (delay, before) = (Duration::from_millis(30), Instant::now());
        gate.slow(delay);
        exchange(b"PONG");
        assert!(before.elapsed() >= delay);
        gate.heal();
        gate.garble();
        exchange(GARBAGE);
        gate.heal();
        exchange(b"PONG");
        drop(redis);
        assert_eq!(daemon.read(&mut [0]).unwrap_or(0), 0, "the end of Redis is the end of the connection");
    }
}
