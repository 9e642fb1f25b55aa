//! The client of the Glacier API: an operation is a method, and what it answers is checked before it is believed.
//!
//! Requests carry `x-amz-glacier-version`, are signed afresh at each attempt, and are repeated by themselves through short
//! hiccups where that is safe (see [`Error::outcome_is_unknown`] for the rest). Uploads are streamed with an exact length
//! and compared by the tree hash that the service computes.

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, TryFutureExt, TryStreamExt};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use crate::glacier::credentials::CredentialSource;
use crate::glacier::description;
use crate::glacier::failure::Place;
pub use crate::glacier::failure::{Error, ErrorKind};
pub use crate::glacier::payload::Payload;
use crate::glacier::sigv4;
use crate::glacier::transport::{Answer, Call, Transport};
pub use crate::glacier::transport::{Retry, Timeouts};
use crate::glacier::treehash::{LEAF, PayloadHash, TreeHash};
use crate::glacier::wire::{self, header};
use crate::util::clock::Clock;
use crate::util::size::GIB;

mod settings;

/// The largest archive of a single upload, and the largest part, in bytes.
pub const MAX_PART: u64 = 4 * GIB;
/// The most parts of a multipart upload.
pub const MAX_PARTS: u64 = 10_000;
/// The most bytes of a vault's name.
const MAX_VAULT_NAME: usize = 255;
/// What stays unescaped in a path segment or a query value.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region to sign for, such as `us-east-1`.
    pub region: String,
    /// The endpoint's URL, `http://HOST[:PORT]` or `https://HOST[:PORT]`; AWS's own for the region if none.
    pub endpoint: Option<String>,
    /// The account that owns the vaults: 12 digits, or `-` for that of the credentials.
    pub account: String,
    /// What to sign with.
    pub credentials: CredentialSource,
    /// The time to sign with, and to wait on between attempts.
    pub clock: Clock,
    /// How often to repeat by itself.
    pub retry: Retry,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Config {
    /// The usual: AWS's endpoint, the account of the credentials, the machine's clock.
    pub fn new(region: impl Into<String>, credentials: CredentialSource) -> Self {
        Config {
            region: region.into(),
            endpoint: None,
            account: "-".into(),
            credentials,
            clock: Clock::real(),
            retry: Retry::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A client of one account in one region. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    account: String,
    timeouts: Timeouts,
}

/// Which jobs [`Client::list_jobs`] lists; all by default.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only those that have ended, or only those that haven't.
    pub completed: Option<bool>,
    /// Only those that have come this far.
    pub status: Option<wire::StatusCode>,
}

/// The output of a job, or a range of it. The bytes are the service's word: compare them with a tree hash.
pub struct JobOutput {
    /// The bytes that follow, where the service says how many.
    pub len: Option<u64>,
    /// First and last byte and the size of the whole output, if this is a range of it.
    pub content_range: Option<(u64, u64, u64)>,
    /// The tree hash of exactly these bytes, if the service gives one.
    pub tree_hash: Option<TreeHash>,
    /// What the bytes are: `application/octet-stream`, `application/json` or `text/csv`.
    pub content_type: Option<String>,
    /// The bytes. A body shorter than announced ends with an error.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

/// The endpoint of AWS for a region.
pub fn aws_endpoint(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://glacier.{region}.{suffix}")
}

/// Why `name` can't be a vault's, in a message; the rule of the service, less names that are only dots, which paths don't
/// survive.
pub fn check_vault_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > MAX_VAULT_NAME || !name.chars().all(allowed) || name.chars().all(|c| c == '.') {
        let rule = "1 to 255 of a-z, A-Z, 0-9, '_', '-' and '.', not only dots";
        return Err(format!("{name:?} is not a name for a vault: allowed are {rule}"));
    }
    Ok(())
}

impl Client {
    /// A client. Nothing is sent yet; fails on a bad region, endpoint or account.
    pub fn new(config: Config) -> Result<Self, Error> {
        let Config { region, endpoint, account, credentials, clock, retry, timeouts } = config;
        let endpoint = endpoint.unwrap_or_else(|| aws_endpoint(&region));
        let place = || Place { endpoint: endpoint.clone(), region: region.clone() };
        let invalid = |message| Error::new("Setup", &Arc::new(place()), ErrorKind::Invalid(message));
        if account != "-" && (account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(invalid(format!(
                "{account:?} is not an account: allowed are 12 digits, or - for that of the credentials"
            )));
        }
        let transport = Transport::new(place(), credentials, clock, retry, timeouts).map_err(invalid)?;
        Ok(Client { transport: Arc::new(transport), account, timeouts })
    }

    /// The endpoint's URL.
    pub fn endpoint(&self) -> &str {
        &self.transport.place.endpoint
    }

    /// The region it signs for.
    pub fn region(&self) -> &str {
        &self.transport.place.region
    }

    /// CreateVault. No error if it exists.
    pub async fn create_vault(&self, vault: &str) -> Result<(), Error> {
        self.send(self.call("CreateVault", Method::PUT, vault, &[])?).await.map(drop)
    }

    /// DeleteVault. No error if it doesn't exist.
    pub async fn delete_vault(&self, vault: &str) -> Result<(), Error> {
        self.send(self.call("DeleteVault", Method::DELETE, vault, &[])?).await.map(drop)
    }

    /// DescribeVault.
    pub async fn describe_vault(&self, vault: &str) -> Result<wire::VaultDescription, Error> {
        self.fetch(self.call("DescribeVault", Method::GET, vault, &[])?).await
    }

    /// ListVaults, all pages.
    pub async fn list_vaults(&self) -> Result<Vec<wire::VaultDescription>, Error> {
        let call = self.bare_call("ListVaults", Method::GET, format!("/{}/vaults", self.account));
        let page = async |query| {
            let page: wire::VaultPage = self.fetch(Call { query, ..call.clone() }).await?;
            Ok((page.vault_list, page.marker))
        };
        self.all_pages(call.operation, &[], page).await
    }

    /// UploadArchive; answers with the archive's ID. `hash` is that of `payload`.
    ///
    /// Never repeated when the archive may have arrived ([`Error::outcome_is_unknown`]): a second one would be a second
    /// archive.
    pub async fn upload_archive(
        &self,
        vault: &str,
        archive_description: &str,
        payload: &Payload,
        hash: &PayloadHash,
    ) -> Result<String, Error> {
        let mut call = self.call("UploadArchive", Method::POST, vault, &["archives"])?;
        self.describe(&mut call, archive_description)?;
        self.load(&mut call, payload, hash)?;
        let operation = call.operation;
        let answer = self.send(Call { idempotent: false, ..call }).await?;
        self.check_tree_hash(operation, &answer, hash.tree_hash)?;
        self.id(operation, &answer, header::ARCHIVE_ID)
    }

    /// DeleteArchive. No error if it has been deleted before.
    pub async fn delete_archive(&self, vault: &str, archive_id: &str) -> Result<(), Error> {
        self.send(self.call("DeleteArchive", Method::DELETE, vault, &["archives", archive_id])?).await.map(drop)
    }

    /// InitiateMultipartUpload; answers with the upload's ID. `part_size` is a power of two of MiB, at most [`MAX_PART`].
    ///
    /// Repeated by itself: an upload that nobody knows of costs nothing and vanishes after a day.
    pub async fn initiate_multipart_upload(
        &self,
        vault: &str,
        archive_description: &str,
        part_size: u64,
    ) -> Result<String, Error> {
        let mut call = self.call("InitiateMultipartUpload", Method::POST, vault, &["multipart-uploads"])?;
        if !part_size.is_power_of_two() || !(LEAF..=MAX_PART).contains(&part_size) {
            let rule = "a power of two from 1 MiB to 4 GiB";
            return Err(self.invalid(call.operation, format!("{part_size} is not a part size: allowed is {rule}")));
        }
        self.describe(&mut call, archive_description)?;
        call.headers.insert(header::PART_SIZE, HeaderValue::from(part_size));
        let operation = call.operation;
        let answer = self.send(call).await?;
        self.id(operation, &answer, header::UPLOAD_ID)
    }

    /// ListMultipartUploads, all pages.
    pub async fn list_multipart_uploads(&self, vault: &str) -> Result<Vec<wire::UploadListElement>, Error> {
        let call = self.call("ListMultipartUploads", Method::GET, vault, &["multipart-uploads"])?;
        let page = async |query| {
            let page: wire::UploadPage = self.fetch(Call { query, ..call.clone() }).await?;
            Ok((page.uploads_list, page.marker))
        };
        self.all_pages(call.operation, &[], page).await
    }

    /// UploadMultipartPart: the part at byte `offset` of the archive, a multiple of the part size. `hash` is that of
    /// `payload`. A part sent again replaces the one before.
    pub async fn upload_part(
        &self,
        vault: &str,
        upload_id: &str,
        offset: u64,
        payload: &Payload,
        hash: &PayloadHash,
    ) -> Result<(), Error> {
        let mut call = self.call("UploadMultipartPart", Method::PUT, vault, &["multipart-uploads", upload_id])?;
        self.load(&mut call, payload, hash)?;
        let last = offset.saturating_add(payload.len() - 1);
        let range = HeaderValue::try_from(format!("bytes {offset}-{last}/*"));
        call.headers.insert(CONTENT_RANGE, self.sendable(call.operation, range)?);
        let operation = call.operation;
        let answer = self.send(call).await?;
        self.check_tree_hash(operation, &answer, hash.tree_hash)
    }

    /// ListParts, all pages: what the service has of an upload, by range.
    pub async fn list_parts(&self, vault: &str, upload_id: &str) -> Result<Vec<wire::PartListElement>, Error> {
        let call = self.call("ListParts", Method::GET, vault, &["multipart-uploads", upload_id])?;
        let page = async |query| {
            let page: wire::PartPage = self.fetch(Call { query, ..call.clone() }).await?;
            Ok((page.parts, page.marker))
        };
        self.all_pages(call.operation, &[], page).await
    }

    /// CompleteMultipartUpload; answers with the archive's ID. `size` and `tree_hash` are those of the whole archive.
    ///
    /// Repeated by itself: within a day or so the service answers a repetition with the same ID.
    pub async fn complete_multipart_upload(
        &self,
        vault: &str,
        upload_id: &str,
        size: u64,
        tree_hash: TreeHash,
    ) -> Result<String, Error> {
        let mut call = self.call("CompleteMultipartUpload", Method::POST, vault, &["multipart-uploads", upload_id])?;
        call.headers.insert(header::ARCHIVE_SIZE, HeaderValue::from(size));
        self.put_tree_hash(&mut call, tree_hash)?;
        let operation = call.operation;
        let answer = self.send(Call { patience: self.timeouts.complete, ..call }).await?;
        self.check_tree_hash(operation, &answer, tree_hash)?;
        self.id(operation, &answer, header::ARCHIVE_ID)
    }

    /// AbortMultipartUpload.
    pub async fn abort_multipart_upload(&self, vault: &str, upload_id: &str) -> Result<(), Error> {
        let call = self.call("AbortMultipartUpload", Method::DELETE, vault, &["multipart-uploads", upload_id])?;
        self.send(call).await.map(drop)
    }

    /// InitiateJob; answers with the job's ID.
    ///
    /// Never repeated when the job may have been started: each is paid for.
    pub async fn initiate_job(&self, vault: &str, parameters: &wire::JobParameters) -> Result<String, Error> {
        let call = self.call("InitiateJob", Method::POST, vault, &["jobs"])?;
        let call = self.with_json(call, parameters)?;
        let operation = call.operation;
        let answer = self.send(Call { idempotent: false, ..call }).await?;
        self.id(operation, &answer, header::JOB_ID)
    }

    /// DescribeJob.
    pub async fn describe_job(&self, vault: &str, job_id: &str) -> Result<wire::JobDescription, Error> {
        self.fetch(self.call("DescribeJob", Method::GET, vault, &["jobs", job_id])?).await
    }

    /// ListJobs, all pages: those in progress and those of the last day or so.
    pub async fn list_jobs(&self, vault: &str, filter: &JobFilter) -> Result<Vec<wire::JobDescription>, Error> {
        self.job_pages(vault, filter).try_concat().await
    }

    /// The same, page by page as they are read.
    pub fn job_pages<'a>(
        &'a self,
        vault: &'a str,
        filter: &JobFilter,
    ) -> impl Stream<Item = Result<Vec<wire::JobDescription>, Error>> + Send + 'a {
        let mut query = Vec::new();
        if let Some(completed) = filter.completed {
            query.push(("completed", completed.to_string()));
        }
        if let Some(status) = &filter.status {
            query.push(("statuscode", status.to_string()));
        }
        let pages = async move {
            let call = self.call("ListJobs", Method::GET, vault, &["jobs"])?;
            Ok(self.pages(call.operation, query, move |query| {
                let call = Call { query, ..call.clone() };
                async move {
                    let page: wire::JobPage = self.fetch(call).await?;
                    Ok((page.job_list, page.marker))
                }
            }))
        };
        pages.try_flatten_stream()
    }

    /// GetJobOutput: all of it, or the bytes `range` of it (inclusive, counted from the start of what the job retrieved).
    /// Answers when the bytes begin to flow. An answer with other bytes than asked is an error.
    pub async fn get_job_output(
        &self,
        vault: &str,
        job_id: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<JobOutput, Error> {
        let mut call = self.call("GetJobOutput", Method::GET, vault, &["jobs", job_id, "output"])?;
        let operation = call.operation;
        if let Some(range) = &range {
            let value = HeaderValue::try_from(format!("bytes={}-{}", range.start(), range.end()));
            call.headers.insert(RANGE, self.sendable(operation, value)?);
        }
        let response = self.transport.open(&call).await?;
        let malformed = |what: String| self.transport.error(operation, ErrorKind::Malformed(what));
        let headers = response.headers();
        let content_range = match text(headers, CONTENT_RANGE.as_str()) {
            Some(value) => {
                Some(parse_content_range(value).ok_or_else(|| malformed(format!("Content-Range {value:?}")))?)
            }
            None => None,
        };
        match (&range, content_range, response.status()) {
            (None, _, StatusCode::OK) => {}
            (Some(range), Some((first, last, _)), StatusCode::PARTIAL_CONTENT)
                if first == *range.start() && last <= *range.end() => {}
            (_, _, status) => {
                let asked = range.map_or("everything".to_owned(), |range| format!("bytes {range:?}"));
                let what = format!("asked for {asked}, answered with status {status}, Content-Range {content_range:?}");
                return Err(malformed(what));
            }
        }
        let len = response.content_length();
        if let (Some((first, last, _)), Some(len)) = (content_range, len)
            && len != last - first + 1
        {
            return Err(malformed(format!("{len} bytes for Content-Range {first}-{last}")));
        }
        let tree_hash = self.tree_hash(operation, headers)?;
        let content_type = text(headers, CONTENT_TYPE.as_str()).map(str::to_owned);
        let transport = self.transport.clone();
        let stream = stream::try_unfold(response, move |mut response| {
            let transport = transport.clone();
            async move { Ok(transport.next(operation, &mut response).await?.map(|piece| (piece, response))) }
        });
        let stream: BoxStream<'static, _> = Box::pin(stream.into_stream());
        Ok(JobOutput { len, content_range, tree_hash, content_type, stream })
    }

    /// A call on a vault, without query, headers or body.
    fn call(&self, operation: &'static str, method: Method, vault: &str, tail: &[&str]) -> Result<Call, Error> {
        check_vault_name(vault).map_err(|message| self.invalid(operation, message))?;
        let mut path = format!("/{}/vaults/{vault}", self.account);
        for segment in tail {
            // IDs come from the service; these would change the path's meaning.
            if matches!(*segment, "" | "." | "..") {
                return Err(self.invalid(operation, format!("{segment:?} is not an ID")));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, UNRESERVED));
        }
        Ok(self.bare_call(operation, method, path))
    }

    fn bare_call(&self, operation: &'static str, method: Method, path: String) -> Call {
        Call {
            operation,
            method,
            path,
            query: String::new(),
            headers: HeaderMap::new(),
            payload: Payload::bytes(Bytes::new()),
            payload_hash: sigv4::payload_hash(&[]),
            idempotent: true,
            patience: self.timeouts.idle,
        }
    }

    /// Gives a call the body of an upload, and the hashes that the service checks it with.
    fn load(&self, call: &mut Call, payload: &Payload, hash: &PayloadHash) -> Result<(), Error> {
        let len = payload.len();
        if len == 0 || len > MAX_PART {
            return Err(self.invalid(call.operation, format!("{len} bytes can't be sent: allowed are 1 byte to 4 GiB")));
        }
        if hash.size != len {
            let message = format!("the hash is that of {} bytes, but there are {len} to send", hash.size);
            return Err(self.invalid(call.operation, message));
        }
        call.payload = payload.clone();
        call.payload_hash = hex::encode(hash.sha256);
        call.patience = self.timeouts.upload;
        let linear = HeaderValue::try_from(&call.payload_hash);
        call.headers.insert(header::CONTENT_SHA256, self.sendable(call.operation, linear)?);
        self.put_tree_hash(call, hash.tree_hash)
    }

    fn put_tree_hash(&self, call: &mut Call, hash: TreeHash) -> Result<(), Error> {
        let value = self.sendable(call.operation, HeaderValue::try_from(hash.to_string()))?;
        call.headers.insert(header::TREE_HASH, value);
        Ok(())
    }

    fn describe(&self, call: &mut Call, description: &str) -> Result<(), Error> {
        if description.len() > description::MAX_LEN || !description.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let rule = "at most 1,024 printable ASCII characters";
            return Err(
                self.invalid(call.operation, format!("{description:?} is not a description: allowed are {rule}"))
            );
        }
        if !description.is_empty() {
            let value = self.sendable(call.operation, HeaderValue::try_from(description))?;
            call.headers.insert(header::ARCHIVE_DESCRIPTION, value);
        }
        Ok(())
    }

    async fn send(&self, call: Call) -> Result<Answer, Error> {
        let answer = self.transport.send(&call).await?;
        log::trace!("{} {}: status {}", call.operation, call.path, answer.status);
        Ok(answer)
    }

    async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let operation = call.operation;
        let answer = self.send(call).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.transport.error(operation, ErrorKind::Malformed(error.to_string())))
    }

    /// All items of a listing. `page` gets a query and answers with the items of a page and the marker of the next.
    async fn all_pages<T, F>(
        &self,
        operation: &'static str,
        filter: &[(&'static str, String)],
        page: impl Fn(String) -> F,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<(Vec<T>, Option<String>), Error>>,
    {
        self.pages(operation, filter.to_vec(), page).try_concat().await
    }

    /// The same, page by page as they are read.
    fn pages<'a, T, F>(
        &'a self,
        operation: &'static str,
        filter: Vec<(&'static str, String)>,
        page: impl Fn(String) -> F + 'a,
    ) -> impl Stream<Item = Result<Vec<T>, Error>> + 'a
    where
        T: 'a,
        F: Future<Output = Result<(Vec<T>, Option<String>), Error>> + 'a,
    {
        let first = Some(filter.clone());
        stream::try_unfold((first, page), move |(query, page)| {
            let filter = filter.clone();
            async move {
                let Some(query) = query else { return Ok(None) };
                let pairs =
                    query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
                let (items, next) = page(pairs.collect::<Vec<_>>().join("&")).await?;
                let next = match next.filter(|next| !next.is_empty()) {
                    None => None,
                    Some(next) if query.last().is_some_and(|(name, value)| *name == "marker" && *value == next) => {
                        let what = format!("the page after marker {next:?} has the same marker");
                        return Err(self.transport.error(operation, ErrorKind::Malformed(what)));
                    }
                    Some(next) => Some([filter, vec![("marker", next)]].concat()),
                };
                Ok(Some((items, (next, page))))
            }
        })
    }

    fn invalid(&self, operation: &'static str, message: String) -> Error {
        self.transport.error(operation, ErrorKind::Invalid(message))
    }

    fn sendable<E>(&self, operation: &'static str, value: Result<HeaderValue, E>) -> Result<HeaderValue, Error> {
        value.map_err(|_| self.invalid(operation, "a header's value can't be sent".into()))
    }

    fn id(&self, operation: &'static str, answer: &Answer, name: &str) -> Result<String, Error> {
        let id = text(&answer.headers, name).filter(|id| !id.is_empty()).map(str::to_owned);
        id.ok_or_else(|| self.transport.error(operation, ErrorKind::Malformed(format!("it lacks the header {name}"))))
    }

    fn tree_hash(&self, operation: &'static str, headers: &HeaderMap) -> Result<Option<TreeHash>, Error> {
        let malformed = |error: &dyn std::fmt::Display| {
            self.transport.error(operation, ErrorKind::Malformed(format!("{}: {error}", header::TREE_HASH)))
        };
        text(headers, header::TREE_HASH).map(|hash| hash.parse().map_err(|error| malformed(&error))).transpose()
    }

    /// Compares the tree hash that the service has computed, if it gives one, with ours.
    fn check_tree_hash(&self, operation: &'static str, answer: &Answer, expected: TreeHash) -> Result<(), Error> {
        match self.tree_hash(operation, &answer.headers)? {
            Some(answered) if answered != expected => {
                Err(self.transport.error(operation, ErrorKind::Corrupted { expected, answered }))
            }
            _ => Ok(()),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// First, last and total of `bytes 0-9/10`.
pub(super) fn parse_content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first, last, total))
}
