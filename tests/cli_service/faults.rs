//! What the commands make of a service and a network that fail.

use serde_json::Value;
use serde_json::json;

use crate::setup::Endpoint;

/// An endpoint where `fault` strikes `operation` `count` times.
fn faulty(operation: &str, count: u32, fault: Value) -> Endpoint {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plan = directory.path().join("plan.json");
    let rule = json!({"operation": operation, "count": count, "fault": fault});
    std::fs::write(&plan, json!({"seed": 1, "rules": [rule]}).to_string()).expect("a written plan");
    Endpoint::with(&["--retrieval-delay", "all=0s", "--admin", "--faults", &plan.to_string_lossy()])
}

/// Promise: bytes that don't have their tree hash never become the file, whether they are wrong or lack their end.
#[test]
fn wrong_bytes_are_no_file() {
    for fault in [json!({"corrupt": {}}), json!({"truncate": {"fix_length": true}})] {
        let endpoint = faulty("GetJobOutput", 1, fault);
        let file = endpoint.file("a", &vec![7; 100_000]);
        let archive = endpoint.ok(&["archive", "put", "photos", &file]);
        let before = endpoint.file("out", b"before");
        let get = ["archive", "get", "photos", archive.trim(), "-o", &before];
        endpoint.refused(&get, 1, "but should have");
        assert_eq!(std::fs::read(&before).expect("the file"), b"before");
        endpoint.ok(&get);
        assert_eq!(std::fs::read(&before).expect("the file"), vec![7; 100_000]);
    }
}

/// Promise: a download whose connection breaks goes on where it was, and the whole has its tree hash.
#[test]
fn broken_downloads_go_on() {
    let endpoint = faulty("GetJobOutput", 3, json!({"reset_response": {"after": 60_000}}));
    let data: Vec<u8> = (0..400_000_u32).map(|i| (i / 7) as u8).collect();
    let archive = endpoint.ok(&["archive", "put", "photos", &endpoint.file("a", &data)]);
    let answer = endpoint.run(&["archive", "get", "photos", archive.trim()]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout == data);
}

/// Promise: an upload in parts that fails leaves no parts behind.
#[test]
fn failed_uploads_are_aborted() {
    let endpoint = faulty("UploadMultipartPart", 1000, json!({"error": {"code": "AccessDeniedException"}}));
    let file = endpoint.file("a", &vec![7; 3 << 20]);
    endpoint.refused(&["archive", "put", "photos", &file, "--part-size", "1M"], 7, "AccessDeniedException");
    assert_eq!(endpoint.json(&["upload", "list", "photos", "--json"]), json!([]));
}

/// Promise: a purchase whose answer is lost isn't repeated, and says that it may have been made.
#[test]
fn lost_purchases_are_told() {
    let endpoint = faulty("PurchaseProvisionedCapacity", 1, json!({"lose_response": {}}));
    let look = "it may have been done all the same: see `glacierfs capacity list` before buying again";
    endpoint.refused(&["capacity", "purchase", "--yes"], 7, look);
    let units = endpoint.json(&["capacity", "list", "--json"]);
    assert_eq!(units.as_array().map(Vec::len), Some(1), "{units}");
}
