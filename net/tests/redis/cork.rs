//! How many writes it takes to say several things to Redis: every one is a system call, here and there.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use lobbyd_net::redis::{Dial, Link, LinkConfig, RedisAddress};
use lobbyd_net::stores::LocalFuture;
use redis::cmd;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::task::spawn_local;

use super::fake::{Answer, Fake, run_paused};
use super::support::connected;

/// What was written, each write apart. Behind a lock only because the stream has to be `Send`.
type Writes = Arc<Mutex<Vec<String>>>;

/// Dials the fake, and listens to what is said to it.
struct Overheard {
    fake: Fake,
    writes: Writes,
}

impl Dial for Overheard {
    type Stream = OverheardStream;

    fn dial(&self) -> LocalFuture<'_, io::Result<OverheardStream>> {
        Box::pin(async { Ok(OverheardStream { stream: self.fake.dial().await?, writes: Arc::clone(&self.writes) }) })
    }
}

struct OverheardStream {
    stream: DuplexStream,
    writes: Writes,
}

impl AsyncRead for OverheardStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for OverheardStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.writes.lock().unwrap().push(String::from_utf8_lossy(&bytes[..count]).into_owned());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Lets everybody who is ready now go first, so often, and is itself ready all the time: the round of the scheduler does
/// not end meanwhile.
async fn go_behind_others(mut times: usize) {
    poll_fn(|context| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// How many of the commands each write has, when as many tasks as that say something to Redis. Each goes behind the
/// others so many times more than the one before it: the connection's own task has its turn between any two.
fn commands_by_write(tasks: usize, steps: usize) -> Vec<usize> {
    let writes = Writes::default();
    let heard = Arc::clone(&writes);
    run_paused(async move {
        let dial = Overheard { fake: Fake::new(|_, _| Answer::Usual), writes: Arc::clone(&writes) };
        let link = Link::start(RedisAddress::parse("redis://fake").unwrap(), dial, LinkConfig::default());
        connected(&link, 0).await;
        writes.lock().unwrap().clear();
        let sayers: Vec<_> = (0..tasks)
            .map(|task| {
                let link = link.clone();
                spawn_local(async move {
                    go_behind_others(steps * task).await;
                    link.command(cmd("SET").arg(task).arg("x")).await
                })
            })
            .collect();
        for sayer in sayers {
            assert!(sayer.await.unwrap().is_ok(), "Redis answers");
        }
    });
    let heard = heard.lock().unwrap();
    heard.iter().map(|write| write.matches("SET").count()).collect()
}

#[test]
fn commands_of_one_round_leave_in_one_write() {
    assert_eq!(commands_by_write(4, 3), [4]);
    assert_eq!(commands_by_write(1, 0), [1]);
}
