//! Retrievals that were asked for: the queue of recalls, which a restart finds as it was.

use std::collections::HashSet;

use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::planning;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::Content;
use super::types::ContentId;
use super::types::VaultId;
use crate::util::tier::Tier;

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
    /// The first byte of the archive in the job's output, which may be more than is wanted.
    pub base: u64,
    /// The tier that was asked for.
    pub tier: Tier,
    /// How far it is.
    pub state: JobState,
    /// The service's name for it, once accepted.
    pub job_id: Option<String>,
    /// When it was planned, in nanoseconds since 1970.
    pub created: i64,
    /// A planned one isn't asked for before, in nanoseconds since 1970.
    pub due: i64,
    /// Why a planned one is held until then, where somebody should know.
    pub held: Option<String>,
}

/// Planned jobs that are held for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldJobs {
    /// The reason.
    pub why: String,
    /// How many.
    pub jobs: u64,
    /// Bytes that they are for.
    pub bytes: u64,
    /// When the first of them is tried again, in nanoseconds since 1970.
    pub until: i64,
}

const JOB: &str =
    "SELECT j.id, j.vault, v.name, j.first, j.last, j.tier, j.state, j.job_id, j.created, j.base, j.due, j.held,
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
            tier: row.get::<_, String>(5)?.parse().unwrap_or_default(),
            state: JobState::of(row.get(6)?),
            job_id: row.get(7)?,
            created: row.get(8)?,
            base: row.get::<_, Option<u64>>(9)?.unwrap_or(row.get(3)?),
            due: row.get(10)?,
            held: row.get(11)?,
            archive: Archive::from_row(row, 12, row.get(12)?)?,
        })
    }
}

impl Catalog {
    /// Up to `limit` planned jobs whose time has come, those that readers want first.
    pub fn due_jobs(&self, now: i64, limit: usize) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached(&format!("{JOB} WHERE j.state = 0 AND j.due <= ?1 ORDER BY j.due, j.id LIMIT ?2"))?;
            let rows = statement.query_map(params![now, limit as i64], Job::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// When the time of the next planned job comes, in nanoseconds since 1970; none when none is planned.
    pub fn next_job_due(&self) -> Result<Option<i64>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT MIN(due) FROM job WHERE state = 0")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    /// Has the planned jobs of a tier wait until `until`, in nanoseconds since 1970, and notes why.
    pub fn hold_jobs(&self, tier: Tier, until: i64, why: &str) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE job SET due = ?2, held = ?3 WHERE state = 0 AND tier = ?1 AND due < ?2")?
                .execute(params![tier.as_str(), until, why])?;
            Ok(())
        })
    }

    /// Why planned jobs are held.
    pub fn held_jobs(&self, now: i64) -> Result<Vec<HeldJobs>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT held, COUNT(*), SUM(last - first + 1), MIN(due) FROM job
                 WHERE state = 0 AND held IS NOT NULL AND due > ?1 GROUP BY held ORDER BY MIN(due)",
            )?;
            let rows = statement.query_map([now], |row| {
                Ok(HeldJobs { why: row.get(0)?, jobs: row.get(1)?, bytes: row.get(2)?, until: row.get(3)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
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

    /// The vaults, by name, in which the service is at jobs.
    pub fn vaults_with_accepted(&self) -> Result<Vec<String>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT name FROM vault WHERE EXISTS (SELECT 1 FROM job WHERE job.vault = vault.id AND job.state = 1)",
            )?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The IDs of the jobs of the vault named `vault` that the service is at.
    pub fn accepted_ids(&self, vault: &str) -> Result<HashSet<String>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT j.job_id FROM vault v JOIN job j ON j.vault = v.id
                 WHERE v.name = ?1 AND j.state = 1 AND j.job_id IS NOT NULL",
            )?;
            let rows = statement.query_map([vault], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Those of the vault named `vault` that the service has accepted as `job_id`: more than one when they share its output.
    pub fn accepted_jobs(&self, vault: &str, job_id: &str) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached(&format!("{JOB} WHERE j.job_id = ?1 AND v.name = ?2 AND j.state = 1 ORDER BY j.id"))?;
            let rows = statement.query_map([job_id, vault], Job::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Whether the service is at a job still, as far as is noted.
    pub fn is_accepted(&self, job: &Job) -> Result<bool> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT 1 FROM job WHERE id = ?1 AND job_id IS ?2 AND state = 1")?;
            Ok(statement.exists(params![job.id, job.job_id])?)
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

    /// Notes that the service has a job already whose output, from byte `base` of the archive on, has all that a planned job wants.
    /// If it `is_anothers`, ours costs nothing.
    pub fn job_adopted(&self, id: i64, job_id: &str, base: u64, is_anothers: bool) -> Result<()> {
        self.write(|tx| {
            if is_anothers {
                planning::forget_charge(tx, id)?;
            }
            tx.prepare_cached("UPDATE job SET job_id = ?2, state = 1, base = ?3, held = NULL WHERE id = ?1")?
                .execute(params![id, job_id, base as i64])?;
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
