//! Rows of archives and of the pieces they consist of.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Tx, objects, time};
use crate::glacier::treehash::TreeHash;

/// An archive's row.
#[derive(Clone, Debug)]
pub(in crate::server) struct Archive {
    pub id: i64,
    pub archive_id: String,
    pub vault: i64,
    /// Empty when it has none.
    pub description: String,
    pub created: Timestamp,
    pub size: u64,
    pub tree_hash: TreeHash,
    pub deleted: bool,
}

/// What a new archive is.
pub(in crate::server) struct NewArchive<'a> {
    pub archive_id: &'a str,
    pub vault: i64,
    pub description: &'a str,
    pub created: Timestamp,
    pub size: u64,
    pub tree_hash: TreeHash,
    /// The number of the first inventory that lists it.
    pub listed_from: i64,
}

/// A piece of an archive: one object.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Piece {
    /// The offset of its first byte in the archive.
    pub first: u64,
    pub size: u64,
    pub object: i64,
    pub tree_hash: TreeHash,
}

const COLUMNS: &str = "id, archive_id, vault, description, created, size, tree_hash, listed_until IS NOT NULL";

fn archive(row: &Row<'_>) -> rusqlite::Result<Archive> {
    Ok(Archive {
        id: row.get(0)?,
        archive_id: row.get(1)?,
        vault: row.get(2)?,
        description: row.get(3)?,
        created: time(row.get(4)?),
        size: row.get(5)?,
        tree_hash: TreeHash(row.get(6)?),
        deleted: row.get(7)?,
    })
}

/// The archive with an ID, also when it is deleted.
pub(in crate::server) fn find(connection: &Connection, archive_id: &str) -> rusqlite::Result<Option<Archive>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM archives WHERE archive_id = ?"))?
        .query_row([archive_id], archive)
        .optional()
}

/// The archive in a row.
pub(in crate::server) fn get(connection: &Connection, id: i64) -> rusqlite::Result<Archive> {
    connection.prepare_cached(&format!("SELECT {COLUMNS} FROM archives WHERE id = ?"))?.query_row([id], archive)
}

/// Adds an archive, and answers its row. Its pieces are added on their own.
pub(in crate::server) fn insert(tx: &Tx<'_>, new: &NewArchive<'_>) -> rusqlite::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO archives (archive_id, vault, description, created, size, tree_hash, listed_from) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .insert(params![
        new.archive_id,
        new.vault,
        new.description,
        new.created.as_millisecond(),
        new.size,
        new.tree_hash.0,
        new.listed_from
    ])
}

/// Adds a piece that begins at `first`.
pub(in crate::server) fn insert_piece(tx: &Tx<'_>, archive: i64, first: u64, object: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO pieces (archive, first, object) VALUES (?, ?, ?)")?
        .execute(params![archive, first, object])
        .map(drop)
}

/// Marks an archive as deleted: `listed_until` is the first inventory that doesn't list it any more.
pub(in crate::server) fn mark_deleted(tx: &Tx<'_>, archive: i64, listed_until: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE archives SET listed_until = ? WHERE id = ?")?.execute([listed_until, archive]).map(drop)
}

/// Removes the bytes of an archive. Its row stays.
pub(in crate::server) fn free_bytes(tx: &Tx<'_>, archive: i64) -> rusqlite::Result<()> {
    let pieces: Vec<i64> = tx
        .prepare_cached("DELETE FROM pieces WHERE archive = ? RETURNING object")?
        .query_map([archive], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    objects::free(tx, pieces)
}

/// The pieces that hold the bytes `first..=last`, in order.
pub(in crate::server) fn pieces(
    connection: &Connection,
    archive: i64,
    first: u64,
    last: u64,
) -> rusqlite::Result<Vec<Piece>> {
    connection
        .prepare_cached(
            "SELECT pieces.first, size, object, tree_hash FROM pieces JOIN objects ON objects.id = object \
             WHERE archive = ?1 AND pieces.first <= ?3 \
             AND pieces.first >= (SELECT max(first) FROM pieces WHERE archive = ?1 AND first <= ?2) \
             ORDER BY pieces.first",
        )?
        .query_map(params![archive, first, last], |row| {
            Ok(Piece { first: row.get(0)?, size: row.get(1)?, object: row.get(2)?, tree_hash: TreeHash(row.get(3)?) })
        })?
        .collect()
}

/// Calls `with` on each archive of `vault` that its inventory `number` lists, from the row after `after`, in the order of
/// their uploads, until it answers `false`.
pub(in crate::server) fn for_each_listed<E: From<rusqlite::Error>>(
    connection: &Connection,
    vault: i64,
    number: i64,
    after: i64,
    mut with: impl FnMut(Archive) -> Result<bool, E>,
) -> Result<(), E> {
    let sql = format!(
        "SELECT {COLUMNS} FROM archives WHERE vault = ?1 AND id > ?3 AND listed_from <= ?2 \
         AND (listed_until IS NULL OR listed_until > ?2) ORDER BY id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for archive in statement.query_map([vault, number, after], archive)? {
        if !with(archive?)? {
            break;
        }
    }
    Ok(())
}

/// Removes all archives of a vault, bytes and rows.
pub(in crate::server) fn remove_all(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    let with_bytes: Vec<i64> = tx
        .prepare_cached("SELECT DISTINCT archive FROM pieces JOIN archives ON archives.id = archive WHERE vault = ?")?
        .query_map([vault], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for archive in with_bytes {
        free_bytes(tx, archive)?;
    }
    tx.prepare_cached("DELETE FROM archives WHERE vault = ?")?.execute([vault]).map(drop)
}
