//! A directory by system calls: of the disk, which is right by definition, or of a mount.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs as sys;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::op::Flags;
use super::op::Moving;
use super::op::Op;
use super::op::Path;
use super::op::SLOTS;
use super::op::Setting;
use super::op::Special;
use super::op::When;
use super::op::filling;
use super::target::Answer;
use super::target::Attr;
use super::target::Result;
use super::target::Target;

/// The directory, and what is open of it.
pub struct Disk {
    /// Where sequences find their directories.
    above: PathBuf,
    root: PathBuf,
    count: u32,
    open: [Option<(File, Flags)>; SLOTS as usize],
}

/// The errno of a failed call.
fn no(error: rustix::io::Errno) -> i32 {
    error.raw_os_error()
}

fn failed(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn done<T>(_: T) -> Answer {
    Answer::Done
}

fn time(when: When) -> sys::Timespec {
    match when {
        When::Omit => sys::Timespec { tv_sec: 0, tv_nsec: sys::UTIME_OMIT },
        When::Now => sys::Timespec { tv_sec: 0, tv_nsec: sys::UTIME_NOW },
        When::At(seconds, nanos) => sys::Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}

fn times(atime: When, mtime: When) -> sys::Timestamps {
    sys::Timestamps { last_access: time(atime), last_modification: time(mtime) }
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

fn open_flags(flags: Flags) -> OFlags {
    let mut open = match (flags.reads, flags.writes) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    open.set(OFlags::APPEND, flags.append);
    open.set(OFlags::CREATE, flags.create);
    open.set(OFlags::EXCL, flags.exclusive);
    open.set(OFlags::TRUNC, flags.truncate);
    // So that reading for a comparison changes nothing.
    open | OFlags::NOATIME | OFlags::CLOEXEC
}

impl Disk {
    /// Sequences run in directories made in `above`.
    pub fn new(above: PathBuf) -> Self {
        let mut disk = Disk { root: above.clone(), above, count: 0, open: Default::default() };
        disk.afresh();
        disk
    }

    /// The directory of the sequence that is running, relative to where sequences find theirs.
    pub fn directory(&self) -> String {
        format!("{}", self.count)
    }

    pub fn close_all(&mut self) {
        self.open = Default::default();
    }

    fn path(&self, path: &Path) -> PathBuf {
        match path.0.is_empty() {
            true => self.root.clone(),
            false => self.root.join(OsStr::from_bytes(&path.bytes())),
        }
    }

    fn file(&self, slot: u8) -> Result<&File> {
        self.open[usize::from(slot)].as_ref().map(|(file, _)| file).ok_or(libc::EBADF)
    }

    fn open(&self, path: &Path, flags: Flags, bits: u32) -> Result<File> {
        // Nothing that waits for another process, or isn't a file. (What is left of a directory that was removed and is still open
        // depends on what the kernel has kept of it.)
        let to_change = flags.create || flags.writes || flags.truncate;
        if let Ok(found) = std::fs::metadata(self.path(path))
            && !found.is_file()
            && !(found.is_dir() && to_change)
        {
            return Err(libc::EOPNOTSUPP);
        }
        let opened = sys::open(self.path(path), open_flags(flags), mode(bits)).map_err(no)?;
        Ok(File::from(opened))
    }

    fn put(&self, path: &Path, flags: Flags, at: u64, len: u32, fill: u8) -> Result<Answer> {
        let file = self.open(path, flags, 0o644)?;
        let written = file.write_at(&filling(fill, len), at).map_err(failed)?;
        Ok(Answer::Count(written as u64))
    }

    fn list(&self, path: &Path) -> Result<Answer> {
        let mut names = BTreeMap::new();
        let directory = sys::open(
            self.path(path),
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOATIME | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let listed = sys::Dir::new(directory.map_err(no)?).map_err(no)?;
        for entry in listed {
            let entry = entry.map_err(no)?;
            let kind = entry.file_type().as_raw_mode();
            let twice = names.insert(entry.file_name().to_bytes().to_vec(), kind);
            assert!(twice.is_none(), "{:?} is listed twice in {path}", entry.file_name());
        }
        Ok(Answer::Names(names))
    }

    fn segments(&self, slot: u8) -> Result<Answer> {
        let file = self.file(slot)?;
        let mut found = Vec::new();
        let mut at = 0;
        loop {
            let from = match sys::seek(file, sys::SeekFrom::Data(at)) {
                Err(rustix::io::Errno::NXIO) => return Ok(Answer::Segments(found)),
                other => other.map_err(no)?,
            };
            at = sys::seek(file, sys::SeekFrom::Hole(from)).map_err(no)?;
            found.push((from, at));
        }
    }
}

impl Target for Disk {
    fn apply(&mut self, op: &Op) -> Result<Answer> {
        match op {
            Op::Open { slot, path, flags, mode } => {
                let opened = self.open(path, *flags, *mode)?;
                self.open[usize::from(*slot)] = Some((opened, *flags));
                Ok(Answer::Done)
            }
            Op::Close { slot } => {
                self.open[usize::from(*slot)] = None;
                Ok(Answer::Done)
            }
            Op::Read { slot, at, len } => {
                let bytes = read_at(self.file(*slot)?, *at, *len as usize)?;
                Ok(Answer::Bytes(bytes))
            }
            Op::Write { slot, at, len, fill } => {
                let written = self.file(*slot)?.write_at(&filling(*fill, *len), *at).map_err(failed)?;
                Ok(Answer::Count(written as u64))
            }
            Op::Ftruncate { slot, size } => sys::ftruncate(self.file(*slot)?, *size).map_err(no).map(done),
            Op::Fsync { slot, data_only: true } => sys::fdatasync(self.file(*slot)?).map_err(no).map(done),
            Op::Fsync { slot, data_only: false } => sys::fsync(self.file(*slot)?).map_err(no).map(done),
            Op::Fallocate { slot, how, at, len } => {
                let flags = sys::FallocateFlags::from_bits_retain(how.bits() as u32);
                sys::fallocate(self.file(*slot)?, flags, *at, *len).map_err(no).map(done)
            }
            Op::Segments { slot } => self.segments(*slot),
            Op::Fchmod { slot, mode: bits } => sys::fchmod(self.file(*slot)?, mode(*bits)).map_err(no).map(done),
            Op::Futimens { slot, atime, mtime } => {
                sys::futimens(self.file(*slot)?, &times(*atime, *mtime)).map_err(no).map(done)
            }
            Op::Put { path, flags, at, len, fill } => self.put(path, *flags, *at, *len, *fill),
            Op::Mkdir { path, mode: bits } => sys::mkdir(self.path(path), mode(*bits)).map_err(no).map(done),
            Op::Rmdir { path } => sys::rmdir(self.path(path)).map_err(no).map(done),
            Op::Unlink { path } => sys::unlink(self.path(path)).map_err(no).map(done),
            Op::Link { from, to } => sys::link(self.path(from), self.path(to)).map_err(no).map(done),
            Op::Symlink { path, target } => sys::symlink(to_write(target), self.path(path)).map_err(no).map(done),
            Op::Mknod { path, what, mode: bits } => {
                let (kind, device) = match what {
                    Special::Fifo => (sys::FileType::Fifo, 0),
                    Special::Socket => (sys::FileType::Socket, 0),
                    Special::Device(minor) => (sys::FileType::CharacterDevice, sys::makedev(1, *minor)),
                };
                sys::mknodat(CWD, self.path(path), kind, mode(*bits), device).map_err(no).map(done)
            }
            Op::Rename { from, to, how } => {
                let flags = match how {
                    Moving::Replace => sys::RenameFlags::empty(),
                    Moving::NoReplace => sys::RenameFlags::NOREPLACE,
                    Moving::Exchange => sys::RenameFlags::EXCHANGE,
                };
                sys::renameat_with(CWD, self.path(from), CWD, self.path(to), flags).map_err(no).map(done)
            }
            Op::Chmod { path, mode: bits } => sys::chmod(self.path(path), mode(*bits)).map_err(no).map(done),
            Op::Chown { path, uid, gid } => {
                let (uid, gid) = (uid.map(sys::Uid::from_raw), gid.map(sys::Gid::from_raw));
                sys::chownat(CWD, self.path(path), uid, gid, sys::AtFlags::SYMLINK_NOFOLLOW).map_err(no).map(done)
            }
            Op::Utimens { path, atime, mtime } => {
                let flags = sys::AtFlags::SYMLINK_NOFOLLOW;
                sys::utimensat(CWD, self.path(path), &times(*atime, *mtime), flags).map_err(no).map(done)
            }
            Op::Truncate { path, size } => {
                // truncate(2) on a special file says EINVAL, on a directory EISDIR: by the path, as programs do.
                nix::unistd::truncate(&self.path(path), *size as i64).map_err(|error| error as i32).map(done)
            }
            Op::Setxattr { path, name, len, fill, how } => {
                let flags = match how {
                    Setting::Any => sys::XattrFlags::empty(),
                    Setting::Create => sys::XattrFlags::CREATE,
                    Setting::Replace => sys::XattrFlags::REPLACE,
                };
                let value = filling(*fill, *len);
                sys::lsetxattr(self.path(path), name, &value, flags).map_err(no).map(done)
            }
            Op::Removexattr { path, name } => sys::lremovexattr(self.path(path), name).map_err(no).map(done),
            Op::Getxattr { path, name } => {
                let mut value = [0; 4096];
                let len = sys::lgetxattr(self.path(path), name, &mut value).map_err(no)?;
                Ok(Answer::Bytes(value[..len].to_vec()))
            }
            Op::Readlink { path } => {
                let target = sys::readlink(self.path(path), Vec::new()).map_err(no)?;
                Ok(Answer::Bytes(target.into_bytes()))
            }
            Op::Readdir { path } => self.list(path),
            Op::Restart { .. } => {
                self.close_all();
                Ok(Answer::Done)
            }
            Op::Flush { .. } | Op::Evict { .. } | Op::Restore { .. } => Ok(Answer::Done),
        }
    }

    fn attr(&mut self, path: &Path) -> Result<Attr> {
        Ok(attr(&std::fs::symlink_metadata(self.path(path)).map_err(failed)?))
    }

    fn attr_of(&mut self, slot: u8) -> Option<Result<Attr>> {
        let (file, _) = self.open[usize::from(slot)].as_ref()?;
        Some(file.metadata().map(|meta| attr(&meta)).map_err(failed))
    }

    fn read(&mut self, path: &Path, at: u64, len: usize) -> Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(sys::open(self.path(path), flags, Mode::empty()).map_err(no)?);
        read_at(&file, at, len)
    }

    fn read_of(&mut self, slot: u8, at: u64, len: usize) -> Option<Result<Vec<u8>>> {
        let (file, flags) = self.open[usize::from(slot)].as_ref()?;
        flags.reads.then(|| read_at(file, at, len))
    }

    fn xattrs(&mut self, path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let path = self.path(path);
        let mut list = [0; 4096];
        let len = sys::llistxattr(&path, &mut list).map_err(no)?;
        let mut found = BTreeMap::new();
        for name in list[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            // What a machine's policies put on every file isn't the sequence's.
            if name.starts_with(b"security.") || name.starts_with(b"system.") {
                continue;
            }
            let mut value = [0; 4096];
            let len = sys::lgetxattr(&path, name, &mut value).map_err(no)?;
            found.insert(name.to_vec(), value[..len].to_vec());
        }
        Ok(found)
    }

    fn afresh(&mut self) {
        self.close_all();
        if self.count > 0 {
            std::fs::remove_dir_all(&self.root).expect("the last sequence's directory can be removed");
        }
        self.count += 1;
        self.root = self.above.join(self.directory());
        std::fs::create_dir(&self.root).expect("a directory for the next sequence");
    }
}

/// The target of a link.
pub fn to_write(target: &Path) -> Vec<u8> {
    if target.0.is_empty() { b".".to_vec() } else { target.bytes() }
}

fn read_at(file: &File, at: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut got = 0;
    loop {
        // Also when nothing is wanted, which may be refused.
        let more = file.read_at(&mut bytes[got..], at + got as u64).map_err(failed)?;
        got += more;
        if more == 0 || got == len {
            bytes.truncate(got);
            return Ok(bytes);
        }
    }
}

fn attr(meta: &std::fs::Metadata) -> Attr {
    let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    Attr {
        ino: meta.ino(),
        mode: meta.mode(),
        nlink: meta.nlink() as u32,
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: meta.rdev(),
        size: meta.size(),
        atime: nanos(meta.atime(), meta.atime_nsec()),
        mtime: nanos(meta.mtime(), meta.mtime_nsec()),
        ctime: nanos(meta.ctime(), meta.ctime_nsec()),
    }
}
