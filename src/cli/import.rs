//! `glacierfs import`: names from other tools' databases.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;

use clap::builder::PossibleValue;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::client;
use crate::control::client::Client;
use crate::control::wire;
use crate::control::wire::Claim;
use crate::control::wire::Claimed;
use crate::control::wire::ErrorKind;
use crate::control::wire::Outcome;
use crate::control::wire::PathText;
use crate::import;
use crate::import::Format;
use crate::import::Named;

/// How many archives a request names, and how many bytes of paths.
const BATCH: (usize, usize) = (500, wire::Import::MOST / 2);

/// Take names of archives from another tool's local database
///
/// For vaults that other tools filled and whose archives' descriptions don't tell all: files in .unnamed/, and those named
/// by a mere text, get the names and times that the database knows. Take the vault's inventory first, so that its archives
/// are known. Nothing is deleted or replaced, and files with names of your own choice keep them.
///
/// synology: the file in the vault whose name ends in _mapping (recall it through the mount). glacier-cli: its cache,
/// ~/.cache/glacier-cli/db. mt-aws-glacier: the vault's journal; it knows sizes and tree hashes, so archives that no inventory
/// has named yet become files at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs import --dry-run synology /mnt/vaults/nas_mapping/mapping.sqlite3 nas
  glacierfs import glacier-cli ~/.cache/glacier-cli/db
  glacierfs import mt-aws-glacier ~/photos.journal photos")]
pub struct Import {
    /// Whose database it is
    #[arg(value_name = "FORMAT")]
    format: Format,
    /// The database; it is only read
    file: PathBuf,
    /// The vault: its name, or the path of its directory in a mount [glacier-cli: all that the database names]
    vault: Option<String>,
    /// Change nothing, and say what would be changed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl clap::ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        const FORMATS: [Format; 3] = [Format::ALL[0].1, Format::ALL[1].1, Format::ALL[2].1];
        &FORMATS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Format::ALL.iter().find(|(_, format)| format == self).map(|(name, _)| PossibleValue::new(*name))
    }
}

/// What came of an import, as `--json` prints it.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    dry_run: bool,
    /// Rows or lines that name nothing.
    nameless: u64,
    /// Rows or lines that can't be used.
    unreadable: u64,
    /// What is wrong with the first of these, and with vaults.
    problems: Vec<String>,
    /// How many archives had which outcome.
    outcomes: BTreeMap<&'static str, u64>,
    /// Each archive; without `--json` only those that didn't get a name.
    archives: Vec<Row>,
}

#[derive(Debug, serde::Serialize)]
struct Row {
    vault: String,
    #[serde(flatten)]
    claimed: Claimed,
}

impl Import {
    pub fn run(self) -> Result<(), Failure> {
        let path = self.vault.as_ref().filter(|vault| vault.contains('/')).map(PathBuf::from);
        let mount: Vec<_> = path.iter().cloned().chain(self.mount.clone()).collect();
        if self.vault.is_none() && !self.format.tells_vaults() {
            let message = "this database doesn't say which vault its archives are in: name the vault after the file";
            return Err(Failure::new(Code::Usage, message));
        }
        let mut found = import::read(self.format, &self.file)
            .map_err(|error| Failure::new(Code::Failed, format!("{}: {error}", self.file.display())))?;
        ask::ask(&mount, async |client, paths| {
            let vault = match (&path, paths.first()) {
                (Some(_), Some(inside)) => Some(inside.encode()),
                _ => self.vault.clone(),
            };
            let mut report = Report {
                dry_run: self.dry_run,
                nameless: found.nameless,
                unreadable: found.unreadable,
                problems: std::mem::take(&mut found.problems),
                ..Report::default()
            };
            let mut vaults: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
            for named in std::mem::take(&mut found.named) {
                if named.vault.is_some() && vault.is_some() && named.vault != vault {
                    continue;
                }
                if let Some(vault) = vault.clone().or_else(|| named.vault.clone()) {
                    vaults.entry(vault).or_default().extend(claims(named));
                }
            }
            for (name, claims) in vaults {
                match self.send(&client, &name, claims, &mut report).await {
                    // The others may be there.
                    Err(client::Error::Refused { kind: ErrorKind::NotFound, message }) if vault.is_none() => {
                        report.problems.push(message);
                    }
                    other => other?,
                }
            }
            self.tell(&report)
        })
    }

    async fn send(
        &self,
        client: &Client,
        vault: &str,
        claims: Vec<Claim>,
        report: &mut Report,
    ) -> Result<(), client::Error> {
        let spinner = output::spinner();
        // What a dry run doesn't do, the next request doesn't see.
        let mut given: HashMap<PathText, String> = HashMap::new();
        let total = claims.len();
        let mut done = 0;
        let mut claims = claims.into_iter().peekable();
        while claims.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(claim) = claims.next_if(|claim: &Claim| {
                batch.is_empty() || batch.len() < BATCH.0 && bytes + length(&claim.paths) <= BATCH.1
            }) {
                bytes += length(&claim.paths);
                batch.push(claim);
            }
            done += batch.len();
            spinner.set_message(format!("{vault}: {done} of {total}"));
            let request = wire::Import { vault: vault.to_owned(), dry_run: self.dry_run, archives: batch };
            for mut claimed in client.import(&request).await?.archives {
                if self.dry_run && claimed.outcome == Outcome::Named {
                    let has = given.entry(claimed.path.clone()).or_insert_with(|| claimed.archive_id.clone());
                    if *has != claimed.archive_id {
                        claimed.outcome = Outcome::Taken;
                        claimed.taken.push(claimed.path.clone());
                    }
                }
                *report.outcomes.entry(word(claimed.outcome)).or_default() += 1;
                // A million archives that nobody asks to see needn't be remembered.
                if self.json || !claimed.taken.is_empty() {
                    report.archives.push(Row { vault: vault.to_owned(), claimed });
                }
            }
        }
        spinner.finish_and_clear();
        Ok(())
    }

    fn tell(&self, report: &Report) -> Result<(), Failure> {
        match self.json {
            true => output::print_json(report)?,
            false => output::print(&told(report))?,
        }
        let taken = report.archives.iter().flat_map(|row| row.claimed.taken.iter().map(move |path| (row, path)));
        let conflicts = taken.map(|(row, path)| wire::Failure {
            path: PathText([row.vault.as_bytes(), b"/", &path.0].concat()),
            reason: match &row.claimed.before {
                Some(before) => {
                    format!("something is there or in the way; the archive stays at {}/{before}", row.vault)
                }
                None => format!("something is there or in the way; archive {} doesn't get it", row.claimed.archive_id),
            },
            retrying: false,
        });
        let conflicts: Vec<_> = conflicts.collect();
        output::complain_about(&conflicts);
        for problem in report.problems.iter().take(20) {
            output::complain(problem);
        }
        let unknown = report.outcomes.contains_key(word(Outcome::Unknown));
        match conflicts.is_empty() && report.problems.is_empty() && report.unreadable == 0 && !unknown {
            true => Ok(()),
            false => Err(Failure::told(Code::Incomplete)),
        }
    }
}

/// An archive as the daemon is told of it: more than once where it has very many names, each time with the first.
fn claims(named: Named) -> Vec<Claim> {
    let claim = |paths| Claim {
        archive_id: named.archive_id.clone(),
        paths,
        mtime: named.mtime,
        archive: named.archive.map(|(size, tree_hash, created)| wire::Told { size, tree_hash, created }),
    };
    let paths: Vec<PathText> = named.paths.into_iter().map(PathText).collect();
    if length(&paths) <= BATCH.1 {
        return vec![claim(paths)];
    }
    let first = paths[..1].to_vec();
    // A path is much shorter than this leaves room for.
    paths[1..].chunks(16).map(|some| claim([&first, some].concat())).collect()
}

fn length(paths: &[PathText]) -> usize {
    paths.iter().map(|path| path.0.len()).sum()
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unknown => "unknown",
        Outcome::Named => "named",
        Outcome::Adopted => "adopted",
        Outcome::Already => "already",
        Outcome::Left => "left",
        Outcome::Taken => "taken",
        Outcome::Deleted => "deleted",
    }
}

fn told(report: &Report) -> String {
    let mut text = if report.dry_run { "This is what would be done:\n".to_owned() } else { String::new() };
    let archives = |n| output::count(n, "archive", "archives");
    let outcomes = [
        (Outcome::Named, "named"),
        (Outcome::Adopted, "that no inventory has named yet, taken in on the database's word"),
        (Outcome::Already, "named so already"),
        (Outcome::Left, "left alone: they have names that somebody chose"),
        (Outcome::Taken, "not named: something else has the name"),
        (Outcome::Deleted, "left in the trash, where they were put by deleting or replacing"),
        (Outcome::Unknown, "unknown: take the vault's inventory, and import again"),
    ];
    let known = outcomes
        .iter()
        .map(|(outcome, meaning)| (report.outcomes.get(word(*outcome)).copied().unwrap_or_default(), *meaning));
    for (n, meaning) in known.filter(|(n, _)| *n > 0) {
        text.push_str(&format!("{} {meaning}\n", archives(n)));
    }
    if report.outcomes.is_empty() {
        text.push_str("The database names no archive here.\n");
    }
    for (n, meaning) in [(report.nameless, "without a name"), (report.unreadable, "that can't be used")] {
        if n > 0 {
            text.push_str(&format!("{} {meaning}\n", output::count(n, "row or line", "rows or lines")));
        }
    }
    text
}
