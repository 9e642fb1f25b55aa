//! The archive service against the embedded endpoint: the whole way of an archive, there and back.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use glacierfs::glacier::client::{Client, Config, Payload};
use glacierfs::glacier::credentials::CredentialSource;
use glacierfs::server::{Server, ServerConfig};
use glacierfs::service::description::{self, Description, Meta};
use glacierfs::service::treehash::{self, TreeHasher};
use glacierfs::service::{ArchiveService, Glacier, InventoryItem, JobKind, JobStatus, Kind, Tier};
use glacierfs::util::clock::Clock;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Place {
    _directory: TempDir,
    clock: Clock,
    server: Server,
    service: Glacier,
}

async fn start() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::virtual_at("2020-01-01T00:00:00.5Z".parse().expect("a time"));
    let mut config = ServerConfig::new(directory.path());
    config.listen.set_port(0);
    let server = Server::start(config, clock.clone()).await.expect("the endpoint starts");
    let credentials = CredentialSource::fixed(server.credentials().clone());
    let client = Config { endpoint: Some(server.url()), clock: clock.clone(), ..Config::new("us-east-1", credentials) };
    let service = Glacier::new(Client::new(client).expect("a good configuration"));
    Place { _directory: directory, clock, server, service }
}

async fn fetch(service: &Glacier, job: &str, range: Option<std::ops::RangeInclusive<u64>>) -> Vec<u8> {
    let fetched = service.fetch("photos", job, range).await.expect("flows");
    let bytes = fetched.stream.try_collect::<Vec<_>>().await.expect("complete").concat();
    assert_eq!(fetched.len, Some(bytes.len() as u64));
    if let Some(stated) = fetched.tree_hash {
        let mut hasher = TreeHasher::new();
        hasher.update(&bytes);
        assert_eq!(hasher.finish(), stated);
    }
    bytes
}

/// Promise: an archive put whole or in parts, with parts missing found by listing, comes back byte by byte through jobs for
/// all of it and for ranges; the inventory tells its description; and what is gone is said to be gone.
#[tokio::test]
async fn there_and_back() {
    let place = start().await;
    let (service, clock) = (&place.service, &place.clock);
    let missing = service.vault("photos").await.expect_err("no such vault");
    assert_eq!(missing.kind(), Kind::VaultMissing);
    service.create_vault("photos").await.expect("created");
    let names: Vec<_> = service.vaults().await.expect("listed").into_iter().map(|vault| vault.name).collect();
    assert_eq!(names, ["photos"]);

    let meta = Meta {
        content_key: 7,
        size: 11,
        mode: 0o644,
        mtime_secs: -1,
        mtime_nanos: 5,
        uid: 1000,
        gid: 100,
        path: b"2020/hello  world".to_vec(),
    };
    let payload = Payload::bytes("hello world");
    let hash = payload.hash().await.expect("in memory");
    let small = service.put("photos", &description::encode(&meta), payload, &hash).await.expect("put");

    let data: Vec<u8> = (0..6 * MIB + MIB / 2).map(|i| (i % 251) as u8).collect();
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&data).expect("written");
    let file = Arc::new(file);
    let part_size = service.limits().part_size(data.len() as u64, 2 * MIB).expect("not too large");
    let upload = service.begin("photos", "plain name.bin", part_size).await.expect("begun");
    let put_part = async |offset: u64| {
        let payload = Payload::file(file.clone(), offset, part_size.min(data.len() as u64 - offset));
        let hash = payload.hash().await.expect("readable");
        service.put_part("photos", &upload, offset, payload, &hash).await.expect("put");
    };
    for offset in [4 * MIB, 0, 6 * MIB] {
        put_part(offset).await;
    }
    let whole = treehash::tree_hash(&data);
    let incomplete =
        service.complete("photos", &upload, data.len() as u64, whole).await.expect_err("a part is missing");
    assert_eq!((incomplete.kind(), incomplete.is_retryable()), (Kind::Invalid, false));
    let parts = service.parts("photos", &upload).await.expect("listed");
    let starts: Vec<_> = parts.iter().map(|part| *part.range.start()).collect();
    assert_eq!(starts, [0, 4 * MIB, 6 * MIB]);
    put_part(2 * MIB).await;
    let parts = service.parts("photos", &upload).await.expect("listed");
    assert_eq!(treehash::combine(parts.iter().map(|part| part.tree_hash)), whole);
    let large = service.complete("photos", &upload, data.len() as u64, whole).await.expect("completed");
    let again = service.complete("photos", &upload, data.len() as u64, whole).await.expect("completed again");
    assert_eq!(again, large);
    let gone = service.parts("photos", &upload).await.expect_err("completed");
    assert_eq!(gone.kind(), Kind::NotFound);

    let all = service.request_retrieval("photos", &large, None, Tier::Standard).await.expect("asked");
    let range = 2 * MIB..=4 * MIB - 1;
    let some = service.request_retrieval("photos", &large, Some(range.clone()), Tier::Bulk).await.expect("asked");
    let waiting = service.job("photos", &all).await.expect("known");
    assert_eq!((&waiting.status, waiting.completed), (&JobStatus::InProgress, None));
    let Err(early) = service.fetch("photos", &all, None).await else { panic!("not ready") };
    assert_eq!((early.kind(), early.is_retryable()), (Kind::NotReady, true));
    clock.advance(DAY / 2);
    let jobs = service.jobs("photos").try_concat().await.expect("listed");
    assert!(jobs.len() == 2 && jobs.iter().all(|job| job.status == JobStatus::Succeeded), "{jobs:?}");
    let job = jobs.iter().find(|job| job.id == some).expect("listed");
    assert_eq!(job.kind, JobKind::Archive { archive_id: large.clone(), range: Some(range) });
    assert_eq!((job.size, job.tier), (Some(2 * MIB), Some(Tier::Bulk)));
    assert!(fetch(service, &all, None).await == data);
    assert!(fetch(service, &all, Some(4 * MIB..=4 * MIB + 9)).await == data[4 * MIB as usize..][..10]);
    assert!(fetch(service, &some, None).await == data[2 * MIB as usize..4 * MIB as usize]);
    assert!(fetch(service, &some, Some(MIB..=2 * MIB - 1)).await == data[3 * MIB as usize..4 * MIB as usize]);

    clock.advance(DAY);
    let job = service.request_inventory("photos").await.expect("asked");
    clock.advance(DAY / 2);
    assert_eq!(service.job("photos", &job).await.expect("known").kind, JobKind::Inventory);
    let items: Vec<_> = service.inventory("photos", &job).await.expect("flows").try_collect().await.expect("complete");
    let mut archives = Vec::new();
    for item in items {
        match item {
            InventoryItem::Generated(time) => assert!(time < clock.now()),
            InventoryItem::Archive(archive) => archives.push(archive),
        }
    }
    assert_eq!(archives.len(), 2);
    let find = |id: &str| archives.iter().find(|archive| archive.archive_id == id).expect("listed");
    let own = Description::Own { meta, partial: false };
    assert_eq!((find(&small).size, description::parse(&find(&small).description)), (11, Some(own)));
    assert_eq!((find(&large).tree_hash, find(&large).description.as_str()), (whole, "plain name.bin"));

    let full = service.delete_vault("photos").await.expect_err("it has archives");
    assert_eq!((full.kind(), full.is_retryable()), (Kind::VaultNotEmpty, false));
    service.delete_archive("photos", &small).await.expect("deleted");
    service.delete_archive("photos", &small).await.expect("deleted before");
    let gone = service.request_retrieval("photos", &small, None, Tier::Standard).await.expect_err("deleted");
    assert_eq!(gone.kind(), Kind::NotFound);
    clock.advance(2 * DAY);
    let expired = service.job("photos", &all).await.expect_err("expired");
    assert_eq!(expired.kind(), Kind::NotFound);
    place.server.stop().await;
}
