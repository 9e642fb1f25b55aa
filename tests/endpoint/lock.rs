//! Vault locks: their states, and what their policies forbid, on the service's clock.

use std::time::Duration;

use glacierfs::glacier::wire::LockState;
use serde_json::{Value, json};

use crate::client::{ARN, DAY, Endpoint, HOUR};

const DENIED: &str = "AccessDeniedException";
const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

/// A lock on the vault v that denies everyone `action` under `condition`.
fn deny(action: Value, condition: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "s", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": format!("{ARN}v"),
        "Condition": condition
    }]})
    .to_string()
}

/// Promise: the states of a lock and what each operation does in them are those of the table in 5.5.
#[tokio::test]
async fn states() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    let none = "No vault lock policy is set for: v";
    let path = "/-/vaults/v/lock-policy";
    let complete = async |id: &str| api.call("POST", &format!("{path}/{id}")).send().await;
    let policy = deny("glacier:DeleteArchive".into(), json!({}));
    api.create_vault("v").await;

    api.get(path).await.fails(404, NOT_FOUND, none);
    complete("x").await.fails(404, NOT_FOUND, none);
    client.abort_vault_lock("v").await.expect("nothing to abort");
    let bad = api.send("POST", path, json!({"Policy": "{}"})).await;
    let says =
        "The specified vault lock policy is invalid. Provide a valid policy. In the policy, Statement is missing.";
    bad.fails(400, INVALID, says);
    api.send("POST", path, json!({})).await.fails(400, "MissingParameterValueException", "missing: Policy");

    let initiated = api.send("POST", path, json!({"Policy": policy})).await.expect(201);
    let id = initiated.header("x-amz-lock-id");
    assert_eq!((id.len(), initiated.body.len()), (24, 0));
    let got = api.get(path).await.expect(200).json();
    let expected = json!({"Policy": policy, "State": "InProgress", "CreationDate": "2013-03-20T17:03:43.221Z",
        "ExpirationDate": "2013-03-21T17:03:43.221Z"});
    assert_eq!(got, expected);
    api.send("POST", path, json!({"Policy": policy})).await.fails(
        403,
        DENIED,
        "is InProgress: it can't be initiated again",
    );
    complete("wrong").await.fails(400, INVALID, "Invalid lock ID: wrong");
    client.abort_vault_lock("v").await.expect("aborted");
    complete(&id).await.fails(404, NOT_FOUND, none);

    let late = client.initiate_vault_lock("v", &policy).await.expect("initiated");
    endpoint.advance(DAY - Duration::from_millis(1));
    assert_eq!(client.get_vault_lock("v").await.expect("there").state, LockState::InProgress);
    endpoint.advance(Duration::from_millis(1));
    api.get(path).await.fails(404, NOT_FOUND, none);
    complete(&late).await.fails(404, NOT_FOUND, none);

    let id = client.initiate_vault_lock("v", &policy).await.expect("initiated after the one before has expired");
    endpoint.advance(HOUR);
    for _ in 0..2 {
        client.complete_vault_lock("v", &id).await.expect("completed");
    }
    endpoint.advance(400 * DAY);
    let raw = api.get(path).await.expect(200).json();
    assert_eq!(raw, json!({"Policy": policy, "State": "Locked", "CreationDate": "2013-03-21T17:03:43.221Z"}));
    assert_eq!(client.get_vault_lock("v").await.expect("there").expiration_date, None);
    api.send("POST", path, json!({"Policy": policy})).await.fails(
        403,
        DENIED,
        "is Locked: it can't be initiated again",
    );
    api.call("DELETE", path).send().await.fails(403, DENIED, "is Locked: it can't be aborted");
    complete("wrong").await.fails(403, DENIED, "is Locked: its lock ID is not wrong");
    complete(&id).await.expect(204);
}

/// Promise: "no delete before 365 days" holds from the moment the lock is initiated, to the very day, and lifts on the
/// service's clock; an aborted lock forbids nothing.
#[tokio::test]
async fn retention() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    api.create_vault("v").await;
    let (old, spared) = (api.upload("v", b"old", "").await, api.upload("v", b"spared", "").await);
    endpoint.advance(DAY);
    let young = api.upload("v", b"young", "").await;
    let policy = deny(
        json!(["glacier:Delete*", "glacier:initiatejob"]),
        json!({"NumericLessThan": {"glacier:archiveageindays": "365"}}),
    );
    let denied = |operation: &str, kind: &str| {
        format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: glacier:{operation} on resource: {ARN}v \
             with an explicit deny in the vault {kind} policy"
        )
    };
    let retrieval = async |id: &str| {
        api.send("POST", "/-/vaults/v/jobs", json!({"Type": "archive-retrieval", "ArchiveId": id})).await
    };

    client.initiate_vault_lock("v", &policy).await.expect("initiated");
    api.delete_archive("v", &spared).await.fails(403, DENIED, &denied("DeleteArchive", "lock"));
    client.abort_vault_lock("v").await.expect("aborted");
    api.delete_archive("v", &spared).await.expect(204);
    let id = client.initiate_vault_lock("v", &policy).await.expect("initiated");
    client.complete_vault_lock("v", &id).await.expect("locked");

    endpoint.advance(364 * DAY - Duration::from_millis(1));
    api.delete_archive("v", &old).await.fails(403, DENIED, &denied("DeleteArchive", "lock"));
    retrieval(&old).await.fails(403, DENIED, &denied("InitiateJob", "lock"));
    // What is about no archive has no age, and isn't denied for it.
    api.job("v", json!({"Type": "inventory-retrieval"})).await;
    api.delete_archive("v", "nonsense").await.fails(404, NOT_FOUND, "The archive ID was not found: nonsense");
    endpoint.advance(Duration::from_millis(1));
    retrieval(&old).await.expect(202);
    api.delete_archive("v", &old).await.expect(204);
    api.delete_archive("v", &young).await.fails(403, DENIED, &denied("DeleteArchive", "lock"));
    endpoint.advance(DAY);
    api.delete_archive("v", &young).await.expect(204);
}

/// Promise: a legal hold by a tag denies while the tag says so; a lock that denies DeleteVault keeps even an empty vault,
/// and one that doesn't goes with it.
#[tokio::test]
async fn legal_hold() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    api.create_vault("v").await;
    let id = api.upload("v", b"data", "").await;
    let hold = json!({"StringLike": {"glacier:ResourceTag/LegalHold": ["true", ""]}});
    let lock =
        client.initiate_vault_lock("v", &deny(json!(["glacier:DeleteArchive", "glacier:DeleteVault"]), hold)).await;
    client.complete_vault_lock("v", &lock.expect("initiated")).await.expect("locked");
    let tag =
        async |value: &str| client.add_tags("v", &[("LegalHold".into(), value.into())].into()).await.expect("added");
    for value in ["true", ""] {
        tag(value).await;
        api.delete_archive("v", &id).await.fails(403, DENIED, "is not authorized to perform: glacier:DeleteArchive");
    }
    tag("false").await;
    api.delete_archive("v", &id).await.expect(204);
    endpoint.advance(2 * DAY);
    tag("true").await;
    let kept = client.delete_vault("v").await.expect_err("denied");
    assert!(kept.to_string().contains("glacier:DeleteVault"), "{kept}");
    client.remove_tags("v", &["LegalHold".into()]).await.expect("removed");
    client.delete_vault("v").await.expect("deleted");
}
