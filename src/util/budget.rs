//! How much may be retrieved in a day and in a month, and whether something more still may.
//!
//! Days and months are those of UTC, as the service bills them. What is counted where is the catalog's (`catalog::budget`); here
//! is the arithmetic.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::Unit;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::money::Money;
use super::size;

/// What a limit may look like; the tail of every message about a bad one.
pub const ALLOWED: &str = "a size, a number of requests or an amount of US dollars, and /day or /month after it, such as 10G/day, \
                           1000requests/day or 5USD/month";

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;

/// An amount of retrieving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Retrieval jobs.
    pub requests: u64,
    /// Bytes that they retrieve.
    pub bytes: u64,
    /// What the service takes for that.
    pub cost: Money,
}

impl Amount {
    /// More than there ever is.
    const ENDLESS: Amount = Amount { requests: u64::MAX, bytes: u64::MAX, cost: Money(u64::MAX) };

    /// One job for `bytes` bytes that costs `cost`.
    pub fn job(bytes: u64, cost: Money) -> Self {
        Amount { requests: 1, bytes, cost }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Amount) -> Self {
        Amount {
            requests: self.requests.saturating_add(other.requests),
            bytes: self.bytes.saturating_add(other.bytes),
            cost: Money(self.cost.0.saturating_add(other.cost.0)),
        }
    }

    fn of(self, what: What) -> u64 {
        match what {
            What::Requests => self.requests,
            What::Bytes => self.bytes,
            What::Cost => self.cost.0,
        }
    }

    fn of_mut(&mut self, what: What) -> &mut u64 {
        match what {
            What::Requests => &mut self.requests,
            What::Bytes => &mut self.bytes,
            What::Cost => &mut self.cost.0,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = if self.requests == 1 { "request" } else { "requests" };
        write!(f, "{} {jobs}, {}, {}", self.requests, size::human(self.bytes), self.cost)
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The number of jobs.
    Requests,
    /// Bytes.
    Bytes,
    /// Money.
    Cost,
}

/// For how long a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A day (UTC).
    Day,
    /// A month (UTC).
    Month,
}

/// One limit, as people write it: `10G/day`, `1000requests/month`, `5USD/month`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What.
    pub what: What,
    /// For how long.
    pub period: Period,
    /// The most: requests, bytes, or billionths of a dollar.
    pub most: u64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a limit: allowed is {ALLOWED}");
        let (amount, period) = text.split_once('/').ok_or_else(bad)?;
        let period = match period.trim() {
            "day" => Period::Day,
            "month" => Period::Month,
            _ => return Err(bad()),
        };
        let amount = amount.trim();
        let requests = amount.strip_suffix("requests").or_else(|| amount.strip_suffix("request"));
        let (what, most) = match requests {
            Some(number) => (What::Requests, number.trim_end().parse().map_err(|_| bad())?),
            None => match (amount.parse::<Money>(), size::parse(amount)) {
                // A bare number is one of bytes; money names its currency.
                (_, Ok(bytes)) => (What::Bytes, bytes),
                (Ok(money), _) => (What::Cost, money.0),
                _ => return Err(bad()),
            },
        };
        Ok(Limit { what, period, most })
    }
}

/// The most of a day and of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of a day.
    pub day: Amount,
    /// Of a month.
    pub month: Amount,
}

impl Default for Budget {
    /// No limit.
    fn default() -> Self {
        Budget { day: Amount::ENDLESS, month: Amount::ENDLESS }
    }
}

impl Budget {
    /// The budget of some limits; of two for the same the smaller counts.
    pub fn new(limits: &[Limit]) -> Self {
        let mut budget = Budget::default();
        for limit in limits {
            let amount = match limit.period {
                Period::Day => &mut budget.day,
                Period::Month => &mut budget.month,
            };
            let most = amount.of_mut(limit.what);
            *most = limit.most.min(*most);
        }
        budget
    }

    /// The limits that there are, in the order of period and kind.
    pub fn limits(&self) -> Vec<Limit> {
        let mut limits = Vec::new();
        for (period, amount) in [(Period::Day, self.day), (Period::Month, self.month)] {
            for what in [What::Requests, What::Bytes, What::Cost] {
                let most = amount.of(what);
                if most != u64::MAX {
                    limits.push(Limit { what, period, most });
                }
            }
        }
        limits
    }

    /// Whether `more` may be spent at `now` (nanoseconds since 1970), when `spent` was already.
    ///
    /// # Errors
    /// [`Over`]: which limit it would pass, the one that holds longest.
    pub fn check(&self, spent: Spent, more: Amount, now: i64) -> Result<(), Over> {
        let periods = [(Period::Month, self.month, spent.month), (Period::Day, self.day, spent.day)];
        for (period, most, spent) in periods {
            for what in [What::Requests, What::Bytes, What::Cost] {
                let most = most.of(what);
                if spent.of(what).saturating_add(more.of(what)) > most && more.of(what) > 0 {
                    let limit = Limit { what, period, most };
                    let day = match period {
                        Period::Day => day_of(now) + 1,
                        Period::Month => next_month(day_of(now)),
                    };
                    return Err(Over { limit, spent: spent.of(what), wanted: more, until: day.saturating_mul(DAY) });
                }
            }
        }
        Ok(())
    }
}

/// What was spent in the current day and month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Of the day.
    pub day: Amount,
    /// Of the month.
    pub month: Amount,
}

impl Spent {
    /// What is counted against `limit`.
    pub fn against(&self, limit: Limit) -> u64 {
        match limit.period {
            Period::Day => self.day.of(limit.what),
            Period::Month => self.month.of(limit.what),
        }
    }
}

/// That something would pass a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// The limit.
    pub limit: Limit,
    /// What is counted against it.
    pub spent: u64,
    /// What was to be spent.
    pub wanted: Amount,
    /// When its next period begins, in nanoseconds since 1970.
    pub until: i64,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            Period::Day => "day",
            Period::Month => "month",
        };
        write!(f, "{} a {period}", self.what.show(self.most))
    }
}

impl What {
    /// A number of it for a person.
    pub fn show(self, number: u64) -> String {
        match self {
            What::Requests if number == 1 => "1 request".to_owned(),
            What::Requests => format!("{number} requests"),
            What::Bytes => size::human(number),
            What::Cost => Money(number).to_string(),
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = Timestamp::from_nanosecond(i128::from(self.until)).unwrap_or(Timestamp::MAX);
        write!(
            f,
            "it would take {}; of the budget of {}, {} are used, until {until:.0}",
            self.wanted,
            self.limit,
            self.limit.what.show(self.spent)
        )
    }
}

/// The day since 1970 (UTC) of `now`, in nanoseconds since 1970.
pub fn day_of(now: i64) -> i64 {
    now.div_euclid(DAY)
}

/// The first day since 1970 of the month that `day` is in.
pub fn month_of(day: i64) -> i64 {
    number(date(day).first_of_month())
}

/// The first day since 1970 of the month after the one that `day` is in.
pub fn next_month(day: i64) -> i64 {
    number(date(day).last_of_month()) + 1
}

fn date(day: i64) -> Date {
    let nanos = i128::from(day) * i128::from(DAY);
    // Every i64 of nanoseconds is within a Timestamp's range, so whoever made the day from one gets it back.
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

fn number(date: Date) -> i64 {
    let since = date.since((Unit::Day, Date::constant(1970, 1, 1)));
    // Both are dates of the calendar.
    since.map_or(i64::MAX / DAY, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: limits are read as people write them, and what isn't one is named with what is allowed.
    #[test]
    fn limits() {
        let limit = |text: &str| text.parse::<Limit>().map(|limit| (limit.what, limit.period, limit.most));
        assert_eq!(limit("10G/day"), Ok((What::Bytes, Period::Day, 10 << 30)));
        assert_eq!(limit("1000requests/month"), Ok((What::Requests, Period::Month, 1000)));
        assert_eq!(limit("1 request / day"), Ok((What::Requests, Period::Day, 1)));
        assert_eq!(limit("2.5USD/month"), Ok((What::Cost, Period::Month, 2_500_000_000)));
        for bad in ["10G", "10G/week", "many/day", "-1requests/day", "USD/day", ""] {
            assert!(limit(bad).expect_err("no limit").contains("such as 10G/day"), "{bad}");
        }
        let limits = ["10G/day", "5G/day", "7requests/month"].map(|text| text.parse::<Limit>().expect("a limit"));
        let budget = Budget::new(&limits);
        assert_eq!((budget.day.bytes, budget.month.requests, budget.day.requests), (5 << 30, 7, u64::MAX));
        assert_eq!(budget.limits(), [limits[1], limits[2]]);
    }

    /// Promise: a limit holds to the last unit, until its day or month is over; the message says what it would take.
    #[test]
    fn a_limit_holds_to_the_last_unit() {
        // 2026-02-28T12:00:00Z.
        let now = 1_772_280_000_000_000_000;
        let budget = Budget::new(&["3requests/day", "10requests/month"].map(|text| text.parse().expect("a limit")));
        let amount = |requests| Amount { requests, bytes: 1 << 20, cost: Money(50_000) };
        let spent = |day, month| Spent { day: amount(day), month: amount(month) };
        assert_eq!(budget.check(spent(2, 9), amount(1), now), Ok(()));
        let over = budget.check(spent(2, 9), amount(2), now).expect_err("over");
        assert_eq!((over.limit.period, over.spent), (Period::Month, 9));
        assert!(over.to_string().ends_with("until 2026-03-01T00:00:00Z"), "{over}");
        let over = budget.check(spent(3, 3), amount(1), now).expect_err("over");
        assert!(over.to_string().contains("1 request, 1.0 MiB"), "{over}");
        assert_eq!(over.until, (day_of(now) + 1) * DAY);
        assert_eq!(month_of(day_of(now)), day_of(now) - 27);
    }
}
