//! `glacierfs config`: what a mount would be configured as.

use std::path::PathBuf;

use super::exit::Failure;
use super::output;
use super::settings::SettingFlags;
use crate::config;
use crate::config::Default;
use crate::config::MountOptions;

/// Show the configuration
#[derive(Debug, clap::Args)]
pub struct Config {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    Show(Box<Show>),
}

/// Print every setting with its value and where it came from
///
/// Takes what mount takes. A flag beats an -o option, which beats an environment variable, which beats the file, which
/// beats the default.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  glacierfs config show --config /etc/glacierfs/photos.toml")]
struct Show {
    #[command(flatten)]
    settings: SettingFlags,
    /// Configuration file [default: /etc/glacierfs/NAME.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Mount options as mount(8) and fstab have them
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
}

impl Config {
    pub fn run(self) -> Result<(), Failure> {
        let Commands::Show(show) = self.command;
        let options = MountOptions::parse(show.options.iter().map(String::as_str));
        let gathered = config::gather(show.settings.0, options, show.config)?;
        let row = |entry: config::Entry| {
            let (value, source) = match entry.values.is_empty() {
                false => (entry.values.join(","), entry.source.to_string()),
                true if entry.setting.default == Default::Nothing => ("-".to_owned(), "default".to_owned()),
                true => ("-".to_owned(), "not set".to_owned()),
            };
            vec![entry.setting.key.to_owned(), value, source]
        };
        output::print(&output::table(
            &["KEY", "VALUE", "SOURCE"],
            &[],
            &gathered.entries().map(row).collect::<Vec<_>>(),
        ))?;
        // What a mount would refuse is said here too, once the values are on the screen.
        gathered.config().map(drop).map_err(Failure::from)
    }
}
