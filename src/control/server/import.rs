//! Names from other tools' databases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::blocking;
use crate::catalog::Claim;
use crate::catalog::Outcome;
use crate::control::wire;
use crate::control::wire::PathText;
use crate::service::description::Origin;
use crate::service::description::safe_path;

pub(super) async fn import(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::Import>,
) -> Result<Json<wire::Imported>, Failure> {
    let daemon = server.daemon.clone();
    let bytes: usize = request.archives.iter().flat_map(|one| &one.paths).map(|path| path.0.len()).sum();
    if bytes > wire::Import::MOST {
        return Err(Failure::invalid(format!("{bytes} bytes of paths; allowed are {}", wire::Import::MOST)));
    }
    let claims = request.archives.iter().map(claim).collect::<Result<Vec<_>, _>>()?;
    if daemon.catalog.vault(&request.vault)?.is_none() {
        // Somebody else may have made it since the list was last fetched.
        daemon.vaults.refresh().await?;
    }
    blocking(move || {
        let claimed = daemon.vaults.claim(&request.vault, &claims, request.dry_run)?;
        let archives = request.archives.into_iter().zip(claimed).map(|(claim, claimed)| wire::Claimed {
            archive_id: claim.archive_id,
            outcome: match claimed.outcome {
                Outcome::Unknown => wire::Outcome::Unknown,
                Outcome::Named => wire::Outcome::Named,
                Outcome::Adopted => wire::Outcome::Adopted,
                Outcome::Already => wire::Outcome::Already,
                Outcome::Left => wire::Outcome::Left,
                Outcome::Taken => wire::Outcome::Taken,
                Outcome::Deleted => wire::Outcome::Deleted,
            },
            path: claim.paths.into_iter().next().unwrap_or_default(),
            before: claimed.before.map(PathText),
            taken: claimed.taken.into_iter().map(PathText).collect(),
        });
        Ok(Json(wire::Imported { archives: archives.collect() }))
    })
    .await
}

fn claim(told: &wire::Claim) -> Result<Claim, Failure> {
    let components = |path: &PathText| match safe_path(&path.0, Origin::Own) {
        Some(path) => Ok(path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()),
        None => Err(Failure::invalid(format!("{path} can't be a path in a vault"))),
    };
    let nanos = |time: jiff::Timestamp| time.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    if told.paths.is_empty() {
        return Err(Failure::invalid(format!("archive {} has no path", told.archive_id)));
    }
    Ok(Claim {
        archive_id: told.archive_id.clone(),
        paths: told.paths.iter().map(components).collect::<Result<_, _>>()?,
        mtime: told.mtime.map(nanos),
        archive: told.archive.map(|archive| (archive.size, archive.tree_hash.0, nanos(archive.created))),
    })
}
