//! Many processes and threads in the same directories, while the files are archived, evicted and brought back: nothing is torn,
//! nothing is lost, and nothing waits for ever.

mod contents;
mod watchdog;
mod worker;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;

use self::contents::BLOCK;
use self::contents::Numbers;
use self::contents::check;
use self::contents::piece;
use self::contents::records;
use self::watchdog::Notes;
use self::watchdog::Watchdog;
use self::worker::BLOCKED;
use self::worker::BLOCKS;
use self::worker::ENTRIES;
use self::worker::FULL;
use self::worker::STAYING;
use self::worker::Worker;
use self::worker::counted;
use super::support::Place;

const PROCESSES: usize = 3;
const THREADS: usize = 4;
/// How long they are at it.
const TIME: Duration = Duration::from_secs(20);
/// How long one operation may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Tells a process that it is one of the workers: its number, the seed, and the directory of the test.
const VARIABLE: &str = "STRESS_WORKER";

/// One of the processes that [`nothing_is_torn_or_stuck`] starts, with its threads.
#[test]
#[ignore = "is started by another test"]
fn work() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let [process, seed, directory] = told.splitn(3, ',').collect::<Vec<_>>().try_into().expect("three words");
    let (process, seed): (usize, u64) = (process.parse().expect("a number"), seed.parse().expect("a number"));
    let directory = PathBuf::from(directory);
    // What one finds ends them all.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        std::process::exit(3);
    }));
    let start = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let number = process * THREADS + thread;
            let notes = Notes::new(&directory.join("notes"), number);
            let mut worker = Worker::new(directory.join("mnt/v"), number, seed, notes);
            let work = move || {
                while start.elapsed() < TIME {
                    worker.step();
                }
                worker.report()
            };
            std::thread::spawn(work)
        })
        .collect();
    let reports: String = threads.into_iter().map(|thread| thread.join().expect("a panic ends the process")).collect();
    std::fs::write(directory.join(format!("report{process}")), reports).expect("a report");
}

fn prepared(vault: &Path) {
    std::fs::create_dir(vault).expect("a vault");
    for directory in STAYING {
        std::fs::create_dir(vault.join(directory)).expect("a directory");
        for n in 0..ENTRIES {
            std::fs::write(vault.join(directory).join(format!("stay{n}")), "").expect("a file");
        }
    }
    for n in 0..FULL {
        std::fs::write(vault.join(format!("full{n}")), "").expect("a file");
    }
    for n in 0..BLOCKED {
        let blocks: Vec<u8> = (0..BLOCKS).flat_map(|block| piece(block as u64, 1, BLOCK)).collect();
        std::fs::write(vault.join(format!("block{n}")), blocks).expect("a file");
    }
}

/// Archives, evicts, brings back and looks, at random, until `stop`.
fn unsettle(place: &Place, seed: u64, stop: &AtomicBool, rounds: &AtomicU64) {
    let notes = Notes::new(&place.path("notes"), PROCESSES * THREADS);
    let mut numbers = Numbers(seed);
    let (mnt, vault, a) = (place.text("mnt"), place.text("mnt/v"), place.text("mnt/v/a"));
    let blocks = place.text("mnt/v/block0");
    while !stop.load(Ordering::Relaxed) {
        let arguments: &[&str] = match numbers.below(8) {
            0 | 1 => &["flush", "--timeout", "2s", &mnt],
            2 => &["evict", &vault],
            3 => &["evict", &a],
            4 => &["evict", &blocks],
            5 => &["restore", "--wait", "--timeout", "2s", &a],
            6 => &["restore", &vault],
            _ => &["status", "--json", &mnt],
        };
        notes.begin(&format!("glacierfs {}", arguments.join(" ")));
        let done = place.run(arguments);
        notes.end();
        // Files come, go and change: some can't be had (8) or take long (9). That the daemon is gone (4) ends the workers too.
        let bearable = matches!(done.code, 0 | 4 | 8 | 9);
        assert!(bearable, "glacierfs {arguments:?}: {}, {}{}\n{}", done.code, done.stdout, done.stderr, place.log());
        rounds.fetch_add(1, Ordering::Relaxed);
        // So that there is also something local to work with.
        std::thread::sleep(Duration::from_millis(numbers.below(400) as u64));
    }
}

/// Waits until all processes have ended well.
fn awaited(children: &mut [Child], watchdog: &Watchdog, place: &Place) {
    let mut bitten = None;
    while bitten.is_none() {
        let ends: Vec<_> = children.iter_mut().map(|child| child.try_wait().expect("a child")).collect();
        if ends.iter().all(|end| end.is_some_and(|end| end.success())) {
            return;
        }
        if let Some(end) = ends.into_iter().flatten().find(|end| !end.success()) {
            bitten = Some(format!("a worker ended with {end}"));
        } else {
            bitten = watchdog.bites();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    for child in children.iter_mut() {
        let _ = child.kill();
    }
    let (why, log) = (bitten.unwrap_or_default(), place.log());
    let errors: String = (0..PROCESSES)
        .map(|n| std::fs::read_to_string(place.path(&format!("errors{n}"))).unwrap_or_default())
        .collect();
    panic!("{why}\n{errors}\n{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
}

/// What there is at a path: which inode, how many bytes with which numbers first.
type Found = BTreeMap<PathBuf, (u64, u64, u64)>;

/// Everything in a directory, whole; logs with the records of `appended`, by log and writer.
fn verified(vault: &Path, appended: &HashMap<(u64, u64), u64>) -> Found {
    let mut found = Found::new();
    let mut names: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut directories = vec![vault.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a listing").map(|entry| entry.expect("an entry")) {
            let (path, meta) = (entry.path(), entry.metadata().expect("attributes"));
            if meta.is_dir() {
                directories.push(path);
                continue;
            }
            super::forget_pages(&path);
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(bytes.len() as u64, meta.len(), "{}", path.display());
            let name = entry.file_name().to_string_lossy().into_owned();
            let (kind, number) = name.split_at(name.find(|c: char| c.is_ascii_digit()).expect("a number"));
            let outcome = match kind {
                // A new file is left behind where its directory got another name before it got its own.
                "stay" | "new" => Ok(()),
                "whole" => check(&bytes).map(drop),
                "log" => records(&bytes).map(drop),
                "full" => records(&bytes).and_then(|records| counted(&records)).map(|counts| {
                    let log: u64 = number.parse().expect("a number");
                    for ((_, writer), count) in appended.iter().filter(|((of, _), _)| *of == log) {
                        let there = counts.get(writer).copied().unwrap_or(0);
                        assert_eq!(there, *count, "{name}: records of {writer}");
                    }
                }),
                "block" => bytes.chunks(BLOCK).enumerate().try_for_each(|(block, bytes)| match check(bytes)? {
                    (number, _) if number == block as u64 => Ok(()),
                    (number, _) => Err(format!("block {number} at {block}")),
                }),
                other => Err(format!("a file of kind {other}")),
            };
            outcome.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let sum = bytes.iter().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            names.entry(meta.ino()).or_insert((meta.nlink(), 0)).1 += 1;
            found.insert(path, (meta.ino(), meta.len(), sum));
        }
    }
    assert!(names.values().all(|(links, names)| links == names), "a wrong link count: {names:?}");
    found
}

/// Promise: whatever many processes do at the same time while files are archived, evicted and brought back, who reads a file
/// that is replaced whole sees one version of it, appended records come once and in order, changes under a lock aren't lost,
/// no operation takes half a minute; and all that is left is the same after an eviction and a restart.
#[test]
fn nothing_is_torn_or_stuck() {
    let place = Place::new();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let options = ["--upload-delay", "0", "--retrieval-delay", "all=5ms", "--cache-size", "2M", "--threads", "4"];
    assert_eq!(place.mount(&options).code, 0, "{}", place.log());
    let vault = place.path("mnt/v");
    prepared(&vault);
    let watchdog = Watchdog::new(&place.path("notes"), PROCESSES * THREADS + 1, LIMIT, place.pid());
    let start = |process: usize| {
        let errors = std::fs::File::create(place.path(&format!("errors{process}"))).expect("a file");
        let told = format!("{process},{seed},{}", place.directory.path().display());
        Command::new(std::env::current_exe().expect("this program"))
            .args(["stress::work", "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, told)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("a worker starts")
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| unsettle(&place, seed, &stop, &rounds));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            awaited(&mut children, &watchdog, &place);
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });

    let mut appended = HashMap::new();
    let mut done: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for process in 0..PROCESSES {
        let report = std::fs::read_to_string(place.path(&format!("report{process}"))).expect("a report");
        for line in report.lines() {
            let [what, name, first, second] = line.split(',').collect::<Vec<_>>().try_into().expect("four words");
            let number = |text: &str| text.parse::<u64>().expect("a number");
            match what {
                "done" => {
                    let counts = done.entry(name.to_owned()).or_default();
                    counts[0] += number(first);
                    counts[1] += number(second);
                }
                _ => drop(appended.insert((number(name), number(first)), number(second))),
            }
        }
    }
    let all: u64 = done.values().map(|[done, _]| done).sum();
    println!("{all} operations beside {} of the command line: {done:?}", rounds.load(Ordering::Relaxed));
    assert_eq!(done.len(), worker::OPERATIONS.len(), "something was never tried");

    let before = verified(&vault, &appended);
    println!("{} files", before.len());
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    place.ok(&["restore", &place.text("mnt/v")]);
    assert!(verified(&vault, &appended) == before, "after an eviction");
    place.ok(&["umount", &place.text("mnt")]);
    assert_eq!(place.mount(&options).code, 0, "{}", place.log());
    place.ok(&["restore", &place.text("mnt/v")]);
    assert!(verified(&vault, &appended) == before, "after a restart");
}

/// Promise: the watchdog notices an operation that is stuck, tells what it is and where everybody waits, and ends the wait.
#[test]
fn the_watchdog_bites() {
    let place = Place::new();
    assert_eq!(place.mount(&[]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    let watchdog = Watchdog::new(&place.path("notes"), 2, Duration::from_millis(500), place.pid());
    let (notes, new) = (Notes::new(&place.path("notes"), 1), place.path("mnt/v/new"));
    assert_eq!(watchdog.bites(), None);
    let pid = place.pid();
    kill(pid, Signal::SIGSTOP).expect("the daemon is ours");
    // A thread goes on until it is told.
    super::support::until("all threads to stop", || {
        let stat = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task?.path().join("stat"));
        let mut tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        tasks
            .all(|task| stat(task).is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))))
    });
    let stuck = std::thread::spawn(move || {
        notes.begin("create mnt/v/new");
        std::fs::write(new, "new")
    });
    let mut report = None;
    super::support::until("a bite", || {
        report = watchdog.bites();
        report.is_some()
    });
    let report = report.unwrap_or_default();
    println!("{report}");
    assert!(stuck.join().expect("no panic").is_err(), "it waits no longer, and has failed");
    for part in ["worker 1 has been at this for", "create mnt/v/new", "in request_wait_answer", "state T"] {
        assert!(report.contains(part), "{part}");
    }
}
