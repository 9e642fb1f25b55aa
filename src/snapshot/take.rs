//! Writes a vault's snapshot, and takes away those that are superseded and were paid for long enough.
//!
//! A delta is cumulative: it says what has changed since the last full one, so that two files bring the tree back. What it is
//! compared with is a second link to the full one's bytes, in the state directory.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use jiff::Unit;
use tokio::sync::Notify;

use super::Error;
use super::Kind;
use super::merge;
use super::read::FileReader;
use super::write;
use super::write::Writer;
use crate::catalog::Catalog;
use crate::catalog::Ino;
use crate::catalog::OwnFile;
use crate::catalog::Tree;
use crate::catalog::Vault;
use crate::fs::Fs;
use crate::fs::Invalidate;
use crate::fs::Invalidator;
use crate::recall::Recall;
use crate::store::Store;
use crate::util::clock::Clock;
use crate::util::crash;
use crate::util::crash::Point;

/// How hard zstd tries. Most of what is left after it are IDs and hashes, of which no level makes less: 200,000 archived files, 97 MB,
/// become 34.6 MB in 0.2 s with level 1, 36.4 MB in 0.5 s with level 3, and 36.3 MB in 2.1 s with level 9.
const LEVEL: i32 = 1;
/// What ends every name.
const SUFFIX: &str = ".jsonl.zst";
/// How long the service bills for an archive at least (G14, "Pricing": early deletion).
const BILLED: Duration = Duration::from_secs(90 * 24 * 3600);

/// What snapshots are told when they start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long nothing must have changed before one is taken; none: only when somebody asks.
    pub delay: Option<Duration>,
    /// Where links to the bytes of the last ones are kept.
    pub directory: PathBuf,
    /// What time it is.
    pub clock: Clock,
}

/// Takes snapshots, and brings them back.
pub struct Snapshots {
    pub(super) catalog: Arc<Catalog>,
    pub(super) store: Arc<Store>,
    pub(super) fs: Arc<Fs>,
    pub(super) recall: Arc<Recall>,
    pub(super) sealed: Arc<Notify>,
    pub(super) settings: Settings,
    pub(super) invalidator: Invalidator,
    /// Held by whoever takes one. The catalog's lock comes after it.
    taking: Mutex<()>,
}

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name in the directory of snapshots.
    pub name: String,
    /// Whether it says everything.
    pub kind: Kind,
    /// Lines for inodes in it.
    pub entries: u64,
    /// Bytes.
    pub size: u64,
}

/// A file that is being written, and removed if it isn't kept.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone already once it is kept.
        let _ = fs::remove_file(&self.0);
    }
}

type Compressed = zstd::stream::write::Encoder<'static, BufWriter<File>>;

impl Snapshots {
    /// Snapshots of the vaults in `catalog`. `sealed` is rung when one waits for its upload.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<Store>,
        fs: Arc<Fs>,
        recall: Arc<Recall>,
        sealed: Arc<Notify>,
        settings: Settings,
    ) -> Self {
        let (invalidator, taking) = (Invalidator::default(), Mutex::new(()));
        Snapshots { catalog, store, fs, recall, sealed, settings, invalidator, taking }
    }

    /// Has `invalidator` tell the kernel of changes.
    pub fn on_change(&self, invalidator: impl Fn(&Invalidate) + Send + Sync + 'static) {
        self.invalidator.set(invalidator);
    }

    /// Takes a snapshot of vault `name`, a full one if `full` says so or it takes one. None when nothing has changed since the
    /// last one, or there is nothing to tell of. Blocks for seconds in large vaults; no operation waits for it.
    ///
    /// # Errors
    /// [`Error`]; the vault is as it was then.
    pub fn take(&self, name: &str, full: bool) -> Result<Option<Taken>, Error> {
        let _one = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let vault = self.catalog.vault(name)?.ok_or_else(|| Error::Missing(name.to_owned()))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.settings.directory)?;
        let there = self.catalog.snapshots(vault.id)?;
        let taken = match self.base(&vault, &there).filter(|_| !full) {
            Some(base) => match self.delta(&vault, &there, &base) {
                Ok(Some(taken)) => taken,
                Ok(None) => self.full(&vault, &there)?,
                Err(Error::Damaged(error)) => {
                    log::warn!(
                        "the snapshot {base} of {name} can't be read any more, and is followed by a full one: {error}"
                    );
                    self.full(&vault, &there)?
                }
                Err(error) => return Err(error),
            },
            None => self.full(&vault, &there)?,
        };
        if let Some(taken) = &taken {
            let (kind, entries, size) = (taken.kind.word(), taken.entries, taken.size);
            log::info!("snapshot {} of {name}: {kind}, {entries} entries, {size} bytes", taken.name);
        }
        self.prune(&vault)?;
        Ok(taken)
    }

    /// The name of the full snapshot that a delta can build on.
    fn base(&self, vault: &Vault, there: &[OwnFile]) -> Option<String> {
        let is_here = |name: &String| name.contains("-full") && self.local(vault, name).exists();
        there.iter().rev().filter(|one| one.known).map(name).find(is_here)
    }

    /// Some(none) when nothing has changed since the last; none when a full one is better.
    fn delta(&self, vault: &Vault, there: &[OwnFile], base: &str) -> Result<Option<Option<Taken>>, Error> {
        let full = File::open(self.local(vault, base))?;
        let whole = full.metadata()?.size();
        let mut full = FileReader::open(full)?;
        let tree = self.catalog.tree(vault.id)?;
        let (created, new) = self.name(there, Kind::Delta)?;
        let (draft, file) = self.draft(&tree, vault, created, Some(base.to_owned()))?;
        let mut file = file;
        merge::difference(&mut full, tree, &mut file)?;
        let entries = file.entries();
        let (size, digest) = finish(file)?;
        if entries == 0 && !self.has_later(there, base) || self.last_digest(vault, there, base) == Some(digest) {
            return Ok(Some(None));
        }
        if size > whole / 4 {
            return Ok(None);
        }
        Ok(Some(Some(self.keep(vault, draft, new, Kind::Delta, entries, size)?)))
    }

    fn full(&self, vault: &Vault, there: &[OwnFile]) -> Result<Option<Taken>, Error> {
        let tree = self.catalog.tree(vault.id)?;
        if there.is_empty() && tree.is_empty()? {
            return Ok(None);
        }
        let (created, new) = self.name(there, Kind::Full)?;
        let (draft, mut file) = self.draft(&tree, vault, created, None)?;
        let mut line = Vec::new();
        for node in tree {
            write::line(node?, &mut line)?;
            file.push(&line)?;
        }
        let entries = file.entries();
        let (size, _) = finish(file)?;
        Ok(Some(self.keep(vault, draft, new, Kind::Full, entries, size)?))
    }

    fn draft(
        &self,
        tree: &Tree,
        vault: &Vault,
        created: Timestamp,
        base: Option<String>,
    ) -> Result<(Draft, Writer<Compressed>), Error> {
        let draft = Draft(self.settings.directory.join("draft.tmp"));
        let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&draft.0)?;
        let mut encoder = zstd::stream::write::Encoder::new(BufWriter::with_capacity(1 << 16, file), LEVEL)?;
        encoder.include_checksum(true)?;
        Ok((draft, Writer::new(encoder, &write::header(&vault.name, tree, created, base))?))
    }

    /// Makes a draft a file of the vault, with a link to its bytes for the next delta.
    fn keep(
        &self,
        vault: &Vault,
        draft: Draft,
        name: String,
        kind: Kind,
        entries: u64,
        size: u64,
    ) -> Result<Taken, Error> {
        let content = rand::random_range(1..=i64::MAX);
        self.store.link(content, &draft.0)?;
        self.store.sync_name(content)?;
        crash::at(Point::SnapshotLinked);
        let parent = self.catalog.add_snapshot(vault.id, name.as_bytes(), content, size, crate::catalog::now())?;
        crash::at(Point::SnapshotNoted);
        self.changed(parent, name.as_bytes());
        self.sealed.notify_one();
        fs::rename(&draft.0, self.local(vault, &name))?;
        Ok(Taken { name, kind, entries, size })
    }

    fn changed(&self, parent: Ino, name: &[u8]) {
        self.invalidator.tell(&Invalidate::Entry { parent, name: name.to_vec() });
    }

    /// A name that none has yet, and the time that it tells.
    fn name(&self, there: &[OwnFile], kind: Kind) -> Result<(Timestamp, String), Error> {
        let mut at = self.settings.clock.now().round(Unit::Second).map_err(io::Error::other)?;
        loop {
            let stamp = at.strftime("%Y%m%dT%H%M%SZ").to_string();
            // The newest is the last by name, too when clocks were set back.
            if there.last().is_none_or(|last| last.name.as_slice() < stamp.as_bytes()) {
                return Ok((at, format!("{stamp}-{}{SUFFIX}", kind.word())));
            }
            let last = there.last().map(name).unwrap_or_default();
            at = time_of(&last).unwrap_or(at).max(at) + Duration::from_secs(1);
        }
    }

    fn local(&self, vault: &Vault, name: &str) -> PathBuf {
        self.settings.directory.join(format!("{}-{name}", vault.id))
    }

    /// Whether there is a snapshot that is newer than `base`.
    fn has_later(&self, there: &[OwnFile], base: &str) -> bool {
        there.last().is_some_and(|last| last.name != base.as_bytes())
    }

    /// The digest of the newest snapshot's lines, if that is a delta of `base` and still here.
    fn last_digest(&self, vault: &Vault, there: &[OwnFile], base: &str) -> Option<String> {
        let last = there.last().filter(|one| one.known).map(name)?;
        let mut reader = FileReader::open(File::open(self.local(vault, &last)).ok()?).ok()?;
        if reader.header().base.as_deref() != Some(base) {
            return None;
        }
        while reader.advance().ok()?.is_some() {}
        reader.digest().map(str::to_owned)
    }

    /// Unlinks what is superseded and was paid for long enough, and local links that nothing is compared with any more.
    fn prune(&self, vault: &Vault) -> Result<(), Error> {
        let there = self.catalog.snapshots(vault.id)?;
        let names: Vec<String> = there.iter().map(name).collect();
        let base = self.base(vault, &there);
        // What isn't archived yet supersedes nothing.
        let is_archived = |place: usize| there[place].content.archive.is_some();
        let newest = (0..there.len()).rfind(|place| is_archived(*place));
        let newest_full = (0..there.len()).rfind(|place| names[*place].contains("-full") && is_archived(*place));
        let oldest = self.settings.clock.now() - BILLED;
        for (place, one) in there.iter().enumerate() {
            let is_needed =
                [newest, newest_full].contains(&Some(place)) || base.as_ref() == Some(&names[place]) || !one.known;
            if !is_needed && one.content.archive.is_some() && time_of(&names[place]).is_some_and(|time| time < oldest) {
                if let Err(error) = self.fs.unlink_snapshot(one.parent, &one.name) {
                    log::warn!("the old snapshot {} of {} can't be removed: {error}", names[place], vault.name);
                } else {
                    self.changed(one.parent, &one.name);
                    log::info!("the old snapshot {} of {} is removed", names[place], vault.name);
                }
            }
        }
        let keep = |file: &str| {
            let mine = file.strip_prefix(&format!("{}-", vault.id));
            mine.is_none_or(|name| Some(name) == base.as_deref() || Some(name) == names.last().map(String::as_str))
        };
        for entry in fs::read_dir(&self.settings.directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|file| !keep(file)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A snapshot's name.
pub(super) fn name(snapshot: &OwnFile) -> String {
    String::from_utf8_lossy(&snapshot.name).into_owned()
}

/// When a snapshot was taken, by its name.
fn time_of(name: &str) -> Option<Timestamp> {
    let stamp = name.split('-').next()?.strip_suffix('Z')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", stamp).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// Ends a file, on the disk. Answers its size and the digest of its lines.
fn finish(writer: Writer<Compressed>) -> Result<(u64, String), Error> {
    let (encoder, digest) = writer.end()?;
    let mut buffered = encoder.finish()?;
    buffered.flush()?;
    let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((file.metadata()?.size(), digest))
}

impl Settings {
    /// The settings of a mount with the state directory `state`.
    pub fn new(state: &Path, delay: Option<Duration>, clock: Clock) -> Self {
        Settings { delay, directory: state.join("snapshots"), clock }
    }
}

/// The path of a snapshot from the mount's root.
pub fn path(vault: &str, name: &str) -> String {
    format!("{vault}/.glacierfs/snapshots/{name}")
}
