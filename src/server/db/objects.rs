//! Rows of objects: bytes written once, small ones in the row itself.

use rusqlite::{Connection, OptionalExtension, params};

use super::Tx;
use crate::glacier::treehash::{PayloadHash, TreeHash};

/// Adds an object; without `data`, its bytes are in its file.
pub(in crate::server) fn insert(
    tx: &Tx<'_>,
    object: i64,
    hash: &PayloadHash,
    data: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let leaves = (hash.leaves.len() > 1).then(|| hash.leaves.iter().flat_map(|leaf| leaf.0).collect::<Vec<u8>>());
    tx.prepare_cached("INSERT INTO objects (id, size, tree_hash, leaves, data) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![object, hash.size, hash.tree_hash.0, leaves, data])
        .map(drop)
}

/// Removes objects: their rows now, their files once the transaction is committed.
pub(in crate::server) fn free(tx: &Tx<'_>, objects: impl IntoIterator<Item = i64>) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM objects WHERE id = ? RETURNING data IS NULL")?;
    for object in objects {
        if delete.query_row([object], |row| row.get(0)).optional()? == Some(true) {
            tx.free_files([object]);
        }
    }
    Ok(())
}

/// The bytes of an object, unless they are in its file.
pub(in crate::server) fn data(connection: &Connection, object: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare_cached("SELECT data FROM objects WHERE id = ?")?.query_row([object], |row| row.get(0))
}

/// The hash of each MiB of an object.
pub(in crate::server) fn leaves(connection: &Connection, object: i64) -> rusqlite::Result<Vec<TreeHash>> {
    let sql = "SELECT coalesce(leaves, tree_hash) FROM objects WHERE id = ?";
    let leaves: Vec<u8> = connection.prepare_cached(sql)?.query_row([object], |row| row.get(0))?;
    let (leaves, _) = leaves.as_chunks::<32>();
    Ok(leaves.iter().copied().map(TreeHash).collect())
}

/// The highest number in use.
pub(in crate::server) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM objects", [], |row| row.get(0))
}

/// The objects whose bytes are in files, in ascending order.
pub(in crate::server) fn with_files(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare("SELECT id FROM objects WHERE data IS NULL ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect()
}
