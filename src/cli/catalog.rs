//! `glacierfs catalog`: copies of the catalog on this machine, and whether it is in order.

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::find;
use crate::daemon::local;

/// Copy, restore, check or print the catalog of this machine
///
/// The catalog is in the state directory. Without --state the only mount's is meant. None of this asks the service.
#[derive(Debug, clap::Args)]
pub struct Catalog {
    #[command(subcommand)]
    what: What,
    /// The state directory [default: the mount's]
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// The mount that is meant, where there are several
    #[arg(long, value_name = "MOUNTPOINT", global = true, conflicts_with = "state")]
    mount: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Copy the catalog to a new file, also while it is mounted
    Backup {
        /// The copy
        file: PathBuf,
    },
    /// Put a copy in the catalog's place; nothing may be mounted, and the catalog before is kept beside it
    ///
    /// Files that were written since the copy was made and aren't archived are set aside in the store's lost+found at the
    /// next start; `glacierfs rebuild` brings in what was archived since.
    Restore {
        /// The copy
        file: PathBuf,
    },
    /// Look for anything that isn't as it must be, also while it is mounted; nothing is changed
    Check,
    /// Print the tree in the format of snapshots, uncompressed
    Export {
        /// Only this vault
        #[arg(long)]
        vault: Option<String>,
    },
}

impl Catalog {
    pub fn run(self) -> Result<(), Failure> {
        let state = match self.state {
            Some(state) => state,
            None => {
                let mount: Vec<_> = self.mount.into_iter().collect();
                let socket = find::find(&mount)?.socket;
                socket.parent().map(PathBuf::from).unwrap_or_default()
            }
        };
        match self.what {
            What::Backup { file } => {
                local::backup(&state, &file)?;
                output::print(&format!("Copied to {}.\n", file.display()))
            }
            What::Restore { file } => {
                let before = local::restore(&state, &file)?;
                output::print(&match before {
                    Some(before) => format!("Restored. The catalog before is {}.\n", before.display()),
                    None => "Restored. There was no catalog before.\n".to_owned(),
                })
            }
            What::Check => {
                let found = local::check(&state)?;
                if found.is_empty() {
                    return output::print("Everything is as it must be.\n");
                }
                output::print(&found.iter().map(|line| format!("{line}\n")).collect::<String>())?;
                let message =
                    format!("the catalog isn't in order: {}", output::count(found.len() as u64, "finding", "findings"));
                Err(Failure::new(Code::Failed, message))
            }
            What::Export { vault } => Ok(local::export(&state, vault.as_deref(), std::io::stdout().lock())?),
        }
    }
}

impl From<local::Error> for Failure {
    fn from(error: local::Error) -> Self {
        let code = match &error {
            local::Error::State(crate::daemon::StateError::InUse { .. }) => Code::Running,
            _ => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}
