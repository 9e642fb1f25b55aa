//! `glacierfs restore`: brings archived files back to the local disk, with its price told before.

mod list;
mod watch;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use super::service;
use super::trash;
use crate::config::Tier;
use crate::control::client::Client;
use crate::control::wire;
use crate::control::wire::RestorePlan;
use crate::util::money::Money;
use crate::util::size;

/// Bring archived files back to the local disk
///
/// Starts a retrieval for everything in the paths that isn't local, and for nothing twice. Retrievals cost money and
/// take hours at AWS: minutes for expedited, 3 to 5 hours for standard, 5 to 12 for bulk. --dry-run tells both before. A
/// restore goes on by itself, also after a restart of the daemon; what the budget doesn't allow waits for its next day or
/// month.
///
/// A PATH that doesn't exist may be a pattern: *, ?, [a-z] and {a,b} within a name, ** across directories. Quote it, or the
/// shell looks for it first.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  glacierfs restore --dry-run /mnt/vaults/photos/2019            what it would take
  glacierfs restore /mnt/vaults/photos/2019                      start it, and go home
  glacierfs restore --wait --tier bulk /mnt/vaults/photos/2019   cheapest, and wait for it
  glacierfs restore --newer 30days '/mnt/vaults/**/*.odt'        what was written to in the last 30 days
  glacierfs restore --rate 10G/h /mnt/vaults/archive             spread over time
  find /mnt/vaults -name '*.xcf' -print0 | glacierfs restore --null --from-file -
  glacierfs restore list; glacierfs restore cancel 3             a file called list is ./list")]
pub struct Restore {
    #[command(subcommand)]
    command: Option<Commands>,
    /// Files or directories in a mount, or patterns
    #[arg(value_name = "PATH", required_unless_present = "from_file")]
    paths: Vec<PathBuf>,
    /// Also the paths in this file, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// The paths in the file end with a NUL each, as those of find -print0 do
    #[arg(long, short = '0', requires = "from_file")]
    null: bool,
    /// Only files that were written to then or later: a time such as 2026-01-31, or a duration before now such as 30days
    #[arg(long, value_name = "WHEN", value_parser = newer)]
    newer: Option<Timestamp>,
    /// Retrieval tier: expedited, standard or bulk [default: the mount's]
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
    /// Ask for so much an hour at most, such as 10G/h
    #[arg(long, value_name = "SIZE/h", value_parser = rate)]
    rate: Option<u64>,
    /// Only tell what it would take
    #[arg(long, short = 'n', conflicts_with_all = ["wait", "yes"])]
    dry_run: bool,
    /// With --dry-run, print JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// Ask before a restore that costs more than this, by the table of prices
    #[arg(long, value_name = "AMOUNT", default_value = "1USD")]
    ask_above: Money,
    /// Don't ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Wait until everything is local
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration, requires = "wait")]
    timeout: Option<Duration>,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    List(list::List),
    Cancel(list::Cancel),
    Wait(watch::Wait),
}

impl Restore {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Commands::List(list)) => list.run(),
            Some(Commands::Cancel(cancel)) => cancel.run(),
            Some(Commands::Wait(wait)) => wait.run(),
            None => self.restore(),
        }
    }

    fn restore(mut self) -> Result<(), Failure> {
        if let Some(file) = &self.from_file {
            self.paths.extend(read_paths(file, self.null)?);
        }
        if self.paths.is_empty() {
            return output::print("No paths, nothing to do.\n");
        }
        ask::ask_of_lost(&self.paths, None, async |client, paths| {
            let wish = |dry_run| wire::Restore {
                paths: paths.clone(),
                tier: self.tier.map(|tier| tier.as_str().to_owned()),
                rate: self.rate,
                newer: self.newer,
                dry_run,
            };
            if self.dry_run {
                let plan = client.restore(&wish(true)).await?;
                return match self.json {
                    true => output::print_json(&plan),
                    false => output::print(&would_take(&plan)),
                };
            }
            self.confirm(&client, &wish(true)).await?;
            let plan = client.restore(&wish(false)).await?;
            output::complain_about(&plan.failed);
            match plan.id {
                None => output::print("Everything is local.\n")?,
                Some(id) if self.wait => watch::wait(&client, id, self.timeout).await?,
                Some(id) => {
                    let told = format!(
                        "Bringing back {}{}. It is restore {id}: see `glacierfs restore list`.\n",
                        output::files(plan.files, plan.bytes),
                        output::ready_at(plan.eta)
                    );
                    let over =
                        plan.over_budget.map(|over| format!("Not all of it today: {over}.\n")).unwrap_or_default();
                    output::print(&format!("{told}{over}"))?
                }
            }
            match plan.failed.is_empty() {
                true => Ok(()),
                false => Err(Failure::told(Code::Incomplete)),
            }
        })
    }

    /// Asks the person if it costs so much that they want to be asked.
    async fn confirm(&self, client: &Client, wish: &wire::Restore) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let plan = client.restore(wish).await?;
        match plan.cost > self.ask_above {
            true => service::confirm(&format!(
                "This brings back {} by {} for {}.",
                output::files(plan.files, plan.bytes),
                output::count(plan.jobs, "retrieval job", "retrieval jobs"),
                plan.cost
            )),
            false => Ok(()),
        }
    }
}

/// What a restore takes, for a person.
fn would_take(plan: &RestorePlan) -> String {
    if plan.files == 0 && plan.failed.is_empty() {
        return format!("Everything is local: {}.\n", output::count(plan.local_files, "file", "files"));
    }
    let mut rows = vec![
        ("to bring back", output::files(plan.files, plan.bytes)),
        ("local already", output::count(plan.local_files, "file", "files")),
        ("to retrieve", format!("{}, {}", output::count(plan.jobs, "job", "jobs"), size::human(plan.job_bytes))),
        ("cost", format!("{} ({}, prices as of {})", plan.cost, plan.tier.to_lowercase(), plan.prices_date)),
    ];
    if let Some(eta) = plan.eta {
        rows.push(("ready", output::local_time(eta)));
    }
    if let Some(over) = &plan.over_budget {
        rows.push(("budget", format!("not all of it today: {over}")));
    }
    if !plan.failed.is_empty() {
        rows.push(("can't come back", output::count(plan.failed.len() as u64, "file", "files")));
    }
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    format!("{}Nothing was asked for or changed.\n", output::table(&["", ""], &[], &rows))
}

/// The paths in a file, one a line or ended by a NUL each.
fn read_paths(file: &Path, null: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut bytes = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut bytes),
        false => File::open(file).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        Failure::new(Code::Failed, format!("the paths in {} can't be read: {error}", file.display()))
    })?;
    let end = if null { 0 } else { b'\n' };
    let paths = bytes.split(|byte| *byte == end).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// A time, or a duration before now.
fn newer(text: &str) -> Result<Timestamp, String> {
    match humantime::parse_duration(text) {
        Ok(before) => Timestamp::now().checked_sub(before).map_err(|_| format!("{text:?} is before all time")),
        Err(_) => trash::time(text).map_err(|error| format!("{error}, and durations before now such as 30days")),
    }
}

/// `SIZE/h`, in bytes an hour.
fn rate(text: &str) -> Result<u64, String> {
    let bad = |why: String| format!("{text:?} is not a rate ({why}): allowed is a size above 0 an hour, such as 10G/h");
    let amount = text.strip_suffix("/h").ok_or_else(|| bad("it doesn't end with /h".to_owned()))?;
    match size::parse(amount).map_err(|_| bad(format!("{amount:?} is no size")))? {
        0 => Err(bad("it brings nothing".to_owned())),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: rates and times are read as people write them, and others refused with what is allowed.
    #[test]
    fn rates_and_times() {
        assert_eq!(rate("10G/h"), Ok(10 << 30));
        for bad in ["10G", "0/h", "fast/h", "10G/d"] {
            assert!(rate(bad).expect_err(bad).contains("such as 10G/h"), "{bad}");
        }
        assert!(newer("30days").expect("a time") < Timestamp::now());
        assert!(newer("2026-01-31").is_ok());
        assert!(newer("yesterday").expect_err("no time").contains("30days"));
    }

    /// Promise: a dry run tells files, bytes, jobs, money, time, and the budget where it is short.
    #[test]
    fn a_dry_run_for_a_person() {
        let mut plan = RestorePlan { local_files: 2, tier: "Bulk".to_owned(), ..RestorePlan::default() };
        assert_eq!(would_take(&plan), "Everything is local: 2 files.\n");
        plan.prices_date = "2026-01-01".to_owned();
        (plan.files, plan.bytes, plan.jobs, plan.job_bytes) = (3, 1 << 20, 4, 2 << 20);
        plan.cost = Money(1_230_000_000);
        plan.over_budget = Some("it would take more".to_owned());
        let told = would_take(&plan);
        for line in [
            "to bring back  3 files, 1.0 MiB\n",
            "local already  2 files\n",
            "to retrieve    4 jobs, 2.0 MiB\n",
            "cost           $1.23 (bulk, prices as of 2026-01-01)\n",
            "budget         not all of it today: it would take more\n",
            "Nothing was asked for or changed.\n",
        ] {
            assert!(told.contains(line), "{line:?} in {told}");
        }
    }

    /// Promise: paths are read from lines and from NULs, empty ones left out.
    #[test]
    fn paths_of_files() {
        let tmp = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(tmp.path(), "a b\n\nc\n").expect("written");
        assert_eq!(read_paths(tmp.path(), false).expect("paths"), ["a b", "c"].map(PathBuf::from));
        std::fs::write(tmp.path(), "a\nb\0c\0").expect("written");
        assert_eq!(read_paths(tmp.path(), true).expect("paths"), ["a\nb", "c"].map(PathBuf::from));
        assert!(read_paths(Path::new("/no/such"), true).expect_err("missing").message.contains("/no/such"));
    }
}
