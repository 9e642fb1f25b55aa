//! The catalog's nouns: inode, content, archive, and the bitmap of what is local.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rusqlite::Row;

use crate::util::size::MIB;

/// The directory in each vault that is glacierfs's own. It isn't listed, and only glacierfs itself changes what is in it.
pub const OWN_DIRECTORY: &[u8] = b".glacierfs";
/// A bit beside those of `st_mode` in an inode's mode: it is glacierfs's own.
pub(super) const OWN: u32 = 1 << 16;
/// The same of a snapshot: this catalog has what is in it, since it wrote it or took it over.
pub(super) const KNOWN: u32 = 1 << 17;

/// An inode number; the root of the mount is [`super::ROOT`].
pub type Ino = u64;
/// A vault's row.
pub type VaultId = i64;
/// A content's ID: random, positive, and named in its archive's description.
pub type ContentId = i64;
/// The name of a file in the store.
pub type FileId = i64;

/// The current time in nanoseconds since 1970, as inodes have it.
pub fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory; directly below the root, a vault.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Kind {
    /// The type bits of `st_mode`.
    pub fn bits(self) -> u32 {
        match self {
            Kind::Directory => libc::S_IFDIR,
            Kind::File => libc::S_IFREG,
            Kind::Symlink => libc::S_IFLNK,
            Kind::Fifo => libc::S_IFIFO,
            Kind::Socket => libc::S_IFSOCK,
            Kind::CharDevice => libc::S_IFCHR,
            Kind::BlockDevice => libc::S_IFBLK,
        }
    }

    /// The kind that `st_mode`'s type bits say; a mode without any is a regular file, as for mknod(2).
    pub fn of(mode: u32) -> Option<Self> {
        Some(match mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFREG | 0 => Kind::File,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR => Kind::CharDevice,
            libc::S_IFBLK => Kind::BlockDevice,
            _ => return None,
        })
    }
}

/// What is known of a file, directory, link or device. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub ino: Ino,
    /// The vault that it is in; none for the mount's root.
    pub vault: Option<VaultId>,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u32,
    /// Names that it has; for a directory 2 and one for each subdirectory.
    pub nlink: u32,
    /// Bytes. For a file whose content is dirty the spool file knows better.
    pub size: u64,
    /// Last access.
    pub atime: i64,
    /// Last change of the bytes.
    pub mtime: i64,
    /// Last change of anything.
    pub ctime: i64,
    /// Creation.
    pub btime: i64,
    /// Its bytes; none for an empty file and for everything that isn't a file.
    pub content: Option<ContentId>,
    /// Where a symbolic link points.
    pub target: Option<Vec<u8>>,
}

/// The columns that [`Inode::from_row`] reads, from the table `inode` under the name `i`.
pub(super) const INODE: &str = "i.ino, i.vault, i.mode, i.uid, i.gid, i.rdev, i.nlink, i.size, i.atime, i.mtime, i.ctime, \
                                i.btime, i.content, i.target";

impl Inode {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        // Every mode in the table came from `Kind::bits`, or was checked by `Kind::of`.
        Kind::of(self.mode).unwrap_or(Kind::File)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == Kind::Directory
    }

    /// Whether it is in the directory that is glacierfs's own, or that directory itself.
    pub fn is_own(&self) -> bool {
        self.mode & OWN != 0
    }

    /// Reads the columns of [`INODE`], the first of which is column number `at`.
    pub(super) fn from_row(row: &Row, at: usize) -> rusqlite::Result<Self> {
        Ok(Inode {
            ino: row.get::<_, i64>(at)? as u64,
            vault: row.get(at + 1)?,
            mode: row.get(at + 2)?,
            uid: row.get(at + 3)?,
            gid: row.get(at + 4)?,
            rdev: row.get(at + 5)?,
            nlink: row.get(at + 6)?,
            size: row.get::<_, i64>(at + 7)? as u64,
            atime: row.get(at + 8)?,
            mtime: row.get(at + 9)?,
            ctime: row.get(at + 10)?,
            btime: row.get(at + 11)?,
            content: row.get(at + 12)?,
            target: row.get(at + 13)?,
        })
    }
}

/// Attributes to change; what is `None` stays. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Permission bits (the type stays).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<i64>,
    /// Last change of the bytes.
    pub mtime: Option<i64>,
    /// Take away what a write by somebody else, or a change of owner, takes away: set-user-ID, and set-group-ID of what its
    /// group may execute (write(2), chown(2)). Directories keep theirs.
    pub drop_set_ids: bool,
}

/// How far a content is on its way from written to archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Being written; its file in the store is the only truth about size and mtime.
    Dirty,
    /// Closed, and waiting for its upload or under way.
    Sealed,
    /// In the vault, verified.
    Archived,
}

impl State {
    pub(super) fn of(number: i64) -> Self {
        match number {
            0 => State::Dirty,
            1 => State::Sealed,
            _ => State::Archived,
        }
    }
}

/// One version of a file's bytes.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its ID.
    pub id: ContentId,
    /// The vault that it belongs to.
    pub vault: VaultId,
    /// The inode that has it.
    pub ino: Ino,
    /// How far it is.
    pub state: State,
    /// Counts the writes that reopened it after a seal.
    pub generation: i64,
    /// Bytes, once sealed.
    pub size: u64,
    /// Its file in the store; none when nothing of it is local.
    pub file: Option<FileId>,
    /// Which MiB of it are in the file; none when all of it is.
    pub present: Option<Present>,
    /// Where it is in the vault, once archived.
    pub archive: Option<Archive>,
    /// When its upload may start, once sealed; when it was archived, while its file isn't known to be on the disk.
    pub due: Option<i64>,
    /// Failed uploads so far.
    pub tries: u32,
    /// What the last failed upload said.
    pub error: Option<String>,
    /// About when what is cached of it was last used; 0 while nothing was.
    pub used: i64,
}

/// An archive's row number.
pub type ArchiveRow = i64;

/// An archive as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its row.
    pub row: ArchiveRow,
    /// The vault that it is in.
    pub vault: VaultId,
    /// The service's name for it.
    pub archive_id: String,
    /// Bytes.
    pub size: u64,
    /// Of all of it.
    pub tree_hash: [u8; 32],
    /// When the vault got it.
    pub created: i64,
}

/// The columns that [`Content::from_row`] reads, from `content c LEFT JOIN archive a ON a.id = c.archive`.
pub(super) const CONTENT: &str = "c.id, c.vault, c.ino, c.state, c.generation, c.size, c.file, c.present, c.due, c.tries, \
                                  c.error, a.id, a.vault, a.archive_id, a.size, a.tree_hash, a.created, c.used";

/// How [`Content::error`] begins when the disk told that it has lost some of the content's bytes.
pub const DAMAGED: &str = "the disk failed to store it";

impl Content {
    /// Whether the disk told that it has lost some of its bytes. It isn't archived then.
    pub fn is_damaged(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.starts_with(DAMAGED))
    }

    /// Whether every byte is local.
    pub fn is_local(&self) -> bool {
        self.file.is_some() && self.present.is_none()
    }

    /// How many bytes of it are local, once it is sealed.
    pub fn local_bytes(&self) -> u64 {
        match (self.file, &self.present) {
            (None, _) => 0,
            (Some(_), None) => self.size,
            (Some(_), Some(present)) => present.bytes(self.size),
        }
    }

    /// Whether the bytes `first..=last` are local.
    pub fn has(&self, first: u64, last: u64) -> bool {
        self.file.is_some() && self.present.as_ref().is_none_or(|present| present.covers(first, last))
    }

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        let archive = match row.get::<_, Option<i64>>(11)? {
            None => None,
            Some(id) => Some(Archive::from_row(row, 11, id)?),
        };
        Ok(Content {
            id: row.get(0)?,
            vault: row.get(1)?,
            ino: row.get::<_, i64>(2)? as u64,
            state: State::of(row.get(3)?),
            generation: row.get(4)?,
            size: row.get::<_, i64>(5)? as u64,
            file: row.get(6)?,
            present: row.get::<_, Option<Vec<u8>>>(7)?.map(Present),
            due: row.get(8)?,
            tries: row.get(9)?,
            error: row.get(10)?,
            archive,
            used: row.get(17)?,
        })
    }
}

impl Archive {
    /// Reads `id, vault, archive_id, size, tree_hash, created`, the first of which is column number `at`.
    pub(super) fn from_row(row: &Row, at: usize, id: ArchiveRow) -> rusqlite::Result<Self> {
        Ok(Archive {
            row: id,
            vault: row.get(at + 1)?,
            archive_id: row.get(at + 2)?,
            size: row.get::<_, i64>(at + 3)? as u64,
            tree_hash: row.get(at + 4)?,
            created: row.get(at + 5)?,
        })
    }
}

/// Which MiB of a content are local: bit `n % 8` of byte `n / 8` stands for bytes `n * 1 MiB ..` up to the next MiB
/// or the content's end. What a retrieval brings is always whole MiB, or reaches to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present(pub(super) Vec<u8>);

impl Present {
    /// Whether all of the bytes `first..=last` are there.
    pub fn covers(&self, first: u64, last: u64) -> bool {
        (first / MIB..=last / MIB).all(|mib| self.bit(mib))
    }

    /// Marks the MiB that hold the bytes `first..=last`.
    pub fn add(&mut self, first: u64, last: u64) {
        for mib in first / MIB..=last / MIB {
            let byte = (mib / 8) as usize;
            if self.0.len() <= byte {
                self.0.resize(byte + 1, 0);
            }
            self.0[byte] |= 1 << (mib % 8);
        }
    }

    /// Whether every MiB of a content of `size` bytes is there.
    pub fn is_all(&self, size: u64) -> bool {
        size == 0 || self.covers(0, size - 1)
    }

    /// How many of a content's `size` bytes are there.
    pub fn bytes(&self, size: u64) -> u64 {
        (0..size.div_ceil(MIB)).filter(|&mib| self.bit(mib)).map(|mib| (size - mib * MIB).min(MIB)).sum()
    }

    fn bit(&self, mib: u64) -> bool {
        self.0.get((mib / 8) as usize).is_some_and(|byte| byte & (1 << (mib % 8)) != 0)
    }
}
