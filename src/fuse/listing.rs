//! Directory streams: `.`, `..`, and the entries, from any position.

use super::adapter::Adapter;
use crate::catalog::Entry;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::fs::Result;

/// How many directory entries are fetched at a time.
const ENTRIES: usize = 64;

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
