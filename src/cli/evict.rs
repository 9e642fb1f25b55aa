//! `glacierfs evict`: frees the local disk of what is archived.

use std::path::PathBuf;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire::Failure as FileFailure;

/// Free the local disk of files that are archived
///
/// Only archived bytes go, never anything that isn't archived yet. Reading an evicted file brings it back, with the
/// time and the money that takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs flush /mnt/vaults/photos && glacierfs evict /mnt/vaults/photos")]
pub struct Evict {
    /// Files or directories in a mount
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Evict {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(&self.paths, async |client, paths| {
            let evicted = client.evict(&paths).await?;
            output::print(&format!("Evicted {}.\n", output::files(evicted.files, evicted.bytes)))?;
            let kept = evicted.skipped.into_iter();
            let kept: Vec<_> =
                kept.map(|file| FileFailure { path: file.path, reason: file.reason, retrying: false }).collect();
            output::complain_about(&kept);
            match kept.is_empty() {
                true => Ok(()),
                false => Err(Failure::told(Code::Incomplete)),
            }
        })
    }
}
