//! What all commands share that ask the service itself, without a mount.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::ask;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::config;
use crate::config::MountOptions;
use crate::daemon;
use crate::glacier::client::Client;
use crate::glacier::client::Error;
use crate::glacier::client::ErrorKind;

/// How to reach the service: the settings of a mount that say so, from flags, GLACIERFS_* variables and the file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub struct Service {
    /// AWS region of the vaults [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's region]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// URL of a Glacier-compatible service to use instead of AWS
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// AWS account that owns the vaults; "-" is the account of the credentials [default: -]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    account: Option<String>,
    /// Profile of the AWS configuration files to take credentials and the region from
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Configuration file of a mount, to take these settings from
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Service {
    /// Runs `question` with a client of the service, unless a signal ends it.
    pub fn ask<T>(self, question: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let flags = [
            ("region", self.region),
            ("endpoint", self.endpoint),
            ("account", self.account),
            ("profile", self.profile),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        let service = config::gather(flags, MountOptions::default(), self.config)?.service()?;
        ask::block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            // What is dropped in the middle cleans up after itself.
            tokio::select! {
                answer = async { question(daemon::connect(service, None).await?).await } => answer,
                _ = tokio::signal::ctrl_c() => Err(Failure::new(Code::Failed, "interrupted")),
                _ = terminate.recv() => Err(Failure::new(Code::Failed, "terminated")),
            }
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Invalid(_) => Code::Usage,
            ErrorKind::Payload(_) => Code::Failed,
            _ => Code::Remote,
        };
        Failure::new(code, error)
    }
}

/// The failure of a request that isn't repeated by itself: where it may have been done all the same, it says where to
/// `look` before trying again.
pub fn perhaps_done(error: Error, look: &str) -> Failure {
    let unknown = error.outcome_is_unknown();
    let failure = Failure::from(error);
    match unknown {
        true => Failure::new(failure.code, format!("{}; it may have been done all the same: {look}", failure.message)),
        false => failure,
    }
}

/// What shows one thing that the service has.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Print JSON, as the service has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

impl Show {
    /// Prints the answer to `question`: as JSON, or as `describe` says it.
    pub fn ask<T: serde::Serialize>(
        self,
        question: impl AsyncFnOnce(Client) -> Result<T, Failure>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let answer = self.service.ask(question)?;
        if self.json { output::print_json(&answer) } else { output::print(&describe(&answer)) }
    }
}

/// What can't be undone, or costs money: a person has to want it.
#[derive(Debug, clap::Args)]
pub struct Confirmed {
    /// Don't ask
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    service: Service,
}

impl Confirmed {
    /// Runs `question` as [`Service::ask`] does, once it is sure that a person wants what `warning` tells.
    pub fn ask<T>(self, warning: &str, question: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
        self.confirm(warning)?;
        self.service.ask(question)
    }

    fn confirm(&self, warning: &str) -> Result<(), Failure> {
        if self.yes { Ok(()) } else { confirm(warning) }
    }
}

/// Asks the person whether what `warning` tells is to be done. Where there is nobody to ask, only the flag --yes says so.
pub fn confirm(warning: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("{warning} Nothing was done: there is no terminal to ask on, so give --yes");
        return Err(Failure::new(Code::Usage, message));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{warning}\nGo on? Type yes or no: ")?;
    stderr.flush()?;
    match agreed(&mut io::stdin().lock())? {
        true => Ok(()),
        false => Err(Failure::new(Code::Failed, "nothing was done")),
    }
}

/// Whether the line that is read next says yes, in full or not. The end of the input doesn't.
fn agreed(input: &mut impl BufRead) -> io::Result<bool> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Prints a listing: as JSON, or as a table; an empty one as a sentence.
pub fn print_list<T: serde::Serialize>(
    json: bool,
    items: &[T],
    none: &str,
    heading: &[&str],
    right: &[usize],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    match items {
        _ if json => output::print_json(&items),
        [] => output::print(&format!("{none}\n")),
        _ => output::print(&output::table(heading, right, &items.iter().map(row).collect::<Vec<_>>())),
    }
}

/// Text of the service in one line that plays no tricks on a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: only a yes is one; an empty line and the end of the input aren't.
    #[test]
    fn only_a_yes_agrees() {
        for (text, expected) in [
            ("yes\n", true),
            ("Y\n", true),
            (" Yes ", true),
            ("\n", false),
            ("", false),
            ("no\n", false),
            ("yess\n", false),
        ] {
            assert_eq!(agreed(&mut text.as_bytes()).ok(), Some(expected), "{text:?}");
        }
    }

    /// Promise: what the service tells can't move a terminal's cursor or fake a line.
    #[test]
    fn text_is_plain() {
        assert_eq!(plain("a\x1b[2J\nß"), "a?[2J?ß");
    }
}
