//! `glacierfs completions`: completion scripts for shells.

use clap_complete::Shell;

use super::exit::Failure;
use super::output;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs completions bash > ~/.local/share/bash-completion/completions/glacierfs")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "glacierfs", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
