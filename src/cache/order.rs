//! The order in which contents were used, the least recently used first, and how many bytes they take.

use std::collections::HashSet;

use lru::LruCache;

use crate::catalog::ContentId;

/// Contents in the order of their use, within a limit of bytes.
#[derive(Debug)]
pub(super) struct Order {
    limit: u64,
    order: LruCache<ContentId, u64>,
    bytes: u64,
    /// What went while the rest is still being learned, which mustn't be learned any more.
    gone: Option<HashSet<ContentId>>,
}

impl Order {
    /// An order that wants to hold `limit` bytes at most, and that has to learn yet what was there before.
    pub(super) fn new(limit: u64) -> Self {
        Order { limit, order: LruCache::unbounded(), bytes: 0, gone: Some(HashSet::new()) }
    }

    /// Content `id` had `bytes` bytes a moment ago; nobody has used it since the start, unless that is known better.
    pub(super) fn learn(&mut self, id: ContentId, bytes: u64) {
        let is_gone = self.gone.as_ref().is_some_and(|gone| gone.contains(&id));
        if !is_gone && !self.order.contains(&id) {
            self.insert(id, bytes);
            self.order.demote(&id);
        }
    }

    /// All is learned.
    pub(super) fn learned(&mut self) {
        self.gone = None;
    }

    /// Whether there is something left to learn.
    pub(super) fn is_learning(&self) -> bool {
        self.gone.is_some()
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
        self.gone.as_mut().map(|gone| gone.insert(id));
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
        if let Some(gone) = &mut self.gone {
            gone.extend(&victims);
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

    /// Promise: what is learned late of what was there before counts as used least recently; what is known already, or has
    /// gone since, isn't learned.
    #[test]
    fn learning_late() {
        let mut order = Order::new(100);
        order.insert(1, 30);
        order.insert(2, 20);
        order.remove(2);
        for id in 1..=4 {
            order.learn(id, 30);
        }
        assert_eq!(order.usage(), (90, 3, 100));
        assert_eq!(order.give_up(1), [4]);
        order.learn(4, 30);
        order.learned();
        assert!(!order.is_learning());
        assert_eq!(order.give_up(60), [3, 1]);
    }
}
