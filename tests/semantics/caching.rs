//! What stays local, and what goes.

use std::fs;
use std::time::Duration;

use rustix::fs::XattrFlags;

use super::bytes;
use super::flush;
use super::mounted;
use super::mounted_with;
use super::remount;
use super::sh;
use super::support::Place;
use super::support::until;
use super::told;

/// Which of the files of vault `v` are local.
fn local(place: &Place, names: &[&str]) -> Vec<String> {
    let cached = |name: &&&str| {
        let path = format!("v/{name}");
        place.path("mnt").join(&path).exists() && told(place, &path, "state").as_deref() == Some("cached")
    };
    names.iter().filter(cached).map(|name| (*name).to_owned()).collect()
}

/// Archives a file of a megabyte, and waits until it is noted as used before whatever comes next.
fn archived(place: &Place, name: &str) {
    fs::write(place.path("mnt/v").join(name), bytes(1_000_000)).expect("a file");
    flush(place);
}

#[test]
fn pins() {
    let place = mounted_with(&["--cache-size", "3500000", "--cache-low", "2500000"]);
    sh(&place, "v", "mkdir kept");
    let kept = place.path("mnt/v/kept");
    let set = |value: &str| rustix::fs::setxattr(&kept, "user.glacierfs.pin", value.as_bytes(), XattrFlags::empty());
    set("true").expect("set");
    for name in ["kept/a", "b", "c"] {
        archived(&place, name);
    }
    assert_eq!(told(&place, "v/kept/a", "pin").as_deref(), Some("true"), "it is inherited");
    assert_eq!(told(&place, "v/b", "pin"), None);
    archived(&place, "d");
    let all = ["kept/a", "kept/e", "b", "c", "d", "e"];
    until("evictions", || local(&place, &all) == ["kept/a", "d"]);
    let refused = place.run(&["evict", &place.text("mnt/v")]);
    assert_eq!(refused.code, 8);
    assert!(refused.stderr.contains("v/kept/a: pinned"), "{}", refused.stderr);
    assert_eq!(local(&place, &all), ["kept/a"]);

    // It is pinned after a restart, too, as what is new in there is; what is moved out isn't.
    remount(&place, &["--cache-size", "1500000", "--cache-low", "500000"]);
    archived(&place, "kept/e");
    archived(&place, "e");
    archived(&place, "d2");
    until("evictions", || local(&place, &all) == ["kept/a", "kept/e"]);
    let report: serde_json::Value =
        serde_json::from_str(&place.ok(&["cache", "--json", &place.text("mnt")])).expect("JSON");
    assert_eq!((report["pinned_files"].as_u64(), report["pinned_bytes"].as_u64()), (Some(2), Some(2_000_000)));
    assert!(place.ok(&["cache", &place.text("mnt")]).contains("more than the cache may hold"));
    assert_eq!(place.log().matches("what is pinned has more bytes than cache-size").count(), 1, "{}", place.log());
    sh(&place, "v", "mv kept/a b2");
    until("the eviction", || local(&place, &["b2", "kept/e"]) == ["kept/e"]);

    // By command, with what is below; absent files are told.
    place.ok(&["unpin", &place.text("mnt/v/kept/e")]);
    assert_eq!(told(&place, "v/kept/e", "pin").as_deref(), Some("false"));
    let said = place.ok(&["pin", &place.text("mnt/v")]);
    assert!(said.contains("Pinned 7 files") && said.contains("Not local: "), "{said}");
    assert_eq!(told(&place, "v/kept/e", "pin").as_deref(), Some("true"));
    let said = place.ok(&["pin", "--restore", &place.text("mnt/v/b")]);
    assert!(said.contains("Bringing back 1 file"), "{said}");
    until("the file", || local(&place, &["b"]) == ["b"]);
    place.ok(&["unpin", &place.text("mnt/v")]);
    assert_eq!((told(&place, "v/kept", "pin"), told(&place, "v/b", "pin")), (None, None));
    assert_eq!(set("perhaps"), Err(rustix::io::Errno::INVAL));
    assert!(place.log().contains("\"perhaps\" says nothing of a pin: allowed is true or false"), "{}", place.log());
    set("1").expect("set");
    sh(&place, "v", "cp -a kept copy");
    assert_eq!(told(&place, "v/copy", "pin"), None, "it isn't copied");
}

#[test]
fn water_marks() {
    let place = mounted_with(&["--cache-size", "3500000", "--cache-low", "1500000"]);
    for name in ["a", "b", "c"] {
        archived(&place, name);
    }
    assert_eq!(local(&place, &["a", "b", "c"]), ["a", "b", "c"], "as much as may be");
    archived(&place, "d");
    until("evictions", || local(&place, &["a", "b", "c", "d"]) == ["d"]);
    // A file that is larger than the cache is there until something else comes.
    fs::write(place.path("mnt/v/large"), bytes(5_000_000)).expect("a file");
    flush(&place);
    until("evictions", || local(&place, &["d", "large"]) == ["large"]);
    archived(&place, "e");
    until("evictions", || local(&place, &["large", "e"]) == ["e"]);
}

#[test]
fn order_of_use() {
    let place = mounted();
    for name in ["a", "b", "c", "d"] {
        archived(&place, name);
    }
    fs::read(place.path("mnt/v/a")).expect("read");
    remount(&place, &["--cache-size", "3500000", "--cache-low", "2500000"]);
    until("evictions", || local(&place, &["a", "b", "c", "d"]) == ["a", "d"]);
}

#[test]
fn evicting() {
    let place = mounted();
    fs::write(place.path("mnt/v/small"), bytes(1000)).expect("a file");
    archived(&place, "large");
    archived(&place, "new");
    std::thread::sleep(Duration::from_secs(3));
    fs::read(place.path("mnt/v/new")).expect("read");
    fs::write(place.path("mnt/v/unarchived"), bytes(1000)).expect("a file");
    let mount = place.text("mnt");
    let evict = |more: &[&str]| place.ok(&[&["evict", &mount], more].concat());
    let all = ["small", "large", "new"];
    assert!(evict(&["--unused-for", "1h"]).contains("Evicted 0 files"));
    assert!(evict(&["--unused-for", "2s", "--dry-run"]).contains("Would evict 2 files"));
    assert_eq!(local(&place, &all), all);
    assert!(evict(&["--unused-for", "2s", "--larger-than", "1K"]).contains("Evicted 1 file,"));
    assert_eq!(local(&place, &all), ["small", "new"]);
    assert!(evict(&["--larger-than", "500"]).contains("Evicted 2 files"));
    assert_eq!(place.run(&["evict"]).code, 2, "everything isn't evicted by mistake");
}
