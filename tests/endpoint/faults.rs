//! Faults on purpose: each kind does what it says to the client, and only to what it is about.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Endpoint, MIB, pattern};

/// An endpoint with a vault that has an archive, and a job that has retrieved it: its ID and bytes.
async fn retrieved() -> (Endpoint, String, Vec<u8>) {
    let endpoint = Endpoint::with(|config| {
        config.admin = true;
        config.retrieval_delays.set("all=0s").expect("a delay");
    })
    .await;
    endpoint.api.create_vault("v").await;
    let data = pattern(MIB);
    let archive = endpoint.api.upload("v", &data, "").await;
    let job = endpoint.api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    (endpoint, job, data)
}

async fn plan(endpoint: &Endpoint, operation: &str, count: u64, fault: Value) {
    let plan = json!({"seed": 1, "rules": [{"operation": operation, "count": count, "fault": fault}]});
    endpoint.admin("PUT", "faults", &plan.to_string()).await.expect(200);
}

async fn fired(endpoint: &Endpoint) -> Value {
    endpoint.admin("GET", "faults", "").await.expect(200).json()["rules"][0]["fired"].clone()
}

/// Promise: a refusal comes with the code and status of the plan, as often as it says, also instead of a large upload; an
/// answer without a code is a proxy's; a plan is shown with what came of it, replaced, and taken back.
#[tokio::test]
async fn refusals() {
    let (endpoint, ..) = retrieved().await;
    let api = &endpoint.api;
    plan(&endpoint, "UploadArchive", 2, json!({"error": {"code": "ThrottlingException", "message": "Rate exceeded"}}))
        .await;
    for _ in 0..2 {
        let upload = api.call("POST", "/-/vaults/v/archives").data(&pattern(MIB)).send().await;
        upload.fails(400, "ThrottlingException", "Rate exceeded");
    }
    api.get("/-/vaults/v").await.expect(200);
    api.upload("v", &pattern(MIB), "").await;
    let status = endpoint.admin("GET", "faults", "").await.expect(200).json();
    let rule = json!({"operation": "UploadArchive", "count": 2, "skip": 0, "seen": 3, "fired": 2,
        "fault": {"error": {"code": "ThrottlingException", "message": "Rate exceeded"}}});
    assert_eq!(status, json!({"seed": 1, "rules": [rule]}));

    plan(&endpoint, "*", 1, json!({"error": {"status": 502}})).await;
    let proxy = api.get("/-/vaults").await.expect(502);
    assert_eq!(proxy.header("content-type"), "text/html");
    plan(&endpoint, "*", 100, json!({"error": {"status": 503, "code": "InsufficientCapacityException"}})).await;
    assert_eq!(api.get("/-/vaults").await.expect(503).json()["code"], "InsufficientCapacityException");
    endpoint.admin("DELETE", "faults", "").await.expect(204);
    api.get("/-/vaults").await.expect(200);

    let bad = endpoint.admin("PUT", "faults", r#"{"rules":[{"operation":"*","rate":2}]}"#).await;
    let says = "Invalid fault plan: rules[0].rate: the rate 2 is not allowed: allowed are numbers above 0, up to 1";
    bad.fails(400, "InvalidParameterValueException", says);
}

/// Promise: a reset in the request leaves nothing behind; a lost response leaves what was asked for.
#[tokio::test]
async fn lost_requests_and_responses() {
    let (endpoint, ..) = retrieved().await;
    let api = &endpoint.api;
    let count = async || {
        let vault = endpoint.admin("POST", "inventory", r#"{"vault": "v"}"#).await.expect(200);
        vault.json()["NumberOfArchives"].as_u64().expect("a number")
    };
    for size in [1000, 3 * MIB] {
        let data = pattern(size);
        let upload = async || api.call("POST", "/-/vaults/v/archives").data(&data).try_send().await;
        let before = count().await;
        plan(&endpoint, "UploadArchive", 1, json!({"reset_request": {}})).await;
        assert!(upload().await.is_none());
        assert_eq!((count().await, fired(&endpoint).await), (before, 1.into()));
        plan(&endpoint, "UploadArchive", 1, json!({"lose_response": {}})).await;
        assert!(upload().await.is_none());
        assert_eq!((count().await, fired(&endpoint).await), (before + 1, 1.into()));
        upload().await.expect("an answer").expect(201);
    }
    plan(&endpoint, "CreateVault", 2, json!({"reset_response": {}})).await;
    assert!(api.call("PUT", "/-/vaults/w").try_send().await.is_none());
    api.get("/-/vaults/w").await.expect(200);
    assert!(api.call("PUT", "/-/vaults/w").try_send().await.is_none());
}

/// Promise: an answer that is cut off, or reset, comes with its true length and not with all its bytes; one whose length
/// is fixed looks whole; a corrupt one has one wrong bit; a slow one takes its time and is right.
#[tokio::test]
async fn spoilt_answers() {
    let (endpoint, job, data) = retrieved().await;
    let api = &endpoint.api;
    let output = format!("/-/vaults/v/jobs/{job}/output");
    for fault in [json!({"truncate": {"after": 70_000}}), json!({"reset_response": {"after": 70_000}})] {
        plan(&endpoint, "GetJobOutput", 1, fault).await;
        let (headers, body) = partly(&endpoint, &output).await;
        assert_eq!(headers["content-length"], "1048576");
        let (got, error) = body;
        assert!(error.is_some() && got.len() <= 70_000 && data.starts_with(&got), "{} {error:?}", got.len());
    }
    plan(&endpoint, "GetJobOutput", 1, json!({"truncate": {"fix_length": true}})).await;
    assert!(api.get(&output).await.expect(200).body == data[..MIB / 2]);

    plan(&endpoint, "GetJobOutput", 1, json!({"corrupt": {"at": 600_000}})).await;
    let wrong = api.get(&output).await.expect(200);
    let differing: Vec<_> = (0..MIB).filter(|i| wrong.body[*i] != data[*i]).collect();
    assert_eq!((differing, wrong.body[600_000]), (vec![600_000], data[600_000] ^ 1));
    plan(&endpoint, "GetJobOutput", 1, json!({"corrupt": {}})).await;
    let wrong = api.get(&output).await.expect(200).body;
    assert_eq!((0..MIB).filter(|i| wrong[*i] != data[*i]).count(), 1);
    // Answers in memory are answers as well.
    plan(&endpoint, "ListVaults", 1, json!({"truncate": {"after": 10, "fix_length": true}})).await;
    assert_eq!(api.get("/-/vaults").await.expect(200).body, b"{\"Marker\":");

    let begun = Instant::now();
    plan(&endpoint, "GetJobOutput", 1, json!({"drip": {"bytes_per_second": 2 * MIB}})).await;
    assert!(api.get(&output).await.expect(200).body == data);
    plan(&endpoint, "GetJobOutput", 1, json!({"delay": "300ms"})).await;
    assert!(api.get(&output).await.expect(200).body == data);
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
    assert!(api.get(&output).await.expect(200).body == data);
}

/// An answer's head, and as much of its body as comes, with the error that ends it.
async fn partly(endpoint: &Endpoint, target: &str) -> (http::HeaderMap, (Vec<u8>, Option<reqwest::Error>)) {
    let mut response = endpoint.api.call("GET", target).open().await;
    let (headers, mut body) = (response.headers().clone(), Vec::new());
    let error = loop {
        match response.chunk().await {
            Ok(Some(data)) => body.extend_from_slice(&data),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    (headers, (body, error))
}
