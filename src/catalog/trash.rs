//! The trash: what was deleted or replaced, and when it goes for good.
//!
//! An inode that loses its last name stays as it was, with its attributes and its content, and so can come back ([`super::restore`]).
//! A file whose bytes are replaced leaves a copy of its inode, which has the old bytes. An archive that no inode has gets
//! one. Nothing of it has a name, so no program sees it.
//!
//! Glacier bills an archive for 90 days whether it exists or not (G14, "Pricing": early deletion), so keeping it that long
//! costs nothing; whoever deleted by mistake has at least `trash_keep`.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::gone;
use super::names;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::ContentId;
use super::types::INODE;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::VaultId;

/// How long the service bills for an archive at least.
pub const BILLED: Duration = Duration::from_secs(90 * 24 * 3600);

/// What needs no archive goes to the trash when it existed for this long, in nanoseconds: programs make and remove
/// temporary directories, links and lock files all the time, which nobody wants back.
const PASSING: i64 = 60 * 1_000_000_000;
/// For how long the lost names of a file are known that has others, in nanoseconds: longer than deleting a tree takes, so
/// that all of its hard links can come back, and short enough for who deletes a tree of a million links each day.
const NAMES: i64 = 24 * 3600 * 1_000_000_000;
/// More than any path within a vault: a name has at most 255 bytes.
const LAST: [u8; 256] = [0xff; 256];

/// Something in the trash.
#[derive(Clone, Debug)]
pub struct Trashed {
    /// All that it was but its names. Its number names it in the trash.
    pub inode: Inode,
    /// The archive of its bytes; none for what needs none.
    pub archive: Option<Archive>,
    /// The vault's name.
    pub vault: String,
    /// Its path in the vault when it was deleted or replaced; empty when none is known.
    pub path: Vec<u8>,
    /// When that was, in nanoseconds since 1970.
    pub deleted: i64,
    /// When it may go for good.
    pub due: i64,
    /// Whether its archive may be deleted already.
    pub going: bool,
    /// Why the service didn't delete its archive.
    pub error: Option<String>,
}

/// A place in a vault's trash, which is ordered by path, then by the time of deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The path.
    pub path: Vec<u8>,
    /// The time.
    pub deleted: i64,
    /// The inode.
    pub ino: Ino,
}

/// An archive that no inode has, as the file that it may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unowned {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
}

impl Unowned {
    /// One of which nothing is known: for root alone to read.
    pub(super) fn new(archive: &Archive) -> Self {
        Unowned { mode: Kind::File.bits() | 0o600, uid: 0, gid: 0, mtime: archive.created }
    }

    /// One with the attributes of `inode`.
    pub(super) fn like(inode: &Inode) -> Self {
        Unowned { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime: inode.mtime }
    }
}

impl Trashed {
    /// Where it stands in its vault's trash.
    pub fn position(&self) -> Position {
        Position { path: self.path.clone(), deleted: self.deleted, ino: self.inode.ino }
    }

    fn from_row(row: &Row) -> rusqlite::Result<Self> {
        let archive = match row.get::<_, Option<i64>>(6)? {
            None => None,
            Some(id) => Some(Archive::from_row(row, 6, id)?),
        };
        Ok(Trashed {
            path: row.get(0)?,
            deleted: row.get(1)?,
            due: row.get(2)?,
            going: row.get(3)?,
            error: row.get(4)?,
            vault: row.get(5)?,
            archive,
            inode: Inode::from_row(row, 12)?,
        })
    }
}

/// Selects what [`Trashed::from_row`] reads; `rest` may name an index of the trash first. The trash is always the outermost loop.
fn select(rest: &str, condition: &str) -> String {
    format!(
        "SELECT t.path, t.deleted, t.due, t.going, t.error, v.name,
                a.id, a.vault, a.archive_id, a.size, a.tree_hash, a.created, {INODE}
         FROM trash t {rest} CROSS JOIN inode i ON i.ino = t.ino CROSS JOIN vault v ON v.id = t.vault
              LEFT JOIN content c ON c.id = i.content LEFT JOIN archive a ON a.id = c.archive
         WHERE {condition}"
    )
}

impl Catalog {
    /// Up to `limit` things of the trash that may go for good at `now`, the longest due first.
    pub fn trash_due(&self, now: i64, limit: usize) -> Result<Vec<Trashed>> {
        self.read(|conn| {
            let sql = select("INDEXED BY trash_due", "t.due <= ?1 ORDER BY t.due LIMIT ?2");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement.query_map(params![now, limit as i64], Trashed::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Up to `limit` things of vault `vault` in the trash that were at `path` or below it (empty: anywhere), after
    /// `after`, in the order of [`Position`].
    pub fn trash_below(
        &self,
        vault: VaultId,
        path: &[u8],
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Trashed>> {
        let start = Position { path: path.to_vec(), deleted: i64::MIN, ino: 0 };
        let after = after.unwrap_or(&start);
        let (first, end) = below(path);
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&select(
                "INDEXED BY trash_path",
                "t.vault = ?1 AND (t.path, t.deleted, t.ino) > (?2, ?3, ?4) AND t.path < ?5 AND (t.path >= ?6 OR t.path = ?7)
                 ORDER BY t.path, t.deleted, t.ino LIMIT ?8",
            ))?;
            let bounds = params![vault, after.path, after.deleted, after.ino as i64, end, first, path, limit as i64];
            let rows = statement.query_map(bounds, Trashed::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The next path after `after` in the trash of vault `vault`, among those at `path` or below it (empty: all).
    pub fn next_trashed_path(&self, vault: VaultId, path: &[u8], after: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        let (first, end) = below(path);
        self.read(|conn| {
            if after.is_none_or(|after| after < path) {
                let mut statement = conn.prepare_cached("SELECT 1 FROM trash WHERE vault = ?1 AND path = ?2")?;
                if statement.exists(params![vault, path])? {
                    return Ok(Some(path.to_vec()));
                }
            }
            let after = after.unwrap_or_default();
            let mut statement = conn.prepare_cached(
                "SELECT path FROM trash INDEXED BY trash_path
                 WHERE vault = ?1 AND path >= ?2 AND path > ?3 AND path < ?4 ORDER BY path LIMIT 1",
            )?;
            Ok(statement.query_row(params![vault, first, after, end], |row| row.get(0)).optional()?)
        })
    }

    /// Of what was at `path` of vault `vault` and was deleted from `from` to `until`, the newest but `newer`.
    pub fn trashed_version(
        &self,
        vault: VaultId,
        path: &[u8],
        (from, until): (i64, i64),
        newer: usize,
    ) -> Result<Option<Trashed>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&select(
                "INDEXED BY trash_path",
                "t.vault = ?1 AND t.path = ?2 AND t.deleted >= ?3 AND t.deleted <= ?4
                 ORDER BY t.deleted DESC, t.ino DESC LIMIT 1 OFFSET ?5",
            ))?;
            let wanted = params![vault, path, from, until, newer as i64];
            Ok(statement.query_row(wanted, Trashed::from_row).optional()?)
        })
    }

    /// What is in the trash under the number `ino`.
    pub fn trashed(&self, ino: Ino) -> Result<Option<Trashed>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&select("", "t.ino = ?1"))?;
            Ok(statement.query_row([ino as i64], Trashed::from_row).optional()?)
        })
    }

    /// Whether something but files that was at `path` of vault `vault` or below it lost its name and isn't in the trash yet,
    /// since the kernel still knows of it.
    pub fn awaits_trash(&self, vault: VaultId, path: &[u8]) -> Result<bool> {
        let (first, end) = below(path);
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT 1 FROM orphan o CROSS JOIN inode i ON i.ino = o.ino
                 WHERE i.vault = ?1 AND i.mode & 61440 <> 32768 AND (o.path = ?2 OR o.path >= ?3 AND o.path < ?4) LIMIT 1",
            )?;
            Ok(statement.exists(params![vault, path, first, end])?)
        })
    }

    /// Notes that the archives of `inos` are about to be deleted, so that none of them can come back any more: even if the
    /// process dies before it hears of the service. They are due at `now` then. Answers those that are still in the trash.
    pub fn trash_goes(&self, inos: &[Ino], now: i64) -> Result<Vec<Ino>> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE trash SET going = 1, due = MIN(due, ?2) WHERE ino = ?1")?;
            let mut there = Vec::new();
            for ino in inos {
                if statement.execute(params![*ino as i64, now])? > 0 {
                    there.push(*ino);
                }
            }
            Ok(there)
        })
    }

    /// Notes that `ino` stays in the trash until `due`, since the service refused to delete its archive (`error`) or wasn't
    /// asked.
    pub fn trash_stays(&self, ino: Ino, due: i64, error: Option<&str>) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE trash SET going = 0, due = ?2, error = COALESCE(?3, error) WHERE ino = ?1")?
                .execute(params![ino as i64, due, error])?;
            Ok(())
        })
    }

    /// Forgets what was in the trash and at `now` is gone for good, archives included.
    pub fn purged(&self, inos: &[Ino], now: i64) -> Result<()> {
        self.write(|tx| {
            for ino in inos {
                if !has(tx, *ino)? {
                    continue;
                }
                if let Some(content) = names::inode_of_trash_too(tx, *ino)?.content {
                    let (_, archive) = contents::let_go(tx, content)?;
                    tx.prepare_cached("DELETE FROM content WHERE id = ?1")?.execute([content])?;
                    if let Some(archive) = archive {
                        gone::note_deleted(tx, content, &archive, now)?;
                        tx.prepare_cached("DELETE FROM job WHERE archive = ?1")?.execute([archive.row])?;
                        tx.prepare_cached("DELETE FROM archive WHERE id = ?1")?.execute([archive.row])?;
                    }
                }
                forget(tx, *ino)?;
            }
            Ok(())
        })
    }

    /// How many things of the trash the service refused to delete.
    pub fn trash_refused(&self) -> Result<u64> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT COUNT(*) FROM trash INDEXED BY trash_error WHERE error IS NOT NULL")?;
            Ok(statement.query_row([], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// Forgets up to `limit` names that files lost a day ago, and answers how many it were.
    pub fn prune_lost_names(&self, now: i64, limit: usize) -> Result<usize> {
        self.write(|tx| {
            let before = now.saturating_sub(NAMES);
            tx.prepare_cached("DELETE FROM emptied WHERE after < ?1")?.execute([before])?;
            Ok(tx
                .prepare_cached(
                    "DELETE FROM lost_name WHERE (ino, path) IN
                     (SELECT ino, path FROM lost_name WHERE lost < ?1 ORDER BY lost LIMIT ?2)",
                )?
                .execute(params![before, limit as i64])?)
        })
    }
}

/// Where the paths begin that are below `path` (empty: all paths), and where they have ended.
fn below(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match path {
        [] => (Vec::new(), LAST.to_vec()),
        _ => ([path, b"/"].concat(), [path, b"0"].concat()),
    }
}

/// Whether `ino` is in the trash.
pub(super) fn has(conn: &Connection, ino: Ino) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM trash WHERE ino = ?1")?.exists([ino as i64])?)
}

/// When something with this archive may go that is put in the trash at `now`.
pub(super) fn due(archive: &Archive, now: i64, keep: Duration) -> i64 {
    add(now, keep).max(add(archive.created, BILLED))
}

/// `time` and a duration, in nanoseconds.
pub(super) fn add(time: i64, by: Duration) -> i64 {
    time.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

/// Puts `found`, which has no name any more, in the trash, unless nobody would want it back or could have it. `archive` is
/// that of its content. Answers whether it is in the trash now.
pub(super) fn keep_inode(
    tx: &Connection,
    found: &Inode,
    archive: Option<&Archive>,
    now: i64,
    keep: Duration,
) -> Result<bool> {
    let due = match (archive, found.content) {
        (Some(archive), _) => due(archive, now, keep),
        // Its bytes are nowhere.
        (None, Some(_)) => return Ok(false),
        (None, None) if now.saturating_sub(found.btime) < PASSING => return Ok(false),
        (None, None) => add(now, keep),
    };
    let mut statement = tx.prepare_cached("SELECT path FROM orphan WHERE ino = ?1")?;
    let path: Option<Vec<u8>> = statement.query_row([found.ino as i64], |row| row.get(0)).optional()?;
    // Its last change was the loss of its name, unless it was open and somebody went on with it.
    if !insert(tx, found.ino, found.vault, &path.unwrap_or_default(), found.ctime.min(now), due)? {
        return Ok(false);
    }
    if found.is_dir() {
        tx.prepare_cached(
            "UPDATE inode SET mtime = COALESCE((SELECT before FROM emptied WHERE dir = ?1 AND after = mtime), mtime)
             WHERE ino = ?1",
        )?
        .execute([found.ino as i64])?;
        tx.prepare_cached("DELETE FROM emptied WHERE dir = ?1")?.execute([found.ino as i64])?;
    }
    tx.prepare_cached("UPDATE lost_name SET lost = NULL WHERE ino = ?1")?.execute([found.ino as i64])?;
    Ok(true)
}

/// `found` gets other bytes: a copy of it goes to the trash, with content `old` and its archive.
pub(super) fn keep_version(
    tx: &Connection,
    found: &Inode,
    old: ContentId,
    archive: &Archive,
    now: i64,
    due: i64,
) -> Result<()> {
    let root = names::vault_root(tx, found)?;
    let mut statement = tx.prepare_cached("SELECT path FROM orphan WHERE ino = ?1")?;
    // One without a name is open; it goes to the trash itself later.
    let last: Option<Vec<u8>> = statement.query_row([found.ino as i64], |row| row.get(0)).optional()?;
    let path = match last {
        Some(path) => path,
        None => names::path(tx, found.ino, root)?.unwrap_or_default(),
    };
    tx.prepare_cached(
        "INSERT INTO inode (ino, vault, mode, uid, gid, nlink, size, atime, mtime, ctime, btime, content)
         SELECT next_id(), vault, mode, uid, gid, 0, ?2, atime, mtime, ctime, btime, ?3 FROM inode WHERE ino = ?1",
    )?
    .execute(params![found.ino as i64, archive.size as i64, old])?;
    let copy = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO xattr (ino, name, value) SELECT ?2, name, value FROM xattr WHERE ino = ?1")?
        .execute(params![found.ino as i64, copy])?;
    tx.prepare_cached("UPDATE content SET ino = ?2 WHERE id = ?1")?.execute([old, copy])?;
    insert(tx, copy as Ino, found.vault, &path, now, due)?;
    Ok(())
}

/// Puts an archive that no inode has in the trash: a double, say, or the upload of a version that was overwritten meanwhile. It becomes a
/// file there, whose content has the ID `content` if that is some and not taken.
pub(super) fn keep_archive(
    tx: &Connection,
    archive: &Archive,
    content: Option<ContentId>,
    like: Unowned,
    path: &[u8],
    now: i64,
    due: i64,
) -> Result<()> {
    if tx.prepare_cached("SELECT 1 FROM content WHERE archive = ?1")?.exists([archive.row])? {
        return Ok(());
    }
    let mut taken = tx.prepare_cached("SELECT 1 FROM content WHERE id = ?1")?;
    let content = match content {
        Some(id) if !taken.exists([id])? => id,
        _ => rand::random_range(1..=i64::MAX),
    };
    tx.prepare_cached(
        "INSERT INTO inode (ino, vault, mode, uid, gid, nlink, size, atime, mtime, ctime, btime, content)
         VALUES (next_id(), ?1, ?2, ?3, ?4, 0, ?5, ?6, ?6, ?7, ?6, ?8)",
    )?
    .execute(params![
        archive.vault,
        like.mode,
        like.uid,
        like.gid,
        archive.size as i64,
        like.mtime,
        now,
        content
    ])?;
    let ino = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO content (id, vault, ino, state, size, archive) VALUES (?1, ?2, ?3, 2, ?4, ?5)")?
        .execute(params![content, archive.vault, ino, archive.size as i64, archive.row])?;
    insert(tx, ino as Ino, Some(archive.vault), path, now, due)?;
    Ok(())
}

/// An archive that a content has after all isn't the trash's.
pub(super) fn take_back(tx: &Connection, row: ArchiveRow) -> Result<()> {
    let mut statement = tx
        .prepare_cached("SELECT c.id, c.ino FROM content c CROSS JOIN trash t ON t.ino = c.ino WHERE c.archive = ?1")?;
    let found = statement.query_row([row], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
    if let Some((content, ino)) = found {
        tx.prepare_cached("DELETE FROM content WHERE id = ?1")?.execute([content])?;
        forget(tx, ino as Ino)?;
    }
    Ok(())
}

/// Forgets an inode that has no name, but not its content.
pub(super) fn forget(tx: &Connection, ino: Ino) -> Result<()> {
    for sql in [
        "DELETE FROM xattr WHERE ino = ?1",
        "DELETE FROM lost_name WHERE ino = ?1",
        "DELETE FROM trash WHERE ino = ?1",
        "DELETE FROM inode WHERE ino = ?1",
    ] {
        tx.prepare_cached(sql)?.execute([ino as i64])?;
    }
    Ok(())
}

/// A file loses the name `name` in `parent`, and has others.
pub(super) fn name_lost(tx: &Connection, parent: Ino, name: &[u8], found: &Inode, now: i64) -> Result<()> {
    let Some(mut path) = names::path(tx, parent, names::vault_root(tx, found)?)? else { return Ok(()) };
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    tx.prepare_cached("INSERT OR REPLACE INTO lost_name (ino, path, lost) VALUES (?1, ?2, ?3)")?.execute(params![
        found.ino as i64,
        path,
        now
    ])?;
    Ok(())
}

/// Makes the table of the directories that entries were removed from. It lives as long as the connection: what it is for is
/// over in minutes.
pub(super) fn remember_removals(conn: &Connection) -> Result<()> {
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY;
         CREATE TEMP TABLE emptied (
             dir    INTEGER PRIMARY KEY,
             before INTEGER NOT NULL,             -- when the directory was last changed but by removals
             after  INTEGER NOT NULL              -- when the last entry was removed
         );",
    )?;
    Ok(())
}

/// An entry of `dir` is about to be removed at `now`. Who deletes a tree empties each directory before it goes itself; its
/// time is to come back as it was before that.
pub(super) fn before_removal(tx: &Connection, dir: Ino, now: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO emptied (dir, before, after) SELECT ino, mtime, ?2 FROM inode WHERE ino = ?1
         ON CONFLICT (dir) DO UPDATE SET
             before = CASE WHEN after = excluded.before THEN before ELSE excluded.before END, after = excluded.after",
    )?
    .execute(params![dir as i64, now])?;
    Ok(())
}

/// Answers whether it is in the trash now: it isn't if its vault is gone.
pub(super) fn insert(
    tx: &Connection,
    ino: Ino,
    vault: Option<VaultId>,
    path: &[u8],
    deleted: i64,
    due: i64,
) -> Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO trash (ino, vault, path, deleted, due) SELECT ?1, id, ?3, ?4, ?5 FROM vault WHERE id = ?2",
        )?
        .execute(params![ino as i64, vault, path, deleted, due])?;
    Ok(inserted > 0)
}
