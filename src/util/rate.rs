//! Bytes a second, over the last ten.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// The time over which a rate is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// How finely it is kept.
const GRAIN: Duration = Duration::from_millis(250);

/// Counts bytes, in all and by time.
#[derive(Debug, Default)]
pub struct Rate {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    total: u64,
    recent: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Counts `bytes` more.
    pub fn add(&self, bytes: u64) {
        let now = Instant::now();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.total += bytes;
        match inner.recent.back_mut() {
            Some((since, sum)) if now.duration_since(*since) < GRAIN => *sum += bytes,
            _ => inner.recent.push_back((now, bytes)),
        }
        while inner.recent.front().is_some_and(|(since, _)| now.duration_since(*since) > WINDOW) {
            inner.recent.pop_front();
        }
    }

    /// All bytes counted.
    pub fn total(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Bytes a second over the last ten seconds.
    pub fn per_second(&self) -> f64 {
        let now = Instant::now();
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = inner.recent.iter().filter(|(since, _)| now.duration_since(*since) <= WINDOW);
        recent.map(|(_, bytes)| *bytes).sum::<u64>() as f64 / WINDOW.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the rate is that of the last ten seconds, and the total that of all time.
    #[test]
    fn rates_and_totals() {
        let rate = Rate::default();
        assert!(rate.per_second().is_sign_positive());
        rate.add(600);
        rate.add(400);
        assert_eq!((rate.total(), rate.per_second()), (1000, 100.0));
    }
}
