//! `glacierfs prices`: what the service charges, as the budget and estimates count it.

use std::path::PathBuf;

use super::exit::Failure;
use super::output;
use crate::prices;
use crate::prices::Prices;
use crate::service::Tier;
use crate::util::money::Money;

/// Show what the service charges, as budgets and estimates count it
///
/// The table is dated and may be out of date: AWS's bill is what counts. A mount takes another table with the setting
/// `prices`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs prices --region eu-central-1
  glacierfs prices --toml > /etc/glacierfs/prices.toml    a table to change, for prices = \"/etc/glacierfs/prices.toml\"")]
pub struct PricesOf {
    /// The region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// A table to read instead of the program's
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the program's table as TOML, to start one of your own from
    #[arg(long, conflicts_with_all = ["region", "file"])]
    toml: bool,
}

impl PricesOf {
    pub fn run(self) -> Result<(), Failure> {
        if self.toml {
            return output::print(prices::TABLE);
        }
        let prices = match &self.file {
            Some(path) => Prices::read(path, &self.region)?,
            None => Prices::built_in(&self.region),
        };
        output::print(&page(&prices))
    }
}

fn page(prices: &Prices) -> String {
    let mut rows: Vec<(String, Money)> = vec![
        ("storage, a GiB and month".into(), prices.storage),
        ("storage, an archive's 32 KiB and month, times 1,000".into(), prices.storage_month(0, 1000)),
        ("uploads, 1,000 requests".into(), prices.uploads),
    ];
    for tier in [Tier::Expedited, Tier::Standard, Tier::Bulk] {
        let (gib, thousand) = prices.tier(tier);
        let name = tier.as_str().to_ascii_lowercase();
        rows.push((format!("{name} retrieval, a GiB"), gib));
        rows.push((format!("{name} retrieval, 1,000 jobs"), thousand));
    }
    let rows: Vec<_> = rows.into_iter().map(|(what, price)| vec![what, price.to_string()]).collect();
    let default = match prices.is_default {
        true => ", which has no line of its own in the table: these are its defaults, the dearest",
        false => "",
    };
    format!(
        "Prices of {} as of {}, US dollars without taxes{default}\n\n{}",
        prices.region,
        prices.date,
        output::table(&["", ""], &[1], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the page names region and date, and says when a region isn't known.
    #[test]
    fn a_page_for_a_person() {
        let known = page(&Prices::built_in("us-east-1"));
        assert!(known.starts_with("Prices of us-east-1 as of 2021-11-30, US dollars without taxes\n\n"), "{known}");
        let line = known.lines().find(|line| line.starts_with("standard retrieval, a GiB")).expect("a line");
        assert!(line.ends_with(" $0.010"), "{line}");
        assert!(page(&Prices::built_in("xx-new-1")).contains("the dearest"));
    }
}
