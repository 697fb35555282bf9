//! What a program does wrong is said in words that help it.

use std::io::{self, ErrorKind, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use lobbyd::{EndError, Server, StartError};
use lobbyd_core::extension::RegisterError;
use lobbyd_core::packet::{CloseReason, Code};
use lobbyd_net::client::ClientError;
use lobbyd_net::node::{ScheduleError, Stopped};
use lobbyd_net::{AskError, CallError, Lane};

use crate::support::{Die, builder, log_in, settings};

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut in_use = settings();
    in_use.server.listen = vec![taken.local_addr().unwrap()];
    let error = builder().settings(in_use).start().await.unwrap_err();
    let StartError::Listen(bind) = &error else { panic!("{error:?}") };
    assert_eq!((bind.address, bind.source.kind()), (taken.local_addr().unwrap(), ErrorKind::AddrInUse));
    let says = format!("cannot listen on {}", bind.address);
    assert!(error.to_string().contains(&says), "{error}");

    let error = builder().store("redis//elsewhere").start().await.unwrap_err();
    assert!(matches!(error, StartError::StoreUnknown { .. }), "{error:?}");
    assert!(error.to_string().starts_with("\"redis//elsewhere\" is no store; allowed is \"embedded\""), "{error}");
    let error = builder().store("redis://:hunter2@host/x").start().await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");

    let error = builder().command("die", Die).command("die", Die).start().await.unwrap_err();
    assert!(matches!(error, StartError::Extension(RegisterError::Duplicate(_))), "{error:?}");
    assert_eq!(error.to_string(), "there are two extensions called die: give one of them another name");
    let error = builder().command("Die!", Die).start().await.unwrap_err();
    assert!(matches!(error, StartError::Extension(RegisterError::NameInvalid { .. })), "{error:?}");
    let says = "\"Die!\" is no name for an extension: a command's name is 1 to 32 characters of a-z 0-9 _ . -";
    assert_eq!(error.to_string(), says);

    let mut nobody = settings();
    nobody.limits.users_max = 0;
    let error = builder().settings(nobody).start().await.unwrap_err();
    assert!(matches!(&error, StartError::Setting(error) if error.setting == "users_max"), "{error:?}");
    let error = builder().config_file("nowhere/lobbyd.toml").start().await.unwrap_err();
    assert!(matches!(error, StartError::Config(_)), "{error:?}");
    let error = builder().extensions(|_| panic!("on purpose")).start().await.unwrap_err();
    assert!(matches!(error, StartError::Panicked), "{error:?}");
    assert_eq!(error.to_string(), "the server panicked while it started: the panic's own message says where");
}

#[tokio::test]
async fn store_of_the_data_folder_is_held_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.server.data = folder.path().to_owned();
    let server = Server::builder().settings(settings.clone()).start().await.unwrap();
    let second = Server::builder().settings(settings.clone()).start().await.unwrap_err();
    assert!(matches!(second, StartError::Store(_)), "{second:?}");
    let says = format!("the accounts in {} are held by another process", folder.path().display());
    assert!(second.to_string().starts_with(&says), "{second}");
    server.stop().await.unwrap();
    Server::builder().settings(settings).start().await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn calls_after_the_end_say_so() {
    let server = builder().start().await.unwrap();
    let address = server.address();
    let (_alice, mut events) = log_in(&server, "alice", "wonder").await;
    let report = server.stop().await.unwrap();
    assert_eq!(report.traffic.accepted, 1);
    assert!(matches!(events.next().await, Err(ClientError::Closed(CloseReason::Stopped))));

    assert_eq!(server.connection_count().await, Err(Stopped));
    assert_eq!(server.connection_stats().await, Err(Stopped));
    assert_eq!(server.stats().await.map(|_| ()), Err(Stopped));
    assert_eq!(server.announce("anybody?").await, Err(AskError::Stopped(Stopped)));
    assert_eq!(server.schedule(Lane::User, async {}).await, Err(ScheduleError::Stopped(Stopped)));
    assert_eq!(server.call_service("echo", "").await, Err(CallError::Stopped(Stopped)));
    assert_eq!(server.enable_extension("die").await, Err(AskError::Stopped(Stopped)));
    assert_eq!(server.enable_middleware("filter").await, Err(Stopped));
    assert_eq!(server.stop().await.map(|_| ()), Err(EndError::Stopped));
    assert_eq!(server.drain(Duration::ZERO).await.map(|_| ()), Err(EndError::Stopped));
    assert_eq!(
        server.ended().await.map(|report| report.traffic.accepted),
        Ok(1),
        "the end itself can still be asked for"
    );
    for error in [
        Stopped.to_string(),
        AskError::Stopped(Stopped).to_string(),
        CallError::Stopped(Stopped).to_string(),
        ScheduleError::Stopped(Stopped).to_string(),
        EndError::Stopped.to_string(),
    ] {
        assert_eq!(error, "the server has stopped");
    }
    // Its address is free again.
    TcpListener::bind(address).unwrap();
}

#[tokio::test]
async fn oversized_reply_is_told_in_the_log_and_its_command_is_refused() {
    keep_log();
    let server = builder().command("boaster", Die).start().await.unwrap();
    let (alice, _events) = log_in(&server, "alice", "wonder").await;
    let refused = alice.command("boaster", b"too long", 0).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(Code::ExtensionFailed)), "{refused:?}");
    assert_eq!(refused.to_string(), "the extension behind the command failed");
    let stats = server.stats().await.unwrap();
    assert_eq!((stats.extensions[0].failures, stats.extensions[0].enabled), (1, true));
    server.stop().await.unwrap();
    let said = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let line = said.lines().find(|line| line.contains("extension=boaster"));
    let line = line.unwrap_or_else(|| panic!("nothing of it in the log: {said}"));
    assert!(line.contains("ERROR") && line.contains("reason=data of 16384 bytes, allowed are 16000"), "{line}");
}

/// What the servers of this process have logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keep;

impl Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn keep_log() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| Keep).init();
}
