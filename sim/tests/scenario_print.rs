//! Whatever scenario is printed, reading it back gives the same one.

use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin, FixedRoom};
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::limits::Rate;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{
    CloseReason, Code, LeaveCause, List, RoomChange, RoomEntered, RoomPage, RoomSummary, ServerPacket, User,
};
use lobbyd_core::text::Text;
use lobbyd_sim::scenario::fields;
use lobbyd_sim::scenario::{
    Account, Check, Event, Expectation, Expected, Fault, Network, Operation, Pattern, RedisFault, Scenario, Served,
    Setup, Step, Store, WITHIN, parse, print,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const CLIENTS: [&str; 3] = ["alice", "bob-2", "7"];

fn duration() -> impl Strategy<Value = Duration> {
    let units = select(vec![1_u64, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000]);
    (0_u64..100_000, units).prop_map(|(count, unit)| Duration::from_nanos(count * unit))
}

fn latency() -> impl Strategy<Value = (Duration, Duration)> {
    (duration(), duration()).prop_map(|(one, other)| (one.min(other), one.max(other)))
}

fn text() -> impl Strategy<Value = String> {
    let repeated = (any::<char>(), 1_usize..3000).prop_map(|(character, times)| character.to_string().repeat(times));
    prop_oneof![any::<String>(), "[a-z.-]{0,8}", repeated]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![text().prop_map(String::into_bytes), vec(any::<u8>(), 0..20)]
}

fn user() -> impl Strategy<Value = UserName> {
    "[a-z0-9_.-]{1,32}".prop_map(|name| name.parse().expect("a good name"))
}

fn room() -> impl Strategy<Value = RoomNumber> {
    any::<u32>().prop_map(RoomNumber)
}

fn client() -> impl Strategy<Value = String> {
    select(CLIENTS.to_vec()).prop_map(str::to_owned)
}

fn rate() -> impl Strategy<Value = Rate> {
    let interval = duration().prop_map(|interval| interval.max(Duration::from_nanos(1)));
    prop_oneof![
        (1_u32..1000, 10_u32..1000).prop_map(|(count, burst)| Rate::per_second(count, burst)),
        (1_u32..1000, 10_u32..1000).prop_map(|(count, burst)| Rate::per_minute(count, burst)),
        (interval, 10_u32..1000)
            .prop_map(|(interval, burst)| Rate { burst, interval: interval.min(Duration::from_secs(86_400)) }),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let policy = select(vec![DuplicateLogin::Reject, DuplicateLogin::NewestWins, DuplicateLogin::Allow]);
    let rooms = btree_map(1_u32..1_000_000, ("[a-zA-Z \"\\\\é#>]{1,64}", 1_u32..1000), 0..4);
    let interval = (1_u64..86_400_000).prop_map(Duration::from_millis);
    (policy, rooms, rate(), rate(), interval, 1_u32..10_000_000, "[ -~]{1,64}").prop_map(
        |(duplicate_login, rooms, flood, connects_per_address, heartbeat_interval, sessions_max, name)| Config {
            server_name: Text::new(&name),
            duplicate_login,
            flood,
            connects_per_address,
            heartbeat_interval,
            sessions_max,
            fixed_rooms: rooms
                .into_iter()
                .map(|(number, (title, capacity))| FixedRoom {
                    number: RoomNumber(number),
                    title: Text::new(&title),
                    capacity,
                    password: None,
                })
                .collect(),
            ..Config::default()
        },
    )
}

fn account() -> impl Strategy<Value = Account> {
    (user(), text(), option::of(text()), any::<bool>()).prop_map(|(user, secret, nickname, administrator)| Account {
        user,
        secret,
        nickname,
        administrator,
    })
}

fn setup() -> impl Strategy<Value = Setup> {
    let accounts = btree_map(user(), account(), 0..4)
        .prop_map(|accounts| accounts.into_iter().map(|(user, account)| Account { user, ..account }).collect());
    let daemons = select(vec![vec!["server"], vec!["a", "b"], vec!["north"]]);
    let store = select(vec![Store::Listed, Store::Redis]);
    let network = (latency(), option::of(1_u32..100)).prop_map(|(latency, chop)| Network { latency, chop });
    let network = prop_oneof![Just(Network::default()), network];
    (config(), vec(option::of(text()), 4), accounts, daemons, store, 1..=64_u32, network, any::<bool>()).prop_map(
        |(config, passwords, accounts, daemons, store, io_threads, network, is_loose)| {
            let numbers = config.fixed_rooms.iter().map(|room| room.number);
            let room_passwords =
                numbers.zip(passwords).filter_map(|(number, password)| Some((number, password?))).collect();
            let daemons = daemons.into_iter().map(str::to_owned).collect();
            Setup { config, room_passwords, accounts, daemons, store, io_threads, network, is_loose }
        },
    )
}

fn packet() -> impl Strategy<Value = ServerPacket> {
    let request = RequestId(3);
    let change = (room(), any::<u64>()).prop_map(|(room, sequence)| RoomChange { room, sequence });
    let code = select(vec![Code::Flooding, Code::RoomFull, Code::BansFull]);
    let free = || text().prop_map(|text| Text::new(&text));
    let person = || {
        (any::<u64>(), user(), option::of(free())).prop_map(|(id, name, nickname)| User {
            id: UserId(id),
            name,
            nickname,
        })
    };
    let summary = (room(), free(), any::<bool>()).prop_map(|(room, title, protected)| RoomSummary {
        room,
        title,
        members: 1,
        capacity: 2,
        protected,
    });
    prop_oneof![
        any::<u64>().prop_map(|nonce| ServerPacket::Pong { nonce }),
        select(vec![CloseReason::Silent, CloseReason::FrameEmpty]).prop_map(|reason| ServerPacket::Closing { reason }),
        prop_oneof![change.prop_map(Ok), code.prop_map(Err)]
            .prop_map(move |result| ServerPacket::RoomLeaveResponse { request, result }),
        person().prop_map(move |user| ServerPacket::LoginResponse { request, result: Ok(user) }),
        Just(ServerPacket::LogoutResponse { request, result: Ok(()) }),
        (vec(summary, 0..3), option::of(room())).prop_map(move |(rooms, next)| ServerPacket::RoomListResponse {
            request,
            result: Ok(RoomPage { rooms: List(rooms), next }),
        }),
        (room(), any::<u64>()).prop_map(move |(room, epoch)| ServerPacket::RoomEnterResponse {
            request,
            result: Ok(RoomEntered { room, epoch, sequence: 1 }),
        }),
        (room(), option::of(any::<u64>())).prop_map(|(room, owner)| ServerPacket::RoomLeaveUserNotify {
            room,
            sequence: 4,
            user: UserId(5),
            cause: LeaveCause::Kicked,
            owner: owner.map(UserId),
        }),
        (room(), vec(person(), 0..3)).prop_map(|(room, users)| ServerPacket::RoomUserListNotify {
            room,
            epoch: 1,
            sequence: 2,
            owner: None,
            users: List(users),
            last: true,
        }),
        (user(), free()).prop_map(|(name, text)| ServerPacket::DirectMessageNotify { user: UserId(1), name, text }),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    packet().prop_flat_map(|packet| {
        let (packet, fields) = fields::of(&packet);
        let fields: Vec<_> = fields.into_iter().collect();
        let some = 0..=fields.len();
        subsequence(fields, some).prop_shuffle().prop_map(move |fields| Pattern { packet: packet.clone(), fields })
    })
}

fn expectation() -> impl Strategy<Value = Expectation> {
    let what = prop_oneof![
        4 => pattern().prop_map(Expected::Packet),
        1 => vec(pattern(), 1..4).prop_map(Expected::AnyOf),
        1 => Just(Expected::Closed),
        1 => Just(Expected::Nothing),
    ];
    (client(), what).prop_map(|(client, what)| Expectation { client, what })
}

fn operation(daemons: Vec<String>) -> impl Strategy<Value = Operation> {
    let users = || prop_oneof![user().prop_map(|user| user.to_string()), text()];
    prop_oneof![
        select(daemons).prop_map(|daemon| Operation::Connect { daemon }),
        prop_oneof![Just(1), any::<u32>()].prop_map(|version| Operation::Hello { version }),
        (users(), text()).prop_map(|(user, secret)| Operation::Login { user, secret }),
        (room(), any::<u32>()).prop_map(|(from, limit)| Operation::RoomList { from, limit }),
        (text(), any::<u32>(), option::of(text())).prop_map(|(title, capacity, password)| Operation::RoomCreate {
            title,
            capacity,
            password
        }),
        (room(), option::of(text())).prop_map(|(room, password)| Operation::RoomEnter { room, password }),
        room().prop_map(|room| Operation::RoomLeave { room }),
        (room(), bytes()).prop_map(|(room, text)| Operation::RoomChat { room, text }),
        (users(), bytes()).prop_map(|(user, text)| Operation::DirectMessage { user, text }),
        (room(), client(), any::<bool>()).prop_map(|(room, client, ban)| Operation::Kick { room, client, ban }),
        (text(), bytes(), any::<u64>()).prop_map(|(name, parameters, timestamp)| Operation::Command {
            name,
            parameters,
            timestamp
        }),
        any::<u64>().prop_map(|nonce| Operation::Ping { nonce }),
        vec(any::<u8>(), 0..40).prop_map(Operation::Raw),
        select(vec![
            Operation::Logout,
            Operation::RoomList { from: RoomNumber(0), limit: 0 },
            Operation::HalfClose,
            Operation::Close,
            Operation::Reset,
            Operation::Vanish,
            Operation::StopReading,
            Operation::ResumeReading,
        ]),
    ]
}

fn fault(daemons: Vec<String>) -> impl Strategy<Value = Fault> {
    let hosts: Vec<_> = daemons.iter().cloned().chain(["redis".to_owned()]).collect();
    let pair = move || (select(hosts.clone()), client());
    let daemon = move || select(daemons.clone());
    prop_oneof![
        (pair(), any::<bool>()).prop_map(|((from, to), one_way)| Fault::Partition { from, to, one_way }),
        pair().prop_map(|(to, from)| Fault::Repair { from, to }),
        pair().prop_map(|(from, to)| Fault::Hold { from, to }),
        pair().prop_map(|(from, to)| Fault::Release { from, to }),
        (pair(), latency()).prop_map(|((from, to), latency)| Fault::Latency { from, to, latency }),
        daemon().prop_map(|daemon| Fault::Crash { daemon }),
        daemon().prop_map(|daemon| Fault::Restart { daemon }),
        (daemon(), duration()).prop_map(|(daemon, within)| Fault::Drain { daemon, within }),
        daemon().prop_map(|daemon| Fault::Stop { daemon }),
        (daemon(), user()).prop_map(|(daemon, user)| Fault::CloseUser { daemon, user }),
        (daemon(), duration(), any::<bool>()).prop_map(|(daemon, time, answers)| Fault::Ask {
            daemon,
            served: if answers { Served::Answers(time) } else { Served::Fails(time) },
        }),
        daemon().prop_map(|daemon| Fault::Ask { daemon, served: Served::Never }),
        (daemon(), duration()).prop_map(|(daemon, gap)| Fault::Stall { daemon, gap }),
        duration().prop_map(|delay| Fault::Redis(RedisFault::Slow(delay))),
        select(vec![
            RedisFault::Crash,
            RedisFault::Restart,
            RedisFault::RestartEmpty,
            RedisFault::Freeze,
            RedisFault::Thaw,
            RedisFault::Lie,
            RedisFault::Garble,
            RedisFault::Heal,
        ])
        .prop_map(Fault::Redis),
    ]
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![
        Just(Check::Empty),
        any::<u32>().prop_map(Check::Sessions),
        any::<u32>().prop_map(Check::Online),
        any::<u32>().prop_map(Check::Rooms),
    ]
}

fn within() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(WITHIN), duration()]
}

/// A step that may stand in `together`.
fn begun(daemons: Vec<String>) -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        4 => (client(), operation(daemons.clone()))
            .prop_map(|(client, operation)| Event::Client { client, operation }),
        1 => fault(daemons).prop_map(Event::Fault),
    ];
    (event, vec(expectation(), 0..3)).prop_map(|(event, expects)| Step { line: 0, event, expects, within: WITHIN })
}

fn step(daemons: Vec<String>) -> impl Strategy<Value = Step> {
    let alone = (begun(daemons.clone()), within()).prop_map(|(step, within)| Step { within, ..step });
    let event = prop_oneof![
        vec(begun(daemons.clone()), 1..4).prop_map(Event::Together),
        duration().prop_map(Event::Advance),
        Just(Event::Wait),
        (select(daemons), check()).prop_map(|(daemon, check)| Event::Check { daemon, check }),
    ];
    let other = (event, vec(expectation(), 0..3), within()).prop_map(|(event, expects, within)| Step {
        line: 0,
        event,
        expects,
        within,
    });
    prop_oneof![alone, other]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let title = "([A-Za-z,;.]{1,8}( [A-Za-z,;.]{1,8}){0,5})?";
    (title, setup()).prop_flat_map(|(title, setup)| {
        let connects = CLIENTS.map(|client| Step {
            line: 0,
            event: Event::Client {
                client: client.to_owned(),
                operation: Operation::Connect { daemon: setup.daemons[0].clone() },
            },
            expects: Vec::new(),
            within: WITHIN,
        });
        vec(step(setup.daemons.clone()), 0..8).prop_map(move |steps| Scenario {
            title: title.clone(),
            setup: setup.clone(),
            steps: connects.iter().cloned().chain(steps).collect(),
        })
    })
}

fn without_lines(mut steps: Vec<Step>) -> Vec<Step> {
    for step in &mut steps {
        step.line = 0;
        if let Event::Together(inner) = &mut step.event {
            *inner = without_lines(std::mem::take(inner));
        }
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_printed_reads_back_as_the_same_scenario(scenario in scenario()) {
        let printed = print(&scenario);
        let read = parse(&printed).map_err(|error| TestCaseError::fail(format!("{error}\n---\n{printed}")))?;
        let read = Scenario { steps: without_lines(read.steps), ..read };
        prop_assert_eq!(&read, &scenario, "{}", printed);
        prop_assert_eq!(print(&read), printed);
    }

    #[test]
    fn any_text_is_read_or_refused_with_its_place(source in "[ -~\n\té]{0,200}") {
        if let Err(error) = parse(&source) {
            prop_assert_eq!(source.lines().nth(error.line as usize - 1).unwrap_or_default(), error.text.as_str());
            prop_assert!(error.column as usize <= error.text.chars().count() + 1);
        }
    }

    #[test]
    fn a_damaged_scenario_is_read_or_refused(scenario in scenario(), at in any::<prop::sample::Index>()) {
        let mut characters: Vec<char> = print(&scenario).chars().collect();
        let at = at.index(characters.len());
        characters.remove(at);
        let damaged: String = characters.into_iter().collect();
        if let Err(error) = parse(&damaged) {
            prop_assert!(error.to_string().contains('^'));
        }
    }
}
