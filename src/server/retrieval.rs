//! How much may be retrieved: data retrieval policies, and the limit on expedited retrievals (5.4).
//!
//! Both are decided in the transaction that would add the job, so that jobs asked for at the same time can't pass together
//! what each may pass alone, and a refused one leaves no trace.

use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::db::jobs::{NewJob, NewTask};
use super::db::vaults::VaultAddress;
use super::db::{capacity, retrieval};
use super::error::invalid;
use super::reply::{Answer, Reply};
use super::request;
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{DataRetrievalPolicy, DataRetrievalPolicyBody, DataRetrievalRule, Strategy, Tier};
use crate::util::size::GIB;

/// What `FreeTier` allows to retrieve in a day (UTC), in bytes: a thirtieth of 10 GiB a month.
const FREE_A_DAY: u64 = 10 * GIB / 30;
/// How many hours a retrieval is reckoned to be spread over.
const HOURS: u64 = 4;
/// The time in which expedited retrievals are counted.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// How many of them a unit of provisioned capacity adds.
const BY_UNIT: u64 = 3;

impl Service {
    /// 3.30.
    pub async fn get_data_retrieval_policy(&self, account: &str) -> Answer {
        let (account, region) = (account.to_owned(), self.region.clone());
        let rule = self.read(move |connection| Ok(rule(connection, &account, &region)?)).await?;
        Reply::json(&DataRetrievalPolicyBody { policy: Some(DataRetrievalPolicy { rules: vec![rule] }) })
    }

    /// 3.31. In force at once; running jobs go on.
    pub async fn set_data_retrieval_policy(&self, account: &str, body: &[u8]) -> Answer {
        let (strategy, bytes_per_hour) = parse(body)?;
        let (account, region) = (account.to_owned(), self.region.clone());
        self.write(move |tx| Ok(retrieval::set_policy(tx, &account, &region, strategy.as_str(), bytes_per_hour)?))
            .await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// What the endpoint itself limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most expedited retrievals of an account in any five minutes without provisioned capacity; `None`: no limit.
    pub expedited: Option<u32>,
}

impl Limits {
    /// Whether the archive job may be added; an error when it is too much at this time.
    pub fn check(self, connection: &Connection, vault: &VaultAddress, job: &NewJob) -> Result<(), ServiceError> {
        let NewTask::Archive { first, last, .. } = &job.task else { return Ok(()) };
        match job.tier.as_deref().map(Tier::from) {
            Some(Tier::Standard) => check_policy(connection, vault, job.created, last - first + 1),
            Some(Tier::Expedited) => self.check_expedited(connection, vault, job.created),
            _ => Ok(()),
        }
    }

    fn check_expedited(
        self,
        connection: &Connection,
        vault: &VaultAddress,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let Some(limit) = self.expedited else { return Ok(()) };
        let VaultAddress { account, region, .. } = vault;
        let units = capacity::active(connection, account, region, now)?.len() as u64;
        let limit = u64::from(limit) + units * BY_UNIT;
        if retrieval::expedited_since(connection, account, region, now - WINDOW)? < limit {
            return Ok(());
        }
        let message = format!(
            "There is not enough capacity for this Expedited retrieval: allowed are {limit} in 5 minutes. Try again later, \
             or ask for another Tier."
        );
        Err(ServiceError::new(ErrorCode::InsufficientCapacity, message))
    }
}

/// Whether the data retrieval policy allows another `bytes` by a Standard retrieval.
fn check_policy(connection: &Connection, vault: &VaultAddress, now: Timestamp, bytes: u64) -> Result<(), ServiceError> {
    let VaultAddress { account, region, .. } = vault;
    let DataRetrievalRule { strategy, bytes_per_hour } = rule(connection, account, region)?;
    let (asked, limit) = match strategy {
        Some(Strategy::BytesPerHour) => {
            let limit = u64::try_from(bytes_per_hour.unwrap_or_default()).unwrap_or_default();
            (retrieval::running_bytes(connection, account, region, now)?, limit.saturating_mul(HOURS))
        }
        Some(Strategy::FreeTier) => (retrieval::bytes_since(connection, account, region, day_of(now))?, FREE_A_DAY),
        _ => return Ok(()),
    };
    if asked.saturating_add(bytes) <= limit {
        return Ok(());
    }
    let message = "InitiateJob request denied by current data retrieval policy.";
    Err(ServiceError::new(ErrorCode::PolicyEnforced, message))
}

/// When the day (UTC) of `now` began.
fn day_of(now: Timestamp) -> Timestamp {
    now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |start| start.timestamp())
}

/// The rule of an account in a region: `None` when none was ever set.
fn rule(connection: &Connection, account: &str, region: &str) -> rusqlite::Result<DataRetrievalRule> {
    Ok(match retrieval::policy(connection, account, region)? {
        Some((strategy, bytes_per_hour)) => {
            DataRetrievalRule { strategy: Some(Strategy::from(strategy.as_str())), bytes_per_hour }
        }
        None => DataRetrievalRule { strategy: Some(Strategy::None), bytes_per_hour: None },
    })
}

pub(super) fn parse(body: &[u8]) -> Result<(Strategy, Option<i64>), ServiceError> {
    let DataRetrievalPolicyBody { policy } = request::json(body)?;
    let policy = policy.ok_or_else(|| ServiceError::missing_parameter("Policy"))?;
    let [DataRetrievalRule { strategy, bytes_per_hour }] = &policy.rules[..] else {
        return Err(invalid(format!("Invalid Rules: there are {}. Allowed is exactly one.", policy.rules.len())));
    };
    let strategy = strategy.clone().ok_or_else(|| ServiceError::missing_parameter("Strategy"))?;
    match (&strategy, bytes_per_hour) {
        (Strategy::Unknown(sent), _) => {
            Err(invalid(format!("Invalid Strategy: {sent}. Allowed are {}.", Strategy::WORDS.join(", "))))
        }
        (Strategy::BytesPerHour, None) => Err(ServiceError::missing_parameter("BytesPerHour")),
        (Strategy::BytesPerHour, Some(..1)) => Err(invalid(format!(
            "Invalid BytesPerHour: {}. Allowed are 1 to {}.",
            bytes_per_hour.unwrap_or_default(),
            i64::MAX
        ))),
        (Strategy::FreeTier | Strategy::None, Some(sent)) => {
            Err(invalid(format!("Invalid BytesPerHour: {sent}. It is not allowed with the strategy {strategy}.")))
        }
        _ => Ok((strategy, *bytes_per_hour)),
    }
}
