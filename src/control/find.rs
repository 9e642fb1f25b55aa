//! Finds the daemon of a path: the mount that the path is in, by `/proc/self/mountinfo`, and its socket, by an
//! extended attribute of the mount's root.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;

use super::FILE_SYSTEM;
use super::XATTR;
use super::wire::PathText;
use crate::util::mountinfo::Mount;
use crate::util::mountinfo::is_dead;
use crate::util::mountinfo::mounts;

/// Why no daemon was found. All of them mean that there is no mount to talk to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path leads nowhere.
    #[error("{path}: {source}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The path is somewhere else.
    #[error("{path} isn't in a glacierfs mount; {mounts}", mounts = listed(.mounts))]
    Elsewhere {
        /// The path.
        path: PathBuf,
        /// The mount points there are.
        mounts: Vec<PathBuf>,
    },
    /// No path was given, and nothing is mounted.
    #[error("no glacierfs is mounted here; `glacierfs mount` mounts one")]
    NoMount,
    /// No path was given, and several are mounted.
    #[error("several glacierfs are mounted: say which by its mount point; {mounts}", mounts = listed(.0))]
    SeveralMounts(Vec<PathBuf>),
    /// Paths of different mounts in one command.
    #[error("{first} and {other} are in different mounts: one command talks to one mount")]
    DifferentMounts {
        /// A path.
        first: PathBuf,
        /// A path in another mount.
        other: PathBuf,
    },
    /// The mount is there, its daemon isn't.
    #[error(
        "the mount at {0} is dead: its daemon is gone; `glacierfs umount {0}` clears it, and mounting again loses nothing"
    )]
    Dead(PathBuf),
    /// The mount doesn't say where its socket is.
    #[error("the mount at {mountpoint} can't be asked for its daemon: {source}")]
    Socket {
        /// Where it is mounted.
        mountpoint: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

fn listed(mounts: &[PathBuf]) -> String {
    match mounts {
        [] => "none is mounted".to_owned(),
        _ => format!("mounted: {}", mounts.iter().map(|m| m.display().to_string()).collect::<Vec<_>>().join(", ")),
    }
}

/// A mount's daemon, and what a command's paths are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The paths asked for, relative to the file system's root.
    pub paths: Vec<PathText>,
}

/// Finds the one daemon of `paths`; without paths, that of the only mount there is.
pub fn find(paths: &[PathBuf]) -> Result<Found, Error> {
    let table = mounts().map_err(|source| Error::Path { path: PathBuf::from("/proc/self/mountinfo"), source })?;
    let Some(first) = paths.first() else {
        let mut ours = mountpoints(&table);
        let mountpoint = match ours.len() {
            0 => return Err(Error::NoMount),
            1 => ours.remove(0),
            _ => return Err(Error::SeveralMounts(ours)),
        };
        let socket = socket(&mountpoint)?;
        return Ok(Found { mountpoint, socket, paths: Vec::new() });
    };
    let mut device = None;
    let mut relative = Vec::new();
    let mut mountpoint = PathBuf::new();
    for path in paths {
        let (mount, inside) = locate(path, &table)?;
        if *device.get_or_insert(&mount.device) != &mount.device {
            return Err(Error::DifferentMounts { first: first.clone(), other: path.clone() });
        }
        // A bind mount of a directory has no attribute; the same file system's root has.
        let whole = table.iter().rev().find(|m| m.device == mount.device && m.root == Path::new("/"));
        mountpoint.clone_from(&whole.unwrap_or(mount).mountpoint);
        relative.push(inside);
    }
    let socket = socket(&mountpoint)?;
    Ok(Found { mountpoint, socket, paths: relative })
}

/// As [`find`], for paths that need not exist any more. A relative one that isn't in a mount is meant from the root of the mount
/// `mount`, or of the only one.
pub fn find_lost(paths: &[PathBuf], mount: Option<&Path>) -> Result<Found, Error> {
    let mut there: Vec<PathBuf> = mount.map(Path::to_owned).into_iter().collect();
    // Where directories are in their mount: paths come by the thousand, and most from a few of them.
    let mut known: HashMap<PathBuf, PathText> = HashMap::new();
    let mut lost = Vec::new();
    for path in paths {
        let absolute = std::path::absolute(path).map_err(|source| Error::Path { path: path.clone(), source })?;
        // A link is where it points to, and a directory may be a mount; a file is where its directory is.
        let is_there = |path: &&Path| path.symlink_metadata().is_ok_and(|meta| !meta.is_file());
        // The root always exists.
        let nearest = absolute.ancestors().find(is_there).unwrap_or(Path::new("/"));
        let rest = absolute.strip_prefix(nearest).unwrap_or(Path::new("")).as_os_str().as_bytes();
        let above = match known.get(nearest) {
            Some(above) => Ok(above.clone()),
            None => find(&[nearest.to_owned()]).map(|found| {
                let above = found.paths.into_iter().next().unwrap_or_default();
                there.push(nearest.to_owned());
                known.insert(nearest.to_owned(), above.clone());
                above
            }),
        };
        match above {
            Ok(above) => {
                let parts = [&above.0[..], rest].into_iter().filter(|part| !part.is_empty());
                lost.push(PathText(parts.collect::<Vec<_>>().join(&b'/')));
            }
            Err(Error::Elsewhere { .. }) if path.is_relative() => {
                lost.push(PathText(path.as_os_str().as_bytes().to_vec()));
            }
            Err(Error::Elsewhere { mounts, .. }) => return Err(Error::Elsewhere { path: path.clone(), mounts }),
            Err(error) => return Err(error),
        }
    }
    Ok(Found { paths: lost, ..find(&there)? })
}

/// The mount points of all glacierfs there are.
pub fn mountpoints(table: &[Mount]) -> Vec<PathBuf> {
    let mut ours: Vec<_> = table
        .iter()
        .filter(|mount| mount.file_system == FILE_SYSTEM && mount.root == Path::new("/"))
        .map(|mount| mount.mountpoint.clone())
        .collect();
    ours.dedup();
    ours
}

/// The mount that a path is in, and the path relative to the file system's root. A link named by the path itself is
/// not followed when the link is in a glacierfs mount, because the link is then what is meant.
fn locate<'a>(path: &Path, table: &'a [Mount]) -> Result<(&'a Mount, PathText), Error> {
    let wrong = |source: io::Error| match mountpoints(table)
        .into_iter()
        .find(|mount| is_dead(mount) && path.starts_with(mount))
    {
        Some(dead) => Error::Dead(dead),
        None => Error::Path { path: path.to_owned(), source },
    };
    let absolute = std::path::absolute(path).map_err(wrong)?;
    let unfollowed = match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().map(|parent| parent.join(name)),
        _ => absolute.canonicalize(),
    };
    let unfollowed = unfollowed.map_err(wrong)?;
    if let Some(found) = within(&unfollowed, table) {
        return Ok(found);
    }
    let followed = absolute.canonicalize().map_err(wrong)?;
    within(&followed, table).ok_or_else(|| Error::Elsewhere { path: path.to_owned(), mounts: mountpoints(table) })
}

/// As [`locate`], for a path without links.
fn within<'a>(path: &Path, table: &'a [Mount]) -> Option<(&'a Mount, PathText)> {
    let around = table.iter().filter(|mount| path.starts_with(&mount.mountpoint));
    // Of mounts on the same directory the last is on top.
    let mount = around.max_by_key(|mount| mount.mountpoint.as_os_str().len())?;
    if mount.file_system != FILE_SYSTEM {
        return None;
    }
    let inside = path.strip_prefix(&mount.mountpoint).ok()?;
    let whole = mount.root.strip_prefix("/").unwrap_or(&mount.root).join(inside);
    let bytes = whole.as_os_str().as_bytes();
    Some((mount, PathText(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec())))
}

/// The socket that a mount's root names.
fn socket(mountpoint: &Path) -> Result<PathBuf, Error> {
    let mut buffer = [0u8; 4096];
    match rustix::fs::getxattr(mountpoint, XATTR, &mut buffer) {
        Ok(length) => Ok(PathBuf::from(OsString::from_vec(buffer[..length].to_vec()))),
        Err(Errno::NOTCONN | Errno::CONNABORTED) => Err(Error::Dead(mountpoint.to_owned())),
        Err(errno) => Err(Error::Socket { mountpoint: mountpoint.to_owned(), source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::mountinfo::parse;

    const TABLE: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        90 22 0:50 / /mnt/my\\040vaults rw,nosuid shared:5 master:2 - fuse.glacierfs mnt-my_vaults rw,user_id=0\n\
        91 22 0:51 / /mnt/b rw - fuse.glacierfs b rw\n\
        92 22 0:50 /photos/2024 /srv/photos rw - fuse.glacierfs mnt-my_vaults rw\n\
        93 91 8:2 / /mnt/b/v/disk rw - ext4 /dev/sdb1 rw\n\
        garbage\n";

    /// Promise: a path is found in the innermost mount around it, and only if that is glacierfs; spaces and bind
    /// mounts included.
    #[test]
    fn paths_are_found_in_their_mounts() {
        let table = parse(TABLE);
        assert_eq!(table.len(), 5);
        let found =
            |path: &str| within(Path::new(path), &table).map(|(mount, inside)| (mount.device.clone(), inside.encode()));
        let some = |device: &str, inside: &str| Some((device.to_owned(), inside.to_owned()));
        assert_eq!(found("/mnt/my vaults"), some("0:50", ""));
        assert_eq!(found("/mnt/my vaults/v/a b"), some("0:50", "v/a b"));
        assert_eq!(found("/srv/photos/x.jpg"), some("0:50", "photos/2024/x.jpg"));
        assert_eq!(found("/srv/photos"), some("0:50", "photos/2024"));
        assert_eq!(found("/mnt/b/v"), some("0:51", "v"));
        assert_eq!(found("/mnt/b/v/disk/x"), None);
        assert_eq!(found("/mnt/bb"), None);
        assert_eq!(mountpoints(&table), [Path::new("/mnt/my vaults"), Path::new("/mnt/b")]);
    }

    /// Promise: paths that lead nowhere or elsewhere are told apart.
    #[test]
    fn wrong_paths_have_their_messages() {
        let table = parse(TABLE);
        let error = |path: &str| locate(Path::new(path), &table).expect_err(path).to_string();
        assert_eq!(error("/usr/bin"), "/usr/bin isn't in a glacierfs mount; mounted: /mnt/my vaults, /mnt/b");
        assert!(error("/nonexistent/file").starts_with("/nonexistent/file: No such file or directory"));
    }
}
