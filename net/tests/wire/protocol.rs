//! Whether `net/PROTOCOL.md` says what the code does: every name has its number, every packet its fields in their order,
//! every example is one of the vectors, every cost and default is the real one.

use lobbyd_core::config::{Config, ERROR_MESSAGE_BYTES_MAX, FRAME_BYTES_LIMIT, FRAME_BYTES_MIN};
use lobbyd_core::limits::{Rate, cost};
use lobbyd_core::packet::{
    ClientPacket, CloseReason, Code, CommandReply, LeaveCause, RoomChange, RoomEntered, RoomPage, RoomSummary,
    ServerPacket, User,
};
use serde::Deserialize;

use crate::cases::{client_vectors, server_vectors};
use crate::variants;
use crate::vectors::{client_frame, hex, server_frame};

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// The text below a heading, up to the next heading of the same or a higher level.
fn section(heading: &str) -> &'static str {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("PROTOCOL.md has no {heading:?}"));
    let body = &PAGE[start + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap_or_default().len();
    let ends = (2..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// What stands between backticks in the first cells of a section's tables, in order.
fn first_cells(section: &str) -> Vec<&str> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

/// The bytes of the examples in a section, in hexadecimal.
fn examples(section: &str) -> Vec<String> {
    let blocks = section.split("```frame\n").skip(1).filter_map(|block| block.split("```").next());
    let bytes = |block: &str| {
        // Two spaces part the bytes from what they are.
        let lines = block.lines().filter_map(|line| line.split("  ").next());
        lines.flat_map(|bytes| bytes.chars().filter(|digit| *digit != ' ')).collect::<String>()
    };
    blocks.map(bytes).collect()
}

fn assert_packets<P: Deserialize<'static>>(heading: &str, frames: &[(String, String)]) {
    let part = section(heading);
    for (number, name) in (0..).zip(variants::names::<P>()) {
        let heading = format!("#### {number} `{name}`");
        assert!(part.contains(&format!("\n{heading}\n")), "{heading} is missing");
        // Both directions have a ping and a pong, so the part is searched, not the page.
        let body = part.split(&format!("\n{heading}\n")).nth(1).and_then(|rest| rest.split("\n#### ").next()).unwrap();
        assert_eq!(first_cells(body), variants::variant_fields::<P>(number), "fields of {name}");
        let examples = examples(body);
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let known = frames.iter().any(|(packet, frame)| packet == name && *frame == example);
            assert!(known, "the example {example} of {name} is none of its vectors");
        }
    }
    let headings = part.matches("\n#### ").count();
    assert_eq!(headings, variants::names::<P>().len(), "{heading} has packets that do not exist");
}

fn assert_enum<T: Deserialize<'static>>(heading: &str) {
    let rows: Vec<_> = section(heading).lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let names = variants::names::<T>();
    assert_eq!(rows.len(), names.len(), "{heading}");
    for (row, (number, name)) in rows.iter().zip((0..).zip(names)) {
        assert!(row.starts_with(&format!("| {number} | `{name}` | ")), "{heading} lacks {number} {name}: {row}");
    }
}

fn packet_name(packet: &impl core::fmt::Debug) -> String {
    format!("{packet:?}").split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn page_has_every_packet_with_its_number_fields_and_a_true_example() {
    let client = client_vectors().into_iter().map(|(_, packet)| (packet_name(&packet), hex(&client_frame(&packet))));
    assert_packets::<ClientPacket<'static>>("## What clients say", &client.collect::<Vec<_>>());
    let server = server_vectors().into_iter().map(|(_, packet)| (packet_name(&packet), hex(&server_frame(&packet))));
    assert_packets::<ServerPacket>("## What servers say", &server.collect::<Vec<_>>());
}

#[test]
fn page_has_every_code_reason_and_cause_with_its_number() {
    assert_enum::<Code>("## Codes");
    assert_enum::<CloseReason>("## Close reasons");
    assert_enum::<LeaveCause>("## Leave causes");
}

#[test]
fn page_has_every_composite_value_with_its_fields() {
    let part = section("## Composite values");
    let expected = [
        ("User", variants::struct_fields::<User>()),
        ("RoomPage", variants::struct_fields::<RoomPage>()),
        ("RoomSummary", variants::struct_fields::<RoomSummary>()),
        ("RoomEntered", variants::struct_fields::<RoomEntered>()),
        ("RoomChange", variants::struct_fields::<RoomChange>()),
        ("CommandReply", variants::struct_fields::<CommandReply>()),
    ];
    for (name, fields) in expected {
        let body = part.split(&format!("\n**`{name}`**")).nth(1).unwrap_or_else(|| panic!("{name} is missing"));
        let body = body.split("\n**`").next().unwrap();
        assert_eq!(first_cells(body), fields, "fields of {name}");
    }
}

#[test]
fn page_has_the_cost_of_every_packet() {
    let part = section("## Flood budget");
    assert_eq!(first_cells(part), variants::names::<ClientPacket<'static>>());
    for (_, packet) in client_vectors() {
        let row = format!("| `{}` | {} |", packet_name(&packet), cost(&packet));
        assert!(part.contains(&row), "{row} is missing");
    }
}

#[test]
fn page_has_the_defaults() {
    fn rate(rate: Rate, unit: &str) -> String {
        let unit_ms = if unit == "minute" { 60_000 } else { 1000 };
        format!("[{} at once, {} more a {unit}]", rate.burst, unit_ms / rate.interval.as_millis())
    }
    let config = Config::default();
    let frame_limits = format!("never below {FRAME_BYTES_MIN} or over {FRAME_BYTES_LIMIT}");
    let flood =
        format!("at most [{}] units, [{}] come back", config.flood.burst, 1000 / config.flood.interval.as_millis());
    let refusals = config.flood_refusals;
    let expected = [
        ("## Frames", format!("[{}]; it is {frame_limits}", config.frame_bytes_max)),
        ("## A connection's life", format!("[{} s] is closed (`LoginTimeout`)", config.login_grace.as_secs())),
        ("## Rooms", format!("empty for some time [{} s]", config.empty_room_timeout.as_secs())),
        ("## Login", format!("after some time [{} s] with `StoreUnavailable`", config.login_timeout.as_secs())),
        (
            "## Login",
            format!("| connection | [{}]: the next wrong secret ends it |", config.login_failures_per_session_max - 1),
        ),
        ("## Login", format!("| user name, across connections | {} |", rate(config.login_failures_per_user, "minute"))),
        ("## Login", rate(config.login_failures_per_address, "minute")),
        ("## Heartbeat", format!("[{}]", config.heartbeat_interval.as_millis())),
        ("## Flood budget", flood),
        ("## Flood budget", format!("[{}, {} a second]", refusals.burst, 1000 / refusals.interval.as_millis())),
        ("## Limits", format!("`frame_bytes_max` of `Welcome` [{}]", config.frame_bytes_max)),
        ("## Limits", format!("`text_bytes_max` of `Welcome` [{}]", config.text_bytes_max)),
        ("## Limits", format!("at most [{}] | refused: `RoomFull`", config.room_members_max)),
        ("## Limits", format!("| rooms one user has created | [{}] at a time", config.rooms_per_user_max)),
        ("## Limits", rate(config.room_creations_per_user, "minute")),
        ("## Limits", rate(config.room_password_failures_per_user, "minute")),
        ("## Limits", format!("| bans of a room | [{}] |", config.bans_per_room_max)),
        (
            "## Limits",
            format!("| [{}], [{}] of yours |", config.commands_waiting_max, config.commands_waiting_per_session_max),
        ),
        ("## Limits", format!("`frame_bytes_max` less {}", config.frame_bytes_max - config.data_bytes_max())),
        ("## Commands", format!("after some time [{} s]", config.command_timeout.as_secs())),
        ("## Commands", format!("1 to {ERROR_MESSAGE_BYTES_MAX} bytes")),
        ("## Limits", format!("| rooms | [{}] |", config.rooms_max)),
        ("## Limits", format!("[{}], [{}]", config.users_max, config.logins_pending_max)),
        ("## Limits", format!("[{}]; [{}]", config.sessions_max, config.sessions_per_address_max)),
        ("## Limits", rate(config.connects_per_address, "second")),
        ("## Limits", format!("because you do not read them | [{}] |", config.outbox_bytes_max)),
    ];
    for (heading, text) in expected {
        assert!(section(heading).contains(&text), "{heading} does not say {text:?}");
    }
}

#[test]
fn contents_of_the_page_lead_somewhere() {
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -".contains(*character));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor);
    let mut anchors: Vec<_> = headings.collect();
    anchors.push("text".to_owned());
    for link in PAGE.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(anchors.iter().any(|anchor| anchor == link), "#{link} leads nowhere");
    }
}
