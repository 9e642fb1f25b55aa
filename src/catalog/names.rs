//! Names and inodes: lookup, create, link, unlink, rename, readdir, attributes.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::contents;
use super::schema::ROOT;
use super::trash;
use super::types::Changes;
use super::types::ContentId;
use super::types::FileId;
use super::types::INODE;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::OWN;
use super::types::OWN_DIRECTORY;
use super::xattrs;

/// glacierfs's own inodes have numbers at random from here on: an inode that comes back from a snapshot finds its number free,
/// although the snapshot itself came first.
pub(super) const FIRST_OWN: Ino = 1 << 52;

/// An inode that is about to be.
#[derive(Clone, Copy, Debug)]
pub struct NewInode<'a> {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group; a set-group-ID parent directory overrides it (and a new directory inherits that bit).
    pub gid: u32,
    /// Device number, for device nodes.
    pub rdev: u32,
    /// Target, for a symbolic link.
    pub target: Option<&'a [u8]>,
    /// A content to be born with, dirty, in the store's file of the same number.
    pub content: Option<ContentId>,
}

/// A directory's entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position in the stream: list on from here.
    pub cookie: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// What it names.
    pub inode: Inode,
}

/// What became of an inode that lost a name.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// The inode that lost it, if there was one.
    pub ino: Option<Ino>,
    /// Whether that was its last name. It stays in the catalog until [`Catalog::drop_orphan`].
    pub orphan: bool,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// The directories that a rename has put into another directory.
    pub moved: Vec<Ino>,
}

/// What a rename does about a target that exists (renameat2(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// Replace it.
    Replace,
    /// Fail (RENAME_NOREPLACE).
    NoReplace,
    /// Swap the two (RENAME_EXCHANGE).
    Exchange,
}

impl Catalog {
    /// The inode named `name` in directory `parent`.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Inode>> {
        self.read(|conn| find(conn, parent, name))
    }

    /// The inode numbered `ino`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn inode(&self, ino: Ino) -> Result<Inode> {
        self.read(|conn| inode(conn, ino))
    }

    /// The directory that holds directory `ino`; the root holds itself.
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        self.read(|conn| parent(conn, ino))
    }

    /// Up to `limit` entries of directory `dir` that come after `cookie` (0: from the start), in the order they came to
    /// be. An entry keeps its cookie while it stays in its directory, so a stream neither misses nor repeats it. glacierfs's
    /// own directory isn't listed.
    pub fn readdir(&self, dir: Ino, cookie: u64, limit: usize) -> Result<Vec<Entry>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT d.cookie, d.name, {INODE} FROM dentry d JOIN inode i ON i.ino = d.ino
                 WHERE d.parent = ?1 AND d.cookie > ?2 AND NOT (d.name = ?4 AND i.mode & ?5) ORDER BY d.cookie LIMIT ?3"
            ))?;
            let rows =
                statement.query_map(params![dir as i64, cookie as i64, limit as i64, OWN_DIRECTORY, OWN], |row| {
                    Ok(Entry {
                        cookie: row.get::<_, i64>(0)? as u64,
                        name: row.get(1)?,
                        inode: Inode::from_row(row, 2)?,
                    })
                })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Makes a new inode under a new name. The parent's set-group-ID bit is honoured.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`] (no such parent), [`Error::NotDirectory`], [`Error::RootIsForVaults`].
    pub fn create(&self, parent: Ino, name: &[u8], new: NewInode, now: i64) -> Result<Inode> {
        self.create_with(parent, name, new, &[], now)
    }

    /// As [`Catalog::create`]; the inode is born with extended attributes, each a name and a value.
    pub fn create_with(
        &self,
        parent: Ino,
        name: &[u8],
        new: NewInode,
        xattrs: &[(&[u8], Vec<u8>)],
        now: i64,
    ) -> Result<Inode> {
        self.write(|tx| {
            if parent == ROOT {
                return Err(Error::RootIsForVaults);
            }
            let dir = directory(tx, parent)?;
            refuse_own_name(tx, &dir, name)?;
            let made = insert(tx, &dir, name, new, now)?;
            for (name, value) in xattrs {
                xattrs::put(tx, made.ino, name, value)?;
            }
            Ok(made)
        })
    }

    /// Gives inode `ino` another name.
    ///
    /// # Errors
    /// As for [`Catalog::create`]; [`Error::IsDirectory`]; [`Error::CrossVault`].
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8], now: i64) -> Result<Inode> {
        self.write(|tx| {
            if parent == ROOT {
                return Err(Error::RootIsForVaults);
            }
            let dir = directory(tx, parent)?;
            let found = inode(tx, ino)?;
            refuse_own(&found)?;
            refuse_own_name(tx, &dir, name)?;
            if found.is_dir() {
                return Err(Error::IsDirectory);
            }
            // What has lost its last name never gets one again.
            if found.nlink == 0 {
                return Err(Error::NotFound);
            }
            if found.vault != dir.vault {
                return Err(Error::CrossVault);
            }
            add_dentry(tx, parent, name, ino)?;
            tx.prepare_cached("UPDATE inode SET nlink = nlink + 1, ctime = ?2 WHERE ino = ?1")?
                .execute(params![ino as i64, now])?;
            touch(tx, parent, 0, now)?;
            inode(tx, ino)
        })
    }

    /// Takes a name from anything but a directory. An inode without names stays until [`Catalog::drop_orphan`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`].
    pub fn unlink(&self, parent: Ino, name: &[u8], now: i64) -> Result<Removed> {
        self.write(|tx| {
            let found = find(tx, parent, name)?.ok_or(Error::NotFound)?;
            if found.is_dir() {
                return Err(Error::IsDirectory);
            }
            refuse_own(&found)?;
            trash::before_removal(tx, parent, now)?;
            lose_name(tx, parent, name, &found, now)
        })
    }

    /// Removes an empty directory (a vault's is removed with [`Catalog::remove_vault`]).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::NotEmpty`], [`Error::RootIsForVaults`].
    pub fn rmdir(&self, parent: Ino, name: &[u8], now: i64) -> Result<Removed> {
        self.write(|tx| {
            if parent == ROOT {
                return Err(Error::RootIsForVaults);
            }
            let found = find(tx, parent, name)?.ok_or(Error::NotFound)?;
            if !found.is_dir() {
                return Err(Error::NotDirectory);
            }
            refuse_own(&found)?;
            if !is_empty(tx, found.ino)? {
                return Err(Error::NotEmpty);
            }
            trash::before_removal(tx, parent, now)?;
            lose_name(tx, parent, name, &found, now)
        })
    }

    /// Moves a name (rename(2)): files and directories, over an existing target too, atomically.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Exists`] with `NoReplace`; [`Error::IsDirectory`], [`Error::NotDirectory`] or
    /// [`Error::NotEmpty`] when the target doesn't fit; [`Error::IntoItself`]; [`Error::CrossVault`];
    /// [`Error::RootIsForVaults`].
    pub fn rename(&self, from: (Ino, &[u8]), to: (Ino, &[u8]), mode: RenameMode, now: i64) -> Result<Removed> {
        self.write(|tx| rename(tx, from, to, mode, now))
    }

    /// As [`Catalog::rename`]; the old name is left with a new inode, `whiteout` (RENAME_WHITEOUT).
    pub fn rename_leaving(
        &self,
        from: (Ino, &[u8]),
        to: (Ino, &[u8]),
        mode: RenameMode,
        whiteout: NewInode,
        now: i64,
    ) -> Result<Removed> {
        self.write(|tx| {
            let removed = rename(tx, from, to, mode, now)?;
            // It is still there when both were names of one inode.
            if find(tx, from.0, from.1)?.is_none() {
                insert(tx, &directory(tx, from.0)?, from.1, whiteout, now)?;
            }
            Ok(removed)
        })
    }

    /// Changes attributes and answers the result.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn setattr(&self, ino: Ino, changes: Changes, now: i64) -> Result<Inode> {
        self.setattr_with(ino, changes, &[], now)
    }

    /// As [`Catalog::setattr`]; sets extended attributes, each a name and a value, in the same transaction.
    pub fn setattr_with(&self, ino: Ino, changes: Changes, xattrs: &[(&[u8], Vec<u8>)], now: i64) -> Result<Inode> {
        self.write(|tx| {
            for (name, value) in xattrs {
                xattrs::put(tx, ino, name, value)?;
            }
            tx.prepare_cached(
                // 61440 is S_IFMT, 16384 S_IFDIR, 2048 S_ISUID, 1024 S_ISGID, 8 S_IXGRP.
                "UPDATE inode SET
                 mode = CASE
                     WHEN ?2 IS NOT NULL THEN (mode & ~4095) | ?2
                     WHEN ?8 AND mode & 61440 <> 16384 THEN mode & ~(2048 | ((mode & 8) * 128))
                     ELSE mode END,
                 uid = COALESCE(?3, uid), gid = COALESCE(?4, gid), atime = COALESCE(?5, atime),
                 mtime = COALESCE(?6, mtime), ctime = ?7
                 WHERE ino = ?1",
            )?
            .execute(params![
                ino as i64,
                changes.mode.map(|mode| mode & 0o7777),
                changes.uid,
                changes.gid,
                changes.atime,
                changes.mtime,
                now,
                changes.drop_set_ids
            ])?;
            let changed = inode(tx, ino)?;
            refuse_own(&changed)?;
            Ok(changed)
        })
    }

    /// An inode that has no name and that nobody has open any more goes to the trash, or is forgotten
    /// if that keeps nothing of its kind. Does nothing when it has a name, or doesn't exist. Answers the content that it had,
    /// with its file in the store, which nothing needs any more.
    pub fn drop_orphan(&self, ino: Ino, now: i64) -> Result<Option<(ContentId, Option<FileId>)>> {
        let keep = self.trash_keep;
        self.write(|tx| {
            let Some(found) = inode(tx, ino).optional()? else { return Ok(None) };
            if found.nlink > 0 {
                return Ok(None);
            }
            let (file, archive) = match found.content {
                Some(content) => contents::let_go(tx, content)?,
                None => (None, None),
            };
            if !trash::keep_inode(tx, &found, archive.as_ref(), now, keep)? {
                trash::forget(tx, ino)?;
            }
            tx.prepare_cached("DELETE FROM orphan WHERE ino = ?1")?.execute([ino as i64])?;
            Ok(found.content.map(|content| (content, file)))
        })
    }

    /// The inodes without a name: what was open and unlinked when the process died.
    pub fn orphans(&self) -> Result<Vec<Ino>> {
        self.read(|conn| {
            let mut statement = conn.prepare("SELECT ino FROM orphan")?;
            let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
            Ok(rows.map(|ino| ino.map(|ino| ino as u64)).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// A path of `ino` from the root of the mount, vault first, without a leading slash; of several names the oldest.
    /// None when it has no name.
    pub fn path(&self, ino: Ino) -> Result<Option<Vec<u8>>> {
        self.read(|conn| path(conn, ino, ROOT))
    }
}

/// `Option` for "there is none" where an operation says [`Error::NotFound`].
pub(super) trait Optional<T> {
    fn optional(self) -> Result<Option<T>>;
}

impl<T> Optional<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// The inode numbered `ino`; one in the trash is none.
pub(super) fn inode(conn: &Connection, ino: Ino) -> Result<Inode> {
    let found = inode_of_trash_too(conn, ino)?;
    match found.nlink {
        0 if trash::has(conn, ino)? => Err(Error::NotFound),
        _ => Ok(found),
    }
}

/// The inode numbered `ino`, if it is in the trash, too.
pub(super) fn inode_of_trash_too(conn: &Connection, ino: Ino) -> Result<Inode> {
    let mut statement = conn.prepare_cached(&format!("SELECT {INODE} FROM inode i WHERE i.ino = ?1"))?;
    Ok(statement.query_row([ino as i64], |row| Inode::from_row(row, 0))?)
}

pub(super) fn find(conn: &Connection, parent: Ino, name: &[u8]) -> Result<Option<Inode>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {INODE} FROM dentry d JOIN inode i ON i.ino = d.ino WHERE d.parent = ?1 AND d.name = ?2"
    ))?;
    Ok(statement.query_row(params![parent as i64, name], |row| Inode::from_row(row, 0)).optional()?)
}

/// The directory numbered `ino`; one that was removed is none, however long somebody still stands in it.
fn directory(conn: &Connection, ino: Ino) -> Result<Inode> {
    let found = inode(conn, ino)?;
    match found.is_dir() {
        true if found.nlink > 0 => Ok(found),
        true => Err(Error::NotFound),
        false => Err(Error::NotDirectory),
    }
}

fn parent(conn: &Connection, ino: Ino) -> Result<Ino> {
    if ino == ROOT {
        return Ok(ROOT);
    }
    let mut statement = conn.prepare_cached("SELECT parent FROM dentry WHERE ino = ?1")?;
    Ok(statement.query_row([ino as i64], |row| row.get::<_, i64>(0))? as u64)
}

fn is_empty(conn: &Connection, dir: Ino) -> Result<bool> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM dentry WHERE parent = ?1 LIMIT 1")?;
    Ok(!statement.exists([dir as i64])?)
}

/// Whether directory `dir` is `ancestor` or somewhere below it.
fn is_within(conn: &Connection, mut dir: Ino, ancestor: Ino) -> Result<bool> {
    loop {
        if dir == ancestor {
            return Ok(true);
        }
        if dir == ROOT {
            return Ok(false);
        }
        dir = parent(conn, dir)?;
    }
}

/// The path from directory `base` (exclusive) down to `ino`, components joined by `/`.
pub(super) fn path(conn: &Connection, ino: Ino, base: Ino) -> Result<Option<Vec<u8>>> {
    let mut statement =
        conn.prepare_cached("SELECT parent, name FROM dentry WHERE ino = ?1 ORDER BY cookie LIMIT 1")?;
    let mut components: Vec<Vec<u8>> = Vec::new();
    let mut at = ino;
    while at != base && at != ROOT {
        let found = statement
            .query_row([at as i64], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let Some((parent, name)) = found else { return Ok(None) };
        components.push(name);
        at = parent;
    }
    components.reverse();
    Ok(Some(components.join(&b'/')))
}

/// Refuses to change what is glacierfs's own.
pub(super) fn refuse_own(inode: &Inode) -> Result<()> {
    if inode.is_own() { Err(Error::Own) } else { Ok(()) }
}

/// Refuses the name `name` in `dir` to everybody but glacierfs, if it is one of its own.
fn refuse_own_name(conn: &Connection, dir: &Inode, name: &[u8]) -> Result<()> {
    if is_own_name(conn, dir, name)? { Err(Error::Own) } else { Ok(()) }
}

fn is_own_name(conn: &Connection, dir: &Inode, name: &[u8]) -> Result<bool> {
    Ok(dir.is_own() || name == OWN_DIRECTORY && parent(conn, dir.ino)? == ROOT)
}

/// Makes a new inode under a new name in `dir`, or says [`Error::Exists`].
pub(super) fn insert(tx: &Connection, dir: &Inode, name: &[u8], new: NewInode, now: i64) -> Result<Inode> {
    let is_dir = Kind::of(new.mode) == Some(Kind::Directory);
    let mut made = Inode {
        ino: 0,
        vault: dir.vault,
        mode: new.mode,
        uid: new.uid,
        gid: new.gid,
        rdev: new.rdev,
        nlink: if is_dir { 2 } else { 1 },
        size: new.target.map_or(0, <[u8]>::len) as u64,
        atime: now,
        mtime: now,
        ctime: now,
        btime: now,
        content: new.content,
        target: new.target.map(<[u8]>::to_vec),
    };
    let own = is_own_name(tx, dir, name)?;
    if own {
        made.mode = made.mode & libc::S_IFMT | if is_dir { 0o500 } else { 0o400 } | OWN;
    }
    if dir.mode & libc::S_ISGID != 0 && !own {
        made.gid = dir.gid;
        if is_dir {
            made.mode |= libc::S_ISGID;
        }
    }
    tx.prepare_cached(
        "INSERT INTO inode (ino, vault, mode, uid, gid, rdev, nlink, size, atime, mtime, ctime, btime, content, target)
         VALUES (COALESCE(?11, next_id()), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8, ?8, ?9, ?10)",
    )?
    .execute(params![
        made.vault,
        made.mode,
        made.uid,
        made.gid,
        made.rdev,
        made.nlink,
        made.size as i64,
        now,
        made.content,
        made.target,
        own.then(|| rand::random_range(FIRST_OWN..FIRST_OWN * 2) as i64)
    ])?;
    made.ino = tx.last_insert_rowid() as u64;
    if let (Some(content), Some(vault)) = (new.content, dir.vault) {
        contents::insert_dirty(tx, content, vault, made.ino)?;
    }
    add_dentry(tx, dir.ino, name, made.ino)?;
    // A file is born by the clock of its file in the store, which ticks more slowly than ours: the directory's times neither
    // stand still nor go back for it.
    if !own {
        touch(tx, dir.ino, i64::from(is_dir), now.max(super::types::now()))?;
    }
    Ok(made)
}

/// Gives `ino` a name, or says [`Error::Exists`].
pub(super) fn add_dentry(tx: &Connection, parent: Ino, name: &[u8], ino: Ino) -> Result<()> {
    let mut statement =
        tx.prepare_cached("INSERT INTO dentry (parent, name, ino, cookie) VALUES (?1, ?2, ?3, next_id())")?;
    match statement.execute(params![parent as i64, name, ino as i64]) {
        // Of the table's constraints only the primary key can be violated: cookies are unique.
        Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == rusqlite::ErrorCode::ConstraintViolation => {
            Err(Error::Exists)
        }
        other => Ok(other.map(|_| ())?),
    }
}

fn remove_dentry(tx: &Connection, parent: Ino, name: &[u8]) -> Result<()> {
    tx.prepare_cached("DELETE FROM dentry WHERE parent = ?1 AND name = ?2")?.execute(params![parent as i64, name])?;
    Ok(())
}

/// A directory's entries changed: its times, and its link count by `subdirs`.
pub(super) fn touch(tx: &Connection, dir: Ino, subdirs: i64, now: i64) -> Result<()> {
    tx.prepare_cached("UPDATE inode SET mtime = ?2, ctime = ?2, nlink = nlink + ?3 WHERE ino = ?1")?
        .execute(params![dir as i64, now, subdirs])?;
    Ok(())
}

fn set_ctime(tx: &Connection, ino: Ino, now: i64) -> Result<()> {
    tx.prepare_cached("UPDATE inode SET ctime = ?2 WHERE ino = ?1")?.execute(params![ino as i64, now])?;
    Ok(())
}

/// Takes the name `name` in `parent` from `found`, and records the path of one that has no other.
pub(super) fn lose_name(tx: &Connection, parent: Ino, name: &[u8], found: &Inode, now: i64) -> Result<Removed> {
    let is_dir = found.is_dir();
    let orphan = is_dir || found.nlink <= 1;
    if orphan {
        let vault_root = vault_root(tx, found)?;
        let path = path(tx, found.ino, vault_root)?.unwrap_or_else(|| name.to_vec());
        tx.prepare_cached("INSERT OR REPLACE INTO orphan (ino, path) VALUES (?1, ?2)")?
            .execute(params![found.ino as i64, path])?;
    } else {
        trash::name_lost(tx, parent, name, found, now)?;
    }
    let nlink = if orphan { 0 } else { found.nlink - 1 };
    tx.prepare_cached("UPDATE inode SET nlink = ?2, ctime = ?3 WHERE ino = ?1")?.execute(params![
        found.ino as i64,
        nlink,
        now
    ])?;
    remove_dentry(tx, parent, name)?;
    touch(tx, parent, -i64::from(is_dir), now)?;
    Ok(Removed { ino: Some(found.ino), orphan, is_file: found.kind() == Kind::File, moved: Vec::new() })
}

/// The inode of the root directory of the vault that `found` is in.
pub(super) fn vault_root(conn: &Connection, found: &Inode) -> Result<Ino> {
    let mut statement = conn.prepare_cached("SELECT root FROM vault WHERE id = ?1")?;
    Ok(statement.query_row([found.vault], |row| row.get::<_, i64>(0))? as u64)
}

/// Points the name `name` in `parent` at `ino`, keeping its place in the directory's stream.
fn repoint(tx: &Connection, parent: Ino, name: &[u8], ino: Ino) -> Result<()> {
    tx.prepare_cached("UPDATE dentry SET ino = ?3 WHERE parent = ?1 AND name = ?2")?.execute(params![
        parent as i64,
        name,
        ino as i64
    ])?;
    Ok(())
}

pub(super) fn rename(
    tx: &Connection,
    from: (Ino, &[u8]),
    to: (Ino, &[u8]),
    mode: RenameMode,
    now: i64,
) -> Result<Removed> {
    if from.0 == ROOT || to.0 == ROOT {
        return Err(Error::RootIsForVaults);
    }
    let moved = find(tx, from.0, from.1)?.ok_or(Error::NotFound)?;
    let to_dir = directory(tx, to.0)?;
    let target = find(tx, to.0, to.1)?;
    refuse_own(&moved)?;
    refuse_own_name(tx, &to_dir, to.1)?;
    if moved.vault != to_dir.vault {
        return Err(Error::CrossVault);
    }
    if moved.is_dir() && is_within(tx, to.0, moved.ino)? {
        return Err(Error::IntoItself);
    }
    match (mode, target) {
        (RenameMode::NoReplace, Some(_)) => Err(Error::Exists),
        (RenameMode::Exchange, None) => Err(Error::NotFound),
        (RenameMode::Exchange, Some(target)) => {
            if target.is_dir() && is_within(tx, from.0, target.ino)? {
                return Err(Error::IntoItself);
            }
            exchange(tx, from, &moved, to, &target, now)?;
            Ok(Removed { moved: moved_directories(from.0, to.0, &[&moved, &target]), ..Removed::default() })
        }
        // Two names of one inode: rename(2) does nothing.
        (RenameMode::Replace, Some(target)) if target.ino == moved.ino => Ok(Removed::default()),
        (_, target) => {
            let removed = replace(tx, from, &moved, to, target, now)?;
            Ok(Removed { moved: moved_directories(from.0, to.0, &[&moved]), ..removed })
        }
    }
}

/// Those of `moved` that have another parent after a rename from one directory to another.
fn moved_directories(from: Ino, to: Ino, moved: &[&Inode]) -> Vec<Ino> {
    if from == to { Vec::new() } else { moved.iter().filter(|inode| inode.is_dir()).map(|inode| inode.ino).collect() }
}

fn exchange(
    tx: &Connection,
    from: (Ino, &[u8]),
    moved: &Inode,
    to: (Ino, &[u8]),
    target: &Inode,
    now: i64,
) -> Result<()> {
    repoint(tx, from.0, from.1, target.ino)?;
    repoint(tx, to.0, to.1, moved.ino)?;
    let shift = i64::from(moved.is_dir()) - i64::from(target.is_dir());
    let shift = if from.0 == to.0 { 0 } else { shift };
    touch(tx, from.0, -shift, now)?;
    touch(tx, to.0, shift, now)?;
    set_ctime(tx, moved.ino, now)?;
    set_ctime(tx, target.ino, now)
}

fn replace(
    tx: &Connection,
    from: (Ino, &[u8]),
    moved: &Inode,
    to: (Ino, &[u8]),
    target: Option<Inode>,
    now: i64,
) -> Result<Removed> {
    let mut removed = Removed::default();
    if let Some(target) = target {
        match (moved.is_dir(), target.is_dir()) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            (true, true) if !is_empty(tx, target.ino)? => return Err(Error::NotEmpty),
            _ => {}
        }
        removed = lose_name(tx, to.0, to.1, &target, now)?;
    }
    // A move within a directory keeps the entry's cookie, so a stream that runs meanwhile shows it once; a move to
    // another directory gives it a new one there, at the stream's end.
    let is_dir = i64::from(moved.is_dir());
    if from.0 == to.0 {
        tx.prepare_cached("UPDATE dentry SET name = ?3 WHERE parent = ?1 AND name = ?2")?.execute(params![
            from.0 as i64,
            from.1,
            to.1
        ])?;
    } else {
        remove_dentry(tx, from.0, from.1)?;
        add_dentry(tx, to.0, to.1, moved.ino)?;
        touch(tx, from.0, -is_dir, now)?;
    }
    touch(tx, to.0, if from.0 == to.0 { 0 } else { is_dir }, now)?;
    set_ctime(tx, moved.ino, now)?;
    Ok(removed)
}
