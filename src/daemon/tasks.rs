//! What a daemon does on the side: sync, tidy, tell systemd, drain.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::ready;
use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::store::Store;
use crate::upload::Uploads;
use crate::util::size;

/// How often the catalog is synced: names and attributes that nobody synced survive a power cut that comes later.
const SYNC: Duration = Duration::from_secs(5);
/// How often it is noted when what is cached was used: so much of the order of use is lost by a kill at most.
const NOTE: Duration = Duration::from_secs(60);
/// How often `systemctl status` gets a new line.
const TELL: Duration = Duration::from_secs(5);

/// Syncs the catalog and what was archived, and moves the catalog's log into its database, for ever.
pub(super) async fn sync(catalog: Arc<Catalog>, cache: Arc<Cache>) {
    let mut interval = tokio::time::interval(SYNC);
    loop {
        interval.tick().await;
        let (catalog, cache) = (catalog.clone(), cache.clone());
        let done = tokio::task::spawn_blocking(move || {
            if let Err(error) = catalog.sync() {
                log::error!("the catalog can't be synced: {error}");
            }
            if let Err(error) = cache.sync() {
                log::error!("what was archived can't be synced, and will be later: {error}");
            }
            if let Err(error) = catalog.checkpoint() {
                log::error!("the catalog can't be tidied: {error}");
            }
        });
        // A panic in there was logged, and the next round tries again.
        let _ = done.await;
    }
}

/// Notes when what is cached was used, for ever.
pub(super) async fn note_use(cache: Arc<Cache>) {
    let mut interval = tokio::time::interval(NOTE);
    loop {
        interval.tick().await;
        let cache = cache.clone();
        let noted = tokio::task::spawn_blocking(move || cache.note_use());
        // A panic in there was logged, and the next round tries again.
        if let Ok(Err(error)) = noted.await {
            log::warn!("the catalog can't note when what is cached was used: {error}");
        }
    }
}

/// Tells systemd that the daemon isn't hung, if it wants to know. A suspended machine doesn't look like a hang: systemd's watch and
/// this one go by CLOCK_MONOTONIC, which stands still meanwhile (clock_gettime(2)), as no step of the machine's time moves it.
pub(super) async fn watchdog() {
    let Some(interval) = ready::watchdog() else { return };
    let mut interval = tokio::time::interval(interval);
    loop {
        interval.tick().await;
        ready::alive();
    }
}

/// Keeps the line in `systemctl status` up to date.
pub(super) async fn tell(uploads: Arc<Uploads>, catalog: Arc<Catalog>) {
    let mut interval = tokio::time::interval(TELL);
    loop {
        interval.tick().await;
        if let Ok((files, bytes, _)) = catalog.queue() {
            let queue = match files {
                0 => "everything is archived".to_owned(),
                _ => format!("{files} files ({}) wait to be archived", size::human(bytes)),
            };
            let paused = uploads.paused();
            let trouble = paused.first().map(|pause| format!("; {} waits: {}", pause.vault, pause.reason));
            ready::status(&(queue + trouble.as_deref().unwrap_or_default()));
        }
    }
}

/// Learns what is cached, on a thread of its own.
pub(super) fn learn_cached(cache: Arc<Cache>) {
    tokio::task::spawn_blocking(move || {
        if let Err(error) = cache.learn() {
            log::error!("what is cached can't be learned: {error}");
        }
    });
}

/// Sets aside what is in the store and the catalog doesn't know, on a thread of its own.
pub(super) fn set_aside_unknown(store: Arc<Store>, catalog: Arc<Catalog>) {
    let sweep = move || {
        let known = match catalog.files() {
            Ok(files) => files,
            Err(error) => return log::error!("the store can't be compared with the catalog: {error}"),
        };
        match store.sweep(&known) {
            Ok(0) => {}
            Ok(found) => log::warn!(
                "{found} files of the store aren't in the catalog: they were set aside in its lost+found, nothing was deleted"
            ),
            Err(error) => log::error!("the store can't be compared with the catalog: {error}"),
        }
    };
    tokio::task::spawn_blocking(sweep);
}

/// Waits until everything is archived, `limit` at most.
pub(super) async fn drain(uploads: &Uploads, catalog: &Catalog, limit: Duration) {
    let deadline = Instant::now() + limit;
    if let Err(error) = uploads.hurry(None, true) {
        return log::error!("the queue can't be hurried: {error}");
    }
    loop {
        let (files, bytes, _) = catalog.queue().unwrap_or_default();
        let left = deadline.saturating_duration_since(Instant::now());
        if files == 0 || left.is_zero() {
            return;
        }
        ready::status(&format!("stopping: {files} files ({}) are still to be archived", size::human(bytes)));
        ready::stopping_for(left + Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100).min(left)).await;
    }
}
