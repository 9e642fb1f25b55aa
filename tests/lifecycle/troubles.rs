//! Troubles that come while a mount is at work, and go again: a network, credentials, a vault, a service or a clock that isn't as it
//! should be. Each while something is being written, something waits for its upload and something cold is being read.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use glacierfs::glacier::client::Client;
use glacierfs::glacier::client::Config;
use glacierfs::glacier::credentials::CredentialSource;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;

use super::forwarder::Forwarder;
use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::support::shifted;
use super::support::until;
use super::support::within;

/// Longest that anything may take that nobody helps along: the longest pause of a vault or a recall that the service can't be
/// asked about is a minute.
const BY_ITSELF: Duration = Duration::from_secs(90);
const OPTIONS: &[&str] = &["--upload-delay", "0", "--snapshot-delay", "off", "--drain-timeout", "0"];
const DAY: i64 = 24 * 3600;
/// How much is appended at a time to the file that is being written.
const CHUNK: usize = 10_000;

/// Bytes that differ from file to file.
fn bytes(name: &str, length: usize) -> Vec<u8> {
    let seed = name.bytes().fold(7_u64, |sum, byte| sum * 31 % 65_521 + u64::from(byte));
    (0..length as u64).map(|at| ((at * 2_654_435_761 + seed * 40_503) >> 7) as u8).collect()
}

fn process(serve: &Serve) -> Pid {
    Pid::from_raw(i32::try_from(serve.child.id()).expect("a process ID"))
}

/// A mount of an endpoint in another process, and what goes on in it.
struct Scene {
    place: Place,
    serve: Option<Serve>,
    /// The endpoint's, also when it is down.
    address: String,
    delay: &'static str,
    /// Whether the endpoint goes by the clock of [`Place::shift_by`].
    shifts: bool,
    /// Files that are there at the end, with their sizes.
    files: Vec<(&'static str, usize)>,
    /// Vaults that have to be as the catalog says at the end.
    vaults: Vec<&'static str>,
    writer: Option<Writer>,
    reader: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

/// Appends to a file that it keeps open.
struct Writer {
    stop: Arc<AtomicBool>,
    chunks: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Scene {
    /// An endpoint whose retrievals take `delay`, not mounted yet. By its clock, if it `shifts`, it is now.
    fn new(delay: &'static str, shifts: bool) -> Self {
        let place = Place::new();
        place.shift_by(0);
        let address = "127.0.0.1:0".to_owned();
        let (files, vaults) = (Vec::new(), vec!["v"]);
        let mut scene = Scene { place, serve: None, address, delay, shifts, files, vaults, writer: None, reader: None };
        scene.serve();
        scene
    }

    /// A mount with the cold file `v/cold`, and one that is being written from now on.
    fn mounted(delay: &'static str) -> Self {
        let scene = Scene::new(delay, false);
        let url = scene.url();
        scene.place.mount_endpoint(&url, OPTIONS);
        scene.begun()
    }

    /// The same with a daemon whose clock can be shifted, and the endpoint's with it if it `shifts`.
    fn shifting(delay: &'static str, shifts: bool) -> Self {
        let scene = Scene::new(delay, shifts);
        scene.mount_shifted(&scene.url());
        scene.begun()
    }

    fn mount_shifted(&self, url: &str) {
        let mut command = self.place.endpoint_mount(url, OPTIONS);
        shifted(&mut command, &self.place.path("shift"));
        let done = finished(&mut command);
        assert_eq!(done.code, 0, "{}{}", done.stderr, self.place.log());
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the endpoint, where it was.
    fn serve(&mut self) {
        let shift = self.shifts.then(|| self.place.path("shift"));
        let serve = Serve::start_as(&self.place, &self.address, self.delay, |command| {
            command.arg("--admin");
            if let Some(shift) = shift {
                shifted(command, &shift);
            }
        });
        self.address = serve.url.trim_start_matches("http://").to_owned();
        self.serve = Some(serve);
    }

    fn begun(mut self) -> Self {
        let place = &self.place;
        place.ok(&["vault", "create", "v", "--mount", &place.text("mnt")]);
        self.write("v/cold", 300_000);
        self.place.ok(&["flush", "--timeout", "30s", &self.place.text("mnt")]);
        self.place.ok(&["evict", &self.place.text("mnt")]);
        let mut file = File::create(self.place.path("mnt/v/open")).expect("a file");
        let (stop, chunks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), chunks.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                file.write_all(&bytes("chunk", CHUNK)).expect("writes go on");
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        self.writer = Some(Writer { stop, chunks, thread });
        self
    }

    /// A file that waits for its upload when this returns, and has to be there at the end.
    fn write(&mut self, name: &'static str, size: usize) {
        std::fs::write(self.place.path("mnt").join(name), bytes(name, size)).expect("writes go on");
        self.files.push((name, size));
    }

    /// Begins to read the cold file.
    fn read(&mut self) {
        let path = self.place.path("mnt/v/cold");
        self.reader = Some(std::thread::spawn(move || std::fs::read(path)));
    }

    /// More is written, while whatever is the matter.
    fn writes_go_on(&self) {
        let writer = self.writer.as_ref().expect("a writer");
        let before = writer.chunks.load(Ordering::Relaxed);
        until("a write", || writer.thread.is_finished() || writer.chunks.load(Ordering::Relaxed) > before + 2);
        assert!(!writer.thread.is_finished(), "a write failed");
    }

    fn status(&self) -> Value {
        self.place.status()
    }

    /// Waits until the status says of the vault's uploads, and of recalls if there is a reader, what is the matter.
    fn told(&self, what: &str) {
        let says = |reason: &Value| reason.as_str().is_some_and(|reason| reason.contains(what));
        let start = Instant::now();
        loop {
            let status = self.status();
            let recalls = self.reader.is_none() || says(&status["recall_trouble"]["reason"]);
            if recalls && status["paused"][0]["vault"] == "v" && says(&status["paused"][0]["reason"]) {
                break;
            }
            assert!(start.elapsed() < BY_ITSELF, "no status says {what:?}: {status:#}\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let page = self.place.ok(&["status", &self.place.text("mnt")]);
        println!("{page}");
        assert!(page.contains("\nPaused\n  v  since ") && page.contains(what), "{page}");
        assert_eq!(page.contains("\nRecalls wait\n  since "), self.reader.is_some(), "{page}");
        assert!(
            self.reader.as_ref().is_none_or(|reader| !reader.is_finished()),
            "who reads waits: {}",
            self.place.log()
        );
    }

    /// Waits until who reads has read, and makes the file cold again.
    fn read_and_evicted(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let start = Instant::now();
        while !reader.is_finished() {
            let place = &self.place;
            assert!(start.elapsed() < BY_ITSELF, "a read doesn't end: {:#}\n{}", place.status(), place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let read = reader.join().expect("no panic").unwrap_or_else(|error| panic!("{error}: {}", self.place.log()));
        assert!(read == bytes("v/cold", 300_000));
        self.place.ok(&["evict", &self.place.text("mnt/v/cold")]);
    }

    /// Waits until all is well, with nobody's help, and proves it: who read has the bytes, everything is archived, comes back
    /// whole, and is in the vault once.
    fn all_is_well(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.stop.store(true, Ordering::Relaxed);
            writer.thread.join().expect("every write succeeds");
            let size = CHUNK * writer.chunks.load(Ordering::Relaxed) as usize;
            let all = bytes("chunk", CHUNK).repeat(size / CHUNK);
            assert!(std::fs::read(self.place.path("mnt/v/open")).expect("a read file") == all);
            self.files.push(("v/open", size));
        }
        self.read_and_evicted();
        within(BY_ITSELF, "a queue that is empty", || {
            let queue = &self.status()["queue"];
            queue["files"] == 0 && queue["dirty_files"] == 0
        });
        until("a status without troubles", || {
            let status = self.status();
            status["paused"].as_array().is_some_and(Vec::is_empty) && status["recall_trouble"].is_null()
        });
        let mnt = self.place.text("mnt");
        self.place.ok(&["evict", &mnt]);
        // All at once: one by one each would take the endpoint's delay.
        let vaults: Vec<String> = self.vaults.iter().map(|vault| self.place.text(&format!("mnt/{vault}"))).collect();
        let vaults: Vec<&str> = vaults.iter().map(String::as_str).collect();
        self.place.ok(&[&["restore", "--wait", "--timeout", "1min"], &vaults[..]].concat());
        for (name, size) in &self.files {
            let expected =
                if *name == "v/open" { bytes("chunk", CHUNK).repeat(size / CHUNK) } else { bytes(name, *size) };
            let read = std::fs::read(self.place.path("mnt").join(name)).expect("a read file");
            assert!(read == expected, "{name} differs");
        }
        let verified = self.place.run(&[&["verify", "--timeout", "1min", "--mount", &mnt], &self.vaults[..]].concat());
        assert_eq!(verified.code, 0, "{}{}{}", verified.stdout, verified.stderr, self.place.log());
        self.place.ok(&["umount", &mnt]);
    }

    /// Something is asked of the endpoint's routes for testers.
    fn admin(&self, method: &str, route: &str, body: &str) -> String {
        let token = std::fs::read_to_string(self.place.path("served/admin-token")).expect("a token");
        let mut stream = TcpStream::connect(&self.address).expect("the endpoint");
        let (address, token, length) = (&self.address, token.trim(), body.len());
        write!(
            stream,
            "{method} /_glacierfs/{route} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer
    }
}

/// Promise: a network that is away, and one that swallows everything, stop no writer; the status says what is the matter and since
/// when; who reads waits, and can be interrupted; when it is there again everything arrives, with nobody's help.
#[test]
fn a_dead_network() {
    let mut scene = Scene::mounted("all=0s");
    // Connections are accepted, and nothing is ever answered.
    let serving = process(scene.serve.as_ref().expect("an endpoint"));
    kill(serving, Signal::SIGSTOP).expect("the endpoint is ours");
    scene.read();
    scene.write("v/silent", 100_000);
    until("a status that says that nothing moves", || scene.status()["uploads"][0]["idle_seconds"].as_u64() >= Some(1));
    scene.writes_go_on();
    kill(serving, Signal::SIGCONT).expect("the endpoint is ours");
    until("the upload", || scene.status()["queue"]["files"] == 0);
    scene.read_and_evicted();

    // Nobody is there.
    assert_eq!(scene.serve.take().expect("an endpoint").stop(), Some(0));
    scene.write("v/refused", 100_000);
    scene.read();
    scene.told("no connection");
    let mut cat = Command::new("env").args(["--default-signal", "cat"]).arg(scene.place.path("mnt/v/cold")).spawn();
    let cat = cat.as_mut().expect("cat starts");
    kill(Pid::from_raw(i32::try_from(cat.id()).expect("a process ID")), Signal::SIGINT).expect("cat is ours");
    assert!(!cat.wait().expect("a child").success(), "a reader is interrupted");
    scene.writes_go_on();
    let since = scene.status()["paused"][0]["since"].clone();
    within(BY_ITSELF, "another try", || {
        scene.status()["uploads"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["attempts"].as_u64() >= Some(3)))
    });
    assert_eq!(scene.status()["paused"][0]["since"], since, "a pause is told from its beginning");
    let told = scene.place.log().lines().filter(|line| line.contains("uploads to vault v wait")).count();
    assert_eq!(told, 1, "an outage fills no log: {}", scene.place.log());
    scene.serve();
    scene.all_is_well();
}

/// Promise: a key that is replaced where it was found is taken up without a restart, and unnoticed if it is there in time. While
/// there is only a wrong one, or none, uploads and recalls wait, which the status says, and go on by themselves; no retrieval
/// fails for it.
#[test]
fn credentials_that_change() {
    let mut scene = Scene::new("all=0s", false);
    let served = scene.place.path("served/credentials");
    let ours = scene.place.path("credentials");
    std::fs::copy(&served, &ours).expect("credentials");
    let mut command = scene.place.endpoint_mount(&scene.url(), OPTIONS);
    command.env("AWS_SHARED_CREDENTIALS_FILE", &ours);
    assert_eq!(finished(&mut command).code, 0, "{}", scene.place.log());
    scene = scene.begun();
    let renew = |scene: &mut Scene| {
        assert_eq!(scene.serve.take().expect("an endpoint").stop(), Some(0));
        std::fs::remove_file(&served).expect("the old key");
        scene.serve();
    };

    renew(&mut scene);
    std::fs::copy(&served, &ours).expect("credentials");
    scene.write("v/replaced", 1000);
    until("the upload", || scene.status()["queue"]["files"] == 0);
    let log = scene.place.log();
    assert!(log.contains("there are new ones") && !log.contains("uploads to vault v wait"), "{log}");

    renew(&mut scene);
    scene.read();
    scene.write("v/old-key", 1000);
    scene.told("check the access key ID");
    let mut wrong = std::fs::read_to_string(&served).expect("credentials");
    let at = wrong.find("aws_secret_access_key = ").expect("a secret") + 24;
    wrong.replace_range(at..at + 6, "WRONG/");
    std::fs::write(&ours, wrong).expect("credentials");
    let flush = scene.place.run(&["flush", "--timeout", "20s", &scene.place.text("mnt/v/old-key")]);
    assert_eq!(flush.code, 8, "a person is asked for: {}", flush.stderr);
    scene.told("check the secret access key");
    std::fs::remove_file(&ours).expect("none at all");
    scene.writes_go_on();
    std::fs::copy(&served, &ours).expect("credentials");
    scene.all_is_well();
}

/// What another client does with the endpoint.
fn other<T>(scene: &Scene, work: impl AsyncFnOnce(Client) -> T) -> T {
    let text = std::fs::read_to_string(scene.place.path("served/credentials")).expect("credentials");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
        line.expect("a key").trim().to_owned()
    };
    let credentials = glacierfs::glacier::sigv4::Credentials {
        access_key: value("aws_access_key_id"),
        secret_key: value("aws_secret_access_key"),
        session_token: None,
    };
    let mut config = Config::new("us-east-1", CredentialSource::fixed(credentials));
    config.endpoint = Some(scene.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { work(Client::new(config).expect("a client")).await })
}

/// Promise: a vault that somebody deletes keeps its directory and the files that wait for it; the status names it and what to do;
/// other vaults go on; once it is there again, made by whomever, everything arrives. What cold files were in it can't be read,
/// which is said at once, with their names, also after a restart.
#[test]
fn a_vault_that_vanishes() {
    let mut scene = Scene::mounted("all=0s");
    let mnt = scene.place.text("mnt");
    for vault in ["x", "gone"] {
        scene.place.ok(&["vault", "create", vault, "--mount", &mnt]);
    }
    std::fs::write(scene.place.path("mnt/gone/lost"), "lost").expect("a written file");
    std::fs::write(scene.place.path("mnt/v/lost"), "lost").expect("a written file");
    scene.place.ok(&["flush", "--timeout", "30s", &scene.place.text("mnt/gone"), &scene.place.text("mnt/v/lost")]);
    let id = |scene: &Scene, name: &str| {
        let listed = scene.place.ok(&["ls", "--json", &scene.place.text("mnt").replace("mnt", &format!("mnt/{name}"))]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed[0]["archive_id"].as_str().expect("an archive").to_owned()
    };
    let (in_gone, in_v) = (id(&scene, "gone/lost"), id(&scene, "v/lost"));
    other(&scene, async |client| {
        client.delete_archive("v", &in_v).await.expect("deleted");
        client.delete_archive("gone", &in_gone).await.expect("deleted");
        client.delete_vault("x").await.expect("deleted");
        // Not before its inventory says that it is empty.
        for _ in 0..200 {
            if client.delete_vault("gone").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the vault can't be deleted");
    });

    scene.read();
    for vault in ["mnt/v/lost", "mnt/gone/lost"] {
        scene.place.ok(&["evict", &scene.place.text(vault)]);
        let path = scene.place.path(vault);
        let reader = std::thread::spawn(move || std::fs::read(path));
        until("the end of a read", || reader.is_finished());
        let error = reader.join().expect("no panic").expect_err("it is gone");
        assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::EIO as i32), "{error}");
    }
    let log = scene.place.log();
    assert!(log.contains("the retrieval of v/lost failed") && log.contains("archive ID was not found"), "{log}");
    assert!(log.contains("the retrieval of gone/lost failed") && log.contains("Vault not found"), "{log}");

    scene.write("x/waits", 1000);
    let told = |scene: &Scene| {
        within(BY_ITSELF, "a status that says what to do", || {
            let paused = &scene.status()["paused"][0];
            let reason = paused["reason"].as_str().unwrap_or_default();
            paused["vault"] == "x" && reason.contains("Vault not found") && reason.contains("glacierfs vault create")
        });
        assert_eq!(std::fs::read(scene.place.path("mnt/x/waits")).expect("a read file"), bytes("x/waits", 1000));
    };
    told(&scene);
    scene.write("v/meanwhile", 1000);
    until("an upload to another vault", || scene.status()["queue"]["files"] == 1);
    let flush = scene.place.run(&["flush", "--timeout", "20s", &scene.place.text("mnt/x")]);
    assert!(flush.code == 8 && flush.stderr.contains("Vault not found"), "{} {}", flush.code, flush.stderr);
    other(&scene, async |client| client.create_vault("x").await.expect("made again"));
    within(BY_ITSELF, "the upload", || scene.status()["queue"]["files"] == 0);

    scene.place.ok(&["vault", "create", "y", "--mount", &mnt]);
    other(&scene, async |client| client.delete_vault("y").await.expect("deleted"));
    scene.write("y/waits", 1000);
    within(BY_ITSELF, "a pause", || scene.status()["paused"][0]["vault"] == "y");
    let made = scene.place.ok(&["vault", "create", "y", "--mount", &mnt]);
    println!("{made}");
    until("the upload", || scene.status()["queue"]["files"] == 0);
    let exists = scene.place.run(&["vault", "create", "y", "--mount", &mnt]);
    assert!(exists.code != 0 && exists.stderr.contains("exists already"), "{}", exists.stderr);
    // An archive that is missing is in nobody's way when its file is deleted.
    std::fs::remove_file(scene.place.path("mnt/v/lost")).expect("a removal");
    scene.place.ok(&["trash", "purge", "--yes", &scene.place.text("mnt/v/lost")]);
    scene.vaults = vec!["v", "x", "y"];
    scene.all_is_well();
}

/// Promise: while the service refuses most requests, because there are too many, or because it is out of order, it is slower, no
/// program is told an error, and nothing is in the vault twice.
#[test]
fn throttling() {
    let mut scene = Scene::mounted("all=0s");
    let fault = |rate: f64, fault: &str| format!(r#"{{"operation":"*","rate":{rate},"fault":{{"error":{fault}}}}}"#);
    let rules = [fault(0.6, r#"{"code":"ThrottlingException"}"#), fault(0.5, r#"{"status":503}"#)].join(",");
    scene.admin("PUT", "faults", &format!(r#"{{"rules":[{rules}]}}"#));
    scene.read();
    // So many that chance doesn't let all of them pass before enough was refused.
    for letter in 'a'..='z' {
        let name = format!("v/{letter}").leak();
        scene.write(name, 20_000);
    }
    let struck = |rule: usize| {
        let answer = scene.admin("GET", "faults", "");
        let plan: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
        plan["rules"][rule]["fired"].as_u64().expect("a number")
    };
    within(BY_ITSELF, "refusals of both kinds", || struck(0) >= 10 && struck(1) >= 4);
    scene.writes_go_on();
    scene.admin("DELETE", "faults", "");
    scene.all_is_well();
}

/// Promise: a daemon that is killed ends at once, and its mount with it, also while somebody waits there for the service to make or
/// remove a vault and it has something to tell the kernel of the same directory.
#[test]
fn killed_while_vaults_are_made() {
    let scene = Scene::new("all=0s", false);
    let options = ["--upload-delay", "0"];
    scene.place.mount_endpoint(&scene.url(), &options);
    let mnt = scene.place.text("mnt");
    scene.place.ok(&["vault", "create", "going", "--mount", &mnt]);
    for (n, operation) in ["CreateVault", "DeleteVault"].into_iter().enumerate() {
        let slow = format!(r#"{{"operation":"{operation}","count":1,"fault":{{"delay":"60s"}}}}"#);
        scene.admin("PUT", "faults", &format!(r#"{{"rules":[{slow}]}}"#));
        let path = scene.place.path("mnt");
        let waits = std::thread::spawn(move || match n {
            0 => std::fs::create_dir(path.join("coming")),
            _ => std::fs::remove_dir(path.join("going")),
        });
        until("the request", || scene.admin("GET", "faults", "").contains(r#""fired":1"#));
        scene.place.ok(&["vault", "create", &format!("other{n}"), "--mount", &mnt]);
        // Time to tell the kernel.
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waits.is_finished());
        scene.place.kill();
        waits.join().expect("no panic").expect_err("nobody answers any more");
        scene.admin("DELETE", "faults", "");
        scene.place.mount_endpoint(&scene.url(), &options);
        until("all vaults", || scene.place.path("mnt").join(format!("other{n}")).is_dir());
    }
    scene.place.ok(&["umount", &mnt]);
}

/// Promise: a clock that is set a day ahead, or back, keeps the daemon from nothing once it is right again: what waits goes up,
/// and what was asked for comes, within the usual distance between tries. Meanwhile the status blames the clock.
#[test]
fn a_clock_that_steps_a_day() {
    let mut scene = Scene::shifting("all=3s", false);
    for (step, name, more) in [(DAY, "v/ahead", "v/ahead-too"), (-DAY, "v/behind", "v/behind-too")] {
        scene.read();
        until("a job", || scene.status()["jobs"][0]["id"].as_str().is_some_and(|id| !id.is_empty()));
        scene.write(name, 1000);
        scene.place.shift_by(step);
        scene.write(more, 1000);
        scene.told("this machine's clock is 2");
        scene.writes_go_on();
        scene.place.shift_by(0);
        within(BY_ITSELF, "the uploads", || scene.status()["queue"]["files"] == 0);
        scene.read_and_evicted();
    }
    scene.all_is_well();
}

/// Promise: where the clock of the whole machine steps, with an endpoint on it, nothing waits a day for it either.
#[test]
fn a_machine_whose_clock_steps_a_day() {
    let mut scene = Scene::shifting("all=2s", true);
    for (step, name) in [(DAY, "v/ahead"), (-DAY, "v/behind"), (0, "v/right")] {
        scene.read();
        until("a job", || scene.status()["jobs"][0]["id"].as_str().is_some_and(|id| !id.is_empty()));
        scene.place.shift_by(step);
        scene.write(name, 1000);
        within(BY_ITSELF, "the upload", || scene.status()["queue"]["files"] == 0);
        scene.read_and_evicted();
    }
    scene.all_is_well();
}

/// Promise: a clock that runs ahead takes nothing from the trash: not before the service has accepted a request that was signed by
/// it, also at a start.
#[test]
fn a_clock_that_is_ahead_empties_no_trash() {
    let scene = Scene::new("all=0s", false);
    let (mnt, url) = (scene.place.text("mnt"), scene.url());
    // What is younger than a minute and has no archive isn't kept when it is deleted.
    scene.place.shift_by(-200);
    scene.mount_shifted(&url);
    scene.place.ok(&["vault", "create", "v", "--mount", &mnt]);
    std::fs::create_dir(scene.place.path("mnt/v/directory")).expect("a directory");
    scene.place.shift_by(0);
    std::fs::remove_dir(scene.place.path("mnt/v/directory")).expect("a removal");
    scene.place.ok(&["umount", &mnt]);

    scene.place.shift_by(400 * DAY);
    scene.mount_shifted(&url);
    until("a refusal", || scene.place.log().contains("the list of vaults can't be fetched now"));
    scene.place.shift_by(0);
    let path = scene.place.path("mnt/v/waits");
    std::fs::write(&path, "waits").expect("a written file");
    within(BY_ITSELF, "an upload", || scene.status()["queue"]["files"] == 0);
    scene.place.ok(&["trash", "restore", &scene.place.text("mnt/v/directory")]);
    assert!(Path::new(&scene.place.path("mnt/v/directory")).is_dir());
}

/// Promise: a machine that sleeps for hours in the middle of an upload and a recall, and finds its connections gone when it wakes,
/// goes on by itself.
#[test]
fn a_machine_that_sleeps() {
    let mut scene = Scene::new("all=2s", true);
    let forwarder = Forwarder::start(&scene.url());
    scene.mount_shifted(&forwarder.url);
    scene = scene.begun();
    let before = forwarder.exchanges().len();
    scene.read();
    until("a job", || scene.status()["jobs"][0]["id"].as_str().is_some_and(|id| !id.is_empty()));
    forwarder.slow(Duration::from_millis(100));
    scene.write("v/large", 4 << 20);
    until("an upload under way", || forwarder.exchanges()[before..].iter().any(|exchange| exchange.is_archive()));
    let daemon = scene.place.pid();
    // The writer would wait for the daemon, and the test for the writer's end.
    kill(daemon, Signal::SIGSTOP).expect("the daemon is ours");
    drop(scene.serve.take());
    forwarder.slow(Duration::ZERO);
    scene.place.shift_by(8 * 3600);
    scene.serve();
    kill(daemon, Signal::SIGCONT).expect("the daemon is ours");
    scene.writes_go_on();
    scene.all_is_well();
}
