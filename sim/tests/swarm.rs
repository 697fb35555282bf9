//! A bounded search on both layers, another one for each commit: its first seed is the environment's.

use std::time::Duration;

use lobbyd_sim::cli::Layer;
use lobbyd_sim::layers::turmoil::tick;
use lobbyd_sim::scenario::{Event, Network, Scenario, Step, parse, print};
use lobbyd_sim::seed;
use lobbyd_sim::swarm::{self, Hunt, Progress, Ran, Seeds};

/// No test takes so long; a seed that does is stuck.
const PATIENCE: Duration = Duration::from_secs(600);

fn search(layer: Layer, first: u64, count: u64) -> Progress {
    let seeds = Seeds { first, count: Some(count), time: None };
    let hunt = Hunt { layer, seeds, jobs: 1, keeps_going: true, patience: PATIENCE };
    let stuck = |seed| panic!("seed {seed} on the {layer} layer is not over after {PATIENCE:?}");
    let progress = swarm::hunt(&hunt, &mut |_| {}, &stuck).expect("the layer does everything that is asked for");
    let findings = progress.findings.iter().map(|finding| {
        let again = format!("cargo run -p lobbyd-sim -- replay {} --layer {layer}", finding.seed);
        format!("seed {}: {}\n  {again}\n", finding.seed, finding.violation)
    });
    let findings: String = findings.collect();
    assert!(findings.is_empty(), "{findings}");
    progress
}

fn play(scenario: &Scenario, layer: Layer, seed: u64) -> Ran {
    swarm::execute(scenario, layer, seed).expect("the layer can be set up")
}

#[test]
fn nothing_is_found_on_the_pure_layer() {
    let progress = search(Layer::Pure, seed::from_environment(), 40);
    assert_eq!(progress.seeds, 40);
    assert!(progress.simulated > Duration::from_secs(40 * 30), "only {:?}", progress.simulated);
}

#[test]
fn nothing_is_found_on_the_turmoil_layer() {
    let progress = search(Layer::Turmoil, seed::from_environment(), 3);
    assert_eq!(progress.seeds, 3);
}

#[test]
fn time_goes_by_in_fine_ticks_in_some_seeds_and_in_coarse_ones_in_others() {
    let coarse = tick(&Network::default());
    let is_coarse = |seed: &u64| tick(&swarm::scenario(*seed, Layer::Turmoil).setup.network) == coarse;
    let count = (0..100).filter(is_coarse).count();
    assert!((20..=80).contains(&count), "{count} of 100 seeds have a tick of {coarse:?}");
}

#[test]
fn same_seed_is_the_same_run() {
    for (layer, seed) in
        [(Layer::Pure, seed::from_environment()), (Layer::Pure, 7), (Layer::Turmoil, seed::from_environment())]
    {
        let scenario = swarm::scenario(seed, layer);
        assert_eq!(scenario, swarm::scenario(seed, layer));
        let (one, other) = (play(&scenario, layer, seed), play(&scenario, layer, seed));
        assert_eq!(one.outcome.trace.to_string(), other.outcome.trace.to_string(), "seed {seed}, {layer} layer");
        assert_eq!(one, other);
    }
}

#[test]
fn scenario_read_from_its_file_is_the_same_run() {
    for seed in seed::from_environment()..seed::from_environment() + 10 {
        let scenario = swarm::scenario(seed, Layer::Pure);
        let file = print(&scenario);
        let read = parse(&file).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(print(&read), file, "seed {seed}");
        assert_eq!(read.setup, scenario.setup, "seed {seed}");
        let (one, other) = (play(&scenario, Layer::Pure, seed), play(&read, Layer::Pure, seed));
        assert_eq!(one.outcome.trace.digest(), other.outcome.trace.digest(), "seed {seed}");
    }
}

/// Every step, those that happen together included.
fn flat<'s>(steps: &'s [Step], out: &mut Vec<&'s Step>) {
    for step in steps {
        out.push(step);
        if let Event::Together(steps) = &step.event {
            flat(steps, out);
        }
    }
}

#[test]
fn seeds_differ_and_each_ends_with_everybody_talking_and_nothing_left() {
    let scenarios: Vec<_> = (1..=10).map(|seed| swarm::scenario(seed, Layer::Pure)).collect();
    for (index, scenario) in scenarios.iter().enumerate() {
        assert!(scenarios[..index].iter().all(|other| other.steps != scenario.steps));
        let mut steps = Vec::new();
        flat(&scenario.steps, &mut steps);
        let heard = steps.iter().flat_map(|step| &step.expects).filter(|expected| {
            matches!(&expected.what, lobbyd_sim::scenario::Expected::Packet(pattern) if pattern.packet == "RoomChatResponse")
        });
        // Every client has an account of its own.
        assert_eq!(heard.count(), scenario.setup.accounts.len());
        assert!(matches!(scenario.steps.last().map(|step| &step.event), Some(Event::Check { .. })));
    }
}

#[test]
fn search_reaches_its_hard_cases() {
    // Of fixed seeds: that they reach much is a property of the makers, not of the server.
    let progress = search(Layer::Pure, 1, 80);
    let unreached = progress.marks.unreached(true);
    assert!(unreached.len() <= 10, "never reached: {unreached:?}");
}
