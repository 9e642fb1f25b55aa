//! `glacierfs trash list`.

use std::io;
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use super::Meant;
use super::Sum;
use crate::cli::ask;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::control::wire::EntryKind;
use crate::control::wire::Trashed;
use crate::util::size;

/// List what was deleted or replaced
///
/// By path; of several versions of one path the oldest first. BILLED is for how many days AWS bills the archive whether it
/// exists or not. Names that aren't plain UTF-8 text show their other bytes, and %, as %XX.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Files or directories as they were in a mount [default: everything]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    meant: Meant,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask_of_lost(&self.paths, self.meant.mount.as_deref(), async |client, paths| {
            let mut what = self.meant.trashes(paths, Vec::new());
            let mut sum = Sum::default();
            let mut more = true;
            // A page at a time: there may be millions.
            while more {
                let page = client.trash(&what).await?;
                page.entries.iter().for_each(|entry| sum.add(entry));
                let begun = what.next.is_some();
                more = page.next.is_some();
                what.next = page.next;
                match self.json {
                    true => json(&page.entries, begun, more)?,
                    false if page.entries.is_empty() => {}
                    false => output::print(&table(&page.entries))?,
                }
            }
            match (self.json, sum.entries) {
                (true, _) => Ok(()),
                (false, 0) => output::print("Nothing is in the trash.\n"),
                (false, entries) => output::print(&format!(
                    "{}, {}. {}\n",
                    output::count(entries, "entry", "entries"),
                    size::human(sum.bytes),
                    sum.bill()
                )),
            }
        })
    }
}

/// Prints a page as a part of one list.
fn json(entries: &[Trashed], begun: bool, more: bool) -> Result<(), Failure> {
    let mut text = String::new();
    if !begun {
        text.push('[');
    }
    for (number, entry) in entries.iter().enumerate() {
        text.push_str(if number == 0 && !begun { "\n  " } else { ",\n  " });
        text.push_str(&serde_json::to_string(entry).map_err(io::Error::from)?);
    }
    if !more {
        text.push_str("\n]\n");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn table(entries: &[Trashed]) -> String {
    let row = |entry: &Trashed| {
        let has_bytes = matches!(entry.kind, EntryKind::File | EntryKind::Symlink);
        let mark = match entry.kind {
            EntryKind::Vault | EntryKind::Dir => "/",
            EntryKind::Symlink => "@",
            EntryKind::File | EntryKind::Other => "",
        };
        vec![
            entry.id.to_string(),
            if has_bytes { size::human(entry.size) } else { "-".to_owned() },
            output::local_time(entry.deleted),
            entry.due.map_or("never".to_owned(), output::local_time),
            if entry.archive_id.is_some() { format!("{}d", entry.billed_days) } else { "-".to_owned() },
            format!("{}{mark}{}", entry.path, remarks(entry)),
        ]
    };
    let heading = ["ID", "SIZE", "DELETED", "GOES", "BILLED", "PATH"];
    output::table(&heading, &[0, 1, 4], &entries.iter().map(row).collect::<Vec<_>>())
}

/// What stands behind a path that isn't as usual.
fn remarks(entry: &Trashed) -> String {
    let mut remarks = Vec::new();
    if entry.going {
        remarks.push("being deleted".to_owned());
    }
    if let Some(until) = entry.locked_until.filter(|until| *until > Timestamp::now()) {
        remarks.push(format!("locked until {}", output::local_time(until)));
    }
    remarks.extend(entry.lock.clone());
    if let Some(error) = &entry.error {
        remarks.push(format!("not deleted: {error}"));
    }
    if remarks.is_empty() { String::new() } else { format!("  ({})", remarks.join("; ")) }
}
