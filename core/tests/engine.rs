//! The engine's behaviour as transcripts: what goes in, exactly what comes out, and nothing besides.

mod attempts;
mod codes;
mod connect;
mod disconnect;
mod drain;
mod duplicate_login;
mod flood;
mod heartbeat;
mod login;
mod presence;
mod support;
