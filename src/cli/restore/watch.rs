//! Waiting for a restore, with its bar.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::ask;
use crate::cli::ask::Patience;
use crate::cli::exit::Code;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::control::client::Client;
use crate::control::wire::RestoreState;
use crate::control::wire::RestoreStatus;

/// Wait until a restore has ended
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Its number
    id: i64,
    /// The mount, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
    /// Give up waiting after this long
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    timeout: Option<Duration>,
}

impl Wait {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| wait(&client, self.id, self.timeout).await)
    }
}

/// Waits until restore `id` has ended. Whoever stops waiting doesn't stop the restore.
pub(super) async fn wait(client: &Client, id: i64, timeout: Option<Duration>) -> Result<(), Failure> {
    let bar = output::bytes_bar("bringing back");
    let patience = Patience::new(timeout);
    let mut told = None;
    loop {
        let status = client.restore_status(id).await?;
        bar.set_length(status.bytes);
        bar.set_position(status.done_bytes);
        let left = status.files.saturating_sub(status.done_files + status.failed_files);
        bar.set_message(format!("{} left{}", output::count(left, "file", "files"), output::ready_at(status.eta)));
        if status.ended.is_some() {
            bar.finish_and_clear();
            return ended(&status);
        }
        // Once for each reason.
        if status.reason.is_some() && status.reason != told {
            let until = status.until.map(|until| format!(" until {}", output::local_time(until))).unwrap_or_default();
            bar.suspend(|| {
                output::complain(&format!("waiting{until}: {}", status.reason.as_deref().unwrap_or_default()))
            });
            told = status.reason;
        }
        let unfinished = || {
            let bytes = status.bytes.saturating_sub(status.done_bytes);
            format!("{} left; restore {id} goes on", output::files(left, bytes))
        };
        patience.wait(unfinished).await.inspect_err(|_| bar.finish_and_clear())?;
    }
}

/// How the wait for a restore that has ended ends.
fn ended(status: &RestoreStatus) -> Result<(), Failure> {
    if status.state == RestoreState::Cancelled {
        return Err(Failure::new(Code::Incomplete, format!("restore {} was cancelled", status.id)));
    }
    match status.failed_files {
        0 => Ok(()),
        n => {
            output::complain_about(&status.failed);
            let named = status.failed.len() as u64;
            if n > named {
                output::complain(&format!("and {} more", output::count(n - named, "file", "files")));
            }
            Err(Failure::told(Code::Incomplete))
        }
    }
}
