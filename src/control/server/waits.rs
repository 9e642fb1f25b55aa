//! Tells who waits from who asks anew.
//!
//! A command that waits sends the same request again and again, and the API keeps no sessions. What has failed is to be
//! tried again when a person asks, but not each time that a waiting command does: it would wait for ever, and pay for a
//! retrieval once a second. So a request that comes again soon after its last answer is taken for the same wait.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::control::wire::PathText;

/// Within this time after an answer the same request is the same wait. Waiting commands ask once a second.
const SOON: Duration = Duration::from_secs(10);

/// What can be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    /// That paths are archived.
    Flush(Vec<PathText>),
    /// That the inventories of all vaults are in.
    Rebuild,
}

/// The wishes that were answered lately.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<HashMap<Wish, Instant>>);

impl Waits {
    /// Whether somebody waits for this already.
    pub(super) fn is_waiting(&self, wish: &Wish) -> bool {
        self.lock().get(wish).is_some_and(|answered| answered.elapsed() < SOON)
    }

    /// Notes that a wish was answered now.
    pub(super) fn answered(&self, wish: Wish) {
        let mut wishes = self.lock();
        wishes.retain(|_, answered| answered.elapsed() < SOON);
        wishes.insert(wish, Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Wish, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
