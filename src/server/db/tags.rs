//! Rows of tags.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::Tx;

/// The tags of a vault: values by key.
pub(in crate::server) fn all(connection: &Connection, vault: i64) -> rusqlite::Result<BTreeMap<String, String>> {
    connection
        .prepare_cached("SELECT key, value FROM tags WHERE vault = ?")?
        .query_map([vault], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Sets a tag, in the place of one with the same key.
pub(in crate::server) fn put(tx: &Tx<'_>, vault: i64, key: &str, value: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO tags (vault, key, value) VALUES (?, ?, ?)")?
        .execute(params![vault, key, value])
        .map(drop)
}

/// Removes a tag, if there is one.
pub(in crate::server) fn remove(tx: &Tx<'_>, vault: i64, key: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM tags WHERE vault = ? AND key = ?")?.execute(params![vault, key]).map(drop)
}

/// Removes all tags of a vault.
pub(in crate::server) fn remove_all(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM tags WHERE vault = ?")?.execute([vault]).map(drop)
}
