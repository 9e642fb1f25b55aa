-- From version 1 to version 2: what can be set on vaults and accounts, and the notifications of jobs.

-- The policy documents are kept as the text that was sent.
ALTER TABLE vaults ADD COLUMN access_policy TEXT;

CREATE TABLE tags (
    vault INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (vault, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    vault INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    -- A JSON array of strings, in the order in which they were given.
    events TEXT NOT NULL
) STRICT;

CREATE TABLE locks (
    vault INTEGER PRIMARY KEY,
    policy TEXT NOT NULL,
    lock_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- When it ends by itself; NULL once it is Locked.
    expires INTEGER
) STRICT;

CREATE TABLE retrieval_policies (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    strategy TEXT NOT NULL,
    -- NULL for strategies without a number.
    bytes_per_hour INTEGER,
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;

CREATE TABLE capacity (
    id INTEGER PRIMARY KEY,
    capacity_id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    starts INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX capacity_by_account ON capacity (account, region);

-- Why the job failed; NULL when it didn't.
ALTER TABLE jobs ADD COLUMN failed TEXT;
-- Whether its completion has been put into the outbox, or needn't be.
ALTER TABLE jobs ADD COLUMN notified INTEGER NOT NULL DEFAULT FALSE;
-- Whoever waited for these has long been told by asking.
UPDATE jobs SET notified = TRUE WHERE completes <= unixepoch('subsec') * 1000;
CREATE INDEX jobs_to_notify ON jobs (completes) WHERE NOT notified;
-- How much was asked for lately.
CREATE INDEX archive_jobs_by_creation ON jobs (created) WHERE archive IS NOT NULL;

-- Messages to publish, in their order.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    message TEXT NOT NULL,
    -- When it was put here, when to try next, and how often that has failed; of the machine's clock.
    created INTEGER NOT NULL,
    due INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_due ON outbox (due);
