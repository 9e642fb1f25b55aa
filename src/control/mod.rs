//! The daemon's control API: HTTP/1.1 and JSON on the Unix socket `STATE/control.sock`, for its owner alone (mode
//! 0600). `wire` holds what goes over it, `server` answers, `client` asks, `find` finds the daemon of a path.

pub mod client;
pub mod find;
pub mod server;
pub mod wire;

/// Name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// Extended attribute of a mount's root directory: the absolute path of its daemon's socket.
pub const XATTR: &str = "user.glacierfs.control";

/// File system type of every mount, as `/proc/self/mountinfo` shows it.
pub const FILE_SYSTEM: &str = "fuse.glacierfs";
