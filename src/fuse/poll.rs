//! Files whose reader doesn't wait: who gets EAGAIN for bytes that aren't local, and what poll(2) and epoll(7) say then.
//!
//! A disk's file is always ready, and epoll refuses it; a FUSE file it takes. Go's runtime therefore sets O_NONBLOCK on every
//! file that it opens on FUSE, and sleeps after an EAGAIN until epoll reports an event. So a file doesn't wait only if its
//! *open* said O_NONBLOCK; and whoever got EAGAIN finds the file not ready while the bytes are on their way, and is
//! woken when they are there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use fuser::OpenFlags;
use fuser::PollEvents;
use fuser::PollNotifier;
use fuser::Request;
use nix::errno::Errno;

use super::adapter::Adapter;
use super::park::Shared;
use crate::fs::Error;
use crate::fs::Fs;
use crate::fs::HandleId;
use crate::fs::Need;
use crate::fs::Result;

/// What is known of one open file.
#[derive(Default)]
struct Handle {
    /// Whether it was opened with O_NONBLOCK.
    hasty: bool,
    /// Whether it isn't ready, until bytes that were asked for are there.
    waits: bool,
    /// Wakes those who poll it.
    notifier: Option<PollNotifier>,
}

/// Open files that don't wait, or are polled.
#[derive(Clone, Default)]
pub(super) struct Polls(Arc<Mutex<HashMap<HandleId, Handle>>>);

impl Polls {
    fn lock(&self) -> MutexGuard<'_, HashMap<HandleId, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a file was opened with `flags` (open(2)).
    pub(super) fn opened(&self, handle: HandleId, flags: i32) {
        if flags & libc::O_NONBLOCK != 0 {
            self.lock().entry(handle).or_default().hasty = true;
        }
    }

    /// Forgets a file that was closed.
    pub(super) fn released(&self, handle: HandleId) {
        self.lock().remove(&handle);
    }

    /// Whether whoever uses the file, which has `flags` now, doesn't wait: it was opened so, and still is.
    pub(super) fn doesnt_wait(&self, handle: HandleId, flags: i32) -> bool {
        flags & libc::O_NONBLOCK != 0 && self.lock().get(&handle).is_some_and(|file| file.hasty)
    }

    /// What of `events` the file is ready for. Who asks is woken by `notifier` when that changes.
    pub(super) fn ready(&self, handle: HandleId, events: PollEvents, notifier: PollNotifier) -> PollEvents {
        let mut files = self.lock();
        let file = files.entry(handle).or_default();
        file.notifier = Some(notifier);
        let ready = match file.waits {
            true => PollEvents::empty(),
            false => PollEvents::POLLIN | PollEvents::POLLRDNORM | PollEvents::POLLOUT | PollEvents::POLLWRNORM,
        };
        ready & events
    }

    /// Says that the file is ready again; whom to wake.
    fn awaited(&self, handle: HandleId) -> Option<PollNotifier> {
        let mut files = self.lock();
        let file = files.get_mut(&handle)?;
        file.waits = false;
        let notifier = file.notifier.clone();
        if !file.hasty && notifier.is_none() {
            // There is nothing to remember, and it may have been closed meanwhile.
            files.remove(&handle);
        }
        notifier
    }

    /// Says that the file isn't ready until what it needs is there, or can't come.
    pub(super) fn await_bytes(&self, handle: HandleId, need: Need, shared: &Arc<Shared>) {
        if std::mem::replace(&mut self.lock().entry(handle).or_default().waits, true) {
            return;
        }
        let (polls, shared) = (self.clone(), shared.clone());
        shared.runtime.clone().spawn(async move {
            // Why it failed is told to who reads again.
            let tier = shared.fs.rules_of(need.content).ok().and_then(|rules| rules.tier);
            let _ = shared.recall.bring(need.content, need.first, need.last, tier).await;
            let notifier = polls.awaited(handle);
            if let Some(Err(error)) = notifier.map(PollNotifier::notify) {
                log::debug!("who polls a file wasn't woken: {error}");
            }
        });
    }
}

impl Adapter {
    /// Does for caller `req` with an open file, once that is possible, what couldn't be done for what it was `lacking`.
    pub(super) fn park_open<T: Send + 'static>(
        &self,
        req: &Request,
        file: (HandleId, OpenFlags),
        lacking: Error,
        again: impl Fn(&Fs) -> Result<T> + Send + Sync + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let (handle, flags) = file;
        let (polls, shared) = (self.polls.clone(), self.shared.clone());
        let need = if let Error::Cold(need) = lacking { Some(need) } else { None };
        let hasty = self.polls.doesnt_wait(handle, flags.0);
        self.shared.park_for(req.pid(), hasty, lacking, again, move |result| {
            if let (Some(need), Err(Error::Errno(Errno::EAGAIN))) = (need, &result) {
                polls.await_bytes(handle, need, &shared);
            }
            answer(result);
        });
    }
}
