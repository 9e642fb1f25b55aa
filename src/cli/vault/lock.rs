//! `glacierfs vault lock`: a policy that nobody can take away again.

use super::policy;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service::Confirmed;
use crate::cli::service::Service;
use crate::cli::service::Show;
use crate::cli::service::perhaps_done;
use crate::cli::service::plain;
use crate::glacier::wire::VaultLock;

/// Lock a vault with a policy for ever, without a mount
///
/// In two steps: `initiate` puts the policy in force for 24 hours, to be tried; `complete` makes it permanent, and `abort`
/// takes it away.
#[derive(Debug, clap::Args)]
pub struct Lock {
    /// The vault
    vault: String,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Show the lock's state and its policy
    Get {
        #[command(flatten)]
        show: Show,
    },
    /// Put a policy in force for 24 hours, and print the lock's ID
    Initiate {
        /// File with the policy, a JSON document of at most 20 KB; "-" is standard input
        file: String,
        #[command(flatten)]
        service: Service,
    },
    /// Make the policy permanent: it can never be undone
    Complete {
        /// The lock's ID
        #[arg(allow_hyphen_values = true)]
        lock: String,
        #[command(flatten)]
        confirmed: Confirmed,
    },
    /// Take away the policy of a lock that isn't complete
    Abort {
        #[command(flatten)]
        confirmed: Confirmed,
    },
}

impl Lock {
    pub fn run(self) -> Result<(), Failure> {
        let vault = &self.vault;
        match self.command {
            Commands::Get { show } => show.ask(async |client| Ok(client.get_vault_lock(vault).await?), describe),
            Commands::Initiate { file, service } => {
                let policy = policy::read(&file)?;
                let id = service.ask(async |client| {
                    let id = client.initiate_vault_lock(vault, &policy).await;
                    id.map_err(|error| perhaps_done(error, "see `glacierfs vault lock VAULT get`"))
                })?;
                output::print(&format!("{id}\n"))
            }
            Commands::Complete { lock, confirmed } => {
                confirmed.ask(
                    &format!(
                        "This locks {vault} with its policy for ever: nothing and nobody can undo it, AWS included."
                    ),
                    async |client| Ok(client.complete_vault_lock(vault, &lock).await?),
                )?;
                output::print("Locked.\n")
            }
            Commands::Abort { confirmed } => {
                confirmed.ask(&format!("This takes away the policy that is to lock {vault}."), async |client| {
                    Ok(client.abort_vault_lock(vault).await?)
                })?;
                output::print("Aborted.\n")
            }
        }
    }
}

fn describe(lock: &VaultLock) -> String {
    let mut rows = vec![
        vec!["state".to_owned(), plain(lock.state.as_str())],
        vec!["initiated".to_owned(), output::local_time(lock.creation_date.0)],
    ];
    if let Some(date) = lock.expiration_date {
        rows.push(vec!["vanishes".to_owned(), format!("{}, unless completed", output::local_time(date.0))]);
    }
    format!("{}\n{}", output::table(&["", ""], &[], &rows), policy::document(&lock.policy))
}
