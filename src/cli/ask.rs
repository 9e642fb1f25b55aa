//! What all commands that talk to a daemon share: finding it, a runtime, patience.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use super::exit::Code;
use super::exit::Failure;
use crate::control::client;
use crate::control::client::Client;
use crate::control::find;
use crate::control::wire::PathText;

/// Finds the daemon of `paths` (none: of the only mount) and runs `question` with its client and the paths relative to
/// the mount.
pub fn ask<T>(
    paths: &[PathBuf],
    question: impl AsyncFnOnce(Client, Vec<PathText>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let found = find::find(paths)?;
    block_on(question(Client::new(found.socket), found.paths))
}

/// As [`ask`], for paths that need not exist any more, in the mount `mount` if that is some.
pub fn ask_of_lost<T>(
    paths: &[PathBuf],
    mount: Option<&Path>,
    question: impl AsyncFnOnce(Client, Vec<PathText>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let found = find::find_lost(paths, mount)?;
    block_on(question(Client::new(found.socket), found.paths))
}

/// Runs asynchronous work to its end.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A wait that asks again and again: often at first, more seldom later, until a deadline if there is one.
pub struct Patience {
    started: Instant,
    longest: Duration,
    limit: Option<Duration>,
}

impl Patience {
    /// Patience for `limit`, or without end, with a daemon: it is asked at least once a second.
    pub fn new(limit: Option<Duration>) -> Self {
        Patience { started: Instant::now(), longest: Duration::from_secs(1), limit }
    }

    /// The same with the service, which counts requests: it is asked at least once a minute.
    pub fn with_service(limit: Option<Duration>) -> Self {
        Patience { longest: Duration::from_secs(60), ..Patience::new(limit) }
    }

    /// Waits until it is time to ask again; once the limit has passed, fails with "timed out" and what isn't done.
    pub async fn wait(&self, unfinished: impl FnOnce() -> String) -> Result<(), Failure> {
        // In proportion: what took a second is known to be done after 1.1, and what takes hours isn't asked for every moment.
        let mut pause = (self.started.elapsed() / 10).clamp(Duration::from_millis(20), self.longest);
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                let message = format!("not done within {}: {}", humantime::format_duration(limit), unfinished());
                return Err(Failure::new(Code::TimedOut, message));
            }
            pause = pause.min(left);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether an error says that the daemon is gone, as it is after a stop.
pub fn is_gone(error: &client::Error) -> bool {
    matches!(error, client::Error::NoDaemon { .. } | client::Error::Broken { .. })
}

/// Parses a flag's duration; the message names what is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|e| format!("{e}: allowed is 0, or a time with its unit such as 10s, 90min, 6h or 2days"))
}
