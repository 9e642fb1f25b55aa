//! Numbers for new contents.
//!
//! They outlive the catalog, since an archive's description names its content, so they must differ from all that were given
//! out before, also by catalogs that are lost: each start begins at a random place of 2^62, and counts on from there.
//! Neighbours in time are then neighbours in the catalog too, and many new ones change few of its pages.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use crate::catalog::ContentId;

/// Gives out numbers.
pub(super) struct Ids(AtomicI64);

impl Ids {
    pub(super) fn new() -> Self {
        Ids(AtomicI64::new(rand::random_range(1..=ContentId::MAX / 2)))
    }

    pub(super) fn next(&self) -> ContentId {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
