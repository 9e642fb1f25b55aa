//! Parks a request until what it lacks is there, and does it again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::convert::Shown;
use super::policy::Terms;
use super::watch::Watch;
use crate::fs::Error;
use crate::fs::Fs;
use crate::fs::HandleId;
use crate::fs::Need;
use crate::fs::Result;
use crate::recall;
use crate::recall::Recall;
use crate::upload::NotArchived;
use crate::upload::Patience;
use crate::upload::Uploads;
use crate::util::recall::RecallPolicy;
use crate::util::saved::Saved;
use crate::util::seldom::Seldom;
use crate::vault::Vaults;

/// How long a file that is being written to is left alone before it is looked at again.
const AGAIN: Duration = Duration::from_millis(20);

/// What somebody waits for.
type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the adapter works with.
pub struct Shared {
    /// The file system.
    pub fs: Arc<Fs>,
    /// Brings bytes back.
    pub recall: Arc<Recall>,
    /// Makes and deletes vaults.
    pub vaults: Arc<Vaults>,
    /// Archives what was written, for a close or fsync that waits for it.
    pub uploads: Arc<Uploads>,
    /// What a close waits for.
    pub close: Saved,
    /// What an fsync waits for.
    pub fsync: Saved,
    /// Notices when who waits is interrupted.
    pub watch: Watch,
    /// Where parked requests wait.
    pub runtime: Handle,
    /// What the kernel is shown instead of recorded owners and modes.
    pub shown: Shown,
    /// What a request gets whose bytes aren't local, where no directory says otherwise.
    pub policy: RecallPolicy,
    /// Names of programs for which nothing is recalled.
    pub denied: Vec<String>,
    /// Tells of reads that the budget doesn't allow.
    pub refused: Seldom,
    /// How long a request waits for a recall at most; none: as long as it takes.
    pub recall_timeout: Option<Duration>,
    /// Becomes true when the daemon stops: every parked request is answered then.
    pub stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Does `operation`, now or as soon as what it lacks is there, and hands the result to `finish` (once, from whatever
    /// thread). `first` is the outcome of its first try; `tid` the thread that waits for the reply.
    pub(super) fn park<T: Send + 'static>(
        self: &Arc<Self>,
        tid: u32,
        first: Error,
        operation: impl Fn(&Fs) -> Result<T> + Send + Sync + 'static,
        finish: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.park_for(tid, false, first, operation, finish);
    }

    /// The same for a caller who doesn't wait if it is `hasty`.
    pub(super) fn park_for<T: Send + 'static>(
        self: &Arc<Self>,
        tid: u32,
        hasty: bool,
        first: Error,
        operation: impl Fn(&Fs) -> Result<T> + Send + Sync + 'static,
        finish: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let shared = self.clone();
        let operation = Arc::new(operation);
        self.runtime.spawn(async move {
            let mut lacking = first;
            let result = loop {
                if let Err(error) = shared.wait_for(tid, hasty, lacking).await {
                    break Err(error);
                }
                let (fs, again) = (shared.fs.clone(), operation.clone());
                let tried = tokio::task::spawn_blocking(move || again(&fs)).await;
                match tried.unwrap_or(Err(Errno::EIO.into())) {
                    Err(error @ (Error::Cold(_) | Error::Full(_))) => lacking = error,
                    other => break other,
                }
            };
            finish(result);
        });
    }

    /// Has the rest of the file behind `handle` retrieved from byte `offset` on, since somebody reads it from one end to the
    /// other. Waits for nothing.
    pub(super) fn read_ahead(self: &Arc<Self>, tid: u32, handle: HandleId, offset: u64) {
        let shared = self.clone();
        self.runtime.spawn_blocking(move || {
            let Ok(Some(need)) = shared.fs.cold_from(handle, offset) else { return };
            let Ok(terms) = shared.terms(need.content, tid, false) else { return };
            if terms.policy == RecallPolicy::Deny {
                return;
            }
            if let Err(error) = shared.recall.ahead(need.content, need.first, terms.tier) {
                log::warn!("the rest of a file that is being read can't be asked for: {error}");
            }
        });
    }

    /// Runs `work`, which waits for the service, and hands its result to `finish`; or EINTR, if thread `tid` is
    /// interrupted first.
    pub(super) fn wait<T: Send + 'static>(
        self: &Arc<Self>,
        tid: u32,
        work: impl Future<Output = Result<T>> + Send + 'static,
        finish: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let shared = self.clone();
        self.runtime.spawn(async move {
            let result = tokio::select! {
                result = work => result,
                error = shared.cut_short(tid) => Err(error),
            };
            finish(result);
        });
    }

    /// Archives what was written so far to the file behind `handle`.
    pub(super) async fn archive(self: Arc<Self>, handle: HandleId, patience: Patience) -> Result<()> {
        loop {
            let fs = self.fs.clone();
            let sealed = tokio::task::spawn_blocking(move || fs.seal_open(handle)).await;
            let content = match sealed.unwrap_or(Err(Errno::EIO.into())) {
                Ok(None) => return Ok(()),
                Ok(Some(content)) => content,
                Err(Error::Errno(Errno::EAGAIN)) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.uploads.archive(content, patience).await {
                Ok(()) => return Ok(()),
                Err(NotArchived::Overtaken) => tokio::time::sleep(AGAIN).await,
                Err(NotArchived::Catalog(error)) => return Err(error.into()),
                Err(NotArchived::Refused(reason)) => {
                    log::error!(
                        "a close or fsync that was to mean archived failed, the file stays in the queue: {reason}"
                    );
                    return Err(Errno::EIO.into());
                }
            }
        }
    }

    /// Waits until what was `lacking` is there, as far as the recall policy has it wait. In a box, so that the compiler makes it once,
    /// and not once for each kind of request.
    fn wait_for(&self, tid: u32, hasty: bool, lacking: Error) -> Waiting<'_, Result<()>> {
        Box::pin(async move {
            let cause = async {
                match lacking {
                    Error::Cold(need) => self.recalled(self.terms(need.content, tid, hasty)?, need).await,
                    Error::Full(bytes) => self.fs.wait_for_room(bytes).await,
                    other => Err(other),
                }
            };
            tokio::select! {
                outcome = cause => outcome,
                error = self.cut_short(tid) => Err(error),
            }
        })
    }

    /// What comes of bytes that aren't local: nothing but an error, unless who needs them is to wait, or they have just come.
    async fn recalled(&self, terms: Terms, need: Need) -> Result<()> {
        let mut emptied = self.fs.emptied();
        let recalled = async {
            let recalled = self.recall.bring(need.content, need.first, need.last, terms.tier);
            tokio::select! {
                outcome = recalled => outcome,
                // Perhaps this one. The file system, which holds the sender, outlives us.
                _ = emptied.changed() => Ok(()),
            }
        };
        let outcome = match (terms.policy, self.recall_timeout) {
            (RecallPolicy::Deny, _) => return Err(Errno::EREMOTE.into()),
            (RecallPolicy::Queue, _) => match self.recall.start(need.content, need.first, need.last, terms.tier) {
                Ok(false) => return Err(Errno::EAGAIN.into()),
                outcome => outcome.map(drop),
            },
            (RecallPolicy::Wait, None) => recalled.await,
            (RecallPolicy::Wait, Some(limit)) => {
                tokio::time::timeout(limit, recalled).await.map_err(|_| Errno::ETIMEDOUT)?
            }
        };
        match outcome {
            Ok(()) => Ok(()),
            // The file has other bytes by now, or none.
            Err(error) if error.is_gone() => Ok(()),
            Err(recall::Error::Over(over)) => {
                if let Some(line) = self.refused.line(format_args!("a read was refused (EDQUOT): {over}")) {
                    log::warn!("{line}");
                }
                Err(Errno::EDQUOT.into())
            }
            Err(error) => {
                log::error!("a read failed: {error}");
                Err(Errno::EIO.into())
            }
        }
    }

    /// Waits until thread `tid` is interrupted (EINTR) or the daemon stops (EIO).
    fn cut_short(&self, tid: u32) -> Waiting<'_, Error> {
        let mut stopping = self.stopping.clone();
        Box::pin(async move {
            tokio::select! {
                () = self.watch.interrupted(tid) => Errno::EINTR.into(),
                // That the sender is gone means the same: nobody will bring anything any more.
                _ = stopping.wait_for(|stopping| *stopping) => Errno::EIO.into(),
            }
        })
    }
}
