//! Jobs that the service has already, whoever asked for them: neither a crash between its answer and our note of it, nor a lost
//! answer, nor another machine that wants the same costs a second job.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use std::time::Instant;

use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::Recall;
use super::trouble::may_pass;
use crate::catalog::Job;
use crate::service;
use crate::service::JobKind;
use crate::service::JobStatus;
use crate::service::treehash;
use crate::util::crash;
use crate::util::crash::Point;

/// How long a list of a vault's jobs is good for, to find those of others in.
const FRESH: Duration = Duration::from_secs(30);
/// What share of the time may go into listing.
const LISTING: u32 = 5;
/// How long an output can be fetched after the job's completion, less what fetching it may take (guide, "Downloading a Job
/// Output").
const LASTS: Duration = Duration::from_secs(23 * 3600);

/// What the service has of a vault's jobs.
#[derive(Default)]
pub(super) struct Listed(HashMap<String, Vault>);

struct Vault {
    listed: Instant,
    good_for: Duration,
    /// By archive: its jobs.
    jobs: HashMap<String, Vec<Found>>,
}

/// A job of the service for an archive.
struct Found {
    id: String,
    range: RangeInclusive<u64>,
    created: Timestamp,
    completed: Option<Timestamp>,
}

impl Found {
    /// Whether its output can be, and be verified, for what `job` wants.
    fn has(&self, job: &Job) -> bool {
        let (first, last) = (*self.range.start(), *self.range.end());
        let lasts = |completed: Timestamp| Timestamp::now() < completed.checked_add(LASTS).unwrap_or(completed);
        first <= job.first
            && last >= job.last
            && treehash::is_aligned(job.archive.size, first, last)
            && self.completed.is_none_or(lasts)
    }
}

impl Listed {
    /// Notes a job that the service has just accepted: its output is good for a day, whatever becomes of the bytes here.
    pub(super) fn accepted(&mut self, job: &Job, job_id: String) {
        let Some(vault) = self.0.get_mut(&job.vault_name) else { return };
        let found = Found { id: job_id, range: job.first..=job.last, created: Timestamp::now(), completed: None };
        vault.jobs.entry(job.archive.archive_id.clone()).or_default().push(found);
    }

    /// Has every vault listed anew before anything is asked for in it.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Notes in the catalog which of `planned` the service has jobs for, and answers the others, those that must be asked for.
    ///
    /// # Errors
    /// Why the jobs of a vault can't be listed; it is worth trying again.
    pub(super) async fn adopt(&mut self, recall: &Recall, planned: Vec<Job>) -> Result<Vec<Job>, service::Error> {
        let mut rest = Vec::new();
        for job in planned {
            self.list(recall, &job.vault_name).await?;
            let found = self.0.get(&job.vault_name).and_then(|vault| vault.jobs.get(&job.archive.archive_id));
            let Some(found) =
                found.and_then(|jobs| jobs.iter().find(|found| found.has(&job) && !recall.is_bad(&found.id)))
            else {
                rest.push(job);
                continue;
            };
            // One from before it was planned here is another's. Ours was made afterwards, by a clock that may differ.
            let is_anothers = found.created.as_nanosecond() < i128::from(job.created) - i128::from(SKEW);
            log::info!("adopted retrieval {} in {}", found.id, job.vault_name);
            match recall.catalog.job_adopted(job.id, &found.id, *found.range.start(), is_anothers) {
                Ok(()) => recall.accepted.notify_one(),
                Err(error) => log::error!("the catalog can't record a retrieval: {error}"),
            }
            crash::at(Point::RecallAdopted);
        }
        Ok(rest)
    }

    async fn list(&mut self, recall: &Recall, vault: &str) -> Result<(), service::Error> {
        if self.0.get(vault).is_some_and(|vault| vault.listed.elapsed() < vault.good_for) {
            return Ok(());
        }
        let began = Instant::now();
        let mut by_archive: HashMap<String, Vec<Found>> = HashMap::new();
        let mut pages = recall.service.jobs(vault);
        loop {
            let page = match pages.try_next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // Of a vault that is gone, say: its own jobs will fail when they are asked for, those of others needn't wait.
                Err(error) if !may_pass(&error) => break,
                Err(error) => return Err(error),
            };
            for job in page {
                let JobKind::Archive { archive_id, range: Some(range) } = job.kind else { continue };
                if !matches!(job.status, JobStatus::Failed(_)) {
                    let found = Found { id: job.id, range, created: job.created, completed: job.completed };
                    by_archive.entry(archive_id).or_default().push(found);
                }
            }
        }
        let good_for = FRESH.max(began.elapsed() * LISTING);
        self.0.insert(vault.to_owned(), Vault { listed: Instant::now(), good_for, jobs: by_archive });
        Ok(())
    }
}

/// How far the service's clock may be from this machine's, in nanoseconds: it refuses requests beyond.
const SKEW: i64 = 15 * 60 * 1_000_000_000;
