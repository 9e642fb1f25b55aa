//! `glacierfs snapshot`: puts the tree of a vault into the vault.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::exit::Failure;
use super::flush::Waiting;
use super::output;

/// Put a snapshot of a vault's tree into the vault
///
/// With it, `glacierfs rebuild` brings everything back that the catalog knows: links, owners, empty directories, attributes.
/// The mount does the same by itself once nothing has changed for a while (snapshot-delay).
#[derive(Debug, clap::Args)]
pub struct Snapshot {
    /// Names of vaults [default: all]
    #[arg(value_name = "VAULT")]
    vaults: Vec<String>,
    /// Everything, and not only what has changed since the last full one
    #[arg(long)]
    full: bool,
    /// Wait until it is archived
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, requires = "wait")]
    timeout: Option<Duration>,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl Snapshot {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let taken = client.snapshot(self.vaults, self.full).await?.snapshots;
            let line = |one: &crate::control::wire::TakenSnapshot| match &one.path {
                None => format!("{}: nothing has changed since the last snapshot\n", one.vault),
                Some(path) => format!(
                    "{}: {} with {}, {}\n",
                    path.encode(),
                    if one.full { "full" } else { "delta" },
                    output::count(one.entries, "entry", "entries"),
                    crate::util::size::human(one.bytes)
                ),
            };
            output::print(&taken.iter().map(line).collect::<String>())?;
            let paths: Vec<_> = taken.into_iter().filter_map(|one| one.path).collect();
            if self.wait && !paths.is_empty() {
                let mut waiting = Waiting::new("archiving", self.timeout);
                while !waiting.done(&client.flush(&paths).await?).await? {}
            }
            Ok(())
        })
    }
}
