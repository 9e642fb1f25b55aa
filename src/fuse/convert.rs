//! Between the kernel's types and ours: attributes, times, errnos.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fuser::FileAttr;
use fuser::FileType;
use fuser::INodeNo;
use fuser::TimeOrNow;
use nix::errno::Errno;

use crate::catalog;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::fs::Error;

/// What `st_blksize` says, in bytes: how much programs read and write at once.
const BLOCK_SIZE: u32 = 128 << 10;

/// What the kernel is shown instead of recorded owners and modes, and so what it judges by; as of mounts of other FUSE file
/// systems with `uid`, `gid` and `umask` (fuse(8)). What is recorded stays as it is, and changes of it are recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// The owner of everything.
    pub uid: Option<u32>,
    /// The group of everything.
    pub gid: Option<u32>,
    /// Everything but directories has all permissions but these.
    pub file_mask: Option<u32>,
    /// Directories have all permissions but these.
    pub directory_mask: Option<u32>,
}

impl Shown {
    /// Whether modes are shown that aren't recorded.
    pub(super) fn has_masks(self) -> bool {
        self.file_mask.is_some() || self.directory_mask.is_some()
    }

    /// The attributes of an inode for the kernel.
    pub(super) fn attr(self, inode: &Inode) -> FileAttr {
        let mut attr = attr(inode);
        attr.uid = self.uid.unwrap_or(attr.uid);
        attr.gid = self.gid.unwrap_or(attr.gid);
        let mask = match inode.kind() {
            // A link's own mode means nothing.
            Kind::Symlink => None,
            Kind::Directory => self.directory_mask,
            _ => self.file_mask,
        };
        if let Some(mask) = mask {
            // Nine bits.
            attr.perm = (0o777 & !mask) as u16;
        }
        attr
    }
}

/// The kernel's attributes of an inode. `st_blocks` is the full size whether the bytes are local or not: with a zero
/// GNU tar -S would archive the file as one hole.
fn attr(inode: &Inode) -> FileAttr {
    FileAttr {
        ino: INodeNo(inode.ino),
        size: inode.size,
        blocks: inode.size.div_ceil(512),
        atime: system_time(inode.atime),
        mtime: system_time(inode.mtime),
        ctime: system_time(inode.ctime),
        crtime: system_time(inode.btime),
        kind: file_type(inode.kind()),
        // Twelve bits.
        perm: (inode.mode & 0o7777) as u16,
        nlink: inode.nlink,
        uid: inode.uid,
        gid: inode.gid,
        rdev: inode.rdev,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

/// Nanoseconds since 1970 as a `SystemTime`.
fn system_time(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    // 292 years either way fit into a SystemTime.
    if nanos < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// A time that the kernel sent, in nanoseconds since 1970; beyond the years 1677 to 2262 the nearest that can be kept.
///
/// fuser 0.18 subtracts the fraction of a time before 1970 where it must be added (-1.5 s, sent as -2 s and 0.5 s,
/// arrives as -2.5 s); this puts it right.
pub(super) fn nanos(time: TimeOrNow) -> i64 {
    let time = match time {
        TimeOrNow::Now => return catalog::now(),
        TimeOrNow::SpecificTime(time) => time,
    };
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i128::from(since.as_secs()) * 1_000_000_000 + i128::from(since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            -i128::from(before.as_secs()) * 1_000_000_000 + i128::from(before.subsec_nanos())
        }
    };
    nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The errno of an error, which is logged if it isn't an everyday answer.
pub(super) fn errno(error: &Error) -> fuser::Errno {
    if error.is_trouble() {
        log::error!("{error}");
    }
    self::code(error.errno())
}

/// The same for a request about an inode that the kernel had from a name. When it is gone, another may have its name by now, as when
/// a file is replaced: with ESTALE the kernel looks the whole path up anew, once, before it fails (Linux, `do_filp_open`,
/// `retry_estale`).
pub(super) fn errno_of_inode(error: &Error) -> fuser::Errno {
    let known = errno(error);
    if error.errno() == Errno::ENOENT { self::code(Errno::ESTALE) } else { known }
}

pub(super) fn code(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: times before 1970 keep their fraction, there and back.
    #[test]
    fn times_before_1970_are_right() {
        // What fuser makes of (-2 s, 0.5 s), which is -1.5 s.
        let arrived = UNIX_EPOCH - Duration::new(2, 500_000_000);
        assert_eq!(nanos(TimeOrNow::SpecificTime(arrived)), -1_500_000_000);
        assert_eq!(nanos(TimeOrNow::SpecificTime(UNIX_EPOCH - Duration::from_secs(3))), -3_000_000_000);
        assert_eq!(system_time(-1_500_000_000), UNIX_EPOCH - Duration::from_millis(1500));
        for time in [0, 1, -1, i64::MAX, i64::MIN] {
            let back = system_time(time);
            assert_eq!(back.duration_since(UNIX_EPOCH).is_err(), time < 0);
        }
    }
}
