//! Several who work in a mount at the same time, until its daemon dies; and the look at all that they did.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use glacierfs::catalog::Catalog;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::support::Place;
use super::support::until;
use super::work::Found;
use super::work::Histories;
use super::work::Work;

/// How many make changes at the same time.
pub const WORKERS: u64 = 3;
/// How many files are read at a time.
const READERS: usize = 12;
/// How long a file may be refused because the service fails.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Crowd {
    pub works: Vec<Work>,
}

/// What a look at everything has found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looked {
    /// Files that had to be something.
    pub files: usize,
    /// Bytes that were read.
    pub bytes: u64,
}

impl std::ops::AddAssign for Looked {
    fn add_assign(&mut self, more: Looked) {
        self.files += more.files;
        self.bytes += more.bytes;
    }
}

impl Crowd {
    /// Each has a directory of the vault `v`, which is there.
    pub fn new(place: &Arc<Place>, seed: u64) -> Crowd {
        let work = |n| {
            let directory = format!("mnt/v/w{n}");
            fs::create_dir(place.path(&directory)).expect("a directory");
            Work {
                place: place.clone(),
                directory,
                now: Box::new(|| 0),
                acknowledged_stays: true,
                random: StdRng::seed_from_u64(seed.wrapping_add(n)),
                histories: Histories::default(),
                steps: 0,
                acknowledged: 0,
            }
        };
        Crowd { works: (0..WORKERS).map(work).collect() }
    }

    /// Has everybody work until the mount is dead, which `meanwhile` has to bring about; what it answers, and how many were
    /// met at work.
    pub fn work_until_dead<T>(&mut self, meanwhile: impl FnOnce() -> T) -> (T, u64) {
        std::thread::scope(|threads| {
            let working: Vec<_> = self
                .works
                .iter_mut()
                .map(|work| {
                    threads.spawn(|| {
                        loop {
                            if let Err(error) = work.step() {
                                assert!(work.check_alive().is_err(), "{error:?} of a living mount");
                                return error;
                            }
                        }
                    })
                })
                .collect();
            let answer = meanwhile();
            let mut met = 0;
            for worker in working {
                let error = worker.join().expect("changes that end with an error");
                assert!(is_dead(&error), "{error:?}");
                met += 1;
            }
            (answer, met)
        })
    }

    /// Looks at everything, and begins anew with what is there.
    pub fn look(&mut self) -> Looked {
        let mut looked = Looked::default();
        for work in &mut self.works {
            looked += look(work);
        }
        looked
    }

    /// Changes that were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.works.iter().map(|work| work.acknowledged).sum()
    }
}

/// The end: all that `works` did is archived, comes back through an empty cache, and an inventory names nothing that the catalog
/// hasn't, but for further archives of files that have one: those that nobody here was told of. What it says of them.
pub fn close(place: &Place, works: &mut [Work]) -> (Looked, String) {
    let mnt = place.text("mnt");
    place.ok(&["flush", "--timeout", "3min", &mnt]);
    place.ok(&["evict", &place.text("mnt/v")]);
    // It isn't listed.
    if place.path("mnt/v/.glacierfs").exists() {
        place.ok(&["evict", &place.text("mnt/v/.glacierfs")]);
    }
    until("an empty cache", || place.status()["cache"]["bytes"] == 0);
    let mut back = Looked::default();
    works.iter_mut().for_each(|work| back += look(work));
    let inventory = || place.ok(&["inventory", "v", "--timeout", "60s", "--mount", &mnt]);
    let found = inventory();
    assert!(!found.contains(" new") && !found.contains("not in the inventory"), "{found}");
    let again = inventory();
    assert!(!again.contains("further"), "{again}");
    place.ok(&["verify", "v", "--mount", &mnt]);
    place.ok(&["umount", "--timeout", "30s", &mnt]);
    let trouble = Catalog::check(&place.path("state/catalog.db")).expect("a catalog");
    assert!(trouble.is_empty(), "{trouble:?}");
    (back, found)
}

/// What a dead mount says; or that nobody answered what was asked.
pub fn is_dead(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| [libc::ENOTCONN, libc::ECONNABORTED, libc::EIO].contains(&code))
}

/// Looks at all that one did, and begins anew with what is there.
pub fn look(work: &mut Work) -> Looked {
    let names = Mutex::new(work.histories.names());
    let found = Mutex::new(HashMap::new());
    std::thread::scope(|threads| {
        for _ in 0..READERS {
            threads.spawn(|| {
                loop {
                    let Some(name) = names.lock().expect("names").pop() else { return };
                    let read = read(work, &name);
                    found.lock().expect("files").insert(name, read);
                }
            });
        }
    });
    let found = found.into_inner().expect("files");
    let bytes = found.values().flatten().map(|bytes| bytes.len() as u64).sum();
    let find = |name: &str| found[name].clone().map_or(Found::Absent, Found::Local);
    let mut histories = std::mem::take(&mut work.histories);
    let files = histories.check(0, find);
    histories.settle(find);
    work.histories = histories;
    Looked { files, bytes }
}

fn read(work: &Work, name: &str) -> Option<Vec<u8>> {
    let start = Instant::now();
    loop {
        match fs::read(work.at(name)) {
            Ok(bytes) => return Some(bytes),
            // A directory on its way may have been moved.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => return None,
            Err(error) if error.raw_os_error() == Some(libc::EIO) && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(error) => panic!("{name}: {error}\n{}", work.place.log()),
        }
    }
}
