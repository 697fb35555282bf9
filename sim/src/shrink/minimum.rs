//! Delta debugging over anything that can be counted.

/// Of `count` things a selection that `still_fails`, and of which none can be left out alone. It is asked about
/// selections, each a flag for every thing; that all of them together fail is taken for granted.
///
/// As ddmin with its test of subsets left out (what fails in a scenario seldom fails in a small piece of it): chunks of
/// half, a quarter, … down to one are left out where that still fails, from the end, on which less depends.
pub(super) fn minimise(count: usize, still_fails: &mut dyn FnMut(&[bool]) -> bool) -> Vec<bool> {
    let mut kept = vec![true; count];
    if count == 0 || still_fails(&vec![false; count]) {
        return vec![false; count];
    }
    let mut size = count.div_ceil(2);
    loop {
        let left: Vec<usize> = (0..count).filter(|index| kept[*index]).collect();
        let mut is_smaller = false;
        for chunk in left.rchunks(size) {
            let mut without = kept.clone();
            chunk.iter().for_each(|index| without[*index] = false);
            if still_fails(&without) {
                kept = without;
                is_smaller = true;
            }
        }
        if size == 1 && !is_smaller {
            return kept;
        }
        size = size.div_ceil(2);
    }
}

#[cfg(test)]
mod tests {
    use super::minimise;

    /// What is left of 100 things when all these are needed, and how often it was asked.
    fn left(needed: &[usize]) -> (Vec<usize>, usize) {
        let mut asked = 0;
        let kept = minimise(100, &mut |kept| {
            asked += 1;
            needed.iter().all(|index| kept[*index])
        });
        ((0..100).filter(|index| kept[*index]).collect(), asked)
    }

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        for needed in [vec![], vec![0], vec![99], vec![0, 99], vec![13, 14, 15, 80], (0..100).collect()] {
            assert_eq!(left(&needed).0, needed);
        }
    }

    #[test]
    fn few_questions_are_asked_where_little_is_needed() {
        assert_eq!(left(&[]).1, 1);
        assert!(left(&[42]).1 < 30, "{}", left(&[42]).1);
        assert!(left(&[3, 42, 77]).1 < 70, "{}", left(&[3, 42, 77]).1);
    }

    #[test]
    fn nothing_can_be_left_out_alone_although_more_may_be_together() {
        // Fails with an even number of things: no single one can go, pairs can.
        let kept = minimise(7, &mut |kept| kept[6] && kept.iter().filter(|kept| **kept).count() % 2 == 1);
        let count = kept.iter().filter(|kept| **kept).count();
        assert!(kept[6] && count % 2 == 1, "{kept:?}");
        assert!(minimise(0, &mut |_| panic!("there is nothing to ask about")).is_empty());
    }
}
