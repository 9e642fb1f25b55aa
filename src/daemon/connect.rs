//! The way to the service: the same for a mount and for a command that asks without one.

use crate::config::Config;
use crate::config::Service;
use crate::glacier::client;
use crate::glacier::client::Client;
use crate::glacier::credentials::CredentialSource;
use crate::server::Server;

/// A client of `service`, or of the endpoint in this process, with whose credentials it then signs. Others come from
/// where the AWS tools take them. Nothing is sent yet.
///
/// # Errors
/// When the settings are no client's.
pub async fn connect(service: Service, embedded: Option<&Server>) -> Result<Client, client::Error> {
    let credentials = match embedded {
        Some(server) => CredentialSource::fixed(server.credentials().clone()),
        None => CredentialSource::aws(&service.region, service.profile.as_deref()).await,
    };
    let mut settings = client::Config::new(service.region, credentials);
    settings.endpoint = embedded.map(Server::url).or(service.endpoint);
    settings.account = service.account;
    Client::new(settings)
}

/// Of a mount's configuration, what says how to reach the service.
pub(super) fn service(config: &Config) -> Service {
    Service {
        region: config.region.clone(),
        endpoint: config.endpoint.clone(),
        account: config.account.clone(),
        profile: config.profile.clone(),
    }
}
