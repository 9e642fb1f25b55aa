//! The catalog is in the vault too: lost with the whole state directory, and there again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::support::until;

const OPTIONS: [&str; 6] = ["--inventory-interval", "0", "--upload-delay", "1h", "--snapshot-delay", "off"];

fn mount(place: &Place) {
    let done = place.mount(&OPTIONS);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

fn sh(place: &Place, script: &str) -> String {
    let done = finished(Command::new("bash").args(["-euc", script]).current_dir(place.mnt()));
    assert_eq!(done.code, 0, "{script}: {}{}", done.stdout, done.stderr);
    done.stdout
}

/// A tree of everything there is, with names, owners and times that are hard to keep.
fn make_tree(place: &Place) {
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    sh(
        place,
        r"cd v
        mkdir -p empty 'a dir'/b/c deep/$(printf 'd/%.0s' {1..60})
        for n in 1 2 3; do seq $n 5000 >'a dir'/f$n; done
        : >nothing; : >'a dir'/none
        ln 'a dir'/f1 'a dir'/b/again; ln 'a dir'/f1 third; ln nothing deep/nothing
        ln -s ../nowhere link; ln -s /abs 'a dir'/link; ln link hard-link-of-a-link
        mkfifo pipe; mknod char c 1 3; mknod block b 7 200000
        echo x >$'\xff\xfe not UTF-8'; ln -s $'\xfe target' utf; mkdir $'\xfd'; echo y >$'\xfd'/in
        setfattr -n user.a -v 1 'a dir'; setfattr -n user.b -v 0x00ff00 'a dir'/f1; setfattr -n trusted.t -v z nothing
        setfattr -h -n trusted.l -v l link
        setfacl -m u:12345:rwx 'a dir'/f2; setfacl -d -m g:23456:rx 'a dir'/b
        chmod 4755 'a dir'/f1; chmod 2770 empty; chmod 000 'a dir'/f3; chmod 1777 .
        chown 1000:4000000001 'a dir'/f2 empty; chown -h 77:78 link
        touch -d '1900-01-01 00:00:00.123456789 UTC' 'a dir'/f3
        touch -d '1969-12-31 23:59:59.5 UTC' nothing; touch -h -d '2240-02-03 04:05:06.000000001 UTC' link
        touch -d '1999-01-01 UTC' empty deep 'a dir'; touch -a -d '1971-01-01 UTC' 'a dir'/f2; touch -d '1980-01-01 UTC' .",
    );
}

type Tree = BTreeMap<PathBuf, String>;

/// Everything that can be told of each entry, with inode numbers but without the links that rebuilding can't keep in order.
fn tree(place: &Place) -> Tree {
    let root = place.path("mnt/v");
    let mut found = Tree::new();
    let mut waiting = vec![root.clone()];
    while let Some(path) = waiting.pop() {
        let m = fs::symlink_metadata(&path).expect("attributes");
        let mut told = format!(
            "ino {} mode {:o} nlink {} owner {}:{} rdev {} size {} atime {}.{} mtime {}.{} ctime {}.{}",
            if path == root { 0 } else { m.ino() },
            m.mode(),
            m.nlink(),
            m.uid(),
            m.gid(),
            m.rdev(),
            m.size(),
            m.atime(),
            m.atime_nsec(),
            m.mtime(),
            m.mtime_nsec(),
            m.ctime(),
            m.ctime_nsec()
        );
        if m.is_symlink() {
            told += &format!(" target {:?}", fs::read_link(&path).expect("a target"));
        }
        if m.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        }
        // The many that have none.
        if path.starts_with(root.join("m")) {
            found.insert(path.strip_prefix(&root).expect("below").to_path_buf(), told);
            continue;
        }
        let attributes = Command::new("getfattr").args(["-hd", "-m-", "-ehex", "--absolute-names"]).arg(&path).output();
        let attributes = attributes.expect("getfattr starts").stdout;
        let lines = attributes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        told += &lines.map(|line| format!(" {}", String::from_utf8_lossy(line))).collect::<String>();
        found.insert(path.strip_prefix(&root).expect("below").to_path_buf(), told);
    }
    found
}

#[track_caller]
fn assert_same(after: &Tree, before: &Tree, place: &Place) {
    for (path, told) in before {
        assert_eq!(after.get(path), Some(told), "{}\n{}", path.display(), place.log());
    }
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(new.is_empty(), "{new:?}");
}

fn bytes(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: &Path| fs::read(place.path("mnt/v").join(path)).ok();
    let tree = tree(place);
    let files =
        tree.keys().filter(|path| fs::symlink_metadata(place.path("mnt/v").join(path)).is_ok_and(|m| m.is_file()));
    files.map(|path| (path.clone(), read(path).expect("a readable file"))).collect()
}

fn archive(place: &Place) {
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
}

fn snapshot(place: &Place, more: &[&str]) -> String {
    let mnt = place.text("mnt");
    let mut arguments = vec!["snapshot", "v", "--wait", "--timeout", "1min", "--mount", &mnt];
    arguments.extend(more);
    place.ok(&arguments)
}

/// The state directory is lost, with everything in it.
fn lose(place: &Place) {
    place.ok(&["umount", &place.text("mnt")]);
    fs::remove_dir_all(place.path("state")).expect("a lost state directory");
    mount(place);
}

fn rebuild(place: &Place, more: &[&str]) -> String {
    let mnt = place.text("mnt");
    let mut arguments = vec!["rebuild", "--timeout", "1min", &mnt];
    arguments.extend(more);
    place.ok(&arguments)
}

/// The names of the snapshots, by a catalog that has them.
fn snapshots(place: &Place) -> Vec<String> {
    let listed = fs::read_dir(place.path("mnt/v/.glacierfs/snapshots")).expect("the directory of snapshots");
    let mut names: Vec<_> = listed
        .map(|entry| String::from_utf8_lossy(entry.expect("an entry").file_name().as_bytes()).into_owned())
        .collect();
    names.sort();
    names
}

/// Promise: with the whole state directory lost, `glacierfs rebuild` brings back from the newest snapshot every entry as it was:
/// inode numbers, hard links, symbolic links, FIFOs, devices, empty files and directories, owners, modes, access control
/// lists, attributes, and times to the nanosecond; the bytes come from the archives; a second rebuild changes nothing.
#[test]
fn everything_is_there_again() {
    let place = Place::new();
    mount(&place);
    make_tree(&place);
    archive(&place);
    let (before, contents) = (tree(&place), bytes(&place));
    let told = snapshot(&place, &[]);
    assert!(told.contains("full"), "{told}");
    assert_same(&tree(&place), &before, &place);
    lose(&place);
    assert_eq!(tree(&place).len(), 1, "nothing is known yet");
    let told = rebuild(&place, &[]);
    assert!(told.contains("from snapshot") && !told.contains("lost") && !told.contains("place"), "{told}");
    assert_same(&tree(&place), &before, &place);
    assert_eq!(bytes(&place), contents);
    let told = rebuild(&place, &[]);
    assert!(!told.contains("from snapshot"), "it is known now: {told}");
    assert_same(&tree(&place), &before, &place);
    let checked = place.run(&["catalog", "check", "--mount", &place.text("mnt")]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}

/// Promise: a delta says what has changed since, and with the full one before brings the last state back: files that are new,
/// changed, renamed and removed; what came after the last snapshot comes by the archives' descriptions.
#[test]
fn a_delta_and_what_came_after() {
    let place = Place::new();
    mount(&place);
    make_tree(&place);
    sh(&place, "cd v; mkdir many; for n in {1..300}; do : >many/$RANDOM-$n; done; echo gone >gone; : >gone-too");
    archive(&place);
    snapshot(&place, &[]);
    assert!(snapshot(&place, &[]).contains("nothing has changed"));
    sh(
        &place,
        "cd v; rm gone-too; mv 'a dir' moved; echo new >moved/new; ln moved/new linked; rmdir empty; chmod 600 third",
    );
    archive(&place);
    let told = snapshot(&place, &[]);
    assert!(told.contains("delta"), "{told}");
    let before = tree(&place);
    sh(&place, "echo later >v/later; : >v/later-and-empty");
    archive(&place);
    lose(&place);
    rebuild(&place, &[]);
    let mut after = tree(&place);
    assert!(after.remove(Path::new("later")).is_some(), "{after:?}");
    // What was made after the snapshot changed the times of the vault's directory.
    let mut before = before;
    before.remove(Path::new(""));
    after.remove(Path::new(""));
    assert_same(&after, &before, &place);
    assert_eq!(fs::read_to_string(place.path("mnt/v/later")).expect("recalled"), "later\n");
}

/// Promise: what was in the trash is in it again after a rebuild, and comes back with all that it was: an overwritten version
/// too, hard links, and its attributes.
#[test]
fn the_trash_is_there_again() {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(&OPTIONS[2..]);
    make_tree(&place);
    archive(&place);
    let (before, contents) = (tree(&place), bytes(&place));
    // What is younger than a minute and needs no archive isn't kept.
    place.shift(3600);
    sh(&place, r"cd v; rm -rf 'a dir' third; echo other >$'\xfd'/in");
    archive(&place);
    snapshot(&place, &[]);
    let list = || -> serde_json::Value {
        let mnt = place.text("mnt");
        let mut listed: serde_json::Value =
            serde_json::from_str(&place.ok(&["trash", "list", "--json", "--mount", &mnt])).expect("JSON");
        for one in listed.as_array_mut().expect("a list") {
            one.as_object_mut().expect("an object").retain(|key, _| !key.starts_with("due") && key != "days");
        }
        listed
    };
    let trash = list();
    assert!(trash.as_array().is_some_and(|all| all.len() > 3), "{trash}");
    place.ok(&["umount", &place.text("mnt")]);
    fs::remove_dir_all(place.path("state")).expect("a lost state directory");
    place.mount_shifted(&OPTIONS[2..]);
    let told = rebuild(&place, &[]);
    assert!(told.contains("from snapshot") && !told.contains("lost") && !told.contains("place"), "{told}");
    assert_eq!(list(), trash);
    let checked = place.run(&["catalog", "check", "--mount", &place.text("mnt")]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    fs::remove_file(place.path("mnt/v").join(std::ffi::OsStr::from_bytes(b"\xfd/in"))).expect("in the way");
    place.ok(&["trash", "restore", &place.text("mnt/v")]);
    let after = bytes(&place);
    for (path, bytes) in contents.iter().filter(|(path, _)| !path.starts_with(std::ffi::OsStr::from_bytes(b"\xfd"))) {
        assert_eq!(after.get(path), Some(bytes), "{}", path.display());
    }
    let again = tree(&place);
    let shown = |tree: &Tree, path: &Path| tree.get(path).map(|told| told.split(" ctime").next().map(str::to_owned));
    for path in contents.keys().filter(|path| path.starts_with("a dir")) {
        assert_eq!(shown(&again, path), shown(&before, path), "{}", path.display());
    }
}

/// Promise: a snapshot that is damaged is named, and the one before it is taken; with `--no-snapshot` the descriptions are enough
/// for the files, and a snapshot then adds what is missing.
#[test]
fn damaged_snapshots() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &OPTIONS[2..]);
    make_tree(&place);
    archive(&place);
    snapshot(&place, &[]);
    let before = tree(&place);
    sh(&place, "echo later >v/later");
    archive(&place);
    // Half of a snapshot, and nonsense, under names that say that they are newer.
    let good = snapshots(&place).pop().expect("a snapshot");
    let whole = fs::read(place.path("mnt/v/.glacierfs/snapshots").join(&good)).expect("a readable snapshot");
    let (half, nonsense) = (place.path("half"), place.path("nonsense"));
    fs::write(&half, &whole[..whole.len() / 2]).expect("half a snapshot");
    fs::write(&nonsense, "nonsense").expect("nonsense");
    let names =
        ["29990101T000000Z-full.jsonl.zst", "29990102T000000Z-full.jsonl.zst", "29990103T000000Z-delta.jsonl.zst"];
    for (file, name) in [&half, &nonsense, &nonsense].into_iter().zip(names) {
        put(&place, &serve, file, name);
    }
    let lose = || {
        place.ok(&["umount", &place.text("mnt")]);
        fs::remove_dir_all(place.path("state")).expect("a lost state directory");
        place.mount_endpoint(&serve.url, &OPTIONS[2..]);
    };
    lose();
    let told = rebuild(&place, &[]);
    for name in names {
        assert!(told.contains(&format!("a snapshot can't be used: {name}")), "{told}");
    }
    assert!(told.contains(&format!("from snapshot {good}")), "{told}");
    assert_eq!(fs::read_to_string(place.path("mnt/v/later")).expect("recalled"), "later\n");
    let after = tree(&place);
    for (path, told) in before.iter().filter(|(path, _)| !path.as_os_str().is_empty()) {
        assert_eq!(after.get(path), Some(told), "{}", path.display());
    }

    lose();
    rebuild(&place, &["--no-snapshot"]);
    assert_eq!(fs::read_to_string(place.path("mnt/v/later")).expect("recalled"), "later\n");
    assert!(!place.path("mnt/v/link").is_symlink());
    rebuild(&place, &[]);
    assert!(place.path("mnt/v/link").is_symlink() && place.path("mnt/v/empty").is_dir());
    let names = ["a dir/f1", "a dir/b/again", "third"].map(|name| place.path("mnt/v").join(name));
    let inos = names.map(|path| fs::metadata(path).expect("a file").ino());
    assert!(inos.iter().all(|ino| *ino == inos[0]), "hard links are linked again: {inos:?}");
}

/// Puts an archive into `v` that is described as a snapshot called `name`.
fn put(place: &Place, serve: &Serve, file: &Path, name: &str) {
    let size = fs::metadata(file).expect("a file").len();
    // Its date makes a content's key that no other has. Nothing but a description of ours is taken for a snapshot.
    let key = format!("{:0>16}", &name[..8]);
    let description = format!("glacierfs/1 k={key} s={size} m=400 t=1.000000000 u=0 g=0 p=.glacierfs/snapshots/{name}");
    let file = file.to_string_lossy();
    let mut command = place.command(&["archive", "put", "v", &file, "--description", &description]);
    command.args(["--endpoint", &serve.url, "--region", "us-east-1"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let done = finished(&mut command);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// How many entries there are below `directory`.
fn count(directory: &Path) -> usize {
    let Ok(listed) = fs::read_dir(directory) else { return 0 };
    let entries = listed.filter_map(Result::ok);
    entries
        .map(|entry| 1 + if entry.file_type().is_ok_and(|kind| kind.is_dir()) { count(&entry.path()) } else { 0 })
        .sum()
}

/// Promise: a rebuild that is killed again and again comes to the same end.
#[test]
fn killed_in_the_middle() {
    let place = Place::new();
    mount(&place);
    make_tree(&place);
    sh(&place, "cd v; for d in {1..60}; do mkdir -p m/$d; for f in {1..100}; do : >m/$d/$f; done; done");
    archive(&place);
    snapshot(&place, &[]);
    let before = tree(&place);
    lose(&place);
    let mut seen = Vec::new();
    for round in 0..6 {
        let (mnt, pid) = (place.text("mnt"), place.pid());
        let mut command = place.command(&["rebuild", &mnt]);
        let command = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("the command starts");
        // In the middle of the directories, then of the files, each time a little later. A pause would be too long.
        let sign = if round == 0 { place.path("mnt/v") } else { place.path(&format!("mnt/v/m/{}", 10 * round)) };
        let is_empty = || fs::read_dir(&sign).is_ok_and(|mut listed| listed.next().is_none());
        while (!sign.exists() || is_empty()) && child.try_wait().expect("a child").is_none() {}
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("the daemon is ours");
        until("the daemon's end", || nix::sys::signal::kill(pid, None).is_err());
        child.wait().expect("the command ends with its daemon");
        mount(&place);
        seen.push(count(&place.path("mnt/v")));
    }
    rebuild(&place, &[]);
    assert_same(&tree(&place), &before, &place);
    let all = before.len() - 1;
    assert!(seen.iter().any(|n| *n > 0 && *n < all), "no kill came in the middle: {seen:?} of {all}");
    let checked = place.run(&["catalog", "check", "--mount", &place.text("mnt")]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}

/// Promise: the directory of snapshots isn't listed, is there by its name, and nobody changes anything in it, root neither; a
/// vault with nothing else in it is empty.
#[test]
fn nobody_elses_business() {
    let place = Place::new();
    mount(&place);
    sh(&place, "mkdir v w; echo x >v/f");
    let refused = |script: &str| {
        let done = finished(Command::new("bash").args(["-c", script]).current_dir(place.path("mnt")));
        assert!(done.code != 0 && done.stderr.contains("Operation not permitted"), "{script}: {}", done.stderr);
    };
    refused("mkdir v/.glacierfs");
    archive(&place);
    snapshot(&place, &[]);
    assert_eq!(sh(&place, "ls -a v"), ".\n..\nf\n");
    let name = snapshots(&place).pop().expect("a snapshot");
    let own = "v/.glacierfs";
    let file = format!("{own}/snapshots/{name}");
    for script in [
        format!("rm {file}"),
        format!("echo >>{file}"),
        format!("truncate -s 0 {file}"),
        format!("mv {file} v/g"),
        format!("mv v/f {file}"),
        format!("mv v/f {own}/f"),
        format!("ln {file} v/g"),
        format!("touch {own}/new"),
        format!("mkdir {own}/new"),
        format!("ln -s a {own}/new"),
        format!("chmod 777 {file}"),
        format!("chown 1 {own}"),
        format!("touch {file}"),
        format!("setfattr -n user.a -v b {file}"),
        format!("setfacl -m u:1:rwx {own}"),
        format!("mv {own} v/g"),
        "mkdir v/d && mv v/d w/.glacierfs || mv v/d v/.glacierfs".to_owned(),
    ] {
        refused(&script);
    }
    let text = sh(&place, &format!("zstd -dcq {file} | tail -n 1"));
    assert!(text.starts_with(r#"{"end":true,"#), "{text}");
    sh(
        &place,
        "mv v/f v/g; touch w/.glacierfs-not; rm w/.glacierfs-not; mkdir -p w/d/.glacierfs; rmdir -p w/d/.glacierfs 2>/dev/null || :",
    );
    archive(&place);
}

/// Promise: snapshots come by themselves once nothing changes, and none comes for nothing.
#[test]
fn by_themselves() {
    let place = Place::new();
    let done = place.mount(&["--inventory-interval", "0", "--upload-delay", "0", "--snapshot-delay", "300ms"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    sh(&place, "mkdir v empty; echo x >v/f");
    let taken = || place.path("mnt/v/.glacierfs/snapshots").read_dir().map_or(0, |listed| listed.count());
    until("a snapshot", || taken() == 1);
    place.ok(&["flush", &place.text("mnt")]);
    // Longer than the longest distance, a hundred delays, would be for nothing: a dozen are enough to see that none comes.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(taken(), 1, "{:?}", snapshots(&place));
    assert!(!place.path("mnt/empty/.glacierfs").exists(), "there is nothing to tell of an empty vault");
    sh(&place, "ln -s x v/link");
    until("another", || taken() == 2);
}

/// Promise: a copy of the catalog that was made while it was mounted is the catalog again after `restore`, which takes no
/// directory from a daemon, and keeps the one before; what isn't a catalog is refused.
#[test]
fn copies_on_this_machine() {
    let place = Place::new();
    mount(&place);
    make_tree(&place);
    archive(&place);
    let (mnt, state, copy) = (place.text("mnt"), place.text("state"), place.text("copy.db"));
    place.ok(&["catalog", "backup", &copy, "--mount", &mnt]);
    let before = tree(&place);
    assert_eq!(place.run(&["catalog", "backup", &copy, "--mount", &mnt]).code, 1, "nothing is overwritten");
    let exported = place.ok(&["catalog", "export", "--vault", "v", "--mount", &mnt]);
    let inodes: BTreeSet<_> = before.values().map(|told| told.split(' ').nth(1)).collect();
    assert_eq!(exported.lines().count(), inodes.len() + 2, "a line an inode, the first and the last: {exported}");
    assert_eq!(place.run(&["catalog", "restore", &copy, "--state", &state]).code, 6, "a daemon has it");
    sh(&place, "rm -r v/*");
    place.ok(&["umount", &mnt]);
    assert_eq!(place.run(&["catalog", "restore", &place.text("state/lock"), "--state", &state]).code, 1);
    let told = place.ok(&["catalog", "restore", &copy, "--state", &state]);
    assert!(told.contains("The catalog before is"), "{told}");
    assert_eq!(place.ok(&["catalog", "check", "--state", &state]), "Everything is as it must be.\n");
    mount(&place);
    assert_same(&tree(&place), &before, &place);
}
