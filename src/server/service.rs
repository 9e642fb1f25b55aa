//! The service behind the connections: what all operations share, and the way of a request from its head to its answer.
//!
//! Checks come in the order of the real service as far as it shows: route, signature, account, API version, parameters,
//! vault, what is in it, and the body's hashes last. Nothing is stored before the last check.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::Notify;

use super::admin::Admin;
use super::body;
use super::config::RetrievalDelays;
use super::db::vaults::{self, Vault, VaultAddress};
use super::db::{Db, Tx};
use super::error::{bad_request, invalid};
use super::files::Files;
use super::ids;
use super::reply::{Answer, Body, Reply};
use super::request::{Query, text};
use super::routes::{Operation, Route, VaultOperation};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::sigv4::{Authorization, Credentials, RequestLine, payload_hash};
use crate::glacier::wire::header;
use crate::util::clock::Clock;

/// What every operation may use.
pub(super) struct Service {
    pub region: Arc<str>,
    /// The account of [`Self::key`].
    pub account: Arc<str>,
    pub key: Credentials,
    pub clock: Clock,
    pub retrieval_delays: RetrievalDelays,
    pub inventory_interval: Duration,
    pub body_timeout: Duration,
    /// Whether topics are told of the completion of jobs.
    pub publishes: bool,
    /// Wakes whoever tells them, when there is a new job or one ends before its time.
    pub jobs_changed: Notify,
    /// The routes for testers, when they are asked for.
    pub admin: Option<Admin>,
    pub db: Arc<Db>,
    pub files: Files,
}

impl Service {
    /// Answers one request, whatever it is.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let answer = self.dispatch(&head, &mut body).await;
        self.respond(&head, body, answer).await
    }

    /// The response to a request with this head, of whose body the rest is left.
    pub async fn respond(&self, head: &Parts, mut body: Incoming, answer: Answer) -> Response<Body> {
        let mut response = match answer {
            Ok(reply) => reply.into_response(),
            Err(error) => {
                log::debug!("{} {}: {} {error}", head.method, head.uri, error.status);
                // Who waits for "100 Continue" and is refused sends no body, and who has stopped sending is waited for no
                // longer: no other request can follow.
                let abandoned = head.headers.contains_key(EXPECT) || error.code == ErrorCode::RequestTimeout;
                let mut response = Reply::from(error).into_response();
                if abandoned && !body.is_end_stream() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                } else {
                    // Any other goes on sending, and reads the answer only when it is done.
                    body::drain(&mut body, self.body_timeout).await;
                }
                response
            }
        };
        if let Ok(id) = HeaderValue::try_from(ids::request()) {
            response.headers_mut().insert(header::REQUEST_ID, id);
        }
        response
    }

    async fn dispatch(&self, head: &Parts, body: &mut Incoming) -> Answer {
        let Route { account, operation } = Route::find(&head.method, head.uri.path())?;
        let query = Query::new(head.uri.query().unwrap_or_default());
        if operation.is_upload() {
            let caller = self.authenticate(head, None)?;
            self.check_account_and_version(head, &account, &caller)?;
            return match operation {
                Operation::Vault(name, VaultOperation::UploadArchive) => {
                    self.upload_archive(self.address(caller, name), &head.headers, body).await
                }
                Operation::Vault(name, VaultOperation::UploadPart(upload)) => {
                    self.upload_part(self.address(caller, name), upload, &head.headers, body).await
                }
                other => Err(bad_request(format!("{other:?} is no upload"))),
            };
        }

        let body = body::read_small(body, self.body_timeout).await?;
        let caller = self.authenticate(head, Some(&body))?;
        self.check_account_and_version(head, &account, &caller)?;
        let (name, operation) = match operation {
            Operation::ListVaults => return self.list_vaults(caller, &query).await,
            Operation::Unsupported(name) => {
                return Err(bad_request(format!("This endpoint does not support {name}.")));
            }
            Operation::Vault(name, operation) => (name, operation),
        };
        let vault = self.address(caller, name);
        let headers = &head.headers;
        match operation {
            VaultOperation::Create => self.create_vault(vault).await,
            VaultOperation::Delete => self.delete_vault(vault).await,
            VaultOperation::Describe => self.describe_vault(vault).await,
            VaultOperation::DeleteArchive(archive) => self.delete_archive(vault, archive).await,
            VaultOperation::InitiateMultipartUpload => self.initiate_multipart_upload(vault, headers).await,
            VaultOperation::ListMultipartUploads => self.list_multipart_uploads(vault, &query).await,
            VaultOperation::ListParts(upload) => self.list_parts(vault, upload, &query).await,
            VaultOperation::CompleteMultipartUpload(upload) => {
                self.complete_multipart_upload(vault, upload, headers).await
            }
            VaultOperation::AbortMultipartUpload(upload) => self.abort_multipart_upload(vault, upload).await,
            VaultOperation::InitiateJob => self.initiate_job(vault, &body).await,
            VaultOperation::ListJobs => self.list_jobs(vault, &query).await,
            VaultOperation::DescribeJob(job) => self.describe_job(vault, job).await,
            VaultOperation::GetJobOutput(job) => self.get_job_output(vault, job, headers).await,
            upload @ (VaultOperation::UploadArchive | VaultOperation::UploadPart(_)) => {
                Err(bad_request(format!("{upload:?} is an upload")))
            }
        }
    }

    /// Verifies the request's signature, and answers the account that it comes from. `body` is the whole body, or `None`
    /// for an upload, whose body is compared with `x-amz-content-sha256` once it has arrived.
    fn authenticate(&self, head: &Parts, body: Option<&[u8]>) -> Result<Arc<str>, ServiceError> {
        let authorization = Authorization::parse(&head.headers)?;
        // Permanent keys have no token, and there are no others.
        if authorization.access_key != self.key.access_key || head.headers.contains_key(header::SECURITY_TOKEN) {
            return Err(ServiceError::unrecognized_client());
        }
        let sent = text(&head.headers, header::CONTENT_SHA256)?;
        let computed = body.map(payload_hash);
        let hash = sent.or(computed.as_deref());
        let hash = hash.ok_or_else(|| ServiceError::missing_parameter(header::CONTENT_SHA256))?;
        let line = RequestLine {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
        };
        // A virtual clock moves the service's hours, not the network's: a client may sign by either.
        let signed = authorization.signed_at;
        let away = |now: &Timestamp| now.duration_since(signed).abs();
        let now = [Timestamp::now(), self.clock.now()].into_iter().min_by_key(away).unwrap_or(signed);
        authorization.verify(&self.key.secret_key, &self.region, line, &head.headers, hash, now)?;
        match (sent, computed) {
            (Some(sent), Some(computed)) if !sent.eq_ignore_ascii_case(&computed) => {
                Err(ServiceError::payload_hash_mismatch(sent, &computed))
            }
            _ => Ok(Arc::clone(&self.account)),
        }
    }

    fn check_account_and_version(&self, head: &Parts, account: &str, caller: &str) -> Result<(), ServiceError> {
        if account != "-" && account != caller {
            return Err(ServiceError::wrong_account(account));
        }
        match head.headers.get(header::VERSION) {
            None => Err(ServiceError::missing_parameter("API version")),
            Some(version) if version == header::API_VERSION => Ok(()),
            Some(version) => Err(invalid(format!(
                "Invalid {}: {}. Allowed is {}.",
                header::VERSION,
                String::from_utf8_lossy(version.as_bytes()),
                header::API_VERSION
            ))),
        }
    }

    /// The vault of that name in the endpoint's region.
    pub fn address(&self, account: Arc<str>, name: String) -> VaultAddress {
        VaultAddress { account, region: Arc::clone(&self.region), name }
    }

    /// The service's time, in the milliseconds that are stored and shown, so that what is compared is what was stored.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Runs a change in a transaction; it is on stable storage when this answers.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.db.write(change).await
    }

    /// Runs a query on what is committed.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.db.read(query).await
    }
}

/// The vault at `address`, which must exist.
pub(super) fn vault_at(connection: &Connection, address: &VaultAddress) -> Result<Vault, ServiceError> {
    match vaults::find(connection, address)? {
        Some(vault) => Ok(vault),
        // The real service gives the bare name where it can't be a vault's.
        None if !super::vaults::is_valid_name(&address.name) => Err(ServiceError::vault_not_found(&address.name)),
        None => Err(ServiceError::vault_not_found(&address.to_string())),
    }
}
