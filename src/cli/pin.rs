//! `glacierfs pin` and `glacierfs unpin`: what is to stay local.

use std::path::PathBuf;

use super::ask;
use super::exit::Failure;
use super::output;
use crate::control::wire::Restore;

/// Keep files local: they are never evicted
///
/// A directory is pinned with all that is in it, and all that will be. What isn't local isn't brought back by that: it is
/// told how much it is. Pinned files count in the cache, and can fill it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs pin /mnt/vaults/photos/favourites
  glacierfs pin --restore /mnt/vaults/projects/current    and bring back what isn't local
  glacierfs cache                                         how much is pinned")]
pub struct Pin {
    /// Files or directories in a mount
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Bring back what isn't local, as `glacierfs restore` does
    #[arg(long)]
    restore: bool,
}

impl Pin {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(&self.paths, async |client, paths| {
            let pinned = client.pin(&paths, true).await?;
            let mut told = format!("Pinned {}.\n", output::files(pinned.files, pinned.bytes));
            let absent = output::files(pinned.absent_files, pinned.absent_bytes);
            match (pinned.absent_files, self.restore) {
                (0, _) => {}
                (_, false) => told.push_str(&format!("Not local: {absent}; `glacierfs restore` brings that back.\n")),
                (_, true) => {
                    let pending = client.restore(&Restore { paths, ..Restore::default() }).await?;
                    output::complain_about(&pending.failed);
                    told.push_str(&format!("Bringing back {absent}{}.\n", output::ready_at(pending.eta)));
                }
            }
            output::print(&told)
        })
    }
}

/// Let files be evicted again when they weren't used for long
///
/// Takes back what `glacierfs pin` did, for a directory and everything in it, whatever was pinned below it by itself. What is in
/// a pinned directory can be unpinned alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs unpin /mnt/vaults/photos/favourites")]
pub struct Unpin {
    /// Files or directories in a mount
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Unpin {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(&self.paths, async |client, paths| {
            let unpinned = client.pin(&paths, false).await?;
            output::print(&format!("Unpinned {}.\n", output::files(unpinned.files, unpinned.bytes)))
        })
    }
}
