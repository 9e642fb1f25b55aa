//! The kernel's side: FUSE requests in, replies out. The only room that names `fuser`.
//!
//! **No worker waits.** An operation that can't be done now, because bytes must be recalled, the disk is full or the
//! service must make a vault, is *parked* (`park`): the reply moves to a task, the worker takes the next request. A
//! parked request ends when its cause is gone, when its caller is interrupted (`watch`), or when the daemon stops. A
//! close that the kernel does for a program that ends can't be interrupted any more, and waits less (`leaving`).
//!
//! **Reading ahead.** Who reads a file that isn't local from one end to the other is noticed (`ahead`), and the rest asked for.
//!
//! **Who waits.** By the mount's policy, a directory's, and the program's name (`policy`).
//!
//! **What doesn't wait.** A file opened with O_NONBLOCK; its readers are told when to come again (`poll`).
//!
//! **What the kernel may cache.** Names and attributes for an hour, since every change comes through it or is announced
//! to it ([`Mounted::invalidator`], but not while that would have to wait for the service: `gate`); a file's pages as long as the file doesn't change. A file that isn't
//! wholly local is opened with direct I/O: a parked buffered read would occupy one of the kernel's few background slots. So is one for
//! writing alone, for which the kernel's pages would be a copy more.

mod adapter;
mod ahead;
mod caller;
mod convert;
mod gate;
mod leaving;
mod listing;
mod mount;
mod park;
mod policy;
mod poll;
mod watch;
mod xattrs;

pub use convert::Shown;
pub use mount::Access;
pub use mount::MountError;
pub use mount::Mounted;
pub use mount::Options;
pub use mount::clear_stale;
pub use mount::mount;
pub use mount::unmount;
pub use park::Shared;
pub use watch::Watch;
