//! The report of costs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Daemon;
use super::Server;
use super::answer::Failure;
use super::answer::blocking;
use crate::catalog::StoredIn;
use crate::catalog::Usage;
use crate::catalog::Used;
use crate::catalog::now;
use crate::catalog::stored;
use crate::control::wire::CostReport;
use crate::control::wire::Costs;
use crate::control::wire::PathText;
use crate::control::wire::TopCost;
use crate::control::wire::VaultCost;
use crate::prices::Prices;

pub(super) async fn cost(State(server): State<Arc<Server>>) -> Result<Json<CostReport>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || report(&daemon)).await?))
}

fn report(daemon: &Daemon) -> Result<CostReport, Failure> {
    let (prices, today) = (daemon.recall.prices(), Timestamp::now().to_zoned(TimeZone::UTC).date());
    let used = daemon.catalog.usage(now())?;
    let mut vaults = Vec::new();
    for vault in daemon.catalog.vaults()? {
        let (tops, trash) = stored(daemon.catalog.file(), vault.id, vault.root)?;
        let mine: Vec<&Used> = used.iter().filter(|used| used.vault == vault.id).collect();
        let mut names: Vec<&[u8]> =
            tops.iter().map(|top| &top.top[..]).chain(mine.iter().map(|used| &used.top[..])).collect();
        names.sort_unstable();
        names.dedup();
        let in_top = |name: &[u8]| {
            let stored = tops.iter().filter(|top| top.top == name);
            let used = mine.iter().copied().filter(|used| used.top == name);
            costs(prices, stored, used, today)
        };
        let top = |name: &[u8]| TopCost { name: PathText(name.to_vec()), costs: in_top(name) };
        vaults.push(VaultCost {
            all: costs(prices, tops.iter().chain([&trash]), mine.iter().copied(), today),
            trash_archives: trash.archives,
            trash_bytes: trash.bytes,
            tops: names.into_iter().map(top).collect(),
            vault: vault.name,
        });
    }
    let (region, prices_date) = (prices.region.clone(), prices.date.clone());
    Ok(CostReport { region, prices_date, month: today.strftime("%Y-%m").to_string(), vaults })
}

fn costs<'a>(
    prices: &Prices,
    stored: impl Iterator<Item = &'a StoredIn>,
    used: impl Iterator<Item = &'a Used>,
    today: Date,
) -> Costs {
    let mut costs = Costs::default();
    for stored in stored {
        costs.archives += stored.archives;
        costs.bytes += stored.bytes;
    }
    costs.storage = prices.storage_month(costs.bytes, costs.archives);
    for used in used {
        match used.what {
            Usage::Upload => {
                costs.upload_requests += used.requests;
                costs.uploads = prices.upload(costs.upload_requests);
            }
            Usage::Retrieval(tier) => {
                costs.retrieval_jobs += used.requests;
                costs.retrieved_bytes += used.bytes;
                costs.retrievals = costs.retrievals + prices.retrievals(tier, used.requests, used.bytes);
            }
            Usage::EarlyDeletion => {
                costs.early_deletions += used.requests;
                costs.early = costs.early + prices.early_deletion(used.bytes);
            }
        }
    }
    // A date has a day from 1 to 31.
    let (days, gone) = (today.days_in_month().unsigned_abs().into(), today.day().unsigned_abs().into());
    let going_on = (costs.uploads + costs.retrievals).share(days, gone);
    costs.projected = costs.storage + going_on + costs.early;
    costs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Tier;
    use crate::util::money::Money;
    use crate::util::size::GIB;

    /// Promise: storage counts for the whole month, requests in proportion of the days gone, early deletions as they are.
    #[test]
    fn projections() {
        let prices = Prices::built_in("us-east-1");
        let stored = [StoredIn { top: Vec::new(), archives: 1 << 15, bytes: 3 * GIB }];
        let used = |what, requests, bytes| Used { vault: 1, top: Vec::new(), what, requests, bytes };
        let used = [
            used(Usage::Upload, 1000, 0),
            used(Usage::Retrieval(Tier::Standard), 1000, GIB),
            used(Usage::EarlyDeletion, 1, 30 * GIB),
        ];
        let costs = costs(&prices, stored.iter(), used.iter(), Date::constant(2026, 11, 10));
        assert_eq!(costs.storage, Money(16_000_000), "a GiB of overhead");
        assert_eq!((costs.uploads, costs.retrievals), (Money(50_000_000), Money(60_000_000)));
        assert_eq!(costs.early, Money(4_000_000));
        assert_eq!(costs.projected, Money(16_000_000 + 3 * 110_000_000 + 4_000_000));
    }
}
