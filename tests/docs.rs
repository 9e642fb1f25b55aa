//! The pages that tell what code decides say the same as the code.

use std::fmt::Write;
use std::path::PathBuf;

use glacierfs::cli::exit::CODES;
use glacierfs::config::Default;
use glacierfs::config::Kind;
use glacierfs::config::SETTINGS;

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The part of docs/configuration.md that follows from the table of settings.
fn settings() -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in SETTINGS {
        if setting.section != section {
            section = setting.section;
            write!(text, "\n### {section}\n").expect("writing to a string");
        }
        let default = match setting.default {
            Default::Fixed(value) => format!("`{value}`"),
            Default::Derived(how) => how.to_owned(),
            Default::Nothing => "not set".to_owned(),
            Default::Required => "none; it has to be set".to_owned(),
        };
        let example = match setting.kind {
            Kind::Text | Kind::Size | Kind::Duration => "a string",
            Kind::Count => "a number",
            Kind::Switch => "`true` or `false`",
            Kind::List => "an array of strings",
        };
        let also = if setting.kind == Kind::Size { ", or a whole number of bytes" } else { "" };
        let help = setting.help.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(
            text,
            "\n**{}** (`{}`): {help}\n\n- allowed: {}\n- default: {default}\n- in the file: {example}{also}\n",
            setting.key,
            setting.variable(),
            setting.allowed
        )
        .expect("writing to a string");
    }
    text
}

/// Promise: docs/configuration.md describes every setting as the program has it.
#[test]
fn the_configuration_page_is_up_to_date() {
    let path = page("configuration.md");
    let text = std::fs::read_to_string(&path).expect("the page");
    let marker = "writes it. -->\n";
    let at = text.find(marker).expect("the marker") + marker.len();
    let wanted = format!("{}{}", &text[..at], settings());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("a written page");
    } else {
        assert!(text == wanted, "docs/configuration.md is out of date: run UPDATE_DOCS=1 cargo test --test docs");
    }
}

/// Promise: docs/exit-codes.md lists every exit code with the meaning that --help prints.
#[test]
fn the_exit_codes_page_is_complete() {
    let text = std::fs::read_to_string(page("exit-codes.md")).expect("the page");
    for (code, meaning) in CODES {
        let row = format!("| {} | {meaning} |\n", *code as u8);
        assert!(text.contains(&row), "{row}");
    }
}

/// Promise: the examples of docs/snapshot-format.md do what is said there, with the samples of the first version.
#[test]
fn the_examples_of_the_snapshot_format() {
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (sample, name) in [("snapshot-v1.jsonl", "full"), ("snapshot-v1-delta.jsonl", "delta")] {
        let packed =
            zstd::encode_all(std::fs::File::open(data.join(sample)).expect("a sample"), 3).expect("compressed");
        std::fs::write(tmp.path().join(format!("{name}.jsonl.zst")), packed).expect("written");
    }
    let text = std::fs::read_to_string(page("snapshot-format.md")).expect("the page");
    let mut examples = 0;
    for example in text.split("```sh\n").skip(1) {
        let (script, rest) = example.split_once("```\n").expect("an end");
        let (_, said) = rest.split_once("```text\n").expect("what it prints");
        let (said, _) = said.split_once("```").expect("an end");
        let mut command = std::process::Command::new("bash");
        let output =
            command.args(["-euo", "pipefail", "-c", script]).env("LC_ALL", "C").current_dir(tmp.path()).output();
        let output = output.expect("bash starts");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            said,
            "{script}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        examples += 1;
    }
    assert_eq!(examples, 4);
}
