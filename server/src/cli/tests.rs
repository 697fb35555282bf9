//! The command line as its users type it.

use std::path::{Path, PathBuf};

use super::*;
use crate::config::{LogFormat, Origin, RedisUrl, Sources, Store};

/// What the words set, and the command they name.
fn parse(words: &str) -> Result<CommandLine, clap::Error> {
    super::parse(std::iter::once("lobbyd").chain(words.split_whitespace()).map(OsString::from))
}

/// What a command that reads settings would read.
#[track_caller]
fn sources(words: &str) -> Sources {
    try_sources(words).unwrap_or_else(|error| panic!("{words}: {error}"))
}

fn try_sources(words: &str) -> Result<Sources, clap::Error> {
    let CommandLine { serve, command } = parse(words)?;
    let inner = match command {
        None => Overrides::default(),
        Some(Command::Serve(arguments)) => arguments.into(),
        Some(Command::User(command)) => command.settings.into(),
        Some(other) => panic!("{other:?} reads no settings"),
    };
    Ok(Overrides::from(serve).and(inner)?.into_sources(Vec::new()))
}

fn exit(words: &str) -> Exit {
    exit_in(words, &[])
}

fn exit_in(words: &str, environment: &[(&str, &str)]) -> Exit {
    let words = std::iter::once("lobbyd").chain(words.split_whitespace()).map(OsString::from);
    main(words, environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn without_a_command_it_serves() {
    assert!(parse("").unwrap().command.is_none());
    let settings = Settings::load(&sources("--listen 127.0.0.1:0 --log-format json")).unwrap();
    assert_eq!(settings.server.listen, ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!(settings, Settings::load(&sources("serve --listen 127.0.0.1:0 --log-format json")).unwrap());
    assert_eq!(settings, Settings::load(&sources("--listen 127.0.0.1:0 serve --log-format json")).unwrap());
}

#[test]
fn every_flag_sets_its_setting() {
    let words = "--listen 127.0.0.1:1 --listen [::1]:2 --store redis://localhost --data /tmp/data --log-format json \
                 --log-levels debug --set limits.users_max=5 --set server.name=a=b";
    let settings = Settings::load(&sources(words)).unwrap();
    let mut expected = Settings::default();
    expected.server.listen = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
    expected.server.store = Store::Redis(RedisUrl::parse("redis://localhost").unwrap());
    expected.server.data = PathBuf::from("/tmp/data");
    expected.server.name = "a=b".into();
    expected.log.format = LogFormat::Json;
    expected.limits.users_max = 5;
    assert_eq!(settings.log.levels.as_str(), "debug");
    expected.log.levels = settings.log.levels.clone();
    assert_eq!(settings, expected);
}

#[test]
fn the_store_is_found_by_flags_on_either_side_of_a_command() {
    for words in [
        "--config f --store embedded --data d user list",
        "user list --config f --store embedded --data d",
        "--config f user add ann --store embedded --data d",
        "user passwd ann --config f --store embedded --data d",
        "user remove --config f --store embedded --data d ann",
        "serve --config f --store embedded --data d",
    ] {
        let sources = sources(words);
        assert_eq!(sources.file.as_deref(), Some(Path::new("f")), "{words}");
        let keys: Vec<&str> = sources.flags.iter().map(|flag| flag.key.as_str()).collect();
        assert_eq!(keys, ["server.store", "server.data"], "{words}");
    }
}

#[test]
fn a_flag_is_given_once() {
    assert!(try_sources("--config a serve --config b").is_err());
    assert!(try_sources("--store embedded --store embedded").is_err());
    let errors = Settings::load(&sources("--store embedded serve --store embedded")).unwrap_err();
    assert_eq!(errors.problems()[0].origin, Origin::Flag(String::from("--store")));
}

#[test]
fn a_user_is_added_with_nickname_and_rights() {
    let command = parse("user add Ann.1 --nickname Ännchen --administrator").unwrap().command;
    let Some(Command::User(arguments)) = command else { panic!("{command:?}") };
    let user::UserCommand::Add { name, nickname, administrator } = arguments.command else {
        panic!("{:?}", arguments.command)
    };
    assert_eq!(name.as_str(), "ann.1");
    assert_eq!(nickname.as_deref(), Some("Ännchen"));
    assert!(administrator);
    for words in ["user add", "user add a/b", "user list ann", "user"] {
        assert!(parse(words).is_err(), "{words}");
    }
}

#[test]
fn chat_has_an_address_from_the_start() {
    let command = parse("chat").unwrap().command;
    let Some(Command::Chat(arguments)) = command else { panic!("{command:?}") };
    assert_eq!(arguments.address, Settings::default().server.listen[0].to_string());
    assert_eq!(arguments.user, None);
    assert!(parse("chat example.org:7400 --user ann").is_ok());
}

#[test]
fn exit_codes_say_what_happened() {
    for words in ["--version", "--help", "serve --help", "user add --help", "config check", "config default"] {
        assert_eq!(exit(words), Exit::Fine, "{words}");
    }
    for words in [
        "--nonsense",
        "nonsense",
        "user",
        "user add",
        "--set limits.users_max",
        "--set limits.users_max=0",
        "serve --config /nonexistent/lobbyd.toml",
        "--store redis:// user list",
        "--store embedded chat",
        "--config f completions bash",
        "--listen 127.0.0.1:0 config doc",
        "completions tcsh",
        "config",
        "config check a --config b",
    ] {
        assert_eq!(exit(words), Exit::Usage, "{words}");
    }
    assert_eq!(exit("config check --set limits.users_max=0"), Exit::Failed);
    assert_eq!(exit("config check /nonexistent/lobbyd.toml"), Exit::Failed);
}

#[test]
fn the_environment_counts_for_commands_that_read_settings() {
    let bad = [("LOBBYD_LIMITS_USERS_MAX", "0")];
    assert_eq!(exit_in("config check", &bad), Exit::Failed);
    assert_eq!(exit_in("user list", &bad), Exit::Usage);
    assert_eq!(exit_in("config doc", &bad), Exit::Fine);
}

#[test]
fn what_is_parsed_shows_no_secret() {
    let words = "--store redis://:hunter2@localhost --set server.store=redis://:hunter2@localhost";
    let shown = format!("{:?} {:?}", parse(words).unwrap(), sources(words));
    assert!(!shown.contains("hunter2"), "{shown}");
}
