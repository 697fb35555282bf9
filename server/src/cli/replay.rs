//! `lobbyd replay`: what happened to a server happens again.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use lobbyd_core::id::SessionId;

use super::{Exit, Extend};
use crate::journal::replay::{Options, Summary, replay};

/// What to replay.
#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    /// Files of a journal, in their order, or folders of them
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Show each entry, and what the server did about it
    #[arg(long)]
    print: bool,
    /// Show only what concerns this session and the whole server. It is called as in the log: 3.0; each life of a server
    /// begins to name them anew
    #[arg(long, value_name = "SESSION", value_parser = session, requires = "print")]
    session: Option<SessionId>,
    /// Show only entries from this one on, as they are numbered in the life of a server
    #[arg(long, value_name = "ENTRY", default_value_t = 0, requires = "print")]
    from: u64,
    /// Replay nothing behind this entry, as they are numbered in the life of a server
    #[arg(long, value_name = "ENTRY")]
    until: Option<u64>,
}

/// Runs the command.
pub(super) fn run(arguments: ReplayArguments, mut extend: Extend) -> anyhow::Result<Exit> {
    let ReplayArguments { paths, print, session, from, until } = arguments;
    let options = Options { print, session, from, until };
    let mut out = BufWriter::new(io::stdout().lock());
    let begun = Instant::now();
    let summary = replay(&paths, &options, &mut extend, &mut out);
    let spent = begun.elapsed();
    let told = summary.and_then(|summary| {
        tell(&summary, spent.as_secs_f64(), &mut out)?;
        Ok(summary)
    });
    let flushed = out.flush();
    match told {
        Ok(summary) => {
            ignore_gone_reader(flushed)?;
            Ok(if summary.violations.is_empty() { Exit::Fine } else { Exit::Failed })
        }
        Err(error) => match error.downcast_ref::<io::Error>() {
            // A reader that has gone (`| head`) has read what it wanted.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Fine),
            Some(_) | None => Err(error),
        },
    }
}

fn ignore_gone_reader(flushed: io::Result<()>) -> anyhow::Result<()> {
    match flushed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

fn tell(summary: &Summary, spent_seconds: f64, out: &mut impl Write) -> io::Result<()> {
    let Summary { files, entries, recorded, states_compared, missing, violations, .. } = summary;
    let recorded_seconds = recorded.as_secs_f64();
    writeln!(
        out,
        "replayed {entries} entries of {files} files: {recorded_seconds:.3} s again in {spent_seconds:.3} s"
    )?;
    if !violations.is_empty() {
        return writeln!(out, "it ended there: see above");
    }
    match states_compared {
        0 => write!(
            out,
            "each entry came out as it was recorded, as far as counts can tell; there was no whole state to compare"
        )?,
        1 => write!(out, "everything came out as it was recorded, and a whole state to the bit")?,
        count => write!(out, "everything came out as it was recorded, and {count} whole states to the bit")?,
    }
    writeln!(out, "{}", if *missing > 0 { format!("; {missing} entries are missing") } else { String::new() })
}

fn session(text: &str) -> Result<SessionId, String> {
    let number = |text: &str| text.parse().ok();
    let parts = text.split_once('.').and_then(|(index, generation)| Some((number(index)?, number(generation)?)));
    match parts {
        Some((index, generation)) => Ok(SessionId { index, generation }),
        None => Err("a session is two numbers with a dot between them, such as 3.0".to_owned()),
    }
}
