//! What operations read from a request's head: typed headers, the query, and the page that a list is asked for.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::error::invalid;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::treehash::TreeHash;
use crate::glacier::wire::header;

/// The most characters of a description of an archive, an upload or a job.
const DESCRIPTION: usize = 1024;

/// The value of a header, as text. Bytes that aren't printable ASCII are an error.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ServiceError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| invalid(format!("Invalid {name}: allowed are the characters 0x20 to 0x7E.")))
}

/// The value of a header that must be there.
pub(super) fn required<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, ServiceError> {
    text(headers, name)?.ok_or_else(|| ServiceError::missing_parameter(name))
}

/// The tree hash that must be there, and as it was sent.
pub(super) fn tree_hash(headers: &HeaderMap) -> Result<(TreeHash, &str), ServiceError> {
    let sent = required(headers, header::TREE_HASH)?;
    sent.parse().map(|hash| (hash, sent)).map_err(|_| ServiceError::invalid_tree_hash(sent))
}

/// A whole number in decimal digits; `None` when `text` is anything else.
pub(super) fn number(text: &str) -> Option<u64> {
    // `parse` alone would allow a plus sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The description of an archive to be.
pub(super) fn description(headers: &HeaderMap) -> Result<Option<&str>, ServiceError> {
    let Some(sent) = text(headers, header::ARCHIVE_DESCRIPTION)? else { return Ok(None) };
    check_description(header::ARCHIVE_DESCRIPTION, sent)?;
    Ok(Some(sent))
}

/// Checks the description that the parameter `name` holds.
pub(super) fn check_description(name: &str, sent: &str) -> Result<(), ServiceError> {
    if sent.len() > DESCRIPTION || !sent.bytes().all(|b| matches!(b, 0x20..=0x7E)) {
        return Err(invalid(format!(
            "Invalid {name}: allowed are at most {DESCRIPTION} characters, each from 0x20 to 0x7E."
        )));
    }
    Ok(())
}

/// Reads a JSON body. An empty one is an object without members.
pub(super) fn json<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, ServiceError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| ServiceError::new(ErrorCode::Serialization, format!("Malformed request body: {error}")))
}

/// The parameters of a raw query.
pub(super) struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    pub fn new(raw: &'q str) -> Self {
        Query(raw)
    }

    /// The decoded value of a parameter. Empty counts as absent.
    pub fn get(&self, name: &str) -> Option<Cow<'q, str>> {
        let decode = |text: &'q str| percent_decode_str(text).decode_utf8_lossy();
        self.0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| decode(key) == name)
            .map(|(_, value)| decode(value))
            .filter(|value| !value.is_empty())
    }

    /// How many items a page has: `limit`, if it is less than the `most` that there can be. A larger one is no error,
    /// because older editions of the API allowed up to 1,000 and a page may always be shorter.
    pub fn limit(&self, most: usize) -> Result<usize, ServiceError> {
        let Some(sent) = self.get("limit") else { return Ok(most) };
        match number(&sent) {
            Some(limit) if limit >= 1 => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
            _ => Err(invalid(format!("Invalid limit: {sent}. The limit must be a whole number from 1 to {most}."))),
        }
    }

    /// The number that [`marker`] made a `marker` of; 0 when none was sent.
    pub fn marker(&self) -> Result<u64, ServiceError> {
        self.get("marker").map_or(Ok(0), |sent| parse_marker(&sent))
    }
}

/// The marker that stands for a number.
pub(super) fn marker(number: u64) -> String {
    format!("{number:016x}")
}

/// The number that a marker stands for.
pub(super) fn parse_marker(sent: &str) -> Result<u64, ServiceError> {
    let digits = sent.len() == 16 && sent.bytes().all(|b| b.is_ascii_hexdigit());
    let number = digits.then(|| u64::from_str_radix(sent, 16).ok()).flatten();
    // Numbers of rows and offsets fit the database's integers.
    number.filter(|number| i64::try_from(*number).is_ok()).ok_or_else(|| invalid(format!("Invalid marker: {sent}")))
}

/// Cuts a page out of `found`, of which there is one more than `limit` when the list goes on. Answers the last item of
/// the page when it does, for the marker.
pub(super) fn cut<T>(found: &mut Vec<T>, limit: usize) -> Option<&T> {
    if found.len() > limit {
        found.truncate(limit);
        return found.last();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: queries are decoded, empty values are absent, limits are checked and clamped, and markers survive.
    #[test]
    fn queries() {
        let query = Query::new("marker=arn%3Aaws%2Fx&limit=7&empty=&flag&other=%20a+b");
        assert_eq!(query.get("marker").as_deref(), Some("arn:aws/x"));
        assert_eq!(query.get("other").as_deref(), Some(" a+b"));
        assert_eq!((query.get("empty"), query.get("flag"), query.get("none")), (None, None, None));
        assert_eq!(
            (query.limit(50).ok(), query.limit(5).ok(), Query::new("").limit(50).ok()),
            (Some(7), Some(5), Some(50))
        );
        assert_eq!(Query::new("limit=99999999999999999999999").limit(50).err().map(|e| e.status), Some(400));
        for bad in ["limit=0", "limit=-1", "limit=x", "limit=+5", "limit=1.5"] {
            assert!(Query::new(bad).limit(50).is_err(), "{bad}");
        }
        for number in [0, 1, u64::from(u32::MAX), i64::MAX as u64] {
            assert_eq!(parse_marker(&marker(number)).ok(), Some(number));
        }
        for bad in ["", "x", "-000000000000001", "ffffffffffffffff", "00000000000000001"] {
            assert!(parse_marker(bad).is_err(), "{bad}");
        }
    }
}
