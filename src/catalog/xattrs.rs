//! Extended attributes (xattr(7)): names and values are bytes.

use std::collections::HashSet;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::names;
use super::types::Ino;

/// What setxattr(2) does about an attribute that exists, or doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Create or replace.
    Set,
    /// Fail with [`Error::Exists`] if there is one (XATTR_CREATE).
    Create,
    /// Fail with [`Error::NoXattr`] if there is none (XATTR_REPLACE).
    Replace,
}

/// Most bytes that the names of an inode's attributes have, each with a NUL: what listxattr(2) can tell (XATTR_LIST_MAX,
/// linux/limits.h).
const LIST_MAX: usize = 65536;

impl Catalog {
    /// The value of attribute `name` of inode `ino`.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT value FROM xattr WHERE ino = ?1 AND name = ?2")?;
            Ok(statement.query_row(params![ino as i64, name], |row| row.get(0)).optional()?)
        })
    }

    /// The names of the attributes of inode `ino`, in byte order.
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT name FROM xattr WHERE ino = ?1 ORDER BY name")?;
            let rows = statement.query_map([ino as i64], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The inodes that have attributes: most have none, and whoever knows that needs to ask no more.
    pub fn inodes_with_xattrs(&self) -> Result<HashSet<Ino>> {
        self.read(|conn| {
            let mut statement = conn.prepare("SELECT DISTINCT ino FROM xattr")?;
            let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
            Ok(rows.map(|ino| ino.map(|ino| ino as u64)).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Sets attribute `name` of inode `ino`.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::NoXattr`], as `mode` says; [`Error::TooManyXattrs`].
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode, now: i64) -> Result<()> {
        self.write(|tx| {
            names::refuse_own(&names::inode(tx, ino)?)?;
            let exists = tx
                .prepare_cached("SELECT 1 FROM xattr WHERE ino = ?1 AND name = ?2")?
                .exists(params![ino as i64, name])?;
            match mode {
                XattrMode::Create if exists => return Err(Error::Exists),
                XattrMode::Replace if !exists => return Err(Error::NoXattr),
                _ => {}
            }
            if !exists {
                let list: i64 = tx
                    .prepare_cached("SELECT COALESCE(SUM(LENGTH(name) + 1), 0) FROM xattr WHERE ino = ?1")?
                    .query_row([ino as i64], |row| row.get(0))?;
                if list as usize + name.len() + 1 > LIST_MAX {
                    return Err(Error::TooManyXattrs);
                }
            }
            put(tx, ino, name, value)?;
            tx.prepare_cached("UPDATE inode SET ctime = ?2 WHERE ino = ?1")?.execute(params![ino as i64, now])?;
            Ok(())
        })
    }

    /// Sets attribute `name` of inode `ino`, or removes it, and gives the inode the permission bits `mode`, if that is some.
    pub fn set_acl(&self, ino: Ino, name: &[u8], value: Option<&[u8]>, mode: Option<u32>, now: i64) -> Result<()> {
        self.write(|tx| {
            names::refuse_own(&names::inode(tx, ino)?)?;
            match value {
                Some(value) => put(tx, ino, name, value)?,
                None => {
                    tx.prepare_cached("DELETE FROM xattr WHERE ino = ?1 AND name = ?2")?
                        .execute(params![ino as i64, name])?;
                }
            }
            // 4095 are the permission bits.
            tx.prepare_cached(
                "UPDATE inode SET mode = (mode & ~4095) | COALESCE(?2, mode & 4095), ctime = ?3 WHERE ino = ?1",
            )?
            .execute(params![ino as i64, mode.map(|mode| mode & 0o7777), now])?;
            Ok(())
        })
    }

    /// Removes attribute `name` of inode `ino`.
    ///
    /// # Errors
    /// [`Error::NoXattr`].
    pub fn remove_xattr(&self, ino: Ino, name: &[u8], now: i64) -> Result<()> {
        self.write(|tx| {
            names::refuse_own(&names::inode(tx, ino)?)?;
            let gone = tx
                .prepare_cached("DELETE FROM xattr WHERE ino = ?1 AND name = ?2")?
                .execute(params![ino as i64, name])?;
            if gone == 0 {
                return Err(Error::NoXattr);
            }
            tx.prepare_cached("UPDATE inode SET ctime = ?2 WHERE ino = ?1")?.execute(params![ino as i64, now])?;
            Ok(())
        })
    }
}

/// Creates or replaces an attribute.
pub(super) fn put(tx: &Connection, ino: Ino, name: &[u8], value: &[u8]) -> Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO xattr (ino, name, value) VALUES (?1, ?2, ?3)")?
        .execute(params![ino as i64, name, value])?;
    Ok(())
}
