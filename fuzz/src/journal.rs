//! Files of journals: what anybody may have sent in with a bug report.

use lobbyd_core::Engine;
use lobbyd_core::config::Config;
use lobbyd_core::time::Instant;
use lobbyd_net::extension::Extensions;
use lobbyd_net::journal::{Beginning, Heading, MAGIC, Part, Replay};

/// The first byte says what the others are: a file; the state with which one begins, whose checksum is right; or entries of one that begins
/// well, with a right checksum, too.
///
/// Whatever it is, it is read to where it is damaged and no further, and no engine in a state that does not fit together
/// comes of it.
pub fn journal(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else { return };
    let mut file = Vec::new();
    match kind % 3 {
        0 => file.extend_from_slice(content),
        1 => {
            file.extend_from_slice(&MAGIC);
            // The block of the heading's fields, and one of everything else.
            Part::append_entries(&[0, 0, 0], &mut file);
            Part::append_entries(content, &mut file);
        }
        _ => {
            let snapshot = Engine::new(Config::default(), 0, Instant::ZERO).snapshot();
            let beginning = Beginning { part: 0, entries: 0, lost: 0, now: Instant::ZERO, snapshot };
            Part::append_beginning(&Heading { program: String::new(), run: 0, unix_ms: 0 }, &beginning, &mut file);
            Part::append_entries(content, &mut file);
        }
    }
    read(&file);
}

fn read(file: &[u8]) {
    let Ok(part) = Part::read(file) else { return };
    let entries: Vec<_> = part.entries().collect();
    assert!(entries.len() <= file.len(), "each entry takes a byte at least");
    let last = entries.len().saturating_sub(1);
    for (place, entry) in entries.iter().enumerate() {
        let is_whole = matches!(entry, Ok((_, Some(_))));
        assert!(is_whole || place == last, "entry {place} of {} is followed by others: {entry:?}", entries.len());
    }
    if let Ok(replay) = Replay::new(part.beginning.clone(), Extensions::new()) {
        assert_eq!(replay.is_continued(&part.beginning), Ok(true), "it is in the state that it began with");
        assert_eq!(replay.engine().check(), Ok(()));
    }
}
