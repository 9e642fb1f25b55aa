//! The order in which contents were used, the least recently used first, and how many bytes they take.

use lru::LruCache;

use crate::catalog::ContentId;

/// Contents in the order of their use, within a limit of bytes.
#[derive(Debug)]
pub(super) struct Order {
    limit: u64,
    order: LruCache<ContentId, u64>,
    bytes: u64,
}

impl Order {
    /// An order that wants to hold `limit` bytes at most.
    pub(super) fn new(limit: u64) -> Self {
        Order { limit, order: LruCache::unbounded(), bytes: 0 }
    }

    /// Content `id` has `bytes` bytes, and was used just now.
    pub(super) fn insert(&mut self, id: ContentId, bytes: u64) {
        let before = self.order.put(id, bytes).unwrap_or(0);
        self.bytes = self.bytes - before + bytes;
    }

    /// Content `id` was used just now.
    pub(super) fn touch(&mut self, id: ContentId) {
        self.order.promote(&id);
    }

    /// Content `id` has no bytes any more.
    pub(super) fn remove(&mut self, id: ContentId) {
        self.bytes -= self.order.pop(&id).unwrap_or(0);
    }

    /// Takes out the least recently used contents, until the rest fits the limit.
    pub(super) fn overflow(&mut self) -> Vec<ContentId> {
        self.shrink(self.limit)
    }

    /// Takes out the least recently used contents, until at least `bytes` bytes are out or nothing is left.
    pub(super) fn give_up(&mut self, bytes: u64) -> Vec<ContentId> {
        self.shrink(self.bytes.saturating_sub(bytes))
    }

    fn shrink(&mut self, to: u64) -> Vec<ContentId> {
        let mut victims = Vec::new();
        while self.bytes > to {
            let Some((id, bytes)) = self.order.pop_lru() else { break };
            self.bytes -= bytes;
            victims.push(id);
        }
        victims
    }

    /// Bytes, contents, and the limit in bytes.
    pub(super) fn usage(&self) -> (u64, usize, u64) {
        (self.bytes, self.order.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: over the limit, what was used least recently goes first, and no more of it than needed.
    #[test]
    fn the_least_recently_used_goes_first() {
        let mut order = Order::new(100);
        for id in 1..=4 {
            order.insert(id, 30);
        }
        order.touch(1);
        assert_eq!(order.overflow(), [2]);
        order.insert(3, 31);
        assert_eq!(order.usage(), (91, 3, 100));
        assert_eq!(order.give_up(31), [4, 1]);
        order.remove(3);
        assert_eq!(order.usage(), (0, 0, 100));
    }
}
