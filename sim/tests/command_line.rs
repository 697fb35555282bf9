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
fn a_file_that_is_no_scenario_has_code_2_and_says_where() {
    let output = lobbyd_sim(&["run", "Cargo.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let report = String::from_utf8(output.stderr).expect("text");
    assert!(report.starts_with("Cargo.toml:1:1: expected a step"), "{report}");
}
