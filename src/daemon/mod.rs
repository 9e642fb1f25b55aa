//! One mount, wired together: started, kept running, and stopped without losing anything.
//!
//! **Start.** Take the state directory, open the catalog, seal what a crash left open, ask the service for its vaults,
//! mount, say that it is ready. What can take long (setting aside unknown files, resuming uploads) happens afterwards.
//!
//! **Stop.** On SIGTERM, SIGINT, SIGHUP, `glacierfs umount` or `fusermount3 -u`: answer who waits for a recall, unmount, let the
//! uploads run for the drain timeout, sync the catalog, end. What isn't archived by then is in the state directory, and
//! goes on at the next start. A second signal ends the drain at once.

pub mod ready;

mod connect;
pub mod local;
mod state;
mod tasks;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::sync::watch;

use connect::service;
use state::StateDir;

use crate::cache::Cache;
use crate::catalog;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::control;
use crate::control::server::Daemon;
use crate::fs;
use crate::fs::Fs;
use crate::fuse;
use crate::notify;
use crate::prices::Prices;
use crate::recall;
use crate::recall::Recall;
use crate::scrub::Scrub;
use crate::server::RetrievalDelays;
use crate::server::Server;
use crate::server::ServerConfig;
use crate::service::ArchiveService;
use crate::service::Glacier;
use crate::service::Kind;
use crate::snapshot;
use crate::snapshot::Snapshots;
use crate::store::Store;
use crate::upload;
use crate::upload::Uploads;
use crate::util::budget::Budget;
use crate::util::clock::Clock;
use crate::util::seldom::Seldom;
use crate::vault;
use crate::vault::Vaults;

pub use connect::connect;
pub use state::StateError;

/// How long the first start waits for the service's list of vaults.
const FIRST_CONTACT: Duration = Duration::from_secs(15);
/// How long the kernel may take to let go of an unmounted file system.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Why a daemon ended otherwise than well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory is another daemon's.
    #[error(transparent)]
    Running(StateError),
    /// The mount point can't be used.
    #[error(transparent)]
    Mount(#[from] fuse::MountError),
    /// The service doesn't accept us, and there is nothing here yet that could be served without it.
    #[error("{0}")]
    Remote(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::InUse { .. } => Error::Running(error),
            StateError::Foreign(_) | StateError::Io { .. } => Error::Failed(error.to_string()),
        }
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        Error::Failed(error.to_string())
    }
}

impl From<fs::Error> for Error {
    fn from(error: fs::Error) -> Self {
        Error::Failed(error.to_string())
    }
}

/// Runs a mount in the foreground, until it is stopped or unmounted.
///
/// # Errors
/// [`Error`]; nothing that was spooled is lost by any of them.
pub fn run(config: Config) -> Result<(), Error> {
    allow_many_files();
    let state = StateDir::take(&config.state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("no threads: {error}")))?;
    let result = runtime.block_on(serve(config, &state, &runtime));
    // A disk or a service that hangs doesn't hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Raises the number of files that this process may open as far as it may: each that is open in the mount takes one, and so does
/// each reader that waits. What a login shell gives, 1024, is soon used up.
fn allow_many_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        log::warn!("the limit of open files can't be raised: {error}");
    }
}

async fn serve(config: Config, state: &StateDir, runtime: &Runtime) -> Result<(), Error> {
    match fuse::clear_stale(&config.mountpoint) {
        Ok(true) => log::warn!("cleared the dead mount at {}", config.mountpoint.display()),
        Ok(false) => {}
        Err(error) => {
            return Err(Error::Failed(format!(
                "the dead mount at {} can't be cleared: {error}",
                config.mountpoint.display()
            )));
        }
    }
    let mut signals = Signals::new()?;
    let catalog = Arc::new(Catalog::open(&state.file(local::CATALOG), config.trash_keep)?);
    let store_dir = state.file("store");
    let store = Store::open(&store_dir).map_err(|error| Error::Failed(format!("{}: {error}", store_dir.display())))?;
    let store = Arc::new(store);
    let embedded = embedded(&config).await?;
    let client =
        connect(service(&config), embedded.as_ref()).await.map_err(|error| Error::Failed(error.to_string()))?;
    let endpoint = client.endpoint().to_owned();
    let service: Arc<dyn ArchiveService> = Arc::new(Glacier::new(client));

    let cache = Cache::new(catalog.clone(), store.clone(), config.cache_size)?;
    let cache = Arc::new(cache.with_low(config.cache_low).with_reserve(config.spool_reserve));
    let sealed = Arc::new(Notify::new());
    let settings = upload::Settings { requests: config.uploads, part_size: config.part_size };
    let uploads = Arc::new(Uploads::new(
        catalog.clone(),
        store.clone(),
        cache.clone(),
        service.clone(),
        sealed.clone(),
        settings,
    ));
    let making_room = uploads.clone();
    let settings = fs::Settings {
        upload_delay: config.upload_delay,
        spool_reserve: config.spool_reserve,
        may_make_room: Arc::new(move || making_room.may_progress()),
        control: state.file(control::SOCKET),
    };
    let fs = Arc::new(Fs::new(catalog.clone(), store.clone(), cache.clone(), sealed.clone(), settings)?);
    let settings = recall::Settings {
        window: config.recall_window,
        tier: config.tier,
        tier_fallback: config.tier_fallback,
        budget: Budget::new(&config.budget),
        prices: prices(&config)?,
    };
    let recall = Arc::new(Recall::new(catalog.clone(), store.clone(), cache.clone(), service.clone(), settings));
    let settings = snapshot::Settings::new(state.path(), config.snapshot_delay, Clock::real());
    let snapshots = Snapshots::new(catalog.clone(), store.clone(), fs.clone(), recall.clone(), sealed, settings);
    let snapshots = Arc::new(snapshots);
    let scrub = Scrub::new(catalog.clone(), store.clone(), cache.clone(), fs.clone(), recall.clone());
    let scrub = Arc::new(scrub);
    let vaults = Arc::new(Vaults::new(catalog.clone(), service, state.path().to_owned()));

    first_contact(&catalog, &vaults).await?;
    let recovered = fs.recover()?;
    if recovered > 0 {
        log::warn!("{recovered} files were being written when the last daemon ended; what was written of them is kept");
    }

    let distrusted = cache.recover(state.is_same_boot())?;
    if distrusted > 0 {
        log::warn!(
            "the machine was started anew: {distrusted} files that were archived just before aren't trusted to be on the disk, \
             and are retrieved when they are read"
        );
    }

    catalog.drop_unplanned_restores()?;
    state.note_boot().map_err(|error| Error::Failed(format!("{}: {error}", state.path().display())))?;

    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(fuse::Shared {
        fs: fs.clone(),
        recall: recall.clone(),
        vaults: vaults.clone(),
        uploads: uploads.clone(),
        close: config.close,
        fsync: config.fsync,
        watch: fuse::Watch::default(),
        runtime: runtime.handle().clone(),
        shown: fuse::Shown {
            uid: config.uid,
            gid: config.gid,
            file_mask: config.fmask.or(config.umask),
            directory_mask: config.dmask.or(config.umask),
        },
        policy: config.recall,
        denied: config.recall_deny_comm.clone(),
        refused: Seldom::default(),
        recall_timeout: config.recall_timeout,
        stopping: stopping.clone(),
    });
    let socket = state.file(control::SOCKET);
    let listener = control::server::bind(&socket)
        .map_err(|error| Error::Failed(format!("the control socket {}: {error}", socket.display())))?;
    let options = fuse::Options {
        access: match (config.allow_other, config.allow_root) {
            (true, _) => fuse::Access::All,
            (false, true) => fuse::Access::Root,
            (false, false) => fuse::Access::Owner,
        },
        read_only: config.read_only,
        no_exec: config.noexec,
        threads: config.threads,
    };
    let (mounted, mut ended) = fuse::mount(&config.mountpoint, options, shared)?;
    vaults.on_change(mounted.invalidator());
    vaults.restore_with(snapshots.clone());
    snapshots.on_change(mounted.invalidator());
    scrub.on_change(mounted.invalidator());
    log::info!("{} is mounted at {}", endpoint, config.mountpoint.display());

    let (end_uploads, uploads_end) = watch::channel(false);
    let mut background = Background {
        uploads: tokio::spawn(uploads.clone().run(uploads_end)),
        rest: vec![
            tokio::spawn(recall.clone().run(stopping.clone())),
            tokio::spawn(vaults.clone().run()),
            tokio::spawn(snapshots.clone().run()),
            tokio::spawn(tasks::sync(catalog.clone(), cache.clone())),
            tokio::spawn(tasks::note_use(cache.clone())),
            tokio::spawn(fs.clone().settle_always()),
            tokio::spawn(cache.clone().sweep_always()),
            tokio::spawn(tasks::watchdog()),
            tokio::spawn(tasks::tell(uploads.clone(), catalog.clone())),
        ],
    };
    if let Some(queue) = config.notify.clone() {
        let settings = notify::Settings { queue, region: config.region.clone(), profile: config.profile.clone() };
        background.rest.push(tokio::spawn(notify::listen(recall.clone(), settings)));
    }
    tasks::learn_cached(cache.clone());
    tasks::set_aside_unknown(store, catalog.clone());
    let asked_to_stop = Arc::new(control::server::StopRequest::default());
    let daemon = Daemon {
        config: config.clone(),
        endpoint,
        started: jiff::Timestamp::now(),
        catalog: catalog.clone(),
        cache: cache.clone(),
        fs: fs.clone(),
        uploads: uploads.clone(),
        recall,
        vaults,
        snapshots,
        scrub,
        stop: asked_to_stop.clone(),
    };
    let control = tokio::spawn(control::server::serve(listener, Arc::new(daemon)));
    ready::announce();

    let drain = tokio::select! {
        () = signals.any() => config.drain_timeout,
        drain = asked_to_stop.asked() => drain.unwrap_or(config.drain_timeout),
        _ = &mut ended => {
            log::info!("{} was unmounted", config.mountpoint.display());
            config.drain_timeout
        }
    };

    ready::stopping();
    stop.send_replace(true);
    let let_go = unmount(&config.mountpoint, &mut ended).await;
    fs.settle()?;
    if let_go {
        // What the kernel let go of without a close, because its mount was taken away in use.
        fs.recover()?;
    }
    tokio::select! {
        () = tasks::drain(&uploads, &catalog, drain) => {}
        () = signals.any() => log::warn!("stopping without waiting for the uploads"),
    }
    end_uploads.send_replace(true);
    background.end().await;
    control.abort();
    let left = catalog.queue()?.0;
    if left > 0 {
        log::warn!(
            "{left} files aren't archived yet; they are kept in {} and go on at the next start",
            config.state.display()
        );
    }
    if let Err(error) = cache.note_use().and_then(|()| cache.sync()).and_then(|()| catalog.sync()) {
        log::error!("the catalog can't be synced: {error}");
    }
    // Nobody is served by what is left of the socket.
    let _ = std::fs::remove_file(&socket);
    if let Some(server) = embedded {
        server.stop().await;
    }
    Ok(())
}

/// The background tasks of a mount.
struct Background {
    uploads: tokio::task::JoinHandle<()>,
    rest: Vec<tokio::task::JoinHandle<()>>,
}

impl Background {
    async fn end(self) {
        for task in self.rest {
            task.abort();
        }
        // It was told to end, and hands back what it has under way.
        let _ = self.uploads.await;
    }
}

/// The signals that stop a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::Failed(format!("signals can't be received: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            // The terminal of a daemon in the foreground was closed.
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// What the service charges in the mount's region.
fn prices(config: &Config) -> Result<Prices, Error> {
    let prices = match &config.prices {
        Some(path) => Prices::read(path, &config.region).map_err(|error| Error::Failed(error.to_string()))?,
        None => Prices::built_in(&config.region),
    };
    if prices.is_default && !config.budget.is_empty() {
        log::warn!("the table of prices has no line for {}: the budget counts by its defaults", config.region);
    }
    Ok(prices)
}

/// Starts the endpoint in this process, if the vaults are kept locally.
async fn embedded(config: &Config) -> Result<Option<Server>, Error> {
    let Some(data) = &config.local else { return Ok(None) };
    let mut settings = ServerConfig::new(data);
    settings.listen = ([127, 0, 0, 1], 0).into();
    settings.region = config.region.clone();
    settings.retrieval_delays = RetrievalDelays::parse(&config.retrieval_delay).map_err(Error::Failed)?;
    if let Some(interval) = config.inventory_interval {
        settings.inventory_interval = interval;
    }
    let server = Server::start(settings, Clock::real()).await.map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Some(server))
}

/// Asks the service for its vaults. A service that refuses us is a reason not to start only while there is nothing here
/// that could be served without it: a backup host whose key has expired goes on spooling.
async fn first_contact(catalog: &Catalog, vaults: &Vaults) -> Result<(), Error> {
    let message = match tokio::time::timeout(FIRST_CONTACT, vaults.refresh()).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(vault::Error::Service(error))) if error.is_retryable() && error.kind() != Kind::ClockSkew => {
            error.to_string()
        }
        Ok(Err(vault::Error::Service(error))) if catalog.vaults()?.is_empty() => {
            return Err(Error::Remote(error.to_string()));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", FIRST_CONTACT.as_secs()),
    };
    log::warn!(
        "the service can't be asked for its vaults: {message}. Writes are spooled, uploads wait until it answers"
    );
    Ok(())
}

/// Takes the mount away, and waits until the kernel is done with it.
///
/// Answers whether it is. While it isn't, who has a file open there can still write to it, so that what is being written
/// mustn't be sealed: an archive of it would differ from what the file then holds. The next start does that.
async fn unmount(mountpoint: &Path, ended: &mut oneshot::Receiver<()>) -> bool {
    if ended.is_terminated() {
        return true;
    }
    for lazily in [false, true] {
        let path = mountpoint.to_path_buf();
        let unmounted = tokio::task::spawn_blocking(move || fuse::unmount(&path, lazily)).await;
        match unmounted.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => break,
            Err(error) if !lazily => log::warn!(
                "{} is in use ({error}): who has files open there loses them soon; what they have written is kept",
                mountpoint.display()
            ),
            Err(error) => log::error!("{} can't be unmounted: {error}", mountpoint.display()),
        }
    }
    let let_go = tokio::time::timeout(LETTING_GO, ended).await.is_ok();
    if !let_go {
        log::warn!(
            "files of {} are still open: what is being written is archived after the next start",
            mountpoint.display()
        );
    }
    let_go
}
