//! What can be set on a vault: tags, notifications, an access policy. Through glacierfs's own client, and raw where it
//! would have to be wrong.

use glacierfs::glacier::client::Error;
use glacierfs::glacier::wire::NotificationEvent::{ArchiveRetrievalCompleted, InventoryRetrievalCompleted};
use serde_json::{Value, json};

use crate::client::{ARN, Endpoint};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "MissingParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

fn code(error: &Error) -> String {
    error.code().map(ToString::to_string).unwrap_or_default()
}

fn policy() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "glacier:ListJobs", "Resource": format!("{ARN}v")
    }]})
}

/// Promise: everything about a vault's settings is 404 when there is no such vault.
#[tokio::test]
async fn without_a_vault() {
    let Endpoint { api, .. } = &Endpoint::start().await;
    // Whether the policy is for the vault is a question only once there is one.
    let policy = json!({"Policy": policy().to_string()});
    let topic = json!({"SNSTopic": "arn:aws:sns:us-east-1:1:t", "Events": ["ArchiveRetrievalCompleted"]});
    for (method, path, body) in [
        ("POST", "tags?operation=add", json!({"Tags": {"k": "v"}})),
        ("GET", "tags", Value::Null),
        ("POST", "tags?operation=remove", json!({"TagKeys": ["k"]})),
        ("PUT", "notification-configuration", topic),
        ("GET", "notification-configuration", Value::Null),
        ("DELETE", "notification-configuration", Value::Null),
        ("PUT", "access-policy", policy.clone()),
        ("GET", "access-policy", Value::Null),
        ("DELETE", "access-policy", Value::Null),
        ("POST", "lock-policy", policy),
        ("GET", "lock-policy", Value::Null),
        ("DELETE", "lock-policy", Value::Null),
        ("POST", "lock-policy/x", Value::Null),
    ] {
        let answer = api.send(method, &format!("/-/vaults/gone/{path}"), body).await;
        answer.fails(404, NOT_FOUND, &format!("Vault not found for ARN: {ARN}gone"));
    }
}

/// Promise: tags are added, replaced, listed and removed; beyond 50 none of a request is added; what a tag can't be is
/// refused.
#[tokio::test]
async fn tags() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    let some = |range: std::ops::Range<usize>| range.map(|i| (format!("key {i}"), i.to_string())).collect();
    client.create_vault("v").await.expect("created");
    assert!(client.list_tags("v").await.expect("listed").is_empty());
    assert_eq!(api.get("/-/vaults/v/tags").await.expect(200).body, br#"{"Tags":{}}"#);
    for from in (0..40).step_by(10) {
        client.add_tags("v", &some(from..from + 10)).await.expect("added");
    }
    client.add_tags("v", &some(40..49)).await.expect("added");
    let error = client.add_tags("v", &some(48..52)).await.expect_err("one too many");
    let says = "The quota for the number of tags that can be assigned to this resource has been reached.";
    assert!(code(&error) == "LimitExceededException" && error.to_string().contains(says), "{error}");
    assert_eq!(client.list_tags("v").await.expect("listed"), some(0..49));
    client
        .add_tags("v", &[("key 0".into(), String::new()), ("Ünï_./=+-@ 9".into(), "é".repeat(255))].into())
        .await
        .expect("added");
    let tags = client.list_tags("v").await.expect("listed");
    assert_eq!((tags.len(), tags["key 0"].as_str(), tags["Ünï_./=+-@ 9"].chars().count()), (50, "", 255));
    for _ in 0..2 {
        client.remove_tags("v", &["key 0".into(), "never".into()]).await.expect("removed");
    }
    assert_eq!(client.list_tags("v").await.expect("listed").len(), 49);

    let add = async |tags: Value| api.send("POST", "/-/vaults/v/tags?operation=add", json!({"Tags": tags})).await;
    for (key, value) in [("", "x"), (&*"k".repeat(129), "x"), ("a*b", "x"), ("k", "a\tb"), ("k", &"x".repeat(256))] {
        add(json!({key: value})).await.fails(400, INVALID, "Invalid tag ");
    }
    add(json!({"AWS:x": "y"})).await.fails(400, INVALID, "Keys that begin with aws: are reserved");
    let eleven: Value = (0..11).map(|i| (i.to_string(), "x".into())).collect::<serde_json::Map<_, _>>().into();
    add(eleven).await.fails(400, INVALID, "there are 11. Allowed are at most 10");
    add(Value::Null).await.fails(400, MISSING, "Required parameter missing: Tags");
    add(json!({"k": 1})).await.fails(400, "SerializationException", "");
    let remove = api.send("POST", "/-/vaults/v/tags?operation=remove", json!({"TagKeys": []})).await;
    remove.fails(400, MISSING, "Required parameter missing: TagKeys");
    api.send("POST", "/-/vaults/v/tags", json!({})).await.fails(400, MISSING, "Required parameter missing: operation");
    let other = api.send("POST", "/-/vaults/v/tags?operation=drop", json!({})).await;
    other.fails(400, INVALID, "Invalid operation: drop. Allowed are add and remove.");
}

/// Promise: a notification configuration is kept as it was given, replaced as a whole, and deleted more than once.
#[tokio::test]
async fn notifications() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    client.create_vault("v").await.expect("created");
    let none = "No notification configuration is set for vault: v";
    let error = client.get_notifications("v").await.expect_err("not set");
    assert!(code(&error) == NOT_FOUND && error.to_string().contains(none), "{error}");
    let topic = "arn:aws:sns:us-east-1:012345678901:mytopic";
    let events = [InventoryRetrievalCompleted, ArchiveRetrievalCompleted];
    client.set_notifications("v", topic, &events).await.expect("set");
    let raw = api.get("/-/vaults/v/notification-configuration").await.expect(200);
    let expected =
        format!(r#"{{"SNSTopic":"{topic}","Events":["InventoryRetrievalCompleted","ArchiveRetrievalCompleted"]}}"#);
    assert_eq!(String::from_utf8_lossy(&raw.body), expected);
    client.set_notifications("v", topic, &events[..1]).await.expect("set");
    let config = client.get_notifications("v").await.expect("got");
    assert_eq!((config.sns_topic.as_deref(), config.events.as_deref()), (Some(topic), Some(&events[..1])));

    let set = async |body: Value| api.send("PUT", "/-/vaults/v/notification-configuration", body).await;
    let one = "ArchiveRetrievalCompleted";
    set(json!({"Events": [one]})).await.fails(400, MISSING, "Required parameter missing: SNSTopic");
    set(json!({"SNSTopic": topic, "Events": null})).await.fails(400, MISSING, "Required parameter missing: Events");
    set(json!({"SNSTopic": topic, "Events": []})).await.fails(400, INVALID, "Invalid Events.");
    set(json!({"SNSTopic": topic, "Events": [one, one]})).await.fails(400, INVALID, "each once");
    set(json!({"SNSTopic": topic, "Events": ["Lunch"]})).await.fails(400, INVALID, "Invalid event: Lunch. Allowed are");
    set(json!({"SNSTopic": "mytopic", "Events": [one]})).await.fails(400, INVALID, "Invalid SNSTopic: mytopic");
    let broken = api.call("PUT", "/-/vaults/v/notification-configuration").body("{").send().await;
    broken.fails(400, "SerializationException", "Malformed request body");
    assert_eq!(client.get_notifications("v").await.expect("unchanged"), config);
    for _ in 0..2 {
        client.delete_notifications("v").await.expect("deleted");
    }
    assert_eq!(code(&client.get_notifications("v").await.expect_err("deleted")), NOT_FOUND);
}

/// Promise: an access policy comes back as the bytes that were sent, and one that can't be obeyed is refused with the
/// reason and leaves the one before.
#[tokio::test]
async fn access_policy() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    client.create_vault("v").await.expect("created");
    let error = client.get_access_policy("v").await.expect_err("not set");
    assert!(code(&error) == NOT_FOUND && error.to_string().contains("No vault access policy is set for: v"), "{error}");
    let text = format!(" {}\n\t", serde_json::to_string_pretty(&policy()).expect("JSON"));
    client.set_access_policy("v", &text).await.expect("set");
    assert_eq!(client.get_access_policy("v").await.expect("got"), text);

    let mut beside = policy();
    beside["Statement"][0]["Resource"] = format!("{ARN}w").into();
    let mut unknown = policy();
    unknown["Statement"][0]["Condition"] = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}});
    for (bad, says) in [
        ("{".to_owned(), "Invalid vault access policy. It is not good JSON"),
        (beside.to_string(), "In Statement[0].Resource, nothing is the vault that the policy is for"),
        (unknown.to_string(), "In Statement[0].Condition.IpAddress.aws:SourceIp, \"aws:SourceIp\" is no condition key"),
        (format!("{text}{}", " ".repeat(20_480)), "allowed are at most 20480"),
    ] {
        let error = client.set_access_policy("v", &bad).await.expect_err("refused");
        assert!(code(&error) == INVALID && error.to_string().contains(says), "{error}");
    }
    let empty = api.send("PUT", "/-/vaults/v/access-policy", json!({})).await;
    empty.fails(400, MISSING, "Required parameter missing: Policy");
    assert_eq!(client.get_access_policy("v").await.expect("unchanged"), text);
    for _ in 0..2 {
        client.delete_access_policy("v").await.expect("deleted");
    }
    assert_eq!(code(&client.get_access_policy("v").await.expect_err("deleted")), NOT_FOUND);
}

/// Promise: what was set survives a crash, and goes with its vault: one of the same name begins without.
#[tokio::test]
async fn with_the_vault() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    client.create_vault("v").await.expect("created");
    client.add_tags("v", &[("k".into(), "x".into())].into()).await.expect("added");
    let topic = "arn:aws:sns:us-east-1:012345678901:mytopic";
    client.set_notifications("v", topic, &[ArchiveRetrievalCompleted]).await.expect("set");
    client.set_access_policy("v", &policy().to_string()).await.expect("set");
    client.initiate_vault_lock("v", &policy().to_string()).await.expect("initiated");
    let endpoint = endpoint.restart().await;
    let client = endpoint.client();
    assert_eq!(client.list_tags("v").await.expect("listed").len(), 1);
    client.get_notifications("v").await.expect("kept");
    client.get_access_policy("v").await.expect("kept");
    client.get_vault_lock("v").await.expect("kept");
    client.delete_vault("v").await.expect("deleted");
    client.create_vault("v").await.expect("created");
    assert!(client.list_tags("v").await.expect("listed").is_empty());
    assert_eq!(code(&client.get_notifications("v").await.expect_err("gone")), NOT_FOUND);
    assert_eq!(code(&client.get_access_policy("v").await.expect_err("gone")), NOT_FOUND);
    assert_eq!(code(&client.get_vault_lock("v").await.expect_err("gone")), NOT_FOUND);
}
