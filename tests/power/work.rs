//! Changes in a mount, and what every file was meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use glacierfs::glacier::treehash;
use rand::RngExt;
use rand::rngs::StdRng;

use super::support::Place;

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
    /// Its name was changed: without that, what was added later under the other name may be there under this one.
    Moved,
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

    /// Whether it begins with `before` and has at most `length` bytes.
    fn begins(&self, before: &[u8], length: usize) -> bool {
        matches!(self, Found::Local(found) if found.starts_with(before) && found.len() <= length)
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
                // What was there before anything was added that didn't have to stay.
                let before = may_be[..n].iter().rev().find(|version| version.how != How::Added).or(may_be.first());
                let before = before.and_then(|version| version.bytes.as_deref()).unwrap_or_default();
                found.is(version.bytes.as_ref())
                    || match (version.how, &version.bytes) {
                        (How::Added, Some(all)) if n > 0 => found.begins(before, all.len()),
                        (How::Moved, None) if n > 0 => found.begins(before, usize::MAX),
                        _ => false,
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
    }
}

/// Somebody who makes changes in the directory of a mount.
pub struct Work {
    pub place: Arc<Place>,
    /// The directory, in the mount.
    pub directory: String,
    /// The moment that it is.
    pub now: Box<dyn Fn() -> usize + Send>,
    /// Whether what was acknowledged has to stay; otherwise only what was synced.
    pub acknowledged_stays: bool,
    pub random: StdRng,
    pub histories: Histories,
    /// Changes so far.
    pub steps: u64,
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

    /// A file that is there, if any is.
    fn any(&mut self) -> Option<String> {
        let there = |versions: &Vec<Version>| versions.last().is_some_and(|version| version.bytes.is_some());
        let names: Vec<&String> = self.histories.0.iter().filter(|(_, all)| there(all)).map(|(name, _)| name).collect();
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
        // Until it is synced, less of it may be there.
        self.begin(name, Some(bytes.clone()), How::Added);
        let file = File::options().write(true).create(true).truncate(true).open(self.at(name))?;
        self.write(name, file, &bytes, sync)
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
        match (self.random.random_range(0..20), name) {
            (0..6, _) | (_, None) => self.create(&format!("file{n}"), sync),
            (6..8, _) => {
                let directory = format!("d{n}/deep");
                fs::create_dir_all(self.at(&directory))?;
                self.create(&format!("{directory}/file"), sync)
            }
            (8..12, Some(name)) => {
                let more = self.bytes();
                let all = [self.last(&name).unwrap_or_default(), more.clone()].concat();
                self.begin(&name, Some(all), How::Added);
                let file = File::options().append(true).open(self.at(&name))?;
                self.write(&name, file, &more, sync)
            }
            (12..15, Some(name)) => {
                // As careful programs replace a file.
                let new = format!("{name}.new");
                self.create(&new, true)?;
                let bytes = self.last(&new);
                self.begin(&new, None, How::Moved);
                self.begin(&name, bytes, How::Whole);
                fs::rename(self.at(&new), self.at(&name))?;
                self.names(&[&name, &new], sync)
            }
            (15..17, Some(name)) => {
                self.begin(&name, None, How::Whole);
                fs::remove_file(self.at(&name))?;
                self.names(&[&name], sync)
            }
            (17, _) => {
                // Neither has to succeed: what isn't archived in time, or isn't archived yet, stays.
                self.place.run(&["flush", "--timeout", "20s", &self.place.text("mnt")]);
                Ok(())
            }
            (18, _) => {
                self.place.run(&["evict", &self.place.text(&self.directory)]);
                Ok(())
            }
            (_, Some(name)) => {
                let found = fs::read(self.at(&name))?;
                assert!(Some(&found) == self.last(&name).as_ref(), "{name} has other bytes");
                Ok(())
            }
        }
    }
}
