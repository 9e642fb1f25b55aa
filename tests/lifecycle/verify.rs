//! What is known held against what there is.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::support::Done;
use super::support::Place;
use super::support::finished;

const OPTIONS: &[&str] = &["--upload-delay", "0", "--snapshot-delay", "off"];
const ALL: [&str; 2] = ["--timeout", "30s"];

/// A mount whose clock can be shifted, with these files in its vault, archived.
fn archived(files: &[(&str, &[u8])]) -> Place {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(OPTIONS);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    for (name, bytes) in files {
        fs::write(place.path("mnt/v").join(name), bytes).expect("a written file");
    }
    place.ok(&["flush", "--timeout", "30s", &place.text("mnt")]);
    place
}

/// The one file below `dir` of `size` bytes.
fn file_of(dir: &Path, size: u64) -> PathBuf {
    let (mut found, mut waiting) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            match fs::metadata(&path).expect("attributes") {
                meta if meta.is_dir() => waiting.push(path),
                meta if meta.len() == size => found.push(path),
                _ => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A bit of a file turns round, without its time telling of it.
fn rot(path: &Path) {
    let file = File::options().read(true).write(true).open(path).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1234).expect("a byte");
    file.write_all_at(&[byte[0] ^ 4], 1234).expect("another");
}

fn run(place: &Place, command: &str, more: &[&str]) -> Done {
    let mnt = place.text("mnt");
    let mount: &[&str] = if command == "scrub" { &[&mnt] } else { &["--mount", &mnt] };
    place.run(&[&[command], &ALL[..], more, mount].concat())
}

/// Promise: `scrub` finds what has rotted on this machine's disk, says so, and has it retrieved again; who has the file open, or
/// has read it before, reads what was archived from then on. What is good stays.
#[test]
fn what_rots_here_is_retrieved_again() {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let place = archived(&[("rots", &bytes), ("stays", b"good"), ("empty", b"")]);
    let done = run(&place, "scrub", &[]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "2 files, 293.0 KiB as archived\n"), "{}", done.stderr);
    rot(&file_of(&place.path("state/store"), 300_000));
    let mut open = File::open(place.path("mnt/v/rots")).expect("opened");
    let mut read = Vec::new();
    open.read_to_end(&mut read).expect("read");
    assert!(read != bytes, "the disk says something else by now");
    let done = run(&place, "scrub", &[]);
    assert_eq!((done.code, done.stdout.as_str()), (8, "1 file, 4 B as archived\n"), "{}", done.stderr);
    assert!(done.stderr.contains("v/rots: what was kept here isn't what was archived"), "{}", done.stderr);
    place.ok(&["restore", "--wait", "--timeout", "30s", &place.text("mnt/v/rots")]);
    let mut again = vec![0; bytes.len()];
    open.read_exact_at(&mut again, 0).expect("read");
    assert!(again == bytes, "who had it open reads what was archived");
    assert!(fs::read(place.path("mnt/v/rots")).expect("read") == bytes);
    let done = run(&place, "scrub", &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!((done.code, &told["good"], &told["bad"]), (0, &2.into(), &0.into()), "{told}");
}

/// Promise: `verify` names by its path what somebody else deleted from a vault, once the inventory is recent enough to tell; it
/// names what somebody else put there, ends with 8 then, and changes nothing. `inventory` makes a file of what is unknown.
#[test]
fn what_others_did_to_a_vault_is_named() {
    let place = archived(&[("there", b"there"), ("deleted", b"deleted"), ("unknown", b"unknown")]);
    let done = run(&place, "verify", &[]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("3 archives in the inventory") && done.stdout.contains("3 as the"), "{}", done.stdout);
    let status = place.status();
    let url = status["endpoint"].as_str().expect("an address").to_owned();
    let mut getfattr = Command::new("getfattr");
    getfattr.args(["--only-values", "-n", "user.glacierfs.archive_id"]).arg(place.path("mnt/v/deleted"));
    let id = finished(&mut getfattr).stdout;
    let mut command =
        place.command(&["archive", "delete", "v", &id, "--yes", "--endpoint", &url, "--region", "us-east-1"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("vaults/credentials")).env("AWS_PROFILE", "glacierfs");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let deleted = finished(&mut command);
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);

    let done = run(&place, "verify", &[]);
    assert_eq!(done.code, 0, "an inventory may be a day old: {}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("1 younger than the inventory"), "{}", done.stdout);
    place.shift(3 * 24 * 3600);
    let done = run(&place, "verify", &["v"]);
    assert_eq!(done.code, 8, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("1 missing there") && done.stdout.contains("v/deleted: 7 bytes"), "{}", done.stdout);
    let done = run(&place, "verify", &["v", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    let finding = &told[0]["report"]["findings"][0];
    assert_eq!((&finding["what"], &finding["path"]), (&"missing".into(), &"v/deleted".into()), "{told}");
    assert_eq!(finding["local"], true, "{told}");
    assert_eq!(fs::read(place.path("mnt/v/deleted")).expect("still here"), b"deleted");

    let done = run(&place, "verify", &["none"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("none"), "{}", done.stderr);
}

/// Promise: `verify --data` retrieves as much as it was told of what isn't here, compares it, and leaves nothing of it behind; an
/// archive that has changed in the vault is named.
#[test]
fn a_sample_of_the_bytes() {
    let (one, other) = (vec![1_u8; 200_000], vec![2_u8; 250_000]);
    let place = archived(&[("one", &one), ("other", &other), ("here", b"here")]);
    place.ok(&["evict", &place.text("mnt/v/one"), &place.text("mnt/v/other")]);
    let done = run(&place, "verify", &["--data", "1MiB"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("v: retrieved 2 files, 439.5 KiB, 2 as archived"), "{}", done.stdout);
    assert_eq!(place.status()["cache"]["files"], 1, "nothing of it stays");
    rot(&file_of(&place.path("vaults"), 200_000));
    let done = run(&place, "verify", &["--data", "1MiB", "v"]);
    assert_eq!(done.code, 8, "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("v/one: it can't be retrieved"), "{}", done.stderr);
    let done = run(&place, "verify", &["--data", "220000", "v"]);
    assert!(done.stdout.contains("1 file left out"), "{}", done.stdout);
}
