//! Rows of multipart uploads and their parts.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Tx, objects, time};
use crate::glacier::treehash::TreeHash;

/// A multipart upload's row.
#[derive(Clone, Debug)]
pub(in crate::server) struct Upload {
    pub id: i64,
    pub upload_id: String,
    pub vault: i64,
    pub description: Option<String>,
    /// In bytes.
    pub part_size: u64,
    pub created: Timestamp,
    /// When it was last asked for.
    pub active: Timestamp,
    pub state: State,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum State {
    Open,
    Aborted,
    /// Completed: the row of the archive that it became.
    Completed(i64),
}

/// A part that has arrived.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Part {
    /// The offset of its first byte in the archive.
    pub first: u64,
    pub size: u64,
    pub tree_hash: TreeHash,
}

const COLUMNS: &str = "id, upload_id, vault, description, part_size, created, active, ended, archive";

fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    let (ended, archive): (bool, Option<i64>) = (row.get(7)?, row.get(8)?);
    Ok(Upload {
        id: row.get(0)?,
        upload_id: row.get(1)?,
        vault: row.get(2)?,
        description: row.get(3)?,
        part_size: row.get(4)?,
        created: time(row.get(5)?),
        active: time(row.get(6)?),
        state: match archive {
            Some(archive) => State::Completed(archive),
            None if ended => State::Aborted,
            None => State::Open,
        },
    })
}

/// The upload with an ID, whatever its state.
pub(in crate::server) fn find(connection: &Connection, upload_id: &str) -> rusqlite::Result<Option<Upload>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM uploads WHERE upload_id = ?"))?
        .query_row([upload_id], upload)
        .optional()
}

/// Begins an upload.
pub(in crate::server) fn insert(
    tx: &Tx<'_>,
    upload_id: &str,
    vault: i64,
    description: Option<&str>,
    part_size: u64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let now = now.as_millisecond();
    tx.prepare_cached(
        "INSERT INTO uploads (upload_id, vault, description, part_size, created, active) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![upload_id, vault, description, part_size, now, now])
    .map(drop)
}

/// Notes that the upload was asked for.
pub(in crate::server) fn touch(tx: &Tx<'_>, upload: i64, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE uploads SET active = ? WHERE id = ?")?.execute([now.as_millisecond(), upload]).map(drop)
}

/// At most `limit` open uploads of a vault that were active after `since`, from the row after `after`, oldest first.
pub(in crate::server) fn page(
    connection: &Connection,
    vault: i64,
    since: Timestamp,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Upload>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM uploads WHERE vault = ? AND active > ? AND id > ? AND NOT ended ORDER BY id LIMIT ?"
        ))?
        .query_map(params![vault, since.as_millisecond(), after, limit], upload)?
        .collect()
}

/// Puts a part, in the place of one that began at the same byte.
pub(in crate::server) fn put_part(tx: &Tx<'_>, upload: i64, first: u64, object: i64) -> rusqlite::Result<()> {
    let replaced: Option<i64> = tx
        .prepare_cached("SELECT object FROM parts WHERE upload = ? AND first = ?")?
        .query_row(params![upload, first], |row| row.get(0))
        .optional()?;
    tx.prepare_cached("INSERT OR REPLACE INTO parts (upload, first, object) VALUES (?, ?, ?)")?
        .execute(params![upload, first, object])?;
    objects::free(tx, replaced)
}

/// At most `limit` parts of an upload that begin at `from` or later, in order.
pub(in crate::server) fn parts(
    connection: &Connection,
    upload: i64,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Part>> {
    connection
        .prepare_cached(
            "SELECT first, size, tree_hash FROM parts JOIN objects ON objects.id = object \
             WHERE upload = ? AND first >= ? ORDER BY first LIMIT ?",
        )?
        .query_map(params![upload, from, limit], |row| {
            Ok(Part { first: row.get(0)?, size: row.get(1)?, tree_hash: TreeHash(row.get(2)?) })
        })?
        .collect()
}

/// Completes an upload: its parts become the pieces of `archive`.
pub(in crate::server) fn complete(tx: &Tx<'_>, upload: i64, archive: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO pieces (archive, first, object) SELECT ?, first, object FROM parts WHERE upload = ?",
    )?
    .execute([archive, upload])?;
    tx.prepare_cached("DELETE FROM parts WHERE upload = ?")?.execute([upload])?;
    tx.prepare_cached("UPDATE uploads SET ended = TRUE, archive = ? WHERE id = ?")?.execute([archive, upload]).map(drop)
}

/// Aborts an upload: its parts go.
pub(in crate::server) fn abort(tx: &Tx<'_>, upload: i64) -> rusqlite::Result<()> {
    let parts: Vec<i64> = tx
        .prepare_cached("DELETE FROM parts WHERE upload = ? RETURNING object")?
        .query_map([upload], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    objects::free(tx, parts)?;
    tx.prepare_cached("UPDATE uploads SET ended = TRUE WHERE id = ?")?.execute([upload]).map(drop)
}

/// Removes at most `limit` uploads that weren't active after `since`, whatever their state, with their parts. Answers
/// how many.
pub(in crate::server) fn remove_idle(tx: &Tx<'_>, since: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let idle: Vec<i64> = tx
        .prepare_cached("SELECT id FROM uploads WHERE active <= ? LIMIT ?")?
        .query_map(params![since.as_millisecond(), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    remove(tx, &idle)?;
    Ok(idle.len())
}

/// Removes all uploads of a vault, with their parts.
pub(in crate::server) fn remove_all(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    let all: Vec<i64> = tx
        .prepare_cached("SELECT id FROM uploads WHERE vault = ?")?
        .query_map([vault], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    remove(tx, &all)
}

fn remove(tx: &Tx<'_>, uploads: &[i64]) -> rusqlite::Result<()> {
    for upload in uploads {
        abort(tx, *upload)?;
        tx.prepare_cached("DELETE FROM uploads WHERE id = ?")?.execute([upload])?;
    }
    Ok(())
}
