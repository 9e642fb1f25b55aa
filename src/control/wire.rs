//! What goes over the control socket, as JSON.
//!
//! Paths are relative to the mount's root without a leading `/`; the empty path is the root. Times are RFC 3339 in
//! UTC, sizes bytes, rates bytes a second. A field that is absent reads as `null`.

mod cached;
mod cost;
mod import;
mod recalls;
mod restores;
mod trash;
mod verify;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

pub use cached::CacheReport;
pub use cached::Evict;
pub use cached::Evicted;
pub use cached::Pin;
pub use cached::Pinned;
pub use cached::Skipped;
pub use cost::CostReport;
pub use cost::Costs;
pub use cost::TopCost;
pub use cost::VaultCost;
pub use import::Claim;
pub use import::Claimed;
pub use import::Import;
pub use import::Imported;
pub use import::Outcome;
pub use import::Told;
pub use recalls::BudgetLimit;
pub use recalls::Held;
pub use restores::Restore;
pub use restores::RestorePlan;
pub use restores::RestoreState;
pub use restores::RestoreStatus;
pub use restores::Restores;
pub use trash::CameBack;
pub use trash::Next;
pub use trash::Purged;
pub use trash::PutBack;
pub use trash::TrashPage;
pub use trash::Trashed;
pub use trash::Trashes;
pub use verify::BadFile;
pub use verify::Check;
pub use verify::Finding;
pub use verify::Found;
pub use verify::FoundCount;
pub use verify::Sample;
pub use verify::Verification;
pub use verify::Verifications;
pub use verify::Verified;
pub use verify::Verify;

/// A path or a name, bytes without NUL as the kernel has them, which JSON carries as text: every byte that isn't part of
/// valid UTF-8, every byte of a control character, and `%` itself stand as `%XX`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathText(pub Vec<u8>);

impl PathText {
    /// The path as text.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        let escape = |text: &mut String, bytes: &[u8]| {
            for byte in bytes {
                // Writing to a String can't fail.
                let _ = write!(text, "%{byte:02X}");
            }
        };
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c.is_control() || c == '%' {
                    true => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                    false => text.push(c),
                }
            }
            escape(&mut text, chunk.invalid());
        }
        text
    }

    /// The path that a text means; a `%` without two hexadecimal digits after it is refused.
    pub fn decode(text: &str) -> Result<Self, String> {
        let two_digits = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
        match text.split('%').skip(1).all(two_digits) {
            true => Ok(PathText(percent_decode_str(text).collect())),
            false => Err(format!("{text:?} is not a path: allowed is UTF-8 text with other bytes and % as %XX")),
        }
    }

    /// The path as the operating system takes it.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl fmt::Display for PathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.encode())
    }
}

impl Serialize for PathText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        PathText::decode(&text).map_err(serde::de::Error::custom)
    }
}

/// `GET /v1/status`: how the mount and its work stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version of glacierfs.
    pub version: String,
    /// The mount's name.
    pub name: String,
    /// Where it is mounted.
    pub mountpoint: PathText,
    /// Its state directory.
    pub state_dir: PathText,
    /// URL of the service.
    pub endpoint: String,
    /// Region of the vaults.
    pub region: String,
    /// Account as configured: `-` or 12 digits.
    pub account: String,
    /// The daemon's process ID.
    pub pid: u32,
    /// When the daemon started.
    pub started: Timestamp,
    /// What isn't archived yet.
    pub queue: Queue,
    /// Speeds over the last 10 seconds.
    pub rates: Rates,
    /// Sums since the start.
    pub totals: Totals,
    /// Files being uploaded, at most 100, oldest first.
    pub uploads: Vec<Upload>,
    /// Jobs at the service, at most 100.
    pub jobs: Vec<Job>,
    /// Archived data kept locally.
    pub cache: Cache,
    /// Data not archived yet, kept locally.
    pub spool: Spool,
    /// Vaults whose uploads rest after an error; they are tried again by themselves.
    pub paused: Vec<Paused>,
    /// What keeps recalls from moving, if anything does; they are tried again by themselves.
    pub recall_trouble: Option<Trouble>,
    /// Why the queue of `notify` isn't heard, if it isn't; recalls go on without it, and it is tried again.
    pub notify_trouble: Option<Trouble>,
    /// The limits of what retrievals may take.
    pub budget: Vec<BudgetLimit>,
    /// Retrievals that wait for the budget's next day or month, or for the account's retrieval policy.
    pub held: Vec<Held>,
    /// Things in the trash whose archives the service refused to delete.
    pub undeletable: u64,
}

/// Files waiting to be archived or on their way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Closed files not archived yet, including those being uploaded.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files being uploaded.
    pub uploading_files: u64,
    /// Bytes of those that the service has acknowledged.
    pub uploading_bytes_sent: u64,
    /// Files whose last upload failed and that are tried again.
    pub failed_files: u64,
    /// Files open for writing.
    pub dirty_files: u64,
}

/// Speeds over the last 10 seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes a second sent.
    pub upload_bytes_per_second: f64,
    /// Bytes a second received from jobs.
    pub recall_bytes_per_second: f64,
}

/// Sums since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Files archived.
    pub archived_files: u64,
    /// Their bytes.
    pub archived_bytes: u64,
    /// Bytes recalled.
    pub recalled_bytes: u64,
}

/// A file being uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The file.
    pub path: PathText,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that the service has acknowledged.
    pub sent: u64,
    /// Tries so far, from 1.
    pub attempts: u32,
    /// What the last failed try said.
    pub error: Option<String>,
    /// Seconds since something of it was sent; 0 for a file that waits for its next try.
    pub idle_seconds: u64,
}

/// What a job brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// An archive, or a range of one.
    Archive,
    /// A vault's inventory.
    Inventory,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The service works on it.
    Waiting,
    /// Its output is being fetched.
    Downloading,
    /// It ended without output.
    Failed,
}

/// A job at the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The service's ID of it.
    pub id: String,
    /// The vault.
    pub vault: String,
    /// The file that it is for, if it is for one.
    pub path: Option<PathText>,
    /// What it brings.
    pub kind: JobKind,
    /// Its retrieval tier, in the service's words.
    pub tier: Option<String>,
    /// The archive's bytes it brings, first and last inclusive; none: all.
    pub range: Option<(u64, u64)>,
    /// Bytes it brings, 0 when not known.
    pub size: u64,
    /// Bytes fetched so far.
    pub received: u64,
    /// How far it is.
    pub state: JobState,
    /// When it was started.
    pub created: Timestamp,
    /// When it should be done, as far as can be told.
    pub eta: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Archived data kept locally.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes it may grow to.
    pub limit: u64,
    /// Bytes that are left once it has grown beyond that.
    pub low: u64,
    /// Files of which it has something.
    pub files: u64,
}

/// Data not archived yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spool {
    /// Bytes in it.
    pub bytes: u64,
}

/// A vault whose uploads rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    /// The vault.
    pub vault: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When they are tried again by themselves.
    pub retry: Timestamp,
}

/// Something that fails again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A vault: a directory of the root.
    Vault,
    /// A directory in a vault.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device node.
    Other,
}

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Open for writing, or written and not closed by everyone.
    Dirty,
    /// Closed, waiting to be archived.
    Sealed,
    /// Being archived.
    Uploading,
    /// Archived, nothing of it local.
    Archived,
    /// Archived, and wholly local too.
    Cached,
    /// Archived, some of it local too.
    Partial,
    /// Archived, on its way back.
    Recalling,
    /// Only in the catalog, as empty files, directories and links are.
    Local,
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FileState::Dirty => "dirty",
            FileState::Sealed => "sealed",
            FileState::Uploading => "uploading",
            FileState::Archived => "archived",
            FileState::Cached => "cached",
            FileState::Partial => "partial",
            FileState::Recalling => "recalling",
            FileState::Local => "local",
        })
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: PathText,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes.
    pub size: u64,
    /// Its type and permission bits, as `st_mode`.
    pub mode: u32,
    /// When it was last written.
    pub mtime: Timestamp,
    /// Where its bytes are; none for what has no bytes.
    pub state: Option<FileState>,
    /// The archive that holds it.
    pub archive_id: Option<String>,
    /// Its tree hash, 64 hexadecimal digits.
    pub tree_hash: Option<String>,
}

/// `GET /v1/ls`: a directory's entries sorted by name, or the one of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entries {
    /// The entries.
    pub entries: Vec<Entry>,
}

/// `POST /v1/flush`: the paths meant, trees with all that is in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paths {
    /// The paths; none means everything.
    pub paths: Vec<PathText>,
}

/// How far a flush or a restore is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Files meant.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files done.
    pub done_files: u64,
    /// Bytes done, including those of files under way.
    pub done_bytes: u64,
    /// Files not done.
    pub pending_files: u64,
    /// Bytes not done.
    pub pending_bytes: u64,
    /// What failed.
    pub failed: Vec<Failure>,
    /// When all should be done, as far as can be told.
    pub eta: Option<Timestamp>,
}

/// A file that couldn't be archived or brought back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The file.
    pub path: PathText,
    /// Why.
    pub reason: String,
    /// Whether it is being tried again.
    pub retrying: bool,
}

/// A vault. Counts are as of the service's last inventory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vault {
    /// Its name.
    pub name: String,
    /// Its Amazon resource name.
    pub arn: String,
    /// When it was created.
    pub created: Timestamp,
    /// Archives in it.
    pub archives: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// When the service last took its inventory.
    pub last_inventory: Option<Timestamp>,
    /// Why its uploads rest, if they do.
    pub paused: Option<String>,
}

/// `GET /v1/vaults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vaults {
    /// The account's vaults in the region, by name.
    pub vaults: Vec<Vault>,
}

/// `POST /v1/vaults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewVault {
    /// The vault's name.
    pub name: String,
}

/// `POST /v1/inventory`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryOf {
    /// The vault's name.
    pub vault: String,
}

/// How far an inventory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InventoryState {
    /// The service works on it, or its output is being fetched.
    Waiting,
    /// Reconciled with the catalog.
    Done,
    /// It couldn't be had.
    Failed,
}

/// A vault's inventory and what it told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The vault.
    pub vault: String,
    /// How far it is.
    pub state: InventoryState,
    /// The service's ID of the job.
    pub job_id: Option<String>,
    /// When the job was started.
    pub started: Option<Timestamp>,
    /// When it should be done, as far as can be told.
    pub eta: Option<Timestamp>,
    /// When the service counted.
    pub inventory_date: Option<Timestamp>,
    /// What reconciling found.
    pub report: Option<Report>,
    /// Why it failed.
    pub error: Option<String>,
    /// The vault beside this one that looks like Synology's: it has the names of this one's archives.
    #[serde(default)]
    pub mapping: Option<String>,
}

/// `POST /v1/rebuild`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventories {
    /// One for each vault.
    pub vaults: Vec<Inventory>,
}

/// What reconciling an inventory with the catalog found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Archives in the inventory.
    pub archives: u64,
    /// Of them, known before.
    pub known: u64,
    /// Of them, new to the catalog and now files.
    pub added: u64,
    /// Of the new ones, in `.unnamed/`.
    #[serde(default)]
    pub unnamed: u64,
    /// Of the new ones, compressed or encrypted by another tool; their bytes are shown as they are.
    #[serde(default)]
    pub packed: u64,
    /// Of them, further archives of a file that already has one.
    pub duplicates: u64,
    /// Archives in the catalog that the inventory doesn't name.
    pub missing: u64,
    /// Those that were deleted after the inventory was taken.
    pub deleted: u64,
    /// On a rebuild, what came of the vault's newest snapshot, if it has one that the catalog didn't know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotReport>,
}

/// What came of a snapshot on a rebuild.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotReport {
    /// The snapshot that was used; none when none could be.
    pub name: Option<String>,
    /// Files, directories, links and devices in it.
    pub entries: u64,
    /// Of them, those that are here again.
    pub restored: u64,
    /// Of them, those that were here already.
    pub same: u64,
    /// Of them, those whose place something else has.
    pub taken: u64,
    /// Of them, files that were never archived.
    pub lost: u64,
    /// Newer snapshots that can't be used, each with the reason.
    pub damaged: Vec<String>,
}

/// `POST /v1/rebuild`: the request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Whether trees come back from snapshots.
    pub snapshots: bool,
}

/// `POST /v1/snapshot`: the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The vaults; none: all.
    pub vaults: Vec<String>,
    /// Whether full ones are wanted.
    pub full: bool,
}

/// `POST /v1/snapshot`: the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshots {
    /// One for each vault that was asked for.
    pub snapshots: Vec<TakenSnapshot>,
}

/// What became of a vault's snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenSnapshot {
    /// The vault.
    pub vault: String,
    /// Its path from the mount's root; none when nothing has changed since the last one.
    pub path: Option<PathText>,
    /// Whether it says everything.
    pub full: bool,
    /// Files, directories, links and devices that it tells of.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `POST /v1/stop`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Seconds to wait for uploads; none: as configured.
    pub drain_seconds: Option<u64>,
}

/// What kind of error an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// There is no such path or vault.
    NotFound,
    /// The request can't be meant.
    Invalid,
    /// Not now.
    Busy,
    /// It is against the state of things, as deleting a vault that isn't empty.
    Conflict,
    /// The service refused.
    Remote,
    /// The daemon failed.
    Internal,
}

/// Body of every answer with a status of 400 or above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A message for the person.
    pub error: String,
    /// What kind of error it is.
    pub kind: ErrorKind,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise: any name that the kernel can have goes through JSON unchanged.
        #[test]
        fn paths_survive_json(bytes in prop::collection::vec(1u8.., 0..300)) {
            let path = PathText(bytes);
            let json = serde_json::to_string(&path).expect("a path is a JSON string");
            prop_assert!(!json.chars().any(char::is_control), "{}", json);
            prop_assert_eq!(serde_json::from_str::<PathText>(&json).expect("an encoded path decodes"), path);
        }
    }

    /// Promise: names that are text stay readable; what isn't shows its bytes.
    #[test]
    fn encoding_is_readable_where_it_can_be() {
        let encoded = |bytes: &[u8]| PathText(bytes.to_vec()).encode();
        assert_eq!(encoded("photos/Übersicht 2024.jpg".as_bytes()), "photos/Übersicht 2024.jpg");
        assert_eq!(encoded(b"100%\n"), "100%25%0A");
        assert_eq!(encoded(b"a\xff/b\x7f\xc3"), "a%FF/b%7F%C3");
        assert_eq!(encoded("\u{85}".as_bytes()), "%C2%85");
    }

    /// Promise: text that no encoder makes is refused rather than guessed at.
    #[test]
    fn bad_escapes_are_refused() {
        for text in ["%", "a%4", "%zz", "%%41", "%é1"] {
            assert!(PathText::decode(text).is_err(), "{text}");
        }
        assert_eq!(PathText::decode("%41%c3%A9"), Ok(PathText("Aé".into())));
    }

    /// Promise: the field names are those of the contract.
    #[test]
    fn a_status_reads_as_documented() {
        let text = r#"{"version":"0.1.0","name":"mnt-v","mountpoint":"/mnt/v","state_dir":"/var/lib/glacierfs/mnt-v",
            "endpoint":"http://127.0.0.1:8210","region":"us-east-1","account":"-","pid":7,"started":"2026-01-02T03:04:05Z",
            "queue":{"files":2,"bytes":10,"uploading_files":1,"uploading_bytes_sent":4,"failed_files":0,"dirty_files":1},
            "rates":{"upload_bytes_per_second":1.5,"recall_bytes_per_second":0},
            "totals":{"archived_files":1,"archived_bytes":2,"recalled_bytes":3},
            "uploads":[{"path":"v/a%FF","size":9,"sent":4,"attempts":2,"error":null,"idle_seconds":3}],
            "jobs":[{"id":"j","vault":"v","path":null,"kind":"inventory","tier":null,"range":null,"size":0,"received":0,
                     "state":"waiting","created":"2026-01-02T03:04:05Z","eta":null,"error":null},
                    {"id":"k","vault":"v","path":"v/a","kind":"archive","tier":"Bulk","range":[0,1048575],"size":1048576,
                     "received":5,"state":"downloading","created":"2026-01-02T03:04:05Z","eta":null,"error":null}],
            "cache":{"bytes":1,"limit":2,"low":1,"files":3},"spool":{"bytes":4},
            "paused":[{"vault":"v","reason":"denied","since":"2026-01-02T03:04:05Z","retry":"2026-01-02T03:04:06Z"}],
            "recall_trouble":{"reason":"no connection","since":"2026-01-02T03:04:05Z"},
            "notify_trouble":{"reason":"no such queue","since":"2026-01-02T03:04:05Z"},
            "budget":[{"limit":"3 requests a day","used":"1 request","most":3,"spent":1}],
            "held":[{"reason":"no more today","jobs":2,"bytes":3,"until":"2026-01-03T00:00:00Z"}],"undeletable":0 }"#;
        let status: Status = serde_json::from_str(text).expect("a status of the contract");
        assert_eq!(status.uploads[0].path.0, b"v/a\xff");
        assert_eq!(status.jobs[1].range, Some((0, 1_048_575)));
        let again = serde_json::to_value(&status).expect("a status is JSON");
        let original: serde_json::Value = serde_json::from_str(&text.replace(":0}", ":0.0}")).expect("JSON");
        assert_eq!(again, original);
    }
}
