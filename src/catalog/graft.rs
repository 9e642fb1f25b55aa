//! Brings inodes that another catalog had into this one, as they were. Nothing that is here is overwritten, and doing it a
//! second time changes nothing, so that what was interrupted is simply begun anew.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::archives;
use super::gone;
use super::names;
use super::names::Optional as _;
use super::schema::ROOT;
use super::trash;
use super::tree::Node;
use super::tree::NodeContent;
use super::tree::NodeTrash;
use super::types::Archive;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::VaultId;
use super::types::now;
use super::xattrs;

/// What became of a [`Node`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grafted {
    /// It is there now, under this number.
    Made(Ino),
    /// It was there, under this number; what it lacked of names and extended attributes it has now.
    Same(Ino),
    /// Other things have its names, or its bytes, or are its directories.
    Taken,
    /// Its bytes are in no archive that is known.
    Unarchived,
}

impl Catalog {
    /// Brings `nodes` into vault `vault`, in one transaction. Directories come before what is in them, and the numbers of
    /// the directories in the nodes' names are those of this catalog. A node keeps its number if no other has it.
    pub fn graft(&self, vault: VaultId, nodes: &[Node]) -> Result<Vec<Grafted>> {
        // Something that came back from the trash after all of this was written is in the trash again now: nothing of it
        // goes before somebody could see that.
        let earliest = trash::add(now(), self.trash_keep);
        self.write(|tx| {
            let graft = |node: &Node| match &node.trash {
                Some(trash) => graft_trashed(tx, vault, node, trash, earliest),
                None => graft(tx, vault, node),
            };
            nodes.iter().map(graft).collect()
        })
    }

    /// Gives the vault's own directory the attributes of `node`, if there is nothing in it yet. Answers whether it has them.
    pub fn graft_root(&self, root: Ino, node: &Node) -> Result<bool> {
        if !self.readdir(root, 0, 1)?.is_empty() {
            return Ok(false);
        }
        self.write(|tx| {
            set_attributes(tx, root, node)?;
            add_xattrs(tx, root, node)?;
            Ok(true)
        })
    }

    /// Gives out no inode number below `next` any more.
    pub fn raise_numbers(&self, next: Ino) -> Result<()> {
        self.counter.raise(next as i64);
        self.write(|_| Ok(()))
    }
}

fn graft(tx: &Connection, vault: VaultId, node: &Node) -> Result<Grafted> {
    if let Some(found) = existing(tx, vault, node)? {
        if !found.is_dir() {
            for (parent, name) in &node.names {
                if is_directory(tx, *parent)? && names::find(tx, *parent, name)?.is_none() {
                    names::add_dentry(tx, *parent, name, found.ino)?;
                    tx.prepare_cached("UPDATE inode SET nlink = nlink + 1 WHERE ino = ?1")?
                        .execute([found.ino as i64])?;
                }
            }
        }
        let same = (found.mode, found.uid, found.gid, found.mtime) == (node.mode, node.uid, node.gid, node.mtime);
        if same && !found.is_dir() {
            set_attributes(tx, found.ino, node)?;
        }
        add_xattrs(tx, found.ino, node)?;
        return Ok(Grafted::Same(found.ino));
    }
    let archive = match archive_of(tx, vault, node)? {
        Ok(archive) => archive,
        Err(grafted) => return Ok(grafted),
    };
    let mut free = Vec::new();
    for (parent, name) in &node.names {
        if is_directory(tx, *parent)? && names::find(tx, *parent, name)?.is_none() {
            free.push((*parent, name));
        }
    }
    let is_dir = Kind::of(node.mode) == Some(Kind::Directory);
    if is_dir {
        free.truncate(1);
    }
    if free.is_empty() {
        return Ok(Grafted::Taken);
    }
    let ino = insert(tx, vault, node, if is_dir { 2 } else { free.len() as i64 })?;
    for (parent, name) in free {
        match names::add_dentry(tx, parent, name, ino) {
            // One name twice.
            Err(Error::Exists) => {
                tx.prepare_cached("UPDATE inode SET nlink = nlink - 1 WHERE ino = ?1")?.execute([ino as i64])?;
            }
            other => other?,
        }
        if is_dir {
            tx.prepare_cached("UPDATE inode SET nlink = nlink + 1 WHERE ino = ?1")?.execute([parent as i64])?;
        }
    }
    add_xattrs(tx, ino, node)?;
    if let (Some(content), Some(archive)) = (&node.content, archive) {
        add_content(tx, ino, content, &archive)?;
    }
    Ok(Grafted::Made(ino))
}

/// As [`graft`], for what is in the trash. It stays there until `earliest` at least.
fn graft_trashed(tx: &Connection, vault: VaultId, node: &Node, trash: &NodeTrash, earliest: i64) -> Result<Grafted> {
    let found: Option<i64> = match &node.content {
        Some(content) => {
            let archive = content.archive.as_ref().map(|archive| archive.archive_id.as_str());
            let mut statement = tx.prepare_cached(
                "SELECT ino FROM content WHERE vault = ?1 AND (id = ?2 OR archive =
                     (SELECT id FROM archive WHERE vault = ?1 AND archive_id = ?3))",
            )?;
            statement.query_row(params![vault, content.id, archive], |row| row.get(0)).optional()?
        }
        None => {
            let mut statement = tx.prepare_cached(
                "SELECT t.ino FROM trash t CROSS JOIN inode i ON i.ino = t.ino
                 WHERE t.vault = ?1 AND t.path = ?2 AND t.deleted = ?3 AND i.mode = ?4",
            )?;
            statement.query_row(params![vault, trash.path, trash.deleted, node.mode], |row| row.get(0)).optional()?
        }
    };
    if let Some(found) = found {
        return Ok(Grafted::Same(found as Ino));
    }
    let archive = match archive_of(tx, vault, node)? {
        Ok(archive) => archive,
        Err(grafted) => return Ok(grafted),
    };
    let ino = insert(tx, vault, node, 0)?;
    add_xattrs(tx, ino, node)?;
    if let (Some(content), Some(archive)) = (&node.content, archive) {
        add_content(tx, ino, content, &archive)?;
    }
    trash::insert(tx, ino, Some(vault), &trash.path, trash.deleted, trash.due.max(earliest))?;
    let mut statement = tx.prepare_cached("INSERT OR IGNORE INTO lost_name (ino, path) VALUES (?1, ?2)")?;
    for path in &trash.lost {
        statement.execute(params![ino as i64, path])?;
    }
    Ok(Grafted::Made(ino))
}

/// The archive that the bytes of `node` are, if it has any; or what becomes of the node without.
fn archive_of(tx: &Connection, vault: VaultId, node: &Node) -> Result<std::result::Result<Option<Archive>, Grafted>> {
    Ok(match &node.content {
        Some(NodeContent { archive: None, .. }) => Err(Grafted::Unarchived),
        Some(content) if is_taken(tx, content.id)? => Err(Grafted::Taken),
        Some(NodeContent { archive: Some(archive), .. }) if was_deleted(tx, vault, &archive.archive_id)? => {
            Err(Grafted::Taken)
        }
        Some(NodeContent { archive: Some(archive), size, .. }) => Ok(Some(Archive {
            row: 0,
            vault,
            archive_id: archive.archive_id.clone(),
            size: *size,
            tree_hash: archive.tree_hash,
            created: archive.created,
        })),
        None => Ok(None),
    })
}

/// Whether an archive was deleted here, or a file of it, rather than kept in the trash by an inventory, which hasn't asked anybody.
fn was_deleted(tx: &Connection, vault: VaultId, archive_id: &str) -> Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT 1 FROM archive a CROSS JOIN content c ON c.archive = a.id CROSS JOIN trash t ON t.ino = c.ino
         WHERE a.vault = ?1 AND a.archive_id = ?2 AND (t.going OR t.due < ?3)",
    )?;
    Ok(gone::has_archive(tx, vault, archive_id)? || statement.exists(params![vault, archive_id, i64::MAX])?)
}

fn add_content(tx: &Connection, ino: Ino, content: &NodeContent, archive: &Archive) -> Result<()> {
    let row = archives::insert(tx, archive)?;
    trash::take_back(tx, row)?;
    tx.prepare_cached("INSERT INTO content (id, vault, ino, state, size, archive) VALUES (?1, ?2, ?3, 2, ?4, ?5)")?
        .execute(params![content.id, archive.vault, ino as i64, content.size as i64, row])?;
    Ok(())
}

/// What is here and is what `node` is: a file with the same content, or what has its name and is like it.
fn existing(tx: &Connection, vault: VaultId, node: &Node) -> Result<Option<Inode>> {
    if let Some(content) = &node.content {
        let archive = content.archive.as_ref().map(|archive| archive.archive_id.as_str());
        let mut statement = tx.prepare_cached(
            "SELECT i.ino FROM content c JOIN inode i ON i.ino = c.ino
             WHERE i.content = c.id AND i.vault = ?1 AND i.nlink > 0 AND (c.id = ?2 OR c.archive =
                 (SELECT id FROM archive WHERE vault = ?1 AND archive_id = ?3))",
        )?;
        let ino: Option<i64> = statement.query_row(params![vault, content.id, archive], |row| row.get(0)).optional()?;
        return ino.map(|ino| names::inode(tx, ino as Ino)).transpose();
    }
    for (parent, name) in &node.names {
        let Some(found) = names::find(tx, *parent, name)? else { continue };
        let alike = Kind::of(node.mode) == Some(found.kind())
            && found.content.is_none()
            && (found.target.as_ref(), found.rdev) == (node.target.as_ref(), node.rdev);
        if alike {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_directory(tx: &Connection, ino: Ino) -> Result<bool> {
    let is_one = |found: Inode| found.is_dir() && found.nlink > 0 && !found.is_own();
    Ok(ino != ROOT && names::inode(tx, ino).optional()?.is_some_and(is_one))
}

fn is_taken(tx: &Connection, content: i64) -> Result<bool> {
    Ok(tx.prepare_cached("SELECT 1 FROM content WHERE id = ?1")?.exists([content])?)
}

fn insert(tx: &Connection, vault: VaultId, node: &Node, nlink: i64) -> Result<Ino> {
    // The second time under a new number, if the first finds its own taken.
    for own in [true, false] {
        let mut statement = tx.prepare_cached(
            "INSERT OR IGNORE INTO inode
             (ino, vault, mode, uid, gid, rdev, nlink, size, atime, mtime, ctime, btime, content, target)
             VALUES (CASE WHEN ?14 THEN ?1 ELSE next_id() END, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?15)",
        )?;
        let made = statement.execute(params![
            node.ino as i64,
            vault,
            node.mode,
            node.uid,
            node.gid,
            node.rdev,
            nlink,
            node.size as i64,
            node.atime,
            node.mtime,
            node.ctime,
            node.btime,
            node.content.as_ref().map(|content| content.id),
            own,
            node.target
        ])?;
        if made > 0 {
            return Ok(tx.last_insert_rowid() as Ino);
        }
    }
    Err(Error::Exists)
}

fn set_attributes(tx: &Connection, ino: Ino, node: &Node) -> Result<()> {
    tx.prepare_cached(
        "UPDATE inode SET mode = ?2, uid = ?3, gid = ?4, atime = ?5, mtime = ?6, ctime = ?7, btime = ?8 WHERE ino = ?1",
    )?
    .execute(params![ino as i64, node.mode, node.uid, node.gid, node.atime, node.mtime, node.ctime, node.btime])?;
    Ok(())
}

fn add_xattrs(tx: &Connection, ino: Ino, node: &Node) -> Result<()> {
    for (name, value) in &node.xattrs {
        if !tx.prepare_cached("SELECT 1 FROM xattr WHERE ino = ?1 AND name = ?2")?.exists(params![ino as i64, name])? {
            xattrs::put(tx, ino, name, value)?;
        }
    }
    Ok(())
}
