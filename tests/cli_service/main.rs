//! The commands that need no mount, against an endpoint in a process of its own, as a script sees them.

mod account;
mod archives;
mod faults;
mod setup;
mod vaults;
