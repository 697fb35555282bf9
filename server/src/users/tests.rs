use std::sync::mpsc;

use super::*;
use crate::control::{Change, ControlSocket};

fn command(words: &[&str]) -> UserCommand {
    let name = |name: &str| name.parse().unwrap();
    match *words {
        ["add", user] => UserCommand::Add { name: name(user), nickname: None, administrator: false },
        ["add", user, nickname, "administrator"] => {
            UserCommand::Add { name: name(user), nickname: Some(nickname.to_owned()), administrator: true }
        }
        ["passwd", user] => UserCommand::Passwd { name: name(user) },
        ["remove", user] => UserCommand::Remove { name: name(user) },
        ["list"] => UserCommand::List,
        _ => panic!("no command: {words:?}"),
    }
}

fn settings(folder: &Path) -> UserSettings {
    UserSettings { data: folder.to_owned(), store: StoreChoice::Embedded, hashing: cheap() }
}

fn cheap() -> HashParameters {
    HashParameters::new(8, 1, 1).unwrap()
}

/// Runs a command line with "hush" for the password; its output, or its error.
fn user(settings: &UserSettings, layout: Layout, arguments: &[&str]) -> Result<String, String> {
    let password = |_| Ok(Password::new(b"hush".to_vec().into()).unwrap());
    let mut output = Vec::new();
    carry_out(command(arguments), settings, password, layout, &mut output).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(output).unwrap())
}

fn tabs(settings: &UserSettings, arguments: &[&str]) -> Result<String, String> {
    user(settings, Layout::Tabs, arguments)
}

#[test]
fn users_are_added_listed_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    assert_eq!(user(&settings, Layout::Table, &["list"]), Ok("no users; `lobbyd user add NAME` adds one\n".into()));
    assert_eq!(tabs(&settings, &["list"]), Ok(String::new()));
    assert_eq!(tabs(&settings, &["add", "Bob"]), Ok("user \"bob\" added\n".into()));
    assert_eq!(tabs(&settings, &["add", "alice", "Ally", "administrator"]), Ok("user \"alice\" added\n".into()));
    assert_eq!(
        tabs(&settings, &["add", "ALICE"]),
        Err("user \"alice\" exists already; `lobbyd user passwd alice` gives it another password".into())
    );
    let list = tabs(&settings, &["list"]).unwrap();
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0][..3], ["alice", "Ally", "yes"]);
    assert_eq!(rows[1][..3], ["bob", "", "no"]);
    assert_eq!(rows[0][3].len(), "2025-01-01T00:00:00Z".len());
    assert_eq!(tabs(&settings, &["passwd", "bob"]), Ok("password of user \"bob\" changed\n".into()));
    assert_eq!(tabs(&settings, &["remove", "bob"]), Ok("user \"bob\" removed\n".into()));
    let unknown = Err("there is no user \"bob\"; `lobbyd user list` shows who there is".to_owned());
    assert_eq!(tabs(&settings, &["remove", "bob"]), unknown);
    assert_eq!(tabs(&settings, &["passwd", "bob"]), unknown);
}

#[test]
fn running_daemon_does_it_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let accounts = EmbeddedAccounts::open(folder.path(), HashPool::new(1, 8, cheap()).unwrap()).unwrap();
    let (tell, told) = mpsc::channel();
    let socket = ControlSocket::bind(folder.path()).unwrap();
    let server = socket.serve(accounts, move |change| tell.send(change).unwrap()).unwrap();
    assert_eq!(tabs(&settings, &["add", "alice"]), Ok("user \"alice\" added\n".into()));
    assert!(tabs(&settings, &["list"]).unwrap().starts_with("alice\t\tno\t"));
    assert_eq!(tabs(&settings, &["remove", "alice"]), Ok("user \"alice\" removed; its sessions are closed\n".into()));
    drop(server);
    let alice = "alice".parse().unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), [Change::Added(alice), Change::Removed(alice)]);
    // And without it, the store itself is opened.
    assert_eq!(tabs(&settings, &["list"]), Ok(String::new()));
}

#[test]
fn store_that_is_held_while_nobody_answers_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let _held = EmbeddedAccounts::open(folder.path(), HashPool::new(1, 8, cheap()).unwrap()).unwrap();
    let error = tabs(&settings(folder.path()), &["list"]).unwrap_err();
    let folder = folder.path().display();
    assert_eq!(
        error,
        format!(
            "the accounts in {folder} are held by another process, and nobody answers at {folder}/control.sock: a \
             lobbyd that hangs, or another program; try again, and if it stays so, end that process"
        )
    );
}

#[test]
fn with_tokens_users_are_administered_elsewhere() {
    let settings = UserSettings {
        data: PathBuf::from("nowhere"),
        store: StoreChoice::Redis {
            url: "redis://localhost".into(),
            account_key: KeyPattern::parse("u:{user}").unwrap(),
            authentication: Authentication::Token,
        },
        hashing: cheap(),
    };
    for arguments in [&["add", "alice"][..], &["passwd", "alice"], &["remove", "alice"], &["list"]] {
        let error = tabs(&settings, arguments).unwrap_err();
        assert!(error.starts_with("users log in with tokens, which another service issues"), "{error}");
    }
}

#[test]
fn bad_names_and_nicknames_are_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let command =
        UserCommand::Add { name: "alice".parse().unwrap(), nickname: Some("\u{1b}[2J".into()), administrator: false };
    let never = |_| -> anyhow::Result<Password> { panic!("asked for a password") };
    let error = carry_out(command, &settings(folder.path()), never, Layout::Tabs, &mut Vec::new()).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "\"\\u{1b}[2J\" cannot be a nickname: it holds a control character or one that overrides the direction of \
         writing"
    );
}

#[test]
fn list_for_people_is_aligned_and_for_programs_separated_by_tabs() {
    let entry = |user: &str, nickname: Option<&str>, administrator, created| UserEntry {
        user: user.parse().unwrap(),
        nickname: nickname.map(str::to_owned),
        administrator,
        created,
    };
    let users = [
        entry("alice", Some("爱丽丝"), true, Some(951_782_400)),
        entry("bob", None, false, None),
        entry("someone_else", Some("Z\u{eb}"), false, Some(0)),
    ];
    assert_eq!(
        lines(&users, Layout::Table),
        "\
NAME          NICKNAME  ADMINISTRATOR  ADDED
alice         爱丽丝    yes            2000-02-29T00:00:00Z
bob                     no
someone_else  Z\u{eb}        no             1970-01-01T00:00:00Z
"
    );
    assert_eq!(
        lines(&users, Layout::Tabs),
        "alice\t爱丽丝\tyes\t2000-02-29T00:00:00Z\nbob\t\tno\t\nsomeone_else\tZ\u{eb}\tno\t1970-01-01T00:00:00Z\n"
    );
}

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    assert_eq!(printable("a\u{1b}[31mb\tc\nd\u{7f}"), "a\\u{1b}[31mb\\tc\\nd\\u{7f}");
    assert_eq!(printable("\u{202e}x\u{9b}y\u{200b}"), "\\u{202e}x\\u{9b}y\\u{200b}");
    assert_eq!(printable("O'Brien \"e\u{301}\" हिन्दी 😀"), "O'Brien \"e\u{301}\" हिन्दी 😀");
    assert_eq!(printable("\\u{1b}"), "\\\\u{1b}");
}

#[test]
fn date_is_the_calendars() {
    for (seconds, date_then) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_868_799, "2000-02-29T23:59:59Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(date(seconds), date_then);
    }
    assert!(date(u64::MAX).ends_with('Z'));
}
