//! POSIX on a mount: the same done on the disk and in a vault, as several users, and what programs see compared. Real
//! mounts; needs root, /dev/fuse, and ext4 under the temporary directory.

mod acl;
mod directories;
mod names;
mod open_files;
mod ranges;
#[path = "../support/mod.rs"]
mod support;

mod times;
mod xattrs;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use support::Place;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    Root,
    /// User and group 65534.
    Nobody,
    /// User and group 2, and in group 12 besides.
    Bin,
}

/// A vault, and a directory of the disk beside it.
struct Pair {
    place: Place,
}

impl Pair {
    fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests act as several users, which only root can: run them as root"
        );
        let place = Place::new();
        let pair = Pair { place };
        std::fs::set_permissions(pair.place.path("."), PermissionsExt::from_mode(0o755)).expect("a directory for all");
        pair.mount();
        pair.place.ok(&["vault", "create", "v", "--mount", &pair.place.text("mnt")]);
        std::fs::create_dir(pair.disk()).expect("a directory");
        for directory in [pair.disk(), pair.vault()] {
            std::fs::set_permissions(directory, PermissionsExt::from_mode(0o777)).expect("directories for all");
        }
        pair
    }

    fn mount(&self) {
        let done = self.place.mount(&["--allow-other"]);
        assert_eq!(done.code, 0, "{}{}", done.stderr, self.place.log());
    }

    fn remount(&self) {
        self.place.ok(&["umount", "--drain", "0", &self.place.text("mnt")]);
        self.mount();
    }

    fn disk(&self) -> PathBuf {
        self.place.path("disk")
    }

    fn vault(&self) -> PathBuf {
        self.place.path("mnt/v")
    }

    /// Runs a script of the shell on the disk and in the vault. It has to say the same, on both ways out; answers what.
    fn same(&self, user: User, script: &str) -> String {
        let disk = shell(user, script, &self.disk());
        let vault = shell(user, script, &self.vault());
        assert_eq!(vault, disk, "as {user:?}: {script}");
        disk
    }

    /// Does something in a directory of the disk and in one of the vault. Both have to have the same outcome; answers which.
    fn alike<T: PartialEq + std::fmt::Debug>(&self, what: &str, operation: impl Fn(&Path) -> T) -> T {
        let disk = operation(&self.disk());
        let vault = operation(&self.vault());
        assert_eq!(vault, disk, "{what}");
        disk
    }
}

/// What a script says: standard output, then errors, with the directory's own name left out.
fn shell(user: User, script: &str, directory: &Path) -> String {
    let mut command = Command::new("setpriv");
    command.args(match user {
        User::Root => &["--clear-groups"][..],
        User::Nobody => &["--reuid=65534", "--regid=65534", "--clear-groups"],
        User::Bin => &["--reuid=2", "--regid=2", "--groups=12"],
    });
    let done = command.args(["sh", "-c", script]).current_dir(directory).env("LC_ALL", "C").output();
    let done = done.expect("a shell starts");
    let said = [done.stdout, done.stderr].concat();
    String::from_utf8_lossy(&said).replace(&*directory.to_string_lossy(), "DIRECTORY")
}
