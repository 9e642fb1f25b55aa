//! Vaults: the service's, and the directories at the root of the mount, kept in step.
//!
//! A vault is made or deleted in the service first, then in the catalog; the list of all vaults is fetched now and then,
//! so that those which others made appear. `inventory` brings in the archives that others put there, `claims` the names
//! that other tools' databases have for them.

mod claims;
mod inventory;
mod listed;
mod restored;
mod steady;
mod trash;
mod verify;

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use tokio::sync::Notify;

pub use inventory::Inventory;
pub use inventory::InventoryState;
pub use inventory::Report;
pub use restored::Restore;
pub use restored::Restored;
pub use restored::SnapshotReport;
use steady::Steady;
pub use trash::Purged;
pub use trash::after_days;
pub use verify::FOUND;
pub use verify::Finding;
pub use verify::Found;
pub use verify::Verification;
pub use verify::Verified;

use crate::catalog;
use crate::catalog::Catalog;
use crate::catalog::Inode;
use crate::catalog::Kind;
use crate::catalog::NewInode;
use crate::catalog::ROOT;
use crate::catalog::now;
use crate::fs::Caller;
use crate::fs::Invalidate;
use crate::fs::Invalidator;
use crate::service;
use crate::service::ArchiveService;
use crate::service::Kind as Trouble;
use crate::service::Retention;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::retry::Backoff;

/// What a vault may be called; the tail of every message about a bad name.
const NAMES: &str = "1 to 255 of a-z, A-Z, 0-9, '_', '-' and '.', not only dots";

/// The vaults of the account.
pub struct Vaults {
    catalog: Arc<Catalog>,
    service: Arc<dyn ArchiveService>,
    invalidator: Invalidator,
    /// Those under way, and those that ended and weren't reported yet.
    inventories: Mutex<HashMap<String, Inventory>>,
    /// The verifications that are under way, or whose result nobody has asked for yet, by vault.
    verifications: Mutex<HashMap<String, Verification>>,
    /// Where inventories are kept while they are read.
    scratch: PathBuf,
    /// Rung when an inventory is asked for.
    asked: Notify,
    /// Brings trees back from snapshots, if there is who can.
    restore: OnceLock<Arc<dyn Restore>>,
    /// What the vaults' locks say, and when they were asked.
    retentions: Mutex<HashMap<String, (Instant, Option<Retention>)>>,
    /// What of the trash is just being deleted.
    going: Mutex<HashSet<catalog::Ino>>,
}

/// Why something with a vault failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name can't be a vault's.
    #[error("{0:?} is not a name for a vault: allowed are {NAMES}")]
    Name(String),
    /// There is no such vault.
    #[error("there is no vault {0:?}")]
    Missing(String),
    /// There is one already.
    #[error("vault {0:?} exists already")]
    Exists(String),
    /// It has files.
    #[error("vault {0:?} isn't empty: delete its files first")]
    NotEmpty(String),
    /// The service still counts archives in it.
    #[error("vault {vault:?} can't be deleted yet: {reason}")]
    NotYet {
        /// The vault.
        vault: String,
        /// What the service said.
        reason: String,
    },
    /// The service failed otherwise.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// Holding an inventory against the catalog broke off.
    #[error("the inventory can't be held against the catalog: {0}")]
    Reconcile(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl From<Error> for crate::fs::Error {
    fn from(error: Error) -> Self {
        log::warn!("{error}");
        let errno = match &error {
            Error::Name(_) => Errno::EINVAL,
            Error::Missing(_) => Errno::ENOENT,
            Error::Exists(_) => Errno::EEXIST,
            Error::NotEmpty(_) | Error::NotYet { .. } => Errno::ENOTEMPTY,
            Error::Service(error) => match error.kind() {
                Trouble::AccessDenied | Trouble::Credentials => Errno::EACCES,
                Trouble::Unavailable => Errno::EHOSTUNREACH,
                Trouble::Quota => Errno::EDQUOT,
                _ => Errno::EIO,
            },
            Error::Reconcile(_) | Error::Catalog(_) => Errno::EIO,
        };
        errno.into()
    }
}

/// Whether `name` can be a vault's: 1 to 255 of `a-z A-Z 0-9 _ - .` (G14, "Vault name constraints"); names of dots only are
/// directories that exist already.
fn check_name(name: &[u8]) -> Result<&str, Error> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match std::str::from_utf8(name) {
        Ok(text)
            if (1..=255).contains(&name.len()) && name.iter().all(allowed) && name.iter().any(|byte| *byte != b'.') =>
        {
            Ok(text)
        }
        _ => Err(Error::Name(String::from_utf8_lossy(name).into_owned())),
    }
}

impl Vaults {
    /// The vaults of `service`, with their directories in `catalog`. Inventories need room in the directory `scratch` while
    /// they are read: some 400 bytes an archive.
    pub fn new(catalog: Arc<Catalog>, service: Arc<dyn ArchiveService>, scratch: PathBuf) -> Self {
        let (invalidator, inventories, asked) = (Invalidator::default(), Mutex::default(), Notify::new());
        Vaults {
            catalog,
            service,
            invalidator,
            inventories,
            verifications: Mutex::default(),
            scratch,
            asked,
            restore: OnceLock::new(),
            retentions: Mutex::default(),
            going: Mutex::default(),
        }
    }

    /// Who is told of changes that the kernel doesn't know of. To be called once, when the mount is there.
    pub fn on_change(&self, invalidator: impl Fn(&Invalidate) + Send + Sync + 'static) {
        self.invalidator.set(invalidator);
    }

    /// Has rebuilds bring trees back with `restore`.
    pub fn restore_with(&self, restore: Arc<dyn Restore>) {
        // A second call would be a second mount of one daemon, which there isn't.
        let _ = self.restore.set(restore);
    }

    /// Makes a vault, in the service and as a directory with permission bits `mode`; in the service alone where only the directory is
    /// left of one. The kernel isn't told ([`Vaults::changed`]): it may be who asks.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Exists`], the service's.
    pub async fn create(&self, name: &[u8], mode: u32, caller: Caller) -> Result<Inode, Error> {
        let name = check_name(name)?;
        if let Some(vault) = self.catalog.vault(name)? {
            return match self.service.vault(name).await {
                // Somebody has deleted it there: made again, it takes what waits here.
                Err(error) if error.kind() == Trouble::VaultMissing => {
                    self.service.create_vault(name).await?;
                    log::warn!("vault {name} was gone at the service, and is made again");
                    Ok(self.catalog.inode(vault.root)?)
                }
                _ => Err(Error::Exists(name.to_owned())),
            };
        }
        self.service.create_vault(name).await?;
        crash::at(Point::VaultMade);
        Ok(self.catalog.add_vault(name, "", directory(mode, caller), now())?.0)
    }

    /// Deletes an empty vault, in the service and its directory. The kernel isn't told.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NotEmpty`], [`Error::NotYet`], the service's.
    pub async fn delete(&self, name: &[u8]) -> Result<(), Error> {
        let text = String::from_utf8_lossy(name).into_owned();
        let Some(vault) = self.catalog.vault(&text)? else { return Err(Error::Missing(text)) };
        if !self.catalog.vault_is_empty(&vault)? {
            return Err(Error::NotEmpty(text));
        }
        self.delete_own(&vault).await?;
        match self.service.delete_vault(&text).await {
            Ok(()) => {}
            Err(error) if error.kind() == Trouble::VaultNotEmpty => {
                return Err(Error::NotYet { vault: text, reason: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
        crash::at(Point::VaultDeleted);
        Ok(self.catalog.remove_vault(&text, now())?)
    }

    /// Deletes the archives of glacierfs's own files, if a vault has no others: they would be in the way of its end.
    async fn delete_own(&self, vault: &catalog::Vault) -> Result<(), Error> {
        let Some(own) = self.catalog.only_snapshots(vault.id)? else { return Ok(()) };
        for snapshot in own {
            let Some(archive) = &snapshot.content.archive else { continue };
            // A stray archive does no harm; a delta whose base isn't there any more would.
            self.catalog.forget_snapshot(&snapshot)?;
            self.changed(snapshot.parent, &snapshot.name);
            match self.service.delete_archive(&vault.name, &archive.archive_id).await {
                Err(error) if error.kind() != Trouble::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(self.catalog.remove_snapshots(vault.id)?)
    }

    /// Gives every vault of the account a directory. Answers how many are new. One that the service doesn't list any more
    /// keeps its directory: what is in it is the user's to delete.
    ///
    /// # Errors
    /// The service's, the catalog's.
    pub async fn refresh(&self) -> Result<usize, Error> {
        let listed = self.service.vaults().await?;
        let owner = self.catalog.inode(ROOT)?;
        let caller = Caller { uid: owner.uid, gid: owner.gid };
        let mut new = 0;
        for vault in &listed {
            let (_, added) = self.catalog.add_vault(&vault.name, &vault.arn, directory(0o755, caller), now())?;
            if added {
                new += 1;
                self.changed(ROOT, vault.name.as_bytes());
            }
        }
        let names: HashSet<&str> = listed.iter().map(|vault| vault.name.as_str()).collect();
        for vault in self.catalog.vaults()? {
            if !names.contains(vault.name.as_str()) {
                log::warn!("vault {} has a directory, but the service doesn't list it", vault.name);
            }
        }
        Ok(new)
    }

    /// Keeps the directories in step, and empties the trash, until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        /// How often the service is asked for its vaults.
        const REFRESH: Duration = Duration::from_secs(3600);
        /// Between tries while it doesn't answer.
        const RETRY: Backoff = Backoff { first: Duration::from_secs(5), cap: Duration::from_secs(600) };
        let housekeeping = async {
            let (steady, mut failures) = (Steady::start(now()), 0);
            loop {
                let trouble = match self.refresh().await {
                    Err(Error::Service(error)) => Some(error),
                    Err(error) => {
                        log::error!("the list of vaults can't be kept: {error}");
                        None
                    }
                    Ok(_) => None,
                };
                // Who refuses a request has accepted its signature, and with it the time on our clock. Until the service has
                // done so nothing goes, because a clock that runs ahead takes it for old.
                let unproven = [Trouble::Unavailable, Trouble::ClockSkew, Trouble::Credentials];
                let wait = match trouble.filter(|error| unproven.contains(&error.kind())) {
                    None => {
                        failures = 0;
                        self.empty_trash(steady.at_most(now())).await;
                        REFRESH
                    }
                    Some(error) => {
                        failures += 1;
                        if failures == 1 {
                            log::warn!("the list of vaults can't be fetched now, and will be tried again: {error}");
                        }
                        RETRY.wait(failures)
                    }
                };
                tokio::time::sleep(wait).await;
            }
        };
        // Emptying the trash may take hours: nobody's inventory waits for it.
        let inventories = async {
            loop {
                self.asked.notified().await;
                self.clone().start_inventories();
            }
        };
        tokio::select! {
            () = housekeeping => {}
            () = inventories => {}
        }
    }

    /// All vaults as the service tells of them.
    ///
    /// # Errors
    /// The service's.
    pub async fn list(&self) -> Result<Vec<service::Vault>, Error> {
        Ok(self.service.vaults().await?)
    }

    /// A vault as the service tells of it.
    ///
    /// # Errors
    /// [`Error::Missing`], the service's.
    pub async fn describe(&self, name: &str) -> Result<service::Vault, Error> {
        check_name(name.as_bytes())?;
        match self.service.vault(name).await {
            Err(error) if error.kind() == Trouble::VaultMissing => Err(Error::Missing(name.to_owned())),
            other => Ok(other?),
        }
    }

    /// Tells the kernel that a name in a directory isn't what it was.
    pub fn changed(&self, parent: catalog::Ino, name: &[u8]) {
        self.tell(&Invalidate::Entry { parent, name: name.to_vec() });
    }

    /// Tells the kernel of a change that it doesn't know of.
    fn tell(&self, what: &Invalidate) {
        self.invalidator.tell(what);
    }
}

/// A vault's directory.
fn directory(mode: u32, caller: Caller) -> NewInode<'static> {
    let mode = Kind::Directory.bits() | mode & 0o7777;
    NewInode { mode, uid: caller.uid, gid: caller.gid, rdev: 0, target: None, content: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the service's rule for names, and a message that says it.
    #[test]
    fn names_of_vaults() {
        for good in ["a", "A-9_z.", ".hidden", &"x".repeat(255)] {
            assert!(check_name(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [&b""[..], b".", b"..", b"a b", b"a/b", b"\xff", "é".as_bytes(), &[b'x'; 256]] {
            let message = check_name(bad).expect_err("refused").to_string();
            assert!(message.contains("allowed are 1 to 255"), "{message}");
        }
    }
}
