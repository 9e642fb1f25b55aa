//! Names: renames of every kind, links, special files, long and odd names, link counts, what changes whose times.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::RenameFlags;
use nix::fcntl::renameat2;
use nix::sys::stat::Mode;
use nix::sys::stat::SFlag;
use nix::sys::stat::makedev;
use nix::sys::stat::mknod;

use super::Pair;
use super::User;

/// Kinds of things that a name can stand for.
const KINDS: [&str; 8] = ["nothing", "file", "empty", "full", "symlink", "pipe", "device", "link"];

fn make(kind: &str, path: &Path) {
    let is_done = match kind {
        "file" => std::fs::write(path, "file").is_ok(),
        "empty" => std::fs::create_dir(path).is_ok(),
        "full" => std::fs::create_dir_all(path.join("sub")).is_ok(),
        "symlink" => std::os::unix::fs::symlink("nowhere", path).is_ok(),
        "pipe" => mknod(path, SFlag::S_IFIFO, Mode::S_IRWXU, 0).is_ok(),
        "device" => mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3)).is_ok(),
        // To one file, so that both names of a rename may be its.
        "link" => std::fs::hard_link(path.parent().expect("a directory").join("../both"), path).is_ok(),
        _ => true,
    };
    assert!(is_done, "{kind}");
}

/// Promise: a rename does what it does on ext4, of anything over anything, with each flag, in one directory and between two:
/// same outcome, same tree, same link counts, same whiteouts.
#[test]
fn renames_of_anything_over_anything() {
    let pair = Pair::new();
    let flags = [
        RenameFlags::empty(),
        RenameFlags::RENAME_NOREPLACE,
        RenameFlags::RENAME_EXCHANGE,
        RenameFlags::RENAME_WHITEOUT,
        RenameFlags::RENAME_WHITEOUT | RenameFlags::RENAME_NOREPLACE,
        RenameFlags::RENAME_WHITEOUT | RenameFlags::RENAME_EXCHANGE,
        RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE,
    ];
    let each = |target| [("a/target", target), ("b/target", target)];
    for (source, (to, target)) in KINDS.into_iter().flat_map(|s| KINDS.into_iter().flat_map(each).map(move |t| (s, t)))
    {
        for flag in flags {
            let _ = pair.alike(&format!("{source} over {target} at {to}, {flag:?}"), |directory| {
                for name in ["a", "b"] {
                    let _ = std::fs::remove_dir_all(directory.join(name));
                    std::fs::create_dir(directory.join(name)).expect("a directory");
                }
                std::fs::write(directory.join("both"), "both").expect("a file");
                let (old, new) = (directory.join("a/source"), directory.join(to));
                make(source, &old);
                make(target, &new);
                let outcome = renameat2(AT_FDCWD, &old, AT_FDCWD, &new, flag);
                (outcome, tree(directory))
            });
        }
    }
}

/// What there is below a directory, with what stat(2) says of each that doesn't depend on where it is.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, u64, u64, u32, u32)> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = std::fs::symlink_metadata(&path).expect("attributes");
        if meta.is_dir() {
            left.extend(std::fs::read_dir(&path).expect("a listing").map(|entry| entry.expect("an entry").path()));
        }
        let told = (meta.mode(), meta.nlink(), meta.rdev(), meta.uid(), meta.gid());
        found.insert(path.strip_prefix(directory).expect("below it").to_path_buf(), told);
    }
    found
}

/// Promise: a directory can't be moved below itself, and what a rename changes is what it changes on ext4.
#[test]
fn renames_of_directories() {
    let pair = Pair::new();
    pair.same(User::Root, "mkdir -p a/b/c d; mv a a/b/c; mv a a/b; mv -T a a/b/c/x; mv -T a/b a/b; find .");
    pair.same(User::Root, "mkdir e; mv -T a/b/c a; mv -T a/b a; find . | sort | sort; mv a/b d; stat -c '%n %h' . a d d/b; mv -T e a; mv -T d a; find . | sort");
    let exchange = |from: &'static str, to: &'static str| {
        pair.alike(&format!("{from} with {to}"), |directory| {
            let (from, to) = (directory.join(from), directory.join(to));
            let flag = RenameFlags::RENAME_EXCHANGE;
            (renameat2(AT_FDCWD, &from, AT_FDCWD, &to, flag), tree(directory))
        })
    };
    pair.same(User::Root, "rm -rf *; mkdir -p x/y z; echo > x/f; echo > z/g");
    let refused = exchange("x", "x/y");
    assert_eq!(refused.0, Err(Errno::EINVAL));
    assert_eq!(exchange("x/y", "x").0, Err(Errno::EINVAL));
    assert_eq!(exchange("x/y", "z/g").0, Ok(()));
    assert_eq!(exchange("x", "z").0, Ok(()));
}

/// Promise: only its owner takes a name out of a sticky directory, or puts another in its place.
#[test]
fn sticky_directories() {
    let pair = Pair::new();
    pair.same(User::Root, "mkdir s; chmod 1777 s; echo > s/root; mkdir s/dir");
    pair.same(User::Bin, "echo > s/bin; ln s/bin s/bin2; chmod 666 s/bin");
    let tried = "cd s; rm -f root; rmdir dir; mv root mine; echo > mine; mv mine root; mv -f mine bin; mv bin mine; rm -f bin2; \
                 ln bin linked; ls | sort";
    pair.same(User::Nobody, tried);
    pair.same(User::Bin, tried);
}

/// Promise: pipes work, sockets are bound and connected to, devices are root's to make, and all of them have their times,
/// modes, owners and links.
#[test]
fn special_files() {
    let pair = Pair::new();
    pair.same(
        User::Nobody,
        "mkfifo p && (echo through > p & cat p; wait); mknod d c 1 3; mknod q p && rm q; stat -c '%A %u %h %s' p",
    );
    pair.same(
        User::Root,
        "mknod c c 1 3; mknod b b 7 200000; mknod -m 600 big c 4000 70000; stat -c '%n %A %t %T %h %s' c b big",
    );
    pair.same(User::Root, "ln -s nowhere l; ln l l2; ln p p2; ln c c2; stat -c '%n %A %h' l l2 p p2 c c2; readlink l2; rm l; stat -c %h l2");
    let _ = pair.alike("a socket", |directory| {
        // Sockets have short paths.
        let short = tempfile::tempdir().expect("a directory").keep();
        let link = short.join("d");
        std::os::unix::fs::symlink(directory, &link).expect("a link");
        let socket = link.join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let client = std::os::unix::net::UnixStream::connect(&socket);
        assert!(listener.accept().is_ok() && client.is_ok());
        let again = std::os::unix::net::UnixListener::bind(&socket).expect_err("taken").raw_os_error();
        let mode = std::fs::symlink_metadata(&socket).expect("attributes").mode();
        let open = std::fs::File::open(&socket).expect_err("no file").raw_os_error();
        std::fs::remove_file(&socket).expect("removed");
        std::fs::remove_dir_all(&short).expect("removed");
        (again, mode, open)
    });
    pair.place.ok(&["flush", &pair.place.text("mnt")]);
    pair.remount();
    pair.same(User::Root, "stat -c '%n %A %t %T %h %s' c b big p; readlink l2");
}

/// Promise: names are 1 to 255 bytes of anything but `/` and NUL, targets of symbolic links up to 4095, paths up to PATH_MAX.
#[test]
fn long_and_odd_names() {
    let pair = Pair::new();
    let _ = pair.alike("names", |directory| {
        let mut outcomes = Vec::new();
        for name in [
            &[b'x'; 255][..],
            &[b'x'; 256],
            b"\xff\xfe\x80",
            b"\n\t \x01",
            b"-rf",
            b"a\\b",
            "Ü日本".as_bytes(),
            &[0xc3; 255],
        ] {
            let path = directory.join(OsStr::from_bytes(name));
            outcomes.push(std::fs::write(&path, name).map_err(|error| error.raw_os_error()));
            outcomes.push(
                std::fs::rename(&path, directory.join([name, b"2"].concat().escape_ascii().to_string()))
                    .map_err(|e| e.raw_os_error()),
            );
            outcomes.push(std::fs::create_dir(&path).map_err(|error| error.raw_os_error()));
        }
        let mut names: Vec<_> =
            std::fs::read_dir(directory).expect("a listing").map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        (outcomes, names)
    });
    let _ = pair.alike("targets", |directory| {
        let link = directory.join("link");
        [1, 4094, 4095, 4096].map(|length| {
            let _ = std::fs::remove_file(&link);
            let made = std::os::unix::fs::symlink(OsStr::from_bytes(&vec![b'y'; length]), &link);
            let read = std::fs::read_link(&link).map(|target| target.as_os_str().len());
            let size = std::fs::symlink_metadata(&link).map(|meta| meta.len());
            (made.map_err(|e| e.raw_os_error()), read.map_err(|e| e.raw_os_error()), size.map_err(|e| e.raw_os_error()))
        })
    });
    // 40 directories with names of 250 bytes: the last is deeper than a path can say.
    pair.same(
        User::Root,
        "n=$(printf '%0250d' 0); i=0; while [ $i -lt 40 ]; do mkdir $n && cd $n || exit; i=$((i+1)); done; echo deep > f; cat f; \
         cd $(printf '../%.0s' $(seq 40)); find . | wc -lc; rm -r $n; ls",
    );
}

/// Promise: a directory's link count is 2 and one for each directory in it, whatever comes and goes.
#[test]
fn link_counts_of_directories() {
    let pair = Pair::new();
    let show = "; find . -type d -printf '%p %n\\n' | sort; stat -c %h ..";
    for script in ["mkdir -p a/b/c a/d e", "mv a/b e", "mv -T e/b/c a/d", "rm -r a/d", "echo > e/f; rm e/f", "rm -r e"]
    {
        pair.same(User::Root, &(script.to_owned() + &show.replace("; stat -c %h ..", "")));
    }
    let count = || std::fs::metadata(pair.place.mnt()).expect("attributes").nlink();
    assert_eq!(count(), 3);
    std::fs::create_dir(pair.place.path("mnt/w")).expect("a vault");
    assert_eq!(count(), 4);
    std::fs::remove_dir(pair.place.path("mnt/w")).expect("no vault");
    assert_eq!(count(), 3);
}

/// Promise: new files get a set-group-ID directory's group, and new directories the bit with it.
#[test]
fn set_group_id_directories() {
    let pair = Pair::new();
    pair.same(User::Root, "mkdir g; chgrp 12 g; chmod 2777 g; mkdir h; chgrp 13 h; chmod 2777 h");
    for user in [User::Root, User::Bin, User::Nobody] {
        for directory in ["g", "h"] {
            let script = "umask 022; cd DIR; rm -rf *; echo > f; mkdir d; mkfifo p; ln -s x l; mkdir -m 2755 m; install -m 2755 /dev/null i; \
                          touch x; chmod 2775 x; cp -p f c; mv f d/; echo > d/n; stat -c '%n %A %u %g' * d/*; rm -rf *";
            pair.same(user, &script.replace("DIR", directory));
        }
    }
}

/// Promise: an inode's number stays over a new start, and is never given to another.
#[test]
fn inode_numbers() {
    let pair = Pair::new();
    let numbers = || {
        let list = super::shell(User::Root, "find . -mindepth 1 -printf '%p %i\\n' | sort", &pair.vault());
        let parse = |line: &str| {
            line.rsplit_once(' ').map(|(path, ino)| (path.to_owned(), ino.parse::<u64>().expect("a number")))
        };
        list.lines().filter_map(parse).collect::<Vec<_>>()
    };
    super::shell(User::Root, "mkdir d; echo > d/f; ln d/f d/g; ln -s x d/l; mkfifo d/p", &pair.vault());
    let before = numbers();
    pair.remount();
    assert_eq!(numbers(), before);
    let highest = before.iter().map(|(_, ino)| *ino).max();
    super::shell(User::Root, "rm -r d", &pair.vault());
    pair.remount();
    super::shell(User::Root, "echo > new; mkdir newer", &pair.vault());
    assert!(numbers().iter().all(|(_, ino)| Some(*ino) > highest), "{:?} after {before:?}", numbers());
}
