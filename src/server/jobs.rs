//! Jobs: initiate, describe, list.
//!
//! What a job yields is settled when it is initiated: the range and its hash, or the inventory document. From then on
//! only time passes, so a job's status is a function of the clock, and nothing has to wake up for it to complete; but the
//! deletion of an archive ends those over it that are in progress, which fail. A job can be read for 24 hours after its
//! completion; then it is as if it had never been.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::access::{Access, archive_at, vault_at};
use super::archives::range_hash;
use super::db::Tx;
use super::db::jobs::{self, Job, NewJob, NewTask, Task, Wanted};
use super::error::invalid;
use super::inventory::{Selection, write_document};
use super::multipart::row;
use super::object::NewObject;
use super::reply::{Answer, Reply};
use super::request::{Query, check_description, cut, marker, number};
use super::service::Service;
use super::{ids, vaults};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::treehash::is_megabyte_aligned;
use crate::glacier::wire::{
    Action, Date, InventoryFormat, InventoryJobParameters, JobDescription, JobPage, JobParameters, JobType,
    StatusCode as Status, Tier, header,
};
use crate::util::clock;

/// How long a job and its output live after completion.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// The most jobs on a page.
const PAGE: usize = 50;

impl Service {
    /// 3.26.
    pub async fn initiate_job(&self, access: Access, body: &[u8]) -> Answer {
        let parameters = parse(body)?;
        let now = self.now();
        let tier = parameters.tier.clone();
        let delay = self.retrieval_delays.of(tier.as_ref().unwrap_or(&Tier::Standard));
        let job_id = ids::job(now);
        let location = format!("{}/jobs/{job_id}", vaults::location(&access.address));
        let new = |task, tier: Option<Tier>, vault| NewJob {
            job_id: job_id.clone(),
            vault,
            description: parameters.description.clone(),
            sns_topic: parameters.sns_topic.clone(),
            tier: tier.map(|tier| tier.to_string()),
            created: now,
            completes: clock::add(now, delay),
            task,
        };
        match parameters.job_type {
            Some(JobType::ArchiveRetrieval) => {
                let archive_id = parameters.archive_id.clone();
                let archive_id = archive_id.ok_or_else(|| ServiceError::missing_parameter("ArchiveId"))?;
                let range = parameters.retrieval_byte_range.clone();
                let (at, id) = (access.clone(), archive_id.clone());
                let (vault, task) =
                    self.read(move |connection| archive_task(connection, &at, &id, range.as_deref())).await?;
                let job = new(task, Some(tier.unwrap_or(Tier::Standard)), vault);
                let limits = self.limits;
                self.write(move |tx| {
                    // Between the two, the archive may have been deleted, and its bytes with it.
                    if archive_at(tx, &access, &archive_id)?.1.deleted {
                        return Err(ServiceError::archive_not_found(&archive_id));
                    }
                    limits.check(tx, &access.address, &job)?;
                    Ok(jobs::insert(tx, &job)?)
                })
                .await?;
            }
            _ => {
                let asked = inventory_parameters(&parameters);
                let selection = Selection::check(&asked)?;
                let (at, files) = (access.clone(), self.files.clone());
                let (vault, document, next_marker) = self
                    .read(move |connection| {
                        let vault = vault_at(connection, &at)?;
                        let (document, next) =
                            write_document(connection, &files, &at.address, &vault, &selection, now)?;
                        Ok((vault.id, document, next))
                    })
                    .await?;
                let parameters = serde_json::to_string(&asked).map_err(std::io::Error::from)?;
                let task = NewTask::Inventory { parameters, next_marker, output: document.number };
                let job = new(task, tier, vault);
                self.write(move |tx| insert_inventory(tx, &access, &job, document)).await?;
            }
        }
        if self.publishes {
            self.jobs_changed.notify_one();
        } else if let Some(topic) = &parameters.sns_topic {
            log::debug!("{topic} won't be told of the job {job_id}: there is no SNS endpoint");
        }
        Reply::empty(StatusCode::ACCEPTED).at(location)?.with(header::JOB_ID, job_id)
    }

    /// 3.27.
    pub async fn describe_job(&self, access: Access, job_id: String) -> Answer {
        let now = self.now();
        let description = self
            .read(move |connection| {
                let job = job_in(connection, &access, &job_id, now)?;
                Ok(describe(job, &access.address.to_string(), now))
            })
            .await?;
        Reply::json(&description)
    }

    /// 3.28. Oldest first.
    pub async fn list_jobs(&self, access: Access, query: &Query<'_>) -> Answer {
        let now = self.now();
        let (limit, after) = (query.limit(PAGE)?, row(query.marker()?));
        let mut wanted = Wanted { after, completes_after: now - LIFETIME, completes_by: Timestamp::MAX, failed: None };
        let mut only = |completed: bool| {
            if completed {
                wanted.completes_by = wanted.completes_by.min(now);
            } else {
                wanted.completes_after = wanted.completes_after.max(now);
            }
        };
        match query.get("completed").as_deref() {
            None => {}
            Some("true") => only(true),
            Some("false") => only(false),
            Some(sent) => return Err(invalid(format!("Invalid completed: {sent}. Allowed are true and false."))),
        }
        match query.get("statuscode").as_deref().map(Status::from) {
            None => {}
            Some(Status::InProgress) => only(false),
            Some(status @ (Status::Succeeded | Status::Failed)) => {
                only(true);
                wanted.failed = Some(status == Status::Failed);
            }
            Some(Status::Unknown(sent)) => {
                return Err(invalid(format!("The job status code is not valid: {sent}")));
            }
        }
        let vault_arn = access.address.to_string();
        let mut found = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                Ok(jobs::page(connection, vault.id, wanted, limit + 1)?)
            })
            .await?;
        let marker = cut(&mut found, limit).map(|last| marker(last.id.unsigned_abs()));
        let job_list = found.into_iter().map(|job| describe(job, &vault_arn, now)).collect();
        Reply::json(&JobPage { job_list, marker })
    }
}

impl Job {
    /// Whether it has ended by `now`, well or not.
    pub fn is_completed(&self, now: Timestamp) -> bool {
        self.completes <= now
    }

    /// Whether its output can be read at `now`.
    pub fn has_output(&self, now: Timestamp) -> bool {
        self.is_completed(now) && self.failed.is_none()
    }
}

/// The job with an ID, which must be of the vault that is asked and not have expired.
pub(super) fn job_in(
    connection: &Connection,
    access: &Access,
    job_id: &str,
    now: Timestamp,
) -> Result<Job, ServiceError> {
    let vault = vault_at(connection, access)?;
    let job = jobs::find(connection, vault.id, job_id)?.filter(|job| now.duration_since(job.completes) < LIFETIME);
    job.ok_or_else(|| ServiceError::job_not_found(job_id))
}

/// Reads the body of InitiateJob, and checks what doesn't need the database.
pub(super) fn parse(body: &[u8]) -> Result<JobParameters, ServiceError> {
    if body.trim_ascii().is_empty() {
        return Err(ServiceError::missing_parameter("Job Parameters"));
    }
    let parameters: JobParameters = serde_json::from_slice(body)
        .map_err(|error| ServiceError::new(ErrorCode::Serialization, format!("Malformed job parameters: {error}")))?;
    let refuse = |given: bool, name: &str| match given {
        true => Err(invalid(format!("{name} is not allowed for a job of this type."))),
        false => Ok(()),
    };
    match &parameters.job_type {
        None => return Err(ServiceError::missing_parameter("type")),
        Some(JobType::ArchiveRetrieval) => {
            refuse(parameters.format.is_some(), "Format")?;
        }
        Some(JobType::InventoryRetrieval) => {
            refuse(parameters.archive_id.is_some(), "ArchiveId")?;
            refuse(parameters.retrieval_byte_range.is_some(), "RetrievalByteRange")?;
        }
        Some(JobType::Select) => return Err(invalid("Jobs of type select are not supported.")),
        Some(JobType::Unknown(sent)) => {
            return Err(invalid(format!(
                "Invalid type: {sent}. Allowed are archive-retrieval and inventory-retrieval."
            )));
        }
    }
    check_description("Description", parameters.description.as_deref().unwrap_or_default())?;
    if let Some(Tier::Unknown(sent)) = &parameters.tier {
        return Err(invalid(format!("Invalid Tier: {sent}. Allowed are {}.", Tier::WORDS.join(", "))));
    }
    Ok(parameters)
}

/// What an inventory job was asked for, as its description will say.
pub(super) fn inventory_parameters(parameters: &JobParameters) -> InventoryJobParameters {
    let filter = parameters.inventory_retrieval_parameters.clone().unwrap_or_default();
    InventoryJobParameters {
        end_date: filter.end_date,
        format: Some(parameters.format.clone().unwrap_or(InventoryFormat::Json)),
        limit: filter.limit,
        marker: filter.marker,
        start_date: filter.start_date,
    }
}

/// Adds an inventory job with its document, unless the vault has gone meanwhile.
fn insert_inventory(tx: &Tx<'_>, access: &Access, job: &NewJob, document: NewObject) -> Result<(), ServiceError> {
    if vault_at(tx, access)?.id != job.vault {
        return Err(ServiceError::vault_not_found(&access.address.to_string()));
    }
    jobs::insert(tx, job)?;
    Ok(document.insert(tx)?)
}

/// What a job over an archive retrieves: `range` of it, or all.
fn archive_task(
    connection: &Connection,
    access: &Access,
    archive_id: &str,
    range: Option<&str>,
) -> Result<(i64, NewTask), ServiceError> {
    let (vault, archive) = archive_at(connection, access, archive_id)?;
    if archive.deleted {
        return Err(ServiceError::archive_not_found(archive_id));
    }
    let (first, last) = match range {
        None => (0, archive.size - 1),
        Some(text) => retrieval_range(text, archive.size)?,
    };
    let tree_hash = range_hash(connection, archive.id, archive.size, first, last)?;
    Ok((vault.id, NewTask::Archive { archive: archive.id, first, last, tree_hash }))
}

/// The bytes, inclusive, that a `RetrievalByteRange` asks for of an archive of `size` bytes: megabyte aligned.
pub(super) fn retrieval_range(text: &str, size: u64) -> Result<(u64, u64), ServiceError> {
    let parsed = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    parsed.filter(|(first, last)| is_megabyte_aligned(size, *first, *last)).ok_or_else(|| {
        invalid(format!(
            "Invalid retrieval byte range: {text}. The range must begin at a multiple of 1048576, and end before one or \
             with the last byte of the archive, which has {size} bytes."
        ))
    })
}

/// The description of a job at `now`.
pub(super) fn describe(job: Job, vault_arn: &str, now: Timestamp) -> JobDescription {
    let completed = job.is_completed(now);
    let (status_code, status_message) = match (completed, job.failed) {
        (false, _) => (Status::InProgress, "Operation in progress.".to_owned()),
        (true, None) => (Status::Succeeded, "Succeeded".to_owned()),
        (true, Some(reason)) => (Status::Failed, reason),
    };
    let mut description = JobDescription {
        action: Action::ArchiveRetrieval,
        archive_id: None,
        archive_tree_hash: None,
        archive_size_in_bytes: None,
        completed,
        completion_date: completed.then_some(Date(job.completes)),
        creation_date: Date(job.created),
        inventory_retrieval_parameters: None,
        inventory_size_in_bytes: None,
        job_description: job.description,
        job_id: job.job_id,
        job_output_path: None,
        output_location: None,
        retrieval_byte_range: None,
        select_parameters: None,
        tree_hash: None,
        sns_topic: job.sns_topic,
        status_code,
        status_message: Some(status_message),
        tier: job.tier.as_deref().map(Tier::from),
        vault_arn: vault_arn.to_owned(),
    };
    match job.task {
        Task::Archive { archive_id, archive_size, archive_tree_hash, first, last, tree_hash, .. } => {
            description.archive_id = Some(archive_id);
            description.archive_size_in_bytes = Some(archive_size);
            description.archive_tree_hash = Some(archive_tree_hash);
            description.retrieval_byte_range = Some(format!("{first}-{last}"));
            description.tree_hash = tree_hash;
        }
        Task::Inventory { parameters, next_marker, size, .. } => {
            // What was serialised at the start is read back; were it otherwise, the members are null.
            let mut parameters: InventoryJobParameters = serde_json::from_str(&parameters).unwrap_or_default();
            if completed {
                parameters.marker = next_marker;
                description.inventory_size_in_bytes = Some(size);
            }
            description.action = Action::InventoryRetrieval;
            description.inventory_retrieval_parameters = Some(parameters);
        }
    }
    description
}
