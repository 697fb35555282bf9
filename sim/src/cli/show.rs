//! `show`: runs a scenario and draws what happened.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{Layer, Terminal, Verdict, quoted, read, world};
use crate::extend::Extend;
use crate::runner;
use crate::seed;
use crate::show::{self, Chart};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The scenario.
    file: PathBuf,
    /// What of the world is real. Only on the pure layer is everything seen that moves between hosts; on turmoil it is
    /// what Redis is asked, at the moment when it runs it, and what a partition takes on its way to a client.
    #[arg(long, value_enum, default_value_t = Layer::Pure)]
    layer: Layer,
    /// The root of all randomness: the same seed gives the same run.
    #[arg(long, env = seed::VARIABLE, default_value_t = seed::DEFAULT)]
    seed: u64,
    /// What to draw.
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Where to; `-` for the standard output. Without it a page goes to NAME.html here, and mermaid to the standard output.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page for a browser, in one file.
    Html,
    /// A mermaid sequence diagram, for pages that draw those.
    Mermaid,
}

/// Runs the file and draws it.
///
/// # Errors
/// When the layer cannot be set up, or the picture cannot be written.
pub(super) fn show(
    show: &Show,
    extend: &Extend,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let Show { file, layer, seed, format, output } = show;
    let scenario = match read(file) {
        Ok(scenario) => scenario,
        Err(error) => {
            writeln!(terminal.report, "{error:#}")?;
            return Ok(Verdict::BadUsage);
        }
    };
    let mut world = world(*layer, &scenario, *seed, extend).with_context(|| file.display().to_string())?;
    world.watch();
    let outcome = runner::run(&scenario, world.as_mut());
    let chart = Chart::new(&scenario, &outcome);
    let picture = match format {
        Format::Mermaid => show::mermaid(&chart),
        Format::Html => {
            let again = format!("lobbyd-sim run {} --layer {layer} --seed {seed}", quoted(file));
            let facts = [
                ("layer", layer.to_string()),
                ("seed", seed.to_string()),
                ("trace", format!("{:016x}", outcome.trace.digest())),
                ("again", again),
            ];
            show::page(&chart, &facts)
        }
    };
    let verdict = if outcome.result.is_ok() { Verdict::Held } else { Verdict::Violated };
    let word = if verdict == Verdict::Held { "held" } else { "failed" };
    match target(output.as_deref(), *format, file) {
        None => {
            terminal.out.write_all(picture.as_bytes())?;
            writeln!(terminal.report, "{word:<7} {}", file.display())?;
        }
        Some(path) => {
            fs::write(&path, picture).with_context(|| format!("cannot write the picture to {}", path.display()))?;
            writeln!(terminal.out, "{word:<7} {}\nwritten {}", file.display(), path.display())?;
        }
    }
    if let Err(violation) = &outcome.result {
        writeln!(terminal.report, "{violation}")?;
    }
    Ok(verdict)
}

/// The file to write; none for the standard output.
fn target(output: Option<&Path>, format: Format, scenario: &Path) -> Option<PathBuf> {
    match (output, format) {
        (Some(path), _) => (path != Path::new("-")).then(|| path.to_owned()),
        (None, Format::Mermaid) => None,
        (None, Format::Html) => {
            let mut name = scenario.file_stem().unwrap_or(scenario.as_os_str()).to_owned();
            name.push(".html");
            Some(PathBuf::from(name))
        }
    }
}
