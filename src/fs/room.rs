//! A full disk: wait while uploads make room, and say so when none can.

use std::time::Duration;

use super::Error;
use super::Fs;
use super::Result;

/// How often a writer on a full disk looks whether there is room.
const INTERVAL: Duration = Duration::from_millis(200);

impl Fs {
    /// Waits until the disk under the spool has room again.
    ///
    /// # Errors
    /// [`Error::Full`] when nothing is on its way to the vault that would make room: the queue is empty, or its uploads
    /// are failing.
    pub async fn wait_for_room(&self) -> Result<()> {
        loop {
            if self.check_room().is_ok() {
                return Ok(());
            }
            if !self.catalog.uploads_may_progress()? {
                log::error!("the disk under the spool is full, and no upload is making room");
                return Err(Error::Full);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
