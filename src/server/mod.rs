//! The embedded endpoint: Glacier's API 2012-06-01 on a directory of this machine, for running, trying and testing
//! glacierfs, or any other Glacier client, without an AWS account.
//!
//! It keeps the real service's promises where a client can see them: what was answered is on stable storage, signatures
//! are verified, errors have the documented bodies, retrievals take their time, inventories lag. What takes hours there
//! takes what [`ServerConfig`] says, on the [`Clock`] that it is given.
//!
//! In the data directory: `glacier.db` (SQLite: vaults, archives, uploads, jobs, and small objects), `objects/` (large
//! ones), `credentials` (the keys, for AWS tools), `admin-token` (for the routes of testers), `clock` (where a virtual one
//! stands) and `lock` (held while a server runs).

mod access;
mod access_policy;
mod admin;
mod archives;
mod body;
mod capacity;
mod config;
mod credentials;
mod cut;
mod db;
mod error;
mod faults;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod ids;
mod inventory;
mod jobs;
mod keyfile;
mod lock;
mod multipart;
mod notifications;
mod notify;
mod object;
mod output;
mod policy;
mod private;
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
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

pub use admin::clock::{check as check_time, stored as stored_time};
pub use config::{RetrievalDelays, ServerConfig};
pub use db::{DbError, OpenError};
pub use faults::FaultPlan;
pub use keyfile::KeyFile;

use crate::glacier::sigv4::Credentials;
use crate::util::clock::Clock;
use admin::Admin;
use credentials::Keys;
use cut::Cut;
use db::Db;
use files::Files;
use notify::Sns;
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
    admin_token: Option<String>,
    stopping: watch::Sender<bool>,
    connections: JoinHandle<()>,
    /// What goes on beside requests.
    tasks: Vec<JoinHandle<()>>,
    db: Arc<Db>,
}

impl Server {
    /// Opens the data directory (making it, and a key for each account, the first time) and listens. It is ready when this answers.
    pub async fn start(config: ServerConfig, clock: Clock) -> Result<Self, ServerError> {
        config.validate().map_err(ServerError::Config)?;
        let sns = config.sns_endpoint.as_deref().map(Sns::new).transpose().map_err(ServerError::Config)?;
        let (data, accounts, brought, admin, faults) =
            (config.data.clone(), config.accounts.clone(), config.credentials, config.admin, config.faults);
        let virtual_clock = clock.clone();
        let opened = spawn_blocking(move || {
            let (db, files, keys) = open(&data, &accounts, brought)?;
            let data_error = |error| ServerError::Data { path: data.clone(), error };
            admin::clock::resume(&data, &virtual_clock).map_err(data_error)?;
            let admin = admin.then(|| Admin::open(&data, faults)).transpose().map_err(data_error)?;
            Ok::<_, ServerError>((db, files, keys, admin))
        });
        let (db, files, keys, admin) = opened
            .await
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
            publishes: sns.is_some(),
            jobs_changed: Notify::new(),
            admin,
            db: Arc::clone(&db),
            files,
        });
        let (stopping, stop) = watch::channel(false);
        Ok(Server {
            address,
            keys,
            admin_token: service.admin.as_ref().map(|admin| admin.token.as_str().to_owned()),
            stopping,
            tasks: [
                Some(tokio::spawn(sweep::sweep_forever(Arc::clone(&service)))),
                Some(tokio::spawn(sweep::watch_clock(Arc::clone(&service)))),
                sns.map(|sns| tokio::spawn(notify::tell_forever(Arc::clone(&service), sns))),
            ]
            .into_iter()
            .flatten()
            .collect(),
            connections: tokio::spawn(accept(listener, service, stop)),
            db,
        })
    }

    /// Where it listens, as a URL without a path: `http://127.0.0.1:8210`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The endpoint's own key of the first account.
    pub fn credentials(&self) -> &Credentials {
        self.keys.first()
    }

    /// The endpoint's own key of one of [`ServerConfig::accounts`]; `None` for any other account.
    pub fn credentials_of(&self, account: &str) -> Option<&Credentials> {
        self.keys.of(account)
    }

    /// The token of the routes under `/_glacierfs/`; `None` without [`ServerConfig::admin`].
    pub fn admin_token(&self) -> Option<&str> {
        self.admin_token.as_deref()
    }

    /// Ends: takes no more connections, lets requests that have begun end (for up to 10 s), and closes the database.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // All tasks end by themselves or by `abort`; there is nothing to learn from how.
        let _ = (&mut self.connections).await;
        for task in &mut self.tasks {
            task.abort();
            let _ = task.await;
        }
        let db = Arc::clone(&self.db);
        let _ = spawn_blocking(move || db.close()).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The tasks hold the database, which closes when they are gone.
        self.connections.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Locks the data directory and opens what is in it. The lock is held by the database's writer.
fn open(data: &Path, accounts: &[String], brought: Option<KeyFile>) -> Result<(Arc<Db>, Files, Keys), ServerError> {
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
    let mut keys = credentials::load_or_create(data, accounts).map_err(data_error)?;
    if let Some(file) = brought {
        keys.add(file).map_err(ServerError::Config)?;
    }
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
    let (cut, mut ends) = Cut::new();
    let answer = service_fn(move |request| {
        let (service, cut) = (Arc::clone(&service), cut.clone());
        async move { Ok::<_, std::convert::Infallible>(admin::answer(&service, request, cut).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            Some(end) = ends.recv() => return end.apply(connection.into_parts().io.into_inner()),
            () = stopped(&mut stop), if !stopping => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                stopping = true;
            }
        }
    };
    if let Err(error) = ended {
        log::debug!("a connection broke: {error}");
    }
}
