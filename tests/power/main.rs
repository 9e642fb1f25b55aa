//! The power goes: whatever moment it is, and whatever the disk has of what wasn't synced, everything that was synced is there.
//!
//! The state directory of a real mount is on a disk that records each write and sync (`recorder`). Afterwards its images at many
//! moments are made (`image`): with the least that the disk must have, with all that was written, and with any part of what
//! wasn't synced, by sectors and names. In each the catalog has to open and be sound, and every file must be one that it may be: as
//! it was at its last fsync that had returned, or as some later change that was begun left it.
//!
//! GLACIERFS_POWER_SEED=N makes the same changes again (their timing differs), GLACIERFS_POWER_STEPS=N so many of them, and
//! GLACIERFS_POWER_CUTS=N cuts at so many moments. Needs /dev/fuse.

mod image;
mod recorder;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use glacierfs::cache::Cache;
use glacierfs::catalog::Catalog;
use glacierfs::catalog::Ino;
use glacierfs::catalog::State;
use glacierfs::fs::Fs;
use glacierfs::fs::Settings;
use glacierfs::glacier::treehash;
use glacierfs::store::Store;
use image::Left;
use image::Replay;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use recorder::Recorder;
use support::Place;
use tokio::sync::Notify;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// What a file was from some moment on. Moments are counts of events.
#[derive(Clone, Debug)]
struct Version {
    /// When the change to it was begun.
    begun: usize,
    /// When it was known to be on the disk.
    synced: Option<usize>,
    /// What the file has, if it is there.
    bytes: Option<Vec<u8>>,
    how: How,
}

/// How a file became what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As a whole: it is there, or what was before.
    Whole,
    /// Something was added, of which any part may be there.
    Added,
    /// Its name was changed: without that, what was added later under the other name may be there under this one.
    Moved,
}

/// All that every file ever was.
type Histories = BTreeMap<String, Vec<Version>>;

/// A mount, what is done in it, and what should come of that.
struct Work {
    place: Place,
    recorder: Recorder,
    random: StdRng,
    histories: Histories,
}

impl Work {
    fn bytes(&mut self) -> Vec<u8> {
        let size = match self.random.random_range(0..10) {
            0 => 1,
            1..7 => self.random.random_range(1..10_000),
            _ => self.random.random_range(10_000..200_000),
        };
        (0..size).map(|_| self.random.random()).collect()
    }

    /// A file that is there, if any is.
    fn any(&mut self) -> Option<String> {
        let there = |versions: &Vec<Version>| versions.last().is_some_and(|version| version.bytes.is_some());
        let names: Vec<&String> = self.histories.iter().filter(|(_, all)| there(all)).map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names[self.random.random_range(0..names.len())].clone())
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.place.path("mnt/v").join(name)
    }

    fn note(&mut self, name: &str, begun: usize, bytes: Option<Vec<u8>>, how: How) {
        self.histories.entry(name.to_owned()).or_default().push(Version { begun, synced: None, bytes, how });
    }

    fn synced(&mut self, name: &str) {
        let now = self.recorder.now();
        if let Some(version) = self.histories.get_mut(name).and_then(|versions| versions.last_mut()) {
            version.synced.get_or_insert(now);
        }
    }

    /// Writes a new file, and syncs it or not.
    fn create(&mut self, name: &str, sync: bool) {
        let (begun, bytes) = (self.recorder.now(), self.bytes());
        let mut file = File::create_new(self.at(name)).expect("a new file");
        file.write_all(&bytes).expect("a write");
        self.note(name, begun, Some(bytes), How::Whole);
        if sync {
            file.sync_all().expect("a sync");
            self.synced(name);
        }
    }

    fn sync_directory(&mut self, name: &str) {
        let path = self.at(name);
        File::open(path.parent().expect("a directory")).expect("a directory").sync_all().expect("a sync");
        self.synced(name);
    }

    fn step(&mut self, n: u64) {
        let sync = self.random.random_bool(0.7);
        let name = self.any();
        match (self.random.random_range(0..20), name) {
            (0..6, _) | (_, None) => self.create(&format!("file{n}"), sync),
            (6..8, _) => {
                let directory = format!("d{n}/deep");
                fs::create_dir_all(self.at(&directory)).expect("directories");
                self.create(&format!("{directory}/file"), sync);
            }
            (8..12, Some(name)) => {
                let (begun, more) = (self.recorder.now(), self.bytes());
                let mut file = File::options().append(true).open(self.at(&name)).expect("a file");
                file.write_all(&more).expect("a write");
                let before = self.histories[&name].last().and_then(|version| version.bytes.clone()).unwrap_or_default();
                self.note(&name, begun, Some([before, more].concat()), How::Added);
                if sync {
                    file.sync_all().expect("a sync");
                    self.synced(&name);
                }
            }
            (12..15, Some(name)) => {
                // As careful programs replace a file.
                let new = format!("{name}.new");
                self.create(&new, true);
                let bytes = self.histories[&new].last().and_then(|version| version.bytes.clone());
                let begun = self.recorder.now();
                fs::rename(self.at(&new), self.at(&name)).expect("a rename");
                self.note(&new, begun, None, How::Moved);
                self.note(&name, begun, bytes, How::Whole);
                if sync {
                    self.sync_directory(&name);
                    self.synced(&new);
                }
            }
            (15..17, Some(name)) => {
                let begun = self.recorder.now();
                fs::remove_file(self.at(&name)).expect("a removal");
                self.note(&name, begun, None, How::Whole);
                if sync {
                    self.sync_directory(&name);
                }
            }
            (17, _) => {
                self.place.ok(&["flush", "--timeout", "1min", &self.place.text("mnt")]);
            }
            (18, _) => {
                // What isn't archived yet stays, and it says so.
                self.place.run(&["evict", &self.place.text("mnt/v")]);
            }
            (_, Some(name)) => {
                let expected = self.histories[&name].last().and_then(|version| version.bytes.clone());
                assert!(fs::read(self.at(&name)).ok() == expected, "{name}");
            }
        }
    }
}

/// What an image has of a file.
enum Found {
    Absent,
    Local(Vec<u8>),
    /// In the vault alone.
    Archived([u8; 32]),
}

impl Found {
    fn is(&self, bytes: Option<&Vec<u8>>) -> bool {
        match (self, bytes) {
            (Found::Absent, None) => true,
            (Found::Local(found), Some(bytes)) => found == bytes,
            (Found::Archived(hash), Some(bytes)) => *hash == treehash::tree_hash(bytes).0,
            _ => false,
        }
    }

    /// Whether it begins with `before` and has at most `length` bytes.
    fn begins(&self, before: &[u8], length: usize) -> bool {
        matches!(self, Found::Local(found) if found.starts_with(before) && found.len() <= length)
    }
}

/// A state directory after a cut, as the next daemon finds it.
struct Image {
    catalog: Arc<Catalog>,
    fs: Fs,
}

impl Image {
    fn open(state: &Path) -> Image {
        let catalog = Arc::new(Catalog::open(&state.join("catalog.db"), Duration::ZERO).expect("the catalog opens"));
        let store = Arc::new(Store::open(&state.join("store")).expect("the store opens"));
        let cache = Arc::new(Cache::new(catalog.clone(), store.clone(), 1 << 40).expect("the cache opens"));
        let settings = Settings {
            upload_delay: Duration::from_secs(3600),
            spool_reserve: 0,
            may_make_room: Arc::new(|| false),
            control: state.join("control.sock"),
        };
        let fs = Fs::new(catalog.clone(), store.clone(), cache.clone(), Arc::new(Notify::new()), settings)
            .expect("the file system opens");
        fs.recover().expect("what was being written is settled");
        cache.recover(false).expect("what wasn't synced isn't trusted");
        cache.sweep().expect("what nobody needs goes");
        let known = catalog.files().expect("a list").into_iter().collect();
        store.sweep(&known).expect("what nobody knows is set aside");
        Image { catalog, fs }
    }

    fn find(&self, root: Ino, path: &str) -> Found {
        let mut ino = root;
        for name in path.split('/') {
            match self.catalog.lookup(ino, name.as_bytes()).expect("a lookup") {
                Some(found) => ino = found.ino,
                None => return Found::Absent,
            }
        }
        let inode = self.catalog.inode(ino).expect("a name's inode");
        let Some(id) = inode.content else { return Found::Local(Vec::new()) };
        let content = self.catalog.content(id).expect("an inode's content");
        let archive = content.archive.as_ref().filter(|_| content.state == State::Archived);
        if !content.is_local() {
            return Found::Archived(archive.expect("what isn't local is archived").tree_hash);
        }
        // One that was never synced may lack its bytes.
        let bytes = fs_read(&self.fs, ino).unwrap_or_default();
        if let Some(archive) = archive {
            assert_eq!(
                treehash::tree_hash(&bytes).0,
                archive.tree_hash,
                "{path}: what is local isn't what is in the vault ({} bytes)",
                bytes.len()
            );
        }
        Found::Local(bytes)
    }

    fn check(&self, histories: &Histories, moment: usize) -> usize {
        let begun = |version: &Version| version.begun <= moment;
        let is_synced = |version: &Version| version.synced.is_some_and(|at| at <= moment);
        let Some(vault) = self.catalog.vault("v").expect("a vault") else {
            let any = histories.values().flatten().any(is_synced);
            assert!(!any, "the vault is gone");
            return 0;
        };
        let mut checked = 0;
        for (path, versions) in histories {
            let found = self.find(vault.root, path);
            let Some(last) = versions.iter().rposition(is_synced) else { continue };
            let may_be = &versions[last..];
            let fits = may_be.iter().enumerate().take_while(|(_, version)| begun(version)).any(|(n, version)| {
                // What was there before anything was added that wasn't synced.
                let before = may_be[..n].iter().rev().find(|version| version.how != How::Added).or(may_be.first());
                let before = before.and_then(|version| version.bytes.as_deref()).unwrap_or_default();
                found.is(version.bytes.as_ref())
                    || match (version.how, &version.bytes) {
                        (How::Added, Some(all)) if n > 0 => found.begins(before, all.len()),
                        (How::Moved, None) if n > 0 => found.begins(before, usize::MAX),
                        _ => false,
                    }
            });
            let what = match &found {
                Found::Absent => "isn't there".to_owned(),
                Found::Local(bytes) => format!("has {} bytes", bytes.len()),
                Found::Archived(_) => "is archived as something else".to_owned(),
            };
            let expected: Vec<_> = may_be.iter().map(|one| one.bytes.as_ref().map(Vec::len)).collect();
            let whole: Vec<_> =
                versions.iter().map(|one| (one.begun, one.synced, one.bytes.as_ref().map(Vec::len))).collect();
            assert!(fits, "{path} {what}, and should have one of these sizes: {expected:?}; all: {whole:?}");
            checked += 1;
        }
        checked
    }
}

fn fs_read(fs: &Fs, ino: Ino) -> Option<Vec<u8>> {
    let size = fs.getattr(ino).ok()?.size;
    let opened = fs.open(ino, false).ok()?;
    let bytes = fs.read(opened.handle, 0, size as usize).ok();
    fs.release(opened.handle).ok()?;
    bytes
}

/// Promise: a power cut at any moment loses nothing that was synced, neither bytes nor sizes nor names, and takes no file away
/// that is in a vault; the catalog opens after each.
#[test]
fn whatever_was_synced_is_there() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let (steps, cuts) = (number("GLACIERFS_POWER_STEPS", 80), number("GLACIERFS_POWER_CUTS", 150));
    println!("GLACIERFS_POWER_SEED={seed}, {steps} steps, {cuts} cuts");
    let place = Place::new();
    let recorder = Recorder::default();
    fs::create_dir(place.path("state")).expect("a directory");
    let disk = recorder.mount(&place.path("state"));
    // Uploads begin at once, so that there are cuts at every moment of them.
    let done = place.mount(&["--upload-delay", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let random = StdRng::seed_from_u64(seed);
    let mut work = Work { place, recorder: recorder.clone(), random, histories: Histories::new() };
    for n in 0..steps {
        work.step(n);
    }
    let Work { place, mut random, histories, .. } = work;
    place.ok(&["umount", "--timeout", "30s", &place.text("mnt")]);
    let events = recorder.events();
    disk.umount_and_join().expect("the disk is unmounted");

    let mut moments: Vec<usize> = (0..cuts).map(|_| random.random_range(0..=events.len())).collect();
    moments.push(events.len());
    moments.sort_unstable();
    let shm = Path::new("/dev/shm");
    let images = tempfile::tempdir_in(if shm.exists() { shm } else { Path::new("/tmp") }).expect("a directory");
    let (mut replay, mut done, mut checked) = (Replay::default(), 0, 0);
    for moment in &moments {
        events[done..*moment].iter().for_each(|event| replay.event(event));
        done = *moment;
        for left in [Left::Least, Left::Most, Left::Some] {
            let state = images.path().join("state");
            replay.cut(left, &mut random, &state);
            println!("cut after {moment} of {} events, {left:?} of what wasn't synced", events.len());
            checked += Image::open(&state).check(&histories, *moment);
            fs::remove_dir_all(&state).expect("a directory");
        }
    }
    println!("{} events, {} images, {checked} synced files looked at: all there", events.len(), 3 * moments.len());
    assert!(checked > 0);
}
