//! Open files: which are open, how often, for writing or not, and with which file of the store.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Deref;
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

/// An inode that is open at least once, or that was, and has something left to be settled ([`super::seal`]).
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
    /// Changes of the bytes that are under way ([`Writing`]).
    pub(super) writing: u32,
    /// Whether the inode has lost its last name.
    pub(super) orphan: bool,
    /// Whether it is among the files to be settled.
    pub(super) listed: bool,
    /// Whether it is known to have no set-ID bits and no capability that a write would have to take away.
    pub(super) plain: bool,
    /// An explicit modification time that the file in the store can't have as it is (not every disk goes back to 1900):
    /// what the file has for it, and what was meant. It holds as long as the file still has that.
    pub(super) mtime: Option<(i64, i64)>,
    /// Where the bytes are.
    pub(super) bytes: Bytes,
}

impl OpenState {
    /// Whether something was written that nobody can add to any more, and that the catalog doesn't know yet.
    pub(super) fn is_to_be_sealed(&self) -> bool {
        self.writers == 0 && !self.orphan && matches!(self.bytes, Bytes::Dirty(..))
    }

    /// The modification time of a file that is written, whose file in the store has `mtime`.
    pub(super) fn mtime(&self, mtime: i64) -> i64 {
        self.mtime.filter(|(kept, _)| *kept == mtime).map_or(mtime, |(_, meant)| meant)
    }

    /// Whether nothing needs the inode any more.
    pub(super) fn is_to_be_forgotten(&self) -> bool {
        self.handles == 0 && self.orphan
    }
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

/// The file of the store to write to, for one change of an open file. Nothing is sealed before it is dropped.
pub(super) struct Writing<'a> {
    open: &'a OpenFile,
    file: Arc<File>,
}

impl<'a> Writing<'a> {
    /// Begins a change of `open`, whose state is locked, if it is dirty already.
    pub(super) fn go_on(open: &'a OpenFile, state: &mut OpenState) -> Option<Self> {
        let Bytes::Dirty(_, file) = &state.bytes else { return None };
        let file = file.clone();
        Some(Writing::begin(open, state, file))
    }

    /// Begins a change of `open`, whose state is locked and dirty in `file`.
    pub(super) fn begin(open: &'a OpenFile, state: &mut OpenState, file: Arc<File>) -> Self {
        state.writing += 1;
        Writing { open, file }
    }
}

impl Deref for Writing<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.open.lock().writing -= 1;
    }
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
    seals: AtomicU64,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    handles: HashMap<HandleId, Handle>,
    files: HashMap<Ino, Arc<OpenFile>>,
}

impl Inner {
    fn remove(&mut self, file: &Arc<OpenFile>) {
        // It may have been opened, closed and opened anew since, which made another entry.
        if self.files.get(&file.ino).is_some_and(|entry| Arc::ptr_eq(entry, file)) {
            self.files.remove(&file.ino);
        }
    }
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

    /// Notes that an inode has lost its last name, if it is open or to be settled, and answers whether it is.
    pub(super) fn mark_orphan(&self, ino: Ino) -> bool {
        // With the table's lock, so that whoever takes it out of the table has either not come yet, or is through.
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let open = inner.files.get(&ino);
        if let Some(file) = open {
            file.lock().orphan = true;
        }
        open.is_some()
    }

    /// Closes a handle, and answers its file if that has to be settled and isn't listed for it yet: it stays in the table
    /// until [`Table::settled`].
    ///
    /// # Errors
    /// None, for a handle that isn't open.
    pub(super) fn close(&self, id: HandleId) -> Option<Option<Arc<OpenFile>>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Handle { file, writes } = inner.handles.remove(&id)?;
        let mut state = file.lock();
        state.handles -= 1;
        state.writers -= u32::from(writes);
        let unsettled = state.is_to_be_sealed() || state.is_to_be_forgotten();
        if state.handles == 0 && !unsettled {
            inner.files.remove(&file.ino);
        }
        let newly = unsettled && !std::mem::replace(&mut state.listed, true);
        drop(state);
        Some(newly.then_some(file))
    }

    /// Takes files that have been settled out of the table, unless they are open, or were written again meanwhile. Answers
    /// those that lost their last name and that nobody has open: they stay until they were forgotten ([`Table::forgotten`]), since the
    /// catalog doesn't know what they have, and who was about to open one mustn't see that.
    pub(super) fn settled(&self, files: &[Arc<OpenFile>]) -> Vec<Arc<OpenFile>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let mut nameless = Vec::new();
        for file in files {
            let state = file.lock();
            match state.handles == 0 && !state.listed {
                true if state.orphan => nameless.push(file.clone()),
                true => inner.remove(file),
                false => {}
            }
        }
        nameless
    }

    /// Takes a file out of the table that the catalog has forgotten, unless somebody has just opened it.
    pub(super) fn forgotten(&self, file: &Arc<OpenFile>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let state = file.lock();
        if state.handles == 0 && !state.listed {
            inner.remove(file);
        }
    }

    /// Says that the catalog has learned what was written to files, or forgotten one, whose states the caller has locked.
    pub(super) fn count_seals(&self) {
        self.seals.fetch_add(1, Ordering::AcqRel);
    }

    /// How often files were sealed or forgotten. What the catalog said before the number grew may be older than what it was told then.
    pub(super) fn seals(&self) -> u64 {
        self.seals.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: settling a file takes nothing from who has opened it again meanwhile.
    #[test]
    fn opened_again_while_it_is_settled() {
        let table = Table::default();
        let (writer, first) = table.open(7, true);
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        first.lock().bytes = Bytes::Dirty(1, file.clone());
        let closed = table.close(writer).expect("was open").expect("is to be settled");
        // As sealing leaves it.
        {
            let mut state = closed.lock();
            state.bytes = Bytes::Clean(1, file);
            state.listed = false;
        }
        let (reader, _) = table.open(7, false);
        assert!(table.close(reader).expect("was open").is_none(), "nothing is left to be settled");
        let (_, again) = table.open(7, true);
        assert!(table.settled(&[closed]).is_empty());
        assert!(Arc::ptr_eq(&table.of(7).expect("still open"), &again));
    }
}
