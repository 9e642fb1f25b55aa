//! What the endpoint can be told: where it keeps its data, where it listens, and how long Glacier's hours last.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::faults::FaultPlan;
use super::keyfile::KeyFile;
use super::policy::is_account;
use crate::glacier::wire::Tier;

/// How the endpoint is set up. [`ServerConfig::new`] gives the defaults of `glacierfs serve`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The directory that holds everything; made when it doesn't exist.
    pub data: PathBuf,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The region that signatures must be scoped to and that ARNs name. Each region has vaults of its own.
    pub region: String,
    /// The accounts, 12 digits each, every one with a key and vaults of its own. The first is that of the profile
    /// `glacierfs` in `credentials`, another's profile is `glacierfs-` and the account.
    pub accounts: Vec<String>,
    /// Keys that people bring, each of an account, which is served too when it isn't one of [`Self::accounts`].
    pub credentials: Option<KeyFile>,
    /// How long jobs take.
    pub retrieval_delays: RetrievalDelays,
    /// The most expedited retrievals of an account in any five minutes without provisioned capacity; `None`: no limit.
    pub expedited_limit: Option<u32>,
    /// How long after a write the inventory is taken that knows of it.
    pub inventory_interval: Duration,
    /// The URL of the SNS service that is told of the completion of jobs; without one, nothing is.
    pub sns_endpoint: Option<String>,
    /// Whether the routes under `/_glacierfs/` exist, which move a virtual clock, take inventories and set faults.
    pub admin: bool,
    /// The fault plan to begin with; only with [`Self::admin`].
    pub faults: Option<FaultPlan>,
    /// How long an upload may pause before it is given up with `RequestTimeoutException`.
    pub body_timeout: Duration,
}

impl ServerConfig {
    /// The defaults, on the data of one directory: loopback port 8210, us-east-1, account 000000000000, the delays of the
    /// real service, an inventory a day, no admin routes.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        ServerConfig {
            data: data.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8210)),
            region: "us-east-1".to_owned(),
            accounts: vec!["000000000000".to_owned()],
            credentials: None,
            retrieval_delays: RetrievalDelays::default(),
            expedited_limit: None,
            inventory_interval: Duration::from_secs(24 * 3600),
            sns_endpoint: None,
            admin: false,
            faults: None,
            body_timeout: Duration::from_secs(60),
        }
    }

    /// Checks what the types don't: the accounts and the region. The message names the value and what is allowed.
    pub(super) fn validate(&self) -> Result<(), String> {
        for (i, account) in self.accounts.iter().enumerate() {
            if !is_account(account) {
                return Err(format!(
                    "the account {account:?} is not allowed: an account is 12 digits, such as 000000000000"
                ));
            }
            if self.accounts[..i].contains(account) {
                return Err(format!("the account {account} is given twice: each has one key"));
            }
        }
        if self.accounts.is_empty() {
            return Err("no account is given: there has to be one, such as 000000000000".to_owned());
        }
        let region = &self.region;
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(format!(
                "the region {region:?} is not allowed: a region has a-z, 0-9 and '-', such as us-east-1"
            ));
        }
        Ok(())
    }
}

/// How long a job of each tier takes, from its request to its output. Inventory jobs without a tier take `standard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrievalDelays {
    /// Tier `Expedited`.
    pub expedited: Duration,
    /// Tier `Standard`.
    pub standard: Duration,
    /// Tier `Bulk`.
    pub bulk: Duration,
}

impl Default for RetrievalDelays {
    /// The usual times of the real service: 3 minutes, 4 hours, 8 hours.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        RetrievalDelays { expedited: minutes(3), standard: minutes(240), bulk: minutes(480) }
    }
}

impl RetrievalDelays {
    /// Changes the delays as one `TIER=DURATION` says: TIER is expedited, standard, bulk or all in any case, DURATION a
    /// number with a unit, such as `5s`, `0s`, `1h 30m`. The error names the value and what is allowed.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (tier, duration) = text.split_once('=').ok_or_else(|| {
            format!("{text:?} is not a retrieval delay: allowed is TIER=DURATION, such as standard=5s or all=0s")
        })?;
        let delay = humantime::parse_duration(duration.trim()).map_err(|error| {
            format!("{duration:?} in {text:?} is not a duration ({error}): allowed are numbers with units, such as 5s, 0s, 90m or 4h")
        })?;
        match tier.trim().to_ascii_lowercase().as_str() {
            "expedited" => self.expedited = delay,
            "standard" => self.standard = delay,
            "bulk" => self.bulk = delay,
            "all" => *self = RetrievalDelays { expedited: delay, standard: delay, bulk: delay },
            _ => {
                return Err(format!(
                    "{tier:?} in {text:?} is not a tier: allowed are expedited, standard, bulk and all"
                ));
            }
        }
        Ok(())
    }

    /// The defaults, changed by each of `settings` in turn, as with [`Self::set`].
    pub fn parse<S: AsRef<str>>(settings: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut delays = RetrievalDelays::default();
        for setting in settings {
            delays.set(setting.as_ref())?;
        }
        Ok(delays)
    }

    /// The delay of `tier`.
    pub(super) fn of(&self, tier: &Tier) -> Duration {
        match tier {
            Tier::Expedited => self.expedited,
            Tier::Bulk => self.bulk,
            _ => self.standard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: delays are set tier by tier in any case, later ones win, and a bad one is named with what is allowed.
    #[test]
    fn retrieval_delays() {
        let delays = RetrievalDelays::parse(["all=5s", "Bulk=1h 30m", "EXPEDITED=0s"]).expect("good delays");
        let seconds = Duration::from_secs;
        assert_eq!(delays, RetrievalDelays { expedited: seconds(0), standard: seconds(5), bulk: seconds(5400) });
        for (bad, says) in [
            ("5s", "allowed is TIER=DURATION"),
            ("slow=5s", "\"slow\" in \"slow=5s\" is not a tier: allowed are expedited"),
            ("bulk=soon", "\"soon\" in \"bulk=soon\" is not a duration"),
            ("bulk=", "allowed are numbers with units"),
        ] {
            let message = RetrievalDelays::parse([bad]).expect_err(bad);
            assert!(message.contains(says), "{message}");
        }
    }
}
