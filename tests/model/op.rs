//! What can be done in a step. Operations name files by paths from a small set and open files by a slot's number, so that each
//! still means something when others of its sequence are left out.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// How many files a sequence has open at most.
pub const SLOTS: u8 = 6;
/// How many names there are.
pub const NAMES: u8 = 8;
/// No file grows beyond this many bytes.
pub const FARTHEST: u64 = 8 << 20;

/// A path: numbers of names, from the directory that a sequence runs in down. Empty: that directory itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(pub Vec<u8>);

/// The name that a number stands for.
pub fn name(number: u8) -> Vec<u8> {
    match number {
        // As long as a name can be, and one that is no text.
        6 => vec![b'n'; 255],
        7 => b"\xff \xfe\n".to_vec(),
        number => vec![b'a' + number],
    }
}

impl Path {
    pub fn parent(&self) -> Option<Path> {
        let (_, above) = self.0.split_last()?;
        Some(Path(above.to_vec()))
    }

    pub fn below(&self, number: u8) -> Path {
        Path([&self.0[..], &[number]].concat())
    }

    /// The bytes that a system call is given, from the directory of the sequence on.
    pub fn bytes(&self) -> Vec<u8> {
        let names: Vec<Vec<u8>> = self.0.iter().map(|number| name(*number)).collect();
        names.join(&b'/')
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, ".");
        }
        let names: Vec<String> = self.0.iter().map(|number| ((b'a' + number) as char).to_string()).collect();
        write!(f, "{}", names.join("/"))
    }
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// UTIME_OMIT.
    Omit,
    /// UTIME_NOW.
    Now,
    /// Seconds and nanoseconds since 1970.
    At(i64, u32),
}

/// What a special file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Special {
    Fifo,
    Socket,
    /// A character device with this number.
    Device(u32),
}

/// How a name is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moving {
    Replace,
    NoReplace,
    Exchange,
}

/// How space is allocated, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allocation {
    Allocate { keep_size: bool },
    PunchHole,
    ZeroRange { keep_size: bool },
}

impl Allocation {
    /// The flags of fallocate(2).
    pub fn bits(self) -> i32 {
        match self {
            Allocation::Allocate { keep_size: false } => 0,
            Allocation::Allocate { keep_size: true } => libc::FALLOC_FL_KEEP_SIZE,
            Allocation::PunchHole => libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            Allocation::ZeroRange { keep_size: false } => libc::FALLOC_FL_ZERO_RANGE,
            Allocation::ZeroRange { keep_size: true } => libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE,
        }
    }
}

/// How an attribute is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    Any,
    Create,
    Replace,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    pub reads: bool,
    pub writes: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub append: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub create: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncate: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Open {
        slot: u8,
        path: Path,
        flags: Flags,
        mode: u32,
    },
    Close {
        slot: u8,
    },
    Read {
        slot: u8,
        at: u64,
        len: u32,
    },
    Write {
        slot: u8,
        at: u64,
        len: u32,
        fill: u8,
    },
    Ftruncate {
        slot: u8,
        size: u64,
    },
    Fsync {
        slot: u8,
        data_only: bool,
    },
    Fallocate {
        slot: u8,
        how: Allocation,
        at: u64,
        len: u64,
    },
    Segments {
        slot: u8,
    },
    Fchmod {
        slot: u8,
        mode: u32,
    },
    Futimens {
        slot: u8,
        atime: When,
        mtime: When,
    },
    /// Open, create or truncate as the flags say, write, close.
    Put {
        path: Path,
        flags: Flags,
        at: u64,
        len: u32,
        fill: u8,
    },
    Mkdir {
        path: Path,
        mode: u32,
    },
    Rmdir {
        path: Path,
    },
    Unlink {
        path: Path,
    },
    Link {
        from: Path,
        to: Path,
    },
    Symlink {
        path: Path,
        target: Path,
    },
    Mknod {
        path: Path,
        what: Special,
        mode: u32,
    },
    Rename {
        from: Path,
        to: Path,
        how: Moving,
    },
    Chmod {
        path: Path,
        mode: u32,
    },
    Chown {
        path: Path,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Utimens {
        path: Path,
        atime: When,
        mtime: When,
    },
    Truncate {
        path: Path,
        size: u64,
    },
    Setxattr {
        path: Path,
        name: String,
        len: u32,
        fill: u8,
        how: Setting,
    },
    Removexattr {
        path: Path,
        name: String,
    },
    Getxattr {
        path: Path,
        name: String,
    },
    Readlink {
        path: Path,
    },
    Readdir {
        path: Path,
    },
    /// Archive what is below a path: wait until it is done, or go on meanwhile.
    Flush {
        path: Path,
        wait: bool,
    },
    /// Give up the local bytes of what is below a path, as far as it is archived.
    Evict {
        path: Path,
    },
    /// Begin to bring back what is below a path.
    Restore {
        path: Path,
    },
    /// End the file system and start it again: by asking, or by SIGKILL. Whatever is open is closed.
    Restart {
        kill: bool,
    },
}

impl Op {
    /// The paths that it names, and with that touches.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Op::Open { path, .. }
            | Op::Put { path, .. }
            | Op::Mkdir { path, .. }
            | Op::Rmdir { path }
            | Op::Unlink { path }
            | Op::Symlink { path, .. }
            | Op::Mknod { path, .. }
            | Op::Chmod { path, .. }
            | Op::Chown { path, .. }
            | Op::Utimens { path, .. }
            | Op::Truncate { path, .. }
            | Op::Setxattr { path, .. }
            | Op::Removexattr { path, .. }
            | Op::Getxattr { path, .. }
            | Op::Readlink { path }
            | Op::Readdir { path }
            | Op::Flush { path, .. }
            | Op::Restore { path }
            | Op::Evict { path } => vec![path],
            Op::Link { from, to } | Op::Rename { from, to, .. } => vec![from, to],
            Op::Close { .. }
            | Op::Read { .. }
            | Op::Write { .. }
            | Op::Ftruncate { .. }
            | Op::Fsync { .. }
            | Op::Fallocate { .. }
            | Op::Segments { .. }
            | Op::Fchmod { .. }
            | Op::Futimens { .. }
            | Op::Restart { .. } => Vec::new(),
        }
    }

    /// The open file that it is about.
    pub fn slot(&self) -> Option<u8> {
        match self {
            Op::Open { slot, .. }
            | Op::Close { slot }
            | Op::Read { slot, .. }
            | Op::Write { slot, .. }
            | Op::Ftruncate { slot, .. }
            | Op::Fsync { slot, .. }
            | Op::Fallocate { slot, .. }
            | Op::Segments { slot }
            | Op::Fchmod { slot, .. }
            | Op::Futimens { slot, .. } => Some(*slot),
            _ => None,
        }
    }

    /// Where in a file something may have changed.
    pub fn at(&self) -> u64 {
        match self {
            Op::Write { at, .. } | Op::Put { at, .. } | Op::Fallocate { at, .. } | Op::Read { at, .. } => *at,
            Op::Ftruncate { size, .. } | Op::Truncate { size, .. } => *size,
            _ => 0,
        }
    }
}

/// The bytes of a write or of an attribute.
pub fn filling(fill: u8, len: u32) -> Vec<u8> {
    (0..len).map(|n| fill.wrapping_add((n % 251) as u8)).collect()
}

/// An operation, and whether content is compared after it: reading it changes what is cached and local.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub op: Op,
    pub look: bool,
}

/// A sequence as text, one step a line, that [`parse`] reads.
pub fn list(steps: &[Step]) -> String {
    let line = |step: &Step| serde_json::to_string(step).expect("a step is JSON") + "\n";
    steps.iter().map(line).collect()
}

pub fn parse(text: &str) -> Vec<Step> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
