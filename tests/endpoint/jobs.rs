//! Jobs and their output, and inventories read through them.

use std::time::Duration;

use glacierfs::glacier::inventory::{Inventory, from_csv};
use glacierfs::glacier::treehash::tree_hash;
use serde_json::{Value, json};

use crate::client::{ARN, DAY, Endpoint, HOUR, pattern};

const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const MINUTE: Duration = Duration::from_secs(60);

fn retrieval(archive: &str) -> Value {
    json!({"Type": "archive-retrieval", "ArchiveId": archive})
}

/// Promise: a job takes the time of its tier, describes itself in every documented member from start to end, can be read
/// for 24 hours after, and is then as if it had never been.
#[tokio::test]
async fn life_of_a_job() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let data = pattern(3_250_586);
    let archive = api.upload("v", &data, "my, \"description\"").await;
    for (tier, delay) in [("Expedited", 3 * MINUTE), ("Standard", 4 * HOUR), ("Bulk", 8 * HOUR)] {
        let mut parameters = retrieval(&archive);
        parameters["Tier"] = tier.into();
        let job = api.job("v", parameters).await;
        endpoint.advance(delay - Duration::from_millis(1));
        assert_eq!(api.describe_job("v", &job).await["Completed"], false);
        endpoint.advance(Duration::from_millis(1));
        assert_eq!(api.describe_job("v", &job).await["Completed"], true);
    }

    let mut parameters = retrieval(&archive);
    parameters["Description"] = "mine".into();
    parameters["SNSTopic"] = "arn:aws:sns:us-east-1:000000000000:t".into();
    parameters["Format"] = Value::Null;
    let job = api.job("v", parameters).await;
    assert_eq!(job.len(), 92);
    let hash = tree_hash(&data).to_string();
    let created = api.describe_job("v", &job).await["CreationDate"].clone();
    let mut expected = json!({
        "Action": "ArchiveRetrieval", "ArchiveId": archive, "ArchiveSHA256TreeHash": hash,
        "ArchiveSizeInBytes": data.len(), "Completed": false, "CompletionDate": null, "CreationDate": created,
        "InventoryRetrievalParameters": null, "InventorySizeInBytes": null, "JobDescription": "mine", "JobId": job,
        "JobOutputPath": null, "OutputLocation": null, "RetrievalByteRange": "0-3250585", "SelectParameters": null,
        "SHA256TreeHash": hash, "SNSTopic": "arn:aws:sns:us-east-1:000000000000:t", "StatusCode": "InProgress",
        "StatusMessage": "Operation in progress.", "Tier": "Standard", "VaultARN": format!("{ARN}v"),
    });
    assert_eq!(api.describe_job("v", &job).await, expected);
    let says = format!("The job is not currently available for download: {job}");
    api.output("v", &job, None).await.fails(400, INVALID, &says);
    endpoint.advance(4 * HOUR);
    expected["Completed"] = true.into();
    expected["StatusCode"] = "Succeeded".into();
    expected["StatusMessage"] = "Succeeded".into();
    let described = api.describe_job("v", &job).await;
    expected["CompletionDate"] = described["CompletionDate"].clone();
    assert!(described["CompletionDate"].as_str() > created.as_str());
    assert_eq!(described, expected);

    let output = api.output("v", &job, None).await.expect(200);
    assert!(output.body == data);
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "3250586"),
        ("accept-ranges", "bytes"),
        ("x-amz-sha256-tree-hash", &hash),
        ("x-amz-archive-description", "my, \"description\""),
    ] {
        assert_eq!(output.header(name), value, "{name}");
    }
    // Deleting the archive takes nothing from a job that retrieves it.
    api.delete_archive("v", &archive).await.expect(204);
    endpoint.advance(DAY - Duration::from_millis(1));
    assert!(api.output("v", &job, None).await.expect(200).body == data);
    endpoint.advance(Duration::from_millis(1));
    let says = format!("The job ID was not found: {job}");
    api.output("v", &job, None).await.fails(404, NOT_FOUND, &says);
    api.get(&format!("/-/vaults/v/jobs/{job}")).await.fails(404, NOT_FOUND, &says);
    assert_eq!(api.get("/-/vaults/v/jobs").await.expect(200).json(), json!({"JobList": [], "Marker": null}));
}

/// Promise: a job whose archive is deleted before it completes fails at once: it says so, yields nothing, is listed as
/// failed, and lives as long as others; one that has completed stays as it was, and the archive's bytes with it.
#[tokio::test]
async fn jobs_of_deleted_archives() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let data = pattern(100_000);
    let archive = api.upload("v", &data, "").await;
    let done = api.job("v", retrieval(&archive)).await;
    endpoint.advance(4 * HOUR);
    let running = api.job("v", retrieval(&archive)).await;
    let inventory_due = endpoint.clock.now();
    endpoint.advance(HOUR);
    api.delete_archive("v", &archive).await.expect(204);

    let failed = api.describe_job("v", &running).await;
    assert_eq!((&failed["Completed"], &failed["StatusCode"]), (&true.into(), &"Failed".into()));
    assert_eq!(failed["StatusMessage"], "The archive was deleted before the job completed.");
    assert_eq!(failed["CompletionDate"], wire_date(inventory_due + HOUR));
    assert_eq!(failed["ArchiveId"], archive);
    let says = format!("The job is not currently available for download: {running}");
    api.output("v", &running, None).await.fails(400, INVALID, &says);
    assert!(api.output("v", &done, None).await.expect(200).body == data);
    let listed = async |query: &str| -> Vec<String> {
        let page = api.get(&format!("/-/vaults/v/jobs?{query}")).await.expect(200).json();
        let jobs = page["JobList"].as_array().expect("a list");
        jobs.iter().map(|job| job["JobId"].as_str().expect("an ID").to_owned()).collect()
    };
    assert_eq!(listed("statuscode=Failed").await, [&*running]);
    assert_eq!(listed("statuscode=Succeeded").await, [&*done]);
    assert_eq!(listed("completed=true").await, [&*done, &*running]);
    assert!(listed("completed=false&statuscode=Failed").await.is_empty());
    assert!(listed("statuscode=InProgress").await.is_empty());
    api.call("POST", "/-/vaults/v/jobs").body(retrieval(&archive).to_string()).send().await.fails(
        404,
        NOT_FOUND,
        &format!("The archive ID was not found: {archive}"),
    );

    endpoint.advance(DAY - Duration::from_millis(1));
    assert_eq!(listed("").await, [&*running]);
    endpoint.advance(Duration::from_millis(1));
    assert!(listed("").await.is_empty());
}

fn wire_date(time: jiff::Timestamp) -> String {
    format!("{time:.3}")
}

/// Promise: of every range in the vectors, jobs and downloads give a checksum exactly when it is a node of the archive's
/// tree, and the right one, whether the archive came in one request or in parts.
#[tokio::test]
async fn ranges_and_checksums() {
    let endpoint = Endpoint::with(|config| config.retrieval_delays.set("all=0s").expect("a delay")).await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let vectors: Value = serde_json::from_str(include_str!("../data/treehash-vectors.json")).expect("vectors");
    let mut checked = 0;
    for case in vectors["range_alignment"].as_array().expect("cases") {
        let data = pattern(case["size"].as_u64().expect("a size") as usize);
        let in_parts = upload_in_parts(&endpoint, &data).await;
        for archive in [api.upload("v", &data, "").await, in_parts] {
            let whole = api.job("v", retrieval(&archive)).await;
            for range in case["ranges"].as_array().expect("ranges") {
                let (start, end) = (range["start"].as_u64().expect("a start"), range["end"].as_u64().expect("an end"));
                let (bytes, text) = (&data[start as usize..=end as usize], format!("{start}-{end}"));
                let hash = match &range["tree_hash_aligned"] {
                    Value::Bool(true) => range["tree_hash_of_range"].clone(),
                    _ => Value::Null,
                };
                let part = api.output("v", &whole, Some(&format!("bytes={text}"))).await.expect(206);
                assert!(part.body == bytes);
                assert_eq!(part.header("content-range"), format!("bytes {text}/{}", data.len()));
                assert_eq!(part.try_header("x-amz-sha256-tree-hash").as_deref(), hash.as_str(), "{text}");

                let mut parameters = retrieval(&archive);
                parameters["RetrievalByteRange"] = text.clone().into();
                if range["megabyte_aligned"] != true {
                    let call = api.call("POST", "/-/vaults/v/jobs").body(parameters.to_string());
                    call.send().await.fails(400, INVALID, &format!("Invalid retrieval byte range: {text}"));
                    continue;
                }
                let job = api.job("v", parameters).await;
                let described = api.describe_job("v", &job).await;
                assert_eq!((&described["SHA256TreeHash"], &described["RetrievalByteRange"]), (&hash, &json!(text)));
                let output = api.output("v", &job, None).await.expect(200);
                assert!(output.body == bytes);
                assert_eq!(output.try_header("x-amz-sha256-tree-hash").as_deref(), hash.as_str(), "{text}");
                // Offsets count from the range retrieved, and only an aligned retrieval has checksums.
                let first = &bytes[..bytes.len().min(1 << 20)];
                let part = api.output("v", &job, Some("bytes=0-1048575")).await.expect(206);
                assert!(part.body == first);
                assert_eq!(part.header("content-range"), format!("bytes 0-{}/{}", first.len() - 1, bytes.len()));
                let hash = hash.as_str().map(|_| tree_hash(first).to_string());
                assert_eq!(part.try_header("x-amz-sha256-tree-hash"), hash);
                checked += 1;
            }
        }
    }
    assert!(checked >= 40, "{checked}");
}

async fn upload_in_parts(endpoint: &Endpoint, data: &[u8]) -> String {
    let api = &endpoint.api;
    let call = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", "2097152");
    let upload = call.send().await.expect(201).header("x-amz-multipart-upload-id");
    let target = format!("/-/vaults/v/multipart-uploads/{upload}");
    for (i, part) in data.chunks(2 << 20).enumerate() {
        let range = format!("bytes {}-{}/*", i << 21, (i << 21) + part.len() - 1);
        api.call("PUT", &target).data(part).header("content-range", &range).send().await.expect(204);
    }
    let call = api.call("POST", &target).header("x-amz-archive-size", &data.len().to_string());
    let done = call.header("x-amz-sha256-tree-hash", &tree_hash(data).to_string()).send().await.expect(201);
    done.header("x-amz-archive-id")
}

/// Promise: ranges that can't be honoured are ignored or refused as the real service does.
#[tokio::test]
async fn odd_ranges() {
    let endpoint = Endpoint::with(|config| config.retrieval_delays.set("all=0s").expect("a delay")).await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let archive = api.upload("v", b"0123456789", "").await;
    let job = api.job("v", retrieval(&archive)).await;
    let whole = api.output("v", &job, Some("bytes 0-4194303/235812776")).await.expect(200);
    assert_eq!((whole.body.as_slice(), whole.try_header("content-range")), (&b"0123456789"[..], None));
    let part = api.output("v", &job, Some("bytes=7-")).await.expect(206);
    assert_eq!((part.body.as_slice(), part.header("content-range").as_str()), (&b"789"[..], "bytes 7-9/10"));
    let says = "The start of the range is larger than size of retrieved data: bytes=10-20";
    api.output("v", &job, Some("bytes=10-20")).await.fails(400, INVALID, says);
    let all = api.output("v", &job, Some("bytes=0-9")).await.expect(206);
    assert_eq!(all.header("x-amz-sha256-tree-hash"), tree_hash(b"0123456789").to_string());
}

/// Promise: a job that can't be is refused in the service's words.
#[tokio::test]
async fn refusals() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    api.create_vault("w").await;
    let archive = api.upload("v", b"data", "").await;
    let missing = "MissingParameterValueException";
    let with = |key: &str, value: Value| {
        let mut parameters = retrieval(&archive);
        parameters[key] = value;
        parameters.to_string()
    };
    for (body, status, code, says) in [
        (String::new(), 400, missing, "Required parameter missing: Job Parameters"),
        ("{}".into(), 400, missing, "Required parameter missing: type"),
        (r#"{"jobParameters": {"Type": "inventory-retrieval"}}"#.into(), 400, missing, "parameter missing: type"),
        (r#"{"Type": "archive-retrieval"}"#.into(), 400, missing, "Required parameter missing: ArchiveId"),
        (r#"{"Type": "archive-retrieval",}"#.into(), 400, "SerializationException", "Malformed"),
        ("[]x".into(), 400, "SerializationException", "Malformed"),
        (with("Type", "select".into()), 400, INVALID, "select"),
        (with("Type", "Archive".into()), 400, INVALID, "Invalid type: Archive"),
        (with("Tier", "standard".into()), 400, INVALID, "Allowed are Expedited, Standard, Bulk"),
        (with("Format", "JSON".into()), 400, INVALID, "Format is not allowed"),
        (with("Description", "é".into()), 400, INVALID, "Invalid Description"),
        (with("RetrievalByteRange", "0-4".into()), 400, INVALID, "which has 4 bytes"),
        (with("RetrievalByteRange", "0".into()), 400, INVALID, "Invalid retrieval byte range: 0"),
        (with("Type", "inventory-retrieval".into()), 400, INVALID, "ArchiveId is not allowed"),
        (with("ArchiveId", "-x".into()), 404, NOT_FOUND, "The archive ID was not found: -x"),
    ] {
        let call = api.call("POST", "/-/vaults/v/jobs").body(body);
        call.send().await.fails(status, code, says);
    }
    let other = api.call("POST", "/-/vaults/w/jobs").body(retrieval(&archive).to_string()).send().await;
    other.fails(400, INVALID, &format!("Invalid vault name: {ARN}w"));
    let job = api.job("v", retrieval(&archive)).await;
    api.get(&format!("/-/vaults/w/jobs/{job}")).await.fails(404, NOT_FOUND, "The job ID was not found");
}

/// Promise: lists filter by both properties together, walk on over any number of pages, oldest first, each job once.
#[tokio::test]
async fn listing() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let archive = api.upload("v", b"data", "").await;
    let mut ids = Vec::new();
    for i in 0..120 {
        let mut parameters = retrieval(&archive);
        parameters["Tier"] = if i % 3 == 0 { "Expedited" } else { "Bulk" }.into();
        ids.push(api.job("v", parameters).await);
    }
    endpoint.advance(HOUR);
    let walk = async |query: &str| {
        let (mut seen, mut marker) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("/-/vaults/v/jobs?{query}&marker={marker}")).await.expect(200).json();
            let jobs = page["JobList"].as_array().expect("a list");
            assert!(jobs.len() <= 50);
            seen.extend(jobs.iter().map(|job| job["JobId"].as_str().expect("an ID").to_owned()));
            match page["Marker"].as_str() {
                Some(next) if !jobs.is_empty() => marker = next.to_owned(),
                next => return (seen, assert_eq!(next, None)).0,
            }
        }
    };
    let chosen = |expedited: bool| -> Vec<_> {
        let jobs = ids.iter().enumerate().filter(|(i, _)| (i % 3 == 0) == expedited);
        jobs.map(|(_, id)| id.clone()).collect()
    };
    for query in ["limit=7", "limit=50", "limit=1000", ""] {
        assert_eq!(walk(query).await, ids, "{query}");
    }
    for query in ["completed=true", "statuscode=Succeeded", "completed=true&statuscode=Succeeded&limit=9"] {
        assert_eq!(walk(query).await, chosen(true), "{query}");
    }
    for query in ["completed=false", "statuscode=InProgress&limit=3"] {
        assert_eq!(walk(query).await, chosen(false), "{query}");
    }
    for query in ["statuscode=Failed", "completed=true&statuscode=InProgress"] {
        assert_eq!(walk(query).await, Vec::<String>::new(), "{query}");
    }
    api.get("/-/vaults/v/jobs?statuscode=Done").await.fails(400, INVALID, "The job status code is not valid: Done");
    api.get("/-/vaults/v/jobs?completed=yes").await.fails(400, INVALID, "Invalid completed: yes");
}

/// Promise: an inventory job yields what the last inventory knew when it was asked for, in either format, whatever
/// happens to the vault afterwards; and filters choose by date, number and marker.
#[tokio::test]
async fn inventories() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let mut ids = Vec::new();
    for i in 0..5 {
        ids.push(api.upload("v", &pattern(100 + i), &format!("number {i}, \"quoted\" \\")).await);
        endpoint.advance(HOUR);
    }
    let gone = api.upload("v", b"gone before it is known", "").await;
    api.delete_archive("v", &gone).await.expect(204);
    endpoint.advance(DAY);

    let json = api.job("v", json!({"Type": "inventory-retrieval", "Description": "all"})).await;
    let csv = api.job("v", json!({"Type": "inventory-retrieval", "Format": "CSV", "Tier": "Expedited"})).await;
    // What happens from here on is not in it.
    api.delete_archive("v", &ids[0]).await.expect(204);
    api.upload("v", b"later", "").await;
    let described = api.describe_job("v", &json).await;
    let parameters = json!({"EndDate": null, "Format": "JSON", "Limit": null, "Marker": null, "StartDate": null});
    assert_eq!(described["InventoryRetrievalParameters"], parameters);
    let seen = (&described["Action"], &described["InventorySizeInBytes"], &described["ArchiveId"], &described["Tier"]);
    assert_eq!(seen, (&json!("InventoryRetrieval"), &Value::Null, &Value::Null, &Value::Null));
    endpoint.advance(3 * MINUTE);
    assert_eq!(api.describe_job("v", &csv).await["Completed"], true);
    endpoint.advance(4 * HOUR);

    let output = api.output("v", &json, None).await.expect(200);
    assert_eq!(output.header("content-type"), "application/json");
    assert_eq!(output.try_header("x-amz-sha256-tree-hash"), None);
    let described = api.describe_job("v", &json).await;
    assert_eq!(described["InventorySizeInBytes"], output.body.len());
    let inventory: Inventory = serde_json::from_slice(&output.body).expect("an inventory");
    assert_eq!(
        (inventory.vault_arn, inventory.inventory_date.to_string()),
        (format!("{ARN}v"), "2013-03-21T17:03:43Z".into())
    );
    let listed: Vec<_> = inventory.archives.iter().map(|archive| archive.archive_id.clone()).collect();
    assert_eq!(listed, ids);
    let first = &inventory.archives[0];
    assert_eq!((first.description.as_str(), first.size), ("number 0, \"quoted\" \\", 100));
    assert_eq!((first.tree_hash, first.created.to_string()), (tree_hash(&pattern(100)), "2013-03-20T17:03:43Z".into()));
    assert!(output.body.starts_with(format!(r#"{{"VaultARN":"{ARN}v","InventoryDate":""#).as_bytes()));

    let output = api.output("v", &csv, None).await.expect(200);
    assert_eq!(output.header("content-type"), "text/csv");
    let text = String::from_utf8(output.body).expect("text");
    assert_eq!(from_csv(&text).expect("CSV"), inventory.archives);
    let part = api.output("v", &csv, Some("bytes=0-8")).await.expect(206);
    assert_eq!((part.body.as_slice(), part.try_header("x-amz-sha256-tree-hash")), (&b"ArchiveId"[..], None));

    // The next inventory knows of the deletion and of the later upload.
    endpoint.advance(DAY);
    let read = async |filter: Value| {
        let parameters = json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": filter});
        let job = api.job("v", parameters).await;
        assert_eq!(api.describe_job("v", &job).await["InventoryRetrievalParameters"]["Marker"], filter["Marker"]);
        endpoint.advance(4 * HOUR);
        let inventory: Inventory =
            serde_json::from_slice(&api.output("v", &job, None).await.expect(200).body).expect("one");
        let marker = api.describe_job("v", &job).await["InventoryRetrievalParameters"]["Marker"].clone();
        (inventory.archives.iter().map(|archive| archive.archive_id.clone()).collect::<Vec<_>>(), marker)
    };
    let (now, marker) = read(json!({})).await;
    assert_eq!((&now[..4], now.len(), marker), (&ids[1..], 5, Value::Null));
    let range = json!({"StartDate": "2013-03-20T18:03:43.221Z", "EndDate": "2013-03-20T22:03:43+02:00"});
    assert_eq!(read(range).await.0, ids[1..3]);
    let (mut walked, mut marker) = (Vec::new(), Value::Null);
    loop {
        let (page, next) = read(json!({"Limit": "2", "Marker": marker})).await;
        walked.extend(page);
        if next.is_null() {
            break;
        }
        marker = next;
    }
    assert_eq!(walked, now);
    for (filter, says) in [
        (json!({"Limit": "0"}), "Invalid Limit: 0"),
        (json!({"StartDate": "yesterday"}), "Invalid StartDate: yesterday"),
        (json!({"Marker": "x"}), "Invalid marker: x"),
    ] {
        let body = json!({"Type": "inventory-retrieval", "InventoryRetrievalParameters": filter}).to_string();
        api.call("POST", "/-/vaults/v/jobs").body(body).send().await.fails(400, INVALID, says);
    }
}
