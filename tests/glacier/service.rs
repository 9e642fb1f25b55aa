//! Glacier as the archive service: its answers and errors in the service's own words.

use futures_util::{StreamExt, TryStreamExt};
use glacierfs::glacier::error::{ErrorCode, ServiceError};
use glacierfs::glacier::inventory::{Inventory, InventoryArchive, InventoryDate};
use glacierfs::glacier::wire::header;
use glacierfs::service::treehash::leaf;
use glacierfs::service::{ArchiveService, Glacier, InventoryItem, Job, JobKind, JobStatus, Kind, Tier};
use serde_json::{Value, json};

use crate::script::{Script, failure, ok, small};

/// Promise: each kind of trouble is told apart, with whether waiting helps and whether the operation may have happened.
#[tokio::test]
async fn errors_have_kinds() {
    use ErrorCode::*;
    let mismatch = "The value passed in as x-amz-content-sha256 does not match the computed payload hash.";
    let table = [
        (ServiceError::vault_not_found("arn"), Kind::VaultMissing, false),
        (ServiceError::job_not_found("j"), Kind::NotFound, false),
        (ServiceError::job_not_available("j"), Kind::NotReady, true),
        (ServiceError::vault_not_empty("arn"), Kind::VaultNotEmpty, false),
        (ServiceError::checksum_mismatch("a", "b"), Kind::Corrupt, true),
        (ServiceError::new(InvalidSignature, mismatch), Kind::Corrupt, true),
        (ServiceError::new(InvalidSignature, "The request signature we calculated does not"), Kind::Credentials, false),
        (ServiceError::new(InvalidSignature, "Signature expired: now is later"), Kind::ClockSkew, true),
        (ServiceError::new(InvalidSignature, "Credential should be scoped to"), Kind::Credentials, false),
        (ServiceError::unrecognized_client(), Kind::Credentials, false),
        (ServiceError::wrong_account("1"), Kind::AccessDenied, false),
        (ServiceError::new(NoLongerSupported, "closed"), Kind::AccessDenied, false),
        (ServiceError { status: 403, ..ServiceError::new(Other("403".into()), "proxy") }, Kind::AccessDenied, false),
        (ServiceError::new(LimitExceeded, "many"), Kind::Quota, false),
        (ServiceError::new(PolicyEnforced, "policy"), Kind::Policy, true),
        (ServiceError::new(InvalidParameterValue, "Invalid part size: 0."), Kind::Invalid, false),
        (ServiceError::new(Throttling, "Rate exceeded"), Kind::Unavailable, true),
        (ServiceError::new(InsufficientCapacity, "none"), Kind::Capacity, true),
        (ServiceError::new(ServiceUnavailable, "busy"), Kind::Unavailable, true),
    ];
    let script = Script::start([]).await;
    let service = Glacier::new(script.client());
    for (error, kind, retryable) in table {
        script.then((0..3).map(|_| failure(&error)));
        let seen = service.request_retrieval("v", "a", None, Tier::Bulk).await.expect_err("an error");
        assert_eq!((seen.kind(), seen.is_retryable()), (kind, retryable), "{error}");
        assert_eq!(seen.outcome_is_unknown(), error.status == 500, "{error}");
        assert!(seen.to_string().contains(&error.message), "{seen}");
        script.then([]);
    }
    let seen = service.create_vault("no/name").await.expect_err("invalid");
    assert_eq!((seen.kind(), seen.is_retryable()), (Kind::Invalid, false));
    let (payload, hash) = small().await;
    script.then([ok(201, &[(header::TREE_HASH, &"0".repeat(64)), (header::ARCHIVE_ID, "a")], "")]);
    let seen = service.put("v", "", payload, &hash).await.expect_err("another hash");
    assert_eq!((seen.kind(), seen.is_retryable(), seen.outcome_is_unknown()), (Kind::Corrupt, true, true));
}

fn described(changes: Value) -> Value {
    let mut job = json!({"Action": "ArchiveRetrieval", "ArchiveId": "a", "ArchiveSizeInBytes": 5_000_000,
        "Completed": true, "CompletionDate": "2020-01-01T04:00:00.000Z", "CreationDate": "2020-01-01T00:00:00.000Z",
        "JobId": "j", "RetrievalByteRange": "1048576-2097151", "SHA256TreeHash": leaf(b"x"), "Tier": "Bulk",
        "StatusCode": "Succeeded", "StatusMessage": "Succeeded", "VaultARN": "arn"});
    let Value::Object(changes) = changes else { panic!("an object") };
    job.as_object_mut().expect("an object").extend(changes);
    job
}

/// Promise: jobs say what they retrieve; only an inventory that lists everything in JSON counts as one that can be used.
#[tokio::test]
async fn jobs_are_told_apart() {
    let inventory = |parameters: Value| {
        let all = json!({"Action": "InventoryRetrieval", "ArchiveId": null, "ArchiveSizeInBytes": null, "Tier": null,
            "InventorySizeInBytes": 77, "RetrievalByteRange": null, "SHA256TreeHash": null});
        let mut job = described(all);
        job["InventoryRetrievalParameters"] = parameters;
        job
    };
    let jobs = json!({"Marker": null, "JobList": [
        described(json!({})),
        described(json!({"StatusCode": "Failed", "StatusMessage": "gone", "RetrievalByteRange": null})),
        described(json!({"StatusCode": "InProgress", "CompletionDate": null, "Tier": "Instant"})),
        inventory(json!({"Format": "JSON", "Limit": null})),
        inventory(Value::Null),
        inventory(json!({"Format": "CSV"})),
        inventory(json!({"Format": "JSON", "StartDate": "2013-03-20T17:03:43Z"})),
        described(json!({"Action": "Select"})),
    ]});
    let script = Script::start([ok(200, &[], jobs.to_string())]).await;
    let jobs = Glacier::new(script.client()).jobs("v").try_concat().await.expect("listed");
    let expected = Job {
        id: "j".into(),
        kind: JobKind::Archive { archive_id: "a".into(), range: Some(1_048_576..=2_097_151) },
        tier: Some(Tier::Bulk),
        status: JobStatus::Succeeded,
        created: "2020-01-01T00:00:00Z".parse().expect("a time"),
        completed: Some("2020-01-01T04:00:00Z".parse().expect("a time")),
        size: Some(1_048_576),
        tree_hash: Some(leaf(b"x")),
    };
    assert_eq!(jobs[0], expected);
    assert_eq!((&jobs[1].status, jobs[1].size), (&JobStatus::Failed("gone".into()), Some(5_000_000)));
    assert_eq!((&jobs[2].status, jobs[2].tier, jobs[2].completed), (&JobStatus::InProgress, None, None));
    for inventory in &jobs[3..5] {
        assert_eq!((&inventory.kind, inventory.size, inventory.tier), (&JobKind::Inventory, Some(77), None));
    }
    assert!(jobs[5..].iter().all(|job| job.kind == JobKind::Other));
}

fn inventory(count: u64) -> (String, Vec<InventoryItem>) {
    let date = InventoryDate("2020-01-01T00:00:00Z".parse().expect("a time"));
    let archives = (0..count).map(|i| InventoryArchive {
        archive_id: format!("archive{i}"),
        description: format!("description \"{i}\""),
        created: date,
        size: i,
        tree_hash: leaf(&i.to_be_bytes()),
    });
    let inventory = Inventory { vault_arn: "arn".into(), inventory_date: date, archives: archives.collect() };
    let text = serde_json::to_string(&inventory).expect("serialises");
    let items = inventory.archives.into_iter().map(|archive| {
        InventoryItem::Archive(glacierfs::service::ArchiveRecord {
            archive_id: archive.archive_id,
            description: archive.description,
            created: archive.created.0,
            size: archive.size,
            tree_hash: archive.tree_hash,
        })
    });
    let items = [InventoryItem::Generated(date.0)].into_iter().chain(items).collect();
    (text, items)
}

/// Promise: an inventory arrives item by item; one that is cut off, by the network or in itself, ends with an error, and
/// nobody is obliged to read one to its end.
#[tokio::test]
async fn inventories_are_streamed() {
    let (text, items) = inventory(5000);
    let short = text[..text.len() - 2].to_owned();
    let cut = ok(
        200,
        &[("content-length", &text.len().to_string())],
        axum::body::Body::from_stream(futures_util::stream::iter([
            Ok(short.clone()),
            Err(std::io::Error::other("cut")),
        ])),
    );
    let script = Script::start([ok(200, &[], text.clone()), ok(200, &[], short), cut, ok(200, &[], text)]).await;
    let service = Glacier::new(script.client());
    let read: Vec<_> = service.inventory("v", "j").await.expect("flows").try_collect().await.expect("complete");
    assert!(read == items);
    for says in ["isn't understood", "GetJobOutput at"] {
        let read: Vec<_> = service.inventory("v", "j").await.expect("flows").collect().await;
        let (last, before) = read.split_last().expect("items");
        assert!(before.iter().zip(&items).all(|(read, item)| read.as_ref() == Ok(item)));
        let error = last.as_ref().expect_err("cut off");
        assert!(error.is_retryable() && error.to_string().contains(says), "{error}");
    }
    let mut stream = service.inventory("v", "j").await.expect("flows");
    assert_eq!(stream.next().await, Some(Ok(items[0].clone())));
}

/// Promise: a fetched range is exactly the one asked for, with the hash that the service states.
#[tokio::test]
async fn ranges_are_exact() {
    let hash = leaf(b"345").to_string();
    let script = Script::start([
        ok(206, &[("content-range", "bytes 3-5/9"), (header::TREE_HASH, &hash)], "345"),
        ok(206, &[("content-range", "bytes 3-8/9")], "345678"),
    ])
    .await;
    let service = Glacier::new(script.client());
    let fetched = service.fetch("v", "j", Some(3..=5)).await.expect("flows");
    assert_eq!((fetched.len, fetched.tree_hash), (Some(3), Some(leaf(b"345"))));
    assert_eq!(fetched.stream.try_collect::<Vec<_>>().await.expect("complete").concat(), b"345");
    let Err(error) = service.fetch("v", "j", Some(3..=10)).await else { panic!("clipped") };
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Invalid, false));
}
