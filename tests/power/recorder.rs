//! A file system in memory that writes down, in order, whatever is done to it and synced on it: the disk under a state directory,
//! to be cut off the power at any moment afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fuser::*;

const TTL: Duration = Duration::from_secs(1);
/// What the disk has in all, in blocks of 4 KiB: more than the tests write.
const BLOCKS: u64 = 1 << 20;
pub const ROOT: u64 = 1;

/// What happened, in the order in which it did.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new file or directory.
    Make {
        ino: u64,
        parent: u64,
        name: OsString,
        directory: bool,
    },
    /// A name went.
    Remove {
        parent: u64,
        name: OsString,
    },
    /// A name moved, over an existing one too.
    Rename {
        from: (u64, OsString),
        to: (u64, OsString),
    },
    Write {
        ino: u64,
        at: u64,
        data: Vec<u8>,
    },
    Resize {
        ino: u64,
        size: u64,
    },
    /// All bytes of a file and its size are on the disk.
    SyncFile {
        ino: u64,
    },
    /// All names in a directory are on the disk.
    SyncDirectory {
        ino: u64,
    },
}

enum Node {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, u64>),
    /// Where somebody listens: nothing that outlives a cut, so nothing of it is recorded.
    Socket,
}

struct Inode {
    node: Node,
    mode: u16,
    mtime: SystemTime,
    ctime: SystemTime,
}

#[derive(Default)]
struct Disk {
    next: u64,
    inodes: BTreeMap<u64, Inode>,
    events: Vec<Event>,
    /// Whether files can't be synced, but for those whose names begin with `catalog`.
    failing: bool,
}

/// The recorded disk. Clones are the same one.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Disk>>);

impl Recorder {
    /// Mounts an empty one, until what this returns is dropped.
    pub fn mount(&self, mountpoint: &Path) -> BackgroundSession {
        {
            let mut disk = self.lock();
            disk.next = ROOT;
            disk.add(Node::Directory(BTreeMap::new()), 0o700);
        }
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("recorder".into()), MountOption::DefaultPermissions];
        config.n_threads = Some(2);
        spawn_mount(self.clone(), mountpoint, &config).expect("a mount")
    }

    /// Has syncs of files fail from now on, or succeed; not of the catalog.
    pub fn fail(&self, failing: bool) {
        self.lock().failing = failing;
    }

    /// How much has happened.
    pub fn now(&self) -> usize {
        self.lock().events.len()
    }

    /// All that happened.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self, parent: INodeNo, name: &OsStr, mode: u32, node: Node) -> Result<FileAttr, Errno> {
        let mut disk = self.lock();
        if disk.names(parent.0)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let (directory, recorded) = (matches!(node, Node::Directory(_)), !matches!(node, Node::Socket));
        let ino = disk.add(node, (mode & 0o7777) as u16);
        disk.names(parent.0)?.insert(name.to_owned(), ino);
        if recorded {
            disk.events.push(Event::Make { ino, parent: parent.0, name: name.to_owned(), directory });
        }
        disk.attr(ino)
    }
}

impl Disk {
    fn add(&mut self, node: Node, mode: u16) -> u64 {
        let (ino, now) = (self.next, SystemTime::now());
        self.next += 1;
        self.inodes.insert(ino, Inode { node, mode, mtime: now, ctime: now });
        ino
    }

    fn is_catalogs(&self, ino: u64) -> bool {
        let is_its = |name: &OsString| name.as_encoded_bytes().starts_with(b"catalog");
        self.inodes.values().any(|inode| match &inode.node {
            Node::Directory(names) => names.iter().any(|(name, number)| *number == ino && is_its(name)),
            _ => false,
        })
    }

    fn inode(&mut self, ino: u64) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    fn names(&mut self, ino: u64) -> Result<&mut BTreeMap<OsString, u64>, Errno> {
        match &mut self.inode(ino)?.node {
            Node::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn bytes(&mut self, ino: u64) -> Result<&mut Vec<u8>, Errno> {
        match &mut self.inode(ino)?.node {
            Node::File(bytes) => Ok(bytes),
            _ => Err(Errno::EISDIR),
        }
    }

    fn attr(&mut self, ino: u64) -> Result<FileAttr, Errno> {
        let inode = self.inode(ino)?;
        let (kind, size) = match &inode.node {
            Node::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
            Node::Directory(_) => (FileType::Directory, 0),
            Node::Socket => (FileType::Socket, 0),
        };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: inode.mtime,
            mtime: inode.mtime,
            ctime: inode.ctime,
            crtime: UNIX_EPOCH,
            kind,
            perm: inode.mode,
            nlink: 1,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn write(&mut self, ino: u64, at: u64, data: &[u8]) -> Result<(), Errno> {
        let bytes = self.bytes(ino)?;
        put(bytes, at, data);
        self.events.push(Event::Write { ino, at, data: data.to_vec() });
        self.touch(ino)
    }

    fn resize(&mut self, ino: u64, size: u64) -> Result<(), Errno> {
        self.bytes(ino)?.resize(size as usize, 0);
        self.events.push(Event::Resize { ino, size });
        self.touch(ino)
    }

    fn touch(&mut self, ino: u64) -> Result<(), Errno> {
        let inode = self.inode(ino)?;
        inode.mtime = SystemTime::now();
        inode.ctime = inode.mtime;
        Ok(())
    }
}

/// Writes `data` at `at`, with zeros before it where there is nothing.
pub fn put(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (start, end) = (at as usize, at as usize + data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(data);
}

fn empty(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn attributes(result: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Recorder {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.lock();
        let found = disk.names(parent.0).and_then(|names| names.get(name).copied().ok_or(Errno::ENOENT));
        entry(found.and_then(|ino| disk.attr(ino)), reply);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        attributes(self.lock().attr(ino.0), reply);
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.lock();
        let mut change = || {
            if let Some(size) = size {
                disk.resize(ino.0, size)?;
            }
            let inode = disk.inode(ino.0)?;
            if let Some(mode) = mode {
                inode.mode = (mode & 0o7777) as u16;
            }
            match mtime {
                None => {}
                Some(TimeOrNow::Now) => inode.mtime = SystemTime::now(),
                Some(TimeOrNow::SpecificTime(time)) => inode.mtime = time,
            }
            inode.ctime = SystemTime::now();
            disk.attr(ino.0)
        };
        attributes(change(), reply);
    }

    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let node = if mode & libc::S_IFMT == libc::S_IFSOCK { Node::Socket } else { Node::File(Vec::new()) };
        entry(self.made(parent, name, mode, node), reply);
    }

    fn mkdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        entry(self.made(parent, name, mode, Node::Directory(BTreeMap::new())), reply);
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.made(parent, name, mode, Node::File(Vec::new())) {
            Ok(attr) => reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut disk = self.lock();
        // Its bytes stay: it may be open.
        let removed = disk.names(parent.0).and_then(|names| names.remove(name).ok_or(Errno::ENOENT));
        if removed.is_ok() {
            disk.events.push(Event::Remove { parent: parent.0, name: name.to_owned() });
        }
        empty(removed.map(|_| ()), reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(req, parent, name, reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut disk = self.lock();
        let mut moved = || {
            let ino = disk.names(parent.0)?.remove(name).ok_or(Errno::ENOENT)?;
            disk.names(newparent.0)?.insert(newname.to_owned(), ino);
            let (from, to) = ((parent.0, name.to_owned()), (newparent.0, newname.to_owned()));
            disk.events.push(Event::Rename { from, to });
            Ok(())
        };
        empty(moved(), reply);
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.lock().bytes(ino.0) {
            Ok(bytes) => {
                let start = bytes.len().min(offset as usize);
                reply.data(&bytes[start..bytes.len().min(start + size as usize)]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.lock().write(ino.0, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mut disk = self.lock();
        let mut allocate = || {
            let size = disk.bytes(ino.0)?.len() as u64;
            let end = offset + length;
            if mode & libc::FALLOC_FL_KEEP_SIZE == 0 && end > size {
                disk.resize(ino.0, end)?;
            }
            if mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0 && offset < size {
                disk.write(ino.0, offset, &vec![0; (end.min(size) - offset) as usize])?;
            }
            Ok(())
        };
        empty(allocate(), reply);
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let mut disk = self.lock();
        if disk.failing && !disk.is_catalogs(ino.0) {
            return reply.error(Errno::EIO);
        }
        disk.events.push(Event::SyncFile { ino: ino.0 });
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.lock().events.push(Event::SyncDirectory { ino: ino.0 });
        reply.ok();
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut disk = self.lock();
        let listing: Vec<(u64, OsString)> = match disk.names(ino.0) {
            Ok(names) => names.iter().map(|(name, ino)| (*ino, name.clone())).collect(),
            Err(error) => return reply.error(error),
        };
        for (at, (ino, name)) in listing.into_iter().enumerate().skip(offset as usize) {
            let Ok(attr) = disk.attr(ino) else { continue };
            if reply.add(INodeNo(ino), at as u64 + 1, attr.kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
