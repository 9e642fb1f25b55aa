//! Names that another tool's database claims for archives: given where nothing is lost by it.
//!
//! A file that already has a name of somebody's choice keeps it, and a path that something has isn't given away. So what
//! may be renamed is only what adoption named for want of better: what is in `.unnamed/`, what has a text without a time
//! for a name and was never touched since, and what became a double of such a name and is in the trash for that.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::archives;
use super::archives::Adopted;
use super::archives::KnownArchive;
use super::archives::UNNAMED;
use super::names;
use super::names::Optional as _;
use super::names::RenameMode;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::OWN_DIRECTORY;
use super::types::VaultId;

/// What a database claims of an archive.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The service's name for it.
    pub archive_id: String,
    /// Its paths within the vault, components safe and not empty; at least one. The others are hard links.
    pub paths: Vec<Vec<Vec<u8>>>,
    /// Last change of the bytes, in nanoseconds since 1970.
    pub mtime: Option<i64>,
    /// Size, tree hash and time of creation in nanoseconds since 1970, if the database tells them all.
    pub archive: Option<(u64, [u8; 32], i64)>,
}

/// What became of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// What it was.
    pub outcome: Outcome,
    /// The path within the vault that the archive's file had before; none for one that had none.
    pub before: Option<Vec<u8>>,
    /// The paths that it didn't get because something is there or in the way.
    pub taken: Vec<Vec<u8>>,
    /// The names that came or went, and their directories, so that cached listings can be refreshed.
    pub changed: Vec<(Ino, Vec<u8>)>,
    /// The file.
    pub ino: Option<Ino>,
}

/// What became of a claim, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The catalog doesn't know the archive, and the claim doesn't tell enough to take it for granted.
    #[default]
    Unknown,
    /// The archive's file has the name now.
    Named,
    /// The catalog didn't know the archive, and has it on the database's word now: as a file, or in the trash where a newer
    /// one has its name.
    Adopted,
    /// It had the name.
    Already,
    /// It has another name, which it keeps.
    Left,
    /// It has none of the names, because they are taken.
    Taken,
    /// It is in the trash because somebody deleted or replaced it.
    Deleted,
}

impl Catalog {
    /// Gives the archives of vault `vault` the names that are claimed for them, in one transaction; with `dry_run` only says
    /// what would become of that. Nothing is deleted or replaced.
    pub fn claim(&self, vault: VaultId, claims: &[Claim], dry_run: bool, now: i64) -> Result<Vec<Claimed>> {
        self.write(|tx| {
            let root = tx
                .prepare_cached("SELECT root FROM vault WHERE id = ?1")?
                .query_row([vault], |row| row.get::<_, i64>(0))? as Ino;
            tx.execute_batch("SAVEPOINT claims")?;
            let claimed: Result<Vec<Claimed>> = claims.iter().map(|claim| one(tx, vault, root, claim, now)).collect();
            if dry_run {
                tx.execute_batch("ROLLBACK TO claims")?;
            }
            tx.execute_batch("RELEASE claims")?;
            claimed
        })
    }
}

/// The file that has an archive, and what adoption made of that.
struct Found {
    inode: Inode,
    /// When the archive was made.
    created: i64,
    /// Until when it stays in the trash, if it is there and its archive isn't being deleted.
    trashed: Option<i64>,
}

fn one(tx: &Connection, vault: VaultId, root: Ino, claim: &Claim, now: i64) -> Result<Claimed> {
    // Nobody would see it among our own files.
    let is_own = |path: &Vec<Vec<u8>>| path.first().is_some_and(|top| top == OWN_DIRECTORY);
    if claim.paths.iter().any(is_own) {
        let (own, paths): (Vec<_>, Vec<_>) = claim.paths.iter().cloned().partition(is_own);
        let mut claimed = one(tx, vault, root, &Claim { paths, ..claim.clone() }, now)?;
        claimed.taken.extend(own.into_iter().map(|path| path.join(&b'/')));
        return Ok(claimed);
    }
    let Some(found) = file_of(tx, vault, &claim.archive_id)? else {
        return match claim.archive {
            Some(archive) if !is_known(tx, vault, &claim.archive_id)? => adopt(tx, vault, root, claim, archive, now),
            _ => Ok(Claimed::default()),
        };
    };
    let before = names::path(tx, found.inode.ino, root)?.filter(|_| found.inode.nlink > 0);
    let mut claimed = Claimed { before, ino: Some(found.inode.ino), ..Claimed::default() };
    let has_one =
        |path: &&Vec<Vec<u8>>| Ok::<_, super::Error>(at(tx, root, path)?.is_some_and(|ino| ino == found.inode.ino));
    for path in &claim.paths {
        if has_one(&path)? {
            claimed.outcome = Outcome::Already;
            link_others(tx, root, claim, &found.inode, &mut claimed, now)?;
            return Ok(claimed);
        }
    }
    if found.inode.nlink == 0 && found.trashed != Some(i64::MAX) {
        claimed.outcome = Outcome::Deleted;
        return Ok(claimed);
    }
    let old = nameless(tx, root, &found)?;
    if old.is_none() && found.inode.nlink > 0 {
        claimed.outcome = Outcome::Left;
        return Ok(claimed);
    }
    claimed.outcome = Outcome::Taken;
    for path in &claim.paths {
        let Some((dir, name)) = room(tx, root, path, &mut claimed, now)? else { continue };
        match &old {
            Some((parent, old)) => {
                names::rename(tx, (*parent, old), (dir, &name), RenameMode::NoReplace, now)?;
                claimed.changed.push((*parent, old.clone()));
            }
            None => {
                names::add_dentry(tx, dir, &name, found.inode.ino)?;
                names::touch(tx, dir, 0, now)?;
                let ino = found.inode.ino as i64;
                tx.prepare_cached("UPDATE inode SET nlink = 1, ctime = ?2 WHERE ino = ?1")?
                    .execute(params![ino, now])?;
                tx.prepare_cached("DELETE FROM trash WHERE ino = ?1")?.execute([ino])?;
                tx.prepare_cached("DELETE FROM lost_name WHERE ino = ?1")?.execute([ino])?;
            }
        }
        claimed.outcome = Outcome::Named;
        // A time that adoption took from the archive is no better than what the database knows.
        if let Some(mtime) = claim.mtime.filter(|_| found.inode.mtime == found.created) {
            tx.prepare_cached("UPDATE inode SET mtime = ?2 WHERE ino = ?1")?
                .execute(params![found.inode.ino as i64, mtime])?;
        }
        break;
    }
    if claimed.outcome == Outcome::Named {
        claimed.taken.clear();
        link_others(tx, root, claim, &found.inode, &mut claimed, now)?;
    }
    Ok(claimed)
}

/// Takes an archive that the catalog doesn't know for granted.
fn adopt(
    tx: &Connection,
    vault: VaultId,
    root: Ino,
    claim: &Claim,
    (size, tree_hash, created): (u64, [u8; 32], i64),
    now: i64,
) -> Result<Claimed> {
    let known = KnownArchive {
        archive_id: claim.archive_id.clone(),
        size,
        tree_hash,
        created,
        content: None,
        path: claim.paths.first().cloned(),
        is_folder: false,
        mode: None,
        owner: None,
        mtime: claim.mtime,
    };
    let mut claimed = Claimed { outcome: Outcome::Adopted, ..Claimed::default() };
    let adopted = archives::adopt(tx, vault, root, &known, now)?;
    if adopted == Adopted::Deleted {
        claimed.outcome = Outcome::Deleted;
    }
    if let Adopted::Added { dir, name, ino, is_unnamed, folder: _ } = adopted {
        claimed.ino = Some(ino);
        claimed.changed.push((dir, name));
        if is_unnamed {
            claimed.taken.extend(known.path.map(|path| path.join(&b'/')));
        } else {
            link_others(tx, root, claim, &names::inode(tx, ino)?, &mut claimed, now)?;
        }
    }
    Ok(claimed)
}

fn is_known(tx: &Connection, vault: VaultId, archive_id: &str) -> Result<bool> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM archive WHERE vault = ?1 AND archive_id = ?2")?;
    Ok(statement.exists(params![vault, archive_id])?)
}

fn file_of(tx: &Connection, vault: VaultId, archive_id: &str) -> Result<Option<Found>> {
    let mut statement = tx.prepare_cached(
        "SELECT c.ino, a.created, CASE WHEN t.going THEN NULL ELSE t.due END
         FROM archive a JOIN content c ON c.archive = a.id LEFT JOIN trash t ON t.ino = c.ino
         WHERE a.vault = ?1 AND a.archive_id = ?2",
    )?;
    let found = statement
        .query_row(params![vault, archive_id], |row| Ok((row.get::<_, i64>(0)? as Ino, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((ino, created, trashed)) = found else { return Ok(None) };
    let inode = names::inode_of_trash_too(tx, ino).optional()?;
    Ok(inode.map(|inode| Found { inode, created, trashed }))
}

/// The one name of a file that adoption gave it for want of better, with its directory.
fn nameless(tx: &Connection, root: Ino, found: &Found) -> Result<Option<(Ino, Vec<u8>)>> {
    if found.inode.nlink != 1 {
        return Ok(None);
    }
    let mut statement = tx.prepare_cached("SELECT parent, name FROM dentry WHERE ino = ?1")?;
    let name = |row: &rusqlite::Row| Ok((row.get::<_, i64>(0)? as Ino, row.get::<_, Vec<u8>>(1)?));
    let Some((dir, name)) = statement.query_row([found.inode.ino as i64], name).optional()? else { return Ok(None) };
    let unnamed = names::find(tx, root, UNNAMED)?.is_some_and(|unnamed| unnamed.is_dir() && unnamed.ino == dir);
    let untouched = found.inode.ctime == found.inode.btime && found.inode.mtime == found.created;
    Ok((unnamed || dir == root && untouched).then_some((dir, name)))
}

/// What is at `path`, if anything is.
fn at(tx: &Connection, root: Ino, path: &[Vec<u8>]) -> Result<Option<Ino>> {
    let mut at = root;
    for name in path {
        match names::find(tx, at, name)? {
            Some(found) => at = found.ino,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The directory and the name of `path`, if nothing has it or is in its way; else notes that it is taken.
fn room(
    tx: &Connection,
    root: Ino,
    path: &[Vec<u8>],
    claimed: &mut Claimed,
    now: i64,
) -> Result<Option<(Ino, Vec<u8>)>> {
    if let Some((name, dirs)) = path.split_last()
        && let Some((dir, made)) = archives::directories(tx, root, dirs, now)?
        && names::find(tx, dir.ino, name)?.is_none()
    {
        claimed.changed.extend(made);
        claimed.changed.push((dir.ino, name.clone()));
        return Ok(Some((dir.ino, name.clone())));
    }
    claimed.taken.push(path.join(&b'/'));
    Ok(None)
}

/// Gives a file, which has one of the names that are claimed, the others too.
fn link_others(
    tx: &Connection,
    root: Ino,
    claim: &Claim,
    inode: &Inode,
    claimed: &mut Claimed,
    now: i64,
) -> Result<()> {
    debug_assert_eq!(inode.kind(), Kind::File);
    for path in &claim.paths {
        if at(tx, root, path)? == Some(inode.ino) {
            continue;
        }
        if let Some((dir, name)) = room(tx, root, path, claimed, now)? {
            names::add_dentry(tx, dir, &name, inode.ino)?;
            names::touch(tx, dir, 0, now)?;
            tx.prepare_cached("UPDATE inode SET nlink = nlink + 1, ctime = ?2 WHERE ino = ?1")?
                .execute(params![inode.ino as i64, now])?;
        }
    }
    Ok(())
}
