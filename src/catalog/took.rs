//! How long retrievals took, the last of each tier: from that follows when others can be expected.

use std::time::Duration;

use rusqlite::params;

use super::Catalog;
use super::Result;
use crate::util::tier::Tier;

/// How many are kept of each tier.
const KEPT: i64 = 100;

impl Catalog {
    /// Notes how long a retrieval took, from its beginning to its end as the service says.
    pub fn note_took(&self, tier: Tier, took: Duration) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("INSERT INTO took (tier, seconds) VALUES (?1, ?2)")?
                .execute(params![tier.as_str(), took.as_secs_f64()])?;
            tx.prepare_cached(
                "DELETE FROM took WHERE tier = ?1 AND id <=
                 (SELECT id FROM took WHERE tier = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![tier.as_str(), KEPT])?;
            Ok(())
        })
    }

    /// How long the last retrievals of a tier took, the shortest first.
    pub fn took(&self, tier: Tier) -> Result<Vec<Duration>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT seconds FROM took WHERE tier = ?1 ORDER BY seconds")?;
            let rows = statement.query_map([tier.as_str()], |row| row.get::<_, f64>(0))?;
            let seconds = rows.collect::<rusqlite::Result<Vec<f64>>>()?;
            Ok(seconds.into_iter().filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok()).collect())
        })
    }

    /// When the oldest retrieval of each tier that the service is at was planned, in nanoseconds since 1970.
    pub fn oldest_accepted(&self) -> Result<Vec<(Tier, i64)>> {
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT tier, MIN(MAX(created, due)) FROM job WHERE state = 1 GROUP BY tier")?;
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?.parse().unwrap_or_default(), row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
