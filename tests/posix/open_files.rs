//! Files that are open while something happens to them: unlinked, replaced, locked, brought back.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::AtFlags;
use nix::unistd::linkat;

use super::Pair;
use super::User;
use super::support::until;

/// Promise: what is unlinked while it is open stays, whole and writable, for those who have it open, and never gets a name again.
#[test]
fn unlinked_while_open() {
    let pair = Pair::new();
    let _ = pair.alike("unlinked", |directory| {
        let path = directory.join("f");
        std::fs::write(&path, "hello").expect("a file");
        let mut file = File::options().read(true).write(true).open(&path).expect("open");
        std::fs::remove_file(&path).expect("unlinked");
        let before = file.metadata().expect("attributes");
        file.write_all_at(b"HELLO there", 0).expect("written");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        file.set_len(3).expect("truncated");
        file.sync_all().expect("synced");
        let after = file.metadata().expect("attributes");
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
        let mode = file.metadata().expect("attributes").mode();
        let proc = format!("/proc/self/fd/{}", file.as_raw_fd());
        let linked = linkat(AT_FDCWD, Path::new(&proc), AT_FDCWD, &path, AtFlags::AT_SYMLINK_FOLLOW);
        let empty = linkat(&file, Path::new(""), AT_FDCWD, &path, AtFlags::AT_EMPTY_PATH);
        let again = File::open(&proc).and_then(|mut file| {
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text)
        });
        let again = again.map_err(|error| error.raw_os_error());
        (before.nlink(), before.len(), text, after.nlink(), after.len(), mode, linked, empty, again, path.exists())
    });
    // With a name it gets another.
    let _ = pair.alike("linked", |directory| {
        let path = directory.join("g");
        std::fs::write(&path, "hello").expect("a file");
        let file = File::open(&path).expect("open");
        let proc = format!("/proc/self/fd/{}", file.as_raw_fd());
        let linked = linkat(AT_FDCWD, Path::new(&proc), AT_FDCWD, &directory.join("h"), AtFlags::AT_SYMLINK_FOLLOW);
        let empty = linkat(&file, Path::new(""), AT_FDCWD, &directory.join("i"), AtFlags::AT_EMPTY_PATH);
        (linked, empty, file.metadata().expect("attributes").nlink())
    });
    pair.same(User::Root, "mkdir d; cd d; rmdir ../d; echo > f; mkdir e; ls; ls -a; stat -c '%h %A' .; chmod 700 .; sleep 1.1; stat -c %A .; pwd -P");
    pair.same(
        User::Root,
        "mkfifo p; exec 3<> p; rm p; stat -L -c '%h %A' /dev/fd/3; echo through >&3; read -r x <&3; echo $x",
    );
    // What nobody has any more leaves nothing behind.
    let catalog = rusqlite::Connection::open(pair.place.path("state/catalog.db")).expect("the catalog");
    let orphans = || catalog.query_row("SELECT count(*) FROM orphan", [], |row| row.get::<_, i64>(0)).expect("a count");
    until("the end of what has no name", || orphans() == 0);
}

/// Promise: a file that another is renamed over stays for those who have it open.
#[test]
fn replaced_while_open() {
    let pair = Pair::new();
    let _ = pair.alike("replaced", |directory| {
        let (old, new) = (directory.join("old"), directory.join("new"));
        std::fs::write(&old, "old").expect("a file");
        let mut writer = File::options().append(true).open(&old).expect("open");
        let mut reader = File::open(&old).expect("open");
        std::fs::write(&new, "new").expect("a file");
        std::fs::rename(&new, &old).expect("renamed");
        writer.write_all(b" and more").expect("written");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        (text, std::fs::read_to_string(&old).expect("read"), reader.metadata().expect("attributes").nlink())
    });
}

/// Promise: a vault can go while a file that was in it is open; the file goes with its last close.
#[test]
fn open_in_a_vault_that_goes() {
    let pair = Pair::new();
    let vault = pair.place.path("mnt/w");
    std::fs::create_dir(&vault).expect("a vault");
    let mut file = File::options().read(true).write(true).create_new(true).open(vault.join("f")).expect("a file");
    file.write_all(b"hello").expect("written");
    std::fs::remove_file(vault.join("f")).expect("unlinked");
    std::fs::remove_dir(&vault).expect("no vault");
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 0).expect("read");
    assert_eq!(&bytes, b"hello");
    drop(file);
    let catalog = rusqlite::Connection::open(pair.place.path("state/catalog.db")).expect("the catalog");
    let left = || {
        catalog.query_row("SELECT (SELECT count(*) FROM orphan) + (SELECT count(*) FROM content)", [], |row| row.get(0))
    };
    until("the end of the file", || left() == Ok(0));
    assert!(!pair.place.log().contains("ERROR"), "{}", pair.place.log());
}

/// Promise: a file that isn't local and is unlinked while it is open is still read.
#[test]
fn unlinked_while_cold() {
    let pair = Pair::new();
    let path = pair.vault().join("f");
    let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &bytes).expect("a file");
    pair.place.ok(&["flush", &pair.place.text("mnt")]);
    pair.place.ok(&["evict", &pair.place.text("mnt/v")]);
    let mut file = File::open(&path).expect("open");
    std::fs::remove_file(&path).expect("unlinked");
    let mut read = Vec::new();
    file.read_to_end(&mut read).expect("recalled");
    assert!(read == bytes);
}

/// Promise: O_APPEND, O_TRUNC, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_PATH and O_DIRECT open what they open on ext4; O_TMPFILE is refused
/// as by file systems that lack it.
#[test]
fn ways_to_open() {
    let pair = Pair::new();
    pair.same(User::Root, "echo hello > f; ln -s f l; ln -s nowhere n; mkdir d; mkfifo p");
    for (name, flag) in [
        ("O_APPEND", libc::O_APPEND),
        ("O_TRUNC", libc::O_TRUNC),
        ("O_CREAT", libc::O_CREAT),
        ("O_EXCL", libc::O_CREAT | libc::O_EXCL),
        ("O_NOFOLLOW", libc::O_NOFOLLOW),
        ("O_DIRECTORY", libc::O_DIRECTORY),
        ("O_PATH", libc::O_PATH),
        ("O_PATH link", libc::O_PATH | libc::O_NOFOLLOW),
        ("O_SYNC", libc::O_SYNC),
        ("O_NONBLOCK", libc::O_NONBLOCK),
        ("O_NOATIME", libc::O_NOATIME),
    ] {
        for target in ["f", "l", "n", "d", "nothing", "f/x"] {
            for write in [false, true] {
                let _ = pair.alike(&format!("{name} of {target}, writing {write}"), |directory| {
                    let _ = std::fs::write(directory.join("f"), "hello");
                    let _ = std::fs::remove_file(directory.join("nothing"));
                    let _ = std::fs::remove_file(directory.join("nowhere"));
                    let opened =
                        File::options().read(true).write(write).custom_flags(flag).open(directory.join(target));
                    let written =
                        opened.as_ref().map(|mut file| file.write_all(b"XY").map_err(|error| error.raw_os_error()));
                    let size = std::fs::metadata(directory.join("f"))
                        .map(|meta| meta.len())
                        .map_err(|error| error.raw_os_error());
                    (written.map_err(std::io::Error::raw_os_error), size)
                });
            }
        }
    }
    let tmpfile = File::options().write(true).custom_flags(libc::O_TMPFILE).open(pair.vault());
    assert_eq!(tmpfile.expect_err("refused").raw_os_error(), Some(Errno::EOPNOTSUPP as i32));
    // What programs do then: make a file with a name, and unlink it.
    let file = tempfile::tempfile_in(pair.vault()).expect("a file without a name");
    file.write_all_at(b"hello", 5).expect("written");
    assert_eq!(file.metadata().expect("attributes").len(), 10);
}

/// Promise: flock(2), fcntl(2) and open-file-description locks of two processes exclude each other.
#[test]
fn locks() {
    let pair = Pair::new();
    pair.same(User::Root, "echo > f; flock f flock -n f echo got || echo busy; flock -s f flock -s -n f echo shared; flock -s f flock -n f echo got || echo busy");
    let locks = |directory: &Path| {
        let open = || File::options().read(true).write(true).open(directory.join("f")).expect("open");
        let lock = |file: &File, ofd: bool, kind: i32, start: i64, length: i64| {
            let wanted = libc::flock {
                l_type: kind as i16,
                l_whence: libc::SEEK_SET as i16,
                l_start: start,
                l_len: length,
                l_pid: 0,
            };
            match ofd {
                true => nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&wanted)),
                false => nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETLK(&wanted)),
            }
        };
        let (ofd, posix) = (true, false);
        let (one, two) = (open(), open());
        let outcomes = vec![
            lock(&one, ofd, libc::F_WRLCK, 0, 10),
            lock(&two, ofd, libc::F_WRLCK, 5, 10),
            lock(&two, ofd, libc::F_WRLCK, 10, 10),
            lock(&two, ofd, libc::F_RDLCK, 0, 1),
            lock(&one, ofd, libc::F_UNLCK, 0, 0),
            lock(&two, ofd, libc::F_WRLCK, 5, 5),
            lock(&one, posix, libc::F_WRLCK, 100, 1),
            lock(&two, posix, libc::F_WRLCK, 100, 1),
        ];
        // Another process meets them all: the lock of this process at 100, and those of `two`.
        let script = "import fcntl, os\nf = open('f', 'r+b')\nfor at in (100, 5, 15, 50):\n try:\n  fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)\n  print(at, 'got')\n except OSError as e:\n  print(at, e.errno)";
        let other = super::shell(User::Root, &format!("/usr/bin/python3 -c \"{script}\""), directory);
        (outcomes, other)
    };
    let (_, other) = pair.alike("locks", locks);
    assert_eq!(other, "100 11\n5 11\n15 11\n50 got\n");
}

/// Promise: what `df` and installers ask for is there: space, files, the longest name.
#[test]
fn statistics() {
    let pair = Pair::new();
    let told = |directory: &Path| nix::sys::statvfs::statvfs(directory).expect("statistics");
    let (vault, disk) = (told(&pair.vault()), told(&pair.disk()));
    assert_eq!(vault.name_max(), 255);
    assert!(vault.files() > 0 && vault.files_available() > 0 && vault.blocks() > 0);
    let bytes = |stat: &nix::sys::statvfs::Statvfs| stat.blocks() * stat.fragment_size();
    assert_eq!(bytes(&vault), bytes(&disk) / 4096 * 4096);
    assert!(vault.blocks_available() * vault.fragment_size() <= disk.blocks_available() * disk.fragment_size());
    assert!(vault.blocks_free() >= vault.blocks_available());
    let said = super::shell(
        User::Root,
        "df -i . > /dev/null && df . | tail -n 1 | cut -d ' ' -f 1; stat -f -c %T .",
        &pair.vault(),
    );
    assert_eq!(said, "glacierfs\nfuseblk\n");
}
