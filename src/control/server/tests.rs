//! Every route, asked by the real client over a real socket, with real parts of a mount behind it and a service in memory.

mod restores;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::watch;

use super::*;
use crate::catalog::Ino;
use crate::catalog::Kind as InodeKind;
use crate::config::Gathered;
use crate::config::Inputs;
use crate::control::client::Client;
use crate::control::client::Error;
use crate::control::wire::EntryKind;
use crate::control::wire::ErrorKind;
use crate::control::wire::FileState;
use crate::control::wire::InventoryState;
use crate::control::wire::JobKind;
use crate::control::wire::JobState;
use crate::control::wire::PathText;
use crate::control::wire::Restore;
use crate::fs;
use crate::fs::Caller;
use crate::recall;
use crate::service::Kind;
use crate::service::Tier;
use crate::service::fake;
use crate::service::fake::Fake;
use crate::service::fake::Op;
use crate::service::fake::When;
use crate::snapshot;
use crate::snapshot::Snapshots;
use crate::store::Store;
use crate::upload;
use crate::util::clock::Clock;

const ME: Caller = Caller { uid: 1000, gid: 1000 };

/// A daemon with the vaults `photos` and `docs`, without a mount.
struct House {
    fake: Arc<Fake>,
    daemon: Arc<Daemon>,
    client: Client,
    /// Keeps the background tasks going.
    _running: watch::Sender<bool>,
    _tmp: tempfile::TempDir,
}

async fn house() -> House {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let fake = Fake::new(&["photos", "docs"]);
    let catalog = Arc::new(Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog"));
    let store = Arc::new(Store::open(&tmp.path().join("store")).expect("store"));
    let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 30).expect("cache"));
    let sealed = Arc::new(Notify::new());
    let socket = tmp.path().join("control.sock");
    // So long that only a flush makes an upload due.
    let upload_delay = Duration::from_secs(3600);
    let settings =
        fs::Settings { upload_delay, spool_reserve: 0, may_make_room: Arc::new(|| false), control: socket.clone() };
    let fs = Fs::new(catalog.clone(), store.clone(), cache.clone(), sealed.clone(), settings).expect("file system");
    let settings = upload::Settings { requests: 2, part_size: None };
    let uploads = Uploads::new(catalog.clone(), store.clone(), cache.clone(), fake.clone(), sealed.clone(), settings);
    let settings = recall::Settings::default();
    let recall = Recall::new(catalog.clone(), store.clone(), cache.clone(), fake.clone(), settings);
    let (fs, recall) = (Arc::new(fs), Arc::new(recall));
    let settings = snapshot::Settings::new(tmp.path(), None, Clock::real());
    let snapshots = Snapshots::new(catalog.clone(), store.clone(), fs.clone(), recall.clone(), sealed, settings);
    let scrub = Scrub::new(catalog.clone(), store, cache.clone(), fs.clone(), recall.clone());
    let vaults = Vaults::new(catalog.clone(), fake.clone(), tmp.path().to_owned());
    vaults.refresh().await.expect("the list of vaults");
    let flags = [("mountpoint", "/mnt/vaults"), ("state", "/var/lib/x"), ("region", "eu-west-1")];
    let gathered = Gathered::new(&Inputs {
        flags: flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        options: Vec::new(),
        file: None,
        environment: Vec::new(),
        directory: tmp.path().to_owned(),
        root: false,
        profile_region: &|_| None,
    });
    let daemon = Arc::new(Daemon {
        config: gathered.and_then(|gathered| gathered.config()).expect("a configuration"),
        endpoint: "memory:".to_owned(),
        started: Timestamp::now(),
        catalog,
        cache,
        fs,
        uploads: Arc::new(uploads),
        recall,
        vaults: Arc::new(vaults),
        snapshots: Arc::new(snapshots),
        scrub: Arc::new(scrub),
        stop: Arc::default(),
    });
    let (running, stopping) = watch::channel(false);
    tokio::spawn(daemon.uploads.clone().run(stopping.clone()));
    tokio::spawn(daemon.recall.clone().run(stopping));
    tokio::spawn(daemon.vaults.clone().run());
    tokio::spawn(serve(bind(&socket).expect("a socket"), daemon.clone()));
    House { fake, daemon, client: Client::new(socket), _running: running, _tmp: tmp }
}

impl House {
    fn dir(&self, path: &str) -> Ino {
        tree::resolve(&self.daemon.catalog, &text(path)).expect("a directory").ino
    }

    /// Writes a file; as one that is still open, if `open`.
    fn write(&self, path: &str, data: &[u8], open: bool) -> Ino {
        let (parent, name) = path.rsplit_once('/').expect("a path in a vault");
        let fs = &self.daemon.fs;
        let (inode, opened) = fs.create(self.dir(parent), name.as_bytes(), 0o640, ME).expect("create");
        fs.write(opened.handle, 0, data).expect("write");
        if !open {
            fs.release(opened.handle).expect("close");
            fs.settle().expect("settle");
        }
        inode.ino
    }

    /// Flushes until nothing is left that can be waited for.
    async fn evict(&self, path: &str) -> Result<wire::Evicted, crate::control::client::Error> {
        self.client.evict(&wire::Evict { paths: vec![text(path)], ..wire::Evict::default() }).await
    }

    async fn flush(&self, paths: &[&str]) -> wire::Pending {
        let paths: Vec<_> = paths.iter().map(|path| text(path)).collect();
        let mut pending = wire::Pending::default();
        eventually("a flush", async || {
            pending = self.client.flush(&paths).await.expect("an answer");
            let hopeless = pending.failed.iter().filter(|failure| !failure.retrying).count();
            pending.pending_files <= hopeless as u64
        })
        .await;
        pending
    }

    async fn state(&self, path: &str) -> FileState {
        let entries = self.client.ls(&text(path)).await.expect("an answer");
        entries[0].state.expect("a state")
    }
}

/// A request for a restore of paths, all else left as it is.
fn of(paths: &[&str]) -> Restore {
    Restore { paths: paths.iter().map(|path| text(path)).collect(), ..Restore::default() }
}

fn text(path: &str) -> PathText {
    PathText(path.into())
}

/// Waits until `is_so`, for at most ten seconds.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} didn't happen");
}

/// The kind and the words of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> (ErrorKind, String) {
    match answer.expect_err("a refusal") {
        Error::Refused { kind, message } => (kind, message),
        other => panic!("no refusal: {other}"),
    }
}

/// Promise: the socket is its owner's alone, and takes the place of a dead daemon's.
#[tokio::test]
async fn the_socket_is_private() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let path = tmp.path().join("control.sock");
    drop(bind(&path).expect("the first"));
    let _second = bind(&path).expect("over what the first left");
    let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(bind(&tmp.path().join("missing/control.sock")).is_err());
}

/// Promise: whatever is asked in a way that can't be meant is answered as JSON, with what is wrong.
#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let house = house().await;
    let get = |target| (Method::GET, target, String::new());
    let post = |target, body: &str| (Method::POST, target, body.to_owned());
    let large = " ".repeat(BODY + 1);
    for ((method, target, body), status, kind, says) in [
        (get("/v2/status"), 404, ErrorKind::NotFound, "/v2/status"),
        (get("/"), 404, ErrorKind::NotFound, "there is no /"),
        (get("/v1/flush"), 405, ErrorKind::Invalid, "doesn't take GET"),
        (get("/v1/ls"), 400, ErrorKind::Invalid, "path"),
        (get("/v1/ls?path=%2541%25"), 400, ErrorKind::Invalid, "is not a path"),
        (get("/v1/vaults/%FF"), 400, ErrorKind::Invalid, "UTF-8"),
        (post("/v1/flush", "{"), 400, ErrorKind::Invalid, "EOF"),
        (post("/v1/evict", "{\"path\":[]}"), 400, ErrorKind::Invalid, "paths"),
        (post("/v1/stop", "{\"drain_seconds\":-1}"), 400, ErrorKind::Invalid, "-1"),
        (post("/v1/flush", &large), 400, ErrorKind::Invalid, "length limit"),
    ] {
        let (found, answer) = house.client.exchange(method, target, body.into()).await.expect("an answer");
        let error: wire::ErrorBody = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!((found.as_u16(), error.kind), (status, kind), "{target}: {}", error.error);
        assert!(error.error.contains(says), "{says:?} in {:?}", error.error);
    }
}

/// Promise: a listing tells where each file's bytes are at every stage of its life, sorted by name, by any name.
#[tokio::test]
async fn ls_tells_the_state_of_each_file() {
    let house = house().await;
    let vault = house.dir("photos");
    let fs = &house.daemon.fs;
    fs.mkdir(vault, b"dir", 0o755, ME).expect("directory");
    fs.symlink(vault, b"link", b"target", ME).expect("link");
    fs.mknod(vault, b"fifo", InodeKind::Fifo.bits() | 0o600, 0, ME).expect("fifo");
    house.write("photos/b", b"hello", false);
    house.write("photos/a", b"dirty", true);
    house.write("photos/empty", b"", false);
    let odd = b"\xff\n%";
    let (_, opened) = fs.create(vault, odd, 0o600, ME).expect("create");
    fs.release(opened.handle).expect("close");
    fs.settle().expect("settle");

    let root = house.client.ls(&text("")).await.expect("the root");
    let kinds: Vec<_> = root.iter().map(|entry| (entry.name.encode(), entry.kind, entry.state)).collect();
    assert_eq!(kinds, [("docs".to_owned(), EntryKind::Vault, None), ("photos".to_owned(), EntryKind::Vault, None)]);

    let listed = house.client.ls(&text("photos")).await.expect("a listing");
    let found: Vec<_> =
        listed.iter().map(|entry| (entry.name.0.as_slice(), entry.kind, entry.size, entry.state)).collect();
    let (local, file) = (Some(FileState::Local), EntryKind::File);
    assert_eq!(
        found,
        [
            (&b"a"[..], file, 5, Some(FileState::Dirty)),
            (b"b", file, 5, Some(FileState::Sealed)),
            (b"dir", EntryKind::Dir, 0, local),
            (b"empty", file, 0, local),
            (b"fifo", EntryKind::Other, 0, local),
            (b"link", EntryKind::Symlink, 6, local),
            (odd, file, 0, local),
        ]
    );
    assert_eq!((listed[1].mode & 0o7777, &listed[1].archive_id), (0o640, &None));
    let one = house.client.ls(&PathText([b"photos/", &odd[..]].concat())).await.expect("a file");
    assert_eq!(one, listed[6..]);

    let held = house.fake.hold(Op::Put);
    house.client.flush(&[text("photos/b")]).await.expect("an answer");
    held.reached(1).await;
    assert_eq!(house.state("photos/b").await, FileState::Uploading);
    drop(held);
    house.flush(&["photos/b"]).await;
    let archived = house.client.ls(&text("photos/b")).await.expect("a file").remove(0);
    assert_eq!(archived.state, Some(FileState::Cached));
    let (id, stored) = house.fake.archives("photos").pop_first().expect("an archive");
    assert_eq!((archived.archive_id, archived.tree_hash), (Some(id), Some(stored.tree_hash.to_string())));

    house.evict("photos/b").await.expect("evicted");
    assert_eq!(house.state("photos/b").await, FileState::Archived);
    house.fake.hold_jobs();
    house.client.restore(&of(&["photos/b"])).await.expect("started");
    assert_eq!(house.state("photos/b").await, FileState::Recalling);

    let missing = refused(house.client.ls(&text("photos/dir/none")).await);
    assert_eq!(missing, (ErrorKind::NotFound, r#"there is no "photos/dir/none" in this mount"#.to_owned()));
}

/// Promise: a file of which some is local is told from one that is all or not at all local.
#[tokio::test]
async fn ls_tells_what_is_partly_local() {
    let house = house().await;
    let size = 3 << 20;
    let ino = house.write("photos/big", &vec![7; size], false);
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    let catalog = &house.daemon.catalog;
    let content = catalog.inode(ino).expect("inode").content.expect("content");
    catalog.begin_recall(content, 99).expect("begun");
    catalog.recalled(content, 99, 1 << 20, (2 << 20) - 1).expect("a MiB");
    assert_eq!(house.state("photos/big").await, FileState::Partial);
    let evicted = house.evict("photos").await.expect("evicted");
    assert_eq!((evicted.files, evicted.bytes), (1, 1 << 20));
}

/// Promise: a flush makes exactly what is meant due at once, counts what is done and what isn't, and open files are waited
/// for.
#[tokio::test]
async fn flush_archives_what_is_meant() {
    let house = house().await;
    house.write("photos/a", b"hello", false);
    house.write("photos/empty", b"", false);
    house.write("docs/b", b"world!", false);
    let pending = house.flush(&["photos"]).await;
    assert_eq!((pending.files, pending.bytes, pending.done_files, pending.done_bytes), (1, 5, 1, 5));
    assert_eq!(house.fake.archives("photos").len(), 1);
    assert_eq!(house.fake.calls(Op::Put), 1, "docs/b still rests");

    let fs = &house.daemon.fs;
    let (_, opened) = fs.create(house.dir("docs"), b"open", 0o644, ME).expect("create");
    fs.write(opened.handle, 0, b"123").expect("write");
    let pending = house.client.flush(&[text("docs")]).await.expect("an answer");
    assert_eq!((pending.files, pending.bytes, pending.pending_files), (2, 9, 2));
    eventually("all but the open file", async || house.client.flush(&[]).await.expect("an answer").pending_files == 1)
        .await;
    let pending = house.client.flush(&[]).await.expect("an answer");
    assert_eq!((pending.pending_bytes, pending.failed.as_slice()), (3, &[][..]));
    fs.release(opened.handle).expect("close");
    house.flush(&[]).await;
    assert_eq!(house.fake.archives("docs").len(), 2);
    assert_eq!(refused(house.client.flush(&[text("docs/none")]).await).0, ErrorKind::NotFound);
}

/// Promise: who waits for a vault that refuses us is told that it is in vain, for every file that waits there, while other
/// vaults go on; the service isn't asked again for each time that the waiting one asks; and asking anew tries again.
#[tokio::test]
async fn flush_tells_what_is_hopeless() {
    let house = house().await;
    for name in ["photos/a", "photos/b", "photos/c", "docs/d"] {
        house.write(name, b"hello", false);
    }
    house.fake.fail(Op::Put, Some("photos"), usize::MAX, When::Before, fake::error(Kind::AccessDenied));
    for paths in [&[][..], &["photos", "docs"]] {
        let pending = house.flush(paths).await;
        let mut failed: Vec<_> = pending.failed.iter().map(|failure| failure.path.encode()).collect();
        failed.sort();
        assert_eq!(failed, ["photos/a", "photos/b", "photos/c"]);
        assert!(pending.failed.iter().all(|failure| failure.reason == "injected: AccessDenied" && !failure.retrying));
    }
    assert_eq!(house.fake.archives("docs").len(), 1);
    let asked = house.fake.calls(Op::Put);
    for _ in 0..5 {
        house.client.flush(&[]).await.expect("an answer");
    }
    assert_eq!(house.fake.calls(Op::Put), asked);
    let vaults = house.client.vaults().await.expect("the vaults");
    let paused: Vec<_> = vaults.iter().map(|vault| (vault.name.as_str(), vault.paused.as_deref())).collect();
    assert_eq!(paused, [("docs", None), ("photos", Some("injected: AccessDenied"))]);

    house.fake.heal();
    let pending = house.flush(&["photos/a", "photos/b", "photos/c"]).await;
    assert_eq!((pending.done_files, pending.failed.as_slice()), (3, &[][..]));
}

/// Promise: a file whose upload fails is told with the reason and that it is tried again, and the wait goes on.
#[tokio::test]
async fn flush_tells_what_is_tried_again() {
    let house = house().await;
    house.write("photos/a", b"hello", false);
    house.fake.fail(Op::Put, None, 1, When::Before, fake::error(Kind::Corrupt));
    for paths in [&[][..], &[text("photos/a")]] {
        eventually("a failure", async || {
            let pending = house.client.flush(paths).await.expect("an answer");
            let told = pending.failed.first();
            told.is_some_and(|failure| failure.retrying && failure.reason == "injected: Corrupt")
        })
        .await;
    }
    assert_eq!(house.flush(&["photos"]).await.done_files, 1);
}

/// Promise: evicting frees what is archived, and leaves alone, with the reason, what isn't.
#[tokio::test]
async fn evict_spares_what_is_not_archived() {
    let house = house().await;
    let ino = house.write("photos/a", b"hello", false);
    house.daemon.fs.link(ino, house.dir("photos"), b"again").expect("link");
    house.flush(&[]).await;
    house.write("photos/sealed", b"x", false);
    house.write("photos/dirty", b"x", true);
    let evicted = house.evict("photos").await.expect("evicted");
    assert_eq!((evicted.files, evicted.bytes), (1, 5));
    let mut skipped: Vec<_> = evicted.skipped.into_iter().map(|file| (file.path.encode(), file.reason)).collect();
    skipped.sort();
    let reason = || "not archived yet".to_owned();
    assert_eq!(skipped, [("photos/dirty".to_owned(), reason()), ("photos/sealed".to_owned(), reason())]);
    assert_eq!(house.daemon.cache.usage().bytes, 0);
    let again = house.evict("photos/a").await.expect("evicted");
    assert_eq!((again.files, again.bytes, again.skipped.len()), (0, 0, 0));
}

/// Promise: what is pinned is left alone by name, with what is below it; unpinned it goes; what isn't local of it is told; links and
/// what is glacierfs's own can't be pinned.
#[tokio::test]
async fn pins() {
    let house = house().await;
    for name in ["photos/a", "photos/b"] {
        house.write(name, b"hello", false);
    }
    house.flush(&[]).await;
    house.evict("photos/b").await.expect("evicted");
    let pinned = house.client.pin(&[text("photos")], true).await.expect("pinned");
    assert_eq!((pinned.files, pinned.bytes, pinned.absent_files, pinned.absent_bytes), (2, 10, 1, 5));
    let evicted = house.evict("").await.expect("nothing evicted");
    assert_eq!((evicted.files, evicted.skipped.len()), (0, 1));
    assert_eq!((evicted.skipped[0].path.encode().as_str(), evicted.skipped[0].reason.as_str()), ("photos/a", "pinned"));
    let report = house.client.cache().await.expect("a report");
    assert_eq!((report.files, report.bytes, report.pinned_files, report.pinned_bytes), (1, 5, 1, 5));
    house.client.pin(&[text("photos/a")], false).await.expect("unpinned");
    assert_eq!(house.evict("photos").await.expect("evicted").files, 1);
    let fifo = crate::catalog::Kind::Fifo.bits() | 0o600;
    let caller = crate::fs::Caller { uid: 0, gid: 0 };
    house.daemon.fs.mknod(house.dir("photos"), b"pipe", fifo, 0, caller).expect("a pipe");
    let (kind, error) = refused(house.client.pin(&[text("photos/pipe")], true).await);
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(error.contains("photos/pipe is neither a file nor a directory"), "{error}");
}

/// Promise: files are chosen for eviction by their size and by how long they weren't used, without a complaint about the others; and
/// a dry run tells the same and does nothing.
#[tokio::test]
async fn chosen_evictions() {
    let house = house().await;
    house.write("photos/large", &[1; 1000], false);
    house.write("photos/small", b"hello", false);
    house.write("photos/pinned", &[1; 2000], false);
    house.flush(&[]).await;
    house.write("photos/new", &[1; 3000], false);
    house.client.pin(&[text("photos/pinned")], true).await.expect("pinned");
    let evict = |unused_seconds, larger_than, dry_run| {
        let what = wire::Evict { paths: vec![text("")], unused_seconds, larger_than, dry_run };
        let client = house.client.clone();
        async move {
            let evicted = client.evict(&what).await.expect("an answer");
            assert!(evicted.skipped.is_empty());
            (evicted.files, evicted.bytes)
        }
    };
    assert_eq!(evict(Some(3600), None, false).await, (0, 0));
    assert_eq!(evict(None, Some(1000), false).await, (0, 0), "larger, not as large");
    assert_eq!(evict(Some(0), Some(999), true).await, (1, 1000));
    assert_eq!(evict(Some(0), Some(999), false).await, (1, 1000));
    assert_eq!(evict(Some(0), None, true).await, (1, 5));
    assert_eq!(house.client.cache().await.expect("a report").files, 2);
}

/// Promise: a status counts what waits, what is under way, what has failed and what comes back, with paths.
#[tokio::test]
async fn a_status_tells_how_it_stands() {
    let house = house().await;
    let idle = house.client.status().await.expect("a status");
    assert_eq!((idle.name.as_str(), idle.mountpoint.encode().as_str()), ("mnt-vaults", "/mnt/vaults"));
    assert_eq!((idle.region.as_str(), idle.account.as_str(), idle.endpoint.as_str()), ("eu-west-1", "-", "memory:"));
    assert_eq!((idle.pid, idle.state_dir.encode().as_str()), (std::process::id(), "/var/lib/x"));
    assert_eq!((idle.queue, idle.cache.files, idle.spool.bytes), (wire::Queue::default(), 0, 0));
    assert!(idle.uploads.is_empty() && idle.jobs.is_empty() && idle.paused.is_empty());

    house.write("photos/cold", b"12345", false);
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    house.fake.hold_jobs();
    house.client.restore(&of(&["photos"])).await.expect("started");
    house.client.inventory("docs").await.expect("started");
    house.fake.fail(Op::Put, Some("docs"), usize::MAX, When::Before, fake::error(Kind::Unavailable));
    house.write("docs/failing", b"123", false);
    house.client.flush(&[text("docs")]).await.expect("an answer");
    eventually("a pause", async || !house.client.status().await.expect("a status").paused.is_empty()).await;
    let held = house.fake.hold(Op::Put);
    house.write("photos/under way", b"1234567", false);
    house.write("photos/resting", b"12", false);
    house.write("photos/open", b"1", true);
    house.client.flush(&[text("photos/under way")]).await.expect("an answer");
    held.reached(1).await;
    eventually("two accepted jobs", async || {
        let jobs = house.client.status().await.expect("a status").jobs;
        jobs.len() == 2 && jobs.iter().all(|job| !job.id.is_empty())
    })
    .await;

    let status = house.client.status().await.expect("a status");
    assert_eq!((status.queue.files, status.queue.bytes, status.queue.dirty_files), (3, 12, 1));
    assert!(status.queue.uploading_files >= 1 && status.queue.failed_files == 1, "{:?}", status.queue);
    assert_eq!(status.spool.bytes, 13);
    assert_eq!((status.totals.archived_files, status.totals.archived_bytes), (1, 5));
    let upload = |path: &str| status.uploads.iter().find(|upload| upload.path == text(path)).expect("an upload");
    assert_eq!((upload("photos/under way").attempts, &upload("photos/under way").error), (1, &None));
    assert_eq!(upload("docs/failing").error.as_deref(), Some("injected: Unavailable"));
    assert_eq!(status.uploads.len(), 2, "what rests isn't under way");
    assert_eq!((status.paused[0].vault.as_str(), status.paused.len()), ("docs", 1));
    let job = |kind| status.jobs.iter().find(|job| job.kind == kind).expect("a job");
    let archive = job(JobKind::Archive);
    assert_eq!((archive.path.clone(), archive.range, archive.size), (Some(text("photos/cold")), None, 5));
    assert_eq!(
        (archive.tier.as_deref(), archive.state, archive.vault.as_str()),
        (Some("Standard"), JobState::Waiting, "photos")
    );
    assert_eq!((job(JobKind::Inventory).vault.as_str(), &job(JobKind::Inventory).path), ("docs", &None));
    drop(held);
    house.fake.finish_jobs();
    eventually("the bytes", async || house.client.status().await.expect("a status").totals.recalled_bytes == 5).await;
}

/// Promise: vaults are made, told of and deleted in the service and in the mount alike, and every refusal is of its kind.
#[tokio::test]
async fn vaults_come_and_go() {
    let house = house().await;
    let made = house.client.create_vault("new").await.expect("made");
    assert_eq!((made.name.as_str(), made.archives, made.paused), ("new", Some(0), None));
    assert_eq!(house.client.vault("new").await.expect("told").arn, made.arn);
    let (new, root) =
        (tree::resolve(&house.daemon.catalog, &text("new")), house.daemon.catalog.inode(1).expect("root"));
    let new = new.expect("a directory");
    assert_eq!((new.mode & 0o7777, new.uid, new.gid), (0o755, root.uid, root.gid));
    let names: Vec<_> = house.client.vaults().await.expect("the vaults").into_iter().map(|vault| vault.name).collect();
    assert_eq!(names, ["docs", "new", "photos"]);

    let kind = |refusal: (ErrorKind, String)| refusal.0;
    assert_eq!(kind(refused(house.client.create_vault("new").await)), ErrorKind::Conflict);
    let (bad, message) = refused(house.client.create_vault("a b").await);
    assert!(bad == ErrorKind::Invalid && message.contains("\"a b\"") && message.contains("allowed are"), "{message}");
    assert_eq!(kind(refused(house.client.vault("none").await)), ErrorKind::NotFound);
    assert_eq!(kind(refused(house.client.vault("a/b c").await)), ErrorKind::Invalid);
    assert_eq!(kind(refused(house.client.delete_vault("none").await)), ErrorKind::NotFound);
    let ino = house.write("new/a", b"hello", false);
    assert_eq!(kind(refused(house.client.delete_vault("new").await)), ErrorKind::Conflict);
    house.flush(&[]).await;
    house.daemon.fs.unlink(new.ino, b"a").expect("unlink");
    house.daemon.catalog.drop_orphan(ino, 1).expect("forgotten");
    let (not_yet, message) = refused(house.client.delete_vault("new").await);
    assert!(not_yet == ErrorKind::Conflict && message.contains("can't be deleted yet"), "{message}");
    house.client.delete_vault("docs").await.expect("deleted");
    assert!(house.client.ls(&text("docs")).await.is_err());

    house.fake.fail(Op::Vaults, None, 1, When::Before, fake::error(Kind::AccessDenied));
    let remote = refused(house.client.vaults().await);
    assert_eq!(remote, (ErrorKind::Remote, "injected: AccessDenied".to_owned()));
}

/// Promise: an inventory waits for its job and then tells, once, what it found; archives that others put there are files
/// then.
#[tokio::test]
async fn an_inventory_is_told_once() {
    let house = house().await;
    house.write("photos/ours", b"hello", false);
    house.flush(&[]).await;
    house.fake.add_archive("photos", "theirs", &b"world"[..]);
    house.fake.hold_jobs();
    let first = house.client.inventory("photos").await.expect("started");
    assert_eq!((first.state, first.report), (InventoryState::Waiting, None));
    eventually("a job", async || house.client.inventory("photos").await.expect("waiting").job_id.is_some()).await;
    house.fake.finish_jobs();
    let mut told = None;
    eventually("the inventory", async || {
        let inventory = house.client.inventory("photos").await.expect("an answer");
        (inventory.state == InventoryState::Done).then(|| told = Some(inventory)).is_some()
    })
    .await;
    let told = told.expect("an inventory");
    let report = told.report.expect("a report");
    assert_eq!((report.archives, report.known, report.added, report.missing), (2, 1, 1, 0));
    assert!(told.inventory_date.is_some() && told.error.is_none());
    let entries = house.client.ls(&text("photos")).await.expect("a listing");
    assert_eq!(entries.iter().filter(|entry| entry.state == Some(FileState::Archived)).count(), 1);
    assert_eq!(house.client.inventory("photos").await.expect("another").state, InventoryState::Waiting);

    house.fake.set_has_inventory("docs", false);
    let mut failed = None;
    eventually("a failure", async || {
        let inventory = house.client.inventory("docs").await.expect("an answer");
        (inventory.state == InventoryState::Failed).then(|| failed = inventory.error).is_some()
    })
    .await;
    assert!(failed.expect("a reason").contains("has no inventory yet"));
    assert_eq!(refused(house.client.inventory("none").await).0, ErrorKind::NotFound);
}

/// Promise: a rebuild takes the inventory of every vault, of those too that came meanwhile, and tells of those that ended
/// early until all have, each taken once.
#[tokio::test]
async fn a_rebuild_takes_every_inventory() {
    let house = house().await;
    house.fake.add_archive("docs", "lost", &b"hello"[..]);
    house.fake.add_archive("photos", "lost too", &b"world"[..]);
    crate::service::ArchiveService::create_vault(&*house.fake, "another").await.expect("made elsewhere");
    house.fake.set_has_inventory("another", false);
    house.fake.hold_jobs();
    let ended = |vaults: &[wire::Inventory], state| vaults.iter().filter(|one| one.state == state).count();
    eventually("one ended", async || {
        let vaults = house.client.rebuild(true).await.expect("an answer");
        assert_eq!(vaults.len(), 3);
        ended(&vaults, InventoryState::Failed) == 1
    })
    .await;
    let again = house.client.rebuild(true).await.expect("an answer");
    assert_eq!((ended(&again, InventoryState::Failed), ended(&again, InventoryState::Waiting)), (1, 2));
    house.fake.finish_jobs();
    let mut vaults = Vec::new();
    eventually("all ended", async || {
        vaults = house.client.rebuild(true).await.expect("an answer");
        ended(&vaults, InventoryState::Waiting) == 0
    })
    .await;
    let added: u64 = vaults.iter().filter_map(|vault| vault.report.as_ref()).map(|report| report.added).sum();
    assert_eq!((added, ended(&vaults, InventoryState::Done), house.fake.calls(Op::RequestInventory)), (2, 2, 3));
}

/// Promise: a request to stop reaches who waits for it, whether it came before or after, with the time that it gives.
#[tokio::test]
async fn a_stop_is_passed_on() {
    for seconds in [None, Some(0), Some(90)] {
        let house = house().await;
        let early = tokio::spawn({
            let stop = house.daemon.stop.clone();
            async move { stop.asked().await }
        });
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        house.client.stop(seconds).await.expect("accepted");
        let drain = seconds.map(Duration::from_secs);
        assert_eq!(early.await.expect("no panic"), drain);
        assert_eq!(house.daemon.stop.asked().await, drain);
    }
}
