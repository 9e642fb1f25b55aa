//! `glacierfs upload`: multipart uploads that aren't complete, without a mount.

use super::exit::Failure;
use super::output;
use super::service;
use super::service::Confirmed;
use super::service::Service;
use super::service::plain;
use crate::glacier::wire::PartListElement;
use crate::util::size;

/// List a vault's unfinished multipart uploads, their parts, and abort them
///
/// A mount goes on with its own uploads by itself; aborting one of those makes it begin again.
#[derive(Debug, clap::Args)]
pub struct Upload {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// List the uploads in progress
    List {
        /// The vault
        vault: String,
        /// Print JSON, as the service has it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// List the parts that the service has of an upload
    Parts {
        /// The vault
        vault: String,
        /// The upload's ID
        #[arg(allow_hyphen_values = true)]
        upload: String,
        /// Print JSON, as the service has it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Abort an upload; its parts are gone
    Abort {
        /// The vault
        vault: String,
        /// The upload's ID
        #[arg(allow_hyphen_values = true)]
        upload: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Upload {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Commands::List { vault, json, service } => {
                let uploads = service.ask(async |client| Ok(client.list_multipart_uploads(&vault).await?))?;
                let heading = ["BEGUN", "PART SIZE", "UPLOAD", "DESCRIPTION"];
                service::print_list(json, &uploads, "There are no uploads in progress.", &heading, &[1], |upload| {
                    vec![
                        output::local_time(upload.creation_date.0),
                        size::human(upload.part_size_in_bytes),
                        plain(&upload.multipart_upload_id),
                        plain(upload.archive_description.as_deref().unwrap_or_default()),
                    ]
                })
            }
            Commands::Parts { vault, upload, json, service } => {
                let parts = service.ask(async |client| Ok(client.list_parts(&vault, &upload).await?))?;
                let row = |part: &PartListElement| vec![plain(&part.range_in_bytes), part.tree_hash.to_string()];
                service::print_list(json, &parts, "The service has no parts yet.", &["BYTES", "TREE HASH"], &[0], row)
            }
            Commands::Abort { vault, upload, confirmed } => {
                confirmed.ask(
                    &format!("This throws away the parts of upload {} in {vault}.", plain(&upload)),
                    async |client| Ok(client.abort_multipart_upload(&vault, &upload).await?),
                )?;
                output::print("Aborted.\n")
            }
        }
    }
}
