//! Which archived contents are local, the least recently used first, and how many bytes they take.

use std::sync::Mutex;
use std::sync::PoisonError;

use lru::LruCache;

/// The order in which archived contents that are local were used. It holds contents by ID; only what is archived may be
/// put in, so that whatever it gives up can be had again.
#[derive(Debug)]
pub struct Cache {
    limit: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    order: LruCache<i64, u64>,
    bytes: u64,
}

impl Cache {
    /// A cache that wants to hold `limit` bytes at most.
    pub fn new(limit: u64) -> Self {
        Cache { limit, inner: Mutex::new(Inner { order: LruCache::unbounded(), bytes: 0 }) }
    }

    /// Content `id` has `bytes` bytes locally, and was used just now.
    pub fn insert(&self, id: i64, bytes: u64) {
        let mut inner = self.lock();
        let before = inner.order.put(id, bytes).unwrap_or(0);
        inner.bytes = inner.bytes - before + bytes;
    }

    /// Content `id` was used just now.
    pub fn touch(&self, id: i64) {
        self.lock().order.promote(&id);
    }

    /// Content `id` isn't a cached one any more.
    pub fn remove(&self, id: i64) {
        let mut inner = self.lock();
        let before = inner.order.pop(&id).unwrap_or(0);
        inner.bytes -= before;
    }

    /// Takes out the least recently used contents, until the rest fits the limit with `extra` bytes to spare.
    pub fn overflow(&self, extra: u64) -> Vec<i64> {
        let mut inner = self.lock();
        let mut victims = Vec::new();
        while inner.bytes + extra > self.limit {
            let Some((id, bytes)) = inner.order.pop_lru() else { break };
            inner.bytes -= bytes;
            victims.push(id);
        }
        victims
    }

    /// Bytes, files, and the limit in bytes.
    pub fn usage(&self) -> (u64, usize, u64) {
        let inner = self.lock();
        (inner.bytes, inner.order.len(), self.limit)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: over the limit, what was used least recently goes first, and no more of it than needed.
    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(100);
        for id in 1..=4 {
            cache.insert(id, 30);
        }
        cache.touch(1);
        assert_eq!(cache.overflow(0), [2]);
        cache.insert(3, 31);
        assert_eq!(cache.usage(), (91, 3, 100));
        assert_eq!(cache.overflow(50), [4, 1]);
        cache.remove(3);
        assert_eq!(cache.usage(), (0, 0, 100));
    }
}
