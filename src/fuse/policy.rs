//! What a request gets whose bytes aren't local, and how they are asked for: what the mount says, unless a directory says
//! otherwise, or the program is one that reads everything.

use std::fs;

use super::park::Shared;
use crate::catalog::ContentId;
use crate::fs::Result;
use crate::util::recall::RecallPolicy;
use crate::util::tier::Tier;

/// What is done for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// What it gets.
    pub policy: RecallPolicy,
    /// The tier; none: the mount's.
    pub tier: Option<Tier>,
}

impl Shared {
    /// The terms for who wants bytes of content `id` from thread `tid`, and doesn't wait if it is `hasty`. May ask the disk: not
    /// for a worker.
    pub(super) fn terms(&self, id: ContentId, tid: u32, hasty: bool) -> Result<Terms> {
        let rules = self.fs.rules_of(id)?;
        let policy = rules.recall.unwrap_or(self.policy);
        let policy = match policy {
            RecallPolicy::Wait | RecallPolicy::Queue if is_named(tid, &self.denied) => RecallPolicy::Deny,
            policy if hasty => policy.without_waiting(),
            policy => policy,
        };
        Ok(Terms { policy, tier: rules.tier })
    }
}

/// Whether thread `tid`, or the process that it belongs to, has one of `names` (proc(5), "/proc/pid/comm": anybody can take any name,
/// so this keeps off who means well). Who has ended, or is in a part of the machine that isn't seen from here, has none.
fn is_named(tid: u32, names: &[String]) -> bool {
    if tid == 0 || names.is_empty() {
        return false;
    }
    let has_name = |id: u32| {
        let comm = fs::read(format!("/proc/{id}/comm")).unwrap_or_default();
        let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
        names.iter().any(|name| !name.is_empty() && name.as_bytes() == comm)
    };
    has_name(tid) || process_of(tid).is_some_and(|process| process != tid && has_name(process))
}

/// The process that a thread belongs to.
fn process_of(tid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a thread is known by its own name and by its process's, and nobody by an empty one.
    #[test]
    fn names_of_threads() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let thread = std::thread::Builder::new().name("reads-all".to_owned()).spawn(move || {
            let tid = nix::unistd::gettid().as_raw() as u32;
            let process = fs::read_to_string(format!("/proc/{}/comm", std::process::id())).expect("a name");
            assert!(is_named(tid, &names(&["other", "reads-all"])));
            assert!(is_named(tid, &names(&[process.trim_end()])));
            assert!(!is_named(tid, &names(&["reads", ""])));
            assert!(!is_named(0, &names(&["reads-all"])));
        });
        thread.expect("a thread").join().expect("no panic");
    }
}
