//! Which files are meant: paths, patterns, and how new they must be.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::GlobBuilder;
use globset::GlobMatcher;
use jiff::Timestamp;

use super::answer::Failure;
use super::tree;
use super::tree::File;
use crate::catalog::Catalog;
use crate::control::wire::PathText;

/// What makes a path that doesn't exist a pattern.
const SPECIAL: &[u8] = b"*?[{";

/// Files in a mount.
pub(super) struct Selection {
    /// Trees of which everything is meant.
    roots: Vec<PathText>,
    /// Patterns for what is below the last directory before the first special character, and what is in trees that match.
    patterns: Vec<(PathText, GlobMatcher)>,
    /// Only what was written to then or later, in nanoseconds since 1970.
    newer: Option<i64>,
}

impl Selection {
    /// The files that `paths` mean.
    ///
    /// # Errors
    /// A `not-found` that names a path that doesn't exist and isn't a pattern; an `invalid` for a pattern that isn't one.
    pub(super) fn new(catalog: &Catalog, paths: &[PathText], newer: Option<Timestamp>) -> Result<Self, Failure> {
        let newer = newer.map(|newer| i64::try_from(newer.as_nanosecond()).unwrap_or(i64::MAX));
        let mut selection = Selection { roots: Vec::new(), patterns: Vec::new(), newer };
        for path in paths {
            let missing = match tree::resolve(catalog, path) {
                Ok(_) => {
                    selection.roots.push(path.clone());
                    continue;
                }
                Err(missing) => missing,
            };
            let names: Vec<&[u8]> = tree::components(path).collect();
            let is_special = |name: &&[u8]| name.iter().any(|byte| SPECIAL.contains(byte));
            let (Some(first), Ok(text)) = (names.iter().position(is_special), std::str::from_utf8(&path.0)) else {
                return Err(missing);
            };
            let glob = GlobBuilder::new(text.trim_matches('/')).literal_separator(true).build();
            let glob =
                glob.map_err(|error| Failure::invalid(format!("{text:?} is not a pattern: {}", error.kind())))?;
            let prefix = PathText(names[..first].join(&b'/'));
            tree::resolve(catalog, &prefix)?;
            selection.patterns.push((prefix, glob.compile_matcher()));
        }
        Ok(selection)
    }

    /// Hands every file that is meant and isn't empty to `visit`, some at a time, each once.
    ///
    /// # Errors
    /// A `not-found` where patterns match nothing; those of `visit`.
    pub(super) fn visit(
        &self,
        catalog: &Catalog,
        mut visit: impl FnMut(Vec<File>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let trees: Vec<PathText> =
            self.roots.iter().chain(self.patterns.iter().map(|(prefix, _)| prefix)).cloned().collect();
        let mut matched = !self.roots.is_empty();
        tree::visit(catalog, &trees, |files| {
            let files: Vec<File> = files.into_iter().filter(|file| self.means(&file.path)).collect();
            matched |= !files.is_empty();
            let is_new = |file: &File| self.newer.is_none_or(|newer| file.inode.mtime >= newer);
            visit(files.into_iter().filter(is_new).collect())
        })?;
        match matched {
            true => Ok(()),
            false => Err(Failure::not_found("no file matches".to_owned())),
        }
    }

    fn means(&self, path: &PathText) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let names: Vec<&[u8]> = tree::components(path).collect();
        let is_below = |root: &PathText| names.starts_with(&tree::components(root).collect::<Vec<_>>());
        // A directory that matches means all that is in it.
        let matches = |glob: &GlobMatcher| {
            (1..=names.len()).any(|length| glob.is_match(OsStr::from_bytes(&names[..length].join(&b'/'))))
        };
        self.roots.iter().any(is_below) || self.patterns.iter().any(|(_, glob)| matches(glob))
    }
}
