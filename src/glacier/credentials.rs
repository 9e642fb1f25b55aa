//! Where the client's credentials come from: AWS's own chain of sources, or a fixed key.
//!
//! The chain is the one every AWS tool follows: environment, shared profiles (with SSO, assumed roles and
//! `credential_process`), web identity, container, instance metadata. What it yields is kept until shortly before it
//! expires; many requests at once cause one refresh, and while the old credentials are still good nobody waits for it.
//!
//! A key in a file has no expiry. So what the service refuses is looked for again in its source: a key that somebody
//! replaced is taken up without a restart.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::glacier::sigv4::Credentials;
use crate::util::causes;

/// How long before their expiry credentials are refreshed.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long before their expiry credentials aren't used any more: a request takes time to arrive.
const UNUSABLE_BEFORE: Duration = Duration::from_secs(15);

/// No credentials: why, and whether waiting may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoCredentials {
    /// What was tried and how it failed, for a person.
    pub message: String,
    /// Whether the source exists and may work again later.
    pub retryable: bool,
}

/// A source of credentials. Cloning shares it with its cache.
#[derive(Clone, Debug)]
pub struct CredentialSource(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<Credentials>),
    Provider(Arc<Cached>),
}

struct Cached {
    /// Makes the provider. A new one is made each time that it is to be asked: AWS's own read their files once, and answer
    /// what was in them, or that they couldn't be read, for ever.
    make: Box<dyn Fn() -> BoxFuture<'static, SharedCredentialsProvider> + Send + Sync>,
    /// What the provider is called in messages.
    name: String,
    current: RwLock<Option<Current>>,
    /// Held by the one task that asks the provider.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Current {
    credentials: Arc<Credentials>,
    expiry: Option<SystemTime>,
}

impl Current {
    fn good_for(&self, time: Duration) -> bool {
        self.expiry.is_none_or(|expiry| SystemTime::now() + time < expiry)
    }
}

impl CredentialSource {
    /// The same credentials for ever, such as those of an embedded endpoint.
    pub fn fixed(credentials: Credentials) -> Self {
        CredentialSource(Source::Fixed(Arc::new(credentials)))
    }

    /// AWS's default chain, for a service in `region`. A `profile` that is named here excludes the other sources, as it
    /// does for the AWS CLI; else `AWS_PROFILE` or the profile `default` is one among them. Nothing is asked yet.
    pub async fn aws(region: &str, profile: Option<&str>) -> Self {
        let region = Region::new(region.to_owned());
        match profile.map(str::to_owned) {
            Some(profile) => {
                let name = format!("AWS profile '{profile}'");
                let make = move || {
                    let config = ProviderConfig::without_region().with_region(Some(region.clone()));
                    let builder = ProfileFileCredentialsProvider::builder().configure(&config);
                    let provider = SharedCredentialsProvider::new(builder.profile_name(&profile).build());
                    std::future::ready(provider).boxed()
                };
                Self::made_by(make, name)
            }
            None => {
                let name = "environment, AWS profile, web identity, container or instance metadata";
                let make = move || {
                    let chain = DefaultCredentialsChain::builder().region(region.clone()).build();
                    chain.map(SharedCredentialsProvider::new).boxed()
                };
                Self::made_by(make, name.to_owned())
            }
        }
    }

    /// Any other provider; `name` says in messages where credentials were looked for.
    pub fn provider(provider: impl ProvideCredentials + 'static, name: String) -> Self {
        let provider = SharedCredentialsProvider::new(provider);
        Self::made_by(move || std::future::ready(provider.clone()).boxed(), name)
    }

    fn made_by(
        make: impl Fn() -> BoxFuture<'static, SharedCredentialsProvider> + Send + Sync + 'static,
        name: String,
    ) -> Self {
        CredentialSource(Source::Provider(Arc::new(Cached {
            make: Box::new(make),
            name,
            current: RwLock::new(None),
            refreshing: tokio::sync::Mutex::new(()),
        })))
    }

    /// Credentials that are good now: cached ones, or fresh ones from the source.
    pub async fn get(&self) -> Result<Arc<Credentials>, NoCredentials> {
        match &self.0 {
            Source::Fixed(credentials) => Ok(credentials.clone()),
            Source::Provider(cached) => cached.get().await,
        }
    }

    /// The service has refused `used`: asks the source for others, and answers them if it has any.
    pub async fn others(&self, used: &Credentials) -> Option<Arc<Credentials>> {
        let Source::Provider(cached) = &self.0 else { return None };
        let _refreshing = cached.refreshing.lock().await;
        // Another task may have asked while this one waited.
        let current = match cached.current().filter(|current| *current.credentials != *used) {
            Some(current) => current.credentials,
            // Without an answer the refused ones stay: what the service says of them says more than their absence.
            None => cached.refresh().await.inspect_err(|error| log::debug!("{}", cached.failure(error))).ok()?,
        };
        (*current != *used).then_some(current)
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cached {
    fn current(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn get(&self) -> Result<Arc<Credentials>, NoCredentials> {
        let current = self.current();
        if let Some(current) = current.as_ref().filter(|current| current.good_for(REFRESH_BEFORE)) {
            return Ok(current.credentials.clone());
        }
        let usable = current.filter(|current| current.good_for(UNUSABLE_BEFORE));
        let _refreshing = match usable {
            Some(usable) => match self.refreshing.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(usable.credentials),
            },
            None => self.refreshing.lock().await,
        };
        // Another task may have refreshed while this one waited.
        if let Some(current) = self.current().filter(|current| current.good_for(REFRESH_BEFORE)) {
            return Ok(current.credentials);
        }
        match self.refresh().await {
            Ok(credentials) => Ok(credentials),
            Err(error) => match self.current().filter(|current| current.good_for(UNUSABLE_BEFORE)) {
                Some(usable) => {
                    log::warn!("credentials that expire soon couldn't be refreshed: {}", self.failure(&error).message);
                    Ok(usable.credentials)
                }
                None => Err(self.failure(&error)),
            },
        }
    }

    /// Asks the source, and keeps what it answers.
    async fn refresh(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let fresh = (self.make)().await.provide_credentials().await?;
        let credentials = Arc::new(Credentials {
            access_key: fresh.access_key_id().to_owned(),
            secret_key: fresh.secret_access_key().to_owned(),
            session_token: fresh.session_token().map(str::to_owned),
        });
        let current = Current { credentials: credentials.clone(), expiry: fresh.expiry() };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
        Ok(credentials)
    }

    fn failure(&self, error: &CredentialsError) -> NoCredentials {
        let message = causes::append(format!("no AWS credentials from {}: {error}", self.name), error);
        let absent =
            matches!(error, CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_));
        NoCredentials { message, retryable: !absent }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::{Result as Provided, future};

    use super::*;

    /// A provider that answers what it is told to, and counts how often it is asked.
    #[derive(Clone, Debug, Default)]
    struct Scripted {
        asked: Arc<AtomicU32>,
        answers: Arc<Mutex<Vec<Provided>>>,
    }

    impl ProvideCredentials for Scripted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::new(async {
                tokio::task::yield_now().await;
                self.answers.lock().expect("not poisoned").remove(0)
            })
        }
    }

    fn keys(id: &str, lives: Option<u64>) -> Provided {
        let expiry = lives.map(|secs| SystemTime::now() + Duration::from_secs(secs));
        Ok(aws_credential_types::Credentials::new(id, "secret", None, expiry, "test"))
    }

    fn source(answers: Vec<Provided>) -> (Scripted, CredentialSource) {
        let scripted = Scripted { answers: Arc::new(Mutex::new(answers)), ..Default::default() };
        (scripted.clone(), CredentialSource::provider(scripted, "the script".into()))
    }

    async fn key(source: &CredentialSource) -> String {
        source.get().await.expect("credentials").access_key.clone()
    }

    /// Promise: a crowd of requests asks the source once, and what doesn't expire is never asked for again.
    #[tokio::test]
    async fn a_crowd_asks_once() {
        let (scripted, source) = source(vec![keys("one", None)]);
        let all = futures_util::future::join_all((0..50).map(|_| key(&source))).await;
        assert!(all.iter().all(|key| key == "one"));
        assert_eq!(scripted.asked.load(Ordering::SeqCst), 1);
    }

    /// Promise: credentials are refreshed before they expire; while they are still good a failing source is survived,
    /// and once they aren't it is an error that says where was looked and whether waiting helps.
    #[tokio::test]
    async fn refreshed_before_expiry() {
        let failing = || Err(CredentialsError::provider_error("out of order"));
        let (scripted, source) = source(vec![keys("old", Some(60)), failing(), keys("new", Some(3600))]);
        assert_eq!(key(&source).await, "old");
        assert_eq!(key(&source).await, "old", "a failing refresh keeps what is still good");
        assert_eq!(key(&source).await, "new");
        assert_eq!(key(&source).await, "new");
        assert_eq!(scripted.asked.load(Ordering::SeqCst), 3);

        let (_, source) = self::source(vec![failing()]);
        let error = source.get().await.expect_err("the script has nothing else");
        assert!(error.retryable && error.message.contains("the script"), "{error}");
        assert!(error.message.contains("out of order"), "{error}");
    }

    /// Promise: what the service refuses is looked for again in its source, once for all who were refused; what isn't another
    /// key there is no news.
    #[tokio::test]
    async fn refused_credentials_are_replaced() {
        let failing = || Err(CredentialsError::provider_error("out of order"));
        let (scripted, source) = source(vec![keys("old", None), failing(), keys("old", None), keys("new", None)]);
        let used = source.get().await.expect("credentials");
        assert!(source.others(&used).await.is_none(), "the source fails");
        assert_eq!(key(&source).await, "old");
        assert!(source.others(&used).await.is_none(), "it has the same");
        let all = futures_util::future::join_all((0..50).map(|_| source.others(&used))).await;
        assert!(all.iter().flatten().all(|others| others.access_key == "new") && all.iter().all(Option::is_some));
        assert_eq!((key(&source).await.as_str(), scripted.asked.load(Ordering::SeqCst)), ("new", 4));
    }

    /// Promise: a profile that is named is the only source, and its absence is said with its name.
    #[tokio::test]
    async fn a_missing_profile_is_named() {
        let source = CredentialSource::aws("us-east-1", Some("no-such-profile-anywhere")).await;
        let error = source.get().await.expect_err("no such profile");
        assert!(!error.retryable && error.message.contains("no-such-profile-anywhere"), "{error:?}");
    }
}
