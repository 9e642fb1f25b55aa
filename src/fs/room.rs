//! A full disk: give up cached bytes, wait while uploads make room, and say so when none can.
//!
//! What files may not take is the reserve: the catalog lives on the same disk, and removing, renaming, closing and archiving
//! files, which all make room or keep what there is, must never fail for want of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;

use super::Error;
use super::Fs;
use super::Result;
use crate::catalog::now;

/// How often a writer on a full disk looks whether there is room.
const INTERVAL: Duration = Duration::from_millis(200);
/// How often in a row nothing must be on its way before a writer is told: a file that was closed, or archived, a moment ago
/// isn't in the queue, and makes room all the same.
const HOPELESS: u32 = 3;

/// Answers whether an upload that is under way, or may begin, can be expected to succeed and make room.
pub type MayMakeRoom = Arc<dyn Fn() -> bool + Send + Sync>;

impl Fs {
    /// Waits until there is room on the disk under the spool for `bytes` more. What waits for its upload is due at once
    /// then, however long it was to rest.
    ///
    /// # Errors
    /// ENOSPC when nothing is on its way to the vault that would make room: the queue is empty, or its uploads
    /// are failing.
    pub async fn wait_for_room(&self, bytes: u64) -> Result<()> {
        let mut hopeless = 0;
        loop {
            if self.check_room(bytes).is_ok() {
                return Ok(());
            }
            self.catalog.make_due(None, false, now())?;
            self.sealed.notify_one();
            hopeless = if (self.settings.may_make_room)() { 0 } else { hopeless + 1 };
            if hopeless == HOPELESS {
                if !self.full.swap(true, Ordering::Relaxed) {
                    log::error!(
                        "the disk under the spool is full to its reserve of {} bytes, and no upload is making room: \
                         writers get ENOSPC",
                        self.settings.spool_reserve
                    );
                }
                return Err(Errno::ENOSPC.into());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Makes sure that `bytes` more leave the reserve alone, giving up cached bytes if they must go for it.
    pub(super) fn check_room(&self, bytes: u64) -> Result<()> {
        if !self.cache.ensure_room(bytes)? {
            return Err(Error::Full(bytes));
        }
        self.full.store(false, Ordering::Relaxed);
        Ok(())
    }
}
