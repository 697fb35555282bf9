//! The end of every scenario of a search: all faults heal, everybody goes, nothing is left; then everybody comes in,
//! talks and goes, and again nothing is left.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::{Ground, Script, arrives, step};
use crate::layers::LEASE;
use crate::scenario::{Account, Check, Event, Fault, Operation, RedisFault, Setup, Step, Store};

/// How long one thing may take once everything is healed.
const BOUND: Duration = Duration::from_secs(10);
/// From a login to the end of an older one at another daemon: the client's packet, the token, the owner of the lease,
/// its replacement, the word of it, a renewal that finds it true, and the farewell, some of them there and back; and a
/// few for what comes in pieces.
const EVICTION_HOPS: u32 = 14;
/// For what takes its time within the hosts, all of it together.
const EVICTION_SLACK: Duration = Duration::from_millis(60);
/// For links that find back to Redis, closed connections that linger, and the like.
const SLACK: Duration = Duration::from_secs(12);

pub(super) fn perform(ground: &Ground, script: &mut Script) {
    heal(ground, script);
    script.advance(until_all_is_over(ground, script));
    nothing_is_left(ground, script);
    // Who was told to end has ended by now.
    for daemon in std::mem::take(&mut script.down) {
        script.push(Event::Fault(Fault::Restart { daemon }));
    }
    script.advance(Duration::from_secs(3));
    for wave in waves(ground) {
        everybody_talks(ground, &wave, script);
    }
    newest_wins_everywhere(ground, script);
    script.advance(LEASE + SLACK + ground.setup.config.empty_room_timeout);
    nothing_is_left(ground, script);
}

/// Each fault is healed, whether or not it is still there; what heals nothing is passed over.
fn heal(ground: &Ground, script: &mut Script) {
    script.broken.sort();
    script.broken.dedup();
    for (from, to) in std::mem::take(&mut script.broken) {
        script.push(Event::Fault(Fault::Repair { from: from.clone(), to: to.clone() }));
        script.push(Event::Fault(Fault::Release { from: from.clone(), to: to.clone() }));
        script.push(Event::Fault(Fault::Latency { from, to, latency: ground.setup.network.latency }));
    }
    if ground.setup.store == Store::Redis {
        for fault in [RedisFault::Restart, RedisFault::Thaw, RedisFault::Heal] {
            script.push(Event::Fault(Fault::Redis(fault)));
        }
    }
    script.down.sort();
    script.down.dedup();
    // Those that have crashed start; those that are just ending do not listen, and are started when they have.
    for daemon in script.down.clone() {
        script.push(Event::Fault(Fault::Restart { daemon }));
    }
    for client in &ground.clients {
        script.client(client, Operation::Close);
    }
}

/// Everything that waits has been answered or given up by then: sessions of clients that are gone, logins, drains,
/// processes that stand still, empty rooms, leases of those that crashed.
fn until_all_is_over(ground: &Ground, script: &Script) -> Duration {
    let config = &ground.setup.config;
    let ends = script.stalled_until.max(script.draining_until).saturating_sub(script.now);
    let silence = (config.heartbeat_interval * 3).max(config.login_grace) + config.login_timeout;
    ends + silence + config.empty_room_timeout + LEASE * 2 + SLACK
}

fn nothing_is_left(ground: &Ground, script: &mut Script) {
    for daemon in &ground.setup.daemons {
        script.push(Event::Check { daemon: daemon.clone(), check: Check::Empty });
    }
}

/// Who comes to which daemon.
type Wave<'g> = Vec<(&'g str, &'g Account, &'g str)>;

/// As many at a time as each daemon takes.
fn waves(ground: &Ground) -> Vec<Wave<'_>> {
    let config = &ground.setup.config;
    let places = config.sessions_max.min(config.sessions_per_address_max).min(config.users_max);
    let daemons = &ground.setup.daemons;
    let people = ground.clients.iter().zip(&ground.setup.accounts).zip(daemons.iter().cycle());
    let people: Wave<'_> =
        people.map(|((client, account), daemon)| (client.as_str(), account, daemon.as_str())).collect();
    let size = daemons.len() * places.min(people.len() as u32) as usize;
    people.chunks(size).map(<[_]>::to_vec).collect()
}

fn everybody_talks(ground: &Ground, wave: &Wave<'_>, script: &mut Script) {
    let config = &ground.setup.config;
    let room = ground.haven;
    for (client, account, daemon) in wave {
        let connect = Operation::Connect { daemon: (*daemon).to_owned() };
        script.demand(client, connect, vec![arrives(client, "Welcome", &[])], BOUND);
        script.client(client, Operation::Hello { version: PROTOCOL_VERSION });
        let login = Operation::Login { user: account.user.to_string(), secret: account.secret.clone() };
        let name = [("name", account.user.to_string())];
        script.demand(client, login, vec![arrives(client, "LoginResponse", &name)], BOUND);
        let enter = Operation::RoomEnter { room, password: None };
        let place = [("room", room.to_string())];
        script.demand(client, enter, vec![arrives(client, "RoomEnterResponse", &place)], BOUND);
        // Not so quickly that the next is refused.
        script.advance(config.connects_per_address.interval);
    }
    for (client, account, daemon) in wave {
        let text = format!("{client} is here");
        let heard = [("name", account.user.to_string()), ("text", format!("\"{text}\""))];
        let others = wave.iter().filter(|(other, _, there)| other != client && there == daemon);
        let mut expects = vec![arrives(client, "RoomChatResponse", &[("room", room.to_string())])];
        expects.extend(others.map(|(other, ..)| arrives(other, "RoomChatNotify", &heard)));
        let chat = Operation::RoomChat { room, text: text.into_bytes() };
        script.demand(client, chat, expects, BOUND);
    }
    let close = |client: &str| step(super::doing(client, Operation::Close));
    let closes: Vec<Step> = wave.iter().map(|(client, ..)| close(client)).collect();
    script.push(Event::Together(closes));
    script.advance(Duration::from_secs(2));
}

/// A newer login at another daemon ends an older one as soon as Redis passes the word of it, whatever has happened to
/// the subscriptions. Where the network is so slow that the older one's next renewal would be as quick, that says nothing.
fn newest_wins_everywhere(ground: &Ground, script: &mut Script) {
    let Setup { config, daemons, store, network, accounts, .. } = &ground.setup;
    let within = network.latency.1 * EVICTION_HOPS + EVICTION_SLACK;
    let is_heard_of = *store == Store::Redis && config.duplicate_login == DuplicateLogin::NewestWins;
    let ([one, other, ..], [here, there, ..]) = (ground.clients.as_slice(), daemons.as_slice()) else { return };
    if !is_heard_of || within > LEASE / 6 {
        return;
    }
    let account = &accounts[0];
    let mut displaced: Option<&String> = None;
    for (client, daemon) in [(one, here), (other, there), (one, here), (other, there)] {
        let connect = Operation::Connect { daemon: daemon.clone() };
        script.demand(client, connect, vec![arrives(client, "Welcome", &[])], BOUND);
        script.client(client, Operation::Hello { version: PROTOCOL_VERSION });
        let login = Operation::Login { user: account.user.to_string(), secret: account.secret.clone() };
        let mut expects = vec![arrives(client, "LoginResponse", &[("name", account.user.to_string())])];
        let reason = [("reason", "Superseded".to_owned())];
        expects.extend(displaced.map(|displaced| arrives(displaced, "Closing", &reason)));
        script.demand(client, login, expects, if displaced.is_some() { within } else { BOUND });
        script.advance(config.connects_per_address.interval);
        displaced = Some(client);
    }
    script.client(other, Operation::Close);
}
