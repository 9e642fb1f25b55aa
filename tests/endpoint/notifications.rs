//! Who is told of the completion of jobs: by an SNS service that verifies what it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use glacierfs::glacier::sigv4::{self, Authorization, Credentials, RequestLine};
use glacierfs::server::Server;
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Api, Endpoint, HOUR, config};

const JOB: &str = "arn:aws:sns:us-east-1:000000000000:job";
const VAULT: &str = "arn:aws:sns:eu-west-1:000000000000:vault";
/// The members of a message, in their order.
const MEMBERS: [&str; 18] = [
    "Action",
    "ArchiveId",
    "ArchiveSHA256TreeHash",
    "ArchiveSizeInBytes",
    "Completed",
    "CompletionDate",
    "CreationDate",
    "InventoryRetrievalParameters",
    "InventorySizeInBytes",
    "JobDescription",
    "JobId",
    "RetrievalByteRange",
    "SHA256TreeHash",
    "SNSTopic",
    "StatusCode",
    "StatusMessage",
    "Tier",
    "VaultARN",
];

/// An SNS service that keeps what it is sent, and answers with a status.
struct Sns {
    url: String,
    status: Arc<AtomicU16>,
    received: UnboundedReceiver<(HeaderMap, Bytes)>,
}

#[derive(Clone)]
struct Listening {
    status: Arc<AtomicU16>,
    received: UnboundedSender<(HeaderMap, Bytes)>,
}

impl Sns {
    async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, received) = unbounded_channel();
        let status = Arc::new(AtomicU16::new(status));
        let state = Listening { status: Arc::clone(&status), received: sender };
        let app = Router::new().fallback(Self::answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Sns { url, status, received }
    }

    async fn answer(State(state): State<Listening>, request: Request<Body>) -> StatusCode {
        let (head, body) = request.into_parts();
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/"));
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        // The test may have ended.
        let _ = state.received.send((head.headers, body));
        StatusCode::from_u16(state.status.load(Ordering::Relaxed)).expect("a status")
    }

    /// The next message with its topic, signed with `key`.
    async fn next(&mut self, key: &Credentials) -> (String, String) {
        let next = tokio::time::timeout(Duration::from_secs(20), self.received.recv()).await;
        let (headers, body) = next.expect("a message in time").expect("the service runs");
        let form = reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(&body))).expect("a form");
        let value = |name: &str| {
            let pair = form.query_pairs().find(|(key, _)| key == name);
            pair.unwrap_or_else(|| panic!("no {name} in {form}")).1.into_owned()
        };
        assert_eq!((value("Action").as_str(), value("Version").as_str()), ("Publish", "2010-03-31"));
        let topic = value("TopicArn");
        let region = topic.split(':').nth(3).expect("a region");
        let line = RequestLine { method: "POST", path: "/", query: "" };
        let hash = sigv4::payload_hash(&body);
        let authorization = Authorization::parse(&headers).expect("an authorization");
        assert_eq!(authorization.access_key, key.access_key);
        let now = Timestamp::now();
        let verified = authorization.verify_for("sns", &key.secret_key, region, line, &headers, &hash, now);
        verified.expect("a good signature");
        (topic, value("Message"))
    }

    /// The next `count` messages, sorted.
    async fn messages(&mut self, key: &Credentials, count: usize) -> Vec<(String, Value)> {
        let mut messages: Vec<(String, Value)> = Vec::new();
        for _ in 0..count {
            let (topic, text) = self.next(key).await;
            messages.push((topic, serde_json::from_str(&text).expect("JSON")));
        }
        messages.sort_by_key(|(topic, message)| (topic.clone(), message.to_string()));
        messages
    }

    fn is_quiet(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// Has the vault publish `events`.
async fn subscribe(api: &Api, vault: &str, events: Value) {
    let config = json!({"SNSTopic": VAULT, "Events": events});
    let call = api.call("PUT", &format!("/-/vaults/{vault}/notification-configuration"));
    call.body(config.to_string()).send().await.expect(204);
}

/// What the message about a job is to be.
async fn expected(api: &Api, job: &str) -> Value {
    let mut description = api.describe_job("v", job).await;
    let members = description.as_object_mut().expect("an object");
    members.retain(|name, _| MEMBERS.contains(&name.as_str()));
    assert_eq!(members.len(), MEMBERS.len());
    description
}

/// Promise: when a job ends, well or not, its topic is told, and the vault's if it asked for such jobs, both if they are
/// the same; signed for the topic's region, in exactly the documented members in their order.
#[tokio::test]
async fn jobs_that_end_are_told_of() {
    let mut sns = Sns::start(200).await;
    let endpoint = Endpoint::with(|config| config.sns_endpoint = Some(sns.url.clone())).await;
    let (api, key) = (&endpoint.api, endpoint.server.credentials());
    api.create_vault("v").await;
    let archive = api.upload("v", b"bytes", "").await;
    let retrieval = |topic: &str| json!({"Type": "archive-retrieval", "ArchiveId": archive, "SNSTopic": topic});

    let job = api.job("v", retrieval(JOB)).await;
    let untold = api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    endpoint.advance(4 * HOUR);
    let (topic, text) = sns.next(key).await;
    assert_eq!(topic, JOB);
    let places: Vec<_> = MEMBERS.iter().map(|name| text.find(&format!("\"{name}\":"))).collect();
    assert!(places.is_sorted() && places[0] == Some(1), "{text}");
    assert!(text.contains("\"InventorySizeInBytes\":null,\"JobDescription\":null,"), "{text}");
    let message: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(message, expected(api, &job).await);
    assert_eq!((&message["StatusCode"], &message["Completed"]), (&"Succeeded".into(), &true.into()));
    assert_eq!(api.describe_job("v", &untold).await["Completed"], true);

    // The vault asks for inventories only, then for archives as well.
    subscribe(api, "v", json!(["InventoryRetrievalCompleted"])).await;
    endpoint.advance(20 * HOUR);
    api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let inventory = api.job("v", json!({"Type": "inventory-retrieval", "SNSTopic": JOB})).await;
    endpoint.advance(4 * HOUR);
    let both = expected(api, &inventory).await;
    assert_eq!(both["InventoryRetrievalParameters"]["Format"], "JSON");
    assert_eq!(sns.messages(key, 2).await, [(VAULT.to_owned(), both.clone()), (JOB.to_owned(), both)]);
    subscribe(api, "v", json!(["InventoryRetrievalCompleted", "ArchiveRetrievalCompleted"])).await;
    let job = api.job("v", retrieval(VAULT)).await;
    endpoint.advance(4 * HOUR);
    let twice = (VAULT.to_owned(), expected(api, &job).await);
    assert_eq!(sns.messages(key, 2).await, [twice.clone(), twice]);

    // What fails, fails when the archive goes.
    let nobody = api.job("v", retrieval("nobody")).await;
    let job = api.job("v", retrieval(JOB)).await;
    api.delete_archive("v", &archive).await.expect(204);
    let mut failed =
        vec![(VAULT.to_owned(), expected(api, &nobody).await), (VAULT.to_owned(), expected(api, &job).await)];
    failed.push((JOB.to_owned(), expected(api, &job).await));
    failed.sort_by_key(|(topic, message)| (topic.clone(), message.to_string()));
    assert_eq!(failed[2].1["StatusCode"], "Failed");
    assert_eq!(sns.messages(key, 3).await, failed);
    assert!(sns.is_quiet());
}

/// Promise: what can't be told is tried again, also by the next server after a crash, which tells of what completed in
/// between as well; but a day later it is given up, and what was told isn't told again.
#[tokio::test]
async fn nothing_is_lost_for_a_day() {
    let mut sns = Sns::start(503).await;
    let with = |settings: &mut glacierfs::server::ServerConfig| settings.sns_endpoint = Some(sns.url.clone());
    let Endpoint { directory, clock, server, api } = Endpoint::with(with).await;
    let key = server.credentials().clone();
    api.create_vault("v").await;
    let archive = api.upload("v", b"bytes", "").await;
    let retrieval = |tier| json!({"Type": "archive-retrieval", "ArchiveId": archive, "SNSTopic": JOB, "Tier": tier});
    let standard = api.job("v", retrieval("Standard")).await;
    let bulk = api.job("v", retrieval("Bulk")).await;
    clock.advance(4 * HOUR);
    sns.next(&key).await;
    drop(server);

    // By now the jobs have expired, and are told of all the same.
    clock.advance(72 * HOUR);
    sns.status.store(200, Ordering::Relaxed);
    let url = sns.url.clone();
    let start = async || {
        let mut config = config(directory.path());
        config.sns_endpoint = Some(url.clone());
        Server::start(config, clock.clone()).await.expect("starts")
    };
    let server = start().await;
    let mut told = Vec::new();
    while told.len() < 2 {
        let (_, text) = sns.next(&key).await;
        let message: Value = serde_json::from_str(&text).expect("JSON");
        told.push(message["JobId"].as_str().expect("an ID").to_owned());
        told.sort();
        told.dedup();
    }
    let mut jobs = [standard, bulk];
    jobs.sort();
    assert_eq!(told, jobs);
    let outbox = async |count: i64| {
        let db = rusqlite::Connection::open(directory.path().join("glacier.db")).expect("opens");
        while db.query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0)).expect("a count") != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        db
    };
    outbox(0).await;
    drop(server);

    sns.status.store(404, Ordering::Relaxed);
    let server = start().await;
    assert!(sns.is_quiet());
    let api = Api::new(&server);
    api.job("v", retrieval("Expedited")).await;
    clock.advance(HOUR);
    sns.next(&key).await;
    drop(server);
    // A day passes.
    outbox(1).await.execute("UPDATE outbox SET created = created - 86400000, due = 0", []).expect("updated");
    let server = start().await;
    sns.next(&key).await;
    outbox(0).await;
    server.stop().await;
}

/// Promise: an endpoint that can't be one keeps the server from starting, and says so.
#[tokio::test]
async fn bad_endpoints() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    config.sns_endpoint = Some("sns.example".to_owned());
    let refused = Server::start(config, glacierfs::util::clock::Clock::real()).await.map(drop).expect_err("refused");
    assert!(refused.to_string().contains("\"sns.example\" is not an SNS endpoint"), "{refused}");
}
