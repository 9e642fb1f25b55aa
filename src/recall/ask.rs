//! Starts the jobs that are planned, when their time has come.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::Event;
use super::REQUESTS;
use super::RETRY;
use super::Recall;
use super::adopt::Listed;
use super::trouble::Work;
use super::trouble::may_pass;
use crate::catalog;
use crate::catalog::Ino;
use crate::catalog::Job;
use crate::catalog::Turn;
use crate::catalog::Usage;
use crate::catalog::now;
use crate::service::Kind;
use crate::service::Tier;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::retry::Backoff;

/// How many planned jobs are taken at a time.
const BATCH: usize = 64;
/// How long to sleep at most until the time of a planned job is compared with the clock again, which may have been set.
const LOOK: Duration = Duration::from_secs(60);
/// Between tries while the account's retrieval policy refuses: it counts by the hour.
const REFUSED: Backoff = Backoff { first: Duration::from_secs(60), cap: Duration::from_secs(15 * 60) };

impl Recall {
    /// Starts planned jobs, for ever. Before, adopts those that the service has already.
    pub(super) async fn ask(self: Arc<Self>) {
        let (mut failures, mut refusals) = (0, 0);
        let mut listed = Listed::default();
        loop {
            let due = self.catalog.due_jobs(now(), BATCH).unwrap_or_else(|error| {
                log::error!("the queue of recalls can't be read: {error}");
                Vec::new()
            });
            if due.is_empty() {
                self.troubles.end(Work::Ask);
                let pause = self.until_due();
                let _ = tokio::time::timeout(pause, self.planned.notified()).await;
                continue;
            }
            let ask = |job| {
                let recall = self.clone();
                async move { recall.ask_for(&job).await }
            };
            let outcomes: Vec<Result<Asked, String>> = match listed.adopt(&self, due).await {
                Ok(rest) => stream::iter(rest).map(ask).buffer_unordered(REQUESTS).collect().await,
                Err(error) => vec![Err(error.to_string())],
            };
            for outcome in &outcomes {
                if let Ok(Asked::Accepted(job, job_id)) = outcome {
                    listed.accepted(job, job_id.clone());
                }
            }
            if let Some((tier, why)) = outcomes.iter().find_map(|outcome| outcome.as_ref().ok()?.refused()) {
                refusals += 1;
                self.hold(tier, why, REFUSED.wait(refusals));
            } else if !outcomes.is_empty() {
                refusals = 0;
            }
            // A service that takes some of them is no reason to wait longer and longer.
            if outcomes.iter().any(Result::is_ok) {
                failures = 0;
            }
            match outcomes.into_iter().find_map(Result::err) {
                None => self.troubles.end(Work::Ask),
                Some(error) => {
                    failures += 1;
                    // What failed may have had its effect.
                    listed.forget();
                    self.troubles.begin(Work::Ask, error);
                    tokio::time::sleep(RETRY.wait(failures)).await;
                }
            }
        }
    }

    /// How long nothing is due that is planned now.
    fn until_due(&self) -> Duration {
        match self.catalog.next_job_due() {
            Ok(Some(due)) => Duration::from_nanos(u64::try_from(due.saturating_sub(now())).unwrap_or(0)).min(LOOK),
            _ => LOOK,
        }
    }

    /// Has the jobs of a tier that the account's data retrieval policy refuses wait for `wait`.
    fn hold(&self, tier: Tier, why: &str, wait: Duration) {
        let until = now().saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        log::warn!("{tier} retrievals are refused and wait: {why}");
        if let Err(error) = self.catalog.hold_jobs(tier, until, why) {
            log::error!("the catalog can't record that retrievals wait: {error}");
        }
    }

    /// Counts a job that the service has accepted, for the report of costs.
    fn count(&self, job: &Job, ino: Ino) -> catalog::Result<()> {
        let path = self.catalog.path(ino)?.unwrap_or_default();
        let within = path.iter().position(|byte| *byte == b'/').map_or(&path[..0], |end| &path[end + 1..]);
        self.catalog.count(job.vault, within, Usage::Retrieval(job.tier), 1, job.last - job.first + 1, now())
    }

    /// Whether a job is asked for at the standard tier when there is no capacity for its own.
    fn falls_back(&self, job: &Job) -> bool {
        self.settings.tier_fallback && job.tier == Tier::Expedited
    }

    /// Starts one job. `Err` says why it must be tried again later.
    async fn ask_for(&self, job: &Job) -> Result<Asked, String> {
        let unwanted = |error: catalog::Error| error.to_string();
        let Some(content) = self.catalog.content_of(job.archive.row).map_err(unwanted)? else {
            // Deleted or overwritten meanwhile: nobody needs it.
            return self.unwanted(job).map(|()| Asked::Settled).map_err(unwanted);
        };
        let tier = match self.with_terms(|terms| self.catalog.charge_job(job, terms)).map_err(unwanted)? {
            Turn::Counted(tier) => tier,
            Turn::Over(over) => {
                // Who waits for it would wait for a day or a month.
                self.tell(content.id, Event::Over(over));
                return Ok(Asked::Settled);
            }
            Turn::Gone => return Ok(Asked::Settled),
        };
        let job = &Job { tier, ..job.clone() };
        let range = whole_is_none(job);
        match self.service.request_retrieval(&job.vault_name, &job.archive.archive_id, range, job.tier).await {
            Ok(job_id) => {
                crash::at(Point::RecallAsked);
                self.with_terms(|terms| self.catalog.job_accepted(job, &job_id, terms)).map_err(unwanted)?;
                crash::at(Point::RecallAccepted);
                // What can't be counted was asked for all the same.
                if let Err(error) = self.count(job, content.ino) {
                    log::error!("the catalog can't count a retrieval: {error}");
                }
                self.accepted.notify_one();
                Ok(Asked::Accepted(Box::new(job.clone()), job_id))
            }
            Err(error) if error.kind() == Kind::Policy => Ok(Asked::Refused(job.tier, error.to_string())),
            Err(error) if error.kind() == Kind::Capacity && self.falls_back(job) => {
                log::warn!("{error}; it is asked for at the standard tier instead");
                self.catalog.change_tier(job.id, Tier::Standard).map_err(unwanted)?;
                Ok(Asked::Settled)
            }
            Err(error) if may_pass(&error) => Err(error.to_string()),
            Err(error) => self.fail(job, &error.to_string()).map(|()| Asked::Settled).map_err(unwanted),
        }
    }
}

/// What became of a planned job whose time had come.
enum Asked {
    /// The service has it under this name.
    Accepted(Box<Job>, String),
    /// It is off the list of what is due.
    Settled,
    /// The account's data retrieval policy doesn't allow it now (API reference, "Set Data Retrieval Policy").
    Refused(Tier, String),
}

impl Asked {
    fn refused(&self) -> Option<(Tier, &str)> {
        match self {
            Asked::Accepted(..) | Asked::Settled => None,
            Asked::Refused(tier, why) => Some((*tier, why)),
        }
    }
}

/// A job's range as the service wants it: none for a whole archive.
fn whole_is_none(job: &Job) -> Option<RangeInclusive<u64>> {
    let whole = job.first == 0 && job.last + 1 == job.archive.size;
    (!whole).then_some(job.first..=job.last)
}
