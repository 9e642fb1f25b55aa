//! Archives: the multipart uploads on their way to becoming one, and those that an inventory names.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::gone;
use super::names;
use super::names::NewInode;
use super::trash;
use super::trash::Unowned;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::ContentId;
use super::types::Ino;
use super::types::Inode;
use super::types::Kind;
use super::types::State;
use super::types::VaultId;

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;
/// By how much the clock of a machine whose requests the service accepts may be off at most, in nanoseconds (SigV4).
const SKEW: i64 = 15 * 60 * SECOND;

/// Where archives go whose description names no path.
pub(super) const UNNAMED: &[u8] = b".unnamed";

/// A multipart upload that was begun.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The content whose bytes it carries.
    pub content: ContentId,
    /// The vault.
    pub vault: VaultId,
    /// The service's name for it.
    pub upload_id: String,
    /// Bytes of each part but the last.
    pub part_size: u64,
    /// The content's generation when it was begun.
    pub generation: i64,
}

/// An archive as an inventory and its description tell of it.
#[derive(Clone, Debug)]
pub struct KnownArchive {
    /// The service's name for it.
    pub archive_id: String,
    /// Bytes.
    pub size: u64,
    /// Of all of it.
    pub tree_hash: [u8; 32],
    /// When the vault got it, in nanoseconds since 1970.
    pub created: i64,
    /// Its content, if glacierfs wrote it.
    pub content: Option<ContentId>,
    /// Its path within the vault, components safe and not empty; none when nothing names one.
    pub path: Option<Vec<Vec<u8>>>,
    /// Whether that is the path of a directory, which the archive is only a sign of.
    pub is_folder: bool,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Last change of the bytes, in nanoseconds since 1970.
    pub mtime: Option<i64>,
}

/// What became of a [`KnownArchive`] in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The catalog had it.
    Known,
    /// It is a file now, under this directory and name, so that a cached listing can be refreshed.
    Added {
        /// The first directory on its path that changed.
        dir: Ino,
        /// The name in it.
        name: Vec<u8>,
        /// The file.
        ino: Ino,
        /// Whether it is in `.unnamed/`, because nothing names it, or because its name is taken by what is no file.
        is_unnamed: bool,
        /// The first directory that was made for a folder that it is a sign of, by its parent and name.
        folder: Option<(Ino, Vec<u8>)>,
    },
    /// Another archive has its content, or a newer file its name; it is in the trash.
    Duplicate,
    /// It was deleted; the inventory is older than that.
    Deleted,
}

impl Catalog {
    /// Notes that a multipart upload of content `id` was begun.
    pub fn upload_begun(&self, upload: &Upload) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO upload (content, vault, upload_id, part_size, generation)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                upload.content,
                upload.vault,
                upload.upload_id,
                upload.part_size as i64,
                upload.generation
            ])?;
            Ok(())
        })
    }

    /// Forgets a multipart upload, because the service did or because it was aborted.
    pub fn upload_gone(&self, upload_id: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM upload WHERE upload_id = ?1", [upload_id])?;
            Ok(())
        })
    }

    /// The multipart uploads that no content wants any more, with their vaults' names: to be aborted.
    pub fn unwanted_uploads(&self) -> Result<Vec<(Upload, String)>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT u.content, u.vault, u.upload_id, u.part_size, u.generation, v.name FROM upload u
                 JOIN vault v ON v.id = u.vault LEFT JOIN content c ON c.id = u.content
                 WHERE c.id IS NULL OR c.state <> 1 OR c.generation <> u.generation",
            )?;
            let rows = statement.query_map([], |row| Ok((upload_row(row)?, row.get(5)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Brings archives that an inventory of vault `vault` names into the tree, in one transaction. Give the newest
    /// first: of several with one name or content the first that comes gets it. Nothing is ever deleted for it: what
    /// doesn't get a name is kept in the trash without an end.
    pub fn adopt(&self, vault: VaultId, archives: &[KnownArchive], now: i64) -> Result<Vec<Adopted>> {
        self.write(|tx| {
            let root = tx
                .prepare_cached("SELECT root FROM vault WHERE id = ?1")?
                .query_row([vault], |row| row.get::<_, i64>(0))? as Ino;
            archives.iter().map(|known| adopt(tx, vault, root, known, now)).collect()
        })
    }
}

fn upload_row(row: &rusqlite::Row) -> rusqlite::Result<Upload> {
    Ok(Upload {
        content: row.get(0)?,
        vault: row.get(1)?,
        upload_id: row.get(2)?,
        part_size: row.get::<_, i64>(3)? as u64,
        generation: row.get(4)?,
    })
}

/// The multipart upload that was begun for content `id`.
pub(super) fn upload(conn: &Connection, id: ContentId) -> Result<Option<Upload>> {
    let mut statement =
        conn.prepare_cached("SELECT content, vault, upload_id, part_size, generation FROM upload WHERE content = ?1")?;
    Ok(statement.query_row([id], upload_row).optional()?)
}

/// Records an archive; one that is known already keeps its row.
pub(super) fn insert(tx: &Connection, archive: &Archive) -> Result<ArchiveRow> {
    tx.prepare_cached(
        "INSERT INTO archive (vault, archive_id, size, tree_hash, created) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (vault, archive_id) DO NOTHING",
    )?
    .execute(params![
        archive.vault,
        archive.archive_id,
        archive.size as i64,
        archive.tree_hash,
        archive.created
    ])?;
    let mut statement = tx.prepare_cached("SELECT id FROM archive WHERE vault = ?1 AND archive_id = ?2")?;
    Ok(statement.query_row(params![archive.vault, archive.archive_id], |row| row.get(0))?)
}

pub(super) fn adopt(tx: &Connection, vault: VaultId, root: Ino, known: &KnownArchive, now: i64) -> Result<Adopted> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM archive WHERE vault = ?1 AND archive_id = ?2")?;
    if statement.exists(params![vault, known.archive_id])? {
        return Ok(Adopted::Known);
    }
    if gone::has_archive(tx, vault, &known.archive_id)? {
        return Ok(Adopted::Deleted);
    }
    let (is_there, is_gone) = match known.content {
        None => (false, false),
        Some(id) => {
            (tx.prepare_cached("SELECT 1 FROM content WHERE id = ?1")?.exists([id])?, gone::has_content(tx, id)?)
        }
    };
    let mut archive = Archive {
        row: 0,
        vault,
        archive_id: known.archive_id.clone(),
        size: known.size,
        tree_hash: known.tree_hash,
        created: known.created,
    };
    archive.row = insert(tx, &archive)?;
    // Another archive has its content, or that was deleted.
    if is_there || is_gone {
        keep_in_trash(tx, &archive, known, now)?;
        return Ok(Adopted::Duplicate);
    }
    let mut folder = None;
    let named = match known.path.as_deref().filter(|path| !path.is_empty()) {
        Some(path) if known.is_folder => {
            // The archive's own bytes are no file of that name: one would stand in the way of all that is in the folder.
            folder = directories(tx, root, path, now)?.and_then(|(_, made)| made);
            Place::Taken
        }
        Some(path) => place(tx, root, path, known, now)?,
        None => Place::Taken,
    };
    let is_unnamed = matches!(named, Place::Taken);
    let place = match named {
        Place::Taken => place(tx, root, &[UNNAMED.to_vec(), known.archive_id.clone().into_bytes()], known, now)?,
        named => named,
    };
    let Place::Free(placed) = place else {
        keep_in_trash(tx, &archive, known, now)?;
        return Ok(Adopted::Duplicate);
    };
    let id = known.content.unwrap_or_else(|| rand::random_range(1..=i64::MAX));
    tx.prepare_cached("INSERT INTO content (id, vault, ino, state, size, archive) VALUES (?1, ?2, ?3, 2, ?4, ?5)")?
        .execute(params![id, vault, placed.inode.ino as i64, known.size as i64, archive.row])?;
    tx.prepare_cached("UPDATE inode SET content = ?2, size = ?3, mtime = ?4, ctime = ?5 WHERE ino = ?1")?
        .execute(params![placed.inode.ino as i64, id, known.size as i64, known.mtime.unwrap_or(known.created), now])?;
    Ok(Adopted::Added { dir: placed.dir, name: placed.name, ino: placed.inode.ino, is_unnamed, folder })
}

/// Whether a path can be an archive's.
enum Place {
    /// It is now: here is the file.
    Free(Placed),
    /// A file that is newer has it, or one that isn't archived yet.
    Newer,
    /// It leads through a file, or names what isn't one.
    Taken,
}

/// Where a file was put.
struct Placed {
    inode: Inode,
    dir: Ino,
    name: Vec<u8>,
}

/// The directory at `path` below `root`, made where it isn't there, and the first name on the way that is new, with its
/// directory. None when something else is in the way.
#[expect(clippy::type_complexity, reason = "its callers take it apart at once")]
pub(super) fn directories(
    tx: &Connection,
    root: Ino,
    path: &[Vec<u8>],
    now: i64,
) -> Result<Option<(Inode, Option<(Ino, Vec<u8>)>)>> {
    let mut dir = names::inode(tx, root)?;
    let mut changed = None;
    for component in path {
        dir = match names::find(tx, dir.ino, component)? {
            Some(found) if found.is_dir() => found,
            Some(_) => return Ok(None),
            None => {
                changed.get_or_insert((dir.ino, component.clone()));
                let new = NewInode {
                    mode: Kind::Directory.bits() | 0o755,
                    uid: dir.uid,
                    gid: dir.gid,
                    rdev: 0,
                    target: None,
                    content: None,
                };
                names::insert(tx, &dir, component, new, now)?
            }
        };
    }
    Ok(Some((dir, changed)))
}

/// Finds or makes the file for `known` at `path` below `root`, with the directories on the way.
fn place(tx: &Connection, root: Ino, path: &[Vec<u8>], known: &KnownArchive, now: i64) -> Result<Place> {
    let Some((name, dirs)) = path.split_last() else { return Ok(Place::Taken) };
    let Some((dir, changed)) = directories(tx, root, dirs, now)? else { return Ok(Place::Taken) };
    let (changed_dir, changed_name) = changed.unwrap_or((dir.ino, name.clone()));
    let placed = |inode| Place::Free(Placed { inode, dir: changed_dir, name: changed_name });
    match names::find(tx, dir.ino, name)? {
        None => {
            let (uid, gid) = known.owner.unwrap_or((dir.uid, dir.gid));
            let mode = Kind::File.bits() | known.mode.unwrap_or(0o644) & 0o7777;
            let new = NewInode { mode, uid, gid, rdev: 0, target: None, content: None };
            Ok(placed(names::insert(tx, &dir, name, new, now)?))
        }
        Some(found) if found.kind() != Kind::File => Ok(Place::Taken),
        Some(found) => {
            let Some(old) = found.content else { return Ok(Place::Newer) };
            let old = contents::content(tx, old)?;
            let older = old.archive.as_ref().is_some_and(|archive| is_older(archive, &found, known));
            if old.state != State::Archived || !older {
                return Ok(Place::Newer);
            }
            // Its file, if it has one, is doomed, and removed with the next sweep.
            if let (_, Some(archive)) = contents::let_go(tx, old.id)? {
                trash::keep_version(tx, &found, old.id, &archive, now, i64::MAX)?;
            }
            Ok(placed(found))
        }
    }
}

/// Whether what `inode` has as `archive` is older than `known`. The vault's times are whole seconds, and what was archived here has this
/// machine's time, which may be off by what the service accepts; within that, the files' own times decide.
fn is_older(archive: &Archive, inode: &Inode, known: &KnownArchive) -> bool {
    let after = known.created.saturating_sub(archive.created);
    let unsure = if archive.created % SECOND == 0 { SECOND } else { SKEW };
    match known.mtime.filter(|_| known.content.is_some()) {
        Some(mtime) if after.abs() < unsure && mtime != inode.mtime => mtime > inode.mtime,
        _ => after > 0,
    }
}

fn keep_in_trash(tx: &Connection, archive: &Archive, known: &KnownArchive, now: i64) -> Result<()> {
    let mut like = Unowned::new(archive);
    like.mode = Kind::File.bits() | known.mode.unwrap_or(0o644) & 0o7777;
    (like.uid, like.gid) = known.owner.unwrap_or_default();
    like.mtime = known.mtime.unwrap_or(archive.created);
    let path = known.path.as_ref().map(|path| path.join(&b'/')).unwrap_or_default();
    trash::keep_archive(tx, archive, known.content, like, &path, now, i64::MAX)
}
