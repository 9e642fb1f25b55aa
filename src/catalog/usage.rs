//! What was asked of the service in a month, and what it stores, by vault and top directory: for a report of costs.
//!
//! It is counted when the service has answered. A kill at that moment leaves something out: AWS's bill is what counts.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::types::VaultId;
use crate::util::budget::day_of;
use crate::util::budget::month_of;
use crate::util::tier::Tier;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// An archive was put.
    Upload,
    /// A retrieval job was accepted.
    Retrieval(Tier),
    /// An archive was deleted before its ninetieth day. Its bytes count times the days that are paid for yet.
    EarlyDeletion,
}

impl Usage {
    fn number(self) -> i64 {
        match self {
            Usage::Upload => 0,
            Usage::Retrieval(tier) => 1 + tier as i64,
            Usage::EarlyDeletion => 4,
        }
    }

    fn of(number: i64) -> Self {
        match number {
            0 => Usage::Upload,
            1 => Usage::Retrieval(Tier::Expedited),
            2 => Usage::Retrieval(Tier::Standard),
            3 => Usage::Retrieval(Tier::Bulk),
            _ => Usage::EarlyDeletion,
        }
    }
}

/// What was asked for in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The vault.
    pub vault: VaultId,
    /// The first directory below it; empty for what is in none.
    pub top: Vec<u8>,
    /// What.
    pub what: Usage,
    /// How many requests.
    pub requests: u64,
    /// How many bytes; of early deletions times days.
    pub bytes: u64,
}

/// What the service stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredIn {
    /// The first directory below the vault; empty for what is in none.
    pub top: Vec<u8>,
    /// Archives.
    pub archives: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The first directory of a path within a vault.
fn top(path: &[u8]) -> &[u8] {
    path.iter().position(|byte| *byte == b'/').map_or(&[], |end| &path[..end])
}

impl Catalog {
    /// Counts something for the month of `now` (nanoseconds since 1970). `path` is that of the file within its vault.
    pub fn count(&self, vault: VaultId, path: &[u8], what: Usage, requests: u64, bytes: u64, now: i64) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO usage (month, vault, top, what, requests, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (month, vault, top, what) DO UPDATE
                 SET requests = requests + excluded.requests, bytes = bytes + excluded.bytes",
            )?
            .execute(params![
                month_of(day_of(now)),
                vault,
                top(path),
                what.number(),
                requests as i64,
                bytes as i64
            ])?;
            Ok(())
        })
    }

    /// What was counted in the month of `now`.
    pub fn usage(&self, now: i64) -> Result<Vec<Used>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT vault, top, what, requests, bytes FROM usage WHERE month = ?1 ORDER BY vault, top",
            )?;
            let rows = statement.query_map([month_of(day_of(now))], |row| {
                Ok(Used {
                    vault: row.get(0)?,
                    top: row.get(1)?,
                    what: Usage::of(row.get(2)?),
                    requests: row.get(3)?,
                    bytes: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The catalog's file, for [`stored`].
    pub fn file(&self) -> &Path {
        &self.path
    }
}

/// What the service stores of the vault whose directory is `root`, by top directory, and what of it is in the trash; of the catalog in the
/// file `path`, on a connection of its own, since it reads all of it. A file with names in several top directories counts in each.
///
/// # Errors
/// SQLite's own.
pub fn stored(path: &Path, vault: VaultId, root: u64) -> Result<(Vec<StoredIn>, StoredIn)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.execute_batch("PRAGMA query_only = ON; BEGIN")?;
    let mut statement = conn.prepare(
        "WITH RECURSIVE below (top, ino) AS (
             SELECT CASE WHEN i.mode & 61440 = 16384 THEN d.name ELSE X'' END, d.ino
                 FROM dentry d JOIN inode i ON i.ino = d.ino WHERE d.parent = ?1
             UNION SELECT b.top, d.ino FROM below b JOIN dentry d ON d.parent = b.ino)
         SELECT b.top, COUNT(*), SUM(a.size) FROM below b JOIN inode i ON i.ino = b.ino
             JOIN content c ON c.id = i.content JOIN archive a ON a.id = c.archive
         GROUP BY b.top ORDER BY b.top",
    )?;
    let rows = statement
        .query_map([root as i64], |row| Ok(StoredIn { top: row.get(0)?, archives: row.get(1)?, bytes: row.get(2)? }))?;
    let tops = rows.collect::<rusqlite::Result<_>>()?;
    let trash = conn.query_row(
        "SELECT COUNT(*), COALESCE(SUM(a.size), 0) FROM trash t JOIN inode i ON i.ino = t.ino
         JOIN content c ON c.id = i.content JOIN archive a ON a.id = c.archive WHERE t.vault = ?1",
        [vault],
        |row| Ok(StoredIn { top: Vec::new(), archives: row.get(0)?, bytes: row.get(1)? }),
    )?;
    Ok((tops, trash))
}
