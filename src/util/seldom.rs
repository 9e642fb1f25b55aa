//! Warnings that can come by the thousand: one a second is told, with how many were left out before it.

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Between two of them at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Warns at most once a second.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// The line to warn with of `what`; none when it is only counted.
    pub fn line(&self, what: impl Display) -> Option<String> {
        match self.is_time(Instant::now())? {
            0 => Some(what.to_string()),
            n => Some(format!("{what} ({n} more like it since the last line)")),
        }
    }

    /// Whether something may be told at `now`: then how much wasn't before.
    fn is_time(&self, now: Instant) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *guard;
        if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the first is told, those within a second are counted, and the next tells how many.
    #[test]
    fn one_a_second() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.is_time(now), Some(0));
        assert_eq!(seldom.is_time(now), None);
        assert_eq!(seldom.is_time(now + PAUSE / 2), None);
        assert_eq!(seldom.is_time(now + PAUSE), Some(2));
        assert_eq!(seldom.is_time(now + 2 * PAUSE), Some(0));
    }
}
