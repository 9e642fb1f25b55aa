//! What is set on a vault: tags, notifications, the access policy, the lock.

use serde_json::json;

use crate::setup::Endpoint;

const TOPIC: &str = "arn:aws:sns:us-east-1:012345678901:done";

/// A policy of `photos` that keeps everyone from deleting its archives.
fn policy() -> String {
    let resource = "arn:aws:glacier:us-east-1:000000000000:vaults/photos";
    let statement = json!({
        "Sid": "keep", "Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteArchive", "Resource": resource
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Promise: tags are added, replaced, listed for people and programs, and removed; bad ones are named.
#[test]
fn tags() {
    let endpoint = Endpoint::start();
    let tag = |rest: &[&'static str]| [&["vault", "tag", "photos"], rest].concat();
    assert_eq!(endpoint.ok(&tag(&["list"])), "There are no tags.\n");
    assert_eq!(endpoint.ok(&tag(&["add", "team=archive", "formula=a=b", "empty="])), "Added.\n");
    endpoint.ok(&tag(&["add", "team=photos"]));
    assert_eq!(endpoint.ok(&tag(&["list"])), "KEY      VALUE\nempty\nformula  a=b\nteam     photos\n");
    assert_eq!(endpoint.ok(&tag(&["remove", "empty", "formula", "none"])), "Removed.\n");
    assert_eq!(endpoint.json(&tag(&["list", "--json"])), json!({"team": "photos"}));
    endpoint.refused(&tag(&["add", "team"]), 2, "\"team\" is not a tag: allowed is KEY=VALUE");
    endpoint.refused(&tag(&["add", "=x"]), 2, "allowed is KEY=VALUE");
    endpoint.refused(&tag(&["add", "a=1", "a=2"]), 2, "\"a\" is given twice, also with the value \"1\"");
    endpoint.refused(&tag(&["add"]), 2, "KEY=VALUE");
    endpoint.refused(&["vault", "tag", "none", "list"], 7, "ResourceNotFoundException");
    endpoint.refused(&tag(&["list", "--mount", "/mnt/v"]), 2, "--mount has no meaning here");
}

/// Promise: notifications are set for both events or those named, shown to people and programs, and ended with --yes.
#[test]
fn notifications() {
    let endpoint = Endpoint::start();
    let notify = |rest: &[&'static str]| [&["vault", "notify", "photos"], rest].concat();
    endpoint.refused(&notify(&["get"]), 7, "ResourceNotFoundException");
    assert_eq!(endpoint.ok(&notify(&["set", TOPIC])), "Set.\n");
    let text = endpoint.ok(&notify(&["get"]));
    assert_eq!(text, format!("topic   {TOPIC}\nevents  ArchiveRetrievalCompleted, InventoryRetrievalCompleted\n"));
    endpoint.ok(&notify(&["set", TOPIC, "InventoryRetrievalCompleted"]));
    let config = json!({"SNSTopic": TOPIC, "Events": ["InventoryRetrievalCompleted"]});
    assert_eq!(endpoint.json(&notify(&["get", "--json"])), config);
    let allowed = "allowed are ArchiveRetrievalCompleted and InventoryRetrievalCompleted";
    endpoint.refused(&notify(&["set", TOPIC, "Everything"]), 2, allowed);
    endpoint.asks(&notify(&["delete"]), "This ends the notifications of photos.");
    assert_eq!(endpoint.ok(&notify(&["delete", "--yes"])), "Deleted.\n");
    endpoint.refused(&notify(&["get"]), 7, "ResourceNotFoundException");
}

/// Promise: an access policy is set from a file or standard input, printed as it was set, and deleted with --yes.
#[test]
fn access_policies() {
    let endpoint = Endpoint::start();
    let file = endpoint.file("policy.json", policy().as_bytes());
    let text = endpoint.file("policy.txt", b"Allow all of it");
    endpoint.refused(&["vault", "policy", "photos", "get"], 7, "ResourceNotFoundException");
    assert_eq!(endpoint.ok(&["vault", "policy", "photos", "set", &file]), "Set.\n");
    assert_eq!(endpoint.ok(&["vault", "policy", "photos", "get"]), format!("{}\n", policy()));
    endpoint.asks(&["vault", "policy", "photos", "delete"], "This deletes the access policy of photos");
    assert_eq!(endpoint.ok(&["vault", "policy", "photos", "delete", "-y"]), "Deleted.\n");
    endpoint.refused(&["vault", "policy", "photos", "get"], 7, "ResourceNotFoundException");
    assert_eq!(endpoint.ok_with(&["vault", "policy", "photos", "set", "-"], &policy()), "Set.\n");
    assert_eq!(endpoint.json(&["vault", "policy", "photos", "get", "--json"]), json!({"Policy": policy()}));
    endpoint.refused(&["vault", "policy", "photos", "set", &text], 1, "policy.txt: this isn't a JSON document");
    endpoint.refused(&["vault", "policy", "photos", "set", "/nonexistent/p"], 1, "/nonexistent/p: the policy can't be");
    let other = endpoint.file("other.json", b"{}");
    endpoint.refused(&["vault", "policy", "photos", "set", &other], 7, "InvalidParameterValueException");
}

/// Promise: a lock is initiated, shown, aborted and completed; both ends only with --yes, and completing says that it is
/// for ever, which it is.
#[test]
fn locks() {
    let endpoint = Endpoint::start();
    let file = endpoint.file("policy.json", policy().as_bytes());
    endpoint.refused(&["vault", "lock", "photos", "get"], 7, "ResourceNotFoundException");
    endpoint.ok(&["vault", "lock", "photos", "initiate", &file]);
    endpoint.asks(&["vault", "lock", "photos", "abort"], "photos");
    assert_eq!(endpoint.ok(&["vault", "lock", "photos", "abort", "--yes"]), "Aborted.\n");
    let id = endpoint.ok_with(&["vault", "lock", "photos", "initiate", "-"], &policy());
    let text = endpoint.ok(&["vault", "lock", "photos", "get"]);
    assert!(text.starts_with("state      InProgress\n") && text.contains(", unless completed\n"), "{text}");
    assert!(text.ends_with(&format!("{}\n", policy())), "{text}");
    endpoint.asks(&["vault", "lock", "photos", "complete", id.trim()], "for ever: nothing and nobody can undo it");
    assert_eq!(endpoint.json(&["vault", "lock", "photos", "get", "--json"])["State"], "InProgress");
    endpoint.refused(&["vault", "lock", "photos", "complete", "--yes", "-wrong"], 7, "Exception");
    assert_eq!(endpoint.ok(&["vault", "lock", "photos", "complete", id.trim(), "--yes"]), "Locked.\n");
    assert_eq!(endpoint.json(&["vault", "lock", "photos", "get", "--json"])["State"], "Locked");
    endpoint.refused(&["vault", "lock", "photos", "abort", "--yes"], 7, "AccessDeniedException");
}
