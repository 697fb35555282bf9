//! A scenario file.

use lobbyd_sim::scenario::{Event, Scenario, Step, parse, print};

/// Reads the bytes as a scenario. What is refused is refused with its place; what is read and printed again reads as the
/// same scenario (the numbers of the lines apart) and prints as the same text.
pub fn scenario(data: &[u8]) {
    let Ok(source) = str::from_utf8(data) else {
        return;
    };
    let scenario = match parse(source) {
        Ok(scenario) => without_lines(scenario),
        Err(error) => {
            assert!(error.to_string().contains('^'), "no place is shown: {error}");
            return;
        }
    };
    let printed = print(&scenario);
    let again = match parse(&printed) {
        Ok(again) => without_lines(again),
        Err(error) => panic!("what was printed cannot be read: {error}\n---\n{printed}"),
    };
    assert_eq!(again, scenario, "{printed}");
    assert_eq!(print(&again), printed);
}

fn without_lines(scenario: Scenario) -> Scenario {
    Scenario { steps: steps_without_lines(scenario.steps), ..scenario }
}

fn steps_without_lines(steps: Vec<Step>) -> Vec<Step> {
    let without = |step| match step {
        Step { event: Event::Together(steps), .. } => {
            Step { line: 0, event: Event::Together(steps_without_lines(steps)), ..step }
        }
        _ => Step { line: 0, ..step },
    };
    steps.into_iter().map(without).collect()
}
