//! Recalls, and kill -9 and long absences in the middle of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;

use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::support::within;

/// Files that are recalled.
const FILES: usize = 1000;
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// How many retrieval jobs the endpoint was asked for, by archive.
fn retrievals(place: &Place) -> BTreeMap<i64, usize> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db =
        rusqlite::Connection::open_with_flags(place.path("served/glacier.db"), flags).expect("the endpoint's database");
    let mut statement = db.prepare("SELECT archive, COUNT(*) FROM jobs WHERE archive IS NOT NULL GROUP BY archive");
    let statement = statement.as_mut().expect("a question");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize))).expect("an answer");
    rows.map(|row| row.expect("a row")).collect()
}

/// Promise: kill -9 of the daemon at any moments of 1,000 recalls, half by readers and half by a restore, asks for nothing a second
/// time; every file comes back, and the restore ends.
#[test]
fn kills_in_the_middle_of_recalls() {
    let seed: u64 =
        std::env::var("GLACIERFS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("GLACIERFS_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let place = Place::new();
    let serve = Serve::start_with(&place, "127.0.0.1:0", "all=300ms");
    let more = ["--upload-delay", "1h", "--drain-timeout", "0", "--snapshot-delay", "off"];
    place.mount_endpoint(&serve.url, &more);
    let name = |n: usize| place.path(&format!("mnt/v/{}/{n}", n % 2));
    for directory in ["mnt/v", "mnt/v/0", "mnt/v/1"] {
        fs::create_dir(place.path(directory)).expect("a directory");
    }
    for n in 0..FILES {
        fs::write(name(n), format!("file {n}")).expect("a file");
    }
    place.ok(&["flush", "--timeout", "2min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt")]);
    place.ok(&["restore", &place.text("mnt/v/0")]);

    let (read, next, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let mut kills = 0;
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed) * 2 + 1;
                    if n >= FILES {
                        break;
                    }
                    // A daemon that is killed takes the read with it.
                    let bytes = loop {
                        match fs::read(name(n)) {
                            Ok(bytes) => break bytes,
                            Err(_) if stop.load(Ordering::Relaxed) => return,
                            Err(_) => std::thread::sleep(Duration::from_millis(20)),
                        }
                    };
                    assert_eq!(bytes, format!("file {n}").as_bytes());
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let begin = std::time::Instant::now();
        while read.load(Ordering::Relaxed) < FILES / 2 && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(random.random_range(20..900)));
            place.kill();
            kills += 1;
            place.mount_endpoint(&serve.url, &more);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(read.load(Ordering::Relaxed), FILES / 2, "after {kills} kills");
    within(PATIENCE, "the restore", || place.ok(&["restore", "list", &place.text("mnt")]).contains("done"));
    for n in 0..FILES {
        assert_eq!(fs::read(name(n)).expect("local"), format!("file {n}").as_bytes());
    }
    let jobs = retrievals(&place);
    println!("{kills} kills, {} jobs for {} archives", jobs.values().sum::<usize>(), jobs.len());
    assert!(kills >= 5, "only {kills} kills");
    assert_eq!(jobs.len(), FILES);
    assert!(jobs.values().all(|count| *count == 1), "asked for twice: {jobs:?}");
}

/// Promise: an output that was ready while no daemon was there is fetched by one that comes within the day that it lasts, and
/// nothing is asked for again.
#[test]
fn outputs_are_fetched_before_they_expire() {
    let place = Place::new();
    let serve = Serve::start_as(&place, "127.0.0.1:0", "all=4h", |command| {
        command.args(["--admin", "--clock", "virtual"]);
    });
    let advance = |by: &str| {
        let token = fs::read_to_string(place.path("served/admin-token")).expect("the token");
        let body = format!(r#"{{"advance": "{by}"}}"#);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let http = reqwest::Client::builder().no_proxy().build().expect("a client");
            let request = http.post(format!("{}/_glacierfs/clock", serve.url)).bearer_auth(token.trim()).body(body);
            assert!(request.send().await.expect("an answer").status().is_success());
        });
    };
    let more = ["--upload-delay", "1h", "--drain-timeout", "0", "--snapshot-delay", "off"];
    place.mount_endpoint(&serve.url, &more);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    for n in 0..20 {
        fs::write(place.path(&format!("mnt/v/{n}")), format!("file {n}")).expect("a file");
    }
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt")]);
    place.ok(&["restore", &place.text("mnt/v")]);
    until("the jobs", || retrievals(&place).len() == 20);
    until("their names", || {
        let jobs = place.status()["jobs"].clone();
        jobs.as_array().is_some_and(|jobs| jobs.len() == 20 && jobs.iter().all(|job| job["id"] != ""))
    });
    place.kill();
    // Ready after 4 hours, and kept for a day from then.
    advance("27h");
    place.mount_endpoint(&serve.url, &more);
    until("the files", || place.ok(&["restore", "list", &place.text("mnt")]).contains("done"));
    advance("100h");
    for n in 0..20 {
        assert_eq!(fs::read(place.path(&format!("mnt/v/{n}"))).expect("local"), format!("file {n}").as_bytes());
    }
    assert!(retrievals(&place).values().all(|count| *count == 1));
}
