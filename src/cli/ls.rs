//! `glacierfs ls`: a directory, with where each file's bytes are.

use std::path::PathBuf;

use super::ask;
use super::exit::Failure;
use super::output;
use crate::control::wire::Entry;
use crate::control::wire::EntryKind;
use crate::util::size;

/// List files with their state: local, archived, on their way
///
/// States: dirty (being written), sealed (closed, waiting to be archived), uploading, archived (nothing of it is
/// local), partial (some of it is), cached (archived, and all of it is local), recalling (on its way back), local
/// (lives only in the catalog, as empty files, directories and links do). Names that aren't plain UTF-8 text show
/// their other bytes, and %, as %XX.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs ls /mnt/vaults/photos
  glacierfs ls -l /mnt/vaults/photos/a.jpg         with archive ID and tree hash
  glacierfs ls --json /mnt/vaults/photos | jq -r '.[] | select(.state == \"archived\") | .name'")]
pub struct Ls {
    /// A directory or file in a mount
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Also show mode, sizes in bytes, archive ID and tree hash
    #[arg(short, long)]
    long: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

impl Ls {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(std::slice::from_ref(&self.path), async |client, paths| {
            // One path was asked for, so one comes back; an empty one is the root.
            let entries = client.ls(&paths.into_iter().next().unwrap_or_default()).await?;
            match (self.json, self.long) {
                (true, _) => output::print_json(&entries),
                (false, true) => output::print(&long(&entries)),
                (false, false) => output::print(&short(&entries)),
            }
        })
    }
}

fn short(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let state = entry.state.map(|state| state.to_string()).unwrap_or_default();
        vec![bytes(entry, size::human), state, output::local_time(entry.mtime), name(entry)]
    };
    output::table(&["", "", "", ""], &[0], &entries.iter().map(row).collect::<Vec<_>>())
}

fn long(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        vec![
            format!("{:06o}", entry.mode),
            bytes(entry, |bytes| bytes.to_string()),
            entry.state.map_or("-".to_owned(), |state| state.to_string()),
            entry.mtime.to_string(),
            or_dash(entry.tree_hash.as_deref()),
            or_dash(entry.archive_id.as_deref()),
            name(entry),
        ]
    };
    let heading = ["MODE", "BYTES", "STATE", "WRITTEN", "TREE HASH", "ARCHIVE ID", "NAME"];
    output::table(&heading, &[1], &entries.iter().map(row).collect::<Vec<_>>())
}

/// The size of what has one.
fn bytes(entry: &Entry, format: impl Fn(u64) -> String) -> String {
    match entry.kind {
        EntryKind::File | EntryKind::Symlink => format(entry.size),
        EntryKind::Vault | EntryKind::Dir | EntryKind::Other => "-".to_owned(),
    }
}

/// The name with the mark that `ls -F` gives its kind.
fn name(entry: &Entry) -> String {
    let mark = match entry.kind {
        EntryKind::Vault | EntryKind::Dir => "/",
        EntryKind::Symlink => "@",
        EntryKind::File | EntryKind::Other => "",
    };
    format!("{}{mark}", entry.name)
}
