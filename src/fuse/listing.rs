//! Directory streams: `.`, `..`, and the entries, from any position; and which of them may use the kernel's cached listing.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use fuser::FileHandle;

use super::adapter::Adapter;
use crate::catalog::Entry;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::fs::Result;

/// How many directory entries are fetched at a time.
const ENTRIES: usize = 64;

/// Handle of a stream that uses the kernel's cached listing.
const CACHED: FileHandle = FileHandle(1);
/// Handle of one that doesn't.
const DIRECT: FileHandle = FileHandle(0);

/// The directories of which a stream uses the kernel's cached listing: one at a time.
///
/// When the entry that a stream stands at is removed, and another stream has the kernel cache the listing anew, the first
/// doesn't find its place there. The kernel asks us then, but not if the listing ends exactly with a page: that it takes for the
/// end of the directory (Linux 6.18), and the stream misses all the rest.
#[derive(Default)]
pub(super) struct Cached(Mutex<HashSet<u64>>);

impl Cached {
    /// The handle of a new stream of `dir`, and whether it may use the cached listing.
    pub(super) fn open(&self, dir: u64) -> (FileHandle, bool) {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(dir) {
            true => (CACHED, true),
            false => (DIRECT, false),
        }
    }

    /// A stream of `dir` has ended.
    pub(super) fn close(&self, dir: u64, handle: FileHandle) {
        if handle == CACHED {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&dir);
        }
    }
}

impl Adapter {
    /// Hands the entries of `dir` to `add` from position `offset` on, until it says that the reply is full. Positions:
    /// 1 is behind `.`, 2 behind `..`, and an entry's is 2 more than its cookie.
    pub(super) fn list(
        &self,
        dir: u64,
        offset: u64,
        mut add: impl FnMut(u64, u64, &[u8], Kind, &Inode) -> bool,
    ) -> Result<()> {
        let fs = &self.shared.fs;
        if offset < 1 {
            let inode = fs.getattr(dir)?;
            if add(dir, 1, b".", Kind::Directory, &inode) {
                return Ok(());
            }
        }
        if offset < 2 {
            let parent = fs.getattr(fs.parent(dir)?)?;
            if add(parent.ino, 2, b"..", Kind::Directory, &parent) {
                return Ok(());
            }
        }
        let mut cookie = offset.saturating_sub(2);
        loop {
            let entries = fs.readdir(dir, cookie, ENTRIES)?;
            let last = entries.len() < ENTRIES;
            for Entry { cookie: at, name, inode } in entries {
                if add(inode.ino, at + 2, &name, inode.kind(), &inode) {
                    return Ok(());
                }
                cookie = at;
            }
            if last {
                return Ok(());
            }
        }
    }
}
