//! Restores, against what an endpoint of our own then says that it was asked for.

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;

use serde_json::Value;

use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::support::until;

const MIB: u64 = 1 << 20;

/// A retrieval job as the endpoint has it.
#[derive(Debug, PartialEq)]
struct Asked {
    archive: String,
    bytes: u64,
    tier: String,
}

/// The retrieval jobs that the endpoint at `url` was asked for in the vault `v`.
fn asked(place: &Place, url: &str) -> Vec<Asked> {
    let mut command = place.command(&["job", "list", "v", "--json", "--endpoint", url, "--region", "us-east-1"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let done = finished(&mut command);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let jobs: Vec<Value> = serde_json::from_str(&done.stdout).expect("JSON");
    let text = |job: &Value, key: &str| job[key].as_str().unwrap_or_else(|| panic!("{key} of {job}")).to_owned();
    let retrievals = jobs.iter().filter(|job| job["Action"] == "ArchiveRetrieval");
    let asked = retrievals.map(|job| {
        let range = text(job, "RetrievalByteRange");
        let (first, last) = range.split_once('-').expect("a range");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        Asked { archive: text(job, "ArchiveId"), bytes: number(last) - number(first) + 1, tier: text(job, "Tier") }
    });
    asked.collect()
}

fn restore(place: &Place, more: &[&str]) -> Value {
    let told = place.ok(&[&["restore", "--dry-run", "--json"], more].concat());
    serde_json::from_str(&told).expect("JSON")
}

/// Promise: what a dry run says is what the endpoint is then asked for, to the job, the byte and the cent, and what the budget then
/// counts to the billionth: with hard links, an archive of one byte, several windows, files that are partly here, wholly here, and on
/// their way, and what needs no archive. Until then nobody is asked for anything.
#[test]
fn a_dry_run_is_what_is_asked_for() {
    let place = Place::new();
    // Reads come at once, restores at the other tier stay with the endpoint.
    let serve = Serve::start_as(&place, "127.0.0.1:0", "standard=0s", |command| {
        command.args(["--retrieval-delay", "bulk=1h"]);
    });
    fs::write(
        place.path("prices.toml"),
        "date = '2026-01-02'\n[default]\nstorage = '1'\nuploads = '1'\nexpedited = '1'\nexpedited-requests = '1'\n\
         standard = '1'\nstandard-requests = '1'\nbulk = '123.45'\nbulk-requests = '6789'\n",
    )
    .expect("prices");
    let prices = place.text("prices.toml");
    let settings =
        ["--recall-window", "1M", "--upload-delay", "1h", "--prices", &prices, "--budget", "1000000USD/month"];
    place.mount_endpoint(&serve.url, &settings);
    let mnt = place.text("mnt");
    let v = place.text("mnt/v");
    fs::create_dir(&v).expect("a vault");
    let write = |name: &str, length: u64| {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ name.len() as u8).collect();
        fs::write(place.path("mnt/v").join(name), bytes).expect("a file");
    };
    for (name, length) in [
        ("byte", 1),
        ("small", 1000),
        ("a window", MIB),
        ("and one byte", MIB + 1),
        ("windows", 5 * MIB + 12_345),
        ("partly here", 4 * MIB + 7),
        ("here", 3000),
        ("on its way", 2 * MIB + 5),
        ("empty", 0),
        ("deleted", 10),
    ] {
        write(name, length);
    }
    fs::hard_link(place.path("mnt/v/small"), place.path("mnt/v/the same")).expect("a link");
    place.ok(&["flush", "--timeout", "1min", &mnt]);
    place.ok(&["evict", &mnt]);

    let partly = File::open(place.path("mnt/v/partly here")).expect("open");
    partly.read_exact_at(&mut [0; 10], 2 * MIB + 5).expect("one window comes");
    fs::read(place.path("mnt/v/here")).expect("read");
    fs::remove_file(place.path("mnt/v/deleted")).expect("deleted");
    place.ok(&["restore", "--yes", "--tier", "bulk", &place.text("mnt/v/on its way")]);
    let is_bulk = |job: &Asked| job.tier == "Bulk";
    let bulk = || asked(&place, &serve.url).into_iter().filter(is_bulk).collect::<Vec<_>>();
    until("the file on its way", || bulk().len() == 3);
    let spent = || place.status()["budget"][0]["spent"].as_u64().expect("an amount");
    let (before, spent_before) = (asked(&place, &serve.url), spent());

    let dry = restore(&place, &["--tier", "bulk", &v]);
    assert_eq!(dry["id"], Value::Null);
    assert_eq!((&dry["files"], &dry["local_files"], &dry["tier"]), (&7.into(), &1.into(), &"Bulk".into()), "{dry}");
    assert_eq!(dry["prices_date"], "2026-01-02");
    assert_eq!(asked(&place, &serve.url), before, "a dry run asks for nothing");
    assert_eq!(spent(), spent_before);
    let dear = place.run(&["restore", "--tier", "bulk", &v]);
    assert_eq!(dear.code, 2, "it costs more than a dollar, and nobody is there to ask: {}", dear.stderr);
    assert_eq!(asked(&place, &serve.url), before);

    place.ok(&["restore", "--yes", "--tier", "bulk", &v]);
    let jobs = dry["jobs"].as_u64().expect("a number") as usize;
    until("all jobs", || asked(&place, &serve.url).len() >= before.len() + jobs);
    let mut new = bulk();
    assert_eq!(new.len(), 3 + jobs, "these and no others");
    // What was on its way is older; the newest come first or last, but each job of it is for that archive.
    let way = before.iter().find(|job| is_bulk(job)).expect("a job").archive.clone();
    new.retain(|job| job.archive != way);
    assert_eq!(new.len(), jobs, "nothing more of what was on its way");
    let bytes: u64 = new.iter().map(|job| job.bytes).sum();
    assert_eq!(dry["job_bytes"].as_u64(), Some(bytes));
    let wanted = 1 + 1000 + MIB + (MIB + 1) + (5 * MIB + 12_345) + (3 * MIB + 7);
    assert_eq!(bytes, wanted, "all that isn't here, and nothing else");
    let dollars = bytes as f64 / (1u64 << 30) as f64 * 123.45 + jobs as f64 * 6.789;
    let told = dry["cost"].as_u64().expect("an amount");
    assert_eq!((dollars * 100.0).round() as u64, told.div_ceil(10_000_000).min((told + 5_000_000) / 10_000_000));
    assert_eq!(spent() - spent_before, told, "what the budget counts");
    let again = restore(&place, &["--tier", "bulk", &v]);
    assert_eq!((&again["jobs"], &again["cost"], &again["files"]), (&0.into(), &0.into(), &7.into()), "{again}");
}

/// Promise: a restore goes on over kills and restarts at any moment: everything comes, each archive is asked for once, and it
/// ends with everything counted.
#[test]
fn a_restore_survives_kills() {
    const FILES: usize = 300;
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    let settings = ["--upload-delay", "1h", "--drain-timeout", "0"];
    place.mount_endpoint(&serve.url, &settings);
    let mnt = place.text("mnt");
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let bytes = |n: usize| format!("file {n}").repeat(n + 1).into_bytes();
    for n in 0..FILES {
        fs::write(place.path(&format!("mnt/v/{n}")), bytes(n)).expect("a file");
    }
    place.ok(&["flush", "--timeout", "1min", &mnt]);
    place.ok(&["evict", &mnt]);
    let said = place.ok(&["restore", &place.text("mnt/v")]);
    assert!(said.contains("It is restore 1"), "{said}");
    let one = || -> Value {
        let all: Value = serde_json::from_str(&place.ok(&["restore", "list", "--json", &mnt])).expect("JSON");
        all[0].clone()
    };
    let done = || one()["done_files"].as_u64().expect("a number") as usize;
    let mut kills = 0;
    for share in [20, 100, 200] {
        until("some files", || done() >= share);
        kills += usize::from(done() < FILES);
        place.kill();
        place.mount_endpoint(&serve.url, &settings);
    }
    assert!(kills > 0, "it was over before the first kill");
    place.ok(&["restore", "wait", "1", "--mount", &mnt, "--timeout", "1min"]);
    let ended = one();
    assert_eq!(
        (&ended["state"], &ended["done_files"], &ended["failed_files"]),
        (&"done".into(), &FILES.into(), &0.into())
    );
    let mut times = HashMap::<String, usize>::new();
    for job in asked(&place, &serve.url) {
        *times.entry(job.archive).or_default() += 1;
    }
    assert_eq!((times.len(), times.values().max()), (FILES, Some(&1)), "each once");
    // With O_NONBLOCK a read of what isn't local fails instead of recalling it.
    for n in 0..FILES {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(place.path(&format!("mnt/v/{n}")));
        let mut read = vec![0; bytes(n).len()];
        file.expect("open").read_exact_at(&mut read, 0).expect("it is here");
        assert!(read == bytes(n), "{n}");
    }
}

/// Promise: a file that is called as a subcommand is meant by its path, and paths come from files and from standard input too, ended by
/// lines or by NULs, patterns among them.
#[test]
fn paths_from_anywhere() {
    let place = Place::new();
    assert_eq!(place.mount(&["--upload-delay", "1h"]).code, 0, "{}", place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    for name in ["list", "b\nc", "d1", "d2"] {
        fs::write(place.path("mnt/v").join(name), name).expect("a file");
    }
    let mnt = place.text("mnt");
    place.ok(&["flush", "--timeout", "1min", &mnt]);
    place.ok(&["evict", &mnt]);
    let dry = |more: &[&str], input: &str| {
        fs::write(place.path("input"), input).expect("written");
        let mut command = place.command(&[&["restore", "--dry-run", "--json"], more].concat());
        command.current_dir(place.path("mnt/v")).stdin(File::open(place.path("input")).expect("open"));
        let done = finished(&mut command);
        assert_eq!(done.code, 0, "{more:?}: {}", done.stderr);
        serde_json::from_str::<Value>(&done.stdout).expect("JSON")["files"].as_u64()
    };
    assert_eq!(dry(&["./list"], ""), Some(1));
    assert_eq!(dry(&["--from-file", "-"], "./list\n\nd?\n"), Some(3));
    assert_eq!(dry(&["--null", "--from-file", "-"], "b\nc\0d1\0"), Some(2));
    assert_eq!(dry(&["--from-file", &place.text("input"), "d2"], "list\n"), Some(2));
}
