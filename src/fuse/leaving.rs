//! Whether a caller is on its way out, so that a close which the kernel does for it mustn't wait for long: nothing can end
//! that wait any more, not even SIGKILL, and nobody hears how it ends.

/// How a thread is doing, as far as its last closes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It lives, or can't be seen.
    No,
    /// It exits by itself.
    Exits,
    /// A signal ends it.
    Killed,
}

/// How thread `tid` is doing, by its `/proc/<tid>/stat` (proc_pid_stat(5)).
pub(super) fn leaving(tid: u32) -> Leaving {
    let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).unwrap_or_default();
    of(&stat)
}

fn of(stat: &str) -> Leaving {
    /// PF_EXITING in field 9 (include/linux/sched.h).
    const EXITING: u64 = 4;
    /// The part of a wait(2) status that names a signal.
    const SIGNAL: u64 = 0x7f;
    // The second field is the command in parentheses, and may hold anything: fields are counted from the third.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or(vec![], |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    match (field(9) & EXITING != 0, field(52) & SIGNAL != 0) {
        (false, _) => Leaving::No,
        (true, false) => Leaving::Exits,
        (true, true) => Leaving::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a living caller is waited for, also one that can't be seen or has an odd name; one that ends is told by the
    /// manner of its end.
    #[test]
    fn callers_and_their_ends() {
        let stat = |flags: u64, code: u64| {
            let between = "0 ".repeat(52 - 10);
            format!("7 (a) 4 b) S 1 7 7 0 -1 {flags} {between}{code}\n")
        };
        assert_eq!(of(&stat(0x0040_0000, 9)), Leaving::No);
        assert_eq!(of(&stat(0x0040_0004, 0)), Leaving::Exits);
        assert_eq!(of(&stat(0x0040_0004, 1 << 8)), Leaving::Exits);
        assert_eq!(of(&stat(0x0040_0004, 9)), Leaving::Killed);
        assert_eq!(of(""), Leaving::No);
        assert_eq!(leaving(std::process::id()), Leaving::No);
    }
}
