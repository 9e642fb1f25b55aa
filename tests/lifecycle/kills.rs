//! kill -9 in the middle of uploads.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use rand::RngExt;
use rand::SeedableRng;

use super::forwarder::Exchange;
use super::forwarder::Forwarder;
use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::support::within;

/// Files that go in.
const FILES: usize = 200;
/// MiB of those that go in parts of 4 MiB.
const LARGE: [usize; 2] = [80, 100];
/// How long all of the uploads may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Every file below `directory`, by its path.
fn tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).expect("below it").to_string_lossy().into_owned();
            assert!(found.insert(name, std::fs::read(&path).expect("a file")).is_none(), "{} twice", path.display());
        }
    }
    found
}

/// Promise: kill -9 of the daemon at any moments of 200 uploads loses and doubles nothing. After each restart they go on
/// with what is left: a part whose receipt the daemon got isn't sent again. One archive's receipt never reaches the
/// daemon that sent it, so that the vault does have it twice; the tree doesn't, not after an inventory either.
#[test]
fn kills_in_the_middle_of_uploads() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    let forwarder = Forwarder::start(&serve.url);
    let mnt = place.text("mnt");
    let mount = |delay: &str| {
        place.mount_endpoint(&forwarder.url, &["--part-size", "4M", "--upload-delay", delay, "--drain-timeout", "0"]);
    };
    mount("1h");
    place.ok(&["vault", "create", "v", "--mount", &mnt]);
    let mut wanted = BTreeMap::new();
    for n in 0..FILES {
        let mut bytes = match n {
            60 => vec![0; LARGE[0] << 20],
            120 => vec![0; LARGE[1] << 20],
            _ => vec![0; random.random_range(1..100_000)],
        };
        random.fill(&mut bytes[..]);
        let name = format!("v/d{}/f{n}", n % 7);
        let path = place.path("mnt").join(&name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, &bytes).expect("a written file");
        wanted.insert(name, bytes);
    }
    assert_eq!(place.status()["queue"]["files"], FILES);

    let archived = |e: &Exchange| e.is_archive();
    let is_part = |e: &Exchange| e.part().is_some();
    // Receipts of whole archives and of parts after which each daemon is killed; 45 parts there are.
    let mut moments = [random.random_range(1..12), random.random_range(12..24), random.random_range(24..36)].to_vec();
    moments.insert(0, 0);
    forwarder.withhold(random.random_range(2..6));
    forwarder.slow(Duration::from_millis(4));
    // What waits is due at once after a flush, which is given up with its daemon.
    for (round, parts) in moments.into_iter().enumerate() {
        let files = if round == 0 { random.random_range(5..40) } else { 1 };
        let mut flush = place.command(&["flush", &mnt]).spawn().expect("a flush");
        within(PATIENCE, "the moment of a kill", || {
            forwarder.count(201, archived) >= files && forwarder.count(204, is_part) >= parts
        });
        let pid = place.pid();
        kill(pid, Signal::SIGKILL).expect("the daemon is ours");
        until("the daemon's end", || kill(pid, None).is_err());
        flush.wait().expect("a flush ends with its daemon");
        // What was on its way to the daemon when it died may have been lost with it.
        let done = (forwarder.count(201, archived), forwarder.count(204, is_part));
        println!("kill {round}: {} whole archives, {} parts were done", done.0, done.1);
        assert!(done.0 > 0 && done.1 < 45, "the kill wasn't in the middle: {done:?}");
        forwarder.next_round();
        mount("1h");
        let left = place.status()["queue"]["files"].as_u64().expect("a number");
        assert!(0 < left && left < FILES as u64, "{left} are left");
    }
    forwarder.slow(Duration::ZERO);
    place.ok(&["flush", "--timeout", "3min", &mnt]);

    let exchanges = forwarder.exchanges();
    let mut receipts = HashSet::new();
    for round in 0..=4 {
        let parts = || exchanges.iter().filter(|e| e.round == round).filter_map(|e| Some((e.part()?, e.answered)));
        for (part, _) in parts() {
            assert!(!receipts.contains(&part), "round {round} sent {part:?} again");
        }
        receipts.extend(parts().filter(|(_, status)| *status == Some(204)).map(|(part, _)| part));
    }
    let sent = exchanges.iter().filter(|e| is_part(e)).count();
    println!("{} parts with receipts, {sent} sent", receipts.len());

    place.ok(&["evict", &mnt]);
    let told = place.ok(&["inventory", "v", "--timeout", "30s", "--mount", &mnt]);
    println!("{told}");
    let count = told.split("v: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    assert!(count.expect("a count of archives") > FILES, "the doubled archive is there: {told}");
    place.ok(&["restore", "--wait", &mnt]);
    let found = tree(&place.path("mnt"));
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, bytes) in &wanted {
        assert!(found[name] == *bytes, "{name} differs");
    }
}
