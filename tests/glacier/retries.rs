//! When the client repeats by itself, and when it leaves that to whoever knows what may have happened (7.7, 1 to 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use glacierfs::glacier::client::{Client, Config, ErrorKind, JobFilter, Retry};
use glacierfs::glacier::error::{ErrorCode, ServiceError};
use glacierfs::glacier::wire::header;
use glacierfs::util::clock::Clock;
use glacierfs::util::retry::Backoff;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::script::{Script, failure, ok, small};

/// Answers that time may heal, by status and code, and whether they say that nothing was done.
fn passing() -> Vec<(u16, Option<ErrorCode>, bool)> {
    vec![
        (400, Some(ErrorCode::Throttling), true),
        (408, Some(ErrorCode::RequestTimeout), true),
        (408, None, true),
        (429, None, true),
        (503, Some(ErrorCode::InsufficientCapacity), true),
        (500, Some(ErrorCode::ServiceUnavailable), false),
        (500, None, false),
        (502, None, false),
        (503, None, false),
        (504, None, false),
    ]
}

/// Promise: what time may heal is repeated by itself where that can do no harm; an upload and a job only when the answer
/// says that nothing was done.
#[tokio::test]
async fn only_what_does_no_harm_is_repeated() {
    let (payload, hash) = small().await;
    let parameters = Default::default();
    for (status, code, undone) in passing() {
        let bad = || match &code {
            Some(code) => failure(&ServiceError { status, ..ServiceError::new(code.clone(), "later") }),
            None => ok(status, &[("content-type", "text/html")], "<html>"),
        };
        let good = || ok(201, &[(header::ARCHIVE_ID, "a"), (header::JOB_ID, "j"), (header::UPLOAD_ID, "u")], "");
        let script = Script::start([bad(), good(), bad(), good()]).await;
        let client = script.client();
        client.create_vault("v").await.expect("repeated");
        client.upload_part("v", "u", 0, &payload, &hash).await.expect("repeated");
        assert_eq!(script.seen().len(), 4, "{status} {code:?}");

        script.then([bad(), good()]);
        let uploaded = client.upload_archive("v", "", &payload, &hash).await;
        script.then([bad(), good()]);
        let initiated = client.initiate_job("v", &parameters).await;
        for result in [uploaded, initiated] {
            match result {
                Ok(_) => assert!(undone, "{status} {code:?}: repeated blindly"),
                Err(error) => {
                    assert!(
                        !undone && error.outcome_is_unknown() && error.is_retryable(),
                        "{status} {code:?}: {error}"
                    );
                }
            }
        }
        assert_eq!(script.seen().len(), if undone { 4 } else { 2 }, "{status} {code:?}");
    }
}

/// Promise: each attempt is signed anew, so that one of long after the first, beyond the five minutes that a signature is
/// good for, is accepted; an upload's too.
#[tokio::test]
async fn late_attempts_are_signed_anew() {
    let clock = Clock::virtual_at("2020-01-01T00:00:00Z".parse().expect("a time"));
    let throttled = || failure(&ServiceError::new(ErrorCode::Throttling, "Rate exceeded"));
    let script =
        Script::start_at(clock.clone(), [throttled(), throttled(), ok(201, &[(header::ARCHIVE_ID, "a")], "")]).await;
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let retry = Retry { attempts: 3, backoff: Backoff { first: minutes(20), cap: minutes(20) } };
    let client = Client::new(Config { clock: clock.clone(), retry, ..script.config() }).expect("a good configuration");
    let moving = tokio::spawn(async move {
        loop {
            clock.advance(minutes(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (payload, hash) = small().await;
    assert_eq!(client.upload_archive("v", "", &payload, &hash).await.expect("uploaded"), "a");
    moving.abort();
    let seen = script.seen();
    let signatures: Vec<_> = seen.iter().map(|seen| seen.header("authorization").expect("signed")).collect();
    assert!(signatures.len() == 3 && signatures[0] != signatures[1] && signatures[1] != signatures[2]);
}

/// Promise: an answer of which only the beginning comes is none: a listing isn't believed, what was refused counts as not
/// done and is repeated, what may have been done isn't.
#[tokio::test]
async fn answers_that_break_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicU32::new(0));
    let counter = connections.clone();
    let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 99\r\n\r\n{\"code\":\"Thr";
    let trouble = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 99\r\n\r\n{\"code\":\"Ser";
    let list = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"VaultList\":[],\"Marker\":null}";
    let empty = "HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{\"VaultList\":[],\"Marker\":null}";
    let created = "HTTP/1.1 201 Created\r\nx-amz-archive-id: a\r\ncontent-length: 0\r\n\r\n";
    let answers = [list, empty, refusal, created, trouble, created];
    tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            counter.fetch_add(1, Ordering::SeqCst);
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            // Both payloads below fit into the first few packets; all that is sent must be read, or the end is a reset.
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"hello world") {
                let read = connection.read(&mut buffer).await.expect("readable");
                request.extend_from_slice(&buffer[..read]);
            }
            connection.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    let script = Script::start([]).await;
    let client = Client::new(Config { endpoint: Some(endpoint), ..script.config() }).expect("a good configuration");
    assert_eq!(client.list_vaults().await.expect("the second answer is whole"), []);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let (payload, hash) = small().await;
    assert_eq!(client.upload_archive("v", "", &payload, &hash).await.expect("repeated"), "a");
    assert_eq!(connections.load(Ordering::SeqCst), 4);
    let error = client.upload_archive("v", "", &payload, &hash).await.expect_err("it may be there");
    assert!(error.outcome_is_unknown() && error.is_retryable(), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}

/// Promise: absent, null and unknown members are all the same to it, dates have any number of digits, and identifiers any
/// length and first character.
#[tokio::test]
async fn answers_of_every_age() {
    let date = "2020-01-01T00:00:00";
    let long = "-".repeat(400);
    let vault =
        |members: &str| format!(r#"{{"VaultName":"v","VaultARN":"arn","CreationDate":"{date}.123456789Z"{members}}}"#);
    let page = |vaults: &str, marker: &str| ok(200, &[], format!(r#"{{"New":{{}},"VaultList":[{vaults}]{marker}}}"#));
    let job = format!(
        r#"{{"JobList":[{{"Action":"ArchiveRetrieval","JobId":"{long}","Completed":true,"VaultARN":"arn",
            "CreationDate":"{date}Z","CompletionDate":"{date}.5Z","StatusCode":"Succeeded","Tier":null}}]}}"#
    );
    let parts = format!(
        r#"{{"MultipartUploadId":"u","PartSizeInBytes":1048576,"CreationDate":"{date}.1Z","VaultARN":"arn","Parts":[],"Marker":null}}"#
    );
    let script = Script::start([
        page(&vault(""), ""),
        page(
            &vault(r#","NumberOfArchives":null,"SizeInBytes":null,"LastInventoryDate":null,"Color":"red""#),
            r#","Marker":null"#,
        ),
        ok(200, &[], job),
        ok(200, &[], parts),
        ok(201, &[(header::ARCHIVE_ID, &long)], ""),
        ok(200, &[], "{}"),
    ])
    .await;
    let client = script.client();
    let (sparse, explicit) = (client.list_vaults().await.expect("listed"), client.list_vaults().await.expect("listed"));
    assert_eq!(sparse, explicit);
    let jobs = client.list_jobs("v", &JobFilter::default()).await.expect("listed");
    assert_eq!((jobs[0].job_id.as_str(), &jobs[0].tier, jobs[0].archive_size_in_bytes), (long.as_str(), &None, None));
    assert_eq!(client.list_parts("v", "-u").await.expect("listed"), []);
    let (payload, hash) = small().await;
    assert_eq!(client.upload_archive("v", "", &payload, &hash).await.expect("uploaded"), long);
    // An object without the list is no empty list: something else has answered.
    let error = client.list_vaults().await.expect_err("no list");
    assert!(matches!(error.kind(), ErrorKind::Malformed(_)), "{error}");
}
