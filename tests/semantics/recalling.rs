//! Recalls under control.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;

use super::bytes;
use super::chill;
use super::fails;
use super::jobs;
use super::mounted;
use super::mounted_with;
use super::remount;
use super::support::Place;
use super::support::until;
use super::told;

fn set(place: &Place, path: &str, attribute: &str, value: &str) {
    let name = format!("user.glacierfs.{attribute}");
    rustix::fs::setxattr(place.mnt().join(path), name.as_str(), value.as_bytes(), rustix::fs::XattrFlags::empty())
        .expect("a rule");
}

#[test]
fn recall_rules() {
    let place = mounted();
    for directory in ["v/d", "v/d/e"] {
        fs::create_dir(place.path("mnt").join(directory)).expect("a directory");
    }
    for file in ["v/f", "v/d/f", "v/d/e/f", "w/f"] {
        fs::write(place.path("mnt").join(file), "cold").expect("a file");
    }
    chill(&place);
    set(&place, "v/d", "recall", "deny");
    set(&place, "v/d/e/f", "recall", "wait");
    let read = |path: &str| fs::read(place.path("mnt").join(path));
    fails(read("v/d/f"), Errno::EREMOTE);
    assert_eq!(read("v/f").expect("read"), b"cold");
    assert_eq!(read("v/d/e/f").expect("read"), b"cold");
    assert_eq!(told(&place, "v/d/e", "recall").as_deref(), Some("deny"), "inherited");

    set(&place, "w", "recall", "queue");
    set(&place, "w", "tier", "expedited");
    remount(&place, &["--retrieval-delay", "all=1h"]);
    fails(read("v/d/f"), Errno::EREMOTE);
    fails(read("w/f"), Errno::EAGAIN);
    let status = place.status();
    assert_eq!(status["jobs"][0]["tier"].as_str(), Some("Expedited"), "{}", status["jobs"]);
    let bad =
        rustix::fs::setxattr(place.path("mnt/w"), "user.glacierfs.recall", b"perhaps", rustix::fs::XattrFlags::empty());
    assert_eq!(bad, Err(rustix::io::Errno::INVAL));
}

#[test]
fn programs_that_read_everything() {
    let place = mounted_with(&["--recall-deny-comm", "updatedb,thumbs"]);
    fs::write(place.path("mnt/v/f"), "cold").expect("a file");
    chill(&place);
    fs::copy("/bin/cat", place.path("updatedb")).expect("a program");
    let indexer = Command::new(place.path("updatedb")).arg(place.path("mnt/v/f")).output().expect("it runs");
    let said = String::from_utf8_lossy(&indexer.stderr).into_owned();
    assert!(!indexer.status.success() && said.contains("Object is remote"), "{said}");
    assert_eq!(jobs(&place), 0);
    let other = Command::new("cat").arg(place.path("mnt/v/f")).output().expect("it runs");
    assert_eq!(other.stdout, b"cold");
    let again = Command::new(place.path("updatedb")).arg(place.path("mnt/v/f")).output().expect("it runs");
    assert_eq!(again.stdout, b"cold", "what is local is anybody's");
}

#[test]
fn reading_ahead() {
    let place = mounted_with(&["--recall-window", "1M"]);
    let data = bytes(8 << 20);
    for file in ["v/through", "v/here and there"] {
        fs::write(place.path("mnt").join(file), &data).expect("a file");
    }
    chill(&place);
    let local = |path: &str| told(&place, path, "local_bytes").and_then(|bytes| bytes.parse::<u64>().ok());
    let random = File::open(place.path("mnt/v/here and there")).expect("open");
    let mut piece = vec![0; 200 << 10];
    for at in [5, 3, 5, 3, 5, 3] {
        random.read_exact_at(&mut piece, at << 20).expect("read");
    }
    let mut through = File::open(place.path("mnt/v/through")).expect("open");
    let mut first = vec![0; 1 << 20];
    through.read_exact(&mut first).expect("read");
    assert!(first == data[..1 << 20]);
    until("the rest", || local("v/through") == Some(8 << 20));
    assert_eq!(local("v/here and there"), Some(2 << 20), "two windows, and nothing ahead");
    let mut rest = Vec::new();
    through.read_to_end(&mut rest).expect("read");
    assert!(rest == data[1 << 20..]);
}

#[test]
fn budget() {
    let budget = ["--budget", "2requests/day"];
    let place = mounted_with(&budget);
    for file in ["a", "b", "c"] {
        fs::write(place.path("mnt/v").join(file), "cold").expect("a file");
    }
    chill(&place);
    let read = |file: &str| fs::read(place.path("mnt/v").join(file));
    assert_eq!(read("a").expect("read"), b"cold");
    assert_eq!(read("b").expect("read"), b"cold");
    fails(read("c"), Errno::EDQUOT);
    assert_eq!(read("a").expect("it is local"), b"cold");
    assert!(place.log().contains("it would take 1 request, 4 B, $0.000050"), "{}", place.log());
    remount(&place, &budget);
    fails(read("c"), Errno::EDQUOT);
    let told = &place.status()["budget"][0];
    assert_eq!((told["limit"].as_str(), told["spent"].as_u64()), (Some("2 requests a day"), Some(2)));

    let said = place.ok(&["restore", &place.text("mnt/v")]);
    assert!(said.contains("Bringing back 1 file, 4 B"), "{said}");
    let mnt = place.text("mnt");
    until("that it is held", || place.ok(&["restore", "list", &mnt]).contains("held until "));
    let held = &place.status()["held"][0];
    assert_eq!(held["reason"].as_str(), Some("the budget of 2 requests a day is used up"));
    remount(&place, &["--budget", "3requests/day"]);
    assert_eq!(read("c").expect("a reader brings it forward"), b"cold");
    until("the end", || place.ok(&["restore", "list", &mnt]).contains("done"));
}

#[test]
fn restores() {
    let place = mounted();
    for n in 0..5 {
        fs::write(place.path(&format!("mnt/v/{n}")), bytes(1000)).expect("a file");
    }
    chill(&place);
    let v = place.text("mnt/v");
    let dry = place.ok(&["restore", "--dry-run", "--tier", "bulk", &v]);
    for line in ["to bring back  5 files, 4.9 KiB\n", "to retrieve    5 jobs, 4.9 KiB\n", "Nothing was asked for"] {
        assert!(dry.contains(line), "{dry}");
    }
    assert_eq!(
        (jobs(&place), place.ok(&["restore", "list", &place.text("mnt")]).as_str()),
        (0, "There are no restores.\n")
    );
    let dear = place.run(&["restore", "--ask-above", "0USD", &v]);
    assert_eq!(dear.code, 2, "{}", dear.stderr);
    assert!(dear.stderr.contains("5 retrieval jobs") && dear.stderr.contains("--yes"), "{}", dear.stderr);

    // One file an hour: the first at once, the others over the hours.
    let said = place.ok(&["restore", "--rate", "1000/h", &v]);
    assert!(said.contains("It is restore 1"), "{said}");
    let listed = || place.ok(&["restore", "list", "--json", &place.text("mnt")]);
    let first = || serde_json::from_str::<serde_json::Value>(&listed()).expect("JSON")[0].clone();
    until("the first file", || first()["done_files"] == 1);
    assert_eq!(first()["state"], "waiting");
    remount(&place, &["--retrieval-delay", "all=1h"]);
    assert_eq!((first()["done_files"].as_u64(), first()["state"].as_str()), (Some(1), Some("waiting")));
    assert_eq!(
        place.ok(&["restore", "cancel", "1", "--mount", &place.text("mnt")]),
        "Cancelled; 4 files weren't brought back.\n"
    );
    assert_eq!(first()["state"], "cancelled");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(jobs(&place), 0, "what wasn't asked for isn't");
    remount(&place, &[]);
    place.ok(&["restore", "--wait", "--timeout", "30s", &place.text("mnt/v/[1-4]")]);
    for n in 0..5 {
        assert_eq!(told(&place, &format!("v/{n}"), "state").as_deref(), Some("cached"));
    }
}

#[test]
fn costs() {
    let place = mounted();
    fs::create_dir(place.path("mnt/v/d")).expect("a directory");
    for (name, size) in [("v/d/large", 5 << 20), ("v/d/small", 1), ("v/f", 1 << 20), ("v/gone", 100), ("w/f", 10)] {
        fs::write(place.path("mnt").join(name), bytes(size)).expect("a file");
    }
    chill(&place);
    fs::remove_file(place.path("mnt/v/gone")).expect("deleted");
    assert_eq!(fs::read(place.path("mnt/v/d/small")).expect("read").len(), 1);
    remount(&place, &[]);
    let report = || {
        let json = place.ok(&["cost", "--json", &place.text("mnt")]);
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON")
    };
    let told = report();
    let vault =
        &told["vaults"].as_array().expect("vaults").iter().find(|vault| vault["vault"] == "v").expect("v").clone();
    let all = &vault["all"];
    assert_eq!((all["archives"].as_u64(), all["bytes"].as_u64()), (Some(4), Some((6 << 20) + 101)));
    let prices = glacierfs::prices::Prices::built_in("us-east-1");
    assert_eq!(all["storage"].as_u64(), Some(prices.storage_month((6 << 20) + 101, 4).0));
    assert_eq!((all["upload_requests"].as_u64(), all["uploads"].as_u64()), (Some(4), Some(prices.upload(4).0)));
    assert_eq!((all["retrieval_jobs"].as_u64(), all["retrieved_bytes"].as_u64()), (Some(1), Some(1)));
    assert_eq!((vault["trash_archives"].as_u64(), vault["trash_bytes"].as_u64()), (Some(1), Some(100)));
    let tops: Vec<_> = vault["tops"].as_array().expect("directories").iter().collect();
    let names: Vec<_> = tops.iter().map(|top| top["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["", "d"]);
    assert_eq!(
        (tops[1]["costs"]["archives"].as_u64(), tops[1]["costs"]["upload_requests"].as_u64()),
        (Some(2), Some(2))
    );
    assert_eq!(tops[1]["costs"]["retrieval_jobs"].as_u64(), Some(1));
    assert!(all["projected"].as_u64() >= all["storage"].as_u64());

    // Ninety days are paid for.
    place.ok(&["trash", "purge", "--yes", "--all", "--mount", &place.text("mnt")]);
    let told = report();
    let all = &told["vaults"].as_array().expect("vaults").iter().find(|vault| vault["vault"] == "v").expect("v")["all"]
        .clone();
    assert_eq!((all["archives"].as_u64(), all["early_deletions"].as_u64()), (Some(3), Some(1)));
    assert_eq!(all["early"].as_u64(), Some(prices.early_deletion((100 + (32 << 10)) * 90).0));
    let page = place.ok(&["cost", &place.text("mnt")]);
    assert!(page.contains("AWS's bill is what counts") && page.contains("  d/"), "{page}");
}
