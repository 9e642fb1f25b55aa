//! The catalog of a state directory without a daemon, or beside one: copied, put back, checked, printed.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use jiff::Timestamp;

use super::state::StateDir;
use super::state::StateError;
use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::Tree;
use crate::snapshot;

/// The catalog's file in a state directory.
pub(super) const CATALOG: &str = "catalog.db";

/// Why something with a catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory can't be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no catalog.
    #[error("{} has no catalog: it isn't a state directory of glacierfs", .0.display())]
    NoCatalog(PathBuf),
    /// There is no such vault.
    #[error("the catalog knows no vault {0:?}")]
    NoVault(String),
    /// A copy isn't one, or not in order.
    #[error("{} can't be restored: {why}", path.display())]
    Unfit {
        /// The copy.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// It can't be printed.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
}

/// Copies the catalog of `state` to the new file `to`, also while a daemon works on it.
///
/// # Errors
/// [`Error`].
pub fn backup(state: &Path, to: &Path) -> Result<(), Error> {
    Ok(Catalog::copy(&existing(state)?, to)?)
}

/// What isn't as it must be in the catalog of `state`, also while a daemon works on it.
///
/// # Errors
/// [`Error`].
pub fn check(state: &Path) -> Result<Vec<String>, Error> {
    Ok(Catalog::check(&existing(state)?)?)
}

/// Puts the copy `from` in the place of the catalog of `state`, and answers where that one is now. No daemon may have it.
///
/// # Errors
/// [`Error`]; then nothing has changed.
pub fn restore(state: &Path, from: &Path) -> Result<Option<PathBuf>, Error> {
    let held = StateDir::take(state)?;
    let unfit = |why: &dyn std::fmt::Display| Error::Unfit { path: from.to_path_buf(), why: why.to_string() };
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    };
    fs::metadata(from).map_err(io(from))?;
    let found = Catalog::check(from).map_err(|error| unfit(&error))?;
    if let Some(first) = found.first() {
        return Err(unfit(first));
    }
    let new = held.file("catalog.new");
    // What an interrupted try has left.
    let _ = fs::remove_file(&new);
    Catalog::copy(from, &new)?;
    Catalog::distrust_cache(&new)?;
    let current = held.file(CATALOG);
    let mut before = None;
    if current.exists() {
        let name = format!("catalog.{}.db", Timestamp::now().strftime("%Y%m%dT%H%M%S"));
        let aside = held.file(&name);
        // Whole, with what is in its log only.
        Catalog::copy(&current, &aside)?;
        before = Some(aside);
        // The log belongs to the old one, and has nothing to say about the new.
        for end in ["-wal", "-shm"] {
            let beside = held.file(&format!("{CATALOG}{end}"));
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&beside)(error)),
                _ => {}
            }
        }
    }
    fs::rename(&new, &current).map_err(io(&current))?;
    File::open(held.path()).and_then(|directory| directory.sync_all()).map_err(io(held.path()))?;
    Ok(before)
}

/// Prints the tree of `vault`, or of all, of the catalog of `state` to `to` as snapshots that aren't compressed.
///
/// # Errors
/// [`Error`].
pub fn export(state: &Path, vault: Option<&str>, to: impl Write) -> Result<(), Error> {
    let path = existing(state)?;
    let vaults: Vec<_> =
        Catalog::vaults_of(&path)?.into_iter().filter(|one| vault.is_none_or(|name| name == one.name)).collect();
    if let (Some(name), true) = (vault, vaults.is_empty()) {
        return Err(Error::NoVault(name.to_owned()));
    }
    let mut to = BufWriter::new(to);
    for vault in vaults {
        (to, _) = snapshot::export(&vault.name, Tree::open(&path, vault.id)?, Timestamp::now(), to)?;
    }
    to.flush().map_err(|error| Error::Snapshot(error.into()))
}

fn existing(state: &Path) -> Result<PathBuf, Error> {
    let path = state.join(CATALOG);
    if path.exists() { Ok(path) } else { Err(Error::NoCatalog(state.to_path_buf())) }
}
