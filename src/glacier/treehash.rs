//! The SHA-256 tree hash, Glacier's checksum of archives, parts and ranges.
//!
//! Data is cut into leaves of 1 MiB (the last may be shorter), each leaf is hashed with SHA-256, and neighbours are
//! hashed in pairs until one hash is left; an odd last one moves up unchanged. Hence any subtree can be hashed on its own
//! and put together later ([`combine`]), which is what multipart uploads and verified range downloads stand on.
//! Streaming needs memory for one hash per level only, and how the data is cut into updates never matters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::util::size::MIB;

/// The size of a leaf in bytes: 1 MiB.
pub const LEAF: u64 = MIB;

/// A SHA-256 tree hash: of an archive, of a part, of a range that is a subtree, or of one leaf.
///
/// On the wire, in JSON and in print it is 64 lower-case hexadecimal digits; either case is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeHash(pub [u8; 32]);

/// A text that should have been a tree hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a tree hash: allowed are exactly 64 hexadecimal digits")]
pub struct ParseTreeHashError(String);

impl TreeHash {
    /// The hash of the node above `self` (the older half) and `right`.
    fn parent(self, right: TreeHash) -> TreeHash {
        TreeHash(Sha256::new().chain_update(self.0).chain_update(right.0).finalize().into())
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

impl FromStr for TreeHash {
    type Err = ParseTreeHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| ParseTreeHashError(text.to_owned()))?;
        Ok(TreeHash(hash))
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The hash of one leaf: the SHA-256 of `data`, which is at most 1 MiB. (Of no data, it is the SHA-256 of nothing, which
/// client libraries use although the service refuses empty archives and parts.)
pub fn leaf(data: &[u8]) -> TreeHash {
    debug_assert!(data.len() as u64 <= LEAF);
    TreeHash(Sha256::digest(data).into())
}

/// The tree hash of `data`, all of it in memory.
pub fn tree_hash(data: &[u8]) -> TreeHash {
    if data.is_empty() { leaf(data) } else { combine(data.chunks(LEAF as usize).map(leaf)) }
}

/// The tree hash of the whole from the hashes of its consecutive pieces: leaves, or parts that all cover the same
/// power-of-two number of MiB, except the last, which may be shorter. Of no pieces: the hash of no data.
pub fn combine(hashes: impl IntoIterator<Item = TreeHash>) -> TreeHash {
    let mut levels = Levels::default();
    for hash in hashes {
        levels.push(hash);
    }
    levels.root().unwrap_or_else(|| leaf(&[]))
}

/// A binary counter of pending subtrees: the bits of `count` say which levels are occupied, `pending` holds their hashes
/// from the highest (oldest data) to the lowest.
#[derive(Clone, Debug, Default)]
struct Levels {
    count: u64,
    pending: Vec<TreeHash>,
}

impl Levels {
    fn push(&mut self, mut hash: TreeHash) {
        for _ in 0..self.count.trailing_ones() {
            // Each of the lowest `trailing_ones` levels is occupied, so there is a hash to take for each of them.
            if let Some(left) = self.pending.pop() {
                hash = left.parent(hash);
            }
        }
        self.pending.push(hash);
        self.count += 1;
    }

    fn root(&self) -> Option<TreeHash> {
        self.pending.iter().rev().copied().reduce(|right, left| left.parent(right))
    }
}

/// Computes a tree hash from data that arrives in pieces of any size, in O(log n) memory.
#[derive(Clone, Debug, Default)]
pub struct TreeHasher {
    leaf: Sha256,
    /// Bytes in `leaf`, less than a leaf unless it is just being finished.
    filled: u64,
    levels: Levels,
}

impl TreeHasher {
    /// A hasher that has seen no data.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `data`.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = split_leaf(data, self.filled);
            self.leaf.update(now);
            self.filled += now.len() as u64;
            if self.filled == LEAF {
                self.levels.push(TreeHash(self.leaf.finalize_reset().into()));
                self.filled = 0;
            }
            data = later;
        }
    }

    /// The tree hash of everything appended.
    pub fn finish(mut self) -> TreeHash {
        if self.filled > 0 || self.levels.count == 0 {
            self.levels.push(TreeHash(self.leaf.finalize().into()));
        }
        // At least one leaf was pushed, so there is a root; the fallback is the hash of no data.
        self.levels.root().unwrap_or_else(|| leaf(&[]))
    }
}

/// What of `data` still belongs to a leaf with `filled` bytes in it, and the rest.
fn split_leaf(data: &[u8], filled: u64) -> (&[u8], &[u8]) {
    data.split_at(data.len().min((LEAF - filled) as usize))
}

/// What one pass over a payload (an archive or a part) yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadHash {
    /// The linear SHA-256 of the payload: `x-amz-content-sha256`, the payload hash of the signature.
    pub sha256: [u8; 32],
    /// The tree hash of the payload: `x-amz-sha256-tree-hash`.
    pub tree_hash: TreeHash,
    /// The hash of each MiB, in order; one (of no data) for an empty payload.
    pub leaves: Vec<TreeHash>,
    /// The length of the payload in bytes.
    pub size: u64,
}

/// Computes both hashes of a payload in one pass, and keeps the leaves (32 bytes per MiB, so 128 KiB for a 4 GiB part).
///
/// The first MiB is hashed only once, because there the two hashes are the same: small files cost one hash.
#[derive(Clone, Debug, Default)]
pub struct PayloadHasher {
    linear: Sha256,
    /// The current leaf, from the second on; the first is `linear` itself.
    leaf: Sha256,
    filled: u64,
    leaves: Vec<TreeHash>,
}

impl PayloadHasher {
    /// A hasher that has seen no data.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `data`.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (now, later) = split_leaf(data, self.filled);
            self.linear.update(now);
            if !self.leaves.is_empty() {
                self.leaf.update(now);
            }
            self.filled += now.len() as u64;
            if self.filled == LEAF {
                let hash = self.finish_leaf();
                self.leaves.push(hash);
                self.filled = 0;
            }
            data = later;
        }
    }

    fn finish_leaf(&mut self) -> TreeHash {
        let hash = if self.leaves.is_empty() { self.linear.clone().finalize() } else { self.leaf.finalize_reset() };
        TreeHash(hash.into())
    }

    /// Both hashes of everything appended.
    pub fn finish(mut self) -> PayloadHash {
        let size = self.leaves.len() as u64 * LEAF + self.filled;
        if self.filled > 0 || self.leaves.is_empty() {
            let hash = self.finish_leaf();
            self.leaves.push(hash);
        }
        PayloadHash {
            sha256: self.linear.finalize().into(),
            tree_hash: combine(self.leaves.iter().copied()),
            leaves: self.leaves,
            size,
        }
    }
}

/// Whether the bytes `first..=last` of `size` are megabyte aligned, as a `RetrievalByteRange` must be: they begin on a
/// MiB, and end before one or with the data.
pub fn is_megabyte_aligned(size: u64, first: u64, last: u64) -> bool {
    first <= last && last < size && first.is_multiple_of(LEAF) && (last == size - 1 || (last + 1).is_multiple_of(LEAF))
}

/// Whether the bytes `first..=last` of `size` are tree-hash aligned: their tree hash is a node of the whole's tree, so
/// that the service gives a checksum for them. True for a power-of-two number of MiB on a multiple of itself, and for
/// everything from a multiple of its length, rounded up to such a power, to the end of the data.
pub fn is_aligned(size: u64, first: u64, last: u64) -> bool {
    if !is_megabyte_aligned(size, first, last) {
        return false;
    }
    // `last < size`, so `last - first` can't be so large that the number of leaves overflows its next power of two.
    let leaves = (last - first) / LEAF + 1;
    let width = leaves.next_power_of_two();
    (first / LEAF).is_multiple_of(width) && (leaves == width || last == size - 1)
}

/// The tree hash of the bytes `first..=last` from the leaves of all `size` bytes; `None` unless the range is tree-hash
/// aligned and `leaves` are as many as `size` has.
pub fn range_hash(leaves: &[TreeHash], size: u64, first: u64, last: u64) -> Option<TreeHash> {
    if !is_aligned(size, first, last) || leaves.len() as u64 != size.div_ceil(LEAF) {
        return None;
    }
    let wanted = leaves.get((first / LEAF) as usize..=(last / LEAF) as usize)?;
    Some(combine(wanted.iter().copied()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Every node of the tree over `leaves` leaves, as half-open ranges of leaves, by the definition: pair neighbours
    /// level by level, and move an odd last one up.
    fn nodes(leaves: u64) -> HashSet<(u64, u64)> {
        let mut level: Vec<_> = (0..leaves).map(|i| (i, i + 1)).collect();
        let mut all: HashSet<_> = level.iter().copied().collect();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| (pair[0].0, pair[pair.len() - 1].1)).collect();
            all.extend(&level);
        }
        all
    }

    /// Promise: a range counts as aligned exactly when it is a node of the tree; checked for every range of every tree
    /// of 1 to 40 leaves, with a full and with a ragged last leaf.
    #[test]
    fn alignment_is_membership_in_the_tree() {
        for leaves in 1..=40 {
            let nodes = nodes(leaves);
            for size in [leaves * LEAF, leaves * LEAF - 1, (leaves - 1) * LEAF + 1] {
                for from in 0..leaves {
                    for to in from + 1..=leaves {
                        let (first, last) = (from * LEAF, (to * LEAF).min(size) - 1);
                        assert!(is_megabyte_aligned(size, first, last));
                        let expected = nodes.contains(&(from, to));
                        assert_eq!(is_aligned(size, first, last), expected, "{size}: {from}..{to}");
                    }
                }
            }
        }
    }

    /// Promise: nonsense ranges are unaligned, never a panic, up to the largest numbers.
    #[test]
    fn nonsense_ranges_are_unaligned() {
        let m = u64::MAX;
        for (size, first, last) in [(0, 0, 0), (1, 1, 0), (5, 0, 5), (m, m, m), (m, 0, m), (3 * LEAF, 1, LEAF)] {
            assert!(!is_megabyte_aligned(size, first, last), "{size}: {first}-{last}");
            assert!(!is_aligned(size, first, last), "{size}: {first}-{last}");
        }
        assert!(is_aligned(m, 0, m - 1));
        assert_eq!(range_hash(&[], LEAF, 0, LEAF - 1), None);
    }

    /// Promise: a tree hash reads in either case, prints in lower case, and a bad one is named.
    #[test]
    fn text_form() {
        let hash = leaf(b"x");
        let text = hash.to_string();
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
        assert_eq!(serde_json::to_string(&hash).ok(), Some(format!("\"{text}\"")));
        for bad in ["", "zz", &text[1..], &format!("{text}0"), &text.replace(&text[..1], "é")] {
            let message = bad.parse::<TreeHash>().expect_err(bad).to_string();
            assert!(message.contains("64 hexadecimal digits"), "{message}");
        }
    }

    /// The tree hash by its recursive definition: split at the largest power of two below the number of leaves.
    fn by_definition(leaves: &[TreeHash]) -> TreeHash {
        if leaves.len() == 1 {
            return leaves[0];
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        by_definition(left).parent(by_definition(right))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Promise: how data is cut into updates never matters, the streaming hashers agree with each other and with
        /// hashing in one go, and the linear hash is SHA-256.
        #[test]
        fn any_chunking_gives_the_same_hash(
            size in prop_oneof![0usize..100, 0usize..6 << 20],
            cuts in prop::collection::vec(1usize..2 << 20, 1..20),
        ) {
            let data: Vec<u8> = (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let (mut tree, mut payload) = (TreeHasher::new(), PayloadHasher::new());
            let mut rest = &data[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                tree.update(now);
                payload.update(now);
                rest = later;
            }
            let both = payload.finish();
            prop_assert_eq!(tree.finish(), tree_hash(&data));
            prop_assert_eq!(both.tree_hash, tree_hash(&data));
            prop_assert_eq!(both.tree_hash, by_definition(&both.leaves));
            prop_assert_eq!(&both.sha256[..], &Sha256::digest(&data)[..]);
            prop_assert_eq!(both.size, size as u64);
        }

        /// Promise: the hashes of parts of equal power-of-two size make the hash of the whole, and the hash of every
        /// aligned range of leaves is the hash of its bytes alone.
        #[test]
        fn parts_and_ranges_combine(count in 1usize..300, log in 0u32..6, seed: u8) {
            let leaves: Vec<_> = (0..count).map(|i| leaf(&[seed, i as u8, (i >> 8) as u8])).collect();
            let whole = by_definition(&leaves);
            let parts = leaves.chunks(1 << log).map(|part| combine(part.iter().copied()));
            prop_assert_eq!(combine(parts), whole);
            let size = count as u64 * LEAF;
            for first in 0..count {
                let last = count.min(first + (1 << log)) - 1;
                let hash = range_hash(&leaves, size, first as u64 * LEAF, (last as u64 + 1) * LEAF - 1);
                let aligned = nodes(count as u64).contains(&(first as u64, last as u64 + 1));
                prop_assert_eq!(hash, aligned.then(|| by_definition(&leaves[first..=last])));
            }
        }
    }
}
