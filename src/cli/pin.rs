//! `glacierfs pin` and `glacierfs unpin`: what is to stay local.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ask;
use super::exit::Failure;
use super::output;
use super::parse_and_run;

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
    /// Don't ask before a restore that costs much
    #[arg(long, short = 'y', requires = "restore")]
    yes: bool,
}

impl Pin {
    pub fn run(self) -> Result<(), Failure> {
        let pinned = ask::ask(&self.paths, async |client, paths| Ok(client.pin(&paths, true).await?))?;
        output::print(&format!("Pinned {}.\n", output::files(pinned.files, pinned.bytes)))?;
        match (pinned.absent_files, self.restore) {
            (0, _) => Ok(()),
            (n, false) => output::print(&format!(
                "Not local: {}; `glacierfs restore` brings that back.\n",
                output::files(n, pinned.absent_bytes)
            )),
            (_, true) => {
                let mut words: Vec<OsString> = vec!["glacierfs".into(), "restore".into()];
                words.extend(self.yes.then(|| "--yes".into()));
                words.push("--".into());
                words.extend(self.paths.into_iter().map(PathBuf::into_os_string));
                parse_and_run(&words)
            }
        }
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
