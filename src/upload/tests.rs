//! The queue's promises, with a service in memory.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use tokio::task::JoinHandle;

use super::*;
use crate::catalog::Content;
use crate::catalog::Ino;
use crate::catalog::Kind as InodeKind;
use crate::catalog::NewInode;
use crate::catalog::Start;
use crate::catalog::State;
use crate::service::Error;
use crate::service::TreeHash;
use crate::service::description;
use crate::service::description::Description;
use crate::service::fake;
use crate::service::fake::Fake;
use crate::service::fake::Op;
use crate::service::fake::When;
use crate::util::size::MIB;

/// A catalog with the vaults `photos` and `docs`, a store, and the queue at work on them.
struct House {
    fake: Arc<Fake>,
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    uploads: Arc<Uploads>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    tmp: tempfile::TempDir,
}

fn open(tmp: tempfile::TempDir, fake: Arc<Fake>, requests: usize) -> House {
    let catalog = Arc::new(Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog"));
    for vault in ["photos", "docs"] {
        let mode = InodeKind::Directory.bits() | 0o755;
        let new = NewInode { mode, uid: 0, gid: 0, rdev: 0, target: None, content: None };
        catalog.add_vault(vault, "", new, 1).expect("vault");
    }
    let store = Arc::new(Store::open(&tmp.path().join("store")).expect("store"));
    let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 30).expect("cache"));
    let settings = Settings { requests, part_size: None };
    let sealed = Arc::new(Notify::new());
    let uploads = Arc::new(Uploads::new(catalog.clone(), store.clone(), cache.clone(), fake.clone(), sealed, settings));
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(uploads.clone().run(stopping));
    House { fake, catalog, store, cache, uploads, stop, running, tmp }
}

fn house(requests: usize) -> House {
    open(tempfile::tempdir().expect("temporary directory"), Fake::new(&["photos", "docs"]), requests)
}

/// Bytes that differ from MiB to MiB.
fn bytes(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    for (n, mib) in bytes.chunks_mut(MIB as usize).enumerate() {
        mib.fill(n as u8 + 1);
    }
    bytes
}

impl House {
    /// A closed file, whose upload is due.
    fn write(&self, vault: &str, name: &str, data: &[u8]) -> Ino {
        let dir = self.catalog.vault(vault).expect("vault").expect("a vault").root;
        let id = rand::random_range(1..=i64::MAX);
        let mode = InodeKind::File.bits() | 0o640;
        let new = NewInode { mode, uid: 7, gid: 8, rdev: 0, target: None, content: Some(id) };
        let file = self.store.create(id).expect("a file");
        let inode = self.catalog.create(dir, name.as_bytes(), new, 1).expect("create");
        file.write_all_at(data, 0).expect("write");
        self.seal(id, data.len() as u64);
        inode.ino
    }

    /// Writes a file anew, from its start.
    fn rewrite(&self, ino: Ino, data: &[u8]) {
        let begun = self.catalog.begin_write(ino, rand::random_range(1..=i64::MAX), Start::Keep, 2).expect("dirty");
        let file = self.store.file(begun.file).expect("a file");
        file.set_len(0).expect("truncate");
        file.write_all_at(data, 0).expect("write");
        self.seal(begun.content, data.len() as u64);
    }

    fn seal(&self, id: ContentId, size: u64) {
        self.catalog
            .seal(&[crate::catalog::Seal {
                content: id,
                size,
                mtime: 1_500_000_000_000_000_001,
                ctime: 3,
                due: catalog::now(),
            }])
            .expect("seal");
        self.uploads.sealed.notify_one();
    }

    fn content(&self, ino: Ino) -> Content {
        let content = self.catalog.inode(ino).expect("inode").content.expect("content");
        self.catalog.content(content).expect("content")
    }

    /// Waits until `ino` is archived; answers the archive's ID and what the service has under it.
    async fn archived(&self, ino: Ino) -> (String, fake::Archive) {
        eventually("an archive", || self.content(ino).state == State::Archived).await;
        let archive = self.content(ino).archive.expect("an archive");
        let vault = self.catalog.vault_by_id(archive.vault).expect("vault").name;
        let stored = self.fake.archives(&vault).remove(&archive.archive_id).expect("in the vault");
        assert_eq!((archive.size, TreeHash(archive.tree_hash)), (stored.bytes.len() as u64, stored.tree_hash));
        (archive.archive_id, stored)
    }

    /// The IDs of the archives in the trash.
    fn trash(&self) -> Vec<String> {
        let trash = self.catalog.trash_due(i64::MAX, 10).expect("trash");
        trash.into_iter().filter_map(|trashed| Some(trashed.archive?.archive_id)).collect()
    }

    /// Ends without a word, and begins again with what is on the disk.
    async fn crash(self, requests: usize) -> House {
        self.running.abort();
        let _ = self.running.await;
        // Nothing of it gets to write a last word.
        std::mem::forget((self.catalog, self.uploads));
        open(self.tmp, self.fake, requests)
    }
}

/// Waits until `is_so`, for at most ten seconds.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} didn't come");
}

fn error(kind: Kind) -> Error {
    fake::error(kind)
}

/// Promise: a file becomes one archive of its bytes, which tells of the file what a rebuild needs, and then counts as
/// cached; from memory or, larger, from the disk.
#[tokio::test]
async fn a_file_becomes_an_archive() {
    let house = house(4);
    let data = bytes(3 * MIB + 5);
    for (n, data) in [&b"hello"[..], &data].into_iter().enumerate() {
        let ino = house.write("photos", &format!("f{n}"), data);
        let (_, stored) = house.archived(ino).await;
        assert!(stored.bytes == data, "other bytes");
        let Some(Description::Own { meta, partial: false }) = description::parse(&stored.description) else {
            panic!("not our description: {}", stored.description);
        };
        assert_eq!((meta.path, meta.size), (format!("f{n}").into_bytes(), data.len() as u64));
        assert_eq!((meta.mode, meta.uid, meta.gid), (0o640, 7, 8));
        assert_eq!((meta.mtime_secs, meta.mtime_nanos), (1_500_000_000, 1));
        assert_eq!(meta.content_key, house.content(ino).id as u64);
    }
    let size = data.len() as u64 + 5;
    assert_eq!(house.uploads.archived(), (2, size));
    assert_eq!(house.cache.usage().bytes, size);
    assert!(house.uploads.rate() > 0.0);
    eventually("the end of the uploads", || house.uploads.active().is_empty()).await;
}

/// Promise: a large file goes in parts; after a crash it goes on with the upload that was begun, and what the service
/// has of it isn't sent again.
#[tokio::test]
async fn an_interrupted_upload_goes_on() {
    let house = house(1);
    let data = bytes(64 * MIB + 5);
    let held = house.fake.hold(Op::PutPart);
    let ino = house.write("photos", "large", &data);
    held.let_pass(2);
    held.reached(3).await;
    assert_eq!(house.uploads.active()[0].attempt, 1);
    let house = house.crash(4).await;
    let begun = house.fake.uploads("photos");
    assert_eq!(begun.into_values().collect::<Vec<_>>(), [[0, 16 * MIB]]);
    drop(held);
    let (_, stored) = house.archived(ino).await;
    assert!(stored.bytes == data, "other bytes");
    let calls = [Op::Begin, Op::Parts, Op::PutPart, Op::Complete, Op::Put].map(|op| house.fake.calls(op));
    // Two parts and the one that was under way; then the other two and that one again.
    assert_eq!(calls, [1, 1, 3 + 3, 1, 0]);
    assert!(house.catalog.unwanted_uploads().expect("uploads").is_empty());
    assert_eq!(house.fake.uploads("photos"), BTreeMap::new());
}

/// Promise: a file that was synced, and then added to without that, is archived with what is left of it after a power cut that took the
/// catalog's note of the second.
#[tokio::test]
async fn more_than_the_catalog_knows() {
    let house = house(1);
    let held = house.fake.hold(Op::Put);
    let first = house.write("photos", "first", b"in the way");
    held.reached(1).await;
    let ino = house.write("photos", "a", b"synced");
    let file = house.store.file(house.content(ino).file.expect("a file")).expect("it is there");
    file.write_all_at(b", and more", 6).expect("write");
    drop(held);
    house.archived(first).await;
    assert_eq!(house.archived(ino).await.1.bytes, &b"synced, and more"[..]);
    assert_eq!(house.catalog.inode(ino).expect("inode").size, 16);
}

/// Promise: of an upload that was completed, but the answer was lost, there is no second archive.
#[tokio::test]
async fn a_lost_completion_is_found_again() {
    let house = house(1);
    let data = bytes(64 * MIB);
    house.fake.fail(Op::Complete, None, 1, When::After, error(Kind::Unavailable));
    let ino = house.write("photos", "large", &data);
    assert!(house.archived(ino).await.1.bytes == data, "other bytes");
    assert_eq!([Op::Begin, Op::PutPart, Op::Complete].map(|op| house.fake.calls(op)), [1, 4, 2]);
    assert_eq!(house.fake.archives("photos").len(), 1);
}

/// Promise: an upload that the service has forgotten begins again.
#[tokio::test]
async fn a_forgotten_upload_begins_again() {
    let house = house(1);
    let data = bytes(64 * MIB);
    let held = house.fake.hold(Op::PutPart);
    let ino = house.write("photos", "large", &data);
    held.let_pass(1);
    held.reached(2).await;
    let house = house.crash(4).await;
    let id = house.fake.uploads("photos").into_keys().next().expect("an upload");
    ArchiveService::abort(&*house.fake, "photos", &id).await.expect("forgotten");
    drop(held);
    assert!(house.archived(ino).await.1.bytes == data, "other bytes");
    assert_eq!(house.fake.calls(Op::Begin), 2);
}

/// Promise: a vault that refuses us pauses, says why and that somebody must act, and isn't asked for every file; other
/// vaults go on; when somebody has acted and says so, everything is archived.
#[tokio::test]
async fn a_vault_that_refuses_pauses_alone() {
    let house = house(2);
    house.fake.fail(Op::Put, Some("photos"), usize::MAX, When::Before, error(Kind::VaultMissing));
    let stuck: Vec<Ino> = (0..6).map(|n| house.write("photos", &format!("f{n}"), b"hello")).collect();
    for n in 0..6 {
        let ino = house.write("docs", &format!("f{n}"), b"hello");
        house.archived(ino).await;
    }
    let paused = house.uploads.paused();
    assert_eq!((paused.len(), paused[0].vault.as_str()), (1, "photos"));
    let reason = &paused[0].reason;
    assert!(reason.starts_with("injected: VaultMissing; ") && reason.contains("glacierfs vault create"), "{reason}");
    assert!(paused[0].permanent && paused[0].is_hopeless());
    assert!(house.fake.calls(Op::Put) <= 6 + 2, "only what was under way was tried");
    assert_eq!(house.catalog.queue().expect("queue").0, 6);

    house.fake.heal();
    house.uploads.hurry(None, false).expect("hurried");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.catalog.queue().expect("queue").0, 6, "who only waits changes nothing");
    house.uploads.hurry(None, true).expect("hurried");
    for ino in stuck {
        house.archived(ino).await;
    }
    assert!(house.uploads.paused().is_empty());
}

/// Promise: a service that can't be reached is asked again without anybody's help, and nobody is told to act.
#[tokio::test]
async fn an_outage_passes() {
    let house = house(4);
    house.fake.fail(Op::Put, None, 1, When::Before, error(Kind::Unavailable));
    let ino = house.write("photos", "f", b"hello");
    eventually("a pause", || !house.uploads.paused().is_empty()).await;
    assert!(!house.uploads.paused()[0].permanent);
    house.archived(ino).await;
    assert!(house.uploads.paused().is_empty());
    assert_eq!((house.content(ino).tries, house.content(ino).error), (0, None));
}

/// Promise: a file that is written to during its upload ends with its new bytes archived, and the archive of the old ones
/// in the trash.
#[tokio::test]
async fn the_new_bytes_win() {
    let house = house(4);
    let held = house.fake.hold(Op::Put);
    let ino = house.write("photos", "f", b"old");
    held.reached(1).await;
    house.rewrite(ino, b"newer");
    drop(held);
    let (new, stored) = house.archived(ino).await;
    assert_eq!(stored.bytes, &b"newer"[..]);
    let mut archives = house.fake.archives("photos");
    archives.remove(&new);
    let (old, stored) = archives.pop_first().expect("the old archive");
    assert_eq!((stored.bytes, archives.len()), ((&b"old"[..]).into(), 0));
    assert_eq!(house.trash(), [old]);
    assert_eq!(house.uploads.archived(), (1, 5));
}

/// Promise: a large file that is written to during its upload leaves no upload behind, and nothing of the old bytes.
#[tokio::test]
async fn the_new_parts_win() {
    let house = house(1);
    let (mut data, held) = (bytes(64 * MIB), house.fake.hold(Op::PutPart));
    let ino = house.write("photos", "large", &data);
    held.let_pass(1);
    held.reached(2).await;
    data[0] ^= 1;
    house.rewrite(ino, &data);
    drop(held);
    assert!(house.archived(ino).await.1.bytes == data, "other bytes");
    eventually("the end of the old upload", || house.fake.uploads("photos").is_empty()).await;
    assert_eq!((house.fake.archives("photos").len(), house.trash().len()), (1, 0));
}

/// Promise: a file that is deleted during its upload is gone, and its archive in the trash.
#[tokio::test]
async fn a_deleted_file_stays_deleted() {
    let house = house(4);
    let held = house.fake.hold(Op::Put);
    let ino = house.write("photos", "f", b"hello");
    held.reached(1).await;
    let dir = house.catalog.vault("photos").expect("vault").expect("a vault").root;
    house.catalog.unlink(dir, b"f", 2).expect("unlink");
    house.catalog.drop_orphan(ino, 3).expect("forgotten");
    drop(held);
    eventually("the archive", || !house.trash().is_empty()).await;
    assert_eq!(house.trash(), house.fake.archives("photos").into_keys().collect::<Vec<_>>());
    assert_eq!(house.uploads.archived(), (0, 0));
}

/// Promise: when the answer to an upload is lost the file is archived all the same, once in the catalog; the double is the
/// inventory's to find.
#[tokio::test]
async fn a_lost_answer_ends_in_a_double() {
    let house = house(4);
    house.fake.fail(Op::Put, None, 1, When::After, error(Kind::Unavailable));
    let ino = house.write("photos", "f", b"hello");
    assert_eq!(house.archived(ino).await.1.bytes, &b"hello"[..]);
    assert_eq!((house.fake.archives("photos").len(), house.trash().len()), (2, 0));
}

/// Promise: a file whose spooled bytes were lost says so and holds up nobody.
#[tokio::test]
async fn lost_bytes_are_told() {
    let house = house(1);
    let ino = house.write("photos", "short", b"hello");
    let begun = house.catalog.begin_write(ino, 1, Start::Keep, 2).expect("dirty");
    house.seal(begun.content, 500);
    let other = house.write("photos", "other", b"hello");
    house.archived(other).await;
    eventually("a failure", || house.content(ino).error.is_some()).await;
    let error = house.content(ino).error.expect("an error");
    assert!(error.contains("5 bytes") && error.contains("500"), "{error}");
    assert_eq!(house.catalog.failed_uploads().expect("count"), 1);
    assert!(house.uploads.paused().is_empty());
}

/// Promise: uploads that nobody wants are aborted, and one that the service has forgotten doesn't keep the others from it.
#[tokio::test]
async fn unwanted_uploads_are_aborted() {
    let house = house(1);
    let begun = ArchiveService::begin(&*house.fake, "photos", "", MIB).await.expect("begun");
    let vault = house.catalog.vault("photos").expect("vault").expect("a vault").id;
    for (content, upload_id) in [(1, "forgotten"), (2, begun.as_str())] {
        let upload = Upload { content, vault, upload_id: upload_id.to_owned(), part_size: MIB, generation: 0 };
        house.catalog.upload_begun(&upload).expect("noted");
    }
    let house = house.crash(1).await;
    eventually("the end of both", || house.catalog.unwanted_uploads().expect("uploads").is_empty()).await;
    assert_eq!(house.fake.uploads("photos"), BTreeMap::new());
}

/// Promise: told to stop, the queue ends though uploads are under way, and they go on at the next start.
#[tokio::test]
async fn a_stop_doesn_t_wait_for_uploads() {
    let house = house(1);
    let held = house.fake.hold(Op::Put);
    let ino = house.write("photos", "f", b"hello");
    held.reached(1).await;
    house.stop.send_replace(true);
    eventually("the end", || house.running.is_finished()).await;
    let house = house.crash(1).await;
    drop(held);
    house.archived(ino).await;
    assert_eq!(house.fake.archives("photos").len(), 1);
}

/// Promise: who waits for one archive hears when it is there, waits while the service is busy, and hears why when it refuses
/// the file or when other bytes took its place.
#[tokio::test]
async fn waiting_for_an_archive() {
    let house = house(2);
    let busy = house.write("photos", "busy", b"busy");
    house.fake.fail(Op::Put, None, 2, When::Before, error(Kind::Unavailable));
    let id = house.content(busy).id;
    house.uploads.archive(id, Patience::Long).await.expect("archived in the end");
    assert_eq!(house.content(busy).state, State::Archived);
    house.uploads.archive(id, Patience::Long).await.expect("archived already");
    house.fake.fail(Op::Put, None, 1, When::Before, error(Kind::Unavailable));
    let hasty = house.write("photos", "hasty", b"hasty");
    let told = house.uploads.archive(house.content(hasty).id, Patience::Short).await.expect_err("busy");
    assert!(matches!(told, NotArchived::Refused(_)), "{told}");
    house.archived(hasty).await;

    house.fake.fail(Op::Put, Some("photos"), usize::MAX, When::Before, error(Kind::Invalid));
    let refused = house.write("photos", "refused", b"refused");
    let told = house.uploads.archive(house.content(refused).id, Patience::Long).await.expect_err("refused");
    assert!(matches!(told, NotArchived::Refused(_)), "{told}");
    house.fake.fail(Op::Put, Some("docs"), usize::MAX, When::Before, error(Kind::AccessDenied));
    let denied = house.write("docs", "denied", b"denied");
    let told = house.uploads.archive(house.content(denied).id, Patience::Long).await.expect_err("denied");
    assert!(matches!(told, NotArchived::Refused(_)), "{told}");
}
