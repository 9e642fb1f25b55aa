//! Random steps. What has happened is remembered roughly, so that most paths mean something; nothing depends on it being right.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::op::Allocation;
use super::op::FARTHEST;
use super::op::Flags;
use super::op::Moving;
use super::op::NAMES;
use super::op::Op;
use super::op::Path;
use super::op::SLOTS;
use super::op::Setting;
use super::op::Special;
use super::op::Step;
use super::op::When;

/// How deep paths go.
const DEPTH: usize = 3;
/// From how many names on more are removed than made.
const MANY: usize = 40;

/// How often, in a thousand steps, what programs don't do happens.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub flushes: u32,
    pub evictions: u32,
    pub restarts: u32,
    /// Whether the disk under our store can zero ranges, which tmpfs can't.
    pub zero_range: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Other,
}

pub struct Generator {
    rng: StdRng,
    mix: Mix,
    known: BTreeMap<Path, Kind>,
    /// What is to be evicted next: only what was archived just now is sure to be.
    next: Option<Op>,
}

impl Generator {
    pub fn new(seed: u64, mix: Mix) -> Self {
        Generator { rng: StdRng::seed_from_u64(seed), mix, known: BTreeMap::new(), next: None }
    }

    pub fn step(&mut self) -> Step {
        Step { op: self.op(), look: self.rng.random_bool(0.3) }
    }

    /// Remembers what a step that was done has made and removed.
    pub fn learn(&mut self, op: &Op) {
        match op {
            Op::Open { path, flags: Flags { create: true, .. }, .. }
            | Op::Put { path, flags: Flags { create: true, .. }, .. } => self.made(path, Kind::File),
            Op::Mkdir { path, .. } => self.made(path, Kind::Directory),
            Op::Symlink { path, .. } | Op::Mknod { path, .. } => self.made(path, Kind::Other),
            Op::Link { from, to } => {
                let kind = self.known.get(from).copied().unwrap_or(Kind::Other);
                self.made(to, kind);
            }
            Op::Unlink { path } | Op::Rmdir { path } => {
                self.known.remove(path);
            }
            Op::Rename { from, to, how } => {
                let moved = self.take(from);
                let target = self.take(to);
                self.put(to, moved);
                if *how == Moving::Exchange {
                    self.put(from, target);
                }
            }
            _ => {}
        }
    }

    fn made(&mut self, path: &Path, kind: Kind) {
        self.known.entry(path.clone()).or_insert(kind);
    }

    /// What is at and below a path, relative to it.
    fn take(&mut self, path: &Path) -> Vec<(Vec<u8>, Kind)> {
        let inside = |known: &Path| known.0.starts_with(&path.0);
        let taken = self.known.extract_if(.., |known, _| inside(known));
        taken.map(|(known, kind)| (known.0[path.0.len()..].to_vec(), kind)).collect()
    }

    fn put(&mut self, path: &Path, tree: Vec<(Vec<u8>, Kind)>) {
        for (below, kind) in tree {
            self.known.insert(Path([&path.0[..], &below].concat()), kind);
        }
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    /// A path that something is at, most of the time something of this kind.
    fn existing(&mut self, kind: Option<Kind>) -> Path {
        let strict = !self.one_in(10);
        let fits = |found: &Kind| !strict || kind.is_none_or(|kind| kind == *found);
        let paths: Vec<&Path> = self.known.iter().filter(|(_, found)| fits(found)).map(|(path, _)| path).collect();
        match paths.choose(&mut self.rng) {
            Some(path) => (*path).clone(),
            None => self.fresh(),
        }
    }

    /// A path that nothing may be at.
    fn fresh(&mut self) -> Path {
        let mut above = match self.one_in(3) {
            true => Path::default(),
            false => self.directory(),
        };
        above.0.truncate(DEPTH - 1);
        above.below(self.rng.random_range(0..NAMES))
    }

    /// A directory, perhaps the sequence's own.
    fn directory(&mut self) -> Path {
        let is_directory = |(path, kind): (&Path, &Kind)| (*kind == Kind::Directory).then(|| path.clone());
        let mut paths: Vec<Path> = self.known.iter().filter_map(is_directory).collect();
        paths.push(Path::default());
        paths.choose(&mut self.rng).cloned().unwrap_or_default()
    }

    fn new_path(&mut self) -> Path {
        if self.one_in(8) { self.existing(None) } else { self.fresh() }
    }

    fn file(&mut self) -> Path {
        self.existing(Some(Kind::File))
    }

    fn any(&mut self) -> Path {
        if self.one_in(12) { self.fresh() } else { self.existing(None) }
    }

    /// Anything, or the sequence's directory itself.
    fn any_or_top(&mut self) -> Path {
        if self.one_in(15) { Path::default() } else { self.any() }
    }

    fn slot(&mut self) -> u8 {
        self.rng.random_range(0..SLOTS)
    }

    /// A place in a file: near its start, near the borders of pages, and now and then far out.
    fn at(&mut self) -> u64 {
        match self.rng.random_range(0..20) {
            0..5 => 0,
            5..10 => self.rng.random_range(0..300),
            10..15 => (self.rng.random_range(0..20) * 4096u64 + self.rng.random_range(0..9)).saturating_sub(4),
            15..19 => self.rng.random_range(0..100_000),
            _ => self.rng.random_range(0..FARTHEST - (1 << 20)),
        }
    }

    fn len(&mut self) -> u32 {
        match self.rng.random_range(0..20) {
            0 => 0,
            1..9 => self.rng.random_range(1..300),
            9..14 => (self.rng.random_range(1..5) * 4096u32 + self.rng.random_range(0..5)) - 2,
            14..19 => self.rng.random_range(1..40_000),
            _ => self.rng.random_range(1..1 << 20),
        }
    }

    fn mode(&mut self) -> u32 {
        *[0o644, 0o600, 0o755, 0o4755, 0o2755, 0o2644, 0o1777, 0o6711, 0].choose(&mut self.rng).unwrap_or(&0o644)
    }

    fn when(&mut self) -> When {
        let nanos = self.rng.random_range(0..1_000_000_000);
        // Far from today: those in between are taken for what the clock said.
        match self.rng.random_range(0..6) {
            0 => When::Omit,
            1 => When::Now,
            2 => When::At(self.rng.random_range(-2_000_000_000..0), nanos),
            3 => When::At(0, nanos),
            4 => When::At(self.rng.random_range(4_000_000_000..9_000_000_000), nanos),
            _ => When::At(self.rng.random_range(0..1_500_000_000), nanos),
        }
    }

    fn flags(&mut self) -> Flags {
        let (reads, writes) =
            *[(true, false), (true, true), (true, true), (false, true)].choose(&mut self.rng).unwrap_or(&(true, true));
        Flags {
            reads,
            writes,
            append: self.one_in(6),
            create: self.rng.random_bool(0.6),
            exclusive: self.one_in(10),
            truncate: self.one_in(8),
        }
    }

    fn attribute(&mut self) -> String {
        let names = ["user.a", "user.b", "user.a b", "trusted.a", "user.glacierfs", "trusted.ü"];
        names.choose(&mut self.rng).unwrap_or(&"user.a").to_string()
    }

    fn op(&mut self) -> Op {
        if let Some(next) = self.next.take() {
            return next;
        }
        let Mix { flushes, evictions, restarts, .. } = self.mix;
        match self.rng.random_range(0..1000) {
            n if n < flushes => {
                let (path, wait) = (self.subject(), !self.one_in(4));
                self.next = self.one_in(2).then(|| Op::Evict { path: path.clone() });
                return Op::Flush { path, wait };
            }
            n if n < flushes + evictions => return Op::Evict { path: self.subject() },
            n if n < flushes + evictions + evictions / 6 => return Op::Restore { path: self.subject() },
            n if n >= 1000 - restarts => return Op::Restart { kill: self.rng.random_bool(0.5) },
            _ => {}
        }
        if self.known.len() > MANY && self.rng.random_bool(0.4) {
            return self.removal();
        }
        match self.rng.random_range(0..100) {
            0..10 => self.opening(),
            10..14 => Op::Close { slot: self.slot() },
            14..22 => Op::Read { slot: self.slot(), at: self.at(), len: self.len() },
            22..35 => Op::Write { slot: self.slot(), at: self.at(), len: self.len(), fill: self.rng.random() },
            35..38 => Op::Ftruncate { slot: self.slot(), size: self.at() },
            38 => Op::Fsync { slot: self.slot(), data_only: self.rng.random() },
            39..43 => self.allocation(),
            43..45 => Op::Segments { slot: self.slot() },
            45 => Op::Fchmod { slot: self.slot(), mode: self.mode() },
            46 => Op::Futimens { slot: self.slot(), atime: self.when(), mtime: self.when() },
            47..55 => self.putting(),
            55..60 => Op::Mkdir { path: self.new_path(), mode: self.mode() },
            60..66 => self.removal(),
            66..69 => Op::Link { from: self.any(), to: self.new_path() },
            69..71 => Op::Symlink { path: self.new_path(), target: self.target() },
            71 => self.special(),
            72..80 => self.moving(),
            80..82 => Op::Chmod { path: self.any_or_top(), mode: self.mode() },
            82..84 => self.owning(),
            84..87 => Op::Utimens { path: self.any_or_top(), atime: self.when(), mtime: self.when() },
            87..91 => Op::Truncate { path: self.file(), size: self.at() },
            91..94 => self.attribution(),
            94 => Op::Removexattr { path: self.any_or_top(), name: self.attribute() },
            95 => Op::Getxattr { path: self.any_or_top(), name: self.attribute() },
            96 => Op::Readlink { path: self.any() },
            _ => Op::Readdir { path: self.directory() },
        }
    }

    /// What is archived or evicted: a file, a directory, all.
    fn subject(&mut self) -> Path {
        match self.rng.random_range(0..4) {
            0 => Path::default(),
            1 => self.directory(),
            _ => self.file(),
        }
    }

    fn opening(&mut self) -> Op {
        let flags = self.flags();
        let path = if flags.create { self.new_path() } else { self.file() };
        let path = if self.one_in(3) { self.file() } else { path };
        Op::Open { slot: self.slot(), path, flags, mode: self.mode() }
    }

    fn putting(&mut self) -> Op {
        let flags = Flags { reads: false, writes: true, create: true, exclusive: false, ..self.flags() };
        let path = if self.rng.random() { self.file() } else { self.new_path() };
        Op::Put { path, flags, at: self.at(), len: self.len(), fill: self.rng.random() }
    }

    fn removal(&mut self) -> Op {
        match self.one_in(4) {
            true => Op::Rmdir { path: self.existing(Some(Kind::Directory)) },
            false => Op::Unlink { path: self.any() },
        }
    }

    fn target(&mut self) -> Path {
        let mut target = self.any_or_top();
        // Relative to the link's own directory, it often leads to what is there.
        if self.rng.random() && target.0.len() > 1 {
            target.0.remove(0);
        }
        target
    }

    fn special(&mut self) -> Op {
        let what = match self.rng.random_range(0..3) {
            0 => Special::Fifo,
            1 => Special::Socket,
            _ => Special::Device(self.rng.random_range(1..10)),
        };
        Op::Mknod { path: self.new_path(), what, mode: self.mode() }
    }

    fn moving(&mut self) -> Op {
        let how = *[Moving::Replace, Moving::Replace, Moving::Replace, Moving::NoReplace, Moving::Exchange]
            .choose(&mut self.rng)
            .unwrap_or(&Moving::Replace);
        let from = self.any();
        let to = if self.rng.random() { self.any() } else { self.new_path() };
        Op::Rename { from, to, how }
    }

    fn owning(&mut self) -> Op {
        let mut id = || *[None, Some(0), Some(1000), Some(65534)].choose(&mut self.rng).unwrap_or(&None);
        let (uid, gid) = (id(), id());
        Op::Chown { path: self.any_or_top(), uid, gid }
    }

    fn attribution(&mut self) -> Op {
        let how = *[Setting::Any, Setting::Any, Setting::Create, Setting::Replace]
            .choose(&mut self.rng)
            .unwrap_or(&Setting::Any);
        let (path, name) = (self.any_or_top(), self.attribute());
        Op::Setxattr { path, name, len: self.rng.random_range(0..200), fill: self.rng.random(), how }
    }

    fn allocation(&mut self) -> Op {
        let how = match self.rng.random_range(0..if self.mix.zero_range { 4 } else { 3 }) {
            0 => Allocation::Allocate { keep_size: self.rng.random() },
            1 | 2 => Allocation::PunchHole,
            _ => Allocation::ZeroRange { keep_size: self.rng.random() },
        };
        Op::Fallocate { slot: self.slot(), how, at: self.at(), len: self.len().into() }
    }
}
