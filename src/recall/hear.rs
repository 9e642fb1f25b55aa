//! What others say of jobs: hints to look, and nothing more. While somebody listens to them, recalls look more seldom by themselves.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::Recall;
use super::trouble::Trouble;
use super::trouble::Work;

/// How long a look may hold up the hints that come after it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether hints are listened to.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    works: AtomicBool,
    lost: Notify,
}

impl Hearing {
    /// Whether who tells of jobs is heard.
    pub(super) fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Waits until that is over.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Recall {
    /// Somebody says that job `job_id` of vault `vault` has ended. If it is waited for here, the service is asked; anything else is
    /// none of ours.
    pub async fn told(&self, vault: &str, job_id: &str) {
        let jobs = match self.catalog.accepted_jobs(vault, job_id) {
            Ok(jobs) => jobs,
            Err(error) => return log::error!("the queue of recalls can't be read: {error}"),
        };
        for job in &jobs {
            if !matches!(tokio::time::timeout(PATIENCE, self.look_at(job)).await, Ok(Ok(()))) {
                // What isn't known now is found out as if nobody had said anything, and soon.
                self.accepted.notify_one();
            }
        }
    }

    /// Whoever hears of jobs says how that goes: well, or why not.
    pub fn listens(&self, outcome: Result<(), String>) {
        let worked = self.hearing.works.swap(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(()) => self.troubles.end(Work::Hear),
            Err(reason) => self.troubles.begin(Work::Hear, reason),
        }
        if worked && !self.hearing.works() {
            self.hearing.lost.notify_one();
        }
    }

    /// Why nothing is heard of jobs, if it should be: recalls go on all the same.
    pub fn hears_nothing(&self) -> Option<Trouble> {
        self.troubles.of(Work::Hear)
    }
}
