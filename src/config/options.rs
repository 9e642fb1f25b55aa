//! `-o` options, as mount(8), fstab and `glacierfs mount -o` give them: settings as `key=value` with dashes or
//! underscores, the customary short ones, and those that other programs read and a helper has to bear.

use std::path::PathBuf;

/// What `-o` options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Settings: key as written, and value.
    pub settings: Vec<(String, String)>,
    /// The configuration file that `config=` names.
    pub file: Option<PathBuf>,
}

/// Options without meaning for glacierfs: for mount(8) and systemd, or already the way every mount of glacierfs is.
const BORNE: [&str; 29] = [
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nofail",
    "_netdev",
    "owner",
    "group",
    "nodev",
    "nosuid",
    "default_permissions",
    "async",
    "silent",
    "loud",
    "noiversion",
    "nomand",
    "mand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
];

/// Why an option that mount(8) knows can't be had.
pub(super) fn refusal(key: &str) -> Option<&'static str> {
    match key {
        "dev" => Some("every mount is nodev: device nodes are kept, but don't lead to devices of this machine"),
        "suid" => {
            Some("every mount is nosuid: set-user-ID bits are kept, but a vault gives nobody rights on this machine")
        }
        "remount" => Some("options can't be changed while it is mounted: unmount it, and mount it again"),
        _ => None,
    }
}

impl MountOptions {
    /// Reads the texts of all `-o`, each a list separated by commas. Whether the keys and values are a setting's is
    /// checked when the settings are gathered.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut options = MountOptions::default();
        for option in texts.into_iter().flat_map(|text| text.split(',')).filter(|option| !option.is_empty()) {
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, value),
                None => (option, "true"),
            };
            match key {
                "ro" => options.set("read-only", "true"),
                "rw" => options.set("read-only", "false"),
                "exec" => options.set("noexec", "false"),
                "config" => options.file = Some(PathBuf::from(value)),
                _ if BORNE.contains(&key) || key.starts_with("x-") || key.starts_with("X-") || key == "comment" => {}
                _ => options.set(key, value),
            }
        }
        options
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }
}
