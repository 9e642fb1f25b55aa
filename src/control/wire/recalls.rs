//! What limits recalls, and which of them wait for it.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// A limit of the budget for retrievals, and what is counted against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetLimit {
    /// The limit for a person: `1000 requests a day`.
    pub limit: String,
    /// What is used of it, for a person: `12 requests`.
    pub used: String,
    /// The limit: requests, bytes, or billionths of a US dollar.
    pub most: u64,
    /// What is used of it.
    pub spent: u64,
}

/// Planned retrievals that are held for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The reason.
    pub reason: String,
    /// How many.
    pub jobs: u64,
    /// Bytes that they are for.
    pub bytes: u64,
    /// When the first of them is tried again.
    pub until: Timestamp,
}
