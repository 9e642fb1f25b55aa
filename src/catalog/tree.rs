//! A vault's whole tree and its trash, read in one piece: every inode in the order of their numbers, as of one moment, on a connection of
//! its own and without the catalog's lock. It is what snapshots are made of.

use std::collections::VecDeque;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::schema::ROOT;
use super::types::Ino;
use super::types::KNOWN;
use super::types::OWN;
use super::types::State;
use super::types::VaultId;

/// How many inodes are read at a time.
const BATCH: usize = 1000;

/// An inode with all that belongs to it, but where its bytes are on this machine. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub ino: Ino,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u32,
    /// Bytes.
    pub size: u64,
    /// Last access.
    pub atime: i64,
    /// Last change of the bytes.
    pub mtime: i64,
    /// Last change of anything.
    pub ctime: i64,
    /// Creation.
    pub btime: i64,
    /// Its names, each with its directory's number. A vault's own directory has none, and what is in the trash.
    pub names: Vec<(Ino, Vec<u8>)>,
    /// Where a symbolic link points.
    pub target: Option<Vec<u8>>,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The bytes of a file that isn't empty.
    pub content: Option<NodeContent>,
    /// What the trash knows of what is there.
    pub trash: Option<NodeTrash>,
}

/// What the trash knows of a [`Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTrash {
    /// Its last path, within the vault; empty when none is known.
    pub path: Vec<u8>,
    /// When it was deleted, or its bytes replaced.
    pub deleted: i64,
    /// When it may go for good.
    pub due: i64,
    /// The other names that it lost shortly before.
    pub lost: Vec<Vec<u8>>,
}

/// The bytes of a [`Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeContent {
    /// Their ID, which the archive's description names too.
    pub id: i64,
    /// How many.
    pub size: u64,
    /// How far they are on their way to the vault.
    pub state: State,
    /// The archive that they are.
    pub archive: Option<NodeArchive>,
}

/// The archive of a [`NodeContent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeArchive {
    /// The service's name for it.
    pub archive_id: String,
    /// Of all of it.
    pub tree_hash: [u8; 32],
    /// When the vault got it.
    pub created: i64,
}

/// A vault's tree as of the moment when it was opened. An iterator of its inodes, those in the trash too; what is only open, and
/// what is glacierfs's own, isn't among them. While it is open the catalog's log can't start anew.
pub struct Tree {
    conn: Connection,
    vault: VaultId,
    /// The vault's own directory.
    root: Ino,
    /// What says which catalog this is: when it was made.
    catalog: i64,
    /// No inode number from here on was given out.
    next_ino: Ino,
    batch: VecDeque<Node>,
    after: Ino,
    done: bool,
}

impl Catalog {
    /// The tree of vault `vault`, as of now.
    ///
    /// # Errors
    /// [`super::Error::NotFound`].
    pub fn tree(&self, vault: VaultId) -> Result<Tree> {
        Tree::open(&self.path, vault)
    }

    /// What tells this catalog from others: when it was made, in nanoseconds since 1970.
    pub fn born(&self) -> Result<i64> {
        Ok(self.inode(ROOT)?.btime)
    }
}

impl Tree {
    /// The tree of vault `vault` in the catalog at `path`.
    ///
    /// # Errors
    /// As for [`Catalog::tree`].
    pub fn open(path: &Path, vault: VaultId) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(std::time::Duration::from_secs(10))?;
        conn.execute_batch("PRAGMA query_only = ON; BEGIN")?;
        // The first query fixes the moment.
        let root = conn.query_row("SELECT root FROM vault WHERE id = ?1", [vault], |row| row.get::<_, i64>(0))? as Ino;
        let catalog = conn.query_row("SELECT btime FROM inode WHERE ino = ?1", [ROOT as i64], |row| row.get(0))?;
        let next_ino = conn.query_row("SELECT reserved FROM counter", [], |row| row.get::<_, i64>(0))? as Ino;
        Ok(Tree { conn, vault, root, catalog, next_ino, batch: VecDeque::new(), after: 0, done: false })
    }

    /// The number of the vault's own directory.
    pub fn root(&self) -> Ino {
        self.root
    }

    /// As [`Catalog::born`].
    pub fn catalog(&self) -> i64 {
        self.catalog
    }

    /// No inode number from here on was given out.
    pub fn next_ino(&self) -> Ino {
        self.next_ino
    }

    /// Whether the vault has nothing in it, nor in its trash.
    pub fn is_empty(&self) -> Result<bool> {
        let mut statement = self.conn.prepare_cached(
            "SELECT 1 FROM inode i WHERE i.vault = ?1 AND i.ino <> ?2 AND i.mode & ?3 = 0
             AND (i.nlink > 0 OR i.ino IN (SELECT ino FROM trash)) LIMIT 1",
        )?;
        Ok(!statement.exists(params![self.vault, self.root as i64, OWN])?)
    }

    fn fill(&mut self) -> Result<()> {
        let mut statement = self.conn.prepare_cached(
            "SELECT i.ino, i.mode & ?4, i.uid, i.gid, i.rdev, i.size, i.atime, i.mtime, i.ctime, i.btime, i.target,
                    c.id, c.size, c.state, a.archive_id, a.tree_hash, a.created, t.path, t.deleted, t.due
             FROM inode i LEFT JOIN content c ON c.id = i.content LEFT JOIN archive a ON a.id = c.archive
                  LEFT JOIN trash t ON t.ino = i.ino
             WHERE i.ino > ?1 AND i.vault = ?2 AND (i.nlink > 0 OR t.ino IS NOT NULL) AND i.mode & ?5 = 0
             ORDER BY i.ino LIMIT ?3",
        )?;
        let rows =
            statement.query_map(params![self.after as i64, self.vault, BATCH as i64, !(OWN | KNOWN), OWN], node)?;
        self.batch = rows.collect::<rusqlite::Result<_>>()?;
        self.done = self.batch.len() < BATCH;
        let (Some(first), Some(last)) = (self.batch.front(), self.batch.back()) else { return Ok(()) };
        let range = [first.ino as i64, last.ino as i64];
        self.after = last.ino;
        drop(statement);
        let root = self.root;
        self.join(range, "SELECT ino, parent, name FROM dentry", "parent, name", |node, row| {
            if node.ino != root {
                node.names.push((row.get::<_, i64>(1)? as Ino, row.get(2)?));
            }
            Ok(())
        })?;
        self.join(range, "SELECT ino, name, value FROM xattr", "name", |node, row| {
            node.xattrs.push((row.get(1)?, row.get(2)?));
            Ok(())
        })?;
        self.join(range, "SELECT ino, path FROM lost_name", "path", |node, row| {
            if let Some(trash) = &mut node.trash {
                trash.lost.push(row.get(1)?);
            }
            Ok(())
        })
    }

    /// Hands each row of `select` for an inode of the batch, whose first and last have the numbers `range`, to `with`, in the order of
    /// `order`. The query runs along an index in the order of the batch.
    fn join(
        &mut self,
        range: [i64; 2],
        select: &str,
        order: &str,
        with: impl Fn(&mut Node, &rusqlite::Row) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let sql = format!("{select} WHERE ino BETWEEN ?1 AND ?2 ORDER BY ino, {order}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(range)?;
        let mut nodes = self.batch.iter_mut().peekable();
        while let Some(row) = rows.next()? {
            let ino = row.get::<_, i64>(0)? as Ino;
            while nodes.next_if(|node| node.ino < ino).is_some() {}
            if let Some(node) = nodes.peek_mut().filter(|node| node.ino == ino) {
                with(node, row)?;
            }
        }
        Ok(())
    }
}

impl Iterator for Tree {
    type Item = Result<Node>;

    fn next(&mut self) -> Option<Result<Node>> {
        if self.batch.is_empty()
            && !self.done
            && let Err(error) = self.fill()
        {
            self.done = true;
            return Some(Err(error));
        }
        self.batch.pop_front().map(Ok)
    }
}

fn node(row: &rusqlite::Row) -> rusqlite::Result<Node> {
    let archive = match row.get::<_, Option<String>>(14)? {
        Some(archive_id) => Some(NodeArchive { archive_id, tree_hash: row.get(15)?, created: row.get(16)? }),
        None => None,
    };
    let content = match row.get::<_, Option<i64>>(11)? {
        Some(id) => {
            let (size, state) = (row.get::<_, i64>(12)? as u64, State::of(row.get(13)?));
            Some(NodeContent { id, size, state, archive })
        }
        None => None,
    };
    let trash = match row.get::<_, Option<Vec<u8>>>(17)? {
        Some(path) => Some(NodeTrash { path, deleted: row.get(18)?, due: row.get(19)?, lost: Vec::new() }),
        None => None,
    };
    Ok(Node {
        ino: row.get::<_, i64>(0)? as Ino,
        mode: row.get(1)?,
        uid: row.get(2)?,
        gid: row.get(3)?,
        rdev: row.get(4)?,
        size: row.get::<_, i64>(5)? as u64,
        atime: row.get(6)?,
        mtime: row.get(7)?,
        ctime: row.get(8)?,
        btime: row.get(9)?,
        names: Vec::new(),
        target: row.get(10)?,
        xattrs: Vec::new(),
        content,
        trash,
    })
}
