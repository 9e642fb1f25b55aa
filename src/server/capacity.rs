//! Provisioned capacity: purchase, list. What it is good for is in [`retrieval`](super::retrieval).

use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::db::capacity::{self, Unit};
use super::ids;
use super::reply::{Answer, Reply};
use super::service::Service;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::wire::{Date, ProvisionedCapacity, ProvisionedCapacityList, header};

/// The most units of an account in a region (1.9).
const UNITS: usize = 2;

impl Service {
    /// 3.32.
    pub async fn list_provisioned_capacity(&self, account: &str) -> Answer {
        let (account, region, now) = (account.to_owned(), self.region.clone(), self.now());
        let units = self.read(move |connection| Ok(capacity::active(connection, &account, &region, now)?)).await?;
        let described = units.into_iter().map(|unit| ProvisionedCapacity {
            capacity_id: unit.capacity_id,
            expiration_date: Date(unit.expires),
            start_date: Date(unit.starts),
        });
        Reply::json(&ProvisionedCapacityList { provisioned_capacity_list: described.collect() })
    }

    /// 3.33.
    pub async fn purchase_provisioned_capacity(&self, account: &str) -> Answer {
        let (account, region, now) = (account.to_owned(), self.region.clone(), self.now());
        let capacity_id = ids::capacity(now);
        let unit = Unit { capacity_id: capacity_id.clone(), starts: now, expires: a_month_after(now) };
        self.write(move |tx| {
            if capacity::active(tx, &account, &region, now)?.len() >= UNITS {
                let message = format!("The limit of {UNITS} units of provisioned capacity has been reached.");
                return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
            }
            Ok(capacity::insert(tx, &account, &region, &unit)?)
        })
        .await?;
        Reply::empty(StatusCode::CREATED).with(header::CAPACITY_ID, capacity_id)
    }
}

/// The same day and time of the next month, or its last day when it is too short; in whole seconds.
fn a_month_after(now: Timestamp) -> Timestamp {
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    whole.to_zoned(TimeZone::UTC).checked_add(1.month()).map_or(Timestamp::MAX, |end| end.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a unit lasts until the same day and time of the next month, its last day at most, without a fraction.
    #[test]
    fn months() {
        for (bought, ends) in [
            ("2017-11-03T15:26:33.031Z", "2017-12-03T15:26:33Z"),
            ("2019-01-31T00:00:00Z", "2019-02-28T00:00:00Z"),
            ("2020-01-31T23:59:59.999Z", "2020-02-29T23:59:59Z"),
            ("2021-08-31T12:00:00Z", "2021-09-30T12:00:00Z"),
            ("2021-12-31T12:00:00Z", "2022-01-31T12:00:00Z"),
        ] {
            assert_eq!(a_month_after(bought.parse().expect("a time")).to_string(), ends);
        }
    }
}
