//! Rows of data retrieval policies, and how much has been asked for lately.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::Tx;

/// The policy of an account in a region: the strategy's name and, for `BytesPerHour`, its number. `None` when none was
/// ever set.
pub(in crate::server) fn policy(
    connection: &Connection,
    account: &str,
    region: &str,
) -> rusqlite::Result<Option<(String, Option<i64>)>> {
    connection
        .prepare_cached("SELECT strategy, bytes_per_hour FROM retrieval_policies WHERE account = ? AND region = ?")?
        .query_row([account, region], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Sets the policy of an account in a region.
pub(in crate::server) fn set_policy(
    tx: &Tx<'_>,
    account: &str,
    region: &str,
    strategy: &str,
    bytes_per_hour: Option<i64>,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO retrieval_policies (account, region, strategy, bytes_per_hour) VALUES (?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![account, region, strategy, bytes_per_hour]).map(drop)
}

/// The bytes that the Standard archive jobs of an account in a region retrieve which are running at `now`.
pub(in crate::server) fn running_bytes(
    connection: &Connection,
    account: &str,
    region: &str,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(last - first + 1), 0) FROM jobs JOIN vaults ON vaults.id = jobs.vault \
               WHERE completes > ? AND archive IS NOT NULL AND tier = 'Standard' AND account = ? AND region = ?";
    connection.prepare_cached(sql)?.query_row(params![now.as_millisecond(), account, region], |row| row.get(0))
}

/// The bytes of the Standard archive jobs of an account in a region that were initiated at `since` or later.
pub(in crate::server) fn bytes_since(
    connection: &Connection,
    account: &str,
    region: &str,
    since: Timestamp,
) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(last - first + 1), 0) FROM jobs JOIN vaults ON vaults.id = jobs.vault \
               WHERE jobs.created >= ? AND archive IS NOT NULL AND tier = 'Standard' AND account = ? AND region = ?";
    connection.prepare_cached(sql)?.query_row(params![since.as_millisecond(), account, region], |row| row.get(0))
}

/// How many Expedited archive jobs of an account in a region were initiated after `since`.
pub(in crate::server) fn expedited_since(
    connection: &Connection,
    account: &str,
    region: &str,
    since: Timestamp,
) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM jobs JOIN vaults ON vaults.id = jobs.vault \
               WHERE jobs.created > ? AND archive IS NOT NULL AND tier = 'Expedited' AND account = ? AND region = ?";
    connection.prepare_cached(sql)?.query_row(params![since.as_millisecond(), account, region], |row| row.get(0))
}
