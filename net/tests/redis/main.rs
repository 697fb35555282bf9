//! The Redis side against a real `redis-server`, and against a scripted one that lies.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was not as it should be")]

mod accounts;
mod cork;
mod fake;
mod lies;
mod link;
mod log;
mod outage;
mod presence;
mod storm;
mod support;
