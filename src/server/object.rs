//! A new object on its way to storage: bytes go in, both hashes and a row come out.
//!
//! The same way is taken by archives, parts and inventory documents. Up to [`INLINE`] bytes stay in memory and end in the
//! object's row; beyond that they go to a file, so that however large an object is, it costs a buffer.

use std::io::{self, Write};

use crate::glacier::treehash::{PayloadHash, PayloadHasher};
use crate::server::db::{Tx, objects};
use crate::server::files::{Files, INLINE, NewFile};

/// How many bytes of a file are written before they are put on stable storage, so that the end of a large object doesn't
/// have to wait for all of it at once, nor all of it lie in memory.
const SETTLE: u64 = 32 << 20;

/// Takes the bytes of a new object.
pub(super) struct ObjectWriter {
    files: Files,
    hasher: PayloadHasher,
    /// What isn't in the file yet; everything, while there is none.
    buffer: Vec<u8>,
    file: Option<NewFile>,
    /// How many bytes were written to the file and not put on stable storage yet.
    unsettled: u64,
}

impl ObjectWriter {
    pub fn new(files: &Files) -> Self {
        ObjectWriter {
            files: files.clone(),
            hasher: PayloadHasher::new(),
            buffer: Vec::new(),
            file: None,
            unsettled: 0,
        }
    }

    /// Whether `more` bytes can be taken without touching the disk, so on an async thread too.
    pub fn fits_in_memory(&self, more: u64) -> bool {
        self.file.is_none() && self.buffer.len() as u64 + more <= INLINE
    }

    /// Ends the object. Nothing is on stable storage yet.
    pub fn finish(mut self) -> io::Result<NewObject> {
        let (number, bytes) = match self.file.take() {
            Some(mut file) => {
                file.file.write_all(&self.buffer)?;
                (file.object, Bytes::File(file))
            }
            None => (self.files.allocate(), Bytes::Inline(self.buffer)),
        };
        Ok(NewObject { number, hash: self.hasher.finish(), bytes })
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
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.files.create()?),
        };
        file.file.write_all(&self.buffer)?;
        file.file.write_all(data)?;
        self.unsettled += (self.buffer.len() + data.len()) as u64;
        self.buffer.clear();
        if self.unsettled >= SETTLE {
            file.settle()?;
            self.unsettled = 0;
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
