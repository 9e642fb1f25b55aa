//! Mount options, and mounts of users other than root. These tests act as several users: run them as root.

use std::fs::Permissions;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::process::Command;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::support::Done;
use super::support::Place;
use super::support::finished;
use super::support::until;

/// The user "nobody", who is everywhere.
const NOBODY: u32 = 65534;

/// A place that belongs to nobody, who has a copy of the program there.
fn nobodys() -> Place {
    assert!(nix::unistd::geteuid().is_root(), "this test acts as two users, which only root can: run it as root");
    let place = Place::new();
    // Open to all on any machine with udev, and not on some without.
    std::fs::set_permissions("/dev/fuse", Permissions::from_mode(0o666)).expect("FUSE for all");
    // By another process: a child that another test starts meanwhile would inherit our copy as open for writing.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_glacierfs")).arg(place.path("glacierfs")).status();
    assert!(copied.expect("cp starts").success());
    for path in [place.path("."), place.mnt()] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("nobody's directory");
    }
    place
}

/// Runs a program as nobody.
fn as_nobody(place: &Place, program: &str, arguments: &[&str]) -> Done {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]).args(arguments);
    command.current_dir(place.path(".")).stdin(Stdio::null()).env_clear().env("HOME", place.path("."));
    finished(command.env("PATH", std::env::var("PATH").unwrap_or_default()))
}

fn glacierfs(place: &Place, arguments: &[&str]) -> Done {
    as_nobody(place, &place.text("glacierfs"), arguments)
}

fn mount(place: &Place, more: &[&str]) -> Done {
    let (local, state, mnt) = (place.text("vaults"), place.text("state"), place.text("mnt"));
    let first = ["mount", "--local", &local, "--state", &state, "--retrieval-delay", "all=0s", "--daemon"];
    glacierfs(place, &[&first, more, &[&mnt]].concat())
}

fn pid(place: &Place) -> Pid {
    let done = glacierfs(place, &["status", "--json", &place.text("mnt")]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    let status: serde_json::Value = serde_json::from_str(&done.stdout).expect("a status is JSON");
    Pid::from_raw(i32::try_from(status["pid"].as_i64().expect("a process ID")).expect("a process ID"))
}

/// What a user does with files, all in one go; it prints what must be the same anywhere.
const DAY: &str = r#"
set -e
cd "$1"; mkdir d; echo one > d/a; ln d/a d/b; ln -s a d/c; mkfifo d/p; echo two >> d/b; chmod 4751 d/a; chmod 1777 d
mv d/b d/e; setfattr -n user.colour -v blue d/a; touch -d 1969-07-20T20:17:40.5Z d/e; truncate -s 100000 d/big
stat -c '%n %A %h %s %u %g' d d/a d/c d/e d/p d/big; stat -c %.Y d/e; getfattr --absolute-names -d d/a; cat d/c
mknod d/node c 1 3 2>/dev/null && echo a device; chown 0 d/a 2>/dev/null && echo given away
rm d/e; rmdir d 2>&1 | grep -c 'not empty'; ls d
"#;

/// Promise: a user other than root mounts, works, evicts, recalls, unmounts, and mounts over what a killed daemon left, through
/// fusermount3; everything is as on a local disk, and no other user gets in, root neither.
#[test]
fn without_being_root() {
    let place = nobodys();
    let done = mount(&place, &["--upload-delay", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    let (mnt, vault) = (place.text("mnt"), place.text("mnt/v"));
    let told = as_nobody(&place, "mkdir", &[&vault, &place.text("disk")]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let day = |directory: &str| {
        let done = as_nobody(&place, "sh", &["-c", DAY, "sh", directory]);
        assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
        // The size of a directory is each file system's own affair.
        done.stdout.lines().filter(|line| !line.starts_with("d d")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(day(&vault), day(&place.text("disk")));
    let error = std::fs::read_dir(place.mnt()).expect_err("others stay out, root too");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);

    for command in ["flush", "evict"] {
        let done = glacierfs(&place, &[command, &mnt]);
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
    }
    assert_eq!(as_nobody(&place, "cat", &[&place.text("mnt/v/d/a")]).stdout, "one\ntwo\n", "recalled");

    let daemon = pid(&place);
    kill(daemon, Signal::SIGKILL).expect("the daemon's end");
    until("the daemon's end", || kill(daemon, None).is_err());
    let done = mount(&place, &[]);
    assert_eq!(done.code, 0, "over a dead mount: {}{}", done.stderr, place.log());
    assert_eq!(as_nobody(&place, "cat", &[&place.text("mnt/v/d/a")]).stdout, "one\ntwo\n");

    let daemon = pid(&place);
    let done = as_nobody(&place, "fusermount3", &["-u", &mnt]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    until("the daemon's end", || kill(daemon, None).is_err());
    assert_eq!(mount(&place, &[]).code, 0, "{}", place.log());
    let done = glacierfs(&place, &["umount", &mnt]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!place.is_mounted());
}

/// Promise: what a user may not do is refused with what would allow it, and nothing is mounted.
#[test]
fn what_only_an_administrator_allows() {
    let place = nobodys();
    let conf = std::fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    let allowed = conf.lines().any(|line| line.trim() == "user_allow_other");
    for option in ["allow_other", "allow_root"] {
        let done = mount(&place, &["-o", option]);
        match allowed {
            true => {
                assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
                assert_eq!(glacierfs(&place, &["umount", &place.text("mnt")]).code, 0);
            }
            false => {
                assert_eq!(done.code, 5, "{}", done.stderr);
                assert!(
                    done.stderr.contains("the line user_allow_other in /etc/fuse.conf allows it"),
                    "{}",
                    done.stderr
                );
                assert!(!place.is_mounted());
            }
        }
    }
    chown(place.mnt(), Some(0), Some(0)).expect("root's mount point");
    let done = mount(&place, &[]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    assert!(done.stderr.contains("user has no write access to mountpoint"), "{}", done.stderr);
}

/// Promise: uid, gid, umask, fmask and dmask show every file so, and access goes by it; what is recorded stays, and shows again
/// without them.
#[test]
fn owners_and_modes_as_shown() {
    let place = nobodys();
    assert_eq!(place.mount(&[]).code, 0, "{}", place.log());
    let vault = place.path("mnt/v");
    std::fs::create_dir(&vault).expect("a vault");
    std::fs::create_dir(vault.join("d")).expect("a directory");
    std::fs::write(vault.join("d/f"), "one").expect("a written file");
    std::os::unix::fs::symlink("f", vault.join("d/l")).expect("a link");
    for (name, mode) in [("d", 0o700), ("d/f", 0o4600)] {
        std::fs::set_permissions(vault.join(name), Permissions::from_mode(mode)).expect("a mode");
    }
    let shown = |name: &str| {
        let meta = std::fs::symlink_metadata(vault.join(name)).expect("attributes");
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    let recorded = [((0o700, 0, 0), "d"), ((0o4600, 0, 0), "d/f"), ((0o777, 0, 0), "d/l")];
    recorded.iter().for_each(|(is, name)| assert_eq!(shown(name), *is, "{name}"));
    place.ok(&["umount", &place.text("mnt")]);

    let done = place.mount(&["-o", "allow_other,uid=65534,gid=12,umask=077,fmask=133"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    assert_eq!(shown("d"), (0o700, NOBODY, 12));
    assert_eq!(shown("d/f"), (0o644, NOBODY, 12));
    assert_eq!(shown("d/l"), (0o777, NOBODY, 12));
    let script =
        "cd \"$1\"; cat d/f; echo two > d/new; mkdir d/sub; chmod 640 d/new; stat -c %a,%u,%g d/new d/sub; ls d";
    let done = as_nobody(&place, "sh", &["-c", script, "sh", &place.text("mnt/v")]);
    assert_eq!(done.stdout, "one644,65534,12\n700,65534,12\nf\nl\nnew\nsub\n", "{}", done.stderr);
    std::fs::write(vault.join("d/roots"), "x").expect("a written file");
    assert_eq!(shown("d/roots"), (0o644, NOBODY, 12));
    place.ok(&["umount", &place.text("mnt")]);

    assert_eq!(place.mount(&[]).code, 0, "{}", place.log());
    recorded.iter().for_each(|(is, name)| assert_eq!(shown(name), *is, "{name}"));
    assert_eq!(shown("d/new"), (0o640, NOBODY, NOBODY), "what was changed meanwhile was recorded");
    assert_eq!(shown("d/roots").1, 0);
}

/// Promise: ro and noexec do what they say, every mount is nosuid and nodev, and mount(8)'s helper takes them as fstab has them.
#[test]
fn ro_and_noexec() {
    let place = Place::new();
    assert_eq!(place.mount(&["--drain-timeout", "0"]).code, 0, "{}", place.log());
    let script = place.path("mnt/v/script");
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    std::fs::write(&script, "#!/bin/sh\necho runs\n").expect("a written file");
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(finished(&mut Command::new(&script)).stdout, "runs\n");
    place.ok(&["umount", &place.text("mnt")]);

    let helper = place.path("mount.glacierfs");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_glacierfs"), &helper).expect("a link");
    let options = format!("ro,noexec,users,noauto,_netdev,x-systemd.automount,noatime,state={}", place.text("state"));
    let mut command = Command::new(&helper);
    let done = finished(command.arg(place.path("vaults")).arg(place.mnt()).args(["-o", &options]).stdin(Stdio::null()));
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let line = table.lines().find(|line| line.contains(&place.text("mnt"))).expect("mounted");
    assert!(line.contains(" ro,nosuid,nodev,noexec"), "{line}");
    let error = Command::new(&script).output().expect_err("noexec");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = std::fs::write(place.path("mnt/v/new"), "x").expect_err("ro");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(std::fs::read(&script).expect("a read").len(), 20);
}
