//! A file system without a mount: catalog, store, cache, and the queues at work with a service in memory.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use glacierfs::cache::Cache;
use glacierfs::catalog::Catalog;
use glacierfs::catalog::ContentId;
use glacierfs::catalog::Ino;
use glacierfs::catalog::Kind;
use glacierfs::catalog::NewInode;
use glacierfs::catalog::now;
use glacierfs::fs::Error;
use glacierfs::fs::Fs;
use glacierfs::fs::Settings;
use glacierfs::recall;
use glacierfs::recall::Recall;
use glacierfs::store::Store;
use glacierfs::upload;
use glacierfs::upload::Uploads;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::service::fake::Fake;
use super::service::fake::Held;
use super::service::fake::Op;

/// Larger archives come back in pieces of this size.
const WINDOW: u64 = 1 << 20;
/// Uploads at a time.
const REQUESTS: usize = 4;
/// Longest wait for archiving, and for the end of the queues.
const PATIENCE: Duration = Duration::from_secs(60);

/// The file system as it lives between two starts.
struct Live {
    fs: Arc<Fs>,
    catalog: Arc<Catalog>,
    cache: Arc<Cache>,
    uploads: Arc<Uploads>,
    recall: Arc<Recall>,
    tasks: [JoinHandle<()>; 2],
    _stop: watch::Sender<bool>,
}

pub struct House {
    live: Option<Live>,
    pub vault: Ino,
    fake: Arc<Fake>,
    /// Uploads that are under way while other things happen.
    held: Option<Held>,
    runtime: Runtime,
    directory: tempfile::TempDir,
}

impl House {
    /// A new one, below `above`.
    pub fn new(above: &std::path::Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let directory = tempfile::tempdir_in(above).expect("a temporary directory");
        let runtime = runtime.expect("a runtime");
        let mut house = House { live: None, vault: 0, fake: Fake::new(&["v"]), held: None, runtime, directory };
        house.start();
        house
    }

    fn start(&mut self) {
        let _entered = self.runtime.enter();
        let path = self.directory.path();
        let catalog = Arc::new(Catalog::open(&path.join("catalog.db"), Duration::ZERO).expect("catalog"));
        let dir =
            NewInode { mode: Kind::Directory.bits() | 0o777, uid: 0, gid: 0, rdev: 0, target: None, content: None };
        self.vault = catalog.add_vault("v", "", dir, now()).expect("vault").0.ino;
        let store = Arc::new(Store::open(&path.join("store")).expect("store"));
        let settings = Settings {
            // Nothing is archived by itself, so that a sequence means the same again.
            upload_delay: Duration::from_secs(3600),
            spool_reserve: 0,
            may_make_room: Arc::new(|| false),
            control: path.join("control.sock"),
        };
        let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 40).expect("cache"));
        let sealed = Arc::new(Notify::new());
        let fs = Fs::new(catalog.clone(), store.clone(), cache.clone(), sealed.clone(), settings).expect("fs");
        fs.recover().expect("recover");
        cache.sweep().expect("sweep");
        let known = catalog.files().expect("files");
        assert_eq!(store.sweep(&known).expect("sweep"), 0, "files in the store that the catalog doesn't know");
        let (stop, stopping) = watch::channel(false);
        let (at_once, whole) = (upload::Settings { requests: REQUESTS, part_size: None }, store.clone());
        let uploads = Arc::new(Uploads::new(catalog.clone(), whole, cache.clone(), self.fake.clone(), sealed, at_once));
        let settings = recall::Settings { window: WINDOW, ..recall::Settings::default() };
        let recall = Arc::new(Recall::new(catalog.clone(), store, cache.clone(), self.fake.clone(), settings));
        let tasks = [tokio::spawn(uploads.clone().run(stopping.clone())), tokio::spawn(recall.clone().run(stopping))];
        self.live = Some(Live { fs: Arc::new(fs), catalog, cache, uploads, recall, tasks, _stop: stop });
    }

    /// Ends it and starts it again. Without a `clean` end nothing that is open is closed, and what is under way breaks off.
    pub fn restart(&mut self, clean: bool) {
        let Live { fs, catalog, cache, uploads, recall, tasks, _stop } = self.live.take().expect("it lives");
        if clean {
            fs.settle().expect("settle");
        }
        for task in tasks {
            task.abort();
            // That it was aborted is what we wanted.
            let _ = self.runtime.block_on(task);
        }
        self.held = None;
        drop((fs, cache, uploads, recall));
        let start = Instant::now();
        while Arc::strong_count(&catalog) > 1 {
            assert!(start.elapsed() < PATIENCE, "the queues don't end");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(catalog);
        self.start();
    }

    fn live(&self) -> &Live {
        self.live.as_ref().expect("it lives")
    }

    pub fn fs(&self) -> &Fs {
        &self.live().fs
    }

    /// Does an operation, and again when what it lacked is there; its errno when it fails.
    pub fn call<T>(&self, operation: impl Fn(&Fs) -> glacierfs::fs::Result<T>) -> Result<T, i32> {
        loop {
            match operation(self.fs()) {
                Err(Error::Cold(need)) => {
                    let brought = self.live().recall.bring(need.content, need.first, need.last, None);
                    self.runtime.block_on(brought).expect("the fake service brings everything");
                }
                other => return other.map_err(|error| error.errno() as i32),
            }
        }
    }

    /// Archives a content, or everything, and waits for it; or goes on while it is under way, and lets it end at the next time.
    pub fn flush(&mut self, content: Option<ContentId>, wait: bool) {
        self.fs().settle().expect("settle");
        self.held = match self.held.take() {
            None if !wait => {
                // Those that were let go last time have ended, and don't count as begun now.
                let start = Instant::now();
                while !self.live().uploads.active().is_empty() {
                    assert!(start.elapsed() < PATIENCE, "what was let go doesn't end");
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(self.fake.hold(Op::Put))
            }
            _ => None,
        };
        let one = content.map(|content| [content]);
        self.live().uploads.hurry(one.as_ref().map(|one| &one[..]), true).expect("hurried");
        if let Some(held) = &self.held {
            // However slow this machine is, from here on they are under way.
            let due = self.live().catalog.due(now(), REQUESTS, &|_, _| false).expect("due").len();
            let reached = async { tokio::time::timeout(PATIENCE, held.reached(due)).await };
            self.runtime.block_on(reached).expect("uploads begin");
        }
        if !wait {
            return;
        }
        let start = Instant::now();
        loop {
            let due = self.live().catalog.due(now(), 1, &|_, _| false).expect("due");
            if due.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "flushing doesn't end: {due:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Gives up the local bytes of a content, or of all that can be. Answers of how many.
    pub fn evict(&self, content: Option<ContentId>) -> u64 {
        self.fs().settle().expect("settle");
        let Live { catalog, cache, .. } = self.live();
        let all = || catalog.cached(None, usize::MAX).expect("cached").into_iter().map(|cached| cached.id).collect();
        let contents: Vec<ContentId> = content.map_or_else(all, |content| vec![content]);
        contents.into_iter().filter(|content| cache.evict(*content).expect("evict")).count() as u64
    }

    /// Begins to bring back a content.
    pub fn restore(&self, content: ContentId) {
        self.fs().settle().expect("settle");
        // One that isn't archived is all here.
        let _ = self.live().recall.restore(content, None);
    }
}
