//! The daemon is killed at each point that orders durability (`util::crash`), in the middle of everything.
//!
//! The endpoint is a process of its own and lives on, so that what was done there and not noted here stays so.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use glacierfs::util::crash::Point;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::crowd::Crowd;
use super::crowd::Looked;
use super::crowd::close;
use super::crowd::is_dead;
use super::crowd::look;
use super::number;
use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::work::Histories;
use super::work::Work;

/// How long the load goes on until the daemon has to have come by a point.
const PATIENCE: Duration = Duration::from_secs(45);
/// Bytes of a file that goes in parts.
const LARGE: usize = 65 << 20;

/// How often the daemon may pass a point before it is killed there. What is passed once at a start is passed once.
fn passes(point: Point) -> u64 {
    use Point::*;
    match point {
        StoreMade | StoreSynced | Recovered | UploadResumed | RecallAdopted | Checkpointed => 1,
        Committing | Committed => 150,
        FileMade | Created | WriteBegun | Written | NameGone => 20,
        LogSynced | FsyncBytes | FsyncName | FsyncLog => 10,
        _ => 4,
    }
}

/// At which point it has to be killed before, so that it comes by this one.
fn comes_after(point: Point) -> Option<Point> {
    match point {
        Point::UploadResumed => Some(Point::PartSent),
        Point::RecallAdopted => Some(Point::RecallAsked),
        _ => None,
    }
}

/// Whether only a file that goes in parts brings it there.
fn is_of_parts(point: Point) -> bool {
    use Point::*;
    matches!(point, UploadBegun | UploadNoted | PartSent | PartsSent | UploadCompleted | UploadResumed | UploadAborted)
}

struct Matrix {
    place: Arc<Place>,
    serve: Serve,
    crowd: Crowd,
    /// Who makes large files.
    large: Work,
    random: StdRng,
    kills: HashMap<&'static str, u64>,
    looked: Looked,
}

impl Matrix {
    fn new(seed: u64) -> Matrix {
        let place = Arc::new(Place::new());
        let serve = Serve::start_with(&place, "127.0.0.1:0", "all=20ms");
        assert!(start(&place, &serve, None));
        fs::create_dir(place.path("mnt/v")).expect("a vault");
        let crowd = Crowd::new(&place, seed);
        fs::create_dir(place.path("mnt/v/large")).expect("a directory");
        let large = Work {
            place: place.clone(),
            directory: "mnt/v/large".into(),
            now: Box::new(|| 0),
            acknowledged_stays: true,
            random: StdRng::seed_from_u64(seed),
            histories: Histories::default(),
            steps: 0,
            acknowledged: 0,
        };
        let random = StdRng::seed_from_u64(seed);
        place.kill();
        Matrix { place, serve, crowd, large, random, kills: HashMap::new(), looked: Looked::default() }
    }

    /// Has the daemon, which isn't running, killed at its `passes`th pass of `point`, and looks at everything after the next
    /// start, which it kills in the end. Answers whether it came there.
    fn crash(&mut self, point: Point, passes: u64) -> bool {
        let begin = Instant::now();
        // The start after a kill before comes by such a point by itself, and nobody has looked yet what there is.
        let reached = match comes_after(point) {
            None => self.die(point, passes, true),
            Some(before) => self.die(before, passes, true) && self.die(point, 1, false),
        };
        let died = begin.elapsed();
        assert!(start(&self.place, &self.serve, None), "{}", self.place.log());
        let mut looked = self.crowd.look();
        looked += look(&mut self.large);
        self.looked += looked;
        println!(
            "{}, pass {passes}: {} after {died:.1?}; {looked:?} in {:.1?}",
            point.name(),
            if reached { "killed" } else { "NEVER THERE" },
            begin.elapsed() - died
        );
        self.place.kill();
        reached
    }

    /// Starts the daemon, has everybody at work if told so, and waits until it is dead.
    fn die(&mut self, point: Point, passes: u64, at_work: bool) -> bool {
        let armed = format!("{}:{passes}", point.name());
        let mut reached = true;
        if start(&self.place, &self.serve, Some(&armed)) {
            let (place, large, random) = (self.place.clone(), &mut self.large, &mut self.random);
            let mut until_dead = || {
                let died = provoke(&place, at_work.then_some(point), large, random);
                if !died {
                    place.kill();
                }
                died
            };
            reached = if at_work { self.crowd.work_until_dead(until_dead).0 } else { until_dead() };
        }
        if reached {
            let kills = self.kills.entry(point.name()).or_default();
            *kills += 1;
            let said = self.place.log().matches(&format!("killed at {}\n", point.name())).count() as u64;
            assert_eq!(said, *kills, "it died of something else than {armed}:\n{}", self.place.log());
        }
        reached
    }
}

/// Starts the daemon, to be killed at a point perhaps; whether it lives until it is ready.
fn start(place: &Place, serve: &Serve, armed: Option<&str>) -> bool {
    let settings = ["--upload-delay", "100ms", "--drain-timeout", "0", "--part-size", "4M"];
    let mut command = place.endpoint_mount(&serve.url, &settings);
    if let Some(armed) = armed {
        command.env(glacierfs::util::crash::VARIABLE, armed);
    }
    let done = finished(&mut command);
    let was_killed = armed.is_some() && done.stderr.contains("killed by signal 9");
    assert!(done.code == 0 || was_killed, "{}{}", done.stderr, place.log());
    done.code == 0
}

/// Does what brings the daemon to a point, beside those who work, or just waits, until it is dead. Answers whether it is.
fn provoke(place: &Place, point: Option<Point>, large: &mut Work, random: &mut StdRng) -> bool {
    let start = Instant::now();
    let goes_on = || place.has_daemon() && start.elapsed() < PATIENCE;
    let mnt = place.text("mnt");
    let mut round = 0;
    while goes_on() {
        round += 1;
        let done = match point {
            Some(Point::VaultMade | Point::VaultDeleted) => make_vault(&place.path(&format!("mnt/t{round}"))),
            Some(Point::Going | Point::ArchiveDeleted | Point::Purged) => {
                place.run(&["trash", "purge", "--all", "--yes", "--mount", &mnt]);
                Ok(())
            }
            Some(Point::Reconciled) => {
                place.run(&["inventory", "v", "--timeout", "10s", "--mount", &mnt]);
                Ok(())
            }
            Some(Point::SnapshotLinked | Point::SnapshotNoted) => {
                place.run(&["snapshot", "v", "--mount", &mnt]);
                Ok(())
            }
            Some(point) if is_of_parts(point) => change_large(large, random),
            _ => Ok(()),
        };
        if let Err(error) = done {
            assert!(is_dead(&error), "{error:?}");
        }
        // So that there is always something cold to be read.
        if round % 3 == 0 && point.is_some_and(|point| !is_of_parts(point)) {
            place.run(&["evict", &place.text("mnt/v")]);
        }
        let (pause, begin) = (Duration::from_millis(random.random_range(150..600)), Instant::now());
        while goes_on() && begin.elapsed() < pause {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    !place.has_daemon()
}

fn make_vault(at: &Path) -> io::Result<()> {
    match fs::create_dir(at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    fs::remove_dir(at)
}

/// Makes a large file, or changes it while it is being uploaded.
fn change_large(large: &mut Work, random: &mut StdRng) -> io::Result<()> {
    if large.histories.names().is_empty() {
        let mut bytes = vec![0; LARGE];
        random.fill(&mut bytes[..1 << 20]);
        return large.put("file", bytes, false);
    }
    large.append("file", &[1, 2, 3], false)
}

/// Promise: a kill at any point that orders durability loses nothing that was acknowledged, in the middle of any work, and every
/// file comes back from its vault through an empty cache. What is at the service and in no row of the catalog is found
/// again: archives by an inventory, as further ones of files that have one; unfinished uploads end by themselves after a day.
#[test]
fn every_point() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let times = number("GLACIERFS_POWER_POINTS", 1);
    println!("GLACIERFS_POWER_SEED={seed}, each point {times} times");
    let mut matrix = Matrix::new(seed);
    let only = std::env::var("GLACIERFS_POWER_POINT").ok();
    let mut missed = BTreeSet::new();
    for time in 0..times {
        for point in Point::ALL.iter().copied().filter(|point| only.as_deref().is_none_or(|only| only == point.name()))
        {
            let passes = match passes(point) {
                1 => 1,
                // The first one, or a later one.
                _ if time == 0 && matrix.random.random() || time == 1 => 1,
                most => matrix.random.random_range(2..=most),
            };
            // The work is random, and may not have come by as often in time.
            if ![passes, 1].into_iter().any(|passes| matrix.crash(point, passes)) {
                missed.insert(point.name());
            }
        }
    }
    matrix.finish();
    assert!(missed.is_empty(), "the daemon never came by {missed:?} within {PATIENCE:?}");
}

impl Matrix {
    fn finish(self) {
        assert!(start(&self.place, &self.serve, None), "{}", self.place.log());
        let (changes, mut works) = (self.crowd.acknowledged(), self.crowd.works);
        works.push(self.large);
        let (back, found) = close(&self.place, &mut works);
        println!("{back:?} read back from the vault at the end; {found}");
        let kills: u64 = self.kills.values().sum();
        println!("{kills} kills at {} points, {changes} changes acknowledged, {:?}", self.kills.len(), self.looked);
    }
}
