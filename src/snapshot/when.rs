//! When snapshots are taken: once nothing has changed for a while and everything is archived, not too often, and daily at
//! least while there are changes, also when there is no end of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Snapshots;

/// So many delays lie between two snapshots at least: an hour of the usual quarters.
const SELDOM: u32 = 4;
/// So many delays lie between two snapshots at most, while something changes: a day of the usual quarters.
const OFTEN: u32 = 96;
/// How often it is looked whether something has changed, at most.
const LOOK: Duration = Duration::from_secs(15);

/// What was seen of a catalog's changes.
#[derive(Debug)]
pub(super) struct Watch {
    delay: Duration,
    /// The counter of changes, and when it was last seen to change.
    seen: (u64, Instant),
    /// The same when the last snapshots were taken.
    taken: Option<(u64, Instant)>,
    started: Instant,
}

impl Watch {
    pub(super) fn new(delay: Duration, now: Instant) -> Self {
        Watch { delay, seen: (u64::MAX, now), taken: None, started: now }
    }

    /// Whether it is time, `now` that so much was `written` to the catalog, and so many files are `waiting` for their upload.
    pub(super) fn is_time(&mut self, written: u64, waiting: u64, now: Instant) -> bool {
        if self.seen.0 != written {
            self.seen = (written, now);
        }
        let (changed, last) = match self.taken {
            Some((at, last)) => (at != written, last),
            // What was changed before the start isn't known.
            None => (true, self.started),
        };
        let quiet = now - self.seen.1 >= self.delay && waiting == 0;
        let long_ago = self.taken.is_none() || now - last >= self.delay * SELDOM;
        changed && (quiet && long_ago || now - last >= self.delay * OFTEN)
    }

    /// Snapshots were taken of what was `written` until then.
    pub(super) fn taken(&mut self, written: u64, now: Instant) {
        self.taken = Some((written, now));
    }
}

impl Snapshots {
    /// Takes snapshots of all vaults when it is time, until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let Some(delay) = self.settings.delay else { return };
        let mut watch = Watch::new(delay, Instant::now());
        loop {
            tokio::time::sleep((delay / 4).clamp(Duration::from_millis(50), LOOK)).await;
            let waiting = self.catalog.queue().map_or(0, |(sealed, _, dirty)| sealed + dirty);
            let written = self.catalog.writes();
            if !watch.is_time(written, waiting, Instant::now()) {
                continue;
            }
            let snapshots = self.clone();
            let done = tokio::task::spawn_blocking(move || snapshots.take_all()).await;
            // A panic in there was logged, and what has changed waits for the next time.
            let _ = done;
            watch.taken(written, Instant::now());
        }
    }

    fn take_all(&self) {
        let vaults = match self.catalog.vaults() {
            Ok(vaults) => vaults,
            Err(error) => return log::error!("no snapshots can be taken: {error}"),
        };
        for vault in vaults {
            match self.fs.room() {
                Ok(room) if room.available == 0 => return log::warn!("there is no room for snapshots"),
                _ => {}
            }
            if let Err(error) = self.take(&vault.name, false) {
                log::error!("no snapshot of {} can be taken now: {error}", vault.name);
            }
        }
    }
}
