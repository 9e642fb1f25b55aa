//! From the vault back to the local disk: retrieval jobs, planned, waited for, fetched and verified.
//!
//! The catalog is the queue here too: a retrieval is planned as a row, accepted by the service, ready, fetched, gone. So a
//! range that is asked for twice is retrieved once, whoever asks; a restart adopts what was under way; and a tree of a
//! million files takes rows, not memory.
//!
//! Three loops work on it, and wake each other: `ask` starts jobs, `poll` finds out which are ready, `fetch` brings
//! their output into the store. Whoever waits for bytes does so on their content's events.
//!
//! **Verified.** Not a byte is marked as local before its hash was compared: of the whole archive with what the catalog
//! knows from its upload or the inventory, of a part of it with the tree hash that the service gives for that range.

mod adopt;
mod ask;
mod expect;
mod fetch;
mod hear;
mod plan;
mod poll;
mod restore;
mod trouble;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use lru::LruCache;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::ContentId;
use crate::catalog::Job;
use crate::catalog::JobState;
use crate::catalog::Planned;
use crate::catalog::Terms;
use crate::catalog::now;
use crate::prices::Prices;
use crate::service::ArchiveService;
use crate::service::Tier;
use crate::store::Store;
use crate::util::budget::Budget;
use crate::util::budget::Over;
use crate::util::budget::Spent;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::rate::Rate;
use crate::util::retry::Backoff;
use crate::util::size::GIB;

use expect::Expectations;
use hear::Hearing;
pub use restore::Estimate;
pub use trouble::Trouble;
use trouble::Troubles;

/// Requests under way at a time, of each of the three loops.
const REQUESTS: usize = 8;
/// How many failed recalls are remembered, so that `restore` can tell of them.
const FAILURES: usize = 1000;
/// How many jobs [`Recall::jobs`] tells of.
const SHOWN: usize = 100;
/// Between tries while the service can't be reached.
const RETRY: Backoff =
    Backoff { first: Duration::from_millis(if cfg!(test) { 20 } else { 1000 }), cap: Duration::from_secs(60) };

/// What recalls are told when they start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Archives up to this many bytes are retrieved whole, larger ones in ranges of this size: a power of two of MiB.
    pub window: u64,
    /// The tier of retrievals that reads start.
    pub tier: Tier,
    /// Whether a retrieval is asked for at the standard tier when there is no capacity for an expedited one.
    pub tier_fallback: bool,
    /// What may be spent on retrievals.
    pub budget: Budget,
    /// What they cost.
    pub prices: Prices,
}

impl Default for Settings {
    /// Windows of 1 GiB, the standard tier, no limit, the prices of Northern Virginia.
    fn default() -> Self {
        Settings {
            window: GIB,
            tier: Tier::default(),
            tier_fallback: false,
            budget: Budget::default(),
            prices: Prices::built_in("us-east-1"),
        }
    }
}

/// Why bytes can't be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The service said no, or sent something else than was stored.
    #[error("{0}")]
    Failed(String),
    /// The content isn't in the vault, and not here either.
    #[error("content {0:016x} is neither local nor archived")]
    Lost(ContentId),
    /// The budget doesn't allow it.
    #[error("{0}")]
    Over(Over),
    /// The catalog failed.
    #[error("{0}")]
    Catalog(Arc<catalog::Error>),
}

impl Error {
    /// Whether no file has the content any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, Error::Catalog(error) if matches!(**error, catalog::Error::NotFound))
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        Error::Catalog(Arc::new(error))
    }
}

/// What happened to a content that somebody waits for.
#[derive(Clone, Debug, Default)]
enum Event {
    /// Nothing yet.
    #[default]
    Nothing,
    /// More of it is local.
    Progress,
    /// A retrieval of it failed.
    Failed(String),
    /// A retrieval of it was to be asked for on another day than it was counted for, whose budget is used up.
    Over(Over),
    /// No file has it any more.
    Gone,
}

/// A retrieval under way, for people.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The service's name for it, once accepted.
    pub job_id: Option<String>,
    /// The vault's name.
    pub vault: String,
    /// The content that it is for, if a file still has it.
    pub content: Option<ContentId>,
    /// The tier.
    pub tier: String,
    /// First byte of the archive.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
    /// Bytes fetched so far.
    pub received: u64,
    /// Whether its output is being fetched, or about to be.
    pub ready: bool,
    /// When it was asked for.
    pub created: Timestamp,
    /// When its output may be ready.
    pub eta: Option<Timestamp>,
}

/// Brings bytes back.
pub struct Recall {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    service: Arc<dyn ArchiveService>,
    settings: Settings,
    waiters: Mutex<HashMap<ContentId, watch::Sender<Event>>>,
    failures: Mutex<LruCache<ContentId, String>>,
    /// Jobs of the service that were no use, so that they aren't relied on again.
    bad: Mutex<LruCache<String, ()>>,
    /// Jobs whose output is being fetched, with the bytes so far.
    fetching: Mutex<HashMap<i64, Arc<AtomicU64>>>,
    /// When jobs can be expected.
    expected: Expectations,
    /// Whether others tell of jobs that have ended.
    hearing: Hearing,
    /// Held by who records what became of an accepted job.
    noting: Mutex<()>,
    requests: Semaphore,
    planned: Notify,
    accepted: Notify,
    ready: Notify,
    rate: Rate,
    troubles: Troubles,
}

impl Recall {
    /// The recalls that `catalog` knows of.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        cache: Arc<Cache>,
        service: Arc<dyn ArchiveService>,
        settings: Settings,
    ) -> Self {
        let expected = Expectations::load(&catalog);
        Recall {
            expected,
            catalog,
            store,
            cache,
            service,
            settings,
            waiters: Mutex::default(),
            failures: Mutex::new(LruCache::new(NonZeroUsize::new(FAILURES).unwrap_or(NonZeroUsize::MIN))),
            bad: Mutex::new(LruCache::new(NonZeroUsize::new(FAILURES).unwrap_or(NonZeroUsize::MIN))),
            fetching: Mutex::default(),
            hearing: Hearing::default(),
            noting: Mutex::default(),
            requests: Semaphore::new(REQUESTS),
            planned: Notify::new(),
            accepted: Notify::new(),
            ready: Notify::new(),
            rate: Rate::default(),
            troubles: Troubles::default(),
        }
    }

    /// Archives up to this many bytes are retrieved whole, larger ones in ranges of this size.
    pub fn window(&self) -> u64 {
        self.settings.window
    }

    /// What may be spent.
    pub fn budget(&self) -> &Budget {
        &self.settings.budget
    }

    /// Works on the queue until `stopping` says so; what is under way then goes on at the next start.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        tokio::select! {
            () = self.clone().ask() => {}
            () = self.clone().poll() => {}
            () = self.clone().fetch() => {}
            // That the sender is gone means the same.
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Waits until the bytes `first..=last` of content `id` are local, having them retrieved if need be. Whoever drops this
    /// future stops waiting; the recall goes on. What is asked for anew is asked for at `tier` (`None`: that of reads).
    ///
    /// # Errors
    /// [`Error`], when there is no hope any more. The next call tries anew.
    pub async fn bring(&self, id: ContentId, first: u64, last: u64, tier: Option<Tier>) -> Result<(), Error> {
        let tier = tier.unwrap_or(self.settings.tier);
        let mut waiter = Waiter { recall: self, id, events: self.subscribe(id) };
        loop {
            waiter.events.mark_unchanged();
            if self.request(id, first, last, tier)? {
                return Ok(());
            }
            // The sender stays as long as there is a waiter.
            let _ = waiter.events.changed().await;
            let event = waiter.events.borrow_and_update().clone();
            match event {
                Event::Nothing | Event::Progress => {}
                Event::Failed(reason) => return Err(Error::Failed(reason)),
                Event::Over(over) => return Err(Error::Over(over)),
                Event::Gone => return Err(catalog::Error::NotFound.into()),
            }
        }
    }

    /// Has the bytes `first..=last` of content `id` retrieved, if that isn't under way, and doesn't wait. Answers whether they
    /// are local already.
    ///
    /// # Errors
    /// [`Error`], also why the last retrieval failed: who only ever asks would never hear of it. A new one is started then.
    pub fn start(&self, id: ContentId, first: u64, last: u64, tier: Option<Tier>) -> Result<bool, Error> {
        let failure = self.failure(id);
        match (self.request(id, first, last, tier.unwrap_or(self.settings.tier))?, failure) {
            (false, Some(reason)) => Err(Error::Failed(reason)),
            (local, _) => Ok(local),
        }
    }

    /// Has all of content `id` retrieved at `tier` (`None`: that of reads), if that isn't under way. Answers whether it is
    /// local already.
    ///
    /// # Errors
    /// [`Error::Lost`], the catalog's.
    pub fn restore(&self, id: ContentId, tier: Option<Tier>) -> Result<bool, Error> {
        let size = self.catalog.content(id)?.size;
        self.request(id, 0, size.saturating_sub(1), tier.unwrap_or(self.settings.tier))
    }

    /// Why the last retrieval of content `id` failed, if none was asked for since.
    pub fn failure(&self, id: ContentId) -> Option<String> {
        lock(&self.failures).peek(&id).cloned()
    }

    /// When the retrievals of content `id` may be done; none when none is under way.
    pub fn eta(&self, id: ContentId) -> Option<Timestamp> {
        let archive = self.catalog.content(id).ok()?.archive?;
        let jobs = self.catalog.jobs_of(archive.row).ok()?;
        jobs.iter().map(|job| self.eta_of(job)).max()
    }

    /// What is under way, the oldest first; a hundred at most of each state.
    pub fn jobs(&self) -> Vec<JobView> {
        let mut views = Vec::new();
        for state in [JobState::Ready, JobState::Accepted, JobState::Planned] {
            let jobs = self.catalog.jobs(state, SHOWN, &|_| false).unwrap_or_default();
            views.extend(jobs.into_iter().map(|job| self.view(job)));
        }
        views
    }

    /// Why nothing moves, if the service can't be asked: the oldest of what is the matter. All of it is tried again.
    pub fn trouble(&self) -> Option<Trouble> {
        self.troubles.oldest()
    }

    /// Bytes a second that are coming in.
    pub fn rate(&self) -> f64 {
        self.rate.per_second()
    }

    /// Bytes that came in since the start.
    pub fn recalled_bytes(&self) -> u64 {
        self.rate.total()
    }

    /// Has what is missing of content `id` from byte `first` on retrieved, as far as the budget allows, and half of the cache holds it:
    /// somebody reads it from one end to the other, and is to find it there. To be called again as they go on.
    ///
    /// # Errors
    /// The catalog's.
    pub fn ahead(&self, id: ContentId, first: u64, tier: Option<Tier>) -> Result<(), Error> {
        let tier = tier.unwrap_or(self.settings.tier);
        // What doesn't stay until it is read would be paid for twice.
        let most = (self.cache.usage().high / 2).max(self.settings.window);
        let last = self.catalog.content(id)?.size.min(first.saturating_add(most)).saturating_sub(1);
        if first <= last
            && let Planned::Over(over) = self.plan(id, (first, last), tier, true)?
        {
            log::info!(
                "the rest of content {id:016x}, which is read from one end to the other, isn't asked for yet: {over}"
            );
        }
        Ok(())
    }

    /// What is counted against the budget for today and this month.
    ///
    /// # Errors
    /// The catalog's.
    pub fn spent(&self) -> Result<Spent, Error> {
        Ok(self.catalog.spent(now())?)
    }

    /// Plans what is missing of the bytes `first..=last`, and answers whether nothing is.
    fn request(&self, id: ContentId, first: u64, last: u64, tier: Tier) -> Result<bool, Error> {
        let content = self.catalog.content(id)?;
        if content.size == 0 || content.has(first, last.min(content.size - 1)) {
            return Ok(true);
        }
        if content.archive.is_none() {
            return Err(Error::Lost(id));
        }
        match self.plan(id, (first, last), tier, false)? {
            Planned::Jobs(_) => Ok(false),
            Planned::Over(over) => Err(Error::Over(over)),
        }
    }

    fn plan(&self, id: ContentId, wish: (u64, u64), tier: Tier, ahead: bool) -> catalog::Result<Planned> {
        let planned = self.with_terms(|terms| self.catalog.plan_read(id, wish, tier, ahead, terms))?;
        if planned != Planned::Jobs(0) {
            crash::at(Point::RecallPlanned);
            lock(&self.failures).pop(&id);
            self.planned.notify_one();
        }
        Ok(planned)
    }

    /// Calls `work` with the terms on which retrievals are planned now.
    fn with_terms<T>(&self, work: impl FnOnce(&Terms) -> T) -> T {
        let window = self.settings.window;
        let ranges = |size, (first, last), taken: &dyn Fn(u64) -> bool| plan::ranges(size, first, last, window, taken);
        let price = |tier, bytes| self.settings.prices.retrieval(tier, bytes);
        work(&Terms { ranges: &ranges, price: &price, budget: &self.settings.budget, now: now() })
    }

    fn subscribe(&self, id: ContentId) -> watch::Receiver<Event> {
        lock(&self.waiters).entry(id).or_default().subscribe()
    }

    /// Tells those who wait for content `id`.
    fn tell(&self, id: ContentId, event: Event) {
        if let Some(events) = lock(&self.waiters).get(&id) {
            events.send_replace(event);
        }
    }

    /// Gives a job up that no file wants any more: who waited for the bytes of one is to look what it has now.
    fn unwanted(&self, job: &Job) -> catalog::Result<()> {
        self.catalog.job_unwanted(job.id, now())?;
        if let Some(id) = self.catalog.content_once_of(job.archive.row)? {
            self.tell(id, Event::Gone);
        }
        Ok(())
    }

    /// Notes that a job of the service won't bring what was wanted of it.
    fn is_no_use(&self, job: &Job) {
        if let Some(job_id) = &job.job_id {
            lock(&self.bad).put(job_id.clone(), ());
        }
    }

    /// Whether a job of the service was no use before.
    fn is_bad(&self, job_id: &str) -> bool {
        lock(&self.bad).contains(job_id)
    }

    /// Gives a job up for good.
    fn fail(&self, job: &Job, reason: &str) -> catalog::Result<()> {
        self.is_no_use(job);
        let Some(content) = self.catalog.content_of(job.archive.row)? else { return self.unwanted(job) };
        let path = self.catalog.path(content.ino)?.unwrap_or_default();
        log::error!("the retrieval of {} failed: {reason}", String::from_utf8_lossy(&path));
        self.catalog.job_failed(job.id, reason, now())?;
        lock(&self.failures).put(content.id, reason.to_owned());
        self.tell(content.id, Event::Failed(reason.to_owned()));
        Ok(())
    }

    fn view(&self, job: Job) -> JobView {
        let received = lock(&self.fetching).get(&job.id).map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        let content = self.catalog.content_of(job.archive.row).ok().flatten();
        JobView {
            content: content.map(|content| content.id),
            eta: (job.state != JobState::Ready).then(|| self.eta_of(&job)),
            received,
            ready: job.state == JobState::Ready,
            created: timestamp(job.created),
            job_id: job.job_id,
            vault: job.vault_name,
            tier: job.tier.to_string(),
            first: job.first,
            last: job.last,
        }
    }

    /// When a job may be ready: as long after it was asked for as the last of its tier took, or as the service says that
    /// its tier takes (G23, "Archive Retrieval Options").
    fn eta_of(&self, job: &Job) -> Timestamp {
        crate::util::clock::add(timestamp(job.created.max(job.due)), self.takes(job.tier))
    }

    /// How long a job of a tier takes, as far as can be told.
    pub fn takes(&self, tier: Tier) -> Duration {
        self.expected.usually(tier)
    }
}

/// Somebody who waits for a content's events. The last one to go takes them away.
struct Waiter<'a> {
    recall: &'a Recall,
    id: ContentId,
    events: watch::Receiver<Event>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // All with the lock, so that nobody subscribes in between, and of two who go at once one sees that it is the last.
        let mut waiters = lock(&self.recall.waiters);
        self.events = watch::channel(Event::Nothing).1;
        if waiters.get(&self.id).is_some_and(|events| events.receiver_count() == 0) {
            waiters.remove(&self.id);
        }
    }
}

fn timestamp(nanos: i64) -> Timestamp {
    // 292 years either way are within a Timestamp's range.
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
