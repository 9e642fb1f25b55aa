//! Brings the output of jobs into the store: in pieces, each verified before anyone may read it.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use tokio::task::JoinSet;

use super::Event;
use super::REQUESTS;
use super::RETRY;
use super::Recall;
use super::lock;
use super::trouble::Work;
use super::trouble::may_pass;
use crate::catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::FileId;
use crate::catalog::Job;
use crate::catalog::JobState;
use crate::catalog::now;
use crate::service;
use crate::service::Kind;
use crate::service::treehash::TreeHasher;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::size::MIB;

/// How much is fetched in one request and verified by one hash: a power of two of MiB, so that it is a node of the tree.
const PIECE: u64 = if cfg!(test) { MIB } else { 64 * MIB };
/// How many pieces of one output are fetched at the same time.
const PIECES: usize = 4;
/// How much is written at a time.
const WRITE: usize = 1 << 20;
/// How often a piece with a wrong hash is fetched again before the recall fails.
const CORRUPT_TRIES: u32 = 5;

/// Why an output isn't here.
enum Trouble {
    /// Later it may work.
    Later(String),
    /// The service has forgotten the job.
    Lost,
    /// There is no hope.
    Never(String),
    /// Nobody wants it any more.
    Unwanted,
}

impl From<service::Error> for Trouble {
    fn from(error: service::Error) -> Self {
        match error.kind() {
            Kind::NotFound => Trouble::Lost,
            _ if may_pass(&error) => Trouble::Later(error.to_string()),
            _ => Trouble::Never(error.to_string()),
        }
    }
}

impl From<catalog::Error> for Trouble {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::NotFound => Trouble::Unwanted,
            other => Trouble::Later(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble::Later(format!("the cache: {error}"))
    }
}

impl Recall {
    /// Fetches what is ready, for ever.
    pub(super) async fn fetch(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        loop {
            let busy: HashSet<i64> = lock(&self.fetching).keys().copied().collect();
            let free = REQUESTS.saturating_sub(busy.len());
            let ready = self.catalog.jobs(JobState::Ready, free, &|id| busy.contains(&id)).unwrap_or_else(|error| {
                log::error!("the queue of recalls can't be read: {error}");
                Vec::new()
            });
            if ready.is_empty() && busy.is_empty() {
                self.troubles.end(Work::Fetch);
            }
            for job in ready {
                let received = Arc::new(AtomicU64::new(0));
                lock(&self.fetching).insert(job.id, received.clone());
                tasks.spawn(self.clone().fetch_one(job, received));
            }
            tokio::select! {
                () = self.ready.notified() => {}
                Some(_) = tasks.join_next() => while tasks.try_join_next().is_some() {},
            }
        }
    }

    async fn fetch_one(self: Arc<Self>, job: Job, received: Arc<AtomicU64>) {
        let mut failures = 0;
        let noted = loop {
            received.store(0, Ordering::Relaxed);
            match self.output(&job, &received).await {
                Ok(()) => {
                    self.troubles.end(Work::Fetch);
                    break self.done(&job);
                }
                Err(Trouble::Unwanted) => break self.unwanted(&job),
                Err(Trouble::Lost) => break self.lost(&job),
                Err(Trouble::Never(reason)) => break self.fail(&job, &reason),
                Err(Trouble::Later(reason)) => {
                    failures += 1;
                    self.troubles.begin(Work::Fetch, reason);
                    tokio::time::sleep(RETRY.wait(failures)).await;
                }
            }
        };
        if let Err(error) = noted {
            log::error!("the catalog can't record a retrieval: {error}");
        }
        lock(&self.fetching).remove(&job.id);
    }

    fn done(&self, job: &Job) -> catalog::Result<()> {
        let Some(content) = self.catalog.content_of(job.archive.row)? else { return self.unwanted(job) };
        self.catalog.job_done(job.id, now())?;
        crash::at(Point::RecallDone);
        let local = content.present.as_ref().map_or(content.size, |present| present.bytes(content.size));
        self.cache.insert(content.id, local);
        self.tell(content.id, Event::Progress);
        Ok(())
    }

    /// Fetches what is still missing of a job's range, piece by piece.
    async fn output(&self, job: &Job, received: &AtomicU64) -> Result<(), Trouble> {
        let content = self.catalog.content_of(job.archive.row)?.ok_or(Trouble::Unwanted)?;
        let (file_id, file) = self.file(&content).await?;
        let at = Place { content: content.id, file_id, file };
        let pieces = (job.first..=job.last).step_by(PIECE as usize);
        let pieces = pieces.map(|first| self.piece(job, &at, first, (first + PIECE - 1).min(job.last), received));
        stream::iter(pieces).buffer_unordered(PIECES).try_collect().await
    }

    /// The content's file in the store, made if it has none.
    async fn file(&self, content: &Content) -> Result<(FileId, Arc<File>), Trouble> {
        let store = self.store.clone();
        if let Some(id) = content.file {
            let opened = tokio::task::spawn_blocking(move || store.file(id)).await.map_err(std::io::Error::other)?;
            if opened.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
                self.cache.is_missing(content.id, id)?;
                return Err(Trouble::Later("its file in the cache is gone".into()));
            }
            return Ok((id, Arc::new(opened?)));
        }
        let (fresh, size) = (rand::random_range(1..=FileId::MAX), content.size);
        let made = tokio::task::spawn_blocking(move || {
            let file = store.create(fresh)?;
            file.set_len(size)?;
            store.sync_name(fresh).map(|()| file)
        });
        let file = made.await.map_err(std::io::Error::other)??;
        crash::at(Point::RecallFile);
        let id = self.catalog.begin_recall(content.id, fresh)?;
        crash::at(Point::RecallBegun);
        if id != fresh {
            self.cache.discard(fresh);
            return Err(Trouble::Later("another retrieval of it began at the same moment".into()));
        }
        Ok((id, Arc::new(file)))
    }

    /// Brings the bytes `first..=last` of the archive into the store, unless they are there.
    async fn piece(&self, job: &Job, at: &Place, first: u64, last: u64, received: &AtomicU64) -> Result<(), Trouble> {
        let evicted = || Trouble::Later("it was evicted meanwhile".into());
        let content = self.catalog.content(at.content)?;
        if content.file != Some(at.file_id) {
            return Err(evicted());
        }
        if content.has(first, last) {
            received.fetch_add(last - first + 1, Ordering::Relaxed);
            return Ok(());
        }
        self.fetch_piece(job, &at.file, first, last, received).await?;
        crash::at(Point::PieceSynced);
        match self.catalog.recalled(at.content, at.file_id, first, last) {
            // Not that nobody wants it any more: whoever waits for it still does.
            Err(catalog::Error::NotFound) => return Err(evicted()),
            other => other?,
        };
        crash::at(Point::PieceRecorded);
        self.tell(at.content, Event::Progress);
        Ok(())
    }

    /// Fetches the bytes `first..=last` of the archive, writes them, and compares their hash.
    async fn fetch_piece(
        &self,
        job: &Job,
        file: &Arc<File>,
        first: u64,
        last: u64,
        received: &AtomicU64,
    ) -> Result<(), Trouble> {
        // All of it, so that as many pieces are in memory as there are requests. The semaphore is never closed.
        let _request = self.requests.acquire().await;
        for _ in 0..CORRUPT_TRIES {
            let so_far = Received { sum: received, bytes: 0 };
            if self.try_piece(job, file, first, last, so_far).await? {
                return Ok(());
            }
            log::warn!("bytes {first}-{last} of a retrieval from {} came with a wrong hash; again", job.vault_name);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Trouble::Never(format!(
            "bytes {first}-{last} of archive {} came {CORRUPT_TRIES} times with another tree hash than they were stored \
             with: they are damaged on the way or in the vault",
            job.archive.archive_id
        )))
    }

    /// Answers whether the bytes have the hash that they should have.
    async fn try_piece(
        &self,
        job: &Job,
        file: &Arc<File>,
        first: u64,
        last: u64,
        mut received: Received<'_>,
    ) -> Result<bool, Trouble> {
        // A job that is ready has its name.
        let job_id = job.job_id.as_deref().ok_or(Trouble::Lost)?;
        let range = (first - job.base)..=(last - job.base);
        let fetched = self.service.fetch(&job.vault_name, job_id, Some(range)).await?;
        let whole = first == 0 && last + 1 == job.archive.size;
        let expected = match whole {
            true => Some(service::TreeHash(job.archive.tree_hash)),
            false => fetched.tree_hash,
        };
        let Some(expected) = expected else {
            return Err(Trouble::Never(format!(
                "the service gave no tree hash for bytes {first}-{last} of archive {}, so they can't be verified",
                job.archive.archive_id
            )));
        };
        let mut stream = fetched.stream;
        let mut hasher = TreeHasher::new();
        let mut buffer = Vec::with_capacity(WRITE);
        let mut offset = first;
        loop {
            let more = stream.next().await.transpose()?;
            if let Some(bytes) = &more {
                received.add(bytes.len() as u64);
                self.rate.add(bytes.len() as u64);
                buffer.extend_from_slice(bytes);
            }
            if more.is_none() || buffer.len() >= WRITE {
                if offset + buffer.len() as u64 > last + 1 {
                    return Ok(false);
                }
                let (file, cache, at) = (file.clone(), self.cache.clone(), offset);
                offset += buffer.len() as u64;
                let written = tokio::task::spawn_blocking(move || {
                    hasher.update(&buffer);
                    if !cache.ensure_room(buffer.len() as u64)? {
                        return Err(std::io::ErrorKind::StorageFull.into());
                    }
                    file.write_all_at(&buffer, at)?;
                    crash::at(Point::PieceWritten);
                    buffer.clear();
                    Ok::<_, std::io::Error>((hasher, buffer))
                });
                (hasher, buffer) = written.await.map_err(std::io::Error::other)??;
            }
            if more.is_none() {
                break;
            }
        }
        if offset != last + 1 || hasher.finish() != expected {
            return Ok(false);
        }
        // Before the catalog says that the bytes are here, so that a power cut can't leave others in their place.
        let file = file.clone();
        tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(std::io::Error::other)??;
        received.keep();
        Ok(true)
    }
}

/// Where a content's bytes go.
struct Place {
    content: ContentId,
    file_id: FileId,
    file: Arc<File>,
}

/// What one try has received of a piece. It doesn't count any more when the try fails.
struct Received<'a> {
    sum: &'a AtomicU64,
    bytes: u64,
}

impl Received<'_> {
    fn add(&mut self, bytes: u64) {
        self.sum.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
