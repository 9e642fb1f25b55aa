//! What is spent on retrievals, by day: counted before the service is asked, so that however many ask at once, no limit is passed.

use rusqlite::Connection;
use rusqlite::params;

use super::Catalog;
use super::Result;
use crate::util::budget::Amount;
use crate::util::budget::Budget;
use crate::util::budget::Over;
use crate::util::budget::Spent;
use crate::util::budget::day_of;
use crate::util::budget::month_of;
use crate::util::budget::next_month;
use crate::util::money::Money;

impl Catalog {
    /// What is counted for the day and the month of `now` (nanoseconds since 1970).
    pub fn spent(&self, now: i64) -> Result<Spent> {
        self.read(|conn| spent(conn, day_of(now)))
    }
}

/// Counts `more` for the day of `now`, if `budget` allows it; otherwise counts nothing and answers why.
pub(super) fn charge(tx: &Connection, budget: &Budget, more: Amount, now: i64) -> Result<Option<Over>> {
    let day = day_of(now);
    if let Err(over) = budget.check(spent(tx, day)?, more, now) {
        return Ok(Some(over));
    }
    count(tx, day, more)?;
    Ok(None)
}

/// Counts `more` for a day, whatever the budget says.
pub(super) fn count(tx: &Connection, day: i64, more: Amount) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO spent (day, requests, bytes, cost) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (day) DO UPDATE
         SET requests = requests + excluded.requests, bytes = bytes + excluded.bytes, cost = cost + excluded.cost",
    )?
    .execute(params![day, more.requests as i64, more.bytes as i64, more.cost.0 as i64])?;
    Ok(())
}

/// Takes back what was counted for a day, and was not spent.
pub(super) fn refund(tx: &Connection, day: i64, less: Amount) -> Result<()> {
    tx.prepare_cached(
        "UPDATE spent SET requests = requests - ?2, bytes = bytes - ?3, cost = cost - ?4 WHERE day = ?1",
    )?
    .execute(params![day, less.requests as i64, less.bytes as i64, less.cost.0 as i64])?;
    Ok(())
}

/// Of the whole month, also what a clock that was ahead has counted for days to come.
fn spent(conn: &Connection, day: i64) -> Result<Spent> {
    let mut statement =
        conn.prepare_cached("SELECT day, requests, bytes, cost FROM spent WHERE day >= ?1 AND day < ?2")?;
    let mut rows = statement.query([month_of(day), next_month(day)])?;
    let mut spent = Spent::default();
    while let Some(row) = rows.next()? {
        let cost = Money(row.get(3)?);
        let amount = Amount { requests: row.get(1)?, bytes: row.get(2)?, cost };
        spent.month = spent.month.plus(amount);
        if row.get::<_, i64>(0)? == day {
            spent.day = amount;
        }
    }
    Ok(spent)
}
