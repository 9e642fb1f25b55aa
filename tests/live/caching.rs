//! What the kernel remembers is never older than what there is: changes from outside the mount, and mappings.

use std::path::Path;
use std::process::Command;

use super::state;
use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::support::until;
use super::with_cold_files;

/// The names in a directory, as the kernel gives them, which may be from its memory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Promise: what an inventory finds appears in directories that were listed before, with its size, new directories too; and
/// vaults that the command line makes and deletes appear and go.
#[test]
fn changes_from_outside() {
    let (place, other) = (Place::new(), Place::new());
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0"]);
    let mut mount = other.endpoint_mount(&serve.url, &["--upload-delay", "0"]);
    mount.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials"));
    let mnt = place.text("mnt");
    let vault = place.path("mnt/v");
    std::fs::create_dir(&vault).expect("a vault");
    std::fs::create_dir(vault.join("d")).expect("a directory");
    std::fs::write(vault.join("d/f"), "mine").expect("a written file");
    let before = (names(&vault), names(&vault.join("d")), names(&place.mnt()));
    assert_eq!(before, (vec!["d".into()], vec!["f".into()], vec!["v".into()]));
    assert!(std::fs::metadata(vault.join("d/g")).is_err() && std::fs::metadata(vault.join("new/deep")).is_err());
    let links = |path: &Path| std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(path).expect("attributes"));
    assert_eq!(links(&vault), 3);

    let done = finished(&mut mount);
    assert_eq!(done.code, 0, "{}{}", done.stderr, other.log());
    for (name, size) in [("d/g", 1000), ("new/deep/h", 2000), ("top", 3000)] {
        let path = other.path("mnt/v").join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, vec![7; size]).expect("a written file");
    }
    other.ok(&["flush", "--timeout", "30s", &other.text("mnt")]);
    place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &mnt]);
    until("the news", || names(&vault) == ["d", "new", "top"]);
    until("the news", || names(&vault.join("d")) == ["f", "g"]);
    assert_eq!(names(&vault.join("new/deep")), ["h"]);
    until("the news", || links(&vault) == 4);
    for (name, size) in [("d/g", 1000), ("new/deep/h", 2000), ("top", 3000)] {
        assert_eq!(std::fs::metadata(vault.join(name)).expect("attributes").len(), size);
        assert!(std::fs::read(vault.join(name)).expect("a recall") == vec![7; size as usize]);
    }
    // A rebuild of the whole catalog is told to the kernel as well.
    std::fs::write(other.path("mnt/v/new/late"), "later").expect("a written file");
    other.ok(&["flush", "--timeout", "30s", &other.text("mnt")]);
    assert!(std::fs::metadata(vault.join("new/late")).is_err());
    place.ok(&["rebuild", "--timeout", "20s", &mnt]);
    until("the news", || names(&vault.join("new")) == ["deep", "late"]);
    assert_eq!(std::fs::read(vault.join("new/late")).expect("a recall"), b"later");
    place.ok(&["vault", "create", "w", "--mount", &mnt]);
    until("the news", || names(&place.mnt()) == ["v", "w"]);
    assert!(std::fs::metadata(place.path("mnt/w")).expect("attributes").is_dir());
    place.ok(&["vault", "delete", "w", "--mount", &mnt]);
    until("the news", || names(&place.mnt()) == ["v"]);
    until("the news", || std::fs::metadata(place.path("mnt/w")).is_err());
}

/// Runs Python with a file's path as `f`; an assertion there fails the test.
fn python(code: &str, file: &Path) {
    let script = format!("import mmap, os, sys\nf = sys.argv[1]\n{code}");
    let done = finished(Command::new("/usr/bin/python3").args(["-c", &script]).arg(file));
    assert_eq!(done.code, 0, "{code}\n{}", done.stderr);
}

/// Mappings and the calls beside them. What one does the others see at once, and size and time are right right after.
const MAPPINGS: [&str; 5] = [
    // Shared: written through the mapping, read by a call and after another open; the time is new after msync, and after close.
    "a = os.open(f, os.O_RDWR); m = mmap.mmap(a, 0); old = os.fstat(a).st_mtime_ns\n\
     m[5000:5003] = b'abc'; m.flush(); assert os.fstat(a).st_mtime_ns > old, 'mtime'\n\
     assert os.pread(a, 3, 5000) == b'abc'; b = os.open(f, 0); assert os.pread(b, 3, 5000) == b'abc'\n\
     m[9000:9003] = b'xyz'; m.close(); os.close(a); assert os.pread(b, 3, 9000) == b'xyz'\n\
     assert os.stat(f).st_size == 100_000",
    // Private: nobody else sees it.
    "a = os.open(f, os.O_RDWR); m = mmap.mmap(a, 0, flags=mmap.MAP_PRIVATE); m[0:3] = b'abc'; m[4096:4099] = b'abc'\n\
     assert m[0:4] == b'abc\\0' and os.pread(a, 3, 0) == b'\\0\\0\\0'; m.close()\n\
     assert open(f, 'rb').read() == bytes(100_000)",
    // Written by one descriptor, mapped by another.
    "a = os.open(f, os.O_RDWR); b = os.open(f, os.O_RDWR); m = mmap.mmap(a, 0); assert m[5000] == 0\n\
     os.pwrite(b, b'abc', 5000); assert m[5000:5003] == b'abc'\n\
     m[6000:6003] = b'xyz'; assert os.pread(b, 3, 6000) == b'xyz'; os.ftruncate(b, 200_000)\n\
     assert os.fstat(a).st_size == 200_000; m.resize(200_000); assert m[199_999] == 0\n\
     os.pwrite(b, b'end', 199_997); assert m[199_997:] == b'end'",
    // O_DIRECT beside cached reads.
    "a = os.open(f, os.O_RDWR | os.O_DIRECT); b = os.open(f, os.O_RDWR); assert os.pread(b, 3, 0) == b'\\0\\0\\0'\n\
     page = mmap.mmap(-1, 4096); page[:3] = b'abc'; assert os.pwritev(a, [page], 0) == 4096\n\
     assert os.pread(b, 3, 0) == b'abc'; os.pwrite(b, b'xyz', 0); assert os.preadv(a, [page], 0) == 4096\n\
     assert page[:3] == b'xyz'",
    // A file that wasn't local when it was opened, and is for the next to open it.
    "a = os.open(f, os.O_RDWR); assert os.pread(a, 3, 0) == b'\\0\\0\\0'; b = os.open(f, os.O_RDWR)\n\
     assert os.pread(b, 3, 0) == b'\\0\\0\\0'; m = mmap.mmap(b, 0); n = mmap.mmap(a, 0); assert m[7] == n[7] == 0\n\
     os.pwrite(a, b'abc', 5000); assert os.pread(b, 3, 5000) == b'abc' == m[5000:5003] == n[5000:5003]\n\
     os.pwrite(b, b'xyz', 5000); assert os.pread(a, 3, 5000) == b'xyz' == m[5000:5003] == n[5000:5003]\n\
     m[5000] = 1; m.flush(); assert os.pread(a, 1, 5000) == b'\\1' == os.pread(b, 1, 5000) == n[5000:5001]",
];

/// Promise: who reads while somebody writes who can't read, which goes past the kernel's memory of the file, reads the bytes that
/// there are, by a mapping too; and the attributes are right.
#[test]
fn a_writer_who_cannot_read() {
    let place = Place::new();
    let done = place.mount(&["--upload-delay", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    let code = r#"
import mmap, os, sys
path = sys.argv[1]
writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
os.write(writer, b'a' * 100000)
reader = os.open(path, os.O_RDONLY)
assert os.read(reader, 200000) == b'a' * 100000
shown = mmap.mmap(reader, 100000, prot=mmap.PROT_READ)
assert shown[50000:50010] == b'a' * 10
for n in range(50):
    byte = bytes([65 + n % 26])
    assert os.pwrite(writer, byte * 3000, 49000 + n * 7) == 3000
    assert os.pread(reader, 3000, 49000 + n * 7) == byte * 3000, n
    assert shown[50000:50010] == byte * 10, n
    other = os.open(path, os.O_RDWR)
    os.pwrite(other, b'!', 49500)
    assert os.pread(reader, 1, 49500) == b'!' and shown[49500:49501] == b'!'
    os.close(other)
    end = os.pwrite(writer, byte, 100000 + n) + 100000 + n
    assert os.stat(path).st_size == os.fstat(reader).st_size == end
    assert os.pread(reader, 10, 100000 + n) == byte
os.close(writer)
assert os.pread(reader, 10, 49500)[:1] == b'!'
"#;
    python(code, &place.path("mnt/v/f"));
}

/// Promise: mappings, calls and O_DIRECT see each other's bytes at once, on files that are local, that aren't, and as on a disk.
#[test]
fn mappings() {
    let place = Place::new();
    let done = place.mount(&["--upload-delay", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    for code in MAPPINGS {
        let on_disk = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mapped");
        std::fs::write(&on_disk, vec![0; 100_000]).expect("a written file");
        python(code, &on_disk);
        for evicted in [false, true] {
            // Of zeros.
            with_cold_files(&place, 1, 100_000);
            if !evicted {
                assert!(std::fs::read(place.path("mnt/v/cold0")).expect("a recall") == vec![0; 100_000]);
            }
            python(code, &place.path("mnt/v/cold0"));
        }
    }
}

/// Promise: evicted and restored, a file has the same bytes however it is read, and tells its state at once.
#[test]
fn there_and_back() {
    let place = Place::new();
    assert_eq!(place.mount(&["--upload-delay", "0"]).code, 0, "{}", place.log());
    with_cold_files(&place, 3, 100_000);
    let file = place.path("mnt/v/cold2");
    for _ in 0..3 {
        assert_eq!(state(&place, "mnt/v/cold2"), "archived");
        let opened = std::fs::File::open(&file).expect("an open file");
        python("m = mmap.mmap(os.open(f, 0), 0, prot=mmap.PROT_READ); assert m[:] == b'\\2' * 100_000", &file);
        assert_eq!(state(&place, "mnt/v/cold2"), "cached");
        place.ok(&["evict", &place.text("mnt/v")]);
        let mut bytes = vec![0; 100_000];
        std::os::unix::fs::FileExt::read_exact_at(&opened, &mut bytes, 0).expect("an open file is read");
        assert!(bytes == vec![2; 100_000]);
        place.ok(&["restore", "--wait", "--timeout", "20s", &place.text("mnt/v")]);
        assert!(std::fs::read(&file).expect("a read") == vec![2; 100_000]);
        place.ok(&["evict", &place.text("mnt/v")]);
        super::forget_pages(&file);
    }
}
