//! `glacierfs job`: a vault's jobs and what they brought, without a mount.

use std::path::PathBuf;

use super::download;
use super::download::Range;
use super::exit::Failure;
use super::output;
use super::service;
use super::service::Service;
use super::service::Show;
use super::service::plain;
use crate::glacier::client::JobFilter;
use crate::glacier::wire::JobDescription;
use crate::util::size;

/// List and describe a vault's jobs, and read their output
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs job list photos --in-progress
  glacierfs job output photos JOB -o inventory.json")]
pub struct Job {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// List the jobs in progress, and those that ended within the last day or so
    List {
        /// The vault
        vault: String,
        /// Only those that have ended, well or not
        #[arg(long, conflicts_with = "in_progress")]
        completed: bool,
        /// Only those that haven't ended
        #[arg(long)]
        in_progress: bool,
        /// Print JSON, as the service has it
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Describe a job
    Describe {
        /// The vault
        vault: String,
        /// The job's ID
        #[arg(allow_hyphen_values = true)]
        job: String,
        #[command(flatten)]
        show: Show,
    },
    /// Read what a completed job retrieved
    ///
    /// The bytes are compared with the tree hash wherever the service gives one. A file appears under its name once it is
    /// complete.
    Output {
        /// The vault
        vault: String,
        /// The job's ID
        #[arg(allow_hyphen_values = true)]
        job: String,
        /// File to write to [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only these bytes of the output, from 0, both included
        #[arg(long, value_name = "FIRST-LAST")]
        range: Option<Range>,
        #[command(flatten)]
        service: Service,
    },
}

impl Job {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Commands::List { vault, completed, in_progress, json, service } => {
                let wanted = (completed || in_progress).then_some(completed);
                let filter = JobFilter { completed: wanted, ..JobFilter::default() };
                let jobs = service.ask(async |client| Ok(client.list_jobs(&vault, &filter).await?))?;
                let heading = ["ACTION", "STATUS", "TIER", "SIZE", "CREATED", "COMPLETED", "JOB"];
                service::print_list(json, &jobs, "There are no such jobs.", &heading, &[3], row)
            }
            Commands::Describe { vault, job, show } => {
                show.ask(async |client| Ok(client.describe_job(&vault, &job).await?), describe)
            }
            Commands::Output { vault, job, output, range, service } => {
                service.ask(async |client| download::download(&client, &vault, &job, output, range).await)
            }
        }
    }
}

fn row(job: &JobDescription) -> Vec<String> {
    vec![
        plain(job.action.as_str()),
        plain(job.status_code.as_str()),
        job.tier.as_ref().map_or_else(|| "-".to_owned(), |tier| plain(tier.as_str())),
        bytes(job).map_or_else(|| "-".to_owned(), size::human),
        output::local_time(job.creation_date.0),
        job.completion_date.map_or_else(|| "-".to_owned(), |date| output::local_time(date.0)),
        plain(&job.job_id),
    ]
}

/// How many bytes the job retrieves, as far as the service says.
fn bytes(job: &JobDescription) -> Option<u64> {
    let range = job.retrieval_byte_range.as_deref().and_then(|range| range.parse::<Range>().ok());
    range.map(|range| range.len()).or(job.inventory_size_in_bytes).or(job.archive_size_in_bytes)
}

fn describe(job: &JobDescription) -> String {
    let text = |text: &Option<String>| text.as_deref().map(plain);
    let bytes = |bytes: u64| format!("{} ({bytes} bytes)", size::human(bytes));
    let inventory = job.inventory_retrieval_parameters.clone().unwrap_or_default();
    let rows = [
        ("job", Some(plain(&job.job_id))),
        ("action", Some(plain(job.action.as_str()))),
        ("status", Some(plain(job.status_code.as_str()))),
        ("message", text(&job.status_message)),
        ("description", text(&job.job_description)),
        ("tier", job.tier.as_ref().map(|tier| plain(tier.as_str()))),
        ("created", Some(output::local_time(job.creation_date.0))),
        ("completed", Some(job.completion_date.map_or_else(|| "not yet".to_owned(), |d| output::local_time(d.0)))),
        ("vault", Some(plain(&job.vault_arn))),
        ("archive", text(&job.archive_id)),
        ("archive's size", job.archive_size_in_bytes.map(bytes)),
        ("archive's tree hash", job.archive_tree_hash.map(|hash| hash.to_string())),
        ("bytes", text(&job.retrieval_byte_range)),
        ("their tree hash", job.tree_hash.map(|hash| hash.to_string())),
        ("format", inventory.format.map(|format| plain(format.as_str()))),
        ("from", text(&inventory.start_date)),
        ("until before", text(&inventory.end_date)),
        ("at most", text(&inventory.limit)),
        ("inventory's size", job.inventory_size_in_bytes.map(bytes)),
        ("goes on at marker", text(&inventory.marker)),
        ("topic", text(&job.sns_topic)),
    ];
    let rows: Vec<_> = rows.into_iter().filter_map(|(key, value)| Some(vec![key.to_owned(), value?])).collect();
    output::table(&["", ""], &[], &rows)
}
