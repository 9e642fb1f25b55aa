//! What is known held against what there is: the catalog against inventories, bytes against their tree hashes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Server;
use super::answer::Body;
use super::answer::Failure;
use crate::control::wire;
use crate::control::wire::PathText;
use crate::scrub::Check;
use crate::scrub::What;
use crate::vault;

pub(super) async fn verify(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Verify>,
) -> Result<Json<wire::Verifications>, Failure> {
    let daemon = &server.daemon;
    let vaults = match request.vaults.is_empty() {
        true => daemon.catalog.vaults()?.into_iter().map(|vault| vault.name).collect(),
        false => request.vaults,
    };
    let names: Vec<&str> = vaults.iter().map(String::as_str).collect();
    let vaults = daemon.vaults.verify(&names)?;
    Ok(Json(wire::Verifications { vaults: vaults.into_iter().map(told).collect() }))
}

pub(super) async fn scrub(State(server): State<Arc<Server>>) -> Json<wire::Check> {
    Json(check(server.daemon.scrub.check(&What::Local)))
}

pub(super) async fn sample(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Sample>,
) -> Result<Json<wire::Check>, Failure> {
    server.daemon.vaults.known(&request.vault)?;
    Ok(Json(check(server.daemon.scrub.check(&What::Vault(request.vault, request.bytes)))))
}

fn told(one: vault::Verification) -> wire::Verification {
    let (state, report, error) = match one.result {
        None => (wire::InventoryState::Waiting, None, None),
        Some(Ok(verified)) => (wire::InventoryState::Done, Some(verified), None),
        Some(Err(reason)) => (wire::InventoryState::Failed, None, Some(reason)),
    };
    wire::Verification {
        inventory_date: report.as_ref().and_then(|verified| verified.date),
        report: report.map(|verified| reported(&one.vault, verified)),
        vault: one.vault,
        state,
        started: one.started,
        eta: one.eta,
        error,
    }
}

fn reported(vault: &str, verified: vault::Verified) -> wire::Verified {
    let trouble = verified.trouble();
    let count = |found: &vault::Found| wire::FoundCount {
        what: word(*found),
        count: verified.counts[*found as usize],
        is_trouble: found.is_trouble(),
    };
    let counts = vault::FOUND.iter().map(count).filter(|count| count.count > 0).collect();
    let finding = |one: vault::Finding| wire::Finding {
        what: word(one.found),
        path: (!one.path.is_empty()).then(|| PathText([vault.as_bytes(), b"/", one.path.as_slice()].concat())),
        archive_id: one.archive_id,
        trashed: one.is_trashed,
        local: one.is_local,
        created: jiff::Timestamp::from_nanosecond(one.created.into()).unwrap_or_default(),
        size: one.size.0,
        listed_size: one.size.1,
    };
    wire::Verified {
        archives: verified.listed,
        same: verified.same,
        trouble,
        counts,
        findings: verified.findings.into_iter().map(finding).collect(),
    }
}

fn word(found: vault::Found) -> wire::Found {
    match found {
        vault::Found::Missing => wire::Found::Missing,
        vault::Found::OtherSize => wire::Found::OtherSize,
        vault::Found::OtherTreeHash => wire::Found::OtherTreeHash,
        vault::Found::Unknown => wire::Found::Unknown,
        vault::Found::Duplicate => wire::Found::Duplicate,
        vault::Found::NotYetListed => wire::Found::NotYetListed,
        vault::Found::Deleted => wire::Found::Deleted,
    }
}

fn check(check: Check) -> wire::Check {
    let bad = |bad: crate::scrub::Bad| wire::BadFile { path: PathText(bad.path), reason: bad.reason };
    wire::Check {
        good: check.good,
        good_bytes: check.good_bytes,
        skipped: check.skipped,
        bad: check.bad,
        files: check.told.into_iter().map(bad).collect(),
        chosen: check.chosen,
        chosen_bytes: check.chosen_bytes,
        done: check.ended.is_some(),
        error: check.ended.and_then(Result::err),
    }
}
