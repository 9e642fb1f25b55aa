//! A mount: a directory by system calls, and a daemon that archives, evicts, ends and starts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use glacierfs::control::client::Client;
use glacierfs::control::wire;
use glacierfs::control::wire::PathText;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::disk::Disk;
use super::op::Op;
use super::op::Path;
use super::support::Place;
use super::support::until;
use super::target::Answer;
use super::target::Attr;
use super::target::Result;
use super::target::Target;

/// Nothing is archived by itself, so that a sequence means the same again. Recalls take milliseconds.
const SETTINGS: [&str; 7] =
    ["--upload-delay", "1h", "--retrieval-delay", "all=5ms", "--drain-timeout", "0", "--daemon"];
const VAULT: &str = "model";
/// What is due is begun within this time.
const IDLE: Duration = Duration::from_millis(200);
/// Longest wait for archiving.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Mount {
    disk: Disk,
    place: Place,
    runtime: tokio::runtime::Runtime,
    client: Client,
    pid: Pid,
    /// The same, for the breaker.
    shared_pid: Arc<AtomicI32>,
    evictions: u64,
}

impl Mount {
    pub fn new() -> Self {
        let place = Place::new();
        start(&place);
        std::fs::create_dir(place.mnt().join(VAULT)).expect("a vault");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client::new(place.path("state/control.sock"));
        let pid = place.pid();
        let shared_pid = Arc::new(AtomicI32::new(pid.as_raw()));
        Mount { disk: Disk::new(place.mnt().join(VAULT)), place, runtime, client, pid, shared_pid, evictions: 0 }
    }

    fn text(&self, path: &Path) -> Vec<PathText> {
        let mut text = format!("{VAULT}/{}", self.disk.directory()).into_bytes();
        if !path.0.is_empty() {
            text.push(b'/');
            text.extend(path.bytes());
        }
        vec![PathText(text)]
    }

    fn flush(&self, path: &Path, wait: bool) {
        let paths = self.text(path);
        let start = Instant::now();
        loop {
            // A path that isn't there isn't there.
            let Ok(pending) = self.runtime.block_on(self.client.flush(&paths)) else { return };
            if !wait || pending.pending_files == 0 {
                return;
            }
            // What is open for writing, or has lost its name, isn't archived however long one waits.
            let queue = self.runtime.block_on(self.client.status()).expect("a status").queue;
            let idle = start.elapsed() > IDLE && queue.uploading_files == 0;
            if queue.files == 0 || idle {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "flushing didn't end: {pending:?}\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn restart(&mut self, by_kill: bool) {
        if by_kill {
            // With everything open, as it is when a daemon dies.
            kill(self.pid, Signal::SIGKILL).expect("the daemon is ours");
            until("the daemon's end", || kill(self.pid, None).is_err());
            self.disk.close_all();
        } else {
            self.disk.close_all();
            self.place.ok(&["umount", "--drain", "0", &self.place.text("mnt")]);
        }
        start(&self.place);
        self.pid = self.place.pid();
        self.shared_pid.store(self.pid.as_raw(), Ordering::Relaxed);
    }
}

fn start(place: &Place) {
    let (local, state, mnt) = (place.text("vaults"), place.text("state"), place.text("mnt"));
    let places = ["mount", "--local", &local, "--state", &state, &mnt];
    let done = place.run(&[&places[..], &SETTINGS].concat());
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

impl Target for Mount {
    fn apply(&mut self, op: &Op) -> Result<Answer> {
        match op {
            Op::Flush { path, wait } => self.flush(path, *wait),
            Op::Evict { path } => {
                let evict = wire::Evict { paths: self.text(path).to_vec(), ..wire::Evict::default() };
                if let Ok(evicted) = self.runtime.block_on(self.client.evict(&evict)) {
                    self.evictions += evicted.files;
                }
            }
            Op::Restore { path } => {
                let paths = self.text(path);
                // A path that isn't there isn't there.
                let wish = wire::Restore { paths, ..wire::Restore::default() };
                let _ = self.runtime.block_on(self.client.restore(&wish));
            }
            Op::Restart { kill } => self.restart(*kill),
            other => return self.disk.apply(other),
        }
        Ok(Answer::Done)
    }

    fn attr(&mut self, path: &Path) -> Result<Attr> {
        self.disk.attr(path)
    }

    fn attr_of(&mut self, slot: u8) -> Option<Result<Attr>> {
        self.disk.attr_of(slot)
    }

    fn read(&mut self, path: &Path, at: u64, len: usize) -> Result<Vec<u8>> {
        self.disk.read(path, at, len)
    }

    fn read_of(&mut self, slot: u8, at: u64, len: usize) -> Option<Result<Vec<u8>>> {
        self.disk.read_of(slot, at, len)
    }

    fn xattrs(&mut self, path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.disk.xattrs(path)
    }

    fn afresh(&mut self) {
        self.disk.afresh();
    }

    fn evictions(&self) -> u64 {
        self.evictions
    }

    fn breaker(&self) -> Box<dyn Fn() + Send> {
        let pid = self.shared_pid.clone();
        Box::new(move || {
            // Whatever waits for the daemon gets ENOTCONN then. One that is gone already needs nothing.
            let _ = kill(Pid::from_raw(pid.load(Ordering::Relaxed)), Signal::SIGKILL);
        })
    }

    fn remarks(&self) -> String {
        let log = self.place.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
