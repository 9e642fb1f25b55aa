//! `glacierfs vault tag`: the tags of a vault.

use std::collections::BTreeMap;

use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service::Service;
use crate::cli::service::plain;

/// List, add and remove a vault's tags, without a mount
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs vault tag photos add team=archive year=2019")]
pub struct Tag {
    /// The vault
    vault: String,
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// List the tags
    List {
        /// Print JSON: values by key
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Add tags, or replace those with the same keys
    ///
    /// A vault has at most 50; at most 10 are added at once.
    Add {
        /// Key, of 1 to 128 characters, and value, of at most 256
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
        tags: Vec<(String, String)>,
        #[command(flatten)]
        service: Service,
    },
    /// Remove tags; those that aren't there are no error
    Remove {
        /// Keys, at most 10 at once
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        service: Service,
    },
}

impl Tag {
    pub fn run(self) -> Result<(), Failure> {
        let vault = &self.vault;
        match self.command {
            Commands::List { json, service } => {
                let tags = service.ask(async |client| Ok(client.list_tags(vault).await?))?;
                match json {
                    true => output::print_json(&tags),
                    false => output::print(&list(&tags)),
                }
            }
            Commands::Add { tags, service } => {
                let mut by_key = BTreeMap::new();
                for (key, value) in tags {
                    if let Some(earlier) = by_key.insert(key.clone(), value) {
                        let message = format!("{key:?} is given twice, also with the value {earlier:?}");
                        return Err(Failure::new(Code::Usage, message));
                    }
                }
                service.ask(async |client| Ok(client.add_tags(vault, &by_key).await?))?;
                output::print("Added.\n")
            }
            Commands::Remove { keys, service } => {
                service.ask(async |client| Ok(client.remove_tags(vault, &keys).await?))?;
                output::print("Removed.\n")
            }
        }
    }
}

fn list(tags: &BTreeMap<String, String>) -> String {
    let rows: Vec<_> = tags.iter().map(|(key, value)| vec![plain(key), plain(value)]).collect();
    match rows.is_empty() {
        true => "There are no tags.\n".to_owned(),
        false => output::table(&["KEY", "VALUE"], &[], &rows),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a tag: allowed is KEY=VALUE")),
    }
}
