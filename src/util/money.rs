//! Amounts of money, exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Billionths of a dollar that a dollar has.
const DOLLAR: u64 = 1_000_000_000;
/// Digits behind the point that this gives.
const DIGITS: usize = 9;

/// What an amount may look like; the tail of every message about a bad one.
pub const ALLOWED: &str = "an amount of US dollars with up to nine digits after the point, such as 5USD, 0.5USD or $5";

/// An amount of US dollars, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

impl Money {
    /// So many times this, or the most there can be.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Money(self.0.saturating_mul(count))
    }

    /// The share `part` of `whole` of this, a fraction of a billionth counting as a whole one. `whole` isn't 0.
    #[must_use]
    pub fn share(self, part: u64, whole: u64) -> Self {
        let share = (u128::from(self.0) * u128::from(part)).div_ceil(u128::from(whole));
        Money(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

impl Add for Money {
    type Output = Money;

    fn add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(all: I) -> Money {
        all.fold(Money::default(), Money::add)
    }
}

impl fmt::Display for Money {
    /// Dollars and cents; of less than ten cents so many digits that two of them aren't zero, so that something is never nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0 {
            0 => 2,
            // The first digit that isn't zero, and one more.
            below if below < DOLLAR / 10 => (DIGITS - below.ilog10() as usize + 1).min(DIGITS),
            _ => 2,
        };
        let unit = 10_u128.pow((DIGITS - digits) as u32);
        // Half a unit up, as people round.
        let rounded = (u128::from(self.0) + unit / 2) / unit;
        let whole = 10_u128.pow(digits as u32);
        f.pad(&format!("${}.{:0digits$}", rounded / whole, rounded % whole))
    }
}

impl FromStr for Money {
    type Err = String;

    /// Reads dollars, with `USD` behind or `$` before them.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not an amount of money: allowed is {ALLOWED}");
        let number = text.trim().strip_prefix('$').or_else(|| text.trim().strip_suffix("USD")).ok_or_else(bad)?;
        decimal(number.trim()).map(Money).ok_or_else(bad)
    }
}

/// The billionths that a decimal number of dollars is: digits, and perhaps a point and up to nine more.
pub fn decimal(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > DIGITS {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<DIGITS$}").parse().ok()?;
    whole.checked_mul(DOLLAR)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: amounts are shown to the cent, and small ones so that they aren't nothing.
    #[test]
    fn shown() {
        for (billionths, text) in [
            (0, "$0.00"),
            (1_234_567_890, "$1.23"),
            (999_999_999, "$1.00"),
            (100_000_000, "$0.10"),
            (12_345_678, "$0.012"),
            (50_000, "$0.000050"),
            (1, "$0.000000001"),
            (u64::MAX, "$18446744073.71"),
        ] {
            assert_eq!(Money(billionths).to_string(), text);
        }
    }

    /// Promise: amounts are read exactly, and what isn't one is named with what is allowed.
    #[test]
    fn read() {
        for (text, billionths) in [("5USD", 5_000_000_000), ("$0.5", 500_000_000), ("0.000000001 USD", 1)] {
            assert_eq!(text.parse(), Ok(Money(billionths)));
        }
        for bad in ["5", "USD", "-1USD", "1.0000000001USD", "$", "99999999999USD", "1e3USD", "5EUR", "$.5"] {
            assert!(bad.parse::<Money>().expect_err("no money").contains("such as 5USD"), "{bad}");
        }
    }

    /// Promise: a share is rounded up, and too much is the most.
    #[test]
    fn shares() {
        assert_eq!(Money(10).share(1, 3), Money(4));
        assert_eq!(Money(10).share(3, 3), Money(10));
        assert_eq!(Money(u64::MAX).share(2, 1), Money(u64::MAX));
        assert_eq!([Money(1), Money(2)].into_iter().sum::<Money>(), Money(3));
    }
}
