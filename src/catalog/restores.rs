//! Restores: lists of contents that somebody has asked to become local, and how far that is.
//!
//! A restore's jobs are in the queue of all retrievals, where they are counted in the budget only when their turn comes. An item is
//! a content that isn't wholly local yet: it goes with the end of its last job, in the same transaction, whoever wanted that job.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Content;
use super::Result;
use super::contents;
use super::planning;
use super::planning::Terms;
use super::types::ContentId;
use crate::util::tier::Tier;

/// How many restores that have ended are kept for people to look at.
const KEPT: i64 = 100;
/// How many items are taken away in one transaction.
const BATCH: i64 = 500;

/// A restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Its number.
    pub id: i64,
    /// The paths, for people.
    pub what: String,
    /// The tier.
    pub tier: Tier,
    /// Bytes an hour; none: all at once.
    pub rate: Option<u64>,
    /// When it was asked for, in nanoseconds since 1970, as all times here.
    pub created: i64,
    /// When its last job is to be asked for.
    pub due: i64,
    /// When nothing was left of it.
    pub ended: Option<i64>,
    /// Whether somebody ended it.
    pub cancelled: bool,
    /// Files that weren't local.
    pub files: u64,
    /// Their bytes that weren't.
    pub bytes: u64,
    /// Of these, what is local now.
    pub done_files: u64,
    /// Likewise in bytes.
    pub done_bytes: u64,
    /// Files that won't be.
    pub failed: u64,
}

/// What a restore that hasn't ended waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreState {
    /// The service works on jobs of it, or their output is fetched.
    UnderWay,
    /// Its next job is asked for then.
    Waiting(i64),
    /// Its next job is held until then, for this reason.
    Held(i64, String),
}

/// A file that a restore couldn't bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreFailure {
    /// Its path from the mount's root; empty if it has none any more.
    pub path: Vec<u8>,
    /// Why.
    pub why: String,
}

const RESTORE: &str =
    "SELECT id, what, tier, rate, created, due, ended, cancelled, files, bytes, done_files, done_bytes, failed
                       FROM restore WHERE planned = 1";

impl Restore {
    fn from_row(row: &rusqlite::Row) -> rusqlite::Result<Self> {
        Ok(Restore {
            id: row.get(0)?,
            what: row.get(1)?,
            tier: row.get::<_, String>(2)?.parse().unwrap_or_default(),
            rate: row.get(3)?,
            created: row.get(4)?,
            due: row.get(5)?,
            ended: row.get(6)?,
            cancelled: row.get(7)?,
            files: row.get(8)?,
            bytes: row.get(9)?,
            done_files: row.get(10)?,
            done_bytes: row.get(11)?,
            failed: row.get(12)?,
        })
    }

    /// When the next of its jobs is to be asked for, if those before it are for `bytes` bytes.
    fn due_after(&self, bytes: u64) -> i64 {
        let Some(rate) = self.rate.filter(|rate| *rate > 0) else { return self.created };
        let wait = u128::from(bytes) * 3_600_000_000_000 / u128::from(rate);
        self.created.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }
}

impl Catalog {
    /// Begins a restore, to which contents are added until [`Catalog::restore_planned`]. Nobody sees it before, and one that a
    /// restart finds so is taken away.
    pub fn begin_restore(&self, what: &str, tier: Tier, rate: Option<u64>, now: i64) -> Result<Restore> {
        self.write(|tx| {
            tx.prepare_cached("INSERT INTO restore (what, tier, rate, created, due) VALUES (?1, ?2, ?3, ?4, ?4)")?
                .execute(params![what, tier.as_str(), rate.map(|rate| rate as i64), now])?;
            let id = tx.last_insert_rowid();
            let what = what.to_owned();
            let (created, due) = (now, now);
            let (ended, cancelled) = (None, false);
            let (files, bytes, done_files, done_bytes, failed) = (0, 0, 0, 0, 0);
            Ok(Restore {
                id,
                what,
                tier,
                rate,
                created,
                due,
                ended,
                cancelled,
                files,
                bytes,
                done_files,
                done_bytes,
                failed,
            })
        })
    }

    /// Adds contents to `restore`, which counts them, and plans the retrievals that they lack. What is local is left out.
    pub fn add_to_restore(&self, restore: &mut Restore, ids: &[ContentId], terms: &Terms) -> Result<()> {
        let added = self.write(|tx| {
            let mut grown = restore.clone();
            for id in ids {
                let Some(content) = contents::content_if_any(tx, *id)? else { continue };
                let Some(archive) = content.archive.as_ref().filter(|_| !content.is_local()) else { continue };
                let missing = content.size - content.local_bytes();
                let is_new = tx
                    .prepare_cached("INSERT OR IGNORE INTO restore_item (content, restore, bytes) VALUES (?1, ?2, ?3)")?
                    .execute(params![id, grown.id, missing as i64])?;
                if is_new == 0 {
                    continue;
                }
                let mut before = grown.bytes;
                for (first, last) in planning::missing_of(tx, &content, (0, content.size - 1), terms)? {
                    let due = grown.due_after(before);
                    before += last - first + 1;
                    tx.prepare_cached(
                        "INSERT INTO job (vault, archive, first, last, tier, created, due, reader)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
                    )?
                    .execute(params![
                        archive.vault,
                        archive.row,
                        first as i64,
                        last as i64,
                        grown.tier.as_str(),
                        terms.now,
                        due
                    ])?;
                    grown.due = grown.due.max(due);
                }
                grown.files += 1;
                grown.bytes += missing;
            }
            Ok(grown)
        })?;
        *restore = added;
        Ok(())
    }

    /// All of `restore` is there: from now on it is one. One that has nothing to bring has ended.
    pub fn restore_planned(&self, restore: &Restore, now: i64) -> Result<()> {
        self.write(|tx| {
            // What came while the rest was planned was counted as done already.
            tx.prepare_cached("UPDATE restore SET planned = 1, files = ?2, bytes = ?3, due = ?4 WHERE id = ?1")?
                .execute(params![restore.id, restore.files as i64, restore.bytes as i64, restore.due])?;
            end_if_over(tx, restore.id, now)?;
            tx.prepare_cached(
                "DELETE FROM restore WHERE ended IS NOT NULL AND id <=
                 (SELECT id FROM restore WHERE ended IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?1)",
            )?
            .execute([KEPT])?;
            tx.prepare_cached(
                "DELETE FROM restore_item WHERE error IS NOT NULL AND restore NOT IN (SELECT id FROM restore)",
            )?
            .execute([])?;
            Ok(())
        })
    }

    /// The restores, the newest first: those that haven't ended, and the last that have.
    pub fn restores(&self) -> Result<Vec<Restore>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{RESTORE} ORDER BY id DESC"))?;
            let rows = statement.query_map([], Restore::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One restore.
    pub fn restore(&self, id: i64) -> Result<Option<Restore>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{RESTORE} AND id = ?1"))?;
            Ok(statement.query_row([id], Restore::from_row).optional()?)
        })
    }

    /// What restore `id` waits for, judged by some of its items.
    pub fn restore_state(&self, id: i64, now: i64) -> Result<RestoreState> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT j.state, j.due, j.held FROM
                    (SELECT content FROM restore_item WHERE restore = ?1 AND error IS NULL ORDER BY content LIMIT 200) i
                 JOIN content c ON c.id = i.content JOIN job j ON j.archive = c.archive
                 ORDER BY j.state DESC, j.due LIMIT 1",
            )?;
            let found = statement.query_row([id], |row| {
                let (state, due, held): (i64, i64, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(match held {
                    _ if state > 0 => RestoreState::UnderWay,
                    Some(why) if due > now => RestoreState::Held(due, why),
                    _ => RestoreState::Waiting(due),
                })
            });
            Ok(found.optional()?.unwrap_or(RestoreState::UnderWay))
        })
    }

    /// The files that restore `id` couldn't bring, `limit` at most.
    pub fn restore_failures(&self, id: i64, limit: usize) -> Result<Vec<RestoreFailure>> {
        let failed: Vec<(ContentId, String)> = self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT content, error FROM restore_item WHERE restore = ?1 AND error IS NOT NULL LIMIT ?2",
            )?;
            let rows = statement.query_map(params![id, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        let mut failures = Vec::new();
        for (content, why) in failed {
            let path = match self.contents(&[content])?.pop() {
                Some(content) => self.path(content.ino)?.unwrap_or_default(),
                None => Vec::new(),
            };
            failures.push(RestoreFailure { path, why });
        }
        Ok(failures)
    }

    /// Ends restore `id`: what only it wants and the service wasn't asked for isn't asked for. Answers whether it was still going on.
    pub fn cancel_restore(&self, id: i64, now: i64) -> Result<bool> {
        let was_going_on = self.write(|tx| {
            let ended = tx
                .prepare_cached("UPDATE restore SET ended = ?2, cancelled = 1 WHERE id = ?1 AND ended IS NULL")?
                .execute(params![id, now])?;
            Ok(ended > 0)
        })?;
        while was_going_on && self.write(|tx| take_items(tx, id, true))? {}
        Ok(was_going_on)
    }

    /// Takes away the restores whose planning was cut off: nobody was told that there are any.
    pub fn drop_unplanned_restores(&self) -> Result<usize> {
        let ids: Vec<i64> = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT id FROM restore WHERE planned = 0")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        ids.iter().try_for_each(|id| self.drop_restore(*id))?;
        Ok(ids.len())
    }

    /// Takes away restore `id`, with what only it wants and the service wasn't asked for.
    pub fn drop_restore(&self, id: i64) -> Result<()> {
        // Nothing is being asked for yet.
        while self.write(|tx| take_items(tx, id, false))? {}
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM restore WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// Forgets a job whose output is here, and the items that it was the last job of.
    pub fn job_done(&self, job: i64, now: i64) -> Result<()> {
        self.write(|tx| {
            let content = content_of_job(tx, job)?;
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job])?;
            let Some(content) = content else { return Ok(()) };
            if content.is_local() {
                return settle(tx, content.id, &End::Local, now);
            }
            let has_more = match &content.archive {
                Some(archive) => tx.prepare_cached("SELECT 1 FROM job WHERE archive = ?1")?.exists([archive.row])?,
                None => false,
            };
            match has_more {
                true => Ok(()),
                false => settle(tx, content.id, &End::Failed("it was evicted before all of it was here"), now),
            }
        })
    }

    /// Forgets a job whose output won't come, and notes why with the items that wait for it. What only they wanted of the same content
    /// isn't asked for any more.
    pub fn job_failed(&self, job: i64, why: &str, now: i64) -> Result<()> {
        self.write(|tx| {
            let content = content_of_job(tx, job)?;
            planning::forget_charge(tx, job)?;
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job])?;
            match content {
                Some(content) => settle(tx, content.id, &End::Failed(why), now),
                None => Ok(()),
            }
        })
    }

    /// Forgets a job that no file wants any more, and the items that waited for it.
    pub fn job_unwanted(&self, job: i64, now: i64) -> Result<()> {
        self.write(|tx| {
            let content = content_of_job(tx, job)?;
            planning::forget_charge(tx, job)?;
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job])?;
            match content {
                Some(content) => settle(tx, content.id, &End::Gone, now),
                None => Ok(()),
            }
        })
    }
}

/// What became of an item.
enum End<'a> {
    /// It is wholly local.
    Local,
    /// It won't be, for this reason.
    Failed(&'a str),
    /// No file has it any more.
    Gone,
}

/// The content that a job's archive has, if there is one still.
fn content_of_job(tx: &Connection, job: i64) -> Result<Option<Content>> {
    let mut statement =
        tx.prepare_cached("SELECT c.id FROM job j JOIN content c ON c.archive = j.archive WHERE j.id = ?1")?;
    match statement.query_row([job], |row| row.get(0)).optional()? {
        Some(id) => contents::content_if_any(tx, id),
        None => Ok(None),
    }
}

/// Notes what became of content `id` with every restore that waits for it.
fn settle(tx: &Connection, id: ContentId, end: &End, now: i64) -> Result<()> {
    let mut statement =
        tx.prepare_cached("SELECT restore, bytes FROM restore_item WHERE content = ?1 AND error IS NULL")?;
    let items: Vec<(i64, i64)> =
        statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (restore, bytes) in items {
        let count = match end {
            End::Local => "UPDATE restore SET done_files = done_files + 1, done_bytes = done_bytes + ?2 WHERE id = ?1",
            End::Gone => "UPDATE restore SET files = files - 1, bytes = bytes - ?2 WHERE id = ?1",
            End::Failed(_) => "UPDATE restore SET failed = failed + 1 WHERE id = ?1 AND ?2 >= 0",
        };
        tx.prepare_cached(count)?.execute([restore, bytes])?;
        match end {
            End::Local | End::Gone => {
                tx.prepare_cached("DELETE FROM restore_item WHERE content = ?1 AND restore = ?2")?
                    .execute([id, restore])?;
            }
            End::Failed(why) => {
                tx.prepare_cached("UPDATE restore_item SET error = ?3 WHERE content = ?1 AND restore = ?2")?
                    .execute(params![id, restore, why])?;
            }
        }
        end_if_over(tx, restore, now)?;
    }
    drop_unwanted_jobs(tx, id, true)
}

/// Forgets the jobs for content `id` that only restores wanted, and none does any more, unless the service was asked for them, or, with
/// `is_asking`, may be being asked for them now: these are counted, and nobody else can have what they are counted for.
fn drop_unwanted_jobs(tx: &Connection, id: ContentId, is_asking: bool) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "SELECT j.id FROM content c JOIN job j ON j.archive = c.archive
         WHERE c.id = ?1 AND j.state = 0 AND j.reader = 0 AND NOT (?2 AND j.charged IS NOT NULL AND j.held IS NULL)
         AND NOT EXISTS (SELECT 1 FROM restore_item i WHERE i.content = c.id AND i.error IS NULL)",
    )?;
    let jobs = statement.query_map(params![id, is_asking], |row| row.get(0))?;
    for job in jobs.collect::<rusqlite::Result<Vec<i64>>>()? {
        planning::forget_charge(tx, job)?;
        tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job])?;
    }
    Ok(())
}

/// Notes that a restore has ended if nothing is left of it.
fn end_if_over(tx: &Connection, restore: i64, now: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE restore SET ended = ?2 WHERE id = ?1 AND planned = 1 AND ended IS NULL AND NOT EXISTS
         (SELECT 1 FROM restore_item WHERE restore = ?1 AND error IS NULL)",
    )?
    .execute([restore, now])?;
    Ok(())
}

/// Takes away some items of a restore, with the planned jobs that nobody else wants ([`drop_unwanted_jobs`]). Answers whether there
/// were any.
fn take_items(tx: &Connection, restore: i64, is_asking: bool) -> Result<bool> {
    let mut statement = tx.prepare_cached("SELECT content FROM restore_item WHERE restore = ?1 LIMIT ?2")?;
    let items: Vec<ContentId> =
        statement.query_map([restore, BATCH], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for content in &items {
        tx.prepare_cached("DELETE FROM restore_item WHERE content = ?1 AND restore = ?2")?
            .execute([*content, restore])?;
        drop_unwanted_jobs(tx, *content, is_asking)?;
    }
    Ok(!items.is_empty())
}

#[cfg(test)]
mod tests;
