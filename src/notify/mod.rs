//! Hears from a queue that jobs have ended, so that a recall is woken within a second instead of at the next look.
//!
//! The service tells a topic of SNS of what a vault's jobs become, and a queue of SQS is subscribed to that. Anybody who may write to
//! the queue can put anything there, and a message may come twice, late, or never. So a message is a hint: the job that it names is
//! looked at, if it is waited for here, and what the service says of it counts. Every message is deleted once it was read,
//! whatever is in it. While the queue can't be read, recalls look for themselves, as they do without one.

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod inbox;
mod message;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::join_all;

use crate::recall::Recall;
use crate::util::queue::Queue;
use crate::util::retry::Backoff;

use inbox::Inbox;
use message::Hint;

/// Between tries while the queue can't be read.
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };
/// The least time between two requests to a queue that is empty, should its service not wait for messages.
const EMPTY: Duration = Duration::from_secs(1);

/// Which queue to hear, and how to reach it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The queue.
    pub queue: Queue,
    /// The region of the vaults, where a queue is that doesn't say anything else.
    pub region: String,
    /// The profile of the AWS configuration files to take credentials from.
    pub profile: Option<String>,
}

/// Wakes `recall` by what the queue tells, for ever.
pub async fn listen(recall: Arc<Recall>, settings: Settings) {
    let mut failures = 0;
    loop {
        // Opened anew after each failure, so that other credentials are found and a queue that was made again too.
        let error = match Inbox::open(&settings).await {
            Ok(inbox) => hear(&recall, &inbox, &mut failures).await,
            Err(error) => error,
        };
        failures += 1;
        recall.listens(Err(format!("the queue {}: {error}", settings.queue)));
        tokio::time::sleep(RETRY.wait(failures)).await;
    }
}

/// Hands on what comes, until the queue fails; answers why it did.
async fn hear(recall: &Recall, inbox: &Inbox, failures: &mut u32) -> String {
    loop {
        let began = Instant::now();
        let messages = match inbox.receive().await {
            Ok(messages) => messages,
            Err(error) => return error,
        };
        let hints: HashSet<Hint> = messages.iter().filter_map(|message| message::parse(&message.text)).collect();
        log::debug!("{} messages name {} jobs", messages.len(), hints.len());
        let told = join_all(hints.iter().map(|hint| recall.told(&hint.vault, &hint.job_id)));
        let (_, deleted) = tokio::join!(told, inbox.delete(&messages));
        if let Err(error) = deleted {
            return error;
        }
        *failures = 0;
        recall.listens(Ok(()));
        if messages.is_empty() {
            tokio::time::sleep(EMPTY.saturating_sub(began.elapsed())).await;
        }
    }
}
