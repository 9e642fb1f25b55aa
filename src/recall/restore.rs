//! Restores: much that is to come back, asked for by a person, with its price told before.

use super::Recall;
use super::lock;
use crate::catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::Restore;
use crate::catalog::now;
use crate::prices::Prices;
use crate::service::Tier;
use crate::util::budget::Amount;
use crate::util::budget::Over;

/// What bringing contents back takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Contents that aren't local.
    pub files: u64,
    /// Their bytes that aren't.
    pub bytes: u64,
    /// Jobs that are to be asked for yet, the bytes that they retrieve, and what they cost. What is on its way isn't in it.
    pub jobs: Amount,
}

impl Recall {
    /// Adds to `estimate` what bringing `content` back at `tier` takes. Changes nothing.
    ///
    /// # Errors
    /// The catalog's.
    pub fn estimate(&self, content: &Content, tier: Tier, estimate: &mut Estimate) -> catalog::Result<()> {
        if content.archive.is_none() || content.is_local() {
            return Ok(());
        }
        estimate.files += 1;
        estimate.bytes += content.size - content.local_bytes();
        let wish = (0, content.size.saturating_sub(1));
        for (first, last) in self.with_terms(|terms| self.catalog.missing(content, wish, terms))? {
            let bytes = last - first + 1;
            estimate.jobs = estimate.jobs.plus(Amount::job(bytes, self.settings.prices.retrieval(tier, bytes)));
        }
        Ok(())
    }

    /// Begins a restore of `what` (for people) at `tier` (`None`: that of reads), at most `rate` bytes an hour if that is some.
    /// Contents are added by [`Recall::add_to_restore`], and it goes on by itself after [`Recall::go_on`].
    ///
    /// # Errors
    /// The catalog's.
    pub fn begin_restore(&self, what: &str, tier: Option<Tier>, rate: Option<u64>) -> catalog::Result<Restore> {
        self.catalog.begin_restore(what, tier.unwrap_or(self.settings.tier), rate, now())
    }

    /// Adds contents, of which those that are local are left out. What has failed before is tried again.
    ///
    /// # Errors
    /// The catalog's.
    pub fn add_to_restore(&self, restore: &mut Restore, ids: &[ContentId]) -> catalog::Result<()> {
        self.with_terms(|terms| self.catalog.add_to_restore(restore, ids, terms))?;
        let mut failures = lock(&self.failures);
        ids.iter().for_each(|id| _ = failures.pop(id));
        Ok(())
    }

    /// Says that all of a restore was added.
    ///
    /// # Errors
    /// The catalog's.
    pub fn go_on(&self, restore: &Restore) -> catalog::Result<()> {
        self.catalog.restore_planned(restore, now())?;
        self.planned.notify_one();
        Ok(())
    }

    /// Gives up a restore that not all was added to, as if it had never been begun.
    ///
    /// # Errors
    /// The catalog's.
    pub fn give_up(&self, restore: &Restore) -> catalog::Result<()> {
        self.catalog.drop_restore(restore.id)
    }

    /// Which limit of the budget `amount` would pass today, if any.
    ///
    /// # Errors
    /// The catalog's.
    pub fn over(&self, amount: Amount) -> catalog::Result<Option<Over>> {
        let now = now();
        Ok(self.settings.budget.check(self.catalog.spent(now)?, amount, now).err())
    }

    /// What estimates, and the budget, are made with.
    pub fn prices(&self) -> &Prices {
        &self.settings.prices
    }

    /// The tier of retrievals that reads start.
    pub fn tier(&self) -> Tier {
        self.settings.tier
    }
}
