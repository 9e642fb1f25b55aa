//! What can be wrong with a configuration. Each message names the place (file and line, variable or flag), the
//! setting, the value, and what is allowed.

use std::path::PathBuf;

use super::gather::Source;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that no setting has.
    #[error("{at}: there is no setting {key:?}{}", hint(.nearest))]
    Unknown {
        /// Where it stands.
        at: Source,
        /// As it stands there.
        key: String,
        /// The key that was probably meant, as it is written at that place.
        nearest: Option<String>,
    },
    /// A TOML value of the wrong type.
    #[error("{at}: {key} is {found} here, but has to be {wanted}: {allowed}")]
    Type {
        /// Where it stands.
        at: Source,
        /// The setting.
        key: &'static str,
        /// The type that was found, with its article.
        found: String,
        /// The type that is wanted, with its article.
        wanted: &'static str,
        /// What a value may be.
        allowed: &'static str,
    },
    /// A value that isn't allowed.
    #[error("{at}: {value:?} is not allowed for {key}: allowed is {allowed}")]
    Value {
        /// Where it stands.
        at: Source,
        /// The setting.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What a value may be.
        allowed: &'static str,
    },
    /// Text that isn't UTF-8, or not TOML.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where it stands.
        at: Source,
        /// What the parser says.
        reason: String,
    },
    /// A configuration file that can't be read.
    #[error("{path}: the configuration file can't be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A setting that a mount can't do without.
    #[error("{key} isn't set: {how}")]
    Missing {
        /// The setting.
        key: &'static str,
        /// How to set it.
        how: String,
    },
    /// Two settings that can't both be.
    #[error("{at}: {reason}")]
    Conflict {
        /// Where the later of the two stands.
        at: Source,
        /// What excludes what, and why.
        reason: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean {key:?}?"),
        None => "; `glacierfs config show` lists all settings".to_owned(),
    }
}
