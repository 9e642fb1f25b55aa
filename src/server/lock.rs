//! Vault locks: initiate, get, abort, complete (5.5).
//!
//! A lock that is in progress ends by itself after 24 hours. That is a function of the clock: nothing has to wake up for
//! it, and a lock whose time is over is as if it had never been.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::access::{Access, vault_at};
use super::db::lock::{self, Lock};
use super::db::vaults::VaultAddress;
use super::error::invalid;
use super::policy::Policy;
use super::reply::{Answer, Reply};
use super::service::Service;
use super::{access_policy, ids};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{Date, LockState, VaultLock, header};

/// How long a lock can be in progress.
const PROGRESS: SignedDuration = SignedDuration::from_hours(24);

impl Service {
    /// 3.11. The policy is in force at once.
    pub async fn initiate_vault_lock(&self, access: Access, body: &[u8]) -> Answer {
        let text = access_policy::text(body)?;
        let bad =
            |reason| invalid(format!("The specified vault lock policy is invalid. Provide a valid policy. {reason}"));
        let policy = Policy::parse(&text).map_err(bad)?;
        let created = self.now();
        let lock_id = ids::lock(created);
        let new = Lock { policy: text, lock_id: lock_id.clone(), created, expires: Some(created + PROGRESS) };
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            access_policy::check_resources(&policy, &access.address).map_err(bad)?;
            match lock::get(tx, vault.id)?.filter(|lock| lock.is_in_force(created)) {
                Some(lock) => Err(refused(&access.address, &lock, "it can't be initiated again")),
                None => Ok(lock::put(tx, vault.id, &new)?),
            }
        })
        .await?;
        Reply::empty(StatusCode::CREATED).with(header::LOCK_ID, lock_id)
    }

    /// 3.12.
    pub async fn get_vault_lock(&self, access: Access) -> Answer {
        let now = self.now();
        let lock = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                let lock = lock::get(connection, vault.id)?.filter(|lock| lock.is_in_force(now));
                lock.ok_or_else(|| none(&vault.name))
            })
            .await?;
        Reply::json(&VaultLock {
            state: lock.state(),
            expiration_date: lock.expires.map(Date),
            creation_date: Date(lock.created),
            policy: lock.policy,
        })
    }

    /// 3.13. Also when there is none.
    pub async fn abort_vault_lock(&self, access: Access) -> Answer {
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            match lock::get(tx, vault.id)? {
                Some(lock) if lock.expires.is_none() => Err(refused(&access.address, &lock, "it can't be aborted")),
                _ => Ok(lock::remove(tx, vault.id)?),
            }
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// 3.14. May be repeated.
    pub async fn complete_vault_lock(&self, access: Access, lock_id: String) -> Answer {
        let now = self.now();
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            let lock = lock::get(tx, vault.id)?.filter(|lock| lock.is_in_force(now));
            let lock = lock.ok_or_else(|| none(&vault.name))?;
            match (lock.lock_id == lock_id, lock.state()) {
                (true, LockState::Locked) => Ok(()),
                (true, _) => Ok(lock::complete(tx, vault.id)?),
                (false, LockState::Locked) => {
                    Err(refused(&access.address, &lock, &format!("its lock ID is not {lock_id}")))
                }
                (false, _) => Err(invalid(format!("Invalid lock ID: {lock_id}"))),
            }
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

impl Lock {
    /// Whether its policy has to be obeyed.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    fn state(&self) -> LockState {
        if self.expires.is_some() { LockState::InProgress } else { LockState::Locked }
    }
}

fn none(vault: &str) -> ServiceError {
    ServiceError::new(ErrorCode::ResourceNotFound, format!("No vault lock policy is set for: {vault}"))
}

/// 403 for what the state of a lock forbids.
fn refused(address: &VaultAddress, lock: &Lock, what: &str) -> ServiceError {
    let message = format!("The vault lock of {address} is {}: {what}.", lock.state());
    ServiceError::new(ErrorCode::AccessDenied, message)
}
