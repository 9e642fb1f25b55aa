//! `glacierfs policy`: the account's policies. How much may be retrieved is the only one there is.

use std::str::FromStr;

use super::exit::Failure;
use super::output;
use super::service::Service;
use super::service::Show;
use super::service::plain;
use crate::glacier::wire::DataRetrievalRule;
use crate::glacier::wire::Strategy;
use crate::util::size;

/// Say how much of the account's data may be retrieved
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs policy retrieval get
  glacierfs policy retrieval set 10G          at most 10 GiB an hour")]
pub struct Policy {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// The account's policy on retrievals in the region
    #[command(subcommand)]
    Retrieval(Retrieval),
}

#[derive(Debug, clap::Subcommand)]
enum Retrieval {
    /// Show the limit
    Get {
        #[command(flatten)]
        show: Show,
    },
    /// Set the limit; retrievals above it are refused
    Set {
        /// none, free-tier, or bytes an hour such as 10G
        limit: Limit,
        #[command(flatten)]
        service: Service,
    },
}

/// How much may be retrieved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit(DataRetrievalRule);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = |strategy, bytes_per_hour| Ok(Limit(DataRetrievalRule { strategy: Some(strategy), bytes_per_hour }));
        match text {
            "none" => rule(Strategy::None, None),
            "free-tier" => rule(Strategy::FreeTier, None),
            _ => match size::parse(text).ok().and_then(|bytes| i64::try_from(bytes).ok()) {
                Some(bytes) if bytes > 0 => rule(Strategy::BytesPerHour, Some(bytes)),
                _ => Err(format!(
                    "{text:?} is not a limit: allowed is none, free-tier, or bytes an hour, at least 1: {}",
                    size::ALLOWED
                )),
            },
        }
    }
}

impl Policy {
    pub fn run(self) -> Result<(), Failure> {
        let Commands::Retrieval(retrieval) = self.command;
        match retrieval {
            Retrieval::Get { show } => show.ask(async |client| Ok(client.get_retrieval_policy().await?), describe),
            Retrieval::Set { limit, service } => {
                service.ask(async |client| Ok(client.set_retrieval_policy(&limit.0).await?))?;
                output::print("Set.\n")
            }
        }
    }
}

fn describe(rule: &DataRetrievalRule) -> String {
    match (&rule.strategy, rule.bytes_per_hour.and_then(|bytes| u64::try_from(bytes).ok())) {
        (Some(Strategy::BytesPerHour), Some(bytes)) => {
            format!("Retrievals are limited to {} ({bytes} bytes) an hour.\n", size::human(bytes))
        }
        (Some(Strategy::FreeTier), _) => "Retrievals are limited to what is free.\n".to_owned(),
        (Some(Strategy::None) | None, _) => "Retrievals aren't limited.\n".to_owned(),
        (Some(other), _) => format!("Retrievals are limited by {}.\n", plain(other.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a limit is one of two words or a size of at least 1 byte; others are refused with what is allowed.
    #[test]
    fn limits() {
        let bytes = |text: &str| text.parse::<Limit>().map(|limit| limit.0.bytes_per_hour);
        assert_eq!((bytes("1K"), bytes("none"), bytes("free-tier")), (Ok(Some(1024)), Ok(None), Ok(None)));
        for text in ["", "0", "-1", "FreeTier", "some", "16000000T"] {
            assert!(bytes(text).expect_err(text).contains("allowed is none, free-tier, or bytes an hour"), "{text}");
        }
    }
}
