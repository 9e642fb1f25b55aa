//! What must hold for whatever arrives over the wire: for property tests here, and for the fuzz targets in `fuzz/`.
//!
//! Each function feeds its input to a parser and panics when that breaks its word: it must not panic itself, what it accepts
//! must be within the documented bounds, and must come back the same once written and read again. Not in the program.

use std::fmt::Debug;
use std::sync::Arc;

use http::header::{AUTHORIZATION, DATE, HOST, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{self, parse_content_range};
use super::description::{self, Description, Origin};
use super::error::ServiceError;
use super::failure::{self, Error, Place};
use super::inventory::{self, Inventory, Item};
use super::sigv4::{self, Authorization, Credentials, RequestLine};
use super::treehash::{self, LEAF, TreeHash};
use super::wire::{self, header};

/// The secret that [`authorization`] verifies with.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The region that [`authorization`] verifies for.
const REGION: &str = "us-east-1";

/// Descriptions of archives: ours come back the same, another tool's path can't escape from its vault.
pub fn description(text: &str) {
    let (meta, partial) = match description::parse(text) {
        None => return,
        Some(Description::Foreign(foreign)) => {
            assert_eq!(description::safe_path(&foreign.path, Origin::Own).as_deref(), Some(&foreign.path[..]));
            return;
        }
        Some(Description::Own { meta, partial }) => (meta, partial),
    };
    assert!(meta.mode <= 0o7777 && meta.mtime_nanos < 1_000_000_000, "{meta:?}");
    if let Some(path) = description::safe_path(&meta.path, Origin::Own) {
        assert!(!path.starts_with(b"/") && path.split(|byte| *byte == b'/').all(|name| name != b".." && name != b""));
    }
    let again = description::encode(&meta);
    assert!(again.len() <= description::MAX_LEN && again.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{again}");
    match description::parse(&again) {
        Some(Description::Own { meta: read, partial: false }) => assert_eq!(read, meta),
        // Only what Glacier would not have taken, too long or with other characters than these, may not fit any more.
        Some(Description::Own { meta: read, partial: true }) => {
            let possible = text.len() <= description::MAX_LEN && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            assert!(meta.path.ends_with(&read.path) && (partial || !possible), "{text}");
        }
        other => panic!("{again:?} is read as {other:?}"),
    }
}

/// Inventories in JSON: read item by item they are what they are as a whole, and no beginning of one passes for one.
pub fn inventory_json(json: &[u8]) {
    let read = |json: &[u8]| {
        let mut items = Vec::new();
        let result = inventory::read_json(json, &mut |item| {
            items.push(item);
            true
        });
        (items, result.is_ok())
    };
    let (items, complete) = read(json);
    if let Some((_, cut)) = json.trim_ascii_end().split_last().filter(|_| complete) {
        let (fewer, complete) = read(cut);
        assert!(!complete && items.starts_with(&fewer), "a document that is cut off is accepted");
    }
    let Ok(whole) = serde_json::from_slice::<Inventory>(json) else { return };
    assert!(complete, "refused item by item, accepted as a whole");
    let archives = items.into_iter().filter_map(|item| match item {
        Item::Archive(archive) => Some(archive),
        Item::Generated(_) => None,
    });
    assert!(archives.eq(whole.archives.iter().cloned()), "other archives item by item than as a whole");
    same_when_written::<Inventory>(&whole);
}

/// Inventories in CSV: a bad line is named by its number; archives that Glacier can have come back the same.
pub fn inventory_csv(csv: &str) {
    let archives = match inventory::from_csv(csv) {
        Ok(archives) => archives,
        Err(error) => {
            assert!((1..=csv.lines().count()).contains(&error.line), "{error}");
            return;
        }
    };
    let id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let possible = archives.into_iter().filter(|archive| {
        archive.archive_id.chars().all(id) && archive.description.chars().all(|c| matches!(c, ' '..='~'))
    });
    // Dates are written in whole seconds, so the first writing may cut, and the second mustn't.
    let once = inventory::to_csv(&possible.collect::<Vec<_>>());
    let read = inventory::from_csv(&once).expect("a written inventory is read");
    assert_eq!(inventory::to_csv(&read), once);
}

/// The JSON that the service answers with, and that requests carry.
pub fn bodies(json: &[u8]) {
    body::<wire::VaultDescription>(json);
    body::<wire::VaultPage>(json);
    body::<wire::UploadPage>(json);
    body::<wire::PartPage>(json);
    body::<wire::JobDescription>(json);
    body::<wire::JobPage>(json);
    body::<wire::JobParameters>(json);
    body::<wire::NotificationConfig>(json);
    body::<wire::VaultPolicy>(json);
    body::<wire::VaultLock>(json);
    body::<wire::Tags>(json);
    body::<wire::TagKeys>(json);
    body::<wire::DataRetrievalPolicyBody>(json);
    body::<wire::ProvisionedCapacityList>(json);
}

fn body<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(json) {
        same_when_written(&read);
    }
}

/// Written, read and written again, it is what was written first: dates may lose digits, once.
fn same_when_written<T: Serialize + DeserializeOwned>(value: &T) {
    let once = serde_json::to_string(value).expect("it can be written");
    let read: T = serde_json::from_str(&once).unwrap_or_else(|error| panic!("{once}: {error}"));
    assert_eq!(serde_json::to_string(&read).expect("it can be written"), once);
}

/// Error responses: any body is an error that says something in one clean line, and a written one comes back the same.
pub fn error(status: u16, header_type: Option<&[u8]>, body: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-amzn-errortype", header_type), ("date", header_type), ("x-amzn-requestid", Some(body))] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let place = Arc::new(Place { endpoint: "http://localhost:8210".into(), region: REGION.into() });
    let error = Error::new("DescribeVault", &place, failure::refused(status, &headers, body, Timestamp::UNIX_EPOCH));
    let message = error.to_string();
    assert!(message.starts_with("DescribeVault at http://localhost:8210: "), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?} isn't one clean line");
    assert!(!(error.is_permanent() && error.is_retryable()));
    let read = ServiceError::read(status, None, body);
    assert_eq!(ServiceError::read(status, None, read.body().as_bytes()), read);
}

/// `Authorization` and what it is verified against: nothing that wasn't signed with the secret is accepted, and whatever
/// the path and the query are, what one side signs the other verifies.
pub fn authorization(authorization: &[u8], date: &[u8], path: &str, query: &str, payload: &[u8]) {
    let now = sigv4::parse_amz_date("20130320T170343Z").expect("a date");
    let line = RequestLine { method: "GET", path, query };
    let hash = sigv4::payload_hash(payload);
    for date_header in [HeaderName::from_static(header::DATE), DATE] {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:8210"));
        if let (Ok(authorization), Ok(date)) = (HeaderValue::from_bytes(authorization), HeaderValue::from_bytes(date)) {
            headers.insert(AUTHORIZATION, authorization);
            headers.insert(date_header, date);
        }
        match Authorization::parse(&headers) {
            Ok(parsed) => {
                assert!(!parsed.access_key.is_empty() && parsed.signed_headers.split(';').any(|name| name == "host"));
                let verified = parsed.verify(SECRET, REGION, line, &headers, &hash, now);
                let refusal = verified.expect_err("a signature made without the secret");
                assert!(!ServiceError::from(refusal).message.is_empty());
            }
            Err(refusal) => assert!(!refusal.to_string().is_empty()),
        }
    }

    let token = HeaderValue::from_bytes(date).ok().and_then(|token| token.to_str().map(str::to_owned).ok());
    let key = Credentials { access_key: "AKID".into(), secret_key: SECRET.into(), session_token: token };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost:8210"));
    if let Ok(value) = HeaderValue::from_bytes(authorization) {
        headers.insert(HeaderName::from_static(header::ARCHIVE_DESCRIPTION), value);
    }
    sigv4::sign(&key, REGION, now, line, &mut headers, &hash).expect("all of it can be sent");
    let parsed = Authorization::parse(&headers).expect("what is signed is well formed");
    assert_eq!(parsed.verify(SECRET, REGION, line, &headers, &hash, now), Ok(()));
}

/// Dates: those of the signature have one form, those of the API any number of digits, and both come back the same.
pub fn date(text: &str) {
    if let Some(time) = sigv4::parse_amz_date(text) {
        assert_eq!(sigv4::amz_date(time), text);
    }
    if let Some(time) = wire::parse_date(text) {
        let written = wire::Date(time).to_string();
        let again = wire::parse_date(&written).unwrap_or_else(|| panic!("{written:?}, written for {text:?}"));
        assert_eq!(wire::Date(again).to_string(), written);
        let written = inventory::InventoryDate(time).to_string();
        let again = wire::parse_date(&written).unwrap_or_else(|| panic!("{written:?}, written for {text:?}"));
        assert_eq!(inventory::InventoryDate(again).to_string(), written);
    }
}

/// `Content-Range` of job output: first, last and total in this order of size.
pub fn content_range(text: &str) {
    if let Some((first, last, total)) = parse_content_range(text) {
        assert!(first <= last && last < total);
        assert_eq!(parse_content_range(&format!("bytes {first}-{last}/{total}")), Some((first, last, total)));
    }
}

/// Names of vaults: what is allowed survives a path as it is.
pub fn vault_name(name: &str) {
    if client::check_vault_name(name).is_ok() {
        assert!((1..=255).contains(&name.len()) && !name.contains(['/', '%', '?']) && name != "." && name != "..");
    }
}

/// Tree hashes: as text, and which ranges of how many bytes have one. A range that has one is a node of the tree.
pub fn tree_hash(text: &str, size: u64, first: u64, last: u64) {
    if let Ok(hash) = text.parse::<TreeHash>() {
        assert_eq!(hash.to_string(), text.to_ascii_lowercase());
    }
    if !treehash::is_aligned(size, first, last) {
        assert_eq!(treehash::range_hash(&[], size, first, last), None);
        return;
    }
    assert!(treehash::is_megabyte_aligned(size, first, last));
    assert!(first <= last && last < size && first.is_multiple_of(LEAF));
    let count = size.div_ceil(LEAF);
    if count > 1 << 10 {
        return;
    }
    let leaves: Vec<_> = (0..count).map(|n| treehash::leaf(&n.to_be_bytes())).collect();
    let hash = treehash::range_hash(&leaves, size, first, last).expect("an aligned range has a hash");
    let mut level = leaves;
    loop {
        if level.contains(&hash) {
            return;
        }
        assert!(level.len() > 1, "bytes {first}-{last} of {size} are no node of the tree");
        level = level.chunks(2).map(|pair| treehash::combine(pair.iter().copied())).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text of the letters that a parser waits for, so that more than its first check is reached.
    fn of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
        let piece = prop_oneof![8 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "\\PC", 1 => "[ -~]"];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    const DATES: &[&str] =
        &["2013", "0000", "-", ":", "03", "20", "31", "23", "59", "60", "T", "Z", ".", "221", "+", "9999"];
    const JSON: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "true",
        "1",
        "-1",
        "1e9",
        "\\",
        "\\u0000",
        "\"2013-03-20T17:03:43Z\"",
        "\"Tags\"",
        "\"Policy\"",
        "\"Rules\"",
        "\"Strategy\"",
        "\"ArchiveList\"",
        "\"InventoryDate\"",
        "\"Size\"",
        "\"code\"",
        "\"message\"",
        "\"type\"",
        "\"SNSTopic\"",
        "\"Events\"",
        "\"Type\"",
        "\"Limit\"",
        "\"Marker\"",
    ];

    proptest! {
        /// Promise: no bytes from outside make a parser panic, break its bounds, or come back as something else.
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,60}", status: u16) {
            bodies(&bytes);
            inventory_json(&bytes);
            error(status, Some(text.as_bytes()), &bytes);
            error(status, None, text.as_bytes());
            authorization(&bytes, text.as_bytes(), &text, &text, &bytes);
            for parser in [description, inventory_csv, date, content_range, vault_name] {
                parser(&text);
                parser(&String::from_utf8_lossy(&bytes));
            }
        }

        /// Promise: the same for what is nearly right.
        #[test]
        fn nearly_right_is_survived(
            json in of(JSON), date_text in of(DATES), range in of(&["bytes ", "-", "/", "*", "0", "9", "18446744073709551615"]),
            key in of(&["AWS4-HMAC-SHA256 ", "Credential=", "AKID/", "20130320/", "us-east-1/", "glacier/", "aws4_request",
                ", ", "SignedHeaders=", "host", ";", "x-amz-date", "Signature=", "0123456789abcdef"]),
            path in of(&["/", "-", "vaults", "..", ".", "%", "%2F", "a"]), query in of(&["&", "=", "limit", "%3d", "+", "%"]),
        ) {
            bodies(json.as_bytes());
            inventory_json(json.as_bytes());
            error(400, None, json.as_bytes());
            date(&date_text);
            content_range(&range);
            authorization(key.as_bytes(), b"20130320T170343Z", &path, &query, json.as_bytes());
        }

        /// Promise: dates of every time that the calendar has come back, cut to what their form can say.
        #[test]
        fn dates_come_back(seconds in -377_705_023_201_i64..=253_402_207_200, nanos in 0..1_000_000_000_i32) {
            let time = Timestamp::new(seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH);
            date(&time.to_string());
            date(&sigv4::amz_date(time));
        }

        /// Promise: a well-formed document of an inventory is read item by item as it is as a whole, and a cut one isn't.
        #[test]
        fn inventories_are_read(ids in prop::collection::vec("[A-Za-z0-9_-]{1,20}", 0..5), description in "[ -~]{0,20}", at: usize) {
            let archives = ids.iter().map(|id| format!(
                r#"{{"ArchiveId":"{id}","ArchiveDescription":{description:?},"CreationDate":"2013-03-20T17:03:43.5Z","Size":1,"SHA256TreeHash":"{}"}}"#,
                treehash::leaf(id.as_bytes()),
            ));
            let archives = archives.collect::<Vec<_>>().join(",");
            let json = format!(r#"{{"VaultARN":"a","InventoryDate":"2013-03-20T17:03:43Z","ArchiveList":[{archives}]}}"#);
            prop_assert!(serde_json::from_str::<Inventory>(&json).is_ok(), "{json}");
            inventory_json(json.as_bytes());
            inventory_json(&json.as_bytes()[..at % json.len()]);
        }

        /// Promise: a range that counts as aligned is a node of the tree, whatever the size; no numbers make that panic.
        #[test]
        fn aligned_ranges_are_nodes(
            text in "[0-9a-fA-F]{62,66}", leaves in 1..40u64, rest in 0..LEAF, a in 0..40u64, b in 0..40u64, any: (u64, u64, u64),
        ) {
            let size = leaves * LEAF - rest;
            tree_hash(&text, size, a * LEAF, (b + 1) * LEAF - 1);
            tree_hash(&text, size, a * LEAF, size - 1);
            tree_hash(&text, any.0, any.1, any.2);
        }
    }
}
