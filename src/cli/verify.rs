//! `glacierfs verify`: the catalog held against the vaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use super::scrub;
use crate::control::wire::Check;
use crate::control::wire::Finding;
use crate::control::wire::Found;
use crate::control::wire::InventoryState;
use crate::control::wire::Verification;
use crate::util::size;

/// How many findings of a kind are printed.
const SHOWN: usize = 20;

/// Hold vaults against the catalog: what is missing there, unknown here, or not the same
///
/// Takes the inventory of each vault, which at AWS takes hours and is up to a day old, and changes nothing, neither here nor
/// there. With --data it retrieves archives that are chosen at random, too, and compares their bytes with their tree hashes.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Names of vaults [default: all]
    #[arg(value_name = "VAULT")]
    vaults: Vec<String>,
    /// Retrieve up to this much of each vault, which costs what retrievals cost, and check it
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    data: Option<u64>,
    /// Print JSON, with up to 1,000 findings of a kind
    #[arg(long)]
    json: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    timeout: Option<Duration>,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

/// A vault's part of what `--json` prints.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    verification: Verification,
    data: Option<Check>,
}

impl Verify {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let spinner = output::spinner();
            let patience = Patience::new(self.timeout);
            let mut vaults = client.verify(&self.vaults).await?;
            while waiting(&vaults) > 0 {
                let eta = output::ready_at(vaults.iter().filter_map(|one| one.eta).max());
                let left = || format!("waiting for {} of {} inventories{eta}", waiting(&vaults), vaults.len());
                spinner.set_message(left());
                patience.wait(left).await?;
                vaults = client.verify(&self.vaults).await?;
            }
            let mut told: Vec<Told> =
                vaults.into_iter().map(|verification| Told { verification, data: None }).collect();
            if let Some(bytes) = self.data {
                for one in &mut told {
                    one.data = Some(sampled(&client, &one.verification.vault, bytes, &spinner, &patience).await?);
                }
            }
            spinner.finish_and_clear();
            match self.json {
                true => output::print_json(&told)?,
                false => output::print(&told.iter().map(text).collect::<String>())?,
            }
            end(&told, self.json)
        })
    }
}

async fn sampled(
    client: &crate::control::client::Client,
    vault: &str,
    bytes: u64,
    spinner: &indicatif::ProgressBar,
    patience: &Patience,
) -> Result<Check, Failure> {
    loop {
        let check = client.sample(vault, bytes).await?;
        if check.done {
            return Ok(check);
        }
        let left = || format!("{vault}: {} of {} files retrieved", check.good + check.bad, check.chosen);
        spinner.set_message(left());
        patience.wait(left).await?;
    }
}

fn waiting(vaults: &[Verification]) -> usize {
    vaults.iter().filter(|one| one.state == InventoryState::Waiting).count()
}

/// What is wrong with most of them decides how the command ends.
fn end(told: &[Told], json: bool) -> Result<(), Failure> {
    let mut wrong = false;
    for one in told {
        wrong |= one.verification.report.as_ref().is_some_and(|report| report.trouble > 0);
        if let Some(check) = &one.data {
            wrong |= scrub::end(check, json).is_err();
        }
    }
    let failed: String = told
        .iter()
        .filter_map(|one| Some(format!("{}: {}\n", one.verification.vault, one.verification.error.as_deref()?)))
        .collect();
    match (failed.is_empty(), wrong) {
        (false, _) => Err(Failure::new(Code::Remote, failed.trim_end())),
        (true, true) => Err(Failure::told(Code::Incomplete)),
        (true, false) => Ok(()),
    }
}

fn text(told: &Told) -> String {
    let vault = &told.verification.vault;
    let mut text = String::new();
    if let Some(report) = &told.verification.report {
        let date = told.verification.inventory_date;
        let date = date.map(|date| format!(" of {}", output::local_time(date))).unwrap_or_default();
        text = format!(
            "{vault}: {} in the inventory{date}, {} as the catalog has them\n",
            output::count(report.archives, "archive", "archives"),
            report.same
        );
        for count in &report.counts {
            text.push_str(&format!("  {} {}\n", count.count, meaning(count.what)));
            let of_kind = || report.findings.iter().filter(|one| one.what == count.what);
            if count.is_trouble || count.what == Found::Duplicate {
                of_kind().take(SHOWN).for_each(|one| text.push_str(&line(one)));
                if count.count > SHOWN as u64 {
                    text.push_str(&format!("    … and {} more\n", count.count - SHOWN as u64));
                }
            }
        }
    }
    if let Some(check) = &told.data {
        text.push_str(&scrub::sample(vault, check));
    }
    text
}

fn meaning(what: Found) -> &'static str {
    match what {
        Found::Missing => "missing there, that the catalog has:",
        Found::OtherSize => "of another size than the catalog has:",
        Found::OtherTreeHash => "with another tree hash than the catalog has:",
        Found::Unknown => "unknown here; glacierfs inventory makes files of them:",
        Found::Duplicate => "with the same bytes and description as another:",
        Found::NotYetListed => "younger than the inventory",
        Found::Deleted => "deleted, and still listed",
    }
}

fn line(one: &Finding) -> String {
    let path = one.path.as_ref().map_or_else(|| "without a name".to_owned(), ToString::to_string);
    let size = match (one.size, one.listed_size) {
        (Some(ours), Some(listed)) if ours != listed => format!("{ours} bytes, listed with {listed}"),
        (ours, listed) => format!("{} bytes", ours.or(listed).unwrap_or_default()),
    };
    let place = match (one.trashed, one.local) {
        (true, _) => ", in the trash",
        (false, true) => ", its bytes are here",
        (false, false) => "",
    };
    format!("    {path}: {size}, {}{place}, archive {}\n", output::local_time(one.created), one.archive_id)
}
