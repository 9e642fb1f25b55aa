//! What is done to files by their paths: listed, flushed, restored.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::Daemon;
use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::Question;
use super::answer::blocking;
use super::status::dirty_bytes;
use super::tree;
use super::waits::Wish;
use crate::catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::ROOT;
use crate::catalog::VaultId;
use crate::control::wire;
use crate::control::wire::EntryKind;
use crate::control::wire::FileState;
use crate::control::wire::PathText;
use crate::control::wire::Pending;
use crate::service::TreeHash;
use crate::upload::Pause;
use crate::util::clock;

/// Most failures with a retry to come that an answer lists. Those without one are all listed, so that who waits knows what
/// not to wait for.
const LISTED: usize = 100;

/// The question of `GET /v1/ls`.
#[derive(serde::Deserialize)]
pub(super) struct Ls {
    path: PathText,
}

pub(super) async fn ls(
    State(server): State<Arc<Server>>,
    Question(question): Question<Ls>,
) -> Result<Json<wire::Entries>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(wire::Entries { entries: blocking(move || list(&daemon, &question.path)).await? }))
}

fn list(daemon: &Daemon, path: &PathText) -> Result<Vec<wire::Entry>, Failure> {
    let inode = tree::resolve(&daemon.catalog, path)?;
    if !inode.is_dir() {
        let name = path.0.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).unwrap_or_default().to_vec();
        return entries(daemon, vec![(name, inode)], false);
    }
    let mut listed = Vec::new();
    let mut cookie = 0;
    loop {
        let batch = daemon.catalog.readdir(inode.ino, cookie, tree::BATCH)?;
        let Some(last) = batch.last() else { break };
        cookie = last.cookie;
        let batch = batch.into_iter().map(|entry| (entry.name, entry.inode)).collect();
        listed.extend(entries(daemon, batch, inode.ino == ROOT)?);
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

fn entries(daemon: &Daemon, batch: Vec<(Vec<u8>, Inode)>, in_root: bool) -> Result<Vec<wire::Entry>, Failure> {
    let contents = tree::contents(&daemon.catalog, batch.iter().map(|(_, inode)| inode))?;
    let archives: Vec<_> = contents.values().filter_map(|content| content.archive.as_ref()).map(|a| a.row).collect();
    let retrieved = daemon.catalog.retrieved(&archives)?;
    let uploading: HashSet<ContentId> = daemon.uploads.active().iter().map(|file| file.content).collect();
    let state = |content: &Content| match content.state {
        catalog::State::Dirty => FileState::Dirty,
        catalog::State::Sealed if uploading.contains(&content.id) => FileState::Uploading,
        catalog::State::Sealed => FileState::Sealed,
        catalog::State::Archived if content.is_local() => FileState::Cached,
        catalog::State::Archived if content.archive.as_ref().is_some_and(|a| retrieved.contains(&a.row)) => {
            FileState::Recalling
        }
        catalog::State::Archived if content.local_bytes() > 0 => FileState::Partial,
        catalog::State::Archived => FileState::Archived,
    };
    let entry = |(name, inode): (Vec<u8>, Inode)| {
        let content = inode.content.and_then(|id| contents.get(&id));
        let archive = content.and_then(|content| content.archive.as_ref());
        let kind = match inode.kind() {
            Kind::Directory if in_root => EntryKind::Vault,
            other => kind(other),
        };
        let inode = match content {
            Some(content) if content.state == catalog::State::Dirty => fresh(daemon, inode),
            _ => inode,
        };
        wire::Entry {
            name: PathText(name),
            kind,
            size: inode.size,
            mode: inode.mode,
            mtime: timestamp(inode.mtime),
            state: match (kind, content) {
                // A vault is the service's.
                (EntryKind::Vault, _) => None,
                (_, None) => Some(FileState::Local),
                (_, Some(content)) => Some(state(content)),
            },
            archive_id: archive.map(|archive| archive.archive_id.clone()),
            tree_hash: archive.map(|archive| TreeHash(archive.tree_hash).to_string()),
        }
    };
    Ok(batch.into_iter().map(entry).collect())
}

/// A file that is being written, with the size and time that it has now. One that is gone meanwhile stays as it was.
fn fresh(daemon: &Daemon, inode: Inode) -> Inode {
    daemon.fs.getattr(inode.ino).unwrap_or(inode)
}

/// What something within a vault is.
pub(super) fn kind(kind: Kind) -> EntryKind {
    match kind {
        Kind::Directory => EntryKind::Dir,
        Kind::File => EntryKind::File,
        Kind::Symlink => EntryKind::Symlink,
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => EntryKind::Other,
    }
}

pub(super) fn timestamp(nanos: i64) -> Timestamp {
    // 292 years either way are within a Timestamp's range.
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) async fn flush(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Paths>,
) -> Result<Json<Pending>, Failure> {
    let daemon = server.daemon.clone();
    let wish = Wish::Flush(request.paths.clone());
    let anew = !server.waits.is_waiting(&wish);
    let all = request.paths.is_empty() || request.paths.iter().any(tree::is_root);
    let pending = blocking(move || match all {
        true => flush_all(&daemon, anew),
        false => flush_paths(&daemon, &request.paths, anew),
    });
    let pending = pending.await?;
    server.waits.answered(wish);
    Ok(Json(pending))
}

fn flush_all(daemon: &Daemon, anew: bool) -> Result<Pending, Failure> {
    daemon.uploads.hurry(None, anew)?;
    let (sealed_files, sealed_bytes, dirty_files) = daemon.catalog.queue()?;
    let mut pending = Pending {
        files: sealed_files + dirty_files,
        bytes: sealed_bytes + dirty_bytes(daemon)?,
        pending_files: sealed_files + dirty_files,
        ..Pending::default()
    };
    pending.done_bytes = daemon.uploads.active().iter().map(|file| file.sent().min(file.size)).sum();
    pending.pending_bytes = pending.bytes.saturating_sub(pending.done_bytes);
    let paused = paused(daemon)?;
    for (vault, pause) in paused.iter().filter(|(_, pause)| pause.is_hopeless()) {
        for ids in daemon.catalog.sealed_in(*vault)?.chunks(tree::BATCH) {
            for content in daemon.catalog.contents(ids)? {
                // What has lost its name is open somewhere, and won't be archived.
                if let Some(path) = daemon.catalog.path(content.ino)? {
                    let reason = content.error.unwrap_or_else(|| pause.reason.clone());
                    pending.failed.push(wire::Failure { path: PathText(path), reason, retrying: false });
                }
            }
        }
    }
    for sealed in daemon.catalog.failed(LISTED)? {
        if paused.get(&sealed.content.vault).is_some_and(Pause::is_hopeless) {
            continue;
        }
        let path = PathText([sealed.vault.as_bytes(), b"/", &sealed.path].concat());
        let reason = sealed.content.error.unwrap_or_default();
        pending.failed.push(wire::Failure { path, reason, retrying: true });
    }
    pending.eta = uploaded_by(daemon, pending.pending_bytes);
    Ok(pending)
}

fn flush_paths(daemon: &Daemon, paths: &[PathText], anew: bool) -> Result<Pending, Failure> {
    let sent: HashMap<ContentId, u64> =
        daemon.uploads.active().iter().map(|file| (file.content, file.sent())).collect();
    let paused = paused(daemon)?;
    let mut tally = Tally::default();
    tree::visit(&daemon.catalog, paths, |files| {
        let waiting = files.iter().filter(|file| file.content.state == catalog::State::Sealed);
        let waiting: Vec<ContentId> = waiting.map(|file| file.content.id).collect();
        if !waiting.is_empty() {
            daemon.uploads.hurry(Some(&waiting), anew)?;
        }
        for file in files {
            let content = file.content;
            match content.state {
                catalog::State::Archived => tally.done(content.size),
                catalog::State::Dirty => tally.pending(fresh(daemon, file.inode).size, 0),
                catalog::State::Sealed => {
                    tally.pending(content.size, sent.get(&content.id).copied().unwrap_or(0));
                    let pause = paused.get(&content.vault);
                    let retrying = anew || !pause.is_some_and(Pause::is_hopeless);
                    let error = content.error.or_else(|| pause.map(|pause| pause.reason.clone()));
                    if let Some(reason) = error {
                        tally.failed(file.path, reason, retrying);
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut pending = tally.0;
    pending.eta = uploaded_by(daemon, pending.pending_bytes);
    Ok(pending)
}

/// The vaults whose uploads wait.
fn paused(daemon: &Daemon) -> Result<HashMap<VaultId, Pause>, Failure> {
    let mut paused = HashMap::new();
    for pause in daemon.uploads.paused() {
        if let Some(vault) = daemon.catalog.vault(&pause.vault)? {
            paused.insert(vault.id, pause);
        }
    }
    Ok(paused)
}

/// When so many bytes are sent at the present rate.
fn uploaded_by(daemon: &Daemon, bytes: u64) -> Option<Timestamp> {
    let seconds = bytes as f64 / daemon.uploads.rate();
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (bytes > 0).then(|| clock::add(Timestamp::now(), wait))
}

/// Counts what is done and what isn't.
#[derive(Default)]
struct Tally(Pending);

impl Tally {
    fn done(&mut self, bytes: u64) {
        self.0.files += 1;
        self.0.bytes += bytes;
        self.0.done_files += 1;
        self.0.done_bytes += bytes;
    }

    fn pending(&mut self, bytes: u64, done_bytes: u64) {
        let done_bytes = done_bytes.min(bytes);
        self.0.files += 1;
        self.0.bytes += bytes;
        self.0.done_bytes += done_bytes;
        self.0.pending_files += 1;
        self.0.pending_bytes += bytes - done_bytes;
    }

    fn failed(&mut self, path: PathText, reason: String, retrying: bool) {
        if !retrying || self.0.failed.len() < LISTED {
            self.0.failed.push(wire::Failure { path, reason, retrying });
        }
    }
}
