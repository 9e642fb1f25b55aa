//! The contract, executed: for each promise of docs/semantics.md a test of the same name. What needs a longer story than fits
//! here, as a kill in the middle of uploads or a full disk, has it in tests/lifecycle too.

mod caching;
mod deleting;
mod losing;
mod posix;
mod reading;
mod recalling;
#[path = "../support/mod.rs"]
mod support;
mod telling;
mod tree;
mod writing;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nix::errno::Errno;

use support::Place;

/// A mount of two empty vaults, `v` and `w`, whose files are archived only by a flush and recalled at once.
fn mounted() -> Place {
    mounted_with(&[])
}

fn mounted_with(more: &[&str]) -> Place {
    let place = Place::new();
    mount(&place, more);
    for vault in ["v", "w"] {
        fs::create_dir(place.path("mnt").join(vault)).expect("a vault");
    }
    place
}

/// Mounts, again or for the first time.
fn mount(place: &Place, more: &[&str]) {
    let mut arguments = more.to_vec();
    for [flag, value] in [["--upload-delay", "1h"], ["--drain-timeout", "0"], ["--inventory-interval", "0"]] {
        if !more.contains(&flag) {
            arguments.extend([flag, value]);
        }
    }
    let done = place.mount(&arguments);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

fn remount(place: &Place, more: &[&str]) {
    place.ok(&["umount", "--drain", "0", &place.text("mnt")]);
    mount(place, more);
}

/// Archives everything.
fn flush(place: &Place) {
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
}

/// Archives and evicts everything.
fn chill(place: &Place) {
    flush(place);
    place.ok(&["evict", &place.text("mnt")]);
}

/// What the file system says of itself at `path`, below the mount point.
fn told(place: &Place, path: &str, attribute: &str) -> Option<String> {
    let mut value = vec![0; 4096];
    let name = format!("user.glacierfs.{attribute}");
    match rustix::fs::lgetxattr(place.mnt().join(path), name.as_str(), &mut value) {
        Ok(length) => Some(String::from_utf8(value[..length].to_vec()).expect("text")),
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// How many archives were made since the mount.
fn archives(place: &Place) -> u64 {
    place.status()["totals"]["archived_files"].as_u64().expect("a number")
}

/// How many retrievals are wanted or under way.
fn jobs(place: &Place) -> usize {
    place.status()["jobs"].as_array().expect("a list").len()
}

/// Runs a shell script in a directory below the mount point; what it says. It has to end well.
fn sh(place: &Place, directory: &str, script: &str) -> String {
    let done = Command::new("sh").args(["-ec", script]).current_dir(place.mnt().join(directory)).output().expect("sh");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}: {out}{err}");
    out.into_owned()
}

/// Asserts that an operation fails with `errno`.
#[track_caller]
fn fails<T>(result: io::Result<T>, errno: Errno) {
    let error = result.err().expect("it fails");
    assert_eq!(error.raw_os_error().map(Errno::from_raw), Some(errno), "{error}");
}

/// Bytes of which no two MiB are alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31) ^ (at >> 7) ^ (at >> 20)) as u8).collect()
}

/// The promises of the page, by the words that are printed bold at their beginning.
fn promises(page: &str) -> BTreeSet<String> {
    let bold = page.split("**").skip(1).step_by(2).filter(|words| words.ends_with('.'));
    bold.map(|words| words.trim_end_matches('.').to_lowercase().replace([' ', '\n', '-'], "_")).collect()
}

/// Names of the tests in a directory.
fn tests(directory: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let text: String = files.map(|file| fs::read_to_string(file).expect("a source")).collect();
    let functions = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split_once('('));
    functions.map(|(name, _)| name.to_owned()).collect()
}

/// Promise: docs/semantics.md promises nothing that no test executes, and the tests execute nothing that it doesn't promise.
#[test]
fn every_promise_is_kept() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/semantics.md")).expect("the page");
    let mut tests = tests(&root.join("tests/semantics"));
    assert!(tests.remove("every_promise_is_kept"));
    assert_eq!(promises(&page), tests);
}
