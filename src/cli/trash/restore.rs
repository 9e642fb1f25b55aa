//! `glacierfs trash restore`.

use std::path::PathBuf;

use super::Meant;
use crate::cli::ask;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::control::wire::CameBack;
use crate::control::wire::PutBack;

/// Bring back what was deleted or replaced, with its attributes
///
/// A directory comes back with all that was deleted in it, each path in its newest version. What is there now is never
/// replaced: below a directory it stays, and the rest is told; a path that was given and is taken is an error. Files
/// come back as names; their bytes are in the vault, and come when they are read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs trash restore /mnt/vaults/photos/2019
  glacierfs trash restore --all --deleted-after '2026-01-31 15:00'
  glacierfs trash restore --version 2 --to /mnt/vaults/photos/old /mnt/vaults/photos/list.txt")]
pub struct Restore {
    /// Files or directories as they were in a mount
    #[arg(value_name = "PATH", required_unless_present_any = ["all", "id"])]
    paths: Vec<PathBuf>,
    /// Everything that is in the trash
    #[arg(long, conflicts_with_all = ["paths", "id"])]
    all: bool,
    /// By its number, as `trash list` shows it
    #[arg(long, value_name = "ID", conflicts_with = "paths")]
    id: Vec<u64>,
    /// Not the newest version of each path but the one before (2), and so on
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// Put it in this directory of the same vault, instead of where it was
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Where something is at its place, give it a name beside: name~1
    #[arg(long)]
    beside: bool,
    #[command(flatten)]
    meant: Meant,
}

impl Restore {
    pub fn run(self) -> Result<(), Failure> {
        let all: Vec<PathBuf> = self.paths.iter().chain(&self.to).cloned().collect();
        ask::ask_of_lost(&all, self.meant.mount.as_deref(), async |client, mut paths| {
            let to = self.to.as_ref().and_then(|_| paths.pop());
            let version = self.version.map(|version| version as usize);
            let what = self.meant.trashes(paths, self.id.clone());
            let mut request = PutBack { what, version, to, beside: self.beside };
            let mut sum = CameBack::default();
            let spinner = output::spinner();
            loop {
                let back = client.put_back(&request).await?;
                sum.entries += back.entries;
                sum.files += back.files;
                sum.bytes += back.bytes;
                sum.left += back.left;
                sum.failed.extend(back.failed);
                spinner.set_message(told(&sum));
                match back.next {
                    Some(next) => request.what.next = Some(next),
                    None => break,
                }
            }
            spinner.finish_and_clear();
            output::print(&format!("{}\n", told(&sum)))?;
            if sum.left > 0 {
                let left = output::count(sum.left, "path was", "paths were");
                output::print(&format!("{left} left alone, as something is there now.\n"))?;
            }
            output::complain_about(&sum.failed);
            if sum.failed.is_empty() { Ok(()) } else { Err(Failure::told(Code::Incomplete)) }
        })
    }
}

fn told(sum: &CameBack) -> String {
    let entries = output::count(sum.entries, "entry", "entries");
    format!("Brought back {entries}, among them {} in vaults.", output::files(sum.files, sum.bytes))
}
