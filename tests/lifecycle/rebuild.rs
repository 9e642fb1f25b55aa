//! A lost catalog.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use super::support::Place;

/// What a rebuilt file has to have: size, seconds and nanoseconds of its modification, mode, owner and group.
type Told = (u64, i64, i64, u32, u32, u32);

/// Regular files by the bytes of their paths.
fn files(directory: &Path) -> BTreeMap<Vec<u8>, Told> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let m = std::fs::symlink_metadata(&path).expect("attributes");
            if m.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("below it").as_os_str().as_bytes().to_vec();
                found.insert(name, (m.len(), m.mtime(), m.mtime_nsec(), m.mode(), m.uid(), m.gid()));
            }
        }
    }
    found
}

/// Promise: with the catalog lost, the vaults alone are enough for `glacierfs rebuild` to bring back every regular file
/// with its name, size, times to the nanosecond, mode, owner, and bytes: names of odd bytes, deep and long paths,
/// times before 1970 and far ahead, and two vaults included.
#[test]
fn the_vaults_are_enough_for_the_tree() {
    let place = Place::new();
    let mnt = place.text("mnt");
    let more = ["--inventory-interval", "0", "--upload-delay", "1h"];
    assert_eq!(place.mount(&more).code, 0, "{}", place.log());
    for vault in ["v", "other.vault"] {
        place.ok(&["vault", "create", vault, "--mount", &mnt]);
    }
    let deep = "d/".repeat(150) + "f";
    let long = "n".repeat(255);
    let far = format!("{}/{}/{}", "\u{e4}".repeat(127), "%".repeat(200), "\u{1f600}".repeat(60));
    let names: [&[u8]; 14] = [
        b"plain",
        b" leading and trailing ",
        b"new\nline\ttab\r",
        b"\xff\xfe not UTF-8",
        b"\x01\x7f\\\"'`$*?<>&;|#!",
        b"100%",
        b"%41",
        b"-rf",
        b"...",
        b"e\xcc\x81 and \xc3\xa9",
        deep.as_bytes(),
        long.as_bytes(),
        far.as_bytes(),
        b"a=b,c;d:e{\"f\":1}",
    ];
    // Nanoseconds since 1970: now-ish, before 1970 with and without a fraction, 1901, 2038 and beyond.
    let times: [i64; 7] = [
        1_700_000_000_123_456_789,
        -1,
        -1_000_000_000,
        -86_400_999_999_999,
        -2_147_483_647_000_000_001,
        2_147_483_648_999_999_999,
        7_258_118_400_000_000_001,
    ];
    let modes = [0o644, 0o600, 0o755, 0o000, 0o4755, 0o2711, 0o777];
    let mut bytes = BTreeMap::new();
    for (n, name) in names.iter().enumerate() {
        let vault: &[u8] = if n % 5 == 4 { b"other.vault/" } else { b"v/" };
        let name = [vault, name].concat();
        let path = place.path("mnt").join(OsStr::from_bytes(&name));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        let content: Vec<u8> = (0..1 + 40_000 * n).map(|at| ((at * (n + 1)) >> 3) as u8).collect();
        std::fs::write(&path, &content).expect("a written file");
        std::os::unix::fs::chown(&path, Some(1000 + n as u32), Some(4_000_000_000 + n as u32)).expect("root may");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(modes[n % modes.len()])).expect("a mode");
        let time = times[n % times.len()];
        let distance = Duration::from_nanos(time.unsigned_abs());
        let time = if time < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
        File::open(&path).and_then(|file| file.set_modified(time)).expect("a time");
        bytes.insert(name, content);
    }
    let before = files(&place.path("mnt"));
    assert_eq!(before.len(), names.len());
    let wanted: Vec<_> = times.iter().map(|t| (t.div_euclid(1_000_000_000), t.rem_euclid(1_000_000_000))).collect();
    for time in wanted {
        assert!(before.values().any(|told| (told.1, told.2) == time), "the mount itself lost {time:?}");
    }
    place.ok(&["flush", "--timeout", "1min", &mnt]);
    place.ok(&["umount", &mnt]);

    std::fs::remove_dir_all(place.path("state")).expect("a lost catalog");
    assert_eq!(place.mount(&more).code, 0, "{}", place.log());
    assert!(files(&place.path("mnt")).is_empty(), "nothing is known yet");
    let told = place.ok(&["rebuild", "--timeout", "30s", &mnt]);
    assert_eq!(files(&place.path("mnt")), before, "{told}");
    for (name, content) in bytes {
        let path = place.path("mnt").join(OsStr::from_bytes(&name));
        assert!(std::fs::read(&path).expect("a recall") == content, "{} differs", path.display());
    }
}
