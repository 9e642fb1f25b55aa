//! Retrieval jobs that were asked for: so that a restart adopts them and none is asked for twice.

use rusqlite::params;

use super::Catalog;
use super::Result;
use super::contents;
use super::types::Archive;
use super::types::ArchiveRow;
use super::types::Content;
use super::types::VaultId;

/// A retrieval job, or one about to be.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its row.
    pub id: i64,
    /// The vault.
    pub vault: VaultId,
    /// The vault's name.
    pub vault_name: String,
    /// The archive that it retrieves; none for an inventory.
    pub archive: Option<Archive>,
    /// First byte of the archive that it retrieves.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
    /// The tier that was asked for.
    pub tier: String,
    /// The service's name for it; none until the service has accepted it.
    pub job_id: Option<String>,
    /// When it was asked for, in nanoseconds since 1970.
    pub created: i64,
}

const JOB: &str = "SELECT j.id, j.vault, v.name, j.first, j.last, j.tier, j.job_id, j.created,
                   a.id, a.vault, a.archive_id, a.size, a.tree_hash, a.created
                   FROM job j JOIN vault v ON v.id = j.vault LEFT JOIN archive a ON a.id = j.archive";

impl Job {
    fn from_row(row: &rusqlite::Row) -> rusqlite::Result<Self> {
        Ok(Job {
            id: row.get(0)?,
            vault: row.get(1)?,
            vault_name: row.get(2)?,
            first: row.get::<_, i64>(3)? as u64,
            last: row.get::<_, i64>(4)? as u64,
            tier: row.get(5)?,
            job_id: row.get(6)?,
            created: row.get(7)?,
            archive: match row.get::<_, Option<ArchiveRow>>(8)? {
                None => None,
                Some(id) => Some(Archive::from_row(row, 8, id)?),
            },
        })
    }
}

impl Catalog {
    /// Plans a job for bytes `first..=last` of an archive (`None`: for the vault's inventory).
    pub fn plan_job(
        &self,
        vault: VaultId,
        archive: Option<ArchiveRow>,
        (first, last): (u64, u64),
        tier: &str,
        now: i64,
    ) -> Result<Job> {
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO job (vault, archive, first, last, tier, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![vault, archive, first as i64, last as i64, tier, now])?;
            let id = tx.last_insert_rowid();
            Ok(tx.prepare_cached(&format!("{JOB} WHERE j.id = ?1"))?.query_row([id], Job::from_row)?)
        })
    }

    /// Notes the name that the service gave to a planned job.
    pub fn job_accepted(&self, id: i64, job_id: &str) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE job SET job_id = ?2 WHERE id = ?1")?.execute(params![id, job_id])?;
            Ok(())
        })
    }

    /// Forgets a job: its output is here, or it failed, or it expired.
    pub fn drop_job(&self, id: i64) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// All jobs, the oldest first.
    pub fn jobs(&self) -> Result<Vec<Job>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{JOB} ORDER BY j.id"))?;
            let rows = statement.query_map([], Job::from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The content whose bytes are in archive `row`, if one still wants them.
    pub fn content_of(&self, row: ArchiveRow) -> Result<Option<Content>> {
        use super::names::Optional;
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&contents::select("c.archive = ?1"))?;
            statement.query_row([row], Content::from_row).map_err(Into::into).optional()
        })
    }
}
