//! `glacierfs capacity`: units of provisioned capacity, with which expedited retrievals are always possible.

use super::exit::Failure;
use super::output;
use super::service;
use super::service::Confirmed;
use super::service::Service;
use super::service::perhaps_done;
use super::service::plain;

/// List and buy capacity for expedited retrievals
#[derive(Debug, clap::Args)]
pub struct Capacity {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// List the units that haven't expired
    List {
        /// Print JSON, as the service has it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Buy a unit for a month, and print its ID
    ///
    /// It costs money, and can't be given back. An account has at most two.
    Purchase {
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Capacity {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Commands::List { json, service } => {
                let units = service.ask(async |client| Ok(client.list_capacity().await?))?;
                let heading = ["BOUGHT", "EXPIRES", "UNIT"];
                service::print_list(json, &units, "There is no provisioned capacity.", &heading, &[], |unit| {
                    vec![
                        output::local_time(unit.start_date.0),
                        output::local_time(unit.expiration_date.0),
                        plain(&unit.capacity_id),
                    ]
                })
            }
            Commands::Purchase { confirmed } => {
                let id = confirmed.ask(
                    "This buys a unit of capacity for a month: it costs money, and can't be given back.",
                    async |client| {
                        let id = client.purchase_capacity().await;
                        id.map_err(|error| perhaps_done(error, "see `glacierfs capacity list` before buying again"))
                    },
                )?;
                output::print(&format!("{id}\n"))
            }
        }
    }
}
