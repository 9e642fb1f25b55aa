//! What a person sees: messages, aligned tables, times, progress bars. Standard output is written so that a reader
//! who closes the pipe ends the command quietly.

use std::borrow::Cow;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::Failure;
use crate::control::wire::Failure as FileFailure;
use crate::control::wire::Inventory;
use crate::control::wire::InventoryState;
use crate::control::wire::SnapshotReport;
use crate::util::size;

/// Most failures that a command lists by name.
const LISTED: usize = 20;

/// Writes text to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a value as indented JSON to standard output.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    print(&format!("{text}\n"))
}

/// Writes a message to standard error. It can't fail: there is nowhere left to say so.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "glacierfs: {message}");
}

/// Complains about files that failed, at most [`LISTED`] by name.
pub fn complain_about(failed: &[FileFailure]) {
    for failure in failed.iter().take(LISTED) {
        let again = if failure.retrying { " (it will be tried again)" } else { "" };
        complain(&format!("{}: {}{again}", failure.path, failure.reason));
    }
    if failed.len() > LISTED {
        complain(&format!("… and {} more", failed.len() - LISTED));
    }
}

/// `n` things, in the singular for one.
pub fn count(n: u64, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {many}"),
    }
}

/// `n` files of so many bytes.
pub fn files(n: u64, bytes: u64) -> String {
    format!("{}, {}", count(n, "file", "files"), size::human(bytes))
}

/// Speed for a person.
pub fn speed(bytes_per_second: f64) -> String {
    // Whole bytes are enough; a negative or absurd rate saturates.
    format!("{}/s", size::human(bytes_per_second.max(0.0) as u64))
}

/// A time as this machine's zone shows it, to the minute.
pub fn local_time(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A span such as `2h 5m`, from its two largest units.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The time from `earlier` to `later`; nothing when they are the other way round.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// When something should be ready: ` (ready in 3h 5m, at 2026-01-02 15:04)`, or nothing when nobody knows.
pub fn ready_at(eta: Option<Timestamp>) -> String {
    match eta.map(|eta| (between(Timestamp::now(), eta), eta)) {
        Some((left, eta)) if left > Duration::from_secs(60) => {
            format!(" (ready in {}, at {})", span(left), local_time(eta))
        }
        Some((left, _)) if !left.is_zero() => format!(" (ready in {})", span(left)),
        Some(_) => " (ready any moment)".to_owned(),
        None => String::new(),
    }
}

/// Rows under a heading, columns aligned; the columns named in `right` are numbers. The last column isn't padded.
pub fn table(heading: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<_> = heading.iter().map(|text| width(text)).collect();
    for row in rows {
        for (column, text) in row.iter().enumerate() {
            widths[column] = widths[column].max(width(text));
        }
    }
    let mut out = String::new();
    let heading: Vec<_> = heading.iter().map(|text| (*text).to_owned()).collect();
    for row in std::iter::once(&heading).filter(|row| row.iter().any(|text| !text.is_empty())).chain(rows) {
        let mut line = String::new();
        for (column, text) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - width(text));
            match (right.contains(&column), column + 1 == row.len()) {
                (true, _) => line.extend([&pad, text.as_str()]),
                (false, true) => line.push_str(text),
                (false, false) => line.extend([text.as_str(), &pad]),
            }
            if column + 1 < row.len() {
                line.push_str("  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A bar over bytes on standard error, or nothing when that is no terminal.
pub fn bytes_bar(verb: &'static str) -> ProgressBar {
    bar(&format!("{verb} {{wide_bar}} {{bytes}} of {{total_bytes}} {{msg}}"))
}

/// A turning mark with a message, for waits without a measure.
pub fn spinner() -> ProgressBar {
    let spinner = bar("{spinner} {wide_msg}");
    if !spinner.is_hidden() {
        spinner.enable_steady_tick(Duration::from_millis(200));
    }
    spinner
}

fn bar(template: &str) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    ProgressBar::with_draw_target(Some(0), target).with_style(style(template))
}

/// The style of a template. A template that indicatif can't read gives its default style, which a test excludes.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What came of a snapshot on a rebuild.
fn snapshot_report(report: &SnapshotReport) -> String {
    let mut text: String =
        report.damaged.iter().map(|damaged| format!("  a snapshot can't be used: {damaged}\n")).collect();
    if let Some(name) = &report.name {
        text.push_str(&format!("  from snapshot {name} with {}:\n", count(report.entries, "entry", "entries")));
        for (n, meaning) in [
            (report.restored, "are here again"),
            (report.same, "were here already"),
            (report.taken, "aren't, since something else has their place (the log names some)"),
            (report.lost, "are lost, since they weren't archived then or later (the log names some)"),
        ] {
            if n > 0 {
                text.push_str(&format!("    {n} {meaning}\n"));
            }
        }
    }
    text
}

/// What an inventory told, in a few lines.
pub fn inventory(inventory: &Inventory) -> String {
    let vault = &inventory.vault;
    match inventory.state {
        InventoryState::Waiting => {
            let job = inventory.job_id.as_deref().map_or(Cow::Borrowed(""), |id| format!("; job {id}").into());
            format!("{vault}: waiting for the inventory{}{job}\n", ready_at(inventory.eta))
        }
        InventoryState::Failed => {
            format!("{vault}: the inventory failed: {}\n", inventory.error.as_deref().unwrap_or("no reason is known"))
        }
        InventoryState::Done => {
            let date = inventory.inventory_date.map(|date| format!(" of {}", local_time(date))).unwrap_or_default();
            let report = inventory.report.clone().unwrap_or_default();
            let mut text =
                format!("{vault}: {} in the inventory{date}\n", count(report.archives, "archive", "archives"));
            for (n, meaning) in [
                (report.known, "known already"),
                (report.added, "new, and files now"),
                (report.unnamed, "of these without a name that could be given, under .unnamed/"),
                (report.packed, "of these compressed or encrypted by the tool that wrote them, and shown as they are"),
                (report.duplicates, "further archives of files that have one"),
                (report.deleted, "deleted after the inventory was taken"),
                (report.missing, "known here but not in the inventory, which may be too old to have them"),
            ] {
                if n > 0 {
                    text.push_str(&format!("  {n} {meaning}\n"));
                }
            }
            text.push_str(&report.snapshot.map(|snapshot| snapshot_report(&snapshot)).unwrap_or_default());
            if let Some(mapping) = inventory.mapping.as_ref().filter(|_| report.added > 0) {
                text.push_str(&format!("  vault {mapping} may have their names: see glacierfs import --help\n"));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::Report;

    /// Promise: columns line up, numbers to the right, and no line ends in blanks.
    #[test]
    fn tables_line_up() {
        let rows = [
            vec!["1".to_owned(), "über".to_owned(), String::new()],
            vec!["23".to_owned(), "a".to_owned(), "x".to_owned()],
        ];
        assert_eq!(table(&["N", "NAME", ""], &[0], &rows), " N  NAME\n 1  über\n23  a     x\n");
        assert_eq!(table(&["", "", ""], &[], &rows[1..]), "23  a  x\n");
    }

    /// Promise: spans are told by their two largest units.
    #[test]
    fn spans() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (125, "2m 5s"), (7500, "2h 5m"), (200_000, "2d 7h")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    /// Promise: an inventory's report names what was found and is silent about what wasn't.
    #[test]
    fn inventories_read_well() {
        let report = Report { archives: 5, known: 3, added: 2, ..Report::default() };
        let done = Inventory {
            vault: "photos".to_owned(),
            state: InventoryState::Done,
            job_id: None,
            started: None,
            eta: None,
            inventory_date: None,
            report: Some(report),
            error: None,
            mapping: None,
        };
        assert_eq!(
            inventory(&done),
            "photos: 5 archives in the inventory\n  3 known already\n  2 new, and files now\n"
        );
    }
}
