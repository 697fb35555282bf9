//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

mod chat;
mod kick;
mod lobby;
mod password;
mod room;
mod support;
