//! What pictures of runs show, and that no text in them is more than text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::layers::{Arrival, World as _};
use lobbyd_sim::runner::{self, Outcome};
use lobbyd_sim::scenario::{Scenario, parse};
use lobbyd_sim::show::chart::{BandKind, Fate, Host, Kind, Message, What};
use lobbyd_sim::show::{Chart, mermaid, page};
use lobbyd_sim::trace;

fn scenario(source: &str) -> Scenario {
    parse(source).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario on the pure layer, watched or not.
fn run(scenario: &Scenario, is_watched: bool) -> Outcome {
    let mut world = Pure::new(&scenario.setup, 1).expect("the setup can be built");
    if is_watched {
        world.watch();
    }
    runner::run(scenario, &mut world)
}

fn chart(source: &str) -> Chart {
    let scenario = scenario(source);
    Chart::new(&scenario, &run(&scenario, true))
}

fn messages<'a>(chart: &'a Chart, name: &str) -> Vec<(usize, &'a Message)> {
    let rows = (0..chart.rows.len()).filter_map(|row| Some((row, chart.message(row)?)));
    rows.filter(|(_, message)| message.name == name).collect()
}

fn fault_row(chart: &Chart, start: &str) -> usize {
    let is_it = |what: &What| matches!(what, What::Fault { text, .. } if text.starts_with(start));
    chart.rows.iter().position(|row| is_it(&row.what)).unwrap_or_else(|| panic!("no {start}"))
}

/// Two in a room, as lines 1 to 11.
const ROOM: &str = "room 1 \"Plaza\" capacity 10
account alice wonder
account bob builder
alice arrives
bob arrives
alice enter 1
  -> RoomUserListNotify
  -> RoomEnterResponse
bob enter 1
  -> RoomUserListNotify
  -> RoomEnterResponse
  alice -> RoomNewUserNotify
";

#[test]
fn hostile_texts_are_only_text() {
    let source = format!(
        "# A <script>alert(0)</script> & \"title\".\n{ROOM}alice chat 1 \"<script>alert(1)</script> <img src=x onerror=alert(2)>\"
  -> RoomChatResponse
  bob -> RoomChatNotify
bob tell \"</script><b>\u{202e}x\" \"\u{2066}hidden\u{202e}\" -> DirectMessageResponse
alice chat 1 \"<i>\" -> RoomChatResponse\nwait\n  bob -> RoomChatNotify text=\"<svg onload=alert(3)>\"\n"
    );
    let scenario = scenario(&source);
    let outcome = run(&scenario, true);
    assert!(outcome.result.is_err(), "the last step does not hold, and says so with the hostile name in it");
    let chart = Chart::new(&scenario, &outcome);
    let page = page(&chart, &[("again", "lobbyd-sim run '<script>'".to_owned())]);
    assert_eq!(page.matches("<script").count(), 1, "only the page's own script");
    assert_eq!(page.matches("</script").count(), 1);
    for tag in ["<img", "<svg onload", "<b>\\u", "<i>\"", "onerror=alert(2)>"] {
        assert!(!page.contains(tag), "{tag} is a tag");
    }
    let hidden = |character: &char| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}');
    assert_eq!(page.chars().find(hidden), None, "a text turns others around");
    assert!(page.contains(r"\u{2066}hidden\u{202e}"), "what is hidden is shown");
    let diagram = mermaid(&chart);
    assert!(diagram.lines().all(|line| !line.contains('<') && !line.contains("script>")), "{diagram}");
    assert!(!diagram.contains('\u{202e}') && diagram.contains("#60;script#62;"), "{diagram}");
}

#[test]
fn page_asks_nobody_for_anything() {
    let page = page(&chart(ROOM), &[]);
    for word in ["http:", "https:", "//cdn", " src=", "url(", "@import", "fetch(", "<link", "<iframe", "XMLHttpRequest"]
    {
        assert!(!page.contains(word), "{word} is in the page");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn secrets_are_in_no_picture() {
    let source = "store redis\nroom 1 \"Cellar\" capacity 5 password sesame\naccount alice wonder\nalice arrives
alice enter 1 password sesame\n  -> RoomUserListNotify\n  -> RoomEnterResponse
alice create \"Mine\" capacity 5 password openopen -> RoomCreateResponse refused=NotInLobby\n";
    let chart = chart(source);
    for picture in [page(&chart, &[]), mermaid(&chart)] {
        for secret in ["wonder", "sesame", "openopen"] {
            assert!(!picture.contains(secret), "{secret} is shown");
        }
    }
    assert!(mermaid(&chart).contains("RoomEnterRequest{request: 2, room: 1, password}"));
    assert!(mermaid(&chart).contains("alice->>server: LoginRequest"), "{}", mermaid(&chart));
    let asked = messages(&chart, "get the token of alice");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1.kind, Kind::Redis);
    assert_eq!(chart.lanes.last().map(|lane| lane.host), Some(Host::Redis));
}

#[test]
fn request_leads_to_its_response() {
    let chart = chart(&format!("{ROOM}alice chat 1 \"hi\"\n  -> RoomChatResponse\n  bob -> RoomChatNotify\n"));
    let (asked, request) = messages(&chart, "RoomChatRequest")[0];
    let (_, response) = messages(&chart, "RoomChatResponse")[0];
    assert_eq!(response.answers, Some(asked));
    assert_eq!((request.kind, response.kind), (Kind::Request, Kind::Response));
    let (_, notify) = messages(&chart, "RoomChatNotify")[0];
    assert_eq!((notify.kind, notify.answers), (Kind::Notify, None));
    assert_eq!(chart.lanes[notify.to].name, "bob");
    assert!(matches!(notify.fate, Fate::Arrived { row: None, .. }), "it lies flat: {notify:?}");
    let names: Vec<_> = chart.lanes.iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(names, ["alice", "server", "bob"]);
}

#[test]
fn what_a_partition_takes_is_lost_and_its_time_is_shaded() {
    let chart = chart(&format!(
        "set heartbeat_interval 5s\n{ROOM}partition server bob
alice chat 1 \"hi\" -> RoomChatResponse
advance 3s
repair server bob
bob connect -> Welcome\n"
    ));
    assert_eq!(messages(&chart, "RoomChatNotify")[0].1.fate, Fate::Lost);
    let (begin, end) = (fault_row(&chart, "partition"), fault_row(&chart, "repair"));
    let band = &chart.bands[0];
    assert_eq!((band.kind, band.from, band.to), (BandKind::Partition, begin, end));
    let hosts: Vec<_> = band.lanes.iter().map(|lane| chart.lanes[*lane].name.as_str()).collect();
    assert_eq!(hosts, ["server", "bob"]);
    assert_eq!(chart.bands.len(), 1);
    assert!(mermaid(&chart).contains("server-xbob: RoomChatNotify"), "{}", mermaid(&chart));
    let gap = chart.rows[begin..end].iter().find(|row| matches!(row.what, What::Gap(_)));
    assert!(gap.is_some(), "three seconds are a gap");
}

#[test]
fn what_is_held_lands_where_it_is_released() {
    let chart = chart(&format!(
        "{ROOM}hold server bob\nalice chat 1 \"hi\" -> RoomChatResponse\nadvance 2s\nrelease server bob\nwait
  bob -> RoomChatNotify\n"
    ));
    let (sent, message) = messages(&chart, "RoomChatNotify")[0];
    let release = fault_row(&chart, "release");
    let Fate::Arrived { at, row: Some(landing) } = message.fate else { panic!("{message:?}") };
    assert!(sent < release && release < landing, "{sent} {release} {landing}");
    assert_eq!(chart.rows[landing].what, What::Landing { message: sent });
    assert_eq!(at, chart.rows[landing].at);
    assert!(at - chart.rows[sent].at >= Duration::from_secs(2));
}

#[test]
fn bands_end_where_their_faults_do() {
    let chart = chart(
        "daemons a b\nstore redis\naccount alice wonder\nalice arrives at a\nredis freeze\nredis thaw\nredis slow 300ms
redis lie\nredis heal\nstall a 2s\nadvance 5s\ncrash b\nadvance 1s\nrestart b\nalice stop-reading\nalice resume-reading
alice vanish\nadvance 1s\nalice connect to b -> Welcome\ncrash a\n",
    );
    let bands: Vec<_> = chart.bands.iter().map(|band| (band.text.as_str(), band.kind)).collect();
    let expected = [
        ("redis freeze", BandKind::Frozen),
        ("redis slow by 300ms", BandKind::Impaired),
        ("redis lie", BandKind::Impaired),
        ("stall a for 2s", BandKind::Frozen),
        ("crash b", BandKind::Down),
        ("does not read", BandKind::Deaf),
        ("gone without a word", BandKind::Deaf),
        ("crash a", BandKind::Down),
    ];
    assert_eq!(bands, expected);
    let ends = |text: &str| {
        let band = chart.bands.iter().find(|band| band.text == text).expect("it is there");
        chart.rows[band.to].what.clone()
    };
    assert!(matches!(ends("redis freeze"), What::Fault { text, .. } if text == "redis thaw"));
    assert!(matches!(ends("redis slow by 300ms"), What::Fault { text, .. } if text == "redis lie"));
    assert!(matches!(ends("redis lie"), What::Fault { text, .. } if text == "redis heal"));
    assert!(matches!(ends("crash b"), What::Fault { text, .. } if text == "restart b"));
    assert!(matches!(ends("gone without a word"), What::Message(message) if message.name == "connect"));
    let stall = chart.bands.iter().find(|band| band.kind == BandKind::Frozen && band.text.starts_with("stall"));
    let stall = stall.expect("it is there");
    assert!(chart.rows[stall.to].at < chart.rows[stall.from].at + Duration::from_secs(2));
    let crash = chart.bands.last().expect("it is there");
    assert_eq!(crash.to, chart.rows.len() - 1, "nobody restarts it");
}

#[test]
fn crashed_daemon_says_nothing() {
    let chart = chart("daemons a b\nstore redis\nadvance 6s\ncrash a\nadvance 30s\nrestart a\nadvance 6s\n");
    let (crash, restart) = (fault_row(&chart, "crash"), fault_row(&chart, "restart"));
    let pings = |rows: std::ops::Range<usize>, host: &str| {
        let of = |(row, message): &(usize, &Message)| rows.contains(row) && chart.lanes[message.from].name == host;
        messages(&chart, "ping").iter().filter(|ping| of(ping)).count()
    };
    assert_eq!(pings(crash..restart, "a"), 0);
    assert!(pings(0..crash, "a") > 0 && pings(restart..chart.rows.len(), "a") > 0 && pings(crash..restart, "b") > 4);
}

#[test]
fn failing_step_says_what_was_expected_and_what_arrived() {
    let chart = chart(&format!("{ROOM}alice chat 1 \"hi\" -> RoomChatResponse sequence=9\n"));
    let Some(last) = chart.rows.last() else { panic!("no rows") };
    let What::Failure { expected, arrived } = &last.what else { panic!("{last:?}") };
    assert_eq!(last.line, 13);
    assert!(expected.contains("RoomChatResponse sequence=9 at alice"), "{expected}");
    assert!(arrived.contains("sequence is 3"), "{arrived}");
    let page = page(&chart, &[]);
    assert!(page.contains("class=\"verdict failed\"") && page.contains("line 13 does not hold"));
    assert!(page.contains("<div class=\"line failing\"") && page.contains("sequence is 3, expected was 9"));
    assert!(mermaid(&chart).contains("does not hold"));
}

#[test]
fn refused_connection_is_an_act_of_its_client() {
    let chart = chart("partition server alice\nalice connect -> closed\n");
    let acts: Vec<_> = chart.rows.iter().filter(|row| matches!(row.what, What::Act { .. })).collect();
    assert_eq!(acts.len(), 1, "{chart:#?}");
    assert_eq!(messages(&chart, "connect")[0].1.fate, Fate::Lost);
}

#[test]
fn excerpt_has_only_its_lines_and_their_hosts() {
    let chart = chart(&format!(
        "{ROOM}bob leave 1\n  -> RoomLeaveResponse\n  alice -> RoomLeaveUserNotify\nbob logout -> LogoutResponse\n"
    ));
    let excerpt = chart.excerpt(16, 16);
    let expected = "sequenceDiagram\n    participant bob\n    participant server
    bob->>server: LogoutRequest{request: 4}\n    server->>bob: LogoutResponse{request: 4, ok}\n";
    assert_eq!(mermaid(&excerpt), expected);
    let leave = mermaid(&chart.excerpt(13, 13));
    assert!(
        leave.starts_with("sequenceDiagram\n    participant bob\n    participant server\n    participant alice\n"),
        "{leave}"
    );
}

#[test]
fn names_that_mermaid_would_take_for_its_own_words_stand_apart() {
    let chart = chart("account a b\nend connect -> Welcome\nx-y connect -> Welcome\n");
    let text = mermaid(&chart);
    assert!(text.contains("participant host0 as end\n") && text.contains("as x-y\n"), "{text}");
    assert!(!text.contains("end->>") && text.contains("host0->>server: (connect)"), "{text}");
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).expect("the scenarios are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn every_scenario_is_the_same_when_watched_and_its_chart_is_complete() {
    for file in files() {
        let name = file.display();
        let scenario = scenario(&fs::read_to_string(&file).expect("readable text"));
        let (watched, unwatched) = (run(&scenario, true), run(&scenario, false));
        assert_eq!(watched.trace.digest(), unwatched.trace.digest(), "{name}: watching changes the run");
        assert!(unwatched.trace.sightings().is_empty() && !watched.trace.sightings().is_empty(), "{name}");
        let arrivals = |arrival: &Arrival| matches!(arrival, Arrival::Packet(_));
        let told = watched
            .trace
            .entries()
            .iter()
            .filter(|entry| matches!(&entry.what, trace::What::Arrived { arrival, .. } if arrivals(arrival)));
        let told = told.count();
        for (outcome, is_watched) in [(&watched, true), (&unwatched, false)] {
            let chart = Chart::new(&scenario, outcome);
            assert!(chart.rows.windows(2).all(|pair| pair[0].at <= pair[1].at), "{name}: time goes back");
            let came = (0..chart.rows.len()).filter_map(|row| chart.message(row)).filter(|message| {
                let is_packet = message.name.starts_with(|first: char| first.is_ascii_uppercase());
                let is_there = matches!(message.fate, Fate::Arrived { .. });
                is_packet && is_there && chart.lanes[message.to].host == Host::Client
            });
            assert_eq!(came.count(), told, "{name}, watched: {is_watched}");
            for (row, what) in chart.rows.iter().map(|row| &row.what).enumerate() {
                if let What::Landing { message } = what {
                    let message = chart.message(*message).unwrap_or_else(|| panic!("{name}: a landing of nothing"));
                    assert!(
                        matches!(message.fate, Fate::Arrived { row: Some(landing), .. } if landing == row),
                        "{name}"
                    );
                }
            }
            assert!(chart.bands.iter().all(|band| band.from <= band.to && band.to < chart.rows.len()), "{name}");
            assert!(page(&chart, &[]).ends_with("</html>\n"), "{name}");
        }
    }
}

fn lobbyd_sim(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lobbyd-sim"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("LOBBYD_SEED")
        .output()
        .expect("the program is built")
}

#[test]
fn command_writes_a_page_and_says_where() {
    let folder = tempfile::tempdir().expect("a folder for the files");
    fs::write(folder.path().join("room.1.scenario"), ROOM).expect("the file can be written");
    let output = lobbyd_sim(folder.path(), &["show", "room.1.scenario"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "held    room.1.scenario\nwritten room.1.html\n");
    let page = fs::read_to_string(folder.path().join("room.1.html")).expect("the page is there");
    assert!(
        page.starts_with("<!doctype html>") && page.contains("lobbyd-sim run room.1.scenario --layer pure --seed 1")
    );

    let output = lobbyd_sim(folder.path(), &["show", "room.1.scenario", "--format", "mermaid"]);
    assert!(output.stdout.starts_with(b"sequenceDiagram\n"), "{output:?}");
    let output = lobbyd_sim(folder.path(), &["show", "room.1.scenario", "--output", "-", "--layer", "turmoil"]);
    assert!(output.stdout.starts_with(b"<!doctype html>"), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing else was written");
}

#[test]
fn command_draws_what_does_not_hold_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder for the files");
    let wrong = format!("{ROOM}alice ping 1 -> Pong nonce=2\n");
    fs::write(folder.path().join("wrong.scenario"), wrong).expect("the file can be written");
    let output = lobbyd_sim(folder.path(), &["show", "wrong.scenario", "--output", "out.html"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected: Pong nonce=2 at alice"), "{output:?}");
    assert!(fs::read_to_string(folder.path().join("out.html")).is_ok_and(|page| page.contains("id=\"failure\"")));
    assert_eq!(lobbyd_sim(folder.path(), &["show", "nowhere.scenario"]).status.code(), Some(2));
    assert_eq!(lobbyd_sim(folder.path(), &["show", "wrong.scenario", "--output", "no/such/x"]).status.code(), Some(2));
}

#[test]
fn turmoil_layer_shows_what_redis_is_asked_and_what_a_partition_takes() {
    let scenario = scenario(
        "store redis\naccount alice wonder\nalice arrives\nalice ping 1 -> Pong\npartition alice server\nalice ping 2\n",
    );
    let mut world = Turmoil::for_scenario(&scenario, 1).expect("the setup can be built");
    world.watch();
    let outcome = runner::run(&scenario, &mut world);
    assert_eq!(outcome.result, Ok(()));
    let chart = Chart::new(&scenario, &outcome);
    for (said, answer) in [("GET lobbyd:token:alice", "a value"), ("SET lobbyd:presence:alice if free", "OK")] {
        let asked = messages(&chart, said);
        let [(row, message)] = asked.as_slice() else { panic!("{said} is there {} times", asked.len()) };
        assert_eq!(chart.lanes[message.to].host, Host::Redis);
        assert!(messages(&chart, answer).iter().any(|(later, _)| later > row), "{said} is answered");
    }
    let pings = messages(&chart, "Ping");
    let fates: Vec<_> = pings.iter().map(|(_, ping)| matches!(ping.fate, Fate::Lost)).collect();
    assert_eq!(fates, [false, true]);
    assert!(!page(&chart, &[]).contains("wonder"), "a token is shown");
}

/// Runs a scenario on the turmoil layer, watched or not.
fn run_on_turmoil(scenario: &Scenario, is_watched: bool) -> Outcome {
    let mut world = Turmoil::for_scenario(scenario, 1).expect("the setup can be built");
    if is_watched {
        world.watch();
    }
    runner::run(scenario, &mut world)
}

#[test]
fn turmoil_layer_shows_what_a_partition_takes_on_its_way_to_a_client() {
    let scenario = scenario(&format!(
        "network chop 7\n{ROOM}alice chat 1 \"before\"\n  -> RoomChatResponse\n  bob -> RoomChatNotify
latency server bob 200ms..200ms\nalice chat 1 \"on its way\"\nadvance 20ms\npartition one-way server bob\nwait\n  alice -> RoomChatResponse
alice chat 1 \"meanwhile\" -> RoomChatResponse\nrepair server bob\nalice chat 1 \"behind\" -> RoomChatResponse\nwait\n"
    ));
    let outcome = run_on_turmoil(&scenario, true);
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.trace.digest(), run_on_turmoil(&scenario, false).trace.digest(), "watching changes the run");
    let chart = Chart::new(&scenario, &outcome);
    let notifies = messages(&chart, "RoomChatNotify");
    let text = |message: &Message| {
        let text = message.fields.iter().find(|field| field.name == "text").expect("a notify has a text");
        text.value.clone()
    };
    let told: Vec<_> = notifies.iter().map(|(_, notify)| (text(notify), notify.fate == Fate::Lost)).collect();
    let expected = [("before", false), ("on its way", true), ("meanwhile", true), ("behind", true)];
    assert_eq!(told, expected.map(|(text, is_lost)| (format!("\"{text}\""), is_lost)));
    for (_, notify) in &notifies {
        let ends = [notify.from, notify.to].map(|lane| chart.lanes[lane].name.as_str());
        assert_eq!(ends, ["server", "bob"]);
    }
    let (cut, repair) = (fault_row(&chart, "partition"), fault_row(&chart, "repair"));
    let rows: Vec<_> = notifies.iter().map(|(row, _)| *row).collect();
    assert!(rows[0] < cut && cut < rows[1] && rows[1] < rows[2] && rows[2] < repair && repair < rows[3], "{rows:?}");
    let page = page(&chart, &[]);
    assert_eq!(page.matches("<em>lost</em>").count(), 3);
    assert_eq!(mermaid(&chart).matches("server-xbob: RoomChatNotify").count(), 3, "{}", mermaid(&chart));
}

#[test]
fn turmoil_layer_does_not_take_for_lost_what_only_waits() {
    let scenario = scenario(&format!(
        "{ROOM}hold server bob\nalice chat 1 \"held\" -> RoomChatResponse\nadvance 1s\nrelease server bob\nwait
  bob -> RoomChatNotify\nbob stop-reading\nalice chat 1 \"unread\" -> RoomChatResponse\nadvance 1s
partition server bob\nadvance 1s\n"
    ));
    let outcome = run_on_turmoil(&scenario, true);
    assert_eq!(outcome.result, Ok(()));
    let chart = Chart::new(&scenario, &outcome);
    let lost = (0..chart.rows.len()).filter_map(|row| chart.message(row)).filter(|message| message.fate == Fate::Lost);
    assert_eq!(lost.count(), 0, "what a client does not read has arrived at its host");
    assert_eq!(messages(&chart, "RoomChatNotify").len(), 1);
}
