//! How long to wait before the next try: exponential, capped, with jitter.

use std::time::Duration;

use rand::RngExt;

/// Exponential backoff with full jitter: the n-th wait is a random share of `first * 2^n`, at most `cap`, and never
/// less than half of it, so that a crowd of failed requests spreads out but nobody spins.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The longest possible first wait.
    pub first: Duration,
    /// The longest possible wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// The wait before try number `attempt` + 1, where `attempt` counts the failed tries so far, from 1.
    pub fn wait(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let longest = self.first.saturating_mul(1 << doublings).min(self.cap);
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: waits grow, stay within the cap, and never overflow however often something failed.
    #[test]
    fn waits_grow_up_to_the_cap() {
        let backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(60) };
        assert!(backoff.wait(1) <= Duration::from_millis(100));
        assert!(backoff.wait(5) >= Duration::from_millis(800));
        for attempt in [30, 64, u32::MAX] {
            let wait = backoff.wait(attempt);
            assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&wait), "{wait:?}");
        }
    }
}
