//! Which ranges of an archive to retrieve for a wish.

use crate::service::treehash;
use crate::util::size::MIB;

/// The ranges (inclusive) to retrieve so that the bytes `first..=last` of an archive of `size` bytes are there: of the windows that
/// the wish touches, all that isn't `taken` (asked for each MiB by its number): local, or on its way. An archive that isn't larger
/// than `window` is one window.
///
/// A window is a power of two of MiB and begins at a multiple of itself, so it is a node of the archive's tree. What is left of one
/// is split into as few nodes as can be: the service gives a tree hash with the output of each, and with every power-of-two piece
/// of it (guide, "Choosing Ranges").
pub(super) fn ranges(size: u64, first: u64, last: u64, window: u64, taken: &dyn Fn(u64) -> bool) -> Vec<(u64, u64)> {
    if size == 0 || first >= size {
        return Vec::new();
    }
    let last = last.min(size - 1);
    let windows = if size <= window { 0..=0 } else { first / window..=last / window };
    let mut ranges = Vec::new();
    for n in windows {
        let end = if size <= window { size } else { size.min((n + 1) * window) };
        let mut from = n * window;
        while from < end {
            if taken(from / MIB) {
                from += MIB;
                continue;
            }
            let mut to = from;
            while to < end && !taken(to / MIB) {
                to = end.min(to + MIB);
            }
            split(size, from, to, &mut ranges);
            from = to;
        }
    }
    ranges
}

/// Appends the largest nodes of the tree over `size` bytes that make up the bytes from `from` up to and without `to`, which are at
/// multiples of MiB or the end.
fn split(size: u64, mut from: u64, to: u64, ranges: &mut Vec<(u64, u64)>) {
    while from < to {
        let mut node = to;
        while !treehash::is_aligned(size, from, node - 1) {
            // The next smaller power of two of MiB: a single MiB is a node at any place.
            let mib = (node - from).div_ceil(MIB);
            node = from + (mib.next_power_of_two() / 2).max(1) * MIB;
        }
        ranges.push((from, node - 1));
        from = node;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Promise: without anything here or on its way, a wish is one range for each window, and an archive up to a window is one.
    #[test]
    fn a_window_is_one_range() {
        let none = |_| false;
        assert_eq!(ranges(100, 5, 7, 4 * MIB, &none), [(0, 99)]);
        assert_eq!(ranges(4 * MIB, 0, 0, 4 * MIB, &none), [(0, 4 * MIB - 1)]);
        assert_eq!(ranges(9 * MIB, 5 * MIB, 6 * MIB, 4 * MIB, &none), [(4 * MIB, 8 * MIB - 1)]);
        assert_eq!(
            ranges(9 * MIB, 7 * MIB, u64::MAX, 4 * MIB, &none),
            [(4 * MIB, 8 * MIB - 1), (8 * MIB, 9 * MIB - 1)]
        );
        assert_eq!(ranges(10, 10, 10, MIB, &none), []);
        let half = |mib| mib < 2;
        assert_eq!(ranges(4 * MIB, 0, 9, 4 * MIB, &half), [(2 * MIB, 4 * MIB - 1)]);
        let one = |mib| mib == 1;
        assert_eq!(ranges(4 * MIB, 0, 9, 4 * MIB, &one), [(0, MIB - 1), (2 * MIB, 4 * MIB - 1)]);
    }

    proptest! {
        /// Promise: the planned ranges cover what is missing of the wish's windows exactly once and nothing else, and every one of
        /// them is tree-hash aligned.
        #[test]
        fn wishes_are_covered_once(
            size in 1..40 * MIB,
            a in 0..40 * MIB,
            b in 0..40 * MIB,
            k in 0..6u32,
            taken in prop::collection::hash_set(0..40u64, 0..20),
        ) {
            let (a, b, window) = (a % size, b % size, MIB << k);
            let (first, last) = (a.min(b), a.max(b));
            let planned = ranges(size, first, last, window, &|mib| taken.contains(&mib));
            let mut covered = HashSet::new();
            for (first, last) in planned {
                prop_assert!(treehash::is_aligned(size, first, last), "{first}-{last} of {size}");
                for mib in first / MIB..=last / MIB {
                    prop_assert!(covered.insert(mib), "MiB {mib} twice");
                }
            }
            for mib in 0..size.div_ceil(MIB) {
                let window_of = |at: u64| if size <= window { 0 } else { at / window };
                let wished = (window_of(first)..=window_of(last)).contains(&window_of(mib * MIB));
                prop_assert_eq!(covered.contains(&mib), wished && !taken.contains(&mib), "MiB {}", mib);
            }
        }
    }
}
