//! Ranges of bytes: allocating, zeroing and punching them (fallocate(2)), and copying them from file to file within the
//! mount (copy_file_range(2)). The disk under the store does both itself; nothing passes through this process.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use nix::errno::Errno;
use rustix::fs::FallocateFlags;

use super::Error;
use super::Fs;
use super::HandleId;
use super::Need;
use super::Result;
use super::error::spool;
use super::open::Bytes;
use super::open::OpenFile;
use crate::catalog::Start;

/// Most bytes that one copy_file_range(2) copies; a program then asks for the rest. It bounds what an interrupt has to wait
/// for, and what is recalled at once.
const COPY_MAX: u64 = 64 << 20;
/// Bytes of a block of `st_blocks` (stat(2)).
const BLOCK: u64 = 512;

impl Fs {
    /// Allocates, zeroes or punches `length` bytes at `offset`, as `mode` says (linux/falloc.h).
    ///
    /// # Errors
    /// EOPNOTSUPP for a mode that moves bytes, or that the disk under the store can't do; [`Error::Cold`] when the file isn't
    /// local, [`Error::Full`] when there is no room.
    pub fn fallocate(&self, handle: HandleId, mode: i32, offset: u64, length: u64) -> Result<()> {
        const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE;
        const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
        let (open, writes) = self.open.handle(handle).ok_or(Errno::EBADF)?;
        if !writes {
            return Err(Errno::EBADF.into());
        }
        if !matches!(mode & !KEEP, 0 | PUNCH | ZERO) || mode == PUNCH {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::EFBIG)?;
        let bytes = if mode & PUNCH != 0 { 0 } else { self.unallocated(&open, end)?.min(length) };
        // No upload makes room for what is larger than the disk.
        if bytes > self.store.room()?.total {
            return Err(Errno::ENOSPC.into());
        }
        self.check_room(bytes)?;
        let file = self.dirty(&open, Start::Keep)?;
        // The constants of libc and rustix are the kernel's both.
        let flags = FallocateFlags::from_bits_retain(mode as u32);
        rustix::fs::fallocate(&*file, flags, offset, length).map_err(|error| spool(error.into(), bytes))
    }

    /// Copies up to `length` bytes at `from.1` of a file to `to.1` of another, or of the same; fewer at the source's end, or
    /// when that are very many. Answers how many.
    ///
    /// # Errors
    /// [`Error::Cold`] when the source's bytes aren't local, or those of the target that stay; [`Error::Full`] when there is
    /// no room.
    pub fn copy_range(&self, from: (HandleId, u64), to: (HandleId, u64), length: u64) -> Result<u64> {
        let (source, _) = self.open.handle(from.0).ok_or(Errno::EBADF)?;
        let (target, writes) = self.open.handle(to.0).ok_or(Errno::EBADF)?;
        if !writes {
            return Err(Errno::EBADF.into());
        }
        let Some((input, length)) = self.readable(&source, from.1, length.min(COPY_MAX))? else { return Ok(0) };
        self.check_room(length)?;
        let output = self.dirty(&target, Start::Keep)?;
        let (mut at, mut to) = (from.1, to.1);
        let mut copied = 0;
        while copied < length {
            match rustix::fs::copy_file_range(
                &*input,
                Some(&mut at),
                &*output,
                Some(&mut to),
                (length - copied) as usize,
            ) {
                Ok(0) => break,
                Ok(count) => copied += count as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) if copied > 0 => break,
                Err(error) => return Err(spool(error.into(), length)),
            }
        }
        Ok(copied)
    }

    /// A file of the store to read from at `offset`, and how many of `length` bytes there are; none at the end of the file.
    fn readable(&self, open: &OpenFile, offset: u64, length: u64) -> Result<Option<(Arc<File>, u64)>> {
        let mut state = open.lock();
        self.look_up(open, &mut state)?;
        let (file, size) = match &state.bytes {
            Bytes::Empty => return Ok(None),
            Bytes::Clean(_, file) | Bytes::Dirty(_, file) => (Some(file.clone()), file.metadata()?.len()),
            Bytes::Unknown => (None, self.catalog.inode(open.ino)?.size),
        };
        drop(state);
        let length = length.min(size.saturating_sub(offset));
        if length == 0 {
            return Ok(None);
        }
        if let Some(file) = file {
            return Ok(Some((file, length)));
        }
        let id = self.catalog.inode(open.ino)?.content.ok_or(Errno::EIO)?;
        let content = self.catalog.content(id)?;
        let last = offset + length - 1;
        let file = match content.file.filter(|_| content.has(offset, last)) {
            Some(file) => self.local(id, file)?,
            None => None,
        };
        match file {
            Some(file) => Ok(Some((Arc::new(file), length))),
            None => Err(Error::Cold(Need { content: id, first: offset, last })),
        }
    }

    /// How many bytes at most have no room on the disk yet, of those up to `end`.
    fn unallocated(&self, open: &OpenFile, end: u64) -> Result<u64> {
        let mut state = open.lock();
        self.look_up(open, &mut state)?;
        match &state.bytes {
            Bytes::Empty | Bytes::Unknown => Ok(end),
            Bytes::Clean(_, file) | Bytes::Dirty(_, file) => {
                let meta = file.metadata()?;
                Ok(end.max(meta.len()).saturating_sub(meta.blocks() * BLOCK))
            }
        }
    }
}
