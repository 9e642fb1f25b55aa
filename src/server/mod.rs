//! The embedded endpoint: Glacier's API 2012-06-01 on a directory of this machine, for running, trying and testing
//! glacierfs, or any other Glacier client, without an AWS account.
//!
//! It keeps the real service's promises where a client can see them: what was answered is on stable storage, signatures
//! are verified, errors have the documented bodies, retrievals take their time, inventories lag. What takes hours there
//! takes what [`ServerConfig`] says, on the [`Clock`] that it is given.
//!
//! In the data directory: `glacier.db` (SQLite: vaults, archives, uploads, jobs, and small objects), `objects/` (large
//! ones), `credentials` (the keys, for AWS tools) and `lock` (held while a server runs).

mod access;
mod access_policy;
mod archives;
mod body;
mod capacity;
mod config;
mod credentials;
mod db;
mod error;
mod files;
mod ids;
mod inventory;
mod jobs;
mod lock;
mod multipart;
mod notifications;
mod object;
mod output;
mod policy;
mod reply;
mod request;
mod retrieval;
mod routes;
mod service;
mod sweep;
mod tags;
mod vaults;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

pub use config::{RetrievalDelays, ServerConfig};
pub use db::{DbError, OpenError};

use crate::glacier::sigv4::Credentials;
use crate::util::clock::Clock;
use credentials::Keys;
use db::Db;
use files::Files;
use retrieval::Limits;
use service::Service;

/// How long a start waits for a server that is just ending to give up the data directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How long a stop waits for requests to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the endpoint couldn't start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting is wrong; the message says which, and what is allowed.
    #[error("{0}")]
    Config(String),
    /// The data directory can't be made or used.
    #[error("can't use the data directory {path}: {error}")]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another server holds the data directory.
    #[error("the data directory {0} is in use by another glacierfs: stop that one, or choose another directory")]
    InUse(PathBuf),
    /// The database or its files can't be opened.
    #[error("can't open the data in {path}: {error}")]
    Open {
        /// The data directory.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// A running endpoint. Dropped without [`Server::stop`], it ends at once, as a crash would; nothing acknowledged is lost.
pub struct Server {
    address: SocketAddr,
    keys: Keys,
    stopping: watch::Sender<bool>,
    connections: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    db: Arc<Db>,
}

impl Server {
    /// Opens the data directory (making it, and a key for each account, the first time) and listens. It is ready when this answers.
    pub async fn start(config: ServerConfig, clock: Clock) -> Result<Self, ServerError> {
        config.validate().map_err(ServerError::Config)?;
        let (data, accounts) = (config.data.clone(), config.accounts.clone());
        let opened = spawn_blocking(move || open(&data, &accounts)).await;
        let (db, files, keys) = opened
            .map_err(|error| ServerError::Data { path: config.data.clone(), error: io::Error::other(error) })??;
        let listen_error = |error| ServerError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let service = Arc::new(Service {
            region: config.region.into(),
            keys: keys.clone(),
            clock,
            retrieval_delays: config.retrieval_delays,
            limits: Limits { expedited: config.expedited_limit },
            inventory_interval: config.inventory_interval,
            body_timeout: config.body_timeout,
            db: Arc::clone(&db),
            files,
        });
        let (stopping, stop) = watch::channel(false);
        Ok(Server {
            address,
            keys,
            stopping,
            sweeper: tokio::spawn(sweep::sweep_forever(Arc::clone(&service))),
            connections: tokio::spawn(accept(listener, service, stop)),
            db,
        })
    }

    /// Where it listens, as a URL without a path: `http://127.0.0.1:8210`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key of the first account.
    pub fn credentials(&self) -> &Credentials {
        self.keys.first()
    }

    /// The key of an account; `None` when the endpoint doesn't have that account.
    pub fn credentials_of(&self, account: &str) -> Option<&Credentials> {
        self.keys.of(account)
    }

    /// Ends: takes no more connections, lets requests that have begun end (for up to 10 s), and closes the database.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // Both tasks end by themselves or by `abort`; there is nothing to learn from how.
        let _ = (&mut self.connections).await;
        self.sweeper.abort();
        let _ = (&mut self.sweeper).await;
        let db = Arc::clone(&self.db);
        let _ = spawn_blocking(move || db.close()).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The tasks hold the database, which closes when they are gone.
        self.connections.abort();
        self.sweeper.abort();
    }
}

/// Locks the data directory and opens what is in it. The lock is held by the database's writer.
fn open(data: &Path, accounts: &[String]) -> Result<(Arc<Db>, Files, Keys), ServerError> {
    let data_error = |error| ServerError::Data { path: data.to_owned(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(data_error)?;
    let lock = File::options().create(true).append(true).open(data.join("lock")).map_err(data_error)?;
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(ServerError::InUse(data.to_owned())),
            Err(TryLockError::Error(error)) => return Err(data_error(error)),
        }
    }
    let keys = credentials::load_or_create(data, accounts).map_err(data_error)?;
    let (db, files) = Db::open(data, lock).map_err(|error| ServerError::Open { path: data.to_owned(), error })?;
    Ok((Arc::new(db), files, keys))
}

/// Takes connections until `stop`, then lets those with a request under way end.
async fn accept(listener: TcpListener, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&service), stop.clone()));
            }
            Err(error) => {
                // Out of descriptors, say: wait for some to be closed.
                log::warn!("can't take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        log::warn!("{} requests had not ended after {DRAIN:?} and are cut off", connections.len());
    }
}

/// Waits until the server is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection.
async fn serve(stream: TcpStream, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    // Without it, small answers may wait for an acknowledgement; with it failing, they only are slower.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.answer(request).await) }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        log::debug!("a connection broke: {error}");
    }
}
