//! Reading.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::bytes;
use super::chill;
use super::fails;
use super::flush;
use super::jobs;
use super::mount;
use super::mounted;
use super::mounted_with;
use super::remount;
use super::sh;
use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::told;

#[test]
fn local_files() {
    let place = mounted();
    let data = bytes(5_000_000);
    let path = place.path("mnt/v/f");
    fs::write(&path, &data).expect("a file");
    let check = || {
        assert!(fs::read(&path).expect("read") == data);
        let mut middle = [0; 1000];
        let file = File::open(&path).expect("open");
        file.read_exact_at(&mut middle, 2_345_678).expect("read");
        assert_eq!(middle, data[2_345_678..2_346_678]);
        assert_eq!(file.read_at(&mut middle, 5_000_000).expect("at the end"), 0);
    };
    check();
    flush(&place);
    check();
    remount(&place, &[]);
    check();
    assert_eq!(jobs(&place), 0);
}

#[test]
fn cold_files() {
    let place = mounted_with(&["--retrieval-delay", "all=1s"]);
    fs::write(place.path("mnt/v/first"), "cold").expect("a file");
    fs::write(place.path("mnt/v/f"), "cold").expect("a file");
    chill(&place);
    let begin = Instant::now();
    assert_eq!(fs::read_to_string(place.path("mnt/v/first")).expect("read"), "cold");
    assert!(begin.elapsed() >= Duration::from_secs(1), "after {:?}", begin.elapsed());

    remount(&place, &["--retrieval-delay", "all=1h", "--recall-timeout", "1s"]);
    fails(fs::read(place.path("mnt/v/f")), Errno::ETIMEDOUT);
    assert_eq!(jobs(&place), 1, "it goes on");

    remount(&place, &["--retrieval-delay", "all=1h"]);
    let mut cat = Command::new("env");
    cat.args(["--default-signal", "cat"]).arg(place.path("mnt/v/f")).stdout(Stdio::null());
    let mut cat = cat.spawn().expect("cat starts");
    std::thread::sleep(Duration::from_millis(500));
    assert!(cat.try_wait().expect("a child").is_none(), "it waits");
    kill(Pid::from_raw(i32::try_from(cat.id()).expect("a process ID")), Signal::SIGINT).expect("ours");
    let begin = Instant::now();
    assert_eq!(cat.wait().expect("its end").signal(), Some(Signal::SIGINT as i32));
    assert!(begin.elapsed() < Duration::from_secs(2), "after {:?}", begin.elapsed());
}

#[test]
fn recall_policy() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), "cold").expect("a file");
    fs::write(place.path("mnt/v/g"), "cold too").expect("a file");
    chill(&place);
    let path = place.path("mnt/v/f");
    let hour = ["--retrieval-delay", "all=1h"];
    remount(&place, &[&hour[..], &["--recall", "deny"]].concat());
    fails(fs::read(&path), Errno::EREMOTE);
    fails(File::options().append(true).open(&path).and_then(|mut file| file.write_all(b"x")), Errno::EREMOTE);
    assert_eq!(jobs(&place), 0);
    place.ok(&["restore", &place.text("mnt/v/g")]);
    assert_eq!(jobs(&place), 1, "restore recalls");

    remount(&place, &[&hour[..], &["--recall", "queue"]].concat());
    fails(fs::read(&path), Errno::EAGAIN);
    assert_eq!(jobs(&place), 2, "it is started");
    remount(&place, &hour);
    let hasty = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
    fails(std::io::read_to_string(hasty.expect("open")), Errno::EAGAIN);
    assert_eq!(jobs(&place), 2);
}

#[test]
fn once_only() {
    let place = mounted_with(&["--retrieval-delay", "all=2s", "--recall-window", "1M"]);
    let data = bytes(6 << 20);
    fs::write(place.path("mnt/v/large"), &data).expect("a file");
    fs::write(place.path("mnt/v/small"), &data[..1 << 20]).expect("a file");
    fs::write(place.path("mnt/v/later"), &data[..1000]).expect("a file");
    chill(&place);
    let mut piece = [0; 10];
    File::open(place.path("mnt/v/large")).and_then(|file| file.read_exact_at(&mut piece, 3 << 20)).expect("read");
    assert_eq!(told(&place, "v/large", "local_bytes").as_deref(), Some("1048576"), "a window, not all of it");

    let path = place.path("mnt/v/small");
    let readers: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn({
                let path = path.clone();
                move || fs::read(path)
            })
        })
        .collect();
    until("the job", || jobs(&place) > 0);
    assert_eq!(jobs(&place), 1, "twenty readers, one job");
    let job = place.status()["jobs"][0]["id"].clone();
    for reader in readers {
        assert!(reader.join().expect("a reader").expect("read") == data[..1 << 20]);
    }

    // An output lasts for a day, whatever becomes of the bytes here.
    place.ok(&["evict", &place.text("mnt/v/small")]);
    remount(&place, &["--retrieval-delay", "all=1h"]);
    assert!(fs::read(&path).expect("read again") == data[..1 << 20]);

    // One that is under way is found again by the next daemon.
    let later = place.path("mnt/v/later");
    let _ = std::thread::spawn(move || fs::read(later));
    until("the job", || place.status()["jobs"][0]["id"].as_str().is_some_and(|id| !id.is_empty()));
    let before = place.status()["jobs"][0]["id"].clone();
    assert_ne!(before, job);
    place.kill();
    mount(&place, &["--retrieval-delay", "all=1h"]);
    assert_eq!(place.status()["jobs"][0]["id"], before);
    assert_eq!(jobs(&place), 1);
}

#[test]
fn verified_bytes() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0"]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let data = bytes(3 << 20);
    fs::write(place.path("mnt/v/f"), &data).expect("a file");
    chill(&place);
    // Flip a byte of the archive where the endpoint keeps it: a service that lies.
    let mut flipped = 0;
    let mut waiting = vec![place.path("served")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("attributes");
            if meta.is_dir() {
                waiting.push(path);
            } else if meta.len() == data.len() as u64 {
                let file = File::options().write(true).open(&path).expect("open");
                file.write_all_at(&[!data[2_000_000]], 2_000_000).expect("flipped");
                flipped += 1;
            }
        }
    }
    assert_eq!(flipped, 1, "the archive's file is where it was");
    let read = Command::new("timeout").args(["5", "cat"]).arg(place.path("mnt/v/f")).output().expect("cat");
    assert!(!read.status.success(), "wrong bytes were served");
    // All that it may have got is right.
    assert!(data.starts_with(&read.stdout), "{} bytes, wrong ones among them", read.stdout.len());
}

#[test]
fn looking_is_free() {
    let place = mounted_with(&["--retrieval-delay", "all=1h"]);
    let path = place.path("mnt/v/d/f");
    sh(&place, "v", "mkdir d; head -c 3000000 /dev/urandom > d/f; touch -d @1234567890.25 d/f");
    fs::create_dir(place.path("copy")).expect("a directory");
    sh(&place, "v", "rsync -a ./ ../../copy/");
    let tell = || {
        let meta = fs::metadata(&path).expect("attributes");
        (meta.len(), meta.blocks(), meta.mtime(), meta.mtime_nsec(), meta.mode())
    };
    let before = tell();
    assert_eq!((before.0, before.1), (3_000_000, 5860));
    chill(&place);
    assert_eq!(tell(), before);
    sh(&place, "v", "ls -lR; find . -newer / -size +1; du -s; df .; stat d/f; getfattr -dm- d/f; test -s d/f");
    assert_eq!(sh(&place, "v", "rsync -ain ./ ../../copy/"), "", "the quick check finds nothing to do");
    let file = File::open(&path).expect("open");
    let seek = |whence| nix::unistd::lseek(&file, 0, whence).expect("a position");
    assert_eq!((seek(nix::unistd::Whence::SeekData), seek(nix::unistd::Whence::SeekHole)), (0, 3_000_000));
    assert_eq!((jobs(&place), told(&place, "v/d/f", "state").as_deref()), (0, Some("archived")));
}
