//! The cache's promises, on a catalog and a store.

use super::*;
use crate::catalog::Archive;
use crate::catalog::Ino;
use crate::catalog::Kind;
use crate::catalog::NewInode;
use crate::catalog::Seal;

struct House {
    cache: Arc<Cache>,
    catalog: Arc<Catalog>,
    vault: Ino,
    tmp: tempfile::TempDir,
}

fn new(kind: Kind, content: Option<ContentId>) -> NewInode<'static> {
    NewInode { mode: kind.bits() | 0o755, uid: 0, gid: 0, rdev: 0, target: None, content }
}

/// A house with a cache of these water marks, that has learned what there is.
fn house(high: u64, low: u64) -> House {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = Arc::new(Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("a catalog"));
    let vault = catalog.add_vault("v", "", new(Kind::Directory, None), 1).expect("a vault").0.ino;
    let cache = cache(&catalog, tmp.path(), high, low);
    House { cache, catalog, vault, tmp }
}

fn cache(catalog: &Arc<Catalog>, dir: &std::path::Path, high: u64, low: u64) -> Arc<Cache> {
    let store = Arc::new(Store::open(&dir.join("store")).expect("a store"));
    let cache = Cache::new(catalog.clone(), store, high).expect("a cache").with_low(low);
    cache.learn().expect("learned");
    Arc::new(cache)
}

impl House {
    fn directory(&self, name: &str) -> Ino {
        self.catalog.create(self.vault, name.as_bytes(), new(Kind::Directory, None), 1).expect("made").ino
    }

    /// An archived file, whose content is in the cache.
    fn archived(&self, parent: Ino, id: ContentId, size: u64) -> Ino {
        let made = self.catalog.create(parent, format!("{id}").as_bytes(), new(Kind::File, Some(id)), 1).expect("made");
        self.cache.store.create(id).expect("a file").set_len(size).expect("its size");
        self.catalog.seal(&[Seal { content: id, size, mtime: 1, ctime: 1, due: 1 }]).expect("sealed");
        let vault = self.catalog.vaults().expect("vaults")[0].id;
        let archive = Archive { row: 0, vault, archive_id: format!("{id}"), size, tree_hash: [0; 32], created: 1 };
        assert!(self.catalog.archived(id, 0, &archive, None, catalog::now()).expect("archived"));
        self.cache.archived(id, size);
        // The sweeper does that.
        self.cache.evict_overflow();
        made.ino
    }

    /// Which of the contents have local bytes.
    fn local(&self) -> Vec<ContentId> {
        let mut ids: Vec<_> = self.catalog.cached(None, 10_000).expect("cached").iter().map(|one| one.id).collect();
        ids.sort_unstable();
        ids
    }
}

/// Promise: over the high water the least recently used go down to the low water, and what is pinned is not among them, nor when
/// the disk needs the room; what is unpinned is again, also by a move of it.
#[test]
fn water_marks_and_pins() {
    let house = house(100, 60);
    let pinned = house.directory("pinned");
    house.catalog.pin(pinned, true).expect("pinned");
    house.archived(pinned, 1, 25);
    for id in 2..=4 {
        house.archived(house.vault, id, 25);
    }
    assert_eq!(house.local(), [1, 2, 3, 4], "as much as may be");
    house.archived(house.vault, 5, 10);
    assert_eq!(house.local(), [1, 4, 5], "down to the low water");
    assert!(house.cache.has_pinned());
    assert_eq!(house.cache.usage().bytes, 60);
    let report = house.cache.report().expect("a report");
    assert_eq!((report.files, report.bytes, report.pinned_files, report.pinned_bytes), (3, 60, 1, 25));

    assert!(house.cache.make_room(1000));
    assert_eq!(house.local(), [1]);
    assert!(!house.cache.make_room(1000), "it can't be had");
    assert_eq!(house.cache.let_go(&[1]).expect("asked").pinned, [1]);
    house.catalog.rename((pinned, b"1"), (house.vault, b"1"), catalog::RenameMode::Replace, 1).expect("moved");
    house.cache.reconsider(1);
    assert!(house.cache.make_room(1));
    assert!(house.local().is_empty());
}

/// Promise: what is pinned may be more than the high water: it stays, what else comes goes with the next, and no work is done over and
/// over for it.
#[test]
fn pinned_too_much() {
    let house = house(100, 90);
    house.catalog.pin(house.vault, true).expect("pinned");
    for id in 1..=1000 {
        house.archived(house.vault, id, 10);
    }
    let other = house.directory("other");
    house.catalog.pin(other, false).expect("not pinned");
    let writes = house.catalog.writes();
    house.archived(other, 2000, 10);
    house.archived(other, 2001, 10);
    assert_eq!(house.local().len(), 1001);
    assert!(house.local().contains(&2001) && !house.local().contains(&2000));
    assert!(house.cache.told.load(Ordering::Relaxed), "it was logged");
    // Two files, each made, sealed and archived, and an eviction of whatever was the newest before.
    assert_eq!(house.catalog.writes() - writes, 8);
}

/// Promise: the order of use is the same after a restart, as far as it was noted; and what is used before all is learned counts.
#[test]
fn order_over_a_restart() {
    let house = house(1000, 1000);
    for id in 1..=5 {
        house.archived(house.vault, id, 10);
    }
    house.cache.touch(2);
    house.cache.note_use().expect("noted");
    house.cache.touch(1);
    house.cache.note_use().expect("noted");
    let again = Cache::new(house.catalog.clone(), house.cache.store.clone(), 1000).expect("a cache");
    again.touch(3);
    again.learn().expect("learned");
    let mut gone = Vec::new();
    for _ in 0..5 {
        let before = house.local();
        again.make_room(1);
        let after = house.local();
        gone.extend(before.into_iter().filter(|id| !after.contains(id)));
    }
    assert_eq!(gone, [4, 5, 2, 1, 3]);
    drop(house.tmp);
}
