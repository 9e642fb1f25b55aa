//! The tree from a vault's newest snapshot: recalled, read through and checked, and only then brought into the catalog, in
//! batches that may be done twice. What is in the catalog already stays as it is.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Snapshots;
use super::merge::Merged;
use super::plan::Plan;
use super::read::Damaged;
use super::read::FileReader;
use super::take::name;
use crate::catalog;
use crate::catalog::ContentId;
use crate::catalog::Grafted;
use crate::catalog::Ino;
use crate::catalog::Node;
use crate::catalog::OwnFile;
use crate::catalog::Vault;
use crate::fs::Invalidate;
use crate::recall;
use crate::vault::Restore;
use crate::vault::Restored;
use crate::vault::SnapshotReport;

/// How many inodes come into the catalog in one transaction.
const BATCH: usize = 500;
/// How many names are told that couldn't come back.
const TOLD: usize = 20;

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("it can't be recalled: {0}")]
    Recall(#[from] recall::Error),
    #[error("the snapshot {0} that it builds on isn't in the vault")]
    NoBase(String),
    #[error("its base is a snapshot of another vault or directory")]
    OtherBase,
    #[error("{0}")]
    Catalog(#[from] catalog::Error),
}

impl Restore for Snapshots {
    fn restore<'a>(self: Arc<Self>, vault: &'a Vault) -> BoxFuture<'a, catalog::Result<Option<Restored>>> {
        async move {
            let there = self.catalog.snapshots(vault.id)?;
            let mut damaged = Vec::new();
            for at in (0..there.len()).rev().filter(|at| !there[*at].known) {
                let newest = name(&there[at]);
                let files = match self.bring(&there, at).await {
                    Ok(files) => files,
                    Err(error) => {
                        log::error!("the snapshot {newest} of {} can't be used: {error}", vault.name);
                        damaged.push(format!("{newest}: {error}"));
                        continue;
                    }
                };
                let (snapshots, whose) = (self.clone(), vault.clone());
                let work = move || snapshots.apply(&whose, &files);
                let applied = match tokio::task::spawn_blocking(work).await {
                    Ok(applied) => applied,
                    Err(error) => Err(Damaged::Io(std::io::Error::other(error)).into()),
                };
                match applied {
                    Ok(mut restored) => {
                        restored.snapshots = there.iter().map(|one| one.ino).collect();
                        restored.report.name = Some(newest);
                        restored.report.damaged = damaged;
                        return Ok(Some(restored));
                    }
                    Err(Unusable::Catalog(error)) => return Err(error),
                    Err(error) => {
                        log::error!("the snapshot {newest} of {} can't be used: {error}", vault.name);
                        damaged.push(format!("{newest}: {error}"));
                    }
                }
            }
            let report = SnapshotReport { damaged, ..SnapshotReport::default() };
            Ok((!report.damaged.is_empty()).then_some(Restored { report, ..Restored::default() }))
        }
        .boxed()
    }

    fn finish(&self, vault: &Vault, restored: &mut Restored) -> catalog::Result<()> {
        for nodes in std::mem::take(&mut restored.unarchived).chunks(BATCH) {
            for (node, grafted) in nodes.iter().zip(self.catalog.graft(vault.id, nodes)?) {
                match grafted {
                    Grafted::Made(ino) | Grafted::Same(ino) => {
                        restored.report.restored += 1;
                        self.tell(node, ino);
                    }
                    Grafted::Taken | Grafted::Unarchived => {
                        restored.report.lost += 1;
                        if restored.report.lost <= TOLD as u64 {
                            log::error!("{} wasn't archived, and is lost", self.path(vault, node));
                        }
                    }
                }
            }
        }
        // Only now: what was interrupted before is done again.
        self.catalog.snapshots_known(&restored.snapshots)
    }
}

/// The files of a snapshot, open.
struct Files {
    full: File,
    delta: Option<File>,
}

impl Files {
    /// Reads them from the start.
    fn read(&self) -> Result<(Ino, Ino, Merged<impl std::io::BufRead + use<>>), Unusable> {
        use std::io::Seek as _;
        let open = |file: &File| -> Result<FileReader, Damaged> {
            let mut file = file.try_clone()?;
            file.rewind()?;
            FileReader::open(file)
        };
        let full = open(&self.full)?;
        let delta = self.delta.as_ref().map(open).transpose()?;
        let newest = delta.as_ref().map_or(full.header(), |delta| delta.header());
        if (newest.root, &newest.catalog) != (full.header().root, &full.header().catalog) {
            return Err(Unusable::OtherBase);
        }
        let (root, next) = (newest.root, newest.next_ino);
        Ok((root, next, Merged::new(full, delta)))
    }
}

impl Snapshots {
    /// Has snapshot number `at` of those that are `there` recalled, with the full one that it builds on.
    async fn bring(&self, there: &[OwnFile], at: usize) -> Result<Files, Unusable> {
        let newest = &there[at];
        if name(newest).contains("-full") {
            return Ok(Files { full: self.recalled(newest).await?, delta: None });
        }
        // Most likely it builds on the full one before it: hours are saved by asking for both at once.
        if let Some(likely) = there[..at].iter().rev().find(|one| name(one).contains("-full")) {
            self.recall.restore(likely.content.id, None)?;
        }
        let delta = self.recalled(newest).await?;
        let reader = FileReader::open(delta.try_clone().map_err(Damaged::from)?)?;
        let base = reader.header().base.clone().unwrap_or_default();
        let full = there.iter().find(|one| one.name == base.as_bytes()).ok_or(Unusable::NoBase(base))?;
        Ok(Files { full: self.recalled(full).await?, delta: Some(delta) })
    }

    /// The bytes of a snapshot.
    async fn recalled(&self, snapshot: &OwnFile) -> Result<File, Unusable> {
        let id: ContentId = snapshot.content.id;
        loop {
            self.recall.bring(id, 0, snapshot.content.size.saturating_sub(1), None).await?;
            // None when it was evicted just now.
            let Some(file) = self.catalog.content(id)?.file else { continue };
            let opened =
                self.fs.local(id, file).map_err(|error| Damaged::Io(std::io::Error::other(error.to_string())))?;
            if let Some(file) = opened {
                return Ok(file);
            }
        }
    }

    fn apply(&self, vault: &Vault, files: &Files) -> Result<Restored, Unusable> {
        let (root, next, nodes) = files.read()?;
        // All of it is read and checked before the first of it is believed.
        let plan = Plan::read(root, nodes)?;
        self.catalog.raise_numbers(next)?;
        let mut restored = Restored::default();
        restored.report.entries = plan.entries;
        if let Some(node) = &plan.root
            && self.catalog.graft_root(vault.root, node)?
        {
            self.tell(node, vault.root);
        }
        let mut run = Run { snapshots: self, vault, numbers: HashMap::from([(root, vault.root)]) };
        let mut directories = plan.directories.into_iter().peekable();
        while let Some((depth, first)) = directories.next() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Some((_, node)) = directories.next_if(|(next, _)| *next == depth)
            {
                batch.push(node);
            }
            run.graft(batch, &mut restored)?;
        }
        let mut batch = Vec::with_capacity(BATCH);
        for node in files.read()?.2 {
            let node = node?;
            if catalog::Kind::of(node.mode) == Some(catalog::Kind::Directory) && node.trash.is_none() {
                continue;
            }
            batch.push(node);
            if batch.len() == BATCH {
                run.graft(std::mem::take(&mut batch), &mut restored)?;
            }
        }
        run.graft(batch, &mut restored)?;
        Ok(restored)
    }

    /// Tells those who have cached what was there before of `node`, which has the number `ino` now. Somebody may have looked
    /// into a directory since it was made a moment ago.
    fn tell(&self, node: &Node, ino: Ino) {
        if !node.xattrs.is_empty() {
            self.fs.learn_xattrs(ino);
        }
        for (parent, name) in &node.names {
            self.invalidator.tell(&Invalidate::Entry { parent: *parent, name: name.clone() });
        }
        self.invalidator.tell(&Invalidate::Inode(ino));
    }

    /// What a node is called, for people.
    fn path(&self, vault: &Vault, node: &Node) -> String {
        if let Some(trash) = &node.trash {
            return format!("{}/{} of the trash", vault.name, String::from_utf8_lossy(&trash.path));
        }
        let Some((parent, name)) = node.names.first() else { return format!("inode {}", node.ino) };
        let directory = self.catalog.path(*parent).ok().flatten().unwrap_or_else(|| vault.name.clone().into_bytes());
        format!("{}/{}", String::from_utf8_lossy(&directory), String::from_utf8_lossy(name))
    }
}

/// A snapshot on its way into the catalog.
struct Run<'a> {
    snapshots: &'a Snapshots,
    vault: &'a Vault,
    /// The numbers here of the snapshot's directories.
    numbers: HashMap<Ino, Ino>,
}

impl Run<'_> {
    fn graft(&mut self, mut nodes: Vec<Node>, restored: &mut Restored) -> catalog::Result<()> {
        for node in &mut nodes {
            let here = |(parent, name)| self.numbers.get(&parent).map(|parent| (*parent, name));
            node.names = std::mem::take(&mut node.names).into_iter().filter_map(here).collect();
        }
        let grafted = self.snapshots.catalog.graft(self.vault.id, &nodes)?;
        for (node, grafted) in nodes.into_iter().zip(grafted) {
            let is_dir = catalog::Kind::of(node.mode) == Some(catalog::Kind::Directory);
            match grafted {
                Grafted::Made(ino) => {
                    restored.report.restored += 1;
                    self.snapshots.tell(&node, ino);
                    if is_dir {
                        self.numbers.insert(node.ino, ino);
                    }
                }
                Grafted::Same(ino) => {
                    restored.report.same += 1;
                    self.snapshots.tell(&node, ino);
                    if is_dir {
                        self.numbers.insert(node.ino, ino);
                    }
                }
                Grafted::Taken => {
                    restored.report.taken += 1;
                    if restored.report.taken <= TOLD as u64 {
                        log::warn!(
                            "{} isn't restored: something else has its place",
                            self.snapshots.path(self.vault, &node)
                        );
                    }
                }
                Grafted::Unarchived => restored.unarchived.push(node),
            }
        }
        Ok(())
    }
}
