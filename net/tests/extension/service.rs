use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::data::Data;
use lobbyd_core::extension::RegisterError;
use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::service::{REPLY_BYTES_MAX, Service, Services};
use lobbyd_net::stores::LocalFuture;
use tokio::time::{Instant, sleep};

use crate::support::config;

/// Does what it is asked; counts how many calls run at once.
#[derive(Default)]
struct Worker {
    running: Rc<Cell<usize>>,
    peak: Rc<Cell<usize>>,
}

struct Leaving(Rc<Cell<usize>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Service for Worker {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        assert!(request.as_bytes() != b"panic early", "early");
        Box::pin(async move {
            self.running.set(self.running.get() + 1);
            self.peak.set(self.peak.get().max(self.running.get()));
            let _leaving = Leaving(self.running.clone());
            match request.as_bytes() {
                b"slow" => sleep(Duration::from_secs(1)).await,
                b"never" => std::future::pending().await,
                b"panic late" => {
                    sleep(Duration::from_millis(1)).await;
                    panic!("late");
                }
                b"long" => return Ok(vec![0; REPLY_BYTES_MAX + 1].into()),
                b"longest" => return Ok(vec![0; REPLY_BYTES_MAX].into()),
                _ => {}
            }
            Ok(request)
        })
    }

    fn concurrent_max(&self) -> usize {
        2
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(3)
    }
}

fn services(worker: Worker) -> Services {
    let mut extensions = Extensions::new();
    extensions.service("worker", worker).unwrap();
    extensions.assemble(config(), 1, lobbyd_core::time::Instant::ZERO).services
}

async fn ask(services: &Services, request: &str) -> Result<Data, ServiceError> {
    services.call("worker".parse().unwrap(), request.into()).await
}

#[tokio::test(start_paused = true)]
async fn service_answers_and_an_unknown_one_says_so() {
    let services = services(Worker::default());
    assert_eq!(ask(&services, "hello").await, Ok("hello".into()));
    let unknown = services.call("nobody".parse().unwrap(), "hello".into()).await;
    assert_eq!(unknown, Err(ServiceError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn panic_and_a_long_reply_are_failures_and_the_service_goes_on() {
    let services = services(Worker::default());
    for request in ["panic early", "panic late", "long", "panic late", "panic early"] {
        assert_eq!(ask(&services, request).await, Err(ServiceError::Failed), "{request}");
    }
    assert_eq!(ask(&services, "longest").await.map(|reply| reply.len()), Ok(REPLY_BYTES_MAX));
}

#[tokio::test(start_paused = true)]
async fn call_ends_at_its_deadline() {
    let worker = Worker::default();
    let running = worker.running.clone();
    let services = services(worker);
    let start = Instant::now();
    assert_eq!(ask(&services, "never").await, Err(ServiceError::TimedOut));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(running.get(), 0, "what is given up is dropped");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_run_at_once() {
    let worker = Worker::default();
    let peak = worker.peak.clone();
    let services = services(worker);
    let start = Instant::now();
    let calls = (ask(&services, "slow"), ask(&services, "slow"), ask(&services, "slow"), ask(&services, "slow"));
    let (a, b, c, d) = tokio::join!(calls.0, calls.1, calls.2, calls.3);
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!((start.elapsed(), peak.get()), (Duration::from_secs(2), 2));
}

#[tokio::test(start_paused = true)]
async fn call_whose_turn_does_not_come_is_told_that_the_service_is_busy() {
    let services = services(Worker::default());
    let (a, b, c) = tokio::join!(ask(&services, "never"), ask(&services, "never"), ask(&services, "hello"));
    assert_eq!((a, b), (Err(ServiceError::TimedOut), Err(ServiceError::TimedOut)));
    // Its own time ends in the moment in which a place becomes free.
    assert!(matches!(c, Err(ServiceError::Busy) | Ok(_)));
    assert_eq!(ask(&services, "hello").await, Ok("hello".into()));
}

#[test]
fn service_names_are_checked() {
    let mut extensions = Extensions::new();
    extensions.service("worker", Worker::default()).unwrap();
    let taken = extensions.service("worker", Worker::default()).unwrap_err();
    assert_eq!(taken, RegisterError::Duplicate("worker".parse().unwrap()));
    let bad = extensions.service("Worker", Worker::default()).unwrap_err();
    assert_eq!(bad, RegisterError::NameInvalid { name: "Worker".to_owned() });
}
