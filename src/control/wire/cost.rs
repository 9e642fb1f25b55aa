//! What is stored, what was asked for this month, and what that costs.

use serde::Deserialize;
use serde::Serialize;

use super::PathText;
use crate::util::money::Money;

/// `GET /v1/cost`. Money is in billionths of a US dollar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// The region whose prices these are.
    pub region: String,
    /// As of when the table of prices is.
    pub prices_date: String,
    /// The month: `2026-11`.
    pub month: String,
    /// Each vault, by name.
    pub vaults: Vec<VaultCost>,
}

/// A vault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VaultCost {
    /// Its name.
    pub vault: String,
    /// All of it.
    pub all: Costs,
    /// What of the stored is in its trash.
    pub trash_archives: u64,
    /// Its bytes.
    pub trash_bytes: u64,
    /// Each directory right below it, with all that is in it; an empty name stands for what is in none. The trash isn't in these.
    pub tops: Vec<TopCost>,
}

/// A directory right below a vault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopCost {
    /// Its name.
    pub name: PathText,
    /// What it costs.
    pub costs: Costs,
}

/// What something costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Archives that are stored.
    pub archives: u64,
    /// Their bytes, without the 32 KiB more that each is billed.
    pub bytes: u64,
    /// A month of that storage.
    pub storage: Money,
    /// Requests that uploaded this month.
    pub upload_requests: u64,
    /// What they cost.
    pub uploads: Money,
    /// Retrieval jobs of this month.
    pub retrieval_jobs: u64,
    /// Bytes that they retrieved.
    pub retrieved_bytes: u64,
    /// What they cost.
    pub retrievals: Money,
    /// Archives that were deleted this month before their ninetieth day.
    pub early_deletions: u64,
    /// What that costs.
    pub early: Money,
    /// All of it at the end of the month, if it goes on so.
    pub projected: Money,
}
