//! Writes a snapshot, line by line.

use std::io;
use std::io::Write;

use jiff::Timestamp;
use sha2::Digest as _;
use sha2::Sha256;

use super::Error;
use super::format::End;
use super::format::Header;
use super::format::Inode;
use super::format::Kind;
use super::format::Removed;
use super::format::VERSION;
use crate::catalog::Ino;
use crate::catalog::Node;
use crate::catalog::Tree;

/// A snapshot that is being written to `W`.
pub(super) struct Writer<W: Write> {
    to: W,
    entries: u64,
    digest: Sha256,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub(super) fn new(mut to: W, header: &Header) -> io::Result<Self> {
        serde_json::to_writer(&mut to, header)?;
        to.write_all(b"\n")?;
        Ok(Writer { to, entries: 0, digest: Sha256::new() })
    }

    /// Writes a line of [`line`] or [`removed`].
    pub(super) fn push(&mut self, line: &[u8]) -> io::Result<()> {
        self.to.write_all(line)?;
        self.digest.update(line);
        self.entries += 1;
        Ok(())
    }

    /// How many lines there are but the first.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Writes the last line. Answers the digest that is in it.
    pub(super) fn end(mut self) -> io::Result<(W, String)> {
        let sha256 = hex::encode(self.digest.finalize());
        let end = End { end: true, entries: self.entries, sha256: sha256.clone() };
        serde_json::to_writer(&mut self.to, &end)?;
        self.to.write_all(b"\n")?;
        Ok((self.to, sha256))
    }
}

/// Puts the line of an inode into `line`, instead of what was there.
pub(super) fn line(node: Node, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, &Inode::from(node))?;
    line.push(b'\n');
    Ok(())
}

/// Puts the line of an inode that is gone into `line`, instead of what was there.
pub(super) fn removed(ino: Ino, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, &Removed { ino, removed: true })?;
    line.push(b'\n');
    Ok(())
}

/// The first line of a snapshot of `tree`, the tree of vault `vault`.
pub(super) fn header(vault: &str, tree: &Tree, created: Timestamp, base: Option<String>) -> Header {
    Header {
        version: VERSION,
        vault: vault.to_owned(),
        kind: if base.is_some() { Kind::Delta } else { Kind::Full },
        catalog: format!("{:016x}", tree.catalog()),
        base,
        created,
        root: tree.root(),
        next_ino: tree.next_ino(),
    }
}

/// Writes a full snapshot of `tree`, the tree of vault `vault`, to `to`, as it is before it is compressed. Answers how many
/// inodes are in it.
///
/// # Errors
/// The catalog's, and those of `to`.
pub fn export<W: Write>(vault: &str, tree: Tree, created: Timestamp, to: W) -> Result<(W, u64), Error> {
    let mut writer = Writer::new(to, &header(vault, &tree, created, None))?;
    let mut text = Vec::new();
    for node in tree {
        line(node?, &mut text)?;
        writer.push(&text)?;
    }
    let entries = writer.entries();
    Ok((writer.end()?.0, entries))
}
