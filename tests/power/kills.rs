//! The daemon is killed, again and again, in the middle of everything.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::number;
use super::support::Place;
use super::support::until;
use super::work::Found;
use super::work::Histories;
use super::work::Work;

/// How many make changes at the same time.
const WORKERS: u64 = 3;

fn start(place: &Place) {
    let done = place.mount(&["--upload-delay", "100ms", "--retrieval-delay", "all=20ms"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

fn found(work: &Work, name: &str) -> Found {
    match fs::read(work.at(name)) {
        Ok(bytes) => Found::Local(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Absent,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Promise: whatever a program was told is done survives a kill of the daemon at any moment, under a mixed load of writes, appends,
/// replacements, removals, archiving, evictions and recalls; and in the end every file comes back from its vault through an empty
/// cache.
#[test]
fn whatever_was_acknowledged_is_there() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let kills = number("GLACIERFS_POWER_KILLS", 6);
    println!("GLACIERFS_POWER_SEED={seed}, {kills} kills");
    let mut random = StdRng::seed_from_u64(seed);
    let place = Arc::new(Place::new());
    start(&place);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let mut works: Vec<Work> = (0..WORKERS)
        .map(|n| {
            let directory = format!("mnt/v/w{n}");
            fs::create_dir(place.path(&directory)).expect("a directory");
            Work {
                place: place.clone(),
                directory,
                now: Box::new(|| 0),
                acknowledged_stays: true,
                random: StdRng::seed_from_u64(seed + n),
                histories: Histories::default(),
                steps: 0,
            }
        })
        .collect();
    let (mut interrupted, mut checked) = (0, 0);
    for kill in 0..kills {
        let pause = Duration::from_millis(random.random_range(1..600));
        std::thread::scope(|threads| {
            let working: Vec<_> = works
                .iter_mut()
                .map(|work| {
                    threads.spawn(|| {
                        loop {
                            if let Err(error) = work.step() {
                                return error;
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(pause);
            place.kill();
            for worker in working {
                let error = worker.join().expect("changes that end with an error");
                // What a dead mount says; or that nobody answered what was asked.
                let dead = [libc::ENOTCONN, libc::ECONNABORTED, libc::EIO];
                assert!(error.raw_os_error().is_some_and(|code| dead.contains(&code)), "{error}\n{}", place.log());
                interrupted += 1;
            }
        });
        start(&place);
        for work in &mut works {
            let mut histories = std::mem::take(&mut work.histories);
            checked += histories.check(0, |name| found(work, name));
            histories.settle(|name| found(work, name));
            work.histories = histories;
        }
        println!("kill {kill} after {pause:?}: all there");
    }
    assert_eq!(interrupted, WORKERS * kills, "each kill met everybody at work");
    place.ok(&["flush", "--timeout", "2min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    until("an empty cache", || place.status()["cache"]["bytes"] == 0);
    let back: usize = works.iter().map(|work| work.histories.check(0, |name| found(work, name))).sum();
    println!("{kills} kills, {checked} files looked at, {back} read back from the vault at the end: all there");
    place.ok(&["umount", "--timeout", "30s", &place.text("mnt")]);
}
