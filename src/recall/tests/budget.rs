//! The promises of the budget.

use std::sync::atomic::AtomicBool;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::catalog::Turn;
use crate::util::budget::Amount;
use crate::util::budget::Limit;
use crate::util::money::Money;

fn limits(texts: &[&str]) -> Budget {
    Budget::new(&texts.iter().map(|text| text.parse().expect("a limit")).collect::<Vec<Limit>>())
}

/// Promise: of many readers who come at once only as many cause a job as the budget allows; the others hear at once what it would
/// have taken, and nothing is asked for or counted for them.
#[tokio::test(flavor = "multi_thread")]
async fn readers_who_come_at_once_stay_within_the_budget() {
    let house = house_with(Settings { budget: limits(&["10requests/day"]), ..settings() });
    let ids: Vec<ContentId> = (0..200).map(|n| house.archive(&format!("f{n}"), &bytes(1000))).collect();
    let mut readers = JoinSet::new();
    for id in ids {
        let recall = house.recall.clone();
        readers.spawn(async move { recall.bring(id, 0, 999, None).await });
    }
    let (brought, refused): (Vec<_>, Vec<_>) = readers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((brought.len(), refused.len()), (10, 190));
    for refusal in refused {
        let error = refusal.expect_err("refused").to_string();
        assert!(error.starts_with("it would take 1 request, 1000 B, $0.0000"), "{error}");
        assert!(error.contains("of the budget of 10 requests a day, 10 requests are used, until "), "{error}");
    }
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 10);
    let spent = house.recall.spent().expect("spent");
    assert_eq!((spent.day.requests, spent.day.bytes, spent.month), (10, 10_000, spent.day));
}

/// Promise: what is read twice, or read while it is on its way, is counted once; a retrieval that the service refuses isn't counted.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_is_counted() {
    let house = house();
    let id = house.archive("a", &bytes(1000));
    for _ in 0..3 {
        house.recall.bring(id, 0, 999, None).await.expect("recalled");
    }
    assert_eq!(house.recall.spent().expect("spent").day.requests, 1);
    house.fake.fail(Op::RequestRetrieval, None, 1, When::Before, fake::error(Kind::AccessDenied));
    let refused = house.archive("b", &bytes(1000));
    house.recall.bring(refused, 0, 999, None).await.expect_err("refused");
    let spent = house.recall.spent().expect("spent");
    assert_eq!((spent.day.requests, spent.day.bytes), (1, 1000));
}

/// Promise: who reads from one end to the other gets what the budget allows asked for ahead, and no error for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn reading_ahead_stays_within_the_budget() {
    let house = house_with(Settings { budget: limits(&["3requests/day"]), ..settings() });
    let id = house.archive("a", &bytes(5 * WINDOW));
    house.recall.bring(id, 0, 0, None).await.expect("recalled");
    house.recall.ahead(id, WINDOW, None).expect("asked for");
    house.recall.bring(id, WINDOW, 3 * WINDOW - 1, None).await.expect("was asked for ahead");
    assert!(matches!(house.recall.bring(id, 3 * WINDOW, 3 * WINDOW, None).await, Err(Error::Over(_))));
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 3);
}

/// Promise: the account's retrieval policy doesn't fail a recall: it waits, visibly, and is asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_policy_holds_recalls() {
    let house = house();
    house.fake.fail(Op::RequestRetrieval, None, 1, When::Before, fake::error(Kind::Policy));
    let id = house.archive("a", &bytes(1000));
    assert!(!house.recall.start(id, 0, 999, None).expect("planned"));
    let held = async || {
        loop {
            let held = house.catalog.held_jobs(now()).expect("held");
            if let Some(held) = held.into_iter().next() {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(20), held()).await.expect("held");
    assert_eq!((held.jobs, held.bytes), (1, 1000));
    assert!(held.why.contains("Policy") && held.until > now(), "{held:?}");
    assert!(house.recall.trouble().is_none() && house.recall.failure(id).is_none());
    // As if its time had come.
    house.catalog.hold_jobs(Tier::Standard, i64::MAX, "later").expect("held");
    assert_eq!(house.catalog.next_job_due().expect("due"), Some(i64::MAX));
    assert!(!house.recall.start(id, 0, 999, None).expect("planned"), "it is on its way still");
    assert_eq!(house.fake.calls(Op::RequestRetrieval), 1);
    let spent = house.recall.spent().expect("spent");
    assert_eq!(spent.day.requests, 1);
}

/// Promise: an expedited retrieval for which there is no capacity is asked for at the standard tier, if that is allowed, and
/// counted as one; otherwise it is asked for again as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_tier_without_capacity() {
    for tier_fallback in [true, false] {
        let house = house_with(Settings { tier: Tier::Expedited, tier_fallback, ..settings() });
        house.fake.fail(Op::RequestRetrieval, None, 1, When::Before, fake::error(Kind::Capacity));
        let id = house.archive("a", &bytes(1000));
        house.recall.bring(id, 0, 999, None).await.expect("recalled");
        let tier = if tier_fallback { Tier::Standard } else { Tier::Expedited };
        assert_eq!(house.fake.all_jobs()[0].tier, Some(tier));
        let spent = house.recall.spent().expect("spent").day;
        assert_eq!((spent.requests, spent.cost), (1, settings().prices.retrieval(tier, 1000)));
    }
}

/// A price that shows which tier and size it is of.
fn price(tier: Tier, bytes: u64) -> Money {
    Money(1000 + bytes / [1, 3, 9][tier as usize])
}

/// Promise: no interleaving of readers, read-ahead, restores whose turn comes, refusals, lost jobs and adoptions, on several days,
/// passes a limit of any kind at any time; and what is counted is exactly what was asked for or is about to be.
#[test]
fn no_interleaving_passes_a_limit() {
    let seed = std::env::var("GLACIERFS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("GLACIERFS_SEED={seed}");
    const DAY: i64 = 86_400_000_000_000;
    // Days 3 to 6 of a month.
    let start = 1_790_985_600_000_000_000;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let house = house();
    house.running.abort();
    let contents: Vec<ContentId> = (0..40).map(|n| house.archive(&format!("f{n}"), &bytes(1 + n * MIB / 2))).collect();
    let budget = limits(&["25requests/day", "60requests/month", "200M/day", "0.3USD/day", "300M/month"]);
    let ranges = |size, (first, last), taken: &dyn Fn(u64) -> bool| plan::ranges(size, first, last, WINDOW, taken);
    let stop = AtomicBool::new(false);
    let asked: Mutex<Vec<(i64, Amount)>> = Mutex::default();
    let check = |day: i64| {
        let spent = house.catalog.spent(start + day * DAY).expect("spent");
        assert!(spent.day.requests <= 25 && spent.month.requests <= 60, "{spent:?}");
        assert!(spent.day.bytes <= 200 * MIB && spent.month.bytes <= 300 * MIB, "{spent:?}");
        assert!(spent.day.cost <= Money(300_000_000), "{spent:?}");
        spent
    };
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..4u64)
            .map(|worker| {
                let (house, contents, budget, ranges, asked) = (&house, &contents, &budget, &ranges, &asked);
                threads.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(seed + worker);
                    for step in 0..400 {
                        let day = step / 100;
                        let now = start + day * DAY + rng.random_range(0..DAY);
                        let terms = Terms { ranges, price: &price, budget, now };
                        let id = contents[rng.random_range(0..contents.len())];
                        let tier = [Tier::Expedited, Tier::Standard, Tier::Bulk][rng.random_range(0..3)];
                        let (a, b) = (rng.random_range(0..20 * MIB), rng.random_range(0..20 * MIB));
                        let wish = (a.min(b), a.max(b));
                        match rng.random_range(0..4) {
                            0 | 1 => {
                                let ahead = rng.random_bool(0.3);
                                house.catalog.plan_read(id, wish, tier, ahead, &terms).expect("planned");
                            }
                            _ => {
                                let planned = house.catalog.due_jobs(i64::MAX, 100).expect("jobs");
                                if planned.is_empty() {
                                    continue;
                                }
                                // Each worker has jobs of its own, as each is asked for once.
                                let mine = planned.iter().filter(|job| job.id as u64 % 4 == worker);
                                for job in mine.take(3) {
                                    if !matches!(
                                        house.catalog.charge_job(job, &terms).expect("charged"),
                                        Turn::Counted(_)
                                    ) {
                                        continue;
                                    }
                                    let size = job.last - job.first + 1;
                                    match rng.random_range(0..4) {
                                        0 => house.catalog.job_unwanted(job.id, now).expect("refused"),
                                        1 => house
                                            .catalog
                                            .job_adopted(job.id, "another's", job.first, true)
                                            .expect("adopted"),
                                        _ => {
                                            // The tier may have been changed by a reader meanwhile: what was counted is in the row.
                                            let before = house.catalog.jobs_of(job.archive.row).expect("jobs");
                                            let Some(now_is) = before.iter().find(|one| one.id == job.id) else {
                                                continue;
                                            };
                                            let amount = Amount::job(size, price(now_is.tier, size));
                                            house.catalog.job_accepted(now_is, "ours", &terms).expect("accepted");
                                            lock(asked).push((day, amount));
                                            if rng.random_bool(0.2) {
                                                house.catalog.job_lost(job.id, &terms).expect("lost");
                                            } else if rng.random_bool(0.5) {
                                                house.catalog.job_unwanted(job.id, now).expect("done");
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        let watcher = threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                (0..4).for_each(|day| _ = check(day));
            }
        });
        for worker in workers {
            worker.join().expect("no panic");
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().expect("no limit was passed");
    });
    // What is planned and counted yet, and what was asked for, is all that is counted.
    for job in house.catalog.due_jobs(i64::MAX, 10_000).expect("jobs") {
        house.catalog.job_unwanted(job.id, now()).expect("dropped");
    }
    let spent: u64 = (0..4).map(|day| check(day).day.requests).sum();
    assert_eq!(spent, lock(&asked).len() as u64);
    let month = check(3).month;
    let sum = lock(&asked).iter().fold(Amount::default(), |sum, (_, amount)| sum.plus(*amount));
    assert_eq!((month.requests, month.bytes), (sum.requests, sum.bytes));
    assert!(spent > 30, "the limits were reached: {spent}");
}
