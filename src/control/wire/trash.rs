//! What goes over the control socket about the trash. Answers come in pages: whoever gets a `next` asks again with it.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::EntryKind;
use super::Failure;
use super::PathText;

/// What of the trash is meant: `ids`, or what was at `paths` or below them (no path: everywhere).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trashes {
    /// Paths as they were in the mount.
    pub paths: Vec<PathText>,
    /// Numbers of things in the trash; with them `paths` don't count.
    pub ids: Vec<u64>,
    /// Only what was deleted at this time or later.
    pub after: Option<Timestamp>,
    /// Only what was deleted at this time or earlier.
    pub before: Option<Timestamp>,
    /// Only what may go by now.
    pub due: bool,
    /// Where to go on, from the answer before; none: from the start.
    pub next: Option<Next>,
}

/// Where the next page begins. Only the daemon knows what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// When the first page was asked for, in nanoseconds since 1970.
    pub run: i64,
    /// Which of the paths.
    pub part: usize,
    /// The last path that was dealt with.
    pub path: Option<PathText>,
    /// When it was deleted.
    pub deleted: i64,
    /// Its number.
    pub id: u64,
}

/// `POST /v1/trash/list`: a page of the trash, by path, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrashPage {
    /// What is in the trash.
    pub entries: Vec<Trashed>,
    /// Where to go on; none: that is all.
    pub next: Option<Next>,
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trashed {
    /// Its number.
    pub id: u64,
    /// Its path when it was deleted or replaced; only the vault when no path is known.
    pub path: PathText,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes.
    pub size: u64,
    /// Its type and permission bits, as `st_mode`.
    pub mode: u32,
    /// When it was last written.
    pub mtime: Timestamp,
    /// When it was deleted or replaced.
    pub deleted: Timestamp,
    /// When it goes for good by itself; none: never.
    pub due: Option<Timestamp>,
    /// The archive that holds its bytes.
    pub archive_id: Option<String>,
    /// Whether its archive is being deleted: then it can't come back.
    pub going: bool,
    /// Days for which the service still bills its archive, deleted or not.
    pub billed_days: u32,
    /// What that is in gibibytes times months of 30 days.
    pub billed_gib_months: f64,
    /// Until when the vault's lock forbids deleting its archive, if it does.
    pub locked_until: Option<Timestamp>,
    /// What the vault's lock says, where that isn't told by a time.
    pub lock: Option<String>,
    /// Why the service refused to delete its archive.
    pub error: Option<String>,
}

/// `POST /v1/trash/restore`: what is to come back, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PutBack {
    /// What is meant; of several versions of a path the newest.
    #[serde(flatten)]
    pub what: Trashes,
    /// Instead of the newest version of each path the one before (2), and so on.
    pub version: Option<usize>,
    /// A directory of the same vault to put it in, instead of where it was.
    pub to: Option<PathText>,
    /// Whether what finds its place taken gets a name beside.
    pub beside: bool,
}

/// Answer to `POST /v1/trash/restore`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameBack {
    /// What came back: files, directories, links and so on.
    pub entries: u64,
    /// Of them, files that have bytes.
    pub files: u64,
    /// The bytes.
    pub bytes: u64,
    /// What stays in the trash, as something is at its place below a path that was asked for.
    pub left: u64,
    /// What couldn't come back.
    pub failed: Vec<Failure>,
    /// Where to go on; none: that is all.
    pub next: Option<Next>,
}

/// Answer to `POST /v1/trash/purge`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Purged {
    /// What is gone for good.
    pub entries: u64,
    /// The bytes of its archives.
    pub bytes: u64,
    /// What the service refused to delete.
    pub failed: Vec<Failure>,
    /// Where to go on; none: that is all.
    pub next: Option<Next>,
}
