//! What answers in the place of the inventory's service: mostly in time, for some items late, badly or never.

use std::time::Duration;

use lobbyd_core::input::ServiceError;

use crate::inventory::{Answer, Question, Wish};

/// How long the answer takes, and the answer. `random` decides how long, in milliseconds.
pub(crate) fn items(request: &[u8], random: u64) -> (Duration, Result<Vec<u8>, ServiceError>) {
    let Ok(Question { wish, .. }) = serde_json::from_slice(request) else {
        return (Duration::ZERO, Err(ServiceError::Failed));
    };
    let delay = Duration::from_millis(10 + random % 100);
    let mut answer: Answer = Ok([].into());
    match wish {
        Wish::List => {}
        Wish::Take(item) if item == "lost" => return (Duration::from_secs(3600), Ok(Vec::new())),
        Wish::Take(item) if item == "broken" => return (delay, Err(ServiceError::Failed)),
        Wish::Take(item) if item == "nonsense" => return (delay, Ok(b"?".to_vec())),
        Wish::Take(item) => answer = Ok([(item, 1)].into()),
        Wish::Drop(item) => answer = Err(format!("you have no {item}")),
    }
    (delay, serde_json::to_vec(&answer).map_err(|_| ServiceError::Failed))
}
