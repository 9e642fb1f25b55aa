//! The power goes: whatever moment it is, and whatever the disk has of what wasn't synced.
//!
//! Images of the disk are made with the least that it must have, with all that was written, and with any part of what wasn't
//! synced, by sectors and names. In each the catalog has to open and be sound, and every file must be one that it may be: as it
//! was at its last fsync that had returned, or as some later change that was begun left it.

use std::fs;
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
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Notify;

use super::image::Left;
use super::image::Replay;
use super::number;
use super::recorder::Recorder;
use super::support::Place;
use super::work::Found;
use super::work::Histories;
use super::work::Work;

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
        let known = catalog.files().expect("a list");
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
        match self.catalog.vault("v").expect("a vault") {
            Some(vault) => histories.check(moment, |path| self.find(vault.root, path)),
            None => {
                assert!(!histories.any(moment), "the vault is gone");
                0
            }
        }
    }
}

fn fs_read(fs: &Fs, ino: Ino) -> Option<Vec<u8>> {
    let size = fs.getattr(ino).ok()?.size;
    let opened = fs.open(ino, false).ok()?;
    let bytes = fs.read(opened.handle, 0, size as usize).ok();
    fs.release(opened.handle).ok()?;
    bytes
}

/// Promise: a power cut at any moment loses nothing that was synced, neither bytes nor sizes nor names, and what is local of an
/// archived file is what the vault has; the catalog opens after each.
#[test]
fn whatever_was_synced_is_there() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let (steps, cuts) = (number("GLACIERFS_POWER_STEPS", 80), number("GLACIERFS_POWER_CUTS", 150));
    println!("GLACIERFS_POWER_SEED={seed}, {steps} steps, {cuts} cuts");
    let place = Arc::new(Place::new());
    let recorder = Recorder::default();
    fs::create_dir(place.path("state")).expect("a directory");
    let disk = recorder.mount(&place.path("state"));
    // Uploads begin at once, so that there are cuts at every moment of them.
    let done = place.mount(&["--upload-delay", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let clock = recorder.clone();
    let mut work = Work {
        place: place.clone(),
        directory: "mnt/v".into(),
        now: Box::new(move || clock.now()),
        acknowledged_stays: false,
        random: StdRng::seed_from_u64(seed),
        histories: Histories::default(),
        steps: 0,
        acknowledged: 0,
    };
    for n in 0..steps {
        work.step().unwrap_or_else(|error| panic!("step {n}: {error}\n{}", place.log()));
    }
    let Work { mut random, histories, .. } = work;
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
