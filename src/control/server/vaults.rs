//! The account's vaults and their inventories.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Daemon;
use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::Name;
use super::waits::Wish;
use crate::catalog::ROOT;
use crate::control::wire;
use crate::fs::Caller;
use crate::service;
use crate::vault;

/// Permission bits of a new vault's directory.
const MODE: u32 = 0o755;

pub(super) async fn list(State(server): State<Arc<Server>>) -> Result<Json<wire::Vaults>, Failure> {
    let daemon = &server.daemon;
    let vaults = daemon.vaults.list().await?;
    let paused = paused(daemon);
    Ok(Json(wire::Vaults { vaults: vaults.into_iter().map(|vault| told(vault, &paused)).collect() }))
}

pub(super) async fn describe(
    State(server): State<Arc<Server>>,
    Name(name): Name,
) -> Result<Json<wire::Vault>, Failure> {
    let daemon = &server.daemon;
    Ok(Json(told(daemon.vaults.describe(&name).await?, &paused(daemon))))
}

pub(super) async fn create(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::NewVault>,
) -> Result<(StatusCode, Json<wire::Vault>), Failure> {
    let daemon = &server.daemon;
    let root = daemon.catalog.inode(ROOT)?;
    let owner = Caller { uid: root.uid, gid: root.gid };
    daemon.vaults.create(request.name.as_bytes(), MODE, owner).await?;
    daemon.vaults.changed(ROOT, request.name.as_bytes());
    daemon.uploads.try_again(&request.name);
    let made = daemon.vaults.describe(&request.name).await?;
    Ok((StatusCode::CREATED, Json(told(made, &paused(daemon)))))
}

pub(super) async fn delete(State(server): State<Arc<Server>>, Name(name): Name) -> Result<StatusCode, Failure> {
    server.daemon.vaults.delete(name.as_bytes()).await?;
    server.daemon.vaults.changed(ROOT, name.as_bytes());
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn inventory(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::InventoryOf>,
) -> Result<Json<wire::Inventory>, Failure> {
    let daemon = &server.daemon;
    if daemon.catalog.vault(&request.vault)?.is_none() {
        // Somebody else may have made it since the list was last fetched.
        daemon.vaults.refresh().await?;
    }
    let inventories = daemon.vaults.inventory(&[&request.vault], false)?;
    // One was asked for.
    let only = inventories.into_iter().next().map(|one| reported(daemon, one));
    only.map(Json).ok_or_else(|| Failure::not_found(format!("there is no vault {:?}", request.vault)))
}

pub(super) async fn rebuild(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Rebuild>,
) -> Result<Json<wire::Inventories>, Failure> {
    let daemon = &server.daemon;
    if !server.waits.is_waiting(&Wish::Rebuild) {
        daemon.vaults.refresh().await?;
    }
    let vaults = daemon.catalog.vaults()?;
    let names: Vec<&str> = vaults.iter().map(|vault| vault.name.as_str()).collect();
    let inventories = daemon.vaults.inventory(&names, request.snapshots)?;
    server.waits.answered(Wish::Rebuild);
    Ok(Json(wire::Inventories { vaults: inventories.into_iter().map(|one| reported(daemon, one)).collect() }))
}

/// Why the uploads of vaults wait, by name.
fn paused(daemon: &Daemon) -> HashMap<String, String> {
    daemon.uploads.paused().into_iter().map(|pause| (pause.vault, pause.reason)).collect()
}

fn told(vault: service::Vault, paused: &HashMap<String, String>) -> wire::Vault {
    wire::Vault {
        paused: paused.get(&vault.name).cloned(),
        name: vault.name,
        arn: vault.arn,
        created: vault.created,
        archives: vault.archives,
        bytes: vault.bytes,
        last_inventory: vault.last_inventory,
    }
}

fn reported(daemon: &Daemon, inventory: vault::Inventory) -> wire::Inventory {
    // Synology's tool puts the names of a vault's archives into a vault of its own.
    let mapping = format!("{}_mapping", inventory.vault);
    let mapping = daemon.catalog.vault(&mapping).ok().flatten().map(|vault| vault.name);
    let snapshot = inventory.snapshot.map(|snapshot| wire::SnapshotReport {
        name: snapshot.name,
        entries: snapshot.entries,
        restored: snapshot.restored,
        same: snapshot.same,
        taken: snapshot.taken,
        lost: snapshot.lost,
        damaged: snapshot.damaged,
    });
    let (state, report, error) = match inventory.state {
        vault::InventoryState::Waiting => (wire::InventoryState::Waiting, None, None),
        vault::InventoryState::Done(report) => (wire::InventoryState::Done, Some(report), None),
        vault::InventoryState::Failed(reason) => (wire::InventoryState::Failed, None, Some(reason)),
    };
    wire::Inventory {
        vault: inventory.vault,
        state,
        job_id: inventory.job_id,
        started: inventory.started,
        eta: inventory.eta,
        // The catalog keeps it as text, which says so where the service didn't tell it.
        inventory_date: inventory.date.and_then(|date| date.parse().ok()),
        report: report.map(|report| wire::Report {
            archives: report.archives,
            known: report.known,
            added: report.added,
            unnamed: report.unnamed,
            packed: report.packed,
            duplicates: report.duplicates,
            missing: report.missing,
            deleted: report.deleted,
            snapshot,
        }),
        error,
        mapping,
    }
}
