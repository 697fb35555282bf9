//! What a handle asks of extensions: their services, and to be called again after a panic.

use std::time::Duration;

use lobbyd_core::data::Data;
use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure, Reply};
use lobbyd_core::input::ServiceError;
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_net::client::ClientError;
use lobbyd_net::extension::middleware::{Decision, Middleware, Packet, Passage, WordFilter};
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;
use lobbyd_net::{AskError, Buffers, CallError};

use crate::support::{GENERAL, builder, log_in};

/// Counts, tells the service about it, and panics when told to.
#[derive(Clone, Default)]
struct Counter {
    count: u8,
}

impl CommandHandler for Counter {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        assert!(command.parameters != b"panic", "told to");
        self.count += 1;
        Ok(context.reply(Reply::success(self.count.to_string().as_bytes()))?)
    }

    fn event(&mut self, _: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        if event == Event::Enabled {
            self.count += 100;
        }
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.push(self.count);
    }
}

/// Builds its replies in lent buffers: what it was asked, twice.
struct Echo {
    buffers: Buffers,
}

impl Service for Echo {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        Box::pin(async move {
            match request.as_bytes() {
                b"never" => std::future::pending().await,
                b"panic" => panic!("told to"),
                b"fail" => return Err(ServiceError::Failed),
                _ => {}
            }
            let mut reply = self.buffers.lend();
            reply.extend_from_slice(request.as_bytes());
            reply.extend_from_slice(request.as_bytes());
            Ok(reply.into())
        })
    }

    fn concurrent_max(&self) -> usize {
        1
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(50)
    }
}

fn with_echo() -> lobbyd::ServerBuilder {
    builder().extensions(|extensions| {
        let buffers = extensions.buffers();
        extensions.service("echo", Echo { buffers })?;
        Ok(())
    })
}

fn failed(error: ServiceError) -> Result<Data, CallError> {
    Err(CallError::Service(error))
}

#[tokio::test]
async fn handle_asks_a_service_and_gets_its_answer_or_the_reason_for_none() {
    let server = with_echo().start().await.unwrap();
    assert_eq!(server.call_service("echo", "hi ").await, Ok("hi hi ".into()));
    assert_eq!(server.call_service("echo", b"bytes".to_vec()).await, Ok("bytesbytes".into()));
    assert_eq!(server.call_service("nobody", "hi").await, failed(ServiceError::Unknown));
    assert_eq!(server.call_service("No Name", "hi").await, failed(ServiceError::Unknown));
    assert_eq!(server.call_service("echo", "fail").await, failed(ServiceError::Failed));
    assert_eq!(server.call_service("echo", "panic").await, failed(ServiceError::Failed));
    let (never, behind) = tokio::join!(server.call_service("echo", "never"), server.call_service("echo", "never"));
    assert_eq!(never, failed(ServiceError::TimedOut));
    // Its own time ends in the moment in which the first one's place becomes free.
    assert!(behind == failed(ServiceError::Busy) || behind == failed(ServiceError::TimedOut), "{behind:?}");
    assert_eq!(server.call_service("echo", "still ").await, Ok("still still ".into()));
    let stats = server.stats().await.unwrap();
    assert_eq!(stats.report.counts.service_calls, 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn buffers_of_services_and_programs_are_reported() {
    let server = with_echo().start().await.unwrap();
    let mut lent = server.lend_buffer();
    lent.extend_from_slice(b"a question ");
    assert_eq!(server.stats().await.unwrap().buffers.lent, 1);
    let another = server.lend_buffer();
    let answer = server.call_service("echo", lent).await.unwrap();
    assert_eq!(answer, "a question a question ".into());
    drop(another);
    // The answer is in the buffer in which the service has built it, the one that the question had been in.
    let buffers = server.stats().await.unwrap().buffers;
    assert_eq!((buffers.lent, buffers.idle, buffers.peak, buffers.misses), (1, 1, 2, 2));
    drop(answer);
    let buffers = server.stats().await.unwrap().buffers;
    assert_eq!((buffers.lent, buffers.idle, buffers.bytes), (0, 2, 2 * 1024));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn extension_that_panicked_is_enabled_again_by_the_operator() {
    let server = builder().command("counter", Counter::default()).start().await.unwrap();
    let (alice, _events) = log_in(&server, "alice", "wonder").await;
    assert_eq!(alice.command("counter", b"", 0).await.unwrap().data, "1".into());
    for _ in 0..2 {
        let refused = alice.command("counter", b"panic", 0).await;
        assert!(matches!(refused, Err(ClientError::Refused(Code::ExtensionFailed))), "{refused:?}");
    }
    let of_counter = async || server.stats().await.unwrap().extensions.remove(0);
    let stats = of_counter().await;
    assert_eq!((stats.name.as_str(), stats.enabled), ("counter", false));
    // The login, the first command and the panic; once it was disabled, it was not called.
    assert_eq!((stats.calls.count(), stats.panics, stats.failures), (3, 1, 0));

    assert_eq!(server.enable_extension("counter").await, Ok(true));
    assert_eq!(server.enable_extension("counter").await, Ok(false));
    let stats = of_counter().await;
    assert_eq!((stats.enabled, stats.calls.count(), stats.panics), (true, 4, 1));
    // From the last copy, which knew of nothing or of the first command.
    let data = alice.command("counter", b"", 0).await.unwrap().data;
    assert!(data == "101".into() || data == "102".into(), "{data:?}");

    assert_eq!(server.disable_extension("counter").await, Ok(true));
    assert_eq!(server.disable_extension("counter").await, Ok(false));
    assert!(!of_counter().await.enabled);
    assert!(alice.command("counter", b"", 0).await.is_err());
    for name in ["nobody", "No Name"] {
        assert_eq!(server.enable_extension(name).await, Err(AskError::Refused(Code::CommandUnknown)));
        assert_eq!(server.disable_extension(name).await, Err(AskError::Refused(Code::CommandUnknown)));
    }
    server.stop().await.unwrap();
}

/// Panics at one word, and at being enabled for the first time.
struct Nervous {
    is_ready: bool,
}

impl Middleware for Nervous {
    fn name(&self) -> &str {
        "nervous"
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        if let ClientPacket::RoomChatRequest { text, .. } = packet {
            assert!(text.0 != b"boo", "told to");
        }
        Decision::Pass
    }

    fn enabled(&mut self) {
        let was_ready = std::mem::replace(&mut self.is_ready, true);
        assert!(was_ready, "not yet");
    }
}

#[tokio::test]
async fn middleware_that_panicked_is_passed_again_when_it_is_enabled() {
    let server = builder()
        .middleware(Nervous { is_ready: false })
        .middleware(WordFilter::masking(["darn"]))
        .middleware(WordFilter::refusing(["heck"]))
        .start()
        .await
        .unwrap();
    let (alice, _events) = log_in(&server, "alice", "wonder").await;
    alice.enter(GENERAL, None).await.unwrap();
    for (text, is_said) in [("boo", false), ("boo", true), ("darn", true), ("heck", false), ("heck", false)] {
        assert_eq!(alice.chat(GENERAL, text).await.is_ok(), is_said, "{text}");
    }
    let stats = async || {
        let stats = server.stats().await.unwrap().middleware;
        stats.iter().map(|link| (link.enabled, link.replaced, link.stopped, link.faults)).collect::<Vec<_>>()
    };
    assert_eq!(stats().await, [(false, 0, 0, 1), (true, 1, 0, 0), (true, 0, 2, 0)]);
    assert_eq!(server.enable_middleware("nobody").await, Ok(0));
    assert_eq!(server.enable_middleware("word filter").await, Ok(0));
    assert_eq!(server.enable_middleware("nervous").await, Ok(0), "it panics again");
    assert_eq!(server.enable_middleware("nervous").await, Ok(1));
    assert_eq!(stats().await[0], (true, 0, 0, 2));
    assert!(alice.chat(GENERAL, "boo").await.is_err());
    assert_eq!(stats().await[0], (false, 0, 0, 3));
    server.stop().await.unwrap();
}
