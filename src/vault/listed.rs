//! The archives of an inventory while it is held against the catalog: in a file, because a vault may have millions, and
//! in memory only what their order and a comparison need, 32 bytes each.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;

use crate::service::ArchiveRecord;
use crate::service::TreeHash;

/// How many bytes are written at a time.
const BUFFER: usize = 1 << 20;

/// The archives that an inventory names.
pub(super) struct Listed {
    file: File,
    /// How many bytes the file has.
    written: u64,
    /// What isn't in the file yet.
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where an archive is in the file, and what it is sorted and found by.
struct Entry {
    /// In nanoseconds since 1970.
    created: i64,
    id: u64,
    offset: u64,
    length: u32,
}

/// As an archive is in the file, in JSON: ID, description, time, size, tree hash.
type Row = (String, String, Timestamp, u64, [u8; 32]);

impl Listed {
    /// An empty list, in a file at `path` that goes with the list.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
        fs::remove_file(path)?;
        Ok(Listed { file, written: 0, buffer: Vec::new(), entries: Vec::new() })
    }

    /// Adds archives. Blocks.
    pub fn push(&mut self, archives: Vec<ArchiveRecord>) -> io::Result<()> {
        for archive in archives {
            let start = self.buffer.len();
            let (created, id) = (super::inventory::nanos(archive.created.as_nanosecond()), short(&archive.archive_id));
            let ArchiveRecord { archive_id, description, created: time, size, tree_hash } = archive;
            let row: Row = (archive_id, description, time, size, tree_hash.0);
            serde_json::to_writer(&mut self.buffer, &row)?;
            let length = u32::try_from(self.buffer.len() - start).map_err(io::Error::other)?;
            self.entries.push(Entry { created, id, offset: self.written + start as u64, length });
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the list: the newest archive is the first now. Blocks.
    pub fn sort(&mut self) -> io::Result<()> {
        self.flush()?;
        self.buffer = Vec::new();
        self.entries.sort_unstable_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        Ok(())
    }

    /// How many archives there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The IDs of all archives, in short and sorted.
    pub fn short_ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.entries.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Up to `most` archives from place `first` on, of a sorted list. Blocks.
    pub fn batch(&self, first: usize, most: usize) -> io::Result<Vec<ArchiveRecord>> {
        let mut json = Vec::new();
        let read = |entry: &Entry| {
            json.resize(entry.length as usize, 0);
            self.file.read_exact_at(&mut json, entry.offset)?;
            let (archive_id, description, created, size, tree_hash): Row = serde_json::from_slice(&json)?;
            Ok(ArchiveRecord { archive_id, description, created, size, tree_hash: TreeHash(tree_hash) })
        };
        self.entries.iter().skip(first).take(most).map(read).collect()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// An archive's ID in 64 bits: enough to count by, as two of a million IDs are the same with a chance of one in
/// 30 million.
pub(super) fn short(archive_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    archive_id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: archives come back as they were, the newest first, batch by batch; nothing stays in the directory.
    #[test]
    fn there_and_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut listed = Listed::create(&dir.path().join("list")).expect("a list");
        assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 0);
        let archive = |i: i64| ArchiveRecord {
            archive_id: format!("archive-{i}"),
            description: "\"a\" ".repeat(i as usize % 300),
            created: Timestamp::from_second(1_700_000_000 + i * 7919 % 5000).expect("a time"),
            size: i as u64,
            tree_hash: TreeHash([i as u8; 32]),
        };
        let all: Vec<ArchiveRecord> = (0..5000).map(archive).collect();
        for batch in all.chunks(700) {
            listed.push(batch.to_vec()).expect("room");
        }
        listed.sort().expect("room");
        let mut expected = all;
        expected.sort_by_key(|one| std::cmp::Reverse(one.created));
        let found: Vec<_> =
            (0..listed.len()).step_by(300).flat_map(|at| listed.batch(at, 300).expect("a batch")).collect();
        assert_eq!(found, expected);
        let ids = listed.short_ids();
        assert!(ids.is_sorted() && expected.iter().all(|one| ids.binary_search(&short(&one.archive_id)).is_ok()));
        assert!(ids.binary_search(&short("other")).is_err());
    }
}
