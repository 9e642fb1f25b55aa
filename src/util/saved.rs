//! What it means that a file is saved.

use std::str::FromStr;

/// Where a file's bytes are when a close or an fsync returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Saved {
    /// In the spool on this machine.
    #[default]
    Spool,
    /// In the vault, verified.
    Archived,
}

impl FromStr for Saved {
    type Err = String;

    /// Reads `spool` or `archived`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spool" => Ok(Saved::Spool),
            "archived" => Ok(Saved::Archived),
            _ => Err(format!("{text:?} isn't a place: allowed is spool or archived")),
        }
    }
}
