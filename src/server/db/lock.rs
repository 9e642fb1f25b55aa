//! Rows of vault locks. Whether one is still in force follows from the time.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Tx, time};

/// A vault's lock.
#[derive(Clone, Debug)]
pub(in crate::server) struct Lock {
    /// The policy, as it was sent.
    pub policy: String,
    pub lock_id: String,
    pub created: Timestamp,
    /// When it ends by itself; `None` once it is Locked.
    pub expires: Option<Timestamp>,
}

/// The lock of a vault, also when its time is over.
pub(in crate::server) fn get(connection: &Connection, vault: i64) -> rusqlite::Result<Option<Lock>> {
    connection
        .prepare_cached("SELECT policy, lock_id, created, expires FROM locks WHERE vault = ?")?
        .query_row([vault], |row| {
            Ok(Lock {
                policy: row.get(0)?,
                lock_id: row.get(1)?,
                created: time(row.get(2)?),
                expires: row.get::<_, Option<i64>>(3)?.map(time),
            })
        })
        .optional()
}

/// Puts a lock on a vault, in the place of one whose time is over.
pub(in crate::server) fn put(tx: &Tx<'_>, vault: i64, lock: &Lock) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO locks (vault, policy, lock_id, created, expires) VALUES (?, ?, ?, ?, ?)";
    let expires = lock.expires.map(|expires| expires.as_millisecond());
    tx.prepare_cached(sql)?
        .execute(params![vault, lock.policy, lock.lock_id, lock.created.as_millisecond(), expires])
        .map(drop)
}

/// Makes the lock of a vault last for ever.
pub(in crate::server) fn complete(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE locks SET expires = NULL WHERE vault = ?")?.execute([vault]).map(drop)
}

/// Removes the lock of a vault, if it has one.
pub(in crate::server) fn remove(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM locks WHERE vault = ?")?.execute([vault]).map(drop)
}

/// Removes the locks that ended by themselves at `by` or before.
pub(in crate::server) fn remove_expired(tx: &Tx<'_>, by: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM locks WHERE expires <= ?")?.execute([by.as_millisecond()]).map(drop)
}
