//! `glacierfs restore`: brings archived files back to the local disk.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::exit::Failure;
use super::flush::Waiting;
use super::output;
use crate::config::Tier;

/// Bring archived files back to the local disk
///
/// Starts a retrieval for everything in the paths that isn't local, and for nothing twice. Retrievals cost money and
/// take hours at AWS: minutes for expedited, 3 to 5 hours for standard, 5 to 12 for bulk.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs restore /mnt/vaults/photos/2019                      start it, and go home
  glacierfs restore --wait --tier bulk /mnt/vaults/photos/2019   cheapest, and wait for it")]
pub struct Restore {
    /// Files or directories in a mount
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Wait until everything is local
    #[arg(long)]
    wait: bool,
    /// Retrieval tier: expedited, standard or bulk [default: the mount's]
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, requires = "wait")]
    timeout: Option<Duration>,
}

impl Restore {
    pub fn run(self) -> Result<(), Failure> {
        let tier = self.tier.map(|tier| tier.as_str().to_owned());
        ask::ask(&self.paths, async |client, paths| {
            let mut pending = client.restore(&paths, tier.clone()).await?;
            if !self.wait {
                output::complain_about(&pending.failed);
                return output::print(&match pending.pending_files {
                    0 => "Everything is local.\n".to_owned(),
                    n => format!(
                        "Bringing back {}{}.\n",
                        output::files(n, pending.pending_bytes),
                        output::ready_at(pending.eta)
                    ),
                });
            }
            let mut waiting = Waiting::new("bringing back", self.timeout);
            while !waiting.done(&pending).await? {
                pending = client.restore(&paths, tier.clone()).await?;
            }
            Ok(())
        })
    }
}
