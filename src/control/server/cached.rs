//! What is cached: shown, evicted, pinned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use super::Daemon;
use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::blocking;
use super::paths::timestamp;
use super::status::dirty_bytes;
use super::tree;
use crate::catalog;
use crate::catalog::Content;
use crate::catalog::ContentId;
use crate::catalog::Kind;
use crate::control::wire;
use crate::control::wire::PathText;

pub(super) async fn cache(State(server): State<Arc<Server>>) -> Result<Json<wire::CacheReport>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || report(&daemon)).await?))
}

fn report(daemon: &Daemon) -> Result<wire::CacheReport, Failure> {
    let cached = daemon.cache.report()?;
    let usage = daemon.cache.usage();
    let (sealed_files, sealed_bytes, dirty_files) = daemon.catalog.queue()?;
    Ok(wire::CacheReport {
        bytes: cached.bytes,
        files: cached.files,
        high: usage.high,
        low: usage.low,
        partial_files: cached.partial_files,
        pinned_files: cached.pinned_files,
        pinned_bytes: cached.pinned_bytes,
        spool_files: sealed_files + dirty_files,
        spool_bytes: sealed_bytes + dirty_bytes(daemon)?,
        disk_available: daemon.cache.room().map_err(Failure::internal)?.available,
        disk_reserve: daemon.cache.reserve(),
        oldest_used: cached.oldest.map(timestamp),
    })
}

pub(super) async fn evict(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Evict>,
) -> Result<Json<wire::Evicted>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || evict_paths(&daemon, &request)).await?))
}

fn evict_paths(daemon: &Daemon, request: &wire::Evict) -> Result<wire::Evicted, Failure> {
    daemon.cache.note_use()?;
    let chosen = Choice::of(request);
    let mut evicted = wire::Evicted::default();
    tree::visit(&daemon.catalog, &request.paths, |files| {
        let files: Vec<_> = files.into_iter().filter(|file| chosen.takes(&file.content)).collect();
        let cached = files.iter().filter(|file| is_cached(&file.content));
        let ids: Vec<ContentId> = cached.map(|file| file.content.id).collect();
        let (gone, pinned) = if request.dry_run {
            let pinned = daemon.catalog.pinned(&ids)?;
            (ids.into_iter().filter(|id| !pinned.contains(id)).collect(), pinned)
        } else {
            let evicted = daemon.cache.let_go(&ids)?;
            (evicted.gone.into_iter().collect::<HashSet<_>>(), evicted.pinned.into_iter().collect())
        };
        for file in files {
            let reason = if gone.contains(&file.content.id) {
                evicted.files += 1;
                evicted.bytes += file.content.local_bytes();
                continue;
            } else if pinned.contains(&file.content.id) {
                "pinned"
            } else if file.content.state != catalog::State::Archived {
                "not archived yet"
            } else {
                continue;
            };
            if !chosen.is_choosy() {
                evicted.skipped.push(wire::Skipped { path: file.path, reason: reason.to_owned() });
            }
        }
        Ok(())
    })?;
    Ok(evicted)
}

fn is_cached(content: &Content) -> bool {
    content.state == catalog::State::Archived && content.file.is_some()
}

/// Which files are meant, of those in the paths.
struct Choice {
    /// Used before this, in nanoseconds since 1970.
    unused_since: Option<i64>,
    larger_than: Option<u64>,
}

impl Choice {
    fn of(request: &wire::Evict) -> Self {
        let since = |seconds| {
            let nanos = i64::try_from(Duration::from_secs(seconds).as_nanos()).unwrap_or(i64::MAX);
            catalog::now().saturating_sub(nanos)
        };
        Choice { unused_since: request.unused_seconds.map(since), larger_than: request.larger_than }
    }

    /// Whether it is about what some files are like, rather than all in the paths.
    fn is_choosy(&self) -> bool {
        self.unused_since.is_some() || self.larger_than.is_some()
    }

    fn takes(&self, content: &Content) -> bool {
        self.unused_since.is_none_or(|since| content.used <= since)
            && self.larger_than.is_none_or(|size| content.size > size)
    }
}

pub(super) async fn pin(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Pin>,
) -> Result<Json<wire::Pinned>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || pin_paths(&daemon, &request.paths, request.pin)).await?))
}

fn pin_paths(daemon: &Daemon, paths: &[PathText], pin: bool) -> Result<wire::Pinned, Failure> {
    let mut inos = Vec::new();
    for path in paths {
        let inode = tree::resolve(&daemon.catalog, path)?;
        let path = path.encode();
        match inode.kind() {
            _ if inode.is_own() => {
                return Err(Failure::invalid(format!("{path} is glacierfs's own, and can't be pinned")));
            }
            Kind::Directory | Kind::File => inos.push(inode.ino),
            _ => {
                let error = format!("{path} is neither a file nor a directory, and has no bytes that could be pinned");
                return Err(Failure::invalid(error));
            }
        }
    }
    for ino in inos {
        daemon.fs.pin(ino, pin).map_err(Failure::internal)?;
    }
    let mut pinned = wire::Pinned::default();
    tree::visit(&daemon.catalog, paths, |files| {
        for file in files {
            pinned.files += 1;
            if file.content.is_local() {
                // Of what is being written the file system knows better.
                pinned.bytes += daemon.fs.getattr(file.inode.ino).map_or(file.inode.size, |inode| inode.size);
            } else {
                pinned.bytes += file.content.size;
                pinned.absent_files += 1;
                pinned.absent_bytes += file.content.size - file.content.local_bytes();
            }
        }
        Ok(())
    })?;
    Ok(pinned)
}
