//! The cache: archived contents that are still, or again, local; within a limit of bytes, the least recently used going first.
//!
//! Only what is archived is ever in it, and the catalog checks that once more when something is evicted, so whatever goes
//! can be had again. Who is reading an evicted file keeps its bytes until it closes it. The lock on the order is never held
//! over a query or a removal.

mod order;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use order::Order;

use crate::catalog::Catalog;
use crate::catalog::ContentId;
use crate::catalog::FileId;
use crate::catalog::Result;
use crate::store::Store;

/// The local bytes of archived contents.
pub struct Cache {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    order: Mutex<Order>,
    /// Bytes of the disk that files may not take.
    reserve: u64,
    /// Bytes that files may take before the disk is asked again.
    spare: AtomicU64,
}

/// How many bytes are given up at a time for new ones.
const ROOM: u64 = 64 << 20;
/// How many bytes are taken before the disk is asked again how much room it has, if there is plenty: asking costs as much as
/// a small write. By so many the reserve may be overdrawn when others fill the disk at the same time.
const SPARE: u64 = 8 << 20;
/// What a file takes besides its bytes, about.
const BLOCK: u64 = 4096;

impl Cache {
    /// The cache of what `catalog` says is archived and local, to hold at most `limit` bytes.
    ///
    /// # Errors
    /// The catalog's.
    pub fn new(catalog: Arc<Catalog>, store: Arc<Store>, limit: u64) -> Result<Self> {
        let mut order = Order::new(limit);
        for (id, bytes) in catalog.cached()? {
            order.insert(id, bytes);
        }
        Ok(Cache { catalog, store, order: Mutex::new(order), reserve: 0, spare: AtomicU64::new(0) })
    }

    /// The same, leaving `reserve` bytes of the disk alone.
    pub fn with_reserve(self, reserve: u64) -> Self {
        Cache { reserve, ..self }
    }

    /// Content `id`, archived, has `bytes` bytes locally, and was used just now. What is too much then is evicted.
    pub fn insert(&self, id: ContentId, bytes: u64) {
        let victims = {
            let mut order = self.lock();
            order.insert(id, bytes);
            order.overflow()
        };
        self.evict_all(&victims);
    }

    /// Content `id` was used just now.
    pub fn touch(&self, id: ContentId) {
        self.lock().touch(id);
    }

    /// Content `id` isn't the cache's any more: it is being written, or deleted.
    pub fn remove(&self, id: ContentId) {
        self.lock().remove(id);
    }

    /// Lets go of the local bytes of content `id` if it is archived, and answers whether it had any.
    ///
    /// # Errors
    /// The catalog's.
    pub fn evict(&self, id: ContentId) -> Result<bool> {
        let file = self.catalog.evict(id)?;
        if file.is_some() {
            self.remove(id);
        }
        self.discard(file);
        Ok(file.is_some())
    }

    /// Gives up at least `bytes` bytes, the least recently used first. Answers whether anything was given up.
    pub fn make_room(&self, bytes: u64) -> bool {
        let victims = self.lock().give_up(bytes);
        self.evict_all(&victims) > 0
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
        loop {
            let free = self.store.room()?.available.saturating_sub(self.reserve);
            if free >= bytes.max(1) {
                self.spare.store((free / 8).min(SPARE), Ordering::Relaxed);
                return Ok(true);
            }
            self.spare.store(0, Ordering::Relaxed);
            if !self.make_room(bytes.max(ROOM)) {
                return Ok(false);
            }
        }
    }

    /// Bytes, contents, and the limit in bytes.
    pub fn usage(&self) -> (u64, usize, u64) {
        self.lock().usage()
    }

    /// Removes a file of the store that is doomed. One that can't be removed now is removed later.
    pub fn discard(&self, file: Option<FileId>) {
        if let Some(file) = file
            && let Err(error) = self.store.remove(file)
        {
            log::warn!("file {file:016x} of the store can't be removed now, and will be later: {error}");
        }
    }

    /// Forgets the doomed files that are gone, and removes those that aren't. Called now and then, and at the start.
    ///
    /// # Errors
    /// The catalog's.
    pub fn sweep(&self) -> Result<()> {
        loop {
            let doomed = self.catalog.doomed()?;
            let gone: Vec<FileId> = doomed.iter().copied().filter(|file| self.store.remove(*file).is_ok()).collect();
            self.catalog.removed(&gone)?;
            if gone.is_empty() {
                return Ok(());
            }
        }
    }

    fn evict_all(&self, victims: &[ContentId]) -> usize {
        let evicted = |id: &&ContentId| match self.catalog.evict(**id) {
            Ok(file) => {
                self.discard(file);
                file.is_some()
            }
            Err(error) => {
                log::warn!("content {id:016x} can't be evicted: {error}");
                false
            }
        };
        victims.iter().filter(evicted).count()
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
