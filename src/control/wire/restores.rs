//! Restores: what is to come back, what that takes, and how far it is.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::Failure;
use super::PathText;
use crate::util::money::Money;

/// `POST /v1/restore`: what to bring back, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// The paths, trees with all that is in them. One that doesn't exist may be a pattern (`*`, `?`, `[…]`, `{…}`, `**`).
    pub paths: Vec<PathText>,
    /// Retrieval tier in the service's words; none: the mount's.
    pub tier: Option<String>,
    /// Bytes an hour that are asked for at most; none: all at once.
    pub rate: Option<u64>,
    /// Only files that were written to then or later.
    pub newer: Option<Timestamp>,
    /// Only tell what it would take, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to `POST /v1/restore`: what it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// The restore's number; none for a dry run, and where all is local.
    pub id: Option<i64>,
    /// The tier.
    pub tier: String,
    /// Files that are local, or were never archived.
    pub local_files: u64,
    /// Files that aren't local.
    pub files: u64,
    /// Their bytes that aren't.
    pub bytes: u64,
    /// Retrieval jobs to ask for; what is on its way already is left out.
    pub jobs: u64,
    /// Bytes that these jobs retrieve.
    pub job_bytes: u64,
    /// What they cost, in billionths of a US dollar.
    pub cost: Money,
    /// As of when the table of prices is.
    pub prices_date: String,
    /// When all should be local, as far as can be told.
    pub eta: Option<Timestamp>,
    /// Which limit of the budget it passes today: the rest then waits for its next day or month.
    pub over_budget: Option<String>,
    /// Files that can't be brought back.
    pub failed: Vec<Failure>,
}

/// What a restore that goes on waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreState {
    /// The service works on it, or its output is being fetched.
    Running,
    /// Its next job is asked for later, by its rate.
    Waiting,
    /// Its next job is held, by the budget or the account's retrieval policy.
    Held,
    /// All is done that can be.
    Done,
    /// Somebody ended it.
    Cancelled,
}

/// How far a restore is. Of `GET /v1/restores` and `GET /v1/restores/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreStatus {
    /// Its number.
    pub id: i64,
    /// The paths.
    pub what: String,
    /// The tier.
    pub tier: String,
    /// Bytes an hour at most; none: all at once.
    pub rate: Option<u64>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it waits for.
    pub state: RestoreState,
    /// Until when its next job waits or is held.
    pub until: Option<Timestamp>,
    /// Why it is held.
    pub reason: Option<String>,
    /// Files that weren't local when it was asked for.
    pub files: u64,
    /// Their bytes that weren't.
    pub bytes: u64,
    /// Of these, files that have come.
    pub done_files: u64,
    /// Likewise in bytes.
    pub done_bytes: u64,
    /// Files that won't come.
    pub failed_files: u64,
    /// Some of them; only of a single restore.
    pub failed: Vec<Failure>,
    /// When all should be local, as far as can be told.
    pub eta: Option<Timestamp>,
}

/// `GET /v1/restores`: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Restores {
    /// Those that go on, and the last that ended.
    pub restores: Vec<RestoreStatus>,
}
