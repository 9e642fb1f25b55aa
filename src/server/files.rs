//! The bytes of large objects on disk: one file an object, `DIR/objects/<object number>`.
//!
//! A file is written once, made durable with its name ([`NewFile::sync`]), and only then is the row committed that makes
//! it part of an archive, a part or a job's output. So a row never points at bytes that a power cut can take; the other
//! way round, a file without a row is left over from a request that didn't end, and goes at the next start
//! ([`Files::sweep`]). Small objects (up to [`INLINE`] bytes) have no file: they live in the database, where one
//! synced commit makes many of them durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::fstatvfs;

/// Objects up to this many bytes are stored in the database.
pub(super) const INLINE: u64 = 64 << 10;

/// How many bytes uploads leave free on the disk, so that a full one can still be cleared out: deletions are changes that
/// need room as well.
const RESERVE: u64 = 32 << 20;

/// The directory of objects. Cloning shares it.
#[derive(Clone)]
pub(super) struct Files(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    /// For making new names durable.
    handle: File,
    /// The number of the next object.
    next: AtomicI64,
    remover: mpsc::Sender<Vec<i64>>,
}

impl Files {
    /// Opens, or makes, the directory. `next` is a number above that of every object in the database.
    pub fn open(data: &Path, next: i64) -> io::Result<Self> {
        let directory = data.join("objects");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        File::open(data)?.sync_all()?;
        let handle = File::open(&directory)?;
        let (remover, removals) = mpsc::channel::<Vec<i64>>();
        let from = directory.clone();
        thread::Builder::new().name("glacier-remove".to_owned()).spawn(move || {
            for object in removals.into_iter().flatten() {
                remove(&from.join(object.to_string()));
            }
        })?;
        Ok(Files(Arc::new(Inner { directory, handle, next: AtomicI64::new(next), remover })))
    }

    /// Removes every file whose number isn't in `known`, which is what the database holds. For the start, before any
    /// request. Answers how many were removed.
    pub fn sweep(&self, known: impl Fn(i64) -> bool) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.0.directory)? {
            let entry = entry?;
            // Other names were put there by someone else; leave them alone.
            let Some(object) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if !known(object) {
                remove(&entry.path());
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Checks that the disk has room for an upload of `size` bytes, and says so if it hasn't.
    pub fn check_room(&self, size: u64) -> io::Result<()> {
        let disk = fstatvfs(&self.0.handle)?;
        let free = disk.blocks_available() * disk.fragment_size();
        if free < size.saturating_add(RESERVE) {
            let message = format!("{size} bytes don't fit on the disk of the data directory, which has {free} left");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(())
    }

    /// A number for a new object, with or without a file.
    pub fn allocate(&self) -> i64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A new, empty file. It is removed again, in the background, unless it is kept.
    pub fn create(&self) -> io::Result<NewFile> {
        let object = self.allocate();
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(object))?;
        Ok(NewFile { object, file, files: self.clone(), kept: false })
    }

    /// Opens the file of `object` for reading.
    pub fn read(&self, object: i64) -> io::Result<File> {
        File::open(self.path(object))
    }

    /// Removes the files of `objects` in the background. A file that this fails for is removed at the next start.
    pub fn remove_later(&self, objects: Vec<i64>) {
        // The thread ends only after the last sender, so that this can't fail while `self` lives.
        let _ = self.0.remover.send(objects);
    }

    fn path(&self, object: i64) -> PathBuf {
        self.0.directory.join(object.to_string())
    }
}

/// A file that isn't anyone's yet.
pub(super) struct NewFile {
    /// Its object's number.
    pub object: i64,
    /// The file, open for reading and writing.
    pub file: File,
    files: Files,
    kept: bool,
}

impl NewFile {
    /// Puts the bytes written so far on stable storage, and takes them out of the page cache: nobody reads an archive
    /// soon, and the memory is worth more to files that somebody does. Blocks.
    pub fn settle(&self) -> io::Result<()> {
        self.file.sync_data()?;
        // Advice only; the pages go sooner or later anyway.
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        Ok(())
    }

    /// Puts bytes and name on stable storage. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        self.settle()?;
        self.files.0.handle.sync_all()
    }

    /// Says that a committed row points at the file now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            self.files.remove_later(vec![self.object]);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!("can't remove {}: {error}; it is tried again at the next start", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: an unkept file goes with its guard, a kept one stays, and a start removes what the database doesn't know.
    #[test]
    fn only_kept_files_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path(), 7).expect("opens");
        let kept = files.create().expect("a file");
        assert_eq!(kept.object, 7);
        kept.sync().expect("synced");
        kept.keep();
        drop(files.create().expect("another"));
        while files.read(8).is_ok() {
            thread::yield_now();
        }
        assert!(files.read(7).is_ok());
        fs::write(files.path(5), "left over").expect("written");
        assert_eq!(files.sweep(|object| object == 7).expect("swept"), 1);
        assert!(files.read(7).is_ok() && files.read(5).is_err());
    }
}
