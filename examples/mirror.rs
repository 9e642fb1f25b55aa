//! The yardstick of `scripts/bench`: a plain FUSE file system that shows another directory, as fast as the same crate
//! and the same two threads can.
//!
//!     mirror DIRECTORY MOUNTPOINT        until it is unmounted
//!
//! It does what a mirror must and nothing else: every request is one system call or two on the directory behind it. No
//! passthrough, no writeback cache, no catalog; the kernel may keep names, attributes, pages and listings for an hour,
//! since nobody else changes that directory. It has extended attributes, as the disk has, so that the kernel sends it the
//! same requests as glacierfs. What glacierfs takes longer than this, it takes for its catalog and its spool; what both
//! take longer than the disk, FUSE takes.
//!
//! The directory has to be on one file system: inode numbers are those of the files.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fuser::*;
use nix::sys::stat::Mode;
use nix::sys::stat::SFlag;
use nix::sys::stat::UtimensatFlags;
use nix::sys::time::TimeSpec;

/// How long the kernel may keep what it was told.
const TTL: Duration = Duration::from_secs(3600);
const GENERATION: Generation = Generation(0);

/// Where an inode was seen last: its directory's inode number and its name there.
type Place = (u64, OsString);

struct Mirror {
    /// The directory that is shown.
    root: PathBuf,
    /// Every inode that the kernel was told of. None is ever forgotten: a run takes minutes.
    places: RwLock<HashMap<u64, Place>>,
    files: RwLock<HashMap<u64, Arc<File>>>,
    /// Listings, read whole at opendir: inode number, type, name.
    listings: RwLock<HashMap<u64, Arc<Listing>>>,
    next: AtomicU64,
}

type Listing = Vec<(u64, FileType, OsString)>;

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Mirror {
    fn path(&self, ino: INodeNo) -> PathBuf {
        let places = read(&self.places);
        let mut names = Vec::new();
        let mut at = ino.0;
        while let Some((parent, name)) = places.get(&at) {
            names.push(name.as_os_str());
            at = *parent;
        }
        let mut path = self.root.clone();
        path.extend(names.into_iter().rev());
        path
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> PathBuf {
        self.path(parent).join(name)
    }

    fn attr(&self, ino: INodeNo) -> io::Result<FileAttr> {
        let meta = fs::symlink_metadata(self.path(ino))?;
        Ok(FileAttr { ino, ..attr(&meta) })
    }

    /// The attributes of what `name` in `parent` names, remembering it.
    fn found(&self, parent: INodeNo, name: &OsStr, path: &Path) -> io::Result<FileAttr> {
        let attr = attr(&fs::symlink_metadata(path)?);
        write(&self.places).insert(attr.ino.0, (parent.0, name.to_owned()));
        Ok(attr)
    }

    /// Answers with what `made` has just made at `name` in `parent`.
    fn made(&self, parent: INodeNo, name: &OsStr, reply: ReplyEntry, make: impl FnOnce(&Path) -> io::Result<()>) {
        let path = self.child(parent, name);
        match make(&path).and_then(|()| self.found(parent, name, &path)) {
            Ok(attr) => reply.entry(&TTL, &attr, GENERATION),
            Err(error) => reply.error(error.into()),
        }
    }

    fn keep<T>(&self, table: &RwLock<HashMap<u64, Arc<T>>>, what: T) -> FileHandle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        write(table).insert(handle, Arc::new(what));
        FileHandle(handle)
    }

    fn file(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        read(&self.files).get(&handle.0).cloned().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn list(&self, ino: INodeNo) -> io::Result<Listing> {
        let path = self.path(ino);
        let mut listing = vec![(ino.0, FileType::Directory, ".".into()), (ino.0, FileType::Directory, "..".into())];
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            listing.push((std::os::unix::fs::DirEntryExt::ino(&entry), kind(entry.file_type()?), entry.file_name()));
        }
        Ok(listing)
    }
}

fn kind(kind: fs::FileType) -> FileType {
    match kind {
        kind if kind.is_dir() => FileType::Directory,
        kind if kind.is_symlink() => FileType::Symlink,
        kind if kind.is_fifo() => FileType::NamedPipe,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_block_device() => FileType::BlockDevice,
        kind if kind.is_char_device() => FileType::CharDevice,
        _ => FileType::RegularFile,
    }
}

fn time(seconds: i64, nanos: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    whole + Duration::from_nanos(nanos as u64)
}

fn attr(meta: &Metadata) -> FileAttr {
    FileAttr {
        ino: INodeNo(meta.ino()),
        size: meta.size(),
        blocks: meta.blocks(),
        atime: time(meta.atime(), meta.atime_nsec()),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        crtime: UNIX_EPOCH,
        kind: kind(meta.file_type()),
        perm: (meta.mode() & 0o7777) as u16,
        nlink: meta.nlink() as u32,
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: meta.rdev() as u32,
        blksize: meta.blksize() as u32,
        flags: 0,
    }
}

fn timespec(time: Option<TimeOrNow>) -> TimeSpec {
    match time {
        None => TimeSpec::UTIME_OMIT,
        Some(TimeOrNow::Now) => TimeSpec::UTIME_NOW,
        Some(TimeOrNow::SpecificTime(time)) => {
            TimeSpec::from_duration(time.duration_since(UNIX_EPOCH).unwrap_or_default())
        }
    }
}

fn empty(result: io::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

/// Answers with what `get` puts into a buffer of `size` bytes; with its length alone when that is 0.
fn xattr(size: u32, reply: ReplyXattr, get: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) {
    let mut value = vec![0; size as usize];
    match get(&mut value) {
        Ok(length) if size == 0 => reply.size(length as u32),
        Ok(length) => reply.data(&value[..length]),
        Err(error) => reply.error(io::Error::from(error).into()),
    }
}

impl Filesystem for Mirror {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What the kernel lacks it goes without.
        let _ = config.add_capabilities(InitFlags::FUSE_DO_READDIRPLUS);
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.add_capabilities(InitFlags::FUSE_CACHE_SYMLINKS);
        // Or it would ask for `security.capability` before each write, not only a file's first. (That set-ID bits are to
        // be cleared then is left out: no benchmark has any.)
        let _ = config.add_capabilities(InitFlags::FUSE_HANDLE_KILLPRIV_V2);
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.made(parent, name, reply, |_| Ok(()));
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let result = match fh {
            Some(fh) => self.file(fh).and_then(|file| Ok(FileAttr { ino, ..attr(&file.metadata()?) })),
            None => self.attr(ino),
        };
        match result {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error.into()),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = || -> io::Result<FileAttr> {
            let path = self.path(ino);
            if let Some(size) = size {
                File::options().write(true).open(&path)?.set_len(size)?;
            }
            if uid.is_some() || gid.is_some() {
                std::os::unix::fs::lchown(&path, uid, gid)?;
            }
            if let Some(mode) = mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            if atime.is_some() || mtime.is_some() {
                let (atime, mtime) = (timespec(atime), timespec(mtime));
                let at = nix::fcntl::AT_FDCWD;
                nix::sys::stat::utimensat(at, &path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)?;
            }
            self.attr(ino)
        };
        match change() {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error.into()),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match fs::read_link(self.path(ino)) {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = SFlag::from_bits_truncate(mode & libc::S_IFMT);
        let bits = Mode::from_bits_truncate(mode);
        self.made(parent, name, reply, |path| Ok(nix::sys::stat::mknod(path, kind, bits, rdev.into())?));
    }

    fn mkdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        self.made(parent, name, reply, |path| fs::DirBuilder::new().mode(mode).create(path));
    }

    fn symlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.made(parent, name, reply, |path| std::os::unix::fs::symlink(target, path));
    }

    fn link(&self, _req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let old = self.path(ino);
        self.made(parent, name, reply, |path| fs::hard_link(old, path));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(fs::remove_file(self.child(parent, name)), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(fs::remove_dir(self.child(parent, name)), reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let to = self.child(newparent, newname);
        let renamed = fs::rename(self.child(parent, name), &to);
        empty(renamed.and_then(|()| self.found(newparent, newname, &to)).map(|_| ()), reply);
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
        let path = self.child(parent, name);
        let create = || -> io::Result<(File, FileAttr)> {
            let file = File::options().read(true).write(true).create(true).truncate(true).mode(mode).open(&path)?;
            let attr = attr(&file.metadata()?);
            Ok((file, attr))
        };
        match create() {
            Ok((file, attr)) => {
                write(&self.places).insert(attr.ino.0, (parent.0, name.to_owned()));
                let handle = self.keep(&self.files, file);
                reply.created(&TTL, &attr, GENERATION, handle, FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match File::options().read(true).write(writes).open(self.path(ino)) {
            Ok(file) => reply.opened(self.keep(&self.files, file), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut buffer = vec![0; size as usize];
        match self.file(fh).and_then(|file| file.read_at(&mut buffer, offset)) {
            Ok(got) => reply.data(&buffer[..got]),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(fh).and_then(|file| file.write_all_at(data, offset)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        write(&self.files).remove(&fh.0);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(self.file(fh).and_then(|file| file.sync_all()), reply);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.list(ino) {
            Ok(listing) => reply
                .opened(self.keep(&self.listings, listing), FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error.into()),
        }
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = read(&self.listings).get(&fh.0).cloned().unwrap_or_default();
        for (at, (ino, kind, name)) in listing.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), at as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(&self, _req: &Request, dir: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listing = read(&self.listings).get(&fh.0).cloned().unwrap_or_default();
        let path = self.path(dir);
        for (at, (_, _, name)) in listing.iter().enumerate().skip(offset as usize) {
            let found = match at {
                0 | 1 => self.attr(dir),
                _ => self.found(dir, name, &path.join(name)),
            };
            // One that was deleted meanwhile is left out.
            let Ok(attr) = found else { continue };
            if reply.add(attr.ino, at as u64 + 1, name, &TTL, &attr, GENERATION) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        write(&self.listings).remove(&fh.0);
        reply.ok();
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let path = self.path(ino);
        xattr(size, reply, |value| rustix::fs::lgetxattr(&path, name, value));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let path = self.path(ino);
        xattr(size, reply, |list| rustix::fs::llistxattr(&path, list));
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        // Two bits.
        let flags = rustix::fs::XattrFlags::from_bits_retain(flags as u32);
        empty(rustix::fs::lsetxattr(self.path(ino), name, value, flags).map_err(io::Error::from), reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(rustix::fs::lremovexattr(self.path(ino), name).map_err(io::Error::from), reply);
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match nix::sys::statvfs::statvfs(&self.root) {
            Ok(stat) => reply.statfs(
                stat.blocks(),
                stat.blocks_free(),
                stat.blocks_available(),
                stat.files(),
                stat.files_free(),
                stat.block_size() as u32,
                stat.name_max() as u32,
                stat.fragment_size() as u32,
            ),
            Err(error) => reply.error(io::Error::from(error).into()),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [root, mountpoint] = arguments.as_slice() else {
        eprintln!("usage: mirror DIRECTORY MOUNTPOINT");
        return ExitCode::from(2);
    };
    // The kernel has applied the caller's already.
    nix::sys::stat::umask(Mode::empty());
    let mirror = Mirror {
        root: root.into(),
        places: RwLock::default(),
        files: RwLock::default(),
        listings: RwLock::default(),
        next: AtomicU64::new(1),
    };
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("mirror".into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
    ];
    config.n_threads = Some(2);
    match mount(mirror, mountpoint, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mirror: {}: {error}", mountpoint.display());
            ExitCode::FAILURE
        }
    }
}
