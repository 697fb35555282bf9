//! The daemon's configuration, as somebody wrote it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process;

use lobbyd::config::{Settings, Sources};
use lobbyd_core::packet::Sealed;

/// What parts the file from the environment variables, one on each line behind it.
const ENVIRONMENT: &str = "\n#### environment\n";

/// Reads the bytes as a configuration file, with environment variables over it. It is refused with reasons, or it is one
/// with which an engine starts.
pub fn configuration(data: &[u8]) {
    let split = data.windows(ENVIRONMENT.len()).position(|window| window == ENVIRONMENT.as_bytes());
    let (file, variables) = data.split_at(split.unwrap_or(data.len()));
    let variables = String::from_utf8_lossy(variables);
    let path = scratch_file();
    fs::write(&path, file).expect("the folder for temporary files can be written to");
    let environment = variables.lines().filter_map(|line| line.split_once('='));
    // A file that the text names would make a finding depend on this machine.
    let environment = environment.filter(|(name, _)| *name != "LOBBYD_CONFIG");
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let loaded = Settings::load(&Sources { file: Some(path.clone()), environment, flags: Vec::new() });
    fs::remove_file(&path).expect("it was written just now");
    match loaded {
        Ok(settings) => {
            let config = settings.engine_config(|password| Sealed([password.len() as u8; 16]));
            assert_eq!(config.validate(), Ok(()), "the daemon accepts what its engine does not");
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty(), "it was refused without a reason");
            assert!(!errors.to_string().is_empty());
        }
    }
}

/// One file for each process and thread: tests run beside each other.
fn scratch_file() -> PathBuf {
    let thread = std::thread::current().id();
    std::env::temp_dir().join(format!("lobbyd-fuzz-{}-{thread:?}.toml", process::id()))
}
