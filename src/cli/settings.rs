//! The table of settings as command line flags: one flag for each setting, `MOUNTPOINT` as an argument.

use clap::Arg;
use clap::ArgAction;
use clap::ArgMatches;
use clap::Command;

use crate::config::Default;
use crate::config::Kind;
use crate::config::SETTINGS;
use crate::config::Setting;

/// The settings given on the command line: key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFlags(pub Vec<(String, String)>);

/// The setting that is an argument, not a flag.
const ARGUMENT: &str = "mountpoint";

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &Setting| {
            let values = matches.get_many::<String>(setting.key).into_iter().flatten();
            values.map(|value| (setting.key.to_owned(), value.clone())).collect::<Vec<_>>()
        };
        Ok(SettingFlags(SETTINGS.iter().flat_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let help = setting.help.trim();
    let default = match setting.default {
        Default::Fixed(value) => format!(" [default: {value}]"),
        Default::Derived(how) => format!(" [default: {how}]"),
        Default::Nothing | Default::Required => String::new(),
    };
    let first_sentence = help.split_once(": ").map_or(help, |(first, _)| first);
    let first_sentence =
        first_sentence.split_once(". ").map_or(first_sentence, |(first, _)| first).trim_end_matches('.');
    let arg = Arg::new(setting.key)
        .value_name(setting.placeholder)
        .help(format!("{first_sentence}{}", if matches!(setting.default, Default::Fixed(_)) { &default } else { "" }))
        .long_help(format!("{help} Allowed: {}.{default}", setting.allowed));
    if setting.key == ARGUMENT {
        return arg.value_name("MOUNTPOINT");
    }
    let arg = arg.long(setting.key).help_heading(setting.section);
    match setting.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List => arg.action(ArgAction::Append),
        _ => arg,
    }
}
