//! Changes in a mount, and what every file was meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use glacierfs::glacier::treehash;
use rand::RngExt;
use rand::rngs::StdRng;

use super::support::Place;

/// Above how many files there are no more new ones, where all are looked at after each start.
const MANY: usize = 40;
/// How many names of what is gone are looked at.
const GONE: usize = 500;

/// What a file was from some moment on.
#[derive(Clone, Debug)]
struct Version {
    /// When the change to it was begun.
    begun: usize,
    /// From when on it had to be there.
    kept: Option<usize>,
    /// What the file has, if it is there.
    bytes: Option<Vec<u8>>,
    how: How,
}

/// How a file became what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As a whole: it is there, or what was before.
    Whole,
    /// Something was added, be it to a new file, of which any part may be there.
    Added,
    /// Some of its bytes were overwritten, each of which may be there.
    Rewritten,
    /// Its name was changed: without that, what was added later under the other name may be there under this one.
    Moved,
}

fn is_there(versions: &[Version]) -> bool {
    versions.last().is_some_and(|version| version.bytes.is_some())
}

/// What is found of a file afterwards.
pub enum Found {
    Absent,
    Local(Vec<u8>),
    /// In the vault alone, with this tree hash.
    Archived([u8; 32]),
}

impl Found {
    fn is(&self, bytes: Option<&Vec<u8>>) -> bool {
        match (self, bytes) {
            (Found::Absent, None) => true,
            (Found::Local(found), Some(bytes)) => found == bytes,
            (Found::Archived(hash), Some(bytes)) => *hash == treehash::tree_hash(bytes).0,
            _ => false,
        }
    }

    /// Whether it is of parts of `versions`, the first of which had to be there.
    fn is_of(&self, versions: &[Version]) -> bool {
        let Found::Local(found) = self else { return false };
        let all = || versions.iter().map(|version| version.bytes.as_deref().unwrap_or_default());
        let (least, most) = (all().map(<[u8]>::len).min(), all().map(<[u8]>::len).max());
        let first = all().next().unwrap_or_default().len();
        let fits =
            |(at, byte): (usize, &u8)| at >= first || *byte == 0 || all().any(|bytes| bytes.get(at) == Some(byte));
        (least..=most).contains(&Some(found.len())) && found.iter().enumerate().all(fits)
    }
}

/// All that every file ever was.
#[derive(Default)]
pub struct Histories(BTreeMap<String, Vec<Version>>);

impl Histories {
    /// Whether anything had to be there at `moment`.
    pub fn any(&self, moment: usize) -> bool {
        self.0.values().flatten().any(|version| version.kept.is_some_and(|at| at <= moment))
    }

    /// Holds what `find` finds of each file at `moment` against what it may be, and answers how many were to be something.
    pub fn check(&self, moment: usize, find: impl Fn(&str) -> Found) -> usize {
        let mut checked = 0;
        for (path, versions) in &self.0 {
            let found = find(path);
            let is_kept = |version: &Version| version.kept.is_some_and(|at| at <= moment);
            let Some(last) = versions.iter().rposition(is_kept) else { continue };
            let may_be = &versions[last..];
            let begun = may_be.iter().enumerate().take_while(|(_, version)| version.begun <= moment);
            let fits = begun.into_iter().any(|(n, version)| {
                found.is(version.bytes.as_ref())
                    || match version.how {
                        How::Added | How::Rewritten => n > 0 && found.is_of(&may_be[..=n]),
                        How::Moved => n > 0 && matches!(found, Found::Local(_)),
                        How::Whole => false,
                    }
            });
            let what = match &found {
                Found::Absent => "isn't there".to_owned(),
                Found::Local(bytes) => format!("has {} bytes", bytes.len()),
                Found::Archived(_) => "is archived as something else".to_owned(),
            };
            let all: Vec<_> =
                versions.iter().map(|one| (one.begun, one.kept, one.how, one.bytes.as_ref().map(Vec::len))).collect();
            assert!(fits, "{path} {what}, and should be one of these from the {last}th on: {all:?}");
            checked += 1;
        }
        checked
    }

    /// How many there are.
    fn there(&self) -> usize {
        self.0.values().filter(|versions| is_there(versions)).count()
    }

    /// The names of all that there is or was.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Begins anew with what `find` finds.
    pub fn settle(&mut self, find: impl Fn(&str) -> Found) {
        for (path, versions) in &mut self.0 {
            let bytes = match find(path) {
                Found::Local(bytes) => Some(bytes),
                Found::Absent => None,
                Found::Archived(_) => unreachable!("it is read"),
            };
            *versions = vec![Version { begun: 0, kept: Some(0), bytes, how: How::Whole }];
        }
        let mut gone = 0;
        self.0.retain(|_, versions| {
            gone += usize::from(versions[0].bytes.is_none());
            versions[0].bytes.is_some() || gone < GONE
        });
    }
}

/// Somebody who makes changes in the directory of a mount.
pub struct Work {
    pub place: Arc<Place>,
    /// The directory, in the mount.
    pub directory: String,
    /// The moment that it is.
    pub now: Box<dyn Fn() -> usize + Send + Sync>,
    /// Whether what was acknowledged has to stay; otherwise only what was synced.
    pub acknowledged_stays: bool,
    pub random: StdRng,
    pub histories: Histories,
    /// Changes so far.
    pub steps: u64,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
}

impl Work {
    pub fn at(&self, name: &str) -> PathBuf {
        self.place.path(&self.directory).join(name)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let size = match self.random.random_range(0..10) {
            0 => 1,
            1..7 => self.random.random_range(1..10_000),
            _ => self.random.random_range(10_000..200_000),
        };
        (0..size).map(|_| self.random.random()).collect()
    }

    /// Fails as a dead mount does, if it is one. (Attributes the kernel may still know.)
    pub fn check_alive(&self) -> io::Result<()> {
        Ok(nix::sys::statvfs::statvfs(&self.place.mnt()).map(|_| ())?)
    }

    /// A file that is there, if any is.
    fn any(&mut self) -> Option<String> {
        let there = self.histories.0.iter().filter(|(_, versions)| is_there(versions));
        let names: Vec<&String> = there.map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names[self.random.random_range(0..names.len())].clone())
    }

    fn last(&self, name: &str) -> Option<Vec<u8>> {
        self.histories.0.get(name)?.last()?.bytes.clone()
    }

    /// Notes what a file is going to be.
    fn begin(&mut self, name: &str, bytes: Option<Vec<u8>>, how: How) {
        let begun = (self.now)();
        self.histories.0.entry(name.to_owned()).or_default().push(Version { begun, kept: None, bytes, how });
    }

    fn keeps(&mut self, name: &str) {
        let now = (self.now)();
        if let Some(version) = self.histories.0.get_mut(name).and_then(|versions| versions.last_mut()) {
            version.kept.get_or_insert(now);
        }
    }

    /// Writes to a file, and syncs it or not.
    fn write(&mut self, name: &str, mut file: File, bytes: &[u8], sync: bool) -> io::Result<()> {
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        if sync || self.acknowledged_stays {
            self.keeps(name);
        }
        Ok(())
    }

    fn create(&mut self, name: &str, sync: bool) -> io::Result<()> {
        let bytes = self.bytes();
        self.put(name, bytes, sync)
    }

    /// Makes a file that isn't there.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>, sync: bool) -> io::Result<()> {
        // Until it is synced, less of it may be there.
        self.begin(name, Some(bytes.clone()), How::Added);
        let file = File::options().write(true).create(true).truncate(true).open(self.at(name))?;
        self.write(name, file, &bytes, sync)
    }

    /// Adds to a file.
    pub fn append(&mut self, name: &str, more: &[u8], sync: bool) -> io::Result<()> {
        let all = [self.last(name).unwrap_or_default(), more.to_vec()].concat();
        self.begin(name, Some(all), How::Added);
        let file = File::options().append(true).open(self.at(name))?;
        self.write(name, file, more, sync)
    }

    /// Overwrites some bytes of a file.
    fn rewrite(&mut self, name: &str, sync: bool) -> io::Result<()> {
        let mut all = self.last(name).unwrap_or_default();
        let start = self.random.random_range(0..=all.len());
        let end = all.len().min(start + self.random.random_range(1..50_000));
        all[start..end].iter_mut().for_each(|byte| *byte = self.random.random());
        let new = all[start..end].to_vec();
        self.begin(name, Some(all), How::Rewritten);
        let mut file = File::options().write(true).open(self.at(name))?;
        file.seek(SeekFrom::Start(start as u64))?;
        self.write(name, file, &new, sync)
    }

    /// Cuts a file off, or makes it longer by zeros.
    fn truncate(&mut self, name: &str, sync: bool) -> io::Result<()> {
        let mut all = self.last(name).unwrap_or_default();
        all.resize(self.random.random_range(0..=all.len() + 5000), 0);
        let size = all.len() as u64;
        self.begin(name, Some(all), How::Rewritten);
        let file = File::options().write(true).open(self.at(name))?;
        file.set_len(size)?;
        self.write(name, file, &[], sync)
    }

    /// Moves a file, over another perhaps.
    fn rename(&mut self, from: &str, to: &str, sync: bool) -> io::Result<()> {
        let bytes = self.last(from);
        self.begin(from, None, How::Moved);
        self.begin(to, bytes, How::Whole);
        fs::rename(self.at(from), self.at(to))?;
        self.names(&[to, from], sync)
    }

    fn remove(&mut self, name: &str, sync: bool) -> io::Result<()> {
        self.begin(name, None, How::Whole);
        fs::remove_file(self.at(name))?;
        self.names(&[name], sync)
    }

    /// Many renames in a row, of files and of the directories that they are in.
    fn storm(&mut self, n: u64) -> io::Result<()> {
        let (mut directory, mut file) = (format!("s{n}"), "file".to_owned());
        fs::create_dir(self.at(&directory))?;
        self.create(&format!("{directory}/{file}"), false)?;
        for k in 0..self.random.random_range(5..40) {
            let from = format!("{directory}/{file}");
            if self.random.random() {
                file = format!("file{k}");
                self.rename(&from, &format!("{directory}/{file}"), false)?;
            } else {
                let new = format!("s{n}.{k}");
                let to = format!("{new}/{file}");
                let bytes = self.last(&from);
                self.begin(&from, None, How::Moved);
                self.begin(&to, bytes, How::Whole);
                fs::rename(self.at(&directory), self.at(&new))?;
                self.names(&[&to, &from], false)?;
                directory = new;
            }
        }
        Ok(())
    }

    /// Has rsync bring a directory into line with one beside the mount, in which something has changed.
    fn rsync(&mut self) -> io::Result<()> {
        let source = self.place.path("sources").join(self.directory.replace('/', "-"));
        fs::create_dir_all(&source)?;
        let wanted: BTreeMap<String, Vec<u8>> = (0..self.random.random_range(1..8))
            .map(|_| (format!("r/{}", self.random.random_range(0..10)), self.bytes()))
            .collect();
        let gone =
            self.histories.names().into_iter().filter(|name| name.starts_with("r/") && !wanted.contains_key(name));
        for name in gone.collect::<Vec<_>>() {
            self.begin(&name, None, How::Whole);
            let _ = fs::remove_file(source.join(&name[2..]));
        }
        for (name, bytes) in &wanted {
            self.begin(name, Some(bytes.clone()), How::Whole);
            fs::write(source.join(&name[2..]), bytes)?;
        }
        let mut rsync = Command::new("rsync");
        rsync.args(["-a", "-W", "--ignore-times", "--delete"]).arg(source.join(".")).arg(self.at("r"));
        let done = rsync.output().expect("rsync");
        if !done.status.success() {
            // The mount is dead, or this isn't its fault.
            self.check_alive()?;
            panic!("rsync: {}", String::from_utf8_lossy(&done.stderr));
        }
        let names: Vec<_> = self.histories.names().into_iter().filter(|name| name.starts_with("r/")).collect();
        names.iter().for_each(|name| self.keeps(name));
        Ok(())
    }

    /// Reads a file, which has to have the bytes that it had last. What a service that fails again and again doesn't give is
    /// asked for again.
    fn read(&mut self, name: &str) -> io::Result<()> {
        let mut tries = 0;
        let found = loop {
            match fs::read(self.at(name)) {
                Err(error) if error.raw_os_error() == Some(libc::EIO) && tries < 50 => {
                    // Dead, or a recall that failed?
                    self.check_alive()?;
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                other => break other?,
            }
        };
        assert!(Some(&found) == self.last(name).as_ref(), "{name} has other bytes");
        Ok(())
    }

    /// What was done to these names stays, now that their directory is synced, if it is to be.
    fn names(&mut self, names: &[&str], sync: bool) -> io::Result<()> {
        if sync && let Some(parent) = self.at(names[0]).parent() {
            File::open(parent)?.sync_all()?;
        }
        if sync || self.acknowledged_stays {
            names.iter().for_each(|name| self.keeps(name));
        }
        Ok(())
    }

    /// One more change.
    ///
    /// # Errors
    /// The mount's; the change may have been done, or a part of it.
    pub fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        let n = self.steps;
        let sync = self.random.random_bool(0.7);
        let name = self.any();
        // The rest is told by nothing but the kernel's word, which is what cuts take back.
        let kinds = if self.acknowledged_stays { 33 } else { 25 };
        // No more than can be looked at again and again.
        let full = self.acknowledged_stays && self.histories.there() > MANY;
        match (self.random.random_range(if full { 15 } else { 0 }..kinds), name) {
            (0..6, _) | (_, None) => self.create(&format!("file{n}"), sync),
            (6..8, _) => {
                let directory = format!("d{n}/deep");
                fs::create_dir_all(self.at(&directory))?;
                self.create(&format!("{directory}/file"), sync)
            }
            (8..12, Some(name)) => {
                self.read(&name)?;
                let more = self.bytes();
                self.append(&name, &more, sync)
            }
            (12..15, Some(name)) => {
                // As careful programs replace a file.
                let new = format!("{name}.new");
                self.create(&new, true)?;
                self.rename(&new, &name, sync)
            }
            (15..17, Some(name)) => self.remove(&name, sync),
            (17, _) => {
                // Neither has to succeed: what isn't archived in time, or isn't archived yet, stays.
                self.place.run(&["flush", "--timeout", "20s", &self.place.text("mnt")]);
                Ok(())
            }
            (18, _) => {
                self.place.run(&["evict", &self.place.text(&self.directory)]);
                Ok(())
            }
            (19, Some(name)) => self.read(&name),
            (20..23, Some(name)) => {
                self.read(&name)?;
                self.rewrite(&name, sync)
            }
            (23..25, Some(name)) => {
                self.read(&name)?;
                self.truncate(&name, sync)
            }
            (25..27, Some(name)) => {
                let to = self.any().filter(|to| *to != name).unwrap_or(format!("moved{n}"));
                self.rename(&name, &to, sync)
            }
            (27, _) => self.storm(n),
            (28, _) => self.rsync(),
            (29..31, Some(name)) => self.read(&name),
            (_, Some(name)) => self.remove(&name, sync),
        }?;
        self.acknowledged += 1;
        Ok(())
    }
}
