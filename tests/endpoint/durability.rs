//! What outlives the server: a crash, a restart, a second server that wants the same data.

use glacierfs::glacier::treehash::tree_hash;
use glacierfs::server::{Server, ServerError};
use glacierfs::util::clock::Clock;
use serde_json::json;

use crate::client::{DAY, Endpoint, HOUR, MIB, config, pattern};

/// Promise: everything that was answered is there after a crash: vaults, small and large archives, parts, jobs, what the
/// inventories knew, and the key; and what requests left over that hadn't ended is removed.
#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let endpoint = Endpoint::start().await;
    let key = endpoint.server.credentials().clone();
    let api = &endpoint.api;
    api.create_vault("v").await;
    let (small, large) = (pattern(1000), pattern(3 * MIB));
    let archives = [api.upload("v", &small, "small").await, api.upload("v", &large, "large").await];
    endpoint.advance(DAY);
    let job = api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archives[1]})).await;
    let started = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", "1048576").send().await;
    let upload = format!("/-/vaults/v/multipart-uploads/{}", started.expect(201).header("x-amz-multipart-upload-id"));
    let part = api.call("PUT", &upload).data(&large[..MIB]).header("content-range", "bytes 0-1048575/*");
    part.send().await.expect(204);
    let left_over = endpoint.directory.path().join("objects/999");
    std::fs::write(&left_over, "of a request that was cut off").expect("written");

    let endpoint = endpoint.restart().await;
    let api = &endpoint.api;
    assert!(*endpoint.server.credentials() == key, "the key is kept");
    assert!(!left_over.exists());
    assert_eq!(api.get("/-/vaults/v").await.expect(200).json()["NumberOfArchives"], 2);
    for (first, data) in [(MIB, &large[MIB..2 * MIB]), (2 * MIB, &large[2 * MIB..])] {
        let range = format!("bytes {first}-{}/*", first + data.len() - 1);
        api.call("PUT", &upload).data(data).header("content-range", &range).send().await.expect(204);
    }
    let call = api.call("POST", &upload).header("x-amz-archive-size", &large.len().to_string());
    let done = call.header("x-amz-sha256-tree-hash", &tree_hash(&large).to_string()).send().await.expect(201);
    let in_parts = done.header("x-amz-archive-id");

    let endpoint = endpoint.restart().await;
    let api = &endpoint.api;
    endpoint.advance(4 * HOUR);
    assert!(api.output("v", &job, None).await.expect(200).body == large);
    for (archive, data) in [(&archives[0], &small), (&archives[1], &large), (&in_parts, &large)] {
        let job = api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
        endpoint.advance(4 * HOUR);
        assert!(api.output("v", &job, None).await.expect(200).body == *data);
    }
    endpoint.server.stop().await;
}

/// Promise: the disk gets back what nobody can ask for any more: replaced and aborted parts, deleted archives, and what
/// only a job kept, once that has expired.
#[tokio::test]
async fn space_comes_back() {
    let endpoint = Endpoint::start().await;
    let api = &endpoint.api;
    let objects = endpoint.directory.path().join("objects");
    let holds = async |expected: usize| {
        let began = std::time::Instant::now();
        loop {
            let count = std::fs::read_dir(&objects).expect("the objects").count();
            if count == expected {
                return;
            }
            assert!(began.elapsed().as_secs() < 10, "{count} files instead of {expected}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    api.create_vault("v").await;
    let started = api.call("POST", "/-/vaults/v/multipart-uploads").header("x-amz-part-size", "1048576").send().await;
    let upload = format!("/-/vaults/v/multipart-uploads/{}", started.expect(201).header("x-amz-multipart-upload-id"));
    for byte in 1..4 {
        let part = api.call("PUT", &upload).data(&vec![byte; MIB]).header("content-range", "bytes 0-1048575/*");
        part.send().await.expect(204);
        holds(1).await;
    }
    api.call("DELETE", &upload).send().await.expect(204);
    holds(0).await;

    let (deleted, retrieved) = (api.upload("v", &pattern(MIB), "").await, api.upload("v", &pattern(MIB), "").await);
    holds(2).await;
    let retrieval = |archive| json!({"Type": "archive-retrieval", "ArchiveId": archive});
    let job = api.job("v", retrieval(&retrieved)).await;
    endpoint.advance(4 * HOUR);
    // This one fails, and holds nothing.
    api.job("v", retrieval(&deleted)).await;
    for archive in [&deleted, &retrieved] {
        api.delete_archive("v", archive).await.expect(204);
    }
    holds(1).await;
    api.output("v", &job, None).await.expect(200);
    endpoint.advance(DAY);
    holds(0).await;
}

/// Promise: one directory has one server; the second is told so; and a stopped one gives it up at once.
#[tokio::test]
async fn one_server_at_a_time() {
    let endpoint = Endpoint::start().await;
    let path = endpoint.directory.path();
    let second = Server::start(config(path), Clock::real()).await;
    let Err(ServerError::InUse(named)) = second else { panic!("a second server started") };
    assert_eq!(named, path);
    endpoint.server.stop().await;
    Server::start(config(path), Clock::real()).await.expect("the directory is free").stop().await;
}

/// Promise: bad settings, a taken address and data of a newer release are each refused with what is wrong.
#[tokio::test]
async fn refused_starts() {
    let refused = async |config| match Server::start(config, Clock::real()).await {
        Ok(_) => panic!("the server started"),
        Err(error) => error.to_string(),
    };
    let endpoint = Endpoint::start().await;
    let other = tempfile::tempdir().expect("a directory");
    let mut taken = config(other.path());
    taken.listen = endpoint.server.url().strip_prefix("http://").expect("HTTP").parse().expect("an address");
    assert!(refused(taken).await.starts_with("can't listen on 127.0.0.1:"));

    let mut account = config(other.path());
    account.accounts = vec!["12".to_owned()];
    assert!(refused(account).await.contains("an account is 12 digits"));
    let mut region = config(other.path());
    region.region = "US East".to_owned();
    assert!(refused(region).await.contains("such as us-east-1"));

    let path = endpoint.directory.path().to_owned();
    endpoint.server.stop().await;
    let database = rusqlite::Connection::open(path.join("glacier.db")).expect("the database");
    database.pragma_update(None, "user_version", 99).expect("set");
    drop(database);
    assert!(refused(config(&path)).await.contains("version 99, this glacierfs knows up to "));
    std::fs::write(path.join("credentials"), "").expect("written");
    assert!(refused(config(&path)).await.contains("no [glacierfs] profile"));
}
