//! `glacierfs vault policy`: who may do what with a vault.

use std::io;
use std::io::Read;

use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service::Confirmed;
use crate::cli::service::Service;
use crate::glacier::wire::VaultPolicy;

/// The most bytes of a file that are read as a policy: more than the service takes.
const LONGEST: u64 = 1 << 20;

/// Read and write a vault's access policy, without a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs vault policy photos set policy.json")]
pub struct Policy {
    /// The vault
    vault: String,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Print the policy, as it was set
    Get {
        /// Print JSON, as the service has it: an object with the policy as a string
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Set the policy; replaces the one before
    Set {
        /// File with the policy, a JSON document of at most 20 KB; "-" is standard input
        file: String,
        #[command(flatten)]
        service: Service,
    },
    /// Delete the policy
    Delete {
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Policy {
    pub fn run(self) -> Result<(), Failure> {
        let vault = &self.vault;
        match self.command {
            Commands::Get { json, service } => {
                let policy = service.ask(async |client| Ok(client.get_access_policy(vault).await?))?;
                match json {
                    true => output::print_json(&VaultPolicy { policy: Some(policy) }),
                    false => output::print(&document(&policy)),
                }
            }
            Commands::Set { file, service } => {
                let policy = read(&file)?;
                service.ask(async |client| Ok(client.set_access_policy(vault, &policy).await?))?;
                output::print("Set.\n")
            }
            Commands::Delete { confirmed } => {
                confirmed.ask(
                    &format!("This deletes the access policy of {vault}, also what it denies."),
                    async |client| Ok(client.delete_access_policy(vault).await?),
                )?;
                output::print("Deleted.\n")
            }
        }
    }
}

/// A policy with the end of a line, without what could play tricks on a terminal.
pub(super) fn document(policy: &str) -> String {
    let text: String = policy.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect();
    format!("{}\n", text.trim_end_matches('\n'))
}

/// The policy in a file, or on standard input if that is `-`.
pub(super) fn read(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => io::stdin().lock().take(LONGEST).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
    };
    let name = if file == "-" { "standard input" } else { file };
    read.map_err(|error| Failure::new(Code::Failed, format!("{name}: the policy can't be read: {error}")))?;
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::new(Code::Failed, format!("{name}: this isn't a JSON document: {error}"))),
    }
}
