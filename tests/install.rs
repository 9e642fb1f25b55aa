//! What `scripts/install` and the systemd unit promise.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

fn install(destination: &Path, arguments: &[&str]) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install"))
        .args(arguments)
        .env("DESTDIR", destination)
        .env("PREFIX", "/usr")
        .env("BINARY", env!("CARGO_BIN_EXE_glacierfs"))
        .output()
        .expect("the script starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn files(directory: &Path, found: &mut BTreeSet<PathBuf>, root: &Path) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, found, root);
        } else {
            found.insert(path.strip_prefix(root).expect("a path below the root").to_owned());
        }
    }
}

/// Promise: everything is put in place, the unit runs the installed program, and uninstalling takes all of it away but
/// nothing else.
#[test]
fn install_and_uninstall() {
    let destination = tempfile::tempdir().expect("a temporary directory");
    let root = destination.path();
    std::fs::create_dir_all(root.join("etc/glacierfs")).expect("a directory");
    std::fs::write(root.join("etc/glacierfs/photos.toml"), "tier = \"bulk\"\n").expect("a written file");
    std::fs::write(root.join("etc/updatedb.conf"), "PRUNEFS=\"NFS fuse.sshfs\"\n").expect("a written file");
    let said = install(root, &[]);
    assert!(said.contains("fuse.glacierfs to PRUNEFS"), "{said}");
    for file in [
        "usr/bin/glacierfs",
        "usr/lib/systemd/system/glacierfs@.service",
        "usr/share/man/man1/glacierfs.1",
        "usr/share/man/man1/glacierfs-mount.1",
        "usr/share/man/man8/mount.glacierfs.8",
        "usr/share/bash-completion/completions/glacierfs",
        "usr/share/zsh/site-functions/_glacierfs",
        "usr/share/fish/vendor_completions.d/glacierfs.fish",
    ] {
        let length = std::fs::metadata(root.join(file)).expect(file).len();
        assert!(length > 0, "{file} is empty");
    }
    assert_eq!(std::fs::read_link(root.join("sbin/mount.glacierfs")).expect("a link"), Path::new("/usr/bin/glacierfs"));
    let unit = std::fs::read_to_string(root.join("usr/lib/systemd/system/glacierfs@.service")).expect("a unit");
    assert!(unit.contains("\nExecStart=/usr/bin/glacierfs mount "), "{unit}");

    install(root, &["--uninstall"]);
    let mut left = BTreeSet::new();
    files(root, &mut left, root);
    assert_eq!(left, ["etc/glacierfs/photos.toml", "etc/updatedb.conf"].map(PathBuf::from).into());
}

/// Promise: the unit sets nothing that would give it a mount namespace of its own, where the mount would stay invisible
/// to the host, nor what would blind the watch over waiting readers.
#[test]
fn the_unit_keeps_the_mount_visible() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/glacierfs@.service");
    let unit = std::fs::read_to_string(path).expect("a unit");
    let keys: BTreeSet<_> = unit
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key)
        .collect();
    assert!(keys.contains("ExecStart") && keys.contains("CapabilityBoundingSet"), "{keys:?}");
    for key in [
        "BindPaths",
        "BindReadOnlyPaths",
        "DynamicUser",
        "InaccessiblePaths",
        "LogNamespace",
        "MountFlags",
        "NoExecPaths",
        "PrivateDevices",
        "PrivateIPC",
        "PrivateMounts",
        "PrivateNetwork",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "RootDirectory",
        "TemporaryFileSystem",
    ] {
        assert!(!keys.contains(key), "{key} is set");
    }
}
