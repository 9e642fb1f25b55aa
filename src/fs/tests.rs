//! The file system's promises, without a kernel and without a network.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::catalog::Archive;
use crate::catalog::Changes;
use crate::catalog::Kind;
use crate::catalog::NewInode;
use crate::catalog::RenameMode;

struct House {
    fs: Fs,
    vault: Ino,
    tmp: tempfile::TempDir,
}

const ME: Caller = Caller { uid: 1000, gid: 1000 };

fn open(tmp: tempfile::TempDir) -> House {
    let catalog = Arc::new(Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog"));
    let dir = NewInode { mode: Kind::Directory.bits() | 0o755, uid: 0, gid: 0, rdev: 0, target: None, content: None };
    let vault = catalog.add_vault("v", "", dir, 1).expect("vault").0.ino;
    let store = Arc::new(Store::open(&tmp.path().join("store")).expect("store"));
    let settings = Settings {
        upload_delay: Duration::ZERO,
        spool_reserve: 0,
        may_make_room: Arc::new(|| false),
        control: tmp.path().join("control.sock"),
    };
    let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 30).expect("cache"));
    let fs = Fs::new(catalog, store, cache, Arc::new(Notify::new()), settings).expect("fs");
    House { fs, vault, tmp }
}

fn house() -> House {
    open(tempfile::tempdir().expect("temporary directory"))
}

impl House {
    fn write(&self, name: &str, data: &[u8]) -> Ino {
        let (inode, opened) = self.fs.create(self.vault, name.as_bytes(), 0o644, ME).expect("create");
        self.fs.write(opened.handle, 0, data).expect("write");
        self.close(&opened);
        inode.ino
    }

    /// Closes a file, and doesn't wait until that is settled by itself.
    fn close(&self, opened: &Opened) {
        self.fs.release(opened.handle).expect("release");
        self.fs.settle().expect("settle");
    }

    fn read(&self, ino: Ino) -> Result<Vec<u8>> {
        let opened = self.fs.open(ino, false).expect("open");
        let data = self.fs.read(opened.handle, 0, 1 << 20);
        self.close(&opened);
        data
    }

    /// Pretends that everything sealed is archived, and lets go of its bytes if `evict`.
    fn archive(&self, evict: bool) {
        for (n, sealed) in self.fs.catalog.due(i64::MAX, 100, &|_, _| false).expect("due").into_iter().enumerate() {
            let archive = Archive {
                row: 0,
                vault: sealed.content.vault,
                archive_id: format!("{}-{n}-{}", sealed.content.id, sealed.content.generation),
                size: sealed.content.size,
                tree_hash: [0; 32],
                created: 1,
            };
            assert!(
                self.fs.catalog.archived(sealed.content.id, sealed.content.generation, &archive, None, 2).expect("row")
            );
            if evict {
                assert!(self.fs.cache.evict(sealed.content.id).expect("evict"));
            }
        }
    }
}

/// Promise: what is written is read, at every stage, and a file that isn't local says which bytes it needs.
#[test]
fn bytes_come_back_or_are_asked_for() {
    let house = house();
    let ino = house.write("a", b"hello");
    assert_eq!(house.read(ino).expect("warm"), b"hello");
    house.archive(false);
    assert_eq!(house.read(ino).expect("cached"), b"hello");
    let content = house.fs.getattr(ino).expect("attributes").content.expect("content");
    assert!(house.fs.cache.evict(content).expect("evict"));
    assert!(matches!(house.read(ino), Err(Error::Cold(Need { first: 0, last: 4, .. }))));
    assert_eq!(house.fs.getattr(ino).expect("attributes").size, 5);
}

/// Promise: who has opened a file that was local reads it, though it was evicted before the first read.
#[test]
fn evicted_after_it_was_opened() {
    let house = house();
    let ino = house.write("a", b"hello");
    house.archive(false);
    let opened = house.fs.open(ino, false).expect("open");
    assert!(!opened.cold);
    let content = house.fs.getattr(ino).expect("attributes").content.expect("content");
    assert!(house.fs.cache.evict(content).expect("evict"));
    assert_eq!(house.fs.read(opened.handle, 0, 9).expect("read"), b"hello");
    house.close(&opened);
    assert!(house.fs.open(ino, false).expect("open").cold);
}

/// Promise: who looks for a file that others replace all the time finds one version of it whole, or hears that the inode is gone; and who
/// has opened one keeps it, with its size.
#[test]
fn replaced_while_it_is_read() {
    const SIZE: usize = 100;
    let house = house();
    let (fs, vault) = (&house.fs, house.vault);
    house.write("a", &[7; SIZE]);
    let (stop, gone) = (AtomicBool::new(false), AtomicUsize::new(0));
    let read = || {
        let found = fs.lookup(vault, b"a").expect("there is always one");
        assert_eq!(found.size, SIZE as u64);
        match fs.getattr(found.ino) {
            Ok(inode) => assert_eq!(inode.size, SIZE as u64, "attributes of an inode with {} names", inode.nlink),
            Err(error) => assert_eq!(error.errno(), nix::errno::Errno::ENOENT),
        }
        match fs.open(found.ino, false) {
            Ok(opened) => {
                assert_eq!(fs.getattr(found.ino).expect("it is open").size, SIZE as u64, "of an open file");
                assert_eq!(fs.read(opened.handle, 0, 2 * SIZE).expect("it is open"), [7; SIZE]);
                fs.release(opened.handle).expect("release");
            }
            Err(error) => {
                assert_eq!(error.errno(), nix::errno::Errno::ENOENT);
                gone.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    // What fails ends the others as well.
    let until_stop = |what: &(dyn Fn() + Sync)| {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while !stop.load(Ordering::Relaxed) {
                what();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    };
    let settle = || fs.settle().expect("settle");
    std::thread::scope(|scope| {
        scope.spawn(|| until_stop(&settle));
        for _ in 0..2 {
            scope.spawn(|| until_stop(&read));
        }
        for n in 0..3000 {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("new{}", n % 2);
            let (_, opened) = fs.create(vault, name.as_bytes(), 0o644, ME).expect("create");
            fs.write(opened.handle, 0, &[7; SIZE]).expect("write");
            fs.release(opened.handle).expect("release");
            fs.rename((vault, name.as_bytes()), (vault, b"a"), RenameMode::Replace).expect("rename");
        }
        stop.store(true, Ordering::Relaxed);
    });
    fs.settle().expect("settle");
    assert!(fs.catalog.orphans().expect("a list").is_empty(), "all that was replaced is forgotten");
    println!("{} opens came too late", gone.load(Ordering::Relaxed));
}

/// Promise: appending to a file that isn't local asks for its bytes; emptying it doesn't.
#[test]
fn writing_to_a_cold_file() {
    let house = house();
    let ino = house.write("a", b"hello");
    house.archive(true);
    let opened = house.fs.open(ino, true).expect("open");
    assert!(opened.cold);
    assert!(matches!(house.fs.write(opened.handle, 5, b"!"), Err(Error::Cold(_))));
    house.fs.setattr(ino, Default::default(), Some(0)).expect("truncate");
    house.fs.write(opened.handle, 0, b"new").expect("write");
    house.close(&opened);
    assert_eq!(house.read(ino).expect("read"), b"new");
}

/// Promise: what isn't a file and loses its last name keeps its attributes until the kernel says that nobody needs them.
#[test]
fn without_a_name_until_the_kernel_forgets() {
    let house = house();
    let directory = house.fs.mkdir(house.vault, b"d", 0o755, ME).expect("mkdir").ino;
    let pipe = house.fs.mknod(house.vault, b"p", libc::S_IFIFO | 0o644, 0, ME).expect("mknod").ino;
    house.fs.rmdir(house.vault, b"d").expect("rmdir");
    house.fs.unlink(house.vault, b"p").expect("unlink");
    for ino in [directory, pipe] {
        assert_eq!(house.fs.getattr(ino).expect("still there").nlink, 0);
        house.fs.forgotten(ino).expect("forgotten");
        assert_eq!(house.fs.getattr(ino).expect_err("gone").errno(), nix::errno::Errno::ENOENT);
    }
    assert!(house.fs.catalog.orphans().expect("orphans").is_empty());
    let kept = house.fs.mkdir(house.vault, b"e", 0o755, ME).expect("mkdir").ino;
    house.fs.forgotten(kept).expect("nothing to forget");
    assert!(house.fs.getattr(kept).is_ok());
}

/// Promise: a write to an archived, local file needs no copy and no recall, keeps the rest of the bytes, and makes a
/// new content.
#[test]
fn writing_to_a_cached_file_takes_its_bytes_over() {
    let house = house();
    let ino = house.write("a", b"hello");
    let before = house.fs.getattr(ino).expect("attributes");
    house.archive(false);
    let opened = house.fs.open(ino, true).expect("open");
    assert_eq!(house.fs.getattr(ino).expect("attributes").mtime, before.mtime);
    house.fs.write(opened.handle, 4, b"p!").expect("write");
    assert_eq!(house.fs.getattr(ino).expect("attributes").size, 6);
    house.close(&opened);
    let after = house.fs.getattr(ino).expect("attributes");
    assert_eq!(house.read(ino).expect("read"), b"hellp!");
    assert_ne!(before.content, after.content);
    assert!(after.mtime > before.mtime);
}

/// Promise: an open file without a name keeps its bytes and attributes until its last close, and then leaves nothing.
#[test]
fn unlinked_files_live_until_closed() {
    let house = house();
    let (inode, opened) = house.fs.create(house.vault, b"a", 0o600, ME).expect("create");
    house.fs.write(opened.handle, 0, b"hello").expect("write");
    house.fs.unlink(house.vault, b"a").expect("unlink");
    let reader = house.fs.open(inode.ino, false).expect("open through /proc/self/fd");
    let attr = house.fs.getattr(inode.ino).expect("attributes");
    assert_eq!((attr.nlink, attr.size), (0, 5));
    house.close(&opened);
    assert_eq!(house.fs.read(reader.handle, 0, 9).expect("read"), b"hello");
    house.close(&reader);
    assert!(matches!(house.fs.getattr(inode.ino), Err(Error::Catalog(crate::catalog::Error::NotFound))));
    house.fs.cache.sweep().expect("nobody needs it");
    assert!(house.fs.catalog.files().expect("files").is_empty());
}

/// Promise: what a kill interrupted is there after the next start, with its size and its explicit times.
#[test]
fn a_kill_loses_nothing_written() {
    let house = house();
    let (inode, opened) = house.fs.create(house.vault, b"a", 0o644, ME).expect("create");
    house.fs.write(opened.handle, 0, b"hello").expect("write");
    let times = crate::catalog::Changes { mtime: Some(-1_500_000_000), ..Default::default() };
    house.fs.setattr(inode.ino, times, None).expect("times");
    let (unlinked, _) = house.fs.create(house.vault, b"b", 0o644, ME).expect("create");
    house.fs.unlink(house.vault, b"b").expect("unlink");
    let House { fs, tmp, .. } = house;
    std::mem::forget(fs);
    let again = open(tmp);
    assert_eq!(again.fs.recover().expect("recover"), 1);
    let attr = again.fs.lookup(again.vault, b"a").expect("lookup");
    assert_eq!((attr.size, attr.mtime), (5, -1_500_000_000));
    assert_eq!(again.read(attr.ino).expect("read"), b"hello");
    assert!(again.fs.getattr(unlinked.ino).is_err());
    assert_eq!(again.fs.catalog.due(i64::MAX, 9, &|_, _| false).expect("due").len(), 1);
}

/// Promise: empty files need no archive, and truncating to nothing needs none either.
#[test]
fn empty_files_are_never_uploaded() {
    let house = house();
    house.write("a", b"");
    let ino = house.write("b", b"x");
    house.fs.setattr(ino, Default::default(), Some(0)).expect("truncate");
    assert!(house.fs.catalog.due(i64::MAX, 9, &|_, _| false).expect("due").is_empty());
    assert_eq!(house.read(ino).expect("read"), b"");
    house.fs.setattr(ino, Default::default(), Some(3)).expect("grow");
    assert_eq!(house.read(ino).expect("read"), [0; 3]);
}

/// Promise: what a deleted or rewritten file had in the cache doesn't count any more.
#[test]
fn the_cache_forgets_what_is_gone() {
    let house = house();
    let (a, b) = (house.write("a", b"hello"), house.write("b", b"world"));
    house.archive(false);
    for ino in [a, b] {
        house.fs.cache.insert(house.fs.getattr(ino).expect("attributes").content.expect("content"), 5);
    }
    house.fs.unlink(house.vault, b"a").expect("unlink");
    house.fs.setattr(b, Default::default(), Some(0)).expect("truncate");
    assert_eq!(house.fs.cache.usage().bytes, 0);
}

/// Promise: rename over an open file keeps the old bytes for whoever has it open.
#[test]
fn rename_over_an_open_file() {
    let house = house();
    let old = house.write("a", b"old");
    let new = house.write("b", b"new");
    let opened = house.fs.open(old, false).expect("open");
    house.fs.rename((house.vault, b"b"), (house.vault, b"a"), RenameMode::Replace).expect("rename");
    assert_eq!(house.fs.read(opened.handle, 0, 9).expect("read"), b"old");
    house.close(&opened);
    assert_eq!(house.fs.lookup(house.vault, b"a").expect("lookup").ino, new);
    assert!(house.fs.getattr(old).is_err());
}

/// Promise: each new file changes its directory's times, and never sets them back, however quickly one follows another.
#[test]
fn every_new_file_changes_its_directory() {
    let house = house();
    let mut before = house.fs.getattr(house.vault).expect("attributes");
    for n in 0..100 {
        let (_, opened) = house.fs.create(house.vault, format!("f{n}").as_bytes(), 0o644, ME).expect("create");
        let after = house.fs.getattr(house.vault).expect("attributes");
        assert!(after.mtime > before.mtime && after.ctime > before.ctime, "file {n}");
        before = after;
        house.fs.release(opened.handle).expect("release");
    }
}

/// Promise: a file tells where it stands, hides that from listings, and refuses to have it written.
#[test]
fn a_file_tells_its_state() {
    let house = house();
    let ino = house.write("a", b"hello");
    let state = || String::from_utf8(house.fs.getxattr(ino, b"user.glacierfs.state").expect("state")).expect("text");
    assert_eq!(state(), "sealed");
    house.archive(false);
    assert_eq!(state(), "cached");
    house.fs.setxattr(ino, b"user.x", b"y", crate::catalog::XattrMode::Set).expect("set");
    assert_eq!(house.fs.listxattr(ino).expect("list"), b"user.x\0");
    let refused = house.fs.setxattr(ino, b"user.glacierfs.state", b"y", crate::catalog::XattrMode::Set);
    assert_eq!(refused.expect_err("refused").errno(), nix::errno::Errno::EPERM);
    assert!(house.fs.getxattr(ROOT, b"user.glacierfs.control").expect("socket").ends_with(b"control.sock"));
}

/// Promise: a rule is set on a directory and read from a file in it, isn't listed, takes only what is allowed, and goes when it is removed;
/// glacierfs's own directory takes none.
#[test]
fn rules_are_set_and_inherited() {
    use crate::catalog::XattrMode::Set;
    use nix::errno::Errno;
    const PIN: &[u8] = b"user.glacierfs.pin";
    let house = house();
    let dir = house.fs.mkdir(house.vault, b"d", 0o755, ME).expect("mkdir").ino;
    let file = house.fs.mknod(dir, b"f", 0o644, 0, ME).expect("mknod").ino;
    let errno = |error: Error| error.errno();
    assert_eq!(house.fs.getxattr(file, PIN).map_err(errno), Err(Errno::ENODATA));
    house.fs.setxattr(dir, PIN, b"1", Set).expect("set");
    assert_eq!(house.fs.getxattr(file, PIN).expect("inherited"), b"true");
    assert!(house.fs.rules(file).expect("rules").is_pinned());
    assert_eq!(house.fs.setxattr(dir, PIN, b"perhaps", Set).map_err(errno), Err(Errno::EINVAL));
    assert_eq!(house.fs.setxattr(dir, b"user.glacierfs.recall", b"\xff", Set).map_err(errno), Err(Errno::EINVAL));
    assert_eq!(house.fs.removexattr(file, PIN).map_err(errno), Err(Errno::ENODATA));
    house.fs.setxattr(dir, b"user.x", b"y", Set).expect("set");
    assert_eq!(house.fs.listxattr(dir).expect("list"), b"user.x\0");
    house.fs.removexattr(dir, PIN).expect("removed");
    assert_eq!(house.fs.getxattr(file, PIN).map_err(errno), Err(Errno::ENODATA));
    house.fs.setxattr(ROOT, b"user.glacierfs.tier", b"Bulk", Set).expect("set");
    assert_eq!(house.fs.getxattr(file, b"user.glacierfs.tier").expect("inherited"), b"bulk");
}

/// Promise: what was found to be pinned can be evicted once it isn't any more, whether its rule changed, or it was moved, or a directory
/// above it, or it lost the name by which it was pinned.
#[test]
fn pins_end() {
    const PIN: &[u8] = b"user.glacierfs.pin";
    type End = fn(&Fs, Ino, Ino);
    let ends: [(&str, End); 6] = [
        ("unpinned", |fs, _, dir| fs.pin(dir, false).expect("unpinned")),
        ("removed", |fs, _, dir| fs.removexattr(dir, PIN).expect("removed")),
        ("set", |fs, _, dir| fs.setxattr(dir, PIN, b"0", crate::catalog::XattrMode::Set).expect("set")),
        ("moved", |fs, vault, dir| {
            fs.rename((dir, b"f"), (vault, b"g"), RenameMode::NoReplace).expect("renamed");
        }),
        ("exchanged", |fs, vault, dir| {
            fs.mkdir(vault, b"other", 0o755, ME).expect("mkdir");
            fs.rename((dir, b"f"), (vault, b"other"), RenameMode::Exchange).expect("exchanged");
        }),
        ("lost a name", |fs, vault, dir| {
            let ino = fs.lookup(dir, b"f").expect("there").ino;
            fs.link(ino, vault, b"g").expect("linked");
            fs.unlink(dir, b"f").expect("unlinked");
        }),
    ];
    for (what, end) in ends {
        let house = house();
        let ino = house.write("f", b"hello");
        house.archive(false);
        let dir = house.fs.mkdir(house.vault, b"d", 0o755, ME).expect("mkdir").ino;
        house.fs.setxattr(dir, PIN, b"1", crate::catalog::XattrMode::Set).expect("set");
        house.fs.rename((house.vault, b"f"), (dir, b"f"), RenameMode::Replace).expect("renamed");
        let content = house.fs.getattr(ino).expect("attributes").content.expect("content");
        house.fs.cache.insert(content, 5);
        assert!(!house.fs.cache.make_room(1), "it is pinned");
        assert!(house.fs.cache.has_pinned());
        end(&house.fs, house.vault, dir);
        assert!(house.fs.cache.make_room(1), "{what}");
    }
    // A directory that is moved out of one that is pinned.
    let house = house();
    let ino = house.write("f", b"hello");
    house.archive(false);
    let pinned = house.fs.mkdir(house.vault, b"p", 0o755, ME).expect("mkdir").ino;
    let below = house.fs.mkdir(pinned, b"d", 0o755, ME).expect("mkdir").ino;
    house.fs.pin(pinned, true).expect("pinned");
    house.fs.rename((house.vault, b"f"), (below, b"f"), RenameMode::Replace).expect("renamed");
    house.fs.cache.insert(house.fs.getattr(ino).expect("attributes").content.expect("content"), 5);
    assert!(!house.fs.cache.make_room(1), "it is pinned");
    house.fs.rename((pinned, b"d"), (house.vault, b"d"), RenameMode::Replace).expect("renamed");
    assert!(house.fs.cache.make_room(1));
}

/// Promise: between a close and its settling nobody sees a difference: attributes, reopening, times, truncation and removal
/// are as after it, and a kill in between loses nothing.
#[test]
fn closed_but_not_settled() {
    let house = house();
    let closed = |name: &str| {
        let (inode, opened) = house.fs.create(house.vault, name.as_bytes(), 0o644, ME).expect("create");
        house.fs.write(opened.handle, 0, b"hello").expect("write");
        house.fs.release(opened.handle).expect("release");
        inode.ino
    };
    let (seen, reopened, dated, removed, cut) = (closed("a"), closed("b"), closed("c"), closed("d"), closed("e"));
    let before = house.fs.getattr(seen).expect("attributes");
    assert_eq!(before.size, 5);
    assert!(!house.fs.is_being_written(seen));
    let opened = house.fs.open(reopened, true).expect("open");
    house.fs.write(opened.handle, 5, b"!").expect("write");
    let changes = Changes { mtime: Some(7), ..Changes::default() };
    assert_eq!(house.fs.setattr(dated, changes, None).expect("times").mtime, 7);
    house.fs.unlink(house.vault, b"d").expect("unlink");
    assert_eq!(house.fs.setattr(cut, Changes::default(), Some(2)).expect("truncate").size, 2);
    assert!(house.fs.catalog.due(i64::MAX, 9, &|_, _| false).expect("due").is_empty());

    house.fs.settle().expect("settle");
    let due = |count| assert_eq!(house.fs.catalog.due(i64::MAX, 9, &|_, _| false).expect("due").len(), count);
    due(3);
    let after = house.fs.getattr(seen).expect("attributes");
    assert_eq!((after.size, after.mtime, after.ctime), (before.size, before.mtime, before.ctime));
    assert_eq!(house.fs.getattr(dated).expect("attributes").mtime, 7);
    assert!(house.fs.getattr(removed).is_err());
    assert_eq!(house.read(cut).expect("read"), b"he");
    house.close(&opened);
    due(4);
    assert_eq!(house.read(reopened).expect("read"), b"hello!");

    closed("f");
    let House { fs, tmp, .. } = house;
    std::mem::forget(fs);
    let again = open(tmp);
    assert_eq!(again.fs.recover().expect("recover"), 1);
    let found = again.fs.lookup(again.vault, b"f").expect("lookup");
    assert_eq!(again.read(found.ino).expect("read"), b"hello");
}

/// Promise: closed files don't pile up, each with its descriptor, when nobody else finds the time to settle them.
#[test]
fn closed_files_do_not_pile_up() {
    let house = house();
    for n in 0..300 {
        let (_, opened) = house.fs.create(house.vault, format!("f{n}").as_bytes(), 0o644, ME).expect("create");
        house.fs.write(opened.handle, 0, b"x").expect("write");
        house.fs.release(opened.handle).expect("release");
    }
    assert!(house.fs.catalog.queue().expect("queue").0 >= 200);
}

/// Promise: the kernel closes files behind the caller's back, so attributes are asked for and set while a file is being
/// sealed. None of that is lost or shown as it was before the writing.
#[test]
fn sealing_races_with_attributes() {
    let house = house();
    for round in 0..1000 {
        let name = format!("f{round}");
        let (inode, opened) = house.fs.create(house.vault, name.as_bytes(), 0o644, ME).expect("create");
        house.fs.write(opened.handle, 0, b"x").expect("write");
        std::thread::scope(|scope| {
            scope.spawn(|| house.close(&opened));
            scope.spawn(|| {
                let changes = Changes { mtime: Some(round), ..Changes::default() };
                house.fs.setattr(inode.ino, changes, None).expect("setattr");
            });
            for _ in 0..20 {
                assert_eq!(house.fs.getattr(inode.ino).expect("attributes").size, 1, "round {round}");
                let found = house.fs.lookup(house.vault, name.as_bytes()).expect("lookup");
                assert_eq!(found.size, 1, "round {round}");
            }
        });
        assert_eq!(house.fs.getattr(inode.ino).expect("attributes").mtime, round);
    }
}

/// Promise: an open file can be archived as it is; not in the middle of a write, not once it has lost its name; and what is
/// written after that is for another archive.
#[test]
fn an_open_file_is_sealed_as_it_is() {
    let house = house();
    let (inode, opened) = house.fs.create(house.vault, b"a", 0o644, ME).expect("create");
    assert_eq!(house.fs.seal_open(opened.handle).expect("empty"), None);
    house.fs.write(opened.handle, 0, b"first").expect("write");
    {
        let (open, _) = house.fs.open.handle(opened.handle).expect("open");
        let _writing = house.fs.dirty(&open, crate::catalog::Start::Keep).expect("a file");
        let error = house.fs.seal_open(opened.handle).expect_err("in the middle of a write");
        assert_eq!(error.errno(), nix::errno::Errno::EAGAIN);
    }
    let content = house.fs.seal_open(opened.handle).expect("sealed").expect("a content");
    house.archive(false);
    assert_eq!(house.fs.seal_open(opened.handle).expect("nothing new"), Some(content));
    assert_eq!(house.fs.catalog.content(content).expect("row").state, crate::catalog::State::Archived);

    house.fs.write(opened.handle, 5, b" second").expect("write");
    let later = house.fs.seal_open(opened.handle).expect("sealed").expect("a content");
    assert_ne!(later, content);
    assert_eq!(house.fs.read(opened.handle, 0, 100).expect("read"), b"first second");
    house.fs.write(opened.handle, 0, b"F").expect("write");
    house.fs.unlink(house.vault, b"a").expect("unlink");
    assert_eq!(house.fs.seal_open(opened.handle).expect("nameless"), None);
    house.close(&opened);
    assert!(house.fs.getattr(inode.ino).is_err());
}

/// Promise: an open file can be synced, and tells its state, also while it is found to be empty and settled.
#[test]
fn settled_while_it_is_synced() {
    let house = house();
    for n in 0..500 {
        let name = format!("{n}");
        let (inode, writer) = house.fs.create(house.vault, name.as_bytes(), 0o644, ME).expect("create");
        let reader = house.fs.open(inode.ino, false).expect("open");
        house.fs.release(writer.handle).expect("release");
        std::thread::scope(|threads| {
            threads.spawn(|| house.fs.settle().expect("settle"));
            threads.spawn(|| house.fs.getxattr(inode.ino, b"user.glacierfs.state").expect("a state"));
            house.fs.fsync(reader.handle).expect("sync");
        });
        house.close(&reader);
    }
}

/// Promise: a file that is evicted at the moment when somebody begins to write to it keeps its bytes: who writes waits for them.
#[test]
fn evicted_while_a_write_begins() {
    let house = house();
    let mut waited = 0;
    for n in 0..300 {
        let ino = house.write(&format!("{n}"), b"hello");
        house.archive(false);
        let content = house.fs.getattr(ino).expect("attributes").content.expect("content");
        let opened = house.fs.open(ino, true).expect("open");
        let start = std::sync::Barrier::new(2);
        let written = std::thread::scope(|threads| {
            threads.spawn(|| {
                start.wait();
                house.fs.cache.evict(content).expect("evict")
            });
            start.wait();
            house.fs.write(opened.handle, 5, b"!")
        });
        match written {
            Ok(()) => assert_eq!(house.fs.read(opened.handle, 0, 10).expect("read"), b"hello!", "{n}"),
            Err(Error::Cold(need)) => {
                assert_eq!((need.content, need.first, need.last), (content, 0, 4));
                assert_eq!(house.fs.getattr(ino).expect("attributes").content, Some(content), "nothing has changed");
                waited += 1;
            }
            Err(error) => panic!("{n}: {error}"),
        }
        house.close(&opened);
    }
    println!("{waited} of 300 were too late");
}

/// Promise: truncating a file changes its modification time, however soon after the last change.
#[test]
fn truncated_at_once() {
    let house = house();
    for n in 0..200 {
        let ino = house.write(&format!("{n}"), b"hello");
        let before = house.fs.getattr(ino).expect("attributes").mtime;
        house.fs.setattr(ino, Changes::default(), Some(0)).expect("truncate");
        let after = house.fs.getattr(ino).expect("attributes").mtime;
        assert_ne!(before, after, "{n}");
    }
}

/// Promise: when the store's files are lost, what is archived counts as evicted, for readers and for writers, and keeps its bytes in the vault;
/// what was never archived is EIO, and stays as it is.
#[test]
fn lost_files_of_the_store() {
    let house = house();
    let read = |name: &[u8]| {
        let ino = house.fs.catalog.lookup(house.vault, name).expect("lookup").expect("a file").ino;
        let opened = house.fs.open(ino, true).expect("open");
        let read = house.fs.read(opened.handle, 0, 100);
        let written = house.fs.write(opened.handle, 0, b"more");
        house.close(&opened);
        (read, written)
    };
    for name in [&b"archived"[..], b"written"] {
        house.write(std::str::from_utf8(name).expect("text"), b"hello");
        if name == b"archived" {
            house.archive(false);
        }
    }
    for file in house.fs.catalog.files().expect("files") {
        house.fs.store.remove(file).expect("removed");
    }
    let (found, written) = read(b"archived");
    assert!(matches!(found, Err(Error::Cold(_))), "{found:?}");
    assert!(matches!(written, Err(Error::Cold(_))), "{written:?}");
    for _ in 0..2 {
        let (found, written) = read(b"written");
        assert_eq!(found.expect_err("lost").errno(), nix::errno::Errno::EIO);
        assert_eq!(written.expect_err("lost").errno(), nix::errno::Errno::EIO);
    }
}
