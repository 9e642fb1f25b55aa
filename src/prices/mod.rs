//! Temporary, until the real table is here.
use crate::util::money::Money;
use crate::util::tier::Tier;

/// What the service charges.
#[derive(Clone, Debug, Default)]
pub struct Prices;

impl Prices {
    /// What one retrieval of so many bytes costs.
    pub fn retrieval(&self, _: Tier, bytes: u64) -> Money {
        Money(50_000 + bytes / 107)
    }
}
