//! `glacierfs scrub`: what is kept on this machine held against its tree hashes.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire::Check;
use crate::util::size;

/// Check what is kept on this machine of archived files against their tree hashes
///
/// Reads all of it from the disk. What has rotted is given up, told, and retrieved from the vault again. Files that aren't
/// archived yet have nothing that they could be compared with.
#[derive(Debug, clap::Args)]
pub struct Scrub {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Give up waiting after this long; it goes on
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    timeout: Option<Duration>,
    /// The mount that is meant, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl Scrub {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let spinner = output::spinner();
            let patience = Patience::new(self.timeout);
            let mut check = client.scrub().await?;
            while !check.done {
                let so_far = || format!("{} checked", output::files(check.good + check.bad, check.good_bytes));
                spinner.set_message(so_far());
                patience.wait(so_far).await?;
                check = client.scrub().await?;
            }
            spinner.finish_and_clear();
            match self.json {
                true => output::print_json(&check)?,
                false => output::print(&format!("{} as archived\n", output::files(check.good, check.good_bytes)))?,
            }
            end(&check, self.json)
        })
    }
}

/// Complains about what is bad in a check that has ended.
pub fn end(check: &Check, json: bool) -> Result<(), Failure> {
    if !json {
        for bad in &check.files {
            output::complain(&format!("{}: {}", bad.path, bad.reason));
        }
        let untold = check.bad.saturating_sub(check.files.len() as u64);
        if untold > 0 {
            output::complain(&format!("… and {untold} more"));
        }
    }
    if let Some(error) = &check.error {
        return Err(Failure::new(Code::Failed, format!("the check ended before its end: {error}")));
    }
    if check.bad > 0 { Err(Failure::told(Code::Incomplete)) } else { Ok(()) }
}

/// What a sample of a vault came to.
pub fn sample(vault: &str, check: &Check) -> String {
    let mut text =
        format!("{vault}: retrieved {}, {} as archived\n", output::files(check.chosen, check.chosen_bytes), check.good);
    if check.skipped > 0 {
        text.push_str(&format!(
            "  {} left out: larger than what is left of the sample, or not to be had untouched\n",
            output::count(check.skipped, "file", "files")
        ));
    }
    if check.chosen == 0 && check.skipped == 0 {
        text = format!("{vault}: nothing to retrieve: all that is archived is here, too ({})\n", size::human(0));
    }
    text
}
