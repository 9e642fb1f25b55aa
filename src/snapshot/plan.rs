//! Whether a snapshot tells of a tree at all: every inode is a kind of file, has a name that can be one, in a directory that
//! is in the snapshot too, and every directory is somewhere below the vault's own. Found out before anything is made of it.

use std::collections::HashMap;

use super::read::Damaged;
use crate::catalog::Ino;
use crate::catalog::Kind;
use crate::catalog::Node;

/// Longest name in bytes (POSIX NAME_MAX on Linux).
const NAME_MAX: usize = 255;

/// What a snapshot holds, checked.
pub(super) struct Plan {
    /// The vault's own directory, if the snapshot tells of it.
    pub root: Option<Node>,
    /// The other directories, those above before those below, each with how deep it is.
    pub directories: Vec<(u32, Node)>,
    /// How many inodes there are.
    pub entries: u64,
}

impl Plan {
    /// Reads all of a snapshot, whose vault's own directory has the number `root`. Keeps directories only.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(super) fn read(root: Ino, nodes: impl Iterator<Item = Result<Node, Damaged>>) -> Result<Self, Damaged> {
        let wrong = |ino: Ino, what: &str| Damaged::Tree(format!("inode {ino} {what}"));
        let mut plan = Plan { root: None, directories: Vec::new(), entries: 0 };
        // By what is said to be a directory somewhere, and by what is one.
        let mut parents: HashMap<Ino, Ino> = HashMap::new();
        let mut wanted: HashMap<Ino, Ino> = HashMap::new();
        for node in nodes {
            let node = node?;
            plan.entries += 1;
            check(&node, root)?;
            if node.ino == root {
                plan.root = Some(node);
                continue;
            }
            if node.trash.is_some() {
                continue;
            }
            if Kind::of(node.mode) == Some(Kind::Directory) {
                let [(parent, _)] = node.names[..] else {
                    return Err(wrong(node.ino, "is a directory with several names"));
                };
                parents.insert(node.ino, parent);
                plan.directories.push((0, node));
            } else {
                for (parent, _) in &node.names {
                    wanted.entry(*parent).or_insert(node.ino);
                }
            }
        }
        if let Some((_, child)) = wanted.iter().find(|(parent, _)| **parent != root && !parents.contains_key(parent)) {
            return Err(wrong(*child, "is in a directory that isn't there"));
        }
        let mut depths: HashMap<Ino, u32> = HashMap::from([(root, 0)]);
        for (depth, node) in &mut plan.directories {
            let mut way = Vec::new();
            let mut at = node.ino;
            let mut known = loop {
                if let Some(known) = depths.get(&at) {
                    break *known;
                }
                way.push(at);
                if way.len() > parents.len() {
                    return Err(wrong(node.ino, "is a directory in itself"));
                }
                at = *parents.get(&at).ok_or_else(|| wrong(at, "is in a directory that isn't there"))?;
            };
            for ino in way.into_iter().rev() {
                known += 1;
                depths.insert(ino, known);
            }
            *depth = known;
        }
        plan.directories.sort_by_key(|(depth, node)| (*depth, node.ino));
        Ok(plan)
    }
}

fn check(node: &Node, root: Ino) -> Result<(), Damaged> {
    let wrong = |what: &str| Err(Damaged::Tree(format!("inode {} {what}", node.ino)));
    let Some(kind) = Kind::of(node.mode).filter(|_| node.mode & !(libc::S_IFMT | 0o7777) == 0) else {
        return wrong("is of no kind that there is");
    };
    if node.ino == root {
        let is_good = kind == Kind::Directory && node.trash.is_none();
        return if is_good { Ok(()) } else { wrong("is the vault, and no directory") };
    }
    if node.ino <= 1 || node.names.is_empty() != node.trash.is_some() {
        return wrong("has no name and isn't in the trash, or has one and is");
    }
    if node.trash.iter().flat_map(|trash| trash.lost.iter().chain([&trash.path])).any(|path| !is_path(path)) {
        return wrong("has a path in the trash that can't be one");
    }
    if node.names.iter().any(|(_, name)| !is_name(name)) {
        return wrong("has a name that can't be one");
    }
    if (kind == Kind::Symlink) != node.target.is_some()
        || node.target.as_ref().is_some_and(|target| target.contains(&0))
    {
        return wrong("points nowhere, or isn't a link");
    }
    if node.content.is_some() && kind != Kind::File || i64::try_from(node.size).is_err() {
        return wrong("has bytes and is no file");
    }
    let archived = node.content.as_ref().filter(|content| content.archive.is_some());
    match archived {
        Some(content) if content.size != node.size => wrong("has another size than its archive"),
        None if node.content.is_none() && kind == Kind::File && node.size > 0 => wrong("has a size, and no bytes"),
        _ => Ok(()),
    }
}

/// Whether `path` can be one within a vault. Empty: none is known.
fn is_path(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(is_name)
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}
