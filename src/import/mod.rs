//! What other tools' local databases say of the archives that they made: names, and times where they have them.
//!
//! Files from outside, only read: what in them can't be believed is left out and told, and no path comes out of here that
//! could lead out of a vault.

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod glacier_cli;
mod mt_aws;
mod synology;

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::types::ValueRef;

use crate::glacier::description::Origin;
use crate::glacier::description::safe_path;
use crate::glacier::treehash::TreeHash;

/// Longest path that is taken, in bytes (PATH_MAX, linux/limits.h, without its NUL).
const LONGEST: usize = 4095;
/// Most lines of what can't be read that are kept to be told.
const TOLD: usize = 100;

/// A tool whose database can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Synology Glacier Backup: the SQLite file in the vault whose name ends in `_mapping`.
    Synology,
    /// glacier-cli: its cache, a SQLite file.
    GlacierCli,
    /// mt-aws-glacier: its journal, a text file.
    MtAwsGlacier,
}

impl Format {
    /// All there are, by the names that people write.
    pub const ALL: [(&str, Format); 3] =
        [("synology", Format::Synology), ("glacier-cli", Format::GlacierCli), ("mt-aws-glacier", Format::MtAwsGlacier)];

    /// Whether the database says which vault an archive is in.
    pub fn tells_vaults(self) -> bool {
        self == Format::GlacierCli
    }
}

/// What a database says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The vault, where the database tells it.
    pub vault: Option<String>,
    /// The service's name for it.
    pub archive_id: String,
    /// Its paths within the vault: safe, at least one, none twice.
    pub paths: Vec<Vec<u8>>,
    /// Last change of the bytes.
    pub mtime: Option<Timestamp>,
    /// Size in bytes, tree hash and time of creation, if the database has them all.
    pub archive: Option<(u64, TreeHash, Timestamp)>,
}

/// What a database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// The archives that have a name, of several with one path the current one or the newest first.
    pub named: Vec<Named>,
    /// How many rows or lines name nothing: no archive, or no name for it.
    pub nameless: u64,
    /// How many rows or lines can't be read or have a path that can't be one.
    pub unreadable: u64,
    /// What is wrong with the first of these.
    pub problems: Vec<String>,
}

/// Why a file isn't read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be opened or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// SQLite can't read it.
    #[error("it can't be read as a SQLite database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It isn't what it is said to be.
    #[error("it isn't {wanted}: {reason}")]
    Other {
        /// What it should be.
        wanted: &'static str,
        /// What it lacks.
        reason: String,
    },
}

/// Reads the database of a tool.
///
/// # Errors
/// The file can't be read, or is something else.
pub fn read(format: Format, path: &Path) -> Result<Import, Error> {
    match format {
        Format::Synology => synology::read(&open(path)?),
        Format::GlacierCli => glacier_cli::read(&open(path)?),
        Format::MtAwsGlacier => mt_aws::read(std::io::BufReader::new(std::fs::File::open(path)?)),
    }
}

fn open(path: &Path) -> Result<Connection, Error> {
    // SQLite says of a missing file no more than that it can't be opened.
    drop(std::fs::File::open(path)?);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // What a schema from outside does in its views is limited to reading.
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

/// The columns that table `table` has, or the word that it lacks one of `needed`.
fn columns(conn: &Connection, wanted: &'static str, table: &str, needed: &[&str]) -> Result<Vec<String>, Error> {
    let mut statement = conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let found: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    match needed.iter().find(|column| !found.iter().any(|name| name.eq_ignore_ascii_case(column))) {
        None => Ok(found),
        Some(column) => Err(Error::Other { wanted, reason: format!("its table {table} has no column {column}") }),
    }
}

/// A column's bytes; none for a null or a number.
fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    value.as_bytes().ok()
}

/// The archive's ID: as the service makes them, so that nothing else passes for one.
fn archive_id(bytes: &[u8]) -> Option<String> {
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let id = (1..=1024).contains(&bytes.len()) && bytes.iter().all(plausible);
    id.then(|| String::from_utf8_lossy(bytes).into_owned())
}

impl Import {
    /// Notes that something at `place` can't be used.
    fn unreadable(&mut self, place: impl FnOnce() -> String) {
        self.unreadable += 1;
        if self.problems.len() < TOLD {
            self.problems.push(place());
        }
    }

    /// Adds what a row says; `place` names it.
    fn add(&mut self, mut named: Named, path: &[u8], place: impl FnOnce() -> String) {
        match safe_path(path, Origin::Foreign).filter(|path| path.len() <= LONGEST) {
            Some(path) => {
                named.paths = vec![path.into_owned()];
                self.named.push(named);
            }
            None => self.unreadable(|| format!("{}: {:?} is no path", place(), String::from_utf8_lossy(path))),
        }
    }

    /// Brings the rows of one archive together: what the first says counts, the paths of all.
    fn gather(&mut self) {
        let mut at = HashMap::new();
        let mut seen: HashSet<(usize, Vec<u8>)> = HashSet::new();
        let mut gathered: Vec<Named> = Vec::with_capacity(self.named.len());
        for mut named in self.named.drain(..) {
            match at.entry((named.vault.clone(), named.archive_id.clone())) {
                Entry::Vacant(vacant) => {
                    seen.extend(named.paths.iter().map(|path| (gathered.len(), path.clone())));
                    vacant.insert(gathered.len());
                    gathered.push(named);
                }
                Entry::Occupied(found) => {
                    named.paths.retain(|path| seen.insert((*found.get(), path.clone())));
                    gathered[*found.get()].paths.append(&mut named.paths);
                }
            }
        }
        self.named = gathered;
    }
}

#[cfg(test)]
mod tests;
