//! Bytes held against the tree hashes that they were archived with: those that are kept here, and a sample of those in a vault.
//!
//! Disks forget. What is kept here of an archived file is a copy, so one that has rotted is given up, and retrieved again.

mod local;
mod sample;

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use nix::fcntl::PosixFadviseAdvice;
use nix::fcntl::posix_fadvise;

use crate::cache::Cache;
use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::State;
use crate::fs::Fs;
use crate::fs::Invalidate;
use crate::fs::Invalidator;
use crate::glacier::treehash::TreeHasher;
use crate::recall::Recall;
use crate::store::Store;

/// How many bytes are read at a time.
const READ: usize = 1 << 20;
/// How many bad files are told one by one.
const TOLD: usize = 1000;

/// What is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// What is kept here of archived files.
    Local,
    /// Archives of this vault of which nothing is here, up to so many bytes of them.
    Vault(String, u64),
}

/// How far a check is.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Files whose bytes are as they were archived.
    pub good: u64,
    /// Their bytes.
    pub good_bytes: u64,
    /// Files that were left out: only a part of them is here, or they are larger than the sample.
    pub skipped: u64,
    /// Files whose bytes are others, or can't be had.
    pub bad: u64,
    /// They, at most 1,000.
    pub told: Vec<Bad>,
    /// Files in the sample, once they are chosen.
    pub chosen: u64,
    /// Their bytes.
    pub chosen_bytes: u64,
    /// None as long as it goes on; then what ended it before its end, if anything did.
    pub ended: Option<Result<(), String>>,
}

/// A file that isn't good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its path from the mount's root.
    pub path: Vec<u8>,
    /// What is wrong.
    pub reason: String,
}

/// What a content was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Good,
    Rotten,
    /// Not all of it is here, or it is being written or deleted.
    Elsewhere,
}

/// Checks bytes.
pub struct Scrub {
    catalog: Arc<Catalog>,
    store: Arc<Store>,
    cache: Arc<Cache>,
    fs: Arc<Fs>,
    recall: Arc<Recall>,
    invalidator: Invalidator,
    /// Those under way, or whose result nobody has asked for yet.
    checks: Mutex<HashMap<What, Check>>,
}

impl Scrub {
    /// Checks of what `catalog` knows.
    pub fn new(catalog: Arc<Catalog>, store: Arc<Store>, cache: Arc<Cache>, fs: Arc<Fs>, recall: Arc<Recall>) -> Self {
        Scrub { catalog, store, cache, fs, recall, invalidator: Invalidator::default(), checks: Mutex::default() }
    }

    /// Who is told of changes that the kernel doesn't know of. To be called once, when the mount is there.
    pub fn on_change(&self, invalidator: impl Fn(&Invalidate) + Send + Sync + 'static) {
        self.invalidator.set(invalidator);
    }

    /// Starts a check, or tells how far it is. One that has ended is told once.
    pub fn check(self: &Arc<Self>, what: &What) -> Check {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = checks.get(what).cloned() {
            if check.ended.is_some() {
                checks.remove(what);
            }
            return check;
        }
        checks.insert(what.clone(), Check::default());
        let (scrub, what) = (self.clone(), what.clone());
        tokio::spawn(async move {
            let ended = match &what {
                What::Local => scrub.clone().local().await,
                What::Vault(vault, bytes) => scrub.clone().sample(&what, vault, *bytes).await,
            };
            if let Err(error) = &ended {
                log::error!("a check ended before its end: {error}");
            }
            scrub.update(&what, |check| check.ended = Some(ended));
        });
        Check::default()
    }

    fn update(&self, what: &What, change: impl FnOnce(&mut Check)) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = checks.get_mut(what) {
            change(check);
        }
    }

    fn note_bad(&self, what: &What, content: &Content, reason: String) -> catalog::Result<()> {
        let path = self.catalog.path(content.ino)?.unwrap_or_default();
        log::error!("{}: {reason}", String::from_utf8_lossy(&path));
        self.update(what, |check| {
            check.bad += 1;
            if check.told.len() < TOLD {
                check.told.push(Bad { path, reason });
            }
        });
        Ok(())
    }

    /// Compares what is here of content `id` with its tree hash. Blocks.
    fn compare(&self, id: ContentId) -> catalog::Result<(Content, Found)> {
        let content = self.catalog.content(id)?;
        let (Some(file), Some(archive), true) = (content.file, &content.archive, content.is_local()) else {
            return Ok((content, Found::Elsewhere));
        };
        let hash = self.store.read(file).and_then(|file| hash(&file));
        if hash.as_ref().is_ok_and(|hash| *hash == archive.tree_hash) {
            return Ok((content, Found::Good));
        }
        // Whoever writes to it has made it another content's before.
        let now = self.catalog.content(id)?;
        let is_same = now.state == State::Archived && now.file == Some(file);
        match (hash, is_same) {
            (_, false) => Ok((content, Found::Elsewhere)),
            (Ok(_), true) => Ok((content, Found::Rotten)),
            (Err(error), true) => {
                log::error!("file {file:016x} of the store can't be read: {error}");
                let is_lost = error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::EIO);
                Ok((content, if is_lost { Found::Rotten } else { Found::Elsewhere }))
            }
        }
    }

    /// Gives up what is here of a content, and sees to it that nobody goes on reading it. Blocks.
    fn give_up(&self, content: &Content) -> catalog::Result<()> {
        self.cache.evict(content.id)?;
        self.fs.forget_bytes(content.ino, content.id);
        self.invalidator.tell(&Invalidate::Inode(content.ino));
        Ok(())
    }
}

/// The tree hash of a file as the disk has it: what the kernel has kept in memory of it doesn't count.
fn hash(file: &std::fs::File) -> std::io::Result<[u8; 32]> {
    // That it stays in memory is no harm.
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    let mut hasher = TreeHasher::new();
    let mut buffer = vec![0; READ];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        offset += read as u64;
    }
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    Ok(hasher.finish().0)
}

/// Does what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> catalog::Result<T> + Send + 'static) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}
