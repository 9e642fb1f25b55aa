//! Names: lookup, create, link, unlink, rename, directory streams.

use std::sync::PoisonError;

use nix::errno::Errno;

use super::Caller;
use super::Error;
use super::Fs;
use super::HandleId;
use super::Opened;
use super::Result;
use super::acl::Inherited;
use super::attr::modified;
use super::check_name;
use super::error::spool;
use super::io::SET_IDS;
use super::open::Bytes;
use crate::catalog::Entry;
use crate::catalog::Ino;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::NewInode;
use crate::catalog::Place;
use crate::catalog::PutBack;
use crate::catalog::ROOT;
use crate::catalog::Removed;
use crate::catalog::RenameMode;
use crate::catalog::now;
use crate::util::crash;
use crate::util::crash::Point;

/// Longest target of a symbolic link in bytes (PATH_MAX less its NUL).
const TARGET_MAX: usize = 4095;

impl Fs {
    /// What `name` in directory `parent` names. `.` and `..` are understood, for NFS servers.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Inode> {
        check_name(name)?;
        self.fresh(|| {
            let found = match name {
                b"." => Some(self.catalog.inode(parent)?),
                b".." => Some(self.catalog.inode(self.catalog.parent(parent)?)?),
                _ => self.catalog.lookup(parent, name)?,
            };
            Ok(found.ok_or(Errno::ENOENT)?)
        })
    }

    /// Up to `limit` entries of `dir` after `cookie` (0: from the first), without `.` and `..`.
    pub fn readdir(&self, dir: Ino, cookie: u64, limit: usize) -> Result<Vec<Entry>> {
        let before = self.open.seals();
        let mut entries = self.catalog.readdir(dir, cookie, limit)?;
        for entry in &mut entries {
            let file = entry.inode.kind() == Kind::File;
            if file && !self.overlay(&mut entry.inode) && self.open.seals() != before {
                // It may have been sealed since. One that is gone meanwhile is listed as it was.
                entry.inode = self.getattr(entry.inode.ino).unwrap_or_else(|_| entry.inode.clone());
            }
        }
        Ok(entries)
    }

    /// Whether directory `dir` was moved since this was asked last: an older listing of it is wrong about `..`.
    pub fn was_moved(&self, dir: Ino) -> bool {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).remove(&dir)
    }

    /// The directory above `dir`.
    pub fn parent(&self, dir: Ino) -> Result<Ino> {
        Ok(self.catalog.parent(dir)?)
    }

    /// Makes a directory below a vault's (a vault itself is made by the service first).
    pub fn mkdir(&self, parent: Ino, name: &[u8], mode: u32, caller: Caller) -> Result<Inode> {
        self.make(parent, name, Kind::Directory.bits() | mode & 0o7777, 0, None, caller)
    }

    /// Makes a file, pipe, socket or device node.
    pub fn mknod(&self, parent: Ino, name: &[u8], mode: u32, rdev: u32, caller: Caller) -> Result<Inode> {
        let kind = match Kind::of(mode) {
            None | Some(Kind::Directory | Kind::Symlink) => return Err(Errno::EINVAL.into()),
            Some(kind) => kind,
        };
        self.make(parent, name, kind.bits() | mode & 0o7777, rdev, None, caller)
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, parent: Ino, name: &[u8], target: &[u8], caller: Caller) -> Result<Inode> {
        match target.len() {
            0 => Err(Errno::ENOENT.into()),
            1..=TARGET_MAX => self.make(parent, name, Kind::Symlink.bits() | 0o777, 0, Some(target), caller),
            _ => Err(Errno::ENAMETOOLONG.into()),
        }
    }

    /// Where a symbolic link points.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        self.catalog.inode(ino)?.target.ok_or(Error::Errno(Errno::EINVAL))
    }

    /// Makes a regular file and opens it for writing.
    pub fn create(&self, parent: Ino, name: &[u8], mode: u32, caller: Caller) -> Result<(Inode, Opened)> {
        check_name(name)?;
        self.check_room(0)?;
        let Inherited { mode, xattrs } = self.inherit(parent, Kind::File.bits() | mode & 0o7777)?;
        let content = self.ids.next();
        let file = self.store.create(content).map_err(|error| spool(error, 0))?;
        let new = NewInode { mode, uid: caller.uid, gid: caller.gid, rdev: 0, target: None, content: Some(content) };
        // From its first moment the file's times are those of its file in the store.
        let now = modified(&file)?;
        let inode = match self.catalog.create_with(parent, name, new, &xattrs, now) {
            Ok(inode) => inode,
            Err(error) => {
                self.cache.discard(content);
                return Err(error.into());
            }
        };
        crash::at(Point::Created);
        if !xattrs.is_empty() {
            self.has_xattrs(inode.ino);
        }
        let (handle, open): (HandleId, _) = self.open.open(inode.ino, true);
        let mut state = open.lock();
        state.bytes = Bytes::Dirty(content, std::sync::Arc::new(file));
        state.plain = inode.mode & SET_IDS == 0;
        drop(state);
        Ok((inode, Opened { handle, cold: false }))
    }

    /// Gives a file another name.
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Inode> {
        check_name(name)?;
        match self.catalog.link(ino, parent, name, now()) {
            Err(crate::catalog::Error::IsDirectory) => Err(Errno::EPERM.into()),
            other => self.getattr(other?.ino),
        }
    }

    /// Takes a name from a file. Its bytes stay as long as it is open, and its archive in the trash.
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let removed = self.catalog.unlink(parent, name, now())?;
        self.after(removed)
    }

    /// As [`Fs::unlink`], for a snapshot, which only glacierfs itself removes.
    pub fn unlink_snapshot(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let removed = self.catalog.unlink_snapshot(parent, name, now())?;
        self.after(removed)
    }

    /// Removes an empty directory below a vault's.
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let removed = self.catalog.rmdir(parent, name, now())?;
        self.after(removed)
    }

    /// Moves a name, over an existing one too, within one vault.
    pub fn rename(&self, from: (Ino, &[u8]), to: (Ino, &[u8]), mode: RenameMode) -> Result<()> {
        check_name(to.1)?;
        let removed = self.catalog.rename(from, to, mode, now())?;
        self.ruled_anew(from, to);
        self.after(removed)
    }

    /// As [`Fs::rename`]; the old name is left with a character device 0/0, by which overlayfs(5) says that it is gone.
    pub fn rename_leaving_whiteout(
        &self,
        from: (Ino, &[u8]),
        to: (Ino, &[u8]),
        mode: RenameMode,
        caller: Caller,
    ) -> Result<()> {
        check_name(to.1)?;
        let Caller { uid, gid } = caller;
        let whiteout = NewInode { mode: Kind::CharDevice.bits(), uid, gid, rdev: 0, target: None, content: None };
        let removed = self.catalog.rename_leaving(from, to, mode, whiteout, now())?;
        self.ruled_anew(from, to);
        self.after(removed)
    }

    fn make(
        &self,
        parent: Ino,
        name: &[u8],
        mode: u32,
        rdev: u32,
        target: Option<&[u8]>,
        caller: Caller,
    ) -> Result<Inode> {
        check_name(name)?;
        debug_assert!(parent != ROOT || Kind::of(mode) != Some(Kind::Directory), "vaults are made by the service");
        let Inherited { mode, xattrs } = self.inherit(parent, mode)?;
        let new = NewInode { mode, uid: caller.uid, gid: caller.gid, rdev, target, content: None };
        let inode = self.catalog.create_with(parent, name, new, &xattrs, now())?;
        // Nobody knows of the inode yet.
        if !xattrs.is_empty() {
            self.has_xattrs(inode.ino);
        }
        Ok(inode)
    }

    /// What two names of a rename name now may be ruled by other directories than before.
    fn ruled_anew(&self, from: (Ino, &[u8]), to: (Ino, &[u8])) {
        if from.0 == to.0 || !self.cache.has_pinned() {
            return;
        }
        for (parent, name) in [from, to] {
            match self.catalog.lookup(parent, name) {
                Ok(Some(inode)) if !inode.is_dir() => inode.content.iter().for_each(|id| self.cache.reconsider(*id)),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => self.cache.reconsider_all(),
            }
        }
    }

    /// Forgets an inode that lost its last name: a file that is open at its last close, and what isn't a file, of which only the
    /// kernel knows whether somebody has it open or stands in it, when that says so ([`Fs::forgotten`]).
    fn after(&self, removed: Removed) -> Result<()> {
        crash::at(Point::NameGone);
        if !removed.moved.is_empty() {
            self.moved.lock().unwrap_or_else(PoisonError::into_inner).extend(&removed.moved);
        }
        match removed.ino.filter(|_| removed.orphan) {
            Some(ino) if !removed.is_file => {
                self.nameless.lock().unwrap_or_else(PoisonError::into_inner).insert(ino);
                Ok(())
            }
            Some(ino) if self.open.mark_orphan(ino) => Ok(()),
            Some(ino) => self.forget(ino),
            None => {
                // Another of its names may be the oldest now, by which it is ruled.
                if let Some(ino) = removed.ino.filter(|_| self.cache.has_pinned()) {
                    self.catalog.inode(ino)?.content.iter().for_each(|id| self.cache.reconsider(*id));
                }
                Ok(())
            }
        }
    }

    /// Gives `inos`, of the trash, their names again; what became of each.
    pub fn put_back(&self, inos: &[Ino], how: &PutBack) -> Result<Vec<Place>> {
        for ino in inos {
            // Known before anybody can look.
            if !self.catalog.xattrs(*ino)?.is_empty() {
                self.has_xattrs(*ino);
            }
        }
        Ok(self.catalog.put_back(inos, how)?)
    }

    /// The kernel has no use for `ino` any more: one that has no name is gone now.
    pub fn forgotten(&self, ino: Ino) -> Result<()> {
        // Not in the condition of a match: the lock would be held to the end of that.
        let was_nameless = self.nameless.lock().unwrap_or_else(PoisonError::into_inner).remove(&ino);
        if was_nameless {
            self.was_moved(ino);
            self.forget(ino)?;
        }
        Ok(())
    }
}
