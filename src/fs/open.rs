//! Open files: which are open, how often, for writing or not, and with which file of the store.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::catalog::ContentId;
use crate::catalog::Ino;

/// An open file's number.
pub type HandleId = u64;

/// What an open answers.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// The handle, for every operation until its release.
    pub handle: HandleId,
    /// Whether something of the file isn't local: then its reads may have to wait, and mustn't go through the kernel's
    /// read-ahead.
    pub cold: bool,
}

/// An inode that is open at least once.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) ino: Ino,
    state: Mutex<OpenState>,
}

#[derive(Debug, Default)]
pub(super) struct OpenState {
    /// Handles there are.
    pub(super) handles: u32,
    /// Those of them that may write.
    pub(super) writers: u32,
    /// Whether the inode has lost its last name.
    pub(super) orphan: bool,
    /// Where the bytes are.
    pub(super) bytes: Bytes,
}

/// Where an open file's bytes are.
#[derive(Clone, Debug, Default)]
pub(super) enum Bytes {
    /// Not looked up yet, or changed since: ask the catalog.
    #[default]
    Unknown,
    /// There are none.
    Empty,
    /// All in this file, sealed or archived.
    Clean(ContentId, Arc<File>),
    /// All in this file, which is being written.
    Dirty(ContentId, Arc<File>),
}

impl OpenFile {
    pub(super) fn lock(&self) -> MutexGuard<'_, OpenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Handle {
    file: Arc<OpenFile>,
    writes: bool,
}

/// All open files of the mount.
#[derive(Default)]
pub(super) struct Table {
    next: AtomicU64,
    closes: AtomicU64,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    handles: HashMap<HandleId, Handle>,
    files: HashMap<Ino, Arc<OpenFile>>,
}

impl Table {
    /// Opens `ino` once more.
    pub(super) fn open(&self, ino: Ino, writes: bool) -> (HandleId, Arc<OpenFile>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let file =
            inner.files.entry(ino).or_insert_with(|| Arc::new(OpenFile { ino, state: Mutex::default() })).clone();
        {
            let mut state = file.lock();
            state.handles += 1;
            state.writers += u32::from(writes);
        }
        inner.handles.insert(id, Handle { file: file.clone(), writes });
        (id, file)
    }

    /// The open file behind a handle, and whether the handle may write.
    pub(super) fn handle(&self, id: HandleId) -> Option<(Arc<OpenFile>, bool)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.handles.get(&id).map(|handle| (handle.file.clone(), handle.writes))
    }

    /// The open file of an inode, if it is open.
    pub(super) fn of(&self, ino: Ino) -> Option<Arc<OpenFile>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).files.get(&ino).cloned()
    }

    /// Notes that an inode has lost its last name, if it is open, and answers whether it is.
    pub(super) fn mark_orphan(&self, ino: Ino) -> bool {
        // With the table's lock, so that its last close comes either before this, or sees the mark.
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.files.get(&ino);
        if let Some(file) = open {
            file.lock().orphan = true;
        }
        open.is_some()
    }

    /// Closes a handle. Answers its file, whether the handle could write, and calls `last` with the file's state while
    /// nobody can open it anew, so that what it decides stays true. If that fails, the handle stays open.
    pub(super) fn close<E>(
        &self,
        id: HandleId,
        last: impl FnOnce(&OpenFile, &mut OpenState, bool) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let handle = inner.handles.remove(&id)?;
        let mut state = handle.file.lock();
        state.handles -= 1;
        state.writers -= u32::from(handle.writes);
        let answer = last(&handle.file, &mut state, handle.writes);
        if answer.is_err() {
            state.handles += 1;
            state.writers += u32::from(handle.writes);
            drop(state);
            inner.handles.insert(id, handle);
            return Some(answer);
        }
        if state.handles == 0 {
            inner.files.remove(&handle.file.ino);
        }
        self.closes.fetch_add(u64::from(handle.writes), Ordering::Relaxed);
        Some(answer)
    }

    /// How many writers' handles have been closed. What the catalog said before the number grew may be older than what
    /// a close has sealed since.
    pub(super) fn closes(&self) -> u64 {
        // With the table's lock, so that a close that is under way is waited for.
        let _inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        self.closes.load(Ordering::Relaxed)
    }
}
