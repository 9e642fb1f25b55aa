//! The order in which contents were used, the least recently used first, how many bytes they take, and which of them are
//! known to be pinned.

use std::collections::HashMap;
use std::collections::HashSet;

use lru::LruCache;

use crate::catalog::Cached;
use crate::catalog::ContentId;

/// How many bytes are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// With more than so many something has to go,
    pub(super) high: u64,
    /// until no more than so many are left.
    pub(super) low: u64,
}

/// How many contents are taken out at a time.
const BATCH: usize = 256;

/// Contents in the order of their use.
#[derive(Debug)]
pub(super) struct Order {
    limits: Limits,
    order: LruCache<ContentId, u64>,
    /// Those that were found to be pinned when they should have gone, until rules change. Nobody walks over them meanwhile.
    aside: LruCache<ContentId, u64>,
    /// Those that were taken out, and of which it isn't known yet whether they may go.
    leaving: HashMap<ContentId, u64>,
    /// Of those in the order and those set aside.
    bytes: u64,
    /// Of those set aside.
    aside_bytes: u64,
    /// Whether there were too many bytes, and aren't few enough yet.
    shrinks: bool,
    /// What went while the rest is still being learned, which mustn't be learned any more.
    gone: Option<HashSet<ContentId>>,
    /// When contents were used, as far as nobody has noted it.
    used: HashMap<ContentId, i64>,
    /// Counts changes of rules.
    rules: u64,
}

/// What is taken out of an [`Order`], until [`Order::decide`] says what becomes of it.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) ids: Vec<ContentId>,
    rules: u64,
}

impl Order {
    /// An order that has to learn yet what was there before.
    pub(super) fn new(limits: Limits) -> Self {
        Order {
            limits,
            order: LruCache::unbounded(),
            aside: LruCache::unbounded(),
            leaving: HashMap::new(),
            bytes: 0,
            aside_bytes: 0,
            shrinks: false,
            gone: Some(HashSet::new()),
            used: HashMap::new(),
            rules: 0,
        }
    }

    /// Sets how many bytes are left once something had to go.
    pub(super) fn set_low(&mut self, low: u64) {
        self.limits.low = low.min(self.limits.high);
    }

    /// There was `cached` a moment ago. It was used before everything that was used since the start or learned before.
    pub(super) fn learn(&mut self, cached: &Cached) {
        let is_gone = self.gone.as_ref().is_some_and(|gone| gone.contains(&cached.id));
        if is_gone || self.has(cached.id) {
            return;
        }
        self.insert(cached.id, cached.bytes);
        if !self.used.contains_key(&cached.id) {
            self.order.demote(&cached.id);
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

    /// Content `id` has `bytes` bytes, and none was used more recently.
    pub(super) fn insert(&mut self, id: ContentId, bytes: u64) {
        self.leaving.remove(&id);
        if let Some(before) = self.aside.get_mut(&id) {
            self.aside_bytes = self.aside_bytes - *before + bytes;
            self.bytes = self.bytes - *before + bytes;
            *before = bytes;
            return;
        }
        let before = self.order.put(id, bytes).unwrap_or(0);
        self.bytes = self.bytes - before + bytes;
    }

    /// Content `id` was used at `now`.
    pub(super) fn touch(&mut self, id: ContentId, now: i64) {
        self.order.promote(&id);
        self.aside.promote(&id);
        if self.is_learning() || self.has(id) {
            self.used.insert(id, now);
        }
    }

    /// When contents were used since this was asked last. Nothing before all is learned.
    pub(super) fn take_used(&mut self) -> Vec<(ContentId, i64)> {
        if self.is_learning() { Vec::new() } else { std::mem::take(&mut self.used).into_iter().collect() }
    }

    /// Content `id` has no bytes any more.
    pub(super) fn remove(&mut self, id: ContentId) {
        let aside = self.aside.pop(&id).unwrap_or(0);
        self.aside_bytes -= aside;
        self.bytes -= aside + self.order.pop(&id).unwrap_or(0);
        self.leaving.remove(&id);
        self.used.remove(&id);
        self.gone.as_mut().map(|gone| gone.insert(id));
    }

    /// How many bytes may be left when there are too many, or were, and what had to go for it isn't all gone. There are never too many
    /// before all is learned: what was used least recently comes last.
    pub(super) fn overflows_to(&mut self) -> Option<u64> {
        let Limits { high, low } = self.limits;
        self.shrinks = self.bytes > if self.shrinks { low } else { high };
        (self.shrinks && !self.is_learning()).then_some(low)
    }

    /// Takes out the least recently used contents until no more than `to` bytes are left, but leaves the `newest` that were used most
    /// recently, and takes only so many at a time. None when nothing is left to take.
    pub(super) fn take(&mut self, to: u64, newest: usize) -> Option<Leaving> {
        let mut ids = Vec::new();
        while self.bytes > to && self.order.len() > newest && ids.len() < BATCH {
            let Some((id, bytes)) = self.order.pop_lru() else { break };
            self.bytes -= bytes;
            self.leaving.insert(id, bytes);
            ids.push(id);
        }
        if ids.is_empty() {
            // The rest is pinned.
            self.shrinks = false;
            return None;
        }
        Some(Leaving { ids, rules: self.rules })
    }

    /// Of what was taken out those in `pinned` stay; the others are gone. Where rules have changed meanwhile, it isn't known which are
    /// pinned.
    pub(super) fn decide(&mut self, taken: &Leaving, pinned: &[ContentId]) {
        for id in pinned {
            let Some(bytes) = self.leaving.remove(id) else { continue };
            self.bytes += bytes;
            if taken.rules == self.rules {
                self.aside_bytes += bytes;
                self.aside.put(*id, bytes);
            } else {
                self.order.put(*id, bytes);
                self.order.demote(id);
            }
        }
        let pinned: HashSet<_> = pinned.iter().collect();
        taken.ids.iter().filter(|id| !pinned.contains(id)).for_each(|id| self.remove(*id));
        self.shrinks &= self.bytes > self.limits.low;
    }

    /// What was taken out stays, since nobody could say what becomes of it.
    pub(super) fn put_back(&mut self, taken: &Leaving) {
        for id in taken.ids.iter().rev() {
            let Some(bytes) = self.leaving.remove(id) else { continue };
            self.bytes += bytes;
            self.order.put(*id, bytes);
            self.order.demote(id);
        }
    }

    /// Whether some were found to be pinned, or are just being asked for.
    pub(super) fn has_pinned(&self) -> bool {
        !self.aside.is_empty() || !self.leaving.is_empty()
    }

    /// Rules have changed: which contents are pinned isn't known any more.
    pub(super) fn reconsider_all(&mut self) {
        self.rules += 1;
        self.aside_bytes = 0;
        for (id, bytes) in std::mem::replace(&mut self.aside, LruCache::unbounded()).iter() {
            self.order.put(*id, *bytes);
            self.order.demote(id);
        }
    }

    /// As [`Order::reconsider_all`], where only content `id` can have other rules than before.
    pub(super) fn reconsider(&mut self, id: ContentId) {
        self.rules += 1;
        if let Some(bytes) = self.aside.pop(&id) {
            self.aside_bytes -= bytes;
            self.order.put(id, bytes);
            self.order.demote(&id);
        }
    }

    /// Whether what is known to be pinned is alone too much.
    pub(super) fn is_pinned_too_much(&self) -> bool {
        self.aside_bytes > self.limits.high
    }

    /// Bytes and contents.
    pub(super) fn usage(&self) -> (u64, usize) {
        (self.bytes, self.order.len() + self.aside.len())
    }

    /// How many bytes are kept.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    fn has(&self, id: ContentId) -> bool {
        self.order.contains(&id) || self.aside.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(high: u64, low: u64) -> Order {
        Order::new(Limits { high, low })
    }

    fn learn(order: &mut Order, id: ContentId, bytes: u64) {
        order.learn(&Cached { id, file: id, bytes, is_partial: false, used: 0 });
    }

    /// What goes when `to` bytes may be left, if none of it is in `pinned`.
    fn shrink(order: &mut Order, to: u64, newest: usize, pinned: &[ContentId]) -> Vec<ContentId> {
        let mut gone = Vec::new();
        while let Some(taken) = order.take(to, newest) {
            let stay: Vec<_> = taken.ids.iter().copied().filter(|id| pinned.contains(id)).collect();
            order.decide(&taken, &stay);
            gone.extend(taken.ids.iter().filter(|id| !stay.contains(id)));
        }
        gone
    }

    /// What goes because there is too much.
    fn overflow(order: &mut Order, pinned: &[ContentId]) -> Vec<ContentId> {
        order.overflows_to().map_or_else(Vec::new, |low| shrink(order, low, 1, pinned))
    }

    /// Promise: over the high water, what was used least recently goes first, down to the low water and no further.
    #[test]
    fn the_least_recently_used_goes_first() {
        let mut order = order(100, 70);
        order.learned();
        for id in 1..=3 {
            order.insert(id, 30);
        }
        assert!(overflow(&mut order, &[]).is_empty(), "it isn't too much");
        order.insert(4, 30);
        order.touch(1, 5);
        assert_eq!(overflow(&mut order, &[]), [2, 3]);
        order.insert(4, 31);
        assert_eq!(order.usage(), (61, 2));
        assert_eq!(order.take_used(), [(1, 5)]);
        assert_eq!(shrink(&mut order, 30, 0, &[]), [1, 4]);
        order.insert(5, 7);
        order.remove(5);
        assert_eq!(order.usage(), (0, 0));
    }

    /// Promise: what has to go may go in several steps, between which things come; and where the rest is pinned, nothing has to go again
    /// before there is too much again.
    #[test]
    fn steps_down() {
        let mut order = order(1000, 100);
        order.learned();
        for id in 1..=1001 {
            order.insert(id, 1);
        }
        let mut steps = Vec::new();
        while let Some(low) = order.overflows_to() {
            let taken = order.take(low, 1).expect("too much");
            steps.push(taken.ids.len());
            order.decide(&taken, &[]);
            order.insert(2000 + steps.len() as ContentId, 1);
        }
        assert_eq!(steps, [256, 256, 256, 136]);
        for id in 1..=901 {
            order.insert(3000 + id, 1);
        }
        let pinned: Vec<_> = (3000..3900).collect();
        assert_eq!(overflow(&mut order, &pinned).len(), 102);
        assert!(order.overflows_to().is_none(), "899 are pinned");
        order.insert(5000, 1);
        assert!(order.overflows_to().is_none());
    }

    /// Promise: what was used most recently stays however large it is, since somebody may just be waiting for it; not where the
    /// disk needs the room.
    #[test]
    fn the_newest_stays() {
        let mut order = order(100, 90);
        order.learned();
        order.insert(1, 10);
        order.insert(2, 1000);
        assert_eq!(overflow(&mut order, &[]), [1]);
        order.insert(3, 1);
        assert_eq!(overflow(&mut order, &[]), [2]);
        assert_eq!(shrink(&mut order, 0, 0, &[]), [3]);
    }

    /// Promise: what is learned late was used before what was used since the start, the last learned first of all; what is known
    /// already, or has gone since, isn't learned; and nothing is too much before all is learned.
    #[test]
    fn learning_late() {
        let mut order = order(10, 10);
        order.insert(1, 30);
        order.insert(2, 20);
        order.remove(2);
        order.touch(5, 7);
        for id in 1..=5 {
            learn(&mut order, id, 30);
        }
        assert_eq!(order.usage(), (120, 4));
        assert!(order.overflows_to().is_none() && order.take_used().is_empty());
        assert_eq!(shrink(&mut order, 119, 0, &[]), [4]);
        learn(&mut order, 4, 30);
        order.learned();
        assert!(!order.is_learning());
        assert_eq!(order.usage(), (90, 3));
        assert_eq!(shrink(&mut order, 0, 0, &[]), [3, 1, 5]);
    }

    /// Promise: what is pinned is counted, stays, and is in nobody's way until rules change; then it is asked for anew, in the order
    /// of its use.
    #[test]
    fn pinned_is_set_aside() {
        let mut order = order(100, 50);
        order.learned();
        for id in 1..=4 {
            order.insert(id, 30);
        }
        assert_eq!(overflow(&mut order, &[1, 2]), [3]);
        assert_eq!(order.usage(), (90, 3), "the newest stays");
        assert!(order.has_pinned() && !order.is_pinned_too_much());
        order.insert(2, 80);
        order.touch(1, 1);
        assert!(order.is_pinned_too_much());
        order.insert(5, 1);
        assert_eq!(overflow(&mut order, &[]), [4], "those aside aren't asked for");
        order.reconsider(1);
        assert_eq!(overflow(&mut order, &[]), [1]);
        order.reconsider_all();
        assert!(!order.has_pinned());
        assert_eq!(shrink(&mut order, 50, 1, &[]), [2]);
        assert_eq!(order.usage(), (1, 1));
    }

    /// Promise: what happens to a content while it is asked whether it may go counts: one that was written to isn't kept as
    /// pinned, one of which the rules have changed meanwhile is asked for again, and so is all when nobody could say.
    #[test]
    fn meanwhile() {
        let mut order = order(10, 10);
        order.learned();
        for id in 1..=3 {
            order.insert(id, 30);
        }
        let taken = order.take(0, 0).expect("too much");
        assert!(order.has_pinned(), "they may be");
        order.remove(1);
        order.reconsider(2);
        order.decide(&taken, &[1, 2]);
        assert_eq!(order.usage(), (30, 1));
        assert!(!order.has_pinned());
        let taken = order.take(0, 0).expect("too much");
        order.put_back(&taken);
        assert_eq!(order.usage(), (30, 1));
        assert_eq!(shrink(&mut order, 0, 0, &[]), [2]);
    }
}
