//! Local bytes: one file for each content, from the first write until it is evicted.
//!
//! **One file from dirty to clean.** A content's file is its spool while it is written and uploaded, and its cache
//! afterwards; only the catalog's rows change. A recalled content gets a sparse file that fills up. Which bytes of a file
//! are valid, and which files are needed, the catalog knows; this room knows files.
//!
//! **Durability, the one rule.** The catalog's row comes last when something is added and first when something is taken
//! away: a file exists before a row names it, and is removed only after no row names it (it is *doomed* in the same
//! transaction, so that a crash in between leaves a note). A file of which the catalog knows nothing is therefore either
//! new and empty, or comes from a catalog that was lost: it is set aside by [`Store::sweep`], never deleted.
//!
//! A kill of the daemon leaves what it wrote, so that is all. A power cut leaves what was synced, and any part of the rest:
//!
//! - fsync of a file of the mount syncs its file here, that one's name, and the catalog's log, in this order;
//! - a doomed file is removed after the log was synced that says so, or the row that still names it would come back
//!   (`Cache::sweep`);
//! - an archived file is written to after the log was synced that says that its file here is another content's now (`Fs::dirty`);
//! - recalled bytes are synced before the row that says that they are there;
//! - what is archived may never have been synced by anybody: until the cache has done it, a mark in its row tells a start after a
//!   new boot not to trust it (`Cache::recover`).
//!
//! A disk that tells late that it couldn't store something does so once ([`has_lost`]). The content is marked then, isn't
//! archived, and its fsync fails, until it is emptied or replaced (`Fs::fsync`); what is archived is evicted (`Cache::sync`).
//!
//! `tests/power` cuts at every moment.

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::errno::Errno;

use crate::util::crash;
use crate::util::crash::Point;

/// The number that names a file here.
pub type FileId = i64;

/// The version of the layout: file `version` has it. In version 1 file `id` is `XX/YYYYYYYYYYYYYYYY`, in hexadecimal digits `id` modulo 256 and
/// `id`; all else in the root is set aside or unknown.
const VERSION: u32 = 1;
/// Files are spread over this many directories.
const FAN_OUT: i64 = 256;
/// How many files are synced one by one: that takes a disk some milliseconds each.
const EACH: usize = 64;

/// The directory of local bytes.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// The files that were created since the store was opened, until a [`Store::sweep`] has ended: the catalog that it
    /// compares with may be older than they are.
    fresh: Mutex<Option<HashSet<FileId>>>,
}

/// Whether an error of a sync says that bytes didn't get to the disk. The kernel says so once: the next sync succeeds, whatever
/// became of them (fsync(2), "EIO", "ENOSPC").
pub fn has_lost(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EIO | Errno::ENOSPC | Errno::EDQUOT))
}

/// How much room the disk under the store has, in bytes and files.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The disk's size in bytes.
    pub total: u64,
    /// Bytes that an ordinary user may still write.
    pub available: u64,
    /// Files that the disk can hold.
    pub files: u64,
    /// Files that it can still take.
    pub files_free: u64,
}

impl Store {
    /// Opens the store in directory `root`, making it where it doesn't exist, readable by its owner only.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::Unsupported`] for the store of a later version, in which nothing is changed.
    pub fn open(root: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(root)?;
        check_version(&root.join("version"))?;
        for n in 0..FAN_OUT {
            builder.create(root.join(format!("{n:02x}")))?;
        }
        crash::at(Point::StoreMade);
        // What is synced in them is on the disk only if they are.
        for directory in [Some(root), root.parent()].into_iter().flatten() {
            File::open(directory)?.sync_all()?;
        }
        crash::at(Point::StoreSynced);
        Ok(Store { root: root.to_path_buf(), fresh: Mutex::new(Some(HashSet::new())) })
    }

    /// Creates the new, empty file `id`.
    pub fn create(&self, id: FileId) -> io::Result<File> {
        if let Some(fresh) = self.fresh().as_mut() {
            fresh.insert(id);
        }
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(self.path(id))?;
        crash::at(Point::FileMade);
        Ok(file)
    }

    /// Makes the file at `path`, on the same disk, file `id` too: both names are of the same bytes.
    pub fn link(&self, id: FileId, path: &Path) -> io::Result<()> {
        if let Some(fresh) = self.fresh().as_mut() {
            fresh.insert(id);
        }
        fs::hard_link(path, self.path(id))
    }

    /// Opens file `id` for reading and writing.
    pub fn file(&self, id: FileId) -> io::Result<File> {
        File::options().read(true).write(true).open(self.path(id))
    }

    /// Opens file `id` for reading.
    pub fn read(&self, id: FileId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Removes file `id`; that it is gone already is no error. Whoever has it open keeps its bytes.
    pub fn remove(&self, id: FileId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        crash::at(Point::FileRemoved);
        Ok(())
    }

    /// Makes the name of file `id` survive a power cut (its bytes are synced through the file itself).
    pub fn sync_name(&self, id: FileId) -> io::Result<()> {
        File::open(self.directory(id))?.sync_all()
    }

    /// Makes files survive a power cut, their names too; one that isn't there any more is no error. Takes as long as the disk takes
    /// to write what it has to: for many files, that is all that anybody wrote to it.
    pub fn sync(&self, files: &[FileId]) -> io::Result<()> {
        if files.len() > EACH {
            rustix::fs::syncfs(File::open(&self.root)?)?;
            return Ok(());
        }
        for id in files {
            match self.read(*id) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?.sync_data()?,
            }
            self.sync_name(*id)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The room that is left on the disk.
    pub fn room(&self) -> io::Result<Room> {
        let stat = nix::sys::statvfs::statvfs(&self.root)?;
        let block = stat.fragment_size();
        Ok(Room {
            total: stat.blocks() * block,
            available: stat.blocks_available() * block,
            files: stat.files(),
            files_free: stat.files_available(),
        })
    }

    /// Sets aside every file that isn't `known` and that was there when the store was opened, into the directory
    /// `lost+found` beside the others, and answers how many there were. Empty ones are removed: they were created just
    /// before a crash, and nobody was told of them. What is created meanwhile is told by its number, not by its time:
    /// clocks are set back.
    pub fn sweep(&self, known: &HashSet<FileId>) -> io::Result<usize> {
        let swept = self.set_aside(known);
        *self.fresh() = None;
        swept
    }

    fn set_aside(&self, known: &HashSet<FileId>) -> io::Result<usize> {
        let aside = self.root.join("lost+found");
        let mut found = 0;
        for n in 0..FAN_OUT {
            for entry in fs::read_dir(self.root.join(format!("{n:02x}")))? {
                let entry = entry?;
                let id = entry.file_name().to_str().and_then(|name| i64::from_str_radix(name, 16).ok());
                let is_fresh = |id| self.fresh().as_ref().is_some_and(|fresh| fresh.contains(&id));
                if id.is_some_and(|id| known.contains(&id) || is_fresh(id)) {
                    continue;
                }
                let meta = match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                if meta.len() == 0 {
                    fs::remove_file(entry.path())?;
                    continue;
                }
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&aside)?;
                fs::rename(entry.path(), aside.join(entry.file_name()))?;
                found += 1;
            }
        }
        Ok(found)
    }

    fn fresh(&self) -> MutexGuard<'_, Option<HashSet<FileId>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, id: FileId) -> PathBuf {
        self.root.join(format!("{:02x}", id.rem_euclid(FAN_OUT)))
    }

    fn path(&self, id: FileId) -> PathBuf {
        self.directory(id).join(format!("{id:016x}"))
    }
}

/// Refuses a store that a later version has written, by the file at `path`, which is made where it is missing.
fn check_version(path: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        // Cut off by a power cut, it says nothing; there is no version before the first.
        Ok(text) if !text.trim().is_empty() => text,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            writeln!(file, "{VERSION}")?;
            return file.sync_all();
        }
    };
    match text.trim().parse::<u32>() {
        Ok(VERSION) => Ok(()),
        Ok(found) if found > VERSION => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "it was written by a newer glacierfs (version {found} of its layout; this one knows {VERSION}): use that one. Nothing was changed"
            ),
        )),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("its file \"version\" says {:?}, and should say {VERSION}", text.trim()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the layout of version 1 is read for ever; the store of a later version is refused and left as it is.
    #[test]
    fn the_first_version_is_frozen() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let root = tmp.path().join("store");
        fs::create_dir_all(root.join("ef")).expect("a directory");
        fs::write(root.join("ef/0123456789abcdef"), "bytes").expect("a file");
        for written in [None, Some("1\n"), Some("")] {
            if let Some(text) = written {
                fs::write(root.join("version"), text).expect("a version");
            }
            let store = Store::open(&root).expect("open");
            assert_eq!(io::read_to_string(store.read(0x0123_4567_89ab_cdef).expect("read")).expect("read"), "bytes");
            assert_eq!(fs::read_to_string(root.join("version")).expect("read"), "1\n");
        }
        for (text, what) in [("2\n", "newer glacierfs"), ("one", "says \"one\"")] {
            fs::write(root.join("version"), text).expect("a version");
            let error = Store::open(&root).expect_err("refused").to_string();
            assert!(error.contains(what), "{error}");
            assert_eq!(fs::read_to_string(root.join("version")).expect("read"), text);
        }
    }

    /// Promise: bytes of which the catalog knows nothing are set aside, not deleted; and what is created while that happens
    /// stays, whatever the clock says.
    #[test]
    fn unknown_bytes_are_set_aside() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let before = Store::open(tmp.path()).expect("open");
        for id in [1, 2, i64::MAX] {
            let file = before.create(id).expect("create");
            if id != 2 {
                file.set_len(3).expect("grow");
            }
        }
        let store = Store::open(tmp.path()).expect("open");
        let new = store.create(7).expect("create");
        new.set_times(std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).expect("an old time");
        assert_eq!(store.sweep(&HashSet::from([1])).expect("sweep"), 1);
        assert!(store.file(1).is_ok());
        assert!(store.file(2).is_err());
        assert!(store.file(7).is_ok());
        let aside: Vec<_> = fs::read_dir(tmp.path().join("lost+found")).expect("aside").collect();
        assert_eq!(aside.len(), 1);
        store.remove(1).expect("remove");
        store.remove(1).expect("a second remove is no error");
    }
}
