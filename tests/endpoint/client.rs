//! A started endpoint with a client that can send anything, right or wrong.

use std::path::Path;
use std::time::Duration;

use glacierfs::glacier::client::{Client, Config};
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::glacier::sigv4::{self, Credentials, RequestLine};
use glacierfs::glacier::treehash;
use glacierfs::server::{Server, ServerConfig};
use glacierfs::util::clock::Clock;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

pub const REGION: &str = "us-east-1";
pub const ARN: &str = "arn:aws:glacier:us-east-1:000000000000:vaults/";
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(24 * 3600);
pub const MIB: usize = 1 << 20;

/// An endpoint on a directory of its own, and its clock.
pub struct Endpoint {
    pub directory: TempDir,
    pub clock: Clock,
    pub server: Server,
    pub api: Api,
}

impl Endpoint {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Clock::virtual_at("2013-03-20T17:03:43.221Z".parse().expect("a time"));
        let server = start(directory.path(), &clock, change).await;
        let api = Api::new(&server);
        Endpoint { directory, clock, server, api }
    }

    /// Ends the server as a crash would, and starts another on the same data.
    pub async fn restart(mut self) -> Self {
        drop(self.server);
        self.server = start(self.directory.path(), &self.clock, |_| {}).await;
        self.api = Api::new(&self.server);
        self
    }

    /// A request for an admin route, with the token.
    pub async fn admin(&self, method: &str, route: &str, body: &str) -> Response {
        let token = format!("Bearer {}", self.server.admin_token().expect("admin routes"));
        let call = self.api.call(method, &format!("/_glacierfs/{route}")).unsigned();
        call.header("authorization", &token).body(body).send().await
    }

    /// glacierfs's own client, with the key of the first account.
    pub fn client(&self) -> Client {
        let credentials = CredentialSource::fixed(self.server.credentials().clone());
        let config = Config { endpoint: Some(self.server.url()), ..Config::new(REGION, credentials) };
        Client::new(config).expect("a good configuration")
    }

    /// Something that sends anything with the key of `account`.
    pub fn api_of(&self, account: &str) -> Api {
        Api::at(self.server.url(), self.server.credentials_of(account).expect("an account").clone())
    }

    pub fn advance(&self, by: Duration) {
        assert!(self.clock.advance(by), "the clock is virtual");
    }
}

pub fn config(data: &Path) -> ServerConfig {
    let mut config = ServerConfig::new(data);
    config.listen.set_port(0);
    config
}

async fn start(data: &Path, clock: &Clock, change: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = config(data);
    change(&mut config);
    Server::start(config, clock.clone()).await.expect("the server starts")
}

/// A client.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
    pub credentials: Credentials,
    /// When requests claim to be signed.
    pub signed_at: Option<Timestamp>,
    pub region: String,
}

/// A request in the making; signed when sent.
pub struct Call<'a> {
    api: &'a Api,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
    signed: bool,
}

/// An answer.
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Api {
    pub fn new(server: &Server) -> Self {
        Self::at(server.url(), server.credentials().clone())
    }

    pub fn at(url: String, credentials: Credentials) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Api { http, url, credentials, signed_at: None, region: REGION.to_owned() }
    }

    /// A request for `target`, which is a path with or without a query.
    pub fn call(&self, method: &str, target: &str) -> Call<'_> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-glacier-version", HeaderValue::from_static("2012-06-01"));
        let method = method.parse().expect("a method");
        Call { api: self, method, target: target.to_owned(), headers, body: Vec::new(), signed: true }
    }

    pub async fn get(&self, target: &str) -> Response {
        self.call("GET", target).send().await
    }

    pub async fn create_vault(&self, name: &str) {
        self.call("PUT", &format!("/-/vaults/{name}")).send().await.expect(201);
    }

    /// Uploads an archive, and answers its ID.
    pub async fn upload(&self, vault: &str, data: &[u8], description: &str) -> String {
        let call = self.call("POST", &format!("/-/vaults/{vault}/archives"));
        let call = call.data(data).header("x-amz-archive-description", description);
        call.send().await.expect(201).header("x-amz-archive-id")
    }

    pub async fn delete_archive(&self, vault: &str, id: &str) -> Response {
        self.call("DELETE", &format!("/-/vaults/{vault}/archives/{id}")).send().await
    }

    /// Initiates a job with `parameters`, and answers its ID.
    pub async fn job(&self, vault: &str, parameters: Value) -> String {
        let call = self.call("POST", &format!("/-/vaults/{vault}/jobs")).body(parameters.to_string());
        call.send().await.expect(202).header("x-amz-job-id")
    }

    /// Puts, posts or deletes JSON.
    pub async fn send(&self, method: &str, target: &str, body: Value) -> Response {
        self.call(method, target).body(body.to_string()).send().await
    }

    pub async fn describe_job(&self, vault: &str, job: &str) -> Value {
        self.get(&format!("/-/vaults/{vault}/jobs/{job}")).await.expect(200).json()
    }

    pub async fn output(&self, vault: &str, job: &str, range: Option<&str>) -> Response {
        let call = self.call("GET", &format!("/-/vaults/{vault}/jobs/{job}/output"));
        match range {
            Some(range) => call.header("range", range).send().await,
            None => call.send().await,
        }
    }
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a name");
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body with both hashes.
    pub fn data(self, data: &[u8]) -> Self {
        let hash = treehash::tree_hash(data).to_string();
        let call = self.header("x-amz-sha256-tree-hash", &hash);
        call.header("x-amz-content-sha256", &sigv4::payload_hash(data)).body(data)
    }

    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    pub async fn send(self) -> Response {
        self.try_send().await.expect("an answer")
    }

    /// The answer, `None` when the server is gone.
    pub async fn try_send(self) -> Option<Response> {
        let response = self.request().send().await.ok()?;
        Some(Response {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.ok()?.into(),
        })
    }

    /// The answer, whose body is still to come.
    pub async fn open(self) -> reqwest::Response {
        self.request().send().await.expect("an answer")
    }

    fn request(mut self) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.api.url, self.target);
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let host = self.api.url.strip_prefix("http://").expect("an HTTP URL");
        if self.signed {
            self.headers.insert("host", HeaderValue::from_str(host).expect("a host"));
            let line = RequestLine { method: self.method.as_str(), path, query };
            let hash = match self.headers.get("x-amz-content-sha256") {
                Some(hash) => hash.to_str().expect("text").to_owned(),
                None => sigv4::payload_hash(&self.body),
            };
            let api = self.api;
            let now = api.signed_at.unwrap_or_else(Timestamp::now);
            sigv4::sign(&api.credentials, &api.region, now, line, &mut self.headers, &hash).expect("signed");
        }
        self.api.http.request(self.method, url).headers(self.headers).body(self.body)
    }
}

impl Response {
    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers.get("x-amzn-requestid").map(|id| id.len()), Some(47));
        self
    }

    /// Checks that it is an error with this status, code and message, with an envelope as documented.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str, message: &str) {
        let response = self.expect(status);
        assert_eq!(response.header("content-type"), "application/json");
        let body = response.json();
        let blamed = if code == "InsufficientCapacityException" { "Server" } else { "Client" };
        assert_eq!((&body["code"], &body["type"]), (&Value::from(code), &Value::from(blamed)), "{body}");
        let said = body["message"].as_str().expect("a message");
        assert!(said.contains(message), "{said:?} should contain {message:?}");
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        self.try_header(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    pub fn try_header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// `size` bytes of the pattern of the tree-hash vectors.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}
