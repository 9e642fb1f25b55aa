//! What a command needs that talks to the service itself, without a mount.

use super::Error;
use super::gather::Gathered;
use super::value;

/// How to reach the service. The same settings mean the same to a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The AWS region of the vaults.
    pub region: String,
    /// The URL of a service to use instead of AWS.
    pub endpoint: Option<String>,
    /// The account that owns the vaults: 12 digits, or `-` for that of the credentials.
    pub account: String,
    /// The profile of the AWS configuration files to take credentials from.
    pub profile: Option<String>,
}

impl Gathered {
    /// How to reach the service. What only a mount needs may be missing.
    ///
    /// # Errors
    /// When the region is missing, or the vaults are kept by a mount: no other process can ask that endpoint.
    pub fn service(&self) -> Result<Service, Error> {
        if let Some(local) = self.get("local") {
            let reason = "the vaults of local are served by their mount alone, so that nothing else can reach them; \
                          for use without a mount, serve them with `glacierfs serve --data DIR` and give --endpoint"
                .to_owned();
            return Err(Error::Conflict { at: local.source.clone(), reason });
        }
        Ok(Service {
            region: self.typed("region", value::region)?,
            endpoint: self.typed("endpoint", value::endpoint)?,
            account: self.typed("account", value::account)?,
            profile: self.typed("profile", value::text)?,
        })
    }
}
