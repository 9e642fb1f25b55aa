//! The promises of recall, with a service in memory.

mod budget;
mod hearing;
mod sharing;

use std::os::unix::fs::FileExt;
use std::sync::Barrier;

use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use super::*;
use crate::catalog::Adopted;
use crate::catalog::Kind as InodeKind;
use crate::catalog::KnownArchive;
use crate::catalog::NewInode;
use crate::service::Kind;
use crate::service::fake;
use crate::service::fake::Fake;
use crate::service::fake::Op;
use crate::service::fake::When;
use crate::service::treehash;
use crate::util::size::MIB;

const WINDOW: u64 = 4 * MIB;

/// A vault with archives of which nothing is local, and recall at work on it.
struct House {
    fake: Arc<Fake>,
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    recall: Arc<Recall>,
    running: JoinHandle<()>,
    _stop: watch::Sender<bool>,
    tmp: tempfile::TempDir,
}

fn settings() -> Settings {
    Settings { window: WINDOW, ..Settings::default() }
}

fn open(tmp: tempfile::TempDir, fake: Arc<Fake>, settings: Settings, cache: u64) -> House {
    let catalog = Arc::new(Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog"));
    let mode = InodeKind::Directory.bits() | 0o755;
    let new = NewInode { mode, uid: 0, gid: 0, rdev: 0, target: None, content: None };
    catalog.add_vault("v", "", new, 1).expect("vault");
    let store = Arc::new(Store::open(&tmp.path().join("store")).expect("store"));
    let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), cache).expect("cache"));
    let recall = Arc::new(Recall::new(catalog.clone(), store.clone(), cache.clone(), fake.clone(), settings));
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(recall.clone().run(stopping));
    House { fake, catalog, store, cache, recall, running, _stop: stop, tmp }
}

fn house() -> House {
    house_with(settings())
}

fn house_with(settings: Settings) -> House {
    open(tempfile::tempdir().expect("temporary directory"), Fake::new(&["v"]), settings, 1 << 30)
}

fn bytes(size: u64) -> Vec<u8> {
    (0..size).map(|n| (n / 1000 % 251) as u8).collect()
}

impl House {
    /// An archive of `data` that becomes a file.
    fn archive(&self, name: &str, data: &[u8]) -> ContentId {
        let archive_id = self.fake.add_archive("v", name, data.to_vec());
        let known = KnownArchive {
            archive_id,
            size: data.len() as u64,
            tree_hash: treehash::tree_hash(data).0,
            created: 1,
            content: None,
            path: Some(vec![name.as_bytes().to_vec()]),
            is_folder: false,
            mode: None,
            owner: None,
            mtime: None,
        };
        let vault = self.catalog.vault("v").expect("vault").expect("a vault");
        let adopted = self.catalog.adopt(vault.id, &[known], 2).expect("adopt");
        let Adopted::Added { ino, .. } = &adopted[0] else { panic!("{adopted:?}") };
        self.catalog.inode(*ino).expect("inode").content.expect("content")
    }

    /// The bytes `first..=last` of a content, which the catalog says are local.
    fn local(&self, id: ContentId, first: u64, last: u64) -> Vec<u8> {
        let content = self.catalog.content(id).expect("content");
        assert!(content.has(first, last), "{first}-{last} aren't local");
        let mut data = vec![0; (last - first + 1) as usize];
        let file = self.store.read(content.file.expect("file")).expect("open");
        file.read_exact_at(&mut data, first).expect("read");
        data
    }

    /// The process dies and is started again; the service goes on.
    async fn restart(self) -> House {
        self.running.abort();
        let _ = self.running.await;
        let House { fake, tmp, recall, catalog, .. } = self;
        drop((recall, catalog));
        open(tmp, fake, settings(), 1 << 30)
    }
}

/// Promise: a hundred readers of one file cause one job, all get its bytes, and the cache knows of them.
#[tokio::test(flavor = "multi_thread")]
async fn many_readers_cause_one_job() {
    let house = house();
    let data = bytes(100_000);
    let id = house.archive("a", &data);
    let mut readers = JoinSet::new();
    for n in 0..100 {
        let recall = house.recall.clone();
        readers.spawn(async move { recall.bring(id, n * 1000, n * 1000 + 999, None).await });
    }
    for outcome in readers.join_all().await {
        outcome.expect("recalled");
    }
    assert_eq!(house.local(id, 0, 99_999), data);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
    assert!(house.catalog.jobs(JobState::Ready, 9, &|_| false).expect("jobs").len() <= 1);
    tokio::time::timeout(Duration::from_secs(10), async {
        while house.cache.usage().bytes != 100_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the cache is told");
    assert!(lock(&house.recall.waiters).is_empty(), "nobody waits, and nothing is kept for them");
}

/// Promise: nothing is kept for readers who have gone, also when the last of them go at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn waiters_who_go_at_once_leave_nothing() {
    let house = house();
    let id = house.archive("a", &bytes(1000));
    let all = Barrier::new(4);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for round in 0..5000 {
                    let waiter = Waiter { recall: &house.recall, id, events: house.recall.subscribe(id) };
                    all.wait();
                    drop(waiter);
                    all.wait();
                    assert!(lock(&house.recall.waiters).is_empty(), "round {round}");
                    all.wait();
                }
            });
        }
    });
}

/// Promise: a vault whose jobs can't be listed, because it is gone, say, holds up nobody; a read of what is gone with it ends in an
/// error, before it is asked for and after.
#[tokio::test]
async fn a_vault_that_is_gone() {
    let house = house();
    house.fake.fail(Op::Jobs, Some("v"), 1, When::Before, fake::error(Kind::VaultMissing));
    let id = house.archive("a", &bytes(1000));
    house.recall.bring(id, 0, 999, None).await.expect("recalled");
    let id = house.archive("b", &bytes(1000));
    house.fake.fail(Op::RequestRetrieval, Some("v"), 1, When::Before, fake::error(Kind::VaultMissing));
    let error = house.recall.bring(id, 0, 999, None).await.expect_err("gone").to_string();
    assert!(error.contains("VaultMissing"), "{error}");
    house.fake.fail(Op::Jobs, Some("v"), 1, When::Before, fake::error(Kind::VaultMissing));
    let error = house.recall.bring(id, 0, 999, None).await.expect_err("gone").to_string();
    assert!(error.contains("VaultMissing"), "{error}");
    assert!(house.recall.trouble().is_none());
}

/// Promise: credentials that the service refuses, or that there aren't, cost nobody a retrieval, whenever it happens: who reads
/// waits, it is told why and since when, and when they are right again everything goes on, with the job that there is.
#[tokio::test]
async fn credentials_that_are_wrong_for_a_while() {
    let house = house();
    // The jobs of the vault are listed once before the first is asked for; after that, to see which are ready.
    for (n, op) in [Op::RequestRetrieval, Op::Jobs, Op::Fetch].into_iter().enumerate() {
        let id = house.archive(&format!("f{n}"), &bytes(1000));
        house.fake.fail(op, Some("v"), 1, When::Before, fake::error(Kind::Credentials));
        let recall = house.recall.clone();
        let told = tokio::spawn(async move {
            while recall.trouble().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        house.recall.bring(id, 0, 999, None).await.expect("recalled in the end");
        told.await.expect("it is told");
        assert_eq!(house.local(id, 0, 999), bytes(1000));
        while house.recall.trouble().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(house.fake.all_jobs().len(), 3);
}

/// Promise: of an archive larger than the window only the windows that are read are retrieved, each once.
#[tokio::test(flavor = "multi_thread")]
async fn large_archives_come_in_windows() {
    let house = house();
    let data = bytes(4 * WINDOW + 12345);
    let id = house.archive("a", &data);
    house.recall.bring(id, WINDOW + 5, 2 * WINDOW - 1, None).await.expect("recalled");
    assert_eq!(house.local(id, WINDOW, 2 * WINDOW - 1), data[WINDOW as usize..2 * WINDOW as usize]);
    let content = house.catalog.content(id).expect("content");
    assert!(!content.has(0, 0) && !content.has(2 * WINDOW, 2 * WINDOW) && !content.is_local());
    house.recall.bring(id, 0, data.len() as u64 - 1, None).await.expect("recalled");
    assert_eq!(house.local(id, 0, data.len() as u64 - 1), data);
    assert!(house.catalog.content(id).expect("content").is_local());
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 5);
}

/// Promise: a byte that was damaged on the way is fetched again; one that stays damaged is an error, and no reader gets it.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_never_reach_a_reader() {
    let house = house();
    let data = bytes(3 * MIB);
    let (good, bad) = (house.archive("a", &data), house.archive("b", &data));
    house.fake.spoil_outputs(2);
    house.recall.bring(good, 0, 3 * MIB - 1, None).await.expect("recalled");
    assert_eq!(house.local(good, 0, 3 * MIB - 1), data);
    house.fake.spoil_outputs(usize::MAX);
    let error = house.recall.bring(bad, 0, 0, None).await.expect_err("damaged").to_string();
    assert!(error.contains("another tree hash"), "{error}");
    assert!(!house.catalog.content(bad).expect("content").has(0, 0));
    assert_eq!(house.recall.failure(bad), Some(error));
    house.fake.heal();
    house.recall.bring(bad, 0, 0, None).await.expect("the next read tries anew");
    assert_eq!(house.recall.failure(bad), None);
}

/// Promise: an output that breaks off is fetched on.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_tried_again() {
    let house = house();
    let data = bytes(MIB);
    let id = house.archive("a", &data);
    house.fake.cut_outputs(1);
    house.recall.bring(id, 0, 0, None).await.expect("recalled");
    assert_eq!(house.local(id, 0, MIB - 1), data);
}

/// Promise: a restart adopts a job that runs, and asks for none a second time; not even if the answer that accepted it was
/// lost.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_survive_a_restart() {
    let house = house();
    let data = bytes(1000);
    let (noted, unnoted) = (house.archive("a", &data), house.archive("b", &data));
    house.fake.hold_jobs();
    assert!(!house.recall.start(noted, 0, 0, None).expect("a planned job"));
    let accepted = async |house: &House, n: usize| {
        let wait = async {
            while house.catalog.jobs(JobState::Accepted, 9, &|_| false).expect("jobs").len() < n {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("accepted");
    };
    accepted(&house, 1).await;
    house.fake.fail(Op::RequestRetrieval, None, 1, When::After, fake::error(Kind::Unavailable));
    assert!(!house.recall.start(unnoted, 0, 0, None).expect("a planned job"));
    while house.fake.calls(Op::RequestRetrieval) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let house = house.restart().await;
    accepted(&house, 2).await;
    house.fake.finish_jobs();
    for id in [noted, unnoted] {
        house.recall.bring(id, 0, 0, None).await.expect("recalled");
        assert_eq!(house.local(id, 0, 999), data);
    }
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 2);
}

/// Promise: a job that the service has forgotten is asked for again; one that it gave up is an error that says so.
#[tokio::test(flavor = "multi_thread")]
async fn lost_and_failed_jobs() {
    let house = house();
    let data = bytes(1000);
    let id = house.archive("a", &data);
    house.fake.hold_jobs();
    let recall = house.recall.clone();
    let reader = tokio::spawn(async move { recall.bring(id, 0, 0, None).await });
    while house.fake.all_jobs().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.fake.expire_jobs();
    while house.fake.all_jobs().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.fake.fail_jobs("the archive fell off the shelf");
    let error = reader.await.expect("no panic").expect_err("failed").to_string();
    assert!(error.contains("fell off the shelf"), "{error}");
    house.fake.finish_jobs();
    house.recall.bring(id, 0, 0, None).await.expect("the next read tries anew");
}

/// Promise: whoever stops waiting leaves nothing behind, and the recall goes on.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_can_be_given_up() {
    let house = house();
    let data = bytes(1000);
    let id = house.archive("a", &data);
    house.fake.hold_jobs();
    let waited = tokio::time::timeout(Duration::from_millis(50), house.recall.bring(id, 0, 0, None)).await;
    assert!(waited.is_err());
    assert!(lock(&house.recall.waiters).is_empty());
    house.fake.finish_jobs();
    house.recall.bring(id, 0, 0, None).await.expect("recalled");
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
}

/// Promise: who waits for bytes of a file that gets others meanwhile is told so, whether they were asked for or have come already.
#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_meanwhile_leave_nobody_waiting() {
    for op in [Op::RequestRetrieval, Op::Fetch] {
        let house = house();
        let id = house.archive("a", &bytes(1000));
        let held = house.fake.hold(op);
        let recall = house.recall.clone();
        let reader = tokio::spawn(async move { recall.bring(id, 0, 999, None).await });
        held.reached(1).await;
        let ino = house.catalog.content(id).expect("content").ino;
        house.catalog.begin_write(ino, id + 1, catalog::Start::Empty, 1).expect("a write");
        drop(held);
        let waited = tokio::time::timeout(Duration::from_secs(20), reader).await;
        let error = waited.expect("nobody waits for ever").expect("no panic").expect_err("they are gone");
        assert!(error.is_gone(), "{error}");
    }
}

/// Promise: what is evicted while it is being brought back is brought back all the same to who waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn eviction_meanwhile_leaves_nobody_waiting() {
    let house = house();
    let data = bytes(1000);
    let id = house.archive("a", &data);
    let held = house.fake.hold(Op::Fetch);
    let recall = house.recall.clone();
    let reader = tokio::spawn(async move { recall.bring(id, 0, 999, None).await });
    held.reached(1).await;
    assert!(house.cache.evict(id).expect("evict"));
    drop(held);
    let waited = tokio::time::timeout(Duration::from_secs(20), reader).await;
    waited.expect("it comes back").expect("no panic").expect("recalled");
    assert_eq!(house.local(id, 0, 999), data);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
}
