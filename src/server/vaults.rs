//! Vaults: create, delete, describe, list.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;

use super::access::{Access, find_vault, vault_at};
use super::db::vaults::{self, Contents, Vault, VaultAddress};
use super::db::{archives, jobs, lock, notifications, tags, uploads};
use super::error::invalid;
use super::inventory;
use super::reply::{Answer, Reply};
use super::request::{Query, cut};
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{Date, VaultDescription, VaultPage};

/// The most vaults of an account in a region.
const VAULTS: u64 = 1000;
/// The most vaults on a page.
const PAGE: usize = 10;
/// What each archive counts on top of its data, in bytes: its share of index and metadata.
const OVERHEAD: u64 = 32 << 10;

impl Service {
    /// 3.1. Creating a vault that exists changes nothing.
    pub async fn create_vault(&self, address: VaultAddress) -> Answer {
        if !is_valid_name(&address.name) {
            return Err(invalid(format!(
                "Invalid vault name: {}. Allowed are 1 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.', and not '.' \
                 or '..' alone.",
                address.name
            )));
        }
        let location = location(&address);
        let now = self.now();
        self.write(move |tx| {
            if vaults::find(tx, &address)?.is_some() {
                return Ok(());
            }
            if vaults::count(tx, &address.account, &address.region)? >= VAULTS {
                let message = format!("The limit of {VAULTS} vaults per account and region has been reached.");
                return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
            }
            Ok(vaults::insert(tx, &address, now)?)
        })
        .await?;
        Reply::empty(StatusCode::CREATED).at(location)
    }

    /// 3.2. Allowed when the last inventory is empty and nothing was written since. Uploads in progress go with it,
    /// and so does all that was set on it.
    pub async fn delete_vault(&self, access: Access) -> Answer {
        let now = self.now();
        self.write(move |tx| {
            let Some(vault) = find_vault(tx, &access)? else { return Ok(()) };
            if vault.is_unseen(now) || vault.last_inventory(now).contents.archives > 0 {
                return Err(ServiceError::vault_not_empty(&access.address.to_string()));
            }
            jobs::remove_all(tx, vault.id)?;
            uploads::remove_all(tx, vault.id)?;
            archives::remove_all(tx, vault.id)?;
            tags::remove_all(tx, vault.id)?;
            notifications::remove(tx, vault.id)?;
            lock::remove(tx, vault.id)?;
            Ok(vaults::remove(tx, vault.id)?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// 3.3. Counts are those of the last inventory.
    pub async fn describe_vault(&self, access: Access) -> Answer {
        let now = self.now();
        let description = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                Ok(describe(&vault, &access.address, now))
            })
            .await?;
        Reply::json(&description)
    }

    /// Takes the vault's inventory now, whatever was written or not, and answers what DescribeVault then does.
    pub async fn take_inventory(&self, address: VaultAddress) -> Answer {
        let now = self.now();
        let description = self
            .write(move |tx| {
                let vault = vaults::find(tx, &address)?;
                let vault = vault.ok_or_else(|| ServiceError::vault_not_found(&address.to_string()))?;
                let vault = inventory::take(tx, vault, now)?;
                Ok(describe(&vault, &address, now))
            })
            .await?;
        Reply::json(&description)
    }

    /// 3.4. By name; the marker is the ARN of the last vault listed, which needn't exist any more.
    pub async fn list_vaults(&self, account: Arc<str>, query: &Query<'_>) -> Answer {
        let limit = query.limit(PAGE)?;
        let at = |name: &str| VaultAddress {
            account: Arc::clone(&account),
            region: Arc::clone(&self.region),
            name: name.to_owned(),
        };
        let after = match query.get("marker") {
            None => String::new(),
            Some(marker) => match marker.strip_prefix(&at("").to_string()) {
                Some(name) => name.to_owned(),
                None => return Err(invalid(format!("Invalid marker: {marker}. Allowed is the ARN of a vault."))),
            },
        };
        let (now, region, owner) = (self.now(), Arc::clone(&self.region), Arc::clone(&account));
        let mut found =
            self.read(move |connection| Ok(vaults::page(connection, &owner, &region, &after, limit + 1)?)).await?;
        let marker = cut(&mut found, limit).map(|last| at(&last.name).to_string());
        let vault_list = found.iter().map(|vault| describe(vault, &at(&vault.name), now)).collect();
        Reply::json(&VaultPage { marker, vault_list })
    }
}

/// The path of a vault.
pub(super) fn location(address: &VaultAddress) -> String {
    format!("/{}/vaults/{}", address.account, address.name)
}

/// Whether a vault can have this name. Names that path normalisation removes are none.
pub(super) fn is_valid_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=255).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

fn describe(vault: &Vault, address: &VaultAddress, now: Timestamp) -> VaultDescription {
    let inventory = vault.last_inventory(now);
    let Contents { archives, bytes } = inventory.contents;
    VaultDescription {
        creation_date: Date(vault.created),
        last_inventory_date: inventory.date.map(Date),
        number_of_archives: Some(archives),
        size_in_bytes: Some(bytes + archives * OVERHEAD),
        vault_arn: address.to_string(),
        vault_name: vault.name.clone(),
    }
}
