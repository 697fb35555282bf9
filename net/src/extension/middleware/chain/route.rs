//! Routes: which links packets of one kind pass, and whether they are timed.

use smallvec::SmallVec;

use super::super::interest::{KINDS, said};
use super::super::words::Words;
use super::super::{Interest, Packet, Timing};
use super::link::Link;

/// One packet of a kind in so many is timed, if all that its links want is a sample: to read the clock for each would
/// cost more than all the rest of a short chain.
const TIMED_EVERY: u32 = 64;

/// Links by their places, in rising order. Few, and where the route is: every packet comes through here.
type Places = SmallVec<[usize; 4]>;

/// Which links packets of one kind pass.
pub(super) struct Route {
    before: Places,
    /// Those of `before` that are called whatever a text says.
    unworded: Places,
    /// What has to be in a text for the others of `before`, if there are any.
    words: Option<Words>,
    after: Places,
    /// Packets until the links behind the engine are asked again what they want to be timed.
    unasked: u32,
    /// Whether until then every packet is timed.
    is_timed: bool,
}

impl Route {
    /// The routes of all kinds, by their numbers, round links that are broken.
    pub(super) fn all(links: &[Link]) -> [Self; KINDS] {
        let places = |is_asked: &dyn Fn(&Interest) -> bool| {
            let asked = (0..).zip(links).filter(|(_, link)| !link.is_broken && is_asked(&link.interest));
            asked.map(|(place, _)| place).collect::<Places>()
        };
        std::array::from_fn(|number| {
            let before = places(&|interest| interest.is_before(number));
            let unworded = places(&|interest| interest.is_before(number) && interest.words().is_none());
            let words = || Words::of_all(before.iter().filter_map(|place| links[*place].interest.words()));
            let words = (unworded.len() < before.len()).then(words);
            let after = places(&|interest| interest.is_after(number));
            Self { before, unworded, words, after, unasked: 0, is_timed: false }
        })
    }

    /// Whether the packet may have what those need that are not called for every text. One look is for all of them.
    pub(super) fn is_worded(&self, packet: &Packet<'_>) -> bool {
        let Some(words) = &self.words else { return false };
        said(packet).is_none_or(|text| words.may_be_in(text))
    }

    /// Who is asked before the engine, but for the first `seen` links.
    pub(super) fn before(&self, is_worded: bool, seen: usize) -> &[usize] {
        let asked = if is_worded { &self.before } else { &self.unworded };
        if seen == 0 { asked } else { &asked[asked.partition_point(|place| *place < seen)..] }
    }

    /// Who is told after the engine.
    pub(super) fn after(&self) -> &[usize] {
        &self.after
    }

    /// How many of those that are told afterwards are among the first `seen` links.
    #[cold]
    pub(super) fn told(&self, seen: usize) -> usize {
        self.after.partition_point(|place| *place < seen)
    }

    /// Whether the packet at hand is timed. None if those who are told afterwards are to be asked.
    pub(super) fn is_timed(&mut self) -> Option<bool> {
        self.unasked = self.unasked.checked_sub(1)?;
        Some(self.is_timed)
    }

    /// Those who are told afterwards want so much to be timed; says whether the packet at hand is.
    pub(super) fn set_timing(&mut self, timing: Timing) -> bool {
        (self.unasked, self.is_timed) = (TIMED_EVERY - 1, timing == Timing::Always);
        timing != Timing::Never
    }
}
