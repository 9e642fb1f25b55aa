//! `glacierfs umount`: a clean stop of the daemon behind a mount, or clearing a mount whose daemon is gone.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::ask;
use super::ask::Patience;
use super::exit::Code;
use super::exit::Failure;
use super::output;
use crate::config::mountpoint;
use crate::control::client;
use crate::control::client::Client;
use crate::control::find;
use crate::util::mountinfo;

/// Unmount: stop the daemon cleanly, losing nothing
///
/// Waits for uploads as long as the mount's drain-timeout says. What isn't archived by then stays on the local disk,
/// and is archived after the next mount. A dead mount, whose daemon is gone, is cleared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  glacierfs umount /mnt/vaults
  glacierfs umount --drain 0 /mnt/vaults     now; uploads go on after the next mount
  glacierfs umount --drain 6h /mnt/vaults    only when everything is archived, or in 6 hours")]
pub struct Umount {
    /// Where it is mounted
    mountpoint: String,
    /// How long to wait for uploads [default: the mount's drain-timeout]
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    drain: Option<Duration>,
    /// Give up waiting for the daemon's end after this long; the daemon goes on stopping
    #[arg(long, value_name = "DURATION", value_parser = ask::duration)]
    timeout: Option<Duration>,
}

impl Umount {
    pub fn run(self) -> Result<(), Failure> {
        let mountpoint = mounted(&self.mountpoint)?;
        let found = match find::find(std::slice::from_ref(&mountpoint)) {
            Ok(found) => found,
            Err(find::Error::Dead(_)) => {
                unmount(&mountpoint, true)?;
                return output::print(&format!("Cleared the dead mount at {}.\n", mountpoint.display()));
            }
            Err(e) => return unmount_without_daemon(&mountpoint, &e),
        };
        ask::block_on(async {
            let client = Client::new(found.socket);
            let pid = client.status().await.ok().map(|status| status.pid);
            match client.stop(self.drain.map(|drain| drain.as_secs())).await {
                Ok(()) => gone(&client, &mountpoint, pid, self.timeout).await,
                Err(e @ client::Error::NoDaemon { .. }) => unmount_without_daemon(&mountpoint, &e),
                Err(e) => Err(e.into()),
            }
        })
    }
}

/// The real mount point of a glacierfs, even of a dead one.
fn mounted(path: &str) -> Result<PathBuf, Failure> {
    let real = mountpoint(path).unwrap_or_else(|| PathBuf::from(path));
    let table = mountinfo::mounts()?;
    match is_mounted(&table, &real) {
        true => Ok(real),
        false => {
            let mounts = find::mountpoints(&table);
            let paths: Vec<_> = mounts.iter().map(|mount| mount.display().to_string()).collect();
            let there =
                if paths.is_empty() { "none is mounted".to_owned() } else { format!("mounted: {}", paths.join(", ")) };
            Err(Failure::new(Code::NoDaemon, format!("{path} isn't the mount point of a glacierfs; {there}")))
        }
    }
}

fn is_mounted(table: &[mountinfo::Mount], mountpoint: &Path) -> bool {
    table.iter().any(|mount| mount.mountpoint == mountpoint && mount.file_system == crate::control::FILE_SYSTEM)
}

/// Waits until the mount is gone and the daemon with it, and shows what is still being archived.
async fn gone(client: &Client, mountpoint: &Path, pid: Option<u32>, timeout: Option<Duration>) -> Result<(), Failure> {
    let spinner = output::spinner();
    let patience = Patience::new(timeout);
    loop {
        let left = match client.status().await {
            Ok(status) => match status.queue.files {
                0 => "stopping".to_owned(),
                n => format!("archiving: {} left", output::files(n, status.queue.bytes)),
            },
            Err(e) if ask::is_gone(&e) => {
                if !pid.is_some_and(is_running) && !is_mounted(&mountinfo::mounts()?, mountpoint) {
                    spinner.finish_and_clear();
                    return Ok(());
                }
                "ending".to_owned()
            }
            Err(e) => return Err(e.into()),
        };
        spinner.set_message(left.clone());
        patience.wait(|| left).await?;
    }
}

/// Whether a process is there and hasn't ended. One that has ended may stay in the table until its parent looks.
fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim_start().starts_with(['Z', 'X']))
}

/// Unmounts without asking the daemon, which stops cleanly when it sees the mount gone, if it is there at all.
fn unmount_without_daemon(mountpoint: &Path, why: &dyn std::fmt::Display) -> Result<(), Failure> {
    output::complain(&format!("{why}"));
    unmount(mountpoint, false)?;
    output::print(&format!(
        "Unmounted {} without its daemon's help; what wasn't archived is in the state directory and is archived after the next mount.\n",
        mountpoint.display()
    ))
}

/// Takes a mount away: by the system call for root, by the setuid program that FUSE has for that for others.
fn unmount(mountpoint: &Path, dead: bool) -> Result<(), Failure> {
    let failed =
        |reason: String| Failure::new(Code::Failed, format!("{} can't be unmounted: {reason}", mountpoint.display()));
    if nix::unistd::geteuid().is_root() {
        let flags = if dead { nix::mount::MntFlags::MNT_DETACH } else { nix::mount::MntFlags::empty() };
        return nix::mount::umount2(mountpoint, flags).map_err(|errno| match errno {
            nix::errno::Errno::EBUSY => failed("it is in use; `fuser -vm` shows by whom".to_owned()),
            errno => failed(errno.desc().to_owned()),
        });
    }
    let run = Command::new("fusermount3").arg(if dead { "-uz" } else { "-u" }).arg("--").arg(mountpoint).output();
    match run {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(e) => Err(failed(format!("fusermount3 (package fuse3) doesn't start: {e}"))),
    }
}
