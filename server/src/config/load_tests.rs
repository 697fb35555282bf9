//! Loading as its users meet it: what they write, and what they are told.

use std::ffi::OsString;
use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::text::Text;

use super::*;

/// Sources with the given file, environment and flags. The file lives in the folder.
struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn given(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&'static str, &str, &str)]) -> Given {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lobbyd.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let sources = Sources {
        file: file.map(|_| path),
        environment: environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect(),
        flags: flags
            .iter()
            .map(|(name, key, value)| Flag { name, key: String::from(*key), value: String::from(*value) })
            .collect(),
    };
    Given { folder, sources }
}

impl Given {
    #[track_caller]
    fn settings(&self) -> Settings {
        Settings::load(&self.sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// What is wrong, the folder left out.
    #[track_caller]
    fn problems(&self) -> Vec<String> {
        let errors = Settings::load(&self.sources).expect_err("something is wrong");
        let folder = format!("{}/", self.folder.path().display());
        errors.problems().iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn file(text: &str) -> Given {
    given(Some(text), &[], &[])
}

#[track_caller]
fn assert_file_problem(text: &str, problem: &str) {
    assert_eq!(file(text).problems(), [problem], "for the file\n{text}");
}

#[test]
fn nothing_given_means_the_defaults() {
    assert_eq!(given(None, &[], &[]).settings(), Settings::default());
    assert_eq!(file("").settings(), Settings::default());
    assert_eq!(
        given(None, &[("PATH", "/bin"), ("LOBBY", "x"), ("XLOBBYD_A", "x")], &[]).settings(),
        Settings::default()
    );
}

#[test]
fn the_sample_is_the_defaults() {
    assert_eq!(file(&sample()).settings(), Settings::default());
    // The sample is no empty promise: each of its lines is read.
    let changed = sample().replace("users_max = 10000", "users_max = 7").replace("\"General\"", "\"Lounge\"");
    let mut expected = Settings::default();
    expected.limits.users_max = 7;
    expected.rooms[0].title = Text::new("Lounge");
    assert_eq!(file(&changed).settings(), expected);
}

#[test]
fn every_default_is_a_value_that_each_source_takes() {
    let defaults = Settings::default();
    for entry in table::SECTIONS.iter().flat_map(|section| section.entries) {
        let literal = (entry.literal)(&defaults);
        let plain = literal.trim_matches('"');
        assert_eq!(file(&format!("{} = {literal}", entry.name)).settings(), defaults, "{}", entry.name);
        let variable = load::variable(entry.name);
        assert_eq!(given(None, &[(&variable, plain)], &[]).settings(), defaults, "{variable}");
        assert_eq!(given(None, &[], &[("--set", entry.name, plain)]).settings(), defaults, "{}", entry.name);
    }
}

#[test]
fn variables_of_different_settings_differ() {
    let names = table::SECTIONS.iter().flat_map(|section| section.entries).map(|entry| load::variable(entry.name));
    let mut names: Vec<String> = names.chain(["LOBBYD_CONFIG".into(), "LOBBYD_ROOMS".into()]).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let text = "[server]\nname = \"file\"\n[limits]\nusers_max = 1\nsessions_max = 1\n";
    let environment = [("LOBBYD_SERVER_NAME", "variable"), ("LOBBYD_LIMITS_USERS_MAX", "2")];
    let settings = given(Some(text), &environment, &[("--set", "server.name", "flag")]).settings();
    assert_eq!(settings.server.name, Text::new("flag"));
    assert_eq!(settings.limits.users_max, 2);
    assert_eq!(settings.limits.sessions_max, 1);
    assert_eq!(settings.limits.remembered_max, 65_536);
}

#[test]
fn every_type_of_setting_is_read_from_a_file() {
    let settings = file(
        "server.listen = [\"0.0.0.0:7400\", \"[::]:7400\"]\n\
         server.store = \"redis://:hunter2@localhost:6380/2\"\n\
         server.data = \"/var/lib/lobbyd\"\n\
         session = { heartbeat_interval = \"1500ms\", duplicate_login = \"newest-wins\" }\n\
         limits.frame_bytes_max = \"32KiB\"\n\
         limits.text_bytes_max = 1000\n\
         redis.auth = \"token\"\n\
         redis.token_key = \"game:{user}:token\"\n\
         log.levels = \"warn,lobbyd=debug\"\n\
         log.format = \"json\"\n",
    )
    .settings();
    assert_eq!(settings.server.listen, ["0.0.0.0:7400".parse().unwrap(), "[::]:7400".parse().unwrap()]);
    let Store::Redis(url) = &settings.server.store else { panic!("{:?}", settings.server.store) };
    assert_eq!(url.expose(), "redis://:hunter2@localhost:6380/2");
    assert_eq!(settings.server.data.to_str(), Some("/var/lib/lobbyd"));
    assert_eq!(settings.session.heartbeat_interval, Duration::from_millis(1500));
    assert_eq!(settings.session.duplicate_login, DuplicateLogin::NewestWins);
    assert_eq!(settings.limits.frame_bytes_max, Size::kib(32));
    assert_eq!(settings.limits.text_bytes_max, Size::bytes(1000));
    assert_eq!(settings.redis.auth, RedisAuth::Token);
    assert_eq!(settings.redis.token_key.key(&"Ann".parse().unwrap()), "game:ann:token");
    assert_eq!(settings.log.levels.as_str(), "warn,lobbyd=debug");
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn the_file_is_named_by_flag_or_variable_and_never_guessed() {
    let by_flag = file("server.name = \"flag\"");
    let by_variable = file("server.name = \"variable\"");
    let mut sources = Sources::default();
    let path = by_variable.sources.file.clone().unwrap();
    sources.environment.push((OsString::from("LOBBYD_CONFIG"), path.into_os_string()));
    assert_eq!(Settings::load(&sources).unwrap().server.name, Text::new("variable"));
    sources.file = by_flag.sources.file.clone();
    assert_eq!(Settings::load(&sources).unwrap().server.name, Text::new("flag"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let mut missing = given(None, &[], &[]);
    missing.sources.file = Some(missing.folder.path().join("lobbyd.toml"));
    assert_eq!(missing.problems(), ["lobbyd.toml: the file cannot be read: No such file or directory (os error 2)"]);

    let latin = given(Some(""), &[], &[]);
    std::fs::write(latin.folder.path().join("lobbyd.toml"), b"server.name = \"H\xf6hle\"").unwrap();
    assert_eq!(latin.problems(), ["lobbyd.toml: the file is not UTF-8 text; save it as UTF-8"]);
}

#[test]
fn what_is_not_toml_is_named_by_line_without_its_content() {
    let problems = file("[server]\nname = \"a\n[rooms\n").problems();
    assert_eq!(
        problems,
        [
            "lobbyd.toml:2: this is not TOML: invalid basic string, expected `\"`",
            "lobbyd.toml:3: this is not TOML: unclosed table, expected `]`",
        ]
    );
    for text in [
        "x = hunter2",
        "x = 'hunter2",
        "x = \"\"\"hunter2",
        "x = \"\\hunter2\"",
        "hunter2",
        "x = 1 hunter2",
        "x = 0hunter2",
    ] {
        let problems = file(text).problems().join("\n");
        assert!(problems.starts_with("lobbyd.toml:1: this is not TOML: "), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let twice = file("server.name = \"a\"\nserver.name = \"b\"\n").problems();
    assert_eq!(twice, ["lobbyd.toml:2: this is not TOML: duplicate key"]);
}

#[test]
fn a_bad_value_in_a_file_names_line_key_value_and_what_is_allowed() {
    for (text, problem) in [
        ("[limits]\n\nusers_max = \"many\"", "lobbyd.toml:3: limits.users_max is \"many\", allowed is 1 to 10000000"),
        ("limits.users_max = 0", "lobbyd.toml:1: limits.users_max is 0, allowed is 1 to 10000000"),
        ("limits.users_max = -5", "lobbyd.toml:1: limits.users_max is -5, allowed is 1 to 10000000"),
        ("limits.users_max = 1.5", "lobbyd.toml:1: limits.users_max is 1.5, allowed is 1 to 10000000"),
        ("limits.flood_burst = 9", "lobbyd.toml:1: limits.flood_burst is 9, allowed is 10 to 1000000000"),
        (
            "session.login_grace = 30",
            "lobbyd.toml:1: session.login_grace is 30, allowed is \"1ms\" to \"24h\" (units ms, s, m, h)",
        ),
        (
            "limits.frame_bytes_max = \"2MiB\"",
            "lobbyd.toml:1: limits.frame_bytes_max is \"2MiB\", allowed is \"1KiB\" to \"1MiB\" (bytes, or units KiB, MiB, GiB)",
        ),
        (
            "session.duplicate_login = 'newest'",
            "lobbyd.toml:1: session.duplicate_login is 'newest', allowed is \"reject\", \"newest-wins\" or \"allow\"",
        ),
        (
            "server.listen = [\n  \"127.0.0.1:7400\",\n  \"localhost:7401\",\n]",
            "lobbyd.toml:1: server.listen is [ \"127.0.0.1:7400\", \"localhost:7401\", ], allowed is an IP address and port \
             such as \"127.0.0.1:7400\" or \"[::]:7400\", or a list of them; \"localhost:7401\" is no such address",
        ),
        (
            "server.name = \"a\\tb\"",
            "lobbyd.toml:1: server.name is \"a\\tb\", allowed is text of 1 to 64 bytes on one line; \
             it holds a control character or one that overrides the direction of writing",
        ),
        (
            "redis.account_key = \"lobbyd:account\"",
            "lobbyd.toml:1: redis.account_key is \"lobbyd:account\", \
             allowed is text of at most 256 bytes with {user} in it exactly once",
        ),
        (
            "log.levels = \"inof\"",
            "lobbyd.toml:1: log.levels is \"inof\", \
             allowed is LEVEL and TARGET=LEVEL with commas between, LEVEL being off, error, warn, info, debug or trace; \
             \"inof\" is no such directive",
        ),
        ("server.data = \"\"", "lobbyd.toml:1: server.data is \"\", allowed is a path"),
        (
            "server.store = \"redis://:hunter2@localhost/first\"",
            "lobbyd.toml:1: server.store is \"redis://***@localhost/first\", \
             allowed is \"embedded\" or \"redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]\"; \
             write / ? # @ : in a password as %2F %3F %23 %40 %3A",
        ),
        (
            "server.store = [\"redis://:hunter2@localhost\"]",
            "lobbyd.toml:1: server.store is (not shown), \
             allowed is \"embedded\" or \"redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]\"",
        ),
    ] {
        assert_file_problem(text, problem);
    }
}

#[test]
fn an_unknown_name_in_a_file_is_named_by_line_without_its_value() {
    for (text, problem) in [
        ("[server]\nlisen = 1", "lobbyd.toml:2: there is no setting server.lisen; did you mean server.listen?"),
        (
            "[server]\nstroe = \"redis://:hunter2@localhost\"",
            "lobbyd.toml:2: there is no setting server.stroe; did you mean server.store?",
        ),
        ("server.users_max = 5", "lobbyd.toml:1: there is no setting server.users_max; did you mean limits.users_max?"),
        ("listen = 5", "lobbyd.toml:1: there is no setting listen; did you mean server.listen?"),
        (
            "server.colour = 5",
            "lobbyd.toml:1: there is no setting server.colour; `lobbyd config doc` lists every setting",
        ),
        ("\n[limit]\nusers_max = 5", "lobbyd.toml:2: there is no section limit; did you mean limits?"),
        ("[[room]]\nnumber = 1", "lobbyd.toml:1: there is no setting room; did you mean rooms?"),
        ("[colours]", "lobbyd.toml:1: there is no section colours; `lobbyd config doc` lists every section"),
        (
            "\"a\\u001b[31m\" = 1",
            "lobbyd.toml:1: there is no setting a\\u{1b}[31m; `lobbyd config doc` lists every setting",
        ),
        ("server = 1", "lobbyd.toml:1: server is a section, write [server] and its settings below"),
        ("[[server]]", "lobbyd.toml:1: server is a section, write [server] and its settings below"),
    ] {
        assert_file_problem(text, problem);
    }
}

#[test]
fn a_bad_variable_or_flag_is_named() {
    let problems = given(
        None,
        &[
            ("LOBBYD_SERVER_LISTEN", "7400"),
            ("LOBBYD_LIMITS_USERS_MAX", "many"),
            ("LOBBYD_STORE", "redis://:hunter2@localhost"),
            ("LOBBYD_LOG_LEVEL", "info"),
            ("LOBBYD_COLOUR", "red"),
        ],
        &[
            ("--store", "server.store", "redis://:hunter2@localhost:x"),
            ("--set", "log.formt", "json"),
            ("--set", "session.login_grace", "30"),
        ],
    )
    .problems();
    let store = "\"embedded\" or \"redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]\"";
    let listen = "an IP address and port such as \"127.0.0.1:7400\" or \"[::]:7400\", or a list of them";
    assert_eq!(
        problems,
        [
            "environment variable LOBBYD_COLOUR: there is no setting LOBBYD_COLOUR; `lobbyd config doc` lists every setting",
            "environment variable LOBBYD_LIMITS_USERS_MAX: limits.users_max is \"many\", allowed is 1 to 10000000",
            "environment variable LOBBYD_LOG_LEVEL: there is no setting LOBBYD_LOG_LEVEL; did you mean LOBBYD_LOG_LEVELS?",
            &format!(
                "environment variable LOBBYD_SERVER_LISTEN: server.listen is \"7400\", \
                 allowed is {listen}; \"7400\" is no such address"
            ),
            "environment variable LOBBYD_STORE: there is no setting LOBBYD_STORE; did you mean LOBBYD_SERVER_STORE?",
            "flag --set: session.login_grace is \"30\", allowed is \"1ms\" to \"24h\" (units ms, s, m, h)",
            "flag --set: there is no setting log.formt; did you mean log.format?",
            &format!(
                "flag --store: server.store is \"redis://***@localhost:***\", \
                 allowed is {store}; write / ? # @ : in a password as %2F %3F %23 %40 %3A"
            ),
        ]
    );
}

#[test]
fn a_bad_value_is_a_problem_also_where_a_good_one_goes_before_it() {
    let both = given(Some("limits.users_max = 0"), &[("LOBBYD_LIMITS_USERS_MAX", "5")], &[]);
    assert_eq!(both.problems(), ["lobbyd.toml:1: limits.users_max is 0, allowed is 1 to 10000000"]);
}

#[test]
fn a_setting_is_given_once_on_the_command_line() {
    let twice = given(None, &[], &[("--store", "server.store", "embedded"), ("--set", "server.store", "embedded")]);
    assert_eq!(twice.problems(), ["flag --set: server.store is given twice on the command line"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = given(None, &[], &[]);
    let value = OsString::from_vec(vec![0xff]);
    given.sources.environment.push((OsString::from("LOBBYD_SERVER_NAME"), value.clone()));
    given.sources.environment.push((OsString::from("OTHER"), value));
    assert_eq!(given.problems(), ["environment variable LOBBYD_SERVER_NAME: the value is not UTF-8 text"]);
}

#[test]
fn variables_that_kubernetes_makes_for_a_service_are_left_alone() {
    let made = [
        ("LOBBYD_SERVICE_HOST", "10.0.0.1"),
        ("LOBBYD_SERVICE_PORT", "7400"),
        ("LOBBYD_SERVICE_PORT_TCP", "7400"),
        ("LOBBYD_PORT", "tcp://10.0.0.1:7400"),
        ("LOBBYD_PORT_7400_TCP", "tcp://10.0.0.1:7400"),
        ("LOBBYD_PORT_7400_TCP_ADDR", "10.0.0.1"),
        ("LOBBYD_REDIS_SERVICE_HOST", "10.0.0.2"),
        ("LOBBYD_REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("LOBBYD_REDIS_PORT_6379_TCP_PROTO", "tcp"),
    ];
    assert_eq!(given(None, &made, &[]).settings(), Settings::default());
    // What a person wrote is not taken for one of these.
    let problems = given(None, &[("LOBBYD_PORT", "7400"), ("LOBBYD_SERVER_PORT", "7400")], &[]).problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn rooms_replace_the_built_in_one() {
    let text = "[[rooms]]\nnumber = 7\ntitle = \"Chess\"\ncapacity = 2\n\
                [[rooms]]\nnumber = 3\ntitle = \"Staff\"\ncapacity = 9\npassword = \"hunter2\"\n";
    let rooms = file(text).settings().rooms;
    let chess = RoomSettings { number: RoomNumber(7), title: Text::new("Chess"), capacity: 2, password: None };
    let password = Some(Secret::new(String::from("hunter2")));
    let staff = RoomSettings { number: RoomNumber(3), title: Text::new("Staff"), capacity: 9, password };
    assert_eq!(rooms, [chess.clone(), staff]);
    assert_eq!(file("rooms = []").settings().rooms, []);

    let plain = "[{ number = 7, title = \"Chess\", capacity = 2 }]";
    assert_eq!(given(Some(text), &[("LOBBYD_ROOMS", plain)], &[]).settings().rooms, std::slice::from_ref(&chess));
    assert_eq!(given(Some(text), &[], &[("--set", "rooms", plain)]).settings().rooms, [chess]);
}

#[test]
fn every_problem_of_every_room_is_named_and_no_password_shown() {
    let text = "[[rooms]]\nnumber = 0\ntitle = \"\"\ncapacity = \"ten\"\npassword = 1234\n\
                [[rooms]]\nnumber = 1\ntile = \"Lounge\"\npasword = \"hunter2\"\ncolour = 1\n\
                [[rooms]]\nnumber = 2\ntitle = \"Fine\"\ncapacity = 1\n";
    assert_eq!(
        file(text).problems(),
        [
            "lobbyd.toml:2: rooms.number (room 1 in the list) is 0, allowed is 1 to 2147483647",
            "lobbyd.toml:3: rooms.title (room 1 in the list) is \"\", allowed is text of 1 to 64 characters on one line; it is empty",
            "lobbyd.toml:4: rooms.capacity (room 1 in the list) is \"ten\", allowed is 1 to 10000000",
            "lobbyd.toml:5: rooms.password (room 1 in the list) is (not shown), allowed is text of 1 to 256 bytes",
            "lobbyd.toml:6: rooms.capacity (room 2 in the list) is missing, allowed is 1 to 10000000",
            "lobbyd.toml:6: rooms.title (room 2 in the list) is missing, allowed is text of 1 to 64 characters on one line",
            "lobbyd.toml:8: rooms.tile (room 2 in the list) is unknown; did you mean title?",
            "lobbyd.toml:9: rooms.pasword (room 2 in the list) is unknown; did you mean password?",
            "lobbyd.toml:10: rooms.colour (room 2 in the list) is unknown; a room has number, title, capacity, password",
        ]
    );
}

#[test]
fn rooms_that_are_no_list_of_tables_are_a_problem() {
    let allowed = "allowed is a list of rooms, in a file one [[rooms]] table for each";
    assert_file_problem("[rooms]\nnumber = 1", &format!("lobbyd.toml:1: rooms is a table, {allowed}"));
    assert_file_problem("rooms = 5", &format!("lobbyd.toml:1: rooms is a integer, {allowed}"));
    assert_file_problem("rooms = [5]", &format!("lobbyd.toml:1: rooms holds something that is no room, {allowed}"));
    let problems = given(None, &[("LOBBYD_ROOMS", "[{ password = hunter2")], &[]).problems();
    assert!(problems[0].starts_with("environment variable LOBBYD_ROOMS: rooms is not TOML ("), "{problems:?}");
    assert!(!problems.join("\n").contains("hunter2"), "{problems:?}");
}

#[test]
fn rooms_must_go_together_with_the_lobby() {
    let room =
        |number: u32, capacity: u32| format!("[[rooms]]\nnumber = {number}\ntitle = \"A\"\ncapacity = {capacity}\n");
    let text = format!("{}{}{}{}", room(1, 5000), room(2, 10), room(2, 1001), room(2, 10));
    let because = "allowed is 1 to 1000 because lobby.room_members_max is 1000";
    assert_eq!(
        file(&text).problems(),
        [
            &format!("lobbyd.toml:1: rooms.capacity (room 1 in the list) is 5000, {because}"),
            &format!("lobbyd.toml:9: rooms.capacity (room 3 in the list) is 1001, {because}"),
            "lobbyd.toml:13: rooms.number (room 4 in the list) is 2, which another room has",
        ]
    );
    let text = format!("lobby.rooms_max = 1\n{}{}", room(1, 10), room(2, 10));
    assert_file_problem(&text, "lobbyd.toml:2: rooms has 2 rooms, allowed is up to lobby.rooms_max, 1");
}

#[test]
fn the_built_in_room_is_no_larger_than_rooms_may_be() {
    assert_eq!(file("lobby.room_members_max = 50").settings().rooms[0].capacity, 50);
    assert_eq!(file("lobby.room_members_max = 500").settings().rooms[0].capacity, 100);
}

#[test]
fn settings_must_go_together() {
    for (text, problem) in [
        (
            "[limits]\nframe_bytes_max = \"1MiB\"",
            "lobbyd.toml:2: limits.outbox_bytes_max is \"1MiB\", \
             allowed is \"2MiB\" to \"1GiB\" because limits.frame_bytes_max is \"1MiB\"",
        ),
        (
            "[limits]\ntext_bytes_max = \"16KiB\"",
            "lobbyd.toml:2: limits.text_bytes_max is \"16KiB\", \
             allowed is 1 to 16256 because limits.frame_bytes_max is \"16KiB\"",
        ),
        (
            "[lobby]\nroom_members_max = 100000",
            "lobbyd.toml:2: lobby.room_members_max is 100000, \
             allowed is 1 to 3048 because limits.outbox_bytes_max is \"1MiB\"",
        ),
        (
            "server.store = \"redis://localhost\"\nredis.response_timeout = \"5s\"",
            "lobbyd.toml:2: session.login_timeout is \"5s\", allowed is more than redis.response_timeout, which is \"5s\"",
        ),
        (
            "server.store = \"redis://localhost\"\nredis.lease = \"2s\"",
            "lobbyd.toml:2: redis.lease is \"2s\", allowed is at least three times redis.response_timeout, which is \"1s\"",
        ),
        (
            "server.store = \"redis://localhost\"\nredis.presence_key = \"lobbyd:account:{user}\"",
            "lobbyd.toml:2: redis.presence_key is \"lobbyd:account:{user}\", \
             allowed is anything but redis.account_key, which is \"lobbyd:account:{user}\"",
        ),
    ] {
        assert_file_problem(text, problem);
    }
    let apart = given(
        Some("limits.outbox_bytes_max = \"1MiB\"\nsession.login_timeout = \"1s\""),
        &[("LOBBYD_SERVER_STORE", "redis://localhost"), ("LOBBYD_REDIS_RESPONSE_TIMEOUT", "2s")],
        &[("--set", "limits.frame_bytes_max", "1MiB")],
    );
    assert_eq!(
        apart.problems(),
        [
            "lobbyd.toml:1: limits.outbox_bytes_max is \"1MiB\", \
             allowed is \"2MiB\" to \"1GiB\" because limits.frame_bytes_max is \"1MiB\" (flag --set)",
            "lobbyd.toml:2: session.login_timeout is \"1s\", allowed is more than redis.response_timeout, \
             which is \"2s\" (environment variable LOBBYD_REDIS_RESPONSE_TIMEOUT)",
        ]
    );
    // Without Redis its settings bind nobody.
    file("redis.response_timeout = \"5s\"").settings();
}

#[test]
fn every_rule_that_is_broken_is_named_and_no_consequence_of_another_problem() {
    // The members do not fit the outbox that was meant, but nobody can know which that is.
    let text = "[limits]\ntext_bytes_max = \"1MiB\"\noutbox_bytes_max = \"3KiB\"\n[lobby]\nroom_members_max = 5000\n";
    assert_eq!(
        file(text).problems(),
        [
            "lobbyd.toml:2: limits.text_bytes_max is \"1MiB\", \
             allowed is 1 to 16256 because limits.frame_bytes_max is \"16KiB\"",
            "lobbyd.toml:3: limits.outbox_bytes_max is \"3KiB\", \
             allowed is \"32KiB\" to \"1GiB\" because limits.frame_bytes_max is \"16KiB\"",
        ]
    );
    let refused = file("limits.frame_bytes_max = 5\nlimits.text_bytes_max = 20000").problems();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let text = "server.store = \"redis://localhost\"\nsession.login_timeout = 60\nredis.response_timeout = \"6s\"";
    assert_eq!(file(text).problems().len(), 1, "{:?}", file(text).problems());
}

#[test]
fn sources_show_no_value() {
    let store = "redis://:hunter2@localhost";
    let sources = given(None, &[("LOBBYD_SERVER_STORE", store)], &[("--store", "server.store", store)]).sources;
    let shown = format!("{sources:?}");
    assert!(shown.contains("LOBBYD_SERVER_STORE") && shown.contains("--store"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_not_matter() {
    assert_eq!(file("\u{feff}[limits]\r\nusers_max = 5\r\n").settings().limits.users_max, 5);
    assert_file_problem(
        "\u{feff}[limits]\r\nusers_max = 0\r\n",
        "lobbyd.toml:2: limits.users_max is 0, allowed is 1 to 10000000",
    );
}

#[test]
fn errors_say_how_many_they_are() {
    let one = Settings::load(&given(None, &[], &[("--set", "x", "")]).sources).unwrap_err();
    let said = "the configuration has a problem:\n  flag --set: there is no setting x; `lobbyd config doc` lists every setting";
    assert_eq!(one.to_string(), said);
    let two = Settings::load(&given(None, &[], &[("--set", "x", ""), ("--set", "y", "")]).sources).unwrap_err();
    assert!(two.to_string().starts_with("the configuration has 2 problems:\n  "), "{two}");
}

#[test]
fn the_reference_has_every_setting() {
    let reference = reference();
    for entry in table::SECTIONS.iter().flat_map(|section| section.entries) {
        let row = format!("| `{}` | `{}` | `", entry.name, load::variable(entry.name));
        assert!(reference.contains(&row), "{row}");
    }
    assert!(reference.contains(
        "| `limits.users_max` | `LOBBYD_LIMITS_USERS_MAX` | `10000` | 1 to 10000000 | The most users online. |\n"
    ));
    assert!(reference.contains("| `password` | no | "));
    let tables = reference.lines().filter(|line| line.starts_with('|'));
    for line in tables {
        assert!([6, 5].contains(&line.matches('|').count()), "{line}");
    }
}

#[test]
fn the_sample_explains_every_setting() {
    let sample = sample();
    assert!(sample.lines().all(|line| line.chars().count() <= 110), "lines fit a screen");
    assert!(sample.contains(
        "# The most connections from one address (for IPv6: from one /64 network).\n\
         # Allowed: 1 to 10000000.\n\
         sessions_per_address_max = 500\n"
    ));
}
