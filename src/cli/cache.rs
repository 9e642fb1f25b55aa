//! `glacierfs cache`: what is local.

use std::path::PathBuf;

use jiff::Timestamp;

use super::ask;
use super::exit::Failure;
use super::output;
use crate::control::wire::CacheReport;
use crate::util::size;

/// Show what is local: cached, pinned, not archived yet, and how much room there is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs cache --json /mnt/vaults | jq .pinned_bytes")]
pub struct Cache {
    /// The mount that is meant, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Cache {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let report = client.cache().await?;
            match self.json {
                true => output::print_json(&report),
                false => output::print(&page(&report)),
            }
        })
    }
}

/// The page for a person.
fn page(report: &CacheReport) -> String {
    let too_much = if report.pinned_bytes > report.high { ": more than the cache may hold" } else { "" };
    let oldest = report.oldest_used.map_or_else(
        || "nothing is cached".to_owned(),
        |used| format!("{} ago", output::span(output::between(used, Timestamp::now()))),
    );
    let rows = [
        (
            "cached",
            format!(
                "{} of {}, {} of them only in part",
                output::files(report.files, report.bytes),
                size::human(report.high),
                report.partial_files
            ),
        ),
        ("pinned", format!("{}{too_much}", output::files(report.pinned_files, report.pinned_bytes))),
        ("when full", format!("the least recently used go, until {} are left", size::human(report.low))),
        ("longest unused", oldest),
        ("not archived yet", output::files(report.spool_files, report.spool_bytes)),
        (
            "disk",
            format!(
                "{} free, of which {} are left alone",
                size::human(report.disk_available),
                size::human(report.disk_reserve)
            ),
        ),
    ];
    output::table(&["", ""], &[], &rows.map(|(key, value)| vec![key.to_owned(), value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the page tells what is local, and says so when what is pinned is alone more than the cache may hold.
    #[test]
    fn a_page_for_a_person() {
        let used = Timestamp::now() - jiff::SignedDuration::from_secs(3 * 3600 + 120);
        let mut report = CacheReport {
            bytes: 5 * size::MIB,
            files: 3,
            high: 10 * size::MIB,
            low: 9 * size::MIB,
            partial_files: 1,
            pinned_files: 1,
            pinned_bytes: size::MIB,
            spool_files: 2,
            spool_bytes: 7,
            disk_available: size::GIB,
            disk_reserve: size::MIB,
            oldest_used: Some(used),
        };
        let shown = page(&report);
        for expected in [
            "cached            3 files, 5.0 MiB of 10.0 MiB, 1 of them only in part\n",
            "pinned            1 file, 1.0 MiB\n",
            "when full         the least recently used go, until 9.0 MiB are left\n",
            "longest unused    3h 2m ago\n",
            "not archived yet  2 files, 7 B\n",
            "disk              1.0 GiB free, of which 1.0 MiB are left alone\n",
        ] {
            assert!(shown.contains(expected), "{expected:?} in {shown}");
        }
        report.pinned_bytes = 11 * size::MIB;
        report.oldest_used = None;
        let shown = page(&report);
        assert!(shown.contains("1 file, 11.0 MiB: more than the cache may hold\n"), "{shown}");
        assert!(shown.contains("longest unused    nothing is cached\n"), "{shown}");
    }
}
