//! Starts the jobs that are planned.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::REQUESTS;
use super::RETRY;
use super::Recall;
use super::trouble::Work;
use super::trouble::may_pass;
use crate::catalog;
use crate::catalog::Job;
use crate::catalog::JobState;
use crate::service;
use crate::service::JobKind;
use crate::service::JobStatus;
use crate::service::Tier;
use crate::util::crash;
use crate::util::crash::Point;

/// How many planned jobs are taken at a time.
const BATCH: usize = 64;

impl Recall {
    /// Starts planned jobs, for ever. Adopts those that the service has already, at the start and after each failure: neither
    /// a crash between its answer and our note of it nor a lost answer costs a second job.
    pub(super) async fn ask(self: Arc<Self>) {
        let mut failures = 0;
        let mut may_have_jobs = true;
        loop {
            let planned = self.catalog.jobs(JobState::Planned, BATCH, &|_| false).unwrap_or_else(|error| {
                log::error!("the queue of recalls can't be read: {error}");
                Vec::new()
            });
            if planned.is_empty() {
                self.troubles.end(Work::Ask);
                self.planned.notified().await;
                may_have_jobs = failures > 0;
                continue;
            }
            if may_have_jobs {
                if let Err(error) = self.adopt().await {
                    failures += 1;
                    self.troubles.begin(Work::Ask, error.to_string());
                    tokio::time::sleep(RETRY.wait(failures)).await;
                } else {
                    may_have_jobs = false;
                }
                continue;
            }
            let ask = |job| {
                let recall = self.clone();
                async move { recall.ask_for(&job).await }
            };
            let asked = stream::iter(planned).map(ask).buffer_unordered(REQUESTS);
            let outcomes: Vec<Result<(), String>> = asked.collect().await;
            // A service that takes some of them is no reason to wait longer and longer.
            if outcomes.iter().any(Result::is_ok) {
                failures = 0;
            }
            match outcomes.into_iter().find_map(Result::err) {
                None => self.troubles.end(Work::Ask),
                Some(error) => {
                    failures += 1;
                    may_have_jobs = true;
                    self.troubles.begin(Work::Ask, error);
                    tokio::time::sleep(RETRY.wait(failures)).await;
                }
            }
        }
    }

    /// Starts one job. `Err` says why it must be tried again later.
    async fn ask_for(&self, job: &Job) -> Result<(), String> {
        let unwanted = |error: catalog::Error| error.to_string();
        if self.catalog.content_of(job.archive.row).map_err(unwanted)?.is_none() {
            // Deleted or overwritten meanwhile: nobody needs it.
            return self.unwanted(job).map_err(unwanted);
        }
        let range = whole_is_none(job);
        let tier = job.tier.parse().unwrap_or(Tier::Standard);
        match self.service.request_retrieval(&job.vault_name, &job.archive.archive_id, range, tier).await {
            Ok(job_id) => {
                crash::at(Point::RecallAsked);
                self.catalog.job_accepted(job.id, &job_id).map_err(unwanted)?;
                crash::at(Point::RecallAccepted);
                self.accepted.notify_one();
                Ok(())
            }
            Err(error) if may_pass(&error) => Err(error.to_string()),
            Err(error) => self.fail(job, &error.to_string()).map_err(unwanted),
        }
    }

    async fn adopt(&self) -> Result<(), service::Error> {
        let planned = self.catalog.jobs(JobState::Planned, usize::MAX, &|_| false).unwrap_or_default();
        let mut by_vault: HashMap<&str, Vec<&Job>> = HashMap::new();
        for job in &planned {
            by_vault.entry(&job.vault_name).or_default().push(job);
        }
        for (vault, planned) in by_vault {
            let jobs = match self.service.jobs(vault).await {
                // Of a vault that is gone, say: its own jobs will fail when they are asked for, those of others needn't wait.
                Err(error) if !may_pass(&error) => continue,
                other => other?,
            };
            let mut known: HashMap<(&str, RangeInclusive<u64>), &str> = HashMap::new();
            for job in jobs.iter().filter(|job| !matches!(job.status, JobStatus::Failed(_))) {
                if let JobKind::Archive { archive_id, range: Some(range) } = &job.kind {
                    known.insert((archive_id, range.clone()), &job.id);
                }
            }
            for job in planned {
                if let Some(job_id) = known.get(&(job.archive.archive_id.as_str(), job.first..=job.last)) {
                    log::info!("adopted retrieval {job_id} in {vault}");
                    if let Err(error) = self.catalog.job_accepted(job.id, job_id) {
                        log::error!("the catalog can't record a retrieval: {error}");
                    }
                    crash::at(Point::RecallAdopted);
                }
            }
        }
        self.accepted.notify_one();
        Ok(())
    }
}

/// A job's range as the service wants it: none for a whole archive.
fn whole_is_none(job: &Job) -> Option<RangeInclusive<u64>> {
    let whole = job.first == 0 && job.last + 1 == job.archive.size;
    (!whole).then_some(job.first..=job.last)
}
