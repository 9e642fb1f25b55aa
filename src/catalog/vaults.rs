//! Vaults: the directories at the root of the mount.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::names;
use super::names::NewInode;
use super::own;
use super::schema::ROOT;
use super::types::Ino;
use super::types::Inode;
use super::types::VaultId;

/// A vault.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Its row.
    pub id: VaultId,
    /// Its name in the service, and of its directory.
    pub name: String,
    /// The inode of its directory.
    pub root: Ino,
    /// Its ARN; empty until the service told it.
    pub arn: String,
    /// The date of the newest inventory that was reconciled, as the service wrote it.
    pub inventory_date: Option<String>,
}

impl Vault {
    fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Vault {
            id: row.get(0)?,
            name: row.get(1)?,
            root: row.get::<_, i64>(2)? as u64,
            arn: row.get(3)?,
            inventory_date: row.get(4)?,
        })
    }
}

const VAULT: &str = "SELECT id, name, root, arn, inventory_date FROM vault";

impl Catalog {
    /// All vaults, by name.
    pub fn vaults(&self) -> Result<Vec<Vault>> {
        self.read(all)
    }

    /// The vault called `name`.
    pub fn vault(&self, name: &str) -> Result<Option<Vault>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{VAULT} WHERE name = ?1"))?;
            Ok(statement.query_row([name], Vault::from_row).optional()?)
        })
    }

    /// The vault with row `id`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn vault_by_id(&self, id: VaultId) -> Result<Vault> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{VAULT} WHERE id = ?1"))?;
            Ok(statement.query_row([id], Vault::from_row)?)
        })
    }

    /// Gives the service's vault `name` a directory with the attributes of `new`. One that has a directory keeps it,
    /// and is answered with `false`.
    pub fn add_vault(&self, name: &str, arn: &str, new: NewInode, now: i64) -> Result<(Inode, bool)> {
        self.write(|tx| {
            if let Some(found) = names::find(tx, ROOT, name.as_bytes())? {
                tx.execute("UPDATE vault SET arn = ?2 WHERE name = ?1", [name, arn])?;
                return Ok((found, false));
            }
            let mut root = names::inode(tx, ROOT)?;
            tx.execute("INSERT INTO vault (name, root, arn) VALUES (?1, 0, ?2)", [name, arn])?;
            root.vault = Some(tx.last_insert_rowid());
            let made = names::insert(tx, &root, name.as_bytes(), new, now)?;
            tx.execute("UPDATE vault SET root = ?2 WHERE id = ?1", params![root.vault, made.ino as i64])?;
            Ok((made, true))
        })
    }

    /// Whether the vault's directory has no entries but glacierfs's own.
    pub fn vault_is_empty(&self, vault: &Vault) -> Result<bool> {
        Ok(self.readdir(vault.root, 0, 1)?.is_empty())
    }

    /// Forgets a vault that the service has deleted, with its empty directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotEmpty`].
    pub fn remove_vault(&self, name: &str, now: i64) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(&format!("{VAULT} WHERE name = ?1"))?;
            let vault = statement.query_row([name], Vault::from_row)?;
            own::remove_all(tx, vault.root)?;
            if tx.prepare_cached("SELECT 1 FROM dentry WHERE parent = ?1 LIMIT 1")?.exists([vault.root as i64])? {
                return Err(Error::NotEmpty);
            }
            tx.execute("DELETE FROM dentry WHERE ino = ?1", [vault.root as i64])?;
            tx.execute("DELETE FROM xattr WHERE ino = ?1", [vault.root as i64])?;
            tx.execute("DELETE FROM inode WHERE ino = ?1", [vault.root as i64])?;
            for table in ["xattr", "lost_name", "inode"] {
                let trashed = "(SELECT ino FROM trash WHERE vault = ?1)";
                tx.execute(&format!("DELETE FROM {table} WHERE ino IN {trashed}"), [vault.id])?;
            }
            tx.execute("DELETE FROM trash WHERE vault = ?1", [vault.id])?;
            // What has no name but is open stays until it is closed, as something that was never archived.
            const OPEN: &str =
                "(SELECT i.content FROM orphan o JOIN inode i ON i.ino = o.ino WHERE i.content IS NOT NULL)";
            tx.execute(&format!("DELETE FROM content WHERE vault = ?1 AND id NOT IN {OPEN}"), [vault.id])?;
            tx.execute(
                "UPDATE content SET state = 1, due = NULL, archive = NULL WHERE vault = ?1 AND state <> 0",
                [vault.id],
            )?;
            for table in ["archive", "upload", "job", "gone"] {
                tx.execute(&format!("DELETE FROM {table} WHERE vault = ?1"), [vault.id])?;
            }
            tx.execute("DELETE FROM vault WHERE id = ?1", [vault.id])?;
            tx.execute(
                "UPDATE inode SET mtime = ?2, ctime = ?2, nlink = nlink - 1 WHERE ino = ?1",
                params![ROOT as i64, now],
            )?;
            Ok(())
        })
    }

    /// Notes that the inventory of `date` was reconciled.
    pub fn inventory_reconciled(&self, id: VaultId, date: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE vault SET inventory_date = ?2 WHERE id = ?1", params![id, date])?;
            Ok(())
        })
    }
}

pub(super) fn all(conn: &Connection) -> Result<Vec<Vault>> {
    let mut statement = conn.prepare_cached(&format!("{VAULT} ORDER BY name"))?;
    let rows = statement.query_map([], Vault::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
