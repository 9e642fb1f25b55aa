//! The removal of what time has made invisible: expired jobs with their outputs, uploads that nobody asks for any more,
//! locks that were not completed, and capacity whose month is over.
//!
//! Whether something has expired is decided where it is looked for; sweeping only frees its space, so it may come late.

use std::sync::Arc;
use std::time::Duration;

use super::db::{Tx, capacity, jobs, lock, uploads};
use super::service::Service;
use super::{jobs::LIFETIME, multipart::IDLE};
use crate::glacier::error::ServiceError;
use crate::util::clock;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How often to look at the clock.
const LOOK: Duration = Duration::from_secs(5);
/// How many to remove in one transaction, so that no request waits long behind it.
const BATCH: usize = 200;

/// Sweeps at the start and then from time to time, until it is dropped.
pub(super) async fn sweep_forever(service: Arc<Service>) {
    loop {
        if let Err(error) = sweep(&service).await {
            log::warn!("removing what has expired failed, it is tried again: {error}");
        }
        service.clock.sleep(INTERVAL).await;
    }
}

/// Notices that the machine's clock was set back, until it is dropped: what was to be ready in an hour isn't in a day then.
pub(super) async fn watch_clock(service: Arc<Service>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = not_later(&service).await {
            log::warn!("jobs may take longer, since the clock was set back: {error}");
        }
    }
}

async fn not_later(service: &Service) -> Result<(), ServiceError> {
    let now = service.now();
    // Not those that begin while this looks.
    let later = clock::add(now, LOOK);
    if service.read(move |connection| Ok(jobs::any_later(connection, later)?)).await? {
        let jobs = service.write(move |tx| Ok(jobs::begin_now(tx, later, now)?)).await?;
        log::warn!("the clock was set back: {jobs} jobs in progress count as initiated now");
        service.jobs_changed.notify_one();
    }
    Ok(())
}

/// Removes everything that has expired by now.
pub(super) async fn sweep(service: &Service) -> Result<(), ServiceError> {
    let (now, told) = (service.now(), service.publishes);
    let batch = move |tx: &Tx<'_>| {
        let jobs = jobs::remove_completed(tx, now - LIFETIME, told, BATCH)?;
        lock::remove_expired(tx, now)?;
        capacity::remove_expired(tx, now)?;
        let uploads = uploads::remove_idle(tx, now - IDLE, BATCH)?;
        Ok(jobs.max(uploads) == BATCH)
    };
    while service.write(batch).await? {}
    Ok(())
}
