//! The catalog in the vault: snapshots of a vault's tree, written into the vault as files, and the tree made from them again.
//!
//! `format` is what a snapshot is made of, line by line; `write` and `read` make and take one apart; `merge` puts a full one
//! and a delta together, or finds a delta; `take` writes snapshots and prunes them, `when` decides when; `restore` brings
//! the newest one back. docs/snapshot-format.md describes the format for those who have no glacierfs.

mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod merge;
mod plan;
mod read;
mod restore;
mod take;
mod when;
mod write;

pub use format::Header;
pub use format::Kind;
pub use read::Damaged;
pub use read::Line;
pub use read::Reader;
pub use take::Settings;
pub use take::Snapshots;
pub use take::Taken;
pub use take::path;
pub use write::export;

/// Why a snapshot wasn't taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such vault.
    #[error("there is no vault {0:?}")]
    Missing(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] crate::catalog::Error),
    /// The file system failed.
    #[error("the snapshot can't be written: {0}")]
    Io(#[from] std::io::Error),
    /// What is kept here of an earlier snapshot can't be read.
    #[error("{0}")]
    Damaged(#[from] Damaged),
}

#[cfg(test)]
mod tests;
