//! Sets of byte positions. Pure.

use std::ops::Range;

/// A set of positions, as ranges in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    pub(super) fn insert(&mut self, new: Range<u64>) {
        if new.start >= new.end {
            return;
        }
        // All that the new one overlaps or touches becomes one with it.
        let first = self.0.partition_point(|range| range.end < new.start);
        let last = self.0.partition_point(|range| range.start <= new.end);
        let merged = match self.0.get(first..last) {
            Some([low, .., high]) => low.start.min(new.start)..high.end.max(new.end),
            Some([only]) => only.start.min(new.start)..only.end.max(new.end),
            _ => new,
        };
        self.0.splice(first..last, [merged]);
    }

    pub(super) fn remove(&mut self, gone: Range<u64>) {
        if gone.start >= gone.end {
            return;
        }
        let first = self.0.partition_point(|range| range.end <= gone.start);
        let last = self.0.partition_point(|range| range.start < gone.end);
        let rest: Vec<_> = self.0.get(first..last).map_or(Vec::new(), |hit| {
            let low = hit.first().map(|range| range.start..gone.start);
            let high = hit.last().map(|range| gone.end..range.end);
            low.into_iter().chain(high).filter(|range| range.start < range.end).collect()
        });
        if first < last {
            self.0.splice(first..last, rest);
        }
    }

    /// What of `within` is not in the set.
    pub(super) fn missing(&self, within: Range<u64>) -> Self {
        let mut rest = Self::from_iter([within]);
        for range in &self.0 {
            rest.remove(range.clone());
        }
        rest
    }

    /// How many positions there are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// The range that begins at `start`.
    pub(super) fn starting_at(&self, start: u64) -> Option<Range<u64>> {
        let index = self.0.binary_search_by_key(&start, |range| range.start).ok()?;
        self.0.get(index).cloned()
    }
}

impl FromIterator<Range<u64>> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(u64, u64)]) -> Ranges {
        ranges.iter().map(|&(start, end)| start..end).collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(set(&[(0, 5), (5, 9), (20, 30), (8, 21)]), set(&[(0, 30)]));
        assert_eq!(set(&[(5, 5), (7, 3)]), Ranges::default());
    }

    #[test]
    fn what_is_removed_leaves_both_sides() {
        let mut ranges = set(&[(0, 10), (20, 30)]);
        ranges.remove(5..25);
        assert_eq!(ranges, set(&[(0, 5), (25, 30)]));
        ranges.remove(1..2);
        assert_eq!(ranges, set(&[(0, 1), (2, 5), (25, 30)]));
        assert_eq!(ranges.missing(0..40), set(&[(1, 2), (5, 25), (30, 40)]));
        assert_eq!((ranges.len(), ranges.starting_at(2), ranges.starting_at(3)), (9, Some(2..5), None));
    }

    proptest! {
        #[test]
        fn a_set_is_what_its_positions_are(steps in prop::collection::vec((any::<bool>(), 0u64..64, 0u64..64), 0..40)) {
            let (mut ranges, mut positions) = (Ranges::default(), [false; 64]);
            for (insert, start, end) in steps {
                if insert { ranges.insert(start..end) } else { ranges.remove(start..end) }
                for position in start..end {
                    positions[position as usize] = insert;
                }
                let held: Vec<u64> = ranges.iter().flatten().collect();
                let wanted: Vec<u64> = (0..64).filter(|&position| positions[position as usize]).collect();
                prop_assert_eq!(held, wanted);
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
