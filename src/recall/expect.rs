//! When retrievals can be expected: by how long the last of their tier took, or, before there were any, as the service says.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::lock;
use crate::catalog;
use crate::catalog::Catalog;
use crate::service::Tier;

/// How long the last retrievals took.
#[derive(Debug, Default)]
pub(super) struct Expectations(Mutex<HashMap<Tier, Range>>);

#[derive(Clone, Copy, Debug)]
struct Range {
    /// The shortest.
    soonest: Duration,
    /// What nine of ten took at most.
    usually: Duration,
}

impl Expectations {
    /// Those that follow from what `catalog` has noted.
    pub(super) fn load(catalog: &Catalog) -> Self {
        let all = Expectations::default();
        for tier in [Tier::Expedited, Tier::Standard, Tier::Bulk] {
            if let Err(error) = all.learn(catalog, tier) {
                log::warn!("how long retrievals took isn't known: {error}");
            }
        }
        all
    }

    /// Notes how long one took.
    pub(super) fn note(&self, catalog: &Catalog, tier: Tier, took: Duration) -> catalog::Result<()> {
        catalog.note_took(tier, took)?;
        self.learn(catalog, tier)
    }

    fn learn(&self, catalog: &Catalog, tier: Tier) -> catalog::Result<()> {
        let took = catalog.took(tier)?;
        if let (Some(soonest), Some(usually)) =
            (took.first(), took.get((took.len() * 9).div_ceil(10).saturating_sub(1)))
        {
            lock(&self.0).insert(tier, Range { soonest: *soonest, usually: *usually });
        }
        Ok(())
    }

    /// How long a retrieval of a tier takes, rather too long than too short (G23, "Archive Retrieval Options").
    pub(super) fn usually(&self, tier: Tier) -> Duration {
        lock(&self.0).get(&tier).map_or_else(
            || match tier {
                Tier::Expedited => Duration::from_secs(5 * 60),
                Tier::Standard => Duration::from_secs(5 * 3600),
                Tier::Bulk => Duration::from_secs(12 * 3600),
            },
            |range| range.usually,
        )
    }

    /// How long a retrieval of a tier takes at least, as far as is known: the service says only how long at most.
    pub(super) fn soonest(&self, tier: Tier) -> Duration {
        lock(&self.0).get(&tier).map_or(Duration::ZERO, |range| range.soonest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: what retrievals take is what the last of their tier took, nine of ten of them at most, also after a restart.
    #[test]
    fn the_last_ones_count() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let open = || Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog");
        let catalog = open();
        let expected = Expectations::load(&catalog);
        assert_eq!(expected.usually(Tier::Standard), Duration::from_secs(5 * 3600));
        assert_eq!(expected.soonest(Tier::Standard), Duration::ZERO);
        for seconds in [99_999; 20].into_iter().chain(1..=100) {
            expected.note(&catalog, Tier::Standard, Duration::from_secs(seconds)).expect("noted");
        }
        drop(catalog);
        let expected = Expectations::load(&open());
        assert_eq!(expected.usually(Tier::Standard), Duration::from_secs(90));
        assert_eq!(expected.soonest(Tier::Standard), Duration::from_secs(1));
        assert_eq!(expected.usually(Tier::Bulk), Duration::from_secs(12 * 3600));
    }
}
