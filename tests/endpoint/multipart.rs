//! Multipart uploads.

use glacierfs::glacier::treehash::tree_hash;
use serde_json::{Value, json};

use crate::client::{Api, DAY, Endpoint, HOUR, MIB, Response, pattern};

const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

async fn initiate(api: &Api, part_size: usize) -> String {
    let call = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", &part_size.to_string());
    let started = call.header("x-amz-archive-description", "  a  description").send().await.expect(201);
    let id = started.header("x-amz-multipart-upload-id");
    assert_eq!(started.header("location"), format!("/000000000000/vaults/v/multipart-uploads/{id}"));
    id
}

async fn put(api: &Api, upload: &str, first: usize, data: &[u8]) -> Response {
    let range = format!("bytes {first}-{}/*", (first + data.len()).wrapping_sub(1));
    put_range(api, upload, &range, data).await
}

async fn put_range(api: &Api, upload: &str, range: &str, data: &[u8]) -> Response {
    let call = api.call("PUT", &format!("/-/vaults/v/multipart-uploads/{upload}")).data(data);
    call.header("content-range", range).send().await
}

async fn complete(api: &Api, upload: &str, size: usize, hash: &str) -> Response {
    let call = api.call("POST", &format!("/-/vaults/v/multipart-uploads/{upload}"));
    call.header("x-amz-archive-size", &size.to_string()).header("x-amz-sha256-tree-hash", hash).send().await
}

async fn parts(api: &Api, upload: &str) -> Response {
    api.get(&format!("/-/vaults/v/multipart-uploads/{upload}")).await
}

async fn uploads(api: &Api) -> Vec<String> {
    let list = api.get("/-/vaults/v/multipart-uploads").await.expect(200).json();
    let list = list["UploadsList"].as_array().expect("a list").clone();
    list.iter().map(|upload| upload["MultipartUploadId"].as_str().expect("an ID").to_owned()).collect()
}

async fn contents(endpoint: &Endpoint, archive: &str) -> Vec<u8> {
    let job = endpoint.api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    endpoint.advance(4 * HOUR);
    endpoint.api.output("v", &job, None).await.expect(200).body
}

/// Promise: parts arrive in any order and in parallel, a part sent again replaces the first, and the whole is the archive
/// that was meant; completing again gives the same archive, and the upload is gone from every list.
#[tokio::test]
async fn parts_make_an_archive() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let data = pattern(6_815_744);
    let upload = initiate(api, 2 * MIB).await;

    // The last first; the first with other data, then again; the others at once.
    put(api, &upload, 6 * MIB, &data[6 * MIB..]).await.expect(204);
    put(api, &upload, 0, &vec![9; MIB]).await.expect(204);
    let sent = put(api, &upload, 0, &data[..2 * MIB]).await.expect(204);
    assert_eq!(sent.header("x-amz-sha256-tree-hash"), tree_hash(&data[..2 * MIB]).to_string());
    let (second, third) = tokio::join!(
        put(api, &upload, 2 * MIB, &data[2 * MIB..4 * MIB]),
        put(api, &upload, 4 * MIB, &data[4 * MIB..6 * MIB])
    );
    second.expect(204);
    third.expect(204);

    let listed = parts(api, &upload).await.expect(200).json();
    let range = |i: usize| format!("{}-{}", i * 2 * MIB, ((i + 1) * 2 * MIB).min(data.len()) - 1);
    let expected: Vec<Value> = data
        .chunks(2 * MIB)
        .enumerate()
        .map(|(i, part)| json!({"RangeInBytes": range(i), "SHA256TreeHash": tree_hash(part).to_string()}))
        .collect();
    assert_eq!((&listed["Parts"], &listed["Marker"]), (&json!(expected), &Value::Null));
    assert_eq!(
        (&listed["PartSizeInBytes"], &listed["ArchiveDescription"]),
        (&json!(2 * MIB), &json!("a  description"))
    );

    let hash = tree_hash(&data).to_string();
    let done = complete(api, &upload, data.len(), &hash).await.expect(201);
    let archive = done.header("x-amz-archive-id");
    assert_eq!(done.header("location"), format!("/000000000000/vaults/v/archives/{archive}"));
    let again = complete(api, &upload, data.len(), &hash).await.expect(201);
    assert_eq!(again.header("x-amz-archive-id"), archive);
    parts(api, &upload).await.fails(404, NOT_FOUND, &format!("The upload ID was not found: {upload}"));
    put(api, &upload, 0, &data[..MIB]).await.fails(404, NOT_FOUND, "The upload ID was not found");
    api.call("DELETE", &format!("/-/vaults/v/multipart-uploads/{upload}")).send().await.fails(404, NOT_FOUND, "upload");
    assert_eq!(uploads(api).await, Vec::<String>::new());
    assert!(contents(&endpoint, &archive).await == data, "the bytes are the parts'");
    complete(api, &upload, data.len() - 1, &hash).await.fails(400, INVALID, "x-amz-archive-size");
    endpoint.advance(DAY);
    complete(api, &upload, data.len(), &hash).await.fails(404, NOT_FOUND, "upload");
}

/// Promise: what is wrong with a part or with a completion is refused, and the upload goes on as if it hadn't been sent.
#[tokio::test]
async fn refusals_leave_the_upload_open() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    for bad in ["0", "1048577", "524288", "3145728", "8589934592", "x", "-1048576", "+1048576"] {
        let call = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", bad);
        let says = format!("Invalid part size: {bad}. Part size must not be null, must be a power of two and be");
        call.send().await.fails(400, INVALID, &says);
    }
    let none = api.call("POST", "/-/vaults/v/multipart-uploads").send().await;
    none.fails(400, INVALID, "Invalid part size: null.");

    let data = pattern(2 * MIB + 5);
    let hash = tree_hash(&data).to_string();
    let upload = initiate(api, MIB).await;
    complete(api, &upload, 0, &tree_hash(b"").to_string()).await.fails(400, INVALID, "has no parts");
    let part = &data[..MIB];
    for (range, says) in [
        ("bytes 5-4/*", "Invalid Content-Range: bytes 5-4/*"),
        ("0-1048575", "Invalid Content-Range: 0-1048575"),
        ("bytes 0-1/*", "Content-Range: bytes 0-1/* is incompatible with Content-Length: 1048576"),
        ("bytes 0-18446744073709551615/*", "is incompatible with Content-Length"),
        ("bytes 1-1048576/*", "must begin at a multiple of the part size of 1048576"),
        ("bytes 10485760000-10486808575/*", "This is part number 10001 for the current multipart upload."),
    ] {
        put_range(api, &upload, range, part).await.fails(400, INVALID, says);
    }
    put(api, &upload, 0, &data[..MIB + 1]).await.fails(400, INVALID, "and not be larger");
    put(api, "unknown", 0, part).await.fails(404, NOT_FOUND, "The upload ID was not found: unknown");
    let target = format!("/-/vaults/v/multipart-uploads/{upload}");
    let no_range = api.call("PUT", &target).data(part).send().await;
    no_range.fails(400, "MissingParameterValueException", "Required parameter missing: Content-Range");

    // A short part in the middle is taken, and found when completing; the failed repetition of a part changes nothing.
    put(api, &upload, 0, &data[..MIB - 1]).await.expect(204);
    put(api, &upload, MIB, &data[MIB..2 * MIB]).await.expect(204);
    put(api, &upload, 2 * MIB, &data[2 * MIB..]).await.expect(204);
    complete(api, &upload, data.len(), &hash).await.fails(400, INVALID, "bytes 1048575-1048575 are missing");
    put(api, &upload, 0, part).await.expect(204);
    let wrong = api.call("PUT", &target).data(&vec![1; MIB]).header("content-range", "bytes 0-1048575/*");
    let wrong = wrong.header("x-amz-sha256-tree-hash", &hash).send().await;
    wrong.fails(400, INVALID, "Checksum mismatch");

    let missing = api.call("POST", &target).header("x-amz-archive-size", "1").send().await;
    missing.fails(400, "MissingParameterValueException", "Required parameter missing: x-amz-sha256-tree-hash");
    let missing = api.call("POST", &target).header("x-amz-sha256-tree-hash", &hash).send().await;
    missing.fails(400, "MissingParameterValueException", "Required parameter missing: x-amz-archive-size");
    complete(api, &upload, data.len() + 1, &hash).await.fails(400, INVALID, "add up to 2097157 bytes");
    let empty = tree_hash(b"").to_string();
    complete(api, &upload, data.len(), &empty).await.fails(
        400,
        INVALID,
        &format!("Invalid x-amz-sha256-tree-hash: {empty}"),
    );
    let done = complete(api, &upload, data.len(), &hash.to_uppercase()).await.expect(201);
    assert!(contents(&endpoint, &done.header("x-amz-archive-id")).await == data);
}

/// Promise: an aborted upload is gone with its parts, and aborting it again succeeds; one that nobody asked for in a day
/// is gone as well, while every request about it prolongs its life.
#[tokio::test]
async fn aborted_and_forgotten() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let (aborted, kept, idle) = (initiate(api, MIB).await, initiate(api, MIB).await, initiate(api, MIB).await);
    put(api, &aborted, 0, &pattern(MIB)).await.expect(204);
    assert_eq!(uploads(api).await, [aborted.clone(), kept.clone(), idle.clone()]);
    for _ in 0..2 {
        api.call("DELETE", &format!("/-/vaults/v/multipart-uploads/{aborted}")).send().await.expect(204);
    }
    parts(api, &aborted).await.fails(404, NOT_FOUND, "upload");
    endpoint.advance(20 * HOUR);
    parts(api, &kept).await.expect(200);
    endpoint.advance(20 * HOUR);
    assert_eq!(uploads(api).await, std::slice::from_ref(&kept));
    parts(api, &kept).await.expect(200);
    put(api, &idle, 0, &pattern(MIB)).await.fails(404, NOT_FOUND, "upload");
    // Uploads in progress don't keep a vault from being deleted.
    api.call("DELETE", "/-/vaults/v").send().await.expect(204);
}

/// Promise: both lists walk on over any number of pages, each item once, in order.
#[tokio::test]
async fn pages() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let mut started = Vec::new();
    for _ in 0..53 {
        started.push(initiate(api, MIB).await);
    }
    let walk = async |path: String, list: &str, key: &str, limit: &str| {
        let (mut seen, mut marker) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit={limit}&marker={marker}")).await.expect(200).json();
            let items = page[list].as_array().expect("a list");
            assert!(!items.is_empty() && items.len() <= 50);
            seen.extend(items.iter().map(|item| item[key].as_str().expect("text").to_owned()));
            match page["Marker"].as_str() {
                Some(next) => marker = next.to_owned(),
                None => return seen,
            }
        }
    };
    for limit in ["", "7", "53", "1000"] {
        let seen = walk("/-/vaults/v/multipart-uploads".into(), "UploadsList", "MultipartUploadId", limit).await;
        assert_eq!(seen, started);
    }
    for i in (0..52).rev() {
        put(api, &started[0], i * MIB, &[i as u8; 3]).await.expect(204);
    }
    let expected: Vec<_> = (0..52).map(|i| format!("{}-{}", i * MIB, i * MIB + 2)).collect();
    for limit in ["", "13"] {
        let path = format!("/-/vaults/v/multipart-uploads/{}", started[0]);
        assert_eq!(walk(path, "Parts", "RangeInBytes", limit).await, expected);
    }
    api.get("/-/vaults/v/multipart-uploads?marker=x").await.fails(400, INVALID, "Invalid marker");
}
