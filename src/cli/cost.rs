//! `glacierfs cost`: what a mount's vaults cost.

use std::path::PathBuf;

use super::ask;
use super::exit::Failure;
use super::output;
use crate::control::wire::CostReport;
use crate::control::wire::Costs;
use crate::control::wire::VaultCost;
use crate::util::size;

/// How many directories are shown of each vault.
const SHOWN: usize = 20;

/// Show what the vaults cost: stored, and asked for this month
///
/// By vault and by the directories right below it, and what the month will come to if it goes on so. It counts what this mount has asked
/// for, by the table of prices (`glacierfs prices`); what others did, taxes and transfers aren't in it. AWS's bill is what counts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs cost --json | jq '[.vaults[].all.projected] | add / 1e9'    dollars of this month")]
pub struct Cost {
    /// The mount that is meant, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
    /// Print JSON, with all directories
    #[arg(long)]
    json: bool,
}

impl Cost {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let report = client.cost().await?;
            match self.json {
                true => output::print_json(&report),
                false => output::print(&page(&report)),
            }
        })
    }
}

fn page(report: &CostReport) -> String {
    let heading = ["", "ARCHIVES", "STORED", "A MONTH", "UPLOADS", "RETRIEVALS", "EARLY", "BY THE END"];
    let mut rows = Vec::new();
    for vault in &report.vaults {
        rows.push(row(&vault.vault, &vault.all));
        rows.extend(below(vault));
    }
    format!(
        "{}: what is stored for a month, and what was asked for this month so far; what it comes to by the end, if it goes on so.\n\
         US dollars, prices of {} as of {}; AWS's bill is what counts.\n\n{}",
        report.month,
        report.region,
        report.prices_date,
        output::table(&heading, &[1, 2, 3, 4, 5, 6, 7], &rows)
    )
}

/// The dearest directories of a vault, and its trash.
fn below(vault: &VaultCost) -> Vec<Vec<String>> {
    let mut tops: Vec<_> = vault.tops.iter().collect();
    tops.sort_by_key(|top| std::cmp::Reverse(top.costs.projected));
    let name = |name: String| if name.is_empty() { "  (files)".to_owned() } else { format!("  {name}/") };
    let mut rows: Vec<_> = tops.iter().take(SHOWN).map(|top| row(&name(top.name.encode()), &top.costs)).collect();
    if tops.len() > SHOWN {
        rows.push(vec![format!("  and {} more: --json", tops.len() - SHOWN)]);
    }
    if vault.trash_archives > 0 {
        rows.push(vec!["  (trash)".to_owned(), vault.trash_archives.to_string(), size::human(vault.trash_bytes)]);
    }
    rows.iter_mut().for_each(|row| row.resize(8, String::new()));
    rows
}

fn row(name: &str, costs: &Costs) -> Vec<String> {
    vec![
        name.to_owned(),
        costs.archives.to_string(),
        size::human(costs.bytes),
        costs.storage.to_string(),
        costs.uploads.to_string(),
        costs.retrievals.to_string(),
        costs.early.to_string(),
        costs.projected.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::PathText;
    use crate::control::wire::TopCost;
    use crate::util::money::Money;

    /// Promise: a page names month, region and date of the prices, each vault with its dearest directories first, and its trash.
    #[test]
    fn a_page_for_a_person() {
        let costs = |cents: u64| Costs { archives: 3, projected: Money(cents * 10_000_000), ..Costs::default() };
        let top = |name: &str, cents| TopCost { name: PathText(name.into()), costs: costs(cents) };
        let vault = VaultCost {
            vault: "photos".to_owned(),
            all: costs(300),
            trash_archives: 2,
            trash_bytes: 2048,
            tops: vec![top("", 50), top("2019", 250)],
        };
        let report = CostReport {
            region: "eu-west-1".to_owned(),
            prices_date: "2021-11-30".to_owned(),
            month: "2026-11".to_owned(),
            vaults: vec![vault],
        };
        let page = page(&report);
        assert!(page.starts_with("2026-11: ") && page.contains("prices of eu-west-1 as of 2021-11-30"), "{page}");
        let rows: Vec<&str> =
            page.lines().skip(4).map(|line| line.split("  ").find(|part| !part.is_empty()).unwrap_or("")).collect();
        assert_eq!(rows, ["photos", "2019/", "(files)", "(trash)"], "{page}");
        assert!(page.contains("$3.00"), "{page}");
    }
}
