//! The one table of settings. Flags, `GLACIERFS_*` variables, keys of the TOML file, `-o` options, `config show`, the
//! help and the checks of `docs/configuration.md` all come from it: adding a setting is adding one entry here.
//!
//! An entry reads: help (its doc comment), key, field of [`Config`] and its type, how the value is written in TOML,
//! placeholder, parser, default, and what is allowed (the tail of every message about a bad value).

use std::path::PathBuf;
use std::time::Duration;

use super::Error;
use super::gather::Gathered;
use super::value;
use crate::util::budget::Limit;
use crate::util::queue::Queue;
use crate::util::recall::RecallPolicy;
use crate::util::saved::Saved;
use crate::util::tier::Tier;

/// How a setting's value is written in a TOML file. Everywhere else a value is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string with a unit, or a whole number of bytes.
    Size,
    /// A string with a unit, or the number 0.
    Duration,
    /// A whole number.
    Count,
    /// `true` or `false`; as a flag, the flag alone means `true`.
    Switch,
    /// An array of strings; as a flag, repeatable; in a variable, separated by commas.
    List,
}

/// What holds when nobody sets a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This value, written as a person would.
    Fixed(&'static str),
    /// Worked out from other settings or the surroundings, as described.
    Derived(&'static str),
    /// Nothing; the setting stays off or empty.
    Nothing,
    /// There is no default: a mount can't do without the setting.
    Required,
}

/// One setting, as far as it can be told without its type.
#[derive(Debug)]
pub struct Setting {
    /// The heading that it stands under in help texts.
    pub section: &'static str,
    /// The key in TOML and, after `--`, the flag: lower case with dashes.
    pub key: &'static str,
    /// How TOML writes the value.
    pub kind: Kind,
    /// The placeholder for the value in help texts.
    pub placeholder: &'static str,
    /// What holds when nobody sets it.
    pub default: Default,
    /// What the setting does, in a sentence or two.
    pub help: &'static str,
    /// What a value may be.
    pub allowed: &'static str,
    /// Whether a text is a valid value.
    pub check: fn(&str) -> bool,
}

impl Setting {
    /// The environment variable: `GLACIERFS_` and the key in capitals with underscores.
    pub fn variable(&self) -> String {
        format!("GLACIERFS_{}", self.key.replace('-', "_").to_ascii_uppercase())
    }
}

macro_rules! settings {
    ($($section:literal { $(
        $(#[doc = $help:literal])+
        $key:literal => $field:ident: $type:ty, $kind:ident, $placeholder:literal, $parse:path, $default:expr, $allowed:literal;
    )+ })+) => {
        /// The settings of one mount: complete, typed and checked against each other. Paths are absolute.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($($(#[doc = $help])+ pub $field: $type,)+)+
        }

        /// Every setting, in the order of the help.
        pub static SETTINGS: &[Setting] = &[
            $($(Setting {
                section: $section,
                key: $key,
                kind: Kind::$kind,
                placeholder: $placeholder,
                default: $default,
                help: concat!($($help),+),
                allowed: $allowed,
                check: |text| $parse(text).is_some(),
            },)+)+
        ];

        impl Config {
            /// The typed values, each from its most important source.
            pub(super) fn typed(gathered: &Gathered) -> Result<Config, Error> {
                Ok(Config { $($($field: gathered.typed($key, $parse)?,)+)+ })
            }
        }
    };
}

settings! {
    "Mount" {
        /// Name of the mount, which names its state directory and its file in /etc/glacierfs.
        "name" => name: String, Text, "NAME", value::name, Default::Derived("from the mount point: /mnt/vaults is mnt-vaults"),
            "1 to 64 letters, digits, \"-\", \"_\" and \".\", not starting with \".\"";

        /// Directory that the vaults appear in: it exists and is empty.
        "mountpoint" => mountpoint: PathBuf, Text, "DIR", value::mountpoint, Default::Required, "the path of a directory other than /";

        /// Directory of the catalog, the spool, the cache and the control socket.
        "state" => state: PathBuf, Text, "DIR", value::path,
            Default::Derived("/var/lib/glacierfs/NAME for root, else $XDG_STATE_HOME/glacierfs/NAME"), "the path of a directory, at most 94 bytes long";

        /// Let users other than the one who mounts in; modes and owners then decide.
        "allow-other" => allow_other: bool, Switch, "BOOL", value::switch, Default::Fixed("false"), "true or false";

        /// Let root in besides the one who mounts.
        "allow-root" => allow_root: bool, Switch, "BOOL", value::switch, Default::Fixed("false"), "true or false";

        /// Show every file as this user's, whoever it is recorded as belonging to.
        "uid" => uid: Option<u32>, Count, "UID", value::id, Default::Nothing, "a user's number";

        /// Show every file as this group's, whichever it is recorded as belonging to.
        "gid" => gid: Option<u32>, Count, "GID", value::id, Default::Nothing, "a group's number";

        /// Show every file and directory with all permissions but these, whatever mode is recorded for it.
        "umask" => umask: Option<u32>, Text, "MODE", value::mask, Default::Nothing, "an octal number from 0 to 777, such as 022";

        /// The same for what isn't a directory. Beats umask.
        "fmask" => fmask: Option<u32>, Text, "MODE", value::mask, Default::Nothing, "an octal number from 0 to 777, such as 022";

        /// The same for directories. Beats umask.
        "dmask" => dmask: Option<u32>, Text, "MODE", value::mask, Default::Nothing, "an octal number from 0 to 777, such as 022";

        /// Refuse every change with EROFS.
        "read-only" => read_only: bool, Switch, "BOOL", value::switch, Default::Fixed("false"), "true or false";

        /// Don't let programs be run from the mount.
        "noexec" => noexec: bool, Switch, "BOOL", value::switch, Default::Fixed("false"), "true or false";

        /// Threads that answer the kernel.
        "threads" => threads: usize, Count, "N", value::threads, Default::Fixed("2"), "a whole number from 1 to 16";

        /// What to log: a level, or levels by module separated by commas.
        "log" => log: String, Text, "FILTER", value::log_filter, Default::Fixed("info"),
            "off, error, warn, info, debug or trace, or MODULE=LEVEL, separated by commas";
    }

    "Vaults" {
        /// Keep the vaults in this directory of this machine instead of at AWS: an embedded endpoint serves them.
        "local" => local: Option<PathBuf>, Text, "DIR", value::path, Default::Nothing, "the path of a directory";

        /// AWS region of the vaults.
        "region" => region: String, Text, "REGION", value::region,
            Default::Derived("AWS_REGION, AWS_DEFAULT_REGION or the profile's region; us-east-1 with local"), "a region's code such as eu-central-1";

        /// URL of a Glacier-compatible service to use instead of AWS.
        "endpoint" => endpoint: Option<String>, Text, "URL", value::endpoint, Default::Nothing,
            "http:// or https://, a host and optionally a port and a path, such as http://127.0.0.1:8210";

        /// AWS account that owns the vaults; "-" is the account of the credentials.
        "account" => account: String, Text, "ID", value::account, Default::Fixed("-"), "\"-\" or 12 digits";

        /// Profile of the AWS configuration files to take credentials and the region from.
        "profile" => profile: Option<String>, Text, "NAME", value::text, Default::Nothing, "a profile's name";
    }

    "Local data" {
        /// Most bytes of archived file data to keep locally for reading again. Data that isn't archived yet comes on top, and so
        /// does what is pinned, or was used last, if that alone is more.
        "cache-size" => cache_size: u64, Size, "SIZE", value::size, Default::Fixed("10G"), "a number of bytes, or a number with K, M, G or T such as 64M or 1.5G";

        /// Bytes that are left of it once it was more than cache-size: what was used least recently goes.
        "cache-low" => cache_low: u64, Size, "SIZE", value::size, Default::Derived("nine tenths of cache-size"),
            "a number of bytes, or a number with K, M, G or T such as 64M or 1.5G, not above cache-size";

        /// Bytes to leave free on the disk of the state directory: writers wait, then get ENOSPC, below it.
        "spool-reserve" => spool_reserve: u64, Size, "SIZE", value::size, Default::Fixed("256M"),
            "a number of bytes, or a number with K, M, G or T such as 64M or 1.5G";
    }

    "Archiving" {
        /// How long a closed file rests before it is archived; files deleted or replaced within it never cost an archive.
        "upload-delay" => upload_delay: Duration, Duration, "DURATION", value::duration, Default::Fixed("10s"),
            "0, or a time with its unit such as 10s, 90min, 6h or 2days";

        /// What a close waits for: that what was written is in the spool, or that it is archived and verified. In the latter
        /// case a close fails when the service refuses the file, and each close makes an archive if something was written.
        "close" => close: Saved, Text, "WHERE", value::saved, Default::Fixed("spool"), "spool or archived";

        /// What fsync waits for: that the file and its name are on this machine's disk, or that it is archived too.
        "fsync" => fsync: Saved, Text, "WHERE", value::saved, Default::Fixed("spool"), "spool or archived";

        /// Requests that carry file data to the service at the same time.
        "uploads" => uploads: usize, Count, "N", value::uploads, Default::Fixed("8"), "a whole number from 1 to 64";

        /// Size of the parts of a multipart upload, in bytes; "auto" picks the smallest that fits the file.
        "part-size" => part_size: Option<u64>, Size, "SIZE", value::part_size, Default::Fixed("auto"), "\"auto\", or a power of two from 1M to 4G";

        /// How long a clean stop waits for uploads. What isn't archived by then stays in the state directory and is
        /// archived after the next start.
        "drain-timeout" => drain_timeout: Duration, Duration, "DURATION", value::duration, Default::Fixed("60s"),
            "0, or a time with its unit such as 10s, 90min, 6h or 2days";

        /// How long the archive of a deleted or replaced file is kept before it is deleted.
        "trash-keep" => trash_keep: Duration, Duration, "DURATION", value::duration, Default::Fixed("30days"),
            "0, or a time with its unit such as 10s, 90min, 6h or 2days";

        /// How long nothing must have changed before a snapshot of each vault's tree goes into the vault; "off" makes none. Between
        /// two lie four times that at least, and 96 times that at most while something changes.
        "snapshot-delay" => snapshot_delay: Option<Duration>, Duration, "DURATION", value::duration_or_off, Default::Fixed("15min"),
            "\"off\", or a time above 0 with its unit such as 10s, 90min, 6h or 2days";
    }

    "Recalling" {
        /// What a program gets that wants bytes which aren't local: "wait" recalls them and lets it wait, "queue" recalls
        /// them and answers EAGAIN, "deny" answers EREMOTE, and only `glacierfs restore` recalls.
        "recall" => recall: RecallPolicy, Text, "POLICY", value::recall, Default::Fixed("wait"), "wait, queue or deny";

        /// Programs, by the first 15 bytes of their names, for which nothing is recalled: they get what "deny" gives. A hint, for
        /// indexers and thumbnailers that read everything; any program can take any name. An empty name is nobody's.
        "recall-deny-comm" => recall_deny_comm: Vec<String>, List, "NAME", value::comm,
            Default::Fixed("updatedb,updatedb.findut,updatedb.mlocat,updatedb.plocat,tracker-extract,tracker-miner-f,localsearch-3,\
                            baloo_file,baloo_file_extr,recollindex,tumblerd,ffmpegthumbnail,evince-thumbnai,totem-video-thu"),
            "the name of a program, at most 15 bytes long";

        /// Retrieval tier of recalls that reads start.
        "tier" => tier: Tier, Text, "TIER", value::tier, Default::Fixed("standard"), "expedited, standard or bulk";

        /// Ask for an expedited retrieval at the standard tier when the service has no capacity for it, instead of asking again and
        /// again.
        "tier-fallback" => tier_fallback: bool, Switch, "BOOL", value::switch, Default::Fixed("false"), "true or false";

        /// The most that retrievals may take in a day or a month (UTC): bytes, requests or money by the table of prices. What would
        /// pass a limit isn't asked for: a read fails with EDQUOT, a restore waits for the next day or month.
        "budget" => budget: Vec<Limit>, List, "AMOUNT/PERIOD", value::limit, Default::Nothing,
            "a size, a number of requests or an amount of US dollars, and /day or /month after it, such as 10G/day, 1000requests/day or 5USD/month";

        /// Table of prices to count by instead of the program's own: a TOML file as `glacierfs prices --toml` prints it.
        "prices" => prices: Option<PathBuf>, Text, "FILE", value::path, Default::Nothing, "the path of a file";

        /// Largest piece, in bytes, that one recall asks for: archives up to this size are recalled whole, larger ones in
        /// aligned windows of it.
        "recall-window" => recall_window: u64, Size, "SIZE", value::window, Default::Fixed("1G"), "a power of two of at least 1M";

        /// Queue that tells when retrievals are ready, so that they are noticed within a second: one of SQS, of this mount alone, that is
        /// subscribed to the topic which the vaults notify.
        "notify" => notify: Option<Queue>, Text, "sqs:QUEUE", value::queue, Default::Nothing,
            "sqs: and a queue's name or URL, such as sqs:done or sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/done";

        /// How long a read of a file that isn't local may wait before it fails with ETIMEDOUT.
        "recall-timeout" => recall_timeout: Option<Duration>, Duration, "DURATION", value::duration_or_none, Default::Fixed("none"),
            "\"none\", or a time above 0 with its unit such as 10s, 90min, 6h or 2days";
    }

    "Embedded endpoint" {
        /// How long the embedded endpoint takes for a retrieval, by tier; only with local.
        "retrieval-delay" => retrieval_delay: Vec<String>, List, "TIER=DURATION", value::tier_delay, Default::Nothing,
            "a tier or all, \"=\" and a time with its unit, such as standard=5s or all=0s";

        /// How often the embedded endpoint takes an inventory of its vaults; only with local.
        "inventory-interval" => inventory_interval: Option<Duration>, Duration, "DURATION", value::duration, Default::Nothing,
            "0, or a time with its unit such as 10s, 90min, 6h or 2days";
    }
}
