//! Which ranges of an archive to retrieve for a wish.

/// The ranges (inclusive) to retrieve so that the bytes `first..=last` of an archive of `size` bytes come: all of it if it
/// isn't larger than `window`, else the windows that the wish touches.
///
/// A window is a power of two of MiB and begins at a multiple of itself, so it is a node of the archive's tree: the service
/// gives a tree hash with its output, and with every power-of-two piece of it (guide, "Choosing Ranges").
pub(super) fn windows(size: u64, first: u64, last: u64, window: u64) -> Vec<(u64, u64)> {
    if size == 0 {
        return Vec::new();
    }
    if size <= window {
        return vec![(0, size - 1)];
    }
    let last = last.min(size - 1);
    (first / window..=last / window).map(|n| (n * window, (n * window + window).min(size) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::treehash;
    use crate::util::size::MIB;

    proptest! {
        /// Promise: the planned ranges cover the wish, each byte once, and every one of them is tree-hash aligned.
        #[test]
        fn windows_cover_the_wish_once(size in 1..40 * MIB, a in 0..40 * MIB, b in 0..40 * MIB, k in 0..6u32) {
            let (first, last) = (a.min(b) % size, a.max(b) % size);
            let (first, last) = (first.min(last), first.max(last));
            let planned = windows(size, first, last, MIB << k);
            prop_assert!(planned[0].0 <= first && planned[planned.len() - 1].1 >= last);
            prop_assert!(planned.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
            for (first, last) in planned {
                prop_assert!(treehash::is_aligned(size, first, last), "{first}-{last} of {size}");
            }
        }
    }
}
