//! Notices when the callers of parked requests are interrupted.
//!
//! fuser answers the kernel's interrupt messages with ENOSYS, and the kernel then sends none any more. So callers are looked
//! at: a thread's `/proc/<tid>/status` tells which signals are pending, blocked, ignored and handled. Only signals that
//! usually end a waiting program count (SIGKILL, SIGINT, SIGTERM, SIGHUP, SIGQUIT): EINTR for others breaks Go programs and
//! git, which send themselves SIGURG or SIGALRM all the time.
//!
//! **Whose signal it is.** One that ends the process shows as a pending SIGKILL of each of its threads. One that is handled, or
//! leaves a core, is pending for the whole process until some thread takes it. It is the caller's if the others leave it: so
//! it has to be there at two looks in a row.
//!
//! **Page faults.** A thread that waits for a page of a memory mapping can't be told EINTR, only killed by SIGBUS. So there
//! signals that the program handles don't count: it goes on waiting, as it would for a disk.
//!
//! One task looks at all callers, and the more there are the less often: a thousand cost no more than a few percent of a
//! processor. A number that another thread has inherited meanwhile does no harm: nobody waits for that request any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

/// How often callers are looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// By how much less often for each of them.
const EACH: Duration = Duration::from_micros(500);
/// How often at least.
const LONGEST: Duration = Duration::from_millis(500);
/// How long other threads have to take a signal that is for all of them.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// The signals that count, as bits of the masks in `/proc`.
const DEADLY: u64 =
    bit(libc::SIGKILL) | bit(libc::SIGINT) | bit(libc::SIGTERM) | bit(libc::SIGHUP) | bit(libc::SIGQUIT);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The callers of all parked requests.
#[derive(Default)]
pub struct Watch {
    callers: Arc<Mutex<Callers>>,
}

#[derive(Default)]
struct Callers {
    next: u64,
    waiting: HashMap<u64, Caller>,
    /// Whether a task looks at them.
    watched: bool,
}

struct Caller {
    tid: u32,
    tell: oneshot::Sender<()>,
}

impl Watch {
    /// Waits until the thread `tid` is interrupted or gone. Waits forever for thread 0, which is how the kernel names a
    /// caller outside our PID namespace, and itself.
    pub(super) async fn interrupted(&self, tid: u32) {
        if tid == 0 {
            return std::future::pending().await;
        }
        let (number, told) = self.enter(tid);
        let _leave = Leave { callers: &self.callers, number };
        // The sender stays until it has something to tell, unless the runtime ends.
        let _ = told.await;
    }

    fn enter(&self, tid: u32) -> (u64, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        let mut callers = lock(&self.callers);
        let number = callers.next;
        callers.next += 1;
        callers.waiting.insert(number, Caller { tid, tell });
        if !std::mem::replace(&mut callers.watched, true) {
            tokio::spawn(watch(self.callers.clone()));
        }
        (number, told)
    }
}

/// Takes a caller out when nobody waits for its interruption any more.
struct Leave<'a> {
    callers: &'a Mutex<Callers>,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        lock(self.callers).waiting.remove(&self.number);
    }
}

/// Looks at all callers until there are none.
async fn watch(callers: Arc<Mutex<Callers>>) {
    loop {
        let count = lock(&callers).waiting.len();
        let more = EACH.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        tokio::time::sleep(INTERVAL.max(more).min(LONGEST)).await;
        let all = {
            let mut callers = lock(&callers);
            if callers.waiting.is_empty() {
                callers.watched = false;
                return;
            }
            callers.waiting.iter().map(|(number, caller)| (*number, caller.tid)).collect()
        };
        let (interrupted, unsure) = look(all).await;
        tell(&callers, &interrupted);
        if !unsure.is_empty() {
            tokio::time::sleep(SECOND_LOOK).await;
            let (interrupted, still) = look(unsure).await;
            tell(&callers, &interrupted);
            tell(&callers, &still);
        }
    }
}

/// Numbers and threads of callers.
type Few = Vec<(u64, u32)>;

/// Which of some callers are interrupted, and which may be.
async fn look(some: Few) -> (Few, Few) {
    let looked = tokio::task::spawn_blocking(move || {
        let (mut interrupted, mut unsure) = (Few::new(), Few::new());
        for caller in some {
            match signal(caller.1) {
                Signal::None => {}
                Signal::Shared => unsure.push(caller),
                Signal::Own => interrupted.push(caller),
            }
        }
        (interrupted, unsure)
    });
    looked.await.unwrap_or_default()
}

fn tell(callers: &Mutex<Callers>, some: &[(u64, u32)]) {
    let mut callers = lock(callers);
    for (number, _) in some {
        if let Some(caller) = callers.waiting.remove(number) {
            // Whose request was answered meanwhile doesn't listen.
            let _ = caller.tell.send(());
        }
    }
}

/// What a thread has pending of the signals that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    None,
    /// One that any thread of its process may take.
    Shared,
    /// One of its own; or it is gone.
    Own,
}

fn signal(tid: u32) -> Signal {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{tid}/status")) else { return Signal::Own };
    match pending(&status, u64::MAX) {
        Signal::None => Signal::None,
        _ if is_in_page_fault(tid) => pending(&status, !mask(&status, "SigCgt")),
        signal => signal,
    }
}

/// What a thread with this `/proc/<tid>/status` has pending of the signals in `counting`.
fn pending(status: &str, counting: u64) -> Signal {
    // Ended, and its parent hasn't looked yet.
    if status.lines().any(|line| line.starts_with("State:\tZ") || line.starts_with("State:\tX")) {
        return Signal::Own;
    }
    let deaf = mask(status, "SigBlk") | mask(status, "SigIgn");
    let counting = DEADLY & counting & !deaf;
    if mask(status, "SigPnd") & counting != 0 {
        Signal::Own
    } else if mask(status, "ShdPnd") & counting != 0 {
        Signal::Shared
    } else {
        Signal::None
    }
}

fn mask(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// Whether a thread waits outside any system call (proc_pid_syscall(5)). Not every user may know that of every other's.
fn is_in_page_fault(tid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{tid}/syscall")).is_ok_and(|call| call.starts_with("-1 "))
}

fn lock(callers: &Mutex<Callers>) -> MutexGuard<'_, Callers> {
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: char, own: u64, shared: u64, blocked: u64, ignored: u64, handled: u64) -> String {
        format!(
            "Name:\tx\nState:\t{state} (x)\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\n\
             SigIgn:\t{ignored:016x}\nSigCgt:\t{handled:016x}\n"
        )
    }

    /// Promise: only signals that end a program interrupt a read, and not while it blocks or ignores them.
    #[test]
    fn only_deadly_signals_count() {
        let int = bit(libc::SIGINT);
        let all = |text: String| pending(&text, u64::MAX);
        assert_eq!(all(status('D', int, 0, 0, 0, 0)), Signal::Own);
        assert_eq!(all(status('D', bit(libc::SIGKILL), 0, 0, 0, 0)), Signal::Own);
        assert_eq!(all(status('D', 0, int, 0, 0, int)), Signal::Shared);
        assert_eq!(all(status('D', int, 0, int, 0, 0)), Signal::None);
        assert_eq!(all(status('D', int, 0, 0, int, 0)), Signal::None);
        assert_eq!(all(status('Z', 0, 0, 0, 0, 0)), Signal::Own);
        for other in [libc::SIGURG, libc::SIGALRM, libc::SIGCHLD, libc::SIGWINCH, libc::SIGUSR1, libc::SIGTSTP] {
            assert_eq!(all(status('D', bit(other), bit(other), 0, 0, 0)), Signal::None);
        }
        assert_eq!(pending(&status('D', 0, int, 0, 0, int), !int), Signal::None, "handled, in a page fault");
    }

    /// Promise: a caller that is gone is noticed, one that isn't is left alone, and nobody is looked at in vain.
    #[tokio::test]
    async fn a_caller_that_ended_is_interrupted() {
        let watch = Arc::new(Watch::default());
        let sleeper = || std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let (mut child, mut other) = (sleeper(), sleeper());
        let watched = |tid: u32| {
            let watch = watch.clone();
            tokio::spawn(async move { watch.interrupted(tid).await })
        };
        let (gone, stays) = (watched(child.id()), watched(other.id()));
        tokio::time::sleep(2 * INTERVAL).await;
        assert!(!gone.is_finished() && !stays.is_finished());
        // Not waited for: it stays in the table.
        child.kill().expect("kill");
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("noticed").expect("no panic");
        assert!(!stays.is_finished());
        stays.abort();
        let all_gone = async {
            while lock(&watch.callers).watched {
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), all_gone).await.expect("nobody is watched any more");
        for child in [&mut child, &mut other] {
            let _ = child.kill();
            child.wait().expect("wait");
        }
    }
}
