//! `glacierfs trash`: what was deleted or replaced, and how to get it back.

mod list;
mod purge;
mod restore;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::exit::Failure;
use super::output;
use crate::control::wire::PathText;
use crate::control::wire::Trashed;
use crate::control::wire::Trashes;

/// Show, bring back or delete for good what was deleted or replaced
///
/// What is deleted, overwritten or renamed over stays in the trash, for `trash-keep` at least and until the ninetieth day of
/// its archive, until which AWS bills for that anyway. Paths are those that things had in the mount.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs trash list /mnt/vaults/photos
  glacierfs trash restore /mnt/vaults/photos/2019              all that was deleted in there
  glacierfs trash restore --version 2 --beside /mnt/vaults/photos/list.txt
  glacierfs trash purge --due")]
pub struct Trash {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    List(list::List),
    Restore(restore::Restore),
    Purge(purge::Purge),
}

impl Trash {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Commands::List(list) => list.run(),
            Commands::Restore(restore) => restore.run(),
            Commands::Purge(purge) => purge.run(),
        }
    }
}

/// What of the trash is meant.
#[derive(Debug, clap::Args)]
struct Meant {
    /// Only what was deleted at this time or later, such as 2026-01-31 or "2026-01-31 15:04"
    #[arg(long, value_name = "TIME", value_parser = time)]
    deleted_after: Option<Timestamp>,
    /// Only what was deleted at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = time)]
    deleted_before: Option<Timestamp>,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl Meant {
    fn trashes(&self, paths: Vec<PathText>, ids: Vec<u64>) -> Trashes {
        let (after, before) = (self.deleted_after, self.deleted_before);
        Trashes { paths, ids, after, before, ..Trashes::default() }
    }
}

/// Parses a time: with its zone, or as this machine's clocks show it, to the day, minute or second.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).ok().map(|zoned: Zoned| zoned.timestamp());
    let parsed = text.parse::<Timestamp>().ok();
    let parsed = parsed.or_else(|| local(text.parse::<DateTime>().ok()?));
    let parsed = parsed.or_else(|| local(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())));
    parsed.ok_or_else(|| {
        format!("{text:?} is not a time: allowed are 2026-01-31, \"2026-01-31 15:04\" and 2026-01-31T15:04:05Z")
    })
}

/// How many things, their bytes, and what deleting their archives now would still be billed.
#[derive(Debug, Default)]
struct Sum {
    entries: u64,
    bytes: u64,
    days: u32,
    gib_months: f64,
}

impl Sum {
    fn add(&mut self, entry: &Trashed) {
        self.entries += 1;
        if entry.archive_id.is_some() {
            self.bytes += entry.size;
            self.days = self.days.max(entry.billed_days);
            self.gib_months += entry.billed_gib_months;
        }
    }

    /// What deleting now would still be billed.
    fn bill(&self) -> String {
        match self.days {
            0 => "Nothing of it is billed once it is deleted.".to_owned(),
            days => format!(
                "Deleted or not, {:.2} GiB-months of it are still billed, for up to {}.",
                self.gib_months,
                output::count(days.into(), "day", "days")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: times are read with a zone and without, to the day, minute or second, and nothing else is guessed at.
    #[test]
    fn times() {
        for good in ["2026-01-31", "2026-01-31 15:04", "2026-01-31T15:04:05", "2026-01-31T15:04:05Z"] {
            assert!(time(good).is_ok(), "{good}");
        }
        assert_eq!(time("2026-01-31T15:04:05Z"), Ok(Timestamp::from_second(1_769_871_845).expect("a time")));
        for bad in ["", "yesterday", "15:04", "2026-13-01"] {
            assert!(time(bad).expect_err(bad).contains("allowed are"), "{bad}");
        }
    }
}
