//! A new object on its way to storage: bytes go in, both hashes and a row come out.
//!
//! The same way is taken by archives, parts and inventory documents. Up to [`INLINE`] bytes stay in memory and end in the
//! object's row; beyond that they go to a file, so that however large an object is, it costs a buffer. Blocks of zeros are
//! left out of the file: the images of disks that people archive are full of them.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crate::glacier::treehash::{PayloadHash, PayloadHasher};
use crate::server::db::{Tx, objects};
use crate::server::files::{Files, INLINE, NewFile};

/// How many bytes of a file are written before they are put on stable storage, so that the end of a large object doesn't
/// have to wait for all of it at once, nor all of it lie in memory.
const SETTLE: u64 = 32 << 20;

/// How much of a file is written, or left out, at a time, in bytes: a multiple of any file system's block.
const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Takes the bytes of a new object.
pub(super) struct ObjectWriter {
    files: Files,
    hasher: PayloadHasher,
    /// What isn't in the file yet; everything, while there is none.
    buffer: Vec<u8>,
    file: Option<Sparse>,
}

/// The file of a new object, as far as it came.
struct Sparse {
    file: NewFile,
    /// How many bytes it stands for.
    length: u64,
    /// How many bytes were written to it and not put on stable storage yet.
    unsettled: u64,
}

impl ObjectWriter {
    pub fn new(files: &Files) -> Self {
        ObjectWriter { files: files.clone(), hasher: PayloadHasher::new(), buffer: Vec::new(), file: None }
    }

    /// Whether `more` bytes can be taken without touching the disk, so on an async thread too.
    pub fn fits_in_memory(&self, more: u64) -> bool {
        self.file.is_none() && self.buffer.len() as u64 + more <= INLINE
    }

    /// Ends the object. Nothing is on stable storage yet.
    pub fn finish(mut self) -> io::Result<NewObject> {
        let (number, bytes) = match self.file.take() {
            Some(mut sparse) => {
                sparse.append(&self.buffer)?;
                let Sparse { file, length, .. } = sparse;
                file.file.set_len(length)?;
                (file.object, Bytes::File(file))
            }
            None => (self.files.allocate(), Bytes::Inline(self.buffer)),
        };
        Ok(NewObject { number, hash: self.hasher.finish(), bytes })
    }
}

impl Sparse {
    /// Adds `data` to the end of the file, but for its zeros: what was never written reads as those.
    fn append(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let room = BLOCK - (self.length % BLOCK as u64) as usize;
            let (block, rest) = data.split_at(room.min(data.len()));
            if block != &ZEROS[..block.len()] {
                self.file.file.write_all_at(block, self.length)?;
                self.unsettled += block.len() as u64;
            }
            self.length += block.len() as u64;
            data = rest;
        }
        Ok(())
    }
}

impl Write for ObjectWriter {
    /// Takes all of `data`. Blocks unless it fits in memory.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.hasher.update(data);
        if self.buffer.len() + data.len() <= INLINE as usize {
            self.buffer.extend_from_slice(data);
            return Ok(data.len());
        }
        let sparse = match &mut self.file {
            Some(sparse) => sparse,
            none => none.insert(Sparse { file: self.files.create()?, length: 0, unsettled: 0 }),
        };
        sparse.append(&self.buffer)?;
        sparse.append(data)?;
        self.buffer.clear();
        if sparse.unsettled >= SETTLE {
            sparse.file.settle()?;
            sparse.unsettled = 0;
        }
        Ok(data.len())
    }

    /// Does nothing: what matters is [`NewObject::sync`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object whose bytes are all there. Dropped before it is inserted, it leaves nothing behind.
pub(super) struct NewObject {
    /// The number it will have.
    pub number: i64,
    pub hash: PayloadHash,
    bytes: Bytes,
}

enum Bytes {
    Inline(Vec<u8>),
    File(NewFile),
}

impl NewObject {
    /// Puts the bytes of a file on stable storage; those in memory get there with their row.
    pub async fn sync(self) -> io::Result<Self> {
        match self.bytes {
            Bytes::Inline(_) => Ok(self),
            Bytes::File(_) => tokio::task::spawn_blocking(move || self.sync_blocking()).await?,
        }
    }

    /// The same, blocking.
    pub fn sync_blocking(self) -> io::Result<Self> {
        if let Bytes::File(file) = &self.bytes {
            file.sync()?;
        }
        Ok(self)
    }

    /// Adds the row.
    pub fn insert(self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        match self.bytes {
            Bytes::Inline(data) => objects::insert(tx, self.number, &self.hash, Some(&data)),
            Bytes::File(file) => {
                objects::insert(tx, self.number, &self.hash, None)?;
                tx.adopt(file);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Promise: what is stored is what came, however it came and wherever its zeros are; and long zeros take no room.
    #[test]
    fn zeros_take_no_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path(), 1).expect("opens");
        let seed = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..30 {
            let mut all = Vec::new();
            let mut zeros = 0;
            for _ in 0..rng.random_range(1..6) {
                let length = rng.random_range(1..6 * BLOCK);
                let fill = if rng.random() { 0 } else { rng.random_range(1..=u8::MAX) };
                all.resize(all.len() + length, fill);
                zeros += if fill == 0 { length.saturating_sub(2 * BLOCK) } else { 0 };
            }
            // Zeros to the end are what a length is for.
            all.resize(all.len() + 2 * BLOCK, 0);
            let mut writer = ObjectWriter::new(&files);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let (some, more) = rest.split_at(rng.random_range(1..=rest.len().min(3 * BLOCK)));
                writer.write_all(some).expect("written");
                rest = more;
            }
            let object = writer.finish().expect("finished").sync_blocking().expect("synced");
            let path = dir.path().join(format!("objects/{}", object.number));
            assert!(fs::read(&path).expect("read") == all, "round {round}: other bytes");
            let taken = fs::metadata(&path).expect("attributes").blocks() * 512;
            assert!(taken <= (all.len() - zeros) as u64 + BLOCK as u64, "round {round}: {taken} bytes on disk");
            let mut whole = PayloadHasher::new();
            whole.update(&all);
            assert_eq!(object.hash.tree_hash, whole.finish().tree_hash);
        }
    }
}
