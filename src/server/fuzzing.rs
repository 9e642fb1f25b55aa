//! What must hold for whatever a client sends: for property tests here, and for the fuzz targets in `fuzz/`.
//!
//! Each function feeds its input to a parser and panics when that breaks its word: it must not panic itself, what it accepts
//! must be within the documented bounds, what it refuses gets a documented status and a message, and what can be written
//! comes back the same. Not in the program.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::faults::FaultPlan;
use super::inventory::Selection;
use super::policy::{Caller, Facts, Policy, Request, Verdict};
use super::request::{self, Query};
use super::routes::Route;
use super::{access_policy, credentials, jobs, keyfile, multipart, notifications, output, retrieval, tags};
use crate::glacier::error::ServiceError;
use crate::glacier::sigv4::Credentials;
use crate::glacier::wire::{NotificationEvent, Strategy as Limit, Tags, header};

/// The refusal of a bad request: the client's fault, with a message.
fn refused(error: &ServiceError) {
    assert_eq!(error.status, 400, "{error}");
    assert!(!error.message.is_empty(), "{error:?}");
}

/// `Range` of job output that has `total` bytes, at least one.
pub fn range(sent: &str, total: u64) {
    match output::requested(sent, total) {
        Ok(None) => {}
        Ok(Some((first, last))) => {
            assert!(first <= last && last < total, "{sent}: {first}-{last} of {total}");
            assert_eq!(output::requested(&format!("bytes={first}-{last}"), total), Ok(Some((first, last))));
        }
        Err(error) => refused(&error),
    }
}

/// `RetrievalByteRange` of an archive of `size` bytes.
pub fn retrieval_range(sent: &str, size: u64) {
    match jobs::retrieval_range(sent, size) {
        Ok((first, last)) => {
            assert!(first <= last && last < size && first % (1 << 20) == 0, "{sent} of {size}");
            assert_eq!(jobs::retrieval_range(&format!("{first}-{last}"), size), Ok((first, last)));
        }
        Err(error) => refused(&error),
    }
}

/// `Content-Range` of a part.
pub fn content_range(sent: &str) {
    if let Some((first, last)) = multipart::content_range(sent) {
        assert_eq!(multipart::content_range(&format!("bytes {first}-{last}/*")), Some((first, last)));
    }
}

/// Paths: an operation is found or refused, and its segments mean the same however they are escaped.
pub fn path(method: &str, path: &str) {
    let Ok(method) = method.parse::<Method>() else { return };
    for query in ["", "operation=add", "operation=remove"] {
        let query = Query::new(query);
        match Route::find(&method, path, &query) {
            Ok(route) => {
                let segments = path.split('/').map(|segment| {
                    let raw = percent_decode_str(segment).decode_utf8_lossy();
                    // The words of the API are looked for as they are.
                    if raw == segment {
                        segment.to_owned()
                    } else {
                        utf8_percent_encode(&raw, NON_ALPHANUMERIC).to_string()
                    }
                });
                let again = segments.collect::<Vec<_>>().join("/");
                assert_eq!(Route::find(&method, &again, &query).ok(), Some(route), "{path} and {again}");
            }
            Err(error) => refused(&error),
        }
    }
}

/// Queries: the page's size and marker.
pub fn query(raw: &str) {
    let query = Query::new(raw);
    for most in [10, 50] {
        match query.limit(most) {
            Ok(limit) => assert!((1..=most).contains(&limit)),
            Err(error) => refused(&error),
        }
    }
    match query.marker() {
        Ok(number) => assert_eq!(request::parse_marker(&request::marker(number)), Ok(number)),
        Err(error) => refused(&error),
    }
    for name in ["marker", "limit", "completed", "statuscode", "operation", ""] {
        assert_ne!(query.get(name).as_deref(), Some(""), "empty counts as absent");
    }
}

/// The headers of an upload: descriptions and tree hashes.
pub fn headers(value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let mut headers = HeaderMap::new();
    for name in [header::ARCHIVE_DESCRIPTION, header::TREE_HASH, header::PART_SIZE, "content-length"] {
        headers.insert(name, value.clone());
    }
    match request::description(&headers) {
        Ok(Some(text)) => assert!(text.len() <= 1024 && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))),
        Ok(None) => panic!("it was sent"),
        Err(error) => refused(&error),
    }
    match request::tree_hash(&headers) {
        Ok((hash, sent)) => assert_eq!(hash.to_string(), sent.to_ascii_lowercase()),
        Err(error) => refused(&error),
    }
    match multipart::part_size(&headers) {
        Ok(size) => assert!(size.is_power_of_two() && (1 << 20..=4 << 30).contains(&size), "{size}"),
        Err(error) => refused(&error),
    }
}

/// The body of InitiateJob, and what of it an inventory job asks for.
pub fn job_parameters(body: &[u8]) {
    let parameters = match jobs::parse(body) {
        Ok(parameters) => parameters,
        Err(error) => return refused(&error),
    };
    assert!(parameters.job_type.as_ref().is_some_and(|kind| kind.is_known()));
    assert!(parameters.tier.as_ref().is_none_or(|tier| tier.is_known()));
    assert!(parameters.description.as_ref().is_none_or(|text| text.len() <= 1024));
    let written = serde_json::to_vec(&parameters).expect("they can be written");
    assert_eq!(jobs::parse(&written), Ok(parameters.clone()));
    match Selection::check(&jobs::inventory_parameters(&parameters)) {
        Ok(selection) => assert!(selection.format.is_known()),
        Err(error) => refused(&error),
    }
}

/// The bodies that set tags, notifications, policies and the limit of retrievals.
pub fn settings(body: &[u8]) {
    match request::json::<Tags>(body) {
        Ok(Tags { tags: sent }) => {
            for (key, value) in &sent {
                match tags::check(key, value) {
                    Ok(()) => assert!((1..=128).contains(&key.chars().count()) && value.chars().count() <= 255),
                    Err(error) => refused(&error),
                }
            }
        }
        Err(error) => refused(&error),
    }
    match notifications::parse(body) {
        Ok(set) => {
            let events: Vec<NotificationEvent> = serde_json::from_str(&set.events).expect("a list of words");
            assert!(
                set.topic.starts_with("arn:") && set.topic.contains(":sns:") && (1..=2).contains(&events.len()),
                "{}",
                set.events
            );
            assert!(events.iter().all(NotificationEvent::is_known), "{}", set.events);
        }
        Err(error) => refused(&error),
    }
    match retrieval::parse(body) {
        Ok((Limit::BytesPerHour, Some(1..))) | Ok((Limit::FreeTier | Limit::None, None)) => {}
        Ok(other) => panic!("{other:?} is no limit"),
        Err(error) => refused(&error),
    }
    match access_policy::text(body) {
        Ok(text) => policy(&text),
        Err(error) => refused(&error),
    }
}

/// Policies: refused in a sentence, or evaluated, to the same end however the JSON is laid out.
pub fn policy(text: &str) {
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(reason) => return assert!(reason.ends_with('.') && reason.len() > 10, "{reason}"),
    };
    assert!(text.len() <= 20 << 10);
    let value: serde_json::Value = serde_json::from_str(text).expect("a policy is JSON");
    let again = Policy::parse(&value.to_string()).ok();
    let tags = BTreeMap::from([("Hold".to_owned(), "true".to_owned())]);
    for (caller, action, age) in [
        ("111111111111", "DeleteArchive", Some(400)),
        ("222222222222", "InitiateJob", Some(0)),
        ("222222222222", "DeleteVault", None),
    ] {
        let facts = Facts { archive_age_days: age, tags: &tags };
        let resource = "arn:aws:glacier:us-east-1:111111111111:vaults/photos";
        let caller = &Caller { account: caller.into(), user: None };
        let request = Request { caller, action, resource, facts };
        let verdict = policy.verdict(&request);
        assert!(verdict != Verdict::Allowed || policy.invites(caller), "nobody is allowed what they aren't invited to");
        assert!(again.as_ref().is_none_or(|again| again.verdict(&request) == verdict), "{text}");
        assert!(policy.statement_beside(resource).is_none_or(|number| number < text.len()));
    }
}

/// The file of the endpoint's key.
pub fn shared_credentials(text: &str) {
    let Some(Some(key)) = credentials::parse(text, "glacierfs") else { return };
    let Credentials { access_key, secret_key, session_token } = &key;
    for value in [access_key, secret_key] {
        assert!(!value.is_empty() && value.trim() == value && !value.contains('\n'), "{value:?}");
    }
    assert_eq!(session_token, &None);
    let written = format!("[glacierfs]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n");
    assert!(credentials::parse(&written, "glacierfs") == Some(Some(key)), "it is written otherwise than it is read");
}

/// The file of the keys that people bring.
pub fn key_file(text: &str) {
    match keyfile::parse(text) {
        Ok(keys) => {
            assert!(!keys.is_empty(), "{text:?}");
            for key in &keys {
                let Credentials { access_key, secret_key, session_token } = &key.credentials;
                let values = [Some(access_key), Some(secret_key), session_token.as_ref()];
                assert!(
                    values.into_iter().flatten().all(|value| HeaderValue::try_from(value).is_ok() && !value.is_empty())
                );
                let same = |other: &&keyfile::BroughtKey| other.credentials.access_key == *access_key;
                assert_eq!(keys.iter().filter(same).count(), 1, "{text:?}");
            }
        }
        Err(error) => assert!(!error.is_empty(), "{text:?}"),
    }
}

/// Plans of faults: what is taken is taken again as it is written, and what isn't is told why.
pub fn fault_plan(json: &[u8]) {
    match FaultPlan::parse(json) {
        Ok(plan) => {
            let written = serde_json::to_string(&plan).expect("it can be written");
            let again = FaultPlan::parse(written.as_bytes());
            assert!(again.is_ok(), "{written} is refused: {again:?}");
        }
        Err(message) => assert!(!message.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text of what a parser waits for, so that more than its first check is reached.
    fn of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
        let piece = prop_oneof![8 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "\\PC", 1 => "[ -~]"];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    const METHODS: &[&str] = &["GET", "PUT", "POST", "DELETE", "PATCH", "get", ""];
    const RANGES: &[&str] =
        &["bytes", "=", " ", "-", "/", "*", "0", "9", "+", "18446744073709551615", "9223372036854775807"];
    const PATHS: &[&str] = &[
        "/",
        "/-",
        "/vaults",
        "/v",
        "/archives",
        "/multipart-uploads",
        "/jobs",
        "/output",
        "/tags",
        "/lock-policy",
        "%2F",
        "%",
        "%ff",
        "/policies/data-retrieval",
        "/..",
    ];
    const QUERIES: &[&str] =
        &["&", "=", "limit", "marker", "1", "000000000000001f", "%31", "%", "%ff", "+", "completed", "true", "50"];
    const JOBS: &[&str] = &[
        "{",
        "}",
        "\"Type\":",
        "\"archive-retrieval\"",
        "\"inventory-retrieval\"",
        "\"select\"",
        ",",
        "\"ArchiveId\":",
        "\"a\"",
        "\"InventoryRetrievalParameters\":{",
        "\"Limit\":",
        "\"StartDate\":",
        "\"2013-03-20T17:03:43Z\"",
        "\"Tier\":\"Bulk\"",
        "null",
        "1",
        "\"5\"",
        "\"Format\":",
        "\"CSV\"",
        "\"Marker\":",
        "\"Description\":",
        "\"RetrievalByteRange\":",
    ];
    const PLANS: &[&str] = &[
        "{",
        "}",
        "\"rules\":[",
        "]",
        "\"seed\":",
        "\"operation\":\"*\"",
        ",",
        "\"rate\":",
        "0.2",
        "\"count\":3",
        "\"fault\":{",
        "\"delay\":",
        "\"9999years 1ns\"",
        "\"drip\":{\"bytes_per_second\":1}",
        "\"error\":{\"status\":503}",
        "1e400",
    ];
    const SETTINGS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"Tags\":",
        "\"aws:x\":\"\"",
        "\"k\":\"v\"",
        "\"SNSTopic\":",
        "\"arn:aws:sns:us-east-1:1:t\"",
        "\"Events\":[",
        "\"ArchiveRetrievalCompleted\"",
        "\"Policy\":",
        "{\"Rules\":[",
        "\"Strategy\":\"BytesPerHour\"",
        "\"BytesPerHour\":",
        "1",
        "-1",
        "null",
        "\"Strategy\":\"None\"",
        "\"{}\"",
    ];
    const POLICIES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"Version\":\"2012-10-17\"",
        "\"Statement\":",
        "\"Effect\":\"Deny\"",
        "\"Effect\":\"Allow\"",
        "\"Principal\":\"*\"",
        "\"Principal\":{\"AWS\":",
        "\"111111111111\"",
        "\"NotAction\":",
        "\"Action\":\"glacier:*\"",
        "\"Resource\":\"*\"",
        "\"Condition\":{",
        "\"NumericLessThan\":{",
        "\"glacier:ArchiveAgeInDays\":",
        "365",
        "\"1e3\"",
        "\"StringLike\":{",
        "\"glacier:ResourceTag/Hold\":",
        "\"t*e\"",
        "\"Sid\":\"s\"",
    ];
    const FILES: &[&str] = &[
        "[glacierfs]",
        "[default]",
        "\n",
        "\r\n",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_account_id = 111111111111",
        "glacierfs_user",
        "=",
        " ",
        "AKIA",
        "#",
        "[",
        "]",
    ];

    proptest! {
        /// Promise: nothing that a client sends makes a parser panic, and what is refused is refused with 400 and words.
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}", total in 1..=u64::MAX) {
            range(&text, total);
            retrieval_range(&text, total);
            content_range(&text);
            path("GET", &text);
            query(&text);
            headers(&bytes);
            headers(text.as_bytes());
            job_parameters(&bytes);
            shared_credentials(&text);
            key_file(&text);
            settings(&bytes);
            policy(&text);
            fault_plan(&bytes);
        }

        /// Promise: the same for what is nearly right.
        #[test]
        fn nearly_right_is_survived(
            sent in of(RANGES), total in prop_oneof![1..30u64, 1..=u64::MAX], method in prop::sample::select(METHODS),
            target in of(PATHS), raw in of(QUERIES), job in of(JOBS), file in of(FILES), set in of(SETTINGS), rules in of(POLICIES), plan in of(PLANS), size in "[0-9]{1,11}",
            hash in "[0-9a-fA-F]{63,65}",
        ) {
            range(&sent, total);
            range(&format!("bytes={sent}"), total);
            retrieval_range(&sent, total);
            content_range(&sent);
            content_range(&format!("bytes {sent}"));
            path(method, &target);
            query(&raw);
            job_parameters(job.as_bytes());
            shared_credentials(&file);
            key_file(&file);
            settings(set.as_bytes());
            settings(format!("{{{set}}}").as_bytes());
            policy(&rules);
            policy(&format!(r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",{rules}}}}}"#));
            fault_plan(plan.as_bytes());
            let doubled = format!("[glacierfs]\naws_access_key_id={file}\naws_secret_access_key = {file}");
            shared_credentials(&doubled);
            key_file(&doubled);
            headers(size.as_bytes());
            headers(hash.as_bytes());
        }

        /// Promise: a plan with any duration and rate that it can have is taken again as it is written.
        #[test]
        fn plans_come_back(seconds: u64, nanos in 0..1_000_000_000u32, rate in 0.000_001..=1.0f64, speed in 1..=u64::MAX) {
            let delay = humantime::format_duration(std::time::Duration::new(seconds, nanos));
            for fault in [format!(r#"{{"delay":"{delay}"}}"#), format!(r#"{{"drip":{{"bytes_per_second":{speed}}}}}"#)] {
                fault_plan(format!(r#"{{"rules":[{{"operation":"*","rate":{rate},"fault":{fault}}}]}}"#).as_bytes());
            }
        }

        /// Promise: what a client writes as the API says is read as it was meant.
        #[test]
        fn right_is_understood(
            first in 0..=u64::MAX - 1, more in 0..1_000_000u64, marked in 0..=i64::MAX as u64, limit in 1..=50usize,
            id in "[A-Za-z0-9_-]{1,92}", k in 20..=32u32,
        ) {
            let last = first.saturating_add(more);
            prop_assert_eq!(multipart::content_range(&format!("bytes {first}-{last}/*")), Some((first, last)));
            let total = last.saturating_add(1);
            if last < total {
                prop_assert_eq!(output::requested(&format!("bytes={first}-{last}"), total), Ok(Some((first, last))));
            }
            let (from, to) = (first >> 20 << 20, (last >> 20 << 20) + ((1 << 20) - 1));
            if to < u64::MAX {
                prop_assert_eq!(jobs::retrieval_range(&format!("{from}-{to}"), to + 1), Ok((from, to)));
            }
            let raw = format!("limit={limit}&marker={}", request::marker(marked));
            prop_assert_eq!((Query::new(&raw).limit(50), Query::new(&raw).marker()), (Ok(limit), Ok(marked)));
            let target = format!("/-/vaults/v/jobs/{id}/output");
            prop_assert!(Route::find(&Method::GET, &target, &Query::new("")).is_ok());
            path("GET", &target);
            headers(format!("{}", 1u64 << k).as_bytes());
        }
    }
}
