//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

mod chat;
mod config;
mod digest;
mod kick;
mod limits;
mod lobby;
mod names;
mod password;
mod room;
mod snapshot;
mod support;
mod text;
