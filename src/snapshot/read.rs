//! Reads a snapshot, line by line, and believes nothing: what isn't as it must be is an error, never a panic and never a
//! part that is taken for the whole.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read as _;

use sha2::Digest as _;
use sha2::Sha256;

use super::format::Any;
use super::format::End;
use super::format::Header;
use super::format::Inode;
use super::format::VERSION;
use crate::catalog::Ino;
use crate::catalog::Node;

/// Longest line in bytes: an inode with all the attributes that anybody has sensibly. Who sends longer ones means harm.
const LINE: u64 = 256 << 20;
/// Highest number of an inode: far above what is ever given out, and below glacierfs's own.
const INO: Ino = 1 << 51;

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// It can't be read, or not be decompressed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was written by a later version.
    #[error("it has version {0} of the format, and this glacierfs knows up to version {VERSION}")]
    Newer(u32),
    /// It isn't a snapshot, or not a whole one.
    #[error("line {line}: {what}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// What it says can't be.
    #[error("{0}")]
    Tree(String),
}

/// A line of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An inode.
    Node(Box<Node>),
    /// An inode that is gone since the full snapshot.
    Removed(Ino),
}

impl Line {
    /// The inode's number.
    pub fn ino(&self) -> Ino {
        match self {
            Line::Node(node) => node.ino,
            Line::Removed(ino) => *ino,
        }
    }
}

/// A snapshot that is being read from `R`, decompressed.
pub struct Reader<R> {
    from: R,
    header: Header,
    /// The line that was read last, with its line feed.
    line: Vec<u8>,
    /// How many were read.
    lines: u64,
    last: Ino,
    digest: Sha256,
    /// The digest that the last line has, once it was read.
    ended: Option<String>,
}

/// A snapshot in a file, compressed.
pub(super) type FileReader = Reader<BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>>;

impl FileReader {
    /// Reads the first line of the snapshot in `file`.
    pub(super) fn open(file: File) -> Result<Self, Damaged> {
        Reader::new(BufReader::with_capacity(1 << 16, zstd::stream::read::Decoder::new(file)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn new(mut from: R) -> Result<Self, Damaged> {
        let mut line = Vec::new();
        read_line(&mut from, &mut line, 1)?;
        #[derive(serde::Deserialize)]
        struct Version {
            glacierfs_snapshot: u32,
        }
        let wrong = |error: serde_json::Error| Damaged::Line { line: 1, what: error.to_string() };
        let Version { glacierfs_snapshot: version } = serde_json::from_slice(&line).map_err(wrong)?;
        if version > VERSION {
            return Err(Damaged::Newer(version));
        }
        let header: Header = serde_json::from_slice(&line).map_err(wrong)?;
        if header.next_ino > INO {
            return Err(Damaged::Line { line: 1, what: format!("inode numbers up to {}", header.next_ino) });
        }
        Ok(Reader { from, header, line, lines: 1, last: 0, digest: Sha256::new(), ended: None })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The digest in the last line, once it was read.
    pub fn digest(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The number of the next inode, whose line is [`Reader::raw`] then; none at the end, which was found to be as it must be.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(super) fn advance(&mut self) -> Result<Option<(Ino, bool)>, Damaged> {
        loop {
            if self.ended.is_some() {
                return Ok(None);
            }
            self.lines += 1;
            read_line(&mut self.from, &mut self.line, self.lines)?;
            let any: Any = serde_json::from_slice(&self.line).map_err(|error| self.wrong(error))?;
            if any.end {
                let end: End = serde_json::from_slice(&self.line).map_err(|error| self.wrong(error))?;
                if end.entries != self.lines - 2 {
                    return Err(self.wrong(format!("{} lines are told, {} are there", end.entries, self.lines - 2)));
                }
                if end.sha256 != hex::encode(self.digest.finalize_reset()) {
                    return Err(self.wrong("the digest isn't that of the lines before"));
                }
                if self.from.read(&mut [0])? > 0 {
                    return Err(self.wrong("something follows the last line"));
                }
                self.ended = Some(end.sha256);
                return Ok(None);
            }
            self.digest.update(&self.line);
            let Some(ino) = any.ino else { continue };
            if ino <= self.last || ino > INO {
                return Err(self.wrong(format!("inode {ino} after inode {}", self.last)));
            }
            self.last = ino;
            return Ok(Some((ino, any.removed)));
        }
    }

    /// The line that was read last, with its line feed.
    pub(super) fn raw(&self) -> &[u8] {
        &self.line
    }

    /// What the line says that was read last, and that tells of an inode.
    pub(super) fn node(&self) -> Result<Node, Damaged> {
        let line: Inode = serde_json::from_slice(&self.line).map_err(|error| self.wrong(error))?;
        Node::try_from(line).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, what: impl ToString) -> Damaged {
        Damaged::Line { line: self.lines, what: what.to_string() }
    }

    fn read(&mut self) -> Result<Option<Line>, Damaged> {
        Ok(match self.advance()? {
            None => None,
            Some((ino, true)) => Some(Line::Removed(ino)),
            Some((_, false)) => Some(Line::Node(Box::new(self.node()?))),
        })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line, Damaged>;

    fn next(&mut self) -> Option<Result<Line, Damaged>> {
        self.read().transpose()
    }
}

fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<(), Damaged> {
    line.clear();
    from.take(LINE).read_until(b'\n', line)?;
    if line.last() != Some(&b'\n') {
        let what = if line.len() as u64 == LINE { "it is too long" } else { "the snapshot ends in the middle" };
        return Err(Damaged::Line { line: number, what: what.to_owned() });
    }
    Ok(())
}
