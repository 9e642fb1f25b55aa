//! glacierfs's own files in a vault: the snapshots of its tree, below `.glacierfs/snapshots`.
//!
//! They are ordinary files with ordinary archives, so that they are uploaded, recalled and found again like all others; but
//! the directory isn't listed, and only what is here changes them.

use rusqlite::Connection;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::names;
use super::names::NewInode;
use super::names::Optional as _;
use super::names::Removed;
use super::types::CONTENT;
use super::types::Content;
use super::types::ContentId;
use super::types::FileId;
use super::types::Ino;
use super::types::KNOWN;
use super::types::Kind;
use super::types::OWN;
use super::types::OWN_DIRECTORY;
use super::types::VaultId;

/// The directory of snapshots in glacierfs's own.
const SNAPSHOTS: &[u8] = b"snapshots";

/// A snapshot, as a file of its vault.
#[derive(Clone, Debug)]
pub struct OwnFile {
    /// Its directory.
    pub parent: Ino,
    /// Its name there.
    pub name: Vec<u8>,
    /// The file.
    pub ino: Ino,
    /// Whether this catalog wrote it, or took over what is in it.
    pub known: bool,
    /// Its bytes.
    pub content: Content,
}

impl Catalog {
    /// The snapshots of a vault, by name, and so the oldest first.
    pub fn snapshots(&self, vault: VaultId) -> Result<Vec<OwnFile>> {
        self.read(|conn| {
            let root = root(conn, vault)?;
            let Some(dir) = names::find(conn, root, OWN_DIRECTORY)? else { return Ok(Vec::new()) };
            let Some(dir) = names::find(conn, dir.ino, SNAPSHOTS)? else { return Ok(Vec::new()) };
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {CONTENT}, d.name, i.ino, i.mode & ?2 FROM dentry d JOIN inode i ON i.ino = d.ino
                 JOIN content c ON c.id = i.content LEFT JOIN archive a ON a.id = c.archive
                 WHERE d.parent = ?1 ORDER BY d.name"
            ))?;
            let rows = statement.query_map(params![dir.ino as i64, KNOWN], |row| {
                Ok(OwnFile {
                    parent: dir.ino,
                    name: row.get(18)?,
                    ino: row.get::<_, i64>(19)? as Ino,
                    known: row.get::<_, i64>(20)? != 0,
                    content: Content::from_row(row)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Adds a snapshot whose `size` bytes are in the store's file `file`; it is due for its upload at `now`. Answers the
    /// directory that it is in.
    ///
    /// # Errors
    /// [`super::Error::Exists`].
    pub fn add_snapshot(&self, vault: VaultId, name: &[u8], file: FileId, size: u64, now: i64) -> Result<Ino> {
        self.write(|tx| {
            let mut dir = names::inode(tx, root(tx, vault)?)?;
            for component in [OWN_DIRECTORY, SNAPSHOTS] {
                dir = match names::find(tx, dir.ino, component)? {
                    Some(found) => found,
                    None => {
                        let mode = Kind::Directory.bits();
                        let new = NewInode { mode, uid: dir.uid, gid: dir.gid, rdev: 0, target: None, content: None };
                        names::insert(tx, &dir, component, new, now)?
                    }
                };
            }
            let mode = Kind::File.bits();
            let new = NewInode { mode, uid: dir.uid, gid: dir.gid, rdev: 0, target: None, content: Some(file) };
            let made = names::insert(tx, &dir, name, new, now)?;
            tx.prepare_cached("UPDATE content SET state = 1, size = ?2, due = ?3 WHERE id = ?1")?.execute(params![
                file,
                size as i64,
                now
            ])?;
            tx.prepare_cached("UPDATE inode SET size = ?2, mode = mode | ?3 WHERE ino = ?1")?.execute(params![
                made.ino as i64,
                size as i64,
                KNOWN
            ])?;
            Ok(dir.ino)
        })
    }

    /// Notes that what is in these snapshots is in the catalog now.
    pub fn snapshots_known(&self, files: &[Ino]) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE inode SET mode = mode | ?2 WHERE ino = ?1")?;
            for ino in files {
                statement.execute(params![*ino as i64, KNOWN])?;
            }
            Ok(())
        })
    }

    /// Forgets the snapshots of a vault, whose archives are gone.
    pub fn remove_snapshots(&self, vault: VaultId) -> Result<()> {
        self.write(|tx| {
            let archives: Vec<i64> = tx
                .prepare_cached(
                    "SELECT c.archive FROM content c JOIN inode i ON i.content = c.id
                     WHERE c.vault = ?1 AND i.mode & ?2 AND c.archive IS NOT NULL",
                )?
                .query_map(params![vault, OWN], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            remove_all(tx, root(tx, vault)?)?;
            for archive in archives {
                tx.execute("DELETE FROM job WHERE archive = ?1", [archive])?;
                tx.execute("DELETE FROM archive WHERE id = ?1", [archive])?;
            }
            Ok(())
        })
    }

    /// As [`Catalog::unlink`], for a snapshot.
    pub fn unlink_snapshot(&self, parent: Ino, name: &[u8], now: i64) -> Result<Removed> {
        self.write(|tx| {
            let found = names::find(tx, parent, name)?.filter(|found| found.is_own()).ok_or(super::Error::NotFound)?;
            names::lose_name(tx, parent, name, &found, now)
        })
    }

    /// Forgets a snapshot whose archive is about to be deleted.
    pub fn forget_snapshot(&self, snapshot: &OwnFile) -> Result<()> {
        self.write(|tx| {
            let content = contents::content(tx, snapshot.content.id)?;
            contents::doom(tx, content.file)?;
            tx.prepare_cached("DELETE FROM dentry WHERE parent = ?1 AND name = ?2")?
                .execute(params![snapshot.parent as i64, snapshot.name])?;
            for (sql, id) in [
                ("DELETE FROM inode WHERE ino = ?1", Some(snapshot.ino as i64)),
                ("DELETE FROM content WHERE id = ?1", Some(content.id)),
                ("DELETE FROM job WHERE archive = ?1", content.archive.as_ref().map(|archive| archive.row)),
                ("DELETE FROM archive WHERE id = ?1", content.archive.as_ref().map(|archive| archive.row)),
            ] {
                tx.prepare_cached(sql)?.execute([id])?;
            }
            Ok(())
        })
    }

    /// The snapshots of a vault whose archives are all that it has; none while it has others, be it in the trash, and while there are
    /// snapshots of a lost catalog, which aren't taken over yet.
    pub fn only_snapshots(&self, vault: VaultId) -> Result<Option<Vec<OwnFile>>> {
        let mut own = self.snapshots(vault)?;
        if own.iter().any(|snapshot| !snapshot.known) {
            return Ok(None);
        }
        own.retain(|snapshot| snapshot.content.archive.is_some());
        let all: i64 = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT COUNT(*) FROM archive WHERE vault = ?1")?;
            Ok(statement.query_row([vault], |row| row.get(0))?)
        })?;
        Ok((all == own.len() as i64).then_some(own))
    }
}

fn root(conn: &Connection, vault: VaultId) -> Result<Ino> {
    let mut statement = conn.prepare_cached("SELECT root FROM vault WHERE id = ?1")?;
    Ok(statement.query_row([vault], |row| row.get::<_, i64>(0))? as Ino)
}

/// Takes glacierfs's own directory from the vault with root directory `root`, with everything in it. Their contents are the
/// caller's to remove.
pub(super) fn remove_all(tx: &Connection, root: Ino) -> Result<()> {
    let Some(dir) = names::find(tx, root, OWN_DIRECTORY).optional()?.flatten().filter(|dir| dir.is_own()) else {
        return Ok(());
    };
    const BELOW: &str = "WITH RECURSIVE below (ino) AS (
         VALUES (?1) UNION SELECT d.ino FROM dentry d JOIN below b ON d.parent = b.ino)";
    let ino = dir.ino as i64;
    let mut statement =
        tx.prepare(&format!("{BELOW} SELECT c.id, c.file FROM content c JOIN below b ON c.ino = b.ino"))?;
    let files: Vec<(ContentId, Option<FileId>)> =
        statement.query_map([ino], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (content, file) in files {
        contents::doom(tx, file)?;
        tx.execute("DELETE FROM content WHERE id = ?1", [content])?;
    }
    tx.execute(&format!("{BELOW} DELETE FROM inode WHERE ino IN below"), [ino])?;
    tx.execute(&format!("{BELOW} DELETE FROM dentry WHERE ino IN below AND ino <> ?1"), [ino])?;
    tx.execute("DELETE FROM dentry WHERE ino = ?1", [ino])?;
    Ok(())
}
