//! Restores: planned, told of, cancelled.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::Daemon;
use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::Name;
use super::answer::blocking;
use super::select::Selection;
use crate::catalog;
use crate::catalog::ContentId;
use crate::catalog::Restore;
use crate::catalog::now;
use crate::control::wire;
use crate::control::wire::PathText;
use crate::control::wire::RestorePlan;
use crate::control::wire::RestoreState;
use crate::control::wire::RestoreStatus;
use crate::recall::Estimate;
use crate::service::Tier;
use crate::util::clock;

/// How many files that can't be brought back are named.
const NAMED: usize = 100;
/// How much of the paths is kept for people, in characters.
const WHAT: usize = 200;

pub(super) async fn restore(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Restore>,
) -> Result<Json<RestorePlan>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || plan(&daemon, &request)).await?))
}

pub(super) async fn list(State(server): State<Arc<Server>>) -> Result<Json<wire::Restores>, Failure> {
    let daemon = server.daemon.clone();
    let restores = blocking(move || {
        let restores = daemon.catalog.restores()?.into_iter();
        restores.map(|restore| status(&daemon, restore, 0)).collect::<Result<_, _>>()
    });
    Ok(Json(wire::Restores { restores: restores.await? }))
}

pub(super) async fn one(State(server): State<Arc<Server>>, Name(id): Name) -> Result<Json<RestoreStatus>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || status(&daemon, find(&daemon, &id)?, NAMED)).await?))
}

pub(super) async fn cancel(State(server): State<Arc<Server>>, Name(id): Name) -> Result<Json<RestoreStatus>, Failure> {
    let daemon = server.daemon.clone();
    let cancelled = blocking(move || {
        let restore = find(&daemon, &id)?;
        if !daemon.catalog.cancel_restore(restore.id, now())? {
            return Err(Failure::conflict(format!("restore {} has ended already", restore.id)));
        }
        status(&daemon, find(&daemon, &id)?, 0)
    });
    Ok(Json(cancelled.await?))
}

fn find(daemon: &Daemon, id: &str) -> Result<Restore, Failure> {
    let missing =
        || Failure::not_found(format!("there is no restore {id:?}: `glacierfs restore list` shows those there are"));
    let number: i64 = id.parse().map_err(|_| missing())?;
    daemon.catalog.restore(number)?.ok_or_else(missing)
}

fn plan(daemon: &Daemon, request: &wire::Restore) -> Result<RestorePlan, Failure> {
    let recall = &daemon.recall;
    let tier: Option<Tier> = request.tier.as_deref().map(str::parse).transpose().map_err(Failure::invalid)?;
    if request.rate == Some(0) {
        return Err(Failure::invalid("a rate of 0 bytes an hour brings nothing: allowed is 1 or more".to_owned()));
    }
    let selection = Selection::new(&daemon.catalog, &request.paths, request.newer)?;
    let tier = tier.unwrap_or(recall.tier());
    let takes = recall.takes(tier);
    let mut plan =
        RestorePlan { tier: tier.to_string(), prices_date: recall.prices().date.clone(), ..Default::default() };
    let mut estimate = Estimate::default();
    let mut restore = match request.dry_run {
        true => None,
        false => Some(recall.begin_restore(&what(&request.paths), Some(tier), request.rate)?),
    };
    let planned = selection.visit(&daemon.catalog, |files| {
        let mut wanted: Vec<ContentId> = Vec::new();
        for file in files {
            let content = file.content;
            if content.is_local() {
                plan.local_files += 1;
            } else if content.state != catalog::State::Archived {
                let reason = "it is neither local nor archived".to_owned();
                plan.failed.push(wire::Failure { path: file.path, reason, retrying: false });
            } else {
                recall.estimate(&content, tier, &mut estimate)?;
                wanted.push(content.id);
            }
        }
        match &mut restore {
            Some(restore) if !wanted.is_empty() => Ok(recall.add_to_restore(restore, &wanted)?),
            _ => Ok(()),
        }
    });
    // Before any of it is asked for, and counted.
    let over = recall.over(estimate.jobs)?;
    let due = restore.as_ref().map_or_else(|| paced(request.rate, estimate.bytes), |restore| timestamp(restore.due));
    match restore {
        // One that has nothing to do, or of which not all could be planned, was never there.
        Some(restore) if planned.is_err() || restore.files == 0 => recall.give_up(&restore)?,
        Some(restore) => {
            recall.go_on(&restore)?;
            plan.id = Some(restore.id);
        }
        None => {}
    }
    planned?;
    plan.files = estimate.files;
    plan.bytes = estimate.bytes;
    plan.jobs = estimate.jobs.requests;
    plan.job_bytes = estimate.jobs.bytes;
    plan.cost = estimate.jobs.cost;
    // What doesn't fit waits for the limit's next period, for the first of them at least.
    let due = over.as_ref().map_or(due, |over| due.max(timestamp(over.until)));
    plan.eta = (plan.files > 0).then(|| clock::add(due, takes));
    plan.over_budget = over.map(|over| over.to_string());
    Ok(plan)
}

/// When the last of `bytes` bytes is asked for at `rate` bytes an hour.
fn paced(rate: Option<u64>, bytes: u64) -> Timestamp {
    let seconds = rate.map_or(0.0, |rate| bytes as f64 * 3600.0 / rate as f64);
    clock::add(Timestamp::now(), std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX))
}

fn what(paths: &[PathText]) -> String {
    let all = paths.iter().map(PathText::encode).collect::<Vec<_>>().join(" ");
    match all.char_indices().nth(WHAT) {
        Some((end, _)) => format!("{}…", &all[..end]),
        None => all,
    }
}

fn status(daemon: &Daemon, restore: Restore, named: usize) -> Result<RestoreStatus, Failure> {
    let (mut until, mut reason) = (None, None);
    let state = match restore.ended {
        Some(_) if restore.cancelled => RestoreState::Cancelled,
        Some(_) => RestoreState::Done,
        None => match daemon.catalog.restore_state(restore.id, now())? {
            catalog::RestoreState::UnderWay => RestoreState::Running,
            catalog::RestoreState::Waiting(due) => {
                until = Some(timestamp(due));
                RestoreState::Waiting
            }
            catalog::RestoreState::Held(due, why) => {
                until = Some(timestamp(due));
                reason = Some(why);
                RestoreState::Held
            }
        },
    };
    let failures = daemon.catalog.restore_failures(restore.id, named)?.into_iter().map(|failure| wire::Failure {
        path: PathText(failure.path),
        reason: failure.why,
        retrying: false,
    });
    let last = until.unwrap_or(Timestamp::MIN).max(timestamp(restore.due));
    Ok(RestoreStatus {
        failed: failures.collect(),
        eta: restore.ended.is_none().then(|| clock::add(last, daemon.recall.takes(restore.tier))),
        id: restore.id,
        what: restore.what,
        tier: restore.tier.to_string(),
        rate: restore.rate,
        created: timestamp(restore.created),
        ended: restore.ended.map(timestamp),
        state,
        until,
        reason,
        files: restore.files,
        bytes: restore.bytes,
        done_files: restore.done_files,
        done_bytes: restore.done_bytes,
        failed_files: restore.failed,
    })
}

fn timestamp(nanos: i64) -> Timestamp {
    // 292 years either way are within a Timestamp's range.
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::MAX)
}
