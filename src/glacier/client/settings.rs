//! What is set on vaults and accounts: tags, notifications, policies, locks, how much may be retrieved, and capacity.
//!
//! What isn't set is an error with the code `ResourceNotFoundException`, as is a vault that doesn't exist; the messages
//! differ. Tags, the data retrieval policy and the list of capacity always have a value.

use std::collections::BTreeMap;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::{Client, Error, ErrorKind};
use crate::glacier::payload::Payload;
use crate::glacier::sigv4;
use crate::glacier::transport::Call;
use crate::glacier::wire::{self, header};

impl Client {
    /// AddTagsToVault: 1 to 10 tags, values by key. A tag with the same key is replaced; a vault has at most 50
    /// (`LimitExceededException`, and nothing is added).
    pub async fn add_tags(&self, vault: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let call = self.call("AddTagsToVault", Method::POST, vault, &["tags"])?;
        let call = Call { query: "operation=add".into(), ..call };
        self.send(self.with_json(call, &wire::Tags { tags: tags.clone() })?).await.map(drop)
    }

    /// ListTagsForVault: values by key.
    pub async fn list_tags(&self, vault: &str) -> Result<BTreeMap<String, String>, Error> {
        let tags: wire::Tags = self.fetch(self.call("ListTagsForVault", Method::GET, vault, &["tags"])?).await?;
        Ok(tags.tags)
    }

    /// RemoveTagsFromVault: 1 to 10 keys. No error if there are no such tags.
    pub async fn remove_tags(&self, vault: &str, keys: &[String]) -> Result<(), Error> {
        let call = self.call("RemoveTagsFromVault", Method::POST, vault, &["tags"])?;
        let call = Call { query: "operation=remove".into(), ..call };
        self.send(self.with_json(call, &wire::TagKeys { tag_keys: keys.to_vec() })?).await.map(drop)
    }

    /// SetVaultNotifications: publishes `events` of the vault to the topic with the ARN `topic`, and replaces what was
    /// published before.
    pub async fn set_notifications(
        &self,
        vault: &str,
        topic: &str,
        events: &[wire::NotificationEvent],
    ) -> Result<(), Error> {
        let call = self.call("SetVaultNotifications", Method::PUT, vault, &["notification-configuration"])?;
        let config = wire::NotificationConfig { sns_topic: Some(topic.into()), events: Some(events.to_vec()) };
        self.send(self.with_json(call, &config)?).await.map(drop)
    }

    /// GetVaultNotifications. An error if nothing is published.
    pub async fn get_notifications(&self, vault: &str) -> Result<wire::NotificationConfig, Error> {
        self.fetch(self.call("GetVaultNotifications", Method::GET, vault, &["notification-configuration"])?).await
    }

    /// DeleteVaultNotifications. No error if nothing is published.
    pub async fn delete_notifications(&self, vault: &str) -> Result<(), Error> {
        let call = self.call("DeleteVaultNotifications", Method::DELETE, vault, &["notification-configuration"])?;
        self.send(call).await.map(drop)
    }

    /// SetVaultAccessPolicy: `policy` is a JSON document of at most 20 KB, and replaces the one before.
    pub async fn set_access_policy(&self, vault: &str, policy: &str) -> Result<(), Error> {
        let call = self.call("SetVaultAccessPolicy", Method::PUT, vault, &["access-policy"])?;
        self.send(self.with_json(call, &wire::VaultPolicy { policy: Some(policy.into()) })?).await.map(drop)
    }

    /// GetVaultAccessPolicy: the JSON document as it was set. An error if there is none.
    pub async fn get_access_policy(&self, vault: &str) -> Result<String, Error> {
        let call = self.call("GetVaultAccessPolicy", Method::GET, vault, &["access-policy"])?;
        let operation = call.operation;
        let answer: wire::VaultPolicy = self.fetch(call).await?;
        answer.policy.ok_or_else(|| self.lacks(operation, "Policy"))
    }

    /// DeleteVaultAccessPolicy. No error if there is none.
    pub async fn delete_access_policy(&self, vault: &str) -> Result<(), Error> {
        self.send(self.call("DeleteVaultAccessPolicy", Method::DELETE, vault, &["access-policy"])?).await.map(drop)
    }

    /// InitiateVaultLock; answers with the lock's ID, which completing it takes. `policy` is in force at once, and for ever
    /// when the lock is completed within 24 hours; otherwise both vanish.
    ///
    /// Never repeated when the lock may have been initiated: the repetition would be refused. Abort it and start again.
    pub async fn initiate_vault_lock(&self, vault: &str, policy: &str) -> Result<String, Error> {
        let call = self.call("InitiateVaultLock", Method::POST, vault, &["lock-policy"])?;
        let call = self.with_json(call, &wire::VaultPolicy { policy: Some(policy.into()) })?;
        let operation = call.operation;
        let answer = self.send(Call { idempotent: false, ..call }).await?;
        self.id(operation, &answer, header::LOCK_ID)
    }

    /// GetVaultLock. An error if there is none, or its 24 hours are over.
    pub async fn get_vault_lock(&self, vault: &str) -> Result<wire::VaultLock, Error> {
        self.fetch(self.call("GetVaultLock", Method::GET, vault, &["lock-policy"])?).await
    }

    /// AbortVaultLock. No error if there is none; `AccessDeniedException` once it is locked.
    pub async fn abort_vault_lock(&self, vault: &str) -> Result<(), Error> {
        self.send(self.call("AbortVaultLock", Method::DELETE, vault, &["lock-policy"])?).await.map(drop)
    }

    /// CompleteVaultLock: nothing and nobody can take the policy away again. May be repeated.
    pub async fn complete_vault_lock(&self, vault: &str, lock_id: &str) -> Result<(), Error> {
        self.send(self.call("CompleteVaultLock", Method::POST, vault, &["lock-policy", lock_id])?).await.map(drop)
    }

    /// GetDataRetrievalPolicy of the account in this region: its only rule.
    pub async fn get_retrieval_policy(&self) -> Result<wire::DataRetrievalRule, Error> {
        let call = self.account_call("GetDataRetrievalPolicy", Method::GET, "policies/data-retrieval");
        let operation = call.operation;
        let answer: wire::DataRetrievalPolicyBody = self.fetch(call).await?;
        let rule = answer.policy.and_then(|policy| policy.rules.into_iter().next());
        rule.ok_or_else(|| self.lacks(operation, "Rules"))
    }

    /// SetDataRetrievalPolicy of the account in this region. The rule has a number of bytes with the strategy
    /// `BytesPerHour`, and only with that.
    pub async fn set_retrieval_policy(&self, rule: &wire::DataRetrievalRule) -> Result<(), Error> {
        let call = self.account_call("SetDataRetrievalPolicy", Method::PUT, "policies/data-retrieval");
        let policy = wire::DataRetrievalPolicy { rules: vec![rule.clone()] };
        self.send(self.with_json(call, &wire::DataRetrievalPolicyBody { policy: Some(policy) })?).await.map(drop)
    }

    /// ListProvisionedCapacity: the units that have not expired.
    pub async fn list_capacity(&self) -> Result<Vec<wire::ProvisionedCapacity>, Error> {
        let call = self.account_call("ListProvisionedCapacity", Method::GET, "provisioned-capacity");
        let list: wire::ProvisionedCapacityList = self.fetch(call).await?;
        Ok(list.provisioned_capacity_list)
    }

    /// PurchaseProvisionedCapacity; answers with the unit's ID. It costs money and lasts a month; an account has at most
    /// two (`LimitExceededException`).
    ///
    /// Never repeated when it may have been bought: each is paid for.
    pub async fn purchase_capacity(&self) -> Result<String, Error> {
        let call = self.account_call("PurchaseProvisionedCapacity", Method::POST, "provisioned-capacity");
        let operation = call.operation;
        let answer = self.send(Call { idempotent: false, ..call }).await?;
        self.id(operation, &answer, header::CAPACITY_ID)
    }

    /// A call on the account.
    fn account_call(&self, operation: &'static str, method: Method, tail: &str) -> Call {
        self.bare_call(operation, method, format!("/{}/{tail}", self.account))
    }

    /// `call` with a JSON body.
    pub(super) fn with_json(&self, mut call: Call, body: &impl Serialize) -> Result<Call, Error> {
        let body = serde_json::to_vec(body).map_err(|error| self.invalid(call.operation, error.to_string()))?;
        call.payload_hash = sigv4::payload_hash(&body);
        call.payload = Payload::bytes(body);
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(call)
    }

    fn lacks(&self, operation: &'static str, member: &str) -> Error {
        self.transport.error(operation, ErrorKind::Malformed(format!("it lacks {member}")))
    }
}
