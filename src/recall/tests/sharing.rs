//! The promises of sharing: nothing is retrieved that is here, or on its way, whoever asked for it.

use std::collections::HashMap;
use std::collections::HashSet;

use jiff::SignedDuration;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::service::JobKind;

/// Promise: a job that another machine has asked for is shared: what it has is fetched from its output, nothing is asked for a
/// second time, and nothing is counted for it.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_another_machine_are_shared() {
    let house = house();
    let data = bytes(4 * WINDOW + 5);
    let id = house.archive("a", &data);
    let archive = house.catalog.content(id).expect("content").archive.expect("archive").archive_id;
    // A second half, say, of which a window is wanted here.
    house.fake.request_retrieval("v", &archive, Some(2 * WINDOW..=4 * WINDOW - 1), Tier::Bulk).await.expect("a job");
    house.fake.age_jobs(SignedDuration::from_hours(1));
    house.recall.bring(id, 3 * WINDOW, 4 * WINDOW - 1, None).await.expect("recalled");
    assert_eq!(house.local(id, 3 * WINDOW, 4 * WINDOW - 1), data[3 * WINDOW as usize..4 * WINDOW as usize]);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
    assert_eq!(house.recall.spent().expect("spent").day.requests, 0);
    house.recall.bring(id, 0, data.len() as u64 - 1, None).await.expect("recalled");
    assert_eq!(house.local(id, 0, data.len() as u64 - 1), data);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 4, "two windows and the end weren't on their way");
}

/// Promise: an output that can't be verified, because its job began somewhere in the tree, or that expires before it could be
/// fetched, isn't relied on.
#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_are_no_use_are_not_shared() {
    for (range, age) in [(WINDOW - MIB..=3 * WINDOW - 1, 1), (0..=4 * WINDOW - 1, 30)] {
        let house = house();
        let id = house.archive("a", &bytes(4 * WINDOW));
        let archive = house.catalog.content(id).expect("content").archive.expect("archive").archive_id;
        house.fake.request_retrieval("v", &archive, Some(range), Tier::Bulk).await.expect("a job");
        house.fake.age_jobs(SignedDuration::from_hours(age));
        house.recall.bring(id, WINDOW, WINDOW, None).await.expect("recalled");
        assert_eq!(house.fake.calls(Op::RequestRetrieval), 2);
    }
}

/// Promise: of a file that is read from one end to the other no more is asked for ahead than half of the cache holds; as the reader goes
/// on, so does that, and nothing is asked for twice.
#[tokio::test(flavor = "multi_thread")]
async fn reading_ahead_stays_within_the_cache() {
    let tmp = tempfile::tempdir().expect("temporary directory");
    let house = open(tmp, Fake::new(&["v"]), settings(), 4 * WINDOW);
    let id = house.archive("a", &bytes(8 * WINDOW));
    house.recall.bring(id, 0, 0, None).await.expect("recalled");
    house.fake.hold_jobs();
    let asked = async |n: usize| {
        while house.fake.all_jobs().len() < n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(house.fake.all_jobs().len(), n);
    };
    // The half window that is read, and two on from there, touch three.
    house.recall.ahead(id, WINDOW / 2, None).expect("asked for");
    asked(3).await;
    house.recall.ahead(id, WINDOW / 2, None).expect("asked for");
    house.recall.ahead(id, WINDOW, None).expect("asked for");
    asked(3).await;
    house.recall.ahead(id, 3 * WINDOW, None).expect("asked for");
    asked(5).await;
}

/// Promise: no byte is retrieved while it is local or a job has it whose output can still be fetched, whatever is read in whatever
/// order, and however outputs break off, come damaged or are forgotten by the service; and what is read is what was stored.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_is_retrieved_twice() {
    let seed = std::env::var("GLACIERFS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("GLACIERFS_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let house = house();
    let sizes = [1, MIB, MIB + 1, 3 * MIB, WINDOW, WINDOW + 1, 2 * WINDOW + 3 * MIB + 7];
    let files: Vec<(ContentId, Vec<u8>)> =
        sizes.iter().map(|size| (house.archive(&format!("f{size}"), &bytes(*size)), bytes(*size))).collect();
    let by_archive: HashMap<String, ContentId> = files
        .iter()
        .map(|(id, _)| (house.catalog.content(*id).expect("content").archive.expect("archive").archive_id, *id))
        .collect();
    let mut seen = HashSet::new();
    for step in 0..150 {
        let (id, data) = &files[rng.random_range(0..files.len())];
        let size = data.len() as u64;
        let (a, b) = (rng.random_range(0..size), rng.random_range(0..size));
        let (first, last) = (a.min(b), a.max(b));
        // What is here, or can be fetched, before.
        let mut have: HashSet<(ContentId, u64)> = HashSet::new();
        for (id, data) in &files {
            let content = house.catalog.content(*id).expect("content");
            let mibs = 0..(data.len() as u64).div_ceil(MIB);
            have.extend(mibs.filter(|mib| content.has(mib * MIB, mib * MIB)).map(|mib| (*id, mib)));
        }
        let mut forgets = false;
        match rng.random_range(0..6) {
            0 => {
                house.cache.evict(*id).expect("evict");
                have.retain(|(evicted, _)| evicted != id);
                // Its outputs of before are good no more than its bytes.
                house.fake.expire_jobs();
            }
            1 => house.fake.cut_outputs(2),
            2 => house.fake.spoil_outputs(1),
            3 => forgets = true,
            _ => {}
        }
        if forgets {
            // The job is forgotten while a part of its output is here already.
            let held = house.fake.hold(Op::Fetch);
            let recall = house.recall.clone();
            let id = *id;
            let reader = tokio::spawn(async move { recall.bring(id, first, last, None).await });
            if !house.catalog.content(id).expect("content").has(first, last) {
                // What it needs may be under way since an earlier step.
                let _ = tokio::time::timeout(Duration::from_millis(200), held.reached(1)).await;
                held.let_pass(1);
                // Perhaps the one that was let pass is noted by then, perhaps not.
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
                house.fake.expire_jobs();
            }
            drop(held);
            reader.await.expect("no panic").expect("recalled");
        } else {
            house.recall.bring(*id, first, last, None).await.expect("recalled");
        }
        assert_eq!(house.local(*id, first, last), data[first as usize..=last as usize], "step {step}");
        // What was asked for in this step.
        for job in house.fake.all_jobs() {
            let JobKind::Archive { archive_id, range: Some(range) } = &job.kind else { continue };
            if !seen.insert(job.id.clone()) {
                continue;
            }
            let id = by_archive[archive_id];
            for mib in range.start() / MIB..=range.end() / MIB {
                assert!(have.insert((id, mib)), "step {step}: MiB {mib} of a file was there, and is retrieved again");
            }
        }
    }
}
