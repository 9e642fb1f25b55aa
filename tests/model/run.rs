//! A sequence on two targets side by side, compared after each step.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

use super::op::Op;
use super::op::Path;
use super::op::SLOTS;
use super::op::Step;
use super::target::Answer;
use super::target::Attr;
use super::target::Result;
use super::target::Target;

/// The attributes of an open file, or why there are none; nothing where none is open.
type MaybeAttr = Option<Result<Attr>>;

/// After how many steps everything is compared.
pub const EVERYTHING: usize = 500;
/// Files up to this size are compared whole after a step, larger ones around it.
const WHOLE: u64 = 256 << 10;

/// Nanoseconds.
const DAY: i64 = 24 * 3600 * 1_000_000_000;
/// Longer than a tick of the kernel's clock (CONFIG_HZ=100), in nanoseconds.
const TICK: i64 = 20_000_000;

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

/// A difference, and the kind of thing that differs, so that shrinking doesn't end with another one.
#[derive(Clone, Debug)]
pub struct Difference {
    pub kind: String,
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.text)
    }
}

/// Says that there is a difference unless both sides are the same.
fn same<T: PartialEq + fmt::Debug>(kind: &str, what: impl fmt::Display, right: &T, ours: &T) -> Compared {
    match right == ours {
        true => Ok(()),
        false => different(kind, format!("{what}: {kind} should be {} and is {}", short(right), short(ours))),
    }
}

fn different(kind: &str, text: String) -> Compared {
    Err(Difference { kind: kind.to_owned(), text })
}

type Compared = std::result::Result<(), Difference>;

fn short(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

/// Two targets: the one that is right, and ours.
pub struct Pair<'a> {
    pub right: &'a mut dyn Target,
    pub ours: &'a mut dyn Target,
    /// Whether the clocks of both are fine enough to tell by a time whether a step changed it.
    pub times: bool,
    /// Explicit times aren't between these two.
    today: (i64, i64),
}

/// What was seen of a path on both sides.
type Seen = BTreeMap<Path, (Result<Attr>, Result<Attr>)>;

impl<'a> Pair<'a> {
    pub fn new(right: &'a mut dyn Target, ours: &'a mut dyn Target, times: bool) -> Self {
        Pair { right, ours, times, today: (now() - DAY, now() + DAY) }
    }

    pub fn afresh(&mut self) {
        self.right.afresh();
        self.ours.afresh();
    }

    /// Does the step number `n` of a sequence, and now and then compares everything. Answers whether the operation was done.
    pub fn nth_step(&mut self, step: &Step, n: usize) -> std::result::Result<bool, Difference> {
        let done = self.step(step)?;
        if (n + 1).is_multiple_of(EVERYTHING) {
            self.everything()?;
        }
        Ok(done)
    }

    /// Does one step on both sides and compares what it touched. Answers whether the operation was done.
    fn step(&mut self, step: &Step) -> std::result::Result<bool, Difference> {
        let op = &step.op;
        let touched = touched(op);
        let before = self.see(&touched);
        let opened = op.slot().map(|slot| (self.right.attr_of(slot), self.ours.attr_of(slot)));
        let (right, ours) = (self.right.apply(op), self.ours.apply(op));
        self.answers(op, &right, &ours)?;

        let after = self.see(&touched);
        for (path, (right, ours)) in &after {
            self.attributes(path, right, ours)?;
            let (before_right, before_ours) = &before[path];
            if let (Ok(before_right), Ok(right), Ok(before_ours), Ok(ours)) = (before_right, right, before_ours, ours) {
                self.changes(op, path, (before_right, right), (before_ours, ours))?;
            }
        }
        if let Some(slot) = op.slot() {
            self.open_file(op, slot, opened)?;
        }
        if step.look {
            self.look(op, &after)?;
        }
        if matches!(op, Op::Restart { .. }) {
            self.everything()?;
        }
        Ok(right.is_ok())
    }

    fn see(&mut self, paths: &BTreeSet<Path>) -> Seen {
        paths.iter().map(|path| (path.clone(), (self.right.attr(path), self.ours.attr(path)))).collect()
    }

    fn answers(&self, op: &Op, right: &Result<Answer>, ours: &Result<Answer>) -> Compared {
        let named = |answer: &Result<Answer>| match answer {
            Err(errno) => format!("{}", nix::errno::Errno::from_raw(*errno)),
            Ok(answer) => short(answer),
        };
        match (right, ours) {
            (Ok(Answer::Segments(_)), Ok(Answer::Segments(_))) => Ok(()),
            (Ok(Answer::Bytes(right)), Ok(Answer::Bytes(ours))) => bytes(&"the answer", 0, right, ours),
            (right, ours) if right == ours => Ok(()),
            (right, ours) => {
                let operation = format!("{op:?}");
                let kind = format!("answer to {}", operation.split(' ').next().unwrap_or_default());
                different(&kind, format!("{kind} should be {} and is {}", named(right), named(ours)))
            }
        }
    }

    /// Compares two attributes, as far as they aren't the clock's or the disk's.
    fn attributes(&self, what: &dyn fmt::Display, right: &Result<Attr>, ours: &Result<Attr>) -> Compared {
        let (right, ours) = match (right, ours) {
            (Ok(right), Ok(ours)) => (right, ours),
            (right, ours) => return same("lookup", what, &right.map(drop), &ours.map(drop)),
        };
        same("mode", what, &format!("{:o}", right.mode), &format!("{:o}", ours.mode))?;
        same("nlink", what, &right.nlink, &ours.nlink)?;
        same("uid", what, &right.uid, &ours.uid)?;
        same("gid", what, &right.gid, &ours.gid)?;
        same("rdev", what, &right.rdev, &ours.rdev)?;
        if !right.is_dir() {
            same("size", what, &right.size, &ours.size)?;
        }
        self.explicit("mtime", what, right.mtime, ours.mtime)?;
        // Following a link counts as an access to it, which not every file system notes.
        if right.kind() != libc::S_IFLNK {
            self.explicit("atime", what, right.atime, ours.atime)?;
        }
        Ok(())
    }

    /// Compares times, which are the same if they were set, and of today if the clock gave them.
    fn explicit(&self, kind: &str, what: &dyn fmt::Display, right: i64, ours: i64) -> Compared {
        let (from, to) = self.today;
        let today = |time: i64| (from..to).contains(&time);
        if today(right) && today(ours) { Ok(()) } else { same(kind, what, &right, &ours) }
    }

    /// Compares which times and numbers a step has changed.
    fn changes(&self, op: &Op, what: &dyn fmt::Display, right: (&Attr, &Attr), ours: (&Attr, &Attr)) -> Compared {
        let replaced = |(before, after): (&Attr, &Attr)| before.ino != after.ino;
        same("inode number's change", what, &replaced(right), &replaced(ours))?;
        if replaced(right) || !self.times || matches!(op, Op::Restart { .. }) {
            return Ok(());
        }
        same("change of mtime", what, &(right.0.mtime != right.1.mtime), &(ours.0.mtime != ours.1.mtime))?;
        // Setting an attribute to what it is changes nothing on some disks. A file that is written has the time of a file in the
        // store, by the kernel's clock, which ticks more slowly than the one of what is in the catalog.
        let within_tick = ours.1.ctime - ours.0.ctime == 0 && now() - ours.0.ctime < TICK;
        if !matches!(op, Op::Setxattr { .. }) && !within_tick {
            same("change of ctime", what, &(right.0.ctime != right.1.ctime), &(ours.0.ctime != ours.1.ctime))?;
        }
        Ok(())
    }

    fn open_file(&mut self, op: &Op, slot: u8, before: Option<(MaybeAttr, MaybeAttr)>) -> Compared {
        let what = format!("open file {slot}");
        let (right, ours) = (self.right.attr_of(slot), self.ours.attr_of(slot));
        let (Some(right), Some(ours)) = (right, ours) else {
            return same("open", what, &right.is_some(), &ours.is_some());
        };
        self.attributes(&what, &right, &ours)?;
        if !matches!(op, Op::Open { .. })
            && let (Some((Some(Ok(before_right)), Some(Ok(before_ours)))), Ok(right), Ok(ours)) = (before, right, ours)
        {
            self.changes(op, &what, (&before_right, &right), (&before_ours, &ours))?;
        }
        Ok(())
    }

    /// Compares the content of what a step touched.
    fn look(&mut self, op: &Op, touched: &Seen) -> Compared {
        if let Some(slot) = op.slot()
            && let Some(Ok(attr)) = self.right.attr_of(slot)
            && attr.is_file()
        {
            let what = format!("open file {slot}");
            for (at, len) in windows(attr.size, op.at()) {
                let (right, ours) = (self.right.read_of(slot, at, len), self.ours.read_of(slot, at, len));
                let (Some(right), Some(ours)) = (right, ours) else { break };
                self.contents(&what, at, right, ours)?;
            }
            if let (Ok(Answer::Segments(segments)), Some(Ok(bytes))) =
                (self.ours.apply(&Op::Segments { slot }), self.right.read_of(slot, 0, attr.size as usize))
            {
                within(&what, &segments, &bytes)?;
            }
        }
        for (path, (attr, _)) in touched {
            let Ok(attr) = attr else { continue };
            self.node(path, attr, windows(attr.size, op.at()))?;
        }
        Ok(())
    }

    /// Compares what one path leads to, the file's bytes in these windows of it.
    fn node(&mut self, path: &Path, attr: &Attr, windows: Vec<(u64, usize)>) -> Compared {
        same("extended attributes", path, &self.right.xattrs(path), &self.ours.xattrs(path))?;
        let more = match attr.kind() {
            libc::S_IFDIR => Op::Readdir { path: path.clone() },
            libc::S_IFLNK => Op::Readlink { path: path.clone() },
            libc::S_IFREG => {
                for (at, len) in windows {
                    let (right, ours) = (self.right.read(path, at, len), self.ours.read(path, at, len));
                    self.contents(path, at, right, ours)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let kind = if attr.is_dir() { "listing" } else { "target" };
        same(kind, path, &self.right.apply(&more), &self.ours.apply(&more))
    }

    fn contents(&self, what: &dyn fmt::Display, at: u64, right: Result<Vec<u8>>, ours: Result<Vec<u8>>) -> Compared {
        match (right, ours) {
            (Ok(right), Ok(ours)) => bytes(what, at, &right, &ours),
            (right, ours) => same("reading", what, &right.map(drop), &ours.map(drop)),
        }
    }

    /// Compares all there is, names of one file, and what is open.
    pub fn everything(&mut self) -> Compared {
        let mut waiting = vec![Path::default()];
        let (mut right_names, mut our_names) = (BTreeMap::new(), BTreeMap::new());
        while let Some(path) = waiting.pop() {
            let (right, ours) = (self.right.attr(&path), self.ours.attr(&path));
            self.attributes(&path, &right, &ours)?;
            let (Ok(right), Ok(ours)) = (right, ours) else { continue };
            // Which of the paths so far is the same file.
            let first = |names: &mut BTreeMap<u64, Path>, ino| names.entry(ino).or_insert(path.clone()).clone();
            let firsts = (first(&mut right_names, right.ino), first(&mut our_names, ours.ino));
            same("identity", &path, &firsts.0, &firsts.1)?;
            self.node(&path, &right, vec![(0, right.size as usize)])?;
            if right.is_dir()
                && let Ok(Answer::Names(names)) = self.right.apply(&Op::Readdir { path: path.clone() })
            {
                let below = (0..super::op::NAMES).filter(|number| names.contains_key(&super::op::name(*number)));
                waiting.extend(below.map(|number| path.below(number)));
            }
        }
        for slot in 0..SLOTS {
            let (right, ours) = (self.right.attr_of(slot), self.ours.attr_of(slot));
            let (Some(right), Some(ours)) = (right, ours) else { continue };
            self.attributes(&format!("open file {slot}"), &right, &ours)?;
            let Ok(right) = right else { continue };
            let len = right.size as usize;
            if let (Some(right), Some(ours)) = (self.right.read_of(slot, 0, len), self.ours.read_of(slot, 0, len)) {
                self.contents(&format!("open file {slot}"), 0, right, ours)?;
            }
        }
        Ok(())
    }
}

/// The paths that an operation touches, with the directories that they are in.
fn touched(op: &Op) -> BTreeSet<Path> {
    let mut touched = BTreeSet::new();
    for path in op.paths() {
        touched.extend(path.parent());
        touched.insert(path.clone());
    }
    touched
}

/// Where to compare a file of `size` bytes of which something may have changed at `at`.
fn windows(size: u64, at: u64) -> Vec<(u64, usize)> {
    const WINDOW: u64 = 64 << 10;
    if size <= WHOLE {
        return vec![(0, size as usize + 1)];
    }
    let window = |at: u64| (at.saturating_sub(WINDOW / 2), WINDOW as usize);
    vec![(0, WINDOW as usize), window(at.min(size)), window(size)]
}

fn bytes(what: &dyn fmt::Display, at: u64, right: &[u8], ours: &[u8]) -> Compared {
    if right == ours {
        return Ok(());
    }
    let first = right.iter().zip(ours).position(|(right, ours)| right != ours).unwrap_or(right.len().min(ours.len()));
    let some = |bytes: &[u8]| short(&&bytes[first..bytes.len().min(first + 16)]);
    let text = format!(
        "{what}: from byte {} on content should be {} and is {} (of {} bytes read at {at} there are {})",
        at + first as u64,
        some(right),
        some(ours),
        right.len(),
        ours.len()
    );
    different("content", text)
}

/// What isn't zero is data.
fn within(what: &str, segments: &[(u64, u64)], bytes: &[u8]) -> Compared {
    let mut at = 0;
    for (from, to) in segments.iter().copied().chain([(bytes.len() as u64, bytes.len() as u64)]) {
        let hole = at as usize..(from as usize).min(bytes.len()).max(at as usize);
        if let Some(data) = bytes[hole.clone()].iter().position(|byte| *byte != 0) {
            let place = hole.start + data;
            return different(
                "holes",
                format!("{what}: byte {place} is data, and in a hole by lseek(2): {segments:?}"),
            );
        }
        at = to.min(bytes.len() as u64);
    }
    Ok(())
}
