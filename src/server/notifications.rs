//! Notification configurations of vaults: set, get, delete.

use http::StatusCode;

use super::access::{Access, vault_at};
use super::db::notifications::{self, Notifications};
use super::error::invalid;
use super::notify;
use super::reply::{Answer, Reply};
use super::request;
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{NotificationConfig, NotificationEvent};

impl Service {
    /// 3.5. Whether the topic exists is not looked at.
    pub async fn set_vault_notifications(&self, access: Access, body: &[u8]) -> Answer {
        let config = parse(body)?;
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            Ok(notifications::put(tx, vault.id, &config)?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// 3.6.
    pub async fn get_vault_notifications(&self, access: Access) -> Answer {
        let Notifications { topic, events } = self
            .read(move |connection| {
                let vault = vault_at(connection, &access)?;
                notifications::get(connection, vault.id)?.ok_or_else(|| {
                    let message = format!("No notification configuration is set for vault: {}", vault.name);
                    ServiceError::new(ErrorCode::ResourceNotFound, message)
                })
            })
            .await?;
        let events = serde_json::from_str(&events).map_err(std::io::Error::from)?;
        Reply::json(&NotificationConfig { sns_topic: Some(topic), events: Some(events) })
    }

    /// 3.7. Also when there is none.
    pub async fn delete_vault_notifications(&self, access: Access) -> Answer {
        self.write(move |tx| {
            let vault = vault_at(tx, &access)?;
            Ok(notifications::remove(tx, vault.id)?)
        })
        .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Notifications, ServiceError> {
    let NotificationConfig { sns_topic, events } = request::json(body)?;
    let topic = sns_topic.ok_or_else(|| ServiceError::missing_parameter("SNSTopic"))?;
    let events = events.ok_or_else(|| ServiceError::missing_parameter("Events"))?;
    if notify::region(&topic).is_none() {
        return Err(invalid(format!("Invalid SNSTopic: {topic}. Allowed is the ARN of an SNS topic.")));
    }
    let words = NotificationEvent::WORDS;
    if let Some(event) = events.iter().find(|event| !event.is_known()) {
        return Err(invalid(format!("Invalid event: {event}. Allowed are {}.", words.join(" and "))));
    }
    let is_twice = events.iter().enumerate().any(|(i, event)| events[..i].contains(event));
    if events.is_empty() || is_twice {
        return Err(invalid(format!("Invalid Events. Allowed are {}, one or both, each once.", words.join(" and "))));
    }
    Ok(Notifications { topic, events: serde_json::to_string(&events).map_err(std::io::Error::from)? })
}
