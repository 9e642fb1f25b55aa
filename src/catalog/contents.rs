//! The life of a content: dirty, sealed, archived.
//!
//! A content moves from the spool to the vault without its bytes moving: sealing and archiving change its row. Its file
//! in the store changes hands the same way when an archived file is written to again.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::archives;
use super::gone;
use super::names;
use super::schema::ROOT;
use super::trash;
use super::trash::Unowned;
use super::types::Archive;
use super::types::CONTENT;
use super::types::Content;
use super::types::ContentId;
use super::types::DAMAGED;
use super::types::FileId;
use super::types::Ino;
use super::types::Inode;
use super::types::State;
use super::types::VaultId;

/// How a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the bytes that the file has.
    Keep,
    /// With none of them (O_TRUNC).
    Empty,
}

/// What a write goes to.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The dirty content.
    pub content: ContentId,
    /// Its file in the store.
    pub file: FileId,
    /// Whether that file is still to be created.
    pub fresh: bool,
    /// A file that nothing needs any more.
    pub freed: Option<FileId>,
}

/// The end of a content's writing. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Seal {
    /// The content.
    pub content: ContentId,
    /// How many bytes it has.
    pub size: u64,
    /// When they were last changed.
    pub mtime: i64,
    /// When they or the file's attributes were.
    pub ctime: i64,
    /// When its upload may start.
    pub due: i64,
}

/// A sealed content that is due for its upload.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The content.
    pub content: Content,
    /// Its inode's attributes at this moment, for the archive's description.
    pub inode: Inode,
    /// The vault's name.
    pub vault: String,
    /// A path of it within the vault.
    pub path: Vec<u8>,
    /// The multipart upload that was begun for this generation of it, if one was.
    pub upload: Option<super::Upload>,
}

impl Catalog {
    /// The content `id`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn content(&self, id: ContentId) -> Result<Content> {
        self.read(|conn| content(conn, id))
    }

    /// The contents `ids`, those that there are, in no particular order. One call for many is what walks over trees need.
    pub fn contents(&self, ids: &[ContentId]) -> Result<Vec<Content>> {
        use names::Optional;
        self.read(|conn| ids.iter().filter_map(|id| content(conn, *id).optional().transpose()).collect())
    }

    /// Makes inode `ino` ready to be written to: afterwards its content is dirty. A dirty one is used as it is; a
    /// sealed one is reopened (its upload, if one is under way, will find that it isn't wanted any more); an archived
    /// one hands its file to a new content, `fresh`, and goes to the trash, with a copy of the inode's attributes.
    ///
    /// # Errors
    /// [`Error::NotLocal`], when some of the bytes that are to be kept aren't local; nothing is changed then.
    pub fn begin_write(&self, ino: Ino, fresh: ContentId, start: Start, now: i64) -> Result<Begun> {
        let keep = self.trash_keep;
        self.write(|tx| {
            let inode = names::inode(tx, ino)?;
            names::refuse_own(&inode)?;
            let vault = inode.vault.ok_or(Error::NotFound)?;
            let old = match inode.content {
                None => None,
                Some(id) => Some(content(tx, id)?),
            };
            match old {
                Some(Content { id, state: State::Dirty, file: Some(file), .. }) => {
                    Ok(Begun { content: id, file, fresh: false, freed: None })
                }
                Some(Content { id, state: State::Sealed, file: Some(file), .. }) => {
                    // Other bytes don't heal those that were lost.
                    tx.prepare_cached(&format!(
                        "UPDATE content SET state = 0, generation = generation + 1, due = NULL,
                         tries = CASE WHEN error LIKE '{DAMAGED}%' THEN tries ELSE 0 END,
                         error = CASE WHEN error LIKE '{DAMAGED}%' THEN error END
                         WHERE id = ?1"
                    ))?
                    .execute([id])?;
                    Ok(Begun { content: id, file, fresh: false, freed: None })
                }
                Some(old) if start == Start::Keep && !old.is_local() => Err(Error::NotLocal),
                old => {
                    insert_dirty(tx, fresh, vault, ino)?;
                    tx.prepare_cached("UPDATE inode SET content = ?2 WHERE ino = ?1")?
                        .execute(params![ino as i64, fresh])?;
                    let mut begun = Begun { content: fresh, file: fresh, fresh: true, freed: None };
                    if let Some(old) = old {
                        if let (Start::Keep, Some(file)) = (start, old.file) {
                            begun = Begun { file, fresh: false, ..begun };
                            tx.prepare_cached("UPDATE content SET file = NULL, present = NULL WHERE id = ?1")?
                                .execute([old.id])?;
                            tx.prepare_cached("UPDATE content SET file = ?2 WHERE id = ?1")?
                                .execute(params![fresh, file])?;
                        }
                        let (freed, archive) = let_go(tx, old.id)?;
                        begun.freed = freed;
                        if let Some(archive) = archive {
                            trash::keep_version(tx, &inode, old.id, &archive, now, trash::due(&archive, now, keep))?;
                        }
                    }
                    Ok(begun)
                }
            }
        })
    }

    /// Ends the writing of dirty contents: size and times are their files', and their uploads may start when they are due.
    /// An empty one vanishes (an archive holds at least one byte), and its file is doomed; answers those. One that isn't
    /// dirty, or isn't there, is left as it is.
    pub fn seal(&self, seals: &[Seal]) -> Result<Vec<ContentId>> {
        self.write(|tx| {
            let mut empty = Vec::new();
            for seal in seals {
                let size = seal.size as i64;
                let (ino, kept) = if size == 0 {
                    gone::note_unarchived(tx, seal.content, super::now())?;
                    let dropped = tx
                        .prepare_cached("DELETE FROM content WHERE id = ?1 AND state = 0 RETURNING ino, file")?
                        .query_row([seal.content], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
                        .optional()?;
                    let Some((ino, file)) = dropped else { continue };
                    doom(tx, file)?;
                    empty.push(seal.content);
                    (ino, None)
                } else {
                    let sealed = tx
                        .prepare_cached(
                            "UPDATE content SET state = 1, size = ?2, due = ?3 WHERE id = ?1 AND state = 0 RETURNING ino",
                        )?
                        .query_row(params![seal.content, size, seal.due], |row| row.get::<_, i64>(0))
                        .optional()?;
                    let Some(ino) = sealed else { continue };
                    (ino, Some(seal.content))
                };
                tx.prepare_cached(
                    "UPDATE inode SET content = ?2, size = ?3, mtime = ?4, ctime = MAX(ctime, ?5) WHERE ino = ?1",
                )?
                .execute(params![ino, kept, size, seal.mtime, seal.ctime])?;
            }
            Ok(empty)
        })
    }

    /// The dirty contents: at start, what was open for writing when the process died.
    pub fn dirty(&self) -> Result<Vec<Content>> {
        self.read(|conn| {
            let mut statement = conn.prepare(&select("c.state = 0"))?;
            let rows = statement.query_map([], Content::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Up to `limit` sealed contents whose upload may start at `now`, the longest due first, leaving out those that
    /// `skip` names.
    pub fn due(&self, now: i64, limit: usize, skip: &dyn Fn(ContentId, VaultId) -> bool) -> Result<Vec<Sealed>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, vault FROM content INDEXED BY content_due WHERE state = 1 AND due <= ?1 ORDER BY due",
            )?;
            let mut rows = statement.query([now])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, vault) = (row.get(0)?, row.get(1)?);
                if skip(id, vault) {
                    continue;
                }
                due.extend(sealed(conn, id)?);
                if due.len() >= limit {
                    break;
                }
            }
            Ok(due)
        })
    }

    /// When the next sealed content that isn't due at `now` will be.
    pub fn next_due(&self, now: i64) -> Result<Option<i64>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT due FROM content INDEXED BY content_due WHERE state = 1 AND due > ?1 ORDER BY due LIMIT 1",
            )?;
            Ok(statement.query_row([now], |row| row.get(0)).optional()?)
        })
    }

    /// Makes sealed contents due at `now`: `ids`, or all of them. Those whose upload has failed keep waiting for their next
    /// try, unless `failed_too`.
    pub fn make_due(&self, ids: Option<&[ContentId]>, failed_too: bool, now: i64) -> Result<()> {
        const SQL: &str = "UPDATE content SET due = ?1 WHERE state = 1 AND due > ?1 AND (tries = 0 OR ?2)";
        self.write(|tx| {
            match ids {
                None => {
                    tx.prepare_cached(SQL)?.execute(params![now, failed_too])?;
                }
                Some(ids) => {
                    let mut statement = tx.prepare_cached(&format!("{SQL} AND id = ?3"))?;
                    for id in ids {
                        statement.execute(params![now, failed_too, id])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// The clock was set back by `by` nanoseconds and shows `now`: what waits was told to wait by the old one.
    pub fn clock_set_back(&self, by: i64, now: i64) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE content SET due = due - ?1 WHERE state = 1 AND due > ?2")?.execute([by, now])?;
            tx.prepare_cached("UPDATE job SET created = created - ?1 WHERE created > ?2")?.execute([by, now])?;
            Ok(())
        })
    }

    /// Notes that the upload of generation `generation` of content `id` failed with `error`, and that it may be tried again
    /// at `due`. A content that was written to meanwhile starts afresh.
    pub fn upload_failed(&self, id: ContentId, generation: i64, error: &str, due: i64) -> Result<()> {
        self.write(|tx| {
            // What the disk has lost isn't healed by what the service says.
            tx.prepare_cached(&format!(
                "UPDATE content SET tries = tries + 1, due = ?4,
                 error = CASE WHEN error LIKE '{DAMAGED}%' THEN error ELSE ?3 END
                 WHERE id = ?1 AND generation = ?2 AND state = 1"
            ))?
            .execute(params![id, generation, error, due])?;
            Ok(())
        })
    }

    /// The file of generation `generation` of content `id`, which is sealed, has `size` bytes, and more than it had: another
    /// generation begins.
    pub fn grown(&self, id: ContentId, generation: i64, size: u64) -> Result<()> {
        self.write(|tx| {
            let grown = tx
                .prepare_cached(
                    "UPDATE content SET size = ?3, generation = generation + 1
                     WHERE id = ?1 AND generation = ?2 AND state = 1 AND size < ?3 RETURNING ino",
                )?
                .query_row(params![id, generation, size as i64], |row| row.get::<_, i64>(0))
                .optional()?;
            if let Some(ino) = grown {
                tx.prepare_cached("UPDATE inode SET size = ?2 WHERE ino = ?1")?.execute(params![ino, size as i64])?;
            }
            Ok(())
        })
    }

    /// Notes that the disk has lost bytes of content `id`, which isn't archived, as `error` says, which begins with [`DAMAGED`]; or
    /// that it has none any more that could be lost. Answers whether that is new.
    pub fn damage(&self, id: ContentId, error: Option<&str>) -> Result<bool> {
        self.write(|tx| {
            let changed = tx
                .prepare_cached(&format!(
                    "UPDATE content SET error = ?2, tries = ?2 IS NOT NULL
                     WHERE id = ?1 AND state < 2 AND (error LIKE '{DAMAGED}%') IS NOT (?2 IS NOT NULL)"
                ))?
                .execute(params![id, error])?;
            Ok(changed == 1)
        })
    }

    /// How many contents are sealed, and their bytes; and how many are dirty.
    pub fn queue(&self) -> Result<(u64, u64, u64)> {
        self.read(|conn| {
            let sealed = conn
                .prepare_cached(
                    "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM content INDEXED BY content_due WHERE state = 1",
                )?
                .query_row([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
            let dirty = conn
                .prepare_cached("SELECT COUNT(*) FROM content WHERE state = 0")?
                .query_row([], |row| row.get::<_, i64>(0))?;
            Ok((sealed.0, sealed.1, dirty as u64))
        })
    }

    /// Whether something waits for its upload that hasn't failed yet, in a vault that `skip` doesn't name.
    pub fn uploads_may_progress(&self, skip: &dyn Fn(VaultId) -> bool) -> Result<bool> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT vault FROM content INDEXED BY content_due WHERE state = 1 AND tries = 0")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if !skip(row.get(0)?) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// How many sealed contents there are whose upload has failed and is tried again.
    pub fn failed_uploads(&self) -> Result<u64> {
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached("SELECT COUNT(*) FROM content INDEXED BY content_due WHERE state = 1 AND tries > 0")?;
            Ok(statement.query_row([], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// Up to `limit` sealed contents whose upload has failed, the most often first, then the longest due.
    pub fn failed(&self, limit: usize) -> Result<Vec<Sealed>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id FROM content INDEXED BY content_due WHERE state = 1 AND tries > 0
                 ORDER BY tries DESC, due LIMIT ?1",
            )?;
            let ids: Vec<ContentId> =
                statement.query_map([limit as i64], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut found = Vec::new();
            for id in ids {
                found.extend(sealed(conn, id)?);
            }
            Ok(found)
        })
    }

    /// The sealed contents of vault `vault`.
    pub fn sealed_in(&self, vault: VaultId) -> Result<Vec<ContentId>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT id FROM content INDEXED BY content_due WHERE state = 1 AND vault = ?1")?;
            let rows = statement.query_map([vault], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Records that generation `generation` of content `id` is archived as `archive`; what is local of it counts as unsynced.
    /// Answers whether that content is still wanted as it was; if it isn't, the archive goes to the trash, as what `file` was
    /// when its upload began (its attributes, and its path in the vault).
    pub fn archived(
        &self,
        id: ContentId,
        generation: i64,
        archive: &Archive,
        file: Option<(&Inode, &[u8])>,
        now: i64,
    ) -> Result<bool> {
        let keep = self.trash_keep;
        self.write(|tx| {
            let row = archives::insert(tx, archive)?;
            let archive = Archive { row, ..archive.clone() };
            tx.prepare_cached("DELETE FROM upload WHERE content = ?1 AND generation = ?2")?
                .execute(params![id, generation])?;
            let changed = tx
                .prepare_cached(&format!(
                    "UPDATE content SET state = 2, archive = ?3, due = ?4, used = ?4, tries = 0, error = NULL
                     WHERE id = ?1 AND generation = ?2 AND state = 1 AND (error IS NULL OR error NOT LIKE '{DAMAGED}%')"
                ))?
                .execute(params![id, generation, row, now])?;
            match changed {
                0 => {
                    let due = trash::due(&archive, now, keep);
                    let like = file.map_or_else(|| Unowned::new(&archive), |(inode, _)| Unowned::like(inode));
                    let path = file.map_or(&b""[..], |(_, path)| path);
                    trash::keep_archive(tx, &archive, None, like, path, now, due)?;
                }
                // An inventory that was quicker than this note took it for a double.
                _ => trash::take_back(tx, row)?,
            }
            Ok(changed == 1)
        })
    }
}

pub(super) fn select(condition: &str) -> String {
    format!("SELECT {CONTENT} FROM content c LEFT JOIN archive a ON a.id = c.archive WHERE {condition}")
}

pub(super) fn content(conn: &Connection, id: ContentId) -> Result<Content> {
    let mut statement = conn.prepare_cached(&select("c.id = ?1"))?;
    Ok(statement.query_row([id], Content::from_row)?)
}

pub(super) fn content_if_any(conn: &Connection, id: ContentId) -> Result<Option<Content>> {
    use names::Optional;
    content(conn, id).optional()
}

/// A new dirty content, whose file in the store has its number.
pub(super) fn insert_dirty(tx: &Connection, id: ContentId, vault: VaultId, ino: Ino) -> Result<()> {
    tx.prepare_cached("INSERT INTO content (id, vault, ino, state, file) VALUES (?1, ?2, ?3, 0, ?1)")?
        .execute(params![id, vault, ino as i64])?;
    Ok(())
}

pub(super) fn doom(tx: &Connection, file: Option<FileId>) -> Result<()> {
    if let Some(file) = file {
        tx.prepare_cached("INSERT OR IGNORE INTO doomed (file) VALUES (?1)")?.execute([file])?;
    }
    Ok(())
}

/// Content `id` is wanted only for the trash, if at all: nothing of it stays local, and one that never reached the vault is
/// forgotten. Answers its file, doomed, and its archive.
pub(super) fn let_go(tx: &Connection, id: ContentId) -> Result<(Option<FileId>, Option<Archive>)> {
    let found = content(tx, id)?;
    doom(tx, found.file)?;
    match &found.archive {
        Some(_) => tx.prepare_cached("UPDATE content SET file = NULL, present = NULL WHERE id = ?1")?.execute([id])?,
        None => {
            gone::note_unarchived(tx, id, super::now())?;
            tx.prepare_cached("DELETE FROM content WHERE id = ?1")?.execute([id])?
        }
    };
    Ok((found.file, found.archive))
}

fn sealed(conn: &Connection, id: ContentId) -> Result<Option<Sealed>> {
    let content = content(conn, id)?;
    let inode = names::inode(conn, content.ino)?;
    let (vault, root) = conn
        .prepare_cached("SELECT name, root FROM vault WHERE id = ?1")?
        .query_row([content.vault], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64)))?;
    // One that has lost its name meanwhile is open somewhere, or about to be forgotten: it needs no archive.
    let Some(path) = names::path(conn, inode.ino, root)? else { return Ok(None) };
    let upload = archives::upload(conn, id)?.filter(|upload| upload.generation == content.generation);
    debug_assert_ne!(root, ROOT);
    Ok(Some(Sealed { content, inode, vault, path, upload }))
}
