//! Flags, `-o` options, `GLACIERFS_*` variables and a TOML file become one validated [`Config`].
//!
//! A flag beats a `-o` option, which beats a variable, which beats the file, which beats the default; each value remembers where it
//! came from. A wrong key, type or value is refused with its place and the nearest valid key. All of it is driven by
//! the table of settings in `table.rs`.

mod error;
mod file;
mod gather;
mod options;
mod service;
mod table;
mod value;

use std::path::PathBuf;

use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;

pub use crate::util::recall::RecallPolicy;
pub use crate::util::tier::Tier;
pub use error::Error;
pub use gather::Entry;
pub use gather::Gathered;
pub use gather::Inputs;
pub use gather::Source;
pub use options::MountOptions;
pub use service::Service;
pub use table::Config;
pub use table::Default;
pub use table::Kind;
pub use table::SETTINGS;
pub use table::Setting;
pub use value::mountpoint;

/// The settings of this process: its environment and files, with these flags (key and value), `-o` options and named
/// configuration file. A file that `-o config=` names counts where `file` is `None`.
pub fn gather(flags: Vec<(String, String)>, options: MountOptions, file: Option<PathBuf>) -> Result<Gathered, Error> {
    Gathered::new(&Inputs {
        flags,
        options: options.settings,
        file: file.or(options.file),
        environment: std::env::vars_os().collect(),
        directory: PathBuf::from("/etc/glacierfs"),
        root: nix::unistd::geteuid().is_root(),
        profile_region: &profile_region,
    })
}

/// The region of a profile in the AWS configuration files (`None`: the one that AWS_PROFILE names, or the default).
fn profile_region(profile: Option<&str>) -> Option<String> {
    let mut builder = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        builder = builder.profile_name(profile);
    }
    let provider = builder.build();
    // The AWS library reads its files asynchronously only. A thread of its own lets callers be asynchronous or not.
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(provider.region())
    };
    let region = std::thread::spawn(read).join().ok().flatten();
    region.map(|region| region.to_string())
}

/// The setting whose key is most like `key`, if any is like it enough to have been meant.
fn nearest(key: &str) -> Option<&'static Setting> {
    let key = key.replace('_', "-").to_ascii_lowercase();
    let near = SETTINGS.iter().map(|setting| (strsim::damerau_levenshtein(setting.key, &key), setting));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 1 + key.len() / 4)
        .map(|(_, setting)| setting)
}

#[cfg(test)]
mod tests;
