//! A vault's inventory: asked for, waited for, and held against the catalog.
//!
//! What the inventory names and the catalog doesn't know becomes files. Nothing is ever deleted on its strength: it lags by
//! up to a day.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::Error;
use super::SnapshotReport;
use super::Vaults;
use super::listed::Listed;
use super::listed::short;
use crate::catalog::Adopted;
use crate::catalog::KnownArchive;
use crate::catalog::OWN_DIRECTORY;
use crate::catalog::Vault;
use crate::catalog::now;
use crate::fs::Invalidate;
use crate::service;
use crate::service::ArchiveRecord;
use crate::service::InventoryItem;
use crate::service::JobKind;
use crate::service::JobStatus;
use crate::service::Kind as Trouble;
use crate::service::description;
use crate::service::description::Description;
use crate::service::description::Origin;
use crate::util::crash;
use crate::util::crash::Point;

/// The first wait between two looks at a job, and the longest; each is a tenth longer than the one before.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(300));
/// What an inventory is for that is brought into the catalog.
const RECONCILE: &str = "inventory";
/// How many archives become files in one transaction.
pub(super) const BATCH: usize = 500;
/// How long the inventory of a service usually takes.
pub(super) const USUAL: Duration = Duration::from_secs(4 * 3600);

/// How far the inventory of a vault is.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The vault.
    pub vault: String,
    /// How far it is.
    pub state: InventoryState,
    /// The job.
    pub job_id: Option<String>,
    /// When the job was started.
    pub started: Option<Timestamp>,
    /// When it may be done.
    pub eta: Option<Timestamp>,
    /// When the inventory was taken.
    pub date: Option<String>,
    /// What came of the newest snapshot, on a rebuild.
    pub snapshot: Option<SnapshotReport>,
    /// Whether the tree is to come from the newest snapshot first.
    restore: bool,
}

/// How far an inventory is.
#[derive(Clone, Debug)]
pub enum InventoryState {
    /// The job is to be started, or under way.
    Waiting,
    /// It is in the catalog.
    Done(Report),
    /// It isn't.
    Failed(String),
}

/// What came of an inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Archives in the inventory.
    pub archives: u64,
    /// Those that the catalog had.
    pub known: u64,
    /// Those that became files.
    pub added: u64,
    /// Those of them that are in `.unnamed/`: nothing names them, or their name belongs to a directory, say.
    pub unnamed: u64,
    /// Those of them whose bytes another tool compressed or encrypted; they are shown as they are.
    pub packed: u64,
    /// Those whose name or content another, newer one has; they are in the trash.
    pub duplicates: u64,
    /// Archives of the catalog that the inventory lacks: too new for it, or gone.
    pub missing: u64,
    /// Those that were deleted after the inventory was taken.
    pub deleted: u64,
}

impl Vaults {
    /// Starts the inventories of the vaults `names`, or reports on those that were started. Ended ones are reported until
    /// all of `names` have ended, so that whoever asks for several sees the result of each; the call that sees the last one
    /// end reports on all for the last time, and the next call starts others. With `restore`, trees come back from their vaults'
    /// newest snapshots first, unless the inventory is through already.
    ///
    /// # Errors
    /// [`Error::Missing`], the catalog's; nothing is started then.
    pub fn inventory(&self, names: &[&str], restore: bool) -> Result<Vec<Inventory>, Error> {
        for name in names {
            if self.catalog.vault(name)?.is_none() {
                return Err(Error::Missing((*name).to_owned()));
            }
        }
        let mut inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |name: &str| {
            self.asked.notify_one();
            Inventory {
                vault: name.to_owned(),
                state: InventoryState::Waiting,
                job_id: None,
                started: None,
                eta: None,
                date: None,
                snapshot: None,
                restore,
            }
        };
        let mut report = |name: &&str| {
            let one = inventories.entry((*name).to_owned()).or_insert_with(|| start(name));
            one.restore |= restore;
            one.clone()
        };
        let reports: Vec<Inventory> = names.iter().map(&mut report).collect();
        if reports.iter().all(|one| !matches!(one.state, InventoryState::Waiting)) {
            inventories.retain(|name, _| !names.contains(&name.as_str()));
        }
        Ok(reports)
    }

    /// The inventories that are under way.
    pub fn inventories(&self) -> Vec<Inventory> {
        let inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        inventories.values().filter(|one| matches!(one.state, InventoryState::Waiting)).cloned().collect()
    }

    /// Sets to work on the inventories that were asked for and have no job yet.
    pub(super) fn start_inventories(self: Arc<Self>) {
        for one in self.inventories() {
            // Noting the time marks it as taken.
            if one.started.is_none() {
                self.update(&one.vault, |one| one.started = Some(Timestamp::now()));
                let vaults = self.clone();
                tokio::spawn(async move {
                    let state = match vaults.take_inventory(&one.vault).await {
                        Ok(report) => InventoryState::Done(report),
                        Err(error) => InventoryState::Failed(error.to_string()),
                    };
                    vaults.update(&one.vault, |one| one.state = state);
                });
            }
        }
    }

    fn update(&self, vault: &str, change: impl FnOnce(&mut Inventory)) {
        let mut inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = inventories.get_mut(vault) {
            change(one);
        }
    }

    async fn take_inventory(self: &Arc<Self>, name: &str) -> Result<Report, Error> {
        let (vault, listed, date) = self.listed(name, RECONCILE).await?;
        let report = self.bring_in(&vault, listed).await?;
        let date = date.map_or_else(|| "an unknown time".to_owned(), |date| date.to_string());
        self.catalog.inventory_reconciled(vault.id, &date)?;
        let vaults = self.clone();
        blocking(move || {
            while vaults.catalog.forget_gone(vault.id, now(), BATCH)? == BATCH {}
            Ok(())
        })
        .await?;
        self.update(name, |one| one.date = Some(date.clone()));
        log::info!(
            "inventory of {name} as of {}: {} archives, {} new files ({} without a name, {} compressed or encrypted by \
             another tool), {} duplicates, {} missing",
            date,
            report.archives,
            report.added,
            report.unnamed,
            report.packed,
            report.duplicates,
            report.missing
        );
        Ok(report)
    }

    /// Waits for an inventory of vault `name`: what it lists, and when it was taken. `purpose` tells it from others that are
    /// read at the same time.
    pub(super) async fn listed(&self, name: &str, purpose: &str) -> Result<(Vault, Listed, Option<Timestamp>), Error> {
        let vault = self.catalog.vault(name)?.ok_or_else(|| Error::Missing(name.to_owned()))?;
        let job = self.inventory_job(name, purpose).await?;
        let mut items = self.service.inventory(name, &job).await?;
        let broken = |error: &dyn std::fmt::Display| Error::Reconcile(error.to_string());
        let path = self.scratch.join(format!("{purpose}-{}.tmp", vault.id));
        let mut listed = Listed::create(&path).map_err(|error| broken(&error))?;
        let mut date = None;
        loop {
            let mut archives = Vec::with_capacity(BATCH);
            while archives.len() < BATCH {
                match items.try_next().await? {
                    Some(InventoryItem::Generated(at)) => date = Some(at),
                    Some(InventoryItem::Archive(archive)) => archives.push(archive),
                    None => break,
                }
            }
            let ended = archives.len() < BATCH;
            let pushed = tokio::task::spawn_blocking(move || listed.push(archives).map(|()| listed)).await;
            listed = pushed.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
            if ended {
                break;
            }
        }
        Ok((vault, listed, date))
    }

    /// A finished inventory job: one that exists, whoever started it, or a new one that is waited for.
    async fn inventory_job(&self, name: &str, purpose: &str) -> Result<String, Error> {
        let mut under_way: Option<service::Job> = None;
        let mut pages = self.service.jobs(name);
        while let Some(page) = pages.try_next().await? {
            let of_it = |job: &service::Job| job.kind == JobKind::Inventory && job.status == JobStatus::InProgress;
            under_way = page.into_iter().filter(of_it).chain(under_way).max_by_key(|job| job.created);
        }
        let (id, started) = match under_way {
            Some(job) => (job.id, job.created),
            None => {
                let asked = self.service.request_inventory(name).await.map_err(|error| match error.kind() {
                    Trouble::NotFound => service::Error::new(
                        Trouble::NotFound,
                        false,
                        format!(
                            "vault {name} has no inventory yet: the service takes the first one about a day after the \
                             first upload ({error})"
                        ),
                    ),
                    _ => error,
                })?;
                (asked, Timestamp::now())
            }
        };
        if purpose == RECONCILE {
            self.update(name, |one| {
                one.job_id = Some(id.clone());
                one.started = Some(started);
                one.eta = started.checked_add(USUAL).ok();
            });
        }
        let mut wait = LOOK.0;
        loop {
            match self.service.job(name, &id).await {
                Ok(job) => match job.status {
                    JobStatus::Succeeded => return Ok(id),
                    JobStatus::Failed(reason) => {
                        let message = format!("the inventory job of {name} failed: {reason}");
                        return Err(service::Error::new(Trouble::Invalid, false, message).into());
                    }
                    JobStatus::InProgress => {}
                },
                // Hours lie ahead: a service that can't be reached now is no reason to give up.
                Err(error) if error.is_retryable() => log::debug!("{error}"),
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(1.1).min(LOOK.1);
        }
    }

    /// Brings what an inventory lists into the catalog; on a rebuild what the newest snapshot tells of comes first.
    async fn bring_in(self: &Arc<Self>, vault: &Vault, mut listed: Listed) -> Result<Report, Error> {
        let restore = self.restore.get().filter(|_| self.is_to_restore(&vault.name)).cloned();
        let (vaults, whose) = (self.clone(), vault.clone());
        let own_first = restore.is_some();
        // A million archives take the catalog a while.
        let (listed, own) = blocking(move || {
            // The newest first: of several with one name it gets the name.
            listed.sort().map_err(|error| Error::Reconcile(error.to_string()))?;
            let is_own = |known: &KnownArchive| {
                own_first
                    && known.path.as_ref().is_some_and(|path| path.first().is_some_and(|top| top == OWN_DIRECTORY))
            };
            let own = vaults.adopt(&whose, &listed, is_own)?;
            Ok((listed, own))
        })
        .await?;
        let mut restored = match &restore {
            Some(restore) => restore.clone().restore(vault).await?,
            None => None,
        };
        let (vaults, whose) = (self.clone(), vault.clone());
        let (report, restored) = blocking(move || {
            let report = vaults.reconcile(&whose, &listed)?;
            if let (Some(restore), Some(restored)) = (restore, &mut restored) {
                restore.finish(&whose, restored)?;
            }
            Ok((report, restored))
        })
        .await?;
        self.update(&vault.name, |one| one.snapshot = restored.map(|restored| restored.report));
        // Those that came in first are known to the second look.
        Ok(Report { added: report.added + own.added, known: report.known.saturating_sub(own.added), ..report })
    }

    fn is_to_restore(&self, vault: &str) -> bool {
        let inventories = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        inventories.get(vault).is_some_and(|one| one.restore)
    }

    fn reconcile(&self, vault: &Vault, listed: &Listed) -> Result<Report, Error> {
        let mut missing = 0;
        let there = listed.short_ids();
        self.catalog.for_each_archive(vault.id, |archive| {
            missing += u64::from(there.binary_search(&short(&archive.archive_id)).is_err());
        })?;
        drop(there);
        Ok(Report { missing, ..self.adopt(vault, listed, |_| true)? })
    }

    /// Makes files of those archives in a sorted list that `which` holds for.
    fn adopt(&self, vault: &Vault, listed: &Listed, which: impl Fn(&KnownArchive) -> bool) -> Result<Report, Error> {
        let broken = |error: std::io::Error| Error::Reconcile(error.to_string());
        let mut report = Report { archives: listed.len() as u64, ..Report::default() };
        for first in (0..listed.len()).step_by(BATCH) {
            let batch = listed.batch(first, BATCH).map_err(broken)?;
            let wanted = batch.iter().map(known_archive).filter(|(known, _)| which(known));
            let (batch, packed): (Vec<KnownArchive>, Vec<bool>) = wanted.unzip();
            if batch.is_empty() {
                continue;
            }
            let adopted = self.catalog.adopt(vault.id, &batch, now())?;
            crash::at(Point::Reconciled);
            for (adopted, is_packed) in adopted.into_iter().zip(packed) {
                match adopted {
                    Adopted::Known => report.known += 1,
                    Adopted::Duplicate => report.duplicates += 1,
                    Adopted::Deleted => report.deleted += 1,
                    Adopted::Added { dir, name, ino, is_unnamed, folder } => {
                        report.added += 1;
                        report.unnamed += u64::from(is_unnamed);
                        report.packed += u64::from(is_packed);
                        if let Some((dir, name)) = folder {
                            self.changed(dir, &name);
                        }
                        self.changed(dir, &name);
                        self.tell(&Invalidate::Inode(ino));
                    }
                }
            }
        }
        Ok(report)
    }
}

/// Does what takes a while on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Reconcile(error.to_string()))?
}

/// What an archive's description makes of it, and whether another tool compressed or encrypted its bytes.
pub(super) fn known_archive(listed: &ArchiveRecord) -> (KnownArchive, bool) {
    let mut is_packed = false;
    let mut known = KnownArchive {
        archive_id: listed.archive_id.clone(),
        size: listed.size,
        tree_hash: listed.tree_hash.0,
        created: nanos(listed.created.as_nanosecond()),
        content: None,
        path: None,
        is_folder: false,
        mode: None,
        owner: None,
        mtime: None,
    };
    match description::parse(&listed.description) {
        None => {}
        Some(Description::Foreign(foreign)) => {
            // Nobody would see it among our own files.
            known.path =
                Some(components(&foreign.path)).filter(|path| path.first().is_some_and(|top| top != OWN_DIRECTORY));
            known.is_folder = foreign.is_folder;
            known.mtime = foreign.mtime(listed.created).map(|time| nanos(time.as_nanosecond()));
            is_packed = foreign.is_compressed || foreign.is_encrypted;
            if is_packed {
                let path = foreign.path.escape_ascii();
                log::debug!("archive {} ({path}) is compressed or encrypted by another tool", listed.archive_id);
            }
        }
        Some(Description::Own { meta, partial }) => {
            known.content = i64::try_from(meta.content_key).ok().filter(|id| *id > 0);
            known.mode = Some(meta.mode);
            known.owner = Some((meta.uid, meta.gid));
            known.mtime = Some(nanos(i128::from(meta.mtime_secs) * 1_000_000_000 + i128::from(meta.mtime_nanos)));
            known.path = description::safe_path(&meta.path, Origin::Own).map(|path| {
                let mut components = components(&path);
                if partial {
                    // Its leading directories didn't fit into the description.
                    components.insert(0, b".partial".to_vec());
                }
                components
            });
        }
    }
    (known, is_packed)
}

fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

pub(super) fn nanos(time: i128) -> i64 {
    time.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
