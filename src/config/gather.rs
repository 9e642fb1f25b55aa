//! Who says what: collects every setting's value from flags, `-o` options, the environment, the file and the
//! defaults, in that order of importance, and remembers where each came from.
//!
//! A source that sets a list replaces the lists of the lesser sources; nothing is merged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use super::Config;
use super::Error;
use super::file;
use super::nearest;
use super::options;
use super::table::Default;
use super::table::Kind;
use super::table::SETTINGS;
use super::table::Setting;
use super::value;

/// Variables that start like settings but aren't: the file's path, the inherited descriptor on which a daemon in
/// the background reports that it is ready, and where a test has it killed.
const OTHER_VARIABLES: &[&str] = &[
    "GLACIERFS_CONFIG",
    "GLACIERFS_READY_FD",
    #[cfg(debug_assertions)]
    crate::util::crash::VARIABLE,
];

/// Longest state directory, in bytes: the path of the socket in it has to fit the 107 bytes of a Unix socket's address.
const LONGEST_STATE: usize = 107 - "/control.sock".len();

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line, by the setting's key.
    Flag(String),
    /// An option of `-o`, as written.
    Option(String),
    /// An environment variable: ours, or one of AWS's.
    Variable(String),
    /// A line, from 1, of a TOML file.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// The region of a profile in the AWS configuration files.
    Profile(String),
    /// Worked out from other settings.
    Derived,
    /// The table's default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(key) if key == "mountpoint" => f.write_str("MOUNTPOINT"),
            Source::Flag(key) => write!(f, "--{key}"),
            Source::Option(key) => write!(f, "-o {key}"),
            Source::Variable(name) => f.write_str(name),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Profile(name) => write!(f, "AWS profile {name}"),
            Source::Derived => f.write_str("derived"),
            Source::Default => f.write_str("default"),
        }
    }
}

/// Everything that a configuration is made from.
pub struct Inputs<'a> {
    /// Settings given as flags: key and value.
    pub flags: Vec<(String, String)>,
    /// Settings given with `-o`: key (dashes or underscores) and value.
    pub options: Vec<(String, String)>,
    /// The file named by `--config` or `-o config=`, which then has to exist.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The directory of `NAME.toml`, read when no file is named.
    pub directory: PathBuf,
    /// Whether root asks, whose state lives in `/var/lib`.
    pub root: bool,
    /// The region of an AWS profile (`None`: the default one).
    pub profile_region: &'a dyn Fn(Option<&str>) -> Option<String>,
}

/// A setting's value and where it came from, as `config show` prints it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value; several for a list, none when nothing sets it.
    pub values: Vec<String>,
    /// Where it came from.
    pub source: Source,
}

/// All values by key, each from its most important source, every one of them valid by itself.
#[derive(Debug)]
pub struct Gathered {
    entries: BTreeMap<&'static str, Entry>,
}

impl Gathered {
    /// Collects the values and checks each by itself.
    pub fn new(inputs: &Inputs) -> Result<Self, Error> {
        let mut gathered = Gathered { entries: BTreeMap::new() };
        for (key, value) in &inputs.flags {
            gathered.given(key, key, value, Source::Flag(key.clone()))?;
        }
        let mut options = Gathered { entries: BTreeMap::new() };
        for (key, value) in &inputs.options {
            if let Some(reason) = options::refusal(key) {
                return Err(Error::Conflict { at: Source::Option(key.clone()), reason: reason.to_owned() });
            }
            let setting_key = key.replace('_', "-");
            // As with mount(8), the last of several equal options counts.
            if SETTINGS.iter().any(|s| s.key == setting_key && s.kind != Kind::List) {
                options.entries.remove(setting_key.as_str());
            }
            options.given(&setting_key, key, value, Source::Option(key.clone()))?;
        }
        gathered.fill(options);
        let mut variables = Gathered { entries: BTreeMap::new() };
        for (name, value) in &inputs.environment {
            variables.variable(name, value)?;
        }
        gathered.fill(variables);
        if let Some(path) = gathered.file(inputs) {
            let mut lines = Gathered { entries: BTreeMap::new() };
            for entry in file::read(&path)? {
                lines.set(entry)?;
            }
            gathered.fill(lines);
        }
        gathered.derive(inputs)?;
        for setting in SETTINGS {
            if let Default::Fixed(value) = setting.default {
                let entry = Entry { setting, values: values_of(setting, value), source: Source::Default };
                gathered.entries.entry(setting.key).or_insert(entry);
            }
        }
        if let (None, Some(high)) = (gathered.get("cache-low"), gathered.text("cache-size").and_then(value::size)) {
            gathered.derived("cache-low", (high - high / 10).to_string(), Source::Derived)?;
        }
        Ok(gathered)
    }

    /// Every setting in the order of the table, set or not.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        SETTINGS.iter().map(|setting| {
            let unset = || Entry { setting, values: Vec::new(), source: Source::Default };
            self.entries.get(setting.key).cloned().unwrap_or_else(unset)
        })
    }

    /// The typed configuration, once the settings are also checked against each other.
    pub fn config(&self) -> Result<Config, Error> {
        let others = ["endpoint", "profile", "notify"];
        if let (Some(local), Some(other)) = (self.get("local"), others.into_iter().find_map(|key| self.get(key))) {
            let reason = format!(
                "{} can't go with local ({}): local keeps the vaults on this machine and serves them itself",
                other.setting.key, local.source
            );
            return Err(Error::Conflict { at: other.source.clone(), reason });
        }
        if let (None, Some(only_local)) =
            (self.get("local"), self.get("retrieval-delay").or_else(|| self.get("inventory-interval")))
        {
            let reason = format!("{} is the embedded endpoint's and goes only with local", only_local.setting.key);
            return Err(Error::Conflict { at: only_local.source.clone(), reason });
        }
        if let (Some("true"), Some("true"), Some(root)) =
            (self.text("allow-root"), self.text("allow-other"), self.get("allow-root"))
        {
            let reason = "allow-root lets only root in, and allow-other everybody: take one of them".to_owned();
            return Err(Error::Conflict { at: root.source.clone(), reason });
        }
        // Asked for first, because the name and the state directory usually follow from it.
        if self.get("mountpoint").is_none() {
            return Err(missing("mountpoint"));
        }
        let config = Config::typed(self)?;
        if let (true, Some(low)) = (config.cache_low > config.cache_size, self.get("cache-low")) {
            return Err(low.refused(low.values.last().map_or("", String::as_str)));
        }
        if let (true, Some(state)) = (config.state.as_os_str().len() > LONGEST_STATE, self.get("state")) {
            return Err(state.refused(&config.state.to_string_lossy()));
        }
        Ok(config)
    }

    /// A setting's typed value.
    pub(super) fn typed<T, F: Collect<T>>(&self, key: &'static str, parse: fn(&str) -> Option<T>) -> Result<F, Error> {
        let mut typed = Vec::new();
        if let Some(entry) = self.get(key) {
            for value in &entry.values {
                typed.push(parse(value).ok_or_else(|| entry.refused(value))?);
            }
        }
        F::collect(typed).ok_or_else(|| missing(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|entry| entry.values.last()).map(String::as_str)
    }

    /// Takes over what isn't set yet.
    fn fill(&mut self, lesser: Gathered) {
        for (key, entry) in lesser.entries {
            self.entries.entry(key).or_insert(entry);
        }
    }

    /// A value given as text outside the file; `written` is the key as it stands there.
    fn given(&mut self, key: &str, written: &str, value: &str, source: Source) -> Result<(), Error> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let underscores = written.contains('_');
            let like = |s: &Setting| if underscores { s.key.replace('-', "_") } else { s.key.to_owned() };
            return Err(Error::Unknown { at: source, key: written.to_owned(), nearest: nearest(key).map(like) });
        };
        self.set(Entry { setting, values: values_of(setting, value), source })
    }

    fn variable(&mut self, name: &OsString, value: &OsString) -> Result<(), Error> {
        let Some(name) = name.to_str().filter(|name| name.starts_with("GLACIERFS_")) else { return Ok(()) };
        if OTHER_VARIABLES.contains(&name) {
            return Ok(());
        }
        let source = Source::Variable(name.to_owned());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
            let key = name.trim_start_matches("GLACIERFS_").replace('_', "-").to_ascii_lowercase();
            return Err(Error::Unknown {
                at: Source::Variable("environment".to_owned()),
                key: name.to_owned(),
                nearest: nearest(&key).map(Setting::variable),
            });
        };
        let Some(value) = value.to_str() else {
            return Err(Error::Syntax { at: source, reason: format!("{value:?} isn't UTF-8 text") });
        };
        self.given(setting.key, setting.key, value, source)
    }

    fn set(&mut self, entry: Entry) -> Result<(), Error> {
        if let Some(bad) = entry.values.iter().find(|value| !(entry.setting.check)(value)) {
            return Err(entry.refused(bad));
        }
        match self.entries.get_mut(entry.setting.key) {
            Some(earlier) => earlier.values.extend(entry.values),
            None => drop(self.entries.insert(entry.setting.key, entry)),
        }
        Ok(())
    }

    /// The file to read: the named one, or `NAME.toml` of the configuration directory when there is one.
    fn file(&self, inputs: &Inputs) -> Option<PathBuf> {
        let variable = || inputs.environment.iter().find(|(name, _)| name == OTHER_VARIABLES[0]).map(|(_, v)| v.into());
        inputs.file.clone().or_else(variable).or_else(|| {
            let from_mountpoint = || value::mountpoint(self.text("mountpoint")?).map(|path| value::name_of(&path));
            let name = self.text("name").map(str::to_owned).or_else(from_mountpoint)?;
            Some(inputs.directory.join(format!("{name}.toml"))).filter(|path| path.exists())
        })
    }

    /// The values that follow from others: name, state directory, region.
    fn derive(&mut self, inputs: &Inputs) -> Result<(), Error> {
        let environment = |name: &str| {
            let found = inputs.environment.iter().find(|(n, _)| n == name)?;
            found.1.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
        };
        if let (None, Some(mountpoint)) = (self.get("name"), self.text("mountpoint").and_then(value::mountpoint)) {
            let name = value::name_of(&mountpoint);
            if value::name(&name).is_some() {
                self.derived("name", name, Source::Derived)?;
            }
        }
        if let (None, Some(name)) = (self.get("state"), self.text("name")) {
            let home = || Some(Path::new(&environment("HOME")?).join(".local/state"));
            let base = match inputs.root {
                true => Some(PathBuf::from("/var/lib")),
                false => {
                    environment("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)
                }
            };
            if let Some(base) = base {
                let state = base.join("glacierfs").join(name).to_string_lossy().into_owned();
                self.derived("state", state, Source::Derived)?;
            }
        }
        if self.get("region").is_none() {
            if self.get("local").is_some() {
                self.derived("region", "us-east-1".to_owned(), Source::Derived)?;
            } else if let Some((name, region)) =
                ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| Some((name, environment(name)?)))
            {
                self.derived("region", region, Source::Variable((*name).to_owned()))?;
            } else if let Some(region) = (inputs.profile_region)(self.text("profile")) {
                let profile = self.text("profile").map(str::to_owned).or_else(|| environment("AWS_PROFILE"));
                let source = Source::Profile(profile.unwrap_or_else(|| "default".to_owned()));
                self.derived("region", region, source)?;
            }
        }
        Ok(())
    }

    fn derived(&mut self, key: &str, value: String, source: Source) -> Result<(), Error> {
        self.given(key, key, &value, source)
    }
}

impl Entry {
    fn refused(&self, value: &str) -> Error {
        Error::Value {
            at: self.source.clone(),
            key: self.setting.key,
            value: value.to_owned(),
            allowed: self.setting.allowed,
        }
    }
}

/// The values that a text is for a setting.
fn values_of(setting: &Setting, text: &str) -> Vec<String> {
    match setting.kind {
        Kind::List => text.split(',').map(|part| part.trim().to_owned()).collect(),
        _ => vec![text.to_owned()],
    }
}

fn missing(key: &'static str) -> Error {
    let how = match key {
        "mountpoint" => "name a directory on the command line, or set mountpoint in the configuration file".to_owned(),
        "region" => "give --region (or -o region=), set region in the configuration file, or set GLACIERFS_REGION, \
                     AWS_REGION, AWS_DEFAULT_REGION or a region in the AWS profile; or use --local DIR to keep the \
                     vaults on this machine"
            .to_owned(),
        "name" => "the mount point gives no usable name; give --name".to_owned(),
        _ => format!("give --{key}, or set it in the configuration file"),
    };
    Error::Missing { key, how }
}

/// How a setting's field is made from its values: exactly one, perhaps one, or any number.
pub(super) trait Collect<T>: Sized {
    /// The field, or `None` when a value is missing. Of several values for a single field the last counts.
    fn collect(values: Vec<T>) -> Option<Self>;
}

impl<T> Collect<T> for T {
    fn collect(mut values: Vec<T>) -> Option<T> {
        values.pop()
    }
}

impl<T> Collect<T> for Option<T> {
    fn collect(mut values: Vec<T>) -> Option<Self> {
        Some(values.pop())
    }
}

impl<T> Collect<T> for Vec<T> {
    fn collect(values: Vec<T>) -> Option<Self> {
        Some(values)
    }
}
