//! `glacierfs vault`: the account's vaults, through a mount, and what is set on them, without one.

mod lock;
mod notify;
mod policy;
mod tag;

use std::path::PathBuf;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire;
use crate::util::size;

/// Create, list, describe and delete vaults; their tags, policies, locks and notifications
#[derive(Debug, clap::Args)]
pub struct Vault {
    #[command(subcommand)]
    command: Commands,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT", global = true)]
    mount: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    #[command(flatten)]
    Mounted(Mounted),
    Tag(tag::Tag),
    Policy(policy::Policy),
    Lock(lock::Lock),
    Notify(notify::Notify),
}

/// What a mount does, so that it knows.
#[derive(Debug, clap::Subcommand)]
enum Mounted {
    /// Create a vault; the same as mkdir in the mount's root
    Create {
        /// 1 to 255 letters, digits, "-", "_" and "."
        name: String,
    },
    /// List the account's vaults in the region
    ///
    /// Counts are those of the service's last inventory, which it takes about once a day.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe a vault
    Describe {
        /// The vault
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete an empty vault; the same as rmdir in the mount's root
    ///
    /// The service refuses vaults that held archives at its last inventory or were written since.
    Delete {
        /// The vault
        name: String,
    },
}

impl Vault {
    pub fn run(self) -> Result<(), Failure> {
        if let (Some(_), false) = (&self.mount, matches!(self.command, Commands::Mounted(_))) {
            let message = "--mount has no meaning here: this command asks the service itself";
            return Err(Failure::new(Code::Usage, message));
        }
        match self.command {
            Commands::Mounted(command) => command.run(self.mount),
            Commands::Tag(tag) => tag.run(),
            Commands::Policy(policy) => policy.run(),
            Commands::Lock(lock) => lock.run(),
            Commands::Notify(notify) => notify.run(),
        }
    }
}

impl Mounted {
    fn run(self, mount: Option<PathBuf>) -> Result<(), Failure> {
        let mount: Vec<_> = mount.into_iter().collect();
        ask::ask(&mount, async |client, _| match self {
            Mounted::Create { name } => {
                let vault = client.create_vault(&name).await?;
                output::print(&format!("Created {}.\n", vault.arn))
            }
            Mounted::List { json: true } => output::print_json(&client.vaults().await?),
            Mounted::List { json: false } => output::print(&list(&client.vaults().await?)),
            Mounted::Describe { name, json: true } => output::print_json(&client.vault(&name).await?),
            Mounted::Describe { name, json: false } => output::print(&describe(&client.vault(&name).await?)),
            Mounted::Delete { name } => {
                client.delete_vault(&name).await?;
                output::print(&format!("Deleted {name}.\n"))
            }
        })
    }
}

fn list(vaults: &[wire::Vault]) -> String {
    let row = |vault: &wire::Vault| {
        let counted = |count: Option<String>| count.unwrap_or_else(|| "-".to_owned());
        let name = match &vault.paused {
            Some(reason) => format!("{} (paused: {reason})", vault.name),
            None => vault.name.clone(),
        };
        vec![
            counted(vault.archives.map(|n| n.to_string())),
            counted(vault.bytes.map(size::human)),
            counted(vault.last_inventory.map(output::local_time)),
            name,
        ]
    };
    match vaults {
        [] => "There are no vaults; `glacierfs vault create NAME` creates one.\n".to_owned(),
        _ => output::table(
            &["ARCHIVES", "SIZE", "INVENTORY OF", "VAULT"],
            &[0, 1],
            &vaults.iter().map(row).collect::<Vec<_>>(),
        ),
    }
}

fn describe(vault: &wire::Vault) -> String {
    let unknown = || "not known before the first inventory".to_owned();
    let rows = [
        ("vault", vault.name.clone()),
        ("arn", vault.arn.clone()),
        ("created", output::local_time(vault.created)),
        ("last inventory", vault.last_inventory.map_or_else(|| "none yet".to_owned(), output::local_time)),
        ("archives", vault.archives.map_or_else(unknown, |n| n.to_string())),
        ("size", vault.bytes.map_or_else(unknown, |bytes| format!("{} ({bytes} bytes)", size::human(bytes)))),
        ("paused", vault.paused.clone().unwrap_or_else(|| "no".to_owned())),
    ];
    output::table(&["", ""], &[], &rows.map(|(key, value)| vec![key.to_owned(), value]))
}
