//! The promises of restores, as far as the catalog keeps them.

use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::catalog::Archive;
use crate::catalog::Ino;
use crate::catalog::JobState;
use crate::catalog::Kind;
use crate::catalog::NewInode;
use crate::catalog::Planned;
use crate::catalog::Seal;
use crate::catalog::Turn;
use crate::util::budget::Budget;
use crate::util::money::Money;
use crate::util::size::MIB;

/// A catalog with archived files of which nothing is local.
struct Shelf {
    catalog: Catalog,
    root: Ino,
}

impl Shelf {
    /// Opens the catalog in `dir`.
    fn open(dir: &Path) -> Self {
        let catalog = Catalog::open(&dir.join("catalog.db"), Duration::ZERO).expect("it opens");
        let root = match catalog.lookup(crate::catalog::ROOT, b"photos").expect("lookup") {
            Some(root) => root.ino,
            None => catalog.add_vault("photos", "arn", Shelf::inode(Kind::Directory, None), 1).expect("a vault").0.ino,
        };
        Shelf { catalog, root }
    }

    fn inode(kind: Kind, content: Option<ContentId>) -> NewInode<'static> {
        NewInode { mode: kind.bits() | 0o755, uid: 0, gid: 0, rdev: 0, target: None, content }
    }

    /// Archives a file with content `id` and so many bytes, and evicts it.
    fn put(&self, id: ContentId, size: u64) {
        let name = id.to_string().into_bytes();
        let made = self.catalog.create(self.root, &name, Shelf::inode(Kind::File, Some(id)), 1).expect("create");
        self.catalog.seal(&[Seal { content: id, size, mtime: 1, ctime: 1, due: 1 }]).expect("seal");
        let archive = Archive {
            row: 0,
            vault: made.vault.expect("a vault"),
            archive_id: format!("archive {id}"),
            size,
            tree_hash: [1; 32],
            created: 1,
        };
        assert!(self.catalog.archived(id, 0, &archive, None, 1).expect("archived"));
        self.catalog.evict(id).expect("evicted");
    }

    /// Has a restore of `ids` planned as far as all of it is added.
    fn begin(&self, ids: &[ContentId], rate: Option<u64>) -> Restore {
        let mut restore = self.catalog.begin_restore("photos", Tier::Bulk, rate, 1000).expect("begun");
        with_terms(|terms| self.catalog.add_to_restore(&mut restore, ids, terms)).expect("added");
        restore
    }

    fn plan(&self, ids: &[ContentId]) -> i64 {
        let restore = self.begin(ids, None);
        self.catalog.restore_planned(&restore, 1001).expect("planned");
        restore.id
    }

    /// The archives of the planned jobs.
    fn planned(&self) -> Vec<String> {
        let jobs = self.catalog.jobs(JobState::Planned, 1000, &|_| false).expect("jobs");
        let mut archives: Vec<_> = jobs.into_iter().map(|job| job.archive.archive_id).collect();
        archives.sort();
        archives
    }

    fn restore(&self, id: i64) -> Restore {
        self.catalog.restore(id).expect("a question").expect("a restore")
    }

    /// Brings what a job is for.
    fn bring(&self, job: &crate::catalog::Job) {
        let id = self.catalog.content_once_of(job.archive.row).expect("a question").expect("a content");
        let file = self.catalog.begin_recall(id, id).expect("a file");
        self.catalog.recalled(id, file, job.first, job.last).expect("recalled");
        self.catalog.job_done(job.id, 2000).expect("done");
    }

    /// How many contents a restore still waits for.
    fn left(&self, id: i64) -> u64 {
        self.count(&format!("restore_item WHERE restore = {id} AND error IS NULL"))
    }

    /// How many contents are waited for that no job is for.
    fn jobless(&self) -> u64 {
        self.count(
            "restore_item i JOIN content c ON c.id = i.content
             WHERE i.error IS NULL AND NOT EXISTS (SELECT 1 FROM job j WHERE j.archive = c.archive)",
        )
    }

    /// How many jobs only restores wanted, and none does any more.
    fn unwanted(&self) -> u64 {
        self.count(
            "job j JOIN content c ON c.archive = j.archive WHERE j.state = 0 AND j.reader = 0
             AND NOT EXISTS (SELECT 1 FROM restore_item i WHERE i.content = c.id AND i.error IS NULL)",
        )
    }

    fn count(&self, what: &str) -> u64 {
        let count = self
            .catalog
            .read(|conn| Ok(conn.query_row(&format!("SELECT COUNT(*) FROM {what}"), [], |row| row.get(0))?));
        count.expect("a question")
    }
}

/// Windows of 1 MiB; a job costs a dollar.
fn with_terms<T>(work: impl FnOnce(&Terms) -> T) -> T {
    let ranges = |size: u64, (first, last): (u64, u64), taken: &dyn Fn(u64) -> bool| {
        let windows = first / MIB..=last.min(size - 1) / MIB;
        windows.filter(|mib| !taken(*mib)).map(|mib| (mib * MIB, size.min((mib + 1) * MIB) - 1)).collect()
    };
    let price = |_, _| Money(1_000_000_000);
    work(&Terms { ranges: &ranges, price: &price, budget: &Budget::default(), now: 1000 })
}

/// Promise: a restore whose planning was cut off isn't one: after a restart nobody sees it, and what only it wanted isn't asked for,
/// nor counted in the budget. What a reader or another restore wants stays.
#[test]
fn a_planning_that_was_cut_off_leaves_nothing() {
    let tmp = tempfile::tempdir().expect("a directory");
    let shelf = Shelf::open(tmp.path());
    (1..=4).for_each(|id| shelf.put(id, 10));
    let whole = shelf.plan(&[1]);
    let read = with_terms(|terms| shelf.catalog.plan_read(2, (0, 9), Tier::Standard, false, terms));
    assert_eq!(read.expect("planned"), Planned::Jobs(1));
    let half = shelf.begin(&[1, 2, 3, 4], None);
    assert_eq!((half.files, half.bytes), (4, 40));
    assert_eq!(shelf.planned(), ["archive 1", "archive 2", "archive 3", "archive 4"], "each once");
    // The turn of one had come already.
    let jobs = shelf.catalog.jobs(JobState::Planned, 10, &|_| false).expect("jobs");
    let charged = jobs.iter().find(|job| job.archive.archive_id == "archive 4").expect("its job");
    let turn = with_terms(|terms| shelf.catalog.charge_job(charged, terms)).expect("counted");
    assert_eq!(turn, Turn::Counted(Tier::Bulk));
    assert_eq!(shelf.catalog.spent(1000).expect("spent").day.requests, 2);
    assert_eq!(shelf.catalog.restore(half.id).expect("a question"), None, "not yet");
    drop(shelf);

    let shelf = Shelf::open(tmp.path());
    assert_eq!(shelf.catalog.drop_unplanned_restores().expect("dropped"), 1);
    let ids: Vec<i64> = shelf.catalog.restores().expect("restores").iter().map(|restore| restore.id).collect();
    assert_eq!(ids, [whole]);
    assert_eq!(shelf.planned(), ["archive 1", "archive 2"]);
    assert_eq!(shelf.catalog.spent(1000).expect("spent").day.requests, 1, "the reader's");
    assert_eq!(shelf.catalog.drop_unplanned_restores().expect("dropped"), 0);
}

/// Promise: a rate spreads the windows of one large file too: each is due when those before it have had their time.
#[test]
fn a_rate_spreads_the_windows_of_a_file() {
    const HOUR: i64 = 3_600_000_000_000;
    let tmp = tempfile::tempdir().expect("a directory");
    let shelf = Shelf::open(tmp.path());
    shelf.put(1, 3 * MIB);
    shelf.put(2, 10);
    let restore = shelf.begin(&[1, 2], Some(MIB));
    shelf.catalog.restore_planned(&restore, 1000).expect("planned");
    let jobs = shelf.catalog.jobs(JobState::Planned, 10, &|_| false).expect("jobs");
    let due: Vec<i64> = jobs.iter().map(|job| job.due - 1000).collect();
    assert_eq!(due, [0, HOUR, 2 * HOUR, 3 * HOUR]);
    assert_eq!(shelf.restore(restore.id).due, 1000 + 3 * HOUR);
    assert_eq!(shelf.catalog.due_jobs(999 + HOUR, 10).expect("jobs").len(), 1);

    // What is here of a file takes no time.
    shelf.put(3, 5 * MIB);
    let file = shelf.catalog.begin_recall(3, 3).expect("a file");
    shelf.catalog.recalled(3, file, 0, 3 * MIB - 1).expect("recalled");
    let restore = shelf.begin(&[3], Some(MIB));
    assert_eq!((restore.bytes, restore.due), (2 * MIB, 1000 + HOUR));
}

/// Promise: of the restores that have ended the newest hundred are kept, and those that go on all.
#[test]
fn ended_restores_are_kept_for_a_while() {
    let tmp = tempfile::tempdir().expect("a directory");
    let shelf = Shelf::open(tmp.path());
    (1..=2).for_each(|id| shelf.put(id, 10));
    let first = shelf.plan(&[1]);
    for _ in 0..KEPT + 20 {
        let id = shelf.plan(&[2]);
        assert!(shelf.catalog.cancel_restore(id, 1002).expect("cancelled"));
    }
    let all = shelf.catalog.restores().expect("restores");
    assert!((KEPT + 1..=KEPT + 2).contains(&(all.len() as i64)), "{}", all.len());
    assert_eq!(all.last().map(|restore| restore.id), Some(first), "it goes on");
}

/// Promise: whatever becomes of what restores want, in whatever order (it comes, fails, is forgotten by the service, is evicted, deleted, wanted by readers and by
/// several restores, some of which are cancelled), each restore counts each of its files once, has ended exactly when
/// nothing is left, waits for nothing that no job is for, and leaves no job that nobody wants.
#[test]
fn every_file_is_counted_once() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..100 {
        let tmp = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::open(tmp.path());
        let mut ids: Vec<ContentId> = (1..=12).collect();
        for id in &ids {
            shelf.put(*id, rng.random_range(1..3 * MIB));
        }
        let mut restores = Vec::new();
        for _ in 0..100 {
            let jobs = shelf.catalog.jobs(JobState::Planned, 1000, &|_| false).expect("jobs");
            let job = (!jobs.is_empty()).then(|| jobs[rng.random_range(0..jobs.len())].clone());
            let id = ids[rng.random_range(0..ids.len())];
            match (rng.random_range(0..11), job) {
                (0, _) => {
                    let some: Vec<_> = ids.iter().copied().filter(|_| rng.random_bool(0.3)).collect();
                    restores.push(shelf.plan(&some));
                }
                (1, _) => {
                    with_terms(|terms| shelf.catalog.plan_read(id, (0, 9), Tier::Standard, false, terms))
                        .map(drop)
                        .expect("read");
                }
                (2, _) => drop(shelf.catalog.evict(id).expect("evicted")),
                (3, _) if ids.len() > 3 => {
                    shelf.catalog.unlink(shelf.root, id.to_string().as_bytes(), 3000).expect("deleted");
                    ids.retain(|other| *other != id);
                }
                (4, _) if !restores.is_empty() => {
                    let restore = restores[rng.random_range(0..restores.len())];
                    shelf.catalog.cancel_restore(restore, 3000).map(drop).expect("cancelled");
                }
                (5, Some(job)) => shelf.catalog.job_failed(job.id, "it failed", 3000).expect("failed"),
                (6, Some(job)) => {
                    with_terms(|terms| shelf.catalog.job_lost(job.id, terms)).expect("lost");
                }
                (7..10, Some(job)) if shelf.catalog.content_of(job.archive.row).expect("a question").is_some() => {
                    shelf.bring(&job);
                }
                (_, Some(job)) if shelf.catalog.content_of(job.archive.row).expect("a question").is_none() => {
                    shelf.catalog.job_unwanted(job.id, 3000).expect("unwanted");
                }
                _ => {}
            }
            for id in &restores {
                let (restore, waits) = (shelf.restore(*id), shelf.left(*id));
                if restore.cancelled {
                    assert_eq!(waits, 0, "{restore:?}");
                    continue;
                }
                assert_eq!(restore.done_files + restore.failed + waits, restore.files, "{restore:?}");
                assert_eq!(restore.ended.is_some(), waits == 0, "{restore:?}");
                assert!(restore.done_bytes <= restore.bytes, "{restore:?}");
            }
            assert_eq!((shelf.jobless(), shelf.unwanted()), (0, 0), "what nothing brings, what nobody wants");
        }
    }
}
