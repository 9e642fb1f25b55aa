//! Snapshots without a mount.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::sync::Notify;

use super::merge::Merged;
use super::merge::difference;
use super::plan::Plan;
use super::take::name;
use super::when::Watch;
use super::write::Writer;
use super::write::header;
use super::*;
use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::catalog::Inode;
use crate::catalog::Kind as InodeKind;
use crate::catalog::NewInode;
use crate::catalog::Node;
use crate::catalog::NodeTrash;
use crate::catalog::RenameMode;
use crate::catalog::Tree;
use crate::fs;
use crate::fs::Fs;
use crate::recall;
use crate::recall::Recall;
use crate::service::fake::Fake;
use crate::store::Store;
use crate::util::clock::Clock;

/// The sample of version 1: written once, and read by every version for ever.
const SAMPLE: &[u8] = include_bytes!("../../tests/data/snapshot-v1.jsonl");
const PACKED: &[u8] = include_bytes!("../../tests/data/snapshot-v1.jsonl.zst");

fn new(kind: InodeKind) -> NewInode<'static> {
    NewInode { mode: kind.bits() | 0o644, uid: 1, gid: 2, rdev: 0, target: None, content: None }
}

fn catalog(dir: &std::path::Path) -> (Catalog, Inode) {
    let catalog = Catalog::open(&dir.join("catalog.db"), Duration::ZERO).expect("a new catalog");
    let root = catalog.add_vault("v", "", new(InodeKind::Directory), 1).expect("a vault").0;
    (catalog, root)
}

fn tree(catalog: &Catalog, root: &Inode) -> Tree {
    catalog.tree(root.vault.expect("a vault's")).expect("its tree")
}

fn full(catalog: &Catalog, root: &Inode) -> Vec<u8> {
    export("v", tree(catalog, root), Timestamp::UNIX_EPOCH, Vec::new()).expect("written").0
}

fn delta(catalog: &Catalog, root: &Inode, base: &[u8]) -> Vec<u8> {
    let now = tree(catalog, root);
    let header = header("v", &now, Timestamp::UNIX_EPOCH, Some("base".to_owned()));
    let mut writer = Writer::new(Vec::new(), &header).expect("begun");
    difference(&mut Reader::new(base).expect("a base"), now, &mut writer).expect("compared");
    writer.end().expect("ended").0
}

fn read(text: &[u8]) -> Result<Vec<Line>, Damaged> {
    Reader::new(text)?.collect()
}

/// Promise: version 1 of the format is read for ever, down to each member.
#[test]
fn the_first_version_is_read_for_ever() {
    let unpacked = zstd::decode_all(PACKED).expect("it is compressed with zstd");
    assert!(unpacked == SAMPLE, "both samples are the same");
    let reader = Reader::new(SAMPLE).expect("a header");
    let header = reader.header().clone();
    assert_eq!((header.version, header.vault.as_str(), header.kind), (1, "photos", Kind::Full));
    assert_eq!((header.catalog.as_str(), header.root, header.next_ino), ("18ea2f4b6c8d0e1f", 2, 1048578));
    let nodes: Vec<Node> = reader
        .map(|line| match line.expect("a good line") {
            Line::Node(node) => *node,
            Line::Removed(ino) => panic!("{ino} is removed"),
        })
        .collect();
    assert_eq!(nodes.iter().map(|node| node.ino).collect::<Vec<_>>(), [2, 4, 6, 9, 11, 13, 14]);
    let file = &nodes[2];
    assert_eq!((file.mode, file.uid, file.gid, file.size), (0o100640, 1000, 100, 5));
    assert_eq!((file.atime, file.mtime, file.ctime, file.btime), (7, -500_000_000, 9_223_372_036_854_775_807, 1));
    assert_eq!(file.names, [(2, b"hello".to_vec()), (4, b"\xff\xfe".to_vec())]);
    assert_eq!(file.xattrs, [(b"user.a".to_vec(), b"\0\xff".to_vec()), (b"user.b".to_vec(), b"plain".to_vec())]);
    let content = file.content.as_ref().expect("bytes");
    assert_eq!((content.id, content.size), (0x0123_4567_89ab_cdef, 5));
    let archive = content.archive.as_ref().expect("an archive");
    assert_eq!((archive.archive_id.as_str(), archive.tree_hash[0], archive.created), ("an-archive", 0x2c, 3));
    assert_eq!(nodes[3].target.as_deref(), Some(&b"\xfe target"[..]));
    assert_eq!((InodeKind::of(nodes[4].mode), nodes[4].rdev), (Some(InodeKind::CharDevice), 259));
    assert!(nodes[5].content.as_ref().is_some_and(|content| content.archive.is_none()));
    let trash = nodes[6].trash.as_ref().expect("it is in the trash");
    assert_eq!((trash.path.as_slice(), trash.deleted, trash.due), (&b"a dir/deleted"[..], 6, 7_776_000_000_000_000));
    assert_eq!(trash.lost, [b"deleted too".to_vec()]);
    Plan::read(2, nodes.into_iter().map(Ok)).expect("it is a tree");
}

/// Promise: so is a delta.
#[test]
fn the_first_delta_is_read_for_ever() {
    let delta = include_bytes!("../../tests/data/snapshot-v1-delta.jsonl");
    let reader = Reader::new(&delta[..]).expect("a header");
    assert_eq!(
        (reader.header().kind, reader.header().base.as_deref()),
        (Kind::Delta, Some("20261121T201500Z-full.jsonl.zst"))
    );
    let merged = Merged::new(Reader::new(SAMPLE).expect("full"), Some(Reader::new(&delta[..]).expect("delta")));
    let merged: Vec<Node> = merged.collect::<Result<_, _>>().expect("merged");
    assert_eq!(merged.iter().map(|node| node.ino).collect::<Vec<_>>(), [2, 4, 6, 9, 13, 14, 15]);
    assert_eq!(merged[2].mode, 0o100600);
}

/// Promise: members and lines that this version doesn't know are skipped; a later version of the format is refused by name.
#[test]
fn what_is_unknown_is_skipped() {
    let text = String::from_utf8(SAMPLE.to_vec()).expect("ASCII");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let end = lines.pop().expect("an end");
    for line in &mut lines {
        *line = line.replacen('{', r#"{"some":{"thing":[1,null]},"#, 1);
    }
    lines.insert(3, r#"{"waste":"a","path":["b"]}"#.to_owned());
    let body: String = lines[1..].iter().map(|line| format!("{line}\n")).collect();
    use sha2::Digest as _;
    let digest = hex::encode(sha2::Sha256::digest(body.as_bytes()));
    let _ = end;
    let text = format!(
        "{}\n{body}{{\"end\":true,\"entries\":{},\"sha256\":\"{digest}\",\"more\":1}}\n",
        lines[0],
        lines.len() - 1
    );
    assert_eq!(read(text.as_bytes()).expect("readable"), read(SAMPLE).expect("readable"));
    let newer = text.replacen(r#""glacierfs_snapshot":1"#, r#""glacierfs_snapshot":2"#, 1);
    let error = read(newer.as_bytes()).expect_err("refused").to_string();
    assert!(error.contains("version 2"), "{error}");
}

/// Promise: no part of a snapshot is taken for the whole, wherever it is cut, and no changed byte goes unnoticed.
#[test]
fn nothing_torn_or_changed_is_believed() {
    for length in 0..SAMPLE.len() {
        assert!(read(&SAMPLE[..length]).is_err(), "cut at {length}");
    }
    let body = SAMPLE.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for at in body..SAMPLE.len() - 1 {
        let mut text = SAMPLE.to_vec();
        text[at] ^= 1;
        // In the last line, what isn't looked at: nothing but the word for its end.
        assert!(read(&text).is_err(), "changed at {at}");
    }
    assert!(read(&[SAMPLE, b"\n"].concat()).is_err(), "something follows");
}

/// Promise: what can't be a tree is refused before anything is made of it: cycles, parents that aren't there, names that lead
/// elsewhere, directories with two names, sizes that don't fit.
#[test]
fn impossible_trees() {
    let dir = |ino, parent, name: &str| Node {
        ino,
        mode: 0o40755,
        names: vec![(parent, name.as_bytes().to_vec())],
        ..Node::default()
    };
    let file = |ino, parent, name: &[u8]| Node {
        ino,
        mode: 0o100644,
        names: vec![(parent, name.to_vec())],
        ..Node::default()
    };
    let trash = |path: &str, lost: &[&str]| NodeTrash {
        path: path.as_bytes().to_vec(),
        deleted: 1,
        due: 2,
        lost: lost.iter().map(|path| path.as_bytes().to_vec()).collect(),
    };
    let trashed =
        |path: &str, lost: &[&str]| Node { names: Vec::new(), trash: Some(trash(path, lost)), ..dir(3, 2, "") };
    let plan = |nodes: Vec<Node>| Plan::read(2, nodes.into_iter().map(Ok));
    plan(vec![trashed("a/b", &["c", "d/e"]), Node { ino: 4, ..trashed("", &[]) }]).expect("a tree");
    let good = plan(vec![dir(3, 9, "b"), file(4, 3, b"f"), dir(9, 2, "a")]).expect("a tree");
    assert_eq!(good.directories.iter().map(|(depth, node)| (*depth, node.ino)).collect::<Vec<_>>(), [(1, 9), (2, 3)]);
    let long = vec![b'x'; 256];
    let bad = vec![
        vec![dir(3, 4, "a"), dir(4, 3, "b")],
        vec![dir(3, 3, "a")],
        vec![dir(3, 7, "a")],
        vec![file(3, 7, b"a")],
        vec![file(3, 4, b"a"), file(4, 2, b"b")],
        vec![Node { names: vec![(2, b"a".to_vec()), (2, b"b".to_vec())], ..dir(3, 2, "a") }],
        vec![Node { names: Vec::new(), ..file(3, 2, b"a") }],
        vec![Node { mode: 0o200644, ..file(3, 2, b"a") }],
        vec![Node { mode: 0o120777, ..file(3, 2, b"a") }],
        vec![Node { size: 7, ..file(3, 2, b"a") }],
        vec![Node { mode: 0o300644, ..file(3, 2, b"a") }],
        vec![file(3, 2, b"")],
        vec![file(3, 2, b"..")],
        vec![file(3, 2, b"a/b")],
        vec![file(3, 2, b"a\0b")],
        vec![file(3, 2, &long)],
        vec![file(1, 2, b"a")],
        vec![file(2, 2, b"a")],
        vec![Node { trash: Some(trash("a", &[])), ..file(3, 2, b"a") }],
        vec![trashed("a//b", &[])],
        vec![trashed("../a", &[])],
        vec![trashed("/a", &[])],
        vec![trashed("a", &["b/.."])],
        vec![trashed("a", &[]), file(4, 3, b"a")],
    ];
    for nodes in bad {
        assert!(plan(nodes.clone()).is_err(), "{nodes:?}");
    }
}

/// Promise: a full snapshot and its delta together are the tree as it was when the delta was taken, whatever was done in
/// between; and brought into an empty catalog, they are the same tree and trash again, also when that is done twice. Nothing
/// goes from the trash earlier for it.
#[test]
fn full_and_delta_are_the_tree() {
    proptest!(ProptestConfig::with_cases(40), |(before in steps(), after in steps())| {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let (catalog, root) = catalog(tmp.path());
        let mut made = 0;
        run(&catalog, &root, &before, &mut made);
        let base = full(&catalog, &root);
        prop_assert_eq!(read(&delta(&catalog, &root, &base)).expect("a delta").len(), 0);
        run(&catalog, &root, &after, &mut made);
        let change = delta(&catalog, &root, &base);
        let now = nodes(&full(&catalog, &root));
        let merged: Vec<Node> = Merged::new(
            Reader::new(&base[..]).expect("full"), Some(Reader::new(&change[..]).expect("delta")),
        ).collect::<Result<_, _>>().expect("merged");
        prop_assert_eq!(&merged, &now);

        let other = tempfile::tempdir().expect("temporary directory");
        let (again, root) = super::tests::catalog(other.path());
        let plan = Plan::read(root.ino, merged.iter().cloned().map(Ok)).expect("a tree");
        for _ in 0..2 {
            again.graft_root(root.ino, plan.root.as_ref().expect("its root")).expect("the vault");
            for (_, node) in &plan.directories {
                again.graft(root.vault.expect("a vault"), std::slice::from_ref(node)).expect("a directory");
            }
            let is_rest = |node: &&Node| node.trash.is_some() || InodeKind::of(node.mode) != Some(InodeKind::Directory);
            let rest: Vec<Node> = merged.iter().filter(is_rest).cloned().collect();
            again.graft(root.vault.expect("a vault"), &rest).expect("files");
        }
        let mut came_back = nodes(&full(&again, &root));
        for (node, was) in came_back.iter_mut().zip(&now) {
            if let (Some(trash), Some(was)) = (&mut node.trash, &was.trash) {
                prop_assert!(trash.due >= was.due);
                trash.due = was.due;
            }
        }
        prop_assert_eq!(came_back, now);
        let found = Catalog::check(&other.path().join("catalog.db")).expect("checked");
        prop_assert!(found.iter().all(|line| line.contains("wasn't given out") || line.contains("position")), "{:?}", found);
    });
}

fn nodes(full: &[u8]) -> Vec<Node> {
    Merged::new(Reader::new(full).expect("full"), None).collect::<Result<_, _>>().expect("whole")
}

/// What a step does, and to which entry and directory.
fn steps() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    prop::collection::vec((0u8..7, 0usize..1000, 0usize..1000), 0..40)
}

fn run(catalog: &Catalog, root: &Inode, steps: &[(u8, usize, usize)], made: &mut usize) {
    for (what, which, whither) in steps {
        let now = nodes(&full(catalog, root));
        let dirs: Vec<u64> = now
            .iter()
            .filter(|node| node.trash.is_none() && InodeKind::of(node.mode) == Some(InodeKind::Directory))
            .map(|node| node.ino)
            .collect();
        let parent = dirs[whither % dirs.len()];
        let all: Vec<(u64, (u64, Vec<u8>))> =
            now.iter().flat_map(|node| node.names.iter().map(move |name| (node.ino, name.clone()))).collect();
        let one = all.get(which % all.len().max(1));
        *made += 1;
        let name = format!("n{made}").into_bytes();
        // What is younger than a minute doesn't go to the trash.
        let time = *made as i64 * 60_000_000_000;
        // Not all of them can be done, and that is fine.
        match (what, one) {
            (0, _) => drop(catalog.create(parent, &name, new(InodeKind::Directory), time)),
            (1, _) => drop(catalog.create(parent, &name, new(InodeKind::File), time)),
            (2, _) => {
                let link = NewInode { target: Some(b"there"), ..new(InodeKind::Symlink) };
                drop(catalog.create(parent, &name, link, time));
            }
            (3, Some((ino, _))) => drop(catalog.link(*ino, parent, &name, time)),
            (4, Some((_, (from, old)))) => {
                drop(catalog.rename((*from, old), (parent, &name), RenameMode::Replace, time))
            }
            (5, Some((ino, (from, old)))) => {
                let unlinked = catalog.unlink(*from, old, time).or_else(|_| catalog.rmdir(*from, old, time));
                drop(unlinked.and_then(|_| catalog.drop_orphan(*ino, time)));
            }
            (6, Some((ino, _))) => {
                drop(catalog.set_xattr(*ino, &name, b"value", crate::catalog::XattrMode::Set, time));
            }
            _ => {}
        }
    }
}

/// Promise: a snapshot that is taken while files are being written, new ones and archived ones, can be read, with a delta and without.
#[test]
fn while_files_are_written() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let (catalog, root) = catalog(tmp.path());
    catalog.create(root.ino, b"new", NewInode { content: Some(7), ..new(InodeKind::File) }, 1).expect("made");
    let base = full(&catalog, &root);
    assert_eq!(nodes(&base).len(), 2);
    catalog.create(root.ino, b"newer", NewInode { content: Some(8), ..new(InodeKind::File) }, 2).expect("made");
    let change = delta(&catalog, &root, &base);
    let merged = Merged::new(Reader::new(&base[..]).expect("full"), Some(Reader::new(&change[..]).expect("delta")));
    let merged: Vec<Node> = merged.collect::<Result<_, _>>().expect("merged");
    assert_eq!(merged.len(), 3);
    Plan::read(root.ino, merged.into_iter().map(Ok)).expect("a tree");
}

/// Promise: a snapshot is taken when nothing has changed for a while and nothing waits, four delays after the last one at the
/// earliest; and 96 after it at the latest, if something has changed; and never for nothing.
#[test]
fn when_it_is_time() {
    let second = Duration::from_secs(1);
    let start = tokio::time::Instant::now();
    let at = |n: u32| start + second * n;
    let mut watch = Watch::new(10 * second, start);
    assert!(!watch.is_time(0, 0, at(1)) && !watch.is_time(0, 0, at(9)));
    assert!(!watch.is_time(0, 3, at(12)), "something waits");
    assert!(watch.is_time(0, 0, at(12)));
    watch.taken(0, at(12));
    assert!(!watch.is_time(0, 0, at(5000)), "nothing has changed");
    watch.taken(0, at(5000));
    assert!(!watch.is_time(1, 0, at(5010)) && !watch.is_time(1, 0, at(5030)), "too soon");
    assert!(watch.is_time(1, 0, at(5041)));
    watch.taken(1, at(5041));
    for (n, second) in (5042..5041 + 960).enumerate() {
        assert!(!watch.is_time(n as u64, 5, at(second)), "it never rests");
    }
    assert!(watch.is_time(9, 5, at(5041 + 961)));
}

struct House {
    snapshots: Arc<Snapshots>,
    catalog: Arc<Catalog>,
    root: Inode,
    clock: Clock,
    tmp: tempfile::TempDir,
}

fn house() -> House {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let (catalog, root) = catalog(tmp.path());
    let catalog = Arc::new(catalog);
    let store = Arc::new(Store::open(&tmp.path().join("store")).expect("a store"));
    let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 30).expect("a cache"));
    let sealed = Arc::new(Notify::new());
    let settings = fs::Settings {
        upload_delay: Duration::ZERO,
        spool_reserve: 0,
        may_make_room: Arc::new(|| false),
        control: tmp.path().join("socket"),
    };
    let fs = Fs::new(catalog.clone(), store.clone(), cache.clone(), sealed.clone(), settings).expect("a file system");
    let settings = recall::Settings::default();
    let recall = Recall::new(catalog.clone(), store.clone(), cache, Arc::new(Fake::default()), settings);
    let clock = Clock::virtual_at("2026-11-21T20:15:00Z".parse().expect("a time"));
    let settings = Settings::new(tmp.path(), None, clock.clone());
    let snapshots = Snapshots::new(catalog.clone(), store, Arc::new(fs), Arc::new(recall), sealed, settings);
    House { snapshots: Arc::new(snapshots), catalog, root, clock, tmp }
}

impl House {
    fn make(&self, what: &str) {
        self.catalog.create(self.root.ino, what.as_bytes(), new(InodeKind::File), 1).expect("made");
    }

    /// What was taken, archived at once.
    fn take(&self, full: bool) -> Option<String> {
        let taken = self.snapshots.take("v", full).expect("taken")?;
        let vault = self.root.vault.expect("a vault's");
        let there = self.catalog.snapshots(vault).expect("snapshots");
        let one = there.iter().find(|one| name(one) == taken.name).expect("it is there");
        let archive = crate::catalog::Archive {
            row: 0,
            vault,
            archive_id: taken.name.clone(),
            size: taken.size,
            tree_hash: [0; 32],
            created: 0,
        };
        self.catalog.archived(one.content.id, 0, &archive, None, 0).expect("archived");
        Some(taken.name)
    }

    fn names(&self) -> Vec<String> {
        self.catalog.snapshots(self.root.vault.expect("a vault's")).expect("snapshots").iter().map(name).collect()
    }
}

/// Promise: nothing is written of an empty vault, nor when nothing has changed; small changes make a delta, large ones a full
/// one; names tell the time and are never used twice; a full one follows when the last one isn't here any more.
#[tokio::test]
async fn full_or_delta_or_nothing() {
    let house = house();
    assert_eq!(house.take(false), None);
    (0..500).for_each(|n| house.make(&format!("file {n}")));
    assert_eq!(house.take(false).as_deref(), Some("20261121T201500Z-full.jsonl.zst"));
    assert_eq!(house.take(false), None);
    house.make("another");
    assert_eq!(house.take(false).as_deref(), Some("20261121T201501Z-delta.jsonl.zst"));
    assert_eq!(house.take(false), None);
    house.clock.advance(Duration::from_secs(3600));
    house.catalog.unlink(house.root.ino, b"another", 1).expect("gone");
    assert_eq!(house.take(false).as_deref(), Some("20261121T211500Z-delta.jsonl.zst"), "also when it says less");
    (0..500).for_each(|n| house.make(&format!("more {n}")));
    assert_eq!(house.take(false).as_deref(), Some("20261121T211501Z-full.jsonl.zst"));
    std::fs::remove_dir_all(house.tmp.path().join("snapshots")).expect("what is kept here");
    house.make("one more");
    assert_eq!(house.take(false).as_deref(), Some("20261121T211502Z-full.jsonl.zst"));
    for file in std::fs::read_dir(house.tmp.path().join("snapshots")).expect("kept here") {
        let file = file.expect("an entry").path();
        std::fs::write(&file, "rotten").expect("damaged");
    }
    house.make("and one more");
    assert_eq!(house.take(false).as_deref(), Some("20261121T211503Z-full.jsonl.zst"));
    assert!(matches!(house.snapshots.take("none", false), Err(Error::Missing(_))));
}

/// Promise: snapshots that are superseded go when they are 90 days old, not before; the newest full one and the newest delta
/// never.
#[tokio::test]
async fn old_ones_go() {
    let house = house();
    (0..500).for_each(|n| house.make(&format!("file {n}")));
    let mut taken = Vec::new();
    for n in 0..4 {
        house.make(&format!("change {n}"));
        taken.push(house.take(n == 2).expect("taken"));
        house.clock.advance(Duration::from_secs(24 * 3600));
    }
    assert_eq!(house.names(), taken);
    house.clock.advance(Duration::from_secs(85 * 24 * 3600));
    assert_eq!(house.take(false), None);
    assert_eq!(house.names(), taken, "not yet 90 days");
    house.clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(house.take(false), None);
    assert_eq!(house.names(), taken[2..], "of those before the newest full one two are old enough");
    house.clock.advance(Duration::from_secs(1000 * 24 * 3600));
    assert_eq!(house.take(false), None);
    assert_eq!(house.names(), taken[2..]);
}

proptest! {
    /// Promise: no bytes make the reader panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzzing::snapshot(&bytes);
        let _ = Reader::new(BufReader::new(zstd::stream::read::Decoder::new(&bytes[..]).expect("a decoder"))).map(Iterator::count);
    }

    /// Promise: nor do lines that are nearly right.
    #[test]
    fn any_values(at in 0usize..SAMPLE.len(), bytes in "[0-9\\[\\]{}\",:a-z.-]{0,12}") {
        let mut text = SAMPLE.to_vec();
        text.splice(at..at, bytes.bytes());
        let nodes: Result<Vec<Line>, _> = read(&text);
        prop_assert!(nodes.is_err() || at <= SAMPLE.iter().position(|byte| *byte == b'\n').unwrap_or(0) || bytes.is_empty());
        fuzzing::snapshot(&text);
    }
}

/// Promise: entries by name in the tree are those of the catalog, in the order of their numbers, and glacierfs's own aren't
/// among them.
#[test]
fn a_tree_is_all_of_it() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let (catalog, root) = catalog(tmp.path());
    let mut expected = BTreeMap::new();
    for n in 0..2500 {
        let made = catalog.create(root.ino, format!("{n}").as_bytes(), new(InodeKind::File), 1).expect("made");
        catalog
            .set_xattr(made.ino, b"user.n", format!("{n}").as_bytes(), crate::catalog::XattrMode::Set, 1)
            .expect("set");
        expected.insert(made.ino, n);
    }
    catalog.add_snapshot(root.vault.expect("a vault's"), b"s", 5, 7, 1).expect("added");
    let found: Vec<Node> = tree(&catalog, &root).collect::<Result<_, _>>().expect("read");
    assert_eq!(found.len(), 2501);
    assert!(found.is_sorted_by_key(|node| node.ino) && found[0].ino == root.ino && found[0].names.is_empty());
    for node in &found[1..] {
        let n = expected[&node.ino].to_string().into_bytes();
        assert_eq!(node.names, [(root.ino, n.clone())]);
        assert_eq!(node.xattrs, [(b"user.n".to_vec(), n)]);
    }
}

/// Promise: a snapshot carries the rules that are set in a vault, its own directory included, and they hold again in a catalog that is
/// made of it.
#[test]
fn rules_come_back() {
    use crate::catalog::Rule;
    let (before, after) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (old, old_root) = catalog(before.path());
    let dir = old.create(old_root.ino, b"d", new(InodeKind::Directory), 1).expect("made").ino;
    old.create(dir, b"f", new(InodeKind::File), 1).expect("made");
    for (ino, rule, value) in
        [(old_root.ino, Rule::Tier, "bulk"), (dir, Rule::Pin, "true"), (dir, Rule::Recall, "deny")]
    {
        let name = rule.name().as_bytes();
        old.set_xattr(ino, name, value.as_bytes(), crate::catalog::XattrMode::Set, 1).expect("set");
    }
    let (restored, root) = catalog(after.path());
    // The vault's own directory, the one in it, and the file: parents come first here.
    let nodes = nodes(&full(&old, &old_root));
    assert!(restored.graft_root(root.ino, &nodes[0]).expect("the vault's own"));
    restored.graft(root.vault.expect("a vault's"), &nodes[1..]).expect("the rest");
    let dir = restored.lookup(root.ino, b"d").expect("lookup").expect("the directory").ino;
    let file = restored.lookup(dir, b"f").expect("lookup").expect("the file").ino;
    let rules = restored.rules(file).expect("rules");
    assert_eq!(Rule::ALL.map(|rule| rules.get(rule).unwrap_or_default()), ["true", "deny", "bulk"]);
}

/// Memory that this process has in use, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

/// Time that this process has spent on processors.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("usage");
    let time = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
    time(usage.user_time()) + time(usage.system_time())
}

/// Promise: of a million files a full snapshot, a delta, and a restored tree take minutes at most and memory by the directory, not by
/// the file. Prints the figures.
#[tokio::test]
#[ignore = "takes minutes"]
async fn a_million() {
    let house = house();
    let vault = house.root.vault.expect("a vault's");
    // As many as a small machine has the time for, if it isn't a million.
    let files = std::env::var("FILES").map_or(1_000_000, |files| files.parse().expect("a number"));
    // IDs and hashes can't be compressed.
    let known = |n: u64| crate::catalog::KnownArchive {
        archive_id: base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE, rand::random::<[u8; 102]>()),
        size: 1 + n,
        tree_hash: rand::random(),
        created: 1_795_000_000_000_000_000 + n as i64 * 1_234_567,
        content: Some((1 << 60) + n as i64),
        path: Some(vec![format!("directory {}", n / 1000).into_bytes(), format!("IMG_{n}.jpg").into_bytes()]),
        is_folder: false,
        mode: Some(0o644),
        owner: Some((1000, 1000)),
        mtime: Some(1_700_000_000_000_000_000 + n as i64 * 7_654_321_987),
    };
    for batch in (0..files).collect::<Vec<u64>>().chunks(500) {
        house.catalog.adopt(vault, &batch.iter().map(|n| known(*n)).collect::<Vec<_>>(), 1).expect("adopted");
        house.catalog.checkpoint().expect("checkpoint");
    }
    let before = resident();
    let timed = |what: &str, work: &mut dyn FnMut() -> String| {
        let (start, spent) = (std::time::Instant::now(), cpu());
        let said = work();
        let (elapsed, spent) = (start.elapsed().as_secs_f64(), (cpu() - spent).as_secs_f64());
        println!(
            "{what}: {elapsed:.1} s, {spent:.1} s of a processor, {said}, {} MiB more memory",
            resident().saturating_sub(before)
        );
    };
    let taken = |full| {
        let taken = house.snapshots.take("v", full).expect("taken");
        taken.map_or("nothing".to_owned(), |taken| {
            format!("{:?} of {} entries, {} bytes", taken.kind, taken.entries, taken.size)
        })
    };
    timed("full", &mut || taken(false));
    timed("nothing new", &mut || taken(false));
    for n in 0..1000 {
        house.make(&format!("new {n}"));
    }
    timed("delta", &mut || taken(false));
    let export = house.tmp.path().join("export");
    timed("export", &mut || {
        let to = std::io::BufWriter::new(std::fs::File::create(&export).expect("a file"));
        export_to(&house, to).to_string()
    });
    if let Some(keep) = std::env::var_os("KEEP_EXPORT") {
        std::fs::copy(&export, keep).expect("kept");
    }
    timed("check", &mut || {
        format!("{:?}", Catalog::check(&house.tmp.path().join("catalog.db")).expect("checked").len())
    });
    let other = self::house();
    let reader =
        || Merged::new(Reader::new(BufReader::new(std::fs::File::open(&export).expect("a file"))).expect("full"), None);
    timed("read and check", &mut || Plan::read(house.root.ino, reader()).expect("a tree").entries.to_string());
    timed("graft", &mut || {
        let plan = Plan::read(house.root.ino, reader()).expect("a tree");
        let vault = other.root.vault.expect("a vault's");
        for (_, node) in plan.directories {
            other.catalog.graft(vault, &[node]).expect("a directory");
        }
        let mut batch = Vec::new();
        for node in reader() {
            batch.push(node.expect("a node"));
            if batch.len() == 500 {
                other.catalog.graft(vault, &std::mem::take(&mut batch)).expect("files");
                other.catalog.checkpoint().expect("checkpoint");
            }
        }
        batch.len().to_string()
    });
    assert!(resident() - before < 512, "memory");
}

fn export_to(house: &House, to: impl std::io::Write) -> u64 {
    export("v", tree(&house.catalog, &house.root), Timestamp::UNIX_EPOCH, to).expect("written").1
}
