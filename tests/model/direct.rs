//! System calls on [`glacierfs::fs`], without a kernel: paths, open files, and what the kernel checks before it asks a file system.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::PathBuf;

use glacierfs::catalog::Changes;
use glacierfs::catalog::Ino;
use glacierfs::catalog::Inode;
use glacierfs::catalog::Kind;
use glacierfs::catalog::RenameMode;
use glacierfs::catalog::XattrMode;
use glacierfs::catalog::now;
use glacierfs::fs::Caller;
use glacierfs::fs::HandleId;

use super::disk::to_write;
use super::house::House;
use super::op::Flags;
use super::op::Moving;
use super::op::Op;
use super::op::Path;
use super::op::SLOTS;
use super::op::Setting;
use super::op::Special;
use super::op::When;
use super::op::filling;
use super::op::name;
use super::target::Answer;
use super::target::Attr;
use super::target::Result;
use super::target::Target;

const ROOT: Caller = Caller { uid: 0, gid: 0 };
/// More links than this on one way are taken for a circle (MAXSYMLINKS, linux/namei.h).
const LINKS: u32 = 40;

/// An open file.
#[derive(Clone, Copy)]
struct Open {
    ino: Ino,
    handle: HandleId,
    flags: Flags,
}

/// Where a path leads.
struct Place {
    dir: Ino,
    /// The last name; `.` for a directory that is named by itself.
    name: Vec<u8>,
    found: Option<Inode>,
}

pub struct Direct {
    above: PathBuf,
    house: House,
    open: [Option<Open>; SLOTS as usize],
    evictions: u64,
}

impl Direct {
    /// File systems that keep their files below `above`.
    pub fn new(above: PathBuf) -> Self {
        Direct { house: House::new(&above), above, open: [None; SLOTS as usize], evictions: 0 }
    }

    /// Follows a path from the vault down, as path_resolution(7) says; through a last link only if `follow`.
    fn walk(&self, path: &Path, follow: bool) -> Result<Place> {
        let mut names: VecDeque<Vec<u8>> = path.0.iter().map(|number| name(*number)).collect();
        let mut dir = self.house.vault;
        let mut links = 0;
        let mut place = Place { dir, name: b".".to_vec(), found: Some(self.inode(dir)?) };
        while let Some(name) = names.pop_front() {
            if !self.inode(dir)?.is_dir() {
                return Err(libc::ENOTDIR);
            }
            let found = match self.house.call(|fs| fs.lookup(dir, &name)) {
                Err(libc::ENOENT) => None,
                other => Some(other?),
            };
            let is_last = names.is_empty();
            match &found {
                Some(link) if link.kind() == Kind::Symlink && (follow || !is_last) => {
                    links += 1;
                    if links > LINKS {
                        return Err(libc::ELOOP);
                    }
                    let target = link.target.clone().unwrap_or_default();
                    for name in target.split(|byte| *byte == b'/').rev() {
                        names.push_front(name.to_vec());
                    }
                    continue;
                }
                None if !is_last => return Err(libc::ENOENT),
                _ => {}
            }
            let next = found.as_ref().map_or(dir, |found| found.ino);
            place = Place { dir, name, found };
            dir = next;
        }
        Ok(place)
    }

    fn inode(&self, ino: Ino) -> Result<Inode> {
        self.house.call(|fs| fs.getattr(ino))
    }

    /// What is there, or ENOENT.
    fn find(&self, path: &Path, follow: bool) -> Result<Inode> {
        self.walk(path, follow)?.found.ok_or(libc::ENOENT)
    }

    /// Where something can be made, or EEXIST.
    fn vacant(&self, path: &Path) -> Result<(Ino, Vec<u8>)> {
        let place = self.walk(path, false)?;
        if place.found.is_some() { Err(libc::EEXIST) } else { Ok((place.dir, place.name)) }
    }

    fn slot(&self, slot: u8) -> Result<Open> {
        self.open[usize::from(slot)].ok_or(libc::EBADF)
    }

    fn close(&mut self, slot: u8) {
        if let Some(Open { handle, .. }) = self.open[usize::from(slot)].take() {
            self.house.call(|fs| fs.release(handle)).expect("it was open");
        }
    }

    fn opened(&self, path: &Path, flags: Flags, mode: u32) -> Result<Open> {
        if let Ok(found) = self.find(path, true)
            && found.kind() != Kind::File
            && !(found.is_dir() && (flags.create || flags.writes || flags.truncate))
        {
            return Err(libc::EOPNOTSUPP);
        }
        let place = self.walk(path, !(flags.create && flags.exclusive))?;
        let found = match place.found {
            None if flags.create => {
                let (inode, opened) = self.house.call(|fs| fs.create(place.dir, &place.name, mode & 0o7777, ROOT))?;
                return Ok(Open { ino: inode.ino, handle: opened.handle, flags });
            }
            None => return Err(libc::ENOENT),
            Some(_) if flags.create && flags.exclusive => return Err(libc::EEXIST),
            Some(found) => found,
        };
        let ino = found.ino;
        if found.is_dir() {
            return Err(libc::EISDIR);
        }
        let handle = self.house.call(|fs| fs.open(ino, flags.writes))?.handle;
        if flags.truncate {
            self.house.call(|fs| fs.setattr(ino, Changes::default(), Some(0)))?;
        }
        Ok(Open { ino, handle, flags })
    }

    fn write(&self, open: Open, at: u64, len: u32, fill: u8) -> Result<Answer> {
        let handle = open.handle;
        if !open.flags.writes {
            return Err(libc::EBADF);
        }
        if len > 0 {
            let at = if open.flags.append { self.inode(open.ino)?.size } else { at };
            let data = filling(fill, len);
            self.house.call(|fs| fs.write(handle, at, &data))?;
        }
        Ok(Answer::Count(len.into()))
    }

    fn put(&self, path: &Path, flags: Flags, at: u64, len: u32, fill: u8) -> Result<Answer> {
        let open = self.opened(path, flags, 0o644)?;
        let written = self.write(open, at, len, fill);
        self.house.call(|fs| fs.release(open.handle))?;
        written
    }

    fn segments(&self, slot: u8) -> Result<Answer> {
        let handle = self.slot(slot)?.handle;
        let mut found = Vec::new();
        let mut at = 0;
        loop {
            let from = match self.house.call(|fs| fs.seek(handle, at, false)) {
                Err(libc::ENXIO) => return Ok(Answer::Segments(found)),
                other => other?,
            };
            at = self.house.call(|fs| fs.seek(handle, from, true))?;
            found.push((from, at));
        }
    }

    fn change(&self, ino: Ino, changes: Changes) -> Result<Answer> {
        self.house.call(|fs| fs.setattr(ino, changes, None)).map(done)
    }

    fn resize(&self, ino: Ino, size: u64) -> Result<Answer> {
        self.house.call(|fs| fs.setattr(ino, Changes::default(), Some(size))).map(done)
    }

    /// The directories that `dir` is in, itself first.
    fn above(&self, mut dir: Ino) -> Result<Vec<Ino>> {
        let mut above = vec![dir];
        while dir != self.house.vault {
            dir = self.house.call(|fs| fs.parent(dir))?;
            above.push(dir);
        }
        Ok(above)
    }

    fn rename(&self, from: &Path, to: &Path, how: Moving) -> Result<Answer> {
        let (from, to) = (self.walk(from, false)?, self.walk(to, false)?);
        let moved = from.found.ok_or(libc::ENOENT)?;
        match (how, &to.found) {
            (Moving::NoReplace, Some(_)) => return Err(libc::EEXIST),
            (Moving::Exchange, None) => return Err(libc::ENOENT),
            _ => {}
        }
        if from.dir != to.dir {
            if self.above(to.dir)?.contains(&moved.ino) {
                return Err(libc::EINVAL);
            }
            if let Some(target) = &to.found
                && self.above(from.dir)?.contains(&target.ino)
            {
                return Err(if how == Moving::Exchange { libc::EINVAL } else { libc::ENOTEMPTY });
            }
        }
        if to.found.is_some_and(|target| target.ino == moved.ino) {
            return Ok(Answer::Done);
        }
        let mode = match how {
            Moving::Replace => RenameMode::Replace,
            Moving::NoReplace => RenameMode::NoReplace,
            Moving::Exchange => RenameMode::Exchange,
        };
        self.house.call(|fs| fs.rename((from.dir, &from.name), (to.dir, &to.name), mode)).map(done)
    }

    /// Attributes of users are of files and directories only (xattr(7)).
    fn attributed(&self, path: &Path, name: &str, otherwise: i32) -> Result<Ino> {
        let found = self.find(path, false)?;
        let may_be = matches!(found.kind(), Kind::File | Kind::Directory) || !name.starts_with("user.");
        if may_be { Ok(found.ino) } else { Err(otherwise) }
    }

    fn list(&self, path: &Path) -> Result<Answer> {
        let found = self.find(path, true)?;
        if !found.is_dir() {
            return Err(libc::ENOTDIR);
        }
        let itself = |name: &[u8]| (name.to_vec(), Kind::Directory.bits());
        let mut names = BTreeMap::from([itself(b"."), itself(b"..")]);
        let mut cookie = 0;
        loop {
            // A few at a time, so that streams go on where they were.
            let entries = self.house.call(|fs| fs.readdir(found.ino, cookie, 3))?;
            let Some(last) = entries.last() else { return Ok(Answer::Names(names)) };
            cookie = last.cookie;
            for entry in entries {
                let twice = names.insert(entry.name, entry.inode.kind().bits());
                assert!(twice.is_none(), "a name is listed twice in {path}");
            }
        }
    }

    /// The content of the file at a path, or none: for a directory, which means everything.
    fn content(&self, path: &Path) -> Option<glacierfs::catalog::ContentId> {
        self.find(path, false).ok()?.content
    }

    fn read_all(&self, handle: HandleId, at: u64, len: usize) -> Result<Vec<u8>> {
        self.house.call(|fs| fs.read(handle, at, len))
    }
}

fn done<T>(_: T) -> Answer {
    Answer::Done
}

fn times(atime: When, mtime: When) -> Changes {
    let time = |when| match when {
        When::Omit => None,
        When::Now => Some(now()),
        When::At(seconds, nanos) => Some(seconds * 1_000_000_000 + i64::from(nanos)),
    };
    Changes { atime: time(atime), mtime: time(mtime), ..Changes::default() }
}

impl Target for Direct {
    fn apply(&mut self, op: &Op) -> Result<Answer> {
        let house = &self.house;
        match op {
            Op::Open { slot, path, flags, mode } => {
                let opened = self.opened(path, *flags, *mode)?;
                self.close(*slot);
                self.open[usize::from(*slot)] = Some(opened);
                Ok(Answer::Done)
            }
            Op::Close { slot } => {
                self.close(*slot);
                Ok(Answer::Done)
            }
            Op::Read { slot, at, len } => {
                let open = self.slot(*slot)?;
                if !open.flags.reads {
                    return Err(libc::EBADF);
                }
                self.read_all(open.handle, *at, *len as usize).map(Answer::Bytes)
            }
            Op::Write { slot, at, len, fill } => self.write(self.slot(*slot)?, *at, *len, *fill),
            Op::Ftruncate { slot, size } => match self.slot(*slot)? {
                Open { ino, flags, .. } if flags.writes => self.resize(ino, *size),
                _ => Err(libc::EINVAL),
            },
            Op::Fsync { slot, .. } => {
                let open = self.slot(*slot)?;
                house.call(|fs| fs.fsync(open.handle)).map(done)
            }
            Op::Fallocate { slot, how, at, len } => match self.slot(*slot)? {
                _ if *len == 0 => Err(libc::EINVAL),
                Open { handle, flags, .. } if flags.writes => {
                    house.call(|fs| fs.fallocate(handle, how.bits(), *at, *len)).map(done)
                }
                _ => Err(libc::EBADF),
            },
            Op::Segments { slot } => self.segments(*slot),
            Op::Fchmod { slot, mode } => {
                self.change(self.slot(*slot)?.ino, Changes { mode: Some(*mode), ..Changes::default() })
            }
            Op::Futimens { slot, atime: When::Omit, mtime: When::Omit } => self.slot(*slot).map(done),
            Op::Futimens { slot, atime, mtime } => self.change(self.slot(*slot)?.ino, times(*atime, *mtime)),
            Op::Put { path, flags, at, len, fill } => self.put(path, *flags, *at, *len, *fill),
            Op::Mkdir { path, mode } => {
                let (dir, name) = self.vacant(path)?;
                house.call(|fs| fs.mkdir(dir, &name, mode & 0o1777, ROOT)).map(done)
            }
            Op::Rmdir { path } => {
                let place = self.walk(path, false)?;
                house.call(|fs| fs.rmdir(place.dir, &place.name)).map(done)
            }
            Op::Unlink { path } => {
                let place = self.walk(path, false)?;
                house.call(|fs| fs.unlink(place.dir, &place.name)).map(done)
            }
            Op::Link { from, to } => {
                let found = self.find(from, false)?;
                let (dir, name) = self.vacant(to)?;
                house.call(|fs| fs.link(found.ino, dir, &name)).map(done)
            }
            Op::Symlink { path, target } => {
                let (dir, name) = self.vacant(path)?;
                house.call(|fs| fs.symlink(dir, &name, &to_write(target), ROOT)).map(done)
            }
            Op::Mknod { path, what, mode } => {
                let (dir, name) = self.vacant(path)?;
                let (kind, device) = match what {
                    Special::Fifo => (Kind::Fifo, 0),
                    Special::Socket => (Kind::Socket, 0),
                    Special::Device(minor) => (Kind::CharDevice, 1 << 8 | minor),
                };
                house.call(|fs| fs.mknod(dir, &name, kind.bits() | mode & 0o7777, device, ROOT)).map(done)
            }
            Op::Rename { from, to, how } => self.rename(from, to, *how),
            Op::Chmod { path, mode } => {
                let found = self.find(path, true)?;
                self.change(found.ino, Changes { mode: Some(*mode), ..Changes::default() })
            }
            Op::Chown { path, uid, gid } => {
                let found = self.find(path, false)?;
                let changes = Changes { uid: *uid, gid: *gid, drop_set_ids: true, ..Changes::default() };
                self.change(found.ino, changes)
            }
            Op::Utimens { atime: When::Omit, mtime: When::Omit, .. } => Ok(Answer::Done),
            Op::Utimens { path, atime, mtime } => self.change(self.find(path, false)?.ino, times(*atime, *mtime)),
            Op::Truncate { path, size } => {
                let found = self.find(path, true)?;
                self.resize(found.ino, *size)
            }
            Op::Setxattr { path, name, len, fill, how } => {
                let ino = self.attributed(path, name, libc::EPERM)?;
                let mode = match how {
                    Setting::Any => XattrMode::Set,
                    Setting::Create => XattrMode::Create,
                    Setting::Replace => XattrMode::Replace,
                };
                let value = filling(*fill, *len);
                house.call(|fs| fs.setxattr(ino, name.as_bytes(), &value, mode)).map(done)
            }
            Op::Removexattr { path, name } => {
                let ino = self.attributed(path, name, libc::EPERM)?;
                house.call(|fs| fs.removexattr(ino, name.as_bytes())).map(done)
            }
            Op::Getxattr { path, name } => {
                let ino = self.attributed(path, name, libc::ENODATA)?;
                house.call(|fs| fs.getxattr(ino, name.as_bytes())).map(Answer::Bytes)
            }
            Op::Readlink { path } => {
                let found = self.find(path, false)?;
                house.call(|fs| fs.readlink(found.ino)).map(Answer::Bytes)
            }
            Op::Readdir { path } => self.list(path),
            Op::Flush { path, wait } => {
                let content = self.content(path);
                self.house.flush(content, *wait);
                Ok(Answer::Done)
            }
            Op::Evict { path } => {
                self.evictions += house.evict(self.content(path));
                Ok(Answer::Done)
            }
            Op::Restore { path } => {
                if let Some(content) = self.content(path) {
                    house.restore(content);
                }
                Ok(Answer::Done)
            }
            Op::Restart { kill } => {
                for slot in 0..SLOTS {
                    if *kill {
                        self.open[usize::from(slot)] = None;
                    } else {
                        self.close(slot);
                    }
                }
                self.house.restart(!kill);
                Ok(Answer::Done)
            }
        }
    }

    fn attr(&mut self, path: &Path) -> Result<Attr> {
        Ok(attr(&self.find(path, false)?))
    }

    fn attr_of(&mut self, slot: u8) -> Option<Result<Attr>> {
        let open = self.open[usize::from(slot)]?;
        Some(self.inode(open.ino).map(|inode| attr(&inode)))
    }

    fn read(&mut self, path: &Path, at: u64, len: usize) -> Result<Vec<u8>> {
        let found = self.find(path, false)?;
        let opened = self.house.call(|fs| fs.open(found.ino, false))?;
        let bytes = self.read_all(opened.handle, at, len);
        self.house.call(|fs| fs.release(opened.handle))?;
        bytes
    }

    fn read_of(&mut self, slot: u8, at: u64, len: usize) -> Option<Result<Vec<u8>>> {
        let Open { handle, flags, .. } = self.open[usize::from(slot)]?;
        flags.reads.then(|| self.read_all(handle, at, len))
    }

    fn xattrs(&mut self, path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let found = self.find(path, false)?;
        let list = self.house.call(|fs| fs.listxattr(found.ino))?;
        let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| Ok((name.to_vec(), self.house.call(|fs| fs.getxattr(found.ino, name))?))).collect()
    }

    fn afresh(&mut self) {
        self.open = [None; SLOTS as usize];
        self.house = House::new(&self.above);
    }

    fn evictions(&self) -> u64 {
        self.evictions
    }
}

fn attr(inode: &Inode) -> Attr {
    Attr {
        ino: inode.ino,
        mode: inode.mode,
        nlink: inode.nlink,
        uid: inode.uid,
        gid: inode.gid,
        rdev: inode.rdev.into(),
        size: inode.size,
        atime: inode.atime,
        mtime: inode.mtime,
        ctime: inode.ctime,
    }
}
