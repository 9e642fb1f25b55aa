//! What a disk may have after a cut: all that was synced, and of what wasn't, any part.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rand::RngExt;
use rand::rngs::StdRng;

use super::recorder::Event;
use super::recorder::ROOT;
use super::recorder::put;

/// What is written in one piece, or not at all.
const SECTOR: usize = 512;

/// How much of what wasn't synced is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Least,
    /// All.
    Most,
    /// Any of it, sector by sector and name by name.
    Some,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    pending: Vec<Event>,
}

type Name = (u64, OsString);

/// The disk while events are replayed.
#[derive(Default)]
pub struct Replay {
    files: HashMap<u64, File>,
    names: BTreeMap<Name, (u64, bool)>,
    /// Of names that aren't on the disk yet, in order.
    pending: Vec<Event>,
}

impl Replay {
    /// What happened next.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Make { .. } | Event::Remove { .. } | Event::Rename { .. } => self.pending.push(event.clone()),
            Event::Write { ino, .. } | Event::Resize { ino, .. } => {
                self.files.entry(*ino).or_default().pending.push(event.clone());
            }
            Event::SyncFile { ino } => {
                let file = self.files.entry(*ino).or_default();
                for event in std::mem::take(&mut file.pending) {
                    apply(&mut file.bytes, &event);
                }
            }
            Event::SyncDirectory { ino } => {
                let (now, later) =
                    std::mem::take(&mut self.pending).into_iter().partition(|event| concerns(event, *ino));
                self.pending = later;
                rename_all(&mut self.names, now);
            }
        }
    }

    /// Puts what a cut at this moment may leave into the directory `to`.
    pub fn cut(&self, left: Left, random: &mut StdRng, to: &Path) {
        let mut keep = || match left {
            Left::Least => false,
            Left::Most => true,
            Left::Some => random.random(),
        };
        let mut names = self.names.clone();
        rename_all(&mut names, self.pending.iter().filter(|_| keep()).cloned().collect());
        let mut paths = HashMap::from([(ROOT, to.to_path_buf())]);
        fs::create_dir_all(to).expect("a directory");
        // A directory's number is less than those of what is in it, but for what was moved there.
        loop {
            let before = paths.len();
            for ((parent, name), (ino, directory)) in &names {
                if *directory
                    && !paths.contains_key(ino)
                    && let Some(parent) = paths.get(parent)
                {
                    let path = parent.join(name);
                    fs::create_dir(&path).expect("a directory");
                    paths.insert(*ino, path);
                }
            }
            if paths.len() == before {
                break;
            }
        }
        let none = File::default();
        for ((parent, name), (ino, _)) in names.iter().filter(|(_, (_, directory))| !directory) {
            // Of a directory that isn't there nothing is.
            let Some(parent) = paths.get(parent) else { continue };
            let file = self.files.get(ino).unwrap_or(&none);
            let mut bytes = file.bytes.clone();
            for event in &file.pending {
                match event {
                    Event::Write { ino, at, data } => {
                        for (n, sector) in data.chunks(SECTOR).enumerate() {
                            if keep() {
                                let at = at + (n * SECTOR) as u64;
                                apply(&mut bytes, &Event::Write { ino: *ino, at, data: sector.to_vec() });
                            }
                        }
                    }
                    resize if keep() => apply(&mut bytes, resize),
                    _ => {}
                }
            }
            fs::write(parent.join(name), bytes).expect("a file");
        }
    }
}

fn apply(bytes: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write { at, data, .. } => put(bytes, *at, data),
        Event::Resize { size, .. } => bytes.resize(*size as usize, 0),
        _ => unreachable!("only bytes are pending for a file"),
    }
}

fn concerns(event: &Event, directory: u64) -> bool {
    match event {
        Event::Make { parent, .. } | Event::Remove { parent, .. } => *parent == directory,
        // It is one change of a journal.
        Event::Rename { from, to } => from.0 == directory || to.0 == directory,
        _ => false,
    }
}

fn rename_all(names: &mut BTreeMap<Name, (u64, bool)>, events: Vec<Event>) {
    for event in events {
        match event {
            Event::Make { ino, parent, name, directory } => {
                names.insert((parent, name), (ino, directory));
            }
            Event::Remove { parent, name } => {
                names.remove(&(parent, name));
            }
            Event::Rename { from, to } => {
                if let Some(moved) = names.remove(&from) {
                    names.insert(to, moved);
                }
            }
            _ => unreachable!("only names are pending for directories"),
        }
    }
}
