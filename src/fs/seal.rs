//! From open to waiting for the upload: what the last close does, and what a start does for closes that never came.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::Fs;
use super::Result;
use super::attr::nanos;
use super::open::Bytes;
use super::open::OpenState;
use crate::catalog::Ino;
use crate::catalog::now;

impl Fs {
    /// Seals what was written, unless the file has no name any more.
    pub(super) fn seal(&self, state: &mut OpenState) -> Result<()> {
        let Bytes::Dirty(id, file) = &state.bytes else { return Ok(()) };
        if state.orphan {
            // Forgotten at the last close of all; until then its readers find its bytes here.
            return Ok(());
        }
        let (id, file) = (*id, file.clone());
        let meta = file.metadata()?;
        let due = now().saturating_add(i64::try_from(self.settings.upload_delay.as_nanos()).unwrap_or(i64::MAX));
        let times = (nanos(meta.mtime(), meta.mtime_nsec()), nanos(meta.ctime(), meta.ctime_nsec()));
        let freed = self.catalog.seal(id, meta.len(), times, due)?;
        self.cache.discard(freed);
        state.bytes = if freed.is_none() { Bytes::Clean(id, file) } else { Bytes::Unknown };
        self.sealed.notify_one();
        Ok(())
    }

    /// Forgets `ino` if it has no name.
    pub(super) fn forget(&self, ino: Ino) -> Result<()> {
        if let Some((content, file)) = self.catalog.drop_orphan(ino, now())? {
            self.cache.remove(content);
            self.cache.discard(file);
        }
        Ok(())
    }

    /// Does what the closes would have done that a crash prevented: seals what was being written, with the size and time
    /// that its file has, and forgets what had no name. Answers how many files were sealed.
    pub fn recover(&self) -> Result<usize> {
        for ino in self.catalog.orphans()? {
            self.forget(ino)?;
        }
        let dirty = self.catalog.dirty()?;
        for content in &dirty {
            let id = content.file.unwrap_or(content.id);
            let file = match self.store.file(id) {
                // Its row came to be, and the power went before its file's name was on the disk: it was never synced.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    log::warn!(
                        "the bytes of content {:016x}, never synced, are lost: the file is empty now",
                        content.id
                    );
                    self.store.create(id)?
                }
                other => other?,
            };
            let mut state = OpenState { bytes: Bytes::Dirty(content.id, Arc::new(file)), ..OpenState::default() };
            self.seal(&mut state)?;
        }
        Ok(dirty.len())
    }
}
