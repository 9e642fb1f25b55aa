//! The power goes while a file is brought back piece by piece: what counts as local of it is right, a MiB at a time.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use glacierfs::cache::Cache;
use glacierfs::catalog::Catalog;
use glacierfs::catalog::Content;
use glacierfs::store::Store;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::image::Left;
use super::image::Replay;
use super::number;
use super::recorder::Recorder;
use super::support::Place;

const MIB: u64 = 1 << 20;
/// Of the file. Its last MiB isn't whole.
const SIZE: u64 = 8 * MIB + 12_345;

/// Bytes of which no two MiB are alike.
fn bytes() -> Vec<u8> {
    (0..SIZE).map(|at| ((at * 31) ^ (at >> 7) ^ (at >> 20)) as u8).collect()
}

/// Compares every MiB that counts as local with the file; how many there are.
fn check(state: &Path, data: &[u8]) -> u64 {
    let catalog =
        std::sync::Arc::new(Catalog::open(&state.join("catalog.db"), Duration::ZERO).expect("the catalog opens"));
    let store = std::sync::Arc::new(Store::open(&state.join("store")).expect("the store opens"));
    let cache = Cache::new(catalog.clone(), store.clone(), 1 << 40).expect("the cache opens");
    cache.recover(false).expect("what wasn't synced isn't trusted");
    let ids: Vec<_> = catalog.cached(None, 10).expect("what is cached").into_iter().map(|cached| cached.id).collect();
    let contents: Vec<Content> = catalog.contents(&ids).expect("contents");
    let mut checked = 0;
    // Its snapshots are cached too.
    for content in contents.into_iter().filter(|content| content.size == SIZE) {
        let file = store.read(content.file.expect("it is cached")).expect("its file is there");
        for first in (0..SIZE).step_by(MIB as usize) {
            let last = (first + MIB).min(SIZE) - 1;
            if content.has(first, last) {
                let mut found = vec![0; (last - first + 1) as usize];
                file.read_exact_at(&mut found, first).expect("bytes that count as local are there");
                assert!(found == data[first as usize..=last as usize], "bytes {first}-{last} are torn");
                checked += 1;
            }
        }
    }
    checked
}

/// Promise: after a power cut at any moment of recalls of parts of a file, and of evictions between them, each MiB of it that counts as
/// local is the one that was archived: a torn write is never served.
#[test]
fn no_torn_megabyte_counts_as_local() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let (steps, cuts) = (number("GLACIERFS_POWER_STEPS", 40), number("GLACIERFS_POWER_CUTS", 150));
    println!("GLACIERFS_POWER_SEED={seed}, {steps} steps, {cuts} cuts");
    let mut random = StdRng::seed_from_u64(seed);
    let place = Place::new();
    let recorder = Recorder::default();
    fs::create_dir(place.path("state")).expect("a directory");
    let disk = recorder.mount(&place.path("state"));
    let done = place.mount(&["--upload-delay", "0", "--recall-window", "1M"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let (path, data) = (place.path("mnt/v/file"), bytes());
    fs::write(&path, &data).expect("a file");
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt")]);
    for step in 0..steps {
        if random.random_bool(0.1) {
            place.ok(&["evict", &place.text("mnt")]);
        }
        let first = random.random_range(0..SIZE);
        let mut piece = vec![0; random.random_range(1..=(SIZE - first).min(2 * MIB)) as usize];
        let file = File::open(&path).expect("open");
        file.read_exact_at(&mut piece, first).unwrap_or_else(|error| panic!("step {step}: {error}\n{}", place.log()));
        assert!(piece == data[first as usize..][..piece.len()], "step {step}");
    }
    place.ok(&["umount", "--timeout", "30s", &place.text("mnt")]);
    let events = recorder.events();
    disk.umount_and_join().expect("the disk is unmounted");

    let mut moments: Vec<usize> = (0..cuts).map(|_| random.random_range(0..=events.len())).collect();
    moments.sort_unstable();
    let shm = Path::new("/dev/shm");
    let images = tempfile::tempdir_in(if shm.exists() { shm } else { Path::new("/tmp") }).expect("a directory");
    let (mut replay, mut done, mut checked) = (Replay::default(), 0, 0);
    for moment in moments {
        events[done..moment].iter().for_each(|event| replay.event(event));
        done = moment;
        for left in [Left::Least, Left::Most, Left::Some] {
            let state = images.path().join("state");
            replay.cut(left, &mut random, &state);
            println!("cut after {moment} of {} events, {left:?} of what wasn't synced", events.len());
            checked += check(&state, &data);
            fs::remove_dir_all(&state).expect("a directory");
        }
    }
    println!("{} events, {checked} MiB looked at", events.len());
    assert!(checked > 0);
}
