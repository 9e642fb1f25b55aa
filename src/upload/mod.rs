//! From sealed to archived: the queue of uploads.
//!
//! The catalog is the queue: a sealed content whose time has come is uploaded, the longest waiting first, `requests` at a
//! time, and retried for ever. Nothing here has to survive a crash but what the catalog has: an upload that was interrupted
//! is found there again, and a multipart one goes on with the parts that the service lists.
//!
//! **Trouble** is of two kinds. Where the service can't be reached or doesn't accept us, the whole vault pauses, tries
//! again after a while with growing distance, and says so; where one file fails, that file waits and the rest goes on.
//!
//! **A file that changes meanwhile** isn't held up: writing reopens its content and counts up its generation, and the
//! archive of the old bytes, if it still comes to be, goes to the trash.

mod send;
mod wait;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use wait::NotArchived;
pub use wait::Patience;

use crate::cache::Cache;
use crate::catalog;
use crate::catalog::Archive;
use crate::catalog::Catalog;
use crate::catalog::ContentId;
use crate::catalog::Sealed;
use crate::catalog::Upload;
use crate::catalog::Usage;
use crate::catalog::VaultId;
use crate::service::ArchiveService;
use crate::service::Kind;
use crate::service::MULTIPART;
use crate::service::USUAL_PART;
use crate::store::Store;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::rate::Rate;
use crate::util::retry::Backoff;

/// Between tries of one file.
const FILE: Backoff = Backoff { first: Duration::from_secs(2), cap: Duration::from_secs(600) };
/// Between tries of a vault that isn't reachable.
const VAULT: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };
/// Between tries of a vault where somebody must change something first. Each try sends a file, maybe in vain.
const DENIED: Backoff = Backoff { first: Duration::from_secs(5), cap: Duration::from_secs(600) };
/// How many ends of tries may be untold to who waits for them; who misses one looks at the catalog a little later.
const UNTOLD: usize = 256;
/// How often uploads that nobody wants any more are aborted.
const TIDY: Duration = Duration::from_secs(60);

/// How often the queue and the clock are looked at, at least, while something waits.
const LOOK: Duration = Duration::from_secs(15);
/// From how many nanoseconds on a clock that goes back was set.
const STEP: i64 = 5_000_000_000;

/// How long a new file waits for others before the queue is looked at.
const GATHER: Duration = Duration::from_millis(20);

/// What the queue is told when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Requests under way at a time.
    pub requests: usize,
    /// Bytes of a part, a power of two of MiB; none: as fits the file.
    pub part_size: Option<u64>,
}

/// The queue of uploads.
pub struct Uploads {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    service: Arc<dyn ArchiveService>,
    settings: Settings,
    /// One for each request under way, be it a file or a part.
    requests: Semaphore,
    /// Rung when something new waits.
    sealed: Arc<Notify>,
    /// Tells how tries end.
    ended: broadcast::Sender<wait::Ended>,
    active: Mutex<HashMap<ContentId, Arc<Active>>>,
    paused: Mutex<HashMap<VaultId, Pause>>,
    rate: Arc<Rate>,
    archived: AtomicU64,
    archived_bytes: AtomicU64,
}

/// A file that is being uploaded.
#[derive(Debug)]
pub struct Active {
    /// Its content.
    pub content: ContentId,
    /// Its vault.
    vault: VaultId,
    /// Its path from the mount's root.
    pub path: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// What the last failed try said.
    pub error: Option<String>,
    since: Instant,
    sent: AtomicU64,
    /// When something was sent last, in milliseconds from `since`.
    moved: AtomicU64,
}

impl Active {
    /// Bytes sent so far; more than there are when some had to be sent again.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How long nothing has been sent.
    pub fn idle(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)))
    }

    fn has_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.moved.store(self.since.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

/// A vault whose uploads wait.
#[derive(Clone, Debug)]
pub struct Pause {
    /// The vault's name.
    pub vault: String,
    /// What the service said.
    pub reason: String,
    /// Since when it doesn't work.
    pub since: Timestamp,
    /// Whether somebody must change something before it can work again.
    pub permanent: bool,
    /// When it is tried again.
    until: i64,
    failures: u32,
}

impl Pause {
    /// When it is tried again by itself.
    pub fn retry(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.until.into()).unwrap_or_default()
    }

    /// Whether there is nothing to wait for: somebody must change something, and the last try, after which nobody hurried
    /// the next, has shown that it wasn't done yet.
    pub fn is_hopeless(&self) -> bool {
        self.permanent && self.until > catalog::now()
    }
}

/// Why an upload didn't end in an archive.
enum Failure {
    /// The content is another one meanwhile.
    Unwanted,
    /// This file can't be uploaded now.
    File(String),
    /// Nothing can be uploaded to this vault now; if permanent, not before somebody changes something.
    Vault { reason: String, permanent: bool },
}

impl From<crate::service::Error> for Failure {
    fn from(error: crate::service::Error) -> Self {
        let vault = |permanent| Failure::Vault { reason: error.to_string(), permanent };
        match error.kind() {
            Kind::VaultMissing => {
                let reason = format!(
                    "{error}; somebody has deleted it: `glacierfs vault create` makes it again, and what waits here goes into it"
                );
                Failure::Vault { reason, permanent: true }
            }
            Kind::AccessDenied => vault(true),
            // Those that have run out may be renewed by themselves.
            Kind::Credentials => vault(!error.is_retryable()),
            Kind::Unavailable | Kind::ClockSkew | Kind::Quota => vault(false),
            _ => Failure::File(error.to_string()),
        }
    }
}

impl From<catalog::Error> for Failure {
    fn from(error: catalog::Error) -> Self {
        Failure::File(error.to_string())
    }
}

impl Uploads {
    /// The queue of what `catalog` says is sealed. `sealed` is rung when there is more.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        cache: Arc<Cache>,
        service: Arc<dyn ArchiveService>,
        sealed: Arc<Notify>,
        settings: Settings,
    ) -> Self {
        Uploads {
            catalog,
            store,
            cache,
            service,
            settings,
            requests: Semaphore::new(settings.requests),
            sealed,
            ended: broadcast::Sender::new(UNTOLD),
            active: Mutex::default(),
            paused: Mutex::default(),
            rate: Arc::default(),
            archived: AtomicU64::new(0),
            archived_bytes: AtomicU64::new(0),
        }
    }

    /// Uploads what is due until `stopping` says so; uploads under way are given up then, and go on at the next start.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut tidy = tokio::time::interval(TIDY);
        let (mut told, mut at) = (catalog::now(), Instant::now());
        loop {
            let now = catalog::now();
            let expected = told.saturating_add(i64::try_from(at.elapsed().as_nanos()).unwrap_or(i64::MAX));
            (told, at) = (now, Instant::now());
            if expected.saturating_sub(now) > STEP {
                self.clock_set_back(expected - now, now);
            }
            for sealed in self.next(now) {
                let active = Arc::new(Active {
                    content: sealed.content.id,
                    vault: sealed.content.vault,
                    path: [sealed.vault.as_bytes(), b"/", sealed.path.as_slice()].concat(),
                    size: sealed.content.size,
                    attempt: sealed.content.tries + 1,
                    error: sealed.content.error.clone(),
                    since: Instant::now(),
                    sent: AtomicU64::new(0),
                    moved: AtomicU64::new(0),
                });
                lock(&self.active).insert(sealed.content.id, active.clone());
                tasks.spawn(self.clone().upload(sealed, active));
            }
            tokio::select! {
                () = self.gathered() => {}
                () = self.until_next(now) => {}
                Some(_) = tasks.join_next() => while tasks.try_join_next().is_some() {},
                _ = tidy.tick() => { tasks.spawn(self.clone().tidy()); }
                // That the sender is gone means the same.
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Makes what waits due now: `contents`, or everything. What has failed and the vaults that pause are tried again at
    /// once too if `failed_too`; otherwise they keep their distance, so that whoever asks every second doesn't make a
    /// service that refuses us be asked every second.
    ///
    /// # Errors
    /// The catalog's.
    pub fn hurry(&self, contents: Option<&[ContentId]>, failed_too: bool) -> catalog::Result<()> {
        if failed_too {
            for pause in lock(&self.paused).values_mut() {
                pause.until = 0;
            }
        }
        self.catalog.make_due(contents, failed_too, catalog::now())?;
        self.sealed.notify_one();
        Ok(())
    }

    /// Tries the vault called `name` at once, if it pauses: somebody has done something about its trouble.
    pub fn try_again(&self, name: &str) {
        lock(&self.paused).values_mut().filter(|pause| pause.vault == name).for_each(|pause| pause.until = 0);
        self.sealed.notify_one();
    }

    /// What is being uploaded, the oldest first.
    pub fn active(&self) -> Vec<Arc<Active>> {
        let mut active: Vec<_> = lock(&self.active).values().cloned().collect();
        active.sort_by_key(|file| file.since);
        active
    }

    /// The vaults whose uploads wait for the service.
    pub fn paused(&self) -> Vec<Pause> {
        lock(&self.paused).values().cloned().collect()
    }

    /// Whether something that waits, or is under way, can be expected to be archived soon: it hasn't failed, and its vault
    /// doesn't pause.
    pub fn may_progress(&self) -> bool {
        let paused: HashSet<VaultId> = lock(&self.paused).keys().copied().collect();
        self.catalog.uploads_may_progress(&|vault| paused.contains(&vault)).unwrap_or_else(|error| {
            log::error!("the queue of uploads can't be read: {error}");
            false
        })
    }

    /// Bytes a second that are being sent.
    pub fn rate(&self) -> f64 {
        self.rate.per_second()
    }

    /// Files and bytes archived since the start.
    pub fn archived(&self) -> (u64, u64) {
        (self.archived.load(Ordering::Relaxed), self.archived_bytes.load(Ordering::Relaxed))
    }

    /// The clock was far ahead, and is right now: nothing waits for the time that it showed.
    fn clock_set_back(&self, by: i64, now: i64) {
        log::warn!("the clock was set back by {} s", by / 1_000_000_000);
        for pause in lock(&self.paused).values_mut() {
            pause.until = pause.until.saturating_sub(by);
        }
        if let Err(error) = self.catalog.clock_set_back(by, now) {
            log::error!("what waits for its upload may wait too long, since the clock was set back: {error}");
        }
    }

    /// What can be begun now.
    fn next(&self, now: i64) -> Vec<Sealed> {
        let busy: HashMap<ContentId, VaultId> = lock(&self.active).iter().map(|(id, file)| (*id, file.vault)).collect();
        let free = self.settings.requests.saturating_sub(busy.len());
        if free == 0 {
            return Vec::new();
        }
        // While a vault is being tried again, one file at a time is enough.
        let paused: HashMap<VaultId, bool> =
            lock(&self.paused).iter().map(|(id, pause)| (*id, pause.until > now)).collect();
        let trying: RefCell<HashSet<VaultId>> = RefCell::new(busy.values().copied().collect());
        let skip = |id: ContentId, vault: VaultId| {
            busy.contains_key(&id)
                || match paused.get(&vault) {
                    None => false,
                    Some(true) => true,
                    Some(false) => !trying.borrow_mut().insert(vault),
                }
        };
        self.catalog.due(now, free, &skip).unwrap_or_else(|error| {
            log::error!("the queue of uploads can't be read: {error}");
            Vec::new()
        })
    }

    /// Waits until something new was sealed. Files are often closed by the hundred: one look at the queue serves many.
    async fn gathered(&self) {
        self.sealed.notified().await;
        tokio::time::sleep(GATHER).await;
    }

    /// Waits until something becomes due, or a pause ends.
    async fn until_next(&self, now: i64) {
        let due = self.catalog.next_due(now).ok().flatten();
        let paused = lock(&self.paused).values().map(|pause| pause.until).filter(|until| *until > now).min();
        match due.into_iter().chain(paused).min() {
            None => std::future::pending().await,
            Some(at) => {
                // Not longer than this, so that a stepped clock or a suspended machine delays nothing for long.
                let wait = Duration::from_nanos(at.saturating_sub(now).max(0) as u64).min(LOOK);
                tokio::time::sleep(wait).await;
            }
        }
    }

    async fn upload(self: Arc<Self>, sealed: Sealed, active: Arc<Active>) {
        let _busy = Busy { uploads: &self, content: sealed.content.id };
        let result = self.send(&sealed, &active).await;
        let content = &sealed.content;
        let mut refused = None;
        let outcome = match result {
            Ok(archive) => self.record(&sealed, archive),
            Err(Failure::Unwanted) => Ok(()),
            Err(Failure::File(reason)) => {
                log::warn!("{} isn't archived yet, and will be tried again: {reason}", show(&active.path));
                let due = later(FILE.wait(content.tries + 1));
                let noted = self.catalog.upload_failed(content.id, content.generation, &reason, due);
                refused = Some(reason);
                noted
            }
            Err(Failure::Vault { reason, permanent }) => {
                self.pause(&sealed, &reason, permanent);
                let noted = self.catalog.upload_failed(content.id, content.generation, &reason, catalog::now());
                refused = Some(reason).filter(|_| permanent);
                noted
            }
        };
        if let Err(error) = outcome {
            log::error!("the catalog can't record an upload, which will be repeated: {error}");
        }
        // Nobody may be waiting.
        let _ = self.ended.send(wait::Ended { content: content.id, refused });
    }

    fn record(&self, sealed: &Sealed, archive: Archive) -> catalog::Result<()> {
        let content = &sealed.content;
        if let Some(pause) = lock(&self.paused).remove(&content.vault) {
            log::info!("uploads to vault {} go on; they waited since {}", pause.vault, pause.since);
        }
        let file = Some((&sealed.inode, sealed.path.as_slice()));
        if self.catalog.archived(content.id, content.generation, &archive, file, catalog::now())? {
            crash::at(Point::Archived);
            self.cache.archived(content.id, content.size);
            self.archived.fetch_add(1, Ordering::Relaxed);
            self.archived_bytes.fetch_add(content.size, Ordering::Relaxed);
            log::debug!("archived {} as {}", show(&sealed.path), archive.archive_id);
        }
        let requests = self.requests_for(content.size);
        self.catalog.count(content.vault, &sealed.path, Usage::Upload, requests, content.size, catalog::now())
    }

    /// How many requests an archive of `size` bytes takes, if none is repeated: one, or those for its parts, their beginning and
    /// their end.
    fn requests_for(&self, size: u64) -> u64 {
        let part_size = self.service.limits().part_size(size, self.settings.part_size.unwrap_or(USUAL_PART));
        match part_size {
            Some(part_size) if size >= MULTIPART => 2 + size.div_ceil(part_size),
            _ => 1,
        }
    }

    fn pause(&self, sealed: &Sealed, reason: &str, permanent: bool) {
        let backoff = if permanent { DENIED } else { VAULT };
        let mut paused = lock(&self.paused);
        let now = catalog::now();
        let pause = paused.entry(sealed.content.vault).or_insert_with(|| {
            let (vault, since) = (sealed.vault.clone(), Timestamp::now());
            Pause { vault, reason: String::new(), since, permanent, until: 0, failures: 0 }
        });
        // Once for each trouble, however long it lasts.
        if pause.failures == 0 || pause.permanent != permanent {
            log::warn!("uploads to vault {} wait, and are tried again by themselves: {reason}", sealed.vault);
        }
        // Several requests that failed together are one failure.
        if pause.until <= now {
            pause.failures += 1;
            pause.until = later(backoff.wait(pause.failures));
        }
        pause.permanent = permanent;
        pause.reason = reason.to_owned();
    }

    /// Aborts uploads whose content was overwritten or deleted.
    async fn tidy(self: Arc<Self>) {
        for (upload, vault) in self.catalog.unwanted_uploads().unwrap_or_default() {
            if !lock(&self.active).contains_key(&upload.content) {
                self.abort(&upload, &vault).await;
            }
        }
    }

    /// Gives up an upload in parts. One that can't be given up now is at the next [`TIDY`].
    async fn abort(&self, upload: &Upload, vault: &str) {
        match self.service.abort(vault, &upload.upload_id).await {
            Ok(()) => {}
            // The service has forgotten it before us.
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::VaultMissing) => {}
            Err(error) => return log::debug!("an upload to {vault} that nobody wants can't be aborted now: {error}"),
        }
        crash::at(Point::UploadAborted);
        if let Err(error) = self.catalog.upload_gone(&upload.upload_id) {
            log::warn!("an aborted upload can't be forgotten: {error}");
        }
    }
}

/// Marks a content as being uploaded until it is dropped, however the upload ends.
struct Busy<'a> {
    uploads: &'a Uploads,
    content: ContentId,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.uploads.active).remove(&self.content);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `wait` from now, in nanoseconds since 1970.
fn later(wait: Duration) -> i64 {
    catalog::now().saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX))
}

/// A path for the log.
fn show(path: &[u8]) -> impl std::fmt::Display {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests;
