//! Times: what changes which, explicit ones of every age, and what the kernel is left to say.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::UtimensatFlags;
use nix::sys::stat::utimensat;
use nix::sys::time::TimeSpec;

use super::Pair;
use super::User;

/// Promise: every operation changes the times that it changes on ext4 (modification, change), of what it's done to and of the
/// directories around it, and no others.
#[test]
fn what_changes_which() {
    let pair = Pair::new();
    pair.same(
        User::Root,
        "mkdir a b; echo hello > a/f; mkdir a/d; ln -s x a/l; sleep 0.02; touch other; chmod 644 a/f",
    );
    let watched = "a b a/f a/d a/l other b/f b/d b/l a/g";
    for operation in [
        "chmod 600 a/f",
        "chmod 600 a/f",
        "chmod 711 a/d",
        "chown 1:1 a/f",
        "chown :2 a/f",
        "chown -h 3 a/l",
        "chmod 755 a",
        "ln a/f a/g",
        "ln a/f b/f",
        "rm a/g",
        "mv b/f b/g",
        "mv b/g a/g",
        "ln a/l b/l",
        "rm b/l",
        "mv a/g b/f",
        "mv -T b/f other",
        "mv -T other b/f",
        "touch other",
        "mv a/d b/d",
        "mv b/d a/d",
        "mkdir a/d/e",
        "rmdir a/d/e",
        "echo > a/new",
        "rm a/new",
        "mkfifo a/p",
        "rm a/p",
        "cat a/f; ls a; readlink a/l",
        "echo more >> a/f",
        ": >> a/f",
        ": > a/f",
        ": > a/f",
        "truncate -s 10 a/f",
        "truncate -s 10 a/f",
        "setfattr -n user.x -v 1 a/f",
        "setfattr -x user.x a/f",
        "setfattr -x user.x a/f",
        "setfattr -n user.x -v 1 a/d",
        "setfacl -m u:2:r a/f",
        "setfacl -m d:u:2:r a/d",
        "setfacl -k a/d",
        "touch -m -d 2001-01-01 a/f",
        "touch -a -d 2001-01-01 a/f",
        "touch -h -d 2001-01-01 a/l",
        "touch a/d",
        "rmdir a/d",
        "dd if=/dev/null of=a/f conv=notrunc status=none",
        "ln a/f a/f",
        "mv -n a/f b/f",
        "rm b/nothing",
        "chmod 600 a/nothing",
    ] {
        // Long enough that the clock of coarse grain, which file systems use, has moved on.
        let script = format!(
            "show() {{ for f in {watched}; do [ -e $f -o -h $f ] && stat -c '%n %y %z' $f; done; }}; \
             show > ../before; sleep 0.02; {operation}; show > ../after; \
             awk 'NR == FNR {{ m[$1] = $2 $3; c[$1] = $5 $6; next }} !($1 in m) {{ print $1, \"new\"; next }} \
                  m[$1] != $2 $3 {{ print $1, \"modified\" }} c[$1] != $5 $6 {{ print $1, \"changed\" }}' ../before ../after"
        );
        // Beside the two directories.
        let script = script.replace("../", &pair.place.text(""));
        pair.same(User::Root, &script);
    }
}

fn set(path: &Path, atime: TimeSpec, mtime: TimeSpec) -> nix::Result<()> {
    utimensat(nix::fcntl::AT_FDCWD, path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)
}

/// Promise: times are kept to the nanosecond, from 1678 to 2262, of files of every state and of everything else, over a new
/// start too. (ext4 ends in 1901 and in 2446.)
#[test]
fn explicit_times() {
    let pair = Pair::new();
    super::shell(User::Root, "echo > file; mkdir dir; ln -s nowhere link; mkfifo pipe; : > empty", &pair.vault());
    let times = [
        (-9_200_000_000, 1),
        (-2_147_483_649, 999_999_999),
        (-1, 500_000_000),
        (-1, 0),
        (0, 0),
        (0, 1),
        (1, 999_999_999),
        (2_147_483_647, 123_456_789),
        (2_147_483_648, 1),
        (4_294_967_296, 5),
        (9_223_372_035, 999_999_999),
    ];
    let names = ["file", "dir", "link", "pipe", "empty"];
    let show = |path: &Path| {
        let meta = std::fs::symlink_metadata(path).expect("attributes");
        ((meta.atime(), meta.atime_nsec()), (meta.mtime(), meta.mtime_nsec()))
    };
    for (n, time) in times.into_iter().enumerate() {
        let other = times[times.len() - 1 - n];
        for name in names {
            let path = pair.vault().join(name);
            set(&path, TimeSpec::new(other.0, other.1), TimeSpec::new(time.0, time.1)).expect("set");
            assert_eq!(show(&path), (other, time), "{name}");
        }
        if n % 4 == 0 {
            pair.place.ok(&["flush", &pair.place.text("mnt")]);
            pair.remount();
            for name in names {
                assert_eq!(show(&pair.vault().join(name)), (other, time), "{name} after a new start");
            }
        }
    }
}

/// Promise: UTIME_OMIT leaves a time alone and UTIME_NOW is the present; both need what they need on ext4.
#[test]
fn omitted_and_present_times() {
    let pair = Pair::new();
    pair.same(User::Root, "echo > mine; echo > all; chmod 666 all; chmod 644 mine; touch -d @1000000000.5 mine all");
    for (atime, mtime) in [
        (TimeSpec::UTIME_OMIT, TimeSpec::UTIME_OMIT),
        (TimeSpec::UTIME_OMIT, TimeSpec::UTIME_NOW),
        (TimeSpec::UTIME_NOW, TimeSpec::UTIME_OMIT),
        (TimeSpec::UTIME_NOW, TimeSpec::UTIME_NOW),
        (TimeSpec::new(5, 6), TimeSpec::UTIME_OMIT),
        (TimeSpec::UTIME_OMIT, TimeSpec::new(7, 8)),
        (TimeSpec::new(5, 6), TimeSpec::UTIME_NOW),
    ] {
        let _ = pair.alike(&format!("{atime:?} {mtime:?}"), |directory| {
            let path = directory.join("mine");
            set(&path, TimeSpec::new(1, 2), TimeSpec::new(3, 4)).expect("set");
            let before = std::fs::metadata(&path).expect("attributes");
            std::thread::sleep(std::time::Duration::from_millis(20));
            set(&path, atime, mtime).expect("set");
            let after = std::fs::metadata(&path).expect("attributes");
            let now = |seconds: i64| if seconds > 1_000_000_000 { -1 } else { seconds };
            (
                now(after.atime()),
                now(after.mtime()),
                after.ctime_nsec() == before.ctime_nsec() && after.ctime() == before.ctime(),
            )
        });
    }
    let tried =
        "touch all && echo now; touch -d @5 all; touch -a all; touch mine; touch -d @5 mine; stat -c '%n %A' mine all";
    pair.same(User::Nobody, tried);
}

/// Promise: reading changes no time; a new file's four times are its making's.
#[test]
fn reading_and_making() {
    let pair = Pair::new();
    let script = "echo hello > f; mkdir d; ln -s f l; touch -a -d @5 f d; touch -h -a -d @5 l; cat f l; ls d; readlink l; stat -c %X f d l";
    let said = super::shell(User::Root, script, &pair.vault());
    assert_eq!(said, "hello\nhello\nf\n5\n5\n5\n");
    let said = super::shell(User::Root, "date +%s; : > n; mkdir m; stat -c '%X %Y %Z' n m; date +%s", &pair.vault());
    let numbers: Vec<i64> = said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    assert!(numbers.is_sorted() && numbers.len() == 8, "{said}");
}
