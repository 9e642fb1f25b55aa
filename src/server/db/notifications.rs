//! Rows of notification configurations.

use rusqlite::{Connection, OptionalExtension, params};

use super::Tx;

/// What a vault publishes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Notifications {
    /// The topic's ARN.
    pub topic: String,
    /// A JSON array of the events' names, in the order in which they were given.
    pub events: String,
}

/// The configuration of a vault.
pub(in crate::server) fn get(connection: &Connection, vault: i64) -> rusqlite::Result<Option<Notifications>> {
    connection
        .prepare_cached("SELECT topic, events FROM notifications WHERE vault = ?")?
        .query_row([vault], |row| Ok(Notifications { topic: row.get(0)?, events: row.get(1)? }))
        .optional()
}

/// The topic of a vault, if it is to be told of `event`.
pub(in crate::server) fn topic_for(
    connection: &Connection,
    vault: i64,
    event: &str,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT topic FROM notifications WHERE vault = ?1 \
               AND EXISTS (SELECT 1 FROM json_each(events) WHERE value = ?2)";
    connection.prepare_cached(sql)?.query_row(params![vault, event], |row| row.get(0)).optional()
}

/// Sets the configuration of a vault, in the place of the one it had.
pub(in crate::server) fn put(tx: &Tx<'_>, vault: i64, new: &Notifications) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO notifications (vault, topic, events) VALUES (?, ?, ?)")?
        .execute(params![vault, new.topic, new.events])
        .map(drop)
}

/// Removes the configuration of a vault, if it has one.
pub(in crate::server) fn remove(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM notifications WHERE vault = ?")?.execute([vault]).map(drop)
}
