//! Rows of provisioned capacity. Whether a unit has expired follows from the time.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Tx, time};

/// A unit of capacity.
#[derive(Clone, Debug)]
pub(in crate::server) struct Unit {
    pub capacity_id: String,
    pub starts: Timestamp,
    pub expires: Timestamp,
}

/// The units of an account in a region that expire after `now`, oldest first.
pub(in crate::server) fn active(
    connection: &Connection,
    account: &str,
    region: &str,
    now: Timestamp,
) -> rusqlite::Result<Vec<Unit>> {
    let sql = "SELECT capacity_id, starts, expires FROM capacity \
               WHERE account = ? AND region = ? AND expires > ? ORDER BY id";
    connection
        .prepare_cached(sql)?
        .query_map(params![account, region, now.as_millisecond()], |row| {
            Ok(Unit { capacity_id: row.get(0)?, starts: time(row.get(1)?), expires: time(row.get(2)?) })
        })?
        .collect()
}

/// Adds a unit.
pub(in crate::server) fn insert(tx: &Tx<'_>, account: &str, region: &str, unit: &Unit) -> rusqlite::Result<()> {
    let (starts, expires) = (unit.starts.as_millisecond(), unit.expires.as_millisecond());
    tx.prepare_cached("INSERT INTO capacity (capacity_id, account, region, starts, expires) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![unit.capacity_id, account, region, starts, expires])
        .map(drop)
}

/// Removes the units that expired at `by` or before.
pub(in crate::server) fn remove_expired(tx: &Tx<'_>, by: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM capacity WHERE expires <= ?")?.execute([by.as_millisecond()]).map(drop)
}
