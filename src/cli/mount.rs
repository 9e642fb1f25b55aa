//! `glacierfs mount`: becomes the daemon of a mount, in the foreground or in the background.
//!
//! In the background means: the same program is started again in a session of its own, with its messages going to
//! `STATE/daemon.log`, and this process waits until that one says on its standard output that it is mounted, or why not.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::exit::Code;
use super::exit::Failure;
use super::logging;
use super::settings::SettingFlags;
use crate::config;
use crate::config::Config;
use crate::config::Gathered;
use crate::config::MountOptions;
use crate::daemon;
use crate::daemon::ready;

/// Mount the vaults
///
/// Every setting below can also be given as the variable GLACIERFS_KEY (GLACIERFS_CACHE_SIZE=20G) or in a TOML file
/// (cache-size = "20G"): a flag beats an -o option, which beats a variable, which beats the file. `glacierfs config
/// show` prints the result.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs mount --local ~/vaults --retrieval-delay all=5s ~/mnt        without AWS
  glacierfs mount --region eu-central-1 --profile backup /mnt/vaults --daemon
  glacierfs mount --config /etc/glacierfs/photos.toml")]
pub struct Mount {
    #[command(flatten)]
    settings: SettingFlags,
    /// Go into the background once it is mounted, and log to STATE/daemon.log
    #[arg(long)]
    daemon: bool,
    /// Configuration file [default: /etc/glacierfs/NAME.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Settings as mount(8) and fstab have them: key=value separated by commas, dashes or underscores, ro, allow_other
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
}

impl Mount {
    /// The settings given as flags.
    #[cfg(test)]
    pub fn settings(&self) -> &SettingFlags {
        &self.settings
    }

    pub fn run(self, arguments: &[OsString]) -> Result<(), Failure> {
        let options = MountOptions::parse(self.options.iter().map(String::as_str));
        let config = gathered(self.settings.0, options, self.config)?.config()?;
        run(config, self.daemon, arguments)
    }
}

/// The settings; what is wrong with them is also told to a waiting parent.
pub fn gathered(
    flags: Vec<(String, String)>,
    options: MountOptions,
    file: Option<PathBuf>,
) -> Result<Gathered, Failure> {
    config::gather(flags, options, file).map_err(|e| {
        ready::failed(&e.to_string());
        e.into()
    })
}

/// Mounts with a checked configuration. `arguments` start this program again for the background.
pub fn run(config: Config, background: bool, arguments: &[OsString]) -> Result<(), Failure> {
    if background && !ready::awaited() {
        return start_in_background(&config.state, arguments);
    }
    if ready::awaited() {
        // A child of a process that isn't its group's leader can't fail to get a session of its own.
        nix::unistd::setsid().map_err(io::Error::from)?;
    }
    logging::start(&config.log);
    daemon::run(config).map_err(|e| {
        ready::failed(&e.to_string());
        Failure::new(code(&e), e)
    })
}

/// The exit code of a daemon's failure.
fn code(error: &daemon::Error) -> Code {
    match error {
        daemon::Error::Running(_) => Code::Running,
        daemon::Error::Mount(_) => Code::Mount,
        daemon::Error::Remote(_) => Code::Remote,
        daemon::Error::Failed(_) => Code::Failed,
    }
}

/// Starts this program again and waits for its line.
fn start_in_background(state: &Path, arguments: &[OsString]) -> Result<(), Failure> {
    let log = state.join("daemon.log");
    let cant = |what: &Path, e: io::Error| Failure::new(Code::Failed, format!("{}: {e}", what.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(|e| cant(state, e))?;
    let file = File::options().create(true).append(true).mode(0o600).open(&log).map_err(|e| cant(&log, e))?;
    let program = std::env::current_exe()?;
    let (name, rest) = arguments.split_first().ok_or_else(|| io::Error::other("the program has no name"))?;
    let mut child = Command::new(&program)
        .arg0(name)
        .args(rest)
        .env(ready::VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .map_err(|e| cant(&program, e))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim_end() == ready::READY {
        return Ok(());
    }
    let status = child.wait()?;
    let message = match (line.trim(), status.code(), status.signal()) {
        ("", _, Some(signal)) => format!("the daemon was killed by signal {signal} before it had mounted"),
        ("", ..) => "the daemon ended before it had mounted".to_owned(),
        (line, ..) => line.to_owned(),
    };
    Err(Failure::new(child_code(status.code()), format!("{message} (its log is {})", log.display())))
}

/// The code that the child ended with, which has the same meaning here.
fn child_code(status: Option<i32>) -> Code {
    let known = super::exit::CODES.iter().map(|(code, _)| *code);
    known.filter(|code| *code != Code::Done).find(|code| status == Some(*code as i32)).unwrap_or(Code::Failed)
}
