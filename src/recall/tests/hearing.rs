//! The promises of hearing: what others say of a job makes recalls look at it, and only what the service says of it counts.

use super::*;

/// How long a retrieval was said to take so far: looks that nobody asks for come too late for these tests.
const HOURS: Duration = Duration::from_secs(4 * 3600);
const SOON: Duration = Duration::from_secs(2);

/// A house that is told of jobs, with one read that waits for a job that runs; and its name.
async fn waiting_house() -> (House, ContentId, String, JoinHandle<Result<(), Error>>) {
    let house = house();
    house.recall.expected.note(&house.catalog, Tier::Standard, HOURS).expect("noted");
    house.recall.listens(Ok(()));
    house.fake.hold_jobs();
    let id = house.archive("a", &bytes(1000));
    let recall = house.recall.clone();
    let reader = tokio::spawn(async move { recall.bring(id, 0, 999, None).await });
    // The vault is listed for what is on its way, and when the job is new; then not for long.
    eventually(|| house.fake.calls(Op::Jobs) >= 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let job_id = house.fake.all_jobs()[0].id.clone();
    (house, id, job_id, reader)
}

async fn eventually(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("in time");
}

/// Promise: who waits for a job that somebody says has ended goes on within moments, without a list of the vault's jobs.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_looks_at_once() {
    let (house, id, job_id, reader) = waiting_house().await;
    let listed = house.fake.calls(Op::Jobs);
    house.fake.finish_jobs();
    house.recall.told("v", &job_id).await;
    tokio::time::timeout(SOON, reader).await.expect("at once").expect("no panic").expect("recalled");
    assert_eq!(house.local(id, 0, 999), bytes(1000));
    assert_eq!((house.fake.calls(Op::Jobs), house.fake.calls(Op::Job)), (listed, 1));
}

/// Promise: that somebody says so doesn't make a job ready, nor one of a vault or a name that isn't waited for be asked about.
#[tokio::test(flavor = "multi_thread")]
async fn hearsay_is_no_more_than_that() {
    let (house, _, job_id, reader) = waiting_house().await;
    for (vault, job) in [("v", "another"), ("another", job_id.as_str()), ("", ""), ("v", "' OR 1=1 --")] {
        house.recall.told(vault, job).await;
    }
    assert_eq!(house.fake.calls(Op::Job), 0);
    for _ in 0..3 {
        house.recall.told("v", &job_id).await;
    }
    assert_eq!(house.fake.calls(Op::Job), 3);
    assert!(!reader.is_finished());
    assert_eq!(house.fake.calls(Op::Fetch), 0);
    house.fake.finish_jobs();
    house.recall.told("v", &job_id).await;
    tokio::time::timeout(SOON, reader).await.expect("at once").expect("no panic").expect("recalled");
    eventually(|| house.catalog.jobs(JobState::Ready, 9, &|_| false).expect("jobs").is_empty()).await;
    house.recall.told("v", &job_id).await;
    assert_eq!(house.fake.calls(Op::Job), 4, "it isn't waited for any more");
}

/// Promise: many who say the same at once, while it is found out in other ways too, fetch an output once, and have a job that failed
/// or was forgotten end, or be asked for again, once.
#[tokio::test(flavor = "multi_thread")]
async fn many_say_the_same() {
    for end in ["succeeded", "failed", "forgotten"] {
        let (house, id, job_id, reader) = waiting_house().await;
        match end {
            "succeeded" => house.fake.finish_jobs(),
            "failed" => house.fake.fail_jobs("the archive fell off the shelf"),
            _ => {
                // The next one runs no longer than it must.
                house.fake.finish_jobs();
                house.fake.expire_jobs();
            }
        }
        let mut tellers = JoinSet::new();
        for _ in 0..20 {
            let (recall, job_id) = (house.recall.clone(), job_id.clone());
            tellers.spawn(async move { recall.told("v", &job_id).await });
        }
        // As if nobody told: all vaults are listed.
        house.recall.listens(Err("gone".to_owned()));
        tellers.join_all().await;
        let outcome = tokio::time::timeout(Duration::from_secs(20), reader).await.expect("in time").expect("no panic");
        assert_eq!(outcome.is_ok(), end != "failed", "{end}: {outcome:?}");
        assert_eq!(house.fake.calls(Op::RequestRetrieval), if end == "forgotten" { 2 } else { 1 }, "{end}");
        assert_eq!(house.fake.calls(Op::Fetch), if end == "failed" { 0 } else { 1 }, "{end}");
        if end == "failed" {
            house.fake.finish_jobs();
            house.recall.bring(id, 0, 999, None).await.expect("the next read isn't told of the last one's failure");
        }
    }
}

/// Promise: an answer that comes when the job has been found out and fetched in another way isn't taken for one about the next job.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_late() {
    let (house, _, job_id, reader) = waiting_house().await;
    let row = house.catalog.jobs(JobState::Accepted, 9, &|_| false).expect("jobs")[0].id;
    let held = house.fake.hold(Op::Job);
    let recall = house.recall.clone();
    let told = tokio::spawn(async move { recall.told("v", &job_id).await });
    held.reached(1).await;
    house.fake.finish_jobs();
    house.recall.listens(Err("gone".to_owned()));
    reader.await.expect("no panic").expect("recalled");
    eventually(|| house.catalog.jobs(JobState::Ready, 9, &|_| false).expect("jobs").is_empty()).await;
    house.fake.hold_jobs();
    let id = house.archive("b", &bytes(1000));
    house.recall.start(id, 0, 999, None).expect("planned");
    eventually(|| !house.catalog.jobs(JobState::Accepted, 9, &|_| false).expect("jobs").is_empty()).await;
    let next = house.catalog.jobs(JobState::Accepted, 9, &|_| false).expect("jobs");
    assert_eq!(next[0].id, row, "rows are used again: otherwise this shows nothing");
    drop(held);
    told.await.expect("no panic");
    let left = house.catalog.jobs(JobState::Accepted, 9, &|_| false).expect("jobs");
    assert_eq!(left.iter().map(|job| &job.job_id).collect::<Vec<_>>(), [&next[0].job_id]);
}

/// Promise: when the service can't be asked about a job that somebody says has ended, it is asked soon again.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_asked_is_asked_again() {
    let (house, _, job_id, reader) = waiting_house().await;
    house.fake.finish_jobs();
    house.fake.fail(Op::Job, None, 1, When::Before, fake::error(Kind::Unavailable));
    house.recall.told("v", &job_id).await;
    tokio::time::timeout(SOON, reader).await.expect("soon").expect("no panic").expect("recalled");
}

/// Promise: a job that nobody tells of is found out all the same, though those who tell are heard.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_is_found() {
    let house = house();
    house.recall.listens(Ok(()));
    house.fake.hold_jobs();
    let id = house.archive("a", &bytes(1000));
    let recall = house.recall.clone();
    let reader = tokio::spawn(async move { recall.bring(id, 0, 999, None).await });
    eventually(|| !house.fake.all_jobs().is_empty()).await;
    house.fake.finish_jobs();
    tokio::time::timeout(Duration::from_secs(20), reader).await.expect("in time").expect("no panic").expect("recalled");
    assert_eq!(house.fake.calls(Op::Job), 0);
}

/// Promise: as soon as nobody tells any more, that is told, nothing waits for it, and jobs are looked at as without it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_heard() {
    let (house, _, _, reader) = waiting_house().await;
    house.fake.finish_jobs();
    house.recall.listens(Err("no such queue".to_owned()));
    tokio::time::timeout(SOON, reader).await.expect("at once").expect("no panic").expect("recalled");
    let trouble = house.recall.hears_nothing().expect("it is told");
    assert_eq!(trouble.reason, "no such queue");
    assert!(house.recall.trouble().is_none(), "nothing is kept from moving");
    house.recall.listens(Err("no connection".to_owned()));
    let later = house.recall.hears_nothing().expect("it is told");
    assert_eq!((later.reason.as_str(), later.since), ("no connection", trouble.since));
    house.recall.listens(Ok(()));
    assert!(house.recall.hears_nothing().is_none());
}
