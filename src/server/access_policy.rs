//! Vault access policies: set, get, delete. What they do is in [`access`](super::access).

use http::StatusCode;

use super::access::{Access, vault_at};
use super::db::access_policy;
use super::db::vaults::VaultAddress;
use super::error::invalid;
use super::policy::Policy;
use super::reply::{Answer, Reply};
use super::request;
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::VaultPolicy;

impl Service {
    /// 3.8.
    pub async fn set_vault_access_policy(&self, access: Access, body: &[u8]) -> Answer {
        let text = text(body)?;
        let refused = |reason| invalid(format!("Invalid vault access policy. {reason}"));
        let policy = Policy::parse(&text).map_err(refused)?;
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            check_resources(&policy, &access.address).map_err(refused)?;
            Ok(access_policy::set(tx, vault.id, Some(&text))?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// 3.9.
    pub async fn get_vault_access_policy(&self, access: Access) -> Answer {
        let policy = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                access_policy::get(connection, vault.id)?.ok_or_else(|| {
                    let message = format!("No vault access policy is set for: {}", vault.name);
                    ServiceError::new(ErrorCode::ResourceNotFound, message)
                })
            })
            .await?;
        Reply::json(&VaultPolicy { policy: Some(policy) })
    }

    /// 3.10. Also when there is none.
    pub async fn delete_vault_access_policy(&self, access: Access) -> Answer {
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            Ok(access_policy::set(tx, vault.id, None)?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// The policy that a body holds.
pub(super) fn text(body: &[u8]) -> Result<String, ServiceError> {
    let VaultPolicy { policy } = request::json(body)?;
    policy.filter(|text| !text.is_empty()).ok_or_else(|| ServiceError::missing_parameter("Policy"))
}

/// Checks that each statement of a policy is about the vault it is set on. The error says which one isn't.
pub(super) fn check_resources(policy: &Policy, address: &VaultAddress) -> Result<(), String> {
    let arn = address.to_string();
    match policy.statement_beside(&arn) {
        None => Ok(()),
        Some(i) => Err(format!("In Statement[{i}].Resource, nothing is the vault that the policy is for, {arn}.")),
    }
}
