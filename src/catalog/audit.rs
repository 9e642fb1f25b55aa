//! A vault's archives as the catalog knows them, to be held against an inventory or against the bytes.

use std::collections::HashSet;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::check;
use super::gone;
use super::names;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::ContentId;
use super::types::FileId;
use super::types::Ino;
use super::types::Present;
use super::types::VaultId;

/// What the catalog knows of an archive that the service lists.
#[derive(Clone, Debug)]
pub enum Held {
    /// It has it so.
    Archive(Archive),
    /// It was deleted not long ago.
    Deleted,
    /// Nothing.
    Unknown,
}

/// Where in the tree an archive's bytes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The file's path within its vault, or its last one; empty when none is known.
    pub path: Vec<u8>,
    /// Whether it is in the trash.
    pub is_trashed: bool,
    /// Whether the archive is being deleted.
    pub is_going: bool,
    /// Whether all of its bytes are on this machine too.
    pub is_local: bool,
}

/// An archived content of which nothing is local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cold {
    /// The content.
    pub id: ContentId,
    /// Bytes.
    pub size: u64,
}

impl Catalog {
    /// What the catalog knows of the archives `ids` of vault `vault`, in their order.
    pub fn held(&self, vault: VaultId, ids: &[&str]) -> Result<Vec<Held>> {
        self.read(|conn| ids.iter().map(|id| held(conn, vault, id)).collect())
    }

    /// Tells `with` all archives of a vault, one by one, as of one moment. Nobody waits for it.
    pub fn for_each_archive(&self, vault: VaultId, mut with: impl FnMut(Archive)) -> Result<()> {
        let conn = check::read_only(&self.path)?;
        let mut statement =
            conn.prepare("SELECT id, vault, archive_id, size, tree_hash, created FROM archive WHERE vault = ?1")?;
        let mut rows = statement.query([vault])?;
        while let Some(row) = rows.next()? {
            with(archive(row)?);
        }
        Ok(())
    }

    /// Where the bytes of archive `row` are.
    pub fn whereabouts(&self, row: ArchiveRow) -> Result<Whereabouts> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT c.ino, v.root, c.size, c.file, c.present, t.path, t.going FROM content c
                 CROSS JOIN vault v ON v.id = c.vault LEFT JOIN trash t ON t.ino = c.ino WHERE c.archive = ?1",
            )?;
            let mut rows = statement.query([row])?;
            let Some(row) = rows.next()? else { return Ok(Whereabouts::default()) };
            let (ino, root, size) =
                (row.get::<_, i64>(0)? as Ino, row.get::<_, i64>(1)? as Ino, row.get::<_, i64>(2)? as u64);
            let present = row.get::<_, Option<Vec<u8>>>(4)?.map(Present);
            let trashed: Option<Vec<u8>> = row.get(5)?;
            Ok(Whereabouts {
                is_trashed: trashed.is_some(),
                is_going: row.get::<_, Option<bool>>(6)?.unwrap_or(false),
                is_local: row.get::<_, Option<i64>>(3)?.is_some()
                    && present.is_none_or(|present| present.bytes(size) == size),
                path: match trashed {
                    Some(path) => path,
                    None => names::path(conn, ino, root)?.unwrap_or_default(),
                },
            })
        })
    }

    /// The files that the store may have: those of contents, and those that are to be removed. Nobody waits for it.
    pub fn files(&self) -> Result<HashSet<FileId>> {
        let conn = check::read_only(&self.path)?;
        let mut statement =
            conn.prepare("SELECT file FROM content WHERE file IS NOT NULL UNION ALL SELECT file FROM doomed")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Archived contents of files in vault `vault` of which nothing is local, in random order, until `enough` says so. Nobody
    /// waits for it.
    pub fn cold(&self, vault: VaultId, mut enough: impl FnMut(Cold) -> bool) -> Result<()> {
        let conn = check::read_only(&self.path)?;
        let mut statement = conn.prepare(
            "SELECT c.id, c.size FROM content c CROSS JOIN inode i ON i.ino = c.ino
             WHERE c.vault = ?1 AND c.state = 2 AND c.file IS NULL AND i.content = c.id AND i.nlink > 0 ORDER BY random()",
        )?;
        let mut rows = statement.query([vault])?;
        while let Some(row) = rows.next()? {
            if enough(Cold { id: row.get(0)?, size: row.get::<_, i64>(1)? as u64 }) {
                break;
            }
        }
        Ok(())
    }
}

fn held(conn: &Connection, vault: VaultId, id: &str) -> Result<Held> {
    let mut statement = conn.prepare_cached(
        "SELECT id, vault, archive_id, size, tree_hash, created FROM archive WHERE vault = ?1 AND archive_id = ?2",
    )?;
    Ok(match statement.query_row(params![vault, id], archive).optional()? {
        Some(archive) => Held::Archive(archive),
        None if gone::has_archive(conn, vault, id)? => Held::Deleted,
        None => Held::Unknown,
    })
}

fn archive(row: &Row) -> rusqlite::Result<Archive> {
    Archive::from_row(row, 0, row.get(0)?)
}
