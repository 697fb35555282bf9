//! What is read, what is refused and where.

use std::time::Duration;

use super::names::{SETUP_WORDS, STEP_WORDS};
use super::operations::{ARRIVES, VERBS};
use super::*;

/// The refusal as a person sees it.
fn refusal(source: &str) -> String {
    parse(source).expect_err("this is no scenario").to_string()
}

/// Line, column, message and help.
fn refused(source: &str) -> (u32, u32, String, Option<String>) {
    let ParseError { line, column, message, help, .. } = parse(source).expect_err("this is no scenario");
    (line, column, message, help)
}

fn pattern(packet: &str, fields: &[(&str, &str)]) -> Expected {
    let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
    Expected::Packet(Pattern { packet: packet.to_owned(), fields })
}

fn at(client: &str, what: Expected) -> Expectation {
    Expectation { client: client.to_owned(), what }
}

#[test]
fn every_example_of_the_grammar_is_read() {
    let grammar = include_str!("grammar.md");
    let examples: Vec<_> = grammar.split("```\n").skip(1).step_by(2).collect();
    assert_eq!(examples.len(), 7);
    for example in &examples {
        if let Err(error) = parse(example) {
            panic!("{error}");
        }
    }
    // Nothing that can be written is without an example.
    let words: Vec<_> = examples.iter().flat_map(|example| example.split_whitespace()).collect();
    for word in SETUP_WORDS.into_iter().chain(STEP_WORDS).chain(VERBS).chain([ARRIVES]) {
        assert!(words.contains(&word), "{word} has no example");
    }
}

#[test]
fn expectations_stand_on_the_line_or_below_it() {
    let scenario = parse(
        "# A title\n# in two lines.\n#\n# And more.\n\nalice connect -> Welcome\n  alice -> Ping\nalice close within 3s\n  -> closed\n",
    )
    .expect("a scenario");
    assert_eq!(scenario.title, "A title in two lines.");
    let [connect, close] = scenario.steps.as_slice() else { panic!("two steps") };
    assert_eq!(connect.line, 6);
    assert_eq!(connect.expects, [at("alice", pattern("Welcome", &[])), at("alice", pattern("Ping", &[]))]);
    assert_eq!(close.within, Duration::from_secs(3));
    assert_eq!(close.expects, [at("alice", Expected::Closed)]);
}

#[test]
fn arriving_is_connecting_and_saying_hello_and_logging_in() {
    let short = parse("account alice wonder\nalice arrives\n").expect("a scenario");
    let long = "account alice wonder\nalice connect -> Welcome\nalice hello\nalice login alice wonder -> LoginResponse name=alice\n";
    assert_eq!(print(&short).lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n") + "\n", long);
    let named = parse("daemons a b\nphone arrives at b as ALICE \"\"\n  -> nothing\n").expect("a scenario");
    let expects = &named.steps[2].expects;
    assert_eq!(*expects, [at("phone", pattern("LoginResponse", &[("name", "alice")])), at("phone", Expected::Nothing)]);
}

#[test]
fn a_scenario_is_loose_if_its_setup_says_so() {
    assert!(!parse("alice connect\n").expect("a scenario").setup.is_loose);
    let loose = parse("expect anything\nalice connect\n").expect("a scenario");
    assert!(loose.setup.is_loose);
    assert_eq!(print(&loose), "expect anything\n\nalice connect\n");
    assert!(refusal("expect nothing\n").contains("expected `anything`"));
    assert!(refusal("expect anything\nexpect anything\n").contains("was said in line 1 already"));
    assert!(refusal("alice connect\nexpect anything\n").contains("stands before the first step"));
}

#[test]
fn what_is_expected_of_all_stands_beside_what_is_done_together() {
    let scenario =
        parse("a connect\ntogether\n  a ping 1\n    -> Pong\n  a -> Pong nonce=2\n  a ping 2\n").expect("a scenario");
    let step = &scenario.steps[1];
    assert_eq!(step.expects, [at("a", pattern("Pong", &[("nonce", "2")]))]);
    let Event::Together(steps) = &step.event else { panic!("together") };
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].expects, [at("a", pattern("Pong", &[]))]);
}

#[test]
fn repeated_steps_are_there_as_often() {
    let scenario = parse("a connect\nrepeat 3\n  a ping 1 -> Pong\n  a ping 2\n").expect("a scenario");
    let lines: Vec<_> = scenario.steps.iter().map(|step| step.line).collect();
    assert_eq!(lines, [1, 3, 4, 3, 4, 3, 4]);
    let together = parse("a connect\ntogether\n  repeat 5\n    a ping 1\n  repeat 5\n    a -> Pong\n");
    assert!(together.is_err(), "what is expected is not repeated by itself");
    let expected = parse("a connect\nwait\n  repeat 2\n    a -> Ping\n    a -> Pong\n").expect("a scenario");
    assert_eq!(expected.steps[1].expects.len(), 4);
    assert!(parse("a connect\nwait\n  repeat 2\n    a ping 1\n").is_err());
    assert!(parse("a connect\nrepeat 100001\n  a ping 1\n").is_err());
    assert!(parse("a connect\nrepeat 1000\n  repeat 1000\n    a ping 1\n").is_err());
    assert!(parse("a connect\nrepeat 0\n  a ping 1\n").is_err());
    assert!(parse("a connect\nrepeat 4\n").is_err());
}

#[test]
fn a_refusal_shows_the_line_and_a_caret() {
    assert_eq!(
        refusal("alice connect\nalice hello -> Welcom\n"),
        "2:16: expected a packet such as RoomChatNotify, `any of`, `closed` or `nothing`; found `Welcom`\n  \
         |\n\
         2 | alice hello -> Welcom\n  \
         |                ^\n  \
         = did you mean `Welcome`?"
    );
}

#[test]
fn slips_of_the_pen_are_refused_where_they_are() {
    let meant = |word: &str| Some(format!("did you mean `{word}`?"));
    for (source, line, column, help) in [
        ("a connect\na conect\n", 2, 3, meant("connect")),
        ("a connect\nadvnce 30s\n", 2, 1, meant("advance")),
        ("acount alice wonder\n", 1, 1, meant("account")),
        ("alice connect\nalcie hello\n", 2, 1, meant("alice")),
        ("alice connect\nalice hello\n  alcie -> Ping\n", 3, 3, meant("alice")),
        ("daemons north south\ncrash nroth\n", 2, 7, meant("north")),
        ("alice connect\npartition server alcie\n", 2, 18, meant("alice")),
        ("redis feeze\n", 1, 7, meant("freeze")),
        ("check server emty\n", 1, 14, meant("empty")),
        ("set hartbeat_interval 3s\n", 1, 5, meant("heartbeat_interval")),
        ("store reddis\n", 1, 7, meant("redis")),
    ] {
        let (found_line, found_column, message, found_help) = refused(source);
        assert_eq!((found_line, found_column, found_help), (line, column, help), "{source:?}: {message}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (source, place, part) in [
        ("bob hello\n", (1, 1), "there is no client bob yet"),
        ("advance 30\n", (1, 9), "expected a duration"),
        ("advance 30s\n  -> Ping\n", (2, 3), "expected whose packet this is"),
        ("wait -> Ping\n", (1, 6), "expected whose packet this is"),
        ("a connect extra\n", (1, 11), "expected the end of the line; found `extra`"),
        ("a connect to\n", (1, 13), "expected a daemon; found the end of the line"),
        ("a connect # to\na chat 1 # text\n", (2, 10), "expected a text; found the end of the line"),
        ("a connect\na chat 1 \"open\n", (2, 10), "has no end"),
        ("a connect\na chat 1 \"\\x\"\n", (2, 10), "not escaped"),
        ("a connect\na raw 123\n", (2, 7), "pairs of hexadecimal digits"),
        ("a connect\n    -> Welcome\n  -> Ping\n", (3, 3), "should be indented by 0 spaces"),
        ("a connect\n\t-> Welcome\n", (2, 1), "not by tabs"),
        ("  a connect\n", (1, 3), "should be indented by 0 spaces"),
        ("a connect\na -> Welcome\n", (2, 1), "indented below the step"),
        ("a connect\n  a hello\n", (2, 3), "expected what is expected of the step above"),
        ("a connect\nset users_max 3\n", (2, 1), "before the first step"),
        ("set users_max 3\n  -> Ping\n", (2, 3), "nothing stands below `set`"),
        ("set users_max 3\nset users_max 4\n", (2, 5), "was said in line 1 already"),
        ("set sessions_max 0\n", (1, 5), "sessions_max is 0, allowed is 1 to"),
        ("set text_bytes_max 5\nset server_name \"\"\n", (2, 5), "server_name length is 0"),
        ("room 1 \"One\" capacity 3\nroom 1 \"Two\" capacity 3\n", (2, 6), "1 for two rooms"),
        ("account alice wonder\naccount Alice land\n", (2, 9), "alice has an account already"),
        ("account \"al ice\" wonder\n", (1, 9), "expected a user name"),
        ("daemons a set\n", (1, 11), "no daemon can be called set"),
        ("daemons a a\n", (1, 11), "a is named twice"),
        ("daemons\n", (1, 8), "expected the name of a daemon"),
        ("network\n", (1, 8), "expected `latency"),
        ("network latency 5ms..1ms\n", (1, 17), "begins above its end"),
        ("server connect\n", (1, 1), "no client can be called server"),
        ("redis connect\n", (1, 7), "expected what becomes of Redis"),
        ("together\n", (1, 1), "nothing is indented below `together`"),
        ("together\n  advance 3s\n", (2, 3), "`advance` cannot stand in `together`"),
        ("together\n  together\n    a connect\n", (2, 3), "cannot stand in another"),
        ("together\n  a connect within 3s\n", (2, 13), "has one time"),
        ("account a x\ntogether\n  a arrives\n", (3, 3), "is several steps"),
        ("a arrives\n", (1, 1), "there is no account a"),
        ("a arrives as \"al ice\" wonder\n", (1, 14), "expected a user name"),
        ("partition server bob\n", (1, 18), "bob is no daemon"),
        ("partition server server\n", (1, 18), "both hosts are the same"),
        ("a connect\n  -> Closing reason=Silent\n    -> closed\n", (3, 5), "nothing stands below an expectation"),
    ] {
        let (line, column, message, _) = refused(source);
        assert_eq!((line, column), place, "{source:?}: {message}");
        assert!(message.contains(part), "{source:?}: {message}");
    }
}

#[test]
fn columns_count_characters() {
    let (_, column, ..) = refused("a connect\na chat 1 \"äöü\" extra\n");
    assert_eq!(column, 16);
}

#[test]
fn lines_may_end_as_on_other_systems() {
    assert!(parse("a connect\r\n  -> Welcome\r\n\r\n").is_ok());
}
