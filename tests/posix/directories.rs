//! Directory streams while entries come and go, and what they say.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Pair;
use super::User;

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("a listing");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Promise: a stream has each entry that stays all the while once, whatever else is made, removed or renamed meanwhile; and none
/// that was gone before it began.
#[test]
fn streams_while_entries_come_and_go() {
    const ENTRIES: usize = 2000;
    let pair = Pair::new();
    let directory = pair.vault().join("d");
    std::fs::create_dir(&directory).expect("a directory");
    for n in 0..ENTRIES {
        std::fs::write(directory.join(format!("stays-{n}")), "").expect("a file");
        std::fs::write(directory.join(format!("goes-{n}")), "").expect("a file");
    }
    // Once with a cold listing, and once with one that the kernel may have cached.
    for round in 0..3 {
        let mut seen = Vec::new();
        for (n, entry) in std::fs::read_dir(&directory).expect("a listing").enumerate() {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if n % 7 == 0 {
                std::fs::write(directory.join(format!("comes-{round}-{n}")), "").expect("a file");
                let _ = std::fs::remove_file(directory.join(format!("goes-{}", round * 500 + n / 7)));
                let _ = std::fs::rename(
                    directory.join(format!("goes-{}", ENTRIES - 1 - n / 7)),
                    directory.join(format!("renamed-{round}-{n}")),
                );
            }
            seen.push(name);
            if n > 10 * ENTRIES {
                break;
            }
        }
        let stays = seen.iter().filter(|name| name.starts_with("stays-"));
        assert_eq!(stays.clone().count(), ENTRIES, "round {round}: once each");
        assert_eq!(stays.collect::<BTreeSet<_>>().len(), ENTRIES, "round {round}: every one");
    }
    // As `rm -r` does it: each entry is removed when it is read.
    for entry in std::fs::read_dir(&directory).expect("a listing") {
        let _ = std::fs::remove_file(entry.expect("an entry").path());
    }
    assert_eq!(names(&directory), BTreeSet::new());
}

/// Promise: a new listing has what was made before it began, and not what was removed, every time.
#[test]
fn listings_are_fresh() {
    let pair = Pair::new();
    let directory = pair.vault();
    let mut expected = BTreeSet::new();
    for n in 0..200 {
        let name = format!("f{n}");
        std::fs::write(directory.join(&name), "").expect("a file");
        expected.insert(name);
        assert_eq!(names(&directory), expected, "made {n}");
        if n % 3 == 0 {
            std::fs::rename(directory.join(format!("f{n}")), directory.join(format!("g{n}"))).expect("renamed");
            expected.remove(&format!("f{n}"));
            expected.insert(format!("g{n}"));
            assert_eq!(names(&directory), expected, "renamed {n}");
        }
        if n % 5 == 4 {
            std::fs::remove_file(directory.join(format!("f{}", n - 4)))
                .or_else(|_| std::fs::remove_file(directory.join(format!("g{}", n - 4))))
                .expect("removed");
            expected.remove(&format!("f{}", n - 4));
            expected.remove(&format!("g{}", n - 4));
            assert_eq!(names(&directory), expected, "removed {n}");
        }
    }
}

/// Promise: a stream can be rewound and taken up at any position that it told.
#[test]
fn positions() {
    let pair = Pair::new();
    super::shell(User::Root, "mkdir d; cd d; touch $(seq 1000)", &pair.vault());
    let directory = std::fs::File::open(pair.vault().join("d")).expect("open");
    let mut stream = rustix::fs::Dir::read_from(&directory).expect("a stream");
    let mut told = Vec::new();
    while let Some(entry) = stream.read() {
        let entry = entry.expect("an entry");
        told.push((entry.file_name().to_owned(), entry.offset()));
    }
    assert_eq!(told.len(), 1002);
    for at in [0, 1, 2, 500, 63, 999, 1000] {
        stream.seek(told[at].1).expect("a position");
        let next = stream.read().expect("one more").expect("an entry");
        assert_eq!(next.file_name(), told[at + 1].0.as_c_str(), "after {at}");
    }
    std::fs::write(pair.vault().join("d/new"), "").expect("a file");
    stream.rewind();
    let mut again = 0;
    while let Some(entry) = stream.read() {
        entry.expect("an entry");
        again += 1;
    }
    assert_eq!(again, 1003);
}

/// Promise: a listing tells the numbers and types that stat(2) tells, of `.` and `..` too, also after a move.
#[test]
fn numbers_and_types() {
    let pair = Pair::new();
    let script =
        "mkdir -p a/x b; echo > a/f; ln -s f a/l; mkfifo a/p; mknod a/c c 1 3; ls -a a/x a b > /dev/null; mv a/x b";
    super::shell(User::Root, script, &pair.vault());
    for name in [".", "a", "b", "b/x"] {
        let path = pair.vault().join(name);
        let directory = std::fs::File::open(&path).expect("open");
        for entry in rustix::fs::Dir::read_from(&directory).expect("a stream") {
            let entry = entry.expect("an entry");
            let of = path.join(entry.file_name().to_str().expect("a name"));
            let meta = std::fs::symlink_metadata(&of).expect("attributes");
            assert_eq!(entry.ino(), meta.ino(), "{}", of.display());
            assert_eq!(entry.file_type(), rustix::fs::FileType::from_raw_mode(meta.mode()), "{}", of.display());
        }
    }
}
