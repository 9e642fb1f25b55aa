//! The descriptions that other tools write: what each says of the file, as far as it can be believed.
//!
//! | tool | form |
//! | --- | --- |
//! | mt-aws-glacier | `mt2 ` and base64url of JSON `{"filename","mtime"}`; `mt1 ` the same, its UTF-8 encoded twice |
//! | FastGlacier, QNAP HBS, CrushFTP | `<m><v>4</v><p>` base64 of the path `</p><lm>` time `</lm><ce>` flags `</ce></m>` |
//! | FastGlacier 1 | `<ArchiveMetadata><Path>` base64 of the path `</Path>...</ArchiveMetadata>` |
//! | CloudBerry, MSP360 | `{"Path":` in UTF-7, `"UTCDateModified":` time, `"Flags":` 1 compressed, 2 encrypted `}`, maybe as a JSON string |
//! | QNAP's Glacier app | `{"path":"/a/b","type":"file"}` |
//! | others | the name itself |
//!
//! The XML has neither attributes nor entities nor nesting, whoever wrote it, so it is read by a few lines here: a parser
//! of all of XML would accept more than was ever written, and be one more thing that input from outside reaches.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Origin;
use super::safe_path;
use super::utf7;

/// Base64 as found: with padding or without, and with what the last character has too much.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Local time is up to 14 hours off (Kiribati), and uploads take a while: a time that may be that of an upload is believed
/// when it is earlier than this before the archive was made.
const SURELY_EARLIER: SignedDuration = SignedDuration::from_hours(24);

/// What another tool's description says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The path; already safe.
    pub path: Vec<u8>,
    /// Whether the archive stands for a directory: its bytes are a filler, as an archive has at least one.
    pub is_folder: bool,
    /// Whether its bytes are compressed by the tool.
    pub is_compressed: bool,
    /// Whether its bytes are encrypted by the tool.
    pub is_encrypted: bool,
    mtime: Option<Timestamp>,
    /// Whether `mtime` may be the time of the upload, in an unknown time zone.
    is_doubtful: bool,
}

impl Foreign {
    /// The modification time of the file, where the description of an archive that was made at `created` tells one that
    /// can be believed. CrushFTP writes the local time of the upload in FastGlacier's form; a time close to the archive's
    /// own may be that, and is worth no more than that.
    pub fn mtime(&self, created: Timestamp) -> Option<Timestamp> {
        self.mtime.filter(|mtime| !self.is_doubtful || created.duration_since(*mtime) > SURELY_EARLIER)
    }

    fn new(path: &[u8]) -> Option<Self> {
        Some(Foreign {
            path: safe_path(path, Origin::Foreign)?.into_owned(),
            is_folder: matches!(path.last(), Some(b'/' | b'\\')),
            is_compressed: false,
            is_encrypted: false,
            mtime: None,
            is_doubtful: false,
        })
    }
}

/// Reads a description that isn't ours; `None` where it names nothing.
pub(super) fn parse(description: &str) -> Option<Foreign> {
    let text = description.trim();
    if let Some(quoted) = unquoted(text) {
        // What is in the quotes isn't quoted once more: one pair, and one level of JSON, is what occurs.
        return structured(quoted.trim()).unwrap_or_else(|| plain(&quoted));
    }
    structured(text).unwrap_or_else(|| plain(description))
}

/// The description without a pair of `"` around it: JSON in a JSON string, or anything else just between them.
fn unquoted(text: &str) -> Option<String> {
    let between = text.strip_prefix('"')?.strip_suffix('"')?;
    let json = serde_json::from_str::<String>(text).ok().filter(|json| json.trim_start().starts_with('{'));
    Some(json.unwrap_or_else(|| between.to_owned()))
}

/// Reads a description of the form of a known tool; `None` where it has none of these forms, `Some(None)` where it does
/// and is damaged, so that it is no name either.
fn structured(text: &str) -> Option<Option<Foreign>> {
    let after = |marker| text.strip_prefix(marker).filter(|rest: &&str| rest.starts_with(|c: char| c.is_whitespace()));
    if let Some(base64) = after("mt2") {
        Some(decode(base64).and_then(|json| mt_aws(&json)))
    } else if let Some(base64) = after("mt1") {
        Some(decode(base64).and_then(|json| mt_aws(&once_decoded(json)?)))
    } else if text.starts_with('<') {
        Some(elements("m", text).or_else(|| elements("ArchiveMetadata", text)).and_then(|xml| fast_glacier(&xml)))
    } else if text.starts_with('{') {
        Some(json(text))
    } else {
        (text.starts_with('"') || text.starts_with("glacierfs/")).then_some(None)
    }
}

/// A text that is the name itself. A separator at its end is no sign of a folder: people write `photos/` of a whole one.
fn plain(text: &str) -> Option<Foreign> {
    Foreign::new(text.as_bytes()).map(|name| Foreign { is_folder: false, ..name })
}

fn mt_aws(json: &[u8]) -> Option<Foreign> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let found = Foreign::new(json.get("filename")?.as_str()?.as_bytes())?;
    Some(Foreign { mtime: json.get("mtime").and_then(Value::as_str).and_then(time), ..found })
}

/// Undoes mt-aws-glacier's second encoding as UTF-8.
fn once_decoded(bytes: Vec<u8>) -> Option<Vec<u8>> {
    String::from_utf8(bytes).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn fast_glacier(elements: &[(&str, &str)]) -> Option<Foreign> {
    let text = |name| elements.iter().find(|(found, _)| *found == name).map(|(_, text)| *text);
    let found = Foreign::new(&decode(text("p").or_else(|| text("Path"))?)?)?;
    let mut flags = text("ce").unwrap_or_default().split(':').map(|flag| flag.trim() == "1");
    Some(Foreign {
        is_compressed: flags.next() == Some(true),
        is_encrypted: flags.next() == Some(true),
        mtime: text("lm").and_then(time),
        is_doubtful: true,
        ..found
    })
}

fn json(text: &str) -> Option<Foreign> {
    let json: Value = serde_json::from_str(text).ok()?;
    let text = |key| json.get(key).and_then(Value::as_str);
    let Some(path) = text("Path") else {
        let found = Foreign::new(text("path")?.as_bytes())?;
        let is_folder = found.is_folder || text("type").is_some_and(|kind| kind != "file");
        return Some(Foreign { is_folder, ..found });
    };
    let found = Foreign::new(utf7::decode(path).as_deref().unwrap_or(path).as_bytes())?;
    let flags = json.get("Flags").and_then(Value::as_u64).unwrap_or(0);
    Some(Foreign {
        is_compressed: flags & 1 != 0,
        is_encrypted: flags & 2 != 0,
        mtime: text("UTCDateModified").and_then(time),
        ..found
    })
}

/// The elements in the element `root`, which is all of `xml`: names and texts, without the white space around these.
fn elements<'a>(root: &str, xml: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut rest = xml.strip_prefix('<')?.strip_prefix(root)?.strip_prefix('>')?;
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start().strip_prefix('<')?;
        let (name, after) = rest.split_once('>')?;
        if let Some(end) = name.strip_prefix('/') {
            return (end == root && after.trim().is_empty()).then_some(found);
        }
        if let Some(name) = name.strip_suffix('/') {
            found.push((name.trim_end(), ""));
            rest = after;
            continue;
        }
        let (text, after) = after.split_once('<')?;
        found.push((name, text.trim()));
        rest = after.strip_prefix('/')?.strip_prefix(name)?.strip_prefix('>')?;
    }
}

/// Base64 of either alphabet, white space anywhere.
fn decode(base64: &str) -> Option<Vec<u8>> {
    let letter = |c: char| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let text: String = base64.chars().filter(|c| !c.is_whitespace()).map(letter).collect();
    BASE64.decode(text).ok()
}

/// `YYYYMMDDTHHMMSSZ`, years 1000 to 9999; with separators, fractions of a second and white space too, which all of
/// mt-aws-glacier's versions read. Leap seconds are the ones after.
fn time(text: &str) -> Option<Timestamp> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | ':')).collect();
    let (date, time) = text.split_once(['T', 't'])?;
    let time = time.strip_suffix(['Z', 'z'])?;
    let (time, fraction) = time.split_at_checked(6)?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_fraction = fraction.is_empty() || fraction.strip_prefix(['.', ',']).is_some_and(is_digits);
    if date.len() != 8 || !is_digits(date) || !is_digits(time) || !is_fraction {
        return None;
    }
    let number = |text: &str, at: usize| text[at..at + 2].parse::<i8>().ok();
    let year = date[..4].parse().ok().filter(|year| *year >= 1000)?;
    let second = number(time, 4).filter(|second| *second <= 61)?;
    let minute =
        civil::DateTime::new(year, number(date, 4)?, number(date, 6)?, number(time, 0)?, number(time, 2)?, 0, 0);
    let minute = minute.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    minute.checked_add(SignedDuration::from_secs(second.into())).ok()
}

#[cfg(test)]
mod tests;
