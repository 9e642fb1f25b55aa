//! Where a test can have the daemon killed: at each step that orders durability.
//!
//! In a debug build `GLACIERFS_CRASH=NAME:N` kills the process, as `kill -9` does, when it comes by the point NAME for the Nth
//! time. Without the variable a pass costs a look at a constant; a release build has no points, and refuses the variable
//! as it does every setting that it doesn't know. `tests/power/matrix.rs` goes through the table, and fails for a point
//! that it can't reach, so that none is forgotten.

/// The variable that says where.
#[cfg(debug_assertions)]
pub const VARIABLE: &str = "GLACIERFS_CRASH";

macro_rules! points {
    ($($(#[$what:meta])* $point:ident = $name:literal,)*) => {
        /// A moment at which a kill must lose nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$what])* $point,)* }

        impl Point {
            /// All of them.
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            /// Its name in the variable.
            pub fn name(self) -> &'static str {
                match self { $(Point::$point => $name,)* }
            }
        }
    };
}

points! {
    /// The store's directories are made, and not synced.
    StoreMade = "store-made",
    /// They are synced.
    StoreSynced = "store-synced",
    /// What the last daemon left open is sealed, and what it had doomed isn't removed.
    Recovered = "recovered",
    /// A transaction of the catalog is complete but for its commit.
    Committing = "committing",
    /// A transaction is committed, and nobody was told.
    Committed = "committed",
    /// The catalog's log is synced, and nobody was told.
    LogSynced = "log-synced",
    /// The log was moved into the database.
    Checkpointed = "checkpointed",
    /// The store has a new file that no row names.
    FileMade = "file-made",
    /// A new name has its file, and who asked for it doesn't know.
    Created = "created",
    /// A write has its content: a new one, that of an archived file, or a sealed one that was reopened.
    WriteBegun = "write-begun",
    /// Bytes are written, and the writer doesn't know.
    Written = "written",
    /// A file is cut or grown, and nobody knows.
    Truncated = "truncated",
    /// fsync has synced the bytes, and not yet the name of their file in the store.
    FsyncBytes = "fsync-bytes",
    /// It has synced both, and not yet the catalog's log.
    FsyncName = "fsync-name",
    /// It has synced everything, and not answered.
    FsyncLog = "fsync-log",
    /// A name is gone or has moved, and an inode without a name isn't forgotten.
    NameGone = "name-gone",
    /// It is forgotten, and the file of its bytes is doomed.
    Forgotten = "forgotten",
    /// The sizes and times of closed files are known, and not yet to the catalog.
    Sealing = "sealing",
    /// Closed files are sealed.
    Sealed = "sealed",
    /// An archive is in the vault, whole, and the catalog doesn't know.
    ArchiveSent = "archive-sent",
    /// The service has begun an upload in parts, and the catalog doesn't know.
    UploadBegun = "upload-begun",
    /// Now it does.
    UploadNoted = "upload-noted",
    /// A part is there.
    PartSent = "part-sent",
    /// All are, and the upload isn't complete.
    PartsSent = "parts-sent",
    /// It is, so that the archive is in the vault, and the catalog doesn't know.
    UploadCompleted = "upload-completed",
    /// An upload goes on with the parts that the service has.
    UploadResumed = "upload-resumed",
    /// The service has given up an upload that nobody wants, and the catalog doesn't know.
    UploadAborted = "upload-aborted",
    /// An archive is recorded, and its bytes aren't in the cache's order.
    Archived = "archived",
    /// What was archived is synced, and still marked as if it weren't.
    CacheSynced = "cache-synced",
    /// No row names an evicted file any more.
    Evicted = "evicted",
    /// The log that says that files are doomed is synced, and they are there.
    DoomedSynced = "doomed-synced",
    /// A file of the store is removed, and may be named as doomed.
    FileRemoved = "file-removed",
    /// Removed files are forgotten.
    DoomedForgotten = "doomed-forgotten",
    /// A retrieval is planned.
    RecallPlanned = "recall-planned",
    /// The service has accepted it, and the catalog doesn't know.
    RecallAsked = "recall-asked",
    /// Now it does.
    RecallAccepted = "recall-accepted",
    /// A retrieval that the service had all the time has its name.
    RecallAdopted = "recall-adopted",
    /// Its output is ready, and the catalog knows.
    RecallReady = "recall-ready",
    /// It has an empty file in the store that no row names.
    RecallFile = "recall-file",
    /// A row names it.
    RecallBegun = "recall-begun",
    /// Some of its bytes are written, and not verified.
    PieceWritten = "piece-written",
    /// They are verified and synced, and nothing says that they are there.
    PieceSynced = "piece-synced",
    /// The catalog says so, and who waits for them doesn't know.
    PieceRecorded = "piece-recorded",
    /// The retrieval is forgotten.
    RecallDone = "recall-done",
    /// What goes for good is noted as going, and its archive is there.
    Going = "going",
    /// Its archive is deleted, and the catalog doesn't know.
    ArchiveDeleted = "archive-deleted",
    /// It is forgotten.
    Purged = "purged",
    /// A vault is made in the service, and has no directory.
    VaultMade = "vault-made",
    /// A vault is deleted in the service, and has a directory.
    VaultDeleted = "vault-deleted",
    /// Archives of an inventory were held against the catalog, and not all of them.
    Reconciled = "reconciled",
    /// A snapshot is a file of the store, and no row names it.
    SnapshotLinked = "snapshot-linked",
    /// It is a file of the vault, and not what the next one is compared with.
    SnapshotNoted = "snapshot-noted",
}

/// Kills the process if it was told to be killed here. Costs nothing in a release build.
#[inline]
pub fn at(point: Point) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use nix::sys::signal::Signal;
    use nix::sys::signal::raise;

    use super::Point;
    use super::VARIABLE;

    struct Armed {
        point: Point,
        /// Passes that are left.
        left: AtomicU64,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let told = std::env::var(VARIABLE).ok()?;
        let armed = told.split_once(':').and_then(|(name, passes)| {
            let point = *Point::ALL.iter().find(|point| point.name() == name)?;
            Some(Armed { point, left: AtomicU64::new(passes.parse().ok()?) })
        });
        if armed.is_none() {
            eprintln!("{VARIABLE}={told}: no such point, or no number of passes");
        }
        armed
    });

    pub(super) fn pass(point: Point) {
        if let Some(armed) = &*ARMED
            && armed.point == point
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            eprintln!("{VARIABLE}: killed at {}", point.name());
            // It can't fail, and doesn't return.
            let _ = raise(Signal::SIGKILL);
        }
    }
}
