//! The commands that need no mount, against an endpoint in a process of its own, as a script sees them.

mod archives;
mod setup;
