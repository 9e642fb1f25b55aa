//! What was deleted comes back.

use std::fs;
use std::process::Command;

use super::support::Done;
use super::support::Place;

const LONG: &[&str] = &["--upload-delay", "1h", "--drain-timeout", "0"];

/// Runs a shell script in a directory below the mount point; what it says. It has to end well.
fn sh(place: &Place, directory: &str, script: &str) -> String {
    let done = Command::new("sh").args(["-ec", script]).current_dir(place.mnt().join(directory)).output().expect("sh");
    // Names are bytes.
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}: {out}{err}");
    out.into_owned()
}

/// Everything that can be seen of a tree but its bytes, its inodes' change times and their numbers.
fn seen(place: &Place, directory: &str) -> String {
    sh(
        place,
        directory,
        "find . -printf '%p %y %m %U %G %s %n %T@ %l\\n' | sort
         getfattr -Rhd -m - . | sort
         getfacl -Rpn . | sort
         find . -type f -links +1 -printf '%i %p\\n' | sort | awk '{print $1 == last ? \"same\" : \"other\", $2; last = $1}'",
    )
}

fn trash(place: &Place, arguments: &[&str]) -> serde_json::Value {
    let mnt = place.text("mnt");
    let all = [&["trash", "list", "--json", "--mount", &mnt], arguments].concat();
    serde_json::from_str(&place.ok(&all)).expect("JSON")
}

fn run(place: &Place, arguments: &[&str]) -> Done {
    let mnt = place.text("mnt");
    place.run(&[&["trash"], arguments, &["--mount", &mnt]].concat())
}

/// Promise: `rm -rf` of all that a vault has is undone by one command: files, directories, links, special files, with
/// modes, owners, times to the nanosecond, attributes, access control lists and hard links; the bytes are the same. It
/// holds over a kill of the daemon.
#[test]
fn rm_rf_of_a_vault_is_undone() {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(LONG);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    sh(
        &place,
        "v",
        "mkdir -p a/b/c 'd e' deep/er; echo one > a/one; head -c 3000000 /dev/urandom > a/b/big; : > a/empty
         printf 'x' > \"d e/$(printf 'odd\\nname \\377')\"; ln a/one a/b/linked; ln a/one 'd e/linked'; ln -s ../one a/b/soft
         mkfifo a/fifo; ln -s nowhere deep/dangling; echo secret > deep/er/secret; chmod 600 deep/er/secret
         chown -h 1000:1001 a/b/soft; chown 7:8 a/one; chmod 2750 a/b; chmod 1777 'd e'
         setfattr -n user.colour -v blue a/one; setfattr -n user.dir -v yes a/b; setfattr -n trusted.t -v t deep/er/secret
         setfacl -m u:55:rwx,d:g:66:rx deep; setfacl -m u:77:r a/b/big
         touch -d '1955-11-05 06:15:00.123456789' a/one; touch -d @1234567890.987654321 a/b/big
         touch -h -d @1111111111.5 a/b/soft; touch -d @1000000000.000000001 a/empty a/fifo
         for d in a/b/c a/b a 'd e' deep/er deep .; do touch -d '2001-02-03 04:05:06.789' \"$d\"; done",
    );
    // Keep the vault's own directory out of what is compared: it isn't deleted.
    let tell = || seen(&place, "v").lines().filter(|line| !line.starts_with(". d")).collect::<Vec<_>>().join("\n");
    let hash = || sh(&place, "v", "find . -type f -exec sha256sum {} + | sort");
    let (before, bytes) = (tell(), hash());
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    // What is younger than a minute and needs no archive isn't kept.
    place.shift(3600);
    sh(&place, "v", "rm -rf ./*");
    assert_eq!(sh(&place, "v", "ls -A"), "");
    assert_eq!(place.status()["queue"]["files"], 0);
    let listed = trash(&place, &[]);
    assert_eq!(listed.as_array().expect("a list").len(), 14, "{listed}");

    place.kill();
    place.ok(&["umount", &place.text("mnt")]);
    place.mount_shifted(LONG);
    assert_eq!(sh(&place, "v", "ls -A"), "");
    let told = place.ok(&["trash", "restore", &place.text("mnt/v")]);
    assert_eq!(told, "Brought back 14 entries, among them 4 files, 2.9 MiB in vaults.\n");
    assert_eq!(tell(), before);
    assert_eq!(hash(), bytes);
    assert_eq!(trash(&place, &[]).as_array().expect("a list").len(), 0);
    // They are as any files.
    sh(&place, "v", "echo more >> a/one; rm -r deep; mv a/b moved; rmdir moved/c");
}

/// Promise: a file comes back with the directories that are missing, as they were; what is there meanwhile stays as it is
/// and is told; and what comes back can go beside that, or to another directory.
#[test]
fn what_is_there_stays() {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(LONG);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    sh(&place, "v", "mkdir -p a/b; chmod 700 a; echo one > a/b/one; echo two > a/b/two; touch -d @1000000000 a");
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.shift(3600);
    sh(&place, "v", "rm -rf a");
    let one = place.text("mnt/v/a/b/one");
    assert_eq!(place.ok(&["trash", "restore", &one]), "Brought back 1 entry, among them 1 file, 4 B in vaults.\n");
    assert_eq!(sh(&place, "v", "stat -c '%a %Y' a; cat a/b/one"), "700 1000000000\none\n");

    sh(&place, "v", "rm a/b/one; echo other > a/b/one");
    let taken = place.run(&["trash", "restore", &one]);
    assert_eq!(taken.code, 8, "{}{}", taken.stdout, taken.stderr);
    assert!(taken.stderr.contains("v/a/b/one: something is there now"), "{}", taken.stderr);
    let told = place.ok(&["trash", "restore", &place.text("mnt/v/a")]);
    assert!(told.starts_with("Brought back 1 entry") && told.contains("1 path was left alone"), "{told}");
    assert_eq!(sh(&place, "v", "cat a/b/one a/b/two"), "other\ntwo\n");

    // Relative to the mount, to another directory, and beside.
    let to = place.text("mnt/v/new/place");
    assert_eq!(run(&place, &["restore", "--to", &to, "v/a/b/one"]).code, 0);
    assert_eq!(sh(&place, "v", "cat new/place/one; mv new/place/one a/b/three; rm a/b/three"), "one\n");
    let id = trash(&place, &["v/a/b/three"])[0]["id"].to_string();
    sh(&place, "v", "echo third > a/b/three");
    assert_eq!(run(&place, &["restore", "--id", &id]).code, 8);
    assert_eq!(run(&place, &["restore", "--id", &id, "--beside"]).code, 0);
    assert_eq!(sh(&place, "v", "cat a/b/three a/b/three~1"), "third\none\n");
    for wrong in [&["restore", "v/nothing"][..], &["restore", "v/a/b/three", "--to", "w/x"]] {
        let done = run(&place, wrong);
        assert!(done.code != 0 && done.stderr.starts_with("glacierfs: "), "{wrong:?}: {}{}", done.stdout, done.stderr);
    }
}

/// Promise: each version that was archived and then overwritten, emptied, or renamed over can be had, the newest first.
#[test]
fn versions_come_back() {
    let place = Place::new();
    assert_eq!(place.mount(LONG).code, 0, "{}", place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let (mnt, file) = (place.text("mnt"), place.text("mnt/v/f"));
    for (version, how) in ["> f", ">> f", "> f", "> g; mv g f"].iter().enumerate() {
        sh(&place, "v", &format!("echo {version} {how}; chmod 64{version} f"));
        place.ok(&["flush", "--timeout", "1min", &mnt]);
    }
    sh(&place, "v", "rm f");
    let listed = trash(&place, &["v/f"]);
    let modes: Vec<u64> =
        listed.as_array().expect("a list").iter().map(|v| v["mode"].as_u64().expect("mode")).collect();
    assert_eq!(modes, [0o100_640, 0o100_641, 0o100_642, 0o100_643], "{listed}");
    for (version, expected) in [("4", "0\n"), ("3", "0\n1\n"), ("2", "2\n"), ("1", "3\n")] {
        let to = place.text(&format!("mnt/v/{version}"));
        place.ok(&["trash", "restore", "--version", if version == "1" { "1" } else { version }, "--to", &to, &file]);
        assert_eq!(sh(&place, "v", &format!("cat {version}/f")), expected);
        // What came back isn't a version in the trash any more.
        sh(&place, "v", &format!("mv {version}/f f; rm f"));
        let id = trash(&place, &["v/f"]).as_array().expect("a list").last().expect("an entry")["id"].to_string();
        place.ok(&["trash", "purge", "--yes", "--id", &id, "--mount", &mnt]);
    }
    assert_eq!(trash(&place, &[]).as_array().expect("a list").len(), 0);
}
