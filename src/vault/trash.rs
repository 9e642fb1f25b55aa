//! Deletes the archives of the trash whose time has come.

use super::Vaults;
use crate::catalog;
use crate::catalog::now;
use crate::service::Kind;

/// How long a deletion that the service refused is put off, in nanoseconds.
const LATER: i64 = 24 * 3600 * 1_000_000_000;
/// How many archives are looked at a time.
const BATCH: usize = 100;

impl Vaults {
    /// Deletes what may be deleted. Ends at the first sign that the service can't be reached; the next call goes on.
    pub(super) async fn empty_trash(&self) {
        if let Err(error) = self.delete_due().await {
            log::warn!("the trash can't be emptied now: {error}");
        }
    }

    async fn delete_due(&self) -> catalog::Result<()> {
        loop {
            let due = self.catalog.trash_due(now(), BATCH)?;
            for trashed in &due {
                let archive = &trashed.archive;
                match self.service.delete_archive(&trashed.vault, &archive.archive_id).await {
                    Ok(()) => self.catalog.purged(archive.row)?,
                    Err(error) if error.kind() == Kind::NotFound => self.catalog.purged(archive.row)?,
                    Err(error) if error.is_retryable() => {
                        log::warn!("the trash can't be emptied now: {error}");
                        return Ok(());
                    }
                    Err(error) => {
                        let path = String::from_utf8_lossy(&trashed.path);
                        log::warn!("the archive of {}/{path} can't be deleted yet: {error}", trashed.vault);
                        self.catalog.trash_later(archive.row, now().saturating_add(LATER))?;
                    }
                }
            }
            if due.len() < BATCH {
                return Ok(());
            }
        }
    }
}
