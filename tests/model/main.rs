//! Random sequences of operations on the mount and on a directory of the disk side by side, with archiving, evicting and restarts
//! in between: whatever a program can see must be the same. The same sequences run on [`glacierfs::fs`] without a mount.
//!
//! `GLACIERFS_MODEL_OPS` says how many steps, `GLACIERFS_MODEL_SEED` which; a failure prints both, is made as short as can be, and
//! leaves a list of steps that `GLACIERFS_MODEL_REPLAY=FILE` runs again. Needs root and /dev/fuse.

mod direct;
mod disk;
mod generate;
mod house;
mod mount;
mod op;
mod run;
mod service;
mod shrink;
#[path = "../support/mod.rs"]
mod support;
mod target;
mod watchdog;

use std::time::Duration;
use std::time::Instant;

use direct::Direct;
use disk::Disk;
use generate::Generator;
use generate::Mix;
use glacierfs::util;
use mount::Mount;
use op::Step;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use run::Difference;
use run::Pair;
use watchdog::Watchdog;

/// After how many steps a new sequence begins, in a new directory: as many are to be shrunk at most.
const SEQUENCE: usize = 2000;
/// How long shrinking may take.
const SHRINKING: Duration = Duration::from_secs(180);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} isn't a number: {text}")))
}

/// Runs `count` random steps.
fn run(name: &str, pair: &mut Pair, count: usize, mix: Mix) {
    if let Ok(file) = std::env::var("GLACIERFS_MODEL_REPLAY") {
        let steps = op::parse(&std::fs::read_to_string(file).expect("the list of steps"));
        if let Err((n, difference)) = shrink::replay(pair, &steps) {
            panic!("step {n}, {}: {difference}\n{}", op::list(&steps[n..=n]), pair.ours.remarks());
        }
        return;
    }
    let count = number("GLACIERFS_MODEL_OPS").map_or(count, |ops| ops as usize);
    let mut seed = number("GLACIERFS_MODEL_SEED").unwrap_or_else(rand::random);
    println!("{name}: {count} steps, GLACIERFS_MODEL_SEED={seed}");
    let watchdog = Watchdog::new(pair.ours.breaker());
    let start = Instant::now();
    let (mut done, mut worked) = (0, 0);
    while done < count {
        let mut generator = Generator::new(seed, mix);
        let mut steps = Vec::new();
        pair.afresh();
        for n in 0..SEQUENCE.min(count - done) {
            let step = cold(n).unwrap_or_else(|| generator.step());
            steps.push(step.clone());
            watchdog.begins(op::list(&steps[n..]));
            match pair.nth_step(&step, n) {
                Err(difference) => {
                    drop(watchdog);
                    fail(name, pair, seed, &steps, &difference)
                }
                Ok(true) => {
                    worked += 1;
                    generator.learn(&step.op);
                }
                Ok(false) => {}
            }
        }
        done += steps.len();
        // Each sequence has a seed of its own, so that one can be had without those before it.
        seed = StdRng::seed_from_u64(seed).random();
    }
    let (took, evictions) = (start.elapsed().as_secs_f64(), pair.ours.evictions());
    println!(
        "{name}: {done} steps in {took:.1} s ({:.0} a second), {worked} of them without an errno, {evictions} evictions",
        done as f64 / took
    );
    assert!(done < SEQUENCE || evictions > 0, "nothing was ever evicted");
}

/// The step before which nothing is left to chance: every second time that everything is compared, it was archived and given up.
fn cold(n: usize) -> Option<Step> {
    let all = op::Path::default();
    let op = match 2 * run::EVERYTHING - n % (2 * run::EVERYTHING) {
        2 => op::Op::Flush { path: all, wait: true },
        1 => op::Op::Evict { path: all },
        _ => return None,
    };
    Some(Step { op, look: false })
}

/// Says what is different, and how to see it again.
fn fail(name: &str, pair: &mut Pair, seed: u64, steps: &[Step], difference: &Difference) -> ! {
    println!(
        "{name}: with GLACIERFS_MODEL_SEED={seed}, step {} of the sequence, {}: {difference}",
        steps.len(),
        op::list(&steps[steps.len() - 1..]).trim()
    );
    println!("shrinking it, for {} s at most", SHRINKING.as_secs());
    let (shortest, difference) = match shrink::shrink(pair, steps, &difference.kind, SHRINKING) {
        Some((shortest, difference)) => (shortest, difference),
        None => {
            println!("it doesn't happen again with the same steps: what follows is the whole sequence");
            (steps.to_vec(), difference.clone())
        }
    };
    let file = std::env::temp_dir().join(format!("glacierfs-model-{name}-{seed}.steps"));
    std::fs::write(&file, op::list(&shortest)).expect("the list of steps");
    let few = &shortest[shortest.len().saturating_sub(100)..];
    println!("{} steps (again: GLACIERFS_MODEL_REPLAY={}):\n{}", shortest.len(), file.display(), op::list(few));
    panic!("{name}: {difference}\n{}", pair.ours.remarks());
}

/// Whether changes of a file at `directory` can be told by its times however quickly they follow each other.
fn has_fine_times(directory: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = directory.join("times");
    std::fs::write(&file, "").expect("a file");
    let times = || {
        std::fs::write(&file, "x").expect("written");
        let meta = std::fs::metadata(&file).expect("attributes");
        (meta.ctime(), meta.ctime_nsec())
    };
    let seen: Vec<_> = (0..20).map(|_| times()).collect();
    std::fs::remove_file(&file).expect("removed");
    seen.windows(2).all(|pair| pair[0] != pair[1])
}

fn directory(above: &str) -> tempfile::TempDir {
    assert!(nix::unistd::geteuid().is_root(), "owners and device nodes need root");
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    tempfile::Builder::new().prefix("glacierfs-model-").tempdir_in(above).expect("a temporary directory")
}

/// A directory of the disk: ext4, whose ways are taken for right.
fn disk() -> tempfile::TempDir {
    directory(&std::env::var("TMPDIR").unwrap_or("/var/tmp".to_owned()))
}

/// Promise: whatever programs do to files and directories, in whatever order, has the same effect on the mount as on the disk:
/// while things are archived, evicted and brought back, and over clean and unclean ends of the daemon.
#[test]
fn the_mount_is_like_the_disk() {
    let right = disk();
    let times = has_fine_times(right.path());
    let (mut disk, mut mount) = (Disk::new(right.path().to_path_buf()), Mount::new());
    let mix = Mix { flushes: 8, evictions: 12, restarts: 2, zero_range: true };
    run("mount", &mut Pair::new(&mut disk, &mut mount, times), 2000, mix);
}

/// Promise: the same, of the file system without a kernel.
#[test]
fn the_file_system_is_like_the_disk() {
    // Ours is in memory: syncing what is recalled would take most of the time.
    let (right, ours) = (disk(), directory("/dev/shm"));
    let times = has_fine_times(right.path()) && has_fine_times(ours.path());
    let (mut disk, mut direct) = (Disk::new(right.path().to_path_buf()), Direct::new(ours.path().to_path_buf()));
    let mix = Mix { flushes: 3, evictions: 2, restarts: 1, zero_range: false };
    run("fs", &mut Pair::new(&mut disk, &mut direct, times), 5000, mix);
}
