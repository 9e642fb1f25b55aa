//! What is cached: shown, evicted, pinned.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::PathText;

/// `POST /v1/evict`: which archived files don't need to be local any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evict {
    /// The paths, trees with all that is in them.
    pub paths: Vec<PathText>,
    /// Only those that weren't used for so many seconds, and with no complaint about what can't be evicted.
    #[serde(default)]
    pub unused_seconds: Option<u64>,
    /// Only those with more bytes than this, local or not, and likewise.
    #[serde(default)]
    pub larger_than: Option<u64>,
    /// Whether nothing is to be done, only told.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to `POST /v1/evict`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evicted {
    /// Files whose local bytes are gone.
    pub files: u64,
    /// Bytes freed.
    pub bytes: u64,
    /// Files left alone.
    pub skipped: Vec<Skipped>,
}

/// A file that eviction left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file.
    pub path: PathText,
    /// Why: "not archived yet", or "pinned".
    pub reason: String,
}

/// `POST /v1/pin`: what is to stay local, or not any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The paths, trees with all that is in them and will be.
    pub paths: Vec<PathText>,
    /// Whether they are to be pinned.
    pub pin: bool,
}

/// Answer to `POST /v1/pin`: what there is in the paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of the files, those that aren't all local.
    pub absent_files: u64,
    /// Of the bytes, those that aren't local.
    pub absent_bytes: u64,
}

/// `GET /v1/cache`: what is local.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheReport {
    /// Bytes of archived files that are local.
    pub bytes: u64,
    /// Archived files of which something is local.
    pub files: u64,
    /// With more bytes than this, some go, the least recently used first,
    pub high: u64,
    /// until so many are left.
    pub low: u64,
    /// Of the files, those of which some bytes aren't local.
    pub partial_files: u64,
    /// Of the files, those that are pinned.
    pub pinned_files: u64,
    /// Local bytes of these.
    pub pinned_bytes: u64,
    /// Files that aren't archived yet, and so can't go.
    pub spool_files: u64,
    /// Their bytes.
    pub spool_bytes: u64,
    /// Bytes that can still be written to the disk.
    pub disk_available: u64,
    /// Of these, the bytes that are left alone.
    pub disk_reserve: u64,
    /// About when that archived file was last used that wasn't used for longest; none when nothing is cached.
    pub oldest_used: Option<Timestamp>,
}
