//! The end of what is in the trash: its archives are deleted from their vault, and it is forgotten.
//!
//! Before the service is asked, the catalog notes that an archive is going: from then on it can't come back, so that no file
//! is ever left without its archive.

use std::time::Duration;
use std::time::Instant;

use super::Error;
use super::Vaults;
use crate::catalog;
use crate::catalog::Archive;
use crate::catalog::Ino;
use crate::catalog::Trashed;
use crate::catalog::now;
use crate::service;
use crate::service::Kind;
use crate::service::Retention;

/// A day, in nanoseconds: how long a deletion that the service refused is put off, unless it is known how long it will be.
const DAY: i64 = 24 * 3600 * 1_000_000_000;
/// How many things are looked at a time.
const BATCH: usize = 100;
/// How long a vault's lock is known before it is asked for again.
const KNOWN: Duration = Duration::from_secs(60);
/// How long to wait for what a vault's lock says, before it is told that nobody knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of things that were to be deleted for good.
#[derive(Debug, Default)]
pub struct Purged {
    /// Those that are gone.
    pub gone: Vec<Ino>,
    /// Those that the service refused to delete, and why. They are tried again when they are due.
    pub refused: Vec<(Ino, String)>,
    /// What kept the rest from being deleted.
    pub broken: Option<service::Error>,
}

impl Vaults {
    /// Deletes what may be deleted. Ends at the first sign that the service can't be reached; the next call goes on.
    pub(super) async fn empty_trash(&self) {
        if let Err(error) = self.delete_due().await {
            log::warn!("the trash can't be emptied now: {error}");
        }
    }

    async fn delete_due(&self) -> catalog::Result<()> {
        while self.catalog.prune_lost_names(now(), BATCH)? == BATCH {
            tokio::task::yield_now().await;
        }
        loop {
            let due = self.catalog.trash_due(now(), BATCH)?;
            let purged = self.purge(&due).await?;
            for (ino, why) in &purged.refused {
                if let Some(trashed) = due.iter().find(|trashed| trashed.inode.ino == *ino) {
                    let path = String::from_utf8_lossy(&trashed.path);
                    log::warn!("the archive of {}/{path} can't be deleted yet: {why}", trashed.vault);
                }
            }
            if let Some(error) = purged.broken {
                log::warn!("the trash can't be emptied now: {error}");
                return Ok(());
            }
            if due.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// Deletes things of the trash for good, archives included. What came back meanwhile is left alone.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn purge(&self, wanted: &[Trashed]) -> catalog::Result<Purged> {
        let inos: Vec<Ino> = wanted.iter().map(|trashed| trashed.inode.ino).collect();
        let going = self.catalog.trash_goes(&inos)?;
        let mut purged = Purged::default();
        for trashed in wanted.iter().filter(|trashed| going.contains(&trashed.inode.ino)) {
            let ino = trashed.inode.ino;
            let Some(archive) = &trashed.archive else {
                purged.gone.push(ino);
                continue;
            };
            if purged.broken.is_some() {
                // The service wasn't asked now; it may have been before.
                if !trashed.going {
                    self.catalog.trash_stays(ino, None, None)?;
                }
                continue;
            }
            match self.service.delete_archive(&trashed.vault, &archive.archive_id).await {
                Ok(()) => purged.gone.push(ino),
                Err(error) if error.kind() == Kind::NotFound => purged.gone.push(ino),
                Err(error) if error.is_retryable() => {
                    if !error.outcome_is_unknown() && !trashed.going {
                        self.catalog.trash_stays(ino, None, None)?;
                    }
                    purged.broken = Some(error);
                }
                Err(error) => {
                    let error = error.to_string();
                    self.catalog.trash_stays(ino, Some(self.possible(&trashed.vault, archive).await), Some(&error))?;
                    purged.refused.push((ino, error));
                }
            }
        }
        self.catalog.purged(&purged.gone)?;
        Ok(purged)
    }

    /// When the deletion of an archive that was refused may be tried again.
    async fn possible(&self, vault: &str, archive: &Archive) -> i64 {
        let now = now();
        let possible = match self.retention(vault).await {
            Some(Retention::Days(days)) => after_days(archive.created, days),
            _ => now,
        };
        if possible > now { possible } else { now.saturating_add(DAY) }
    }

    /// What the lock of vault `name` says of deleting; none when the service doesn't say in time.
    pub async fn retention(&self, name: &str) -> Option<Retention> {
        let known = self.retentions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned();
        if let Some((_, retention)) = known.filter(|(asked, _)| asked.elapsed() < KNOWN) {
            return retention;
        }
        let retention = match tokio::time::timeout(PATIENCE, self.service.retention(name)).await {
            Ok(Ok(retention)) => Some(retention),
            Ok(Err(error)) => {
                log::debug!("{error}");
                None
            }
            Err(_) => None,
        };
        let mut known = self.retentions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(name.to_owned(), (Instant::now(), retention.clone()));
        retention
    }

    /// The vault called `name`.
    ///
    /// # Errors
    /// [`Error::Missing`], the catalog's.
    pub fn known(&self, name: &str) -> Result<catalog::Vault, Error> {
        self.catalog.vault(name)?.ok_or_else(|| Error::Missing(name.to_owned()))
    }
}

/// The time `days` after `time`, in nanoseconds since 1970: an archive's age counts whole days.
pub fn after_days(time: i64, days: u64) -> i64 {
    time.saturating_add(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY))
}
