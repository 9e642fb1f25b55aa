//! The archive service: the remote side, as `upload`, `recall` and `vault` see it.
//!
//! One trait in the field's words (vault, archive, part, job, inventory), so that nothing above it depends on the protocol
//! of a particular service, and so that tests can put a service of their own behind it. Names of vaults are checked by the
//! caller ([`crate::vault`]); hashes are compared by the implementation on the way up, by the caller on the way down.

mod glacier;

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

pub use glacier::Glacier;

pub use crate::glacier::payload::Payload;
pub use crate::glacier::treehash::PayloadHash;
pub use crate::glacier::treehash::TreeHash;

/// What a call of the service answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// A service that keeps archives in vaults, and gives them back by jobs that take their time.
///
/// Every call may be repeated. What a repetition costs: [`put`](Self::put) may leave a second archive,
/// [`begin`](Self::begin) a second upload, [`retrieve`](Self::retrieve) and [`inventory`](Self::inventory) a second job;
/// the rest costs nothing.
pub trait ArchiveService: Send + Sync + 'static {
    /// All vaults of the account.
    fn vaults(&self) -> Answer<'_, Vec<Vault>>;
    /// Makes a vault; no error if there is one of that name.
    fn create_vault<'a>(&'a self, vault: &'a str) -> Answer<'a, ()>;
    /// What the service says of a vault.
    fn vault<'a>(&'a self, vault: &'a str) -> Answer<'a, Vault>;
    /// Deletes an empty vault ([`ErrorKind::NotEmpty`] else).
    fn delete_vault<'a>(&'a self, vault: &'a str) -> Answer<'a, ()>;
    /// Uploads an archive in one request (1 byte to 4 GiB), and answers its ID.
    fn put<'a>(
        &'a self,
        vault: &'a str,
        description: &'a str,
        payload: &'a Payload,
        hash: &'a PayloadHash,
    ) -> Answer<'a, String>;
    /// Begins an upload in parts of `part_size` bytes (a power of two of MiB), and answers its ID.
    fn begin<'a>(&'a self, vault: &'a str, description: &'a str, part_size: u64) -> Answer<'a, String>;
    /// Uploads the part at byte `offset`, a multiple of the part size; only the last may be shorter.
    fn put_part<'a>(
        &'a self,
        vault: &'a str,
        upload: &'a str,
        offset: u64,
        payload: &'a Payload,
        hash: &'a PayloadHash,
    ) -> Answer<'a, ()>;
    /// The parts that the service has of an upload ([`ErrorKind::NotFound`] when it doesn't know the upload any more).
    fn parts<'a>(&'a self, vault: &'a str, upload: &'a str) -> Answer<'a, Vec<Part>>;
    /// Makes an archive of the parts, and answers its ID.
    fn complete<'a>(&'a self, vault: &'a str, upload: &'a str, size: u64, tree_hash: TreeHash) -> Answer<'a, String>;
    /// Throws an upload away; no error if it is gone.
    fn abort<'a>(&'a self, vault: &'a str, upload: &'a str) -> Answer<'a, ()>;
    /// Deletes an archive; no error if it is gone.
    fn delete_archive<'a>(&'a self, vault: &'a str, archive: &'a str) -> Answer<'a, ()>;
    /// Starts the retrieval of an archive, or of its bytes `range` (inclusive; whole MiB, or to the end). Answers the
    /// job's ID.
    fn retrieve<'a>(
        &'a self,
        vault: &'a str,
        archive: &'a str,
        range: Option<(u64, u64)>,
        tier: &'a str,
    ) -> Answer<'a, String>;
    /// Starts the retrieval of a vault's inventory, and answers the job's ID ([`ErrorKind::NotFound`] when the vault has
    /// none yet).
    fn inventory<'a>(&'a self, vault: &'a str) -> Answer<'a, String>;
    /// A job ([`ErrorKind::NotFound`] when it has expired).
    fn job<'a>(&'a self, vault: &'a str, job: &'a str) -> Answer<'a, Job>;
    /// All jobs of a vault that are under way or whose output can still be had.
    fn jobs<'a>(&'a self, vault: &'a str) -> Answer<'a, Vec<Job>>;
    /// The output of a job that is done, or its bytes `range` (inclusive, from the first byte that the job retrieved).
    fn output<'a>(&'a self, vault: &'a str, job: &'a str, range: Option<(u64, u64)>) -> Answer<'a, Output>;
}

/// A vault as the service tells of it. Counts are as of the last inventory.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Its name.
    pub name: String,
    /// The service's full name for it.
    pub arn: String,
    /// When it was made.
    pub created: Timestamp,
    /// Archives in it.
    pub archives: Option<u64>,
    /// Bytes that are billed.
    pub bytes: Option<u64>,
    /// When it was last inventoried.
    pub last_inventory: Option<Timestamp>,
}

/// A part that the service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte in the archive.
    pub first: u64,
    /// Its last byte, inclusive.
    pub last: u64,
    /// Of its bytes.
    pub tree_hash: TreeHash,
}

/// A retrieval job.
#[derive(Clone, Debug)]
pub struct Job {
    /// The service's name for it.
    pub id: String,
    /// The archive that it retrieves; none for an inventory.
    pub archive: Option<String>,
    /// The bytes of the archive that it retrieves, inclusive; none for an inventory.
    pub range: Option<(u64, u64)>,
    /// The tree hash of those bytes, where the service gives one.
    pub tree_hash: Option<TreeHash>,
    /// Whether it covers the whole inventory, in a form that [`parse_inventory`] reads.
    pub full_inventory: bool,
    /// How far it is.
    pub state: JobState,
    /// When it was started.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The service is at it.
    InProgress,
    /// Its output can be had.
    Succeeded,
    /// There won't be any, for this reason.
    Failed(String),
}

/// A job's output, as it comes in.
pub struct Output {
    /// Its tree hash, where the service gives one.
    pub tree_hash: Option<TreeHash>,
    /// Its bytes; one that ends early ends with an error.
    pub bytes: BoxStream<'static, Result<Bytes, Error>>,
}

/// A vault's inventory.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// When it was taken, as the service writes it.
    pub date: String,
    /// The archives.
    pub archives: Vec<Listed>,
}

/// An archive in an inventory.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The service's name for it.
    pub archive_id: String,
    /// What its uploader wrote.
    pub description: String,
    /// When the vault got it.
    pub created: Timestamp,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub tree_hash: TreeHash,
}

/// Reads the output of an inventory job ([`Job::full_inventory`]).
pub use glacier::parse_inventory;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong and what to do about it, for a person.
    pub message: String,
    /// What to make of it.
    pub kind: ErrorKind,
}

/// What to make of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The service can't be reached, is overloaded, or slow: the same call may work later.
    Unavailable,
    /// The service doesn't accept who we are, or what we may do: somebody must change something.
    Denied,
    /// The vault doesn't exist.
    NoVault,
    /// Something else doesn't exist: an archive, a job, an upload.
    NotFound,
    /// The vault isn't empty, or the service doesn't know yet that it is.
    NotEmpty,
    /// What was sent doesn't have the hash that it should have, or what came back.
    Corrupted,
    /// Local bytes couldn't be read.
    Local,
    /// The service refused it for another reason.
    Refused,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobState::InProgress => f.write_str("in progress"),
            JobState::Succeeded => f.write_str("succeeded"),
            JobState::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}
