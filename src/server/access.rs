//! Who may do what with a vault: the one place where policies are obeyed.
//!
//! The account that owns a vault, and each of its users, may do everything that neither its lock nor its access policy
//! denies; another account only what the access policy allows, if neither denies it. What is denied for the archive's
//! age is judged once the archive is found, so this stands between looking for the vault and saying whether it is
//! there: who has no right to a vault doesn't learn whether it exists.

use std::io;

use jiff::Timestamp;
use rusqlite::Connection;

use super::db::archives::{self, Archive};
use super::db::vaults::{self, Vault, VaultAddress};
use super::db::{access_policy, lock, tags};
use super::policy::{Caller, Facts, Policy, Request, Verdict};
use crate::glacier::error::{ErrorCode, ServiceError};

/// A request about a vault: which one, by whom, to do what.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub address: VaultAddress,
    /// Whose key signed.
    pub caller: Caller,
    /// The operation's name.
    pub action: &'static str,
    /// When it arrived.
    pub now: Timestamp,
}

/// The vault that a request is about, which must exist and be open to it.
pub(super) fn vault_at(connection: &Connection, access: &Access) -> Result<Vault, ServiceError> {
    existing(find_vault(connection, access)?, &access.address)
}

/// The vault that a request is about, if there is one; an error when it isn't open to it.
pub(super) fn find_vault(connection: &Connection, access: &Access) -> Result<Option<Vault>, ServiceError> {
    let vault = vaults::find(connection, &access.address)?;
    access.check(connection, vault.as_ref(), None)?;
    Ok(vault)
}

/// The vault and the archive that a request is about, the archive also when it is deleted; 404 when it never was, 400 when
/// it is of another vault.
pub(super) fn archive_at(
    connection: &Connection,
    access: &Access,
    archive_id: &str,
) -> Result<(Vault, Archive), ServiceError> {
    let (vault, archive) = (vaults::find(connection, &access.address)?, archives::find(connection, archive_id)?);
    let here = archive.as_ref().filter(|archive| vault.as_ref().is_some_and(|vault| vault.id == archive.vault));
    access.check(connection, vault.as_ref(), here)?;
    let vault = existing(vault, &access.address)?;
    let archive = archive.ok_or_else(|| ServiceError::archive_not_found(archive_id))?;
    if archive.vault != vault.id {
        return Err(ServiceError::archive_of_another_vault(&access.address.to_string()));
    }
    Ok((vault, archive))
}

fn existing(vault: Option<Vault>, address: &VaultAddress) -> Result<Vault, ServiceError> {
    match vault {
        Some(vault) => Ok(vault),
        // The real service gives the bare name where it can't be a vault's.
        None if !super::vaults::is_valid_name(&address.name) => Err(ServiceError::vault_not_found(&address.name)),
        None => Err(ServiceError::vault_not_found(&address.to_string())),
    }
}

impl Access {
    /// Obeys the policies of `vault`.
    fn check(
        &self,
        connection: &Connection,
        vault: Option<&Vault>,
        archive: Option<&Archive>,
    ) -> Result<(), ServiceError> {
        let is_owner = self.caller.account == self.address.account;
        let stranger = || ServiceError::wrong_account(&self.address.account);
        let Some(vault) = vault else { return if is_owner { Ok(()) } else { Err(stranger()) } };
        let policy = access_policy::get(connection, vault.id)?.map(|text| stored(&text)).transpose()?;
        if !is_owner && !policy.as_ref().is_some_and(|policy| policy.invites(&self.caller)) {
            return Err(stranger());
        }
        let lock = lock::get(connection, vault.id)?.filter(|lock| lock.is_in_force(self.now));
        let lock = lock.map(|lock| stored(&lock.policy)).transpose()?;
        if policy.is_none() && lock.is_none() {
            return Ok(());
        }

        let (arn, tags) = (self.address.to_string(), tags::all(connection, vault.id)?);
        let archive_age_days = archive.map(|archive| self.now.duration_since(archive.created).as_hours() / 24);
        let facts = Facts { archive_age_days, tags: &tags };
        let request = Request { caller: &self.caller, action: self.action, resource: &arn, facts };
        let verdict = |policy: &Option<Policy>| policy.as_ref().map_or(Verdict::Silent, |p| p.verdict(&request));
        match (verdict(&lock), verdict(&policy)) {
            (Verdict::Denied, _) => Err(self.denied(" with an explicit deny in the vault lock policy")),
            // Else a slip of the pen would close a vault to its owner for ever. A user has the owner to help.
            (_, Verdict::Denied) if is_owner && self.caller.user.is_none() && self.is_about_access_policy() => Ok(()),
            (_, Verdict::Denied) => Err(self.denied(" with an explicit deny in the vault access policy")),
            (_, Verdict::Allowed) => Ok(()),
            (_, Verdict::Silent) if is_owner => Ok(()),
            (_, Verdict::Silent) => Err(self.denied("")),
        }
    }

    fn is_about_access_policy(&self) -> bool {
        matches!(self.action, "GetVaultAccessPolicy" | "SetVaultAccessPolicy" | "DeleteVaultAccessPolicy")
    }

    fn denied(&self, why: &str) -> ServiceError {
        let Access { address, caller, action, .. } = self;
        let Caller { account, user } = caller;
        let name = user.as_ref().map_or_else(|| "root".to_owned(), |user| format!("user/{user}"));
        let user = format!("arn:{}:iam::{account}:{name}", address.partition());
        let message =
            format!("User: {user} is not authorized to perform: glacier:{action} on resource: {address}{why}");
        ServiceError::new(ErrorCode::AccessDenied, message)
    }
}

/// A policy that has been read before, when it was set.
fn stored(text: &str) -> Result<Policy, ServiceError> {
    Ok(Policy::parse(text).map_err(|reason| io::Error::other(format!("a stored policy can't be read: {reason}")))?)
}
