//! Tells whoever started the daemon how it is doing: systemd through `sd_notify`, and a parent that put the daemon
//! into the background through the daemon's standard output, which is then a pipe.
//!
//! Nobody listening is no error: a daemon in the foreground of a terminal calls the same functions.

use std::env;
use std::fs::File;
use std::io;
use std::io::Write;
use std::time::Duration;

use log::debug;
use sd_notify::NotifyState;

/// The variable by which a parent says that it waits on this descriptor for one line. Only 1 is used.
pub const VARIABLE: &str = "GLACIERFS_READY_FD";

/// The line that says all is well. Any other line is an error message.
pub const READY: &str = "ready";

/// Whether a parent waits for this daemon to be ready.
pub fn awaited() -> bool {
    env::var_os(VARIABLE).is_some_and(|fd| fd == "1")
}

/// Says that the file system is mounted and answers. To be called once.
pub fn announce() {
    notify(&[NotifyState::Ready]);
    if awaited() {
        answer(READY);
    }
}

/// Says that the daemon can't start, and why.
pub fn failed(message: &str) {
    notify(&[NotifyState::Status(&one_line(message))]);
    if awaited() {
        answer(&one_line(message));
    }
}

/// Shows a line about the daemon's work in `systemctl status`.
pub fn status(message: &str) {
    notify(&[NotifyState::Status(&one_line(message))]);
}

/// How often [`alive`] is to be called, if anybody watches: half of the time after which the daemon counts as hung.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Says that the daemon isn't hung.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// Says that the daemon is on its way out.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Says that stopping takes this much longer, from now.
pub fn stopping_for(more: Duration) {
    notify(&[NotifyState::ExtendTimeoutUsec(u32::try_from(more.as_micros()).unwrap_or(u32::MAX))]);
}

fn notify(states: &[NotifyState]) {
    if let Err(e) = sd_notify::notify(states) {
        debug!("systemd can't be told {states:?}: {e}");
    }
}

/// Writes the line to the pipe and closes it, so that the parent needn't wait for the daemon's end.
fn answer(line: &str) {
    let mut stdout = io::stdout();
    // A parent that has gone away is no reason to stop.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
