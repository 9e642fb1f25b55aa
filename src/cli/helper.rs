//! `mount.glacierfs`: what mount(8) runs for `mount -t glacierfs` and for lines of fstab. The same program by another
//! name: it mounts in the background and returns once the mount is there.
//!
//! mount(8) calls it as `mount.glacierfs SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-o options] [-t type.subtype]`.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::Parser;

use super::exit::Failure;
use super::mount;
use crate::config::MountOptions;

/// The name of the program that makes it a mount helper.
pub const NAME: &str = "mount.glacierfs";

/// Mount Amazon Glacier vaults; called by mount(8) for type glacierfs
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = "Lines of /etc/fstab:
  photos        /mnt/photos  glacierfs  noauto,_netdev,allow_other                0 0
  /srv/vaults   /mnt/vaults  glacierfs  nofail,allow_other,cache_size=20G         0 0

Options are the settings of glacierfs mount, with dashes or underscores, and config=FILE.")]
pub(super) struct Helper {
    /// Name of the mount, whose settings are in /etc/glacierfs/NAME.toml, or, with a "/" in it, the directory of an
    /// embedded endpoint (local); "none" is neither
    source: String,
    /// Where to mount
    mountpoint: String,
    /// Options, separated by commas
    #[arg(short, value_name = "OPTIONS")]
    options: Vec<String>,
    /// Only pretend: check everything and mount nothing
    #[arg(short = 'f')]
    fake: bool,
    /// Accepted for mount(8): tolerate sloppy options
    #[arg(short = 's')]
    _sloppy: bool,
    /// Accepted for mount(8): don't write /etc/mtab
    #[arg(short = 'n')]
    _no_mtab: bool,
    /// Accepted for mount(8): say more
    #[arg(short = 'v')]
    _verbose: bool,
    /// Accepted for mount(8): type of the file system
    #[arg(short = 't', value_name = "TYPE")]
    _type: Option<String>,
}

/// The helper's command line, for its manual page.
pub fn command() -> clap::Command {
    Helper::command()
}

/// Mounts as the arguments, the program's name first, say.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let helper = Helper::try_parse_from(arguments).map_err(super::usage)?;
    let gathered = mount::gathered(helper.settings(), helper.options(), None)?;
    let config = gathered.config()?;
    match helper.fake {
        true => Ok(()),
        false => mount::run(config, true, arguments),
    }
}

impl Helper {
    fn settings(&self) -> Vec<(String, String)> {
        vec![("mountpoint".to_owned(), self.mountpoint.clone())]
    }

    /// The options, with what the source says first, so that an option for the same setting counts more.
    pub(super) fn options(&self) -> MountOptions {
        let mut options = MountOptions::parse(self.options.iter().map(String::as_str));
        let source = match self.source.as_str() {
            "none" | "glacierfs" => None,
            path if path.contains('/') => Some(("local", path)),
            name => Some(("name", name)),
        };
        if let Some((key, value)) = source {
            options.settings.insert(0, (key.to_owned(), value.to_owned()));
        }
        options
    }
}
