//! Back from the trash: an inode gets its name again, in the directories that it was in.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::archives::UNNAMED;
use super::names;
use super::names::NewInode;
use super::trash;
use super::trash::Trashed;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::now;

/// How things come back from the trash.
pub struct PutBack<'a> {
    /// Where what was at a path goes, within its vault; none: nowhere.
    pub to: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// Whether what finds its place taken gets a name beside that, `name~1` say.
    pub beside: bool,
    /// When the restoring began, the same for all that comes back in one go. A directory that came back in it keeps its time
    /// when more comes back in it.
    pub run: i64,
}

/// What became of something that was to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is back.
    Back {
        /// Its path in the vault now.
        path: Vec<u8>,
        /// The names that appeared, and their directories.
        changed: Vec<(Ino, Vec<u8>)>,
    },
    /// A directory that is there again already.
    There,
    /// Something else is at its place.
    Taken,
    /// At this path in the vault, where a directory would have to be, is something else.
    InTheWay(Vec<u8>),
    /// It isn't in the trash any more.
    Gone,
    /// Its archive is being deleted.
    Going,
}

impl Catalog {
    /// Gives each of `inos`, of the trash, its name again, in one transaction. Directories on the way that
    /// are missing come back from the trash too, or are made.
    pub fn put_back(&self, inos: &[Ino], how: &PutBack) -> Result<Vec<Place>> {
        let found: Vec<Option<Trashed>> = inos.iter().map(|ino| self.trashed(*ino)).collect::<Result<_>>()?;
        self.write(|tx| {
            found
                .iter()
                .map(|found| match found {
                    // Somebody may have been quicker.
                    Some(found) if trash::has(tx, found.inode.ino)? => put_back(tx, found, how),
                    _ => Ok(Place::Gone),
                })
                .collect()
        })
    }
}

fn put_back(tx: &Connection, found: &Trashed, how: &PutBack) -> Result<Place> {
    let ino = found.inode.ino;
    let going: bool =
        tx.prepare_cached("SELECT going FROM trash WHERE ino = ?1")?.query_row([ino as i64], |row| row.get(0))?;
    if going {
        return Ok(Place::Going);
    }
    let old = match (&found.archive, found.path.is_empty()) {
        (Some(archive), true) => [UNNAMED, b"/", archive.archive_id.as_bytes()].concat(),
        _ => found.path.clone(),
    };
    let Some(mut path) = (how.to)(&old) else { return Ok(Place::Gone) };
    let mut changed = Vec::new();
    let dir = match directory_for(tx, found, &path, how.run, &mut changed)? {
        Ok(dir) => dir,
        Err(in_the_way) => return Ok(Place::InTheWay(in_the_way)),
    };
    // What is glacierfs's own goes where it was, if anywhere.
    if dir.is_own() != found.inode.is_own() {
        return Ok(Place::Taken);
    }
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    if let Some(taken) = names::find(tx, dir.ino, &path[start..])? {
        if taken.is_dir() && found.inode.is_dir() {
            return Ok(Place::There);
        }
        if !how.beside {
            return Ok(Place::Taken);
        }
        let name = free_name(tx, dir.ino, &path[start..])?;
        path.splice(start.., name);
    }
    give_name(tx, &dir, &path[start..], &found.inode, how.run, &mut changed)?;
    let mut links = 1;
    for lost in lost_names(tx, ino)? {
        links += u32::from(give_lost_name(tx, found, &lost, how, &mut changed)?);
    }
    let links = if found.inode.is_dir() { 2 } else { links };
    tx.prepare_cached("UPDATE inode SET nlink = ?2, ctime = ?3 WHERE ino = ?1")?
        .execute(params![ino as i64, links, how.run])?;
    tx.prepare_cached("DELETE FROM lost_name WHERE ino = ?1")?.execute([ino as i64])?;
    tx.prepare_cached("DELETE FROM trash WHERE ino = ?1")?.execute([ino as i64])?;
    Ok(Place::Back { path, changed })
}

/// The directory that `path` is in, or the path of what is in its way. Missing ones come back or are made.
fn directory_for(
    tx: &Connection,
    found: &Trashed,
    path: &[u8],
    run: i64,
    changed: &mut Vec<(Ino, Vec<u8>)>,
) -> Result<std::result::Result<Inode, Vec<u8>>> {
    let mut dir = names::inode(tx, names::vault_root(tx, &found.inode)?)?;
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let so_far = &path[..at];
        let name = so_far.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        dir = match names::find(tx, dir.ino, name)? {
            Some(next) if next.is_dir() && next.is_own() == found.inode.is_own() => next,
            Some(_) => return Ok(Err(so_far.to_vec())),
            None => match trashed_directory(tx, found, so_far)? {
                Some(trashed) => {
                    give_name(tx, &dir, name, &trashed, run, changed)?;
                    tx.prepare_cached("UPDATE inode SET nlink = 2, ctime = ?2 WHERE ino = ?1")?
                        .execute(params![trashed.ino as i64, run])?;
                    tx.prepare_cached("DELETE FROM trash WHERE ino = ?1")?.execute([trashed.ino as i64])?;
                    names::inode(tx, trashed.ino)?
                }
                None => {
                    let mode = Kind::Directory.bits() | 0o755;
                    let new = NewInode { mode, uid: dir.uid, gid: dir.gid, rdev: 0, target: None, content: None };
                    changed.push((dir.ino, name.to_vec()));
                    names::insert(tx, &dir, name, new, now())?
                }
            },
        };
    }
    Ok(Ok(dir))
}

/// The directory that was deleted last of those that were at `path`.
fn trashed_directory(tx: &Connection, found: &Trashed, path: &[u8]) -> Result<Option<Inode>> {
    let mut statement = tx.prepare_cached(
        "SELECT t.ino FROM trash t INDEXED BY trash_path CROSS JOIN inode i ON i.ino = t.ino
         WHERE t.vault = ?1 AND t.path = ?2 AND i.mode & 61440 = 16384 ORDER BY t.deleted DESC LIMIT 1",
    )?;
    let ino = statement.query_row(params![found.inode.vault, path], |row| row.get::<_, i64>(0)).optional()?;
    ino.map(|ino| names::inode_of_trash_too(tx, ino as Ino)).transpose()
}

fn give_name(
    tx: &Connection,
    dir: &Inode,
    name: &[u8],
    inode: &Inode,
    run: i64,
    changed: &mut Vec<(Ino, Vec<u8>)>,
) -> Result<()> {
    names::add_dentry(tx, dir.ino, name, inode.ino)?;
    let subdirs = i64::from(inode.is_dir());
    changed.push((dir.ino, name.to_vec()));
    if dir.ctime == run {
        tx.prepare_cached("UPDATE inode SET nlink = nlink + ?2 WHERE ino = ?1")?
            .execute(params![dir.ino as i64, subdirs])?;
        return Ok(());
    }
    names::touch(tx, dir.ino, subdirs, now())
}

/// Gives what is back another of its names, if that is free and a directory for it can be had.
fn give_lost_name(
    tx: &Connection,
    found: &Trashed,
    lost: &[u8],
    how: &PutBack,
    changed: &mut Vec<(Ino, Vec<u8>)>,
) -> Result<bool> {
    let Some(path) = (how.to)(lost) else { return Ok(false) };
    let Ok(dir) = directory_for(tx, found, &path, how.run, changed)? else { return Ok(false) };
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if names::find(tx, dir.ino, name)?.is_some() {
        return Ok(false);
    }
    give_name(tx, &dir, name, &found.inode, how.run, changed)?;
    Ok(true)
}

fn lost_names(tx: &Connection, ino: Ino) -> Result<Vec<Vec<u8>>> {
    let mut statement = tx.prepare_cached("SELECT path FROM lost_name WHERE ino = ?1 ORDER BY path")?;
    let rows = statement.query_map([ino as i64], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// `name~1`, or with the next number that is free; a long name is cut for it.
fn free_name(tx: &Connection, dir: Ino, name: &[u8]) -> Result<Vec<u8>> {
    /// Longest name in bytes (NAME_MAX, linux/limits.h).
    const LONGEST: usize = 255;
    for number in 1..1_000_000 {
        let end = format!("~{number}").into_bytes();
        let free = [&name[..name.len().min(LONGEST - end.len())], &end].concat();
        if names::find(tx, dir, &free)?.is_none() {
            return Ok(free);
        }
    }
    Err(Error::Exists)
}
