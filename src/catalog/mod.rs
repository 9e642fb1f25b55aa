//! The catalog: names, attributes, contents, archives, jobs. Everything that an archive ID doesn't carry.
//!
//! One SQLite file in WAL mode. Its API is in terms of operations (`lookup`, `create`, `rename`, `seal`, `archived` …),
//! never of SQL; each operation is one transaction, committed before it returns, so that a kill of the process loses
//! nothing that was answered. A commit isn't synced: [`Catalog::sync`] makes everything committed so far survive a power
//! cut, and the daemon calls it for each fsync and every few seconds.
//!
//! **Locking.** One connection behind one mutex, held for microseconds: no operation waits for the network or for a sync
//! while it has it. Checkpoints, which do sync, run on a second connection ([`Catalog::checkpoint`]), and
//! have operations wait only for the rest of a log that became long. The checkpointer's lock is taken first then; the catalog's
//! mutex is the innermost lock of the house: nothing else is ever locked while it is held.

mod archives;
mod audit;
mod budget;
mod check;
mod claims;
mod contents;
mod counter;
mod gone;
mod graft;
mod inherit;
mod jobs;
mod local;
mod names;
mod own;
mod planning;
mod restore;
mod restores;
mod schema;
mod took;
mod trash;
mod tree;
mod types;
mod usage;
mod vaults;
mod xattrs;

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

use counter::Counter;

use crate::util::crash;
use crate::util::crash::Point;

pub use archives::Adopted;
pub use archives::KnownArchive;
pub use archives::Upload;
pub use audit::Cold;
pub use audit::Held;
pub use audit::Whereabouts;
pub use claims::Claim;
pub use claims::Claimed;
pub use claims::Outcome;
pub use contents::Begun;
pub use contents::Seal;
pub use contents::Sealed;
pub use contents::Start;
pub use graft::Grafted;
pub use inherit::Rule;
pub use inherit::Rules;
pub use jobs::HeldJobs;
pub use jobs::Job;
pub use jobs::JobState;
pub use local::Cached;
pub use local::Evicted;
pub use names::Entry;
pub use names::NewInode;
pub use names::Removed;
pub use names::RenameMode;
pub use own::OwnFile;
pub use planning::Planned;
pub use planning::Terms;
pub use planning::Turn;
pub use restore::Place;
pub use restore::PutBack;
pub use restores::Restore;
pub use restores::RestoreFailure;
pub use restores::RestoreState;
pub use schema::ROOT;
pub use trash::BILLED;
pub use trash::Position;
pub use trash::Trashed;
pub use tree::Node;
pub use tree::NodeArchive;
pub use tree::NodeContent;
pub use tree::NodeTrash;
pub use tree::Tree;
pub use types::Archive;
pub use types::ArchiveRow;
pub use types::Changes;
pub use types::Content;
pub use types::ContentId;
pub use types::DAMAGED;
pub use types::FileId;
pub use types::Ino;
pub use types::Inode;
pub use types::Kind;
pub use types::OWN_DIRECTORY;
pub use types::Present;
pub use types::State;
pub use types::VaultId;
pub use types::now;
pub use usage::StoredIn;
pub use usage::Usage;
pub use usage::Used;
pub use usage::stored;
pub use vaults::Vault;
pub use xattrs::XattrMode;

/// How many bytes of the write-ahead log may pile up before [`Catalog::checkpoint`] has something to do.
const CHECKPOINT: u64 = 16 << 20;
/// How long the log may become before operations have to wait for a checkpoint, in bytes; and the most that its file keeps.
const LONG: u64 = 64 << 20;

/// Names, attributes and places of everything in one mount.
pub struct Catalog {
    conn: Mutex<Connection>,
    checkpointer: Mutex<Connection>,
    /// The write-ahead log itself: syncing it is what makes commits durable. SQLite keeps its locks on other files,
    /// so a descriptor of ours does no harm, and the file stays the same one while a connection is open.
    wal: File,
    wal_path: PathBuf,
    counter: Counter,
    /// Its file, for further connections.
    path: PathBuf,
    /// How many transactions have changed something since it was opened.
    writes: AtomicU64,
    /// How long a deleted file's archive is kept at least.
    trash_keep: Duration,
}

/// Why the catalog said no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name, inode, vault or content that doesn't exist (ENOENT).
    #[error("no such entry")]
    NotFound,
    /// The name is taken (EEXIST).
    #[error("the name exists already")]
    Exists,
    /// A directory that isn't empty (ENOTEMPTY).
    #[error("the directory isn't empty")]
    NotEmpty,
    /// A directory was needed (ENOTDIR).
    #[error("not a directory")]
    NotDirectory,
    /// Anything but a directory was needed (EISDIR).
    #[error("is a directory")]
    IsDirectory,
    /// A directory can't move below itself (EINVAL).
    #[error("a directory can't be moved into itself")]
    IntoItself,
    /// Names in two vaults can't share or swap an inode (EXDEV).
    #[error("the two names are in different vaults")]
    CrossVault,
    /// Not at the root, where only vaults are (EPERM).
    #[error("only vaults can be at the root of the mount")]
    RootIsForVaults,
    /// Bytes that are to stay aren't local, or not any more (EAGAIN).
    #[error("not all of the file is local")]
    NotLocal,
    /// It is glacierfs's own, and nobody else's to change (EPERM).
    #[error("it belongs to glacierfs itself")]
    Own,
    /// The extended attribute isn't set (ENODATA).
    #[error("no such extended attribute")]
    NoXattr,
    /// Their list would become too long (ENOSPC).
    #[error("the inode has too many extended attributes")]
    TooManyXattrs,
    /// The database was written by a later version of glacierfs.
    #[error(
        "{} has catalog version {found}, and this glacierfs knows versions up to {known}: it was written by a newer \
         glacierfs, which is the one to use (nothing was changed)", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The disk under the catalog is full (ENOSPC).
    #[error("no space left for the catalog")]
    Full,
    /// A file beside the database.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// SQLite's own words.
    #[error("catalog: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Error::NotFound,
            rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::DiskFull => Error::Full,
            other => Error::Sqlite(other),
        }
    }
}

/// What a catalog operation answers.
pub type Result<T> = std::result::Result<T, Error>;

impl Catalog {
    /// Opens the catalog at `path`, creating or migrating it. `trash_keep` is how long a deleted file's archive stays
    /// at least.
    ///
    /// # Errors
    /// [`Error::Newer`] when a later version wrote it; SQLite's own errors, for a file that is no database say.
    pub fn open(path: &Path, trash_keep: Duration) -> Result<Self> {
        if path.exists() {
            schema::check(path)?;
        }
        let mut conn = connect(path)?;
        schema::prepare(&mut conn, path)?;
        trash::remember_removals(&conn)?;
        let checkpointer = connect(path)?;
        let mut wal_path = path.as_os_str().to_owned();
        wal_path.push("-wal");
        let wal_path = PathBuf::from(wal_path);
        // Its first write brings the log into being.
        let counter = Counter::open(&conn)?;
        let wal = File::options()
            .create(true)
            .append(true)
            .open(&wal_path)
            .map_err(|source| Error::Io { path: wal_path.clone(), source })?;
        Ok(Catalog {
            conn: Mutex::new(conn),
            checkpointer: Mutex::new(checkpointer),
            wal,
            wal_path,
            counter,
            path: path.to_path_buf(),
            writes: AtomicU64::new(0),
            trash_keep,
        })
    }

    /// Makes every operation that has returned survive a power cut. Takes as long as the disk takes to sync.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        self.wal.sync_data().map_err(|source| Error::Io { path: self.wal_path.clone(), source })?;
        crash::at(Point::LogSynced);
        Ok(())
    }

    /// Moves the write-ahead log into the database when it has grown. Returns whether anything was moved. Call it now and
    /// then from a thread that may wait. Other operations go on meanwhile; only when that has let the log become long,
    /// since it starts anew only when all of it was moved, they wait while the last of it is.
    pub fn checkpoint(&self) -> Result<bool> {
        let conn = lock(&self.checkpointer);
        let length = || self.wal.metadata().map_or(u64::MAX, |meta| meta.len());
        if length() < CHECKPOINT {
            return Ok(false);
        }
        let checkpoint = || conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        checkpoint()?;
        if length() > LONG {
            let _no_writer = lock(&self.conn);
            checkpoint()?;
        }
        crash::at(Point::Checkpointed);
        Ok(true)
    }

    /// Runs `operation` as one transaction: all of it is committed when this returns `Ok`, and nothing when `Err`.
    fn write<T>(&self, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let conn = lock(&self.conn);
        self.counter.reserve(&conn)?;
        let transaction = OpenTransaction::begin(&conn)?;
        let answer = operation(&conn)?;
        crash::at(Point::Committing);
        transaction.commit()?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        crash::at(Point::Committed);
        Ok(answer)
    }

    /// How many operations have changed something since the catalog was opened.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Runs a query. It sees every committed operation.
    fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        query(&lock(&self.conn))
    }
}

/// A transaction that is rolled back unless it is committed. (rusqlite's own prepares its statements anew each time, which
/// costs as much as a small operation.)
struct OpenTransaction<'a>(&'a Connection);

impl<'a> OpenTransaction<'a> {
    fn begin(conn: &'a Connection) -> Result<Self> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(OpenTransaction(conn))
    }

    fn commit(self) -> Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            log::error!("a catalog transaction can't be rolled back: {error}");
        }
    }
}

fn lock(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // A panic in an operation rolls its transaction back, so the connection behind a poisoned lock is sound.
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> Result<Connection> {
    // Each connection is behind a mutex of ours, so SQLite needs none of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.busy_timeout(Duration::from_secs(10))?;
    // Plans don't depend on what is bound: otherwise SQLite compiles every join anew for each number it is asked for.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Most operations change a few bytes on each of ten pages, and the log gets whole pages.
    conn.pragma_update(None, "page_size", 2048)?;
    conn.pragma_update(None, "journal_size_limit", LONG as i64)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_size = -16384;
         PRAGMA foreign_keys = OFF;",
    )?;
    Ok(conn)
}

#[cfg(test)]
mod tests;
