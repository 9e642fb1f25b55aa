//! One thread that does to shared directories what programs do, at random, and checks all that it reads.
//!
//! What may be found: `whole*` are written under another name and never changed once they have theirs; `full*` are only ever
//! appended to; `log*` are cut off and removed too; `block*` are changed in place, by who has them locked. So whatever isn't as
//! it should be is a fault, however the operations fall.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use rustix::fs::XattrFlags;

use super::contents::BLOCK;
use super::contents::HEADER;
use super::contents::Numbers;
use super::contents::RECORD;
use super::contents::check;
use super::contents::piece;
use super::contents::records;
use super::watchdog::Notes;

/// Names of each kind.
const NAMES: usize = 12;
/// The directories that stay, and in each the directories that come and go.
pub const STAYING: [&str; 2] = ["a", "b"];
const GOING: usize = 3;
/// Entries that stay in each directory that stays.
pub const ENTRIES: usize = 20;
/// Logs that are only appended to, and files that are changed in place with their blocks.
pub const FULL: usize = 3;
pub const BLOCKED: usize = 3;
pub const BLOCKS: usize = 24;
/// The attribute whose value is one byte repeated.
const XATTR: &str = "user.stress";

pub struct Worker {
    vault: PathBuf,
    number: usize,
    numbers: Numbers,
    notes: Notes,
    made: u64,
    appended: [u64; FULL],
    logged: u64,
    versions: HashMap<(usize, usize), u64>,
    done: BTreeMap<&'static str, [u64; 2]>,
}

type Operation = fn(&mut Worker) -> io::Result<()>;

/// The operations, each with how often it is done.
pub const OPERATIONS: [(&str, usize, Operation); 18] = [
    ("write", 16, Worker::write),
    ("read", 24, Worker::read),
    ("map", 6, Worker::map),
    ("copy", 4, Worker::copy),
    ("rename", 8, Worker::rename),
    ("link", 6, Worker::link),
    ("unlink", 6, Worker::unlink),
    ("attribute", 6, Worker::attribute),
    ("mkdir", 4, Worker::mkdir),
    ("rmdir", 3, Worker::rmdir),
    ("move", 2, Worker::move_directory),
    ("list", 8, Worker::list),
    ("append", 14, Worker::append),
    ("read log", 3, Worker::read_log),
    ("log", 6, Worker::log),
    ("cut log", 2, Worker::cut_log),
    ("change", 8, Worker::change),
    ("read blocks", 8, Worker::read_blocks),
];

impl Worker {
    pub fn new(vault: PathBuf, number: usize, seed: u64, notes: Notes) -> Worker {
        Worker {
            vault,
            number,
            numbers: Numbers(seed ^ ((number as u64 + 1) << 32)),
            notes,
            made: 0,
            appended: [0; FULL],
            logged: 0,
            versions: HashMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Does one operation. That a name is there or isn't, or became another's twice meanwhile (ESTALE), is nobody's fault; everything
    /// else is.
    pub fn step(&mut self) {
        let all = OPERATIONS.iter().map(|(_, weight, _)| weight).sum();
        let mut drawn = self.numbers.below(all);
        let (name, _, operation) = OPERATIONS
            .into_iter()
            .find(|(_, weight, _)| drawn.checked_sub(*weight).map(|rest| drawn = rest).is_none())
            .expect("one of them");
        let result = operation(self);
        self.notes.end();
        match result {
            Ok(()) => self.done.entry(name).or_default()[0] += 1,
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENODATA | Errno::ESTALE) => {
                    self.done.entry(name).or_default()[1] += 1;
                }
                _ => panic!("worker {} failed to {name}: {error}", self.number),
            },
        }
    }

    /// What was done and refused of each operation, and how much was appended to each log.
    pub fn report(&self) -> String {
        let done = self.done.iter().map(|(name, [done, refused])| format!("done,{name},{done},{refused}\n"));
        let appended = (0..FULL).map(|log| format!("appended,{log},{},{}\n", self.number, self.appended[log]));
        done.chain(appended).collect()
    }

    fn begin(&self, operation: &str, path: &Path) {
        self.notes.begin(&format!("{operation} {}", path.display()));
    }

    fn staying(&mut self) -> PathBuf {
        self.vault.join(STAYING[self.numbers.below(STAYING.len())])
    }

    fn going(&mut self) -> PathBuf {
        let name = format!("d{}", self.numbers.below(GOING));
        self.staying().join(name)
    }

    fn directory(&mut self) -> PathBuf {
        match self.numbers.below(3) {
            0 => self.going(),
            _ => self.staying(),
        }
    }

    fn whole(&mut self) -> PathBuf {
        let name = format!("whole{}", self.numbers.below(NAMES));
        self.directory().join(name)
    }

    /// Writes a whole file with `fill`, and gives it its name, over another perhaps.
    fn publish(&mut self, fill: impl FnOnce(&mut Self, &Path) -> io::Result<()>) -> io::Result<()> {
        let to = self.whole();
        self.made += 1;
        let new = to.with_file_name(format!("new{}.{}", self.number, self.made));
        self.begin("write and rename to", &to);
        let published = fill(self, &new).and_then(|()| std::fs::rename(&new, &to));
        if published.is_err() {
            // Its directory may be gone, or have another name now: then it stays until the end, and is whole or not.
            let _ = std::fs::remove_file(&new);
        }
        published
    }

    fn write(&mut self) -> io::Result<()> {
        self.publish(|worker, new| {
            let size = [200, 6000, 40_000, 300_000][worker.numbers.below(4)];
            let length = HEADER + worker.numbers.below(size);
            let bytes = piece(worker.number as u64, worker.made, length);
            let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(new)?;
            match worker.numbers.below(4) {
                // In two writes, the first one last.
                0 => {
                    let middle = worker.numbers.below(length);
                    file.write_all_at(&bytes[middle..], middle as u64)?;
                    file.write_all_at(&bytes[..middle], 0)?;
                }
                1 => {
                    file.write_all(&bytes)?;
                    file.write_all(&[b'x'; 5000])?;
                    file.set_len(length as u64)?;
                }
                2 => {
                    file.set_len(length as u64)?;
                    mapped(&file, length, true, |map| map.copy_from_slice(&bytes))?;
                }
                _ => file.write_all(&bytes)?,
            }
            if worker.numbers.below(8) == 0 {
                file.sync_all()?;
            }
            Ok(())
        })
    }

    fn copy(&mut self) -> io::Result<()> {
        self.publish(|worker, new| {
            let from = worker.whole();
            worker.begin("copy", &from);
            let (source, to) = (File::open(&from)?, File::create_new(new)?);
            let mut copied = 0;
            loop {
                match rustix::fs::copy_file_range(&source, None, &to, None, 1 << 20)? {
                    0 => break,
                    count => copied += count as u64,
                }
            }
            assert_eq!(copied, source.metadata()?.len(), "worker {}: a copy of {}", worker.number, from.display());
            Ok(())
        })
    }

    fn read(&mut self) -> io::Result<()> {
        let path = self.whole();
        self.begin("read", &path);
        let mut file = File::open(&path)?;
        if self.numbers.below(3) == 0 {
            let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            nix::fcntl::posix_fadvise(&file, 0, 0, advice)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.sound(&path, check(&bytes));
        let size = file.metadata()?.len();
        assert_eq!(size, bytes.len() as u64, "{}: the size told isn't the size read", path.display());
        Ok(())
    }

    fn map(&mut self) -> io::Result<()> {
        let path = self.whole();
        self.begin("map", &path);
        let file = File::open(&path)?;
        let length = file.metadata()?.len() as usize;
        let checked = mapped(&file, length, false, |map| check(map))?;
        self.sound(&path, checked);
        Ok(())
    }

    fn rename(&mut self) -> io::Result<()> {
        let (from, to) = (self.whole(), self.whole());
        self.begin("rename", &from);
        match self.numbers.below(4) {
            0 => {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                Ok(rustix::fs::renameat_with(rustix::fs::CWD, &from, rustix::fs::CWD, &to, exchange)?)
            }
            _ => std::fs::rename(from, to),
        }
    }

    fn link(&mut self) -> io::Result<()> {
        let (from, to) = (self.whole(), self.whole());
        self.begin("link", &from);
        std::fs::hard_link(from, to)
    }

    fn unlink(&mut self) -> io::Result<()> {
        let path = self.whole();
        self.begin("unlink", &path);
        // Who has it open keeps it.
        let open = File::open(&path);
        std::fs::remove_file(&path)?;
        if let Ok(mut file) = open {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            self.sound(&path, check(&bytes));
        }
        Ok(())
    }

    fn attribute(&mut self) -> io::Result<()> {
        let path = self.whole();
        self.begin("attributes of", &path);
        let byte = self.numbers.below(256) as u8;
        match self.numbers.below(4) {
            0 => {
                let value = vec![byte; 1 + self.numbers.below(3000)];
                Ok(rustix::fs::setxattr(&path, XATTR, &value, XattrFlags::empty())?)
            }
            1 => Ok(rustix::fs::removexattr(&path, XATTR)?),
            2 => {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600 | u32::from(byte) & 0o77);
                std::fs::set_permissions(&path, mode)
            }
            _ => {
                let mut value = vec![0; 4096];
                let length = rustix::fs::getxattr(&path, XATTR, &mut value)?;
                let same = value[..length].iter().all(|byte| *byte == value[0]);
                assert!(same, "{}: an attribute of two values", path.display());
                Ok(())
            }
        }
    }

    fn mkdir(&mut self) -> io::Result<()> {
        let path = self.going();
        self.begin("mkdir", &path);
        std::fs::create_dir(path)
    }

    fn rmdir(&mut self) -> io::Result<()> {
        let path = self.going();
        self.begin("rmdir", &path);
        match self.numbers.below(2) {
            0 => std::fs::remove_dir(path),
            _ => std::fs::remove_dir_all(path),
        }
    }

    fn move_directory(&mut self) -> io::Result<()> {
        let (from, to) = (self.going(), self.going());
        self.begin("rename", &from);
        std::fs::rename(from, to)
    }

    /// A listing has each name once, and all that stay.
    fn list(&mut self) -> io::Result<()> {
        let path = self.directory();
        self.begin("list", &path);
        let stays = !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('d'));
        let mut names = HashSet::new();
        for entry in std::fs::read_dir(&path)? {
            let name = entry?.file_name();
            let shown = format!("{} has {} twice", path.display(), name.display());
            // What was taken away and made again may be listed at both places.
            assert!(names.insert(name.clone()) || !name.to_string_lossy().starts_with("stay"), "{shown}");
        }
        let staying = (0..ENTRIES).filter(|n| names.contains(std::ffi::OsStr::new(&format!("stay{n}")))).count();
        assert_eq!(staying, if stays { ENTRIES } else { 0 }, "{} lacks what stays", path.display());
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let log = self.numbers.below(FULL);
        let path = self.vault.join(format!("full{log}"));
        self.begin("append", &path);
        let mut file = OpenOptions::new().append(true).open(&path)?;
        for _ in 0..=self.numbers.below(4) {
            assert_eq!(file.write(&piece(self.number as u64, self.appended[log], RECORD))?, RECORD);
            self.appended[log] += 1;
        }
        Ok(())
    }

    fn read_log(&mut self) -> io::Result<()> {
        let log = self.numbers.below(FULL);
        let path = self.vault.join(format!("full{log}"));
        self.begin("read", &path);
        let counts = self.sound(&path, records(&std::fs::read(&path)?).and_then(|records| counted(&records)));
        let own = counts.get(&(self.number as u64)).copied().unwrap_or(0);
        assert_eq!(own, self.appended[log], "{}: what worker {} wrote", path.display(), self.number);
        Ok(())
    }

    fn some_log(&mut self) -> PathBuf {
        let name = format!("log{}", self.numbers.below(NAMES));
        self.directory().join(name)
    }

    fn log(&mut self) -> io::Result<()> {
        let path = self.some_log();
        self.begin("append", &path);
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        assert_eq!(file.write(&piece(self.number as u64, self.logged, RECORD))?, RECORD);
        self.logged += 1;
        Ok(())
    }

    /// Cuts a log off at a record, or removes it. Who reads it at the same time may see that: it is looked at in the end.
    fn cut_log(&mut self) -> io::Result<()> {
        let path = self.some_log();
        self.begin("truncate", &path);
        if self.numbers.below(4) == 0 {
            return std::fs::remove_file(path);
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        // So that nobody else makes it shorter, and this longer.
        file.lock()?;
        let count = file.metadata()?.len() as usize / RECORD;
        let stay = [0, count / 2][self.numbers.below(2)];
        file.set_len((stay * RECORD) as u64)
    }

    fn blocks(&mut self) -> (usize, PathBuf) {
        let file = self.numbers.below(BLOCKED);
        (file, self.vault.join(format!("block{file}")))
    }

    /// Changes some blocks of a file, each to its next version.
    fn change(&mut self) -> io::Result<()> {
        let (number, path) = self.blocks();
        self.begin("change", &path);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        file.lock()?;
        let first = self.numbers.below(BLOCKS);
        let count = 1 + self.numbers.below(BLOCKS - first);
        let by_mapping = self.numbers.below(2) == 0;
        for block in first..first + count {
            let at = block * BLOCK;
            let mut bytes = [0; BLOCK];
            file.read_exact_at(&mut bytes, at as u64)?;
            let version = self.seen(&path, number, block, check(&bytes)) + 1;
            let bytes = piece(block as u64, version, BLOCK);
            match by_mapping {
                true => mapped(&file, BLOCKS * BLOCK, true, |map| map[at..at + BLOCK].copy_from_slice(&bytes))?,
                false => file.write_all_at(&bytes, at as u64)?,
            }
            self.versions.insert((number, block), version);
        }
        Ok(())
    }

    fn read_blocks(&mut self) -> io::Result<()> {
        let (number, path) = self.blocks();
        self.begin("read", &path);
        let file = File::open(&path)?;
        file.lock_shared()?;
        let mut bytes = vec![0; BLOCKS * BLOCK];
        match self.numbers.below(2) {
            0 => file.read_exact_at(&mut bytes, 0)?,
            _ => mapped(&file, BLOCKS * BLOCK, false, |map| bytes.copy_from_slice(map))?,
        }
        for (block, bytes) in bytes.chunks(BLOCK).enumerate() {
            self.seen(&path, number, block, check(bytes));
        }
        Ok(())
    }

    /// The version of a block, which is never older than one that was seen before.
    fn seen(&mut self, path: &Path, file: usize, block: usize, found: Result<(u64, u64), String>) -> u64 {
        let (number, version) = self.sound(path, found);
        assert_eq!(number, block as u64, "{}: a block that belongs elsewhere", path.display());
        let before = self.versions.insert((file, block), version).unwrap_or(0);
        assert!(version >= before, "{}: block {block} has version {version} after {before}", path.display());
        version
    }

    fn sound<T>(&self, path: &Path, found: Result<T, String>) -> T {
        found.unwrap_or_else(|error| panic!("worker {}: {}: {error}", self.number, path.display()))
    }
}

/// How many records each writer has in a log that has all of them.
pub fn counted(records: &[(u64, u64)]) -> Result<HashMap<u64, u64>, String> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for (writer, number) in records {
        let next = counts.entry(*writer).or_default();
        if number != next {
            return Err(format!("record {number} of writer {writer} is where {next} should be"));
        }
        *next += 1;
    }
    Ok(counts)
}

/// What `work` does with a shared mapping of a file's `length` bytes.
fn mapped<T>(file: &File, length: usize, writes: bool, work: impl FnOnce(&mut [u8]) -> T) -> io::Result<T> {
    let protection = libc::PROT_READ | if writes { libc::PROT_WRITE } else { 0 };
    // SAFETY: the mapping has `length` bytes, is taken away below, and nobody else in this process has it. That others
    // change the file meanwhile is ruled out by locks, and by whole files not being changed. A panic leaves it behind.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let worked = work(std::slice::from_raw_parts_mut(at.cast(), length));
        libc::munmap(at, length);
        Ok(worked)
    }
}
