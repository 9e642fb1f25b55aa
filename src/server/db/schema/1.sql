-- The first version of the endpoint's database. Times are milliseconds since 1970, sizes bytes.

CREATE TABLE vaults (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- What it holds now.
    archives INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    -- How many inventories have been taken; when and of what the last one was.
    inventories INTEGER NOT NULL DEFAULT 0,
    inventory_date INTEGER,
    inventory_archives INTEGER NOT NULL DEFAULT 0,
    inventory_bytes INTEGER NOT NULL DEFAULT 0,
    -- When the next one is taken; NULL while nothing was written since the last one.
    inventory_due INTEGER,
    UNIQUE (account, region, name)
) STRICT;

-- Bytes, written once. With data NULL they are in the file objects/<id>.
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    tree_hash BLOB NOT NULL,
    -- 32 bytes a MiB; NULL when there is only one leaf, which is the tree hash.
    leaves BLOB,
    data BLOB
) STRICT;
CREATE INDEX objects_with_files ON objects (id) WHERE data IS NULL;

-- A deleted archive keeps its row, so that deleting it again succeeds and an inventory that knew it still does.
CREATE TABLE archives (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    archive_id TEXT NOT NULL UNIQUE,
    vault INTEGER NOT NULL,
    description TEXT NOT NULL,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL,
    tree_hash BLOB NOT NULL,
    -- The number of the first inventory that lists it, and of the first that doesn't any more.
    listed_from INTEGER NOT NULL,
    listed_until INTEGER
) STRICT;
CREATE INDEX archives_by_vault ON archives (vault);

-- The objects that an archive consists of, by the offset of their first byte.
CREATE TABLE pieces (
    archive INTEGER NOT NULL,
    first INTEGER NOT NULL,
    object INTEGER NOT NULL,
    PRIMARY KEY (archive, first)
) STRICT, WITHOUT ROWID;

-- Multipart uploads. One that has ended keeps its row for a while, for a client that asks again.
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    upload_id TEXT NOT NULL UNIQUE,
    vault INTEGER NOT NULL,
    description TEXT,
    part_size INTEGER NOT NULL,
    created INTEGER NOT NULL,
    -- The last request about it.
    active INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT FALSE,
    -- What it became, when it was completed.
    archive INTEGER
) STRICT;
CREATE INDEX uploads_by_vault ON uploads (vault, id);
CREATE INDEX uploads_by_activity ON uploads (active);

CREATE TABLE parts (
    upload INTEGER NOT NULL,
    first INTEGER NOT NULL,
    object INTEGER NOT NULL,
    PRIMARY KEY (upload, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    vault INTEGER NOT NULL,
    description TEXT,
    sns_topic TEXT,
    tier TEXT,
    created INTEGER NOT NULL,
    completes INTEGER NOT NULL,
    -- Archive retrieval: of what, which bytes (inclusive), and their tree hash when they are tree-hash aligned.
    archive INTEGER,
    first INTEGER,
    last INTEGER,
    tree_hash BLOB,
    -- Inventory retrieval: the request's parameters as JSON, the marker that continues it, and the document.
    inventory TEXT,
    next_marker TEXT,
    output INTEGER
) STRICT;
CREATE INDEX jobs_by_vault ON jobs (vault, id, completes);
CREATE INDEX jobs_by_archive ON jobs (archive) WHERE archive IS NOT NULL;
CREATE INDEX jobs_by_completion ON jobs (completes);
