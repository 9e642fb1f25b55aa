//! The restores there are, and the end of one.

use std::path::PathBuf;

use crate::cli::ask;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::service::print_list;
use crate::control::wire::RestoreState;
use crate::control::wire::RestoreStatus;
use crate::util::size;

/// Show the restores that go on, and the last that ended
#[derive(Debug, clap::Args)]
pub struct List {
    /// The mount, where there are several
    #[arg(value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// End a restore: what the service wasn't asked for yet isn't asked for
///
/// Jobs that the service has accepted are paid for: their output is still fetched.
#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// Its number
    id: i64,
    /// The mount, where there are several
    #[arg(long, value_name = "MOUNTPOINT")]
    mount: Option<PathBuf>,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let restores = client.restores().await?;
            let heading = ["ID", "TIER", "DONE", "OF", "FAILED", "STATE", "PATHS"];
            print_list(self.json, &restores, "There are no restores.", &heading, &[0, 4], row)
        })
    }
}

impl Cancel {
    pub fn run(self) -> Result<(), Failure> {
        let mount: Vec<_> = self.mount.into_iter().collect();
        ask::ask(&mount, async |client, _| {
            let restore = client.cancel_restore(self.id).await?;
            let left = restore.files.saturating_sub(restore.done_files + restore.failed_files);
            output::print(&format!("Cancelled; {} weren't brought back.\n", output::count(left, "file", "files")))
        })
    }
}

fn row(restore: &RestoreStatus) -> Vec<String> {
    let until = restore.until.map(|until| format!(" until {}", output::local_time(until))).unwrap_or_default();
    let state = match restore.state {
        RestoreState::Running => format!("running{}", output::ready_at(restore.eta)),
        RestoreState::Waiting => format!("waiting{until}, by its rate"),
        RestoreState::Held => format!("held{until}: {}", restore.reason.as_deref().unwrap_or("no reason is known")),
        RestoreState::Done => "done".to_owned(),
        RestoreState::Cancelled => "cancelled".to_owned(),
    };
    vec![
        restore.id.to_string(),
        restore.tier.to_lowercase(),
        size::human(restore.done_bytes),
        output::files(restore.files, restore.bytes),
        restore.failed_files.to_string(),
        state,
        restore.what.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// Promise: a person sees what each restore waits for.
    #[test]
    fn rows() {
        let mut restore = RestoreStatus {
            id: 3,
            what: "v/photos".to_owned(),
            tier: "Bulk".to_owned(),
            rate: None,
            created: Timestamp::UNIX_EPOCH,
            ended: None,
            state: RestoreState::Held,
            until: Some(Timestamp::UNIX_EPOCH),
            reason: Some("no more today".to_owned()),
            files: 2,
            bytes: 20,
            done_files: 1,
            done_bytes: 10,
            failed_files: 0,
            failed: Vec::new(),
            eta: None,
        };
        let held = row(&restore);
        assert_eq!(held[..5], ["3", "bulk", "10 B", "2 files, 20 B", "0"]);
        assert!(held[5].starts_with("held until 19") && held[5].ends_with(": no more today"), "{held:?}");
        restore.state = RestoreState::Done;
        assert_eq!(row(&restore)[5], "done");
    }
}
