//! The client while a fifth of its requests goes wrong: what it reports is true, or it reports an error.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use glacierfs::glacier::client::{Error, JobFilter, Payload};
use glacierfs::glacier::treehash::{self, PayloadHash, TreeHash};
use glacierfs::glacier::wire::{JobParameters, JobType};
use glacierfs::service::{ArchiveRecord, ArchiveService, Glacier, InventoryItem};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::Value;

use crate::faulty::{Place, VAULT};
use crate::kinds::kinds;

const MIB: usize = 1 << 20;
/// Endpoints at a time.
const KINDS_AT_ONCE: usize = 6;
/// Requests at a time at each.
const AT_ONCE: usize = 8;

/// What the client said of an upload.
enum Said {
    Archived(String),
    MaybeArchived,
    NotArchived,
}

/// One archive that was to be, by its description.
struct Wish {
    description: String,
    data: Vec<u8>,
    said: Said,
}

/// Promise: at a fifth of all requests with a fault of any one kind, what is reported as archived is in the vault once with the
/// right bytes, what is reported as refused isn't, nothing is there twice, no wrong byte passes for a right one, no part of a
/// list for the list, and every error says what failed where.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_is_believed() {
    let seed = rand::random();
    println!("seed {seed}");
    let kinds = stream::iter(kinds()).map(|(kind, fault)| try_kind(kind, fault, seed));
    kinds.buffer_unordered(KINDS_AT_ONCE).collect::<()>().await;
}

async fn try_kind(kind: &'static str, fault: Value, seed: u64) {
    let place = Place::start(seed).await;
    place.spoil("*", &fault).await;
    let wishes = upload(&place, kind, seed).await;
    let mut struck = place.heal().await;
    let archives = inventory(&place).await;
    let mut there: HashMap<&str, Vec<&ArchiveRecord>> = HashMap::new();
    for archive in &archives {
        there.entry(&archive.description).or_default().push(archive);
    }
    for wish in &wishes {
        let found = there.remove(wish.description.as_str()).unwrap_or_default();
        let what = format!("{kind}: {} with {} bytes", wish.description, wish.data.len());
        assert!(found.len() <= 1, "{what} is there twice");
        for archive in &found {
            assert_eq!(archive.tree_hash, treehash::tree_hash(&wish.data), "{what}");
        }
        match &wish.said {
            Said::Archived(id) => assert!(found.iter().any(|archive| archive.archive_id == *id), "{what} isn't there"),
            Said::NotArchived => assert!(found.is_empty(), "{what} is there"),
            Said::MaybeArchived => {}
        }
    }
    assert!(there.is_empty(), "{kind}: nobody uploaded {there:?}");

    let archived = wishes.into_iter().filter_map(|wish| match wish.said {
        Said::Archived(id) => Some((id, Arc::new(wish.data))),
        _ => None,
    });
    let archived: Vec<_> = archived.collect();
    assert!(archived.len() > 5, "{kind}: only {} were archived", archived.len());
    let jobs = retrieve(&place, &archived).await;
    struck += download(&place, kind, &fault, &jobs).await;
    struck += list(&place, kind, &fault, &archives).await;
    assert!(struck > 0, "{kind}: there were no faults");
}

/// An error of the client, which must say what failed where.
fn said(kind: &str, error: &Error) -> Said {
    let text = error.to_string();
    let start = format!("{} at http://127.0.0.1:", error.operation());
    assert!(text.starts_with(&start) && text.len() > start.len() + 10, "{kind}: {text}");
    if error.outcome_is_unknown() { Said::MaybeArchived } else { Said::NotArchived }
}

/// Uploads small archives at once, and large ones in parts.
async fn upload(place: &Place, kind: &str, seed: u64) -> Vec<Wish> {
    let mut random = StdRng::seed_from_u64(seed);
    let sizes: Vec<usize> =
        (0..20).map(|_| random.random_range(1..150_000)).chain((0..3).map(|n| 3 * MIB + n * 77_777)).collect();
    let wishes = sizes.into_iter().enumerate().map(|(n, size)| {
        let mut data = vec![0; size];
        random.fill_bytes(&mut data);
        (format!("wish {n}"), data)
    });
    let wishes: Vec<_> = wishes.collect();
    let uploads = wishes.into_iter().map(|(description, data)| async move {
        let result = match data.len() < MIB {
            true => whole(place, &description, &data).await,
            false => in_parts(place, kind, &description, &data).await,
        };
        let said = result.map_or_else(|error| said(kind, &error), Said::Archived);
        Wish { description, data, said }
    });
    stream::iter(uploads).buffer_unordered(AT_ONCE).collect().await
}

async fn hashed(data: &[u8]) -> (Payload, PayloadHash) {
    let payload = Payload::bytes(data.to_vec());
    let hash = payload.hash().await.expect("in memory");
    (payload, hash)
}

async fn whole(place: &Place, description: &str, data: &[u8]) -> Result<String, Error> {
    let (payload, hash) = hashed(data).await;
    place.client.upload_archive(VAULT, description, &payload, &hash).await
}

async fn in_parts(place: &Place, kind: &str, description: &str, data: &[u8]) -> Result<String, Error> {
    let client = &place.client;
    let upload = client.initiate_multipart_upload(VAULT, description, MIB as u64).await?;
    for (n, part) in data.chunks(MIB).enumerate() {
        let (payload, hash) = hashed(part).await;
        let mut tries = 0;
        while let Err(error) = client.upload_part(VAULT, &upload, (n * MIB) as u64, &payload, &hash).await {
            said(kind, &error);
            tries += 1;
            if tries > 3 || !error.is_retryable() {
                return Err(error);
            }
        }
    }
    client.complete_multipart_upload(VAULT, &upload, data.len() as u64, treehash::tree_hash(data)).await
}

/// The vault's inventory, without faults.
async fn inventory(place: &Place) -> Vec<ArchiveRecord> {
    // What the client has given up on may still be about to be done.
    tokio::time::sleep(Duration::from_secs(1)).await;
    place.take_inventory().await;
    let service = Glacier::new(place.patient.clone());
    let job = service.request_inventory(VAULT).await.expect("requested");
    archives(service.inventory(VAULT, &job).await.expect("flows").try_collect().await.expect("complete"))
}

fn archives(items: Vec<InventoryItem>) -> Vec<ArchiveRecord> {
    let archives = items.into_iter().filter_map(|item| match item {
        InventoryItem::Archive(archive) => Some(archive),
        InventoryItem::Generated(_) => None,
    });
    archives.collect()
}

/// Retrieval jobs for `archived`, ready.
async fn retrieve(place: &Place, archived: &[(String, Arc<Vec<u8>>)]) -> Vec<(String, Arc<Vec<u8>>)> {
    let mut jobs = Vec::new();
    for (id, data) in archived {
        let parameters = JobParameters {
            job_type: Some(JobType::ArchiveRetrieval),
            archive_id: Some(id.clone()),
            ..Default::default()
        };
        jobs.push((place.patient.initiate_job(VAULT, &parameters).await.expect("initiated"), data.clone()));
    }
    jobs
}

/// Downloads each archive whole and, where it has them, in ranges with a hash of their own.
async fn download(place: &Place, kind: &str, fault: &Value, jobs: &[(String, Arc<Vec<u8>>)]) -> u64 {
    place.spoil("GetJobOutput", fault).await;
    let ranges = jobs.iter().flat_map(|(job, data)| {
        let last = data.len() - 1;
        let mut ranges = vec![None, Some(0..=last)];
        if data.len() > 2 * MIB {
            ranges.extend([Some(MIB..=2 * MIB - 1), Some(0..=2 * MIB - 1), Some(3 * MIB..=last)]);
        }
        ranges.into_iter().map(move |range| (job, data, range))
    });
    let fetched: Vec<_> =
        stream::iter(ranges.filter(|(_, data, range)| range.as_ref().is_none_or(|r| *r.start() < data.len())))
            .map(|(job, data, range)| async move {
                match fetch(place, job, range.clone()).await {
                    Ok((bytes, hash)) => {
                        let wanted = range.map_or(&data[..], |range| &data[range]);
                        // What the whole must be is known from the upload.
                        let hash = if wanted.len() == data.len() { Some(treehash::tree_hash(data)) } else { hash };
                        let right = hash.expect("aligned ranges have a hash") == treehash::tree_hash(&bytes);
                        assert!(!right || bytes == wanted, "{kind}: wrong bytes pass for right ones");
                        right
                    }
                    Err(error) => {
                        said(kind, &error);
                        false
                    }
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
    let struck = place.heal().await;
    let wrong = fetched.iter().filter(|right| !**right).count() as u64;
    assert!(wrong < fetched.len() as u64, "{kind}: nothing came");
    if kind == "wrong byte" {
        assert_eq!(wrong, struck, "each is noticed");
    }
    struck
}

async fn fetch(
    place: &Place,
    job: &str,
    range: Option<RangeInclusive<usize>>,
) -> Result<(Vec<u8>, Option<TreeHash>), Error> {
    let range = range.map(|range| *range.start() as u64..=*range.end() as u64);
    let output = place.client.get_job_output(VAULT, job, range).await?;
    let bytes = output.stream.try_collect::<Vec<_>>().await?.concat();
    Ok((bytes, output.tree_hash))
}

/// Lists vaults, jobs and archives. The service gives no hash of these, so a wrong byte can pass; nothing else can.
async fn list(place: &Place, kind: &str, fault: &Value, known: &[ArchiveRecord]) -> u64 {
    let (healthy, filter) = (&place.patient, JobFilter::default());
    let job = Glacier::new(healthy.clone()).request_inventory(VAULT).await.expect("requested");
    let vaults = healthy.list_vaults().await.expect("listed");
    let jobs = healthy.list_jobs(VAULT, &filter).await.expect("listed");
    let described = healthy.describe_job(VAULT, &job).await.expect("described");

    let (client, service) = (&place.client, Glacier::new(place.client.clone()));
    place.spoil("*", fault).await;
    let exact = kind != "wrong byte";
    let round = async || {
        match client.list_vaults().await {
            Ok(listed) => assert!(!exact || listed == vaults, "{kind}: {listed:?}"),
            Err(error) => drop(said(kind, &error)),
        }
        match client.list_jobs(VAULT, &filter).await {
            Ok(listed) => assert!(!exact || listed == jobs, "{kind}: {listed:?}"),
            Err(error) => drop(said(kind, &error)),
        }
        match client.describe_job(VAULT, &job).await {
            Ok(answer) => assert!(!exact || answer == described, "{kind}: {answer:?}"),
            Err(error) => drop(said(kind, &error)),
        }
        let read = async { service.inventory(VAULT, &job).await?.try_collect().await };
        match read.await {
            Ok(items) => assert!(!exact || archives(items) == known, "{kind}: another inventory"),
            Err(error) => assert!(error.is_retryable() && error.to_string().len() > 20, "{kind}: {error}"),
        }
    };
    join_all((0..5).map(|_| round())).await;
    place.heal().await
}
