//! Every scenario file is a scenario, begins with the sentence that it holds, and is one of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lobbyd_sim::scenario::{parse, print};

#[test]
fn every_scenario_file_is_read_and_begins_with_its_sentence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut titles = BTreeSet::new();
    for entry in fs::read_dir(&folder).expect("the scenarios are there") {
        let path = entry.expect("a file").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(file.ends_with(".scenario"), "{file} is not called a scenario");
        let source = fs::read_to_string(&path).expect("readable text");
        let scenario = parse(&source).unwrap_or_else(|error| panic!("{file}:{error}"));
        assert!(scenario.title.ends_with('.'), "{file} begins with no sentence: {:?}", scenario.title);
        assert!(!scenario.steps.is_empty(), "{file} does nothing");
        assert!(titles.insert(scenario.title.clone()), "{file} says what another says: {}", scenario.title);
        let again = parse(&print(&scenario)).unwrap_or_else(|error| panic!("{file}, printed: {error}"));
        assert_eq!(print(&again), print(&scenario), "{file}");
    }
    assert!(titles.len() > 90, "only {} scenarios", titles.len());
}
