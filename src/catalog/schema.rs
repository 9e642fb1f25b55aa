//! The catalog's tables, and how an older file becomes a newer one.
//!
//! `PRAGMA user_version` carries the schema's version. [`prepare`] creates an empty database, migrates an older one in a
//! single transaction (after a copy beside it), and refuses a newer one untouched. Each version is a step from the one
//! before, never changed once it was released; a new database goes through all of them, so that it can't differ from an
//! old one.
//! Ids of contents are random, because they outlive the catalog: an archive's description names its content.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::ValueRef;

use super::Error;

/// The version that this build reads and writes.
pub const VERSION: i64 = STEPS.len() as i64;

/// What makes each version of the one before.
const STEPS: [&str; 3] = [V1, V2, V3];

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

/// Version 2. The trash is of inodes, which stay as they were, with attributes and content; so each archive that no inode has
/// gets one. What version 1 knew of an archive in the trash becomes the inode's.
const V2: &str = "
ALTER TABLE trash RENAME TO old;
DROP INDEX trash_due;
CREATE TABLE trash (
    ino     INTEGER PRIMARY KEY,                -- without a name, and with everything that it had
    vault   INTEGER NOT NULL,
    path    BLOB NOT NULL,                      -- its last one, within the vault; empty when none is known
    deleted INTEGER NOT NULL,                   -- when it lost its name, or got other bytes
    due     INTEGER NOT NULL,                   -- when it may go for good, and its archive with it
    going   INTEGER NOT NULL DEFAULT 0,         -- 1: its archive may be deleted already
    error   TEXT                                -- why the service didn't delete its archive
);
CREATE INDEX trash_due ON trash (due);
CREATE INDEX trash_path ON trash (vault, path, deleted);
CREATE INDEX trash_error ON trash (ino) WHERE error IS NOT NULL;
CREATE TABLE lost_name (
    ino  INTEGER NOT NULL,
    path BLOB NOT NULL,                         -- within the vault: a name that it had while it had others
    lost INTEGER,                               -- when; NULL: kept as long as the inode is in the trash
    PRIMARY KEY (ino, path)
) WITHOUT ROWID;
CREATE INDEX lost_name_lost ON lost_name (lost) WHERE lost IS NOT NULL;
CREATE TABLE gone (
    content    INTEGER PRIMARY KEY,             -- that was deleted, and of which an inventory may list an archive
    vault      INTEGER NOT NULL,
    archive_id TEXT,                            -- its archive, deleted too; NULL: none that was ever recorded
    at         INTEGER NOT NULL
);
CREATE INDEX gone_archive ON gone (vault, archive_id) WHERE archive_id IS NOT NULL;
CREATE INDEX gone_at ON gone (vault, at);
CREATE INDEX content_unsynced ON content (id) WHERE state = 2 AND file IS NOT NULL AND due IS NOT NULL;

UPDATE old SET content = 1 + abs(random() / 2) WHERE content IS NULL;
INSERT INTO inode (ino, vault, mode, uid, gid, nlink, size, atime, mtime, ctime, btime, content)
    SELECT c.reserved + o.archive, a.vault, o.mode, o.uid, o.gid, 0, a.size, o.mtime, o.mtime, o.deleted, o.mtime, o.content
    FROM old o JOIN archive a ON a.id = o.archive, counter c;
INSERT OR IGNORE INTO content (id, vault, ino, state, size, archive)
    SELECT o.content, a.vault, 0, 2, a.size, a.id FROM old o JOIN archive a ON a.id = o.archive;
UPDATE content SET ino = (SELECT reserved FROM counter) + archive WHERE id IN (SELECT content FROM old);
INSERT INTO trash (ino, vault, path, deleted, due)
    SELECT c.reserved + o.archive, a.vault, o.path, o.deleted, o.due
    FROM old o JOIN archive a ON a.id = o.archive, counter c;
UPDATE counter SET reserved = reserved + 1 + COALESCE((SELECT MAX(archive) FROM old), 0);
DROP TABLE old;
";

/// Version 3. What is cached has a time of its last use. Jobs wait for their time, and are counted in a budget; restores are lists
/// of contents that are to become local.
const V3: &str = "
ALTER TABLE content ADD COLUMN used INTEGER NOT NULL DEFAULT 0; -- about when what is cached of it was last used
-- Nobody knows of what was cached before; it is as if it had been used just now.
UPDATE content SET used = CAST(strftime('%s', 'now') AS INTEGER) * 1000000000 WHERE state = 2 AND file IS NOT NULL;
-- The attributes that are rules, by which nearly every catalog knows at once that it has none.
CREATE INDEX xattr_rule ON xattr (name)
    WHERE name >= CAST('user.glacierfs.' AS BLOB) AND name < CAST('user.glacierfs/' AS BLOB);
ALTER TABLE job ADD COLUMN due INTEGER NOT NULL DEFAULT 0;    -- a planned one isn't asked for before
ALTER TABLE job ADD COLUMN reader INTEGER NOT NULL DEFAULT 1; -- 1: a reader wants it; 0: only restores do
ALTER TABLE job ADD COLUMN charged INTEGER;     -- the day since 1970 (UTC) whose budget it is counted in; NULL: in none yet
ALTER TABLE job ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;   -- billionths of a dollar that are counted
ALTER TABLE job ADD COLUMN held TEXT;           -- why a planned one has to wait until it is due, where somebody should know
ALTER TABLE job ADD COLUMN base INTEGER;        -- first byte of the archive in the output, which may be more than is wanted; NULL: first
CREATE INDEX job_due ON job (due, id) WHERE state = 0;
CREATE INDEX job_named ON job (job_id) WHERE job_id IS NOT NULL;
CREATE TABLE spent (
    day      INTEGER PRIMARY KEY,               -- since 1970, UTC
    requests INTEGER NOT NULL,                  -- retrieval jobs
    bytes    INTEGER NOT NULL,                  -- that they retrieve
    cost     INTEGER NOT NULL                   -- in billionths of a dollar
);
CREATE TABLE took (
    id      INTEGER PRIMARY KEY,                -- the newest last; only so many are kept of each tier
    tier    TEXT NOT NULL,
    seconds REAL NOT NULL                       -- from its creation to its completion, as the service says
);
CREATE TABLE restore (
    id      INTEGER PRIMARY KEY,
    what    TEXT NOT NULL,                      -- the paths, for people
    tier    TEXT NOT NULL,
    rate    INTEGER,                            -- bytes an hour; NULL: all at once
    created INTEGER NOT NULL,
    planned INTEGER NOT NULL DEFAULT 0,         -- 1: all its items are there
    due     INTEGER NOT NULL,                   -- when its last job is to be asked for
    ended   INTEGER,                            -- when nothing was left to bring; NULL: not yet
    cancelled INTEGER NOT NULL DEFAULT 0,
    files   INTEGER NOT NULL DEFAULT 0,         -- that it is about
    bytes   INTEGER NOT NULL DEFAULT 0,         -- in them that weren't local
    done_files INTEGER NOT NULL DEFAULT 0,
    done_bytes INTEGER NOT NULL DEFAULT 0,
    failed  INTEGER NOT NULL DEFAULT 0          -- files
);
CREATE TABLE restore_item (
    content INTEGER NOT NULL,                   -- that isn't local yet
    restore INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,                   -- of it that weren't local
    error   TEXT,                               -- why it won't be; NULL: it is on its way
    PRIMARY KEY (content, restore)
) WITHOUT ROWID;
CREATE INDEX restore_item_restore ON restore_item (restore, content);
CREATE TABLE usage (
    month    INTEGER NOT NULL,                  -- the day since 1970 (UTC) that it begins with
    vault    INTEGER NOT NULL,
    top      BLOB NOT NULL,                     -- the first directory below the vault; empty: none
    what     INTEGER NOT NULL,                  -- 0 uploads, 1 to 3 retrievals by tier, 4 early deletions
    requests INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,                  -- of early deletions: bytes times the days that are paid for yet
    PRIMARY KEY (month, vault, top, what)
) WITHOUT ROWID;
CREATE TRIGGER content_gone AFTER DELETE ON content BEGIN
    UPDATE restore SET files = files - 1, bytes = bytes -
        (SELECT i.bytes FROM restore_item i WHERE i.content = old.id AND i.restore = restore.id)
        WHERE id IN (SELECT restore FROM restore_item WHERE content = old.id AND error IS NULL);
    UPDATE restore SET ended = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000000
        WHERE planned = 1 AND ended IS NULL AND id IN (SELECT restore FROM restore_item WHERE content = old.id)
        AND NOT EXISTS
        (SELECT 1 FROM restore_item i WHERE i.restore = restore.id AND i.error IS NULL AND i.content <> old.id);
    DELETE FROM restore_item WHERE content = old.id;
END;
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
        1..VERSION => {
            keep_copy(conn, path, version)?;
            let tx = conn.transaction()?;
            step_up(&tx, version)?;
            tx.commit()?;
            log::info!("{}: catalog version {version} was brought to version {VERSION}", path.display());
            Ok(())
        }
        _ => Err(Error::Newer { path: path.to_path_buf(), found: version, known: VERSION }),
    }
}

/// Does what leads from version `from` to the current one.
fn step_up(tx: &Connection, from: i64) -> Result<(), Error> {
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// Copies the database as it is to a file beside it, `catalog.db.v1` say, for whoever wants to go back to the version before.
fn keep_copy(conn: &Connection, path: &Path, version: i64) -> Result<(), Error> {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".v{version}{end}"));
        PathBuf::from(name)
    };
    let (unfinished, copy) = (beside(".tmp"), beside(""));
    let failed = |source| Error::Io { path: unfinished.clone(), source };
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // SQLite takes the name as text, and hands its bytes to the kernel as they are.
    conn.execute("VACUUM INTO ?1", [ToSqlOutput::Borrowed(ValueRef::Text(unfinished.as_os_str().as_bytes()))])?;
    std::fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&unfinished, &copy).map_err(failed)?;
    log::info!("the catalog as it was is kept as {}", copy.display());
    Ok(())
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
    step_up(&tx, 0)?;
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
    tx.commit()?;
    Ok(())
}
