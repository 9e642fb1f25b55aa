//! The command line: clap definitions, one file a subcommand. A command talks to a running daemon through its control
//! socket; `mount` and `serve` become one. Those that use `service` ask the service itself, and no mount.

mod archive;
mod ask;
mod cache;
mod capacity;
mod catalog;
mod completions;
mod config;
mod cost;
mod download;
mod evict;
pub mod exit;
mod flush;
mod helper;
mod import;
mod inventory;
mod job;
mod logging;
mod ls;
mod man;
mod mount;
mod output;
mod pin;
mod policy;
mod prices;
mod put;
mod rebuild;
mod restore;
mod scrub;
mod serve;
mod service;
mod settings;
mod snapshot;
mod status;
mod trash;
mod umount;
mod upload;
mod vault;
mod verify;

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use exit::CODES;
use exit::Code;
use exit::Failure;

const ABOUT: &str = "Mount Amazon Glacier vaults as directories and archives as files";

const LONG_ABOUT: &str = "Mount Amazon Glacier vaults as directories and archives as files.

Files that are written to the mount are kept on the local disk and archived in the background. Archived files that \
aren't local any more come back when they are read, which takes the hours that Glacier takes.";

const EXAMPLES: &str = "Examples:
  glacierfs mount --local ~/vaults /mnt/vaults --daemon    try it without an AWS account
  glacierfs mount --region eu-central-1 /mnt/vaults        mount the vaults of an AWS account
  glacierfs vault create photos                            the same as mkdir /mnt/vaults/photos
  glacierfs flush /mnt/vaults/photos                       wait until everything in it is archived
  glacierfs restore --wait /mnt/vaults/photos/2019         bring a tree back
  glacierfs trash restore /mnt/vaults/photos/2019          undo deleting it
  glacierfs umount /mnt/vaults";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "glacierfs", version, about = ABOUT, long_about = LONG_ABOUT, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    Mount(mount::Mount),
    Umount(umount::Umount),
    Status(status::Status),
    Ls(ls::Ls),
    Flush(flush::Flush),
    Evict(evict::Evict),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Cache(cache::Cache),
    Restore(restore::Restore),
    Prices(prices::PricesOf),
    Cost(cost::Cost),
    Trash(trash::Trash),
    Vault(vault::Vault),
    Inventory(inventory::Inventory),
    Import(import::Import),
    Archive(archive::Archive),
    Job(job::Job),
    Upload(upload::Upload),
    Policy(policy::Policy),
    Capacity(capacity::Capacity),
    Verify(verify::Verify),
    Scrub(scrub::Scrub),
    Snapshot(snapshot::Snapshot),
    Rebuild(rebuild::Rebuild),
    Catalog(catalog::Catalog),
    Serve(serve::Serve),
    Config(config::Config),
    Completions(completions::Completions),
    Man(man::Man),
}

/// The command line's definition, complete with what is written by code: the exit codes.
pub fn command() -> clap::Command {
    let codes = CODES.iter().map(|(code, meaning)| format!("\n  {}  {meaning}", *code as u8)).collect::<String>();
    Cli::command().after_help(EXAMPLES).after_long_help(format!("{EXAMPLES}\n\nExit codes:{codes}"))
}

/// Runs the command that the arguments, the program's name first, ask for; the exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<_> = arguments.collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    let result = match name.is_some_and(|name| name == helper::NAME) {
        true => helper::run(&arguments),
        false => parse_and_run(&arguments),
    };
    match result {
        Ok(()) => Code::Done as u8,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::complain(&failure.message);
            }
            failure.code as u8
        }
    }
}

fn parse_and_run(arguments: &[OsString]) -> Result<(), Failure> {
    let matches = command().try_get_matches_from(arguments);
    let cli = matches.and_then(|matches| <Cli as clap::FromArgMatches>::from_arg_matches(&matches));
    match cli.map_err(usage)?.command {
        Commands::Mount(mount) => mount.run(arguments),
        Commands::Umount(umount) => umount.run(),
        Commands::Status(status) => status.run(),
        Commands::Ls(ls) => ls.run(),
        Commands::Flush(flush) => flush.run(),
        Commands::Evict(evict) => evict.run(),
        Commands::Pin(pin) => pin.run(),
        Commands::Unpin(unpin) => unpin.run(),
        Commands::Cache(cache) => cache.run(),
        Commands::Restore(restore) => restore.run(),
        Commands::Prices(prices) => prices.run(),
        Commands::Cost(cost) => cost.run(),
        Commands::Trash(trash) => trash.run(),
        Commands::Vault(vault) => vault.run(),
        Commands::Inventory(inventory) => inventory.run(),
        Commands::Import(import) => import.run(),
        Commands::Archive(archive) => archive.run(),
        Commands::Job(job) => job.run(),
        Commands::Upload(upload) => upload.run(),
        Commands::Policy(policy) => policy.run(),
        Commands::Capacity(capacity) => capacity.run(),
        Commands::Verify(verify) => verify.run(),
        Commands::Scrub(scrub) => scrub.run(),
        Commands::Snapshot(snapshot) => snapshot.run(),
        Commands::Rebuild(rebuild) => rebuild.run(),
        Commands::Catalog(catalog) => catalog.run(),
        Commands::Serve(serve) => serve.run(),
        Commands::Config(config) => config.run(),
        Commands::Completions(completions) => completions.run(),
        Commands::Man(man) => man.run(),
    }
}

/// Prints what clap has to say, help and version included.
fn usage(error: clap::Error) -> Failure {
    match error.print() {
        Ok(()) if error.exit_code() == 0 => Failure::told(Code::Done),
        Ok(()) => Failure::told(Code::Usage),
        Err(e) => e.into(),
    }
}

#[cfg(test)]
mod tests;
