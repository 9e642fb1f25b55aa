-- A catalog of version 1, frozen: never to be changed.

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
    due        INTEGER,                         -- when a sealed content's upload may start
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

-- A root, a vault `photos` with the directory `d`; in it `kept`, archived; `again`, written anew after it was archived;
-- `open`, dirty; a link; and without a name but open, `nameless`. In the trash: the old bytes of `again`, the deleted
-- `gone` with its attributes, and a double that an inventory named, kept without an end.
DELETE FROM counter;
INSERT INTO counter VALUES (1048578);
INSERT INTO vault VALUES (1, 'photos', 2, 'arn', '2026-01-02T03:04:05Z');
INSERT INTO inode VALUES (1, NULL, 16877, 0, 0, 0, 3, 0, 1, 1, 1, 1, NULL, NULL);
INSERT INTO inode VALUES (2, 1, 16877, 0, 0, 0, 3, 0, 2, 2, 2, 2, NULL, NULL);
INSERT INTO inode VALUES (3, 1, 16877, 1000, 1000, 0, 2, 0, 3, 3, 3, 3, NULL, NULL);
INSERT INTO inode VALUES (4, 1, 33188, 1000, 1000, 0, 1, 10, 4, 4, 4, 4, 71, NULL);
INSERT INTO inode VALUES (5, 1, 33188, 1000, 1000, 0, 1, 20, 5, 5, 5, 5, 73, NULL);
INSERT INTO inode VALUES (6, 1, 33188, 1000, 1000, 0, 1, 0, 6, 6, 6, 6, 74, NULL);
INSERT INTO inode VALUES (7, 1, 41471, 1000, 1000, 0, 1, 4, 7, 7, 7, 7, NULL, X'6B657074');
INSERT INTO inode VALUES (8, 1, 33188, 1000, 1000, 0, 0, 0, 8, 8, 8, 8, 75, NULL);
INSERT INTO orphan VALUES (8, CAST('d/nameless' AS BLOB));
INSERT INTO dentry VALUES (1, CAST('photos' AS BLOB), 2, 9);
INSERT INTO dentry VALUES (2, CAST('d' AS BLOB), 3, 10);
INSERT INTO dentry VALUES (3, CAST('kept' AS BLOB), 4, 11);
INSERT INTO dentry VALUES (3, CAST('again' AS BLOB), 5, 12);
INSERT INTO dentry VALUES (3, CAST('open' AS BLOB), 6, 13);
INSERT INTO dentry VALUES (3, CAST('link' AS BLOB), 7, 14);
INSERT INTO xattr VALUES (4, CAST('user.a' AS BLOB), CAST('b' AS BLOB));
INSERT INTO archive VALUES (1, 1, 'archive-kept', 10, ZEROBLOB(32), 1000);
INSERT INTO archive VALUES (2, 1, 'archive-again-old', 15, ZEROBLOB(32), 2000);
INSERT INTO archive VALUES (3, 1, 'archive-gone', 30, ZEROBLOB(32), 3000);
INSERT INTO archive VALUES (4, 1, 'archive-double', 40, ZEROBLOB(32), 4000);
INSERT INTO content (id, vault, ino, state, size, archive) VALUES (71, 1, 4, 2, 10, 1);
INSERT INTO content (id, vault, ino, state, size, archive) VALUES (72, 1, 5, 2, 15, 2);
INSERT INTO content (id, vault, ino, state, size, file, due) VALUES (73, 1, 5, 1, 20, 73, 5000);
INSERT INTO content (id, vault, ino, state, file) VALUES (74, 1, 6, 0, 74);
INSERT INTO content (id, vault, ino, state, file) VALUES (75, 1, 8, 0, 75);
INSERT INTO content (id, vault, ino, state, size, archive) VALUES (76, 1, 9, 2, 30, 3);
INSERT INTO trash VALUES (2, 72, CAST('d/again' AS BLOB), 33188, 1000, 1000, 55, 6000, 7776000000002000);
INSERT INTO trash VALUES (3, 76, CAST('d/gone' AS BLOB), 33216, 7, 8, 66, 7000, 7776000000003000);
INSERT INTO trash VALUES (4, NULL, CAST('d/kept' AS BLOB), 33152, 0, 0, 4000, 8000, 9223372036854775807);
INSERT INTO doomed VALUES (99);
PRAGMA user_version = 1;
