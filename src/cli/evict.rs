//! `glacierfs evict`: frees the local disk of what is archived.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire;
use crate::control::wire::Failure as FileFailure;
use crate::control::wire::PathText;
use crate::util::size;

/// Free the local disk of files that are archived
///
/// Only archived bytes go, never anything that isn't archived yet, nor what is pinned. Reading an evicted file brings it
/// back, with the time and the money that takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs flush /mnt/vaults/photos && glacierfs evict /mnt/vaults/photos
  glacierfs evict --unused-for 30days                              whatever nobody has opened for a month
  glacierfs evict --larger-than 1G --dry-run /mnt/vaults/films     only tell what that would free")]
pub struct Evict {
    /// Files or directories in a mount [default: the whole mount, with --unused-for or --larger-than]
    #[arg(value_name = "PATH", required_unless_present_any = ["unused_for", "larger_than"])]
    paths: Vec<PathBuf>,
    /// Only files that weren't opened, recalled or archived for this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    unused_for: Option<Duration>,
    /// Only files with more bytes than this
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    larger_than: Option<u64>,
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
}

impl Evict {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(&self.paths, async |client, paths| {
            let whole = vec![PathText::default()];
            let evict = wire::Evict {
                paths: if paths.is_empty() { whole } else { paths },
                unused_seconds: self.unused_for.map(|time| time.as_secs()),
                larger_than: self.larger_than,
                dry_run: self.dry_run,
            };
            let evicted = client.evict(&evict).await?;
            let verb = if self.dry_run { "Would evict" } else { "Evicted" };
            output::print(&format!("{verb} {}.\n", output::files(evicted.files, evicted.bytes)))?;
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
