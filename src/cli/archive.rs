//! `glacierfs archive`: single archives into a vault, back, and away, without a mount.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::download;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use super::put;
use super::service::Confirmed;
use super::service::Service;
use super::service::perhaps_done;
use super::service::plain;
use crate::config::Tier;
use crate::glacier::client::Client;
use crate::glacier::wire;

/// Put single archives into a vault, get and delete them
///
/// A mount doesn't know of them before its next inventory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs archive put photos 2019.tar --description 'photos of 2019'
  glacierfs archive get photos ARCHIVE -o 2019.tar --tier bulk
  glacierfs archive get photos ARCHIVE --no-wait            prints the job's ID, for job output")]
pub struct Archive {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Archive a file, and print the archive's ID
    ///
    /// Below 64 MiB in one request, otherwise in parts; compared by its tree hash with what the service has received.
    Put {
        /// The vault
        vault: String,
        /// The file: 1 byte to 39 TiB
        file: PathBuf,
        /// What to remember about it: at most 1,024 printable ASCII characters
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
        description: String,
        /// Send it in parts of this size, a power of two from 1M to 4G [default: the smallest of at least 16M that fits]
        #[arg(long, value_name = "SIZE", value_parser = put::part_size)]
        part_size: Option<u64>,
        /// Print JSON: ID, size and tree hash
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Retrieve an archive: start a job, wait for it, and read its output
    ///
    /// A retrieval costs money and takes hours at AWS: minutes for expedited, 3 to 5 hours for standard, 5 to 12 for bulk.
    /// The job goes on when the wait is ended, and `glacierfs job output` reads what it retrieved for a day.
    Get {
        /// The vault
        vault: String,
        /// The archive's ID
        #[arg(allow_hyphen_values = true)]
        archive: String,
        /// File to write to [default: standard output]
        #[arg(short, long, value_name = "FILE", conflicts_with = "no_wait")]
        output: Option<PathBuf>,
        /// Retrieval tier: expedited, standard or bulk [default: standard]
        #[arg(long, value_name = "TIER")]
        tier: Option<Tier>,
        /// Start the job, print its ID, and don't wait
        #[arg(long)]
        no_wait: bool,
        /// Give up waiting after this long
        #[arg(long, value_name = "DURATION", value_parser = ask::duration, conflicts_with = "no_wait")]
        timeout: Option<Duration>,
        #[command(flatten)]
        service: Service,
    },
    /// Delete an archive for ever
    Delete {
        /// The vault
        vault: String,
        /// The archive's ID
        #[arg(allow_hyphen_values = true)]
        archive: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Archive {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Commands::Put { vault, file, description, part_size, json, service } => {
                let put =
                    service.ask(async |client| put::put(&client, &vault, &file, &description, part_size).await)?;
                if json { output::print_json(&put) } else { output::print(&format!("{}\n", put.archive_id)) }
            }
            Commands::Get { vault, archive, output, tier, no_wait, timeout, service } => {
                if output.is_none() && !no_wait {
                    download::check_stdout()?;
                }
                let tier = wire::Tier::from(tier.unwrap_or_default().as_str());
                service.ask(async |client| {
                    let job = wire::JobParameters {
                        job_type: Some(wire::JobType::ArchiveRetrieval),
                        archive_id: Some(archive),
                        tier: Some(tier),
                        ..wire::JobParameters::default()
                    };
                    let job = client.initiate_job(&vault, &job).await;
                    let job = job.map_err(|error| perhaps_done(error, "see `glacierfs job list`"))?;
                    if no_wait {
                        return output::print(&format!("{job}\n"));
                    }
                    output::complain(&format!("job {} has begun", plain(&job)));
                    wait(&client, &vault, &job, timeout).await?;
                    download::download(&client, &vault, &job, output, None).await
                })
            }
            Commands::Delete { vault, archive, confirmed } => {
                confirmed.ask(&format!(
                    "This deletes archive {} in {vault} for ever. Within 90 days of its creation the rest of the 90 days \
                     is still paid for.",
                    plain(&archive)
                ), async |client| Ok(client.delete_archive(&vault, &archive).await?))?;
                output::print("Deleted.\n")
            }
        }
    }
}

/// Waits until the job has succeeded.
async fn wait(client: &Client, vault: &str, job: &str, timeout: Option<Duration>) -> Result<(), Failure> {
    let spinner = output::spinner();
    let patience = Patience::with_service(timeout);
    loop {
        let message = match client.describe_job(vault, job).await {
            Ok(job) if job.status_code == wire::StatusCode::Succeeded => break,
            Ok(description) if description.status_code == wire::StatusCode::Failed => {
                let reason = description.status_message.as_deref().map_or("no reason is known".into(), plain);
                return Err(Failure::new(Code::Remote, format!("job {} failed: {reason}", plain(job))));
            }
            Ok(_) => format!("waiting for job {}", plain(job)),
            Err(error) if error.is_retryable() => format!("waiting for job {}: {error}", plain(job)),
            Err(error) => return Err(error.into()),
        };
        spinner.set_message(message.clone());
        patience.wait(|| format!("{message}; it goes on, and `glacierfs job output` reads it")).await?;
    }
    spinner.finish_and_clear();
    Ok(())
}
