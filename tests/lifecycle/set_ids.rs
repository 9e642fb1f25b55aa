//! Set-user-ID and set-group-ID bits, and capabilities, which a write by somebody else must take away.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::support::Place;

/// What is done to the file `f`, and by whom: `nobody` or root.
const CASES: [(&str, &str, &str); 11] = [
    ("6777", "nobody", "echo more >> f"),
    ("6777", "nobody", "echo less > f"),
    ("6777", "nobody", "truncate -s 1 f"),
    ("6777", "root", "echo more >> f"),
    ("6777", "root", "truncate -s 1 f"),
    ("6777", "root", "chown 12 f"),
    ("6777", "root", "chgrp 12 f"),
    ("2767", "root", "chown 12 f"),
    ("4777", "nobody", "exec 3>>f; echo more >&3; stat -c %a f"),
    ("666", "nobody", "exec 3>>f; chmod 6777 f 2>/dev/null; echo more >&3; stat -c %a f"),
    ("4777", "nobody", "exec 3>>f; echo a >&3; stat -c %a f; chmod 4777 f 2>/dev/null; echo b >&3; stat -c %a f"),
];

fn shell(user: &str, script: &str, directory: &Path) -> String {
    let mut command = match user {
        "root" => Command::new("sh"),
        _ => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
            command
        }
    };
    let done = command.arg("-c").arg(script).current_dir(directory).output().expect("a shell starts");
    assert!(done.stderr.is_empty(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// Promise: after a write, truncation or change of owner a file has the mode that it would have on a local disk, and no
/// capability that somebody else's bytes could use.
#[test]
fn as_on_a_local_disk() {
    assert!(nix::unistd::geteuid().is_root(), "this test acts as two users, which only root can: run it as root");
    let place = Place::new();
    std::fs::set_permissions(place.path("."), PermissionsExt::from_mode(0o755)).expect("a directory for all");
    let done = place.mount(&["--allow-other"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    place.ok(&["vault", "create", "v", "--mount", &place.text("mnt")]);
    std::fs::create_dir(place.path("disk")).expect("a directory");
    let (mount, disk) = (place.path("mnt/v"), place.path("disk"));
    let archive_and_evict = || {
        place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
        place.ok(&["evict", &place.text("mnt/v/f")]);
    };
    let leave = || {};
    let places: [(&str, &Path, &dyn Fn()); 2] = [("warm", &mount, &leave), ("cold", &mount, &archive_and_evict)];
    for (mode, user, script) in CASES {
        let on = |directory: &Path, prepare: &dyn Fn()| {
            // Owned by nobody where nobody changes its mode.
            let owner = if script.contains("chmod") { "65534" } else { "0" };
            shell("root", "rm -f f; echo hello > f", directory);
            prepare();
            let begun = shell("root", &format!("chown {owner} f; chmod {mode} f; stat -c %a f"), directory);
            let said = shell(user, script, directory);
            begun + &said + &shell("root", "stat -c '%a %u %g' f", directory)
        };
        let expected = on(&disk, &leave);
        for (state, directory, prepare) in places {
            assert_eq!(on(directory, prepare), expected, "{state}, mode {mode}, {user}: {script}");
        }
    }
    // cap_net_raw+ep, as setcap(8) writes it.
    let capability = "setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 f";
    for script in ["echo more >> f", "truncate -s 1 f", "chown 12 f", "exec 3>>f; echo a >&3; CAP; echo b >&3"] {
        let script = script.replace("CAP", capability);
        let on = |directory: &Path, prepare: &dyn Fn()| {
            shell("root", "rm -f f; echo hello > f", directory);
            prepare();
            shell("root", &format!("{capability}; {script}"), directory);
            shell("root", "getfattr -d -m- f", directory)
        };
        let expected = on(&disk, &leave);
        for (state, directory, prepare) in places {
            assert_eq!(on(directory, prepare), expected, "{state}: {script}");
        }
    }
}
