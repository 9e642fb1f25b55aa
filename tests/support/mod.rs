//! What tests of the mount share: a place with a mount point, the program, and an endpoint. Needs /dev/fuse, and fails without
//! it. Each test program takes it in by its path, and none uses all of it.

#![allow(dead_code)]

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of a test's own, with a mount point in it. What is still mounted at the end is taken away.
pub struct Place {
    pub directory: tempfile::TempDir,
}

pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        assert!(Path::new("/dev/fuse").exists(), "there is no /dev/fuse, and nothing can be tested without it");
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("mnt")).expect("a mount point");
        Place { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn mnt(&self) -> PathBuf {
        self.path("mnt")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", std::env::var("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        finished(&mut self.command(arguments))
    }

    /// Runs a command that has to end well; its output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "glacierfs {arguments:?}: {}{}\n{}", done.stdout, done.stderr, self.log());
        done.stdout
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// Mounts an embedded endpoint in the background.
    pub fn mount(&self, more: &[&str]) -> Done {
        let (local, state, mnt) = (self.text("vaults"), self.text("state"), self.text("mnt"));
        let mut arguments =
            vec!["mount", "--local", &local, "--state", &state, "--retrieval-delay", "all=0s", "--daemon"];
        arguments.extend(more);
        arguments.push(&mnt);
        self.run(&arguments)
    }

    /// The command that mounts the vaults of an endpoint in another process, in the background.
    pub fn endpoint_mount(&self, url: &str, more: &[&str]) -> Command {
        let (state, mnt) = (self.text("state"), self.text("mnt"));
        let mut arguments = vec!["mount", "--endpoint", url, "--region", "us-east-1", "--state", &state, "--daemon"];
        arguments.extend(more);
        arguments.push(&mnt);
        let mut command = self.command(&arguments);
        command.env("AWS_SHARED_CREDENTIALS_FILE", self.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    pub fn mount_endpoint(&self, url: &str, more: &[&str]) {
        let done = finished(&mut self.endpoint_mount(url, more));
        assert_eq!(done.code, 0, "{}{}", done.stderr, self.log());
    }

    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["status", "--json", &self.text("mnt")])).expect("a status is JSON")
    }

    pub fn pid(&self) -> Pid {
        let pid = self.status()["pid"].as_i64().expect("a process ID");
        Pid::from_raw(i32::try_from(pid).expect("a process ID"))
    }

    /// Kills the daemon, and waits until it is gone. Its mount stays, dead.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.path("state/lock")).expect("a lock");
        let pid = Pid::from_raw(pid.trim().parse().expect("a process ID"));
        kill(pid, Signal::SIGKILL).expect("the daemon is ours");
        until("the daemon's end", || !self.has_daemon());
    }

    /// Whether a daemon has the state directory. (A process that is dead may have its number until somebody takes note.)
    pub fn has_daemon(&self) -> bool {
        let lock = std::fs::File::open(self.path("state/lock")).expect("a lock");
        lock.try_lock().is_err()
    }

    pub fn is_mounted(&self) -> bool {
        let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
        table.lines().any(|line| line.contains(&self.text("mnt")) && line.contains("fuse.glacierfs"))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("state/daemon.log")).unwrap_or_default()
    }
}

/// For mounts whose clock is another.
impl Place {
    /// Mounts an embedded endpoint in the background, both by a clock that [`Place::shift`] sets.
    pub fn mount_shifted(&self, more: &[&str]) {
        let (local, state, mnt) = (self.text("vaults"), self.text("state"), self.text("mnt"));
        let mut arguments = vec!["mount", "--local", &local, "--state", &state, "--retrieval-delay", "all=0s"];
        arguments.extend(["--inventory-interval", "0", "--daemon"]);
        arguments.extend(more);
        arguments.push(&mnt);
        let mut command = self.command(&arguments);
        shifted(&mut command, &self.path("shift"));
        let done = finished(&mut command);
        assert_eq!(done.code, 0, "{}{}", done.stderr, self.log());
    }

    /// Sets that clock so many seconds ahead.
    pub fn shift(&self, seconds: u64) {
        self.shift_by(i64::try_from(seconds).expect("a shift"));
    }

    /// Sets that clock so many seconds ahead, or back. At no moment it is another.
    pub fn shift_by(&self, seconds: i64) {
        std::fs::write(self.path("shift.new"), format!("{seconds:+}\n")).expect("a shift");
        std::fs::rename(self.path("shift.new"), self.path("shift")).expect("a shift");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = self.command(&["umount", "--drain", "0", "--timeout", "10s", &self.text("mnt")]).output();
        }
        if self.is_mounted() {
            let _ = Command::new("umount").arg("-l").arg(self.mnt()).output();
        }
    }
}

/// Where Debian's package faketime puts the library that shifts a program's clock.
const LIBRARY: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// Makes `command`, and what it starts, see the clock that the file at `shift` tells: its first line is an offset, and
/// can be changed meanwhile. Waits and file times stay true.
pub fn shifted(command: &mut Command, shift: &Path) {
    let library = LIBRARY.iter().find(|path| Path::new(path).exists());
    let library = library.expect("faketime is needed to shift the clock: apt-get install faketime");
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", shift).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
}

pub fn finished(command: &mut Command) -> Done {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let code = output.status.code().expect("no signal ends it");
    Done { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub fn until(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE, what, condition);
}

pub fn within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < patience, "{what} didn't happen within {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `glacierfs serve` in a process of its own.
pub struct Serve {
    pub child: Child,
    pub url: String,
}

impl Serve {
    pub fn start(place: &Place, listen: &str) -> Self {
        Serve::start_with(place, listen, "all=0s")
    }

    pub fn start_with(place: &Place, listen: &str, delay: &str) -> Self {
        Serve::start_as(place, listen, delay, |_| {})
    }

    /// One that can be told to fail.
    pub fn start_faulty(place: &Place, delay: &str) -> Self {
        Serve::start_as(place, "127.0.0.1:0", delay, |command| _ = command.arg("--admin"))
    }

    /// One with what `change` does to its command.
    pub fn start_as(place: &Place, listen: &str, delay: &str, change: impl FnOnce(&mut Command)) -> Self {
        use std::io::BufRead;
        let data = place.text("served");
        let mut command = place.command(&["serve", "--data", &data, "--listen", listen, "--log", "warn"]);
        command.args(["--inventory-interval", "0", "--retrieval-delay", delay]);
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the endpoint starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("its output");
        std::io::BufReader::new(stdout).read_line(&mut url).expect("its address");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Serve { child, url: url.trim_end().to_owned() }
    }

    pub fn stop(&mut self) -> Option<i32> {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a process ID")), Signal::SIGTERM);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.stop();
    }
}
