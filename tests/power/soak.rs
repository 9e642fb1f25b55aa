//! A mixed load on a service that fails, kill -9 of the daemon now and then.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::Value;
use serde_json::json;

use super::crowd::Crowd;
use super::crowd::Looked;
use super::crowd::WORKERS;
use super::crowd::close;
use super::kinds::kinds;
use super::number;
use super::support::Place;
use super::support::Serve;

/// The share of requests that something goes wrong with.
const RATE: f64 = 0.2;
/// From how many seconds on there is a kill a minute, and memory is held to what it was.
const LONG: u64 = 300;
/// By how much more the daemons may have in the last third than in the first: a tenth, and the page cache of the catalog, which fills up to
/// 16 MiB as the catalog grows; in KiB.
const GROWTH: (f64, f64) = (1.1, 16_384.0);

/// The endpoint's routes for testers.
struct Admin {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Admin {
    fn new(place: &Place, serve: &Serve) -> Admin {
        let token = fs::read_to_string(place.path("served/admin-token")).expect("a token").trim().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Admin { runtime, http, url: format!("{}/_glacierfs/faults", serve.url), token }
    }

    fn ask(&self, method: reqwest::Method, body: String) -> String {
        let request = self.http.request(method, &self.url).bearer_auth(&self.token).body(body);
        let answer = async { request.send().await?.error_for_status()?.text().await };
        self.runtime.block_on(answer).expect("an answer of the endpoint")
    }

    /// How many requests the plan in force was about, and how many it struck.
    fn struck(&self) -> (u64, u64) {
        let status: Value = serde_json::from_str(&self.ask(reqwest::Method::GET, String::new())).expect("JSON");
        let sum = |what: &str| {
            let rules = status["rules"].as_array().expect("rules");
            rules.iter().map(|rule| rule[what].as_u64().expect("a number")).sum()
        };
        (sum("seen"), sum("fired"))
    }
}

/// Kinds of faults in turn, each of them struck by a fifth of all requests, and what came of them.
struct Faults {
    admin: Admin,
    kinds: Vec<(&'static str, Value)>,
    random: StdRng,
    now: Option<&'static str>,
    until: Instant,
    each: Duration,
    seen: u64,
    struck: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Notes what the kind in force did, and goes on to the next one when its time has come.
    fn turn(&mut self) {
        if self.now.is_some() && Instant::now() < self.until {
            return;
        }
        self.note();
        if self.kinds.is_empty() {
            self.kinds = kinds();
            self.kinds.shuffle(&mut self.random);
        }
        let (kind, fault) = self.kinds.pop().expect("there are kinds");
        let plan = json!({"rules": [{"operation": "*", "rate": RATE, "fault": fault}]});
        self.admin.ask(reqwest::Method::PUT, plan.to_string());
        (self.now, self.until) = (Some(kind), Instant::now() + self.each);
    }

    fn note(&mut self) {
        if let Some(kind) = self.now.take() {
            let (seen, struck) = self.admin.struck();
            self.seen += seen;
            *self.struck.entry(kind).or_default() += struck;
        }
    }

    fn heal(&mut self) {
        self.note();
        self.admin.ask(reqwest::Method::DELETE, String::new());
    }
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The most memory that the daemon ever had, in KiB (proc(5), VmHWM).
fn peak(place: &Place) -> u64 {
    let pid = fs::read_to_string(place.path("state/lock")).expect("a lock");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("the daemon's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

/// Promise: under a mixed load on a service of which a fifth of all requests fails in every way in turn, with a kill of the daemon
/// a minute, nothing that was acknowledged is lost, no wrong byte is read, every file comes back from its vault, and no daemon
/// has more memory than those before it.
#[test]
fn nothing_is_lost_on_a_service_that_fails() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let seconds = number("GLACIERFS_POWER_SOAK", 20);
    println!("GLACIERFS_POWER_SEED={seed}, {seconds} s");
    let life = Duration::from_secs(if seconds >= LONG { 60 } else { (seconds / 4).max(1) });
    let place = Arc::new(Place::new());
    let serve = Serve::start_faulty(&place, "all=20ms");
    let start = || place.mount_endpoint(&serve.url, &["--upload-delay", "200ms", "--drain-timeout", "0"]);
    start();
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let mut crowd = Crowd::new(&place, seed);
    let each = Duration::from_secs_f64(seconds as f64 / kinds().len() as f64 / 2.0).min(Duration::from_secs(10));
    let mut faults = Faults {
        admin: Admin::new(&place, &serve),
        kinds: Vec::new(),
        random: StdRng::seed_from_u64(seed),
        now: None,
        until: Instant::now(),
        each,
        seen: 0,
        struck: BTreeMap::new(),
    };
    let (begin, mut peaks, mut looked, mut met) = (Instant::now(), Vec::new(), Looked::default(), 0);
    let (over, mut killed) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|threads| {
        // Also when a look has failed.
        let _over = Over(&over);
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                faults.turn();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        while begin.elapsed() < Duration::from_secs(seconds) {
            let until_dead = || {
                std::thread::sleep(life.saturating_sub(killed.elapsed()).max(life / 4));
                let peak = peak(&place);
                place.kill();
                peak
            };
            let (peak, at_work) = crowd.work_until_dead(until_dead);
            killed = Instant::now();
            met += at_work;
            peaks.push(peak);
            start();
            let look = crowd.look();
            looked += look;
            // What can't be deleted now stays for the next time.
            place.run(&["trash", "purge", "--all", "--yes", "--mount", &place.text("mnt")]);
            println!(
                "kill {} after {:.0?}: {} changes acknowledged so far, {look:?}, the daemon had {} MiB at most",
                peaks.len(),
                begin.elapsed(),
                crowd.acknowledged(),
                peak >> 10
            );
        }
    });
    faults.heal();
    assert_eq!(met, WORKERS * peaks.len() as u64, "each kill met everybody at work");
    let changes = crowd.acknowledged();
    let (back, found) = close(&place, &mut crowd.works);
    let struck: u64 = faults.struck.values().sum();
    println!(
        "{} kills, {changes} changes acknowledged, {looked:?}; at the end {back:?} from the vault: all there",
        peaks.len()
    );
    println!("{struck} of {} requests struck: {:?}", faults.seen, faults.struck);
    println!("{found}most memory of each daemon in KiB: {peaks:?}");
    assert!(struck > 0 && changes > 0);
    if seconds >= LONG {
        let third = peaks.len().div_ceil(3);
        let most = |peaks: &[u64]| peaks.iter().copied().max().unwrap_or_default() as f64;
        let (first, last) = (most(&peaks[..third]), most(&peaks[peaks.len() - third..]));
        assert!(last <= first * GROWTH.0 + GROWTH.1, "{last} KiB in the end, {first} in the beginning");
    }
}
