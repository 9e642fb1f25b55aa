//! The tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::RenameFlags;
use nix::fcntl::renameat2;

use super::archives;
use super::chill;
use super::fails;
use super::flush;
use super::mount;
use super::mounted;
use super::mounted_with;
use super::remount;
use super::sh;
use super::support::Place;

#[test]
fn vaults() {
    let place = mounted();
    fs::create_dir(place.path("mnt/Backups_2026.x-1")).expect("a vault");
    let listed = place.ok(&["vault", "list", "--mount", &place.text("mnt")]);
    assert!(listed.contains("Backups_2026.x-1"), "{listed}");
    for bad in ["with space", "per%cent", "\u{e4}"] {
        fails(fs::create_dir(place.path("mnt").join(bad)), Errno::EINVAL);
    }
    fails(fs::create_dir(place.path("mnt").join("n".repeat(256))), Errno::ENAMETOOLONG);
    fs::create_dir(place.path("mnt").join("n".repeat(255))).expect("255 are allowed");
}

#[test]
fn deleting_a_vault() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), "x").expect("a file");
    fails(fs::remove_dir(place.path("mnt/v")), Errno::ENOTEMPTY);
    flush(&place);
    fs::remove_file(place.path("mnt/v/f")).expect("deleted");
    // Its archive is in the trash, and so at the service.
    fails(fs::remove_dir(place.path("mnt/v")), Errno::ENOTEMPTY);
    fs::remove_dir(place.path("mnt/w")).expect("an empty vault");
    let listed = place.ok(&["vault", "list", "--mount", &place.text("mnt")]);
    assert!(!listed.contains('w') || !listed.lines().any(|line| line.starts_with("w ")), "{listed}");
}

#[test]
fn the_root() {
    let place = mounted();
    let at = |name: &str| place.path("mnt").join(name);
    fails(File::create(at("file")), Errno::EPERM);
    fails(symlink("v", at("link")), Errno::EPERM);
    fails(fs::rename(at("v"), at("x")), Errno::EPERM);
    fs::write(at("v/f"), "x").expect("a file");
    fails(fs::rename(at("v/f"), at("f")), Errno::EPERM);
    fails(fs::hard_link(at("v/f"), at("f")), Errno::EPERM);
}

#[test]
fn kinds_of_files() {
    let place = mounted();
    fs::create_dir(place.path("mnt/v/d")).expect("a directory");
    drop(std::os::unix::net::UnixListener::bind(place.path("mnt/v/d/socket")).expect("a socket"));
    sh(
        &place,
        "v",
        "chmod 2751 d; echo text > d/file; chmod 4754 d/file; ln -s ../none d/soft; ln d/file d/hard; mkfifo -m 640 d/fifo
         mknod d/null c 1 3; mknod d/disk b 7 200; chown 12:34 d/file; chown -h 56:78 d/soft
         setfattr -n user.color -v blue d/file; setfattr -n trusted.key -v 0x00ff d; setfattr -n security.label -v x d/fifo
         touch -h -d '1969-12-31 23:59:58.123456789 UTC' d/file; touch -h -d '2261-01-01 00:00:00.000000001 UTC' d/soft
         touch -d '1700-02-03 04:05:06.7 UTC' d",
    );
    // %t:%T are device numbers; what atime and ctime are isn't part of what was set.
    let tell =
        || sh(&place, "v", "find d -exec stat -c '%n %F %a %u:%g %h %s %y %t:%T %N' {} + | sort; getfattr -Rhdm- d");
    let before = tell();
    for expected in ["1969-12-31 23:59:58.123456789", "2261-01-01 00:00:00.000000001", "1700-02-03 04:05:06.7"] {
        assert!(before.contains(expected), "{expected}: {before}");
    }
    assert!(before.contains("trusted.key") && before.contains("security.label"), "{before}");
    assert!(fs::symlink_metadata(place.path("mnt/v/d/socket")).expect("a socket").file_type().is_socket());
    chill(&place);
    remount(&place, &[]);
    assert_eq!(tell(), before);
}

#[test]
fn names() {
    let place = mounted();
    let every: Vec<u8> = (1..=255u8).filter(|byte| *byte != b'/').collect();
    let names = [every.as_slice(), b"\xff", b"...", b" ", &[b'n'; 255], "\u{1f600}".as_bytes()];
    for (n, name) in names.iter().enumerate() {
        fs::write(place.path("mnt/v").join(OsStr::from_bytes(name)), [n as u8]).expect("any name");
    }
    remount(&place, &[]);
    let listed: BTreeMap<Vec<u8>, Vec<u8>> = fs::read_dir(place.path("mnt/v"))
        .expect("a listing")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name().as_bytes().to_vec(), fs::read(entry.path()).expect("a file")))
        .collect();
    assert_eq!(listed.len(), names.len());
    for (n, name) in names.iter().enumerate() {
        assert_eq!(listed[*name], [n as u8]);
    }
    fails(File::create(place.path("mnt/v").join("n".repeat(256))), Errno::ENAMETOOLONG);
}

#[test]
fn rename() {
    let place = mounted();
    let at = |name: &str| place.path("mnt/v").join(name);
    fs::write(at("a"), "a").expect("a file");
    fs::write(at("b"), "b").expect("a file");
    flush(&place);
    let open = File::open(at("b")).expect("open");
    fs::rename(at("a"), at("b")).expect("over an existing target");
    assert_eq!(fs::read_to_string(at("b")).expect("read"), "a");
    assert_eq!(std::io::read_to_string(&open).expect("its old bytes"), "b");
    fails(fs::metadata(at("a")), Errno::ENOENT);

    let special = |from: &str, to: &str, flags| {
        renameat2(AT_FDCWD, &at(from), AT_FDCWD, &at(to), flags).map_err(std::io::Error::from)
    };
    fs::create_dir(at("d")).expect("a directory");
    fails(special("b", "d", RenameFlags::RENAME_NOREPLACE), Errno::EEXIST);
    special("b", "d", RenameFlags::RENAME_EXCHANGE).expect("swapped");
    assert!(at("b").is_dir() && at("d").is_file());
    fails(fs::rename(at("b"), at("b/below")), Errno::EINVAL);

    fails(fs::rename(at("d"), place.path("mnt/w/d")), Errno::EXDEV);
    sh(&place, ".", "mv v/d w/d");
    assert_eq!(fs::read_to_string(place.path("mnt/w/d")).expect("copied"), "a");

    // A kill right after it changes nothing about it.
    place.kill();
    mount(&place, &[]);
    assert!(at("b").is_dir());
    fails(fs::metadata(at("d")), Errno::ENOENT);
}

#[test]
fn hard_links() {
    let place = mounted();
    let at = |name: &str| place.path("mnt/v").join(name);
    fs::write(at("first"), "shared").expect("a file");
    flush(&place);
    let made = archives(&place);
    fs::hard_link(at("first"), at("second")).expect("a link");
    assert_eq!(fs::metadata(at("first")).expect("attributes").nlink(), 2);
    flush(&place);
    assert_eq!(archives(&place), made);
    fs::remove_file(at("first")).expect("deleted");
    chill(&place);
    assert_eq!(fs::read_to_string(at("second")).expect("read"), "shared");
    assert_eq!(fs::metadata(at("second")).expect("attributes").nlink(), 1);
    fails(fs::hard_link(at("second"), place.path("mnt/w/second")), Errno::EXDEV);
}

#[test]
fn no_archive_needed() {
    let place = mounted();
    sh(&place, "v", "touch empty; mkdir dir; ln -s x soft; mkfifo fifo; mknod dev c 1 3; ln empty hard");
    flush(&place);
    assert_eq!(archives(&place), 0);
    remount(&place, &[]);
    assert_eq!(sh(&place, "v", "ls -m"), "dev, dir, empty, fifo, hard, soft\n");
}

#[test]
fn inode_numbers() {
    let place = mounted();
    let number = |name: &str| fs::symlink_metadata(place.path("mnt/v").join(name)).expect("attributes").ino();
    sh(&place, "v", "mkdir d; echo x > d/f; ln -s x l; touch last");
    let before = ["d", "d/f", "l"].map(number);
    let highest = number("last");
    fs::remove_file(place.path("mnt/v/last")).expect("deleted");
    chill(&place);
    remount(&place, &[]);
    assert_eq!(["d", "d/f", "l"].map(number), before);
    fs::write(place.path("mnt/v/new"), "").expect("a file");
    assert!(number("new") > highest, "a number is used a second time");
}

#[test]
fn device_nodes() {
    let place = mounted();
    sh(&place, "v", "mknod zero c 1 5; cp /bin/true prog; chmod 4755 prog");
    fails(File::open(place.path("mnt/v/zero")), Errno::EACCES);
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let line = table.lines().find(|line| line.contains(&place.text("mnt"))).expect("our mount");
    assert!(line.contains("nodev") && line.contains("nosuid"), "{line}");
}

#[test]
fn locks() {
    let place = mounted();
    let path = place.path("mnt/v/lock");
    let held = Flock::lock(File::create(&path).expect("a file"), FlockArg::LockExclusive).expect("a lock");
    let try_it = |place: &Place| {
        let done = Command::new("flock").args(["-n", "-E", "42"]).arg(place.path("mnt/v/lock")).arg("true").status();
        done.expect("flock starts").code()
    };
    assert_eq!(try_it(&place), Some(42));
    drop(held);
    assert_eq!(try_it(&place), Some(0));

    // POSIX locks belong to processes: another one asks.
    let file = File::options().read(true).write(true).open(&path).expect("open");
    let range = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 10,
        l_len: 10,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&range)).expect("a lock");
    let ask = |start: u32| {
        let script = format!(
            "import fcntl,sys\nf=open(sys.argv[1],'r+')\ntry: fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB,10,{start})\nexcept OSError: sys.exit(42)"
        );
        Command::new("/usr/bin/python3").args(["-c", &script]).arg(&path).status().expect("python3").code()
    };
    assert_eq!((ask(15), ask(20)), (Some(42), Some(0)));
}

#[test]
fn access_control_lists() {
    let place = mounted_with(&["--allow-other"]);
    let tell = |directory: &str| {
        let script = "umask 027; mkdir d; setfacl -m u:65534:rwx,d:u:65534:rw-,d:g::r-x d; echo x > d/f; mkdir d/sub
            setfacl -m u:65534:r-- d/f; chmod 606 d/f; getfacl -n d d/f d/sub; stat -c %a d d/f d/sub
            setpriv --reuid=65534 --regid=65534 --clear-groups cat d/f 2>&1 || echo refused
            setfacl -x u:65534 d/f; setfacl -b d; getfacl -n d d/f";
        sh(&place, directory, script)
    };
    fs::create_dir(place.path("disk")).expect("a directory");
    fs::set_permissions(place.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open to all");
    let (ours, disk) = (tell("v"), tell("../disk"));
    assert_eq!(ours, disk);
    let denied = Command::new("setfacl").args(["-m", "d:u:65534:rwx"]).arg(place.mnt()).output().expect("setfacl");
    assert!(!denied.status.success(), "the root has no default list");
}

#[test]
fn who_gets_in() {
    let place = Place::new();
    fs::set_permissions(place.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open to all");
    mount(&place, &[]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let others = |script: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]);
        command.current_dir("/").arg("sh").arg(place.path("mnt/v")).output().expect("setpriv").status.success()
    };
    assert!(!others("ls $1"), "only who mounts");
    remount(&place, &["--allow-other"]);
    fs::set_permissions(place.path("mnt/v"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    assert!(others("ls $1"));
    assert!(!others("touch $1/new"), "the mode decides");
    fs::set_permissions(place.path("mnt/v"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("a mode");
    assert!(others("touch $1/new"));
}

#[test]
fn shown_owners() {
    let place = mounted();
    sh(&place, "v", "echo x > f; chmod 600 f; mkdir d; chmod 700 d");
    let shown = || sh(&place, "v", "stat -c %u,%g,%a f d");
    assert_eq!(shown(), "0,0,600\n0,0,700\n");
    remount(&place, &["-o", "uid=12,gid=34,umask=027,fmask=137"]);
    assert_eq!(shown(), "12,34,640\n12,34,750\n");
    sh(&place, "v", "chmod 604 f");
    assert_eq!(shown(), "12,34,640\n12,34,750\n");
    remount(&place, &[]);
    assert_eq!(shown(), "0,0,604\n0,0,700\n");
}

#[test]
fn ordinary_users() {
    let place = Place::new();
    // Open to all on any machine with udev, and not on some without.
    fs::set_permissions("/dev/fuse", std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .expect("this test needs root");
    for path in [place.path("."), place.mnt()] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("nobody's");
    }
    let program = place.text("glacierfs");
    let copied = Command::new("cp").args([env!("CARGO_BIN_EXE_glacierfs"), &program]).status();
    assert!(copied.expect("cp").success());
    let script = "
        ./glacierfs mount --local vaults --state state --retrieval-delay all=0s --daemon mnt
        mkdir mnt/v; echo hello > mnt/v/f; ln mnt/v/f mnt/v/g; mkfifo mnt/v/p; setfattr -n user.a -v b mnt/v/f
        ./glacierfs flush mnt; ./glacierfs evict mnt; cat mnt/v/g
        mknod mnt/v/d c 1 3 2>/dev/null || echo no device
        ./glacierfs umount mnt";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", script]);
    let done = command.current_dir(place.path(".")).env("HOME", place.path(".")).output().expect("setpriv");
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stderr), place.log());
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.ends_with("hello\nno device\n"), "{said}");
}
