//! Replays every seed, and seeds that were damaged a little; and holds the seeds to what they are made from.
//!
//! Names that begin with `made-` are written by this program; the others were found by fuzzing. To write the made ones
//! and the dictionaries anew:
//!
//! ```text
//! LOBBYD_SEEDS=write cargo test -p lobbyd-fuzz --test seeds made
//! ```

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod made;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lobbyd_fuzz::TARGETS;

/// All seeds together; they are replayed with every test run, and everybody fetches them.
const SEED_BYTES_MAX: u64 = 300 * 1024;
/// How often each seed is damaged and tried again.
const DAMAGES: u64 = 40;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a folder, by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("names of seeds are plain");
        (name, fs::read(entry.path()).unwrap())
    };
    entries.map(|entry| file(entry.unwrap())).collect()
}

fn seeds(target: &str) -> BTreeMap<String, Vec<u8>> {
    files(&folder("seeds").join(target))
}

/// Says which seed it was, if the target panics.
fn replay(target: &lobbyd_fuzz::Target, name: &str, bytes: &[u8]) {
    struct Replaying<'a>(&'a str, &'a str, &'a [u8]);
    impl Drop for Replaying<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the target {} does not pass {}: {:?}", self.0, self.1, String::from_utf8_lossy(self.2));
            }
        }
    }
    let _replaying = Replaying(target.name, name, bytes);
    (target.body)(bytes);
}

#[test]
fn every_target_passes_its_seeds() {
    for target in TARGETS {
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        replay(target, "nothing", &[]);
        for (name, bytes) in &seeds {
            replay(target, name, bytes);
        }
    }
}

#[test]
fn every_target_passes_damaged_seeds() {
    for target in TARGETS {
        for (name, bytes) in seeds(target.name) {
            for seed in 0..DAMAGES {
                replay(target, &format!("{name}, damaged by {seed}"), &damaged(&bytes, seed));
            }
        }
    }
}

/// The bytes with a few changes that follow from a seed.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..=random(3) {
        let place = random(bytes.len());
        let byte = [0, 1, 0x7f, 250, 251, 255, b'0', b'\n'][random(8)];
        match random(4) {
            0 if !bytes.is_empty() => bytes[place] = byte,
            1 if !bytes.is_empty() => drop(bytes.remove(place)),
            2 => bytes.truncate(place),
            _ => bytes.insert(place, byte),
        }
    }
    bytes
}

#[test]
fn seeds_are_few_and_small() {
    let sizes = TARGETS.iter().flat_map(|target| seeds(target.name)).map(|(_, bytes)| bytes.len() as u64);
    let total: u64 = sizes.sum();
    assert!(total <= SEED_BYTES_MAX, "the seeds are {total} bytes, allowed are {SEED_BYTES_MAX}");
}

#[test]
fn every_target_has_a_program_and_nothing_else_does() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert!(names.is_sorted());
    let programs: Vec<_> = files(&folder("fuzz_targets")).into_keys().collect();
    assert_eq!(programs, names.iter().map(|name| format!("{name}.rs")).collect::<Vec<_>>());
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let bins = manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|bin| bin.split('"').next());
    let mut bins: Vec<_> = bins.collect();
    bins.sort_unstable();
    assert_eq!(bins, names);
    for name in &names {
        let program = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("lobbyd_fuzz::{name}(data)")), "{name} runs another target");
    }
}

#[test]
fn made_seeds_and_dictionaries_are_as_the_code_makes_them() {
    let write = std::env::var_os("LOBBYD_SEEDS").is_some_and(|wish| wish == "write");
    for target in TARGETS {
        let made: BTreeMap<_, _> = made::seeds(target.name).into_iter().collect();
        let seeds_folder = folder("seeds").join(target.name);
        let dictionary = folder("dictionaries").join(format!("{}.dict", target.name));
        let words = made::dictionary(target.name);
        if write {
            fs::create_dir_all(&seeds_folder).unwrap();
            fs::create_dir_all(folder("dictionaries")).unwrap();
            for name in files(&seeds_folder).into_keys().filter(|name| name.starts_with("made-")) {
                fs::remove_file(seeds_folder.join(name)).unwrap();
            }
            for (name, bytes) in &made {
                fs::write(seeds_folder.join(name), bytes).unwrap();
            }
            match &words {
                Some(words) => fs::write(dictionary, words).unwrap(),
                None => drop(fs::remove_file(dictionary)),
            }
            continue;
        }
        let mut committed = seeds(target.name);
        committed.retain(|name, _| name.starts_with("made-"));
        let stale = "LOBBYD_SEEDS=write cargo test -p lobbyd-fuzz --test seeds made";
        assert!(committed == made, "the made seeds of {} are not as committed; write them by: {stale}", target.name);
        assert!(fs::read_to_string(dictionary).ok() == words, "a stale dictionary of {}: {stale}", target.name);
    }
}
