//! What operations are applied to.

use std::collections::BTreeMap;

use super::op::Op;
use super::op::Path;

/// A system call's answer: an errno when it failed.
pub type Result<T> = std::result::Result<T, i32>;

/// What a step answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing but that it was done.
    Done,
    /// How many bytes.
    Count(u64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A directory's names, in their order, each with its type.
    Names(BTreeMap<Vec<u8>, u32>),
    /// Where a file has data, from and to: not compared, but what isn't zero must be within.
    Segments(Vec<(u64, u64)>),
}

/// What stat(2) says. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    pub ino: u64,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub size: u64,
    pub atime: i64,
    pub mtime: i64,
    pub ctime: i64,
}

impl Attr {
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
}

/// A directory of some file system.
pub trait Target {
    /// Does one step.
    fn apply(&mut self, op: &Op) -> Result<Answer>;

    /// What lstat(2) says of a path.
    fn attr(&mut self, path: &Path) -> Result<Attr>;

    /// What fstat(2) says of an open file; none when the slot has none.
    fn attr_of(&mut self, slot: u8) -> Option<Result<Attr>>;

    /// Bytes of a file.
    fn read(&mut self, path: &Path, at: u64, len: usize) -> Result<Vec<u8>>;

    /// Bytes of an open file; none when the slot has none, or can't read.
    fn read_of(&mut self, slot: u8, at: u64, len: usize) -> Option<Result<Vec<u8>>>;

    /// The extended attributes of a path (of a link itself), by their names.
    fn xattrs(&mut self, path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>>;

    /// Closes everything and goes on in a new, empty directory.
    fn afresh(&mut self);

    /// How often archived bytes were given up, and brought back, so far; zero where there is no archive.
    fn evictions(&self) -> u64 {
        0
    }

    /// What ends a step that doesn't end by itself, from another thread.
    fn breaker(&self) -> Box<dyn Fn() + Send> {
        Box::new(|| std::process::abort())
    }

    /// What may help to understand a failure, as a log.
    fn remarks(&self) -> String {
        String::new()
    }
}
