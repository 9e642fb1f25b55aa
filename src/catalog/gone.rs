//! What is gone, and what an inventory may list of it all the same: it lags by a day, and an archive may have come to be that nobody
//! here was told of, because the process died before the answer came. It mustn't bring back what was deleted.

use rusqlite::Connection;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::types::Archive;
use super::types::ContentId;
use super::types::VaultId;

/// After how long an inventory surely lists what was stored before, and nothing that was deleted before, in nanoseconds. It is up to a
/// day old when it is asked for (G07, "Retrieving vault inventory"), its job takes hours, and its output lives a day; the rest is for who
/// didn't fetch it at once.
const LISTED: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// Content `id`, which was never archived, goes at `now`: an archive of it may be in the vault if it was sent, or may have been.
pub(super) fn note_unarchived(tx: &Connection, id: ContentId, now: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO gone (content, vault, at) SELECT id, vault, ?2 FROM content
         WHERE id = ?1 AND (generation > 0 OR state = 1 AND (tries > 0 OR due <= ?2)
                            OR EXISTS (SELECT 1 FROM upload WHERE content = ?1))",
    )?
    .execute(params![id, now])?;
    Ok(())
}

/// Content `id` goes at `now`, and `archive`, which it had, was deleted from its vault.
pub(super) fn note_deleted(tx: &Connection, id: ContentId, archive: &Archive, now: i64) -> Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO gone (content, vault, archive_id, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, archive.vault, archive.archive_id, now])?;
    Ok(())
}

impl Catalog {
    /// An inventory of vault `vault` was held against the catalog at `now`: nothing has to be known any more of what went long before.
    /// Forgets up to `limit` of that, and answers how many it was.
    pub fn forget_gone(&self, vault: VaultId, now: i64, limit: usize) -> Result<usize> {
        self.write(|tx| {
            Ok(tx
                .prepare_cached(
                    "DELETE FROM gone WHERE content IN
                     (SELECT content FROM gone INDEXED BY gone_at WHERE vault = ?1 AND at < ?2 LIMIT ?3)",
                )?
                .execute(params![vault, now.saturating_sub(LISTED), limit as i64])?)
        })
    }
}

/// Whether the archive was deleted.
pub(super) fn has_archive(conn: &Connection, vault: VaultId, archive_id: &str) -> Result<bool> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM gone WHERE vault = ?1 AND archive_id = ?2")?;
    Ok(statement.exists(params![vault, archive_id])?)
}

/// Whether content `id` is gone.
pub(super) fn has_content(conn: &Connection, id: ContentId) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM gone WHERE content = ?1")?.exists([id])?)
}
