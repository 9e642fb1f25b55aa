//! Snapshots of the vaults' trees, on demand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::blocking;
use crate::control::wire;
use crate::snapshot;

pub(super) async fn take(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Snapshot>,
) -> Result<Json<wire::Snapshots>, Failure> {
    let daemon = &server.daemon;
    let vaults = match request.vaults.is_empty() {
        true => daemon.catalog.vaults()?.into_iter().map(|vault| vault.name).collect(),
        false => request.vaults,
    };
    let snapshots = daemon.snapshots.clone();
    blocking(move || {
        let take = |vault: String| Ok(told(snapshots.take(&vault, request.full)?, vault));
        let taken = vaults.into_iter().map(take).collect::<Result<_, Failure>>()?;
        Ok(Json(wire::Snapshots { snapshots: taken }))
    })
    .await
}

fn told(taken: Option<snapshot::Taken>, vault: String) -> wire::TakenSnapshot {
    match taken {
        None => wire::TakenSnapshot { vault, path: None, full: false, entries: 0, bytes: 0 },
        Some(taken) => wire::TakenSnapshot {
            path: Some(wire::PathText(snapshot::path(&vault, &taken.name).into_bytes())),
            vault,
            full: taken.kind == snapshot::Kind::Full,
            entries: taken.entries,
            bytes: taken.size,
        },
    }
}
