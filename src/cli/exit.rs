//! How a command ends: its exit code, which scripts rely on (`docs/exit-codes.md`), and what it says on the way out.

use std::fmt;
use std::io;

use crate::config;
use crate::control::client;
use crate::control::find;
use crate::control::wire::ErrorKind;
use crate::prices;

/// The exit codes. They are stable: a code keeps its meaning, new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done.
    Done = 0,
    /// Failed for a reason that has no code of its own; the message says why.
    Failed = 1,
    /// The command line isn't one.
    Usage = 2,
    /// A setting is wrong or missing.
    Configuration = 3,
    /// There is no mount, or no daemon answers.
    NoDaemon = 4,
    /// The file system couldn't be mounted.
    Mount = 5,
    /// Another daemon uses the state directory.
    Running = 6,
    /// The service refused or couldn't be reached.
    Remote = 7,
    /// Some files weren't archived, evicted, brought back, named or deleted.
    Incomplete = 8,
    /// The time given with --timeout is over.
    TimedOut = 9,
}

/// The exit codes with their meanings, as `--help` and the documentation print them.
pub const CODES: &[(Code, &str)] = &[
    (Code::Done, "done"),
    (Code::Failed, "failed; the message says why"),
    (Code::Usage, "the command line is wrong"),
    (Code::Configuration, "a setting is wrong or missing"),
    (Code::NoDaemon, "there is no such mount, or its daemon doesn't answer"),
    (Code::Mount, "the file system couldn't be mounted"),
    (Code::Running, "another daemon uses the state directory"),
    (Code::Remote, "the service refused, or couldn't be reached"),
    (Code::Incomplete, "some files weren't archived, evicted, brought back, named or deleted"),
    (Code::TimedOut, "the time given with --timeout is over"),
];

/// Why a command ends otherwise than well. An empty message prints nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What to tell the person.
    pub message: String,
}

impl Failure {
    /// A failure with this code and message.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Failure { code, message: message.to_string() }
    }

    /// A failure that has already been told.
    pub fn told(code: Code) -> Self {
        Failure { code, message: String::new() }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Failure::new(Code::Configuration, error)
    }
}

impl From<prices::Error> for Failure {
    fn from(error: prices::Error) -> Self {
        Failure::new(Code::Configuration, error)
    }
}

impl From<find::Error> for Failure {
    fn from(error: find::Error) -> Self {
        Failure::new(Code::NoDaemon, error)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let code = match &error {
            client::Error::Refused { kind: ErrorKind::Remote, .. } => Code::Remote,
            client::Error::Refused { .. } => Code::Failed,
            _ => Code::NoDaemon,
        };
        Failure::new(code, error)
    }
}

impl From<io::Error> for Failure {
    /// Of output that can't be written. Whoever closed the pipe has seen enough, so that is a good end.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::told(Code::Done),
            _ => Failure::new(Code::Failed, error),
        }
    }
}
