//! The catalog's tables, and how an older file becomes a newer one.
//!
//! `PRAGMA user_version` carries the schema's version. [`prepare`] creates an empty database at the current version,
//! migrates an older one in a single transaction (after a copy beside it), and refuses a newer one untouched.
//! Ids of contents are random, because they outlive the catalog: an archive's description names its content.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OpenFlags;

use super::Error;

/// The version that this build reads and writes.
pub const VERSION: i64 = 1;

/// The inode number of the mount's root, the directory of vaults (FUSE demands 1).
pub const ROOT: u64 = 1;

/// Version 1. Times are nanoseconds since 1970 (may be negative), sizes bytes, names and link targets raw bytes.
const V1: &str = "
CREATE TABLE counter (reserved INTEGER NOT NULL);  -- next_id() has given out none from here on
INSERT INTO counter VALUES (2);
CREATE TABLE vault (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    root           INTEGER NOT NULL,            -- inode of its directory
    arn            TEXT NOT NULL DEFAULT '',
    inventory_date TEXT                         -- RFC 3339, of the newest inventory that was reconciled
);
CREATE TABLE inode (
    ino     INTEGER PRIMARY KEY,                -- from next_id(): never used twice, so NFS handles stay true
    vault   INTEGER,                            -- NULL for the mount's root
    mode    INTEGER NOT NULL,                   -- type and permission bits, as in st_mode
    uid     INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    rdev    INTEGER NOT NULL DEFAULT 0,
    nlink   INTEGER NOT NULL,
    size    INTEGER NOT NULL DEFAULT 0,
    atime   INTEGER NOT NULL,
    mtime   INTEGER NOT NULL,
    ctime   INTEGER NOT NULL,
    btime   INTEGER NOT NULL,
    content INTEGER,                            -- NULL: empty, or not a regular file
    target  BLOB                                -- of a symbolic link
);
CREATE TABLE orphan (
    ino  INTEGER PRIMARY KEY,                   -- without a name, but open somewhere
    path BLOB NOT NULL                          -- its last one, within the vault
);
CREATE TABLE dentry (
    parent INTEGER NOT NULL,
    name   BLOB NOT NULL,
    ino    INTEGER NOT NULL,
    cookie INTEGER NOT NULL,                    -- from next_id(): a directory stream's position, never used twice
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX dentry_order ON dentry (parent, cookie, ino);
CREATE INDEX dentry_ino ON dentry (ino);
CREATE TABLE xattr (
    ino   INTEGER NOT NULL,
    name  BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (ino, name)
) WITHOUT ROWID;
CREATE TABLE archive (
    id         INTEGER PRIMARY KEY,
    vault      INTEGER NOT NULL,
    archive_id TEXT NOT NULL,                   -- the service's name for it
    size       INTEGER NOT NULL,
    tree_hash  BLOB NOT NULL,                   -- 32 bytes
    created    INTEGER NOT NULL
);
CREATE UNIQUE INDEX archive_name ON archive (vault, archive_id);
CREATE TABLE content (
    id         INTEGER PRIMARY KEY,             -- random, positive; named in the archive's description
    vault      INTEGER NOT NULL,
    ino        INTEGER NOT NULL,                -- the one inode that has or had it
    state      INTEGER NOT NULL,                -- 0 dirty, 1 sealed, 2 archived
    generation INTEGER NOT NULL DEFAULT 0,      -- counts the writes that reopened a sealed content
    size       INTEGER NOT NULL DEFAULT 0,
    file       INTEGER,                         -- name in the store; NULL: nothing is local
    present    BLOB,                            -- NULL: all of the file is there; else a bit per MiB that is
    archive    INTEGER,
    due        INTEGER,                         -- when a sealed content's upload may start; when an archived one
                                                -- was archived whose file isn't known to be on the disk
    tries      INTEGER NOT NULL DEFAULT 0,      -- failed uploads so far
    error      TEXT                             -- of the last failed upload
);
-- The queue of uploads. It covers every question about the queue as a whole, so that a million waiting files don't make
-- a status slow.
CREATE INDEX content_due ON content (due, vault, tries, size) WHERE state = 1;
CREATE INDEX content_dirty ON content (id) WHERE state = 0;
CREATE INDEX content_archive ON content (archive) WHERE archive IS NOT NULL;
CREATE INDEX content_local ON content (file) WHERE state = 2 AND file IS NOT NULL;
CREATE TABLE upload (
    content    INTEGER PRIMARY KEY,
    vault      INTEGER NOT NULL,
    upload_id  TEXT NOT NULL,
    part_size  INTEGER NOT NULL,
    generation INTEGER NOT NULL                 -- of the content when the upload began
);
CREATE TABLE job (
    id      INTEGER PRIMARY KEY,
    vault   INTEGER NOT NULL,
    archive INTEGER NOT NULL,
    first   INTEGER NOT NULL,                   -- bytes of the archive, inclusive
    last    INTEGER NOT NULL,
    tier    TEXT NOT NULL,
    state   INTEGER NOT NULL DEFAULT 0,         -- 0 planned, 1 accepted by the service, 2 its output can be fetched
    job_id  TEXT,                               -- the service's name for it, once accepted
    created INTEGER NOT NULL
);
CREATE INDEX job_archive ON job (archive, first);
CREATE INDEX job_state ON job (state, vault, id);
CREATE TABLE trash (
    archive INTEGER PRIMARY KEY,
    content INTEGER,                            -- NULL: an archive that no content has (a double, say)
    path    BLOB NOT NULL,                      -- within the vault, when it was deleted
    mode    INTEGER NOT NULL,
    uid     INTEGER NOT NULL,
    gid     INTEGER NOT NULL,
    mtime   INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    due     INTEGER NOT NULL                    -- when the archive may be deleted from the vault
);
CREATE INDEX trash_due ON trash (due);
CREATE TABLE doomed (file INTEGER PRIMARY KEY); -- files in the store that nothing needs any more
";

/// Brings the database to [`VERSION`]. `path` is its file, for messages and for the copy before a migration.
///
/// # Errors
/// [`Error::Newer`] for a database of a later version, which is left as it is; SQLite's own errors.
pub fn prepare(conn: &mut Connection, path: &Path) -> Result<(), Error> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        VERSION => Ok(()),
        0 => create(conn),
        _ => Err(Error::Newer { path: path.to_path_buf(), found: version, known: VERSION }),
    }
}

/// Checks a database's version without creating or changing anything, so that a newer one stays untouched.
pub fn check(path: &Path) -> Result<(), Error> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: i64 = match conn.query_row("PRAGMA user_version", [], |row| row.get(0)) {
        // It was cut off while it was made, and has to be rolled back first, which opening it to write does.
        Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == rusqlite::ErrorCode::ReadOnly => return Ok(()),
        other => other?,
    };
    if found > VERSION {
        return Err(Error::Newer { path: path.to_path_buf(), found, known: VERSION });
    }
    Ok(())
}

fn create(conn: &mut Connection) -> Result<(), Error> {
    let tx = conn.transaction()?;
    tx.execute_batch(V1)?;
    let now = super::now();
    tx.execute(
        "INSERT INTO inode (ino, mode, uid, gid, nlink, atime, mtime, ctime, btime) VALUES (?1, ?2, ?3, ?4, 2, ?5, ?5, ?5, ?5)",
        (
            ROOT as i64,
            super::Kind::Directory.bits() | 0o755,
            nix::unistd::getuid().as_raw(),
            nix::unistd::getgid().as_raw(),
            now,
        ),
    )?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}
