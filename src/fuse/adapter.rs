//! Each kernel request becomes one operation of `fs`, each outcome one reply.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::SystemTime;

use fuser::BsdFileFlags;
use fuser::CopyFileRangeFlags;
use fuser::Errno;
use fuser::FileHandle;
use fuser::FopenFlags;
use fuser::Generation;
use fuser::INodeNo;
use fuser::InitFlags;
use fuser::IoctlFlags;
use fuser::KernelConfig;
use fuser::LockOwner;
use fuser::Notifier;
use fuser::OpenAccMode;
use fuser::OpenFlags;
use fuser::PollEvents;
use fuser::PollFlags;
use fuser::PollNotifier;
use fuser::RenameFlags;
use fuser::ReplyAttr;
use fuser::ReplyCreate;
use fuser::ReplyData;
use fuser::ReplyDirectory;
use fuser::ReplyDirectoryPlus;
use fuser::ReplyEmpty;
use fuser::ReplyEntry;
use fuser::ReplyIoctl;
use fuser::ReplyLseek;
use fuser::ReplyOpen;
use fuser::ReplyPoll;
use fuser::ReplyStatfs;
use fuser::ReplyWrite;
use fuser::ReplyXattr;
use fuser::Request;
use fuser::TimeOrNow;
use fuser::WriteFlags;

use super::ahead::Readers;
use super::caller::keeps_set_group_id;
use super::caller::sees_trusted;
use super::convert::errno;
use super::convert::errno_of_inode;
use super::convert::file_type;
use super::convert::nanos;
use super::gate::Gate;
use super::leaving::Leaving;
use super::leaving::leaving;
use super::listing::Cached;
use super::park::Shared;
use super::poll::Polls;
use super::xattrs;
use crate::catalog::Changes;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::RenameMode;
use crate::fs::Caller;
use crate::fs::Error;
use crate::fs::Fs;
use crate::fs::NAME_MAX;
use crate::fs::Opened;
use crate::fs::ROOT;
use crate::fs::Result;
use crate::fs::is_acl;
use crate::upload::Patience;
use crate::util::saved::Saved;

/// How long the kernel may keep a name or attributes that nobody is changing.
const LONG: Duration = Duration::from_secs(3600);
/// Largest write request in bytes.
const MAX_WRITE: u32 = 1 << 20;
/// How many buffered requests may be under way at once: as many as there can be. Page faults and sendfile(2) of files that
/// aren't local are such requests, and wait for hours.
const MAX_BACKGROUND: u16 = u16::MAX;
/// Inode numbers are never used twice, so every one is of the same generation.
const GENERATION: Generation = Generation(0);

/// Answers the kernel.
pub(super) struct Adapter {
    pub(super) shared: Arc<Shared>,
    pub(super) polls: Polls,
    pub(super) readers: Readers,
    pub(super) cached: Cached,
    /// Has the kernel forget what it isn't told by an answer. Set when there is a session, before the first request.
    pub(super) notifier: Arc<OnceLock<Notifier>>,
    /// Held by who makes or removes a vault.
    pub(super) gate: Arc<Gate>,
    /// Told when the kernel is done with this mount.
    pub(super) ended: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Adapter {
    /// How long the kernel may keep `inode`'s attributes: not at all while its file is written, since stores through a
    /// memory mapping change them behind its back.
    fn ttl(&self, inode: &Inode) -> Duration {
        if inode.kind() == Kind::File && self.shared.fs.is_being_written(inode.ino) { Duration::ZERO } else { LONG }
    }

    /// Has the kernel ask for an inode's attributes anew, from now on: unlike forgetting pages, that waits for nothing.
    fn forget_attributes(&self, ino: INodeNo) {
        if let Some(notifier) = self.notifier.get()
            && let Err(error) = notifier.inval_inode(ino, -1, 0)
        {
            log::debug!("the kernel wasn't told of changed attributes of {ino}: {error}");
        }
    }

    /// Does what may keep the disk busy: not on a worker. It is parked if it lacks something.
    fn on_disk<T: Send + 'static>(
        &self,
        tid: u32,
        operation: impl Fn(&Fs) -> Result<T> + Send + Sync + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let shared = self.shared.clone();
        self.shared.runtime.spawn_blocking(move || match operation(&shared.fs) {
            Err(lacking) if is_lacking(&lacking) => shared.park(tid, lacking, operation, answer),
            result => answer(result),
        });
    }

    fn entry(&self, result: Result<Inode>, reply: ReplyEntry) {
        match result {
            Ok(inode) => reply.entry_with_ttls(&self.ttl(&inode), &LONG, &self.shared.shown.attr(&inode), GENERATION),
            Err(error) => reply.error(errno(&error)),
        }
    }
}

fn empty(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(&error)),
    }
}

fn empty_of_inode(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno_of_inode(&error)),
    }
}

fn caller(req: &Request) -> Caller {
    Caller { uid: req.uid(), gid: req.gid() }
}

/// A file's pages may stay cached as long as nothing changed it behind the kernel's back, which is announced; a file
/// that isn't all local is read directly. Its pages are kept too: dropping them would have the open wait, whatever signal
/// comes, for a page that somebody's page fault is waiting for.
fn open_flags(opened: &Opened, access: OpenAccMode, close: Saved) -> FopenFlags {
    // Who can't read has no use for the kernel's pages, which cost a copy, and at first a question for capabilities.
    let direct = match opened.cold || access == OpenAccMode::O_WRONLY {
        true => FopenFlags::FOPEN_DIRECT_IO,
        false => FopenFlags::empty(),
    };
    let cached = direct | FopenFlags::FOPEN_KEEP_CACHE;
    match close {
        // A close has nothing to wait for: what was written is in the spool, and is sealed after the release.
        Saved::Spool => cached | FopenFlags::FOPEN_NOFLUSH,
        Saved::Archived => cached,
    }
}

/// Whether a change of attributes takes set-ID bits away, which with FUSE_HANDLE_KILLPRIV_V2 is ours to do: one of the owner
/// does, one of the size does unless it is root's, and one of nothing at all is what the kernel sends before a write that does.
/// (Its flag for that, FATTR_KILL_SUIDGID, isn't handed on by fuser.)
fn takes_set_ids(req: &Request, changes: &Changes, size: Option<u64>) -> bool {
    let chown = changes.uid.is_some() || changes.gid.is_some();
    let nothing =
        changes.mode.is_none() && changes.atime.is_none() && changes.mtime.is_none() && !chown && size.is_none();
    chown || nothing || (size.is_some() && req.uid() != 0)
}

/// Whether a failed try is to be parked rather than answered.
fn is_lacking(error: &Error) -> bool {
    matches!(error, Error::Cold(_) | Error::Full(_))
}

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_EXPORT_SUPPORT,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            // Without it the kernel asks for `security.capability` before each write. What it wants in return: see
            // `takes_set_ids()`.
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
            // A default access control list overrides the umask, which is left to us therefore.
            InitFlags::FUSE_DONT_MASK,
        ] {
            // An older kernel lacks some of them, and goes without.
            let _ = config.add_capabilities(wanted);
        }
        // The kernel keeps to access control lists then; where access goes by other modes than the recorded, it mustn't.
        if !self.shared.shown.has_masks() {
            let _ = config.add_capabilities(InitFlags::FUSE_POSIX_ACL);
        }
        // Both are within the bounds that these calls check.
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn destroy(&mut self) {
        if let Some(ended) = self.ended.take() {
            // Nobody listens any more if the daemon is gone already.
            let _ = ended.send(());
        }
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(self.shared.fs.lookup(parent.0, name.as_bytes()), reply);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, _nlookup: u64) {
        // All lookups of an inode without a name are taken back at once. Nobody waits for an answer.
        if let Err(error) = self.shared.fs.forgotten(ino.0) {
            log::warn!("inode {ino} without a name is forgotten only at the next start: {error}");
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.shared.fs.getattr(ino.0) {
            Ok(inode) => reply.attr(&self.ttl(&inode), &self.shared.shown.attr(&inode)),
            Err(error) => reply.error(errno_of_inode(&error)),
        }
    }

    fn setattr(
        &self,
        req: &Request,
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
        let mut changes =
            Changes { mode, uid, gid, atime: atime.map(nanos), mtime: mtime.map(nanos), drop_set_ids: false };
        changes.drop_set_ids = takes_set_ids(req, &changes, size);
        let shared = self.shared.clone();
        let answer = move |result: Result<Inode>| match result {
            Ok(inode) => {
                let ttl = if shared.fs.is_being_written(inode.ino) { Duration::ZERO } else { LONG };
                reply.attr(&ttl, &shared.shown.attr(&inode));
            }
            Err(error) => reply.error(errno_of_inode(&error)),
        };
        match self.shared.fs.setattr(ino.0, changes, size) {
            Err(lacking) if is_lacking(&lacking) => {
                self.shared.park(req.pid(), lacking, move |fs| fs.setattr(ino.0, changes, size), answer);
            }
            result => answer(result),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.shared.fs.readlink(ino.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno_of_inode(&error)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let fs = &self.shared.fs;
        let made = fs.masked(parent.0, mode, umask);
        self.entry(made.and_then(|mode| fs.mknod(parent.0, name.as_bytes(), mode, rdev, caller(req))), reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let caller = caller(req);
        let mode = match self.shared.fs.masked(parent.0, mode, umask) {
            Ok(mode) => mode,
            Err(error) => return reply.error(errno(&error)),
        };
        if parent.0 != ROOT {
            return self.entry(self.shared.fs.mkdir(parent.0, name.as_bytes(), mode, caller), reply);
        }
        let (vaults, shown) = (self.shared.vaults.clone(), self.shared.shown);
        let name = name.as_bytes().to_vec();
        let work = async move { vaults.create(&name, mode, caller).await.map_err(Error::from) };
        let inside = self.gate.enter();
        self.shared.wait(req.pid(), work, move |result: Result<Inode>| {
            match result {
                Ok(inode) => reply.entry(&LONG, &shown.attr(&inode), GENERATION),
                Err(error) => reply.error(errno(&error)),
            }
            drop(inside);
        });
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.shared.fs.unlink(parent.0, name.as_bytes()), reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if parent.0 != ROOT {
            return empty(self.shared.fs.rmdir(parent.0, name.as_bytes()), reply);
        }
        let vaults = self.shared.vaults.clone();
        let name = name.as_bytes().to_vec();
        let work = async move { vaults.delete(&name).await.map_err(Error::from) };
        let inside = self.gate.enter();
        self.shared.wait(req.pid(), work, move |result| {
            empty(result, reply);
            drop(inside);
        });
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_bytes();
        self.entry(self.shared.fs.symlink(parent.0, name.as_bytes(), target, caller(req)), reply);
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mode = match flags - RenameFlags::RENAME_WHITEOUT {
            flags if flags.is_empty() => RenameMode::Replace,
            RenameFlags::RENAME_NOREPLACE => RenameMode::NoReplace,
            RenameFlags::RENAME_EXCHANGE if !flags.contains(RenameFlags::RENAME_WHITEOUT) => RenameMode::Exchange,
            _ => return reply.error(Errno::EINVAL),
        };
        let (fs, from, to) = (&self.shared.fs, (parent.0, name.as_bytes()), (newparent.0, newname.as_bytes()));
        let done = match flags.contains(RenameFlags::RENAME_WHITEOUT) {
            true => fs.rename_leaving_whiteout(from, to, mode, caller(req)),
            false => fs.rename(from, to, mode),
        };
        empty(done, reply);
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.entry(self.shared.fs.link(ino.0, newparent.0, newname.as_bytes()), reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (shown, close) = (self.shared.shown, self.shared.close);
        let answer = move |result: Result<(Inode, Opened)>| match result {
            // The kernel drops these attributes itself at the first write, and then gets some that it may not keep.
            Ok((inode, opened)) => {
                let flags = open_flags(&opened, OpenFlags(flags).acc_mode(), close);
                reply.created(&LONG, &shown.attr(&inode), GENERATION, FileHandle(opened.handle), flags)
            }
            Err(error) => reply.error(errno(&error)),
        };
        let caller = caller(req);
        let mode = match self.shared.fs.masked(parent.0, mode, umask) {
            Ok(mode) => mode,
            Err(error) => return answer(Err(error)),
        };
        match self.shared.fs.create(parent.0, name.as_bytes(), mode, caller) {
            Err(lacking) if is_lacking(&lacking) => {
                let name = name.as_bytes().to_vec();
                let again = move |fs: &Fs| fs.create(parent.0, &name, mode, caller);
                self.shared.park(req.pid(), lacking, again, answer);
            }
            result => answer(result),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match self.shared.fs.open(ino.0, writes) {
            Ok(opened) => {
                self.polls.opened(opened.handle, flags.0);
                if opened.cold {
                    self.readers.opened(opened.handle);
                }
                reply.opened(FileHandle(opened.handle), open_flags(&opened, flags.acc_mode(), self.shared.close));
            }
            Err(error) => reply.error(errno_of_inode(&error)),
        }
    }

    fn read(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let answer = |result: Result<Vec<u8>>| match result {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(errno(&error)),
        };
        if self.readers.read(fh.0, offset, u64::from(size)) {
            self.shared.read_ahead(req.pid(), fh.0, offset);
        }
        match self.shared.fs.read(fh.0, offset, size as usize) {
            Err(lacking) if is_lacking(&lacking) => {
                let again = move |fs: &Fs| fs.read(fh.0, offset, size as usize);
                self.park_open(req, (fh.0, flags), lacking, again, answer);
            }
            result => answer(result),
        }
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // At most MAX_WRITE.
        let length = data.len() as u32;
        let answer = move |result: Result<()>| match result {
            Ok(()) => reply.written(length),
            Err(error) => reply.error(errno(&error)),
        };
        // Of what the kernel caches it takes them away itself, before.
        let set_ids_too = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) || req.uid() != 0;
        match self.shared.fs.drop_rights(fh.0, set_ids_too) {
            Ok(true) => self.forget_attributes(ino),
            Ok(false) => {}
            Err(error) => return answer(Err(error)),
        }
        match self.shared.fs.write(fh.0, offset, data) {
            Err(lacking) if is_lacking(&lacking) => {
                let data = data.to_vec();
                let again = move |fs: &Fs| fs.write(fh.0, offset, &data);
                self.park_open(req, (fh.0, flags), lacking, again, answer);
            }
            result => answer(result),
        }
    }

    fn flush(&self, req: &Request, _ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        // Otherwise it is in the spool already, and is sealed after the last close.
        let waits = self.shared.close == Saved::Archived && self.shared.fs.may_write(fh.0);
        let caller = if waits { leaving(req.pid()) } else { Leaving::Killed };
        let patience = match caller {
            Leaving::No => Patience::Long,
            Leaving::Exits => Patience::Short,
            Leaving::Killed => return reply.ok(),
        };
        let archived = self.shared.clone().archive(fh.0, patience);
        self.shared.wait(req.pid(), archived, move |result| empty(result, reply));
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
        self.polls.released(fh.0);
        self.readers.closed(fh.0);
        empty(self.shared.fs.release(fh.0), reply);
    }

    fn fsync(&self, req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        // A disk's sync takes long: not on a worker.
        let (shared, tid) = (self.shared.clone(), req.pid());
        self.shared.runtime.spawn_blocking(move || match (shared.fs.fsync(fh.0), shared.fsync) {
            (Ok(()), Saved::Archived) => {
                shared.wait(tid, shared.clone().archive(fh.0, Patience::Long), move |result| empty(result, reply));
            }
            (result, _) => empty(result, reply),
        });
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let keep = if self.shared.fs.was_moved(ino.0) { FopenFlags::empty() } else { FopenFlags::FOPEN_KEEP_CACHE };
        let (handle, cached) = self.cached.open(ino.0);
        let cached = if cached { FopenFlags::FOPEN_CACHE_DIR } else { FopenFlags::empty() };
        reply.opened(handle, cached | keep);
    }

    fn releasedir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.cached.close(ino.0, fh);
        reply.ok();
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.list(ino.0, offset, |ino, next, name, kind, _| {
            reply.add(INodeNo(ino), next, file_type(kind), OsStr::from_bytes(name))
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listed = self.list(ino.0, offset, |ino, next, name, _, inode| {
            reply.add(
                INodeNo(ino),
                next,
                OsStr::from_bytes(name),
                &self.ttl(inode),
                &self.shared.shown.attr(inode),
                GENERATION,
            )
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn fsyncdir(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let fs = self.shared.fs.clone();
        self.shared.runtime.spawn_blocking(move || empty(fs.sync_names(), reply));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        const BLOCK: u64 = 4096;
        match self.shared.fs.room() {
            Ok(room) => {
                let free = room.available / BLOCK;
                let block = BLOCK as u32;
                reply.statfs(
                    room.total / BLOCK,
                    free,
                    free,
                    room.files,
                    room.files_free,
                    block,
                    NAME_MAX as u32,
                    block,
                );
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        if is_acl(name.as_bytes()) {
            let is_member = |gid| keeps_set_group_id(req, gid);
            return empty_of_inode(self.shared.fs.set_acl(ino.0, name.as_bytes(), value, &is_member), reply);
        }
        let mode = match xattrs::mode(flags) {
            Some(mode) => mode,
            // It would have to be there and not to be there.
            None => {
                let there = self.shared.fs.getxattr(ino.0, name.as_bytes());
                return empty_of_inode(there.and(Err(Error::Errno(nix::errno::Errno::EEXIST))), reply);
            }
        };
        empty_of_inode(self.shared.fs.setxattr(ino.0, name.as_bytes(), value, mode), reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        xattrs::answer(self.shared.fs.getxattr(ino.0, name.as_bytes()), size, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let listed = self.shared.fs.listxattr(ino.0).map(|list| xattrs::shown(list, || sees_trusted(req)));
        xattrs::answer(listed, size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty_of_inode(self.shared.fs.removexattr(ino.0, name.as_bytes()), reply);
    }

    fn poll(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        notifier: PollNotifier,
        events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.poll(self.polls.ready(fh.0, events, notifier));
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let operation = move |fs: &Fs| fs.fallocate(fh.0, mode, offset, length);
        self.on_disk(req.pid(), operation, |result| empty(result, reply));
    }

    fn copy_file_range(
        &self,
        req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let operation = move |fs: &Fs| fs.copy_range((fh_in.0, offset_in), (fh_out.0, offset_out), len);
        self.on_disk(req.pid(), operation, |result| match result {
            // Some MiB at a time.
            Ok(copied) => reply.written(copied as u32),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn lseek(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let hole = match whence {
            libc::SEEK_HOLE => true,
            libc::SEEK_DATA => false,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        match self.shared.fs.seek(fh.0, offset, hole) {
            Ok(found) => reply.offset(found as i64),
            Err(error) => reply.error(errno(&error)),
        }
    }
}
