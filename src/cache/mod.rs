//! The cache: archived contents that are still, or again, local. Once they have more bytes than the high water, the least
//! recently used go until they are down to the low water. What is pinned stays.
//!
//! Only what is archived is ever in it. The catalog checks that once more when something is evicted, and whether it is pinned, in the
//! same transaction; so whatever goes can be had again. Who is reading an evicted file keeps its bytes until it closes it. The lock
//! on the order is never held over a query or a removal.
//!
//! The order is in memory. When contents were used is noted in the catalog now and then, so that it is much the same after a
//! restart.

mod order;
mod report;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use order::Limits;
use order::Order;
pub use report::Report;
use tokio::sync::Notify;

use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::ContentId;
use crate::catalog::Error;
use crate::catalog::Evicted;
use crate::catalog::FileId;
use crate::catalog::Result;
use crate::catalog::State;
use crate::store::Room;
use crate::store::Store;
use crate::store::has_lost;
use crate::util::crash;
use crate::util::crash::Point;

/// The local bytes of archived contents.
pub struct Cache {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    order: Mutex<Order>,
    /// Held by who learns what is cached. The lock of `order` comes after it.
    learning: Mutex<()>,
    /// Those that were archived, and may not be on the disk yet.
    unsynced: Mutex<Vec<ContentId>>,
    /// Rung when files of the store are doomed.
    bell: Notify,
    /// Bytes of the disk that files may not take.
    reserve: u64,
    /// Bytes that files may take before the disk is asked again.
    spare: AtomicU64,
    /// Whether it was logged that what is pinned is alone too much, since it last wasn't.
    told: AtomicBool,
}

/// How much is cached, in bytes and contents.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes. Shortly after the start it may be less than there is.
    pub bytes: u64,
    /// Contents; the same goes for them.
    pub files: u64,
    /// With more bytes than this some go,
    pub high: u64,
    /// until no more than so many are left.
    pub low: u64,
}

/// How long doomed files are gathered: removing them costs a sync.
const GATHER: Duration = Duration::from_millis(500);
/// How long they stay at most.
const AT_LAST: Duration = Duration::from_secs(60);
/// How long to wait when they can't be removed.
const PAUSE: Duration = Duration::from_secs(5);
/// How many bytes are given up at a time for new ones.
const ROOM: u64 = 64 << 20;
/// How many bytes are taken before the disk is asked again how much room it has, if there is plenty: asking costs as much as
/// a small write. By so many the reserve may be overdrawn when others fill the disk at the same time.
const SPARE: u64 = 8 << 20;
/// How many contents are asked of the catalog, or told it, at a time.
const PAGE: usize = 1000;
/// What a file takes besides its bytes, about.
const BLOCK: u64 = 4096;

impl Cache {
    /// The cache of what `catalog` says is archived and local, to hold at most `high` bytes, and what was used last if that alone is
    /// more. What there is takes [`Cache::learn`] to know: there may be millions, and a mount doesn't wait for them.
    ///
    /// # Errors
    /// The catalog's.
    pub fn new(catalog: Arc<Catalog>, store: Arc<Store>, high: u64) -> Result<Self> {
        let unsynced = catalog.unsynced()?;
        Ok(Cache {
            catalog,
            store,
            order: Mutex::new(Order::new(Limits { high, low: high })),
            learning: Mutex::new(()),
            unsynced: Mutex::new(unsynced),
            bell: Notify::new(),
            reserve: 0,
            spare: AtomicU64::new(0),
            told: AtomicBool::new(false),
        })
    }

    /// The same, going down to `low` bytes once it holds too many.
    pub fn with_low(self, low: u64) -> Self {
        self.lock().set_low(low);
        self
    }

    /// The same, leaving `reserve` bytes of the disk alone.
    pub fn with_reserve(self, reserve: u64) -> Self {
        Cache { reserve, ..self }
    }

    /// Learns what the catalog says is archived and local, in the order of its use, and evicts what is too much. Blocks, for seconds if
    /// it is much; nobody waits for it.
    ///
    /// # Errors
    /// The catalog's.
    pub fn learn(&self) -> Result<()> {
        let _one = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.lock().is_learning() {
            return Ok(());
        }
        let mut all = Vec::new();
        loop {
            let page = self.catalog.cached(all.last().map(|last: &catalog::Cached| last.file), PAGE)?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.sort_unstable_by_key(|cached| std::cmp::Reverse(cached.used));
        for page in all.chunks(PAGE) {
            let mut order = self.lock();
            page.iter().for_each(|cached| order.learn(cached));
        }
        self.lock().learned();
        self.evict_overflow();
        Ok(())
    }

    /// Content `id`, archived, has `bytes` bytes locally, and was used just now. What is too much then is evicted, but not `id`;
    /// if it is much, most of it by [`Cache::sweep_always`].
    pub fn insert(&self, id: ContentId, bytes: u64) {
        let mut order = self.lock();
        order.insert(id, bytes);
        order.touch(id, catalog::now());
        drop(order);
        self.evict_some();
    }

    /// Content `id` was archived just now, all of its `bytes` bytes are local, and they may not be on the disk yet.
    pub fn archived(&self, id: ContentId, bytes: u64) {
        self.unsynced().push(id);
        // The catalog has noted that it was used just now.
        self.lock().insert(id, bytes);
        self.evict_some();
    }

    /// Sees to it that the disk has the files of the contents that were archived. Blocks.
    ///
    /// # Errors
    /// The catalog's; [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        let ids = std::mem::take(&mut *self.unsynced());
        if ids.is_empty() {
            return Ok(());
        }
        let synced = self.sync_all(&ids);
        if synced.is_err() {
            self.unsynced().extend(ids);
        }
        synced
    }

    fn sync_all(&self, ids: &[ContentId]) -> Result<()> {
        let files: Vec<FileId> = self.catalog.contents(ids)?.into_iter().filter_map(|content| content.file).collect();
        let synced = self.store.sync(&files);
        if let Err(error) = &synced
            && has_lost(error)
        {
            log::error!(
                "the disk failed to store what was archived just now, which is retrieved when it is read: {error}"
            );
            for id in ids {
                self.evict(*id)?;
            }
            return Ok(());
        }
        synced.map_err(|source| Error::Io { path: self.store.root().to_owned(), source })?;
        crash::at(Point::CacheSynced);
        self.catalog.synced(ids)
    }

    /// What the last daemon had archived and not synced: the disk has it if it `is_same_boot`; otherwise the power may have gone
    /// in between, and what is local isn't trusted, but retrieved when it is wanted. Answers how many files that takes from the
    /// cache.
    ///
    /// # Errors
    /// The catalog's.
    pub fn recover(&self, is_same_boot: bool) -> Result<usize> {
        if is_same_boot {
            return Ok(0);
        }
        let ids = std::mem::take(&mut *self.unsynced());
        for id in &ids {
            self.evict(*id)?;
        }
        Ok(ids.len())
    }

    /// Content `id` was used just now.
    pub fn touch(&self, id: ContentId) {
        self.lock().touch(id, catalog::now());
    }

    /// Notes in the catalog when contents were used, as far as that isn't noted yet. Blocks.
    ///
    /// # Errors
    /// The catalog's.
    pub fn note_use(&self) -> Result<()> {
        let used = self.lock().take_used();
        used.chunks(PAGE).try_for_each(|page| self.catalog.used(page))
    }

    /// Content `id` isn't the cache's any more: it is being written, or deleted.
    pub fn remove(&self, id: ContentId) {
        self.lock().remove(id);
    }

    /// Lets go of the local bytes of content `id` if it is archived, also if it is pinned, since they can't be trusted. Answers whether
    /// it had any.
    ///
    /// # Errors
    /// The catalog's.
    pub fn evict(&self, id: ContentId) -> Result<bool> {
        let file = self.catalog.evict(id)?;
        if file.is_some() {
            crash::at(Point::Evicted);
            self.remove(id);
            self.doomed();
        }
        Ok(file.is_some())
    }

    /// Lets go of the local bytes of those of `ids` that are archived and not pinned.
    ///
    /// # Errors
    /// The catalog's.
    pub fn let_go(&self, ids: &[ContentId]) -> Result<Evicted> {
        let evicted = self.catalog.evict_unpinned(ids)?;
        if !evicted.gone.is_empty() {
            crash::at(Point::Evicted);
            let mut order = self.lock();
            evicted.gone.iter().for_each(|id| order.remove(*id));
            drop(order);
            self.doomed();
        }
        Ok(evicted)
    }

    /// Whether some contents were found to be pinned: who changes a rule, or what has one, calls [`Cache::reconsider`] then.
    pub fn has_pinned(&self) -> bool {
        self.lock().has_pinned()
    }

    /// Content `id` may have other rules than before.
    pub fn reconsider(&self, id: ContentId) {
        self.lock().reconsider(id);
        self.bell.notify_one();
    }

    /// Any content may have other rules than before.
    pub fn reconsider_all(&self) {
        self.lock().reconsider_all();
        self.bell.notify_one();
    }

    /// The store has no file `file`, which content `id` had a moment ago: it was evicted meanwhile, or somebody or something
    /// has taken it away. What is archived counts as evicted then. Answers whether its bytes can be had at all.
    ///
    /// # Errors
    /// The catalog's.
    pub fn is_missing(&self, id: ContentId, file: FileId) -> Result<bool> {
        let content = self.catalog.content(id)?;
        if content.file != Some(file) {
            return Ok(true);
        }
        let path = self.catalog.path(content.ino)?.unwrap_or_default();
        let path = String::from_utf8_lossy(&path);
        if content.state != State::Archived {
            log::error!("{path}: its bytes aren't in the store any more, and were never archived: they are lost");
            return Ok(false);
        }
        log::error!("{path}: its bytes aren't in the store any more, and are retrieved when they are wanted");
        self.evict(id)?;
        Ok(true)
    }

    /// Gives up at least `bytes` bytes that aren't pinned, the least recently used first, and removes what nothing needs. Answers whether any file
    /// was removed.
    pub fn make_room(&self, bytes: u64) -> bool {
        if self.lock().is_learning()
            && let Err(error) = self.learn()
        {
            log::error!("what is cached can't be learned: {error}");
        }
        let to = self.lock().usage().0.saturating_sub(bytes);
        while self.shrink(to, 0) {}
        self.sweep().unwrap_or_else(|error| {
            log::warn!("the store's files that nothing needs can't be removed now: {error}");
            0
        }) > 0
    }

    /// Sees to it that `bytes` more, one at least, leave the disk's reserve alone, and gives up cached bytes where they
    /// must go for it. Answers whether there is room then.
    ///
    /// # Errors
    /// The disk can't be asked.
    pub fn ensure_room(&self, bytes: u64) -> std::io::Result<bool> {
        let wanted = bytes.saturating_add(BLOCK);
        let take = |spare: u64| spare.checked_sub(wanted);
        if self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return Ok(true);
        }
        let mut gave_up = false;
        loop {
            let free = self.store.room()?.available.saturating_sub(self.reserve);
            if free >= bytes.max(1) {
                self.spare.store((free / 8).min(SPARE), Ordering::Relaxed);
                return Ok(true);
            }
            self.spare.store(0, Ordering::Relaxed);
            if gave_up {
                return Ok(false);
            }
            // What others removed meanwhile counts as well.
            gave_up = !self.make_room(bytes.max(ROOM));
        }
    }

    /// How much is cached.
    pub fn usage(&self) -> Usage {
        let order = self.lock();
        let ((bytes, files), Limits { high, low }) = (order.usage(), order.limits());
        Usage { bytes, files: files as u64, high, low }
    }

    /// The room on the disk, the reserve included.
    ///
    /// # Errors
    /// The disk can't be asked.
    pub fn room(&self) -> std::io::Result<Room> {
        self.store.room()
    }

    /// Bytes of the disk that files may not take.
    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Removes a file of the store that no row of the catalog has named yet.
    pub fn discard(&self, file: FileId) {
        if let Err(error) = self.store.remove(file) {
            log::warn!("file {file:016x} of the store can't be removed, and will be at the next start: {error}");
        }
    }

    /// Says that files of the store are doomed: [`Cache::sweep_always`] removes them.
    pub fn doomed(&self) {
        self.bell.notify_one();
    }

    /// Removes the doomed files, as soon as the disk has what says that they are: with the power gone before, rows that name
    /// them would come back. Answers how many.
    ///
    /// # Errors
    /// The catalog's; [`Error::Io`] when it can't be synced.
    pub fn sweep(&self) -> Result<usize> {
        let mut count = 0;
        loop {
            let doomed = self.catalog.doomed()?;
            if doomed.is_empty() {
                return Ok(count);
            }
            self.catalog.sync()?;
            crash::at(Point::DoomedSynced);
            let gone: Vec<FileId> = doomed.into_iter().filter(|file| self.store.remove(*file).is_ok()).collect();
            self.catalog.removed(&gone)?;
            crash::at(Point::DoomedForgotten);
            count += gone.len();
            if gone.is_empty() {
                return Ok(count);
            }
        }
    }

    /// Evicts the rest of what is too much, and removes doomed files as they come, for ever.
    pub async fn sweep_always(self: Arc<Self>) {
        loop {
            // Some are doomed by who doesn't ring, and aren't urgent.
            let _ = tokio::time::timeout(AT_LAST, self.bell.notified()).await;
            tokio::time::sleep(GATHER).await;
            let cache = self.clone();
            let swept = tokio::task::spawn_blocking(move || {
                cache.evict_overflow();
                cache.sweep()
            });
            let swept = swept.await;
            // A panic in there was logged.
            if let Ok(Err(error)) = swept {
                log::error!("the store's files that nothing needs can't be removed, and will be later: {error}");
                tokio::time::sleep(PAUSE).await;
                self.bell.notify_one();
            }
        }
    }

    /// Evicts what is too much, but not what was used most recently: somebody may just be waiting for it.
    fn evict_overflow(&self) {
        while self.evict_some() {}
    }

    /// As [`Cache::evict_overflow`], but only so much that nobody has to wait for it. Answers whether there may be more.
    fn evict_some(&self) -> bool {
        // Not in the condition: the lock would be held to the end of it.
        let overflows_to = self.lock().overflows_to();
        overflows_to.is_some_and(|low| self.shrink(low, 1))
    }

    /// Evicts some of what isn't pinned until no more than `to` bytes are left, but not the `newest` contents that were used most
    /// recently. Answers whether there may be more.
    fn shrink(&self, to: u64, newest: usize) -> bool {
        let taken = self.lock().take(to, newest);
        let Some(taken) = taken else { return false };
        match self.catalog.evict_unpinned(&taken.ids) {
            Ok(evicted) => {
                crash::at(Point::Evicted);
                self.lock().decide(&taken, &evicted.pinned);
                self.doomed();
                self.tell_of_pinned();
                true
            }
            Err(error) => {
                log::warn!("{} contents can't be evicted: {error}", taken.ids.len());
                self.lock().put_back(&taken);
                false
            }
        }
    }

    /// Logs it once when what is pinned is alone too much.
    fn tell_of_pinned(&self) {
        let (too_much, high) = {
            let order = self.lock();
            (order.is_pinned_too_much(), order.limits().high)
        };
        if too_much != self.told.swap(too_much, Ordering::Relaxed) && too_much {
            log::warn!(
                "what is pinned has more bytes than cache-size ({high}): what else is recalled, or archived, stays only until the next; \
                 `glacierfs cache` shows how much it is"
            );
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, Vec<ContentId>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
