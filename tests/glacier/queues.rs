//! The queues of uploads and recalls on an endpoint where a fifth of the requests goes wrong.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use glacierfs::cache::Cache;
use glacierfs::catalog::{self, Catalog, ContentId, Kind, NewInode, Seal, State};
use glacierfs::recall::{self, Recall};
use glacierfs::service::{ArchiveService, Glacier};
use glacierfs::store::Store;
use glacierfs::upload::{self, Uploads};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use crate::faulty::{Place, VAULT};
use crate::kinds::kinds;

const MIB: u64 = 1 << 20;
/// How long all files of one mount may take, there and back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Mounts at a time.
const AT_ONCE: usize = 6;

/// What of a mount works without a kernel: catalog, store and cache, and both queues at work on them.
struct Mount {
    directory: TempDir,
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    uploads: Arc<Uploads>,
    recall: Arc<Recall>,
    sealed: Arc<Notify>,
    _stop: watch::Sender<bool>,
}

impl Mount {
    fn new(service: Arc<dyn ArchiveService>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(&directory.path().join("catalog.db"), Duration::ZERO).expect("a catalog");
        let catalog = Arc::new(catalog);
        let mode = Kind::Directory.bits() | 0o755;
        let root = NewInode { mode, uid: 0, gid: 0, rdev: 0, target: None, content: None };
        catalog.add_vault(VAULT, "", root, 1).expect("a vault");
        let store = Arc::new(Store::open(&directory.path().join("store")).expect("a store"));
        let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 30).expect("a cache"));
        let sealed = Arc::new(Notify::new());
        let settings = upload::Settings { requests: 4, part_size: Some(MIB) };
        let (stop, stopping) = watch::channel(false);
        let (c, s, k) = (catalog.clone(), store.clone(), cache.clone());
        let uploads = Arc::new(Uploads::new(c, s, k, service.clone(), sealed.clone(), settings));
        tokio::spawn(uploads.clone().run(stopping.clone()));
        let settings = recall::Settings { window: MIB, ..recall::Settings::default() };
        let recall = Arc::new(Recall::new(catalog.clone(), store.clone(), cache.clone(), service, settings));
        tokio::spawn(recall.clone().run(stopping));
        Mount { directory, catalog, store, cache, uploads, recall, sealed, _stop: stop }
    }

    /// A closed file, whose upload is due.
    fn write(&self, name: &str, data: &[u8]) -> ContentId {
        let root = self.catalog.vault(VAULT).expect("readable").expect("a vault").root;
        let content = rand::random_range(1..=i64::MAX);
        let mode = Kind::File.bits() | 0o640;
        let new = NewInode { mode, uid: 7, gid: 8, rdev: 0, target: None, content: Some(content) };
        let file = self.store.create(content).expect("a file");
        self.catalog.create(root, name.as_bytes(), new, 1).expect("created");
        file.write_all_at(data, 0).expect("written");
        let size = data.len() as u64;
        self.catalog.seal(&[Seal { content, size, mtime: 1, ctime: 1, due: catalog::now() }]).expect("sealed");
        self.sealed.notify_one();
        content
    }

    /// Waits until all of `contents` are archived. What has failed is tried again soon, instead of after seconds.
    async fn archived(&self, contents: &[ContentId], within: Instant) -> Result<(), String> {
        let state = |id: &ContentId| self.catalog.content(*id).expect("a content").state;
        while contents.iter().any(|id| state(id) != State::Archived) {
            if Instant::now() > within {
                let errors = contents.iter().map(|id| self.catalog.content(*id).expect("a content").error);
                return Err(format!(
                    "not archived in time: {:?}, {:?}",
                    errors.collect::<Vec<_>>(),
                    self.uploads.paused()
                ));
            }
            self.uploads.hurry(None, true).expect("hurried");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// The local bytes of a content.
    fn local(&self, id: ContentId) -> Vec<u8> {
        let content = self.catalog.content(id).expect("a content");
        assert!(content.is_local());
        let mut data = vec![0; content.size as usize];
        let file = self.store.read(content.file.expect("a file")).expect("readable");
        file.read_exact_at(&mut data, 0).expect("readable");
        data
    }
}

/// Promise: with a fault of any one kind on a fifth of all requests, every file is archived in the end, evicted, and comes
/// back as it was; a recall that gives up says why, and the next goes on.
#[tokio::test(flavor = "multi_thread")]
async fn files_go_there_and_back() {
    let seed = rand::random();
    println!("seed {seed}");
    let kinds = stream::iter(kinds()).map(|(kind, fault)| there_and_back(kind, fault, seed));
    kinds.buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn there_and_back(kind: &'static str, fault: Value, seed: u64) {
    let place = Place::start(seed).await;
    let mount = Mount::new(Arc::new(Glacier::new(place.client.clone())));
    let mut random = StdRng::seed_from_u64(seed);
    place.spoil("*", &fault).await;
    let files = [1, 5_000, 70_000, 300_000, 3 * MIB as usize + 5].into_iter().enumerate().map(|(n, size)| {
        let mut data = vec![0; size + random.random_range(0..1000)];
        random.fill_bytes(&mut data);
        (mount.write(&format!("file {n}"), &data), data)
    });
    let files: Vec<_> = files.collect();
    let contents: Vec<_> = files.iter().map(|(id, _)| *id).collect();
    let within = Instant::now() + PATIENCE;
    mount.archived(&contents, within).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    for id in &contents {
        assert!(mount.cache.evict(*id).expect("evicted") && !mount.catalog.content(*id).expect("there").is_local());
    }

    join_all(files.iter().map(async |(id, data)| {
        loop {
            let brought =
                tokio::time::timeout_at(within.into(), mount.recall.bring(*id, 0, data.len() as u64 - 1, None)).await;
            match brought
                .unwrap_or_else(|_| panic!("{kind}: not recalled in time; under way: {:?}", mount.recall.jobs()))
            {
                Ok(()) => break,
                Err(error) => assert!(error.to_string().len() > 20, "{kind}: {error}"),
            }
        }
        assert!(mount.local(*id) == *data, "{kind}: other bytes than were written");
    }))
    .await;
    assert!(place.heal().await > 0, "{kind}: there were no faults");
    drop(mount.directory);
}
