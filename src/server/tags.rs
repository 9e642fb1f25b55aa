//! Tags of vaults: add, list, remove.

use http::StatusCode;

use super::access::{Access, vault_at};
use super::db::tags;
use super::error::invalid;
use super::reply::{Answer, Reply};
use super::request;
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{TagKeys, Tags};

/// The most tags of a vault (1.9).
const TAGS: usize = 50;
/// The most tags or keys in a request.
const AT_ONCE: usize = 10;
/// The most characters of a key and of a value.
const KEY: usize = 128;
const VALUE: usize = 255;

impl Service {
    /// 3.15. All of them or, beyond the limit, none.
    pub async fn add_tags_to_vault(&self, access: Access, body: &[u8]) -> Answer {
        let Tags { tags: new } = request::json(body)?;
        check_number("Tags", new.len())?;
        new.iter().try_for_each(|(key, value)| check(key, value))?;
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            let before = tags::all(tx, vault.id)?;
            if before.len() + new.keys().filter(|key| !before.contains_key(*key)).count() > TAGS {
                let message =
                    "The quota for the number of tags that can be assigned to this resource has been reached.";
                return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
            }
            Ok(new.iter().try_for_each(|(key, value)| tags::put(tx, vault.id, key, value))?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// 3.16.
    pub async fn list_tags_for_vault(&self, access: Access) -> Answer {
        let tags = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                Ok(tags::all(connection, vault.id)?)
            })
            .await?;
        Reply::json(&Tags { tags })
    }

    /// 3.17. Also when the vault has none of them.
    pub async fn remove_tags_from_vault(&self, access: Access, body: &[u8]) -> Answer {
        let TagKeys { tag_keys } = request::json(body)?;
        check_number("TagKeys", tag_keys.len())?;
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            Ok(tag_keys.iter().try_for_each(|key| tags::remove(tx, vault.id, key))?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

fn check_number(name: &str, number: usize) -> Result<(), ServiceError> {
    match number {
        0 => Err(ServiceError::missing_parameter(name)),
        1..=AT_ONCE => Ok(()),
        _ => Err(invalid(format!("Invalid {name}: there are {number}. Allowed are at most {AT_ONCE} in a request."))),
    }
}

pub(super) fn check(key: &str, value: &str) -> Result<(), ServiceError> {
    let reserved = key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if reserved {
        return Err(invalid(format!("Invalid tag key: {key}. Keys that begin with aws: are reserved.")));
    }
    let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _./=+-@".contains(c));
    let refuse = |what: &str, text: &str, from: usize, to: usize| {
        Err(invalid(format!(
            "Invalid tag {what}: {text}. Allowed are {from} to {to} letters, digits, spaces and characters of _./=+-@."
        )))
    };
    if !(1..=KEY).contains(&key.chars().count()) || !allowed(key) {
        return refuse("key", key, 1, KEY);
    }
    if value.chars().count() > VALUE || !allowed(value) {
        return refuse("value", value, 0, VALUE);
    }
    Ok(())
}
