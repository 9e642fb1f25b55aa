//! The promises of restores.

use super::*;
use crate::control::wire::RestoreState;
use crate::control::wire::RestoreStatus;
use crate::util::money::Money;

impl House {
    async fn ended(&self, id: i64) -> RestoreStatus {
        eventually("the end of a restore", async || self.restore(id).await.ended.is_some()).await;
        self.restore(id).await
    }

    fn ino(&self, path: &str) -> Ino {
        tree::resolve(&self.daemon.catalog, &text(path)).expect("a path").ino
    }

    async fn restore(&self, id: i64) -> RestoreStatus {
        self.client.restore_status(id).await.expect("a restore")
    }
}

/// Promise: a restore starts one retrieval for each file that isn't local, at the tier asked for, tells how far it is, and
/// another of the same files starts nothing twice and ends with it.
#[tokio::test]
async fn files_come_back_once() {
    let house = house().await;
    let data: Vec<u8> = (0..2_500_000u32).map(|i| (i % 251) as u8).collect();
    house.write("photos/a", &data, false);
    house.write("photos/b", b"hello", false);
    house.flush(&[]).await;
    house.evict("photos/a").await.expect("evicted");
    house.write("photos/sealed", b"xyz", false);
    house.fake.hold_jobs();

    let wrong = refused(house.client.restore(&Restore { tier: Some("Fast".to_owned()), ..of(&[""]) }).await);
    assert_eq!(wrong.0, ErrorKind::Invalid);
    assert!(wrong.1.contains("\"Fast\"") && wrong.1.contains("expedited, standard or bulk"), "{}", wrong.1);

    let bulk = Restore { tier: Some("bulk".to_owned()), ..of(&["photos"]) };
    let plan = house.client.restore(&bulk).await.expect("an answer");
    assert_eq!((plan.files, plan.local_files, plan.bytes, plan.jobs), (1, 2, data.len() as u64, 1));
    assert!(plan.eta.expect("an estimate") > Timestamp::now());
    let id = plan.id.expect("a restore");
    eventually("a retrieval", async || house.fake.calls(Op::RequestRetrieval) == 1).await;
    let again = house.client.restore(&of(&["photos/a"])).await.expect("an answer");
    assert_eq!((again.files, again.jobs, again.cost), (1, 0, Money(0)), "it is on its way");
    let status = house.restore(id).await;
    assert_eq!((status.state, status.what.as_str(), status.tier.as_str()), (RestoreState::Running, "photos", "Bulk"));
    house.fake.finish_jobs();
    for id in [id, again.id.expect("a restore")] {
        let ended = house.ended(id).await;
        assert_eq!((ended.state, ended.done_files, ended.done_bytes), (RestoreState::Done, 1, data.len() as u64));
    }
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
    assert_eq!(house.fake.all_jobs()[0].tier, Some(Tier::Bulk));
    assert_eq!(house.state("photos/a").await, FileState::Cached);
    assert_eq!(house.client.restore(&of(&["photos/a"])).await.expect("an answer").id, None, "it is local");
    assert_eq!(house.client.restores().await.expect("restores").len(), 2, "what has nothing to do isn't one");
}

/// Promise: a restore tells which files have failed and why, and has ended then; another tries them again.
#[tokio::test]
async fn a_failure_is_told() {
    let house = house().await;
    house.write("photos/a", b"hello", false);
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    house.fake.fail(Op::RequestRetrieval, None, 1, When::Before, fake::error(Kind::Quota));
    let failed = house.client.restore(&of(&["photos"])).await.expect("an answer").id.expect("a restore");
    let status = house.ended(failed).await;
    assert_eq!((status.state, status.failed_files, status.done_files), (RestoreState::Done, 1, 0));
    let told: Vec<_> = status.failed.iter().map(|one| (one.path.encode(), one.reason.as_str())).collect();
    assert_eq!(told, [("photos/a".to_owned(), "injected: Quota")]);
    let again = house.client.restore(&of(&["photos"])).await.expect("an answer").id.expect("a restore");
    assert_eq!(house.ended(again).await.done_files, 1);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 2);
    let all: Vec<i64> = house.client.restores().await.expect("restores").iter().map(|one| one.id).collect();
    assert_eq!(all, [again, failed]);
}

/// Promise: a dry run tells exactly what a restore then asks for, and changes nothing: hard links once, what is on its way not at
/// all, what is here not at all.
#[tokio::test]
async fn a_dry_run_is_exact() {
    let house = house().await;
    house.write("photos/one", b"1", false);
    house.write("photos/large", &vec![7; 5_000_000], false);
    house.write("photos/local", b"here", false);
    house.write("photos/asked", b"on its way", false);
    house.flush(&[]).await;
    let ino = house.ino("photos/one");
    house.daemon.fs.link(ino, house.ino("photos"), b"again").expect("linked");
    for path in ["photos/one", "photos/large", "photos/asked"] {
        house.evict(path).await.expect("evicted");
    }
    house.fake.hold_jobs();
    house.client.restore(&of(&["photos/asked"])).await.expect("an answer");
    eventually("a retrieval", async || house.fake.calls(Op::RequestRetrieval) == 1).await;
    let writes = house.daemon.catalog.writes();
    let dry = house.client.restore(&Restore { dry_run: true, ..of(&["photos"]) }).await.expect("an answer");
    assert_eq!(house.daemon.catalog.writes(), writes, "nothing was written");
    assert_eq!((dry.id, dry.files, dry.local_files, dry.jobs, dry.job_bytes), (None, 3, 1, 2, 5_000_001));
    let before = house.daemon.recall.spent().expect("spent").day;
    let real = house.client.restore(&of(&["photos"])).await.expect("an answer");
    assert_eq!((real.jobs, real.job_bytes, real.cost), (dry.jobs, dry.job_bytes, dry.cost));
    house.fake.finish_jobs();
    house.ended(real.id.expect("a restore")).await;
    let after = house.daemon.recall.spent().expect("spent").day;
    assert_eq!(after.requests - before.requests, dry.jobs);
    assert_eq!((after.bytes - before.bytes, after.cost.0 - before.cost.0), (dry.job_bytes, dry.cost.0));
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 3);
}

/// Promise: a rate spreads the jobs over time, and says until when; what is cancelled isn't asked for, and nothing is counted for it.
#[tokio::test]
async fn rates_and_cancellation() {
    let house = house().await;
    for n in 0..5 {
        house.write(&format!("photos/{n}"), &[n; 1000], false);
    }
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    let wrong = refused(house.client.restore(&Restore { rate: Some(0), ..of(&["photos"]) }).await);
    assert_eq!(wrong.0, ErrorKind::Invalid);
    let slow = Restore { rate: Some(1000), ..of(&["photos"]) };
    let plan = house.client.restore(&slow).await.expect("an answer");
    let id = plan.id.expect("a restore");
    let hours = plan.eta.expect("an estimate").duration_since(Timestamp::now()).as_hours();
    assert!((8..=9).contains(&hours), "four hours until the last, and five for it: {hours}");
    eventually("the first file", async || house.restore(id).await.done_files == 1).await;
    let status = house.restore(id).await;
    assert_eq!(status.state, RestoreState::Waiting);
    assert!(status.until.expect("a time") > Timestamp::now());
    let cancelled = house.client.cancel_restore(id).await.expect("cancelled");
    assert_eq!((cancelled.state, cancelled.done_files), (RestoreState::Cancelled, 1));
    assert_eq!(refused(house.client.cancel_restore(id).await).0, ErrorKind::Conflict);
    assert_eq!(refused(house.client.cancel_restore(99).await).0, ErrorKind::NotFound);
    assert_eq!(house.daemon.catalog.next_job_due().expect("jobs"), None);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
    assert_eq!(house.daemon.recall.spent().expect("spent").day.requests, 1);
}

/// Promise: a reader who wants what a slow restore has for later gets it at once, and the restore counts it.
#[tokio::test]
async fn readers_come_first() {
    let house = house().await;
    house.write("photos/0", &[0; 1000], false);
    house.write("photos/1", &[1; 1000], false);
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    let slow = Restore { rate: Some(1), ..of(&["photos/0", "photos/1"]) };
    let id = house.client.restore(&slow).await.expect("an answer").id.expect("a restore");
    for name in ["photos/0", "photos/1"] {
        let inode = house.daemon.catalog.inode(house.ino(name)).expect("an inode");
        house.daemon.recall.bring(inode.content.expect("a content"), 0, 999, None).await.expect("recalled");
    }
    assert_eq!(house.ended(id).await.done_files, 2);
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 2);
}

/// Promise: patterns match within a name and, with **, across directories; a directory that matches means all that is in it; what
/// matches nothing is said; and only what was written to since is taken, if so asked.
#[tokio::test]
async fn patterns_and_times() {
    let house = house().await;
    house.daemon.fs.mkdir(house.ino("photos"), b"dir", 0o755, Caller { uid: 0, gid: 0 }).expect("made");
    for name in ["photos/a.jpg", "photos/b.png", "photos/dir/c.jpg", "docs/d.jpg"] {
        house.write(name, b"bytes", false);
    }
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    let count = async |patterns: &[&str]| {
        let dry = Restore { dry_run: true, ..of(patterns) };
        house.client.restore(&dry).await.expect("an answer").files
    };
    assert_eq!(count(&["photos/*.jpg"]).await, 1);
    assert_eq!(count(&["**/*.jpg"]).await, 3);
    assert_eq!(count(&["photos/d?r"]).await, 1);
    assert_eq!(count(&["photos/a.jpg", "photos//a.jpg", "photos/a.jpg", "photos/a.*"]).await, 1, "each once");
    assert_eq!(count(&["photos/{a,b}.*", "docs"]).await, 3);
    let none = refused(house.client.restore(&of(&["photos/*.gif"])).await);
    assert_eq!(none, (ErrorKind::NotFound, "no file matches".to_owned()));
    assert_eq!(house.client.restores().await.expect("restores"), [], "what was refused isn't one");
    assert_eq!(refused(house.client.restore(&of(&["photos/[a"])).await).0, ErrorKind::Invalid);
    assert_eq!(refused(house.client.restore(&of(&["photos/none"])).await).0, ErrorKind::NotFound);
    let since = |newer| Restore { newer: Some(newer), dry_run: true, ..of(&["photos"]) };
    assert_eq!(house.client.restore(&since(Timestamp::UNIX_EPOCH)).await.expect("an answer").files, 3);
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    assert_eq!(house.client.restore(&since(later)).await.expect("an answer").files, 0);
}

/// Promise: what is deleted or written anew while it is on its way isn't waited for, and is no failure.
#[tokio::test]
async fn what_goes_meanwhile_is_not_waited_for() {
    let house = house().await;
    house.write("photos/kept", b"kept", false);
    house.write("photos/deleted", b"deleted", false);
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    house.fake.hold_jobs();
    let id = house.client.restore(&of(&["photos"])).await.expect("an answer").id.expect("a restore");
    eventually("two retrievals", async || house.fake.calls(Op::RequestRetrieval) == 2).await;
    house.daemon.fs.unlink(house.ino("photos"), b"deleted").expect("deleted");
    house.fake.finish_jobs();
    let ended = house.ended(id).await;
    assert_eq!((ended.files, ended.done_files, ended.failed_files), (1, 1, 0));
}

/// Promise: what is cancelled while the first of its jobs are being asked for ends with these: they are paid for, so they are counted and
/// fetched, and nothing else is asked for.
#[tokio::test]
async fn a_cancellation_ends_with_what_is_being_asked_for() {
    let house = house().await;
    for n in 0..40 {
        house.write(&format!("photos/{n}"), &[n; 1000], false);
    }
    house.flush(&[]).await;
    house.evict("").await.expect("evicted");
    let held = house.fake.hold(Op::RequestRetrieval);
    let id = house.client.restore(&of(&["photos"])).await.expect("an answer").id.expect("a restore");
    held.reached(8).await;
    house.client.cancel_restore(id).await.expect("cancelled");
    assert_eq!(
        house.daemon.recall.spent().expect("spent").day.requests,
        8,
        "nobody else can have what these are counted for"
    );
    drop(held);
    // The next that is planned is asked for after all of these.
    let later = house.client.restore(&of(&["photos/39"])).await.expect("an answer").id.expect("a restore");
    house.ended(later).await;
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 9);
    let spent = house.daemon.recall.spent().expect("spent").day;
    assert_eq!((spent.requests, spent.bytes), (9, 9000));
    let cached = async || {
        let states = (0..40).map(|n| format!("photos/{n}")).map(async |path| house.state(&path).await);
        futures_util::future::join_all(states).await.into_iter().filter(|state| *state == FileState::Cached).count()
    };
    eventually("their bytes", async || cached().await == 9).await;
}
