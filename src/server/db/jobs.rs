//! Rows of jobs. Whether a job is still in progress isn't stored: it follows from the time.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::vaults::VaultAddress;
use super::{Tx, archives, objects, time};
use crate::glacier::treehash::TreeHash;

/// A job's row.
#[derive(Clone, Debug)]
pub(in crate::server) struct Job {
    pub id: i64,
    pub job_id: String,
    pub description: Option<String>,
    pub sns_topic: Option<String>,
    pub tier: Option<String>,
    pub created: Timestamp,
    pub completes: Timestamp,
    /// Why it fails then; `None` when it succeeds.
    pub failed: Option<String>,
    pub task: Task,
}

/// What a job retrieves.
#[derive(Clone, Debug)]
pub(in crate::server) enum Task {
    Archive {
        /// The archive's row.
        archive: i64,
        archive_id: String,
        archive_description: String,
        archive_size: u64,
        archive_tree_hash: TreeHash,
        /// The bytes retrieved, inclusive.
        first: u64,
        last: u64,
        /// Their tree hash, when they are tree-hash aligned.
        tree_hash: Option<TreeHash>,
    },
    Inventory {
        /// The request's parameters, as JSON.
        parameters: String,
        /// The marker that continues it.
        next_marker: Option<String>,
        /// The object that holds the document.
        output: i64,
        /// Its size in bytes.
        size: u64,
    },
}

/// What a new job is.
pub(in crate::server) struct NewJob {
    pub job_id: String,
    pub vault: i64,
    pub description: Option<String>,
    pub sns_topic: Option<String>,
    pub tier: Option<String>,
    pub created: Timestamp,
    pub completes: Timestamp,
    pub task: NewTask,
}

/// What a new job retrieves; members as in [`Task`].
pub(in crate::server) enum NewTask {
    Archive { archive: i64, first: u64, last: u64, tree_hash: Option<TreeHash> },
    Inventory { parameters: String, next_marker: Option<String>, output: i64 },
}

const SELECT: &str = "SELECT jobs.id, job_id, jobs.description, sns_topic, tier, jobs.created, completes, \
     archive, archive_id, archives.description, archives.size, archives.tree_hash, first, last, jobs.tree_hash, \
     inventory, next_marker, output, objects.size, failed \
     FROM jobs LEFT JOIN archives ON archives.id = archive LEFT JOIN objects ON objects.id = output";

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let task = match row.get(7)? {
        Some(archive) => Task::Archive {
            archive,
            archive_id: row.get(8)?,
            archive_description: row.get(9)?,
            archive_size: row.get(10)?,
            archive_tree_hash: TreeHash(row.get(11)?),
            first: row.get(12)?,
            last: row.get(13)?,
            tree_hash: row.get::<_, Option<_>>(14)?.map(TreeHash),
        },
        None => Task::Inventory {
            parameters: row.get(15)?,
            next_marker: row.get(16)?,
            output: row.get(17)?,
            size: row.get(18)?,
        },
    };
    Ok(Job {
        id: row.get(0)?,
        job_id: row.get(1)?,
        description: row.get(2)?,
        sns_topic: row.get(3)?,
        tier: row.get(4)?,
        created: time(row.get(5)?),
        completes: time(row.get(6)?),
        failed: row.get(19)?,
        task,
    })
}

/// The job of `vault` with an ID.
pub(in crate::server) fn find(connection: &Connection, vault: i64, job_id: &str) -> rusqlite::Result<Option<Job>> {
    connection
        .prepare_cached(&format!("{SELECT} WHERE job_id = ? AND jobs.vault = ?"))?
        .query_row(params![job_id, vault], job)
        .optional()
}

/// Adds a job.
pub(in crate::server) fn insert(tx: &Tx<'_>, new: &NewJob) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO jobs (job_id, vault, description, sns_topic, tier, created, completes) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        new.job_id,
        new.vault,
        new.description,
        new.sns_topic,
        new.tier,
        new.created.as_millisecond(),
        new.completes.as_millisecond()
    ])?;
    let id = tx.last_insert_rowid();
    match &new.task {
        NewTask::Archive { archive, first, last, tree_hash } => tx
            .prepare_cached("UPDATE jobs SET archive = ?, first = ?, last = ?, tree_hash = ? WHERE id = ?")?
            .execute(params![archive, first, last, tree_hash.map(|hash| hash.0), id]),
        NewTask::Inventory { parameters, next_marker, output } => tx
            .prepare_cached("UPDATE jobs SET inventory = ?, next_marker = ?, output = ? WHERE id = ?")?
            .execute(params![parameters, next_marker, output, id]),
    }
    .map(drop)
}

/// Which jobs of a vault a list holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Wanted {
    /// From the row after this one.
    pub after: i64,
    /// Only those that complete after this time ...
    pub completes_after: Timestamp,
    /// ... and at this time or before.
    pub completes_by: Timestamp,
    /// Only those that fail, or only those that don't.
    pub failed: Option<bool>,
}

/// At most `limit` of the wanted jobs, oldest first.
pub(in crate::server) fn page(
    connection: &Connection,
    vault: i64,
    wanted: Wanted,
    limit: usize,
) -> rusqlite::Result<Vec<Job>> {
    // The rows are chosen by the index alone, and only those of the page are read.
    let sql = format!(
        "{SELECT} WHERE jobs.id IN (SELECT id FROM jobs INDEXED BY jobs_by_vault \
         WHERE vault = ?1 AND id > ?2 AND completes > ?3 AND completes <= ?4 \
         AND (?5 IS NULL OR (failed IS NOT NULL) = ?5) ORDER BY id LIMIT ?6) ORDER BY jobs.id"
    );
    let Wanted { after, completes_after, completes_by, failed } = wanted;
    let (completes_after, completes_by) = (completes_after.as_millisecond(), completes_by.as_millisecond());
    connection
        .prepare_cached(&sql)?
        .query_map(params![vault, after, completes_after, completes_by, failed, limit], job)?
        .collect()
}

/// Whether a job has retrieved `archive` and hasn't been removed yet.
pub(in crate::server) fn retrieve(connection: &Connection, archive: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM jobs WHERE archive = ? AND failed IS NULL")?.exists([archive])
}

/// Fails the jobs over `archive` that are still in progress at `now`. Answers whether there are any.
pub(in crate::server) fn fail(tx: &Tx<'_>, archive: i64, now: Timestamp, reason: &str) -> rusqlite::Result<bool> {
    // One that was initiated while the clock was being read doesn't end before it began.
    let sql = "UPDATE jobs SET failed = ?1, completes = max(created, ?2) WHERE archive = ?3 AND completes > ?2";
    Ok(tx.prepare_cached(sql)?.execute(params![reason, now.as_millisecond(), archive])? > 0)
}

/// Whether there are jobs that were initiated after `time`, and complete after that.
pub(in crate::server) fn any_later(connection: &Connection, time: Timestamp) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM jobs WHERE completes > ?1 AND created > ?1";
    connection.prepare_cached(sql)?.exists([time.as_millisecond()])
}

/// Makes of those jobs ones that were initiated `now`, and take as long as they were to. Answers how many.
pub(in crate::server) fn begin_now(tx: &Tx<'_>, time: Timestamp, now: Timestamp) -> rusqlite::Result<usize> {
    let sql =
        "UPDATE jobs SET created = ?2, completes = completes - created + ?2 WHERE completes > ?1 AND created > ?1";
    tx.prepare_cached(sql)?.execute([time.as_millisecond(), now.as_millisecond()])
}

/// At most `limit` jobs that have completed by `now` and haven't been told of, with where their vaults are.
pub(in crate::server) fn untold(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<(Job, i64, VaultAddress)>> {
    let sql = format!(
        "SELECT found.*, vaults.id, account, region, name FROM ({SELECT} \
         WHERE NOT notified AND completes <= ? ORDER BY completes LIMIT ?) AS found \
         JOIN jobs ON jobs.id = found.id JOIN vaults ON vaults.id = jobs.vault ORDER BY jobs.completes, jobs.id"
    );
    let told_by = |row: &Row<'_>| {
        let address = VaultAddress {
            account: row.get::<_, String>(21)?.into(),
            region: row.get::<_, String>(22)?.into(),
            name: row.get(23)?,
        };
        Ok((job(row)?, row.get(20)?, address))
    };
    connection.prepare_cached(&sql)?.query_map(params![now.as_millisecond(), limit], told_by)?.collect()
}

/// Notes that everyone has been told of a job's completion, or is about to be.
pub(in crate::server) fn mark_told(tx: &Tx<'_>, id: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE jobs SET notified = TRUE WHERE id = ?")?.execute([id]).map(drop)
}

/// When the next job completes that nobody has been told of.
pub(in crate::server) fn next_untold(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let first: Option<i64> = connection
        .prepare_cached("SELECT min(completes) FROM jobs WHERE NOT notified")?
        .query_row([], |row| row.get(0))?;
    Ok(first.map(time))
}

/// Removes at most `limit` jobs that completed at `by` or before, with their outputs; only those that have been told of
/// if `told`. Answers how many.
pub(in crate::server) fn remove_completed(
    tx: &Tx<'_>,
    by: Timestamp,
    told: bool,
    limit: usize,
) -> rusqlite::Result<usize> {
    let ids: Vec<i64> = tx
        .prepare_cached("SELECT id FROM jobs WHERE completes <= ? AND (notified OR NOT ?) LIMIT ?")?
        .query_map(params![by.as_millisecond(), told, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        remove(tx, *id)?;
    }
    Ok(ids.len())
}

/// Removes all jobs of a vault, with their outputs.
pub(in crate::server) fn remove_all(tx: &Tx<'_>, vault: i64) -> rusqlite::Result<()> {
    let ids: Vec<i64> = tx
        .prepare_cached("SELECT id FROM jobs WHERE vault = ?")?
        .query_map([vault], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    ids.into_iter().try_for_each(|id| remove(tx, id))
}

/// Removes a job, and with it what only it still held: an inventory document, or the bytes of a deleted archive.
fn remove(tx: &Tx<'_>, id: i64) -> rusqlite::Result<()> {
    let (archive, output): (Option<i64>, Option<i64>) = tx
        .prepare_cached("DELETE FROM jobs WHERE id = ? RETURNING archive, output")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    objects::free(tx, output)?;
    if let Some(archive) = archive
        && archives::get(tx, archive)?.deleted
        && !retrieve(tx, archive)?
    {
        archives::free_bytes(tx, archive)?;
    }
    Ok(())
}
