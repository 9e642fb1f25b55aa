//! Tests of the command line as a whole.

use clap::CommandFactory;
use clap::FromArgMatches;

use super::*;
use crate::config::Default;
use crate::config::Kind;
use crate::config::SETTINGS;

/// Promise: the definition of the command line is consistent, every command's help included.
#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
    command().debug_assert();
}

/// Promise: every setting is a flag of mount and of config show, and what a flag gives arrives under its key.
#[test]
fn settings_are_flags() {
    for setting in SETTINGS {
        let value = match setting.default {
            Default::Fixed(value) => value,
            _ => "x",
        };
        let flag = format!("--{}={value}", setting.key);
        let words = match setting.key {
            "mountpoint" => vec!["glacierfs", "mount", value],
            _ => vec!["glacierfs", "mount", &flag],
        };
        let cli = Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{e}"));
        let Commands::Mount(mount) = cli.command else { panic!("mount parses as mount") };
        assert_eq!(mount.settings().0, [(setting.key.to_owned(), value.to_owned())]);
    }
    let switches: Vec<_> = SETTINGS.iter().filter(|setting| setting.kind == Kind::Switch).collect();
    assert!(!switches.is_empty());
    for setting in switches {
        let flag = format!("--{}", setting.key);
        let cli = Cli::try_parse_from(["glacierfs", "mount", &flag, "/mnt"]).unwrap_or_else(|e| panic!("{e}"));
        let Commands::Mount(mount) = cli.command else { panic!("mount parses as mount") };
        assert!(mount.settings().0.contains(&(setting.key.to_owned(), "true".to_owned())), "{flag}");
    }
}

/// Promise: the long help prints every exit code, and each command has a line that says what it does.
#[test]
fn help_is_complete() {
    let mut command = command();
    let help = command.render_long_help().to_string();
    for (code, meaning) in CODES {
        assert!(help.contains(&format!("{}  {meaning}", *code as u8)), "{code:?}");
    }
    for sub in command.get_subcommands() {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about:?}", sub.get_name());
    }
}

/// Promise: exit codes are stable: this list only ever grows.
#[test]
fn exit_codes_are_stable() {
    let codes: Vec<_> = CODES.iter().map(|(code, _)| (*code, *code as u8)).collect();
    let frozen = [
        (Code::Done, 0),
        (Code::Failed, 1),
        (Code::Usage, 2),
        (Code::Configuration, 3),
        (Code::NoDaemon, 4),
        (Code::Mount, 5),
        (Code::Running, 6),
        (Code::Remote, 7),
        (Code::Incomplete, 8),
        (Code::TimedOut, 9),
    ];
    assert_eq!(codes, frozen);
}

/// Promise: mount(8) calls the helper in its way, and what it passes becomes settings; later options beat the source.
#[test]
fn the_mount_helper_reads_what_mount_passes() {
    let settings = |words: &[&str]| {
        let matches = helper::Helper::command().try_get_matches_from(words).unwrap_or_else(|e| panic!("{e}"));
        let helper = helper::Helper::from_arg_matches(&matches).unwrap_or_else(|e| panic!("{e}"));
        helper.options().settings
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(settings(&[helper::NAME, "photos", "/mnt/photos"]), [pair("name", "photos")]);
    assert_eq!(
        settings(&[
            helper::NAME,
            "/srv/v",
            "/mnt/v",
            "-s",
            "-n",
            "-v",
            "-o",
            "rw,allow_other,_netdev",
            "-t",
            "glacierfs"
        ]),
        [pair("local", "/srv/v"), pair("read-only", "false"), pair("allow_other", "true")]
    );
    assert_eq!(settings(&[helper::NAME, "none", "/mnt/v", "-o", "region=eu-west-1"]), [pair("region", "eu-west-1")]);
}
