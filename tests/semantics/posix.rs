//! What POSIX says of permissions, attributes, times, directories and open files; tests/posix compares all of it with ext4.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use rustix::fs::XattrFlags;

use super::fails;
use super::mounted;
use super::mounted_with;
use super::sh;

#[test]
fn permissions() {
    let place = mounted_with(&["--allow-other"]);
    fs::set_permissions(place.path("."), PermissionsExt::from_mode(0o755)).expect("open to all");
    let script = "
        echo x > f; chown 1:12 f; as() { setpriv --reuid=65534 --regid=65534 --groups=$1 sh -c \"$2\" 2> /dev/null || echo refused; }
        chmod 640 f; as 12 'cat f'; as 13 'cat f'; chmod 604 f; as 12 'cat f'; as 13 'cat f'
        chmod 6777 f; as 13 'echo y >> f'; stat -c %a f; chmod 6777 f; truncate -s 0 f; stat -c %a f; chown 2 f; stat -c %a f
        mkdir d; chown 0:12 d; chmod 2777 d; as 13 'mkdir d/sub; echo > d/file'; stat -c '%a %g' d/sub d/file";
    let said = sh(&place, "v", &format!("umask 022; {script}"));
    assert_eq!(said, "x\nrefused\nrefused\nx\n777\n6777\n777\n2755 12\n644 12\n");
}

#[test]
fn attributes() {
    let place = mounted_with(&["--allow-other"]);
    fs::set_permissions(place.path("."), PermissionsExt::from_mode(0o755)).expect("open to all");
    let file = place.path("mnt/v/f");
    fs::write(&file, "").expect("a file");
    let set = |name: &str, length: usize| rustix::fs::setxattr(&file, name, &vec![1; length], XattrFlags::empty());
    set("user.big", 65536).expect("64 KiB");
    assert_eq!(set("user.bigger", 65537), Err(rustix::io::Errno::TOOBIG));
    set("trusted.secret", 1).expect("root may");
    let listed = "setpriv --reuid=65534 --regid=65534 --clear-groups getfattr -m- f";
    assert_eq!(sh(&place, "v", listed), "# file: f\nuser.big\n\n");
    assert!(sh(&place, "v", "getfattr -m- f").contains("trusted.secret"));
    let count = (0..1000).take_while(|n| set(&format!("user.{n:0250}"), 0).is_ok()).count();
    assert!((250..262).contains(&count), "{count} names of 256 bytes with their NUL");
}

#[test]
fn times() {
    let place = mounted();
    let file = place.path("mnt/v/f");
    fs::write(&file, "x").expect("a file");
    let time = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let set = |seconds: u64| {
        let times = fs::FileTimes::new().set_accessed(time(5)).set_modified(time(seconds));
        File::options().write(true).open(&file).expect("open").set_times(times).expect("times");
        fs::metadata(&file).expect("attributes").mtime()
    };
    // The last second that 63 bits of nanoseconds reach.
    assert_eq!(set(10_000_000_000), i64::MAX / 1_000_000_000);
    assert_eq!(set(7), 7);
    fs::read(&file).expect("read");
    assert_eq!(fs::metadata(&file).expect("attributes").atime(), 5);
    assert_eq!(sh(&place, "v", "stat -c %w f"), "-\n");
}

#[test]
fn directories() {
    let place = mounted();
    let said = sh(
        &place,
        "v",
        "mkdir -p d/a d/b/c; echo > d/f; stat -c %h d; mv d/a d/b; stat -c %h d d/b; rm -r d/b; stat -c %h d",
    );
    assert_eq!(said, "4\n3\n4\n2\n");
    let at = |name: String| place.path("mnt/v/d").join(name);
    for n in 0..500 {
        fs::write(at(format!("stays-{n}")), "").expect("a file");
        fs::write(at(format!("goes-{n}")), "").expect("a file");
    }
    let mut stayed = Vec::new();
    for (n, entry) in fs::read_dir(at(String::new())).expect("a listing").enumerate() {
        let name = entry.expect("an entry").file_name();
        if n < 500 {
            fs::write(at(format!("comes-{n}")), "").expect("a file");
            fs::remove_file(at(format!("goes-{n}"))).expect("removed");
        }
        stayed.extend(name.to_str().filter(|name| name.starts_with("stays-")).map(str::to_owned));
    }
    let count = stayed.len();
    stayed.sort();
    stayed.dedup();
    assert_eq!((count, stayed.len()), (500, 500), "each once");
}

#[test]
fn free_space() {
    let place = mounted_with(&["--spool-reserve", "1G"]);
    let (vault, disk) =
        (statvfs(&place.path("mnt/v")).expect("ours"), statvfs(&place.path("state")).expect("the disk's"));
    let bytes = |blocks: u64, stat: &nix::sys::statvfs::Statvfs| blocks * stat.fragment_size();
    assert!(bytes(vault.blocks(), &vault).abs_diff(bytes(disk.blocks(), &disk)) < 4096);
    let free = bytes(disk.blocks_available(), &disk) - (1 << 30);
    // Other tests write meanwhile.
    assert!(bytes(vault.blocks_available(), &vault).abs_diff(free) < 1 << 28);
    assert!(vault.files() > 0 && vault.name_max() == 255);
}

#[test]
fn open_files() {
    let place = mounted();
    let path = place.path("mnt/v/f");
    let mut unlinked = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    unlinked.write_all(b"hello").expect("written");
    fs::remove_file(&path).expect("unlinked");
    unlinked.write_all(b" there").expect("written");
    let mut bytes = [0; 11];
    unlinked.read_exact_at(&mut bytes, 0).expect("read");
    assert_eq!((&bytes, unlinked.metadata().expect("attributes").nlink()), (b"hello there", 0));
    fails(File::options().write(true).custom_flags(nix::libc::O_TMPFILE).open(place.path("mnt/v")), Errno::EOPNOTSUPP);
    tempfile::tempfile_in(place.path("mnt/v"))
        .expect("one without a name, made with one")
        .write_all(b"x")
        .expect("written");
}
