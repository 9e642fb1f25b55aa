//! Notices who reads a file that isn't all local from one end to the other, so that what comes next is asked for before they get
//! there: one wait for all of it, instead of one for each window.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

/// How far from the end of the last read the next may begin to count as going on: the kernel may send parts of one read in any
/// order.
const NEAR: u64 = 1 << 20;

/// The readers of files that weren't all local when they were opened.
pub(super) struct Readers {
    /// So many bytes in a row are reading from one end to the other.
    enough: u64,
    runs: RwLock<HashMap<u64, Mutex<Run>>>,
}

/// What one handle has read in a row.
#[derive(Default)]
struct Run {
    next: u64,
    length: u64,
}

impl Readers {
    /// Tells of those who have read `enough` bytes in a row.
    pub(super) fn new(enough: u64) -> Self {
        Readers { enough, runs: RwLock::default() }
    }

    /// Handle `fh` of a file was opened that isn't all local.
    pub(super) fn opened(&self, fh: u64) {
        self.runs.write().unwrap_or_else(PoisonError::into_inner).insert(fh, Mutex::default());
    }

    /// Handle `fh` is closed.
    pub(super) fn closed(&self, fh: u64) {
        if self.runs.read().unwrap_or_else(PoisonError::into_inner).contains_key(&fh) {
            self.runs.write().unwrap_or_else(PoisonError::into_inner).remove(&fh);
        }
    }

    /// Notes a read of `size` bytes at `offset`. True whenever enough was read in a row since it was last.
    pub(super) fn read(&self, fh: u64, offset: u64, size: u64) -> bool {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = runs.get(&fh) else { return false };
        let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
        if offset.abs_diff(run.next) > NEAR {
            run.length = 0;
        }
        run.length += size;
        run.next = offset.saturating_add(size);
        let is_enough = run.length >= self.enough;
        if is_enough {
            run.length = 0;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: only who reads in a row is told of, again and again, and only of files that weren't local.
    #[test]
    fn only_reading_in_a_row_counts() {
        let readers = Readers::new(8 * NEAR);
        assert!(!(0..100).any(|n| readers.read(1, n * NEAR, NEAR)), "it wasn't opened cold");
        readers.opened(1);
        assert!(!(0..100).any(|n| readers.read(1, n * 3 * NEAR, NEAR)), "with gaps");
        let told: Vec<u64> = (0..100).filter(|n| readers.read(1, n * NEAR, NEAR)).collect();
        assert_eq!(told[..3], [7, 15, 23]);
        readers.closed(1);
        assert!(readers.runs.read().expect("runs").is_empty());
    }
}
