//! From the text of a value to its type: one small function a kind of value. `None` means "not allowed"; the message,
//! which names the setting, the value and what is allowed, is made in one place from the table.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::util::budget::Limit;
use crate::util::queue::Queue;
use crate::util::recall::RecallPolicy;
use crate::util::saved::Saved;
use crate::util::size;
use crate::util::size::GIB;
use crate::util::size::MIB;
use crate::util::tier::Tier;

pub(super) fn text(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

pub(super) fn name(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let valid = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.chars().all(allowed);
    valid.then(|| text.to_owned())
}

/// The name that a mount point gives: its path's parts joined by dashes, other characters replaced by `_`.
pub(super) fn name_of(mountpoint: &Path) -> String {
    let parts: Vec<_> = mountpoint.iter().filter(|part| *part != "/").map(|part| part.to_string_lossy()).collect();
    let name: String = parts
        .join("-")
        .trim_start_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    name
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.contains('\0')).then(|| std::path::absolute(text).ok()).flatten()
}

/// A mount point's real path, as the kernel's mount table shows it. The last part isn't looked at when that fails,
/// as it does for a dead mount ("Transport endpoint is not connected").
pub fn mountpoint(text: &str) -> Option<PathBuf> {
    let path = path(text)?;
    let real = path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)));
    Some(real.unwrap_or(path)).filter(|path| path.parent().is_some())
}

pub(super) fn region(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ((1..=64).contains(&text.len()) && text.chars().all(allowed)).then(|| text.to_owned())
}

pub(super) fn endpoint(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let valid = matches!(url.scheme(), "http" | "https") && url.host().is_some() && plain;
    valid.then(|| text.trim_end_matches('/').to_owned())
}

pub(super) fn account(text: &str) -> Option<String> {
    let valid = text == "-" || text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.to_owned())
}

pub(super) fn size(text: &str) -> Option<u64> {
    size::parse(text).ok()
}

pub(super) fn window(text: &str) -> Option<u64> {
    size(text).filter(|bytes| bytes.is_power_of_two() && *bytes >= MIB)
}

pub(super) fn part_size(text: &str) -> Option<Option<u64>> {
    match text {
        "auto" => Some(None),
        _ => window(text).filter(|bytes| *bytes <= 4 * GIB).map(Some),
    }
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

pub(super) fn duration_or_none(text: &str) -> Option<Option<Duration>> {
    match text {
        "none" => Some(None),
        _ => duration(text).filter(|time| !time.is_zero()).map(Some),
    }
}

/// A time above zero; `off` is none.
pub(super) fn duration_or_off(text: &str) -> Option<Option<Duration>> {
    match text {
        "off" => Some(None),
        "none" => None,
        _ => duration_or_none(text),
    }
}

pub(super) fn saved(text: &str) -> Option<Saved> {
    text.parse().ok()
}

pub(super) fn tier(text: &str) -> Option<Tier> {
    text.parse().ok()
}

/// A program's name as the kernel has it: at most 15 bytes. An empty one is nobody's.
pub(super) fn comm(text: &str) -> Option<String> {
    (text.len() <= 15 && !text.contains(['\n', '\0'])).then(|| text.to_owned())
}

pub(super) fn limit(text: &str) -> Option<Limit> {
    text.parse().ok()
}

pub(super) fn queue(text: &str) -> Option<Queue> {
    text.parse().ok()
}

pub(super) fn recall(text: &str) -> Option<RecallPolicy> {
    text.parse().ok()
}

/// `TIER=DURATION`, where the tier may be `all`; kept as text, which is what the embedded endpoint takes.
pub(super) fn tier_delay(text: &str) -> Option<String> {
    let (name, delay) = text.split_once('=')?;
    let valid = (name.eq_ignore_ascii_case("all") || tier(name).is_some()) && duration(delay).is_some();
    valid.then(|| text.to_owned())
}

pub(super) fn uploads(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=64).contains(n))
}

pub(super) fn threads(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=16).contains(n))
}

/// A user's or group's number. The greatest means "none" to the kernel.
pub(super) fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

/// Permission bits to leave out, octal.
pub(super) fn mask(text: &str) -> Option<u32> {
    let octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    octal.then(|| u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777)).flatten()
}

pub(super) fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// `LEVEL` or `MODULE=LEVEL`, separated by commas. A word alone has to be a level: env_logger would take `inof` for
/// a module's name and log nothing.
pub(super) fn log_filter(text: &str) -> Option<String> {
    let level = |word: &str| word.parse::<log::LevelFilter>().is_ok();
    let valid = text.split(',').map(str::trim).all(|part| match part.split_once('=') {
        Some((module, word)) => !module.is_empty() && level(word),
        None => level(part),
    });
    valid.then(|| text.to_owned())
}
