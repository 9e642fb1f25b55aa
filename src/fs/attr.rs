//! Attributes: from the catalog, and from the store's file while a file is written.

use std::fs::File;
use std::fs::FileTimes;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;

use super::Error;
use super::Fs;
use super::Result;
use super::acl::ACCESS;
use super::error::spool;
use super::open::Bytes;
use crate::catalog::Changes;
use crate::catalog::Ino;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::Start;
use crate::catalog::now;
use crate::util::crash;
use crate::util::crash::Point;

/// Times to set, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Last access.
    pub atime: Option<i64>,
    /// Last change of the bytes.
    pub mtime: Option<i64>,
}

impl Fs {
    /// The attributes of `ino`, also of one without a name that is still open.
    pub fn getattr(&self, ino: Ino) -> Result<Inode> {
        self.fresh(|| Ok(self.catalog.inode(ino)?))
    }

    /// Changes mode, owner, times or size. Missing bytes are asked for only if some of them are to stay.
    pub fn setattr(&self, ino: Ino, changes: Changes, size: Option<u64>) -> Result<Inode> {
        if let Some(size) = size {
            self.truncate(ino, size)?;
        }
        let open = self.open.of(ino);
        let mut inexact = false;
        {
            // While it is locked it isn't sealed, which would take the time that the file has.
            let mut state = open.as_ref().map(|open| open.lock());
            let acl = changes.mode.map(|mode| self.acl_for_mode(ino, mode)).transpose()?.flatten();
            let acl = acl.map(|value| (ACCESS, value));
            self.catalog.setattr_with(ino, changes, acl.as_slice(), now())?;
            if let Some(state) = &mut state {
                state.plain &= changes.mode.is_none();
                if let (Some(mtime), Bytes::Dirty(_, file)) = (changes.mtime, &state.bytes) {
                    set_mtime(file, mtime)?;
                    let kept = modified(file)?;
                    inexact = kept != mtime;
                    state.mtime = inexact.then_some((kept, mtime));
                }
            }
        }
        if inexact {
            // If it is closed, the catalog is told at once: after a crash the file's time is all there is.
            self.settle()?;
        }
        self.getattr(ino)
    }

    /// Whether somebody may be writing to `ino`.
    pub fn is_being_written(&self, ino: Ino) -> bool {
        self.open.of(ino).is_some_and(|open| open.lock().writers > 0)
    }

    /// The inode that `read` gets from the catalog, with what the store's file knows better while it is written.
    pub(super) fn fresh(&self, read: impl Fn() -> Result<Inode>) -> Result<Inode> {
        loop {
            let before = self.open.seals();
            let mut inode = read()?;
            if self.overlay(&mut inode) || self.open.seals() == before {
                return Ok(inode);
            }
            // Files were sealed in between, perhaps this one: then the catalog learned its size after it was read.
        }
    }

    /// Puts into `inode` what the store's file knows better, if it is being written, and answers whether it is.
    pub(super) fn overlay(&self, inode: &mut Inode) -> bool {
        let Some(open) = self.open.of(inode.ino) else { return false };
        let state = open.lock();
        let Bytes::Dirty(_, file) = &state.bytes else { return false };
        if let Ok(meta) = file.metadata() {
            inode.size = meta.len();
            inode.mtime = state.mtime(nanos(meta.mtime(), meta.mtime_nsec()));
            inode.ctime = inode.ctime.max(nanos(meta.ctime(), meta.ctime_nsec()));
        }
        true
    }

    fn truncate(&self, ino: Ino, size: u64) -> Result<()> {
        let inode = self.getattr(ino)?;
        match inode.kind() {
            Kind::File => {}
            Kind::Directory => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
        i64::try_from(size).map_err(|_| Error::Errno(Errno::EFBIG))?;
        if size > inode.size {
            self.check_room(0)?;
        }
        // As if it were opened, truncated and closed: an open file stays dirty until its own last close.
        let (handle, open) = self.open.open(ino, true);
        let start = if size == 0 { Start::Empty } else { Start::Keep };
        let result = self.dirty(&open, start).and_then(|file| file.set_len(size).map_err(|error| spool(error, 0)));
        crash::at(Point::Truncated);
        let emptied = if size == 0 && result.is_ok() { open.lock().bytes.clone() } else { Bytes::Unknown };
        if let Bytes::Dirty(id, _) = emptied
            && self.catalog.content(id)?.is_damaged()
        {
            self.catalog.damage(id, None)?;
        }
        let released = self.release(handle);
        result.and(released)
    }
}

/// `seconds` and `nanos` as the catalog has times.
pub(super) fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The modification time of a file in the store.
pub(super) fn modified(file: &File) -> Result<i64> {
    let meta = file.metadata()?;
    Ok(nanos(meta.mtime(), meta.mtime_nsec()))
}

/// Sets the modification time of a file in the store.
pub(super) fn set_mtime(file: &File, mtime: i64) -> Result<()> {
    let distance = Duration::from_nanos(mtime.unsigned_abs());
    let time: Option<SystemTime> =
        if mtime < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    let time = time.ok_or(Errno::EINVAL)?;
    Ok(file.set_times(FileTimes::new().set_modified(time))?)
}
