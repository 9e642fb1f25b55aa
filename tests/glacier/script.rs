//! An endpoint that verifies every request and answers from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use glacierfs::glacier::client::{Client, Config, Payload, Retry};
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::glacier::error::{ErrorCode, ServiceError};
use glacierfs::glacier::sigv4::{self, Authorization, Credentials, RequestLine};
use glacierfs::glacier::treehash::PayloadHash;
use glacierfs::glacier::wire::header;
use glacierfs::util::clock::Clock;
use glacierfs::util::retry::Backoff;
use http::{HeaderMap, Request};
use jiff::Timestamp;
use tokio::net::TcpListener;

pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A request that arrived with a valid signature.
#[derive(Debug)]
pub struct Seen {
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }
}

/// An endpoint that verifies every signature with the script's clock and answers from a script.
#[derive(Clone)]
pub struct Script {
    answers: Arc<Mutex<VecDeque<Response>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    pub clock: Clock,
    region: &'static str,
    pub endpoint: String,
}

impl Script {
    pub async fn start(answers: impl IntoIterator<Item = Response>) -> Self {
        Self::start_at(Clock::real(), answers).await
    }

    pub async fn start_at(clock: Clock, answers: impl IntoIterator<Item = Response>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            seen: Arc::default(),
            clock,
            region: "us-east-1",
            endpoint: format!("http://{}", listener.local_addr().expect("an address")),
        };
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        script
    }

    pub fn config(&self) -> Config {
        let credentials =
            Credentials { access_key: "AKID".into(), secret_key: SECRET.into(), session_token: Some("TOKEN".into()) };
        Config { endpoint: Some(self.endpoint.clone()), ..config(CredentialSource::fixed(credentials)) }
    }

    pub fn client(&self) -> Client {
        Client::new(self.config()).expect("a good configuration")
    }

    /// Replaces what is left of the script.
    pub fn then(&self, answers: impl IntoIterator<Item = Response>) {
        *self.answers.lock().expect("not poisoned") = answers.into_iter().collect();
    }

    /// The requests since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

/// A configuration that doesn't keep a test waiting.
fn config(credentials: CredentialSource) -> Config {
    let backoff = Backoff { first: Duration::from_millis(1), cap: Duration::from_millis(5) };
    Config { retry: Retry { attempts: 3, backoff }, ..Config::new("us-east-1", credentials) }
}

async fn answer(State(script): State<Script>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let now = script.clock.now();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
    let line = RequestLine {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
    };
    let hash = sigv4::payload_hash(&body);
    let verified = Authorization::parse(&parts.headers)
        .and_then(|authorization| authorization.verify(SECRET, script.region, line, &parts.headers, &hash, now));
    if let Err(refusal) = verified {
        return dated(failure(&ServiceError::from(refusal)), now);
    }
    let line = format!("{} {}", parts.method, parts.uri);
    script.seen.lock().expect("not poisoned").push(Seen { line, headers: parts.headers, body });
    let next = script.answers.lock().expect("not poisoned").pop_front();
    next.unwrap_or_else(|| failure(&ServiceError::new(ErrorCode::BadRequest, "the script has ended")))
}

pub fn ok(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).expect("a response")
}

pub fn failure(error: &ServiceError) -> Response {
    ok(error.status, &[(header::REQUEST_ID, "REQ-1")], error.body())
}

pub fn busy() -> Response {
    failure(&ServiceError::new(ErrorCode::ServiceUnavailable, "busy"))
}

fn dated(mut response: Response, time: Timestamp) -> Response {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("a date");
    response.headers_mut().insert("date", date.parse().expect("a header value"));
    response
}

pub async fn small() -> (Payload, PayloadHash) {
    let payload = Payload::bytes("hello world");
    let hash = payload.hash().await.expect("in memory");
    (payload, hash)
}
