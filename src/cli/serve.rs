//! `glacierfs serve`: the embedded Glacier-compatible endpoint by itself, for any Glacier client.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::logging;
use super::output;
use crate::server;
use crate::server::FaultPlan;
use crate::server::KeyFile;
use crate::server::RetrievalDelays;
use crate::server::Server;
use crate::server::ServerConfig;
use crate::server::ServerError;
use crate::util::clock::Clock;

/// Serve vaults from a directory, as a Glacier-compatible endpoint for any client
///
/// Prints one line with its URL when it is ready, and runs until SIGINT or SIGTERM. At its first start it writes
/// DATA/credentials, a file in the format of the AWS tools, with the profile glacierfs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs serve --data ~/vaults --retrieval-delay all=5s &
  AWS_SHARED_CREDENTIALS_FILE=~/vaults/credentials aws --profile glacierfs --region us-east-1 \\
      --endpoint-url http://127.0.0.1:8210 glacier list-vaults --account-id -")]
pub struct Serve {
    /// Directory to keep the vaults in; it is made when it isn't there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8210")]
    listen: SocketAddr,
    /// Region that requests have to be signed for
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// An account, 12 digits, with a key and vaults of its own. Can be repeated: the key of the first is the profile
    /// glacierfs, that of another glacierfs-ID
    #[arg(long, value_name = "ID", default_value = "000000000000")]
    account: Vec<String>,
    /// File with more keys, in the format of the AWS tools: each profile has aws_access_key_id and
    /// aws_secret_access_key, and can have aws_account_id (else it is the first account's), aws_session_token, and
    /// glacierfs_user, the IAM user that policies know it by
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// How long a retrieval takes; TIER is expedited, standard, bulk or all. Can be repeated
    /// [default: what AWS takes, minutes to hours]
    #[arg(long, value_name = "TIER=DURATION")]
    retrieval_delay: Vec<String>,
    /// How many expedited retrievals an account gets in any 5 minutes; each unit of provisioned capacity adds 3
    /// [default: as many as it asks for]
    #[arg(long, value_name = "N")]
    expedited_limit: Option<u32>,
    /// How long after a write an inventory is taken that knows of it [default: 1day]
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    inventory_interval: Option<Duration>,
    /// SNS service to tell of the completion of jobs, as http://HOST:PORT; without one, topics are kept but not told
    #[arg(long, value_name = "URL")]
    sns_endpoint: Option<String>,
    /// Serve the routes of testers under /_glacierfs/, for those who have the token in DATA/admin-token
    #[arg(long)]
    admin: bool,
    /// The clock of jobs, inventories and ages: real; virtual, which stands still until it is moved through
    /// /_glacierfs/clock; or virtual@TIME, which begins at a time such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "CLOCK", default_value = "real")]
    clock: ClockSetting,
    /// File with the fault plan to begin with, as /_glacierfs/faults takes it
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// What to log: a level, or levels by module separated by commas
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// What `--clock` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockSetting {
    Real,
    /// Virtual, from a time on or from where it was.
    Virtual(Option<Timestamp>),
}

impl FromStr for ClockSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('@') {
            None if text == "real" => Ok(ClockSetting::Real),
            None if text == "virtual" => Ok(ClockSetting::Virtual(None)),
            Some(("virtual", time)) => match time.parse() {
                Ok(time) => server::check_time(time).map(|()| ClockSetting::Virtual(Some(time))),
                Err(_) => Err(format!("{time:?} is not a time: allowed are such as 2027-01-01T00:00:00Z")),
            },
            _ => Err("allowed are real, virtual and virtual@TIME".to_owned()),
        }
    }
}

impl ClockSetting {
    /// The clock for an endpoint on `data`. A virtual one begins where the last one on the same data was.
    fn of(self, data: &Path) -> Result<Clock, Failure> {
        match self {
            ClockSetting::Real => Ok(Clock::real()),
            ClockSetting::Virtual(Some(time)) => Ok(Clock::virtual_at(time)),
            ClockSetting::Virtual(None) => {
                let stored = server::stored_time(data).map_err(|error| Failure::new(Code::Failed, error))?;
                Ok(Clock::virtual_at(stored.unwrap_or_else(Timestamp::now)))
            }
        }
    }
}

/// The fault plan in a file.
fn plan(file: &Path) -> Result<FaultPlan, String> {
    let json = std::fs::read(file).map_err(|error| format!("can't read the fault plan {}: {error}", file.display()))?;
    FaultPlan::parse(&json).map_err(|error| format!("the fault plan {} is wrong: {error}", file.display()))
}

impl Serve {
    pub fn run(self) -> Result<(), Failure> {
        logging::start(&self.log);
        let wrong = |message: String| Failure::new(Code::Usage, message);
        let mut config = ServerConfig::new(self.data);
        config.listen = self.listen;
        config.region = self.region;
        config.accounts = self.account;
        config.credentials = self.credentials.map(|file| KeyFile::read(&file)).transpose().map_err(wrong)?;
        config.expedited_limit = self.expedited_limit;
        config.retrieval_delays = RetrievalDelays::parse(&self.retrieval_delay).map_err(wrong)?;
        if let Some(interval) = self.inventory_interval {
            config.inventory_interval = interval;
        }
        if !self.admin && (self.clock != ClockSetting::Real || self.faults.is_some()) {
            let flag = if self.faults.is_some() { "--faults" } else { "--clock virtual" };
            return Err(wrong(format!("{flag} is for testing, and needs --admin")));
        }
        config.sns_endpoint = self.sns_endpoint;
        config.admin = self.admin;
        config.faults = self.faults.map(|file| plan(&file)).transpose().map_err(wrong)?;
        let clock = self.clock.of(&config.data)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let server = Server::start(config, clock).await.map_err(|error| match error {
                ServerError::Config(message) => wrong(message),
                error => Failure::new(Code::Failed, error),
            })?;
            output::print(&format!("{}\n", server.url()))?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            server.stop().await;
            Ok(())
        })
    }
}
