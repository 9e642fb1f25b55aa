//! A mount that stays alive, whatever programs do at the same time: recall policies, interrupts, mount options, concurrency,
//! caches, large directories. Real mounts and real processes. Needs /dev/fuse, and fails without it.

mod caching;
mod crowds;
mod directories;
mod interrupts;
mod options;
mod recall;
mod replaced;
mod stress;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use support::Place;
use support::finished;
use support::until;

/// A vault `v` with `count` files `v/coldN` that are archived and neither local nor in the kernel's memory, each `size` bytes of
/// the number N.
fn with_cold_files(place: &Place, count: usize, size: usize) {
    let vault = place.path("mnt/v");
    if !vault.exists() {
        std::fs::create_dir(&vault).expect("a vault");
    }
    for n in 0..count {
        std::fs::write(vault.join(format!("cold{n}")), vec![n as u8; size]).expect("a written file");
    }
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    for n in 0..count {
        forget_pages(&vault.join(format!("cold{n}")));
    }
}

/// Has the kernel forget a file's pages, which it may not do at once when memory is short and it looks at them itself.
fn forget_pages(path: &Path) {
    let file = std::fs::File::open(path).expect("an open file");
    until("forgotten pages", || {
        let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        nix::fcntl::posix_fadvise(&file, 0, 0, advice).expect("advice");
        let mut fincore = Command::new("fincore");
        let counted = finished(fincore.args(["--noheadings", "--output", "PAGES"]).arg(path));
        assert_eq!(counted.code, 0, "{}", counted.stderr);
        // It says nothing of a file without any.
        ["", "0"].contains(&counted.stdout.trim())
    });
}

/// What a file tells of where its bytes are.
fn state(place: &Place, name: &str) -> String {
    let path = place.path(name);
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(&path, "user.glacierfs.state", &mut value).expect("a state");
    String::from_utf8_lossy(&value[..length]).into_owned()
}
