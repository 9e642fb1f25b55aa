//! What a program gets that wants bytes which aren't local, by recall policy.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use nix::errno::Errno;

use super::state;
use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::with_cold_files;

/// The errno that `result` failed with.
fn errno<T>(result: std::io::Result<T>) -> Errno {
    match result {
        Ok(_) => panic!("it should have failed"),
        Err(error) => Errno::from_raw(error.raw_os_error().expect("an errno")),
    }
}

fn mounted(more: &[&str]) -> Place {
    let place = Place::new();
    let done = place.mount(&[&["--upload-delay", "0"], more].concat());
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    place
}

/// How many retrievals there are, under way or planned.
fn jobs(place: &Place) -> usize {
    place.status()["jobs"].as_array().expect("a list of jobs").len()
}

/// Everything that needs the bytes of the cold file `name`, and must fail with `expected`.
fn every_use_fails(place: &Place, name: &str, expected: Errno) {
    let path = place.path(name);
    assert_eq!(errno(std::fs::read(&path)), expected);
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("opening needs no bytes");
    assert_eq!(errno(file.read_at(&mut [0; 10], 5000)), expected);
    assert_eq!(errno(file.write_at(b"x", 5000)), expected);
    assert_eq!(errno(file.set_len(10)), expected);
    assert_eq!(errno(file.set_len(1_000_000)), expected);
    assert_eq!(file.metadata().expect("attributes").len(), 300_000, "attributes need no bytes");
    let appending = OpenOptions::new().append(true).open(&path).expect("opening needs no bytes");
    assert_eq!(errno((&appending).write(b"x")), expected);
}

/// Promise: under `deny` whatever needs bytes that aren't local fails with EREMOTE and nothing is retrieved, by grep -r either;
/// metadata and local bytes are as ever, a file can be emptied, and `restore` brings bytes back.
#[test]
fn deny_starts_nothing() {
    let place = mounted(&["--recall", "deny"]);
    with_cold_files(&place, 3, 300_000);
    std::fs::write(place.path("mnt/v/warm"), "needle").expect("a written file");
    every_use_fails(&place, "mnt/v/cold0", Errno::EREMOTE);
    let impatient = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(place.path("mnt/v/cold0"));
    assert_eq!(errno(impatient.expect("an open file").read(&mut [0; 10])), Errno::EREMOTE);
    let found = Command::new("grep").args(["-r", "needle"]).arg(place.path("mnt")).output().expect("grep starts");
    assert!(String::from_utf8_lossy(&found.stdout).contains("v/warm:needle"));
    assert_eq!(String::from_utf8_lossy(&found.stderr).matches("Object is remote").count(), 3);
    assert_eq!(jobs(&place), 0);
    assert_eq!(state(&place, "mnt/v/cold0"), "archived");

    std::fs::write(place.path("mnt/v/cold1"), "new").expect("old bytes aren't needed");
    assert_eq!(std::fs::read(place.path("mnt/v/cold1")).expect("local bytes"), b"new");
    place.ok(&["restore", "--wait", "--timeout", "30s", &place.text("mnt/v/cold0")]);
    assert!(std::fs::read(place.path("mnt/v/cold0")).expect("local bytes") == vec![0; 300_000]);
    assert_eq!(state(&place, "mnt/v/cold2"), "archived");
}

/// Promise: under `queue` whatever needs bytes that aren't local fails with EAGAIN at once, and brings them back; who tries
/// again gets them.
#[test]
fn queue_recalls_and_doesnt_wait() {
    let place = mounted(&["--recall", "queue", "--retrieval-delay", "all=1h"]);
    with_cold_files(&place, 2, 300_000);
    every_use_fails(&place, "mnt/v/cold0", Errno::EAGAIN);
    assert_eq!(jobs(&place), 1, "asked for once");
    assert_eq!(state(&place, "mnt/v/cold0"), "archived");

    let place = mounted(&["-o", "recall=queue"]);
    with_cold_files(&place, 2, 300_000);
    let file = OpenOptions::new().read(true).write(true).open(place.path("mnt/v/cold1")).expect("an open file");
    assert_eq!(errno(file.read_at(&mut [0; 10], 0)), Errno::EAGAIN);
    until("the recall", || state(&place, "mnt/v/cold1") == "cached");
    let mut bytes = [0; 10];
    assert_eq!(file.read_at(&mut bytes, 299_995).expect("local bytes, by a file opened before they came"), 5);
    assert_eq!(bytes[..5], [1; 5]);
    file.write_at(b"x", 0).expect("a write");
    assert_eq!(std::fs::read(place.path("mnt/v/cold1")).expect("local bytes")[..2], [b'x', 1]);
}

/// Promise: where reads wait, O_NONBLOCK makes reads and writes fail with EAGAIN and start the recall.
#[test]
fn who_doesnt_want_to_wait_neednt() {
    let place = mounted(&["--retrieval-delay", "all=1h"]);
    with_cold_files(&place, 2, 300_000);
    for n in 0..2 {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let file: File = options.open(place.path(&format!("mnt/v/cold{n}"))).expect("an open file");
        match n {
            0 => assert_eq!(errno(file.read_at(&mut [0; 10], 0)), Errno::EAGAIN),
            _ => assert_eq!(errno(file.write_at(b"x", 0)), Errno::EAGAIN),
        }
        assert_eq!(jobs(&place), n + 1);
    }
}

/// Promise: under `queue` a retrieval that fails for good is told as EIO to who asks again, and tried anew then.
#[test]
fn a_queued_recall_that_fails_is_told() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0", "--recall", "queue"]);
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    with_cold_files(&place, 1, 300_000);
    let mut id = [0; 200];
    let length = rustix::fs::getxattr(place.path("mnt/v/cold0"), "user.glacierfs.archive_id", &mut id);
    let id = String::from_utf8_lossy(&id[..length.expect("an archive")]).into_owned();
    let mut delete = place.command(&["archive", "delete", "--yes", "--region", "us-east-1", "--endpoint", &serve.url]);
    delete.args(["v", &id]);
    delete.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let done = delete.output().expect("the program starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let file = File::open(place.path("mnt/v/cold0")).expect("an open file");
    assert_eq!(errno(file.read_at(&mut [0; 10], 0)), Errno::EAGAIN);
    until("the failure", || errno(file.read_at(&mut [0; 10], 0)) == Errno::EIO);
}
