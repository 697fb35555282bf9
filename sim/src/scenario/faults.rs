//! What breaks and heals, and what is looked at: the steps that are no client's, read and written.

use std::time::Duration;

use super::names::Names;
use super::tokens::{self, Line, Parsed, Refusal, here, show_duration, show_duration_range};
use super::{Check, Fault, RedisFault, Served};

/// The fault that begins with `word`, which is taken already; `None` if the word begins no fault.
pub(super) fn fault(word: &str, line: &mut Line<'_>, line_number: u32, names: &mut Names) -> Parsed<Option<Fault>> {
    Ok(Some(match word {
        "partition" => {
            let one_way = tokens::keyword(line, "one-way");
            let (from, to) = two_hosts(line, line_number, names)?;
            Fault::Partition { from, to, one_way }
        }
        "repair" => {
            let (from, to) = two_hosts(line, line_number, names)?;
            Fault::Repair { from, to }
        }
        "hold" => {
            let (from, to) = two_hosts(line, line_number, names)?;
            Fault::Hold { from, to }
        }
        "release" => {
            let (from, to) = two_hosts(line, line_number, names)?;
            Fault::Release { from, to }
        }
        "latency" => {
            let (from, to) = two_hosts(line, line_number, names)?;
            Fault::Latency { from, to, latency: tokens::duration_range(line)? }
        }
        "crash" => Fault::Crash { daemon: names.daemon(line)? },
        "restart" => Fault::Restart { daemon: names.daemon(line)? },
        "drain" => Fault::Drain { daemon: names.daemon(line)?, within: tokens::duration(line)? },
        "stop" => Fault::Stop { daemon: names.daemon(line)? },
        "close-user" => Fault::CloseUser { daemon: names.daemon(line)?, user: tokens::user_name(line)? },
        "ask" => Fault::Ask { daemon: names.daemon(line)?, served: served(line)? },
        "stall" => Fault::Stall { daemon: names.daemon(line)?, gap: tokens::duration(line)? },
        "redis" => Fault::Redis(redis_fault(line)?),
        _ => return Ok(None),
    }))
}

fn two_hosts(line: &mut Line<'_>, line_number: u32, names: &mut Names) -> Parsed<(String, String)> {
    let from = names.host(line, line_number)?;
    let at = here(line);
    let to = names.host(line, line_number)?;
    if from == to {
        return Err(Refusal::wrong(at, "both hosts are the same"));
    }
    Ok((from, to))
}

/// What comes of a question, with the time that it takes.
type Serves = fn(Duration) -> Served;

const SERVED: [(&str, Option<Serves>); 3] =
    [("answers", Some(Served::Answers)), ("fails", Some(Served::Fails)), ("never", None)];

fn served(line: &mut Line<'_>) -> Parsed<Served> {
    match tokens::one_of_words(line, "what the service does", &SERVED)? {
        Some(serves) => tokens::duration(line).map(serves),
        None => Ok(Served::Never),
    }
}

fn show_served(served: Served) -> String {
    match served {
        Served::Answers(time) => format!("answers {}", show_duration(time)),
        Served::Fails(time) => format!("fails {}", show_duration(time)),
        Served::Never => "never".to_owned(),
    }
}

#[derive(Clone, Copy)]
enum RedisVerb {
    Simple(RedisFault),
    Restart,
    Slow,
}

const REDIS_VERBS: [(&str, RedisVerb); 8] = [
    ("crash", RedisVerb::Simple(RedisFault::Crash)),
    ("restart", RedisVerb::Restart),
    ("freeze", RedisVerb::Simple(RedisFault::Freeze)),
    ("thaw", RedisVerb::Simple(RedisFault::Thaw)),
    ("slow", RedisVerb::Slow),
    ("lie", RedisVerb::Simple(RedisFault::Lie)),
    ("garble", RedisVerb::Simple(RedisFault::Garble)),
    ("heal", RedisVerb::Simple(RedisFault::Heal)),
];

fn redis_fault(line: &mut Line<'_>) -> Parsed<RedisFault> {
    Ok(match tokens::one_of_words(line, "what becomes of Redis", &REDIS_VERBS)? {
        RedisVerb::Simple(fault) => fault,
        RedisVerb::Restart if tokens::keyword(line, "empty") => RedisFault::RestartEmpty,
        RedisVerb::Restart => RedisFault::Restart,
        RedisVerb::Slow => RedisFault::Slow(tokens::duration(line)?),
    })
}

/// The fault as [`fault`] reads it, with the word that begins it.
pub(super) fn show(fault: &Fault) -> String {
    match fault {
        Fault::Partition { from, to, one_way: true } => format!("partition one-way {from} {to}"),
        Fault::Partition { from, to, one_way: false } => format!("partition {from} {to}"),
        Fault::Repair { from, to } => format!("repair {from} {to}"),
        Fault::Hold { from, to } => format!("hold {from} {to}"),
        Fault::Release { from, to } => format!("release {from} {to}"),
        Fault::Latency { from, to, latency } => format!("latency {from} {to} {}", show_duration_range(*latency)),
        Fault::Crash { daemon } => format!("crash {daemon}"),
        Fault::Restart { daemon } => format!("restart {daemon}"),
        Fault::Drain { daemon, within } => format!("drain {daemon} {}", show_duration(*within)),
        Fault::Stop { daemon } => format!("stop {daemon}"),
        Fault::CloseUser { daemon, user } => format!("close-user {daemon} {user}"),
        Fault::Ask { daemon, served } => format!("ask {daemon} {}", show_served(*served)),
        Fault::Stall { daemon, gap } => format!("stall {daemon} {}", show_duration(*gap)),
        Fault::Redis(fault) => match fault {
            RedisFault::Crash => "redis crash".to_owned(),
            RedisFault::Restart => "redis restart".to_owned(),
            RedisFault::RestartEmpty => "redis restart empty".to_owned(),
            RedisFault::Freeze => "redis freeze".to_owned(),
            RedisFault::Thaw => "redis thaw".to_owned(),
            RedisFault::Slow(delay) => format!("redis slow {}", show_duration(*delay)),
            RedisFault::Lie => "redis lie".to_owned(),
            RedisFault::Garble => "redis garble".to_owned(),
            RedisFault::Heal => "redis heal".to_owned(),
        },
    }
}

/// Looks at how many of something there are.
type Counted = fn(u32) -> Check;

const CHECKS: [(&str, Option<Counted>); 4] = [
    ("empty", None),
    ("sessions", Some(Check::Sessions)),
    ("online", Some(Check::Online)),
    ("rooms", Some(Check::Rooms)),
];

/// What must be so in a daemon: `empty`, or how many of what there are.
pub(super) fn check(line: &mut Line<'_>) -> Parsed<Check> {
    match tokens::one_of_words(line, "what to look at", &CHECKS)? {
        None => Ok(Check::Empty),
        Some(count) => tokens::number(line, "how many").map(count),
    }
}

/// The check as [`check`] reads it.
pub(super) fn show_check(check: Check) -> String {
    match check {
        Check::Empty => "empty".to_owned(),
        Check::Sessions(count) => format!("sessions {count}"),
        Check::Online(count) => format!("online {count}"),
        Check::Rooms(count) => format!("rooms {count}"),
    }
}
