//! What goes over the control socket about names that other tools' databases know. Paths are within the vault.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use super::PathText;
use crate::service::TreeHash;

/// `POST /v1/import`: names for archives of a vault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// The vault's name.
    pub vault: String,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// The archives. Their paths have at most [`Import::MOST`] bytes together.
    pub archives: Vec<Claim>,
}

impl Import {
    /// Most bytes of paths in a request: what it may make is one transaction of the catalog.
    pub const MOST: usize = 256 << 10;
}

/// What a database says of an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The service's name for it.
    pub archive_id: String,
    /// Its paths; the others become hard links.
    pub paths: Vec<PathText>,
    /// When its bytes were changed last.
    pub mtime: Option<Timestamp>,
    /// What makes it a file at once that the catalog doesn't know yet; none: an inventory has to name it first.
    pub archive: Option<Told>,
}

/// An archive on the word of a database.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Bytes.
    pub size: u64,
    /// Of all of it.
    pub tree_hash: TreeHash,
    /// When the vault got it.
    pub created: Timestamp,
}

/// Answer to `POST /v1/import`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// What became of each archive, in the order of the request.
    pub archives: Vec<Claimed>,
}

/// What became of an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// The service's name for it.
    pub archive_id: String,
    /// What it was.
    pub outcome: Outcome,
    /// The path that its database gives it, or the first of several.
    pub path: PathText,
    /// Where it was before.
    pub before: Option<PathText>,
    /// Paths that it didn't get because something is there or in the way.
    pub taken: Vec<PathText>,
}

/// What became of an archive, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No inventory has named it yet.
    Unknown,
    /// It has the name now.
    Named,
    /// No inventory has named it yet; it is a file on the database's word, or in the trash as an older version of one.
    Adopted,
    /// It had the name.
    Already,
    /// It has another name that somebody chose.
    Left,
    /// Something else has the name.
    Taken,
    /// It was deleted or replaced, and is in the trash.
    Deleted,
}
