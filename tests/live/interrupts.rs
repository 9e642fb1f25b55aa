//! Who waits in the mount can be ended, and hears of nothing else.

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::with_cold_files;

/// What ends a waiting program.
const DEADLY: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGKILL];
/// How long it may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A program that waits in the mount, ended with the test.
pub struct Waiter {
    name: String,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Waiter {
    /// Starts a program with the default action for each signal, whatever this test was started with.
    fn start(name: &str, program: &[&str], file: &str) -> Waiter {
        let mut command = Command::new("env");
        command.arg("--default-signal").args(program).arg(file);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("env starts");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        Waiter { name: name.to_owned(), child, said }
    }

    pub fn cat(file: &str) -> Waiter {
        Waiter::start("cat", &["cat"], file)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process ID"))
    }

    /// Whether a thread of it waits for a file system, and for more than a moment.
    pub fn is_stuck(&self) -> bool {
        let waits = || {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return false };
            tasks.flatten().any(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                let function = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
                // Where the kernel waits for an answer of FUSE; or for a page.
                function == "request_wait_answer"
                    || stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
            })
        };
        (0..5).all(|look| {
            if look > 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            waits()
        })
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a child of ours");
    }

    /// Its end, which has to come at once.
    fn ended(&mut self, since: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(since.elapsed() < AT_ONCE, "{} is still there after {:?}", self.name, since.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let start = Instant::now();
        // One that can't be ended is what a test here fails for, and mustn't hang it.
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < AT_ONCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn slow() -> Place {
    let place = Place::new();
    let done = place.mount(&["--retrieval-delay", "all=1h", "--upload-delay", "0", "--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    place
}

const PYTHON: &str = "/usr/bin/python3";

/// Ways to wait for bytes; each a program, in Python what runs before its arguments' file `f` is used.
const READERS: [(&str, &str); 9] = [
    ("read", "os.read(os.open(f, 0), 10)"),
    ("pread of the end", "os.pread(os.open(f, 0), 10, 299_000)"),
    ("a mapping", "m = mmap.mmap(os.open(f, 0), 0, prot=mmap.PROT_READ); m[5000]"),
    ("a shared mapping", "m = mmap.mmap(os.open(f, os.O_RDWR), 0); m[5000] = 1"),
    ("sendfile", "os.sendfile(os.open('/dev/null', 1), os.open(f, 0), 0, 100_000)"),
    ("splice", "r, w = os.pipe(); os.splice(os.open(f, 0), w, 1000)"),
    (
        "read after read-ahead",
        "d = os.open(f, 0); os.posix_fadvise(d, 0, 0, os.POSIX_FADV_WILLNEED); \
         ctypes.CDLL(None).readahead(d, ctypes.c_long(0), 100_000); os.read(d, 10)",
    ),
    ("another thread", "t = threading.Thread(target=lambda: os.read(os.open(f, 0), 10)); t.start(); signal.pause()"),
    (
        "a masked thread",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); \
         threading.Thread(target=lambda: os.read(os.open(f, 0), 10)).start(); \
         signal.pthread_sigmask(signal.SIG_UNBLOCK, range(1, 32)); signal.pause()",
    ),
];

fn python(code: &str) -> Vec<String> {
    let script = format!(
        "import ctypes, mmap, os, signal, sys, threading, time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n\
         f = sys.argv[1]\n{code}"
    );
    vec![PYTHON.to_owned(), "-c".to_owned(), script]
}

fn start_python(name: &str, code: &str, file: &str) -> Waiter {
    let program = python(code);
    Waiter::start(name, &program.iter().map(String::as_str).collect::<Vec<_>>(), file)
}

/// Promise: however a program waits for bytes that aren't local, each signal that ends programs ends it at once; others that
/// wait for the same file, or for another, go on waiting, and warm files are read.
#[test]
fn every_reader_can_be_ended() {
    let place = slow();
    with_cold_files(&place, 55, 300_000);
    std::fs::write(place.path("mnt/v/warm"), "warm").expect("a written file");
    let mut waiters: Vec<(Signal, Waiter)> = Vec::new();
    // Twice the first, for those who wait for the same page.
    for (round, signal) in DEADLY.iter().chain(&DEADLY[..1]).copied().enumerate() {
        // A page that somebody waits for, others wait for without asking; SIGQUIT, which leaves a core, ends only who asked.
        let file = |n: usize| place.text(&format!("mnt/v/cold{}", n + 11 * (round % 5)));
        for (n, (name, code)) in READERS.iter().enumerate() {
            waiters.push((signal, start_python(&format!("{name} under {signal}"), code, &file(n))));
        }
        waiters.push((signal, Waiter::cat(&file(9))));
        let dd = ["dd", "bs=64k", "status=none", "of=/dev/null"];
        waiters.push((signal, Waiter::start("dd", &dd, &format!("if={}", file(10)))));
    }
    let numbers = (0..55).filter(|n| [0, 5].contains(&(n % 11)));
    let others: Vec<Waiter> = numbers.map(|n| Waiter::cat(&place.text(&format!("mnt/v/cold{n}")))).collect();
    for waiter in waiters.iter().map(|(_, waiter)| waiter).chain(&others) {
        until(&waiter.name, || waiter.is_stuck());
    }
    let mut slowest = Duration::ZERO;
    for (signal, waiter) in &mut waiters {
        let start = Instant::now();
        waiter.signal(*signal);
        let status = waiter.ended(start);
        slowest = slowest.max(start.elapsed());
        assert_eq!(status.signal(), Some(*signal as i32), "{}: {status}", waiter.name);
    }
    println!("{} readers, each ended within {slowest:?}", waiters.len());
    assert_eq!(std::fs::read(place.path("mnt/v/warm")).expect("a warm file"), b"warm");
    for other in &others {
        assert!(other.is_stuck(), "an hour isn't over");
    }
}

/// Promise: who handles a signal hears of it while it waits, and can go on waiting; who waits in another thread isn't disturbed;
/// a page fault isn't cut short by what is handled (that would be a SIGBUS), but by what isn't.
#[test]
fn handled_signals() {
    let place = slow();
    with_cold_files(&place, 1, 300_000);
    let file = place.text("mnt/v/cold0");
    let handler = "def told(n, _): os.write(1, b'told\\n')\n\
                   for n in (signal.SIGINT, signal.SIGHUP): signal.signal(n, told)\n";
    // Python reads again after EINTR.
    let mut reader = start_python("a reader", &format!("{handler}os.read(os.open(f, 0), 10)"), &file);
    // Its main thread runs the handler.
    let thread = "threading.Thread(target=lambda: os.read(os.open(f, 0), 10)).start()\nwhile True: signal.pause()";
    let mut threads = start_python("a reader with threads", &format!("{handler}{thread}"), &file);
    let fault = "m = mmap.mmap(os.open(f, 0), 0, prot=mmap.PROT_READ); m[5000]";
    let mut mapping = start_python("a mapping", &format!("{handler}{fault}"), &file);
    for waiter in [&reader, &threads, &mapping] {
        until(&waiter.name, || waiter.is_stuck());
    }
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        for waiter in [&mut reader, &mut threads] {
            let start = Instant::now();
            waiter.signal(signal);
            assert_eq!(waiter.line(), "told");
            assert!(start.elapsed() < AT_ONCE, "{}: {:?}", waiter.name, start.elapsed());
            until(&waiter.name, || waiter.is_stuck());
        }
    }
    mapping.signal(Signal::SIGINT);
    std::thread::sleep(AT_ONCE);
    for waiter in [&mut reader, &mut threads, &mut mapping] {
        assert!(waiter.is_stuck(), "{}", waiter.name);
        let start = Instant::now();
        waiter.signal(Signal::SIGTERM);
        assert_eq!(waiter.ended(start).signal(), Some(Signal::SIGTERM as i32), "{}", waiter.name);
    }
}

/// Promise: signals that don't end programs don't cut a read short, handled or not.
#[test]
fn other_signals_change_nothing() {
    let place = slow();
    with_cold_files(&place, 1, 300_000);
    let file = place.text("mnt/v/cold0");
    let others = [Signal::SIGURG, Signal::SIGALRM, Signal::SIGCHLD, Signal::SIGWINCH, Signal::SIGUSR1, Signal::SIGCONT];
    // By the system call itself: Python would read again after EINTR.
    let read = "for n in (signal.SIGURG, signal.SIGALRM, signal.SIGCHLD, signal.SIGWINCH, signal.SIGUSR1, signal.SIGCONT):\n\
                \x20   signal.signal(n, lambda n, _: None)\n\
                libc = ctypes.CDLL(None, use_errno=True)\n\
                n = libc.read(os.open(f, 0), ctypes.create_string_buffer(10), 10)\n\
                os.write(1, f'{n} {ctypes.get_errno()}\\n'.encode())";
    let mut reader = start_python("a reader", read, &file);
    until("the read", || reader.is_stuck());
    for other in others {
        reader.signal(other);
    }
    std::thread::sleep(AT_ONCE);
    assert!(reader.is_stuck());
    reader.signal(Signal::SIGTERM);
    assert_eq!(reader.ended(Instant::now()).signal(), Some(Signal::SIGTERM as i32));
}

/// An endpoint that accepts connections, and doesn't answer until this is dropped.
pub struct Stopped(Pid);

impl Stopped {
    pub fn new(serve: &Serve) -> Self {
        let serving = Pid::from_raw(i32::try_from(serve.child.id()).expect("a process ID"));
        kill(serving, Signal::SIGSTOP).expect("the endpoint is ours");
        Stopped(serving)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Promise: who waits for a write or a truncation of a file that isn't local, or for a vault to be made or deleted by a service
/// that doesn't answer, can be ended at once too.
#[test]
fn everything_else_that_waits() {
    let place = Place::new();
    let serve = Serve::start_with(&place, "127.0.0.1:0", "all=1h");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0", "--drain-timeout", "0"]);
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    std::fs::create_dir(place.path("mnt/w")).expect("a vault");
    with_cold_files(&place, 3, 300_000);
    let _stopped = Stopped::new(&serve);
    let sh = |script: &str, file: &str| Waiter::start(script, &["sh", "-c", script, "sh"], &place.text(file));
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        // One after the other: making and deleting vaults locks the root, in the kernel.
        for (script, file) in [
            ("exec dd if=/dev/zero bs=10 count=1 conv=notrunc status=none of=\"$1\"", "mnt/v/cold0"),
            ("exec truncate -s 10 \"$1\"", "mnt/v/cold1"),
            ("exec dd if=/dev/zero bs=10 count=1 oflag=append conv=notrunc status=none of=\"$1\"", "mnt/v/cold2"),
            ("exec mkdir \"$1\"", "mnt/new"),
            ("exec rmdir \"$1\"", "mnt/w"),
        ] {
            let mut waiter = sh(script, file);
            until(script, || waiter.is_stuck());
            let start = Instant::now();
            waiter.signal(signal);
            assert_eq!(waiter.ended(start).signal(), Some(signal as i32), "{script}");
        }
    }
}

/// Promise: who waits in a mount that was detached lazily goes on waiting, can be ended at once, and is the last that the daemon
/// waits for.
#[test]
fn detached_while_somebody_waits() {
    let place = slow();
    with_cold_files(&place, 2, 300_000);
    let mut waiters = [Waiter::cat(&place.text("mnt/v/cold0")), Waiter::cat(&place.text("mnt/v/cold1"))];
    for waiter in &waiters {
        until(&waiter.name, || waiter.is_stuck());
    }
    let daemon = place.pid();
    let done = Command::new("umount").arg("-l").arg(place.mnt()).status().expect("umount starts");
    assert!(done.success() && !place.is_mounted());
    for (waiter, signal) in waiters.iter_mut().zip([Signal::SIGINT, Signal::SIGKILL]) {
        assert!(waiter.is_stuck(), "an hour isn't over");
        let start = Instant::now();
        waiter.signal(signal);
        assert_eq!(waiter.ended(start).signal(), Some(signal as i32));
    }
    until("the daemon's end", || kill(daemon, None).is_err());
}
