//! What is to be retrieved becomes jobs here, and is counted in the budget: in one transaction, so that nothing is asked for twice and
//! no limit is passed, however many want something at once.
//!
//! A job that a reader wants is counted when it is planned: the reader hears at once that it can't be. One that only a restore wants is
//! counted when its turn comes ([`Catalog::charge_job`]), and waits if it can't be. What isn't asked for on the day that it was
//! counted for is counted for the day on which it is.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use super::Catalog;
use super::Content;
use super::Job;
use super::Result;
use super::budget;
use super::contents;
use super::types::ArchiveRow;
use super::types::ContentId;
use crate::util::budget::Amount;
use crate::util::budget::Budget;
use crate::util::budget::Over;
use crate::util::budget::day_of;
use crate::util::money::Money;
use crate::util::size::MIB;
use crate::util::tier::Tier;

/// How retrievals are cut, priced and limited.
pub struct Terms<'a> {
    /// The ranges (inclusive) to retrieve of an archive of so many bytes for a wish (first and last byte), when the MiB for which
    /// the last argument answers true are here or on their way.
    pub ranges: &'a Ranges<'a>,
    /// What one job for so many bytes costs.
    pub price: &'a (dyn Fn(Tier, u64) -> Money + 'a),
    /// What may be spent.
    pub budget: &'a Budget,
    /// The time, in nanoseconds since 1970.
    pub now: i64,
}

/// See [`Terms::ranges`].
pub type Ranges<'a> = dyn Fn(u64, (u64, u64), &dyn Fn(u64) -> bool) -> Vec<(u64, u64)> + 'a;

/// What a reader's wish came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// So many jobs were planned, or brought forward; none where all is on its way.
    Jobs(usize),
    /// It would pass a limit. Nothing was planned, or, of what is only expected to be wanted, what came before.
    Over(Over),
}

/// What came of the turn of a planned job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is counted, and to be asked for at this tier, which may have changed since it was planned.
    Counted(Tier),
    /// It would pass a limit.
    Over(Over),
    /// There is no such job any more: it was cancelled, say.
    Gone,
}

/// A job of an archive, as far as planning goes.
struct Known {
    id: i64,
    first: u64,
    last: u64,
    is_planned: bool,
    is_charged: bool,
    by_reader: bool,
    tier: Tier,
}

impl Catalog {
    /// Plans retrievals of what is missing of the bytes `first..=last` of content `id`, at `tier` or a faster one that somebody has
    /// asked for already. What a restore only wants later is brought forward.
    ///
    /// `ahead` says that they are only expected to be wanted: then as many jobs are planned as the budget allows.
    pub fn plan_read(
        &self,
        id: ContentId,
        (first, last): (u64, u64),
        tier: Tier,
        ahead: bool,
        terms: &Terms,
    ) -> Result<Planned> {
        self.write(|tx| {
            let content = contents::content(tx, id)?;
            let Some(archive) = &content.archive else { return Ok(Planned::Jobs(0)) };
            let known = known(tx, archive.row)?;
            let is_later = |job: &&Known| {
                job.is_planned && !(job.is_charged && job.by_reader) && job.first <= last && job.last >= first
            };
            let later = known.iter().filter(is_later).map(|job| (Some(job.id), job.first, job.last, tier.min(job.tier)));
            let new = missing(&content, &known, (first, last), terms);
            let new = new.into_iter().map(|(first, last)| (None, first, last, tier));
            // What is planned and counted already keeps what it has.
            let jobs: Vec<_> = later.chain(new).collect();
            let amounts: Vec<_> = jobs
                .iter()
                .map(|(_, first, last, tier)| {
                    let bytes = last - first + 1;
                    Amount::job(bytes, (terms.price)(*tier, bytes))
                })
                .collect();
            if !ahead {
                let all = amounts.iter().fold(Amount::default(), |sum, amount| sum.plus(*amount));
                if let Some(over) = budget::charge(tx, terms.budget, all, terms.now)? {
                    return Ok(Planned::Over(over));
                }
            }
            let day = day_of(terms.now);
            for ((job, first, last, tier), amount) in jobs.iter().zip(amounts) {
                if ahead && let Some(over) = budget::charge(tx, terms.budget, amount, terms.now)? {
                    return Ok(Planned::Over(over));
                }
                let (tier, cost) = (tier.as_str(), amount.cost.0 as i64);
                match job {
                    Some(job) => {
                        forget_charge(tx, *job)?;
                        tx.prepare_cached(
                            "UPDATE job SET tier = ?2, charged = ?3, cost = ?4, reader = 1, due = 0, held = NULL WHERE id = ?1",
                        )?
                        .execute(params![job, tier, day, cost])?
                    }
                    None => tx
                        .prepare_cached(
                            "INSERT INTO job (vault, archive, first, last, tier, created, charged, cost)
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        )?
                        .execute(params![
                            archive.vault,
                            archive.row,
                            *first as i64,
                            *last as i64,
                            tier,
                            terms.now,
                            day,
                            cost
                        ])?,
                };
            }
            Ok(Planned::Jobs(jobs.len()))
        })
    }

    /// The ranges that are to be retrieved yet for the bytes `first..=last` of `content`: neither local nor on their way.
    pub fn missing(&self, content: &Content, wish: (u64, u64), terms: &Terms) -> Result<Vec<(u64, u64)>> {
        self.read(|conn| missing_of(conn, content, wish, terms))
    }

    /// Notes that the service doesn't know a job any more: what of it isn't here yet is to be asked for, and counted, again.
    pub fn job_lost(&self, job: i64, terms: &Terms) -> Result<()> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT c.id, j.first, j.last FROM job j LEFT JOIN content c ON c.archive = j.archive WHERE j.id = ?1",
            )?;
            let found = statement
                .query_row([job], |row| Ok((row.get::<_, Option<ContentId>>(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let Some((id, first, last)) = found else { return Ok(()) };
            if let Some(id) = id {
                let content = contents::content(tx, id)?;
                let mut others = content.archive.as_ref().map_or(Ok(Vec::new()), |archive| known(tx, archive.row))?;
                others.retain(|other| other.id != job);
                for range in missing(&content, &others, (first, last), terms) {
                    // The windows may have been others when it was planned.
                    let (first, last) = (range.0.max(first), range.1.min(last));
                    tx.prepare_cached(
                        "INSERT INTO job (vault, archive, first, last, tier, created, reader)
                         SELECT vault, archive, ?2, ?3, tier, created, reader FROM job WHERE id = ?1 AND ?2 <= ?3",
                    )?
                    .execute(params![job, first as i64, last as i64])?;
                }
            }
            tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job])?;
            Ok(())
        })
    }

    /// Has a planned job asked for at another tier than it was planned for.
    pub fn change_tier(&self, job: i64, tier: Tier) -> Result<()> {
        self.write(|tx| {
            forget_charge(tx, job)?;
            tx.prepare_cached("UPDATE job SET tier = ?2 WHERE id = ?1 AND state = 0")?
                .execute(params![job, tier.as_str()])?;
            Ok(())
        })
    }

    /// Counts a planned job for today, before the service is asked for it. If that would pass a limit, the job is held until the limit's
    /// next period, or dropped if no restore wants it: a reader hears of it now, and doesn't wait for tomorrow.
    pub fn charge_job(&self, job: &Job, terms: &Terms) -> Result<Turn> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT charged, tier FROM job WHERE id = ?1 AND archive = ?2 AND first = ?3 AND last = ?4 AND state = 0",
            )?;
            let found = statement
                .query_row(params![job.id, job.archive.row, job.first as i64, job.last as i64], |row| {
                    Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, String>(1)?))
                })
                .optional()?;
            let Some((charged, tier)) = found else { return Ok(Turn::Gone) };
            let tier: Tier = tier.parse().unwrap_or_default();
            if !is_wanted(tx, job.id)? {
                forget_charge(tx, job.id)?;
                tx.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([job.id])?;
                return Ok(Turn::Gone);
            }
            let day = day_of(terms.now);
            if charged == Some(day) {
                return Ok(Turn::Counted(tier));
            }
            forget_charge(tx, job.id)?;
            let bytes = job.last - job.first + 1;
            let amount = Amount::job(bytes, (terms.price)(tier, bytes));
            if let Some(over) = budget::charge(tx, terms.budget, amount, terms.now)? {
                tx.prepare_cached(
                    "DELETE FROM job WHERE id = ?1 AND reader = 1 AND NOT EXISTS
                     (SELECT 1 FROM content c JOIN restore_item i ON i.content = c.id
                      WHERE c.archive = job.archive AND i.error IS NULL)",
                )?
                .execute([job.id])?;
                tx.prepare_cached("UPDATE job SET due = ?2, held = ?3, reader = 0 WHERE id = ?1")?.execute(params![
                    job.id,
                    over.until,
                    format!("the budget of {} is used up", over.limit)
                ])?;
                return Ok(Turn::Over(over));
            }
            tx.prepare_cached("UPDATE job SET charged = ?2, cost = ?3, held = NULL WHERE id = ?1")?
                .execute(params![job.id, day, amount.cost.0 as i64])?;
            Ok(Turn::Counted(tier))
        })
    }

    /// Notes the name that the service gave to a planned job. One that was dropped while the service was asked for it is paid for all the
    /// same: it is counted again, whatever the budget says, and there again, so that its output is fetched.
    pub fn job_accepted(&self, job: &Job, job_id: &str, terms: &Terms) -> Result<()> {
        self.write(|tx| {
            let noted = tx
                .prepare_cached(
                    "UPDATE job SET job_id = ?5, state = 1, held = NULL
                     WHERE id = ?1 AND archive = ?2 AND first = ?3 AND last = ?4 AND state = 0",
                )?
                .execute(params![job.id, job.archive.row, job.first as i64, job.last as i64, job_id])?;
            if noted > 0 {
                return Ok(());
            }
            let bytes = job.last - job.first + 1;
            let amount = Amount::job(bytes, (terms.price)(job.tier, bytes));
            let day = day_of(terms.now);
            budget::count(tx, day, amount)?;
            tx.prepare_cached(
                "INSERT INTO job (vault, archive, first, last, tier, state, job_id, created, reader, charged, cost)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, 0, ?8, ?9)",
            )?
            .execute(params![
                job.vault,
                job.archive.row,
                job.first as i64,
                job.last as i64,
                job.tier.as_str(),
                job_id,
                job.created,
                day,
                amount.cost.0 as i64
            ])?;
            Ok(())
        })
    }
}

/// Whether a reader or a restore wants a planned job. One that was being asked for when its restore was cancelled is there still.
fn is_wanted(tx: &Connection, job: i64) -> Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT 1 FROM job j WHERE j.id = ?1 AND (j.reader = 1 OR EXISTS
         (SELECT 1 FROM content c JOIN restore_item i ON i.content = c.id WHERE c.archive = j.archive AND i.error IS NULL))",
    )?;
    Ok(statement.exists([job])?)
}

/// Takes back what is counted for a planned job.
pub(super) fn forget_charge(tx: &Connection, job: i64) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "SELECT charged, last - first + 1, cost FROM job WHERE id = ?1 AND state = 0 AND charged IS NOT NULL",
    )?;
    let found =
        statement.query_row([job], |row| Ok((row.get::<_, i64>(0)?, Amount::job(row.get(1)?, Money(row.get(2)?)))));
    if let Some((day, amount)) = found.optional()? {
        budget::refund(tx, day, amount)?;
        tx.prepare_cached("UPDATE job SET charged = NULL, cost = 0 WHERE id = ?1")?.execute([job])?;
    }
    Ok(())
}

/// See [`Catalog::missing`].
pub(super) fn missing_of(
    conn: &Connection,
    content: &Content,
    wish: (u64, u64),
    terms: &Terms,
) -> Result<Vec<(u64, u64)>> {
    match &content.archive {
        Some(archive) => Ok(missing(content, &known(conn, archive.row)?, wish, terms)),
        None => Ok(Vec::new()),
    }
}

fn known(conn: &Connection, archive: ArchiveRow) -> Result<Vec<Known>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, first, last, state, charged, reader, tier FROM job WHERE archive = ?1 ORDER BY first",
    )?;
    let rows = statement.query_map([archive], |row| {
        Ok(Known {
            id: row.get(0)?,
            first: row.get(1)?,
            last: row.get(2)?,
            is_planned: row.get::<_, i64>(3)? == 0,
            is_charged: row.get::<_, Option<i64>>(4)?.is_some(),
            by_reader: row.get(5)?,
            tier: row.get::<_, String>(6)?.parse().unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn missing(content: &Content, known: &[Known], wish: (u64, u64), terms: &Terms) -> Vec<(u64, u64)> {
    let Some(archive) = &content.archive else { return Vec::new() };
    let is_taken = |mib: u64| {
        let first = mib * MIB;
        let last = (first + MIB).min(archive.size) - 1;
        content.has(first, last) || known.iter().any(|job| job.first <= first && job.last >= last)
    };
    (terms.ranges)(archive.size, wish, &is_taken)
}
