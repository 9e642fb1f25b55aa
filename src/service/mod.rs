//! The archive service: the remote side as upload and recall see it.
//!
//! A vault holds immutable archives; an archive is put whole or in parts, and comes back only through a job that somebody
//! waits for. [`ArchiveService`] says just that, without a word about requests, signatures or codes, so that another
//! service can stand behind it. [`Glacier`] is the first.
//!
//! Short hiccups are the implementation's business. What is an [`Error`] here has lasted longer, and says whether waiting
//! can help ([`Error::is_retryable`]) and what kind of trouble it is.

#[cfg(test)]
pub mod fake;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod glacier;
mod retention;

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use crate::util::size::MIB;

pub use self::glacier::Glacier;
pub use self::retention::Retention;
pub use crate::glacier::client::Payload;
pub use crate::glacier::description;
pub use crate::glacier::treehash::{self, PayloadHash, TreeHash};
pub use crate::util::tier::Tier;

/// The result of an operation of the archive service.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed operation; displays as a message for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    kind: Kind,
    retryable: bool,
    outcome_unknown: bool,
}

/// What kind of trouble an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service or the way to it is out of order or overloaded.
    Unavailable,
    /// The vault doesn't exist.
    VaultMissing,
    /// The archive, the upload or the job doesn't exist, or not any more.
    NotFound,
    /// The vault can't be deleted: it isn't empty, or the service doesn't know yet that it is.
    VaultNotEmpty,
    /// The credentials may not do this.
    AccessDenied,
    /// There are no credentials, or the service doesn't accept them.
    Credentials,
    /// This machine's clock is off; it heals as soon as that is set.
    ClockSkew,
    /// A limit of the account forbids it.
    Quota,
    /// There is no capacity for a retrieval at this tier now; at a slower one there is.
    Capacity,
    /// The account's data retrieval policy doesn't allow it now.
    Policy,
    /// The job isn't done yet.
    NotReady,
    /// What arrived isn't what was sent.
    Corrupt,
    /// The data to send can't be read here.
    Local,
    /// The request is wrong.
    Invalid,
}

impl Error {
    /// An error; `message` names operation, place and what to check.
    pub fn new(kind: Kind, retryable: bool, message: impl Into<String>) -> Self {
        Error { message: message.into(), kind, retryable, outcome_unknown: false }
    }

    /// The same error of an operation that may have had its effect.
    pub fn with_unknown_outcome(self, outcome_unknown: bool) -> Self {
        Error { outcome_unknown, ..self }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the same operation may succeed later, with nobody changing anything but perhaps the clock. Otherwise only
    /// somebody's action helps.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether the operation may have had its effect all the same: an archive may exist, a job may run.
    pub fn outcome_is_unknown(&self) -> bool {
        self.outcome_unknown
    }
}

/// A vault. The counts are those of its last inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Its name.
    pub name: String,
    /// Its name in the world.
    pub arn: String,
    /// When it was created.
    pub created: Timestamp,
    /// When its last inventory was generated.
    pub last_inventory: Option<Timestamp>,
    /// The number of archives.
    pub archives: Option<u64>,
    /// The bytes of the archives, with the service's overhead.
    pub bytes: Option<u64>,
}

/// How large archives and parts may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that can be put at once.
    pub max_put: u64,
    /// The fewest bytes of a part that isn't the last; part sizes are powers of two.
    pub min_part: u64,
    /// The most bytes of a part.
    pub max_part: u64,
    /// The most parts of an archive.
    pub max_parts: u64,
}

/// From this size on a file goes in parts.
pub const MULTIPART: u64 = 64 * MIB;
/// The part size that is chosen for a file that fits into that many.
pub const USUAL_PART: u64 = 16 * MIB;

impl Limits {
    /// The smallest part size that is at least `wanted` bytes and enough for an archive of `size` bytes; `None` if there
    /// can't be so large an archive.
    pub fn part_size(&self, size: u64, wanted: u64) -> Option<u64> {
        let enough = size.div_ceil(self.max_parts).max(wanted.min(self.max_part)).max(self.min_part);
        enough.checked_next_power_of_two().filter(|part_size| *part_size <= self.max_part)
    }
}

/// A part that the service has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bytes of the archive in it.
    pub range: RangeInclusive<u64>,
    /// Their tree hash.
    pub tree_hash: TreeHash,
}

/// What a job retrieves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// An archive, or a range of it.
    Archive {
        /// The archive.
        archive_id: String,
        /// The bytes of it, if the service says.
        range: Option<RangeInclusive<u64>>,
    },
    /// The whole inventory, in the form that [`ArchiveService::inventory`] reads.
    Inventory,
    /// Something that glacierfs never asks for.
    Other,
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// It is being worked on.
    InProgress,
    /// Its output can be fetched, for a day or so.
    Succeeded,
    /// It has failed, for this reason.
    Failed(String),
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its ID.
    pub id: String,
    /// What it retrieves.
    pub kind: JobKind,
    /// How fast, where the service says.
    pub tier: Option<Tier>,
    /// How far it has come.
    pub status: JobStatus,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// The bytes of its output, where the service says.
    pub size: Option<u64>,
    /// The tree hash of its output, if that is tree-hash aligned in the archive and the service says.
    pub tree_hash: Option<TreeHash>,
}

/// The output of a job, or a range of it, as it arrives.
pub struct Fetched {
    /// The bytes that follow, where the service says.
    pub len: Option<u64>,
    /// The service's tree hash of exactly these bytes, if it gives one. To be compared by whoever reads the stream: not a
    /// byte of it is verified yet.
    pub tree_hash: Option<TreeHash>,
    /// The bytes. Fewer than announced end with an error.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// An archive as the inventory names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRecord {
    /// Its ID.
    pub archive_id: String,
    /// Its description, maybe empty: see [`description::parse`].
    pub description: String,
    /// When it came to exist.
    pub created: Timestamp,
    /// Its size in bytes.
    pub size: u64,
    /// Its tree hash.
    pub tree_hash: TreeHash,
}

/// What an inventory consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InventoryItem {
    /// When it was generated; nothing younger is in it.
    Generated(Timestamp),
    /// The next archive.
    Archive(ArchiveRecord),
}

/// A place that keeps archives in vaults. Names of vaults, IDs and hashes are the service's; ranges are inclusive.
///
/// Dropping a future abandons the operation, which may have its effect all the same.
pub trait ArchiveService: Send + Sync + fmt::Debug {
    /// Where it is, for a person: a URL.
    fn endpoint(&self) -> &str;

    /// How large archives and parts may be.
    fn limits(&self) -> Limits;

    /// All vaults, by name.
    fn vaults(&self) -> BoxFuture<'_, Result<Vec<Vault>>>;

    /// One vault.
    fn vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<Vault>>;

    /// Creates a vault. No error if it exists.
    fn create_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Deletes an empty vault ([`Kind::VaultNotEmpty`] otherwise). No error if it doesn't exist.
    fn delete_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Puts an archive at once; answers with its ID once it is durable and its tree hash verified. `hash` is that of
    /// `payload`. Each call makes an archive, so look at [`Error::outcome_is_unknown`] before the next.
    fn put<'a>(
        &'a self,
        vault: &'a str,
        description: &'a str,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<String>>;

    /// Begins an archive in parts of `part_size` bytes (see [`Limits::part_size`]); answers with the upload's ID.
    fn begin<'a>(&'a self, vault: &'a str, description: &'a str, part_size: u64) -> BoxFuture<'a, Result<String>>;

    /// Puts the part at byte `offset`, a multiple of the part size. Parts come in any order, also at the same time, and
    /// again. [`Kind::NotFound`] if the upload is gone.
    fn put_part<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        offset: u64,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<()>>;

    /// The parts that have arrived, by range. [`Kind::NotFound`] if the upload is gone.
    fn parts<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<Vec<Part>>>;

    /// Makes an archive of the parts; answers with its ID once it is durable. `size` and `tree_hash` are those of the whole.
    /// May be repeated.
    fn complete<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        size: u64,
        tree_hash: TreeHash,
    ) -> BoxFuture<'a, Result<String>>;

    /// Gives up an archive in parts.
    fn abort<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Deletes an archive. No error if it has been deleted before.
    fn delete_archive<'a>(&'a self, vault: &'a str, archive_id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// What the vault's lock forbids: whether, and when, its archives can be deleted.
    fn retention<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<Retention>>;

    /// Asks for an archive, or for the bytes `range` of it, which must be megabyte aligned
    /// ([`treehash::is_megabyte_aligned`]); answers with the job's ID. Each call is a job and costs money.
    fn request_retrieval<'a>(
        &'a self,
        vault: &'a str,
        archive_id: &'a str,
        range: Option<RangeInclusive<u64>>,
        tier: Tier,
    ) -> BoxFuture<'a, Result<String>>;

    /// Asks for the vault's inventory; answers with the job's ID. [`Kind::NotFound`] if there is none yet.
    fn request_inventory<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<String>>;

    /// The jobs of a vault, in progress and ended, that the service still knows, a page at a time: there may be a hundred thousand.
    fn jobs<'a>(&'a self, vault: &'a str) -> BoxStream<'a, Result<Vec<Job>>>;

    /// One job. [`Kind::NotFound`] if it never was or has expired.
    fn job<'a>(&'a self, vault: &'a str, job_id: &'a str) -> BoxFuture<'a, Result<Job>>;

    /// The output of a job that has succeeded ([`Kind::NotReady`] before): all of it, or exactly the bytes `range`, counted
    /// from the start of what it retrieved. Answers when the bytes begin to flow.
    fn fetch<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
        range: Option<RangeInclusive<u64>>,
    ) -> BoxFuture<'a, Result<Fetched>>;

    /// The output of an inventory job that has succeeded, item by item as it arrives. Only a stream that ends without an
    /// error was the whole inventory.
    fn inventory<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<InventoryItem>>>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::size::{GIB, MIB, TIB};

    /// Promise: part sizes are the smallest allowed power of two that suffices and isn't less than wanted, up to the
    /// largest archive there can be.
    #[test]
    fn part_sizes() {
        let limits = Limits { max_put: 4 * GIB, min_part: MIB, max_part: 4 * GIB, max_parts: 10_000 };
        for (size, wanted, part_size) in [
            (1, 1, Some(MIB)),
            (64 * MIB, 16 * MIB, Some(16 * MIB)),
            (64 * MIB, 17 * MIB, Some(32 * MIB)),
            (10_000 * MIB, MIB, Some(MIB)),
            (10_000 * MIB + 1, MIB, Some(2 * MIB)),
            (TIB, 8 * MIB, Some(128 * MIB)),
            (40_000 * GIB, MIB, Some(4 * GIB)),
            (40_000 * GIB + 1, MIB, None),
            (GIB, 64 * GIB, Some(4 * GIB)),
            (u64::MAX, u64::MAX, None),
        ] {
            assert_eq!(limits.part_size(size, wanted), part_size, "{size} {wanted}");
        }
    }
}
