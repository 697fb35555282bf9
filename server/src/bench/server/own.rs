//! lobbyd and the floor, started from a program of this package.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::accounts;
use super::child::Child;
use crate::bench::floor::LISTENING;
use crate::bench::load::Load;
use crate::bench::options::Options;
use crate::bench::processors::Processors;
use crate::bench::scenario::{Accounts, Scenario};
use crate::config::{Flag, Settings, Sources};
use crate::stores::open::hash_parameters;

/// Settings that lift what bounds a client above any load: the checks still run.
const LIFTED: &str = "\
connects_per_address_per_second = 1000000
connects_per_address_burst = 1000000000
logins_pending_max = 1000000
login_failures_per_user_per_minute = 1000000
login_failures_per_user_burst = 1000000000
login_failures_per_address_per_minute = 1000000
login_failures_per_address_burst = 1000000000
flood_per_second = 1000000
flood_burst = 1000000000
text_bytes_max = 8192
";

/// Connections beyond those of the load.
const SPARE_SESSIONS: u32 = 1000;
/// What an outbox may hold, as by default: more than all that is under way in a room of ten.
const OUTBOX_BYTES: u64 = 1024 * 1024;
/// What a member takes in the list of a room's members, and half an outbox must hold the list.
const MEMBER_BYTES: u64 = 512;

/// Starts lobbyd with the users that the load needs, and its Redis if there is one: on the server's processor, or spread
/// over all.
pub(super) fn start(
    program: &Path,
    scenario: Scenario,
    load: &Load,
    options: &Options,
    folder: &Path,
    processors: Processors,
    is_spread: bool,
) -> anyhow::Result<(Child, SocketAddr, Option<Child>)> {
    let data = folder.join("data");
    let users: Vec<String> = (0..load.connections()).map(|number| options.user(number)).collect();
    let mut helper = None;
    let mut toml = configuration(load);
    match scenario.accounts() {
        Accounts::Cheap => {
            toml += "[accounts]\nargon2_memory = \"128KiB\"\nargon2_iterations = 1\nhash_queue_max = 65536\n"
        }
        Accounts::Argon2 => toml += "[accounts]\nhash_queue_max = 65536\n",
        Accounts::Token => {
            let (child, address) = super::foreign::start_redis(folder)?;
            accounts::fill_tokens(address, &users, &options.secret)?;
            toml += "[redis]\nauth = \"token\"\n";
            toml = toml.replace("store = \"embedded\"", &format!("store = \"redis://{address}/\""));
            helper = Some(child);
        }
    }
    let file = folder.join("lobbyd.toml");
    fs::write(&file, toml).context("the temporary folder cannot be written")?;
    if scenario.accounts() != Accounts::Token {
        let flag = |(key, value): &(String, String)| Flag { name: "--set", key: key.clone(), value: value.clone() };
        let flags = options.settings.iter().map(flag).collect();
        let settings = Settings::load(&Sources { file: Some(file.clone()), environment: Vec::new(), flags })?;
        accounts::fill_embedded(&data, &users, &options.secret, hash_parameters(&settings)?)?;
    }
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&file).arg("--data").arg(&data).args([
        "--log-format",
        "json",
        "--log-levels",
        "info",
    ]);
    for (key, value) in &options.settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    let start = || Child::start(command);
    let child = if is_spread { processors.on_all(start) } else { processors.on_server(start) }?;
    let address = child.wait_for_line(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line.get("address").and_then(|address| address.as_str()?.parse().ok())
    })?;
    Ok((child, address, helper))
}

/// Starts the floor.
pub(super) fn start_floor(program: &Path, processors: Processors) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(program);
    command.arg(crate::bench::FLOOR_COMMAND);
    let child = processors.on_server(|| Child::start(command))?;
    let address = child.wait_for_line(|line| line.strip_prefix(LISTENING)?.parse().ok())?;
    Ok((child, address))
}

fn configuration(load: &Load) -> String {
    let sizes = load.rooms.sizes(load.clients);
    let rooms = sizes.len();
    let members = sizes.iter().copied().max().unwrap_or(1).max(2);
    let sessions = load.connections() + SPARE_SESSIONS;
    let outbox = OUTBOX_BYTES.max(2 * MEMBER_BYTES * u64::from(members));
    format!(
        "rooms = []\n\
         [server]\nlisten = \"127.0.0.1:0\"\nstore = \"embedded\"\ndrain_timeout = \"0s\"\n\
         [session]\nlogin_timeout = \"60s\"\nlogin_grace = \"120s\"\n\
         [lobby]\nopen_rooms_max = {rooms}\nrooms_max = {rooms}\nroom_members_max = {members}\n\
         [limits]\nsessions_max = {sessions}\nsessions_per_address_max = {sessions}\nusers_max = {sessions}\n\
         outbox_bytes_max = {outbox}\n{LIFTED}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_configuration_that_serves() {
        let folder = tempfile::tempdir().unwrap();
        for scenario in Scenario::ALL {
            for clients in [None, Some(20), Some(2)] {
                let load = scenario.load(clients, None);
                let file = folder.path().join("lobbyd.toml");
                fs::write(&file, configuration(&load)).unwrap();
                let settings = Settings::load(&Sources { file: Some(file), ..Sources::default() });
                let settings = settings.unwrap_or_else(|errors| panic!("{} {clients:?}: {errors}", scenario.name()));
                assert_eq!(settings.engine_config(|_| unreachable!("no room has a password")).validate(), Ok(()));
            }
        }
    }
}
