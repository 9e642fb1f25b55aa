//! Asks a daemon over its Unix socket. Each method is one route of the API, each request a connection of its own;
//! the errors tell a person what to do.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::*;

/// Longest wait for an answer. Answers come at once but for those that ask the service first.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a segment of a path, or a query's value, can't hold as it is.
const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a daemon didn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens on the socket.
    #[error("no daemon answers at {socket}: {source}; is it running?")]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The socket is another user's.
    #[error("the daemon at {0} belongs to another user: run this as that user, or with sudo")]
    Permission(PathBuf),
    /// The connection broke.
    #[error("the daemon at {socket} went away before it answered: {reason}")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// No answer in time.
    #[error("the daemon at {0} didn't answer within {seconds} seconds", seconds = PATIENCE.as_secs())]
    Silent(PathBuf),
    /// The answer isn't one of this version's.
    #[error("the daemon is version {daemon} and this command {ours}: unmount and mount again to bring them together ({detail})", ours = env!("CARGO_PKG_VERSION"))]
    Version {
        /// The daemon's version.
        daemon: String,
        /// What didn't fit.
        detail: String,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// What kind of refusal it is.
        kind: ErrorKind,
        /// The daemon's words.
        message: String,
    },
}

/// A daemon's client.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon behind this socket. Nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Client { socket: socket.into() }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How the mount stands.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status").await
    }

    /// The entries of a directory, or the one of a file.
    pub async fn ls(&self, path: &PathText) -> Result<Vec<Entry>, Error> {
        let entries: Entries = self.get(&format!("/v1/ls?path={}", quoted(&path.encode()))).await?;
        Ok(entries.entries)
    }

    /// Makes the paths' files (none: all) due for archiving at once, and says what remains.
    pub async fn flush(&self, paths: &[PathText]) -> Result<Pending, Error> {
        self.post("/v1/flush", &Paths { paths: paths.to_vec() }).await
    }

    /// Drops the local bytes of archived files.
    pub async fn evict(&self, what: &Evict) -> Result<Evicted, Error> {
        self.post("/v1/evict", what).await
    }

    /// Pins files and trees, or takes that away, and tells what is in them.
    pub async fn pin(&self, paths: &[PathText], pin: bool) -> Result<Pinned, Error> {
        self.post("/v1/pin", &Pin { paths: paths.to_vec(), pin }).await
    }

    /// What is local.
    pub async fn cache(&self) -> Result<CacheReport, Error> {
        self.get("/v1/cache").await
    }

    /// Has files brought back, or tells what it would take.
    pub async fn restore(&self, what: &Restore) -> Result<RestorePlan, Error> {
        self.post("/v1/restore", what).await
    }

    /// The restores, the newest first.
    pub async fn restores(&self) -> Result<Vec<RestoreStatus>, Error> {
        let restores: Restores = self.get("/v1/restores").await?;
        Ok(restores.restores)
    }

    /// What is stored and asked for costs.
    pub async fn cost(&self) -> Result<CostReport, Error> {
        self.get("/v1/cost").await
    }

    /// How far a restore is.
    pub async fn restore_status(&self, id: i64) -> Result<RestoreStatus, Error> {
        self.get(&format!("/v1/restores/{id}")).await
    }

    /// Ends a restore.
    pub async fn cancel_restore(&self, id: i64) -> Result<RestoreStatus, Error> {
        self.decoded(self.send(Method::DELETE, &format!("/v1/restores/{id}"), Bytes::new()).await?).await
    }

    /// The account's vaults.
    pub async fn vaults(&self) -> Result<Vec<Vault>, Error> {
        let vaults: Vaults = self.get("/v1/vaults").await?;
        Ok(vaults.vaults)
    }

    /// Creates a vault.
    pub async fn create_vault(&self, name: &str) -> Result<Vault, Error> {
        self.post("/v1/vaults", &NewVault { name: name.to_owned() }).await
    }

    /// One vault.
    pub async fn vault(&self, name: &str) -> Result<Vault, Error> {
        self.get(&format!("/v1/vaults/{}", quoted(name))).await
    }

    /// Deletes an empty vault.
    pub async fn delete_vault(&self, name: &str) -> Result<(), Error> {
        let path = format!("/v1/vaults/{}", quoted(name));
        self.send(Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// Starts or adopts an inventory; asked again, says how far it is.
    pub async fn inventory(&self, vault: &str) -> Result<Inventory, Error> {
        self.post("/v1/inventory", &InventoryOf { vault: vault.to_owned() }).await
    }

    /// As [`Client::inventory`], for every vault of the account.
    /// With `snapshots`, trees come back from the vaults' newest snapshots first.
    pub async fn rebuild(&self, snapshots: bool) -> Result<Vec<Inventory>, Error> {
        let inventories: Inventories = self.post("/v1/rebuild", &Rebuild { snapshots }).await?;
        Ok(inventories.vaults)
    }

    /// Takes snapshots of vaults (none: of all).
    pub async fn snapshot(&self, vaults: Vec<String>, full: bool) -> Result<Snapshots, Error> {
        self.post("/v1/snapshot", &Snapshot { vaults, full }).await
    }

    /// Holds the inventories of vaults (none: of all) against the catalog; asked again, says how far it is.
    pub async fn verify(&self, vaults: &[String]) -> Result<Vec<Verification>, Error> {
        let all: Verifications = self.post("/v1/verify", &Verify { vaults: vaults.to_vec() }).await?;
        Ok(all.vaults)
    }

    /// Compares what is kept on this machine with its tree hashes; asked again, says how far it is.
    pub async fn scrub(&self) -> Result<Check, Error> {
        self.post("/v1/scrub", &()).await
    }

    /// Retrieves up to `bytes` bytes of a vault's archives and compares them with their tree hashes; asked again, says how far
    /// it is.
    pub async fn sample(&self, vault: &str, bytes: u64) -> Result<Check, Error> {
        self.post("/v1/sample", &Sample { vault: vault.to_owned(), bytes }).await
    }

    /// Gives archives the names that another tool's database knows.
    pub async fn import(&self, what: &Import) -> Result<Imported, Error> {
        self.post("/v1/import", what).await
    }

    /// A page of the trash.
    pub async fn trash(&self, what: &Trashes) -> Result<TrashPage, Error> {
        self.post("/v1/trash/list", what).await
    }

    /// Gives a page of the trash its names again.
    pub async fn put_back(&self, what: &PutBack) -> Result<CameBack, Error> {
        self.post("/v1/trash/restore", what).await
    }

    /// Deletes a page of the trash for good.
    pub async fn purge(&self, what: &Trashes) -> Result<Purged, Error> {
        self.post("/v1/trash/purge", what).await
    }

    /// Asks for a clean stop: unmount, wait at most this many seconds for uploads (none: as configured), exit.
    pub async fn stop(&self, drain_seconds: Option<u64>) -> Result<(), Error> {
        let body = serde_json::to_vec(&Stop { drain_seconds }).map_err(|e| self.broken(&e))?;
        self.send(Method::POST, "/v1/stop", body.into()).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.decoded(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|e| self.broken(&e))?;
        self.decoded(self.send(Method::POST, path, body.into()).await?).await
    }

    async fn decoded<T: DeserializeOwned>(&self, answer: Bytes) -> Result<T, Error> {
        match serde_json::from_slice(&answer) {
            Ok(value) => Ok(value),
            Err(e) => Err(self.mismatch(e.to_string()).await),
        }
    }

    /// Sends a request; the body of a successful answer.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Error> {
        let (status, answer) = self.exchange(method, path, body).await?;
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<ErrorBody>(&answer) {
            Ok(error) => Err(Error::Refused { kind: error.kind, message: error.error }),
            Err(_) => Err(self.mismatch(format!("it answers {status} to {path}")).await),
        }
    }

    /// The error for an answer that this version doesn't know: another version, if the daemon is one.
    async fn mismatch(&self, detail: String) -> Error {
        #[derive(serde::Deserialize)]
        struct Version {
            version: String,
        }
        let status = self.exchange(Method::GET, "/v1/status", Bytes::new()).await;
        let version = status.ok().and_then(|(_, answer)| serde_json::from_slice::<Version>(&answer).ok());
        match version {
            Some(Version { version }) if version != env!("CARGO_PKG_VERSION") => {
                Error::Version { daemon: version, detail }
            }
            _ => self.broken(&format!("its answer can't be read: {detail}")),
        }
    }

    /// Sends a request; the answer as it is.
    pub(super) async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Error> {
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => Error::Permission(self.socket.clone()),
                _ => Error::NoDaemon { socket: self.socket.clone(), source },
            })?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(&e))?;
            let connection = tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "glacierfs")
                .header("content-type", "application/json")
                .body(Full::new(body))
                .map_err(|e| self.broken(&e))?;
            let answer = async {
                let response = sender.send_request(request).await?;
                let status = response.status();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            };
            let answer = answer.await.map_err(|e: hyper::Error| self.broken(&e));
            connection.abort();
            answer
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(Error::Silent(self.socket.clone())))
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Broken { socket: self.socket.clone(), reason: reason.to_string() }
    }
}

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, SPECIAL).to_string()
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::Router;
    use axum::extract::Query;
    use axum::routing;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Ls {
        path: PathText,
    }

    async fn served(router: Router) -> (tempfile::TempDir, Client) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (directory, Client::new(socket))
    }

    /// Promise: a path of any bytes reaches the daemon as it is.
    #[tokio::test]
    async fn paths_reach_the_daemon() {
        let ls = |Query(ls): Query<Ls>| async move {
            Json(serde_json::json!({"entries": [{"name": ls.path, "kind": "file", "size": 1, "mode": 33188,
                "mtime": "2026-01-02T03:04:05Z", "state": "cached", "archive_id": null, "tree_hash": null}]}))
        };
        let (_directory, client) = served(Router::new().route("/v1/ls", routing::get(ls))).await;
        for name in [&b"v/a b&c=d+e?#%"[..], b"v/\xff\n", "v/\u{e9}".as_bytes(), b""] {
            let path = PathText(name.to_vec());
            assert_eq!(client.ls(&path).await.expect("an answer")[0].name, path);
        }
    }

    /// Promise: the daemon's words reach the person; an older daemon is named with its version.
    #[tokio::test]
    async fn refusals_are_told_apart() {
        let refusal = || async {
            let body = ErrorBody { error: "vault photos isn't empty".to_owned(), kind: ErrorKind::Conflict };
            (StatusCode::CONFLICT, Json(body))
        };
        let router = Router::new()
            .route("/v1/vaults/{name}", routing::delete(refusal))
            .route("/v1/status", routing::get(|| async { r#"{"version":"0.0.1"}"# }));
        let (_directory, client) = served(router).await;
        let refused = client.delete_vault("photos").await.expect_err("a conflict");
        assert!(matches!(refused, Error::Refused { kind: ErrorKind::Conflict, .. }));
        assert_eq!(refused.to_string(), "vault photos isn't empty");
        for error in [client.rebuild(true).await.err(), client.status().await.err()] {
            let message = error.expect("a version mismatch").to_string();
            assert!(message.starts_with("the daemon is version 0.0.1 and this command"), "{message}");
        }
    }

    /// Promise: a socket that nobody listens on, or that isn't there, says that no daemon answers.
    #[tokio::test]
    async fn no_daemon() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("control.sock");
        let absent = Client::new(&socket).status().await.expect_err("no socket");
        assert!(matches!(absent, Error::NoDaemon { .. }), "{absent}");
        drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
        let dead = Client::new(&socket).status().await.expect_err("no listener");
        assert!(matches!(dead, Error::NoDaemon { .. }), "{dead}");
    }
}
