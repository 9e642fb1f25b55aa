//! From open to waiting for the upload: what follows the last close, and what a start does for closes that never came.
//!
//! A close is answered at once; a moment later the files that were closed are *settled*, many in one transaction of the
//! catalog: those that were written are sealed, with the size and times that their file in the store has, and those without
//! a name are forgotten. Until then a file counts as open, so nobody sees a difference; and if the process dies before,
//! the next start does the same for every content that is still dirty ([`Fs::recover`]).
//!
//! While the catalog can't note it (its disk is full), closed files stay as if they were open, and are settled later:
//! nothing that was written is forgotten.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use nix::errno::Errno;

use super::Fs;
use super::HandleId;
use super::Result;
use super::attr::nanos;
use super::open::Bytes;
use super::open::OpenFile;
use super::open::OpenState;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::FileId;
use crate::catalog::Ino;
use crate::catalog::Seal;
use crate::catalog::now;
use crate::util::crash;
use crate::util::crash::Point;

/// How long closed files are gathered before they are settled.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait when the catalog couldn't note what was closed.
const PAUSE: Duration = Duration::from_secs(5);
/// How many files are settled at once; whoever closes more than that does it himself, so that they don't pile up.
const BATCH: usize = 128;

/// The files that wait to be settled.
#[derive(Default)]
pub(super) struct Closed {
    files: Mutex<Vec<Arc<OpenFile>>>,
    /// Held by whoever settles: it locks the states of many files, and two who did that would wait for each other.
    settling: Mutex<()>,
    /// Rung when there is the first.
    bell: tokio::sync::Notify,
}

impl Closed {
    fn files(&self) -> MutexGuard<'_, Vec<Arc<OpenFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file, and answers how many there are.
    fn push(&self, file: Arc<OpenFile>) -> usize {
        let mut files = self.files();
        files.push(file);
        if files.len() == 1 {
            self.bell.notify_one();
        }
        files.len()
    }
}

impl Fs {
    /// Closes a handle. Once a file has no writer any more, what was written is sealed soon; once nobody has it open, it is
    /// forgotten if it has no name.
    ///
    /// # Errors
    /// EBADF for a handle that isn't open.
    pub fn release(&self, handle: HandleId) -> Result<()> {
        let Some(unsettled) = self.open.close(handle) else { return Err(Errno::EBADF.into()) };
        if let Some(file) = unsettled
            && self.closed.push(file) >= BATCH
            && let Ok(_one) = self.closed.settling.try_lock()
        {
            // What can't be settled now is tried again, and complained of, by settle_always().
            let _ = self.settle_some();
        }
        Ok(())
    }

    /// Settles what was closed before the call.
    ///
    /// # Errors
    /// The catalog's; then the rest is still to be settled.
    pub fn settle(&self) -> Result<()> {
        let _one = self.closed.settling.lock().unwrap_or_else(PoisonError::into_inner);
        while self.settle_some()? {}
        Ok(())
    }

    /// Settles closed files as they come, for ever.
    pub async fn settle_always(self: Arc<Self>) {
        loop {
            self.closed.bell.notified().await;
            tokio::time::sleep(GATHER).await;
            let fs = self.clone();
            let settled = tokio::task::spawn_blocking(move || fs.settle()).await;
            // A panic in there was logged.
            if let Ok(Err(error)) = settled {
                log::error!("files that were written can't be noted as closed, and will be later: {error}");
                tokio::time::sleep(PAUSE).await;
                self.closed.bell.notify_one();
            }
        }
    }

    /// Settles up to [`BATCH`] files, with `settling` locked, and answers whether there were any.
    fn settle_some(&self) -> Result<bool> {
        let batch: Vec<Arc<OpenFile>> = {
            let mut files = self.closed.files();
            let count = files.len().min(BATCH);
            files.drain(..count).collect()
        };
        if let Err(error) = self.seal_all(&batch) {
            self.closed.files().extend(batch);
            return Err(error);
        }
        let mut nameless = self.open.settled(&batch).into_iter();
        while let Some(file) = nameless.next() {
            if let Err(error) = self.forget_closed(&file) {
                for file in std::iter::once(file).chain(nameless) {
                    // One that was opened meanwhile comes again by itself.
                    let mut state = file.lock();
                    if state.handles == 0 && !std::mem::replace(&mut state.listed, true) {
                        drop(state);
                        self.closed.files().push(file);
                    }
                }
                return Err(error);
            }
        }
        Ok(!batch.is_empty())
    }

    /// Forgets a file without a name, unless somebody has opened it once more, who had found it before it lost its name.
    fn forget_closed(&self, file: &Arc<OpenFile>) -> Result<()> {
        {
            // Locked until the catalog has forgotten it: who opens it, or asks for its size, comes before or after.
            let state = file.lock();
            if state.handles > 0 || state.listed {
                return Ok(());
            }
            self.forget(file.ino)?;
            self.open.count_seals();
        }
        self.open.forgotten(file);
        Ok(())
    }

    /// Seals those of `files` that are to be.
    fn seal_all(&self, files: &[Arc<OpenFile>]) -> Result<()> {
        // Locked until the catalog knows: nobody writes, opens or changes times meanwhile. No file is twice among them.
        let mut states: Vec<MutexGuard<'_, OpenState>> = files.iter().map(|file| file.lock()).collect();
        let closed = states.iter_mut().map(|state| &mut **state).filter(|state| state.is_to_be_sealed());
        self.seal_states(closed.collect(), self.settings.upload_delay)?;
        states.iter_mut().for_each(|state| state.listed = false);
        Ok(())
    }

    /// Seals the bytes of an open file as they are, to be archived at once, although it may be written to again: then they
    /// are what an upload finds if it was quicker, and unwanted if it wasn't. Answers the content that holds them; none if
    /// there is nothing to archive, since the file is empty, or has lost its name.
    ///
    /// # Errors
    /// EBADF for a handle that isn't open; EAGAIN while somebody is just writing to the file.
    pub fn seal_open(&self, handle: HandleId) -> Result<Option<ContentId>> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let mut state = open.lock();
        if state.orphan {
            return Ok(None);
        }
        if state.writing > 0 {
            return Err(Errno::EAGAIN.into());
        }
        self.seal_states(vec![&mut state], Duration::ZERO)?;
        Ok(self.catalog.inode(open.ino)?.content)
    }

    /// Seals those of the locked `states` that are dirty; their uploads may start in `delay`.
    fn seal_states(&self, mut states: Vec<&mut OpenState>, delay: Duration) -> Result<()> {
        let mut seals = Vec::new();
        for state in &states {
            if let Bytes::Dirty(id, file) = &state.bytes {
                let seal = what_to_seal(*id, file, delay)?;
                seals.push(Seal { mtime: state.mtime(seal.mtime), ..seal });
            }
        }
        if seals.is_empty() {
            return Ok(());
        }
        crash::at(Point::Sealing);
        let empty = self.catalog.seal(&seals)?;
        crash::at(Point::Sealed);
        self.open.count_seals();
        for state in &mut states {
            if let Bytes::Dirty(id, file) = &state.bytes {
                state.bytes = if empty.contains(id) { Bytes::Unknown } else { Bytes::Clean(*id, file.clone()) };
            }
        }
        self.sealed.notify_one();
        if !empty.is_empty() {
            self.cache.doomed();
        }
        Ok(())
    }

    /// Forgets `ino` if it has no name.
    pub(super) fn forget(&self, ino: Ino) -> Result<()> {
        if let Some((content, _)) = self.catalog.drop_orphan(ino, now())? {
            crash::at(Point::Forgotten);
            self.cache.remove(content);
            self.cache.doomed();
        }
        if self.may_have_xattrs(ino) && matches!(self.catalog.inode(ino), Err(crate::catalog::Error::NotFound)) {
            self.has_no_xattrs(ino);
        }
        Ok(())
    }

    /// Does what the closes would have done that a crash prevented: seals what was being written, with the size and time
    /// that its file has, and forgets what had no name. Answers how many files were sealed. Nothing may be open.
    pub fn recover(&self) -> Result<usize> {
        for ino in self.catalog.orphans()? {
            self.forget(ino)?;
        }
        let dirty = self.catalog.dirty()?;
        for batch in dirty.chunks(BATCH) {
            let seals: Vec<Seal> = batch.iter().map(|content| self.recovered(content)).collect::<Result<_>>()?;
            self.catalog.seal(&seals)?;
        }
        crash::at(Point::Recovered);
        self.sealed.notify_one();
        self.cache.doomed();
        Ok(dirty.len())
    }

    fn recovered(&self, content: &Content) -> Result<Seal> {
        let id: FileId = content.file.unwrap_or(content.id);
        let file = match self.store.file(id) {
            // Its row came to be, and the power went before its file's name was on the disk: it was never synced.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                log::warn!("the bytes of content {:016x}, never synced, are lost: the file is empty now", content.id);
                self.store.create(id)?
            }
            other => other?,
        };
        what_to_seal(content.id, &file, self.settings.upload_delay)
    }
}

/// The end of the writing of `content` as `file` is now, to be archived in `delay`.
fn what_to_seal(content: ContentId, file: &File, delay: Duration) -> Result<Seal> {
    let meta = file.metadata()?;
    let due = now().saturating_add(i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX));
    let (mtime, ctime) = (nanos(meta.mtime(), meta.mtime_nsec()), nanos(meta.ctime(), meta.ctime_nsec()));
    Ok(Seal { content, size: meta.len(), mtime, ctime, due })
}
