//! Finds out which jobs are ready.
//!
//! By one list of each vault's jobs. The time between two looks is a share of how long it is since a job was accepted, so that a job
//! of seconds is noticed at once and one of hours costs little; and half of the time until the first is expected, by how long
//! retrievals took before. The former is measured here: the machine's clock may be set meanwhile. While a queue tells of jobs that have
//! ended, looks are for what it loses, and more seldom.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::TryStreamExt;

use super::RETRY;
use super::Recall;
use super::lock;
use super::trouble::Work;
use crate::catalog;
use crate::catalog::Job;
use crate::catalog::now;
use crate::service;
use crate::service::JobStatus;
use crate::service::Kind;
use crate::util::crash;
use crate::util::crash::Point;

/// The shortest and the longest time between two looks at a vault.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(300);
/// What share of its waiting time a job may be noticed late.
const LATE: f64 = 0.05;
/// The same and the longest time between two looks while a queue tells.
const LATE_TOLD: f64 = 0.25;
const LONGEST_TOLD: Duration = Duration::from_secs(900);
/// What share of the time may go into looking.
const LOOKING: u32 = 5;

impl Recall {
    /// Looks at accepted jobs, for ever.
    pub(super) async fn poll(self: Arc<Self>) {
        let (mut youngest, mut failures) = (Instant::now(), 0);
        loop {
            let waiting = self.catalog.vaults_with_accepted().unwrap_or_else(|error| {
                log::error!("the queue of recalls can't be read: {error}");
                Vec::new()
            });
            if waiting.is_empty() {
                self.troubles.end(Work::Poll);
                self.accepted.notified().await;
                youngest = Instant::now();
                continue;
            }
            let began = Instant::now();
            let mut errors = Vec::new();
            for vault in &waiting {
                errors.extend(self.look(vault).await.err());
            }
            match errors.first() {
                None => self.troubles.end(Work::Poll),
                Some(error) => self.troubles.begin(Work::Poll, error.to_string()),
            }
            // Trouble with one vault doesn't hold up the others.
            let (late, longest) = if self.hearing.works() { (LATE_TOLD, LONGEST_TOLD) } else { (LATE, LONGEST) };
            let (shortest, pause) = if errors.len() < waiting.len() {
                failures = 0;
                let shortest = (began.elapsed() * LOOKING).clamp(SHORTEST, LONGEST);
                (shortest, youngest.elapsed().mul_f64(late).max(self.unexpected()).min(longest))
            } else {
                failures += 1;
                (SHORTEST, RETRY.wait(failures))
            };
            tokio::time::sleep(shortest).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(shortest)) => {}
                // A younger job is one to look at soon.
                () = self.accepted.notified() => youngest = Instant::now(),
                // Nobody tells any more.
                () = self.hearing.lost() => {}
            }
        }
    }

    async fn look(self: &Arc<Self>, vault: &str) -> Result<(), service::Error> {
        // From before the list: one that is accepted meanwhile may not be in it.
        let mut accepted = self.catalog.accepted_ids(vault).unwrap_or_default();
        let mut pages = self.service.jobs(vault);
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) if error.kind() == Kind::VaultMissing => {
                    let lost = accepted.iter().flat_map(|id| self.accepted(vault, id));
                    lost.for_each(|job| self.gave_up(&job, &error));
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            for found in page.iter().filter(|found| accepted.remove(&found.id)) {
                if found.status != JobStatus::InProgress {
                    self.accepted(vault, &found.id).iter().for_each(|job| self.note(job, Some(found)));
                }
            }
        }
        // Only what it says of a job itself is reason enough to ask, and pay, again.
        for job in accepted.iter().flat_map(|id| self.accepted(vault, id)) {
            self.look_at(&job).await?;
        }
        Ok(())
    }

    /// How long nothing need be looked at, judged by how long retrievals took before.
    fn unexpected(&self) -> Duration {
        let accepted = self.catalog.oldest_accepted().unwrap_or_default();
        let left = accepted.into_iter().map(|(tier, since)| {
            let waited = Duration::from_nanos(u64::try_from(now().saturating_sub(since)).unwrap_or(0));
            self.expected.soonest(tier).saturating_sub(waited)
        });
        left.min().unwrap_or_default() / 2
    }

    /// Asks the service for one job.
    pub(super) async fn look_at(&self, job: &Job) -> Result<(), service::Error> {
        // An accepted job has its name.
        let Some(job_id) = &job.job_id else { return Ok(()) };
        match self.service.job(&job.vault_name, job_id).await {
            Ok(found) => self.note(job, Some(&found)),
            Err(error) if error.kind() == Kind::NotFound => self.note(job, None),
            Err(error) if error.kind() == Kind::VaultMissing => self.gave_up(job, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The jobs that wait for what the service calls `job_id`, in the vault named `vault`.
    fn accepted(&self, vault: &str, job_id: &str) -> Vec<Job> {
        self.catalog.accepted_jobs(vault, job_id).unwrap_or_default()
    }

    /// Records what the service says of a job; `None`: that it doesn't know it.
    fn note(&self, job: &Job, found: Option<&service::Job>) {
        match found.map(|found| &found.status) {
            Some(JobStatus::InProgress) => {}
            Some(JobStatus::Succeeded) => self.end(job, || {
                if let Some((found, ended)) = found.and_then(|found| Some((found, found.completed?))) {
                    let took = Duration::try_from(ended.duration_since(found.created)).unwrap_or_default();
                    self.expected.note(&self.catalog, job.tier, took)?;
                }
                self.ready(job)
            }),
            Some(JobStatus::Failed(reason)) => {
                self.end(job, || self.fail(job, &format!("the service gave up: {reason}")));
            }
            None => self.end(job, || {
                log::warn!("the service doesn't know retrieval {:?} any more: it is asked for again", job.job_id);
                self.lost(job)
            }),
        }
    }

    /// The service will never answer for this job.
    fn gave_up(&self, job: &Job, error: &service::Error) {
        self.end(job, || self.fail(job, &error.to_string()));
    }

    /// Records what became of a job that was waited for, unless another look has done so meanwhile.
    fn end(&self, job: &Job, record: impl FnOnce() -> catalog::Result<()>) {
        let _one_at_a_time = lock(&self.noting);
        let recorded = match self.catalog.is_accepted(job) {
            Ok(true) => record(),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            log::error!("the catalog can't record a retrieval: {error}");
        }
    }

    fn ready(&self, job: &Job) -> catalog::Result<()> {
        self.catalog.jobs_ready(&[job.id])?;
        crash::at(Point::RecallReady);
        self.ready.notify_one();
        Ok(())
    }

    /// Has a job that the service has forgotten asked for again.
    pub(super) fn lost(&self, job: &Job) -> catalog::Result<()> {
        self.is_no_use(job);
        self.with_terms(|terms| self.catalog.job_lost(job.id, terms))?;
        self.planned.notify_one();
        Ok(())
    }
}
