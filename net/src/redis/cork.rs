//! Commands of one round go out in one piece.
//!
//! Every connection that is ready in a round of the scheduler may have a login or a logout for Redis, and a system call
//! for each is most of what it costs, here and there. So what is written is kept until everybody who is ready now has
//! had a turn; when nobody else is, that is at once. It is never longer than until the runtime looks at its sockets.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

/// What is kept at most.
const BYTES_MAX: usize = 16 * 1024;

/// A stream that writes what it is given when it is flushed, after everybody who is ready has had a turn.
pub(super) struct Corked<S> {
    stream: S,
    bytes: Vec<u8>,
    /// How many of the bytes have been written.
    written: usize,
    /// The others have their turn.
    round: Option<Arc<Round>>,
}

/// Ends when everybody who is ready as it begins has had a turn.
struct Round {
    is_over: AtomicBool,
    /// Who waits for the end. A lock only because wakers have to be shared between threads.
    waiting: Mutex<Waker>,
}

impl Round {
    fn begin(context: &Context<'_>) -> Arc<Self> {
        let waiting = Mutex::new(context.waker().clone());
        let round = Arc::new(Self { is_over: AtomicBool::new(false), waiting });
        let waker = Waker::from(Arc::clone(&round));
        // Polled once, so that the scheduler has the waker and calls it when it has no more tasks that are ready. Asked
        // again, for whatever other reason, it would say that it is over.
        let _pending = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
        round
    }

    fn poll_over(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone_from(context.waker());
        // It may have ended in between, if another thread ends it.
        if self.is_over.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Wake for Round {
    fn wake(self: Arc<Self>) {
        self.is_over.store(true, Ordering::Release);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl<S> Corked<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new(), written: 0, round: None }
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.bytes.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() >= BYTES_MAX {
            ready!(self.poll_write_out(context))?;
        }
        let count = bytes.len().min(BYTES_MAX - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.bytes.is_empty() {
            ready!(self.round.get_or_insert_with(|| Round::begin(context)).poll_over(context));
            ready!(self.poll_write_out(context))?;
            self.round = None;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncWrite, AsyncWriteExt};
    use tokio::sync::mpsc;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::{BYTES_MAX, Corked};

    /// Takes so many bytes a write, and keeps the writes apart.
    struct Writes {
        seen: Vec<String>,
        bytes_max: usize,
    }

    impl AsyncWrite for Writes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.bytes_max);
            self.seen.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn corked(bytes_max: usize) -> Corked<Writes> {
        Corked::new(Writes { seen: Vec::new(), bytes_max })
    }

    /// What goes out when tasks hand commands to one who writes and flushes whatever there is, as the driver of a
    /// connection does. All of them are ready at once, each has two commands and a turn of its own for each.
    async fn written_by(tasks: usize) -> Vec<String> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let driver = async move {
            let mut stream = corked(usize::MAX);
            let mut commands = 0;
            std::future::poll_fn(|context| {
                while let Poll::Ready(command) = receiver.poll_recv(context) {
                    let Some(command) = command else { break };
                    let command: String = command;
                    let taken = Pin::new(&mut stream).poll_write(context, command.as_bytes());
                    assert!(matches!(taken, Poll::Ready(Ok(count)) if count == command.len()));
                    commands += 1;
                }
                let flushed = Pin::new(&mut stream).poll_flush(context);
                if flushed.is_ready() && commands == 2 * tasks { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            stream.stream.seen
        };
        let local = LocalSet::new();
        let driver = local.spawn_local(driver);
        for task in 0..tasks {
            let sender = sender.clone();
            local.spawn_local(async move {
                for round in 0..2 {
                    sender.send(format!("{round}{task} ")).unwrap();
                    yield_now().await;
                }
            });
        }
        local.run_until(driver).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_ready_in_a_round_goes_out_in_one_piece() {
        // In which order tasks go on is the scheduler's affair.
        let pieces = |writes: Vec<String>| {
            writes
                .iter()
                .map(|write| {
                    let mut commands: Vec<_> = write.split_whitespace().map(str::to_owned).collect();
                    commands.sort_unstable();
                    commands.join(" ")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(pieces(written_by(3).await), ["00 01 02", "10 11 12"]);
        assert_eq!(pieces(written_by(1).await), ["00", "10"]);
    }

    #[tokio::test]
    async fn writes_that_take_only_a_part_go_on() {
        let mut stream = corked(3);
        stream.write_all(b"SET a 1").await.unwrap();
        assert!(stream.stream.seen.is_empty(), "nothing goes out before a flush");
        stream.flush().await.unwrap();
        stream.write_all(b"GET a").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.stream.seen, ["SET", " a ", "1", "GET", " a"]);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_there_is_room_for() {
        let mut stream = corked(usize::MAX);
        for _ in 0..3 {
            stream.write_all(&[b'a'; BYTES_MAX + 1]).await.unwrap();
        }
        let lengths: Vec<_> = stream.stream.seen.iter().map(String::len).collect();
        assert_eq!(lengths, [BYTES_MAX; 3]);
        LocalSet::new()
            .run_until(async { spawn_local(async move { stream.flush().await }).await.unwrap() })
            .await
            .unwrap();
    }
}
