//! Numbers that are never given out twice, for inodes and for positions in directories.
//!
//! SQL gets them as `next_id()`. The database only says from where on none was given out yet; it is told of a block at a
//! time, so that a new file doesn't cost one more page. What is left of a block when the process ends is never used.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::Result;

/// How many numbers are reserved at a time.
const BLOCK: i64 = 1 << 20;
/// The most numbers that one transaction may take: adopting a batch of archives takes the most, with a long path each.
const MARGIN: i64 = BLOCK / 2;

/// Gives out numbers.
#[derive(Debug)]
pub(super) struct Counter {
    next: Arc<AtomicI64>,
    reserved: AtomicI64,
}

impl Counter {
    /// Makes `next_id()` known to the connection that writes.
    pub(super) fn open(conn: &Connection) -> Result<Self> {
        let reserved: i64 = conn.query_row("SELECT reserved FROM counter", [], |row| row.get(0))?;
        let next = Arc::new(AtomicI64::new(reserved));
        let counter = Counter { next: next.clone(), reserved: AtomicI64::new(reserved) };
        conn.create_scalar_function("next_id", 0, FunctionFlags::SQLITE_UTF8, move |_| {
            Ok(next.fetch_add(1, Ordering::Relaxed))
        })?;
        counter.reserve(conn)?;
        Ok(counter)
    }

    /// Gives out nothing below `next` any more.
    pub(super) fn raise(&self, next: i64) {
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    /// Makes sure that the next transaction finds enough numbers that are reserved.
    pub(super) fn reserve(&self, conn: &Connection) -> Result<()> {
        let next = self.next.load(Ordering::Relaxed);
        if next + MARGIN > self.reserved.load(Ordering::Relaxed) {
            conn.execute("UPDATE counter SET reserved = ?1", [next + BLOCK])?;
            self.reserved.store(next + BLOCK, Ordering::Relaxed);
        }
        Ok(())
    }
}
