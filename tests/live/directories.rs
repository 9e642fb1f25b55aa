//! Directory streams of some thousand entries, by getdents(2) itself, so that it is known where a stream stands: beside changes, beside
//! each other, over a remount.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Seek;
use std::io::SeekFrom;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::sys::stat::SFlag;
use nix::sys::stat::mknod;
use rustix::fs::FileType;
use rustix::fs::RawDir;
use rustix::io::Errno;

use super::support::Place;

/// More than ten buffers of entries.
const ENTRIES: usize = 5000;

/// An entry as a listing has it.
struct Found {
    name: String,
    ino: u64,
    kind: FileType,
    /// The position behind it, as telldir(3) has it.
    after: u64,
}

/// An open directory stream.
struct Stream(File);

impl Stream {
    fn open(directory: &Path) -> Self {
        Stream(File::open(directory).expect("a directory"))
    }

    /// What one getdents(2) answers with a buffer of 8 KiB: some 250 entries.
    fn some(&mut self) -> Vec<Found> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut raw = RawDir::new(&self.0, &mut buffer);
        let mut found = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = match entry {
                // The directory was removed.
                Err(Errno::NOENT) => return found,
                entry => entry.expect("an entry"),
            };
            found.push(Found {
                name: entry.file_name().to_string_lossy().into_owned(),
                ino: entry.ino(),
                kind: entry.file_type(),
                after: entry.next_entry_cookie(),
            });
            if raw.is_buffer_empty() {
                break;
            }
        }
        found
    }

    /// All that is left of it.
    fn rest(&mut self) -> Vec<Found> {
        let mut all = Vec::new();
        loop {
            let some = self.some();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
            assert!(all.len() < 10 * ENTRIES, "the stream doesn't end");
        }
    }

    fn seek(&mut self, position: u64) {
        self.0.seek(SeekFrom::Start(position)).expect("a position");
    }
}

fn name(n: usize) -> String {
    format!("f{n:05}")
}

/// A mount with a directory of `count` empty files in a vault.
fn with_files(count: usize) -> (Place, PathBuf) {
    let place = Place::new();
    let done = place.mount(&["--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    let directory = place.path("mnt/v/d");
    std::fs::create_dir_all(&directory).expect("a vault");
    for n in 0..count {
        make(&directory.join(name(n)));
    }
    (place, directory)
}

/// Makes an empty file, without opening it, which would take several times as long.
fn make(path: &Path) {
    mknod(path, SFlag::S_IFREG, Mode::S_IRUSR | Mode::S_IWUSR, 0).expect("a file");
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(|entry| entry.name.as_str()).filter(|name| !name.starts_with('.')).collect()
}

/// The names, each of which must be there once.
fn once(found: &[Found]) -> BTreeSet<&str> {
    let all = names(found);
    let set: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(set.len(), all.len(), "a name is there twice");
    set
}

/// Promise: while others make, remove and rename entries and list the directory, a stream has each entry that stays once, and those
/// that come or go at most once; whether the kernel knew the listing before or not.
#[test]
fn streams_beside_changes() {
    let (_place, directory) = with_files(ENTRIES);
    let mut there: BTreeSet<String> = (0..ENTRIES).map(name).collect();
    for round in 0..3 {
        let (before, mut found) = (there.clone(), Vec::new());
        let (mut stream, mut turn) = (Stream::open(&directory), 0);
        loop {
            let some = stream.some();
            let Some(last) = some.last() else { break };
            // Where the stream stands, where it has been, and where it will come.
            let mut go = vec![last.name.clone(), some[some.len() / 2].name.clone()];
            go.extend(there.iter().rev().step_by(701).cloned());
            // What was made or renamed meanwhile stays, or the stream had always more to come.
            go.retain(|name| name.starts_with('f') && there.remove(name));
            for (n, name) in go.iter().enumerate() {
                let path = directory.join(name);
                if n % 2 == 0 {
                    std::fs::remove_file(path).expect("removed");
                } else {
                    let new = format!("r{round}-{name}");
                    std::fs::rename(path, directory.join(&new)).expect("renamed");
                    there.insert(new);
                }
            }
            // Not at the end, which would never come.
            if found.len() < ENTRIES / 2 {
                let new = format!("n{round}-{}", found.len());
                make(&directory.join(&new));
                there.insert(new);
            }
            found.extend(some);
            turn += 1;
            if turn % 4 == 0 {
                // Another stream sees just what is there now.
                let now = Stream::open(&directory).rest();
                assert!(once(&now).into_iter().eq(there.iter()), "round {round}");
            }
            assert!(found.len() < 3 * ENTRIES, "the stream doesn't end");
        }
        let seen = once(&found);
        let missing = before.iter().filter(|name| there.contains(*name) && !seen.contains(name.as_str())).count();
        assert_eq!(missing, 0, "round {round}: of {}", before.len());
    }
}

/// Promise: a stream goes on behind an entry that was removed meanwhile, also when another has listed the directory since, however
/// many entries are left. (Where these fill the kernel's pages exactly, it takes the end of its cache for the directory's.)
#[test]
fn streams_whose_place_is_gone() {
    // Each of these takes 32 bytes there, and so do `.` and `..`.
    const A_PAGE: usize = 128;
    let (_place, directory) = with_files(20 * A_PAGE);
    let mut left: BTreeSet<String> = (0..20 * A_PAGE).map(name).collect();
    for _ in 0..4 {
        drop(Stream::open(&directory).rest());
        let mut stream = Stream::open(&directory);
        let mut found = stream.some();
        let place = found.last().expect("entries").name.clone();
        let others: Vec<String> = left.iter().rev().filter(|name| **name != place).cloned().collect();
        let surplus = (left.len() + 2) % A_PAGE;
        let surplus = if surplus == 0 { A_PAGE } else { surplus };
        for name in [&place].into_iter().chain(&others[..surplus - 1]) {
            std::fs::remove_file(directory.join(name)).expect("removed");
            left.remove(name);
        }
        for _ in 0..2 {
            assert_eq!(once(&Stream::open(&directory).rest()).len(), left.len());
        }
        found.extend(stream.rest());
        let seen = once(&found);
        assert_eq!(left.iter().filter(|name| !seen.contains(name.as_str())).count(), 0, "of {}", left.len());
    }
}

/// Promise: a stream that is sent back to a remembered position has what comes behind it, the entries that stay in the same order;
/// one that is rewound has what is there now; and two of one directory are in nobody's way.
#[test]
fn positions() {
    let (_place, directory) = with_files(ENTRIES);
    for _ in 0..2 {
        let (mut stream, mut other) = (Stream::open(&directory), Stream::open(&directory));
        let all = stream.rest();
        let mut beside = other.some();
        for at in [ENTRIES - 1, 0, ENTRIES / 2, 1, 777] {
            stream.seek(all[at].after);
            let some = stream.some();
            assert_eq!(names(&some), names(&all[at + 1..=at + some.len()]), "behind entry {at}");
            beside.extend(other.some());
        }
        beside.extend(other.rest());
        assert_eq!(names(&beside), names(&all));
        stream.seek(all[100].after);
        std::fs::remove_file(directory.join(&all[100].name)).expect("removed");
        std::fs::remove_file(directory.join(&all[300].name)).expect("removed");
        std::fs::rename(directory.join(&all[200].name), directory.join("renamed")).expect("renamed");
        assert_eq!(names(&stream.rest())[..99], names(&all[101..200]));
        stream.seek(0);
        let again = stream.rest();
        let again = once(&again);
        assert!(again.contains("renamed") && !again.contains(all[200].name.as_str()) && again.len() == ENTRIES - 2);
        // As it was, for the next round.
        std::fs::remove_file(directory.join("renamed")).expect("removed");
        for at in [100, 200, 300] {
            make(&directory.join(&all[at].name));
        }
        stream.seek(0);
        assert_eq!(once(&stream.rest()).len(), ENTRIES);
    }
}

/// Inode numbers by name, of a listing whose types and numbers are compared with what stat(2) says.
fn numbers(directory: &Path) -> BTreeMap<String, u64> {
    let found = Stream::open(directory).rest();
    for entry in &found {
        let meta = std::fs::symlink_metadata(directory.join(&entry.name)).expect("attributes");
        assert_eq!((entry.ino, entry.kind), (meta.ino(), FileType::from_raw_mode(meta.mode())), "{}", entry.name);
    }
    found.into_iter().map(|entry| (entry.name, entry.ino)).collect()
}

/// Promise: a listing has each entry's type and inode number as stat(2) has them, `.` and `..` too, and they are the same after a
/// remount; hard links share one, and nothing else does.
#[test]
fn types_and_inode_numbers() {
    let (place, directory) = with_files(ENTRIES);
    std::fs::create_dir(directory.join("directory")).expect("a directory");
    std::os::unix::fs::symlink("nowhere", directory.join("symlink")).expect("a link");
    nix::unistd::mkfifo(&directory.join("fifo"), Mode::S_IRWXU).expect("a pipe");
    std::os::unix::net::UnixListener::bind(directory.join("socket")).expect("a socket");
    std::fs::hard_link(directory.join(name(7)), directory.join("linked")).expect("a link");
    let before = numbers(&directory);
    assert_eq!(before.len(), ENTRIES + 7);
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), ENTRIES + 6);
    assert_eq!(before["linked"], before[&name(7)]);
    assert_eq!(numbers(&directory), before, "as the kernel remembers it");
    let vault = || numbers(directory.parent().expect("a vault"));
    let above = vault();
    for _ in 0..2 {
        place.ok(&["umount", "--drain", "0", "--timeout", "20s", &place.text("mnt")]);
        let done = place.mount(&["--drain-timeout", "0"]);
        assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
        assert_eq!(numbers(&directory), before);
        assert_eq!(vault(), above);
    }
}

/// Promise: `rm -rf` of a large directory leaves nothing, while others list it too.
#[test]
fn removed_while_it_is_listed() {
    let (_place, directory) = with_files(ENTRIES);
    std::fs::create_dir(directory.join("below")).expect("a directory");
    make(&directory.join("below/file"));
    let mut stream = Stream::open(&directory);
    let mut found = stream.some();
    let mut removing = Command::new("rm").arg("-rf").arg(&directory).spawn().expect("rm starts");
    while removing.try_wait().expect("a child").is_none() {
        if directory.exists() {
            // It may be gone since.
            let _ = std::fs::read_dir(&directory).map(Iterator::count);
        }
        found.extend(stream.some());
    }
    assert!(removing.wait().expect("a child").success());
    once(&found);
    assert!(stream.rest().is_empty(), "a removed directory has no entries");
    assert!(!directory.exists());
    assert_eq!(std::fs::read_dir(directory.parent().expect("a vault")).expect("a listing").count(), 0);
}
