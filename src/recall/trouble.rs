//! What keeps recalls from moving: told once in the log when it begins and once when it is over, and in the status for as long as
//! it lasts.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::Timestamp;

use super::lock;
use crate::service::Error;
use crate::service::Kind;

/// What is tried again and again without success.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What the service, or the way to it, said last.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What can be in trouble by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Starting jobs.
    Ask,
    /// Finding out which are ready.
    Poll,
    /// Fetching their output.
    Fetch,
    /// Hearing from others which are ready. Without it all goes on.
    Hear,
}

impl Work {
    fn text(self) -> &'static str {
        match self {
            Work::Ask => "retrievals can't be started",
            Work::Poll => "the state of retrievals can't be asked for",
            Work::Fetch => "retrieved data can't be fetched",
            Work::Hear => "nothing is heard of jobs that have ended, which are looked for instead",
        }
    }
}

/// The troubles there are.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<HashMap<Work, Trouble>>);

impl Troubles {
    pub(super) fn begin(&self, work: Work, reason: String) {
        let mut troubles = lock(&self.0);
        let since = troubles.get(&work).map_or_else(Timestamp::now, |trouble| trouble.since);
        if troubles.insert(work, Trouble { reason: reason.clone(), since }).is_none() {
            log::warn!("{} now, which will be tried again: {reason}", work.text());
        }
    }

    pub(super) fn end(&self, work: Work) {
        if let Some(trouble) = lock(&self.0).remove(&work) {
            log::info!("it isn't so any more that {}, as it was since {}", work.text(), trouble.since);
        }
    }

    /// The oldest of those that keep something from moving.
    pub(super) fn oldest(&self) -> Option<Trouble> {
        let troubles = lock(&self.0);
        let holding = troubles.iter().filter(|(work, _)| **work != Work::Hear).map(|(_, trouble)| trouble);
        holding.min_by_key(|trouble| trouble.since).cloned()
    }

    pub(super) fn of(&self, work: Work) -> Option<Trouble> {
        lock(&self.0).get(&work).cloned()
    }
}

/// Whether to try again what failed so. Credentials too can be mended, and those that are wrong for an hour mustn't cost
/// retrievals that were paid for, or fail those of a whole night.
pub(super) fn may_pass(error: &Error) -> bool {
    error.is_retryable() || error.kind() == Kind::Credentials
}
