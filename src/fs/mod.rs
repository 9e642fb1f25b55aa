//! POSIX on vaults: every operation that a program can do to the mount, on the catalog and the store.
//!
//! No kernel types and no waiting: an operation that needs bytes which aren't local answers [`Error::Cold`], one that
//! needs room on the disk [`Error::Full`], and whoever called it (the adapter in `fuse/`) parks the request, sees to the
//! cause, and does the operation again. Everything here can be tested without a mount.
//!
//! **Truth.** While a file is written, its file in the store is the only truth about its size and times; attributes are
//! read from there, so no operation has to be repeated in the catalog and a crash loses nothing. Once it is sealed the
//! catalog knows.
//!
//! **Lock order.** Who settles closed files (`seal::Closed::settling`), then the table of open files (`open::Table`), then an
//! open file's state, then the catalog (whose lock is innermost). Only who settles locks more than one state at once. The
//! list of closed files and the sets of inode numbers are locked for a moment, and nothing is locked meanwhile. No lock is held
//! over a read or write of bytes, nor while cached files are given up for room.

mod acl;
mod attr;
mod error;
mod ids;
mod invalidator;
mod io;
mod names;
mod open;
mod ranges;
mod room;
mod seal;
mod xattr;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;

pub use acl::is_acl;
pub use attr::Times;
pub use error::Error;
pub use error::Need;
pub use error::Result;
pub use invalidator::Invalidate;
pub use invalidator::Invalidator;
pub use open::HandleId;
pub use open::Opened;
pub use room::MayMakeRoom;

use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::catalog::Ino;
use crate::store::Room;
use crate::store::Store;

/// The inode number of the mount's root.
pub use crate::catalog::ROOT;

/// Longest file name in bytes (POSIX NAME_MAX on Linux).
pub const NAME_MAX: usize = 255;

/// What the file system is told when it starts.
#[derive(Clone)]
pub struct Settings {
    /// How long after its last close a file's upload may start.
    pub upload_delay: Duration,
    /// Bytes to leave free on the disk under the store.
    pub spool_reserve: u64,
    /// Answers whether uploads can be expected to make room on a full disk.
    pub may_make_room: MayMakeRoom,
    /// Where the daemon's control socket is; told to whoever reads `user.glacierfs.control` of the root.
    pub control: PathBuf,
}

/// The file system of one mount.
pub struct Fs {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    settings: Settings,
    open: open::Table,
    /// Inodes that have extended attributes: nearly none, so most questions need no query.
    with_xattrs: Mutex<HashSet<Ino>>,
    /// What has lost its last name, isn't a file, and is still known to the kernel.
    nameless: Mutex<HashSet<Ino>>,
    /// Directories that were moved, so that listings from before tell a wrong number for `..`.
    moved: Mutex<HashSet<Ino>>,
    /// Rung when a content was sealed.
    sealed: Arc<Notify>,
    closed: seal::Closed,
    ids: ids::Ids,
    /// How often a file was emptied whose bytes weren't all local.
    emptied: watch::Sender<u64>,
    /// Whether it was logged that the disk is full, since it last had room.
    full: AtomicBool,
}

/// Who asks, as far as ownership of new files goes.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Fs {
    /// The file system on `catalog` and `store`. `cache` keeps the order of use; `sealed` is rung whenever something
    /// waits to be uploaded.
    ///
    /// # Errors
    /// The catalog's.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        cache: Arc<Cache>,
        sealed: Arc<Notify>,
        settings: Settings,
    ) -> Result<Self> {
        let with_xattrs = Mutex::new(catalog.inodes_with_xattrs()?);
        Ok(Fs {
            catalog,
            store,
            cache,
            settings,
            open: open::Table::default(),
            with_xattrs,
            nameless: Mutex::default(),
            moved: Mutex::default(),
            sealed,
            closed: seal::Closed::default(),
            ids: ids::Ids::new(),
            emptied: watch::Sender::default(),
            full: AtomicBool::new(false),
        })
    }

    /// Changes whenever a file is emptied whose bytes weren't all local: who waits for some then needs them no more.
    pub fn emptied(&self) -> watch::Receiver<u64> {
        self.emptied.subscribe()
    }

    /// The room that files can still take, less the reserve.
    pub fn room(&self) -> Result<Room> {
        let mut room = self.store.room()?;
        room.available = room.available.saturating_sub(self.settings.spool_reserve);
        Ok(room)
    }
}

/// Refuses names that no directory can hold.
fn check_name(name: &[u8]) -> Result<()> {
    match name.len() {
        0 => Err(nix::errno::Errno::ENOENT.into()),
        1..=NAME_MAX => Ok(()),
        _ => Err(nix::errno::Errno::ENAMETOOLONG.into()),
    }
}

#[cfg(test)]
mod tests;
