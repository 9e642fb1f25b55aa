//! Rows of vaults.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Tx, time};

/// Which vault is meant: names are unique in an account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct VaultAddress {
    pub account: Arc<str>,
    pub region: Arc<str>,
    pub name: String,
}

impl VaultAddress {
    /// The first part of ARNs in its region.
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            _ if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

impl fmt::Display for VaultAddress {
    /// The vault's ARN; the partition follows the region.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (VaultAddress { account, region, name }, partition) = (self, self.partition());
        write!(f, "arn:{partition}:glacier:{region}:{account}:vaults/{name}")
    }
}

/// A vault's row.
#[derive(Clone, Debug)]
pub(in crate::server) struct Vault {
    pub id: i64,
    pub name: String,
    pub created: Timestamp,
    /// What it holds now.
    pub holds: Contents,
    /// What the last inventory on record knows.
    pub inventory: Taken,
    /// When the next one is taken; `None` while nothing was written since the last one.
    pub inventory_due: Option<Timestamp>,
}

/// How much is in a vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Contents {
    pub archives: u64,
    /// Of their data alone.
    pub bytes: u64,
}

/// An inventory: which one of its vault (0: none yet), when, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Taken {
    pub number: i64,
    pub date: Option<Timestamp>,
    pub contents: Contents,
}

const COLUMNS: &str = "id, name, created, archives, bytes, inventories, inventory_date, inventory_archives, \
                       inventory_bytes, inventory_due";

fn vault(row: &Row<'_>) -> rusqlite::Result<Vault> {
    Ok(Vault {
        id: row.get(0)?,
        name: row.get(1)?,
        created: time(row.get(2)?),
        holds: Contents { archives: row.get(3)?, bytes: row.get(4)? },
        inventory: Taken {
            number: row.get(5)?,
            date: row.get::<_, Option<i64>>(6)?.map(time),
            contents: Contents { archives: row.get(7)?, bytes: row.get(8)? },
        },
        inventory_due: row.get::<_, Option<i64>>(9)?.map(time),
    })
}

/// The vault at `address`.
pub(in crate::server) fn find(connection: &Connection, address: &VaultAddress) -> rusqlite::Result<Option<Vault>> {
    let VaultAddress { account, region, name } = address;
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM vaults WHERE account = ? AND region = ? AND name = ?"))?
        .query_row(params![account, region, name], vault)
        .optional()
}

/// How many vaults the account has in the region.
pub(in crate::server) fn count(connection: &Connection, account: &str, region: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM vaults WHERE account = ? AND region = ?";
    connection.prepare_cached(sql)?.query_row(params![account, region], |row| row.get(0))
}

/// At most `limit` vaults after the name `after`, in the order of their names.
pub(in crate::server) fn page(
    connection: &Connection,
    account: &str,
    region: &str,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Vault>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM vaults WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?"
        ))?
        .query_map(params![account, region, after, limit], vault)?
        .collect()
}

/// Makes a new, empty vault.
pub(in crate::server) fn insert(tx: &Tx<'_>, address: &VaultAddress, now: Timestamp) -> rusqlite::Result<()> {
    let VaultAddress { account, region, name } = address;
    let sql = "INSERT INTO vaults (account, region, name, created) VALUES (?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![account, region, name, now.as_millisecond()]).map(drop)
}

/// Stores what changes about a vault: its contents and inventories.
pub(in crate::server) fn update(tx: &Tx<'_>, vault: &Vault) -> rusqlite::Result<()> {
    let Vault { holds, inventory, .. } = vault;
    tx.prepare_cached(
        "UPDATE vaults SET archives = ?, bytes = ?, inventories = ?, inventory_date = ?, inventory_archives = ?, \
         inventory_bytes = ?, inventory_due = ? WHERE id = ?",
    )?
    .execute(params![
        holds.archives,
        holds.bytes,
        inventory.number,
        inventory.date.map(|date| date.as_millisecond()),
        inventory.contents.archives,
        inventory.contents.bytes,
        vault.inventory_due.map(|due| due.as_millisecond()),
        vault.id
    ])
    .map(drop)
}

/// Removes the vault's row alone.
pub(in crate::server) fn remove(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM vaults WHERE id = ?")?.execute([vault]).map(drop)
}
