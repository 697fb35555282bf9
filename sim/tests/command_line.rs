//! The program as CI calls it: what goes where, and the exit code.

use std::path::Path;
use std::process::{Command, Output};

fn lobbyd_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lobbyd-sim"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("the program is built")
}

#[test]
fn bad_usage_has_code_2() {
    for arguments in [&[][..], &["run"], &["run", "--layer", "paper", "x"], &["run", "nowhere.scenario"], &["dance"]] {
        let output = lobbyd_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn live_layer_without_a_daemon_has_code_2_and_says_how_to_get_one() {
    let output = lobbyd_sim(&["run", "scenarios/hello.scenario", "--layer", "live", "--daemon", "/nowhere/lobbyd"]);
    assert_eq!(output.status.code(), Some(2));
    let report = String::from_utf8(output.stderr).expect("text");
    assert!(report.contains("there is no daemon at /nowhere/lobbyd: `cargo build -p lobbyd` builds one"), "{report}");
}

#[test]
fn a_file_that_is_no_scenario_has_code_2_and_says_where() {
    let output = lobbyd_sim(&["run", "Cargo.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let report = String::from_utf8(output.stderr).expect("text");
    assert!(report.starts_with("Cargo.toml:1:1: expected a step"), "{report}");
}

#[test]
fn same_seed_gives_the_same_trace_in_two_processes() {
    for layer in ["pure", "turmoil"] {
        let scenario = "scenarios/presence-across-daemons.scenario";
        let output = lobbyd_sim(&["check", scenario, "--layer", layer, "--seed", "7"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{layer}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.starts_with("same"), "{layer}: {said}");
    }
}

#[test]
fn the_other_process_may_be_of_another_program() {
    let check = |with: &str| lobbyd_sim(&["check", "scenarios/chat.scenario", "--seed", "7", "--with", with]);
    let codes = [env!("CARGO_BIN_EXE_lobbyd-sim"), "true", "/nowhere/lobbyd-sim"].map(|with| check(with).status.code());
    assert_eq!(codes, [Some(0), Some(1), Some(2)]);
    let said = String::from_utf8(check("true").stdout).expect("text");
    for part in ["differs scenarios/chat.scenario", "other: the end of the trace", "--seed 7 --with true"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
}

#[test]
fn seed_of_the_environment_is_the_one_that_nobody_names() {
    let trace = |seed: Option<&str>, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lobbyd-sim"));
        command.args(["run", "--trace", "-", "scenarios/presence-across-daemons.scenario"]).args(arguments);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).env_remove("LOBBYD_SEED");
        let output = command.envs(seed.map(|seed| ("LOBBYD_SEED", seed))).output().expect("the program is built");
        (output.status.code(), output.stdout)
    };
    assert_eq!(trace(Some("9"), &[]), trace(None, &["--seed", "9"]));
    assert_eq!(trace(None, &[]), trace(None, &["--seed", "1"]));
    assert_ne!(trace(Some("9"), &[]), trace(None, &[]));
    assert_eq!(trace(Some("nine"), &[]).0, Some(2));
}

#[test]
fn scenario_that_does_not_hold_has_code_1_and_says_what_came_instead() {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let file = folder.path().join("wrong.scenario");
    let lines = [
        "# Any secret will do.",
        "account bob builder",
        "bob connect -> Welcome",
        "bob hello",
        "bob login bob wrong -> LoginResponse name=bob",
    ];
    std::fs::write(&file, lines.join("\n")).expect("the file can be written");
    let output = lobbyd_sim(&["run", file.to_str().expect("a path of text")]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["line 5", "LoginResponse name=bob", "refused=LoginDenied", "--seed"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
}
