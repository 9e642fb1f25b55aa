//! Waiting until one content is archived, for programs whose close or fsync is to mean that.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use tokio::time::timeout_at;

use super::Pause;
use super::Uploads;
use super::lock;
use crate::catalog;
use crate::catalog::ContentId;
use crate::catalog::State;

/// How often the catalog is looked at while nothing is heard of the content.
const LOOK: Duration = Duration::from_secs(1);

/// How a try to upload a content ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) content: ContentId,
    /// Why another try won't end otherwise, unless somebody changes something.
    pub(super) refused: Option<String>,
}

/// Why a content isn't archived.
#[derive(Debug, thiserror::Error)]
pub enum NotArchived {
    /// It was written to again: there are other bytes to be archived than those that were meant.
    #[error("the file was written to again before it was archived")]
    Overtaken,
    /// The service doesn't take it. It stays in the queue, and is tried again.
    #[error("{0}")]
    Refused(String),
    /// The catalog can't say.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

/// What a wait for an archive bears with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A service that can't be reached or is too busy.
    Long,
    /// Only the time that it takes.
    Short,
}

impl Uploads {
    /// Archives the sealed `content` at once, and returns when that is done, or when there is nothing left to archive.
    ///
    /// # Errors
    /// [`NotArchived`].
    pub async fn archive(&self, content: ContentId, patience: Patience) -> Result<(), NotArchived> {
        let mut ended = self.ended.subscribe();
        let mut hurried = false;
        loop {
            match self.catalog.content(content) {
                Err(catalog::Error::NotFound) => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(found) => match found.state {
                    State::Archived => return Ok(()),
                    State::Dirty => return Err(NotArchived::Overtaken),
                    State::Sealed if !hurried => {
                        self.hurry(Some(&[content]), true)?;
                        hurried = true;
                    }
                    State::Sealed => {
                        let paused = lock(&self.paused);
                        let futile = |pause: &&Pause| patience == Patience::Short || pause.is_hopeless();
                        if let Some(pause) = paused.get(&found.vault).filter(futile) {
                            return Err(NotArchived::Refused(pause.reason.clone()));
                        }
                    }
                },
            }
            if let Some(reason) = refused(&mut ended, content).await {
                return Err(NotArchived::Refused(reason));
            }
        }
    }
}

/// Listens until a try of `content` has ended, or for [`LOOK`], and answers why it was refused if it was.
async fn refused(ended: &mut Receiver<Ended>, content: ContentId) -> Option<String> {
    let until = Instant::now() + LOOK;
    loop {
        match timeout_at(until, ended.recv()).await {
            Ok(Ok(ended)) if ended.content == content => return ended.refused,
            Ok(Ok(_)) => {}
            // Too late, or too slow to have heard all.
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}
