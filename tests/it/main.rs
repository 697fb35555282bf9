//! The daemon as its users meet it: a process, seen through its sockets, its log, its signals and its exit code.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test fails on every packet but the ones it expects")]

mod support;

mod bad_input;
mod bench;
mod connections;
mod io_threads;
mod journal;
mod main_job;
mod operation;
mod redis_accounts;
mod redis_faults;
mod redis_presence;
mod scenarios_live;
mod shutdown;
