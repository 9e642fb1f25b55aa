//! Rows of the outbox: messages that are to be published. Its times are those of the machine's clock.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Tx, time};

/// A message on its way.
#[derive(Clone, Debug)]
pub(in crate::server) struct Message {
    pub id: i64,
    /// The topic's ARN.
    pub topic: String,
    pub text: String,
    pub created: Timestamp,
    /// How often it couldn't be published.
    pub tries: u32,
}

/// Adds a message, to be published at once.
pub(in crate::server) fn insert(tx: &Tx<'_>, topic: &str, text: &str, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO outbox (topic, message, created, due) VALUES (?1, ?2, ?3, ?3)")?
        .execute(params![topic, text, now.as_millisecond()])
        .map(drop)
}

/// At most `limit` messages that are due by `now`, oldest first.
pub(in crate::server) fn due(connection: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<Vec<Message>> {
    connection
        .prepare_cached("SELECT id, topic, message, created, tries FROM outbox WHERE due <= ? ORDER BY id LIMIT ?")?
        .query_map(params![now.as_millisecond(), limit], |row| {
            Ok(Message {
                id: row.get(0)?,
                topic: row.get(1)?,
                text: row.get(2)?,
                created: time(row.get(3)?),
                tries: row.get(4)?,
            })
        })?
        .collect()
}

/// When the next message is due.
pub(in crate::server) fn next_due(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let first: Option<i64> =
        connection.prepare_cached("SELECT min(due) FROM outbox")?.query_row([], |row| row.get(0))?;
    Ok(first.map(time))
}

/// Has a message tried again at `due`.
pub(in crate::server) fn postpone(tx: &Tx<'_>, id: i64, due: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE outbox SET due = ?, tries = tries + 1 WHERE id = ?")?
        .execute(params![due.as_millisecond(), id])
        .map(drop)
}

/// Removes a message.
pub(in crate::server) fn remove(tx: &Tx<'_>, id: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id]).map(drop)
}
