//! Simpler values: shorter texts, smaller numbers and durations, less concurrency, a plainer network.

use std::time::Duration;

use crate::scenario::{Event, Expected, Fault, Network, Operation, Scenario, Span, Step, Store, WITHIN};

/// What may stand in the place of a step, the simplest first. Whatever stands there has something less than the step, so
/// that a search from one to the next comes to an end.
pub(super) fn simpler_steps(step: &Step) -> Vec<Vec<Step>> {
    let mut simpler = Vec::new();
    if let Event::Together(parts) = &step.event {
        simpler.push(one_after_the_other(step, parts));
    }
    simpler.extend(simpler_step(step).into_iter().map(|step| vec![step]));
    simpler
}

fn simpler_step(step: &Step) -> Vec<Step> {
    let mut simpler = Vec::new();
    if step.within != WITHIN {
        simpler.push(Step { within: WITHIN, ..step.clone() });
    }
    simpler.extend(simpler_events(&step.event).into_iter().map(|event| Step { event, ..step.clone() }));
    for (place, expectation) in step.expects.iter().enumerate() {
        for what in simpler_expected(&expectation.what) {
            let mut step = step.clone();
            step.expects[place].what = what;
            simpler.push(step);
        }
    }
    simpler
}

/// The parts of a `together` as steps of their own, of which the last brings what all of them did.
fn one_after_the_other(step: &Step, parts: &[Step]) -> Vec<Step> {
    let mut steps = parts.to_vec();
    if let Some(last) = steps.last_mut() {
        last.expects.extend(step.expects.iter().cloned());
        last.within = step.within;
    }
    steps
}

fn simpler_events(event: &Event) -> Vec<Event> {
    match event {
        Event::Client { client, operation } => {
            let of_client = |operation| Event::Client { client: client.clone(), operation };
            simpler_operations(operation).into_iter().map(of_client).collect()
        }
        Event::Together(parts) => {
            let mut simpler = Vec::new();
            for (place, part) in parts.iter().enumerate() {
                for part in simpler_step(part) {
                    let mut parts = parts.clone();
                    parts[place] = part;
                    simpler.push(Event::Together(parts));
                }
            }
            simpler
        }
        Event::Fault(fault) => simpler_faults(fault).into_iter().map(Event::Fault).collect(),
        Event::Advance(time) => shorter_times(*time).into_iter().map(Event::Advance).collect(),
        Event::Wait | Event::Check { .. } => Vec::new(),
    }
}

fn simpler_operations(operation: &Operation) -> Vec<Operation> {
    match operation {
        Operation::RoomList { from, limit } => {
            let all = Operation::RoomList { from: lobbyd_core::id::RoomNumber(0), limit: 0 };
            if from.0 == 0 && *limit == 0 { Vec::new() } else { vec![all] }
        }
        Operation::RoomCreate { title, capacity, password } => {
            let with = |title: &str, capacity, password: &Option<String>| Operation::RoomCreate {
                title: title.to_owned(),
                capacity,
                password: password.clone(),
            };
            let mut simpler = Vec::new();
            if password.is_some() {
                simpler.push(with(title, *capacity, &None));
            }
            simpler.extend(shorter_texts(title).iter().map(|title| with(title, *capacity, password)));
            simpler.extend(smaller_numbers(*capacity).into_iter().map(|capacity| with(title, capacity, password)));
            simpler
        }
        Operation::RoomEnter { room, password: Some(_) } => vec![Operation::RoomEnter { room: *room, password: None }],
        Operation::RoomChat { room, text } => {
            shorter_bytes(text).into_iter().map(|text| Operation::RoomChat { room: *room, text }).collect()
        }
        Operation::DirectMessage { user, text } => {
            let to_user = |text| Operation::DirectMessage { user: user.clone(), text };
            shorter_bytes(text).into_iter().map(to_user).collect()
        }
        Operation::Kick { room, client, ban: true } => {
            vec![Operation::Kick { room: *room, client: client.clone(), ban: false }]
        }
        Operation::Command { name, parameters, timestamp } => {
            let with = |parameters, timestamp| Operation::Command { name: name.clone(), parameters, timestamp };
            let without_time = (*timestamp != 0).then(|| with(parameters.clone(), 0));
            let shorter = shorter_bytes(parameters).into_iter().map(|parameters| with(parameters, *timestamp));
            without_time.into_iter().chain(shorter).collect()
        }
        Operation::Ping { nonce } if *nonce != 0 => vec![Operation::Ping { nonce: 0 }],
        // Other bytes would be another packet: these only become fewer.
        Operation::Raw(bytes) => {
            smaller_sizes(bytes.len()).into_iter().map(|size| Operation::Raw(bytes[..size].to_vec())).collect()
        }
        Operation::RoomEnter { password: None, .. }
        | Operation::Kick { ban: false, .. }
        | Operation::Ping { .. }
        | Operation::Connect { .. }
        | Operation::Hello { .. }
        | Operation::Login { .. }
        | Operation::Logout
        | Operation::RoomLeave { .. }
        | Operation::HalfClose
        | Operation::Close
        | Operation::Reset
        | Operation::Vanish
        | Operation::StopReading
        | Operation::ResumeReading => Vec::new(),
    }
}

fn simpler_faults(fault: &Fault) -> Vec<Fault> {
    let spans: Vec<_> = match fault.span() {
        Some(Span::Exact(time)) => shorter_times(time).into_iter().map(Span::Exact).collect(),
        Some(Span::Range(least, most)) => {
            plainer_latencies((least, most)).into_iter().map(|(least, most)| Span::Range(least, most)).collect()
        }
        None => Vec::new(),
    };
    spans.into_iter().map(|span| fault.with_span(span)).collect()
}

fn simpler_expected(expected: &Expected) -> Vec<Expected> {
    match expected {
        Expected::AnyOf(patterns) => match patterns.as_slice() {
            [only] => vec![Expected::Packet(only.clone())],
            patterns => {
                let without = |place: usize| {
                    let mut patterns = patterns.to_vec();
                    patterns.remove(place);
                    Expected::AnyOf(patterns)
                };
                (0..patterns.len()).map(without).collect()
            }
        },
        Expected::Packet(_) | Expected::Closed | Expected::Nothing => Vec::new(),
    }
}

/// What may stand in the place of a scenario of which only the setup is simpler.
pub(super) fn simpler_setups(scenario: &Scenario) -> Vec<Scenario> {
    let mut simpler = Vec::new();
    let mut change = |change: &dyn Fn(&mut Scenario)| {
        let mut changed = scenario.clone();
        change(&mut changed);
        simpler.push(changed);
    };
    let setup = &scenario.setup;
    let usual = Network::default();
    if setup.store != Store::Listed {
        change(&|scenario| scenario.setup.store = Store::Listed);
    }
    if setup.io_threads != 1 {
        change(&|scenario| scenario.setup.io_threads = 1);
    }
    if setup.network.chop.is_some() {
        change(&|scenario| scenario.setup.network.chop = None);
    }
    if setup.network.latency != usual.latency {
        change(&|scenario| scenario.setup.network.latency = usual.latency);
        for latency in plainer_latencies(setup.network.latency) {
            change(&|scenario| scenario.setup.network.latency = latency);
        }
    }
    for (place, account) in setup.accounts.iter().enumerate() {
        if account.nickname.is_some() {
            change(&|scenario| scenario.setup.accounts[place].nickname = None);
        }
        if account.administrator {
            change(&|scenario| scenario.setup.accounts[place].administrator = false);
        }
    }
    for (place, room) in setup.config.fixed_rooms.iter().enumerate() {
        if setup.room_passwords.iter().any(|(number, _)| *number == room.number) {
            change(&|scenario| scenario.setup.room_passwords.retain(|(number, _)| *number != room.number));
        }
        for capacity in smaller_numbers(room.capacity) {
            change(&|scenario| scenario.setup.config.fixed_rooms[place].capacity = capacity);
        }
    }
    simpler
}

/// From a range of latencies to its ends.
fn plainer_latencies((least, most): (Duration, Duration)) -> Vec<(Duration, Duration)> {
    if least == most { Vec::new() } else { vec![(least, least), (most, most)] }
}

/// What is left of `whole` when first all but one, then half, a quarter, an eighth and so on is taken away, and at last
/// one: by these steps a search finds a limit as by bisection.
fn smaller(whole: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> = [1].into_iter().chain((1..64).map(|bits| whole - (whole >> bits))).collect();
    sizes.retain(|size| *size > 0 && *size < whole);
    sizes.dedup();
    sizes
}

fn smaller_numbers(number: u32) -> Vec<u32> {
    // None is larger than a number of this type.
    smaller(number.into()).into_iter().filter_map(|number| number.try_into().ok()).collect()
}

fn smaller_sizes(size: usize) -> Vec<usize> {
    smaller(size as u64).into_iter().map(|size| size as usize).collect()
}

/// In whole seconds if it is more than one, else in whole milliseconds.
fn shorter_times(time: Duration) -> Vec<Duration> {
    let seconds = smaller(time.as_secs()).into_iter().map(Duration::from_secs);
    let in_milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let milliseconds: Vec<_> = if time > Duration::from_secs(1) { Vec::new() } else { smaller(in_milliseconds) };
    let whole = [Duration::from_secs(time.as_secs()), Duration::from_millis(in_milliseconds)];
    let whole = whole.into_iter().filter(|whole| !whole.is_zero() && *whole < time);
    let milliseconds = milliseconds.into_iter().map(Duration::from_millis);
    seconds.chain(whole).chain(milliseconds).collect()
}

fn shorter_texts(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let first = |size: usize| characters[..size].iter().collect();
    let simple = "x".repeat(characters.len());
    let simple = (simple != text).then_some(simple);
    smaller_sizes(characters.len()).into_iter().map(first).chain(simple).collect()
}

/// As texts where they are one.
fn shorter_bytes(bytes: &[u8]) -> Vec<Vec<u8>> {
    match str::from_utf8(bytes) {
        Ok(text) => shorter_texts(text).into_iter().map(String::into_bytes).collect(),
        Err(_) => smaller_sizes(bytes.len()).into_iter().map(|size| bytes[..size].to_vec()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_by_bisection() {
        for limit in [1, 2, 3, 7, 999, 1_000, 12_345] {
            let (mut number, mut asked) = (12_345, 0);
            while let Some(smaller) = smaller_numbers(number).into_iter().find(|number| {
                asked += 1;
                *number >= limit
            }) {
                number = smaller;
            }
            assert_eq!(number, limit);
            assert!(asked < 200, "{asked} questions for {limit}");
        }
    }

    #[test]
    fn whatever_is_simpler_is_less() {
        let times = [1, 999, 1_000_000, 1_500_000, 1_000_000_000, 1_000_000_001, 97_300_000_000];
        for time in times.map(Duration::from_nanos) {
            assert!(shorter_times(time).iter().all(|shorter| *shorter < time && !shorter.is_zero()), "{time:?}");
        }
        assert_eq!(shorter_times(Duration::from_nanos(1)), []);
        assert_eq!(shorter_times(Duration::from_millis(2_500))[..2], [Duration::from_secs(1), Duration::from_secs(2)]);
        assert_eq!(shorter_texts("x"), [""; 0]);
        assert_eq!(shorter_texts("äb"), ["ä", "xx"]);
        assert_eq!(shorter_bytes(&[0xff, 0xfe]), [[0xff]]);
    }
}
