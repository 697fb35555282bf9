//! Questions that the operator of a daemon asks a service, and what may come of each: one answer, and its own.
//!
//! The service stands in every simulated daemon. What it does about a question is said in the question, by the scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::config::Config;
use lobbyd_core::data::Data;
use lobbyd_core::input::ServiceError;
use lobbyd_net::CallError;
use lobbyd_net::extension::service::Service;
use lobbyd_net::node::NodeHandle;
use lobbyd_net::stores::LocalFuture;

use crate::scenario::Served;

/// How much later than the engine's time for it an answer may be there: it has a way to go.
const SLACK: Duration = Duration::from_secs(1);

/// The name of the service.
pub(crate) fn service() -> CommandName {
    "simulation.service".parse().expect("a good name")
}

/// What the operator asks: a number, which the answer repeats, and what is to be done.
pub(crate) fn request(number: u64, served: Served) -> Data {
    let (kind, time) = match served {
        Served::Answers(time) => (0, time),
        Served::Fails(time) => (1, time),
        Served::Never => (2, Duration::ZERO),
    };
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut bytes = vec![kind];
    bytes.extend(number.to_le_bytes());
    bytes.extend(nanos.to_le_bytes());
    Data::from(bytes)
}

/// How long the service takes, and what it says then; nothing if it never says anything.
pub(crate) fn reply(request: &Data) -> Option<(Duration, Result<Data, ServiceError>)> {
    let (kind, rest) = request.as_bytes().split_first().expect("a question has a kind");
    let (number, nanos) = rest.split_first_chunk::<8>().expect("a question has a number");
    let nanos = nanos.first_chunk().expect("a question has a time");
    let after = Duration::from_nanos(u64::from_le_bytes(*nanos));
    match kind {
        0 => Some((after, Ok(answer(u64::from_le_bytes(*number))))),
        1 => Some((after, Err(ServiceError::Failed))),
        _ => None,
    }
}

fn answer(number: u64) -> Data {
    Data::from(format!("the answer to question {number}").into_bytes())
}

/// The service, in simulated time.
pub(crate) struct SimulatedService;

impl Service for SimulatedService {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        Box::pin(async move {
            let Some((delay, result)) = reply(&request) else { return pending().await };
            tokio::time::sleep(delay).await;
            result
        })
    }

    fn concurrent_max(&self) -> usize {
        // Nobody waits for a turn: the engine alone says how many may be asked.
        usize::MAX
    }

    fn timeout(&self) -> Duration {
        // Only the engine's time bounds an answer.
        Duration::from_secs(24 * 60 * 60)
    }
}

/// What comes of a question.
type Answer = Pin<Box<dyn Future<Output = Result<Data, CallError>>>>;

/// Questions that wait for their answers, asked by handles.
#[derive(Default)]
pub(crate) struct Questions {
    open: Vec<Question>,
    asked: u64,
    /// The daemons that were told to end, and were not started again.
    ending: BTreeSet<String>,
    /// Until when the processes of daemons did not or will not run.
    stalled_until: BTreeMap<String, Duration>,
}

struct Question {
    number: u64,
    daemon: String,
    served: Served,
    asked_at: Duration,
    /// How many others waited at the same daemon when it was asked.
    others: usize,
    /// How long its daemon may have stood still meanwhile.
    stalled: Duration,
    /// Whether its daemon may have ended meanwhile.
    may_end: bool,
    answer: Answer,
}

impl Questions {
    /// Asks a daemon.
    pub(crate) fn ask(&mut self, now: Duration, daemon: &str, handle: NodeHandle, served: Served) {
        self.push(now, daemon, served, |number| {
            Box::pin(async move { handle.call_service(service(), request(number, served)).await })
        });
    }

    fn push(&mut self, now: Duration, daemon: &str, served: Served, ask: impl FnOnce(u64) -> Answer) {
        self.asked += 1;
        let (number, others) = (self.asked, self.open.iter().filter(|open| open.daemon == daemon).count());
        let answer = ask(number);
        let daemon = daemon.to_owned();
        let stalled_until = self.stalled_until.get(&daemon).copied().unwrap_or_default();
        let (stalled, may_end) = (stalled_until.saturating_sub(now), self.ending.contains(&daemon));
        self.open.push(Question { number, daemon, served, asked_at: now, others, stalled, may_end, answer });
    }

    /// The daemon's process does not run for so long, or for as long as it was said already.
    pub(crate) fn stalls(&mut self, now: Duration, daemon: &str, gap: Duration) {
        let until = self.stalled_until.entry(daemon.to_owned()).or_default();
        *until = (now + gap).max(*until);
        self.open.iter_mut().filter(|open| open.daemon == daemon).for_each(|open| open.stalled += gap);
    }

    /// The daemon's process is told to end, or is gone.
    pub(crate) fn ends(&mut self, daemon: &str) {
        self.ending.insert(daemon.to_owned());
        self.open.iter_mut().filter(|open| open.daemon == daemon).for_each(|open| open.may_end = true);
    }

    /// The daemon's process is there anew.
    pub(crate) fn begins(&mut self, daemon: &str) {
        self.ending.remove(daemon);
        self.stalled_until.remove(daemon);
    }

    /// Takes the answers that are there.
    ///
    /// # Errors
    /// Says which question got an answer that it may not get, or none in time.
    pub(crate) fn listen(&mut self, now: Duration, config: &Config) -> Result<(), String> {
        let mut place = 0;
        while let Some(open) = self.open.get_mut(place) {
            match open.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => {
                    let question = self.open.remove(place);
                    question.judge(now, config, answer)?;
                }
                Poll::Pending if open.is_overdue(now, config) => {
                    return Err(format!("question {} to a service of {} has no answer", open.number, open.daemon));
                }
                Poll::Pending => place += 1,
            }
        }
        Ok(())
    }
}

impl Question {
    fn is_overdue(&self, now: Duration, config: &Config) -> bool {
        !self.may_end && now > self.asked_at + config.service_timeout + self.stalled + SLACK
    }

    fn judge(&self, now: Duration, config: &Config, came: Result<Data, CallError>) -> Result<(), String> {
        let took = now.saturating_sub(self.asked_at);
        let is_sound = match &came {
            Ok(data) => matches!(self.served, Served::Answers(after) if after <= took) && *data == answer(self.number),
            Err(CallError::Service(ServiceError::Failed)) => {
                matches!(self.served, Served::Fails(after) if after <= took)
            }
            Err(CallError::Service(ServiceError::TimedOut)) => {
                let comes = match self.served {
                    Served::Answers(after) | Served::Fails(after) => after + SLACK < config.service_timeout,
                    Served::Never => false,
                };
                took >= config.service_timeout && (!comes || !self.stalled.is_zero())
            }
            Err(CallError::Service(ServiceError::Busy)) => self.others >= config.service_calls_max as usize,
            Err(CallError::Stopped(_)) => self.may_end,
            Err(_) => false,
        };
        if is_sound {
            return Ok(());
        }
        let Self { number, daemon, served, .. } = self;
        Err(format!(
            "question {number} to a service of {daemon}, which {served:?}, was answered {came:?} after {took:?}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_net::node::Stopped;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn config() -> Config {
        Config { service_timeout: 2_000 * MILLI, service_calls_max: 1, ..Config::default() }
    }

    /// Asks a question at 0, which comes with this answer.
    fn asked(served: Served, comes: Result<Data, CallError>) -> Questions {
        let mut questions = Questions::default();
        questions.push(Duration::ZERO, "server", served, |_| Box::pin(async move { comes }));
        questions
    }

    #[test]
    fn question_takes_its_own_answer_and_no_other() {
        let answers = |after, comes, at| asked(Served::Answers(after * MILLI), comes).listen(at * MILLI, &config());
        let failed = |error| Err(CallError::Service(error));
        assert_eq!(answers(100, Ok(answer(1)), 100), Ok(()));
        assert_eq!(answers(3_000, failed(ServiceError::TimedOut), 2_000), Ok(()));
        let wrong = [
            answers(100, Ok(answer(2)), 100),
            answers(100, Ok(answer(1)), 99),
            answers(100, failed(ServiceError::Failed), 100),
            answers(100, failed(ServiceError::TimedOut), 2_000),
            answers(3_000, failed(ServiceError::TimedOut), 1_999),
            answers(100, failed(ServiceError::Busy), 100),
            answers(100, failed(ServiceError::Unknown), 100),
            answers(100, Err(CallError::Stopped(Stopped)), 100),
        ];
        assert!(wrong.iter().all(Result::is_err), "{wrong:?}");
    }

    #[test]
    fn question_without_an_answer_is_told_in_time() {
        let silent = || {
            let mut questions = Questions::default();
            questions.push(Duration::ZERO, "server", Served::Never, |_| Box::pin(pending()));
            questions
        };
        let late = 3_001 * MILLI;
        assert_eq!(silent().listen(3_000 * MILLI, &config()), Ok(()));
        assert!(silent().listen(late, &config()).is_err());
        let mut stalled = silent();
        stalled.stalls(MILLI, "server", 500 * MILLI);
        assert_eq!(stalled.listen(late, &config()), Ok(()));
        assert!(stalled.listen(late + 500 * MILLI, &config()).is_err());
        // A shorter stop in a longer one ends with that.
        let mut twice = Questions::default();
        twice.stalls(Duration::ZERO, "server", 500 * MILLI);
        twice.stalls(MILLI, "server", MILLI);
        twice.push(MILLI, "server", Served::Never, |_| Box::pin(pending()));
        assert_eq!(twice.listen(late + 400 * MILLI, &config()), Ok(()));
        assert!(twice.listen(late + 500 * MILLI, &config()).is_err());
        let mut ended = silent();
        ended.ends("server");
        assert_eq!(ended.listen(late, &config()), Ok(()));
    }

    #[test]
    fn only_one_too_many_is_refused_as_such_and_only_by_who_may_end_as_stopped() {
        let busy = || Err(CallError::Service(ServiceError::Busy));
        let mut questions = Questions::default();
        questions.push(Duration::ZERO, "server", Served::Never, |_| Box::pin(pending()));
        questions.push(Duration::ZERO, "other", Served::Never, move |_| Box::pin(async move { busy() }));
        assert!(questions.listen(MILLI, &config()).is_err(), "that was at another daemon");
        questions.push(Duration::ZERO, "server", Served::Never, move |_| Box::pin(async move { busy() }));
        assert_eq!(questions.listen(MILLI, &config()), Ok(()));
        questions.ends("server");
        let stopped = |_| -> Answer { Box::pin(async { Err(CallError::Stopped(Stopped)) }) };
        questions.push(Duration::ZERO, "server", Served::Never, stopped);
        assert_eq!(questions.listen(MILLI, &config()), Ok(()));
        questions.begins("server");
        questions.push(Duration::ZERO, "server", Served::Never, stopped);
        assert!(questions.listen(MILLI, &config()).is_err(), "it runs again");
    }
}
