//! `lobbyd-sim shrink`, from a long file that does not hold to a short one that does not hold for the same reason.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lobbyd_sim::scenario::parse;

fn lobbyd_sim(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lobbyd-sim"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("LOBBYD_SEED")
        .output()
        .expect("the program is built")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A town in which much goes on, all of it as it should, around one step in the middle.
fn town(middle: &str) -> String {
    let mut lines: Vec<String> = [
        "# Much goes on in a town.",
        "set heartbeat_interval 20s",
        "set users_max 70",
        "room 1 \"Plaza\" capacity 10",
        "room 2 \"Cellar\" capacity 5 password sesame",
        "account alice wonder nickname \"Alice in Wonderland\"",
        "account bob builder",
        "account carol singer",
        "account dora explorer",
        "network latency 1ms..8ms",
        "",
        "alice arrives",
        "bob arrives",
        "carol arrives",
        "dora arrives",
        "alice enter 1",
        "  -> RoomUserListNotify users=[alice] sequence=1",
        "  -> RoomEnterResponse room=1",
        "bob enter 1",
        "  -> RoomUserListNotify users=[alice,bob] sequence=2",
        "  -> RoomEnterResponse room=1",
        "  alice -> RoomNewUserNotify name=bob",
    ]
    .map(str::to_owned)
    .into();
    for (sequence, round) in (3..).zip(0..16) {
        lines.push(format!("alice chat 1 \"round {round}\" -> RoomChatResponse sequence={sequence}"));
        lines.push("advance 300ms".to_owned());
        lines.push(format!("wait\n  bob -> RoomChatNotify sequence={sequence} text=\"round {round}\""));
        lines.push(format!("carol ping {round} -> Pong nonce={round}"));
        lines.push(
            "dora tell carol \"psst\" -> DirectMessageResponse ok=true\n  carol -> DirectMessageNotify".to_owned(),
        );
        if round == 8 {
            lines.push(middle.to_owned());
        }
    }
    lines.extend(["dora close", "alice leave 1 -> RoomLeaveResponse\n  bob -> RoomLeaveUserNotify"].map(str::to_owned));
    lines.join("\n") + "\n"
}

/// What is written for a scenario that does not hold.
fn shrunk(source: &str, layer: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder for the files");
    fs::write(folder.path().join("town.scenario"), source).expect("the file can be written");
    let output = lobbyd_sim(folder.path(), &["shrink", "town.scenario", "--layer", layer, "--seed", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = fs::read_to_string(folder.path().join("town.shrunk.scenario")).expect("it was written");
    let command = format!("lobbyd-sim run town.shrunk.scenario --layer {layer} --seed 5");
    assert!(text.lines().nth(1).is_some_and(|line| line == format!("# {command}")), "{text}");
    assert!(said(&output).contains(&command), "{}", said(&output));
    let again = lobbyd_sim(folder.path(), &command.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    text
}

/// What the file says, without its comments.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn one_wrong_expectation_among_many_right_ones_is_left_with_what_it_needs() {
    let source = town("carol list -> RoomListResponse rooms=[1,2,3]");
    assert!(parse(&source).expect("a scenario").steps.len() > 90);
    let text = shrunk(&source, "pure");
    // Which rooms there are does not matter, only that they are not these.
    let expected = [
        "account carol singer",
        "carol connect -> Welcome",
        "carol hello",
        "carol login carol singer -> LoginResponse",
        "carol list -> RoomListResponse rooms=[1,2,3]",
    ];
    assert_eq!(lines(&text), expected, "{text}");
    let first =
        "# Shrunk from town.scenario. Expected: RoomListResponse rooms=[1,2,3] at carol; arrived: RoomListResponse ";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("\n#\n# Much goes on in a town.\n"), "{text}");
}

#[test]
fn wrong_expectation_shrinks_on_the_turmoil_layer_too() {
    let text = shrunk(&town("alice enter 2 -> RoomEnterResponse refused=RoomPasswordWrong"), "turmoil");
    // Whoever is in a room is refused before the password is looked at: so the room is needed, the password is not.
    let expected = [
        "room 1 \"Plaza\" capacity 1",
        "account alice wonder",
        "alice connect -> Welcome",
        "alice hello",
        "alice login alice wonder -> LoginResponse",
        "alice enter 1",
        "  -> RoomUserListNotify",
        "  -> RoomEnterResponse",
        "alice enter 2 -> RoomEnterResponse refused=RoomPasswordWrong",
    ];
    assert_eq!(lines(&text), expected, "{text}");
}

#[test]
fn check_that_does_not_come_true_keeps_its_count_and_loses_its_crowd() {
    let text = shrunk(&town("check server online 5"), "pure");
    assert_eq!(lines(&text), ["check server online 5"], "{text}");
}

#[test]
fn loose_scenario_stays_loose_and_needs_no_expectation_but_one() {
    let town = town("carol list -> RoomListResponse rooms=[1,2,3]");
    // What came before a step is not waited for in it.
    let stays = |line: &&str| *line != "wait" && !line.starts_with("  bob -> RoomChatNotify");
    let source = town.lines().filter(stays).fold("expect anything\n".to_owned(), |source, line| source + line + "\n");
    let text = shrunk(&source, "pure");
    let expected = ["expect anything", "carol connect", "carol list -> RoomListResponse rooms=[1,2,3]"];
    assert_eq!(lines(&text), expected, "{text}");
}

#[test]
fn scenario_that_holds_is_refused() {
    let folder = tempfile::tempdir().expect("a folder for the files");
    fs::write(folder.path().join("town.scenario"), town("carol ping 99 -> Pong nonce=99"))
        .expect("the file can be written");
    let output = lobbyd_sim(folder.path(), &["shrink", "town.scenario", "--seed", "5"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let refusal = "town.scenario holds on the pure layer with seed 5: there is nothing to shrink";
    assert!(said(&output).contains(refusal), "{}", said(&output));
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is written");
}

#[test]
fn output_goes_where_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder for the files");
    fs::write(folder.path().join("it's.scenario"), town("carol ping 99 -> Pong nonce=98"))
        .expect("the file can be written");
    let arguments = ["shrink", "it's.scenario", "--output", "small one.scenario", "--attempts", "3"];
    let output = lobbyd_sim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = fs::read_to_string(folder.path().join("small one.scenario")).expect("it was written");
    assert!(text.contains("\n# lobbyd-sim run 'small one.scenario' --layer pure --seed 1\n"), "{text}");
    assert!(lines(&text).len() > 20, "three attempts are not many: {text}");
}
