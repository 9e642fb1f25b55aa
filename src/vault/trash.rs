//! The end of what is in the trash: its archives are deleted from their vault, and it is forgotten.
//!
//! Before the service is asked, the catalog notes that an archive is going: from then on it can't come back, so that no file
//! is ever left without its archive.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::Error;
use super::Vaults;
use crate::catalog;
use crate::catalog::Archive;
use crate::catalog::BILLED;
use crate::catalog::Ino;
use crate::catalog::Trashed;
use crate::catalog::Usage;
use crate::catalog::now;
use crate::prices::OVERHEAD;
use crate::service;
use crate::service::Kind;
use crate::service::Retention;
use crate::util::crash;
use crate::util::crash::Point;

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
    /// Deletes what may be deleted at `now`. Ends at the first sign that the service can't be reached; the next call goes on.
    pub(super) async fn empty_trash(&self, now: i64) {
        if let Err(error) = self.delete_due(now).await {
            log::warn!("the trash can't be emptied now: {error}");
        }
    }

    async fn delete_due(&self, now: i64) -> catalog::Result<()> {
        while self.catalog.prune_lost_names(now, BATCH)? == BATCH {
            tokio::task::yield_now().await;
        }
        loop {
            let due = self.catalog.trash_due(now, BATCH)?;
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
            // What somebody else is deleting isn't waited for.
            if due.len() < BATCH || purged.gone.is_empty() && purged.refused.is_empty() {
                return Ok(());
            }
        }
    }

    /// Deletes things of the trash for good, archives included. What came back meanwhile is left alone, and what somebody
    /// else is deleting.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn purge(&self, wanted: &[Trashed]) -> catalog::Result<Purged> {
        let mine = Going::new(&self.going, wanted);
        let going = self.catalog.trash_goes(&mine.inos, now())?;
        // Nor after a power cut, which may also undo the deletion of a file that was asked for just now.
        let catalog = self.catalog.clone();
        match tokio::task::spawn_blocking(move || catalog.sync()).await {
            Ok(synced) => synced?,
            // A panic in there was logged.
            Err(_) => return Ok(Purged::default()),
        }
        crash::at(Point::Going);
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
                    self.catalog.trash_stays(ino, trashed.due, None)?;
                }
                continue;
            }
            match self.service.delete_archive(&trashed.vault, &archive.archive_id).await {
                Ok(()) => {
                    crash::at(Point::ArchiveDeleted);
                    self.count_early(trashed, archive)?;
                    purged.gone.push(ino);
                }
                Err(error) if error.kind() == Kind::NotFound => purged.gone.push(ino),
                Err(error) if error.is_retryable() => {
                    if !error.outcome_is_unknown() && !trashed.going {
                        self.catalog.trash_stays(ino, trashed.due, None)?;
                    }
                    purged.broken = Some(error);
                }
                Err(error) => {
                    let error = error.to_string();
                    let due = self.possible(&trashed.vault, archive).await;
                    self.catalog.trash_stays(ino, due, Some(&error))?;
                    purged.refused.push((ino, error));
                }
            }
        }
        self.catalog.purged(&purged.gone, now())?;
        crash::at(Point::Purged);
        Ok(purged)
    }

    /// Counts a deletion before the day until which the archive is paid for.
    fn count_early(&self, trashed: &Trashed, archive: &Archive) -> catalog::Result<()> {
        let billed = i64::try_from(BILLED.as_nanos()).unwrap_or(i64::MAX);
        let left = archive.created.saturating_add(billed).saturating_sub(now());
        let days = left.max(0).unsigned_abs().div_ceil(DAY.unsigned_abs());
        let Some(vault) = trashed.inode.vault else { return Ok(()) };
        let bytes = (archive.size + OVERHEAD).saturating_mul(days);
        match days {
            0 => Ok(()),
            _ => self.catalog.count(vault, &trashed.path, Usage::EarlyDeletion, 1, bytes, now()),
        }
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
        let known = self.retentions.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
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
        let mut known = self.retentions.lock().unwrap_or_else(PoisonError::into_inner);
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

/// What is being deleted by one call, until it is dropped: no other call tells the catalog of it meanwhile.
struct Going<'a> {
    all: &'a Mutex<HashSet<Ino>>,
    inos: Vec<Ino>,
}

impl<'a> Going<'a> {
    fn new(all: &'a Mutex<HashSet<Ino>>, wanted: &[Trashed]) -> Self {
        let mut going = all.lock().unwrap_or_else(PoisonError::into_inner);
        let inos = wanted.iter().map(|trashed| trashed.inode.ino).filter(|ino| going.insert(*ino)).collect();
        Going { all, inos }
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        let mut going = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.inos.iter().for_each(|ino| _ = going.remove(ino));
    }
}

/// The time `days` after `time`, in nanoseconds since 1970: an archive's age counts whole days.
pub fn after_days(time: i64, days: u64) -> i64 {
    time.saturating_add(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::Kind as InodeKind;
    use crate::catalog::NewInode;
    use crate::catalog::Place;
    use crate::catalog::PutBack;
    use crate::catalog::Seal;
    use crate::service::fake;
    use crate::service::fake::Fake;
    use crate::service::fake::Op;
    use crate::service::fake::When;

    /// A vault with a file that was archived a hundred days ago, and deleted just now.
    fn deleted(dir: &Path) -> (Arc<Fake>, Arc<Catalog>, Arc<Vaults>, Ino) {
        let fake = Fake::new(&["v"]);
        let catalog = Arc::new(Catalog::open(&dir.join("catalog.db"), Duration::ZERO).expect("catalog"));
        let new = |kind: InodeKind, content| NewInode {
            mode: kind.bits() | 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: None,
            content,
        };
        let (root, _) = catalog.add_vault("v", "", new(InodeKind::Directory, None), 1).expect("vault");
        let made = catalog.create(root.ino, b"f", new(InodeKind::File, Some(7)), 1).expect("create");
        catalog.seal(&[Seal { content: 7, size: 1, mtime: 1, ctime: 1, due: 1 }]).expect("seal");
        let archive = Archive {
            row: 0,
            vault: root.vault.expect("a vault"),
            archive_id: fake.add_archive("v", "", "x"),
            size: 1,
            tree_hash: [0; 32],
            created: now() - 100 * DAY,
        };
        assert!(catalog.archived(7, 0, &archive, None, 2).expect("archived"));
        catalog.unlink(root.ino, b"f", now()).expect("unlink");
        catalog.drop_orphan(made.ino, now()).expect("drop");
        let vaults = Arc::new(Vaults::new(catalog.clone(), fake.clone(), dir.to_owned()));
        (fake, catalog, vaults, made.ino)
    }

    fn put_back(catalog: &Catalog, ino: Ino) -> Place {
        let how = PutBack { to: &|path| Some(path.to_vec()), beside: false, run: 1 };
        catalog.put_back(&[ino], &how).expect("put back").remove(0)
    }

    /// Promise: what a lock forbids to delete is asked for once, and then not before the lock allows it, or in a day where it
    /// doesn't say when; the reason is kept, and the file can come back.
    #[tokio::test]
    async fn a_refusal_is_put_off() {
        for (retention, days) in [(Retention::Days(365), 265), (Retention::Unknown("hold".to_owned()), 1)] {
            let tmp = tempfile::tempdir().expect("temporary directory");
            let (fake, catalog, vaults, ino) = deleted(tmp.path());
            fake.set_retention("v", retention);
            fake.fail(Op::DeleteArchive, None, 9, When::Before, fake::error(Kind::AccessDenied));
            vaults.empty_trash(now()).await;
            vaults.empty_trash(now()).await;
            assert_eq!(fake.calls(Op::DeleteArchive), 1);
            let stays = catalog.trashed(ino).expect("trash").expect("it is there");
            let wait = (stays.due - now()) as f64 / DAY as f64;
            assert!((wait - f64::from(days)).abs() < 0.01, "{wait} {days}");
            assert!(stays.error.expect("a reason").contains("AccessDenied"));
            assert!(matches!(put_back(&catalog, ino), Place::Back { .. }));
        }
    }

    /// Promise: nothing comes back whose archive may be gone: not while it is being deleted, nor after an answer that was
    /// lost; after a deletion that surely didn't happen it can.
    #[tokio::test]
    async fn nothing_comes_back_without_its_archive() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let (fake, catalog, vaults, ino) = deleted(tmp.path());
        fake.fail(Op::DeleteArchive, None, 1, When::Before, fake::error(Kind::Unavailable));
        vaults.empty_trash(now()).await;
        assert!(!catalog.trashed(ino).expect("trash").expect("it is there").going);

        let held = fake.hold(Op::DeleteArchive);
        let emptying = tokio::spawn({
            let vaults = vaults.clone();
            async move { vaults.empty_trash(now()).await }
        });
        held.reached(1).await;
        assert_eq!(put_back(&catalog, ino), Place::Going);
        // Somebody else leaves it alone.
        let all = catalog.trash_due(i64::MAX, 9).expect("trash");
        assert!(vaults.purge(&all).await.expect("purged").gone.is_empty());
        fake.fail(Op::DeleteArchive, None, 1, When::After, fake::error(Kind::Unavailable));
        drop(held);
        emptying.await.expect("no panic");
        assert!(fake.archives("v").is_empty());
        assert_eq!(put_back(&catalog, ino), Place::Going);
        vaults.empty_trash(now()).await;
        assert!(catalog.trashed(ino).expect("trash").is_none());
        assert_eq!(put_back(&catalog, ino), Place::Gone);
    }
}
