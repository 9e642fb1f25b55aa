//! A full disk under the state directory. The disk is a small tmpfs, so these tests need root, and fail without it.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::support::Place;
use super::support::Serve;
use super::support::within;

const MIB: usize = 1 << 20;

/// A tmpfs at a test's state directory, unmounted with the test. Made before the place is used, and dropped before it.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Place, size: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "a small disk is mounted for this test, which only root may: run it as root"
        );
        let at = place.path("state");
        std::fs::create_dir(&at).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "glacierfs-test"]).arg(&at);
        assert!(mount.status().expect("mount starts").success(), "no tmpfs can be mounted here");
        Disk(at)
    }

    fn available(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.0).expect("a disk");
        stat.blocks_available() * stat.fragment_size()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Bytes that differ from file to file.
fn bytes(n: usize, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| ((at * 2_654_435_761 + n as u64 * 40_503) >> 7) as u8).collect()
}

/// Runs `work` in a thread, and fails when it takes longer than `patience`.
fn bounded<T: Send + 'static>(patience: Duration, what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(patience).unwrap_or_else(|_| panic!("{what} didn't end within {patience:?}"))
}

/// A whole file, or a failed test.
fn read(path: PathBuf) -> Vec<u8> {
    bounded(Duration::from_secs(30), "a read", move || std::fs::read(path)).expect("a read file")
}

/// Promise: with the service down, a writer that fills the disk is told ENOSPC soon, once in the log; what was
/// acknowledged before is intact; names can still be removed and changed, which need the reserve; and once the service
/// is back, archived files make room and writing works again.
#[test]
fn a_full_disk_while_the_service_is_down() {
    let place = Place::new();
    let disk = Disk::mount(&place, "64m");
    let mut serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--spool-reserve", "8M", "--upload-delay", "0"]);
    let mnt = place.text("mnt");
    place.ok(&["vault", "create", "v", "--mount", &mnt]);
    let address = serve.url.trim_start_matches("http://").to_owned();
    assert_eq!(serve.stop(), Some(0));
    drop(serve);

    let vault = place.path("mnt/v");
    let mut written = Vec::new();
    let start = Instant::now();
    let error = loop {
        let n = written.len();
        assert!(n < 64, "more went onto the disk than there is");
        let path = vault.join(format!("f{n}"));
        match bounded(Duration::from_secs(30), "a write", move || std::fs::write(path, bytes(n, 2 * MIB))) {
            Ok(()) => written.push(n),
            Err(error) => break error,
        }
    };
    println!("{} files of 2 MiB, then {error} {:?} after the first", written.len(), start.elapsed());
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(written.len() >= 16, "{}", written.len());
    let again = Instant::now();
    let path = vault.join("more");
    let more = bounded(Duration::from_secs(30), "a write", move || std::fs::write(path, bytes(0, 2 * MIB)));
    assert_eq!(more.expect_err("the disk is full").kind(), io::ErrorKind::StorageFull);
    assert!(again.elapsed() < Duration::from_secs(5), "{:?}", again.elapsed());
    assert!(disk.available() >= 4 * MIB as u64, "the reserve is used up: {}", disk.available());
    let log = place.log();
    let lines = log.lines().filter(|line| line.contains("full to its reserve")).count();
    assert!((1..=3).contains(&lines), "{lines} lines: {log}");

    // The reserve is for these.
    std::fs::rename(vault.join("f0"), vault.join("renamed")).expect("a rename on a full disk");
    std::fs::remove_file(vault.join("f1")).expect("a removal on a full disk");
    std::fs::create_dir(vault.join("d")).expect("a directory on a full disk");
    let name = |n: usize| if n == 0 { "renamed".to_owned() } else { format!("f{n}") };
    let intact = || {
        for &n in written.iter().filter(|n| ![1, 2].contains(*n)) {
            assert!(read(vault.join(name(n))) == bytes(n, 2 * MIB), "{} differs", name(n));
        }
    };
    intact();
    // A removed file made room, that day or a little later.
    within(Duration::from_secs(20), "room after a removal", || disk.available() > 9 * MIB as u64);
    // And at once for who needs it.
    let fill = |name: &str| {
        let path = vault.join(name);
        bounded(Duration::from_secs(30), "a write", move || std::fs::write(path, bytes(5, MIB)))
    };
    let full = (0..9).find(|n| fill(&format!("g{n}")).is_err()).expect("the disk is full again");
    std::fs::remove_file(vault.join("f2")).expect("a removal on a full disk");
    fill("soon").expect("there is room since the removal");
    for name in (0..=full).map(|n| format!("g{n}")).chain(["soon".into()]) {
        std::fs::remove_file(vault.join(name)).expect("a removal");
    }

    let _serve = Serve::start(&place, &address);
    for name in [vault.join(format!("f{}", written.len())), vault.join("more")] {
        // What is there of the files whose writer was told that it failed.
        let _ = std::fs::remove_file(name);
    }
    place.ok(&["flush", "--timeout", "2min", &mnt]);
    let path = vault.join("after");
    bounded(Duration::from_secs(60), "a write", move || std::fs::write(path, bytes(99, 30 * MIB)))
        .expect("there is room");
    place.ok(&["flush", "--timeout", "2min", &mnt]);
    intact();
    assert!(read(vault.join("after")) == bytes(99, 30 * MIB));
    place.ok(&["umount", &mnt]);
}

/// Promise: with the service up, more goes in than the disk holds: writers wait while uploads make room, however long files
/// were to rest before their upload, and all of it comes back the same through a cache that is smaller than it.
#[test]
fn more_goes_in_than_the_disk_holds() {
    let place = Place::new();
    let disk = Disk::mount(&place, "64m");
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--spool-reserve", "8M", "--upload-delay", "1h"]);
    let mnt = place.text("mnt");
    place.ok(&["vault", "create", "v", "--mount", &mnt]);
    let vault = place.path("mnt/v");
    let start = Instant::now();
    for n in 0..60 {
        let path = vault.join(format!("f{n}"));
        let written = bounded(Duration::from_secs(60), "a write", move || -> io::Result<()> {
            let mut file = File::create(path)?;
            bytes(n, 4 * MIB).chunks(128 << 10).try_for_each(|chunk| file.write_all(chunk))
        });
        written.unwrap_or_else(|error| panic!("file {n}: {error}\n{}", place.log()));
        assert!(disk.available() >= 4 * MIB as u64, "the reserve is used up: {}", disk.available());
    }
    println!("240 MiB through 56 MiB in {:?}", start.elapsed());
    place.ok(&["flush", "--timeout", "2min", &mnt]);
    for n in 0..60 {
        let path = vault.join(format!("f{n}"));
        let read = bounded(Duration::from_secs(60), "a read", move || std::fs::read(path));
        assert!(read.unwrap_or_else(|error| panic!("{error}\n{}", place.log())) == bytes(n, 4 * MIB), "f{n} differs");
    }
    assert!(!place.log().contains("ERROR"), "{}", place.log());
    place.ok(&["umount", &mnt]);
}

/// Promise: a writer who waits for room, which uploads to a service that hangs may still make, can be ended at once, and what was
/// written before is there.
#[test]
fn who_waits_for_room_can_be_ended() {
    let place = Place::new();
    let _disk = Disk::mount(&place, "48m");
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--spool-reserve", "8M", "--upload-delay", "0", "--drain-timeout", "0"]);
    place.ok(&["vault", "create", "v", "--mount", &place.text("mnt")]);
    let serving = Pid::from_raw(i32::try_from(serve.child.id()).expect("a process ID"));
    kill(serving, Signal::SIGSTOP).expect("the endpoint is ours");
    std::fs::write(place.path("mnt/v/before"), bytes(7, 2 * MIB)).expect("there is room");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut command = Command::new("env");
        command.args(["--default-signal", "dd", "if=/dev/zero", "bs=1M", "count=200", "status=none"]);
        let mut writer = command.arg(format!("of={}", place.text("mnt/v/more"))).spawn().expect("dd starts");
        let pid = Pid::from_raw(i32::try_from(writer.id()).expect("a process ID"));
        let wchan = format!("/proc/{pid}/wchan");
        let waits = || std::fs::read_to_string(&wchan).is_ok_and(|function| function == "request_wait_answer");
        within(Duration::from_secs(20), "a writer that waits", || {
            (0..20).all(|_| {
                std::thread::sleep(Duration::from_millis(10));
                waits()
            })
        });
        let start = Instant::now();
        kill(pid, signal).expect("a child of ours");
        let ended = bounded(Duration::from_secs(1), "a writer's end", move || writer.wait().expect("a child"));
        assert_eq!(ended.signal(), Some(signal as i32), "{ended} after {:?}", start.elapsed());
    }
    assert!(read(place.path("mnt/v/before")) == bytes(7, 2 * MIB));
    kill(serving, Signal::SIGCONT).expect("the endpoint is ours");
    std::fs::remove_file(place.path("mnt/v/more")).expect("a removal");
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    assert!(read(place.path("mnt/v/before")) == bytes(7, 2 * MIB));
}

/// Promise: when another program takes even the reserve, what was written and closed is neither lost nor forgotten: it is
/// readable with its size, and goes to its vault once there is room, without a restart.
#[test]
fn another_program_takes_the_reserve() {
    let place = Place::new();
    let disk = Disk::mount(&place, "64m");
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--spool-reserve", "4M", "--upload-delay", "0"]);
    let (mnt, vault) = (place.text("mnt"), place.path("mnt/v"));
    place.ok(&["vault", "create", "v", "--mount", &mnt]);
    let mut open: Vec<_> = (0..8).map(|n| File::create(vault.join(format!("f{n}"))).expect("a file")).collect();
    for (n, file) in open.iter_mut().enumerate() {
        file.write_all(&bytes(n, 100_000)).expect("a write");
    }
    let hog = disk.0.join("hog");
    let mut taking = File::create(&hog).expect("a file");
    while taking.write_all(&[1; 4096]).is_ok() {}
    assert_eq!(disk.available(), 0);
    drop(open);
    // Some of them fill what is left of the log's last page; the log can't grow.
    for n in 0..200 {
        let _ = std::fs::create_dir(vault.join(format!("d{n}")));
    }
    // Releases arrive a moment after their close. (The log can't tell: it is on the same disk.)
    std::thread::sleep(Duration::from_secs(2));
    let status = place.status();
    let unnoted = status["queue"]["dirty_files"].as_u64().expect("a number");
    println!("{unnoted} closes can't be noted");
    assert!(unnoted > 0, "the disk wasn't full enough for this test to show anything: {status}");
    let same = || {
        for n in 0..8 {
            let path = vault.join(format!("f{n}"));
            assert_eq!(std::fs::metadata(&path).expect("attributes").len(), 100_000);
            let read = bounded(Duration::from_secs(20), "a read", move || std::fs::read(path)).expect("a read file");
            assert!(read == bytes(n, 100_000), "f{n} differs");
        }
    };
    same();
    std::fs::remove_file(hog).expect("a removal");
    drop(taking);
    within(Duration::from_secs(60), "the uploads", || place.status()["totals"]["archived_files"] == 8);
    place.ok(&["evict", &mnt]);
    same();
    place.ok(&["umount", &mnt]);
}

/// Promise: an allocation that the disk has no room for is ENOSPC, leaves the file as it is, and makes no new archive of it; one
/// that evicting makes room for is done.
#[test]
fn allocations_on_a_full_disk() {
    let place = Place::new();
    let _disk = Disk::mount(&place, "64m");
    assert_eq!(place.mount(&["--spool-reserve", "8M", "--upload-delay", "0"]).code, 0, "{}", place.log());
    let mnt = place.text("mnt");
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    for n in 0..3 {
        std::fs::write(place.path(&format!("mnt/v/f{n}")), bytes(n, 12 * MIB)).expect("a written file");
        place.ok(&["flush", &mnt]);
    }
    let path = place.path("mnt/v/f0");
    let allocate = move |length: u64| {
        let path = path.clone();
        bounded(Duration::from_secs(30), "an allocation", move || {
            let file = File::options().write(true).open(path).expect("open");
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length)
        })
    };
    // More than the disk, and more than it can have free.
    assert_eq!(allocate(100 * MIB as u64), Err(rustix::io::Errno::NOSPC));
    assert_eq!(allocate(60 * MIB as u64), Err(rustix::io::Errno::NOSPC));
    assert_eq!(place.status()["queue"]["files"], 0, "nothing was written");
    assert!(read(place.path("mnt/v/f0")) == bytes(0, 12 * MIB));
    assert_eq!(allocate(30 * MIB as u64), Ok(()));
    let mut expected = bytes(0, 12 * MIB);
    expected.resize(30 * MIB, 0);
    assert!(read(place.path("mnt/v/f0")) == expected);
    place.ok(&["flush", "--timeout", "2min", &mnt]);
}
