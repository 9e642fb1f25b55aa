//! The client against a scripted endpoint: what it sends, when it repeats, what it believes, and what it tells a person.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, future};
use futures_util::TryStreamExt;
use glacierfs::glacier::client::{Client, Config, Error, ErrorKind, JobFilter, Payload, Retry, Timeouts};
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::glacier::error::{ErrorCode, ServiceError};
use glacierfs::glacier::sigv4::Credentials;
use glacierfs::glacier::treehash::TreeHash;
use glacierfs::glacier::wire::{self, header};
use glacierfs::util::clock::Clock;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::script::{SECRET, Script, busy, failure, ok, small};

fn vault(name: &str) -> serde_json::Value {
    serde_json::json!({"VaultName": name, "VaultARN": format!("arn:{name}"), "CreationDate": "2020-01-01T00:00:00.000Z"})
}

/// Promise: every operation is the API's method, path, headers and body; signed with a session token; with the version
/// header, and with a Content-Length wherever there can be a body.
#[tokio::test]
async fn requests_are_the_apis() {
    const HASH: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let job = serde_json::json!({"Action": "ArchiveRetrieval", "JobId": "-j", "Completed": false, "VaultARN": "arn",
        "CreationDate": "2020-01-01T00:00:00.000Z", "StatusCode": "InProgress"});
    let script = Script::start([
        ok(201, &[], ""),
        ok(200, &[], vault("v").to_string()),
        ok(201, &[(header::ARCHIVE_ID, "-a"), (header::TREE_HASH, HASH)], ""),
        ok(201, &[(header::UPLOAD_ID, "-u")], ""),
        ok(204, &[(header::TREE_HASH, HASH)], ""),
        ok(201, &[(header::ARCHIVE_ID, "-b")], ""),
        ok(204, &[], ""),
        ok(202, &[(header::JOB_ID, "-j")], ""),
        ok(200, &[], job.to_string()),
        ok(204, &[], ""),
        ok(204, &[], ""),
    ])
    .await;
    let client = script.client();
    let (payload, hash) = small().await;
    client.create_vault("v").await.expect("created");
    let described = client.describe_vault("v").await.expect("described");
    assert_eq!((described.vault_name.as_str(), described.number_of_archives), ("v", None));
    assert_eq!(client.upload_archive("v", "a  description", &payload, &hash).await.expect("uploaded"), "-a");
    assert_eq!(client.initiate_multipart_upload("v", "", 1 << 20).await.expect("initiated"), "-u");
    client.upload_part("v", "-u", 1 << 20, &payload, &hash).await.expect("uploaded");
    assert_eq!(client.complete_multipart_upload("v", "-u", 11, hash.tree_hash).await.expect("completed"), "-b");
    client.abort_multipart_upload("v", "-u").await.expect("aborted");
    let parameters = wire::JobParameters {
        job_type: Some(wire::JobType::ArchiveRetrieval),
        archive_id: Some("-a".into()),
        retrieval_byte_range: Some("0-1048575".into()),
        tier: Some(wire::Tier::Bulk),
        ..Default::default()
    };
    assert_eq!(client.initiate_job("v", &parameters).await.expect("initiated"), "-j");
    let described = client.describe_job("v", "-j").await.expect("described");
    assert_eq!(described.status_code, wire::StatusCode::InProgress);
    client.delete_archive("v", "-a").await.expect("deleted");
    client.delete_vault("v").await.expect("deleted");

    let seen = script.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let expected = [
        "PUT /-/vaults/v",
        "GET /-/vaults/v",
        "POST /-/vaults/v/archives",
        "POST /-/vaults/v/multipart-uploads",
        "PUT /-/vaults/v/multipart-uploads/-u",
        "POST /-/vaults/v/multipart-uploads/-u",
        "DELETE /-/vaults/v/multipart-uploads/-u",
        "POST /-/vaults/v/jobs",
        "GET /-/vaults/v/jobs/-j",
        "DELETE /-/vaults/v/archives/-a",
        "DELETE /-/vaults/v",
    ];
    assert_eq!(lines, expected);
    for seen in &seen {
        assert_eq!(seen.header(header::VERSION), Some("2012-06-01"), "{}", seen.line);
        assert_eq!(seen.header(header::SECURITY_TOKEN), Some("TOKEN"), "{}", seen.line);
        assert_eq!(seen.header("transfer-encoding"), None, "{}", seen.line);
        let length = (!seen.line.starts_with("GET")).then(|| seen.body.len().to_string());
        assert_eq!(seen.header("content-length"), length.as_deref(), "{}", seen.line);
    }
    let upload = &seen[2];
    assert_eq!(upload.header(header::ARCHIVE_DESCRIPTION), Some("a  description"));
    for seen in [&seen[2], &seen[4]] {
        assert_eq!(&seen.body[..], b"hello world");
        assert_eq!(seen.header(header::TREE_HASH), Some(HASH));
        assert_eq!(seen.header(header::CONTENT_SHA256), Some(HASH));
    }
    assert_eq!(seen[3].header(header::PART_SIZE), Some("1048576"));
    assert_eq!(seen[3].header(header::ARCHIVE_DESCRIPTION), None);
    assert_eq!(seen[4].header("content-range"), Some("bytes 1048576-1048586/*"));
    assert_eq!(seen[5].header(header::ARCHIVE_SIZE), Some("11"));
    assert_eq!(seen[5].header(header::TREE_HASH), Some(HASH));
    let body = r#"{"ArchiveId":"-a","RetrievalByteRange":"0-1048575","Tier":"Bulk","Type":"archive-retrieval"}"#;
    assert_eq!(&seen[7].body[..], body.as_bytes());
}

/// Promise: a listing is followed to its last page, filters and markers are encoded, and one that runs in circles ends.
#[tokio::test]
async fn listings_have_pages() {
    let page = |names: &[&str], marker: Option<&str>| {
        let vaults: Vec<_> = names.iter().map(|name| vault(name)).collect();
        ok(200, &[], serde_json::json!({"VaultList": vaults, "Marker": marker}).to_string())
    };
    let jobs = |marker| ok(200, &[], serde_json::json!({"JobList": [], "Marker": marker}).to_string());
    let script = Script::start([
        page(&["a", "b"], Some("arn:x:vaults/b")),
        page(&["c"], None),
        jobs(Some("m +/")),
        jobs(Some("")),
        page(&["a"], Some("m")),
        page(&["a"], Some("m")),
    ])
    .await;
    let client = script.client();
    let names = client.list_vaults().await.expect("listed").into_iter().map(|vault| vault.vault_name);
    assert!(names.eq(["a", "b", "c"]));
    let filter = JobFilter { completed: Some(true), status: Some(wire::StatusCode::Succeeded) };
    assert_eq!(client.list_jobs("v", &filter).await.expect("listed"), []);
    let error = client.list_vaults().await.expect_err("circles");
    assert!(matches!(error.kind(), ErrorKind::Malformed(_)), "{error}");
    let seen = script.seen();
    assert_eq!(seen[1].line, "GET /-/vaults?marker=arn%3Ax%3Avaults%2Fb");
    assert_eq!(seen[3].line, "GET /-/vaults/v/jobs?completed=true&statuscode=Succeeded&marker=m%20%2B%2F");
}

/// Promise: an idempotent request is repeated through hiccups and signed afresh each time; after the last attempt the
/// error is the service's.
#[tokio::test]
async fn hiccups_are_repeated_and_resigned() {
    let clock = Clock::virtual_at("2020-01-01T00:00:00Z".parse().expect("a time"));
    let throttled = failure(&ServiceError::new(ErrorCode::Throttling, "Rate exceeded"));
    let gateway = ok(502, &[("content-type", "text/html")], "<html>");
    let answers = [busy(), throttled, ok(201, &[], ""), gateway, busy(), busy()];
    let script = Script::start_at(clock.clone(), answers).await;
    let client = Client::new(Config { clock: clock.clone(), ..script.config() }).expect("a good configuration");
    let moving = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    client.create_vault("v").await.expect("created in the end");
    let seen = script.seen();
    assert_eq!(seen.len(), 3);
    let date = |i: usize| seen[i].header(header::DATE).expect("signed");
    assert!(date(0) < date(1) && date(1) < date(2), "each attempt has its own time");

    let error = client.create_vault("v").await.expect_err("three failures");
    assert_eq!((script.seen().len(), error.code()), (3, Some(&ErrorCode::ServiceUnavailable)));
    assert!(error.is_retryable() && !error.is_permanent());
    moving.abort();
}

/// Promise: what is refused for good isn't repeated, and an upload or a job isn't either when it may have taken effect; but
/// it is when the service can't have acted.
#[tokio::test]
async fn no_blind_repetition() {
    let bad = || failure(&ServiceError::new(ErrorCode::InvalidParameterValue, "no"));
    let slow = failure(&ServiceError::new(ErrorCode::RequestTimeout, "Request timed out."));
    let created = ok(201, &[(header::ARCHIVE_ID, "a")], "");
    let script = Script::start([bad(), busy(), busy(), slow, created]).await;
    let client = script.client();
    let (payload, hash) = small().await;
    let error = client.create_vault("v").await.expect_err("refused");
    assert!(error.is_permanent() && !error.outcome_is_unknown(), "{error}");
    let error = client.upload_archive("v", "", &payload, &hash).await.expect_err("busy");
    assert!(error.is_retryable() && error.outcome_is_unknown(), "{error}");
    let error = client.initiate_job("v", &Default::default()).await.expect_err("busy");
    assert!(error.outcome_is_unknown(), "{error}");
    assert_eq!(script.seen().len(), 3, "one request each");
    assert_eq!(client.upload_archive("v", "", &payload, &hash).await.expect("uploaded"), "a");
    assert_eq!(script.seen().len(), 2);
}

/// Promise: a connection that breaks before an answer is one more hiccup for an idempotent request, and an unknown
/// outcome for an upload.
#[tokio::test]
async fn broken_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicU32::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            if number == 1 {
                let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                connection.write_all(answer).await.expect("sent");
            }
        }
    });
    let script = Script::start([]).await;
    let client = Client::new(Config { endpoint: Some(endpoint), ..script.config() }).expect("a good configuration");
    client.create_vault("v").await.expect("created at the second attempt");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let (payload, hash) = small().await;
    let error = client.upload_archive("v", "", &payload, &hash).await.expect_err("broken");
    assert!(error.outcome_is_unknown() && error.is_retryable(), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

/// Promise: a range of a file is streamed with an exact Content-Length, counted as it goes, again in full at the second
/// attempt; and a file that is too short is said to be unreadable.
#[tokio::test]
async fn files_are_streamed() {
    let data: Vec<u8> = (0..5 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&data).expect("written");
    let file = Arc::new(file);
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let payload =
        Payload::file(file.clone(), 1000, 4 << 20).on_sent(move |bytes| _ = counter.fetch_add(bytes, Ordering::SeqCst));
    let hash = payload.hash().await.expect("readable");
    let script = Script::start([busy(), ok(204, &[], "")]).await;
    let client = script.client();
    client.upload_part("v", "u", 0, &payload, &hash).await.expect("uploaded");
    for seen in script.seen() {
        assert!(seen.body == data[1000..1000 + (4 << 20)]);
        assert_eq!(seen.header("content-length"), Some("4194304"));
        assert_eq!(seen.header("transfer-encoding"), None);
    }
    assert_eq!(sent.load(Ordering::SeqCst), 2 * (4 << 20));

    file.set_len(2 << 20).expect("cut");
    let error = client.upload_part("v", "u", 0, &payload, &hash).await.expect_err("too short");
    assert!(matches!(error.kind(), ErrorKind::Payload(_)) && !error.is_retryable(), "{error}");
    assert!(error.to_string().contains("can't be read"), "{error}");
}

/// Promise: a service that has received other bytes than were sent isn't believed, whatever its status.
#[tokio::test]
async fn other_tree_hashes_are_errors() {
    let other = "0".repeat(64);
    let answers = || ok(201, &[(header::ARCHIVE_ID, "a"), (header::TREE_HASH, &other), (header::UPLOAD_ID, "u")], "");
    let script = Script::start((0..9).map(|_| answers())).await;
    let client = script.client();
    let (payload, hash) = small().await;
    let corrupted = |error: Error| {
        let ErrorKind::Corrupted { expected, answered } = error.kind() else { panic!("{error}") };
        assert_eq!((*expected, *answered), (hash.tree_hash, TreeHash([0; 32])));
        assert!(error.is_retryable() && error.outcome_is_unknown());
    };
    corrupted(client.upload_archive("v", "", &payload, &hash).await.expect_err("corrupted"));
    corrupted(client.upload_part("v", "u", 0, &payload, &hash).await.expect_err("corrupted"));
    corrupted(client.complete_multipart_upload("v", "u", 11, hash.tree_hash).await.expect_err("corrupted"));
}

async fn read(client: &Client, range: Option<std::ops::RangeInclusive<u64>>) -> Result<Vec<u8>, Error> {
    let output = client.get_job_output("v", "j", range).await?;
    output
        .stream
        .try_fold(Vec::new(), async |mut all, piece| {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

/// Promise: job output comes as it is with what the service says of it; ranges other than asked, and bodies that end
/// early, are errors.
#[tokio::test]
async fn job_output() {
    let hash = "0".repeat(64);
    let partial = |range: &str, body: &'static str| {
        ok(206, &[("content-range", range), ("content-type", "application/octet-stream")], body)
    };
    let hashed = ok(206, &[("content-range", "bytes 2-4/10"), (header::TREE_HASH, &hash)], "abc");
    let script = Script::start([
        ok(200, &[("content-type", "text/csv")], "0123456789"),
        hashed,
        partial("bytes 8-9/10", "89"),
        partial("bytes 3-4/10", "34"),
        partial("bytes 2-4/10", "2345"),
        ok(200, &[], "0123456789"),
        partial("nonsense", "34"),
        failure(&ServiceError::job_not_available("j")),
    ])
    .await;
    let client = script.client();
    let output = client.get_job_output("v", "j", None).await.expect("output");
    assert_eq!((output.len, output.content_type.as_deref()), (Some(10), Some("text/csv")));
    assert_eq!((output.content_range, output.tree_hash), (None, None));
    let output = client.get_job_output("v", "j", Some(2..=4)).await.expect("output");
    assert_eq!((output.content_range, output.tree_hash), (Some((2, 4, 10)), Some(TreeHash([0; 32]))));
    assert_eq!(read(&client, Some(8..=20)).await.expect("clipped by the service"), b"89");
    for _ in 0..4 {
        let error = read(&client, Some(2..=4)).await.expect_err("other bytes than asked");
        assert!(matches!(error.kind(), ErrorKind::Malformed(_)), "{error}");
    }
    let error = read(&client, None).await.expect_err("not ready");
    assert_eq!(error.code(), Some(&ErrorCode::InvalidParameterValue));
    let seen = script.seen();
    assert_eq!((seen[0].header("range"), seen[1].header("range")), (None, Some("bytes=2-4")));
    assert_eq!(seen[0].line, "GET /-/vaults/v/jobs/j/output");
}

/// Promise: an answer that is cut off, or stands still, is an error within the time allowed; so is no answer at all.
#[tokio::test]
async fn standstill_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow",
            "",
        ] {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            connection.write_all(answer.as_bytes()).await.expect("sent");
            if !answer.ends_with("short") {
                kept.push(connection);
            }
        }
        std::future::pending::<()>().await;
    });
    let script = Script::start([]).await;
    let timeouts = Timeouts { idle: Duration::from_millis(200), ..Timeouts::default() };
    let retry = Retry { attempts: 1, ..Retry::default() };
    let config = Config { endpoint: Some(endpoint), timeouts, retry, ..script.config() };
    let client = Client::new(config).expect("a good configuration");
    for says in ["connection failed", "nothing has moved for 0.2 s"] {
        let error = read(&client, None).await.expect_err("incomplete");
        assert!(error.to_string().contains(says) && error.is_retryable(), "{error}");
    }
    let error = client.describe_vault("v").await.expect_err("no answer");
    assert!(error.to_string().contains("nothing has moved"), "{error}");
}

/// Promise: a person is told what failed where, and what to check: wrong secret, wrong region, a clock that is off and by
/// how much, no endpoint, something else in its place.
#[tokio::test]
async fn errors_help() {
    let mut script =
        Script::start([ok(403, &[], "<html>Forbidden by proxy</html>"), ok(200, &[], "<html>Hi</html>")]).await;
    let message = async |config: Config| {
        let client = Client::new(config).expect("a good configuration");
        let error = client.describe_vault("v").await.expect_err("fails");
        (error.to_string(), error)
    };
    let (text, error) = message(script.config()).await;
    assert!(error.is_permanent() && text.contains("no proxy answers in its place"), "{text}");
    assert!(text.starts_with(&format!("DescribeVault at {}: ", script.endpoint)), "{text}");
    let (text, error) = message(script.config()).await;
    assert!(matches!(error.kind(), ErrorKind::Malformed(_)) && text.contains("is a Glacier endpoint"), "{text}");

    let wrong = Credentials { access_key: "AKID".into(), secret_key: "wrong".into(), session_token: None };
    let (text, error) = message(Config { credentials: CredentialSource::fixed(wrong), ..script.config() }).await;
    assert!(error.is_permanent() && text.contains("check the secret access key"), "{text}");
    assert!(text.contains("[request REQ-1]") && !text.contains('\n'), "{text}");

    let (text, error) = message(Config { region: "eu-west-1".into(), ..script.config() }).await;
    assert!(error.is_permanent() && text.contains("signed for region 'eu-west-1'"), "{text}");

    for (minutes, says) in [(-10, "10m behind the service's"), (10, "10m ahead of the service's")] {
        let now: Timestamp = "2020-01-01T12:00:00Z".parse().expect("a time");
        let service = Script::start_at(Clock::virtual_at(now), []).await;
        let clock = Clock::virtual_at(now + jiff::SignedDuration::from_mins(minutes));
        let (text, error) = message(Config { clock, ..service.config() }).await;
        assert!(error.is_clock_skew() && !error.is_permanent(), "{text}");
        assert!(text.contains(says), "{text}");
    }

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    script.endpoint = format!("http://{closed}");
    let (text, error) = message(script.config()).await;
    assert!(error.is_retryable() && !error.outcome_is_unknown(), "{text}");
    assert!(text.contains("no connection") && text.contains("refused") && text.contains("is up"), "{text}");
}

/// Promise: whatever answers in the service's place, its message is one line without anything that a terminal obeys.
#[tokio::test]
async fn messages_are_one_clean_line() {
    let envelope =
        r#"{"code":"Odd\u001b[1mException\n","message":"\u001b]0;title\u0007a\rb\u009b2J\nmore","type":"Client"}"#;
    let script = Script::start([ok(418, &[], envelope), ok(418, &[], "\u{1b}[2Jcleared")]).await;
    for says in ["]0;title a b", "[2Jcleared"] {
        let error = script.client().describe_vault("v").await.expect_err("refused").to_string();
        assert!(error.contains(says) && !error.contains(char::is_control), "{error:?}");
    }
}

/// Promise: what can't be right is refused before anything is sent, with the value and what is allowed.
#[tokio::test]
async fn bad_parameters_are_named() {
    let script = Script::start([]).await;
    let (payload, hash) = small().await;
    for (change, says) in [
        (Config { region: "us east".into(), ..script.config() }, "as in us-east-1"),
        (Config { account: "123".into(), ..script.config() }, "12 digits"),
        (Config { endpoint: Some("localhost:8210".into()), ..script.config() }, "http://HOST"),
        (Config { endpoint: Some("http://localhost/path".into()), ..script.config() }, "http://HOST"),
        (Config { endpoint: Some("ftp://localhost".into()), ..script.config() }, "http://HOST"),
    ] {
        let error = Client::new(change).expect_err(says);
        assert!(error.to_string().contains(says) && error.is_permanent(), "{error}");
    }
    let client = script.client();
    for name in ["", "a/b", "..", "a b", "ä", &"n".repeat(256)] {
        let error = client.create_vault(name).await.expect_err(name);
        assert!(error.to_string().contains("1 to 255 of a-z"), "{error}");
    }
    for error in [
        client.describe_job("v", "..").await.expect_err("no ID"),
        client.upload_archive("v", "ü", &payload, &hash).await.expect_err("no description"),
        client.upload_archive("v", &"x".repeat(1025), &payload, &hash).await.expect_err("no description"),
        client.upload_archive("v", "", &Payload::bytes(""), &hash).await.expect_err("empty"),
        client.upload_archive("v", "", &Payload::bytes("x"), &hash).await.expect_err("another hash"),
        client.initiate_multipart_upload("v", "", 3 << 20).await.expect_err("no part size"),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)) && error.is_permanent(), "{error}");
    }
    assert_eq!(script.seen().len(), 0);
    let client = Client::new(config_for("cn-north-1")).expect("a good configuration");
    assert_eq!(client.endpoint(), "https://glacier.cn-north-1.amazonaws.com.cn");
    let client = Client::new(config_for("eu-west-1")).expect("a good configuration");
    assert_eq!(client.endpoint(), "https://glacier.eu-west-1.amazonaws.com");
}

fn config_for(region: &str) -> Config {
    let none = Credentials { access_key: "k".into(), secret_key: "s".into(), session_token: None };
    Config::new(region, CredentialSource::fixed(none))
}

/// A source of a new key at each call.
#[derive(Debug, Default)]
struct Rotating(AtomicU32);

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let id = format!("KEY{}", self.0.fetch_add(1, Ordering::SeqCst));
        future::ProvideCredentials::ready(Ok(aws_credential_types::Credentials::new(id, SECRET, None, None, "test")))
    }
}

/// Promise: credentials that the service calls expired are asked for again at once.
#[tokio::test]
async fn expired_tokens_are_renewed() {
    let expired = failure(&ServiceError::new(ErrorCode::ExpiredToken, "expired"));
    let script = Script::start([expired, ok(201, &[(header::ARCHIVE_ID, "a")], "")]).await;
    let credentials = CredentialSource::provider(Rotating::default(), "the test".into());
    let client = Client::new(Config { credentials, ..script.config() }).expect("a good configuration");
    let (payload, hash) = small().await;
    client.upload_archive("v", "", &payload, &hash).await.expect("uploaded with new credentials");
    let seen = script.seen();
    let signed_with = |i: usize, key: &str| {
        let authorization = seen[i].header("authorization").expect("signed");
        assert!(authorization.contains(&format!("Credential={key}/")), "{authorization}");
    };
    signed_with(0, "KEY0");
    signed_with(1, "KEY1");
}
