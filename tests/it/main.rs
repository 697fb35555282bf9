//! The daemon as its users meet it: a process, seen through its sockets, its log, its signals and its exit code.

mod support;

mod bad_input;
mod connections;
mod main_job;
mod operation;
mod redis_accounts;
mod redis_faults;
mod redis_presence;
mod shutdown;
