//! Vaults, archives, and the inventories that both are seen through.

use serde_json::json;

use crate::client::{ARN, Api, DAY, Endpoint, HOUR, pattern};

const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

/// Promise: creating is idempotent, names are checked, and an unknown vault is 404 everywhere but on DeleteVault.
#[tokio::test]
async fn creating_and_missing() {
    let Endpoint { api, clock, .. } = &Endpoint::start().await;
    let created = api.call("PUT", "/-/vaults/first").send().await.expect(201);
    assert_eq!(created.header("location"), "/000000000000/vaults/first");
    assert_eq!((created.header("content-length").as_str(), created.body.len()), ("0", 0));
    clock.advance(HOUR);
    api.create_vault("first").await;
    let described = api.get("/000000000000/vaults/first").await.expect(200);
    let expected = format!(
        r#"{{"CreationDate":"2013-03-20T17:03:43.221Z","LastInventoryDate":null,"NumberOfArchives":0,"SizeInBytes":0,"VaultARN":"{ARN}first","VaultName":"first"}}"#
    );
    assert_eq!(String::from_utf8_lossy(&described.body), expected);

    let long = "x".repeat(255);
    for good in [".hidden", "0", "a_b-c.d", &long] {
        api.create_vault(good).await;
    }
    for bad in ["a%20b", "a%2Fb", "%C3%A9", &"x".repeat(256)] {
        api.call("PUT", &format!("/-/vaults/{bad}")).send().await.fails(400, INVALID, "Invalid vault name: ");
    }

    let missing = format!("Vault not found for ARN: {ARN}gone");
    for (method, path) in [
        ("GET", ""),
        ("GET", "/jobs"),
        ("GET", "/jobs/x"),
        ("GET", "/jobs/x/output"),
        ("GET", "/multipart-uploads"),
        ("GET", "/multipart-uploads/x"),
        ("DELETE", "/multipart-uploads/x"),
        ("DELETE", "/archives/x"),
    ] {
        let answer = api.call(method, &format!("/-/vaults/gone{path}")).send().await;
        answer.fails(404, NOT_FOUND, &missing);
    }
    for size in [10, 100_000] {
        api.call("POST", "/-/vaults/gone/archives").data(&pattern(size)).send().await.fails(404, NOT_FOUND, &missing);
    }
    api.get("/-/vaults/testz%3Az").await.fails(404, NOT_FOUND, "Vault not found for ARN: testz:z");
    let deleted = api.call("DELETE", "/-/vaults/gone").send().await.expect(204);
    assert_eq!((deleted.try_header("content-length"), deleted.body.len()), (None, 0));
}

/// Promise: lists are sorted, in pages of at most 10, and walk on from an ARN even when its vault is gone.
#[tokio::test]
async fn listing() {
    let Endpoint { api, .. } = &Endpoint::start().await;
    let mut names: Vec<_> = (0..23).map(|i| format!("{}-{i}", if i % 2 == 0 { "V" } else { "v" })).collect();
    for name in &names {
        api.create_vault(name).await;
    }
    names.sort();
    let (mut seen, mut pages, mut marker) = (Vec::new(), 0, String::new());
    loop {
        let page = api.get(&format!("/-/vaults?marker={marker}&limit=1000")).await.expect(200).json();
        pages += 1;
        let list = page["VaultList"].as_array().expect("a list");
        assert!((1..=10).contains(&list.len()));
        seen.extend(list.iter().map(|vault| vault["VaultName"].as_str().expect("a name").to_owned()));
        let Some(next) = page["Marker"].as_str() else { break };
        let last = seen.last().expect("a vault");
        assert_eq!(next, format!("{ARN}{last}"));
        api.call("DELETE", &format!("/-/vaults/{last}")).send().await.expect(204);
        marker = next.replace(':', "%3A").replace('/', "%2F");
    }
    assert_eq!((seen, pages), (names, 3));
    let page = api.get("/-/vaults?limit=2").await.expect(200).json();
    assert_eq!(page["VaultList"].as_array().map(Vec::len), Some(2));
    api.get("/-/vaults?limit=0").await.fails(400, INVALID, "Invalid limit: 0");
    api.get("/-/vaults?marker=x").await.fails(400, INVALID, "Invalid marker: x");
}

async fn delete_vault(api: &Api, status: u16) {
    let answer = api.call("DELETE", "/-/vaults/v").send().await;
    match status {
        204 => drop(answer.expect(204)),
        _ => answer.fails(status, INVALID, &format!("Vault not empty or recently written to: {ARN}v")),
    }
}

/// Promise: counts are those of the last inventory, which is taken a day after the first write that the one before it
/// doesn't know; a vault can be deleted only when that is empty and nothing was written since.
#[tokio::test]
async fn inventories_and_deletion() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    let vault = async || api.get("/-/vaults/v").await.expect(200).json();
    api.create_vault("v").await;
    delete_vault(api, 204).await;
    api.create_vault("v").await;
    let jobs = api.call("POST", "/-/vaults/v/jobs").body(r#"{"Type": "inventory-retrieval"}"#);
    jobs.send().await.fails(404, NOT_FOUND, "No inventory");

    endpoint.advance(HOUR);
    let id = api.upload("v", &pattern(3_145_728), "").await;
    delete_vault(api, 400).await;
    endpoint.advance(DAY - std::time::Duration::from_millis(1));
    assert_eq!(vault().await["NumberOfArchives"], 0);
    endpoint.advance(std::time::Duration::from_millis(1));
    assert_eq!(vault().await["NumberOfArchives"], 1);
    assert_eq!(vault().await["SizeInBytes"], 3_178_496);
    assert_eq!(vault().await["LastInventoryDate"], "2013-03-21T18:03:43.221Z");
    // Unchanged, it keeps its inventory.
    endpoint.advance(3 * DAY);
    assert_eq!(vault().await["LastInventoryDate"], "2013-03-21T18:03:43.221Z");
    delete_vault(api, 400).await;

    api.delete_archive("v", &id).await.expect(204);
    delete_vault(api, 400).await;
    assert_eq!(vault().await["NumberOfArchives"], 1);
    endpoint.advance(DAY);
    assert_eq!((&vault().await["NumberOfArchives"], &vault().await["SizeInBytes"]), (&json!(0), &json!(0)));
    delete_vault(api, 204).await;
    api.get("/-/vaults/v").await.fails(404, NOT_FOUND, "Vault not found");
}

/// Promise: an upload is refused for what is wrong with it, in the documented words, and then leaves nothing; each good
/// one makes another archive.
#[tokio::test]
async fn uploading() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let call = || api.call("POST", "/-/vaults/v/archives");
    let (good, other) = (pattern(200_000), vec![7; 200_000]);

    let uploaded = call().data(&good).send().await.expect(201);
    let id = uploaded.header("x-amz-archive-id");
    assert_eq!(id.len(), 138);
    assert_eq!(uploaded.header("location"), format!("/000000000000/vaults/v/archives/{id}"));
    let hash = glacierfs::glacier::treehash::tree_hash(&good).to_string();
    assert_eq!(uploaded.header("x-amz-sha256-tree-hash"), hash);
    assert_ne!(api.upload("v", &good, "").await, id);

    for size in [100, 200_000] {
        let (good, other) = (&good[..size], &other[..size]);
        let hash = glacierfs::glacier::treehash::tree_hash(good).to_string();
        let message = format!("computed {}", glacierfs::glacier::treehash::tree_hash(other));
        let wrong = call().data(other).header("x-amz-sha256-tree-hash", &hash);
        wrong.send().await.fails(400, INVALID, &format!("Checksum mismatch: expected {hash}, {message}"));
        let wrong = call().data(good).body(other).send().await;
        wrong.fails(403, "InvalidSignatureException", "x-amz-content-sha256 does not match the computed payload hash");
    }
    let missing = call().data(&good).without("x-amz-sha256-tree-hash").send().await;
    let parameter = "Required parameter missing: x-amz-sha256-tree-hash";
    missing.fails(400, "MissingParameterValueException", parameter);
    let missing = call().data(&good).without("x-amz-content-sha256").send().await;
    missing.fails(400, "MissingParameterValueException", "Required parameter missing: x-amz-content-sha256");
    call().data(b"").send().await.fails(400, INVALID, "Invalid Content-Length: 0");
    call().data(b"x").header("x-amz-sha256-tree-hash", "12").send().await.fails(400, INVALID, "tree-hash: 12");
    for bad in ["x".repeat(1025), "tab\there".to_owned(), "é".to_owned()] {
        let answer = call().data(b"x").header("x-amz-archive-description", &bad).send().await;
        // The signature of bytes beyond ASCII breaks before the description is looked at, as with the real service.
        assert!([400, 403].contains(&answer.status), "{bad}");
    }
    api.upload("v", b"x", &"~".repeat(1024)).await;

    endpoint.advance(DAY);
    assert_eq!(api.get("/-/vaults/v").await.expect(200).json()["NumberOfArchives"], 3);
    // Nothing refused left a file: there are the two large archives.
    let files = std::fs::read_dir(endpoint.directory.path().join("objects")).expect("objects").count();
    assert!(files <= 4, "{files} files, of which two may still be on their way out");
}

/// Promise: a deleted archive can be deleted again, an ID that never was is 404, and one of another vault is refused.
#[tokio::test]
async fn deleting_archives() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    api.create_vault("w").await;
    let id = api.upload("v", b"data", "").await;
    api.delete_archive("w", &id).await.fails(400, INVALID, &format!("Invalid vault name: {ARN}w"));
    api.delete_archive("v", "nonsense").await.fails(404, NOT_FOUND, "The archive ID was not found: nonsense");
    for _ in 0..2 {
        api.delete_archive("v", &id).await.expect(204);
    }
    let job =
        api.call("POST", "/-/vaults/v/jobs").body(json!({"Type": "archive-retrieval", "ArchiveId": id}).to_string());
    job.send().await.fails(404, NOT_FOUND, &format!("The archive ID was not found: {id}"));
}

/// Promise: what isn't an operation is refused with a name to it; and a page of an unreadable path
/// never reaches a vault.
#[tokio::test]
async fn no_such_operation() {
    let Endpoint { api, .. } = &Endpoint::start().await;
    for (method, path) in [("GET", "/vaults/x/archives"), ("PATCH", "/-/vaults/v"), ("GET", "/-/vaults/v/")] {
        api.call(method, path).send().await.fails(400, "BadRequest", "No operation of the API");
    }
    let big = api.call("PUT", "/-/vaults/v").body(vec![0; 2 << 20]).send().await;
    big.fails(400, "BadRequest", "larger than 1048576 bytes");
}
