//! What of archived contents is local: it comes by recalls, and goes when it is evicted.

use rusqlite::Connection;
use rusqlite::params;

use super::Catalog;
use super::Error;
use super::Result;
use super::contents::content;
use super::contents::content_if_any;
use super::contents::doom;
use super::inherit;
use super::types::Content;
use super::types::ContentId;
use super::types::FileId;
use super::types::Present;
use super::types::State;
use super::types::now;

/// An archived content that has local bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cached {
    /// The content.
    pub id: ContentId,
    /// Its file in the store.
    pub file: FileId,
    /// How many bytes of it are local.
    pub bytes: u64,
    /// Whether some of it isn't.
    pub is_partial: bool,
    /// About when it was last used, in nanoseconds since 1970.
    pub used: i64,
}

/// What became of contents that were to be evicted. One that isn't archived, or has no local bytes, is in neither list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Those whose local bytes are gone.
    pub gone: Vec<ContentId>,
    /// Those that are pinned, and stay.
    pub pinned: Vec<ContentId>,
}

impl Catalog {
    /// Gives content `id`, of which nothing was local, the store's file `file`, with nothing of it present yet.
    /// Answers the file that it has: another one if somebody was quicker.
    pub fn begin_recall(&self, id: ContentId, file: FileId) -> Result<FileId> {
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE content SET file = ?2, present = X'', due = NULL, used = MAX(used, ?3)
                 WHERE id = ?1 AND file IS NULL",
            )?
            .execute([id, file, now()])?;
            content(tx, id)?.file.ok_or(Error::NotFound)
        })
    }

    /// Records that the bytes `first..=last` of content `id` are in its file, and answers the content as it is now.
    pub fn recalled(&self, id: ContentId, file: FileId, first: u64, last: u64) -> Result<Content> {
        self.write(|tx| {
            let mut found = content(tx, id)?;
            if found.file != Some(file) {
                return Err(Error::NotFound);
            }
            if let Some(mut present) = found.present.take() {
                present.add(first, last);
                found.present = (!present.is_all(found.size)).then_some(present);
                tx.prepare_cached("UPDATE content SET present = ?2 WHERE id = ?1")?
                    .execute(params![id, found.present.as_ref().map(|present| &present.0)])?;
            }
            Ok(found)
        })
    }

    /// Lets go of the local bytes of content `id` if it is archived, pinned or not, and answers the file that held them. The file is
    /// doomed: if the process dies before it is removed, [`Catalog::doomed`] names it.
    pub fn evict(&self, id: ContentId) -> Result<Option<FileId>> {
        self.write(|tx| evict(tx, id))
    }

    /// As [`Catalog::evict`], for those of `ids` that aren't pinned.
    pub fn evict_unpinned(&self, ids: &[ContentId]) -> Result<Evicted> {
        self.write(|tx| {
            let pinned = inherit::pinned(tx, ids)?;
            let mut evicted = Evicted::default();
            for id in ids {
                if !pinned.contains(id) {
                    evicted.gone.extend(evict(tx, *id)?.map(|_| *id));
                } else if cached(tx, *id)? {
                    evicted.pinned.push(*id);
                }
            }
            Ok(evicted)
        })
    }

    /// Up to `limit` archived contents that have local bytes, after the file `after` of the store, in the order of their files: what
    /// the cache holds. That order stays, whatever is used meanwhile.
    pub fn cached(&self, after: Option<FileId>, limit: usize) -> Result<Vec<Cached>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, file, size, present, used FROM content INDEXED BY content_local
                 WHERE state = 2 AND file IS NOT NULL AND file > ?1 ORDER BY file LIMIT ?2",
            )?;
            let rows = statement.query_map(params![after.unwrap_or(FileId::MIN), limit as i64], |row| {
                let size = row.get::<_, i64>(2)? as u64;
                let present = row.get::<_, Option<Vec<u8>>>(3)?.map(Present);
                let is_partial = present.is_some();
                let bytes = present.map_or(size, |present| present.bytes(size));
                Ok(Cached { id: row.get(0)?, file: row.get(1)?, bytes, is_partial, used: row.get(4)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Records when contents were used last, each with its time. One that was used later already stays as it is.
    pub fn used(&self, contents: &[(ContentId, i64)]) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE content SET used = ?2 WHERE id = ?1 AND used < ?2")?;
            for (id, at) in contents {
                statement.execute([id, at])?;
            }
            Ok(())
        })
    }

    /// The archived contents with a file of which nobody has said ([`Catalog::synced`]) that it is on the disk: nobody has to sync a
    /// file before it is archived, and after a power cut it may be another than the vault has.
    pub fn unsynced(&self) -> Result<Vec<ContentId>> {
        self.read(|conn| {
            let mut statement = conn.prepare(
                "SELECT id FROM content INDEXED BY content_unsynced
                 WHERE state = 2 AND file IS NOT NULL AND due IS NOT NULL",
            )?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Records that the files of archived contents are on the disk.
    pub fn synced(&self, ids: &[ContentId]) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE content SET due = NULL WHERE id = ?1 AND state = 2")?;
            for id in ids {
                statement.execute([id])?;
            }
            Ok(())
        })
    }

    /// The files in the store that nothing needs, and that may still be there.
    pub fn doomed(&self) -> Result<Vec<FileId>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT file FROM doomed LIMIT 10000")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Forgets doomed files that have been removed.
    pub fn removed(&self, files: &[FileId]) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("DELETE FROM doomed WHERE file = ?1")?;
            for file in files {
                statement.execute([file])?;
            }
            Ok(())
        })
    }
}

/// Takes the file from content `id` if it is archived, and dooms it.
fn evict(tx: &Connection, id: ContentId) -> Result<Option<FileId>> {
    let Some(found) = content_if_any(tx, id)? else { return Ok(None) };
    if found.state != State::Archived || found.file.is_none() {
        return Ok(None);
    }
    tx.prepare_cached("UPDATE content SET file = NULL, present = NULL WHERE id = ?1")?.execute([id])?;
    doom(tx, found.file)?;
    Ok(found.file)
}

/// Whether content `id` is archived and has local bytes.
fn cached(conn: &Connection, id: ContentId) -> Result<bool> {
    let found = content_if_any(conn, id)?;
    Ok(found.is_some_and(|found| found.state == State::Archived && found.file.is_some()))
}
