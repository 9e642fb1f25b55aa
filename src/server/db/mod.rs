//! The endpoint's database: one SQLite file, one writer thread, a few readers.
//!
//! **Group commit.** Requests hand their changes to the writer thread as closures. It runs all that wait in one
//! transaction, each in a savepoint of its own, commits with `synchronous=FULL`, and only then answers them: each is on
//! stable storage before its reply, and a hundred of them share one sync. A closure that fails is undone alone.
//!
//! **Files.** A change may adopt new files and set objects free. What it adopts is kept, and what it frees is removed, when
//! the commit has succeeded; otherwise it is the other way round.
//!
//! All SQL is in this module, one file a noun; the functions take the connection, so that a request's steps are one
//! transaction. What the rows mean, and when they are due or expired, is decided by the callers.

pub(super) mod access_policy;
pub(super) mod archives;
pub(super) mod capacity;
pub(super) mod jobs;
pub(super) mod lock;
pub(super) mod notifications;
pub(super) mod objects;
pub(super) mod outbox;
pub(super) mod retrieval;
mod schema;
pub(super) mod tags;
pub(super) mod uploads;
pub(super) mod vaults;

use std::cell::RefCell;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};

use crate::server::files::{Files, NewFile};

/// The most changes in one transaction: bounds what a crowd waits for, and the memory of its small objects (32 MiB).
const BATCH: usize = 512;
/// The most queries at a time: bounds the connections, each of which has a page cache.
const READERS: usize = 16;

/// Why the database didn't do something.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite's own reason, such as a full disk.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that held the change couldn't be committed.
    #[error("not committed: {0}")]
    NotCommitted(String),
    /// The endpoint is stopping.
    #[error("the database is closed")]
    Closed,
    /// Made by a later release.
    #[error(
        "{path} has version {found}, this glacierfs knows up to {version}: run the release that made it, or a later one",
        version = schema::VERSION
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// The transaction of one change.
pub(super) struct Tx<'c> {
    connection: &'c Connection,
    files: RefCell<FileChanges>,
}

/// What becomes of files when a transaction is committed.
#[derive(Default)]
struct FileChanges {
    adopted: Vec<NewFile>,
    /// Numbers of objects.
    freed: Vec<i64>,
}

impl Tx<'_> {
    /// Keeps `file` once the transaction is committed, and removes it if it isn't.
    pub fn adopt(&self, file: NewFile) {
        self.files.borrow_mut().adopted.push(file);
    }

    /// Has the files of `objects` removed once the transaction is committed.
    fn free_files(&self, objects: impl IntoIterator<Item = i64>) {
        self.files.borrow_mut().freed.extend(objects);
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// A change: runs in the transaction, and leaves how to answer once the outcome of the commit is known.
type Change = Box<dyn FnOnce(&Tx<'_>) -> Outcome + Send>;

struct Outcome {
    succeeded: bool,
    answer: Reply,
}

/// Answers the caller of a change, told whether it was committed.
type Reply = Box<dyn FnOnce(Result<(), DbError>)>;

/// The database. Dropped, it lets the writer finish what is queued.
pub(super) struct Db {
    path: PathBuf,
    changes: Mutex<Option<mpsc::Sender<Change>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Connections that nobody is using.
    readers: Mutex<Vec<Connection>>,
    reading: Semaphore,
}

impl Db {
    /// Opens or makes the database of the data directory, and its [`Files`], removing files that belong to nothing.
    /// `guard` is dropped when the writer has closed the database. Blocks.
    pub fn open(data: &Path, guard: impl Send + 'static) -> Result<(Self, Files), OpenError> {
        let path = data.join("glacier.db");
        // Made here for its mode, which SQLite gives to the files beside it as well.
        fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let mut connection = Connection::open(&path)?;
        configure(&connection, 8 << 20)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Fewer, larger checkpoints: 16 MiB of log.
        connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        schema::migrate(&mut connection, &path)?;
        // What the last process wrote without living to sync it is visible now, so it has to be durable now.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;

        let next = objects::last(&connection)? + 1;
        let files = Files::open(data, next)?;
        let known = objects::with_files(&connection)?;
        let removed = files.sweep(|object| known.binary_search(&object).is_ok())?;
        if removed > 0 {
            log::info!("removed {removed} files of requests that had not ended");
        }

        let (changes, queue) = mpsc::channel();
        let writer = thread::Builder::new().name("glacier-write".to_owned()).spawn({
            let files = files.clone();
            move || {
                write_all(connection, &queue, &files);
                drop(guard);
            }
        })?;
        let db = Db {
            path,
            changes: Mutex::new(Some(changes)),
            writer: Mutex::new(Some(writer)),
            readers: Mutex::default(),
            reading: Semaphore::new(READERS),
        };
        Ok((db, files))
    }

    /// Runs `change` in a transaction. Its answer comes once it is on stable storage. An error undoes this change only.
    ///
    /// When the caller goes away (its client hung up), the change is made all the same.
    pub async fn write<T, E>(&self, change: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let change: Change = Box::new(move |tx| {
            let result = change(tx);
            Outcome {
                succeeded: result.is_ok(),
                answer: Box::new(move |committed| {
                    let _ = sender.send(result.and_then(|value| committed.map(|()| value).map_err(E::from)));
                }),
            }
        });
        {
            let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = changes.as_ref().ok_or(DbError::Closed)?;
            queue.send(change).map_err(|_| DbError::Closed)?;
        }
        // The writer drops a change unanswered when it can't even begin, and says why in the log.
        receiver.await.map_err(|_| DbError::NotCommitted("it couldn't be begun".to_owned()))?
    }

    /// Runs `query` on a snapshot of what is committed, on a thread where it may block.
    pub async fn read<T, E>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        // The semaphore is never closed.
        let _permit = self.reading.acquire().await.map_err(|_| DbError::Closed)?;
        let db = Arc::clone(self);
        let query = move || {
            let mut connection = db.reader()?;
            let snapshot =
                connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(DbError::from)?;
            let answer = query(&snapshot);
            drop(snapshot);
            db.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        };
        // A blocking task is lost only when the runtime is shut down.
        tokio::task::spawn_blocking(query).await.map_err(|_| DbError::Closed)?
    }

    /// A reading connection: one that is idle, or a new one.
    fn reader(&self) -> Result<Connection, DbError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        configure(&connection, 2 << 20)?;
        Ok(connection)
    }

    /// Lets the writer finish what is queued and close the database; every later change is refused. Blocks.
    pub fn close(&self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(self.changes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = writer.map(JoinHandle::join) {
            log::error!("the database's writer ended in a panic");
        }
    }
}

/// Why the database or its files couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database's reason.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A directory or file that can't be made or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        OpenError::Db(error.into())
    }
}

/// Sets up a connection with a page cache of up to `cache` bytes.
fn configure(connection: &Connection, cache: i64) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -(cache >> 10))
}

/// The writer thread: takes what waits, commits it, answers it; until the last sender is gone.
fn write_all(connection: Connection, queue: &mpsc::Receiver<Change>, files: &Files) {
    while let Ok(first) = queue.recv() {
        let batch = std::iter::once(first).chain(queue.try_iter().take(BATCH - 1));
        let (mut answers, mut changes) = (Vec::new(), FileChanges::default());
        let committed = commit(&connection, batch, &mut answers, &mut changes);
        if let Err(error) = &committed {
            log::error!("a transaction failed: {error}");
            // Nothing else is in this connection's transaction, if there still is one.
            let _ = connection.execute_batch("ROLLBACK");
        } else {
            changes.adopted.into_iter().for_each(NewFile::keep);
            files.remove_later(changes.freed);
        }
        for answer in answers {
            answer(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(DbError::NotCommitted(error.to_string())),
            });
        }
    }
    if let Err((_, error)) = connection.close() {
        log::warn!("closing the database: {error}");
    }
}

/// Runs a batch of changes in one transaction. Once a change has run its answer is in `answers`, whatever follows; a
/// change that didn't get that far is dropped, and its caller told that the database is closed.
fn commit(
    connection: &Connection,
    batch: impl Iterator<Item = Change>,
    answers: &mut Vec<Reply>,
    changes: &mut FileChanges,
) -> Result<(), DbError> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    for change in batch {
        run("SAVEPOINT change")?;
        let tx = Tx { connection, files: RefCell::default() };
        let outcome = change(&tx);
        answers.push(outcome.answer);
        if connection.is_autocommit() {
            // Out of disk or memory, SQLite undoes the whole transaction, of which the change may know only its part.
            return Err(DbError::NotCommitted("an error in it undid all of it".to_owned()));
        }
        if outcome.succeeded {
            let FileChanges { adopted, freed } = tx.files.into_inner();
            changes.adopted.extend(adopted);
            changes.freed.extend(freed);
        } else {
            run("ROLLBACK TO change")?;
        }
        run("RELEASE change")?;
    }
    run("COMMIT")?;
    Ok(())
}

/// A time as it is stored: milliseconds since 1970.
fn time(milliseconds: i64) -> jiff::Timestamp {
    // Only times of a clock are stored, and those are in range.
    jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::db::vaults::VaultAddress;

    fn address(name: String) -> VaultAddress {
        VaultAddress { account: "0".into(), region: "r".into(), name }
    }

    /// Promise: changes that share a transaction fail alone, whatever they did before they failed; the others are there,
    /// in the database that is opened next as well; and after `close` nothing is changed any more.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn changes_fail_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (db, _files) = Db::open(dir.path(), ()).expect("opens");
        let db = Arc::new(db);
        let now = jiff::Timestamp::now();
        let tasks: Vec<_> = (0..200)
            .map(|i| {
                let db = Arc::clone(&db);
                tokio::spawn(async move {
                    db.write(move |tx| {
                        vaults::insert(tx, &address(i.to_string()), now)?;
                        match i % 3 {
                            // The second insertion violates the uniqueness of names.
                            0 => vaults::insert(tx, &address(i.to_string()), now)?,
                            _ => vaults::insert(tx, &address(format!("{i} too")), now)?,
                        }
                        Ok::<_, DbError>(())
                    })
                    .await
                })
            })
            .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.expect("no panic").is_ok(), i % 3 != 0, "{i}");
        }
        let count =
            async |db: &Arc<Db>| db.read(|c| Ok::<_, DbError>(vaults::count(c, "0", "r")?)).await.expect("a count");
        assert_eq!(count(&db).await, 2 * 133);
        db.close();
        let late = db.write(move |tx| Ok::<_, DbError>(vaults::insert(tx, &address("late".into()), now)?)).await;
        assert!(matches!(late, Err(DbError::Closed)), "{late:?}");
        let (again, _files) = Db::open(dir.path(), ()).expect("opens again");
        assert_eq!(count(&Arc::new(again)).await, 2 * 133);
    }

    /// Promise: a file that a change adopts stays, and one that it sets free goes, when the change is committed; and the
    /// other way round when it fails.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn files_go_with_commits_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let (db, files) = Db::open(dir.path(), ()).expect("opens");
        let object = db
            .write({
                let files = files.clone();
                move |tx| {
                    let file = files.create().map_err(|e| DbError::NotCommitted(e.to_string()))?;
                    let number = file.object;
                    objects::insert(tx, number, &crate::glacier::treehash::PayloadHasher::new().finish(), None)?;
                    tx.adopt(file);
                    Ok::<_, DbError>(number)
                }
            })
            .await
            .expect("inserted");
        let lost = files.create().expect("a file");
        let number = lost.object;
        let undone = db.write(move |tx| {
            tx.adopt(lost);
            Err::<(), _>(DbError::Closed)
        });
        assert!(undone.await.is_err());
        let failed = db.write(move |tx| objects::free(tx, [object]).map(|()| Err::<(), _>(DbError::Closed))?).await;
        assert!(failed.is_err());
        // The remover takes things in order: once it has removed this one, it would have removed the other.
        let next = files.create().map(|file| file.object).expect("a file");
        while files.read(next).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(files.read(object).is_ok() && files.read(number).is_err());
        db.write(move |tx| Ok::<_, DbError>(objects::free(tx, [object])?)).await.expect("freed");
        while files.read(object).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
