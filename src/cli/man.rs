//! `glacierfs man`: the manual pages.

use std::path::PathBuf;

use super::exit::Code;
use super::exit::Failure;
use super::output;

/// Print the manual page, or write all manual pages to a directory
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write a page for each command to this directory, which exists
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub fn run(self) -> Result<(), Failure> {
        let Some(directory) = self.directory else {
            let mut page = Vec::new();
            clap_mangen::Man::new(super::command()).render(&mut page)?;
            return output::print(&String::from_utf8_lossy(&page));
        };
        let told = |e| Failure::new(Code::Failed, format!("{}: {e}", directory.display()));
        clap_mangen::generate_to(super::command(), &directory).map_err(told)?;
        let helper = clap_mangen::Man::new(super::helper::command()).section("8");
        helper.generate_to(&directory).map(drop).map_err(told)
    }
}
