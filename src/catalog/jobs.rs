//! Retrievals that were asked for: the queue of recalls, which a restart finds as it was.

use std::collections::HashSet;

use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::Content;
use super::types::ContentId;
use super::types::VaultId;

/// How far a retrieval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The service doesn't know of it yet, as far as we know.
    Planned,
    /// The service has accepted it.
    Accepted,
    /// Its output can be fetched.
    Ready,
}

impl JobState {
    fn number(self) -> i64 {
        match self {
            JobState::Planned => 0,
            JobState::Accepted => 1,
            JobState::Ready => 2,
        }
    }

    fn of(number: i64) -> Self {
        match number {
            0 => JobState::Planned,
            1 => JobState::Accepted,
            _ => JobState::Ready,
        }
    }
}

/// A retrieval of an archive, or of a range of it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its row.
    pub id: i64,
    /// The vault.
    pub vault: VaultId,
    /// The vault's name.
    pub vault_name: String,
    /// The archive.
    pub archive: Archive,
    /// First byte of the archive that it retrieves.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
    /// The tier that was asked for.
    pub tier: String,
    /// How far it is.
    pub state: JobState,
    /// The service's name for it, once accepted.
    pub job_id: Option<String>,
    /// When it was planned, in nanoseconds since 1970.
    pub created: i64,
}

/// The retrievals of a vault that the service is at.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The vault.
    pub vault: VaultId,
    /// How many.
    pub jobs: u64,
}

const JOB: &str = "SELECT j.id, j.vault, v.name, j.first, j.last, j.tier, j.state, j.job_id, j.created,
                   a.id, a.vault, a.archive_id, a.size, a.tree_hash, a.created
                   FROM job j JOIN vault v ON v.id = j.vault JOIN archive a ON a.id = j.archive";

impl Job {
    fn from_row(row: &rusqlite::Row) -> rusqlite::Result<Self> {
        Ok(Job {
            id: row.get(0)?,
            vault: row.get(1)?,
            vault_name: row.get(2)?,
            first: row.get::<_, i64>(3)? as u64,
            last: row.get::<_, i64>(4)? as u64,
            tier: row.get(5)?,
            state: JobState::of(row.get(6)?),
            job_id: row.get(7)?,
            created: row.get(8)?,
            archive: Archive::from_row(row, 9, row.get(9)?)?,
        })
    }
}

impl Catalog {
    /// Plans retrievals of the ranges `windows` (inclusive) of content `id`'s archive, but not of what is local or
    /// covered by a retrieval that was asked for already. Answers how many were planned.
    pub fn plan_jobs(&self, id: ContentId, windows: &[(u64, u64)], tier: &str, now: i64) -> Result<usize> {
        self.write(|tx| {
            let content = contents::content(tx, id)?;
            let Some(archive) = &content.archive else { return Ok(0) };
            let mut planned = 0;
            for &(first, last) in windows {
                let covered = tx
                    .prepare_cached("SELECT 1 FROM job WHERE archive = ?1 AND first <= ?2 AND last >= ?3 LIMIT 1")?
                    .exists(params![archive.row, first as i64, last as i64])?;
                if covered || content.has(first, last) {
                    continue;
                }
                tx.prepare_cached(
                    "INSERT INTO job (vault, archive, first, last, tier, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![archive.vault, archive.row, first as i64, last as i64, tier, now])?;
                planned += 1;
            }
            Ok(planned)
        })
    }

    /// Up to `limit` jobs in a state, the oldest first, leaving out those that `skip` names.
    pub fn jobs(&self, state: JobState, limit: usize, skip: &dyn Fn(i64) -> bool) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{JOB} WHERE j.state = ?1 ORDER BY j.id"))?;
            let mut rows = statement.query([state.number()])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                if jobs.len() >= limit {
                    break;
                }
                if !skip(row.get(0)?) {
                    jobs.push(Job::from_row(row)?);
                }
            }
            Ok(jobs)
        })
    }

    /// The vaults in which the service is at something.
    pub fn waiting(&self) -> Result<Vec<Waiting>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT vault, COUNT(*) FROM job WHERE state = 1 GROUP BY vault")?;
            let rows = statement
                .query_map([], |row| Ok(Waiting { vault: row.get(0)?, jobs: row.get::<_, i64>(1)? as u64 }))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Up to `limit` jobs of a vault in a state, the oldest first.
    pub fn jobs_in(&self, vault: VaultId, state: JobState, limit: usize) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached(&format!("{JOB} WHERE j.state = ?1 AND j.vault = ?2 ORDER BY j.id LIMIT ?3"))?;
            let rows = statement.query_map(params![state.number(), vault, limit as i64], Job::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The jobs for an archive.
    pub fn jobs_of(&self, archive: ArchiveRow) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{JOB} WHERE j.archive = ?1 ORDER BY j.first"))?;
            let rows = statement.query_map([archive], Job::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Those of `archives` that there are jobs for.
    pub fn retrieved(&self, archives: &[ArchiveRow]) -> Result<HashSet<ArchiveRow>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT 1 FROM job WHERE archive = ?1 LIMIT 1")?;
            let mut found = HashSet::new();
            for archive in archives {
                if statement.exists([archive])? {
                    found.insert(*archive);
                }
            }
            Ok(found)
        })
    }

    /// Notes the name that the service gave to a planned job.
    pub fn job_accepted(&self, id: i64, job_id: &str) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE job SET job_id = ?2, state = 1 WHERE id = ?1")?.execute(params![id, job_id])?;
            Ok(())
        })
    }

    /// Notes that the output of jobs can be fetched.
    pub fn jobs_ready(&self, ids: &[i64]) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("UPDATE job SET state = 2 WHERE id = ?1")?;
            for id in ids {
                statement.execute([id])?;
            }
            Ok(())
        })
    }

    /// Notes that the service doesn't know a job any more: it is to be asked for again.
    pub fn job_lost(&self, id: i64) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE job SET job_id = NULL, state = 0 WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// Forgets a job: its output is here, or there won't be any.
    pub fn drop_job(&self, id: i64) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// The content whose bytes are in archive `row`, whether a file has it or not any more.
    pub fn content_once_of(&self, row: ArchiveRow) -> Result<Option<ContentId>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT id FROM content WHERE archive = ?1")?;
            Ok(statement.query_row([row], |row| row.get(0)).optional()?)
        })
    }

    /// The content whose bytes are in archive `row`, if a file has it.
    pub fn content_of(&self, row: ArchiveRow) -> Result<Option<Content>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&contents::select(
                "c.archive = ?1 AND EXISTS (SELECT 1 FROM inode i WHERE i.ino = c.ino AND i.content = c.id)
                 AND NOT EXISTS (SELECT 1 FROM trash t WHERE t.ino = c.ino)",
            ))?;
            Ok(statement.query_row([row], Content::from_row).optional()?)
        })
    }
}
