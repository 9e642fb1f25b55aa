//! The service behind the connections: what all operations share, and the way of a request from its head to its answer.
//!
//! Checks come in the order of the real service as far as it shows: route, signature, account, API version, parameters,
//! policies, vault, what is in it, and the body's hashes last. Nothing is stored before the last check.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::Notify;

use super::access::Access;
use super::admin::Admin;
use super::body;
use super::config::RetrievalDelays;
use super::credentials::Keys;
use super::db::vaults::VaultAddress;
use super::db::{Db, Tx};
use super::error::{bad_request, invalid};
use super::files::Files;
use super::ids;
use super::policy::Caller;
use super::reply::{Answer, Body, Reply};
use super::request::{Query, text};
use super::retrieval::Limits;
use super::routes::{Operation, Route, VaultOperation};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::sigv4::{Authorization, RequestLine, payload_hash};
use crate::glacier::wire::header;
use crate::util::clock::Clock;

/// What every operation may use.
pub(super) struct Service {
    pub region: Arc<str>,
    pub keys: Keys,
    pub clock: Clock,
    pub retrieval_delays: RetrievalDelays,
    pub limits: Limits,
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
        let query = Query::new(head.uri.query().unwrap_or_default());
        let Route { account, operation } = Route::find(&head.method, head.uri.path(), &query)?;
        let action = operation.name();
        if operation.is_upload() {
            let caller = self.authenticate(head, None)?;
            let owner = self.check_account_and_version(head, &account, &caller)?;
            let access = |name| self.access(caller, owner, name, action);
            return match operation {
                Operation::Vault(name, VaultOperation::UploadArchive) => {
                    self.upload_archive(access(name), &head.headers, body).await
                }
                Operation::Vault(name, VaultOperation::UploadPart(upload)) => {
                    self.upload_part(access(name), upload, &head.headers, body).await
                }
                other => Err(bad_request(format!("{other:?} is no upload"))),
            };
        }

        let body = body::read_small(body, self.body_timeout).await?;
        let caller = self.authenticate(head, Some(&body))?;
        let owner = self.check_account_and_version(head, &account, &caller)?;
        match operation {
            Operation::Vault(name, operation) if operation != VaultOperation::Create => {
                let access = self.access(caller, owner, name, action);
                self.about_vault(access, operation, &head.headers, &query, &body).await
            }
            // Beyond vaults that exist there are no policies: an account's affairs are its own.
            _ if caller.account != owner => Err(ServiceError::wrong_account(&account)),
            Operation::ListVaults => self.list_vaults(owner, &query).await,
            Operation::GetDataRetrievalPolicy => self.get_data_retrieval_policy(&owner).await,
            Operation::SetDataRetrievalPolicy => self.set_data_retrieval_policy(&owner, &body).await,
            Operation::ListProvisionedCapacity => self.list_provisioned_capacity(&owner).await,
            Operation::PurchaseProvisionedCapacity => self.purchase_provisioned_capacity(&owner).await,
            Operation::Vault(name, _) => self.create_vault(self.address(owner, name)).await,
        }
    }

    /// What is asked of a vault, and isn't an upload.
    async fn about_vault(
        &self,
        vault: Access,
        operation: VaultOperation,
        headers: &HeaderMap,
        query: &Query<'_>,
        body: &[u8],
    ) -> Answer {
        match operation {
            VaultOperation::Delete => self.delete_vault(vault).await,
            VaultOperation::Describe => self.describe_vault(vault).await,
            VaultOperation::DeleteArchive(archive) => self.delete_archive(vault, archive).await,
            VaultOperation::InitiateMultipartUpload => self.initiate_multipart_upload(vault, headers).await,
            VaultOperation::ListMultipartUploads => self.list_multipart_uploads(vault, query).await,
            VaultOperation::ListParts(upload) => self.list_parts(vault, upload, query).await,
            VaultOperation::CompleteMultipartUpload(upload) => {
                self.complete_multipart_upload(vault, upload, headers).await
            }
            VaultOperation::AbortMultipartUpload(upload) => self.abort_multipart_upload(vault, upload).await,
            VaultOperation::InitiateJob => self.initiate_job(vault, body).await,
            VaultOperation::ListJobs => self.list_jobs(vault, query).await,
            VaultOperation::DescribeJob(job) => self.describe_job(vault, job).await,
            VaultOperation::GetJobOutput(job) => self.get_job_output(vault, job, headers).await,
            VaultOperation::SetNotifications => self.set_vault_notifications(vault, body).await,
            VaultOperation::GetNotifications => self.get_vault_notifications(vault).await,
            VaultOperation::DeleteNotifications => self.delete_vault_notifications(vault).await,
            VaultOperation::SetAccessPolicy => self.set_vault_access_policy(vault, body).await,
            VaultOperation::GetAccessPolicy => self.get_vault_access_policy(vault).await,
            VaultOperation::DeleteAccessPolicy => self.delete_vault_access_policy(vault).await,
            VaultOperation::InitiateLock => self.initiate_vault_lock(vault, body).await,
            VaultOperation::GetLock => self.get_vault_lock(vault).await,
            VaultOperation::AbortLock => self.abort_vault_lock(vault).await,
            VaultOperation::CompleteLock(lock) => self.complete_vault_lock(vault, lock).await,
            VaultOperation::AddTags => self.add_tags_to_vault(vault, body).await,
            VaultOperation::ListTags => self.list_tags_for_vault(vault).await,
            VaultOperation::RemoveTags => self.remove_tags_from_vault(vault, body).await,
            other @ (VaultOperation::Create | VaultOperation::UploadArchive | VaultOperation::UploadPart(_)) => {
                Err(bad_request(format!("{other:?} is done elsewhere")))
            }
        }
    }

    /// Verifies the request's signature, and answers whom it comes from. `body` is the whole body, or `None`
    /// for an upload, whose body is compared with `x-amz-content-sha256` once it has arrived.
    fn authenticate(&self, head: &Parts, body: Option<&[u8]>) -> Result<Caller, ServiceError> {
        let authorization = Authorization::parse(&head.headers)?;
        // A temporary key's token has to be there, and a permanent key has none.
        let tokens = || head.headers.get_all(header::SECURITY_TOKEN).iter().map(HeaderValue::as_bytes);
        let known = self.keys.find(authorization.access_key);
        let known = known.filter(|(_, key)| tokens().eq(key.session_token.iter().map(String::as_bytes)));
        let (caller, key) = known.ok_or_else(ServiceError::unrecognized_client)?;
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
        authorization.verify(&key.secret_key, &self.region, line, &head.headers, hash, now)?;
        match (sent, computed) {
            (Some(sent), Some(computed)) if !sent.eq_ignore_ascii_case(&computed) => {
                Err(ServiceError::payload_hash_mismatch(sent, &computed))
            }
            _ => Ok(caller.clone()),
        }
    }

    /// Answers the account that the path is about: that of the caller, or another one of this endpoint.
    fn check_account_and_version(
        &self,
        head: &Parts,
        account: &str,
        caller: &Caller,
    ) -> Result<Arc<str>, ServiceError> {
        let owner = if account == "-" { Some(&caller.account) } else { self.keys.account(account) };
        let owner = owner.ok_or_else(|| ServiceError::wrong_account(account))?;
        match head.headers.get(header::VERSION) {
            None => Err(ServiceError::missing_parameter("API version")),
            Some(version) if version == header::API_VERSION => Ok(Arc::clone(owner)),
            Some(version) => Err(invalid(format!(
                "Invalid {}: {}. Allowed is {}.",
                header::VERSION,
                String::from_utf8_lossy(version.as_bytes()),
                header::API_VERSION
            ))),
        }
    }

    fn access(&self, caller: Caller, owner: Arc<str>, name: String, action: &'static str) -> Access {
        Access { address: self.address(owner, name), caller, action, now: self.now() }
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
