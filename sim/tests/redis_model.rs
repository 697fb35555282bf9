//! The model of Redis answers as a real `redis-server` does, byte for byte, to random sequences of commands.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was not as it should be")]
#![expect(clippy::disallowed_types, reason = "the model is compared with a real server, by a real socket")]

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lobbyd_net::redis::scripts::{RELEASE, RENEW, REPLACE};
use lobbyd_sim::redis::{ConnectionId, Reply, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

/// A real server on a socket file of its own. It ends with the value.
struct RealRedis {
    process: Child,
    folder: TempDir,
}

impl RealRedis {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"])
            .args(arguments)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server cannot be started ({error}); install it, for the model is compared with it")
            });
        let server = Self { process, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.try_connect().is_err() {
            assert!(Instant::now() < deadline, "redis-server does not come up within 20 s");
            sleep(Duration::from_millis(5));
        }
        server
    }

    fn try_connect(&self) -> std::io::Result<RealConnection> {
        let stream = UnixStream::connect(self.folder.path().join("redis.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(RealConnection(BufReader::new(stream)))
    }

    fn connect(&self) -> RealConnection {
        self.try_connect().unwrap()
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct RealConnection(BufReader<UnixStream>);

impl RealConnection {
    fn send(&mut self, command: &[Vec<u8>]) {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for argument in command {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes).unwrap();
    }

    /// The bytes of the next reply.
    fn receive(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_until(b'\n', &mut bytes).expect("redis-server answers");
        let number = || std::str::from_utf8(&bytes[1..bytes.len() - 2]).unwrap().parse::<i64>().unwrap();
        let (payload, elements) = match bytes[0] {
            b'$' => (number(), 0),
            b'*' | b'>' | b'~' => (-1, number()),
            b'%' => (-1, 2 * number()),
            _ => (-1, 0),
        };
        if let Ok(payload) = usize::try_from(payload) {
            let start = bytes.len();
            bytes.resize(start + payload + 2, 0);
            self.0.read_exact(&mut bytes[start..]).unwrap();
        }
        for _ in 0..elements {
            bytes.extend(self.receive());
        }
        bytes
    }
}

/// Two connections to either.
struct Pair {
    model: Store,
    real: [RealConnection; 2],
    started_at: Instant,
}

impl Pair {
    fn new(server: &RealRedis) -> Self {
        let mut pair =
            Self { model: Store::new(), real: [server.connect(), server.connect()], started_at: Instant::now() };
        for command in [&["FLUSHALL"][..], &["SCRIPT", "FLUSH"]] {
            pair.real[0].send(&bytes(command));
            assert_eq!(pair.real[0].receive(), b"+OK\r\n");
        }
        pair
    }

    /// What the model answers.
    fn ask_model(&mut self, place: usize, command: &[Vec<u8>]) -> Reply {
        self.model.execute(self.started_at.elapsed(), ConnectionId(place as u64 + 1), command)
    }

    /// A reply of the model as this connection wants it.
    fn written(&self, place: usize, reply: &Reply) -> Vec<u8> {
        let mut written = Vec::new();
        reply.encode(self.model.protocol(ConnectionId(place as u64 + 1)), &mut written);
        written
    }

    fn same(&mut self, place: usize, command: &[Vec<u8>]) -> Result<(), TestCaseError> {
        let reply = self.ask_model(place, command);
        let messages = self.model.take_messages();
        let messages: Vec<_> = messages.into_iter().map(|(to, message)| (to.0 as usize - 1, message)).collect();
        self.real[place].send(command);
        let shown = shown(command);
        let replies = if let Reply::Several(replies) = reply { replies } else { vec![reply] };
        let to_self = messages.iter().filter(|(to, _)| *to == place).map(|(_, message)| message);
        let mut expected: Vec<_> = replies.iter().chain(to_self).map(|reply| self.written(place, reply)).collect();
        let mut found: Vec<_> = expected.iter().map(|_| self.real[place].receive()).collect();
        if !messages.is_empty() {
            // Messages to oneself come before the answer with one, and after it with the other; nobody relies on either.
            expected.sort();
            found.sort();
        }
        let text =
            |replies: &[Vec<u8>]| replies.iter().map(|reply| reply.escape_ascii().to_string()).collect::<Vec<_>>();
        prop_assert_eq!(text(&expected), text(&found), "left the model, right redis-server, to {}", shown);
        for (to, message) in messages.into_iter().filter(|(to, _)| *to != place) {
            prop_assert_eq!(self.written(to, &message), self.real[to].receive(), "a message after {}", shown);
        }
        Ok(())
    }

    /// Both tell the same life of a key, but for the time that passes between the two questions.
    fn same_life(&mut self, place: usize, key: &str) -> Result<(), TestCaseError> {
        let command = bytes(&["PTTL", key]);
        let reply = self.ask_model(place, &command);
        self.real[place].send(&command);
        let real = self.real[place].receive();
        let Reply::Integer(model_ms) = reply else {
            prop_assert_eq!(self.written(place, &reply), real, "{}", shown(&command));
            return Ok(());
        };
        let real_ms: i64 = std::str::from_utf8(&real[1..real.len() - 2]).unwrap().parse().unwrap();
        let is_near = if model_ms < 0 { real_ms == model_ms } else { (real_ms - model_ms).abs() < 5_000 };
        prop_assert!(is_near, "{key} lives {model_ms} ms more in the model, {real_ms} ms in redis-server");
        Ok(())
    }

    /// Both tell the same keys in a whole scan. Pages and cursors are each one's own.
    fn same_scan(&mut self, options: &[&str]) -> Result<(), TestCaseError> {
        let scan = |ask: &mut dyn FnMut(&[Vec<u8>]) -> Vec<u8>| {
            let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
            for _ in 0..100 {
                let mut command = bytes(&["SCAN", &cursor]);
                command.extend(bytes(options));
                let reply = String::from_utf8(ask(&command)).unwrap();
                let mut lines = reply.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
                cursor = lines.next().unwrap().to_owned();
                keys.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
                if cursor == "0" {
                    keys.sort();
                    keys.dedup();
                    return keys;
                }
            }
            panic!("a scan without an end");
        };
        let model = scan(&mut |command| {
            let reply = self.ask_model(0, command);
            self.written(0, &reply)
        });
        let real = scan(&mut |command| {
            self.real[0].send(command);
            self.real[0].receive()
        });
        prop_assert_eq!(model, real, "SCAN 0 {:?}", options);
        Ok(())
    }
}

fn bytes(command: &[&str]) -> Vec<Vec<u8>> {
    command.iter().map(|argument| argument.as_bytes().to_vec()).collect()
}

fn shown(command: &[Vec<u8>]) -> String {
    command.iter().map(|argument| argument.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// One thing that is done to both.
#[derive(Clone)]
enum Step {
    Command(usize, Vec<Vec<u8>>),
    /// The life of this key is over a few milliseconds from now; then both go on.
    LetExpire(&'static str, bool),
    Life(&'static str),
    Scan(Vec<&'static str>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(place, command) => write!(f, "{place}: {}", shown(command)),
            Self::LetExpire(key, anew) => write!(f, "let {key} expire, anew: {anew}"),
            Self::Life(key) => write!(f, "life of {key}"),
            Self::Scan(options) => write!(f, "scan {options:?}"),
        }
    }
}

const KEYS: &[&str] = &["a", "b", "u:alice", "u:[x]"];

fn key() -> impl Strategy<Value = &'static str> {
    select(KEYS)
}

fn field() -> impl Strategy<Value = &'static str> {
    select(vec!["hash", "nickname", "x"])
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["", "1", "two words", "\u{e9}\r\n\0", "owner", "1000000"])
}

/// Lives that nobody lives to see the end of, and what is none.
fn life() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => select(vec!["100000", "1000000", "86400000"]),
        1 => select(vec!["0", "-1", "abc", "", "+5", "05", "1.5", "9223372036854775807", "9223372036854775808"]),
    ]
}

/// Words in a row, some of which are drawn.
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(Word::from($word)),*] };
}

/// A drawn part of a command: nothing, one argument or several.
struct Word(BoxedStrategy<Vec<&'static str>>);

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self(Just(vec![word]).boxed())
    }
}

impl<S: Strategy<Value = &'static str> + 'static> From<(S,)> for Word {
    fn from((one,): (S,)) -> Self {
        Self(one.prop_map(|word| vec![word]).boxed())
    }
}

impl<S: Strategy<Value = Vec<&'static str>> + 'static> From<(S, ())> for Word {
    fn from((several, ()): (S, ())) -> Self {
        Self(several.boxed())
    }
}

fn command(words: Vec<Word>) -> BoxedStrategy<Vec<Vec<u8>>> {
    let parts: Vec<_> = words.into_iter().map(|Word(part)| part).collect();
    parts.prop_map(|parts| bytes(&parts.concat())).boxed()
}

fn several(one: impl Strategy<Value = &'static str> + 'static, most: usize) -> Word {
    Word::from((vec(one, 1..=most), ()))
}

fn set_options() -> Word {
    let option = prop_oneof![
        3 => select(vec![vec!["NX"], vec!["xx"], vec!["KEEPTTL"], vec!["GET"], vec!["PX"], vec!["nonsense"]]),
        3 => (select(vec!["PX", "ex"]), life()).prop_map(|(unit, life)| vec![unit, life]),
    ];
    Word::from((vec(option, 0..3).prop_map(|options| options.concat()), ()))
}

fn script_call() -> BoxedStrategy<Vec<Vec<u8>>> {
    let leases = select(vec![RELEASE, RENEW]).prop_flat_map(|script| {
        vec(key(), 0..4).prop_flat_map(move |keys| {
            let number: &'static str = ["0", "1", "2", "3"][keys.len()];
            (life(), vec(value(), keys.len())).prop_map(move |(life, values)| {
                let mut call = vec!["EVAL", script, number];
                call.extend(&keys);
                if script == RENEW {
                    call.push(life);
                }
                call.extend(values);
                bytes(&call)
            })
        })
    });
    let replace =
        words!["EVAL", REPLACE, "1", (key(),), (value(),), (life(),), (value(),), (select(vec!["news", "x"]),)];
    prop_oneof![2 => leases, 2 => command(replace)].boxed()
}

fn digest(script: &str) -> &'static str {
    redis::Script::new(script).get_hash().to_owned().leak()
}

fn any_command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let channel = || select(vec!["news", "x"]);
    let digests = vec![digest(RELEASE), digest(RENEW), digest(REPLACE), "0000000000000000000000000000000000000000"];
    let right = prop_oneof![
        6 => command(words!["SET", (key(),), (value(),), set_options()]),
        3 => command(words!["GET", (key(),)]),
        2 => command(words!["DEL", several(key(), 3)]),
        1 => command(words!["EXISTS", several(key(), 3)]),
        1 => command(words!["TYPE", (key(),)]),
        2 => command(words!["PEXPIRE", (key(),), (life(),)]),
        1 => command(words!["PERSIST", (key(),)]),
        1 => command(words!["DBSIZE"]),
        3 => command(words!["HSET", (key(),), (field(),), (value(),), several(field(), 3)]),
        1 => command(words!["HSETNX", (key(),), (field(),), (value(),)]),
        1 => command(words!["HGET", (key(),), (field(),)]),
        2 => command(words!["hmget", (key(),), several(field(), 3)]),
        1 => command(words!["HEXISTS", (key(),), (field(),)]),
        1 => command(words!["HLEN", (key(),)]),
        1 => command(words!["HDEL", (key(),), several(field(), 3)]),
        8 => script_call(),
        2 => command(words!["EVALSHA", (select(digests.clone()),), "0"]),
        1 => command(words!["SCRIPT", "EXISTS", several(select(digests), 3)]),
        1 => command(words!["SCRIPT", "LOAD", (select(vec![RELEASE, RENEW, REPLACE]),)]),
        2 => command(words!["PUBLISH", (channel(),), (value(),)]),
        1 => command(words!["SUBSCRIBE", several(channel(), 2)]),
        1 => command(words!["UNSUBSCRIBE", several(channel(), 2)]),
        1 => command(words!["SELECT", (select(vec!["0", "1", "15", "16", "-1", "x"]),)]),
    ];
    // Few, since they set everything back.
    let rare = prop_oneof![
        command(words!["FLUSHALL", (vec(select(vec!["ASYNC", "sync", "x"]), 0..2), ())]),
        command(words!["SCRIPT", "FLUSH"]),
        command(words!["PING", (vec(value(), 0..3), ())]),
        command(words!["CLIENT", "SETNAME", (select(vec!["me", "two words", ""]),)]),
        command(words!["CLIENT", "GETNAME"]),
    ];
    // What people and broken programs send.
    let wrong = prop_oneof![
        vec(select(vec!["GET", "set", "HMGET", "hset", "a", "DEL", "PUBLISH", "SUBSCRIBE", "EVAL", "SCAN"]), 1..6)
            .prop_map(|words| bytes(&words)),
        vec(select(vec!["SCAN", "0", "x", "MATCH", "COUNT", "TYPE"]), 1..3)
            .prop_filter("a scan's page is its own", |words| !(words[0] == "SCAN" && words.get(1) == Some(&"0")))
            .prop_map(|words| bytes(&words)),
        command(words!["SCAN", "0", (select(vec!["COUNT", "MATCH", "TYPE"]),)]),
        command(words!["SCAN", "0", "COUNT", (select(vec!["0", "-1", "x"]),)]),
        command(words![
            "EVAL",
            (select(vec![RELEASE, RENEW]),),
            (select(vec!["-1", "x", "2", ""]),),
            (vec(key(), 0..2), ())
        ]),
        command(words!["CLIENT", (vec(select(vec!["ID", "SETNAME", "me", "nonsense"]), 0..4), ())])
            .prop_filter("numbers of connections differ", |words| words.len() != 2 || words[1] != b"ID"),
        command(words!["SCRIPT", (vec(select(vec!["EXISTS", "LOAD", "nonsense"]), 0..2), ())]),
        command(words!["AUTH", (vec(select(vec!["default", "secret"]), 0..3), ())])
            .prop_filter("without a password everybody may", |words| words.len() != 3 || words[1] != b"default"),
        command(words!["HELLO", (select(vec!["1", "4", "x", ""]),)]),
        command(words!["HELLO", "3", (select(vec!["AUTH", "x", "SETNAME"]),)]),
    ];
    prop_oneof![40 => right, 3 => rare, 6 => wrong]
}

fn step() -> impl Strategy<Value = Step> {
    let options = select(vec![
        vec![],
        vec!["COUNT", "1"],
        vec!["MATCH", "u:*"],
        vec!["match", "u:\\[x\\]", "COUNT", "2"],
        vec!["TYPE", "hash"],
        vec!["COUNT", "3", "TYPE", "string", "MATCH", "?"],
        vec!["TYPE", "nonsense"],
    ]);
    prop_oneof![
        60 => (0..2_usize, any_command()).prop_map(|(place, command)| Step::Command(place, command)),
        1 => (key(), any::<bool>()).prop_map(|(key, anew)| Step::LetExpire(key, anew)),
        6 => key().prop_map(Step::Life),
        3 => options.prop_map(Step::Scan),
    ]
}

fn protocols() -> impl Strategy<Value = [&'static str; 2]> {
    [select(vec!["2", "3"]), select(vec!["2", "3"])]
}

#[test]
fn model_answers_as_a_real_server_does() {
    let server = RealRedis::start(&[]);
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(protocols(), vec(step(), 1..80)), |(protocols, steps)| {
        let mut pair = Pair::new(&server);
        for (place, protocol) in protocols.into_iter().enumerate() {
            let hello = bytes(&["HELLO", protocol]);
            pair.ask_model(place, &hello);
            pair.real[place].send(&hello);
            pair.real[place].receive();
        }
        for step in steps {
            match step {
                Step::Command(place, command) => {
                    pair.same(place, &command)?;
                    if let Some(key) = KEYS.iter().find(|key| command.iter().any(|word| word == key.as_bytes())) {
                        pair.same_life(place, key)?;
                    }
                }
                Step::Life(key) => pair.same_life(1, key)?,
                Step::Scan(options) if protocols == ["3", "3"] => pair.same_scan(&options)?,
                // A connection that only listens cannot scan.
                Step::Scan(_) => {}
                Step::LetExpire(key, anew) => {
                    let short: &[&str] = if anew { &["SET", key, "v", "PX", "1"] } else { &["PEXPIRE", key, "1"] };
                    pair.same(0, &bytes(short))?;
                    sleep(Duration::from_millis(4));
                    pair.same(0, &bytes(&["EXISTS", key]))?;
                }
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn handshakes_are_answered_alike() {
    // The parts of the answer that are one's own: the number of the connection.
    fn without_number(reply: &[u8]) -> String {
        let text = reply.escape_ascii().to_string();
        let (before, behind) = text.split_once("$2\\r\\nid\\r\\n:").unwrap_or((&text, "\\r"));
        format!("{before} id {}", behind.split_once("\\r").unwrap().1)
    }
    let open = RealRedis::start(&[]);
    let closed = RealRedis::start(&["--requirepass", "secret"]);
    for (server, model) in [(&open, Store::new()), (&closed, Store::new().with_password("secret"))] {
        let handshakes: &[&[&[&str]]] = &[
            &[&["HELLO", "3"], &["PING"]],
            &[&["HELLO", "3", "AUTH", "default", "secret"], &["CLIENT", "SETNAME", "me"], &["GET", "a"]],
            &[&["HELLO", "3", "AUTH", "default", "wrong"], &["PING"], &["SELECT", "1"]],
            &[&["HELLO", "3", "SETNAME", "me"], &["CLIENT", "GETNAME"]],
            &[&["AUTH", "wrong"], &["AUTH", "secret"], &["HELLO"], &["SELECT", "3"]],
            &[&["AUTH", "nobody", "secret"], &["HELLO", "2"], &["NONSENSE"], &["GET"]],
        ];
        for handshake in handshakes {
            let mut pair =
                Pair { model: model.clone(), real: [server.connect(), server.connect()], started_at: Instant::now() };
            for command in *handshake {
                let command = bytes(command);
                let reply = pair.ask_model(0, &command);
                let model = pair.written(0, &reply);
                pair.real[0].send(&command);
                let real = pair.real[0].receive();
                assert_eq!(without_number(&model), without_number(&real), "left the model, to {}", shown(&command));
            }
        }
    }
}
