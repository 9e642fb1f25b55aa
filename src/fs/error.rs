//! Why an operation failed: an errno for the program, a message for the person's log.

use nix::errno::Errno;

use crate::catalog;
use crate::catalog::ContentId;

/// Bytes that must become local before an operation can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The content.
    pub content: ContentId,
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

/// Why an operation failed, or can't be done yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes are missing locally: recall them, then do the operation again.
    #[error("bytes {}-{} must be recalled first", .0.first, .0.last)]
    Cold(Need),
    /// The disk under the spool is full: see whether room can be made, then do the operation again.
    /// So many more bytes were to go there.
    #[error("no space left under the state directory")]
    Full(u64),
    /// The catalog said no.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// A file in the store failed.
    #[error("store: {0}")]
    Io(#[from] std::io::Error),
    /// Just an errno.
    #[error("{0}")]
    Errno(Errno),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error::Errno(errno)
    }
}

/// What an operation answers.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The errno that a program sees.
    pub fn errno(&self) -> Errno {
        match self {
            Error::Cold(_) => Errno::EAGAIN,
            Error::Full(_) => Errno::ENOSPC,
            Error::Errno(errno) => *errno,
            Error::Io(error) => error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
            Error::Catalog(error) => match error {
                catalog::Error::NotFound => Errno::ENOENT,
                catalog::Error::Exists => Errno::EEXIST,
                catalog::Error::NotEmpty => Errno::ENOTEMPTY,
                catalog::Error::NotDirectory => Errno::ENOTDIR,
                catalog::Error::IsDirectory => Errno::EISDIR,
                catalog::Error::NotLocal => Errno::EAGAIN,
                catalog::Error::IntoItself => Errno::EINVAL,
                catalog::Error::CrossVault => Errno::EXDEV,
                catalog::Error::RootIsForVaults | catalog::Error::Own => Errno::EPERM,
                catalog::Error::NoXattr => Errno::ENODATA,
                catalog::Error::Full | catalog::Error::TooManyXattrs => Errno::ENOSPC,
                catalog::Error::Io { source, .. } => source.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
                catalog::Error::Newer { .. } | catalog::Error::Sqlite(_) => Errno::EIO,
            },
        }
    }

    /// Whether it belongs into the log: the rest are answers that programs ask for every day.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Error::Catalog(catalog::Error::Sqlite(_) | catalog::Error::Io { .. } | catalog::Error::Full))
            || matches!(self, Error::Io(_))
    }
}

/// An I/O error on the spool, where a full disk is something that may pass. `bytes` more were to go there.
pub(super) fn spool(error: std::io::Error, bytes: u64) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => Error::Full(bytes),
        _ => Error::Io(error),
    }
}
