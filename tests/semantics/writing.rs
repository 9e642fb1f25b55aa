//! Writing.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;

use super::archives;
use super::bytes;
use super::fails;
use super::flush;
use super::mount;
use super::mounted;
use super::mounted_with;
use super::remount;
use super::sh;
use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::told;

/// Asserts that a file in the vault `v` has the bytes of the one in `disk`.
fn same(place: &Place, name: &str) {
    let (ours, disk) = (fs::read(place.path("mnt/v").join(name)), fs::read(place.path("disk").join(name)));
    assert!(ours.expect("read") == disk.expect("read"), "{name} differs");
}

#[test]
fn any_pattern() {
    let place = mounted();
    fs::create_dir(place.path("disk")).expect("a directory");
    let script = "
        head -c 300000 /dev/zero | tr '\\0' a > f
        printf random | dd of=f bs=1 seek=123456 conv=notrunc status=none
        printf appended >> f
        truncate -s 200001 f; truncate -s 400000 f
        printf far | dd of=holes bs=1 seek=5000000 conv=notrunc status=none
        /usr/bin/python3 -c '
import mmap
file = open(\"f\", \"r+b\")
view = mmap.mmap(file.fileno(), 0)
view[70000:70006] = b\"mapped\"
view.close()'";
    sh(&place, "v", script);
    sh(&place, "../disk", script);
    ["f", "holes"].iter().for_each(|name| same(&place, name));
    super::chill(&place);
    ["f", "holes"].iter().for_each(|name| same(&place, name));
}

#[test]
fn ranges() {
    let place = mounted();
    fs::create_dir(place.path("disk")).expect("a directory");
    let script = "
        head -c 300000 /dev/zero | tr '\\0' a > f
        fallocate -p -o 8192 -l 100000 f; fallocate -z -o 150000 -l 5000 f; fallocate -l 400000 f
        fallocate -n -z -o 390000 -l 90000 f; fallocate -c -o 0 -l 4096 f 2> /dev/null && echo collapsed; stat -c %s f
        /usr/bin/python3 -c '
import os
a, b = os.open(\"f\", os.O_RDONLY), os.open(\"copy\", os.O_RDWR | os.O_CREAT)
print(os.copy_file_range(a, b, 100000, 100, 7), os.copy_file_range(a, b, 1 << 20, 395000))'";
    assert_eq!(sh(&place, "v", script), "400000\n100000 5000\n");
    sh(&place, "../disk", &script.replace("fallocate -c", "false"));
    ["f", "copy"].iter().for_each(|name| same(&place, name));
    super::chill(&place);
    sh(
        &place,
        "v",
        "rm copy; cp --reflink=never f other; /usr/bin/python3 -c '
import os
os.copy_file_range(os.open(\"f\", os.O_RDONLY), os.open(\"copy\", os.O_RDWR | os.O_CREAT), 1 << 20)'; cmp f copy",
    );
}

#[test]
fn close() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), "spooled").expect("closed at once");
    assert_eq!((told(&place, "v/f", "archive_id"), archives(&place)), (None, 0));

    remount(&place, &["--close", "archived"]);
    let mut file = File::create(place.path("mnt/v/g")).expect("a file");
    file.write_all(b"archived").expect("written");
    drop(file);
    assert_eq!(told(&place, "v/g", "state").as_deref(), Some("cached"));
    let made = archives(&place);
    drop(File::open(place.path("mnt/v/g")).expect("open"));
    fs::write(place.path("mnt/v/empty"), "").expect("an empty file needs no archive");
    assert_eq!(archives(&place), made, "readers make none");
    // Each command's close of what the shell has open too archives what was written until then.
    sh(&place, "v", "{ cat g; cat f; } > both");
    assert_eq!(fs::read_to_string(place.path("mnt/v/both")).expect("read"), "archivedspooled");
    assert_eq!(told(&place, "v/both", "state").as_deref(), Some("cached"));

    // A vault that is gone behind our back: the service refuses the file, and the program hears of it.
    place.ok(&["umount", &place.text("mnt")]);
    let serve = Serve::start(&place, "127.0.0.1:0");
    fs::remove_dir_all(place.path("state")).expect("removed");
    place.mount_endpoint(&serve.url, &["--close", "archived"]);
    fs::create_dir(place.path("mnt/gone")).expect("a vault");
    let other = Place::new();
    fs::create_dir(other.path("served")).expect("a directory");
    fs::copy(place.path("served/credentials"), other.path("served/credentials")).expect("a copy");
    other.mount_endpoint(&serve.url, &[]);
    fs::remove_dir(other.path("mnt/gone")).expect("an empty vault");
    let file = File::create(place.path("mnt/gone/f")).expect("a file");
    file.write_all_at(b"refused", 0).expect("spooled");
    let closed = nix::unistd::close(file).map_err(std::io::Error::from);
    fails(closed, Errno::EIO);
    assert_eq!(fs::read_to_string(place.path("mnt/gone/f")).expect("kept"), "refused");
}

#[test]
fn fsync() {
    let place = mounted();
    let file = File::create(place.path("mnt/v/f")).expect("a file");
    file.write_all_at(b"local", 0).expect("written");
    file.sync_all().expect("synced");
    assert_eq!(archives(&place), 0);
    drop(file);
    flush(&place);

    remount(&place, &["--fsync", "archived"]);
    let file = File::create(place.path("mnt/v/g")).expect("a file");
    for round in 1..=3u64 {
        file.write_all_at(&bytes(1_000_000), round * 1000).expect("written");
        file.sync_all().expect("archived");
        assert_eq!(told(&place, "v/g", "state").as_deref(), Some("cached"), "while it is open for writing");
        assert_eq!(archives(&place), round);
    }
    file.write_all_at(b"later", 0).expect("written");
    drop(file);
    assert_eq!(archives(&place), 3);
    flush(&place);
    assert_eq!(archives(&place), 4);
}

#[test]
fn a_kill() {
    let place = mounted();
    let file = File::create(place.path("mnt/v/open")).expect("a file");
    let data = bytes(3_000_000);
    file.write_all_at(&data, 0).expect("written");
    sh(
        &place,
        "v",
        "mkdir d; echo closed > d/a; mv d/a d/b; ln d/b d/c; chmod 600 d/b; touch -d @1000000000.5 d/b; rm d/c",
    );
    place.kill();
    drop(file);
    mount(&place, &[]);
    assert!(fs::read(place.path("mnt/v/open")).expect("read") == data);
    assert_eq!(sh(&place, "v", "ls d; cat d/b; stat -c '%a %h %.Y' d/b"), "b\nclosed\n600 1 1000000000.500000000\n");
}

#[test]
fn archiving() {
    let place = mounted_with(&["--upload-delay", "1s"]);
    let begin = Instant::now();
    fs::write(place.path("mnt/v/f"), "first").expect("a file");
    until("the archive", || archives(&place) == 1);
    assert!(begin.elapsed() >= Duration::from_secs(1), "after {:?}", begin.elapsed());
    remount(&place, &[]);
    for text in ["second", "third", "fourth"] {
        fs::write(place.path("mnt/v/f"), text).expect("a file");
    }
    assert_eq!(told(&place, "v/f", "archive_id"), None);
    place.ok(&["flush", &place.text("mnt/v/f")]);
    assert_eq!(archives(&place), 1, "in its new form only");
    super::chill(&place);
    assert_eq!(fs::read_to_string(place.path("mnt/v/f")).expect("read"), "fourth");
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    fs::create_dir(place.path("state")).expect("a directory");
    let disk = ["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", &place.text("state")];
    assert!(Command::new("mount").args(disk).status().expect("mount").success(), "this test needs root");
    let _disk = Unmount(place.text("state"));
    mount(&place, &["--spool-reserve", "4M"]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    fs::write(place.path("mnt/v/first"), bytes(8 << 20)).expect("there is room");
    let evicted = place.run(&["evict", &place.text("mnt/v/first")]);
    assert_eq!(evicted.code, 8, "what isn't archived isn't evicted: {}", evicted.stderr);
    // More than fits: the writer waits while the first is archived and evicted, and gets through.
    fs::write(place.path("mnt/v/second"), bytes(12 << 20)).expect("room is made");
    assert!(fs::read(place.path("mnt/v/second")).expect("read") == bytes(12 << 20));
    let huge = fs::write(place.path("mnt/v/third"), bytes(40 << 20));
    fails(huge, Errno::ENOSPC);
    fs::remove_file(place.path("mnt/v/third")).expect("deleted");
    assert!(fs::read(place.path("mnt/v/first")).expect("recalled") == bytes(8 << 20));
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn failed_uploads() {
    let place = Place::new();
    let mut serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0", "--drain-timeout", "0"]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let address = serve.url.trim_start_matches("http://").to_owned();
    serve.stop();
    fs::write(place.path("mnt/v/f"), "waits").expect("closed without an error");
    until("a failure in the status", || {
        let paused = &place.status()["paused"];
        paused.as_array().is_some_and(|vaults| !vaults.is_empty())
    });
    drop(serve);
    let _serve = Serve::start(&place, &address);
    flush(&place);
    assert_eq!(told(&place, "v/f", "state").as_deref(), Some("cached"));
}

#[test]
fn changed_files() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), "old bytes").expect("a file");
    flush(&place);
    let old = told(&place, "v/f", "archive_id").expect("an archive");
    sh(&place, "v", "printf new | dd of=f conv=notrunc status=none");
    assert_eq!(told(&place, "v/f", "archive_id"), None);
    flush(&place);
    assert_ne!(told(&place, "v/f", "archive_id").expect("an archive"), old);
    // Both are at the service, the old one for another ninety days.
    let told = place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")]);
    assert!(told.contains("2 archives in the inventory"), "{told}");
}
