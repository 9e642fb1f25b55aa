//! Notices when the caller of a parked request is interrupted.
//!
//! fuser answers the kernel's interrupt messages with ENOSYS, and the kernel then sends none any more. So the caller is
//! looked at: its task's `/proc/<tid>/status` tells which signals are pending, blocked and ignored. Only signals that end
//! a waiting program count (SIGKILL, SIGINT, SIGTERM, SIGHUP, SIGQUIT): EINTR for others breaks Go programs and git, which
//! send themselves SIGURG or SIGALRM all the time.

use std::time::Duration;

/// How often a caller is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// The signals that count, as bits of the masks in `/proc`.
const DEADLY: u64 = bit(libc::SIGKILL) | bit(libc::SIGINT) | bit(libc::SIGTERM) | bit(libc::SIGHUP) | bit(libc::SIGQUIT);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Waits until the thread `tid` is interrupted or gone. Waits forever for thread 0, which is how the kernel names a
/// caller outside our PID namespace.
pub(super) async fn interrupted(tid: u32) {
    let Some(start) = start_time(tid) else {
        if tid == 0 {
            std::future::pending::<()>().await;
        }
        return;
    };
    loop {
        tokio::time::sleep(INTERVAL).await;
        // A thread with another start time has only inherited the number.
        if start_time(tid) != Some(start) || is_interrupted(tid) {
            return;
        }
    }
}

fn is_interrupted(tid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{tid}/status")) {
        Ok(status) => deadly_signal_pending(&status),
        Err(_) => true,
    }
}

fn deadly_signal_pending(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    };
    let pending = mask("SigPnd") | mask("ShdPnd");
    pending & !mask("SigBlk") & !mask("SigIgn") & DEADLY != 0
}

/// Field 22 of `/proc/<tid>/stat`: when the thread began, in clock ticks since boot.
fn start_time(tid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    // The second field is the command in parentheses, and may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: only signals that end a program interrupt a read, and not while it blocks or ignores them.
    #[test]
    fn only_deadly_signals_count() {
        let status = |pending: u64, blocked: u64, ignored: u64| {
            format!("Name:\tx\nSigPnd:\t{pending:016x}\nShdPnd:\t0000000000000000\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n")
        };
        let int = bit(libc::SIGINT);
        assert!(deadly_signal_pending(&status(int, 0, 0)));
        assert!(deadly_signal_pending(&status(bit(libc::SIGKILL), 0, 0)));
        assert!(!deadly_signal_pending(&status(int, int, 0)));
        assert!(!deadly_signal_pending(&status(int, 0, int)));
        assert!(!deadly_signal_pending(&status(bit(libc::SIGURG), 0, 0)));
    }

    /// Promise: a caller that is gone is noticed.
    #[tokio::test]
    async fn a_caller_that_ended_is_interrupted() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let watch = tokio::spawn(interrupted(child.id()));
        tokio::time::sleep(2 * INTERVAL).await;
        assert!(!watch.is_finished());
        child.kill().expect("kill");
        child.wait().expect("wait");
        tokio::time::timeout(Duration::from_secs(5), watch).await.expect("noticed").expect("no panic");
    }
}
