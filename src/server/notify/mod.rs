//! Notifications (5.3): whoever is named by a job, or by its vault, is told of the job's completion.
//!
//! Completing is a matter of time alone, so a task waits for it. It puts the messages into the outbox and notes that the
//! job has been told of, in one transaction, and publishes from there. What was put there is tried again until it is
//! published, whatever happens in between; after a day of the machine's clock it is given up. So each message arrives at
//! least once, and seldom more often.

mod sns;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::db::Tx;
use super::db::jobs::{self, Job};
use super::db::notifications;
use super::db::outbox::{self, Message};
use super::db::vaults::VaultAddress;
use super::jobs::describe;
use super::service::Service;
use crate::glacier::error::ServiceError;
use crate::glacier::wire::{Action, JobDescription};
use crate::util::clock::{self, Clock};
use crate::util::retry::Backoff;

pub(super) use sns::{Sns, region};

/// How many jobs or messages are taken at a time.
const BATCH: usize = 100;
/// The waits between attempts to publish a message.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(10 * 60) };
/// For how long a message is tried.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How long to wait when the database can't be used.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells of the completion of jobs, until it is dropped.
pub(super) async fn tell_forever(service: Arc<Service>, sns: Sns) {
    let machine = Clock::real();
    loop {
        let (completion, retry) = match tell(&service, &sns).await {
            Ok(next) => next,
            Err(error) => {
                log::warn!("notifications are late, they are tried again: {error}");
                machine.sleep(PAUSE).await;
                continue;
            }
        };
        tokio::select! {
            () = service.jobs_changed.notified() => {}
            () = reached(&service.clock, completion) => {}
            () = reached(&machine, retry) => {}
        }
    }
}

/// Waits until `clock` shows `time`; forever for none.
async fn reached(clock: &Clock, time: Option<Timestamp>) {
    match time {
        Some(time) => clock.sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Tells of everything that can be told now. Answers when, by the service's clock, the next job completes, and when, by
/// the machine's, the next message is to be tried.
async fn tell(service: &Service, sns: &Sns) -> Result<(Option<Timestamp>, Option<Timestamp>), ServiceError> {
    let now = service.now();
    while service.write(move |tx| post(tx, now)).await? == BATCH {}
    for message in service.read(|connection| Ok(outbox::due(connection, Timestamp::now(), BATCH)?)).await? {
        let id = message.id;
        match sns.publish(service.keys.first(), &message.topic, &message.text).await {
            Ok(()) => service.write(move |tx| Ok(outbox::remove(tx, id)?)).await?,
            Err(reason) => {
                put_off(service, message, &reason).await?;
                // Other jobs may complete before all the rest has been tried in vain as well.
                break;
            }
        }
    }
    service.read(|connection| Ok((jobs::next_untold(connection)?, outbox::next_due(connection)?))).await
}

/// Puts the messages about at most [`BATCH`] jobs into the outbox. Answers how many jobs it were.
fn post(tx: &Tx<'_>, now: Timestamp) -> Result<usize, ServiceError> {
    let completed = jobs::untold(tx, now, BATCH)?;
    let count = completed.len();
    for (job, vault, address) in completed {
        jobs::mark_told(tx, job.id)?;
        post_about(tx, job, vault, &address, now)?;
    }
    Ok(count)
}

fn post_about(tx: &Tx<'_>, job: Job, vault: i64, address: &VaultAddress, now: Timestamp) -> Result<(), ServiceError> {
    let description = describe(job, &address.to_string(), now);
    let event = match description.action {
        Action::InventoryRetrieval => "InventoryRetrievalCompleted",
        _ => "ArchiveRetrievalCompleted",
    };
    let topics = [description.sns_topic.clone(), notifications::topic_for(tx, vault, event)?];
    for topic in topics.into_iter().flatten() {
        if region(&topic).is_none() {
            log::warn!("{topic:?} is no topic of SNS: it isn't told of the job {}", description.job_id);
            continue;
        }
        outbox::insert(tx, &topic, &text(&description)?, Timestamp::now())?;
    }
    Ok(())
}

/// The message about a job: its description without what only select jobs have.
fn text(description: &JobDescription) -> Result<String, ServiceError> {
    let mut members = serde_json::to_value(description).map_err(std::io::Error::from)?;
    if let Some(members) = members.as_object_mut() {
        for name in ["JobOutputPath", "OutputLocation", "SelectParameters"] {
            members.remove(name);
        }
        members.sort_keys();
    }
    Ok(members.to_string())
}

/// Has a message that couldn't be published tried again later, or gives it up.
async fn put_off(service: &Service, message: Message, reason: &str) -> Result<(), ServiceError> {
    let Message { id, topic, created, tries, .. } = message;
    let now = Timestamp::now();
    if now.duration_since(created) >= PATIENCE {
        log::warn!("{topic} is not told of a job, after a day of trying: {reason}");
        return service.write(move |tx| Ok(outbox::remove(tx, id)?)).await;
    }
    let wait = BACKOFF.wait(tries + 1);
    let level = if tries == 0 { log::Level::Warn } else { log::Level::Debug };
    log::log!(level, "{topic} can't be told of a job, which is tried again in {wait:.1?}: {reason}");
    service.write(move |tx| Ok(outbox::postpone(tx, id, clock::add(now, wait))?)).await
}
