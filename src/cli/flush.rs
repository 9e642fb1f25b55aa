//! `glacierfs flush`: waits until files are archived.

use std::path::PathBuf;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::control::wire::Pending;

/// Archive files now and wait until it is done
///
/// Closed files that are still resting (upload-delay) are due at once. Without PATH everything is meant; of a
/// directory, all that is in it. Failed uploads are tried again and again, which flush waits for; Ctrl-C stops the
/// waiting, not the archiving.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs flush                                  everything in the only mount
  glacierfs flush /mnt/vaults/photos               what is in one vault
  glacierfs flush --timeout 2h && echo archived    exit code 9 when it takes longer, 8 when files failed for good")]
pub struct Flush {
    /// Files or directories in a mount
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    timeout: Option<Duration>,
}

impl Flush {
    pub fn run(self) -> Result<(), Failure> {
        ask::ask(&self.paths, async |client, paths| {
            let mut waiting = Waiting::new("archiving", self.timeout);
            loop {
                if waiting.done(&client.flush(&paths).await?).await? {
                    return Ok(());
                }
            }
        })
    }
}

/// The wait for files to be archived or brought back, with its bar and its end.
pub(super) struct Waiting {
    patience: Patience,
    bar: indicatif::ProgressBar,
    told: Option<String>,
}

impl Waiting {
    /// A wait whose bar is headed by `verb`.
    pub(super) fn new(verb: &'static str, timeout: Option<Duration>) -> Self {
        Waiting { patience: Patience::new(timeout), bar: output::bytes_bar(verb), told: None }
    }

    /// Shows how far it is. True when all is done; an error when what remains has failed for good; otherwise waits
    /// until it is time to ask again.
    pub(super) async fn done(&mut self, pending: &Pending) -> Result<bool, Failure> {
        self.bar.set_length(pending.bytes);
        self.bar.set_position(pending.done_bytes);
        self.bar.set_message(format!(
            "{} left{}",
            output::count(pending.pending_files, "file", "files"),
            output::ready_at(pending.eta)
        ));
        let hopeless = pending.failed.iter().filter(|failure| !failure.retrying).count() as u64;
        if pending.pending_files <= hopeless {
            self.bar.finish_and_clear();
            if pending.failed.is_empty() {
                return Ok(true);
            }
            output::complain_about(&pending.failed);
            return Err(Failure::told(Code::Incomplete));
        }
        // Once for each reason, so that a service that can't be reached is told but doesn't fill the screen.
        if let Some(failure) = pending.failed.first().filter(|failure| self.told.as_ref() != Some(&failure.reason)) {
            self.bar.suspend(|| output::complain_about(std::slice::from_ref(failure)));
            self.told = Some(failure.reason.clone());
        }
        let unfinished = || format!("{} left", output::files(pending.pending_files, pending.pending_bytes));
        self.patience.wait(unfinished).await.inspect_err(|_| self.bar.finish_and_clear())?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::Failure as FileFailure;
    use crate::control::wire::PathText;

    fn pending(pending_files: u64, failed: &[bool]) -> Pending {
        let failure = |retrying: &bool| FileFailure {
            path: PathText(b"v/a".to_vec()),
            reason: "the vault is gone".to_owned(),
            retrying: *retrying,
        };
        Pending { files: 3, pending_files, failed: failed.iter().map(failure).collect(), ..Pending::default() }
    }

    /// Promise: a wait ends well when nothing is left, with code 8 when what is left has failed for good, with code 9
    /// when its time is over; and not before.
    #[tokio::test]
    async fn waits_end_as_documented() {
        let mut waiting = Waiting::new("archiving", None);
        assert_eq!(waiting.done(&pending(0, &[])).await, Ok(true));
        assert_eq!(waiting.done(&pending(2, &[])).await, Ok(false));
        assert_eq!(waiting.done(&pending(2, &[true, false])).await, Ok(false), "one of two is still tried");
        assert_eq!(waiting.done(&pending(1, &[false])).await, Err(Failure::told(Code::Incomplete)));
        let mut impatient = Waiting::new("archiving", Some(Duration::ZERO));
        assert_eq!(impatient.done(&pending(1, &[])).await.expect_err("no time").code, Code::TimedOut);
    }
}
