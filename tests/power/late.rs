//! A disk that tells late that it couldn't store something.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use fuser::BackgroundSession;

use super::recorder::Recorder;
use super::support::Place;
use super::support::until;

/// A mount with its state directory on a disk whose syncs can fail.
fn mounted() -> (Place, Recorder, BackgroundSession) {
    let place = Place::new();
    let recorder = Recorder::default();
    fs::create_dir(place.path("state")).expect("a directory");
    let disk = recorder.mount(&place.path("state"));
    start(&place);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    (place, recorder, disk)
}

fn start(place: &Place) {
    let done = place.mount(&["--upload-delay", "1h", "--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

fn sync(path: &Path) -> Option<i32> {
    let file = File::options().append(true).open(path).expect("a file");
    file.sync_all().err().and_then(|error| error.raw_os_error())
}

/// Promise: what the disk has lost, as a sync told once, isn't taken for stored because the next sync succeeds: the file's fsync
/// fails on, it isn't archived, the log and the status say why, also after a restart, until it is emptied or replaced.
#[test]
fn a_lost_write_is_remembered() {
    let (place, recorder, disk) = mounted();
    let (mnt, path, other) = (place.text("mnt"), place.path("mnt/v/file"), place.path("mnt/v/other"));
    fs::write(&other, "other").expect("a written file");
    let mut file = File::create(&path).expect("a file");
    file.write_all(b"first").expect("written");
    recorder.fail(true);
    assert_eq!(file.sync_all().expect_err("EIO").raw_os_error(), Some(libc::EIO));
    recorder.fail(false);
    assert_eq!(file.sync_all().expect_err("still EIO").raw_os_error(), Some(libc::EIO));
    drop(file);
    assert_eq!(place.log().matches("v/file: the disk failed to store it").count(), 1, "{}", place.log());

    let still_bad = || {
        let flushed = place.run(&["flush", "--timeout", "2s", &mnt]);
        assert!(flushed.code != 0 && flushed.stderr.contains("the disk failed to store it"), "{}", flushed.stderr);
        let status = place.status();
        assert_eq!((&status["queue"]["failed_files"], &status["queue"]["files"]), (&1.into(), &1.into()), "{status}");
        assert!(status.to_string().contains("the disk failed to store it"), "{status}");
        assert_eq!(sync(&path), Some(libc::EIO));
    };
    still_bad();
    place.kill();
    start(&place);
    still_bad();
    // More bytes don't bring the lost ones back.
    File::options().append(true).open(&path).expect("a file").write_all(b"more").expect("written");
    assert_eq!(sync(&path), Some(libc::EIO));
    still_bad();

    fs::write(&path, "anew").expect("written anew");
    assert_eq!(sync(&path), None);
    place.ok(&["flush", "--timeout", "10s", &mnt]);
    assert_eq!(place.status()["queue"]["failed_files"], 0);
    assert_eq!(fs::read(&path).expect("a file"), b"anew");
    place.ok(&["umount", "--timeout", "30s", &mnt]);
    disk.umount_and_join().expect("the disk is unmounted");
}

/// Promise: what was archived and then lost by the disk isn't taken for local: it is retrieved when it is read.
#[test]
fn a_lost_copy_is_retrieved() {
    let (place, recorder, disk) = mounted();
    let (mnt, path) = (place.text("mnt"), place.path("mnt/v/file"));
    recorder.fail(true);
    fs::write(&path, "archived").expect("a written file");
    place.ok(&["flush", "--timeout", "10s", &mnt]);
    until("its eviction", || place.status()["cache"]["bytes"] == 0);
    recorder.fail(false);
    assert_eq!(fs::read(&path).expect("a file"), b"archived");
    place.ok(&["umount", "--timeout", "30s", &mnt]);
    disk.umount_and_join().expect("the disk is unmounted");
}
