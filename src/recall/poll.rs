//! Finds out which jobs are ready.
//!
//! A few jobs of a vault are looked at one by one, many by listing them. The time between two looks is a share of how long
//! the youngest job has waited, so that a job of seconds is noticed at once and one of hours costs little.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;

use super::REQUESTS;
use super::Recall;
use super::lock;
use crate::catalog;
use crate::catalog::Job;
use crate::catalog::JobState;
use crate::catalog::Waiting;
use crate::catalog::now;
use crate::service;
use crate::service::JobStatus;
use crate::service::Kind;
use crate::util::crash;
use crate::util::crash::Point;

/// Up to this many jobs of a vault are looked at one by one.
const FEW: u64 = 25;
/// The shortest and the longest time between two looks at a vault.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(300);
/// What share of its waiting time a job may be noticed late.
const LATE: f64 = 0.05;
/// What share of the time may go into looking.
const LOOKING: u32 = 5;

impl Recall {
    /// Looks at accepted jobs, for ever.
    pub(super) async fn poll(self: Arc<Self>) {
        loop {
            let waiting = self.catalog.waiting().unwrap_or_else(|error| {
                log::error!("the queue of recalls can't be read: {error}");
                Vec::new()
            });
            if waiting.is_empty() {
                self.accepted.notified().await;
                continue;
            }
            let began = Instant::now();
            let mut pause = LONGEST;
            for vault in &waiting {
                if let Err(error) = self.look(vault).await {
                    log::warn!("the state of retrievals can't be asked now, and will be again: {error}");
                }
                let age = Duration::from_nanos(now().saturating_sub(vault.youngest).max(0) as u64);
                pause = pause.min(age.mul_f64(LATE));
            }
            let shortest = SHORTEST.max(began.elapsed() * LOOKING);
            tokio::time::sleep(shortest).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(shortest)) => {}
                // A younger job is one to look at soon.
                () = self.accepted.notified() => {}
            }
        }
    }

    async fn look(self: &Arc<Self>, waiting: &Waiting) -> Result<(), service::Error> {
        if waiting.jobs <= FEW {
            let jobs = self.accepted_jobs(waiting, FEW as usize);
            let look = |job| {
                let recall = self.clone();
                async move { recall.look_at(&job).await }
            };
            let looks: Vec<Result<(), service::Error>> =
                stream::iter(jobs).map(look).buffer_unordered(REQUESTS).collect().await;
            return looks.into_iter().collect();
        }
        let jobs = self.accepted_jobs(waiting, usize::MAX >> 1);
        let Some(vault) = jobs.first().map(|job| job.vault_name.clone()) else { return Ok(()) };
        let listed = self.service.jobs(&vault).await?;
        let listed: HashMap<&str, &service::Job> = listed.iter().map(|job| (job.id.as_str(), job)).collect();
        for job in &jobs {
            if let Some(job_id) = &job.job_id {
                self.note(job, listed.get(job_id.as_str()).copied());
            }
        }
        Ok(())
    }

    async fn look_at(&self, job: &Job) -> Result<(), service::Error> {
        // An accepted job has its name.
        let Some(job_id) = &job.job_id else { return Ok(()) };
        match self.service.job(&job.vault_name, job_id).await {
            Ok(found) => self.note(job, Some(&found)),
            Err(error) if error.kind() == Kind::NotFound => self.note(job, None),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn accepted_jobs(&self, waiting: &Waiting, limit: usize) -> Vec<Job> {
        self.catalog.jobs_in(waiting.vault, JobState::Accepted, limit).unwrap_or_default()
    }

    /// Records what the service says of a job; `None`: that it doesn't know it.
    fn note(&self, job: &Job, found: Option<&service::Job>) {
        let noted = match found.map(|found| &found.status) {
            Some(JobStatus::InProgress) => Ok(()),
            Some(JobStatus::Succeeded) => {
                if let Some((found, ended)) = found.and_then(|found| Some((found, found.completed?))) {
                    let took = Duration::try_from(ended.duration_since(found.created)).unwrap_or_default();
                    lock(&self.took).insert(job.tier.clone(), took);
                }
                self.ready(job)
            }
            Some(JobStatus::Failed(reason)) => self.fail(job, &format!("the service gave up: {reason}")),
            None => {
                log::warn!("the service doesn't know retrieval {:?} any more: it is asked for again", job.job_id);
                self.lost(job)
            }
        };
        if let Err(error) = noted {
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
        self.catalog.job_lost(job.id)?;
        self.planned.notify_one();
        Ok(())
    }
}
