//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

mod attempts;
mod chat;
mod codes;
mod config;
mod connect;
mod digest;
mod disconnect;
mod drain;
mod duplicate_login;
mod extension;
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
