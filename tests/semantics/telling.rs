//! What a file can tell.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::bytes;
use super::flush;
use super::mounted_with;
use super::sh;
use super::told;

#[test]
fn own_attributes() {
    let place = mounted_with(&["--recall-window", "1M"]);
    let state = |name: &str| told(&place, name, "state").expect("a state");
    fs::write(place.path("mnt/v/empty"), "").expect("a file");
    let file = File::create(place.path("mnt/v/f")).expect("a file");
    file.write_all_at(&bytes(3 << 20), 0).expect("written");
    assert_eq!(state("v/f"), "dirty");
    super::support::until("an empty file that needs nothing", || state("v/empty") == "local");
    drop(file);
    super::support::until("the seal", || state("v/f") == "sealed");
    assert_eq!(told(&place, "v/f", "archive_id"), None);
    flush(&place);
    assert_eq!(state("v/f"), "cached");
    assert_eq!(told(&place, "v/f", "archive_id").expect("one").len(), 138);
    assert_eq!(told(&place, "v/f", "tree_hash").expect("one").len(), 64);
    assert!(told(&place, "v/f", "uploaded_at").expect("a time").ends_with('Z'));
    assert_eq!(told(&place, "v/f", "local_bytes").as_deref(), Some("3145728"));
    place.ok(&["evict", &place.text("mnt/v/f")]);
    assert_eq!((state("v/f").as_str(), told(&place, "v/f", "local_bytes").as_deref()), ("archived", Some("0")));
    let mut byte = [0];
    File::open(place.path("mnt/v/f")).and_then(|file| file.read_exact_at(&mut byte, 2 << 20)).expect("recalled");
    assert_eq!((state("v/f").as_str(), told(&place, "v/f", "local_bytes").as_deref()), ("partial", Some("1048576")));

    assert_eq!(told(&place, "v/f", "vault").as_deref(), Some("v"));
    assert_eq!(told(&place, "", "control"), Some(place.text("state/control.sock")));
    assert_eq!(told(&place, "v/f", "control"), None);
    assert_eq!(sh(&place, "v", "getfattr -dm- f empty"), "", "they aren't listed");
    let said = sh(&place, "v", "setfattr -n user.glacierfs.state -v x f 2>&1 || true");
    assert!(said.contains("not permitted"), "{said}");
    sh(&place, "v", "cp -a f copy; rsync -X f ../w/");
}
