//! The embedded endpoint over real HTTP: what its clients may rely on, on a clock that the test moves.
//!
//! Requests are signed with the crate's own signer, whose canonical forms are pinned by vectors made by others; how
//! unmodified AWS clients fare is in `tests/python`.

mod accounts;
mod admin;
mod auth;
mod client;
mod durability;
mod faults;
mod jobs;
mod killed;
mod limits;
mod lock;
mod multipart;
mod notifications;
mod settings;
mod vaults;
mod wire;
