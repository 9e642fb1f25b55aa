//! Time as a parameter: the real clock, or a virtual one that a test moves.
//!
//! Everything in glacierfs that reads the time or waits for it asks a [`Clock`], so that hours of Glacier pass in
//! milliseconds of test. A virtual clock stands still until [`Clock::advance`]; whoever sleeps on it wakes when the
//! clock has reached the wake-up time.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// A source of the current time and of waits. Cloning shares the clock.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Real,
    Virtual(Arc<Virtual>),
}

#[derive(Debug)]
struct Virtual {
    /// Serialises advances; the receivers see only whole steps.
    advancing: Mutex<()>,
    now: watch::Sender<Timestamp>,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Clock(Kind::Real)
    }

    /// A clock that shows `start` until it is advanced.
    pub fn virtual_at(start: Timestamp) -> Self {
        Clock(Kind::Virtual(Arc::new(Virtual { advancing: Mutex::new(()), now: watch::Sender::new(start) })))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Real => Timestamp::now(),
            Kind::Virtual(v) => *v.now.borrow(),
        }
    }

    /// Waits until `duration` has passed on this clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Kind::Real => tokio::time::sleep(duration).await,
            Kind::Virtual(_) => self.sleep_until(self.later(duration)).await,
        }
    }

    /// Waits until this clock shows `deadline` or later. A real clock is asked again at least once a minute, so that
    /// a step of the machine's time or a suspended machine delays a wake-up by a minute at most.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match &self.0 {
            Kind::Real => loop {
                let left = deadline.duration_since(Timestamp::now());
                match Duration::try_from(left) {
                    Ok(left) if !left.is_zero() => {
                        tokio::time::sleep(left.min(Duration::from_secs(60))).await;
                    }
                    _ => return,
                }
            },
            Kind::Virtual(v) => {
                let mut now = v.now.subscribe();
                // The sender lives as long as `self`, so the wait ends only by the clock reaching the deadline.
                let _ = now.wait_for(|now| *now >= deadline).await;
            }
        }
    }

    /// Whether it stands still until it is moved.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_))
    }

    /// Moves a virtual clock forward; a real one can't be moved, and the call answers `false`.
    pub fn advance(&self, by: Duration) -> bool {
        self.step(|now| add(now, by))
    }

    /// Moves a virtual clock to `time`, unless it shows that or later; a real one can't be moved, and the call answers
    /// `false`.
    pub fn advance_to(&self, time: Timestamp) -> bool {
        self.step(|now| now.max(time))
    }

    fn step(&self, to: impl FnOnce(Timestamp) -> Timestamp) -> bool {
        match &self.0 {
            Kind::Real => false,
            Kind::Virtual(v) => {
                let _one = v.advancing.lock().unwrap_or_else(PoisonError::into_inner);
                let later = to(*v.now.borrow());
                v.now.send_replace(later);
                true
            }
        }
    }

    /// The time `duration` from now, or the end of time where that overflows.
    pub fn later(&self, duration: Duration) -> Timestamp {
        add(self.now(), duration)
    }
}

/// `time + duration`, or the end of time where that overflows.
pub fn add(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: hours on a virtual clock pass at once, and never early.
    #[tokio::test]
    async fn virtual_sleep_ends_exactly_when_the_clock_arrives() {
        let clock = Clock::virtual_at(Timestamp::UNIX_EPOCH);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(4 * 3600)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(4 * 3600 - 1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("the sleeper doesn't panic");
        assert_eq!(clock.now().as_second(), 4 * 3600);
    }

    /// Promise: a deadline beyond the calendar is the end of time, not a panic.
    #[test]
    fn later_saturates() {
        assert_eq!(Clock::real().later(Duration::MAX), Timestamp::MAX);
    }
}
