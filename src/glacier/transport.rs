//! One request and its answer: signed afresh at each attempt, repeated where that is safe, bounded in time.
//!
//! An idempotent request is repeated a few times with growing waits when the service is busy or the connection fails;
//! any other only when the service can't have acted on it. Timeouts are about standstill, never about size: an upload may
//! take hours as long as bytes move.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use reqwest::{Request, Response, Url};

use crate::glacier::credentials::CredentialSource;
use crate::glacier::failure::{self, Error, ErrorKind, Place};
use crate::glacier::payload::Payload;
use crate::glacier::sigv4::{self, Credentials, RequestLine};
use crate::glacier::wire::header;
use crate::util::clock::Clock;
use crate::util::retry::Backoff;

/// The largest answer that is taken whole: pages of at most 50 items come nowhere near.
const WHOLE: usize = 16 << 20;

/// How long a client waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, or for more of it.
    pub idle: Duration,
    /// For an upload to move on, or to be answered once sent: what is sent may still be in buffers of a slow line.
    pub upload: Duration,
    /// For the completion of a multipart upload, which the service may take minutes for.
    pub complete: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            upload: Duration::from_secs(5 * 60),
            complete: Duration::from_secs(10 * 60),
        }
    }
}

/// How often, and after what waits, a client repeats a failed request by itself.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// The waits between them.
    pub backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        let backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(5) };
        Retry { attempts: 4, backoff }
    }
}

/// A request to be sent, as often as it takes.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Percent-encoded, from the root.
    pub(super) path: String,
    /// Percent-encoded, without the question mark.
    pub(super) query: String,
    /// What is signed beyond host, date and API version.
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// The SHA-256 of the payload, lower-case hexadecimal.
    pub(super) payload_hash: String,
    /// Whether repeating it does no harm after it has taken effect.
    pub(super) idempotent: bool,
    /// The longest standstill.
    pub(super) patience: Duration,
}

/// An answer with a status of success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The way to one endpoint.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    host: HeaderValue,
    credentials: CredentialSource,
    clock: Clock,
    retry: Retry,
    idle: Duration,
    pub(super) place: Arc<Place>,
}

impl Transport {
    /// A way to `place`. Fails with a message about the endpoint or the region.
    pub(super) fn new(
        place: Place,
        credentials: CredentialSource,
        clock: Clock,
        retry: Retry,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        let Place { endpoint, region } = &place;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(allowed) {
            return Err(format!("{region:?} is not a region: allowed are a-z, 0-9 and -, as in us-east-1"));
        }
        let bad = |why: &str| {
            format!("{endpoint:?} is not an endpoint: {why}; allowed is http://HOST[:PORT] or https://HOST[:PORT]")
        };
        let base = Url::parse(endpoint).map_err(|error| bad(&error.to_string()))?;
        let plain = match base.scheme() {
            "http" => true,
            "https" => false,
            other => return Err(bad(&format!("{other:?} is not http or https"))),
        };
        let bare = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
        if !bare || !base.username().is_empty() || base.password().is_some() {
            return Err(bad("it has more than a host and a port"));
        }
        let name = base.host_str().ok_or_else(|| bad("it has no host"))?.to_owned();
        let host = base.port().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
        let host = HeaderValue::from_str(&host).map_err(|_| bad("its host can't be sent"))?;

        let mut http = reqwest::Client::builder()
            .user_agent(concat!("glacierfs/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(timeouts.connect)
            .pool_idle_timeout(Duration::from_secs(20));
        if plain {
            // No TLS, so no need to load the system's certificates, or to fail for the lack of any.
            http = http.tls_certs_only([]);
        }
        let local = name == "localhost"
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if local {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| failure::with_causes("HTTPS can't be set up", error))?;
        let place = Arc::new(place);
        Ok(Transport { http, base, host, credentials, clock, retry, idle: timeouts.idle, place })
    }

    pub(super) fn error(&self, operation: &'static str, kind: ErrorKind) -> Error {
        Error::new(operation, &self.place, kind)
    }

    /// Sends `call` and takes the answer whole.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut failed = 0;
        loop {
            let result = match self.attempt(call).await {
                Ok(mut response) => {
                    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
                    self.collect(response).await.map(|body| Answer { status, headers, body })
                }
                Err(kind) => Err(kind),
            };
            match result {
                Ok(answer) => return Ok(answer),
                Err(kind) => self.give_up_or_wait(call, kind, &mut failed).await?,
            }
        }
    }

    /// Sends `call` and leaves the body of the answer on the connection, to be read with [`Self::next`].
    pub(super) async fn open(&self, call: &Call) -> Result<Response, Error> {
        let mut failed = 0;
        loop {
            match self.attempt(call).await {
                Ok(response) => return Ok(response),
                Err(kind) => self.give_up_or_wait(call, kind, &mut failed).await?,
            }
        }
    }

    async fn give_up_or_wait(&self, call: &Call, kind: ErrorKind, failed: &mut u32) -> Result<(), Error> {
        let error = self.error(call.operation, kind);
        *failed += 1;
        let safe = call.idempotent || !error.outcome_is_unknown();
        if *failed >= self.retry.attempts || !safe || !error.is_retryable() {
            return Err(error);
        }
        let wait = self.retry.backoff.wait(*failed);
        log::debug!("{error}; attempt {} in {wait:?}", *failed + 1);
        self.clock.sleep(wait).await;
        Ok(())
    }

    /// Signs and sends `call` once, up to the headers of an answer of success; and once more where the service refuses our
    /// credentials and their source has others by now, so that nobody notices when a key is replaced.
    async fn attempt(&self, call: &Call) -> Result<Response, ErrorKind> {
        let used = self.credentials.get().await.map_err(ErrorKind::Credentials)?;
        match self.attempt_with(call, &used).await {
            Err(refused) if refused.may_be_credentials() => match self.credentials.others(&used).await {
                Some(others) => {
                    log::info!("the service refuses the credentials {}: there are new ones", used.access_key);
                    self.attempt_with(call, &others).await
                }
                None => Err(refused),
            },
            other => other,
        }
    }

    async fn attempt_with(&self, call: &Call, credentials: &Credentials) -> Result<Response, ErrorKind> {
        let (body, progress) = call.payload.body();
        let mut request = self.signed(call, credentials)?;
        *request.body_mut() = Some(reqwest::Body::wrap(body));

        let sending = self.http.execute(request);
        tokio::pin!(sending);
        let response = loop {
            let deadline = progress.last() + call.patience;
            tokio::select! {
                response = &mut sending => break response,
                () = tokio::time::sleep_until(deadline.into()) => {
                    if progress.last() + call.patience <= Instant::now() {
                        return Err(standstill(call.patience));
                    }
                }
            }
        };
        let response = response.map_err(|error| match progress.take_error() {
            Some(error) => ErrorKind::Payload(error),
            None => failure::transport(error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let now = self.clock.now();
        let body = match self.collect(response).await {
            // What the service had against it is lost, but not that it did nothing.
            Err(ErrorKind::Transport { message, .. }) => {
                return Err(ErrorKind::Transport { message, undone: status < 500 });
            }
            collected => collected.unwrap_or_default(),
        };
        let kind = failure::refused(status, &headers, &body, now);
        if let ErrorKind::Service { error, .. } = &kind {
            log::debug!("{} {}: status {status}, {error}", call.method, call.path);
        }
        Err(kind)
    }

    fn signed(&self, call: &Call, credentials: &Credentials) -> Result<Request, ErrorKind> {
        let mut url = self.base.clone();
        url.set_path(&call.path);
        url.set_query(Some(call.query.as_str()).filter(|query| !query.is_empty()));
        let mut headers = call.headers.clone();
        headers.insert(HOST, self.host.clone());
        headers.insert(header::VERSION, HeaderValue::from_static(header::API_VERSION));
        let line =
            RequestLine { method: call.method.as_str(), path: url.path(), query: url.query().unwrap_or_default() };
        sigv4::sign(credentials, &self.place.region, self.clock.now(), line, &mut headers, &call.payload_hash)
            .map_err(|_| ErrorKind::Invalid("the credentials hold characters that can't be sent".into()))?;
        if call.method != Method::GET {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(call.payload.len()));
        }
        let mut request = Request::new(call.method.clone(), url);
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn collect(&self, mut response: Response) -> Result<Bytes, ErrorKind> {
        let mut body = BytesMut::new();
        while let Some(piece) = next(&mut response, self.idle).await? {
            body.extend_from_slice(&piece);
            if body.len() > WHOLE {
                return Err(ErrorKind::Malformed(format!("it has more than {WHOLE} bytes")));
            }
        }
        Ok(body.freeze())
    }

    /// The next piece of an answer's body.
    pub(super) async fn next(&self, operation: &'static str, response: &mut Response) -> Result<Option<Bytes>, Error> {
        next(response, self.idle).await.map_err(|kind| self.error(operation, kind))
    }
}

async fn next(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, ErrorKind> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(piece) => piece.map_err(failure::transport),
        Err(_) => Err(standstill(idle)),
    }
}

fn standstill(patience: Duration) -> ErrorKind {
    let message = format!("nothing has moved for {} s", patience.as_secs_f64());
    ErrorKind::Transport { message, undone: false }
}
