//! Archives that no file needs any more, and when they may be deleted from their vault.
//!
//! Glacier bills an archive for 90 days whether it exists or not (G14, "Pricing": early deletion), so keeping it that long
//! costs nothing; whoever deleted by mistake has at least `trash_keep`.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::ContentId;
use super::types::Inode;

/// How long the service bills for an archive at least.
const BILLED: Duration = Duration::from_secs(90 * 24 * 3600);

/// An archive in the trash.
#[derive(Clone, Debug)]
pub struct Trashed {
    /// The archive.
    pub archive: Archive,
    /// The vault's name.
    pub vault: String,
    /// Its path in the vault when it was deleted or overwritten; empty for one that never had a name.
    pub path: Vec<u8>,
    /// When it was put here, in nanoseconds since 1970.
    pub deleted: i64,
    /// When it may be deleted from the vault.
    pub due: i64,
}

impl Catalog {
    /// Up to `limit` archives of the trash that may be deleted from their vault at `now`.
    pub fn trash_due(&self, now: i64, limit: usize) -> Result<Vec<Trashed>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT a.id, a.vault, a.archive_id, a.size, a.tree_hash, a.created, v.name, t.path, t.deleted, t.due
                 FROM trash t JOIN archive a ON a.id = t.archive JOIN vault v ON v.id = a.vault
                 WHERE t.due <= ?1 ORDER BY t.due LIMIT ?2",
            )?;
            let rows = statement.query_map(params![now, limit as i64], |row| {
                Ok(Trashed {
                    archive: Archive::from_row(row, 0, row.get(0)?)?,
                    vault: row.get(6)?,
                    path: row.get(7)?,
                    deleted: row.get(8)?,
                    due: row.get(9)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Forgets an archive that was in the trash and is deleted from its vault.
    pub fn purged(&self, archive: ArchiveRow) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM content WHERE archive = ?1", [archive])?;
            tx.execute("DELETE FROM job WHERE archive = ?1", [archive])?;
            tx.execute("DELETE FROM trash WHERE archive = ?1", [archive])?;
            tx.execute("DELETE FROM archive WHERE id = ?1", [archive])?;
            Ok(())
        })
    }

    /// Puts off the deletion of an archive in the trash until `due`.
    pub fn trash_later(&self, archive: ArchiveRow, due: i64) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE trash SET due = ?2 WHERE archive = ?1", [archive, due])?;
            Ok(())
        })
    }
}

pub(super) fn insert(
    tx: &Connection,
    archive: &Archive,
    content: ContentId,
    inode: &Inode,
    now: i64,
    keep: Duration,
) -> Result<()> {
    let path = last_path(tx, inode)?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO trash (archive, content, path, mode, uid, gid, mtime, deleted, due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        archive.row,
        content,
        path,
        inode.mode,
        inode.uid,
        inode.gid,
        inode.mtime,
        now,
        due(archive, now, keep)
    ])?;
    Ok(())
}

/// An archive that no content has: the upload of a version that was overwritten meanwhile, or a double.
pub(super) fn insert_unowned(
    tx: &Connection,
    row: ArchiveRow,
    archive: &Archive,
    now: i64,
    keep: Duration,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO trash (archive, path, mode, uid, gid, mtime, deleted, due)
         VALUES (?1, X'', 33152, 0, 0, ?2, ?3, ?4)",
    )?
    .execute(params![row, archive.created, now, due(archive, now, keep)])?;
    Ok(())
}

/// An archive that a content has after all.
pub(super) fn take_back(tx: &Connection, row: ArchiveRow) -> Result<()> {
    tx.prepare_cached("DELETE FROM trash WHERE archive = ?1")?.execute([row])?;
    Ok(())
}

fn due(archive: &Archive, now: i64, keep: Duration) -> i64 {
    let add = |time: i64, by: Duration| time.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX));
    add(now, keep).max(add(archive.created, BILLED))
}

/// The path within its vault that `inode` has, or had before it lost its last name.
fn last_path(conn: &Connection, inode: &Inode) -> Result<Vec<u8>> {
    let mut statement = conn.prepare_cached("SELECT path FROM orphan WHERE ino = ?1")?;
    let recorded: Option<Vec<u8>> = statement.query_row([inode.ino as i64], |row| row.get(0)).optional()?;
    match recorded {
        Some(path) => Ok(path),
        None => {
            let root = super::names::vault_root(conn, inode)?;
            Ok(super::names::path(conn, inode.ino, root)?.unwrap_or_default())
        }
    }
}
