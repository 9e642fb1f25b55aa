//! The catalog's own promises, without a mount.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::util::budget::Budget;
use crate::util::money::Money;
use crate::util::tier::Tier;

fn open(dir: &Path) -> Catalog {
    Catalog::open(&dir.join("catalog.db"), Duration::from_secs(0)).expect("a new catalog opens")
}

fn dir() -> NewInode<'static> {
    NewInode { mode: Kind::Directory.bits() | 0o755, uid: 1, gid: 2, rdev: 0, target: None, content: None }
}

fn file(content: Option<ContentId>) -> NewInode<'static> {
    NewInode { mode: Kind::File.bits() | 0o644, uid: 1, gid: 2, rdev: 0, target: None, content }
}

fn vault(catalog: &Catalog) -> Inode {
    catalog.add_vault("photos", "arn", dir(), 1).expect("a vault can be added").0
}

/// Promise: what was answered is there after the process died without a word.
#[test]
fn operations_survive_without_a_close() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let made = catalog.create(root.ino, b"a", file(Some(77)), 5).expect("create");
    catalog.sync().expect("the log syncs");
    std::mem::forget(catalog);
    let again = open(tmp.path());
    assert_eq!(again.lookup(root.ino, b"a").expect("lookup"), Some(made.clone()));
    assert_eq!(again.path(made.ino).expect("path"), Some(b"photos/a".to_vec()));
    assert_eq!(again.dirty().expect("dirty").len(), 1);
}

/// Promise: the log doesn't grow without end while operations never pause.
#[test]
fn the_log_stays_bounded_under_load() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 1..=20000 {
                catalog.create(root.ino, format!("{n}").as_bytes(), file(Some(n)), 1).expect("create");
            }
        });
        while !writer.is_finished() {
            catalog.checkpoint().expect("checkpoint");
        }
    });
    let length = catalog.wal.metadata().expect("the log").len();
    assert!(length < 2 * LONG, "{length}");
    assert_eq!(catalog.queue().expect("queue").2, 20000);
}

/// Promise: a state directory of a newer version is refused, by name, and left as it is.
#[test]
fn a_newer_catalog_is_refused_untouched() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let path = tmp.path().join("catalog.db");
    Connection::open(&path).expect("sqlite").pragma_update(None, "user_version", 99).expect("pragma");
    let before = std::fs::read(&path).expect("the file");
    let error = Catalog::open(&path, Duration::ZERO).err().expect("refused").to_string();
    assert!(error.contains("version 99") && error.contains("catalog.db"), "{error}");
    assert_eq!(std::fs::read(&path).expect("the file"), before);
    assert!(!tmp.path().join("catalog.db-wal").exists());
}

/// Promise: a content goes dirty, sealed, archived, evicted, recalled, and a write in between makes the archive of the
/// old bytes unwanted, never the file's.
#[test]
fn a_write_during_the_upload_wins() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let made = catalog.create(root.ino, b"a", file(Some(7)), 1).expect("create");
    catalog.seal(&[Seal { content: 7, size: 10, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
    let due = catalog.due(4, 10, &|_, _| false).expect("due");
    assert_eq!((due.len(), due[0].path.as_slice(), due[0].vault.as_str()), (1, &b"a"[..], "photos"));
    let begun = catalog.begin_write(made.ino, 8, Start::Keep, 5).expect("write");
    assert_eq!((begun.content, begun.file, begun.fresh), (7, 7, false));
    let archive = |name: &str| Archive {
        row: 0,
        vault: root.vault.expect("the vault's row"),
        archive_id: name.into(),
        size: 10,
        tree_hash: [1; 32],
        created: 6,
    };
    assert!(!catalog.archived(7, 0, &archive("old"), None, 6).expect("archived"));
    assert_eq!(catalog.trash_due(i64::MAX - 1, 9).expect("trash").len(), 1);
    catalog.seal(&[Seal { content: 7, size: 12, mtime: 7, ctime: 7, due: 7 }]).expect("seal");
    assert!(catalog.archived(7, 1, &archive("new"), None, 8).expect("archived"));
    assert_eq!(catalog.evict(7).expect("evict"), Some(7));
    assert_eq!(catalog.content(7).expect("content").file, None);
    assert_eq!(catalog.doomed().expect("doomed"), vec![7]);
    assert_eq!(catalog.begin_recall(7, 70).expect("recall"), 70);
    assert!(!catalog.content(7).expect("content").has(0, 0));
    assert!(catalog.recalled(7, 70, 0, 11).expect("recalled").is_local());
    // Writing again hands the file over, and the archive goes to the trash.
    let begun = catalog.begin_write(made.ino, 9, Start::Keep, 9).expect("write");
    assert_eq!((begun.content, begun.file, begun.fresh, begun.freed), (9, 70, false, None));
    assert_eq!(catalog.trash_due(i64::MAX - 1, 9).expect("trash").len(), 2);
}

/// Promise: an archive in the trash isn't due before the 90 days that it is billed for anyway.
#[test]
fn trash_waits_for_ninety_days() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let made = catalog.create(root.ino, b"a", file(Some(7)), 1).expect("create");
    catalog.seal(&[Seal { content: 7, size: 10, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
    let vault = root.vault.expect("the vault's row");
    let archive = Archive { row: 0, vault, archive_id: "x".into(), size: 10, tree_hash: [1; 32], created: 1000 };
    catalog.archived(7, 0, &archive, None, 6).expect("archived");
    let removed = catalog.unlink(root.ino, b"a", 7).expect("unlink");
    assert_eq!((removed.ino, removed.orphan), (Some(made.ino), true));
    assert_eq!(catalog.drop_orphan(made.ino, 8).expect("drop"), Some((7, Some(7))));
    let ninety = 90 * 24 * 3600 * 1_000_000_000;
    assert!(catalog.trash_due(ninety + 999, 9).expect("trash").is_empty());
    let due = catalog.trash_due(ninety + 1000, 9).expect("trash");
    assert_eq!(due[0].path, b"a");
}

/// Promise: of two archives with one path the newer gets the name, and nothing is lost.
#[test]
fn adoption_gives_the_name_to_the_newest() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let known = |id: &str, created, content| KnownArchive {
        archive_id: id.into(),
        size: 5,
        tree_hash: [0; 32],
        created,
        content,
        path: Some(vec![b"d".to_vec(), b"f".to_vec()]),
        is_folder: false,
        mode: Some(0o600),
        owner: None,
        mtime: Some(42),
    };
    let unnamed = KnownArchive { path: None, ..known("c", 3, None) };
    let vault = root.vault.expect("the vault's row");
    let adopted = catalog
        .adopt(vault, &[known("b", 2, Some(50)), known("a", 1, Some(50)), known("z", 1, None), unnamed], 9)
        .expect("adopt");
    assert!(matches!(&adopted[0], archives::Adopted::Added { name, .. } if name == b"d"));
    assert_eq!(adopted[1..3], [archives::Adopted::Duplicate, archives::Adopted::Duplicate]);
    let d = catalog.lookup(root.ino, b"d").expect("lookup").expect("the directory was made");
    let f = catalog.lookup(d.ino, b"f").expect("lookup").expect("the file was made");
    assert_eq!((f.mode & 0o7777, f.mtime, f.size, f.content), (0o600, 42, 5, Some(50)));
    assert!(catalog.trash_due(i64::MAX - 1, 9).expect("trash").is_empty());
    let again = catalog.adopt(vault, &[known("b", 2, Some(50))], 9).expect("adopt");
    assert_eq!(again, [archives::Adopted::Known]);
}

/// Promise: an archive whose name belongs to a directory, lies below a file or names a folder isn't hidden in the trash: it
/// is a file in `.unnamed/`, and a folder is there. Of two files with one name the older stays in the trash, by its path.
#[test]
fn adoption_hides_nothing() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let known = |id: &str, created, path: &str, is_folder| KnownArchive {
        archive_id: id.into(),
        size: 5,
        tree_hash: [0; 32],
        created,
        content: None,
        path: Some(path.split('/').map(|name| name.as_bytes().to_vec()).collect()),
        is_folder,
        mode: None,
        owner: None,
        mtime: None,
    };
    catalog.create(root.ino, b"empty", file(None), 1).expect("create");
    let adopted = catalog
        .adopt(
            vault,
            &[
                known("file", 9, "d/f", false),
                known("dir", 8, "d", false),
                known("below", 7, "d/f/x", false),
                known("folder", 6, "new/folder", true),
                known("folder again", 5, "d/f", true),
                known("in", 4, "new/folder/in", false),
                known("older", 3, "d/f", false),
                known("against empty", 2, "empty", false),
            ],
            9,
        )
        .expect("adopt");
    let unnamed: Vec<_> =
        adopted.iter().map(|one| matches!(one, archives::Adopted::Added { is_unnamed: true, .. })).collect();
    assert_eq!(unnamed, [false, true, true, true, true, false, false, false]);
    assert!(matches!(&adopted[3], archives::Adopted::Added { folder: Some((dir, name)), .. }
        if *dir == root.ino && name == b"new"));
    assert_eq!(adopted[6..], [archives::Adopted::Duplicate, archives::Adopted::Duplicate]);
    let mut seen = BTreeMap::new();
    walk(&catalog, root.ino, "", &mut seen);
    let files: Vec<_> =
        seen.iter().filter(|(_, inode)| inode.kind() == Kind::File).map(|(path, _)| &path[1..]).collect();
    assert_eq!(
        files,
        [".unnamed/below", ".unnamed/dir", ".unnamed/folder", ".unnamed/folder again", "d/f", "empty", "new/folder/in"]
    );
    // What is in the trash has no end, and its path.
    assert!(catalog.trash_due(i64::MAX - 1, 9).expect("trash").is_empty());
    let mut trash: Vec<_> = catalog
        .trash_due(i64::MAX, 9)
        .expect("trash")
        .into_iter()
        .map(|one| (one.archive.expect("an archive").archive_id, one.path))
        .collect();
    trash.sort();
    assert_eq!(trash, [("against empty".into(), b"empty".to_vec()), ("older".into(), b"d/f".to_vec())]);
}

/// Promise: a claim names what has no name, or only a text for one, with its time; leaves what somebody named, wrote to or
/// deleted; replaces nothing; links what has several names; and takes in what it tells all of. A dry run says the same.
#[test]
fn claims_name_what_has_no_name() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let components = |path: &str| path.split('/').map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    let known = |id: &str, path: Option<&str>| KnownArchive {
        archive_id: id.into(),
        size: 5,
        tree_hash: [0; 32],
        created: 1000,
        content: None,
        path: path.map(components),
        is_folder: false,
        mode: None,
        owner: None,
        mtime: None,
    };
    let archives = [
        known("unnamed", None),
        known("opaque", Some("text")),
        known("double", Some("text")),
        known("path", Some("dir/text")),
        known("renamed", Some("mine")),
        known("deleted", Some("deleted")),
        known("blocked", None),
        known("linked", None),
    ];
    catalog.adopt(vault, &archives, 9).expect("adopt");
    catalog.rename((root.ino, b"mine"), (root.ino, b"my own"), RenameMode::Replace, 10).expect("rename");
    let deleted = catalog.unlink(root.ino, b"deleted", 10).expect("unlink").ino.expect("an inode");
    catalog.drop_orphan(deleted, 11).expect("drop");
    catalog.create(root.ino, b"file", file(None), 10).expect("create");
    let claim = |id: &str, paths: &[&str], archive| Claim {
        archive_id: id.into(),
        paths: paths.iter().map(|path| components(path)).collect(),
        mtime: Some(77),
        archive,
    };
    let told = Some((7, [1; 32], 500));
    let claims = [
        claim("unnamed", &["a/b/one"], None),
        claim("opaque", &["a/two"], told),
        claim("double", &["a/three"], None),
        claim("path", &["a/four"], None),
        claim("renamed", &["a/five"], None),
        claim("deleted", &["a/six"], None),
        claim("blocked", &["file/seven", "file"], None),
        claim("linked", &["a/eight", "file", "eighth"], None),
        claim("unknown", &["a/nine"], None),
        claim("told", &["a/ten"], told),
        claim("told older", &["a/ten"], Some((7, [2; 32], 400))),
        claim("unnamed", &["a/b/one"], None),
        claim("told own", &[".glacierfs/snapshots/x"], told),
    ];
    use Outcome::*;
    let outcomes =
        [Named, Named, Named, Left, Left, Deleted, Taken, Named, Unknown, Adopted, Adopted, Already, Adopted];
    let before = catalog.path(catalog.lookup(root.ino, b"text").expect("lookup").expect("a file").ino).expect("path");
    let mut seen = BTreeMap::new();
    walk(&catalog, root.ino, "", &mut seen);
    for dry_run in [true, false] {
        let claimed = catalog.claim(vault, &claims, dry_run, 20).expect("claim");
        assert_eq!(claimed.iter().map(|one| one.outcome).collect::<Vec<_>>(), outcomes);
        assert_eq!(claimed[1].before.as_deref(), Some(&b"text"[..]));
        assert_eq!((claimed[2].before.clone(), claimed[2].taken.len()), (None, 0));
        assert_eq!(claimed[6].taken, [b"file/seven".to_vec(), b"file".to_vec()]);
        assert_eq!(claimed[7].taken, [b"file".to_vec()]);
        assert_eq!(claimed[12].taken, [b".glacierfs/snapshots/x".to_vec()]);
        if dry_run {
            let mut still = BTreeMap::new();
            walk(&catalog, root.ino, "", &mut still);
            let names = |seen: &BTreeMap<String, Inode>| seen.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&still), names(&seen));
            let text = catalog.lookup(root.ino, b"text").expect("lookup").expect("a file");
            assert_eq!(catalog.path(text.ino).expect("path"), before);
        }
    }
    let mut seen = BTreeMap::new();
    walk(&catalog, root.ino, "", &mut seen);
    let files: Vec<_> = seen
        .iter()
        .filter(|(_, inode)| inode.kind() == Kind::File)
        .map(|(path, i)| (&path[1..], i.mtime, i.nlink))
        .collect();
    assert_eq!(
        files,
        [
            (".unnamed/blocked", 1000, 1),
            (".unnamed/told own", 77, 1),
            ("a/b/one", 77, 1),
            ("a/eight", 77, 2),
            ("a/ten", 77, 1),
            ("a/three", 77, 1),
            ("a/two", 77, 1),
            ("dir/text", 1000, 1),
            ("eighth", 77, 2),
            ("file", 10, 1),
            ("my own", 1000, 1),
        ]
    );
    assert_eq!((seen["/a"].nlink, seen["/a"].kind()), (3, Kind::Directory));
    // The older one of two with a path is in the trash, like the deleted one, whose end isn't put off.
    let mut trash: Vec<_> = catalog
        .trash_due(i64::MAX, 99)
        .expect("trash")
        .into_iter()
        .map(|one| (one.archive.expect("an archive").archive_id, one.path, one.due == i64::MAX))
        .collect();
    trash.sort();
    assert_eq!(trash, [("deleted".into(), b"deleted".to_vec(), false), ("told older".into(), b"a/ten".to_vec(), true)]);
    assert!(catalog.claim(vault, &claims[..1], false, 30).expect("again")[0].changed.is_empty());
}

/// Promise: an archive that an inventory names before its upload is noted isn't taken for a double for good: it isn't in the
/// trash once its file has it.
#[test]
fn an_inventory_may_be_quicker_than_the_upload() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    catalog.create(root.ino, b"a", file(Some(7)), 1).expect("create");
    catalog.seal(&[Seal { content: 7, size: 10, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
    let vault = root.vault.expect("the vault's row");
    let known = KnownArchive {
        archive_id: "x".into(),
        size: 10,
        tree_hash: [1; 32],
        created: 5,
        content: Some(7),
        path: Some(vec![b"a".to_vec()]),
        is_folder: false,
        mode: None,
        owner: None,
        mtime: None,
    };
    assert_eq!(catalog.adopt(vault, &[known], 5).expect("adopt"), [archives::Adopted::Duplicate]);
    let archive = Archive { row: 0, vault, archive_id: "x".into(), size: 10, tree_hash: [1; 32], created: 6 };
    assert!(catalog.archived(7, 0, &archive, None, 6).expect("archived"));
    assert!(catalog.trash_due(i64::MAX, 9).expect("trash").is_empty());
    assert_eq!(catalog.content(7).expect("content").archive.expect("an archive").archive_id, "x");
}

/// Promise: of an archive that is in a file and one that an inventory lists for the same path the newer gets the name, also when this machine's
/// clock, which the first has its time from, is minutes ahead: the files' times tell then.
#[test]
fn the_newer_version_by_a_wrong_clock() {
    const MINUTE: i64 = 60_000_000_000;
    // When the first was archived by this machine's clock, when the other by the service's, the other's time; whether it wins.
    for (first, other, mtime, wins) in [
        (100 * MINUTE + 7, 90 * MINUTE, 50, true),
        (100 * MINUTE + 7, 110 * MINUTE, 20, false),
        (100 * MINUTE + 7, 120 * MINUTE, 20, true),
        (100 * MINUTE + 7, 80 * MINUTE, 50, false),
        // Both by the service's.
        (100 * MINUTE, 99 * MINUTE, 50, false),
        (100 * MINUTE, 100 * MINUTE, 50, true),
        (100 * MINUTE, 100 * MINUTE, 30, false),
    ] {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let catalog = open(tmp.path());
        let root = vault(&catalog);
        let vault = root.vault.expect("the vault's row");
        let known = |id: i64, created, mtime| KnownArchive {
            archive_id: format!("x{id}"),
            size: 10,
            tree_hash: [1; 32],
            created,
            content: Some(id),
            path: Some(vec![b"f".to_vec()]),
            is_folder: false,
            mode: None,
            owner: None,
            mtime: Some(mtime),
        };
        catalog.adopt(vault, &[known(1, first, 30)], 1).expect("adopt");
        let adopted = catalog.adopt(vault, &[known(2, other, mtime)], 1).expect("adopt");
        assert_eq!(
            matches!(adopted[..], [archives::Adopted::Added { .. }]),
            wins,
            "{first} {other} {mtime}: {adopted:?}"
        );
    }
}

/// Promise: a file that was deleted while, or after, an upload of it may have been done that nobody here was told of (a crash in
/// between) doesn't come back when an inventory lists that archive: it goes to the trash. What the service has as an upload in parts
/// is aborted, and still known to have been.
#[test]
fn what_is_deleted_stays_deleted_when_an_inventory_has_more_of_it() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let known = |id: i64| KnownArchive {
        archive_id: format!("x{id}"),
        size: 10,
        tree_hash: [1; 32],
        created: 5,
        content: Some(id),
        path: Some(vec![format!("f{id}").into_bytes()]),
        is_folder: false,
        mode: None,
        owner: None,
        mtime: None,
    };
    let sealed = |id: i64| {
        let name = format!("f{id}");
        let made = catalog.create(root.ino, name.as_bytes(), file(Some(id)), 1).expect("create");
        catalog.seal(&[Seal { content: id, size: 10, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
        made.ino
    };
    let delete = |id: i64, ino| {
        catalog.unlink(root.ino, format!("f{id}").as_bytes(), 5).expect("unlink");
        catalog.drop_orphan(ino, 5).expect("drop");
    };
    // Sent whole; sent in parts; written to again after that, and emptied.
    delete(1, sealed(1));
    let in_parts = sealed(2);
    let upload = Upload { content: 2, vault, upload_id: "u".into(), part_size: 1 << 20, generation: 0 };
    catalog.upload_begun(&upload).expect("begun");
    delete(2, in_parts);
    let emptied = sealed(3);
    catalog.begin_write(emptied, 30, Start::Keep, 5).expect("begin");
    catalog.seal(&[Seal { content: 3, size: 0, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
    delete(3, emptied);

    let unwanted = catalog.unwanted_uploads().expect("a list");
    assert_eq!(unwanted.iter().map(|(upload, _)| upload.upload_id.as_str()).collect::<Vec<_>>(), ["u"]);
    catalog.upload_gone("u").expect("gone");
    assert!(catalog.unwanted_uploads().expect("a list").is_empty());
    catalog.inventory_reconciled(vault, "2026-11-21T00:00:00Z").expect("an older inventory");
    let adopted = catalog.adopt(vault, &[known(1), known(2), known(3)], 9).expect("adopt");
    assert_eq!(adopted, [archives::Adopted::Duplicate, archives::Adopted::Duplicate, archives::Adopted::Duplicate]);
    for name in [b"f1", b"f2", b"f3"] {
        assert!(catalog.lookup(root.ino, name).expect("lookup").is_none());
    }
    // Purged, and still listed; with another archive of it that nobody here knows.
    let ino = sealed(5);
    let archive = Archive { row: 0, vault, archive_id: "x5".into(), size: 10, tree_hash: [1; 32], created: 6 };
    assert!(catalog.archived(5, 0, &archive, None, 6).expect("archived"));
    delete(5, ino);
    catalog.purged(&[ino], now()).expect("purged");
    assert!(catalog.unwanted_uploads().expect("a list").is_empty());
    let double = KnownArchive { archive_id: "y5".into(), ..known(5) };
    let adopted = catalog.adopt(vault, &[known(5), double], 9).expect("adopt");
    assert_eq!(adopted, [archives::Adopted::Deleted, archives::Adopted::Duplicate]);
    assert!(catalog.lookup(root.ino, b"f5").expect("lookup").is_none());
    // What others put there comes in as ever.
    assert!(matches!(catalog.adopt(vault, &[known(4)], 9).expect("adopt")[..], [archives::Adopted::Added { .. }]));
}

/// Promise: what the disk has lost of a file isn't archived, whatever becomes of an upload that was under way, before it is written anew.
#[test]
fn damage_outlives_uploads() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    catalog.create(root.ino, b"f", file(Some(7)), 1).expect("create");
    catalog.seal(&[Seal { content: 7, size: 10, mtime: 3, ctime: 4, due: 4 }]).expect("seal");
    assert!(catalog.damage(7, Some(&format!("{DAMAGED}: EIO"))).expect("noted"));
    catalog.upload_failed(7, 0, "timed out", 5).expect("noted");
    assert!(catalog.content(7).expect("content").is_damaged());
    let archive = Archive { row: 0, vault, archive_id: "x".into(), size: 10, tree_hash: [1; 32], created: 6 };
    assert!(!catalog.archived(7, 0, &archive, None, 6).expect("archived"), "it isn't wanted");
    let content = catalog.content(7).expect("content");
    assert!(content.is_damaged() && content.state == State::Sealed, "{content:?}");
    assert_eq!(catalog.trash_due(i64::MAX, 9).expect("trash").len(), 1);
}

/// Promise: a snapshot doesn't bring back what was deleted here, nor what is on its way to be.
#[test]
fn snapshots_undo_no_deletion() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let known = |n: i64| KnownArchive {
        archive_id: format!("x{n}"),
        size: 10,
        tree_hash: [1; 32],
        created: 5,
        content: None,
        path: Some(vec![format!("f{n}").into_bytes()]),
        is_folder: false,
        mode: None,
        owner: None,
        mtime: None,
    };
    catalog.adopt(vault, &[known(1), known(2), known(3)], 1).expect("adopted");
    let nodes: Vec<Node> = catalog
        .tree(vault)
        .expect("a tree")
        .map(|node| node.expect("a node"))
        .filter(|node| node.content.is_some())
        // As an earlier catalog had them, with numbers of its own.
        .map(|node| Node {
            content: node.content.map(|content| NodeContent { id: content.id / 2 + 1, ..content }),
            ino: node.ino + 1000,
            ..node
        })
        .collect();
    let mut inos = Vec::new();
    for name in [b"f1", b"f2"] {
        inos.push(catalog.lookup(root.ino, name).expect("lookup").expect("a file").ino);
        catalog.unlink(root.ino, name, 7).expect("unlink");
        catalog.drop_orphan(inos[inos.len() - 1], 7).expect("drop");
    }
    catalog.purged(&inos[..1], 8).expect("purged");
    let grafted = catalog.graft(vault, &nodes).expect("grafted");
    assert!(matches!(grafted[..], [Grafted::Taken, Grafted::Taken, Grafted::Same(_)]), "{grafted:?}");
    assert!(catalog.trashed(inos[1]).expect("trash").is_some());
    assert!(catalog.lookup(root.ino, b"f1").expect("lookup").is_none());
}

/// Promise: hurrying makes what rests due, among many what is named, and leaves what has failed to its own pace unless
/// told; a content that was written to meanwhile has no failure.
#[test]
fn hurrying_spares_what_failed() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    for id in 1..=3 {
        catalog.create(root.ino, format!("{id}").as_bytes(), file(Some(id)), 1).expect("create");
        catalog.seal(&[Seal { content: id, size: 10, mtime: 3, ctime: 4, due: 1000 }]).expect("seal");
    }
    let due = || {
        let mut due: Vec<_> =
            catalog.due(50, 9, &|_, _| false).expect("due").iter().map(|one| one.content.id).collect();
        due.sort();
        due
    };
    catalog.upload_failed(1, 0, "no", 1000).expect("noted");
    catalog.upload_failed(2, 1, "of another generation", 5).expect("noted");
    assert_eq!((catalog.failed_uploads().expect("count"), due().len()), (1, 0));
    assert_eq!(catalog.failed(9).expect("failed")[0].content.error.as_deref(), Some("no"));
    catalog.make_due(Some(&[1, 2, 99]), false, 50).expect("hurried");
    assert_eq!(due(), [2]);
    catalog.make_due(None, false, 50).expect("hurried");
    assert_eq!(due(), [2, 3]);
    catalog.make_due(None, true, 50).expect("hurried");
    assert_eq!(due(), [1, 2, 3]);
    let mut sealed = catalog.sealed_in(root.vault.expect("the vault's row")).expect("sealed");
    sealed.sort();
    assert_eq!(sealed, [1, 2, 3]);
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86400 * SECOND;

/// Seals and archives `content` as `id`, at `at`.
fn archive(catalog: &Catalog, root: &Inode, content: ContentId, id: &str, at: i64) {
    catalog.seal(&[Seal { content, size: 10, mtime: at, ctime: at, due: at }]).expect("seal");
    let vault = root.vault.expect("the vault's row");
    let archive = Archive { row: 0, vault, archive_id: id.into(), size: 10, tree_hash: [1; 32], created: at };
    assert!(catalog.archived(content, 0, &archive, None, at).expect("archived"));
}

/// Brings back `inos` where they were.
fn put_back(catalog: &Catalog, inos: &[Ino], run: i64) -> Vec<Place> {
    let how = PutBack { to: &|path| Some(path.to_vec()), beside: false, run };
    catalog.put_back(inos, &how).expect("put back")
}

fn remove(catalog: &Catalog, dir: Ino, name: &[u8], at: i64) {
    let removed = catalog.unlink(dir, name, at).or_else(|_| catalog.rmdir(dir, name, at)).expect("removed");
    if removed.orphan {
        catalog.drop_orphan(removed.ino.expect("an inode"), at).expect("drop");
    }
}

/// Promise: a catalog of version 1 becomes one of the current version with all that was in it, its trash can be brought
/// back, and a copy of it as it was stays beside it.
#[test]
fn version_1_is_migrated() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let path = tmp.path().join("catalog.db");
    let sample = include_str!("../../tests/data/catalog-v1.sql");
    Connection::open(&path).and_then(|conn| conn.execute_batch(sample)).expect("the sample");
    let catalog = open(tmp.path());
    let copy = Connection::open(tmp.path().join("catalog.db.v1")).expect("the copy");
    let count = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(count(&copy, "PRAGMA user_version"), 1);
    assert_eq!(count(&copy, "SELECT COUNT(*) FROM trash WHERE content IS NULL"), 1);
    assert_eq!(catalog.read(|conn| Ok(count(conn, "PRAGMA user_version"))).expect("version"), schema::VERSION);

    let root = catalog.vault("photos").expect("vault").expect("the vault").root;
    let mut seen = BTreeMap::new();
    walk(&catalog, root, "", &mut seen);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["/d", "/d/again", "/d/kept", "/d/link", "/d/open"]);
    assert_eq!(seen["/d/kept"].content, Some(71));
    assert_eq!(catalog.xattr(4, b"user.a").expect("xattr"), Some(b"b".to_vec()));
    assert_eq!((catalog.orphans().expect("orphans"), catalog.dirty().expect("dirty").len()), (vec![8], 2));
    assert_eq!(catalog.due(5000, 9, &|_, _| false).expect("due")[0].path, b"d/again");

    let due = catalog.trash_due(i64::MAX, 9).expect("trash");
    let told: Vec<_> = due
        .iter()
        .map(|one| {
            let archive = one.archive.as_ref().expect("an archive");
            (archive.archive_id.as_str(), one.path.as_slice(), one.deleted, one.due, one.inode.size)
        })
        .collect();
    let expected: Vec<(&str, &[u8], i64, i64, u64)> = vec![
        ("archive-again-old", b"d/again", 6000, 90 * DAY + 2000, 15),
        ("archive-gone", b"d/gone", 7000, 90 * DAY + 3000, 30),
        ("archive-double", b"d/kept", 8000, i64::MAX, 40),
    ];
    assert_eq!(told, expected);
    let inos: Vec<Ino> = due.iter().map(|one| one.inode.ino).collect();
    let back = put_back(&catalog, &inos, now());
    assert_eq!((&back[0], &back[2]), (&Place::Taken, &Place::Taken));
    let gone = catalog.lookup(seen["/d"].ino, b"gone").expect("lookup").expect("it is back");
    assert_eq!((gone.mode, gone.uid, gone.gid, gone.mtime, gone.content), (0o100700, 7, 8, 66, Some(76)));
    assert_eq!(catalog.content(76).expect("content").ino, gone.ino);
    let fresh = catalog.create(root, b"new", file(None), 9).expect("create");
    assert!(inos.iter().all(|ino| *ino < fresh.ino), "no number is given out twice");
    drop(catalog);
    assert_eq!(open(tmp.path()).trash_due(i64::MAX, 9).expect("trash").len(), 2);
}

/// Promise: a catalog of version 2 becomes one of the current version: what is cached has a time of use, and retrievals that were asked
/// for go on as readers' wishes that are due, and are counted before the service is asked.
#[test]
fn version_2_is_migrated() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let sample = include_str!("../../tests/data/catalog-v2.sql");
    Connection::open(tmp.path().join("catalog.db")).and_then(|conn| conn.execute_batch(sample)).expect("the sample");
    let catalog = open(tmp.path());
    assert!(tmp.path().join("catalog.db.v2").exists(), "a copy is kept");
    assert_eq!(catalog.cached(None, 9).expect("cached").len(), 2);
    let due = catalog.due_jobs(now(), 9).expect("jobs");
    let told: Vec<_> =
        due.iter().map(|job| (job.archive.archive_id.as_str(), job.first, job.base, job.last, job.tier)).collect();
    assert_eq!(told, [("archive-kept", 0, 0, 9, Tier::Bulk)]);
    for (state, archive, job_id) in
        [(JobState::Accepted, "archive-again-old", "job-a"), (JobState::Ready, "archive-gone", "job-b")]
    {
        let jobs = catalog.jobs(state, 9, &|_| false).expect("jobs");
        assert_eq!((jobs.len(), jobs[0].archive.archive_id.as_str()), (1, archive));
        assert_eq!(jobs[0].job_id.as_deref(), Some(job_id));
    }
    assert_eq!(catalog.spent(now()).expect("spent").month.requests, 0);
    let (ranges, budget) = (|_, _: (u64, u64), _: &dyn Fn(u64) -> bool| Vec::new(), Budget::default());
    let terms = Terms { ranges: &ranges, price: &|_, bytes| Money(bytes), budget: &budget, now: now() };
    assert_eq!(catalog.charge_job(&due[0], &terms).expect("counted"), Turn::Counted(Tier::Bulk));
    let spent = catalog.spent(now()).expect("spent").day;
    assert_eq!((spent.requests, spent.bytes, spent.cost), (1, 10, Money(10)));
    assert!(catalog.restores().expect("restores").is_empty());
}

/// Promise: a tree that is deleted comes back as it was: modes, owners, times, attributes, targets, all hard links; with the
/// time that its directories had before the deletion.
#[test]
fn a_deleted_tree_comes_back() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let d = catalog.create(root.ino, b"d", dir(), 1).expect("create");
    let e = catalog.create(d.ino, b"e", dir(), 2).expect("create");
    let a = catalog.create(e.ino, b"a", file(Some(7)), 3).expect("create");
    catalog.set_xattr(a.ino, b"user.x", b"y", XattrMode::Set, 4).expect("xattr");
    catalog.link(a.ino, d.ino, b"b", 5).expect("link");
    let link = NewInode { mode: Kind::Symlink.bits() | 0o777, target: Some(b"e/a"), ..file(None) };
    catalog.create(d.ino, b"l", link, 6).expect("create");
    catalog.create(d.ino, b"empty", file(None), 7).expect("create");
    archive(&catalog, &root, 7, "x", 8);
    for (ino, mtime) in [(d.ino, 100), (e.ino, 200)] {
        catalog.setattr(ino, Changes { mtime: Some(mtime), ..Changes::default() }, 9).expect("setattr");
    }
    let without_ctime = |seen: BTreeMap<String, Inode>| -> BTreeMap<String, Inode> {
        seen.into_iter().map(|(path, inode)| (path, Inode { ctime: 0, ..inode })).collect()
    };
    let mut before = BTreeMap::new();
    walk(&catalog, root.ino, "", &mut before);

    let at = now();
    remove(&catalog, e.ino, b"a", at);
    remove(&catalog, d.ino, b"e", at + 1);
    for (n, name) in [&b"b"[..], b"empty", b"l"].into_iter().enumerate() {
        remove(&catalog, d.ino, name, at + 2 + n as i64);
    }
    remove(&catalog, root.ino, b"d", at + 9);
    assert!(catalog.inode(a.ino).is_err() && catalog.readdir(root.ino, 0, 9).expect("readdir").is_empty());

    let vault = root.vault.expect("the vault's row");
    let all = catalog.trash_below(vault, b"d", None, 99).expect("trash");
    let inos: Vec<Ino> = all.iter().map(|one| one.inode.ino).collect();
    let paths: Vec<_> = all.iter().map(|one| String::from_utf8_lossy(&one.path).into_owned()).collect();
    assert_eq!(paths, ["d", "d/b", "d/e", "d/empty", "d/l"]);
    let back = put_back(&catalog, &inos, now());
    let Place::Back { changed, .. } = &back[0] else { panic!("{back:?}") };
    assert_eq!(changed[0], (root.ino, b"d".to_vec()));
    let mut after = BTreeMap::new();
    walk(&catalog, root.ino, "", &mut after);
    assert_eq!(without_ctime(after), without_ctime(before));
    assert_eq!(catalog.xattr(a.ino, b"user.x").expect("xattr"), Some(b"y".to_vec()));
    assert!(catalog.trash_due(i64::MAX, 9).expect("trash").is_empty());
}

/// Promise: each overwritten version is in the trash with the attributes that it had, in the order of their time; the newest
/// is found first; and what passes within a minute isn't kept.
#[test]
fn versions_are_kept_apart() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let made = catalog.create(root.ino, b"a", file(Some(1)), SECOND).expect("create");
    for version in 1..=3i64 {
        archive(&catalog, &root, version, &format!("v{version}"), version * SECOND);
        let changes = Changes { mode: Some(0o600 + version as u32), ..Changes::default() };
        catalog.setattr(made.ino, changes, version * SECOND).expect("setattr");
        catalog.begin_write(made.ino, version + 1, Start::Empty, version * SECOND + 5).expect("write");
    }
    let everything = (i64::MIN, i64::MAX);
    let version = |newer| catalog.trashed_version(vault, b"a", everything, newer).expect("trash");
    for (newer, expected) in ["v3", "v2", "v1"].iter().enumerate() {
        let found = version(newer).expect("a version");
        assert_eq!(&found.archive.as_ref().expect("an archive").archive_id, expected);
        assert_eq!((found.inode.mode & 0o777, found.path.as_slice()), (0o603 - newer as u32, &b"a"[..]));
        assert_eq!(found.inode.mtime, (3 - newer as i64) * SECOND);
    }
    assert!(version(3).is_none());
    let until_v2 = catalog.trashed_version(vault, b"a", (0, 2 * SECOND + 5), 0).expect("trash").expect("a version");
    assert_eq!(until_v2.archive.expect("an archive").archive_id, "v2");

    let v1 = version(2).expect("a version").inode.ino;
    assert_eq!(put_back(&catalog, &[v1], 9), [Place::Taken]);
    let beside = PutBack { to: &|path| Some(path.to_vec()), beside: true, run: 9 };
    let back = catalog.put_back(&[v1, v1], &beside).expect("put back");
    assert!(matches!(&back[0], Place::Back { path, .. } if path == b"a~1"), "{back:?}");
    assert_eq!(back[1], Place::Gone);

    let passing = catalog.create(root.ino, b"tmp", file(None), now()).expect("create");
    remove(&catalog, root.ino, b"tmp", now());
    assert!(catalog.trashed(passing.ino).expect("trash").is_none());
}

/// Promise: the trash is listed page by page without gap or repetition, below a path only what is below it; what is
/// being deleted can't come back, and what was deleted for good leaves nothing.
#[test]
fn pages_of_the_trash() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let catalog = open(tmp.path());
    let root = vault(&catalog);
    let vault = root.vault.expect("the vault's row");
    let d = catalog.create(root.ino, b"d", dir(), 1).expect("create");
    for n in 0..20 {
        for (parent, name) in [(d.ino, format!("f{n}")), (root.ino, format!("d.{n}")), (root.ino, format!("d{n}"))] {
            catalog.create(parent, name.as_bytes(), file(None), 1).expect("create");
            remove(&catalog, parent, name.as_bytes(), 100 * SECOND);
        }
    }
    let pages = |path: &[u8]| {
        let (mut found, mut after): (Vec<Vec<u8>>, Option<Position>) = (Vec::new(), None);
        loop {
            let page = catalog.trash_below(vault, path, after.as_ref(), 7).expect("trash");
            let Some(last) = page.last() else { return found };
            after = Some(last.position());
            found.extend(page.into_iter().map(|one| one.path));
        }
    };
    assert_eq!(pages(b"").len(), 60);
    let below = pages(b"d");
    assert!(below.len() == 20 && below.iter().all(|path| path.starts_with(b"d/f")), "{below:?}");
    assert!(below.is_sorted());
    let mut paths = Vec::new();
    let mut after = None;
    while let Some(next) = catalog.next_trashed_path(vault, b"d", after.as_deref()).expect("trash") {
        paths.push(next.clone());
        after = Some(next);
    }
    assert_eq!(paths, below);

    let all: Vec<Ino> = catalog.trash_below(vault, b"", None, 99).expect("trash").iter().map(|t| t.inode.ino).collect();
    assert_eq!(catalog.trash_goes(&all[..2], 50).expect("going"), &all[..2]);
    assert_eq!(put_back(&catalog, &all[..1], 5), [Place::Going]);
    catalog.trash_stays(all[0], 77, Some("locked")).expect("stays");
    let stays = catalog.trashed(all[0]).expect("trash").expect("still there");
    assert_eq!((stays.due, stays.error.as_deref(), stays.going), (77, Some("locked"), false));
    assert_eq!(catalog.trash_refused().expect("count"), 1);
    catalog.purged(&all, 1).expect("purged");
    let rows = |table: &str| {
        catalog
            .read(|conn| Ok(conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0))?))
            .expect("count")
    };
    assert_eq!((rows("trash"), rows("inode")), (0, 3));
}

/// A step of the random walk over names.
#[derive(Clone, Debug)]
enum Step {
    Create(u8, u8, bool),
    Link(u8, u8, u8, u8),
    Remove(u8, u8),
    Rename(u8, u8, u8, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..4u8;
    prop_oneof![
        (n.clone(), n.clone(), any::<bool>()).prop_map(|(d, f, dir)| Step::Create(d, f, dir)),
        (n.clone(), n.clone(), n.clone(), n.clone()).prop_map(|(a, b, c, d)| Step::Link(a, b, c, d)),
        (n.clone(), n.clone()).prop_map(|(d, f)| Step::Remove(d, f)),
        (n.clone(), n.clone(), n.clone(), n, 0..3u8).prop_map(|(a, b, c, d, m)| Step::Rename(a, b, c, d, m)),
    ]
}

/// Everything below `dir`: path, inode, link count.
fn walk(catalog: &Catalog, dir: Ino, prefix: &str, seen: &mut BTreeMap<String, Inode>) {
    for entry in catalog.readdir(dir, 0, 1000).expect("readdir") {
        let path = format!("{prefix}/{}", String::from_utf8_lossy(&entry.name));
        if entry.inode.is_dir() {
            walk(catalog, entry.inode.ino, &path, seen);
        }
        seen.insert(path, entry.inode);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Promise: whatever is created, linked, renamed, swapped and removed, link counts equal the names there are, every
    /// directory can be reached from the root, and nothing without a name stays once it was dropped.
    #[test]
    fn names_and_link_counts_agree(steps in proptest::collection::vec(step(), 1..60)) {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let catalog = open(tmp.path());
        let root = vault(&catalog);
        let before = |n: u8| {
            let mut dirs = BTreeMap::new();
            walk(&catalog, root.ino, "", &mut dirs);
            let dirs: Vec<Ino> = dirs.values().filter(|inode| inode.is_dir()).map(|inode| inode.ino).collect();
            if dirs.is_empty() || n == 0 { root.ino } else { dirs[n as usize % dirs.len()] }
        };
        let name = |n: u8| vec![b'a' + n];
        for step in steps {
            let removed = match step {
                Step::Create(d, f, is_dir) => {
                    let _ = catalog.create(before(d), &name(f), if is_dir { dir() } else { file(None) }, 3);
                    Removed::default()
                }
                Step::Link(d, f, e, g) => {
                    if let Ok(Some(found)) = catalog.lookup(before(d), &name(f)) {
                        let _ = catalog.link(found.ino, before(e), &name(g), 3);
                    }
                    Removed::default()
                }
                Step::Remove(d, f) => catalog
                    .unlink(before(d), &name(f), 3)
                    .or_else(|_| catalog.rmdir(before(d), &name(f), 3))
                    .unwrap_or_default(),
                Step::Rename(d, f, e, g, m) => {
                    let mode = [RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange][m as usize];
                    catalog.rename((before(d), &name(f)), (before(e), &name(g)), mode, 3).unwrap_or_default()
                }
            };
            if let Some(ino) = removed.ino.filter(|_| removed.orphan) {
                catalog.drop_orphan(ino, 4).expect("drop");
            }
        }
        let mut seen = BTreeMap::new();
        walk(&catalog, root.ino, "", &mut seen);
        let mut names: BTreeMap<Ino, u32> = BTreeMap::new();
        for inode in seen.values() {
            *names.entry(inode.ino).or_default() += 1;
        }
        for (path, inode) in &seen {
            let expected = if inode.is_dir() {
                2 + seen.iter().filter(|(below, child)| {
                    child.is_dir() && below.rsplit_once('/').is_some_and(|(parent, _)| parent == path)
                }).count() as u32
            } else {
                names[&inode.ino]
            };
            prop_assert_eq!(inode.nlink, expected, "{}", path);
        }
        let rows: i64 = catalog.read(|conn| Ok(conn.query_row("SELECT COUNT(*) FROM inode", [], |row| row.get(0))?)).expect("count");
        prop_assert_eq!(rows as usize, names.len() + 2);
        prop_assert!(catalog.orphans().expect("orphans").is_empty());
    }
}
