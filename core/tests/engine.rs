//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

mod lobby;
mod room;
mod support;
