//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod about;
mod attempts;
mod chat;
mod codes;
mod config;
mod connect;
mod data;
mod digest;
mod disconnect;
mod drain;
mod duplicate_login;
mod extension;
mod extension_snapshot;
mod flood;
mod heartbeat;
mod kick;
mod limits;
mod lobby;
mod login;
mod names;
mod operator;
mod password;
mod presence;
mod room;
mod snapshot;
mod stopped;
mod support;
mod text;
mod views;
