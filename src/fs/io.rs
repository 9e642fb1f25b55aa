//! Bytes: open, read, write, sync, close.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;
use rustix::buffer::spare_capacity;
use rustix::io::pread;

use super::Error;
use super::Fs;
use super::Need;
use super::Result;
use super::attr::modified;
use super::attr::set_mtime;
use super::error::spool;
use super::open::Bytes;
use super::open::HandleId;
use super::open::OpenFile;
use super::open::OpenState;
use super::open::Opened;
use super::open::Writing;
use super::xattr::CAPABILITY;
use crate::catalog;
use crate::catalog::Changes;
use crate::catalog::ContentId;
use crate::catalog::DAMAGED;
use crate::catalog::FileId;
use crate::catalog::Ino;
use crate::catalog::Kind;
use crate::catalog::Start;
use crate::catalog::State;
use crate::catalog::now;
use crate::store::has_lost;
use crate::util::crash;
use crate::util::crash::Point;

/// The bits that lend a program its file's owner or group.
pub(super) const SET_IDS: u32 = libc::S_ISUID | libc::S_ISGID;

impl Fs {
    /// Opens a regular file. Nothing changes before the first write, and nothing is recalled before the first read.
    ///
    /// # Errors
    /// ENOENT for one that lost its last name and that nobody has open any more.
    pub fn open(&self, ino: Ino, writes: bool) -> Result<Opened> {
        // First, so that whoever takes its last name finds it open.
        let (handle, open) = self.open.open(ino, writes);
        match self.begin_open(&open, writes) {
            Ok(cold) => Ok(Opened { handle, cold }),
            Err(error) => {
                self.release(handle)?;
                Err(error)
            }
        }
    }

    /// Whether something of a file that is being opened isn't local.
    fn begin_open(&self, open: &OpenFile, writes: bool) -> Result<bool> {
        let mut state = open.lock();
        let inode = self.catalog.inode(open.ino)?;
        if inode.kind() != Kind::File {
            return Err(Errno::EINVAL.into());
        }
        if writes && inode.is_own() {
            return Err(Errno::EPERM.into());
        }
        // Nobody had it open when it lost its last name: it is just being forgotten.
        if inode.nlink == 0 && !state.orphan {
            return Err(Errno::ENOENT.into());
        }
        if let Some(id) = inode.content {
            self.cache.touch(id);
        }
        // What is local is held from now on: the kernel reads ahead of a file that it was told is, and mustn't have to wait
        // for it when it is evicted meanwhile. A file that can't be had is its reads' affair.
        Ok(self.look_up(open, &mut state).is_err() || matches!(state.bytes, Bytes::Unknown))
    }

    /// Whether an open file's handle may write to it.
    pub fn may_write(&self, handle: HandleId) -> bool {
        self.open.handle(handle).is_some_and(|(_, writes)| writes)
    }

    /// Reads up to `size` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// [`Error::Cold`] when some of them aren't local.
    pub fn read(&self, handle: HandleId, offset: u64, size: usize) -> Result<Vec<u8>> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let file = {
            let mut state = open.lock();
            self.look_up(&open, &mut state)?;
            match &state.bytes {
                Bytes::Clean(_, file) | Bytes::Dirty(_, file) => file.clone(),
                Bytes::Empty => return Ok(Vec::new()),
                Bytes::Unknown => {
                    drop(state);
                    return self.read_partly_local(&open, offset, size);
                }
            }
        };
        read_at(&file, offset, size)
    }

    /// Writes `data` at `offset`, all of it. [`Fs::drop_rights`] comes first.
    ///
    /// # Errors
    /// [`Error::Cold`] when bytes that stay aren't local, [`Error::Full`] when the spool's disk has no room.
    pub fn write(&self, handle: HandleId, offset: u64, data: &[u8]) -> Result<()> {
        let (open, writes) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        if !writes {
            return Err(Errno::EBADF.into());
        }
        self.check_room(data.len() as u64)?;
        let file = self.dirty(&open, Start::Keep)?;
        file.write_all_at(data, offset).map_err(|error| spool(error, data.len() as u64))?;
        crash::at(Point::Written);
        Ok(())
    }

    /// Takes away what gives a program rights that are not for the bytes that will be written to it: a capability, and
    /// set-ID bits if `set_ids_too`. Answers whether there was something, which the kernel may not know.
    pub fn drop_rights(&self, handle: HandleId, set_ids_too: bool) -> Result<bool> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let mut state = open.lock();
        if state.plain {
            return Ok(false);
        }
        let mut dropped = false;
        if self.may_have_xattrs(open.ino) {
            match self.catalog.remove_xattr(open.ino, CAPABILITY, now()) {
                Err(catalog::Error::NoXattr) => {}
                other => {
                    other?;
                    dropped = true;
                }
            }
        }
        let has_set_ids = self.catalog.inode(open.ino)?.mode & SET_IDS != 0;
        if has_set_ids && set_ids_too {
            let changes = Changes { drop_set_ids: true, ..Changes::default() };
            self.catalog.setattr(open.ino, changes, now())?;
            dropped = true;
        }
        state.plain = set_ids_too || !has_set_ids;
        Ok(dropped)
    }

    /// Makes a file's bytes, and every name and attribute so far, survive a power cut.
    pub fn fsync(&self, handle: HandleId) -> Result<()> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let bytes = {
            let mut state = open.lock();
            self.look_up(&open, &mut state)?;
            state.bytes.clone()
        };
        if let Bytes::Dirty(id, file) | Bytes::Clean(id, file) = bytes {
            self.sync_bytes(id, &file)?;
            crash::at(Point::FsyncBytes);
            match self.catalog.content(id) {
                Ok(content) => self.store.sync_name(content.file.unwrap_or(id))?,
                // The last writer has left it empty, and it was settled just now.
                Err(catalog::Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
            crash::at(Point::FsyncName);
        }
        self.catalog.sync()?;
        crash::at(Point::FsyncLog);
        Ok(())
    }

    /// Syncs the bytes of content `id`. A disk that has lost some says so once: they are noted as lost, and this fails, until there
    /// are none of them any more.
    fn sync_bytes(&self, id: ContentId, file: &File) -> Result<()> {
        if self.catalog.content(id).is_ok_and(|content| content.is_damaged()) {
            return Err(Errno::EIO.into());
        }
        let synced = file.sync_all();
        let Err(error) = synced else { return Ok(()) };
        if has_lost(&error) {
            let content = self.catalog.content(id)?;
            if content.state == State::Archived {
                self.cache.evict(id)?;
                self.forget_bytes(content.ino, id);
            } else {
                let why = format!("{DAMAGED}: {error}; write it anew, or empty it first");
                if self.catalog.damage(id, Some(&why))? {
                    log::error!("{}: {why}. It isn't archived until then", self.named(content.ino));
                }
            }
        }
        Err(error.into())
    }

    /// A file's path for the log.
    fn named(&self, ino: Ino) -> String {
        let path = self.catalog.path(ino).ok().flatten();
        path.map_or_else(|| format!("inode {ino}"), |path| String::from_utf8_lossy(&path).into_owned())
    }

    /// Makes every name and attribute so far survive a power cut (fsync of a directory).
    pub fn sync_names(&self) -> Result<()> {
        Ok(self.catalog.sync()?)
    }

    /// Where data or a hole begins at or after `offset` (lseek(2)). Everything that isn't local counts as data.
    pub fn seek(&self, handle: HandleId, offset: u64, hole: bool) -> Result<u64> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let file = {
            let mut state = open.lock();
            self.look_up(&open, &mut state)?;
            match &state.bytes {
                Bytes::Clean(_, file) | Bytes::Dirty(_, file) => Some(file.clone()),
                Bytes::Empty | Bytes::Unknown => None,
            }
        };
        if let Some(file) = file {
            let whence = if hole { nix::unistd::Whence::SeekHole } else { nix::unistd::Whence::SeekData };
            let offset = i64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            return Ok(nix::unistd::lseek64(&*file, offset, whence)? as u64);
        }
        let size = self.getattr(open.ino)?.size;
        match offset {
            _ if offset >= size => Err(Errno::ENXIO.into()),
            _ if hole => Ok(size),
            _ => Ok(offset),
        }
    }

    /// What isn't local of the file behind `handle` from byte `offset` on, if anything.
    pub fn cold_from(&self, handle: HandleId, offset: u64) -> Result<Option<Need>> {
        let (open, _) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        let Some(id) = self.catalog.inode(open.ino)?.content else { return Ok(None) };
        let content = self.catalog.content(id)?;
        let last = content.size.saturating_sub(1);
        let is_cold = offset <= last && content.state == State::Archived && !content.has(offset, last);
        Ok(is_cold.then_some(Need { content: id, first: offset, last }))
    }

    /// The file of the store to write to: makes an open file dirty if it isn't yet.
    pub(super) fn dirty<'a>(&self, open: &'a OpenFile, start: Start) -> Result<Writing<'a>> {
        if let Some(writing) = Writing::go_on(open, &mut open.lock()) {
            return Ok(writing);
        }
        // Unlocked: for room, many cached files may have to go first.
        self.check_room(0)?;
        let mut state = open.lock();
        if let Some(writing) = Writing::go_on(open, &mut state) {
            return Ok(writing);
        }
        let inode = self.catalog.inode(open.ino)?;
        let emptied = match (inode.content, start) {
            (Some(id), Start::Empty) => !self.catalog.content(id)?.is_local(),
            _ => false,
        };
        let fresh = self.ids.next();
        // A content that keeps bytes keeps its file; any other needs one before a row may name it.
        let (made, kept) = match (inode.content, start) {
            (Some(id), Start::Keep) => (None, self.kept(id)?),
            _ => (Some(self.store.create(fresh).map_err(|error| spool(error, 0))?), None),
        };
        let begun = match self.catalog.begin_write(open.ino, fresh, start, now()) {
            Ok(begun) => begun,
            Err(error) => {
                if made.is_some() {
                    self.cache.discard(fresh);
                }
                if let (catalog::Error::NotLocal, Some(id)) = (&error, inode.content) {
                    return Err(Error::Cold(Need { content: id, first: 0, last: inode.size.saturating_sub(1) }));
                }
                return Err(error.into());
            }
        };
        crash::at(Point::WriteBegun);
        if begun.content == fresh && !begun.fresh {
            // It has the file of what is archived, whose bytes are about to change: with the power gone, the row would come back
            // that says that they are the vault's.
            self.catalog.sync()?;
        }
        if let Some(old) = inode.content {
            self.cache.remove(old);
        }
        let file = match made {
            Some(file) if begun.fresh => {
                // Both times are of the same tick of the file system's clock, and the bytes have changed all the same.
                if modified(&file)? == inode.mtime {
                    set_mtime(&file, now())?;
                }
                file
            }
            // It turned out to have a dirty file already (one that was sealed and reopened, emptied below).
            made => {
                if made.is_some() {
                    self.cache.discard(fresh);
                }
                let file = match kept {
                    Some((id, file)) if id == begun.file => file,
                    _ => self.store.file(begun.file)?,
                };
                set_mtime(&file, inode.mtime)?;
                file
            }
        };
        let file = Arc::new(file);
        let before = std::mem::replace(&mut state.bytes, Bytes::Dirty(begun.content, file.clone()));
        if emptied {
            self.emptied.send_modify(|count| *count += 1);
        }
        let writing = Writing::begin(open, &mut state, file);
        // Unlocked: a large file isn't removed, and closed for the last time, in a moment.
        drop(state);
        drop(before);
        if begun.freed.is_some() {
            self.cache.doomed();
        }
        Ok(writing)
    }

    /// The file of content `id` to write to, if all of it is local: that it is there has to be known before the catalog hands it
    /// from what is archived to what is written.
    fn kept(&self, id: ContentId) -> Result<Option<(FileId, File)>> {
        let content = self.catalog.content(id)?;
        let Some(file) = content.file.filter(|_| content.is_local()) else { return Ok(None) };
        Ok(self.unless_missing(id, file, self.store.file(file))?.map(|opened| (file, opened)))
    }

    /// The file of the store that content `id` has, to read from; none when it was evicted just now, or is lost and can be had again.
    ///
    /// # Errors
    /// EIO when its bytes are nowhere any more.
    pub fn local(&self, id: ContentId, file: FileId) -> Result<Option<File>> {
        self.unless_missing(id, file, self.store.read(file))
    }

    fn unless_missing(&self, id: ContentId, file: FileId, opened: std::io::Result<File>) -> Result<Option<File>> {
        match opened {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.cache.is_missing(id, file)? {
                    Ok(None)
                } else {
                    Err(Errno::EIO.into())
                }
            }
            other => Ok(Some(other?)),
        }
    }

    /// Whether somebody has the file open.
    pub fn is_open(&self, ino: Ino) -> bool {
        self.open.of(ino).is_some_and(|open| open.lock().handles > 0)
    }

    /// Has whoever has the file open look anew where its bytes are, if they were those of content `id`.
    pub fn forget_bytes(&self, ino: Ino, id: ContentId) {
        let Some(open) = self.open.of(ino) else { return };
        let mut state = open.lock();
        if matches!(state.bytes, Bytes::Clean(kept, _) if kept == id) {
            state.bytes = Bytes::Unknown;
        }
    }

    /// Finds out where an open file's bytes are. One that is only partly local stays [`Bytes::Unknown`].
    pub(super) fn look_up(&self, open: &OpenFile, state: &mut OpenState) -> Result<()> {
        if !matches!(state.bytes, Bytes::Unknown) {
            return Ok(());
        }
        state.bytes = match self.catalog.inode(open.ino)?.content {
            None => Bytes::Empty,
            Some(id) => match self.catalog.content(id)? {
                // `is_local` says that there is a file.
                content if content.is_local() => match self.local(id, content.file.unwrap_or(id))? {
                    Some(file) => Bytes::Clean(id, Arc::new(file)),
                    None => Bytes::Unknown,
                },
                _ => Bytes::Unknown,
            },
        };
        Ok(())
    }

    fn read_partly_local(&self, open: &OpenFile, offset: u64, size: usize) -> Result<Vec<u8>> {
        let id = self.catalog.inode(open.ino)?.content.ok_or(Errno::EIO)?;
        let content = self.catalog.content(id)?;
        if offset >= content.size || size == 0 {
            return Ok(Vec::new());
        }
        let last = content.size.min(offset.saturating_add(size as u64)) - 1;
        let file = match content.file.filter(|_| content.has(offset, last)) {
            Some(file) => self.local(id, file)?,
            None => None,
        };
        let Some(file) = file else { return Err(Error::Cold(Need { content: id, first: offset, last })) };
        let wanted = (last - offset + 1) as usize;
        let bytes = read_at(&file, offset, wanted)?;
        if bytes.len() == wanted { Ok(bytes) } else { Err(Errno::EIO.into()) }
    }
}

/// Reads `size` bytes at `offset`; fewer only at the end of the file.
fn read_at(file: &File, offset: u64, size: usize) -> Result<Vec<u8>> {
    // Not zeroed first: that takes a third as long as the read.
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let at = offset + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    bytes.truncate(size);
    Ok(bytes)
}
