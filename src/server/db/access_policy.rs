//! The access policies of vaults, as the text that was sent.

use rusqlite::{Connection, params};

use super::Tx;

/// The policy of a vault.
pub(in crate::server) fn get(connection: &Connection, vault: i64) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT access_policy FROM vaults WHERE id = ?";
    connection.prepare_cached(sql)?.query_row([vault], |row| row.get(0))
}

/// Sets the policy of a vault, or removes it.
pub(in crate::server) fn set(tx: &Tx<'_>, vault: i64, policy: Option<&str>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE vaults SET access_policy = ? WHERE id = ?")?.execute(params![policy, vault]).map(drop)
}
