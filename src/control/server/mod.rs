//! Answers on the control socket.
//!
//! One handler a route, each in the file of its subject: `status`, `paths` (ls, flush), `cached` (evict, pin, cache), `restores`, `vaults`
//! (vaults, inventory, rebuild), `import`, `trash`. They keep no state but one: who is waiting (`waits`). What walks a tree or asks the
//! catalog much runs on a blocking thread. Whatever goes wrong is answered as JSON with a message for the person.

mod answer;
mod cached;
mod cost;
mod import;
mod paths;
mod restores;
mod select;
mod snapshots;
mod status;
mod trash;
mod tree;
mod vaults;
mod verify;
mod waits;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::extract::State;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use jiff::Timestamp;
use tokio::net::UnixListener;
use tokio::sync::watch;

use answer::Body;
use answer::Failure;
use waits::Waits;

use super::wire;
use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::fs::Fs;
use crate::recall::Recall;
use crate::scrub::Scrub;
use crate::snapshot::Snapshots;
use crate::upload::Uploads;
use crate::vault::Vaults;

/// Most bytes of a request: a command line full of paths fits, with all of its bytes as `%XX`.
const BODY: usize = 16 << 20;

/// What the API tells of and works on: the parts of one running mount.
pub struct Daemon {
    /// The mount's settings.
    pub config: Config,
    /// URL of the service.
    pub endpoint: String,
    /// When the daemon started.
    pub started: Timestamp,
    /// Names, contents, archives.
    pub catalog: Arc<Catalog>,
    /// What is archived and local.
    pub cache: Arc<Cache>,
    /// The file system, which knows the size of what is being written.
    pub fs: Arc<Fs>,
    /// The queue of uploads.
    pub uploads: Arc<Uploads>,
    /// Brings bytes back.
    pub recall: Arc<Recall>,
    /// The account's vaults.
    pub vaults: Arc<Vaults>,
    /// Takes snapshots of them.
    pub snapshots: Arc<Snapshots>,
    /// Checks bytes.
    pub scrub: Arc<Scrub>,
    /// Where a request to stop goes.
    pub stop: Arc<StopRequest>,
}

/// Carries `POST /v1/stop` to who stops the daemon.
#[derive(Debug, Default)]
pub struct StopRequest(watch::Sender<Option<wire::Stop>>);

impl StopRequest {
    /// Waits until a stop is asked for. Answers how long uploads may take until then; none: as configured.
    pub async fn asked(&self) -> Option<Duration> {
        let mut asked = self.0.subscribe();
        match asked.wait_for(Option::is_some).await {
            Ok(stop) => stop.as_ref()?.drain_seconds.map(Duration::from_secs),
            // The sender is `self`'s, so it isn't gone.
            Err(_) => None,
        }
    }

    fn ask(&self, stop: wire::Stop) {
        self.0.send_replace(Some(stop));
    }
}

/// What every handler works with.
struct Server {
    daemon: Arc<Daemon>,
    waits: Waits,
}

/// Makes the socket at `path`, for its owner alone. What a daemon that died left there is removed; that none is alive is
/// the caller's to know.
///
/// # Errors
/// The file system's.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers on `listener`, until the future is dropped.
pub async fn serve(listener: UnixListener, daemon: Arc<Daemon>) {
    let router = router(Arc::new(Server { daemon, waits: Waits::default() }));
    // Failed accepts are waited out and tried again in there: it doesn't end.
    if let Err(error) = axum::serve(listener, router).await {
        log::error!("the control socket doesn't answer any more: {error}");
    }
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/ls", get(paths::ls))
        .route("/v1/flush", post(paths::flush))
        .route("/v1/evict", post(cached::evict))
        .route("/v1/pin", post(cached::pin))
        .route("/v1/cache", get(cached::cache))
        .route("/v1/cost", get(cost::cost))
        .route("/v1/restore", post(restores::restore))
        .route("/v1/restores", get(restores::list))
        .route("/v1/restores/{id}", get(restores::one).delete(restores::cancel))
        .route("/v1/vaults", get(vaults::list).post(vaults::create))
        .route("/v1/vaults/{name}", get(vaults::describe).delete(vaults::delete))
        .route("/v1/inventory", post(vaults::inventory))
        .route("/v1/import", post(import::import))
        .route("/v1/rebuild", post(vaults::rebuild))
        .route("/v1/snapshot", post(snapshots::take))
        .route("/v1/verify", post(verify::verify))
        .route("/v1/scrub", post(verify::scrub))
        .route("/v1/sample", post(verify::sample))
        .route("/v1/trash/list", post(trash::list))
        .route("/v1/trash/restore", post(trash::restore))
        .route("/v1/trash/purge", post(trash::purge))
        .route("/v1/stop", post(stop))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(server.clone(), settle))
        .with_state(server)
}

/// Has what was closed before a request settled before its answer, so that who closes a file and asks finds it closed.
async fn settle(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let fs = server.daemon.fs.clone();
    // What can't be settled is tried again, and complained of, elsewhere; until then it is as if it were open.
    let _ = tokio::task::spawn_blocking(move || fs.settle()).await;
    next.run(request).await
}

async fn stop(State(server): State<Arc<Server>>, Body(stop): Body<wire::Stop>) -> StatusCode {
    log::info!("asked to stop");
    server.daemon.stop.ask(stop);
    StatusCode::ACCEPTED
}

async fn unknown(uri: Uri) -> Failure {
    Failure::not_found(format!("there is no {} in this version's control API", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let error = format!("{} doesn't take {method}", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, Json(wire::ErrorBody { error, kind: wire::ErrorKind::Invalid })).into_response()
}

#[cfg(test)]
mod tests;
