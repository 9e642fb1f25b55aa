//! glacierfs mounts Amazon Glacier vaults as directories and archives as files.
//!
//! The rooms of the house, and what each may use, are in `docs/architecture.md`; imports point downwards only, and
//! `tests/imports.rs` fails on one that doesn't.

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod fs;
pub mod fuse;
pub mod glacier;
pub mod import;
pub mod notify;
pub mod prices;
pub mod recall;
pub mod scrub;
pub mod server;
pub mod service;
pub mod snapshot;
pub mod store;
pub mod upload;
pub mod util;
pub mod vault;
