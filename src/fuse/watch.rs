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
//! One task looks at all callers, and the more there are the less often: a thousand looks a second, of some microseconds
//! each.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

/// How often callers are looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// By how much less often for each of them.
const EACH: Duration = Duration::from_millis(1);
/// How often at least.
const LONGEST: Duration = Duration::from_millis(700);
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
    thread: Arc<Thread>,
    tell: oneshot::Sender<()>,
}

/// A thread that waits.
struct Thread {
    tid: u32,
    /// Its status, opened once: that costs a fraction of opening it for each look, and is no other thread's that gets the same
    /// number. None where no more files can be opened.
    status: Option<File>,
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
        let thread = Arc::new(Thread { tid, status: File::open(format!("/proc/{tid}/status")).ok() });
        let mut callers = lock(&self.callers);
        let number = callers.next;
        callers.next += 1;
        callers.waiting.insert(number, Caller { thread, tell });
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
            callers.waiting.iter().map(|(number, caller)| (*number, caller.thread.clone())).collect()
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
type Few = Vec<(u64, Arc<Thread>)>;

/// Which of some callers are interrupted, and which may be.
async fn look(some: Few) -> (Few, Few) {
    let looked = tokio::task::spawn_blocking(move || {
        let (mut interrupted, mut unsure) = (Few::new(), Few::new());
        for caller in some {
            match caller.1.signal() {
                Signal::None => {}
                Signal::Shared => unsure.push(caller),
                Signal::Own => interrupted.push(caller),
            }
        }
        (interrupted, unsure)
    });
    looked.await.unwrap_or_default()
}

fn tell(callers: &Mutex<Callers>, some: &Few) {
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

impl Thread {
    fn signal(&self) -> Signal {
        let status = match &self.status {
            Some(file) => read(file),
            None => std::fs::read(format!("/proc/{}/status", self.tid)),
        };
        let masks = status.ok().and_then(|status| Masks::of(&String::from_utf8_lossy(&status)));
        let Some(masks) = masks else { return Signal::Own };
        match masks.pending() {
            Signal::None => Signal::None,
            _ if is_in_page_fault(self.tid) => Masks { ignored: masks.ignored | masks.handled, ..masks }.pending(),
            signal => signal,
        }
    }
}

/// All of a file as it is now, which has been read before.
fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 2048];
    let mut length = 0;
    loop {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
        if length == bytes.len() {
            bytes.resize(2 * length, 0);
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A thread's signals.
struct Masks {
    own: u64,
    shared: u64,
    blocked: u64,
    ignored: u64,
    handled: u64,
}

impl Masks {
    /// Those that a `/proc/<tid>/status` tells; none of a thread that has ended, though its parent hasn't looked yet.
    fn of(status: &str) -> Option<Masks> {
        // One search each: this is done thousands of times a second.
        let (_, state) = status.split_once("\nState:\t")?;
        if state.starts_with(['Z', 'X']) {
            return None;
        }
        let (_, pending) = state.split_once("\nSigPnd:\t")?;
        // They stand one below the other, as SigPnd, ShdPnd, SigBlk, SigIgn and SigCgt (fs/proc/array.c).
        let mut lines = pending.lines();
        let mut mask = || u64::from_str_radix(lines.next()?.rsplit('\t').next()?, 16).ok();
        Some(Masks { own: mask()?, shared: mask()?, blocked: mask()?, ignored: mask()?, handled: mask()? })
    }

    fn pending(&self) -> Signal {
        let counting = DEADLY & !self.blocked & !self.ignored;
        if self.own & counting != 0 {
            Signal::Own
        } else if self.shared & counting != 0 {
            Signal::Shared
        } else {
            Signal::None
        }
    }
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
        let all = |text: String| Masks::of(&text).map_or(Signal::Own, |masks| masks.pending());
        assert_eq!(all(status('D', int, 0, 0, 0, 0)), Signal::Own);
        assert_eq!(all(status('D', bit(libc::SIGKILL), 0, 0, 0, 0)), Signal::Own);
        assert_eq!(all(status('D', 0, int, 0, 0, int)), Signal::Shared);
        assert_eq!(all(status('D', int, 0, int, 0, 0)), Signal::None);
        assert_eq!(all(status('D', int, 0, 0, int, 0)), Signal::None);
        assert_eq!(all(status('Z', 0, 0, 0, 0, 0)), Signal::Own);
        for other in [libc::SIGURG, libc::SIGALRM, libc::SIGCHLD, libc::SIGWINCH, libc::SIGUSR1, libc::SIGTSTP] {
            assert_eq!(all(status('D', bit(other), bit(other), 0, 0, 0)), Signal::None);
        }
        let masks = Masks::of(&status('D', 1, 2, 4, 8, 16)).expect("masks");
        let Masks { own, shared, blocked, ignored, handled } = masks;
        assert_eq!([own, shared, blocked, ignored, handled], [1, 2, 4, 8, 16]);
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
