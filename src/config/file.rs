//! The TOML file: keys and values with the line each stands on, types checked against the table.

use std::ops::Range;
use std::path::Path;

use toml_edit::Document;
use toml_edit::Item;
use toml_edit::Value;

use super::Error;
use super::gather::Entry;
use super::gather::Source;
use super::nearest;
use super::table::Kind;
use super::table::SETTINGS;
use super::table::Setting;

/// Reads and type-checks `path`: each setting that it sets.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Error> {
    let at = |span: Option<Range<usize>>| Source::File { path: path.to_owned(), line: line(text, span) };
    let document = Document::parse(text)
        .map_err(|e| Error::Syntax { at: at(e.span()), reason: format!("this isn't TOML: {}", e.message().trim()) })?;
    let mut found = Vec::new();
    for (key, item) in document.iter() {
        let span = document.key(key).and_then(|key| key.span()).or_else(|| item.span());
        let at = at(span);
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            return Err(Error::Unknown { at, key: key.to_owned(), nearest: nearest(key).map(|s| s.key.to_owned()) });
        };
        let texts = texts(setting, item).ok_or_else(|| Error::Type {
            at: at.clone(),
            key: setting.key,
            found: type_name(item),
            wanted: wanted(setting.kind),
            allowed: setting.allowed,
        })?;
        found.push(Entry { setting, values: texts, source: at });
    }
    Ok(found)
}

/// The value as text, or `None` when its TOML type isn't the setting's.
fn texts(setting: &Setting, item: &Item) -> Option<Vec<String>> {
    let value = item.as_value()?;
    let text = match (setting.kind, value) {
        (Kind::Text | Kind::Size | Kind::Duration, Value::String(text)) => text.value().clone(),
        (Kind::Size | Kind::Count, Value::Integer(number)) => number.value().to_string(),
        (Kind::Duration, Value::Integer(number)) if *number.value() == 0 => "0".to_owned(),
        (Kind::Switch, Value::Boolean(on)) => on.value().to_string(),
        (Kind::List, Value::Array(array)) => {
            return array.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        }
        _ => return None,
    };
    Some(vec![text])
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string in quotes",
        Kind::Size => "a string in quotes or a whole number",
        Kind::Duration => "a string in quotes",
        Kind::Count => "a whole number",
        Kind::Switch => "true or false, without quotes",
        Kind::List => "an array of strings in quotes",
    }
}

fn type_name(item: &Item) -> String {
    match item.type_name() {
        name if name.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// The line, from 1, that a span starts on.
fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(Path::new("/etc/glacierfs/photos.toml"), text).expect_err(text).to_string()
    }

    /// Promise: a typo in the file is refused with the file, the line and the key that was meant.
    #[test]
    fn wrong_keys_name_the_line_and_the_nearest_key() {
        let text = "# photos\nregion = \"eu-central-1\"\n\ncach-size = \"10G\"\n";
        assert_eq!(
            message(text),
            "/etc/glacierfs/photos.toml:4: there is no setting \"cach-size\"; did you mean \"cache-size\"?"
        );
        assert!(message("cache_size = 1").contains("did you mean \"cache-size\""));
        assert!(
            message("[mount]\nlocal = \"/x\"").starts_with("/etc/glacierfs/photos.toml:1: there is no setting \"mount")
        );
        assert!(!message("zzzzzz = 1").contains("did you mean"));
    }

    /// Promise: a value of the wrong type is refused with its line, what it is and what it should be.
    #[test]
    fn wrong_types_name_both_types() {
        for (text, found, wanted) in [
            ("\nuploads = \"8\"", ":2: uploads is a string here", "a whole number"),
            ("allow-other = \"yes\"", ":1: allow-other is a string here", "true or false"),
            ("cache-size = true", ":1: cache-size is a boolean here", "a string in quotes or a whole number"),
            ("upload-delay = 10", ":1: upload-delay is an integer here", "a string in quotes"),
            ("retrieval-delay = \"standard=5s\"", ":1: retrieval-delay is a string here", "an array of strings"),
            ("retrieval-delay = [5]", ":1: retrieval-delay is an array here", "an array of strings"),
            ("[tier]\nx = 1", ":1: tier is a table here", "a string in quotes"),
        ] {
            let message = message(text);
            assert!(message.contains(found) && message.contains(wanted), "{text}: {message}");
        }
    }

    /// Promise: text that isn't TOML is refused with the line where it stops being TOML.
    #[test]
    fn broken_toml_names_the_line() {
        assert!(
            message("region = \"a\"\nuploads = = 3\n").starts_with("/etc/glacierfs/photos.toml:2: this isn't TOML")
        );
        assert!(
            message("tier = \"bulk\"\ntier = \"bulk\"\n").contains("photos.toml:2: this isn't TOML: duplicate key")
        );
    }
}
