//! The archive description that glacierfs writes: what a file is called and what it looked like, so that a vault's
//! inventory alone is enough to rebuild the tree.
//!
//! A description is immutable, so version 1 is frozen; every archive ever written with it must stay readable:
//!
//! ```text
//! glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=1000 p=photos/2013/snow%20storm.jpg
//! ```
//!
//! | field | is |
//! | --- | --- |
//! | `k` | the content key: 16 lower-case hexadecimal digits |
//! | `s` | the size in bytes |
//! | `m` | the permission bits, octal |
//! | `t` | the modification time: decimal seconds since 1970 with nine fraction digits, negative before |
//! | `u`, `g` | the numeric owner and group |
//! | `p` | the path in the vault; spaces, `%` and everything but printable ASCII as `%XX` |
//! | `b` | instead of `p` where that is shorter: the path in unpadded base64url |
//! | `q`, `d` | instead of `p`, `b` where the whole path doesn't fit: as many trailing components as do |
//!
//! Descriptions are input from outside like any other: reading one never fails but by `None`, and no path from one is
//! used before [`safe_path`] has seen it.

mod foreign;
mod utf7;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

pub use foreign::Foreign;

/// The longest description that Glacier takes, in characters, each of them printable ASCII.
pub const MAX_LEN: usize = 1024;
/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 255;

/// What a version 1 description begins with.
const MAGIC: &str = "glacierfs/1 ";
/// What is escaped in `p` and `q`; bytes beyond ASCII always are.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
const NANOS: i128 = 1_000_000_000;

/// What our description says of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The key of the content in the catalog that wrote it.
    pub content_key: u64,
    /// The size in bytes.
    pub size: u64,
    /// The permission bits, at most `0o7777`; others are dropped.
    pub mode: u32,
    /// The modification time: whole seconds since 1970, rounded down.
    pub mtime_secs: i64,
    /// The nanoseconds after `mtime_secs`, less than a thousand million.
    pub mtime_nanos: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The path relative to the vault's root: bytes, as the file system has them.
    pub path: Vec<u8>,
}

/// What a description says, ours or not. Paths are as found: see [`safe_path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// One of ours.
    Own {
        /// What it says.
        meta: Meta,
        /// Whether `meta.path` lacks leading directories, because it was too long.
        partial: bool,
    },
    /// Another tool's, or a text that reads like a path.
    Foreign(Foreign),
}

/// Who made a path, which decides how it may be bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We did, on a POSIX file system: it is right as it stands, or refused.
    Own,
    /// Others did, maybe on Windows: roots and drive letters go, backslashes separate.
    Foreign,
}

/// The description of an archive: at most [`MAX_LEN`] printable ASCII characters. Never fails: of a path that is too
/// long, leading directories are left out.
pub fn encode(meta: &Meta) -> String {
    let time = i128::from(meta.mtime_secs) * NANOS + i128::from(meta.mtime_nanos);
    let (sign, time) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
    let (secs, nanos) = (time / NANOS as u128, time % NANOS as u128);
    let Meta { content_key, size, uid, gid, path, .. } = meta;
    let mode = meta.mode & 0o7777;
    let head = format!("{MAGIC}k={content_key:016x} s={size} m={mode:o} t={sign}{secs}.{nanos:09} u={uid} g={gid} ");
    // The head has at most 122 characters, so 900 are left for the path.
    let room = MAX_LEN - head.len() - 2;
    let tail = encode_path(path, room).unwrap_or_else(|| encode_path_end(path, room));
    head + &tail
}

/// The shorter of `p=` and `b=`, if it has at most `room` characters after the `=`.
fn encode_path(path: &[u8], room: usize) -> Option<String> {
    let percent = percent_len(path);
    let base64 = base64_len(path.len());
    if percent.min(base64) > room {
        None
    } else if base64 < percent {
        Some(format!("b={}", URL_SAFE_NO_PAD.encode(path)))
    } else {
        Some(format!("p={}", percent_encode(path, ESCAPED)))
    }
}

/// `q=` or `d=` with as many trailing components as fit; of a single component that doesn't, which no file system
/// allows, its end.
fn encode_path_end(path: &[u8], room: usize) -> String {
    let starts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(i, _)| i + 1);
    let by_bytes = path.len().saturating_sub(room / 4 * 3);
    let tail = starts.chain([by_bytes]).filter(|start| *start < path.len()).find_map(|start| {
        let end = &path[start..];
        encode_path(end, room)
    });
    // The last of the starts always fits, being cut to size; without a path there is nothing to lose.
    match tail.unwrap_or_else(|| "p=".to_owned()) {
        tail if tail.starts_with('b') => tail.replacen('b', "d", 1),
        tail => tail.replacen('p', "q", 1),
    }
}

fn percent_len(path: &[u8]) -> usize {
    path.iter().map(|byte| if matches!(byte, b'!'..=b'~') && *byte != b'%' { 1 } else { 3 }).sum()
}

fn base64_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Reads a description: ours, another tool's, or one that is a plausible path in itself. `None` means that it names
/// nothing: empty, damaged, of a form that nobody knows, or of a newer version of ours.
pub fn parse(description: &str) -> Option<Description> {
    if let Some(fields) = description.strip_prefix(MAGIC) {
        return parse_own(fields).map(|(meta, partial)| Description::Own { meta, partial });
    }
    foreign::parse(description).map(Description::Foreign)
}

fn parse_own(fields: &str) -> Option<(Meta, bool)> {
    let mut fields = fields.split(' ');
    let mut field = |key: &str| fields.next()?.strip_prefix(key)?.strip_prefix('=');
    let key = field("k").filter(|key| key.len() == 16)?;
    let content_key = u64::from_str_radix(key, 16).ok()?;
    let size = field("s")?.parse().ok()?;
    let mode = u32::from_str_radix(field("m")?, 8).ok().filter(|mode| *mode <= 0o7777)?;
    let (mtime_secs, mtime_nanos) = parse_time(field("t")?)?;
    let uid = field("u")?.parse().ok()?;
    let gid = field("g")?.parse().ok()?;
    let (form, text) = fields.next()?.split_once('=')?;
    let (path, partial) = match form {
        "p" => (percent_decode(text)?, false),
        "q" => (percent_decode(text)?, true),
        "b" => (URL_SAFE_NO_PAD.decode(text).ok()?, false),
        "d" => (URL_SAFE_NO_PAD.decode(text).ok()?, true),
        _ => return None,
    };
    let meta = Meta { content_key, size, mode, mtime_secs, mtime_nanos, uid, gid, path };
    fields.next().is_none().then_some((meta, partial))
}

/// Seconds rounded down, and nanoseconds, from a decimal number with nine fraction digits.
fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (secs, nanos) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(secs) || !digits(nanos) || nanos.len() != 9 {
        return None;
    }
    // A `u64` of seconds in nanoseconds is far from the end of an `i128`.
    let time = i128::from(secs.parse::<u64>().ok()?) * NANOS + nanos.parse::<i128>().ok()?;
    let time = if negative { -time } else { time };
    Some((i64::try_from(time.div_euclid(NANOS)).ok()?, u32::try_from(time.rem_euclid(NANOS)).ok()?))
}

/// Decodes `%XX`; `None` where a `%` isn't followed by two hexadecimal digits.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let hex = |digit: u8| char::from(digit).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(hex(bytes.next()?)? * 16 + hex(bytes.next()?)?).ok()?,
            _ => byte,
        });
    }
    Some(decoded)
}

/// A path from a description as a path under a vault's root, or `None` if it can't be one.
///
/// What comes out is relative, has at least one component, and no component is empty, `.`, `..`, longer than
/// [`MAX_NAME`] bytes or has a NUL. An [`Origin::Own`] path that isn't so is refused. Of an [`Origin::Foreign`] one, a
/// drive letter, leading and doubled separators, `.` components and a trailing separator are dropped, and backslashes
/// separate; `..`, NUL and names too long are refused.
pub fn safe_path(path: &[u8], origin: Origin) -> Option<Cow<'_, [u8]>> {
    let path = match origin {
        Origin::Own => Cow::Borrowed(path),
        Origin::Foreign => Cow::Owned(foreign_to_posix(path)),
    };
    let safe =
        |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && name.len() <= MAX_NAME && !name.contains(&0);
    path.split(|byte| *byte == b'/').all(safe).then_some(path)
}

fn foreign_to_posix(path: &[u8]) -> Vec<u8> {
    let path = match path {
        [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic() => &path[2..],
        _ => path,
    };
    let components = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let named: Vec<&[u8]> = components.filter(|name| !matches!(*name, b"" | b".")).collect();
    named.join(&b'/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta(path: &[u8]) -> Meta {
        Meta {
            content_key: 255,
            size: 1 << 20,
            mode: 0o640,
            mtime_secs: 1_363_799_023,
            mtime_nanos: 221_000_000,
            uid: 1000,
            gid: 100,
            path: path.to_vec(),
        }
    }

    /// Promise: version 1 is frozen. These descriptions are in vaults and can't be changed: they are written to the
    /// letter, and read for ever. A change here is a new version, never an edit.
    #[test]
    fn version_1_is_frozen() {
        let old = Meta { content_key: u64::MAX, size: 0, mode: 0o7777, mtime_secs: -1, mtime_nanos: 5, ..meta(b"a") };
        let end = Meta { size: u64::MAX, mtime_secs: i64::MIN, mtime_nanos: 0, uid: u32::MAX, gid: 0, ..meta(b"x=y") };
        for (meta, text) in [
            (
                meta(b"photos/2013/snow storm.jpg"),
                "glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=100 p=photos/2013/snow%20storm.jpg",
            ),
            (old, "glacierfs/1 k=ffffffffffffffff s=0 m=7777 t=-0.999999995 u=1000 g=100 p=a"),
            (
                end,
                "glacierfs/1 k=00000000000000ff s=18446744073709551615 m=640 t=-9223372036854775808.000000000 u=4294967295 g=0 p=x=y",
            ),
            (
                meta("директория/файл".as_bytes()),
                "glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=100 b=0LTQuNGA0LXQutGC0L7RgNC40Y8v0YTQsNC50Ls",
            ),
            (
                meta(b"100%\xff~"),
                "glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=100 b=MTAwJf9-",
            ),
            (
                meta(b"a name with 5% off"),
                "glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=100 b=YSBuYW1lIHdpdGggNSUgb2Zm",
            ),
        ] {
            assert_eq!(encode(&meta), text);
            assert_eq!(parse(text), Some(Description::Own { meta, partial: false }));
        }
        for (tail, path) in [("q=b/c%2F", &b"b/c/"[..]), ("d=Yi9j", b"b/c")] {
            let text =
                format!("glacierfs/1 k=00000000000000ff s=1048576 m=640 t=1363799023.221000000 u=1000 g=100 {tail}");
            assert_eq!(parse(&text), Some(Description::Own { meta: meta(path), partial: true }));
        }
    }

    /// Promise: damaged or newer descriptions of ours are no names, and forged ones don't pass.
    #[test]
    fn damaged_descriptions_are_refused() {
        let good = encode(&meta(b"a"));
        for (from, to) in [
            ("glacierfs/1", "glacierfs/2"),
            ("k=0", "k="),
            ("k=0", "k=g"),
            ("s=", "s=-"),
            ("s=1048576", "s=18446744073709551616"),
            ("m=640", "m=10000"),
            ("m=640", "m=9"),
            ("t=1363799023.221000000", "t=1363799023"),
            ("t=1363799023.221000000", "t=1363799023.221"),
            ("t=1363799023.221000000", "t=9223372036854775808.000000000"),
            ("t=1363799023.221000000", "t=+1.000000000"),
            ("u=1000", "u=4294967296"),
            (" g=100", ""),
            ("p=a", "p=%"),
            ("p=a", "p=%4"),
            ("p=a", "p=%+1"),
            ("p=a", "b=?"),
            ("p=a", "z=a"),
            ("p=a", "p=a p=b"),
            (" p=a", ""),
        ] {
            assert!(good.contains(from), "{from}");
            assert_eq!(parse(&good.replacen(from, to, 1)), None, "{to}");
        }
    }

    /// Promise: of a path too long for a description, the trailing components are kept, as many as fit, and marked.
    #[test]
    fn long_paths_keep_their_end() {
        for name in ["n".repeat(255), "я".repeat(127), " ".repeat(255)] {
            let path = [name.as_str(); 16].join("/");
            let text = encode(&meta(path.as_bytes()));
            assert!(text.len() <= MAX_LEN, "{}", text.len());
            let Some(Description::Own { meta, partial: true }) = parse(&text) else { panic!("{text}") };
            let kept = String::from_utf8(meta.path).expect("whole characters");
            assert!(path.ends_with(&format!("/{kept}")));
            // One more component wouldn't have fitted: base64 takes the least room here, or is as good as plain text.
            let count = kept.split('/').count();
            assert!(count >= 2, "{count}");
            assert!(kept.split('/').all(|component| component == name));
        }
    }

    /// Promise: our own paths are taken as they are or not at all.
    #[test]
    fn own_paths() {
        for path in [&b"a"[..], b"C:\\x", b"a/b c/\xff", b"..."] {
            assert_eq!(safe_path(path, Origin::Own).as_deref(), Some(path));
        }
        for path in [&b""[..], b"/a", b"a/", b"a//b", b"./a", b"a/..", b"a\0", &[b'x'; 256]] {
            assert_eq!(safe_path(path, Origin::Own), None);
        }
    }

    proptest! {
        /// Promise: whatever a file is, its description is legal, and says it all again; only a path too long loses
        /// leading bytes, and says so.
        #[test]
        fn round_trip(
            content_key: u64, size: u64, mode in 0u32..=0o7777, mtime_secs: i64, mtime_nanos in 0u32..1_000_000_000,
            uid: u32, gid: u32,
            path in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..1200),
                prop::collection::vec(prop::collection::vec(b'0'..=255, 1..=255), 1..12).prop_map(|names| names.join(&b'/')),
                "([a-z0-9_]{1,12}/){0,120}[a-z -.%]{1,40}".prop_map(String::into_bytes),
            ],
        ) {
            let meta = Meta { content_key, size, mode, mtime_secs, mtime_nanos, uid, gid, path };
            let text = encode(&meta);
            prop_assert!(text.len() <= MAX_LEN && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
            match parse(&text) {
                Some(Description::Own { meta: read, partial: false }) => prop_assert_eq!(read, meta),
                Some(Description::Own { meta: read, partial: true }) => {
                    prop_assert!(meta.path.ends_with(&read.path) && read.path.len() < meta.path.len());
                    if safe_path(&meta.path, Origin::Own).is_some() {
                        prop_assert!(read.path.len() > 400, "only {} bytes of path kept", read.path.len());
                    }
                    prop_assert_eq!(Meta { path: Vec::new(), ..read }, Meta { path: Vec::new(), ..meta });
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }

        /// Promise: no text makes the parser panic or yields a foreign path that could escape.
        #[test]
        fn any_text_is_survived(text in "(glacierfs/1 )?(k=[0-9a-f]{15,17} s=[0-9]{1,21} m=[0-9]{1,5} t=-?[0-9]{1,20}[.][0-9]{8,10} u=[0-9]{1,11} g=[0-9]{1,11} [pbqd]=)?(\\PC|\\PC|[.][.]|[/\\\\%:\0]){0,30}") {
            if let Some(Description::Foreign(foreign)) = parse(&text) {
                let safe = safe_path(&foreign.path, Origin::Own);
                prop_assert_eq!(safe.as_deref(), Some(&foreign.path[..]));
            }
        }
    }
}
