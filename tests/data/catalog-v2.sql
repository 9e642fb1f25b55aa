-- A catalog of version 2, frozen: never to be changed.

PRAGMA user_version = 2;
CREATE TABLE archive (
    id         INTEGER PRIMARY KEY,
    vault      INTEGER NOT NULL,
    archive_id TEXT NOT NULL,                   -- the service's name for it
    size       INTEGER NOT NULL,
    tree_hash  BLOB NOT NULL,                   -- 32 bytes
    created    INTEGER NOT NULL
);
INSERT INTO "archive" VALUES(1,1,'archive-kept',10,X'0000000000000000000000000000000000000000000000000000000000000000',1000);
INSERT INTO "archive" VALUES(2,1,'archive-again-old',15,X'0000000000000000000000000000000000000000000000000000000000000000',2000);
INSERT INTO "archive" VALUES(3,1,'archive-gone',30,X'0000000000000000000000000000000000000000000000000000000000000000',3000);
INSERT INTO "archive" VALUES(4,1,'archive-double',40,X'0000000000000000000000000000000000000000000000000000000000000000',4000);
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
    due        INTEGER,                         -- when a sealed content's upload may start
    tries      INTEGER NOT NULL DEFAULT 0,      -- failed uploads so far
    error      TEXT                             -- of the last failed upload
);
INSERT INTO "content" VALUES(71,1,4,2,0,10,71,NULL,1,NULL,0,NULL);
INSERT INTO "content" VALUES(72,1,1048580,2,0,15,NULL,NULL,2,NULL,0,NULL);
INSERT INTO "content" VALUES(73,1,5,1,0,20,73,NULL,NULL,5000,0,NULL);
INSERT INTO "content" VALUES(74,1,6,0,0,0,74,NULL,NULL,NULL,0,NULL);
INSERT INTO "content" VALUES(75,1,8,0,0,0,75,NULL,NULL,NULL,0,NULL);
INSERT INTO "content" VALUES(76,1,1048581,2,0,30,NULL,NULL,3,NULL,0,NULL);
INSERT INTO "content" VALUES(2713170364741232082,1,1048582,2,0,40,171,NULL,4,NULL,0,NULL);
CREATE TABLE counter (reserved INTEGER NOT NULL);
INSERT INTO "counter" VALUES(1048583);
CREATE TABLE dentry (
    parent INTEGER NOT NULL,
    name   BLOB NOT NULL,
    ino    INTEGER NOT NULL,
    cookie INTEGER NOT NULL,                    -- from next_id(): a directory stream's position, never used twice
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
INSERT INTO "dentry" VALUES(1,X'70686F746F73',2,9);
INSERT INTO "dentry" VALUES(2,X'64',3,10);
INSERT INTO "dentry" VALUES(3,X'6B657074',4,11);
INSERT INTO "dentry" VALUES(3,X'616761696E',5,12);
INSERT INTO "dentry" VALUES(3,X'6F70656E',6,13);
INSERT INTO "dentry" VALUES(3,X'6C696E6B',7,14);
CREATE TABLE doomed (file INTEGER PRIMARY KEY);
INSERT INTO "doomed" VALUES(99);
CREATE TABLE gone (
    content    INTEGER PRIMARY KEY,             -- that was deleted, and of which an inventory may list an archive
    vault      INTEGER NOT NULL,
    archive_id TEXT,                            -- its archive, deleted too; NULL: none that was ever recorded
    at         INTEGER NOT NULL
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
INSERT INTO "inode" VALUES(1,NULL,16877,0,0,0,3,0,1,1,1,1,NULL,NULL);
INSERT INTO "inode" VALUES(2,1,16877,0,0,0,3,0,2,2,2,2,NULL,NULL);
INSERT INTO "inode" VALUES(3,1,16877,1000,1000,0,2,0,3,3,3,3,NULL,NULL);
INSERT INTO "inode" VALUES(4,1,33188,1000,1000,0,1,10,4,4,4,4,71,NULL);
INSERT INTO "inode" VALUES(5,1,33188,1000,1000,0,1,20,5,5,5,5,73,NULL);
INSERT INTO "inode" VALUES(6,1,33188,1000,1000,0,1,0,6,6,6,6,74,NULL);
INSERT INTO "inode" VALUES(7,1,41471,1000,1000,0,1,4,7,7,7,7,NULL,X'6B657074');
INSERT INTO "inode" VALUES(8,1,33188,1000,1000,0,0,0,8,8,8,8,75,NULL);
INSERT INTO "inode" VALUES(1048580,1,33188,1000,1000,0,0,15,55,55,6000,55,72,NULL);
INSERT INTO "inode" VALUES(1048581,1,33216,7,8,0,0,30,66,66,7000,66,76,NULL);
INSERT INTO "inode" VALUES(1048582,1,33152,0,0,0,0,40,4000,4000,8000,4000,2713170364741232082,NULL);
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
INSERT INTO "job" VALUES(1,1,1,0,9,'Bulk',0,NULL,9000);
INSERT INTO "job" VALUES(2,1,2,0,14,'Standard',1,'job-a',9001);
INSERT INTO "job" VALUES(3,1,3,0,29,'Expedited',2,'job-b',9002);
CREATE TABLE lost_name (
    ino  INTEGER NOT NULL,
    path BLOB NOT NULL,                         -- within the vault: a name that it had while it had others
    lost INTEGER,                               -- when; NULL: kept as long as the inode is in the trash
    PRIMARY KEY (ino, path)
) WITHOUT ROWID;
CREATE TABLE orphan (
    ino  INTEGER PRIMARY KEY,                   -- without a name, but open somewhere
    path BLOB NOT NULL                          -- its last one, within the vault
);
INSERT INTO "orphan" VALUES(8,X'642F6E616D656C657373');
CREATE TABLE trash (
    ino     INTEGER PRIMARY KEY,                -- without a name, and with everything that it had
    vault   INTEGER NOT NULL,
    path    BLOB NOT NULL,                      -- its last one, within the vault; empty when none is known
    deleted INTEGER NOT NULL,                   -- when it lost its name, or got other bytes
    due     INTEGER NOT NULL,                   -- when it may go for good, and its archive with it
    going   INTEGER NOT NULL DEFAULT 0,         -- 1: its archive may be deleted already
    error   TEXT                                -- why the service didn't delete its archive
);
INSERT INTO "trash" VALUES(1048580,1,X'642F616761696E',6000,7776000000002000,0,NULL);
INSERT INTO "trash" VALUES(1048581,1,X'642F676F6E65',7000,7776000000003000,0,NULL);
INSERT INTO "trash" VALUES(1048582,1,X'642F6B657074',8000,9223372036854775807,0,NULL);
CREATE TABLE upload (
    content    INTEGER PRIMARY KEY,
    vault      INTEGER NOT NULL,
    upload_id  TEXT NOT NULL,
    part_size  INTEGER NOT NULL,
    generation INTEGER NOT NULL                 -- of the content when the upload began
);
CREATE TABLE vault (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    root           INTEGER NOT NULL,            -- inode of its directory
    arn            TEXT NOT NULL DEFAULT '',
    inventory_date TEXT                         -- RFC 3339, of the newest inventory that was reconciled
);
INSERT INTO "vault" VALUES(1,'photos',2,'arn','2026-01-02T03:04:05Z');
CREATE TABLE xattr (
    ino   INTEGER NOT NULL,
    name  BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (ino, name)
) WITHOUT ROWID;
INSERT INTO "xattr" VALUES(4,X'757365722E61',X'62');
CREATE UNIQUE INDEX dentry_order ON dentry (parent, cookie, ino);
CREATE INDEX dentry_ino ON dentry (ino);
CREATE UNIQUE INDEX archive_name ON archive (vault, archive_id);
CREATE INDEX content_due ON content (due, vault, tries, size) WHERE state = 1;
CREATE INDEX content_dirty ON content (id) WHERE state = 0;
CREATE INDEX content_archive ON content (archive) WHERE archive IS NOT NULL;
CREATE INDEX content_local ON content (file) WHERE state = 2 AND file IS NOT NULL;
CREATE INDEX job_archive ON job (archive, first);
CREATE INDEX job_state ON job (state, vault, id);
CREATE INDEX trash_due ON trash (due);
CREATE INDEX trash_path ON trash (vault, path, deleted);
CREATE INDEX trash_error ON trash (ino) WHERE error IS NOT NULL;
CREATE INDEX lost_name_lost ON lost_name (lost) WHERE lost IS NOT NULL;
CREATE INDEX gone_archive ON gone (vault, archive_id) WHERE archive_id IS NOT NULL;
CREATE INDEX gone_at ON gone (vault, at);
CREATE INDEX content_unsynced ON content (id) WHERE state = 2 AND file IS NOT NULL AND due IS NOT NULL;
