//! The state directory: made, and held by one daemon at a time.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

/// The file that has the number of the boot in which the last daemon had the directory.
const BOOT: &str = "boot";

/// A state directory that this process holds. Another can take it when this is dropped, or when the process ends in
/// whatever way.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    is_same_boot: bool,
    _lock: File,
}

/// Why a state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon has it.
    #[error(
        "the state directory {} is in use by process {pid}: that mount is alive; `glacierfs status` shows it, and \
         another mount needs another --name or --state", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What the other wrote into its lock.
        pid: String,
    },
    /// It holds other things.
    #[error("{} isn't empty, and isn't a state directory of glacierfs: choose an empty or a new one", .0.display())]
    Foreign(PathBuf),
    /// It can't be made or read.
    #[error("the state directory {}: {source}", path.display())]
    Io {
        /// The directory, or a file in it.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the directory where it doesn't exist, for its owner only, and takes it.
    pub(super) fn take(path: &Path) -> Result<Self, StateError> {
        let io = |source| StateError::Io { path: path.to_path_buf(), source };
        let name = path.join("lock");
        // The log of a daemon that is going into the background is there before the daemon.
        let foreign = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "daemon.log");
        match fs::read_dir(path).map(|mut entries| entries.any(foreign)) {
            // Somebody's directory, /tmp say: its mode and its files are no business of ours.
            Ok(true) if !name.exists() => return Err(StateError::Foreign(path.to_path_buf())),
            Ok(_) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(&name).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // A lock without a number is told of all the same.
                let _ = lock.read_to_string(&mut pid);
                return Err(StateError::InUse { path: path.to_path_buf(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(io)?;
        let is_same_boot = fs::read_to_string(path.join(BOOT)).ok() == Some(this_boot().map_err(io)?);
        Ok(StateDir { path: path.to_path_buf(), is_same_boot, _lock: lock })
    }

    /// Whether the machine has run without a break since a daemon had the directory last: what that wrote is there then, synced
    /// or not.
    pub(super) fn is_same_boot(&self) -> bool {
        self.is_same_boot
    }

    /// Notes that what the last daemon may not have synced isn't trusted any more, or is there: the next one asks only whether
    /// the machine has run without a break since.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn note_boot(&self) -> io::Result<()> {
        fs::write(self.file(BOOT), this_boot()?)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// The kernel's number of this boot (random(4)).
fn this_boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: one daemon a state directory, the second is told who has it, and an ended one leaves it free.
    #[test]
    fn one_daemon_a_directory() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let path = tmp.path().join("a/b");
        let first = StateDir::take(&path).expect("the first takes it");
        assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
        let error = StateDir::take(&path).expect_err("the second is refused").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        StateDir::take(&path).expect("free again");
    }

    /// Promise: a directory with other things in it stays as it is.
    #[test]
    fn somebody_elses_directory_is_refused() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        fs::write(tmp.path().join("letter"), "dear").expect("write");
        fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        let error = StateDir::take(tmp.path()).expect_err("refused").to_string();
        assert!(error.contains("isn't a state directory"), "{error}");
        assert_eq!(fs::metadata(tmp.path()).expect("there").permissions().mode() & 0o777, 0o755);
    }
}
