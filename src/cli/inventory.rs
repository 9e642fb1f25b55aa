//! `glacierfs inventory`: asks the service what is in a vault and reconciles the tree with it.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire::InventoryState;

/// Ask the service what is in a vault; unknown archives become files
///
/// Starts an inventory job, or adopts the one that is under way, waits for it and reconciles the tree with it.
/// Nothing is ever deleted on an inventory's strength: it lags by up to a day. At AWS the job takes hours.
#[derive(Debug, clap::Args)]
pub struct Inventory {
    /// The vault: its name, or the path of its directory in a mount
    vault: String,
    /// Start it and don't wait; asked again later, it is adopted
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl Inventory {
    pub fn run(self) -> Result<(), Failure> {
        // A name has no slash.
        let path = self.vault.contains('/').then(|| PathBuf::from(&self.vault));
        let mount: Vec<_> = path.iter().cloned().chain(self.mount).collect();
        ask::ask(&mount, async |client, paths| {
            let vault = match (&path, paths.first()) {
                (Some(_), Some(inside)) => inside.encode(),
                _ => self.vault.clone(),
            };
            let spinner = output::spinner();
            let patience = Patience::new(self.timeout);
            let mut inventory = client.inventory(&vault).await?;
            while inventory.state == InventoryState::Waiting && !self.no_wait {
                let message = output::inventory(&inventory);
                spinner.set_message(message.trim_end().to_owned());
                patience.wait(|| message.trim_end().to_owned()).await?;
                inventory = client.inventory(&vault).await?;
            }
            spinner.finish_and_clear();
            match inventory.state {
                InventoryState::Failed => Err(Failure::new(Code::Remote, output::inventory(&inventory).trim_end())),
                InventoryState::Waiting | InventoryState::Done => output::print(&output::inventory(&inventory)),
            }
        })
    }
}
