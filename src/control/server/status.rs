//! `GET /v1/status`.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::Daemon;
use super::Server;
use super::answer::Failure;
use super::answer::blocking;
use crate::catalog::ContentId;
use crate::catalog::now;
use crate::control::wire;
use crate::control::wire::PathText;
use crate::recall::JobView;
use crate::recall::Trouble;
use crate::vault;

/// Most uploads, and most jobs, that are told of.
const SHOWN: usize = 100;

pub(super) async fn status(State(server): State<Arc<Server>>) -> Result<Json<wire::Status>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || collect(&daemon)).await?))
}

fn collect(daemon: &Daemon) -> Result<wire::Status, Failure> {
    let config = &daemon.config;
    let (sealed_files, sealed_bytes, dirty_files) = daemon.catalog.queue()?;
    let active = daemon.uploads.active();
    let (archived_files, archived_bytes) = daemon.uploads.archived();
    let cache = daemon.cache.usage();
    let paused = daemon.uploads.paused().into_iter();
    Ok(wire::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: config.name.clone(),
        mountpoint: path(&config.mountpoint),
        state_dir: path(&config.state),
        endpoint: daemon.endpoint.clone(),
        region: config.region.clone(),
        account: config.account.clone(),
        pid: std::process::id(),
        started: daemon.started,
        queue: wire::Queue {
            files: sealed_files,
            bytes: sealed_bytes,
            uploading_files: active.len() as u64,
            uploading_bytes_sent: active.iter().map(|file| file.sent().min(file.size)).sum(),
            failed_files: daemon.catalog.failed_uploads()?,
            dirty_files,
        },
        rates: wire::Rates {
            upload_bytes_per_second: daemon.uploads.rate(),
            recall_bytes_per_second: daemon.recall.rate(),
        },
        totals: wire::Totals { archived_files, archived_bytes, recalled_bytes: daemon.recall.recalled_bytes() },
        uploads: uploads(daemon)?,
        jobs: jobs(daemon)?,
        cache: wire::Cache { bytes: cache.bytes, limit: cache.high, low: cache.low, files: cache.files },
        spool: wire::Spool { bytes: sealed_bytes + dirty_bytes(daemon)? },
        paused: paused
            .map(|pause| wire::Paused {
                retry: pause.retry(),
                vault: pause.vault,
                reason: pause.reason,
                since: pause.since,
            })
            .collect(),
        recall_trouble: daemon.recall.trouble().map(trouble),
        notify_trouble: daemon.recall.hears_nothing().map(trouble),
        budget: budget(daemon)?,
        held: held(daemon)?,
        undeletable: daemon.catalog.trash_refused()?,
    })
}

fn budget(daemon: &Daemon) -> Result<Vec<wire::BudgetLimit>, Failure> {
    let spent = daemon.catalog.spent(now())?;
    let limits = daemon.recall.budget().limits().into_iter();
    let used = limits.map(|limit| {
        let spent = spent.against(limit);
        wire::BudgetLimit { limit: limit.to_string(), used: limit.what.show(spent), most: limit.most, spent }
    });
    Ok(used.collect())
}

fn held(daemon: &Daemon) -> Result<Vec<wire::Held>, Failure> {
    let held = daemon.catalog.held_jobs(now())?.into_iter().map(|held| wire::Held {
        reason: held.why,
        jobs: held.jobs,
        bytes: held.bytes,
        // 292 years either way are within a Timestamp's range.
        until: Timestamp::from_nanosecond(i128::from(held.until)).unwrap_or(Timestamp::MAX),
    });
    Ok(held.collect())
}

fn trouble(trouble: Trouble) -> wire::Trouble {
    wire::Trouble { reason: trouble.reason, since: trouble.since }
}

fn path(path: &Path) -> PathText {
    PathText(path.as_os_str().as_bytes().to_vec())
}

/// Bytes of the files that are being written.
pub(super) fn dirty_bytes(daemon: &Daemon) -> Result<u64, Failure> {
    let mut bytes = 0;
    for content in daemon.catalog.dirty()? {
        // One that was closed and forgotten meanwhile has none any more.
        bytes += daemon.fs.getattr(content.ino).map_or(0, |inode| inode.size);
    }
    Ok(bytes)
}

/// Files under way, and then those that wait for their next try.
fn uploads(daemon: &Daemon) -> Result<Vec<wire::Upload>, Failure> {
    let active = daemon.uploads.active();
    let under_way: HashSet<ContentId> = active.iter().map(|file| file.content).collect();
    let under_way_now = active.iter().map(|file| wire::Upload {
        path: PathText(file.path.clone()),
        size: file.size,
        sent: file.sent().min(file.size),
        attempts: file.attempt,
        error: file.error.clone(),
        idle_seconds: file.idle().as_secs(),
    });
    let failed = daemon.catalog.failed(SHOWN)?.into_iter().filter(|sealed| !under_way.contains(&sealed.content.id));
    let waiting = failed.map(|sealed| wire::Upload {
        path: PathText([sealed.vault.as_bytes(), b"/", &sealed.path].concat()),
        size: sealed.content.size,
        sent: 0,
        attempts: sealed.content.tries,
        error: sealed.content.error,
        idle_seconds: 0,
    });
    Ok(under_way_now.chain(waiting).take(SHOWN).collect())
}

fn jobs(daemon: &Daemon) -> Result<Vec<wire::Job>, Failure> {
    let mut jobs: Vec<_> = daemon.vaults.inventories().into_iter().map(inventory_job).collect();
    for view in daemon.recall.jobs().into_iter().take(SHOWN.saturating_sub(jobs.len())) {
        jobs.push(archive_job(daemon, view)?);
    }
    jobs.truncate(SHOWN);
    Ok(jobs)
}

fn archive_job(daemon: &Daemon, view: JobView) -> Result<wire::Job, Failure> {
    let content = match view.content {
        Some(id) => daemon.catalog.contents(&[id])?.pop(),
        None => None,
    };
    let path = match &content {
        Some(content) => daemon.catalog.path(content.ino)?,
        None => None,
    };
    let size = view.last - view.first + 1;
    let whole = content.is_some_and(|content| view.first == 0 && size == content.size);
    Ok(wire::Job {
        // Until the service has accepted it, it has no name.
        id: view.job_id.unwrap_or_default(),
        vault: view.vault,
        path: path.map(PathText),
        kind: wire::JobKind::Archive,
        tier: Some(view.tier),
        range: (!whole).then_some((view.first, view.last)),
        size,
        received: view.received,
        state: if view.ready { wire::JobState::Downloading } else { wire::JobState::Waiting },
        created: view.created,
        eta: view.eta,
        error: None,
    })
}

fn inventory_job(inventory: vault::Inventory) -> wire::Job {
    wire::Job {
        id: inventory.job_id.unwrap_or_default(),
        vault: inventory.vault,
        path: None,
        kind: wire::JobKind::Inventory,
        tier: None,
        range: None,
        size: 0,
        received: 0,
        state: wire::JobState::Waiting,
        created: inventory.started.unwrap_or_else(Timestamp::now),
        eta: inventory.eta,
        error: None,
    }
}
