//! The archive service that is Amazon Glacier's vault API, or anything that speaks it.
//!
//! Nothing but translation: operations to the client's, its answers and errors to the service's own words.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::{
    ArchiveRecord, ArchiveService, Error, Fetched, InventoryItem, Job, JobKind, JobStatus, Kind, Limits, Part, Payload,
    PayloadHash, Result, Retention, Tier, TreeHash, Vault, retention,
};
use crate::glacier::client::{self, Client, ErrorKind, JobFilter, MAX_PART, MAX_PARTS};
use crate::glacier::error::ErrorCode;
use crate::glacier::inventory::{self, Item};
use crate::glacier::treehash::LEAF;
use crate::glacier::wire;

/// Pieces of an inventory's text that wait for the parser.
const PIECES: usize = 4;
/// Items of an inventory that wait for the reader.
const ITEMS: usize = 256;

/// Glacier as an [`ArchiveService`]. Cloning shares the client.
#[derive(Clone, Debug)]
pub struct Glacier(Client);

impl Glacier {
    /// How large archives and their parts can be.
    pub const LIMITS: Limits = Limits { max_put: MAX_PART, min_part: LEAF, max_part: MAX_PART, max_parts: MAX_PARTS };

    /// The archive service behind `client`.
    pub fn new(client: Client) -> Self {
        Glacier(client)
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        let (kind, retryable) = (kind(&error), error.is_retryable() || error.is_clock_skew());
        let retryable = retryable || matches!(kind, Kind::Corrupt | Kind::NotReady | Kind::Policy);
        Error::new(kind, retryable, error.to_string()).with_unknown_outcome(error.outcome_is_unknown())
    }
}

fn kind(error: &client::Error) -> Kind {
    let service = match error.kind() {
        ErrorKind::Service { .. } if error.is_clock_skew() => return Kind::ClockSkew,
        ErrorKind::Service { error, .. } => error,
        ErrorKind::Transport { .. } | ErrorKind::Malformed(_) => return Kind::Unavailable,
        ErrorKind::Credentials(_) => return Kind::Credentials,
        ErrorKind::Corrupted { .. } => return Kind::Corrupt,
        ErrorKind::Payload(_) => return Kind::Local,
        ErrorKind::Invalid(_) => return Kind::Invalid,
    };
    let says = |text| service.message.starts_with(text);
    match service.code {
        ErrorCode::ResourceNotFound if says("Vault not found") => Kind::VaultMissing,
        ErrorCode::ResourceNotFound => Kind::NotFound,
        ErrorCode::InvalidParameterValue if says("Vault not empty") => Kind::VaultNotEmpty,
        ErrorCode::InvalidParameterValue if says("The job is not currently available") => Kind::NotReady,
        ErrorCode::InvalidParameterValue if says("Checksum mismatch") => Kind::Corrupt,
        ErrorCode::InvalidSignature if says("The value passed in as x-amz-content-sha256") => Kind::Corrupt,
        ErrorCode::InvalidSignature
        | ErrorCode::IncompleteSignature
        | ErrorCode::ExpiredToken
        | ErrorCode::MissingAuthenticationToken
        | ErrorCode::UnrecognizedClient => Kind::Credentials,
        ErrorCode::AccessDenied | ErrorCode::NoLongerSupported => Kind::AccessDenied,
        ErrorCode::LimitExceeded => Kind::Quota,
        ErrorCode::PolicyEnforced => Kind::Policy,
        ErrorCode::InsufficientCapacity => Kind::Capacity,
        _ if service.is_retryable() => Kind::Unavailable,
        _ if service.status == 401 || service.status == 403 => Kind::AccessDenied,
        _ => Kind::Invalid,
    }
}

fn vault(vault: wire::VaultDescription) -> Vault {
    Vault {
        name: vault.vault_name,
        arn: vault.vault_arn,
        created: vault.creation_date.0,
        last_inventory: vault.last_inventory_date.map(|date| date.0),
        archives: vault.number_of_archives,
        bytes: vault.size_in_bytes,
    }
}

pub(super) fn job(job: wire::JobDescription) -> Job {
    let range = job.retrieval_byte_range.as_deref().and_then(parse_range);
    let kind = match (&job.action, job.archive_id) {
        (wire::Action::ArchiveRetrieval, Some(archive_id)) => JobKind::Archive { archive_id, range: range.clone() },
        (wire::Action::InventoryRetrieval, _) if is_whole_json(job.inventory_retrieval_parameters.as_ref()) => {
            JobKind::Inventory
        }
        _ => JobKind::Other,
    };
    let status = match job.status_code {
        wire::StatusCode::Succeeded => JobStatus::Succeeded,
        wire::StatusCode::Failed => JobStatus::Failed(job.status_message.unwrap_or_else(|| "Failed".into())),
        wire::StatusCode::InProgress | wire::StatusCode::Unknown(_) => JobStatus::InProgress,
    };
    let tier = job.tier.and_then(|tier| tier.as_str().parse().ok());
    let size = match kind {
        JobKind::Archive { .. } => {
            range.map(|range| (range.end() - range.start()).saturating_add(1)).or(job.archive_size_in_bytes)
        }
        JobKind::Inventory | JobKind::Other => job.inventory_size_in_bytes,
    };
    Job {
        id: job.job_id,
        kind,
        tier,
        status,
        created: job.creation_date.0,
        completed: job.completion_date.map(|date| date.0),
        size,
        tree_hash: job.tree_hash,
    }
}

/// Whether an inventory job lists everything, in JSON. The marker of a finished job says that something is left.
fn is_whole_json(parameters: Option<&wire::InventoryJobParameters>) -> bool {
    parameters.is_none_or(|parameters| {
        let filters = [&parameters.start_date, &parameters.end_date, &parameters.limit, &parameters.marker];
        let json = parameters.format.as_ref().is_none_or(|format| *format == wire::InventoryFormat::Json);
        json && filters.iter().all(|filter| filter.is_none())
    })
}

/// `first-last`.
pub(super) fn parse_range(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..=last)
}

fn unintelligible(what: impl fmt::Display) -> Error {
    Error::new(Kind::Unavailable, true, format!("the service's answer isn't understood: {what}"))
}

impl ArchiveService for Glacier {
    fn endpoint(&self) -> &str {
        self.0.endpoint()
    }

    fn limits(&self) -> Limits {
        Glacier::LIMITS
    }

    fn vaults(&self) -> BoxFuture<'_, Result<Vec<Vault>>> {
        Box::pin(async move { Ok(self.0.list_vaults().await?.into_iter().map(vault).collect()) })
    }

    fn vault<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vault>> {
        Box::pin(async move { Ok(vault(self.0.describe_vault(name).await?)) })
    }

    fn create_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.0.create_vault(vault).await?) })
    }

    fn delete_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.0.delete_vault(vault).await?) })
    }

    fn put<'a>(
        &'a self,
        vault: &'a str,
        description: &'a str,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { Ok(self.0.upload_archive(vault, description, &payload, hash).await?) })
    }

    fn begin<'a>(&'a self, vault: &'a str, description: &'a str, part_size: u64) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { Ok(self.0.initiate_multipart_upload(vault, description, part_size).await?) })
    }

    fn put_part<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        offset: u64,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.0.upload_part(vault, upload_id, offset, &payload, hash).await?) })
    }

    fn parts<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<Vec<Part>>> {
        Box::pin(async move {
            let parts = self.0.list_parts(vault, upload_id).await?.into_iter().map(|part| {
                let range = parse_range(&part.range_in_bytes)
                    .ok_or_else(|| unintelligible(format_args!("{:?} is not a range", part.range_in_bytes)))?;
                Ok(Part { range, tree_hash: part.tree_hash })
            });
            parts.collect()
        })
    }

    fn complete<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        size: u64,
        tree_hash: TreeHash,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { Ok(self.0.complete_multipart_upload(vault, upload_id, size, tree_hash).await?) })
    }

    fn abort<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.0.abort_multipart_upload(vault, upload_id).await?) })
    }

    fn delete_archive<'a>(&'a self, vault: &'a str, archive_id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(self.0.delete_archive(vault, archive_id).await?) })
    }

    fn retention<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<Retention>> {
        Box::pin(async move {
            match self.0.get_vault_lock(vault).await.map_err(Error::from) {
                Ok(lock) => Ok(retention::of_policy(&lock.policy)),
                Err(error) if error.kind() == Kind::NotFound => Ok(Retention::Free),
                Err(error) => Err(error),
            }
        })
    }

    fn request_retrieval<'a>(
        &'a self,
        vault: &'a str,
        archive_id: &'a str,
        range: Option<RangeInclusive<u64>>,
        tier: Tier,
    ) -> BoxFuture<'a, Result<String>> {
        let parameters = wire::JobParameters {
            job_type: Some(wire::JobType::ArchiveRetrieval),
            archive_id: Some(archive_id.to_owned()),
            retrieval_byte_range: range.map(|range| format!("{}-{}", range.start(), range.end())),
            tier: Some(wire::Tier::from(tier.as_str())),
            ..Default::default()
        };
        Box::pin(async move { Ok(self.0.initiate_job(vault, &parameters).await?) })
    }

    fn request_inventory<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<String>> {
        let parameters = wire::JobParameters {
            job_type: Some(wire::JobType::InventoryRetrieval),
            format: Some(wire::InventoryFormat::Json),
            ..Default::default()
        };
        Box::pin(async move { Ok(self.0.initiate_job(vault, &parameters).await?) })
    }

    fn jobs<'a>(&'a self, vault: &'a str) -> BoxStream<'a, Result<Vec<Job>>> {
        let pages = self.0.job_pages(vault, &JobFilter::default());
        pages.map_ok(|page| page.into_iter().map(job).collect()).map_err(Error::from).boxed()
    }

    fn job<'a>(&'a self, vault: &'a str, job_id: &'a str) -> BoxFuture<'a, Result<Job>> {
        Box::pin(async move { Ok(job(self.0.describe_job(vault, job_id).await?)) })
    }

    fn fetch<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
        range: Option<RangeInclusive<u64>>,
    ) -> BoxFuture<'a, Result<Fetched>> {
        Box::pin(async move {
            let output = self.0.get_job_output(vault, job_id, range.clone()).await?;
            if let (Some(range), Some((_, last, total))) = (range, output.content_range)
                && last != *range.end()
            {
                let message =
                    format!("bytes {range:?} of job {job_id} were asked for, but its output has only {total}");
                return Err(Error::new(Kind::Invalid, false, message));
            }
            let stream = output.stream.map_err(Error::from).boxed();
            Ok(Fetched { len: output.len, tree_hash: output.tree_hash, stream })
        })
    }

    fn inventory<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<InventoryItem>>>> {
        Box::pin(async move {
            let output = self.0.get_job_output(vault, job_id, None).await?;
            Ok(parse_inventory(output.stream.map_err(Error::from).boxed()))
        })
    }
}

/// Parses an inventory while it arrives. Network and parser meet in two short queues, so whoever reads slowly slows down
/// both, and whoever stops reading ends both.
fn parse_inventory(mut text: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<InventoryItem>> {
    let (piece_sender, pieces) = mpsc::channel(PIECES);
    let (item_sender, items) = mpsc::channel(ITEMS);
    tokio::spawn(async move {
        while let Some(piece) = text.next().await {
            if piece_sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { pieces, current: Bytes::new(), failure: None };
        let parsed = inventory::read_json(&mut pieces, &mut |item| item_sender.blocking_send(Ok(record(item))).is_ok());
        if let Err(error) = parsed {
            let error = pieces.failure.unwrap_or_else(|| unintelligible(format_args!("inventory: {error}")));
            // Nobody may be left to hear it, which is one of the reasons for an error.
            let _ = item_sender.blocking_send(Err(error));
        }
    });
    stream::unfold(items, async |mut items| items.recv().await.map(|item| (item, items))).boxed()
}

fn record(item: Item) -> InventoryItem {
    match item {
        Item::Generated(date) => InventoryItem::Generated(date.0),
        Item::Archive(archive) => InventoryItem::Archive(ArchiveRecord {
            archive_id: archive.archive_id,
            description: archive.description,
            created: archive.created.0,
            size: archive.size,
            tree_hash: archive.tree_hash,
        }),
    }
}

/// The queue of pieces as a reader for a blocking thread.
struct Pieces {
    pieces: mpsc::Receiver<Result<Bytes>>,
    current: Bytes,
    /// What ended the text early.
    failure: Option<Error>,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}
