//! Notices when an operation takes too long, tells who waits for what, and ends the daemon so that nothing waits any more.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::time::ClockId;
use nix::time::clock_gettime;
use nix::unistd::Pid;

/// Bytes of a worker's note: when its operation began, the thread, and what it is.
const NOTE: usize = 256;

/// Time since the machine started, the same in each process.
fn now() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock"))
}

/// Where a worker, of whatever process, notes what it is doing.
pub struct Notes {
    file: File,
    number: usize,
}

impl Notes {
    pub fn new(path: &Path, number: usize) -> Notes {
        let file = File::options().create(true).truncate(false).write(true).open(path).expect("the notes");
        Notes { file, number }
    }

    /// Notes that this thread begins an operation now.
    pub fn begin(&self, operation: &str) {
        let began = u64::try_from(now().as_nanos()).expect("a time");
        let tid = u64::try_from(nix::unistd::gettid().as_raw()).expect("a thread");
        let mut note = [&began.to_le_bytes()[..], &tid.to_le_bytes(), operation.as_bytes()].concat();
        note.resize(NOTE, 0);
        self.write(&note);
    }

    /// Notes that it has ended.
    pub fn end(&self) {
        self.write(&[0; NOTE]);
    }

    fn write(&self, note: &[u8]) {
        self.file.write_all_at(note, (self.number * NOTE) as u64).expect("the notes are written");
    }
}

/// What the workers are doing, and for how long they may.
pub struct Watchdog {
    notes: File,
    workers: usize,
    limit: Duration,
    daemon: Pid,
}

impl Watchdog {
    /// Watches over `workers` that note what they do in the file `notes`.
    pub fn new(notes: &Path, workers: usize, limit: Duration, daemon: Pid) -> Watchdog {
        // It is read from its beginning to its end, whoever has come.
        let file = File::options().create(true).truncate(false).read(true).write(true).open(notes).expect("the notes");
        file.set_len((workers * NOTE) as u64).expect("the notes");
        Watchdog { notes: file, workers, limit, daemon }
    }

    /// Whether an operation takes longer than it may: then all about it, and the daemon is gone.
    pub fn bites(&self) -> Option<String> {
        let mut notes = vec![0; self.workers * NOTE];
        self.notes.read_exact_at(&mut notes, 0).expect("the notes");
        let now = now();
        let number = |note: &[u8], n: usize| u64::from_le_bytes(note[8 * n..8 * n + 8].try_into().expect("8 bytes"));
        let took = |note: &[u8]| now.saturating_sub(Duration::from_nanos(number(note, 0)));
        let at_work: Vec<_> = notes.chunks(NOTE).enumerate().filter(|(_, note)| number(note, 0) != 0).collect();
        if at_work.iter().all(|(_, note)| took(note) <= self.limit) {
            return None;
        }
        let mut report = String::new();
        // Also those for whom it isn't too long yet: one of them may be what the others wait for.
        for (worker, note) in at_work {
            let operation = String::from_utf8_lossy(&note[16..]);
            let (took, operation) = (took(note), operation.trim_end_matches('\0'));
            let _ = writeln!(report, "worker {worker} has been at this for {took:.1?}: {operation}");
            thread(&mut report, &format!("/proc/{}", number(note, 1)));
        }
        let _ = writeln!(report, "the daemon's threads:");
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.daemon)).into_iter().flatten().flatten();
        tasks.for_each(|task| thread(&mut report, &task.path().to_string_lossy()));
        let _ = kill(self.daemon, Signal::SIGKILL);
        Some(report)
    }
}

/// Adds what the kernel tells of a thread. Its stack it tells only root.
fn thread(report: &mut String, directory: &str) {
    let read = |name: &str| match std::fs::read_to_string(format!("{directory}/{name}")) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) => error.to_string(),
    };
    let stat = read("stat");
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("?").to_owned();
    let stack = read("stack").replace('\n', "\n      ");
    let (name, wchan, call) = (read("comm"), read("wchan"), read("syscall"));
    let _ = writeln!(report, "  {directory} {name}: state {state}, in {wchan}, system call {call}\n      {stack}");
}
