//! What a snapshot of a vault's tree has to do with its inventory: on a rebuild the tree comes first, and the archives that it
//! doesn't tell of become files by their descriptions.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::catalog;
use crate::catalog::Ino;
use crate::catalog::Node;
use crate::catalog::Vault;

/// Brings the tree of a vault back from its newest snapshot.
pub trait Restore: Send + Sync {
    /// Brings in what is in the newest snapshot that the catalog doesn't know yet and that can be read. Takes the hours that a
    /// retrieval takes. None when there is no such snapshot.
    ///
    /// # Errors
    /// The catalog's.
    fn restore<'a>(self: Arc<Self>, vault: &'a Vault) -> BoxFuture<'a, catalog::Result<Option<Restored>>>;

    /// Sees what became of the files that weren't archived when the snapshot was taken, once all archives are known. Blocks.
    ///
    /// # Errors
    /// The catalog's.
    fn finish(&self, vault: &Vault, restored: &mut Restored) -> catalog::Result<()>;
}

/// What came of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// For people.
    pub report: SnapshotReport,
    /// Files whose bytes weren't archived when the snapshot was taken.
    pub unarchived: Vec<Node>,
    /// The vault's snapshots, once what is in them is in the catalog.
    pub snapshots: Vec<Ino>,
}

/// What came of a snapshot, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The snapshot that was used; none when none could be.
    pub name: Option<String>,
    /// Inodes in it.
    pub entries: u64,
    /// Those that are here again.
    pub restored: u64,
    /// Those that were here already.
    pub same: u64,
    /// Those whose place something else has.
    pub taken: u64,
    /// Files that were never archived.
    pub lost: u64,
    /// Newer snapshots that can't be used, and why.
    pub damaged: Vec<String>,
}
