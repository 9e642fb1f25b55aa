//! Temporary.
use std::fmt;
/// Billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub u64);
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.9}", self.0 as f64 / 1e9)
    }
}
impl std::str::FromStr for Money {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("USD").ok_or("no")?.trim();
        Ok(Money((number.parse::<f64>().map_err(|_| "no")? * 1e9) as u64))
    }
}
