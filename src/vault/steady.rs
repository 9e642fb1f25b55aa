//! A clock that nobody sets: since the daemon's start no more time can have passed than the machine has counted.
//!
//! What is in the trash goes for good when its time is over. A clock that is set a day ahead, also by mistake, takes nothing
//! from it a day early; one that was wrong and is set right delays it until the next start at most.

use std::time::Duration;

use nix::time::ClockId;
use nix::time::clock_gettime;

/// When the daemon was started, by both clocks.
pub(super) struct Steady {
    /// Nanoseconds since 1970.
    wall: i64,
    passed: Duration,
}

impl Steady {
    /// Counts from now on; `now` is what the machine's clock shows, in nanoseconds since 1970.
    pub(super) fn start(now: i64) -> Self {
        Steady { wall: now, passed: passed() }
    }

    /// The time that it may be when the machine's clock shows `now`.
    pub(super) fn at_most(&self, now: i64) -> i64 {
        now.min(self.after(passed().saturating_sub(self.passed)))
    }

    fn after(&self, time: Duration) -> i64 {
        self.wall.saturating_add(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Time since the machine was started, suspended or not (clock_gettime(2), `CLOCK_BOOTTIME`).
fn passed() -> Duration {
    // It fails for clocks that there aren't (clock_gettime(2)); this one is older than FUSE as we use it.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1_000_000_000;

    /// Promise: a clock that is set ahead makes nothing older, one that is set back makes it younger.
    #[test]
    fn steps() {
        let start = 1_700_000_000_000_000_000;
        let steady = Steady::start(start);
        let ahead = steady.at_most(start + DAY);
        assert!((start..start + DAY / 2).contains(&ahead), "{ahead}");
        assert_eq!(steady.at_most(start - DAY), start - DAY);
        assert_eq!(steady.after(Duration::from_secs(3600)), start + DAY / 24);
    }
}
