//! `glacierfs trash purge`.

use std::path::PathBuf;

use super::Meant;
use super::Sum;
use crate::cli::ask;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service;
use crate::control::wire::Purged;
use crate::util::size;

/// Delete for good what was deleted or replaced, archives included
///
/// This can't be undone. AWS bills an archive for 90 days, deleted or not; how much that is is told first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs trash purge /mnt/vaults/photos/2019
  glacierfs trash purge --due                     what goes by itself within the hour")]
pub struct Purge {
    /// Files or directories as they were in a mount
    #[arg(value_name = "PATH", required_unless_present_any = ["all", "due", "id"])]
    paths: Vec<PathBuf>,
    /// Everything that is in the trash
    #[arg(long, conflicts_with_all = ["paths", "id"])]
    all: bool,
    /// Only what may go by now
    #[arg(long)]
    due: bool,
    /// By its number, as `trash list` shows it
    #[arg(long, value_name = "ID", conflicts_with = "paths")]
    id: Vec<u64>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    meant: Meant,
}

impl Purge {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask_of_lost(&self.paths, self.meant.mount.as_deref(), async |client, paths| {
            let mut what = self.meant.trashes(paths, self.id.clone());
            what.due = self.due;
            let mut sum = Sum::default();
            loop {
                let page = client.trash(&what).await?;
                page.entries.iter().for_each(|entry| sum.add(entry));
                what.next = page.next;
                if what.next.is_none() {
                    break;
                }
            }
            if sum.entries == 0 {
                return output::print("Nothing of it is in the trash.\n");
            }
            let entries = output::count(sum.entries, "entry", "entries");
            if !self.yes {
                service::confirm(&format!(
                    "This deletes {entries} of the trash for good, {} in vaults. {}",
                    size::human(sum.bytes),
                    sum.bill()
                ))?;
            }
            let mut done = Purged::default();
            let spinner = output::spinner();
            loop {
                let purged = client.purge(&what).await?;
                done.entries += purged.entries;
                done.bytes += purged.bytes;
                done.failed.extend(purged.failed);
                spinner.set_message(format!("{} of {} deleted", done.entries, sum.entries));
                what.next = purged.next;
                if what.next.is_none() {
                    break;
                }
            }
            spinner.finish_and_clear();
            let gone = output::count(done.entries, "entry", "entries");
            output::print(&format!("Deleted {gone} for good, {}. {}\n", size::human(done.bytes), sum.bill()))?;
            output::complain_about(&done.failed);
            if done.failed.is_empty() { Ok(()) } else { Err(Failure::told(Code::Incomplete)) }
        })
    }
}
