//! `glacierfs rebuild`: the tree from what the vaults themselves tell.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire::Inventory;
use crate::control::wire::InventoryState;

/// Rebuild a lost catalog from the vaults
///
/// Takes the inventory of every vault of the account. Where a vault has a snapshot that the catalog doesn't know, that is
/// recalled, and the tree comes back as it was then; all other archives become files by the names, sizes, times and
/// modes in their descriptions. It is safe at any time: what is there stays as it is.
#[derive(Debug, clap::Args)]
pub struct Rebuild {
    /// Start it and don't wait; asked again later, the jobs are adopted
    #[arg(long)]
    no_wait: bool,
    /// Don't recall snapshots: go by the archives' descriptions alone
    #[arg(long)]
    no_snapshot: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
    /// The mount that is meant, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl Rebuild {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let spinner = output::spinner();
            let patience = Patience::new(self.timeout);
            let mut vaults = client.rebuild(!self.no_snapshot).await?;
            while waiting(&vaults) > 0 && !self.no_wait {
                let left = || format!("waiting for {} of {} inventories", waiting(&vaults), vaults.len());
                spinner.set_message(left());
                patience.wait(left).await?;
                vaults = client.rebuild(!self.no_snapshot).await?;
            }
            spinner.finish_and_clear();
            let (failed, rest): (Vec<_>, Vec<_>) =
                vaults.iter().partition(|inventory| inventory.state == InventoryState::Failed);
            output::print(&match vaults.len() {
                0 => "The account has no vaults.\n".to_owned(),
                _ => rest.into_iter().map(output::inventory).collect(),
            })?;
            match failed.is_empty() {
                true => Ok(()),
                false => {
                    let messages: String = failed.into_iter().map(output::inventory).collect();
                    Err(Failure::new(Code::Remote, messages.trim_end()))
                }
            }
        })
    }
}

fn waiting(vaults: &[Inventory]) -> usize {
    vaults.iter().filter(|inventory| inventory.state == InventoryState::Waiting).count()
}
