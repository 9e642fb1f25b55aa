//! Paths to inodes, and trees to the files in them, a batch at a time: a vault may have millions.

use std::collections::HashMap;
use std::collections::HashSet;

use super::answer::Failure;
use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::Entry;
use crate::catalog::Ino;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::ROOT;
use crate::control::wire::PathText;

/// How many entries are asked of the catalog at a time.
pub(super) const BATCH: usize = 256;

/// A regular file that isn't empty.
#[derive(Debug)]
pub(super) struct File {
    /// Its path from the mount's root.
    pub(super) path: PathText,
    /// Its inode.
    pub(super) inode: Inode,
    /// Its content.
    pub(super) content: Content,
}

/// The inode at `path`.
///
/// # Errors
/// A `not-found` that names the path.
pub(super) fn resolve(catalog: &Catalog, path: &PathText) -> Result<Inode, Failure> {
    let mut inode = catalog.inode(ROOT)?;
    for name in components(path) {
        let missing = || Failure::not_found(format!("there is no {path:?} in this mount", path = path.encode()));
        inode = catalog.lookup(inode.ino, name)?.ok_or_else(missing)?;
    }
    Ok(inode)
}

/// Hands every file that isn't empty in the trees `paths` to `visit`, some at a time; each once, however many names it has
/// in there.
///
/// # Errors
/// A `not-found` that names a path, before anything is visited; those of `visit`.
pub(super) fn visit(
    catalog: &Catalog,
    paths: &[PathText],
    mut visit: impl FnMut(Vec<File>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    let roots: Vec<_> = paths.iter().map(|path| Ok((path, resolve(catalog, path)?))).collect::<Result<_, Failure>>()?;
    let mut outermost = outermost(&roots.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    // A path that is given twice counts once.
    let roots = roots.into_iter().filter(|(path, _)| outermost.remove(*path));
    let mut entries = roots.flat_map(|(path, inode)| Walk::new(catalog, path, inode));
    loop {
        let batch: Vec<_> = entries.by_ref().take(BATCH).collect::<catalog::Result<_>>()?;
        if batch.is_empty() {
            return Ok(());
        }
        let files = with_contents(
            catalog,
            batch.into_iter().filter(|(_, inode)| {
                // Only what has several names can come twice.
                inode.nlink <= 1 || seen.insert(inode.ino)
            }),
        )?;
        visit(files)?;
    }
}

/// Those of `paths` that aren't below another of them, so that nothing is visited twice.
pub(super) fn outermost(paths: &[&PathText]) -> HashSet<PathText> {
    let mut sorted: Vec<_> = paths.iter().map(|path| (components(path).collect::<Vec<_>>(), *path)).collect();
    // A directory comes right before what is below it.
    sorted.sort();
    let mut kept: Vec<(Vec<&[u8]>, &PathText)> = Vec::new();
    for (components, path) in sorted {
        if !kept.last().is_some_and(|(above, _)| components.starts_with(above)) {
            kept.push((components, path));
        }
    }
    kept.into_iter().map(|(_, path)| path.clone()).collect()
}

/// Whether `path` is the mount's root.
pub(super) fn is_root(path: &PathText) -> bool {
    components(path).next().is_none()
}

/// The names of a path.
pub(super) fn components(path: &PathText) -> impl Iterator<Item = &[u8]> {
    path.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

/// Looks up the contents of files, in one question to the catalog. What lost its content meanwhile is left out.
fn with_contents(catalog: &Catalog, files: impl Iterator<Item = (Vec<u8>, Inode)>) -> catalog::Result<Vec<File>> {
    let files: Vec<_> = files.collect();
    let mut contents = contents(catalog, files.iter().map(|(_, inode)| inode))?;
    let file = |(path, inode): (Vec<u8>, Inode)| {
        let content = contents.remove(&inode.content?)?;
        Some(File { path: PathText(path), inode, content })
    };
    Ok(files.into_iter().filter_map(file).collect())
}

/// The contents of inodes, by their ID.
pub(super) fn contents<'a>(
    catalog: &Catalog,
    inodes: impl Iterator<Item = &'a Inode>,
) -> catalog::Result<HashMap<ContentId, Content>> {
    let ids: Vec<ContentId> = inodes.filter_map(|inode| inode.content).collect();
    Ok(catalog.contents(&ids)?.into_iter().map(|content| (content.id, content)).collect())
}

/// A walk over a tree, depth first. Of each directory on the way it holds one batch of entries.
struct Walk<'a> {
    catalog: &'a Catalog,
    /// The file that was asked for, where it isn't a directory.
    alone: Option<Inode>,
    path: Vec<u8>,
    frames: Vec<Frame>,
}

/// A directory that is being walked.
struct Frame {
    dir: Ino,
    /// The length of its path.
    length: usize,
    /// The last entry that was asked of the catalog.
    cookie: u64,
    entries: std::vec::IntoIter<Entry>,
}

impl<'a> Walk<'a> {
    fn new(catalog: &'a Catalog, path: &PathText, inode: Inode) -> Self {
        let path = components(path).collect::<Vec<_>>().join(&b'/');
        let mut walk = Walk { catalog, alone: None, path, frames: Vec::new() };
        match inode.is_dir() {
            true => walk.enter(inode.ino),
            false => walk.alone = Some(inode),
        }
        walk
    }

    fn enter(&mut self, dir: Ino) {
        self.frames.push(Frame { dir, length: self.path.len(), cookie: 0, entries: Vec::new().into_iter() });
    }
}

impl Iterator for Walk<'_> {
    type Item = catalog::Result<(Vec<u8>, Inode)>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_wanted = |inode: &Inode| inode.kind() == Kind::File && inode.content.is_some();
        if let Some(inode) = self.alone.take() {
            return is_wanted(&inode).then(|| Ok((self.path.clone(), inode)));
        }
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.length);
            let Some(entry) = frame.entries.next() else {
                let entries = match self.catalog.readdir(frame.dir, frame.cookie, BATCH) {
                    Ok(entries) => entries,
                    Err(error) => return Some(Err(error)),
                };
                match entries.last() {
                    Some(last) => frame.cookie = last.cookie,
                    None => _ = self.frames.pop(),
                }
                if let Some(frame) = self.frames.last_mut().filter(|_| !entries.is_empty()) {
                    frame.entries = entries.into_iter();
                }
                continue;
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            if entry.inode.is_dir() {
                self.enter(entry.inode.ino);
            } else if is_wanted(&entry.inode) {
                return Some(Ok((self.path.clone(), entry.inode)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::NewInode;

    fn text(path: &str) -> PathText {
        PathText(path.into())
    }

    /// Promise: of paths that contain each other only the outermost count, by components, not by letters.
    #[test]
    fn nested_paths_count_once() {
        let kept = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| text(path)).collect();
            let mut kept: Vec<_> = outermost(&paths.iter().collect::<Vec<_>>()).iter().map(PathText::encode).collect();
            kept.sort();
            kept
        };
        assert_eq!(kept(&["v/a/b", "v/a", "v/a b", "v/ab"]), ["v/a", "v/a b", "v/ab"]);
        assert_eq!(kept(&["v", "", "w"]), [""]);
        assert_eq!(kept(&["v/a", "v//a/"]).len(), 1);
    }

    /// Promise: a walk finds every file that isn't empty once, through directories of many batches, at any depth, by the
    /// path that it was asked by; and a missing path is named.
    #[test]
    fn a_walk_finds_every_file_once() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let catalog = Catalog::open(&tmp.path().join("catalog.db"), Duration::ZERO).expect("catalog");
        let new = |kind: Kind, content| NewInode {
            mode: kind.bits() | 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: None,
            content,
        };
        let vault = catalog.add_vault("v", "", new(Kind::Directory, None), 1).expect("vault").0.ino;
        let mut id = 0;
        let mut file = |dir: Ino, name: &str| {
            id += 1;
            catalog.create(dir, name.as_bytes(), new(Kind::File, Some(id)), 1).expect("file").ino
        };
        let count = 2 * BATCH + 3;
        let mut expected = HashSet::new();
        let mut dir = vault;
        let mut path = "v".to_owned();
        for depth in 0..4 {
            for n in 0..if depth % 2 == 0 { count } else { 1 } {
                file(dir, &format!("f{n}"));
                expected.insert(format!("{path}/f{n}"));
            }
            dir = catalog.create(dir, b"d", new(Kind::Directory, None), 1).expect("directory").ino;
            path += "/d";
        }
        let linked = file(dir, "one");
        catalog.link(linked, vault, b"two", 1).expect("link");
        catalog.create(vault, b"empty", new(Kind::File, None), 1).expect("empty file");
        catalog.create(vault, b"fifo", new(Kind::Fifo, None), 1).expect("fifo");

        let walked = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| text(path)).collect();
            let mut found: Vec<String> = Vec::new();
            visit(&catalog, &paths, |files| {
                assert!(files.len() <= BATCH);
                assert!(files.iter().all(|file| file.inode.content == Some(file.content.id)));
                found.extend(files.iter().map(|file| file.path.encode()));
                Ok(())
            })
            .expect("walked");
            found
        };
        let mut found = walked(&["v/d/f0", "", "v/d"]);
        let before = found.len();
        found.retain(|path| path != "v/two" && path != &format!("{path}/one") && !path.ends_with("/one"));
        assert_eq!((before, found.len()), (expected.len() + 1, expected.len()), "each once, the linked file too");
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
        assert_eq!(walked(&["/v/d/f0/"]), ["v/d/f0"]);
        assert!(walked(&["v/empty", "v/fifo"]).is_empty());

        for missing in ["v/nothing", "v/f0/below", "w"] {
            let failure = visit(&catalog, &[text("v/f0"), text(missing)], |_| unreachable!("nothing is visited"));
            let failure = format!("{:?}", failure.expect_err("not found"));
            assert!(failure.contains("NotFound") && failure.contains(missing), "{failure}");
        }
    }
}
