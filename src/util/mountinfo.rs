//! The mount table of this process, `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor number of the file system, the same for all its mounts.
    pub device: String,
    /// The directory of the file system that is mounted, `/` but for bind mounts.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Type of the file system.
    pub file_system: String,
}

/// The mount table of this process, in the order of mounting.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// Whether the daemon of a FUSE mount is gone: the kernel then answers ENOTCONN. It is asked for the file system's
/// usage, because attributes are answered from its cache long after the daemon's end.
pub fn is_dead(mountpoint: &Path) -> bool {
    matches!(rustix::fs::statfs(mountpoint), Err(Errno::NOTCONN | Errno::CONNABORTED))
}

/// Reads a mount table as of proc_pid_mountinfo(5); lines of another form are left out.
pub fn parse(table: &[u8]) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let device = String::from_utf8_lossy(fields.nth(2)?).into_owned();
        let (root, mountpoint) = (unescape(fields.next()?), unescape(fields.next()?));
        let file_system = String::from_utf8_lossy(fields.skip_while(|field| *field != b"-").nth(1)?).into_owned();
        Some(Mount { device, root, mountpoint, file_system })
    };
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// The kernel writes space, tab, newline and backslash in paths as three octal digits after a backslash.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: every byte that the kernel escapes comes back, and a backslash that isn't an escape stays.
    #[test]
    fn octal_escapes() {
        assert_eq!(unescape(br"/a\040b\011c\012d\134e"), PathBuf::from("/a b\tc\nd\\e"));
        assert_eq!(unescape(br"/a\9\04"), PathBuf::from(r"/a\9\04"));
    }
}
