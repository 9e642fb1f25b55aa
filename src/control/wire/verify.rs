//! Verifying: the catalog against inventories, bytes against their tree hashes.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::InventoryState;
use super::PathText;

/// `POST /v1/verify`: holds the inventories of vaults against the catalog; asked again, says how far that is. The answer is
/// [`Verifications`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// Names of vaults; none: all.
    pub vaults: Vec<String>,
}

/// The verifications of several vaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verifications {
    /// One each.
    pub vaults: Vec<Verification>,
}

/// How far the verification of a vault is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The vault.
    pub vault: String,
    /// How far it is.
    pub state: InventoryState,
    /// When it was asked for.
    pub started: Timestamp,
    /// When the inventory may be there.
    pub eta: Option<Timestamp>,
    /// When the inventory was taken.
    pub inventory_date: Option<Timestamp>,
    /// What was found.
    pub report: Option<Verified>,
    /// Why there is none.
    pub error: Option<String>,
}

/// What holding an inventory against the catalog found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Archives in the inventory.
    pub archives: u64,
    /// Those that are as the catalog knows them.
    pub same: u64,
    /// How many things are wrong.
    pub trouble: u64,
    /// How many of each kind were found, those that were.
    pub counts: Vec<FoundCount>,
    /// At most 1,000 of each kind.
    pub findings: Vec<Finding>,
}

/// How many of a kind were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundCount {
    /// The kind.
    pub what: Found,
    /// How many.
    pub count: u64,
    /// Whether that is wrong.
    pub is_trouble: bool,
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// The inventory lacks an archive that it should have.
    Missing,
    /// It has another size.
    OtherSize,
    /// It has another tree hash.
    OtherTreeHash,
    /// The catalog doesn't know it.
    Unknown,
    /// There is another with the same bytes and description.
    Duplicate,
    /// It is too young for the inventory.
    NotYetListed,
    /// It was deleted, and is still listed.
    Deleted,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub what: Found,
    /// The archive.
    pub archive_id: String,
    /// The file that it is, or was, or by its description would be.
    pub path: Option<PathText>,
    /// Whether that is in the trash.
    pub trashed: bool,
    /// Whether all of its bytes are on this machine.
    pub local: bool,
    /// When the vault got it.
    pub created: Timestamp,
    /// Bytes by the catalog.
    pub size: Option<u64>,
    /// Bytes by the inventory.
    pub listed_size: Option<u64>,
}

/// `POST /v1/sample`: retrieves some of a vault's archives and compares them with their tree hashes; asked again, says how far that
/// is. The answer is a [`Check`], as that of `POST /v1/scrub`, which does it with what is kept on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The vault.
    pub vault: String,
    /// How many bytes at most.
    pub bytes: u64,
}

/// How far a check of bytes is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Files whose bytes are as they were archived.
    pub good: u64,
    /// Their bytes.
    pub good_bytes: u64,
    /// Files that were left out.
    pub skipped: u64,
    /// Files whose bytes are others, or can't be had.
    pub bad: u64,
    /// They, at most 1,000.
    pub files: Vec<BadFile>,
    /// Files in the sample.
    pub chosen: u64,
    /// Their bytes.
    pub chosen_bytes: u64,
    /// Whether it has ended.
    pub done: bool,
    /// What ended it before its end.
    pub error: Option<String>,
}

/// A file whose bytes aren't as they were archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BadFile {
    /// Its path.
    pub path: PathText,
    /// What is wrong.
    pub reason: String,
}
