//! AWS Signature Version 4 as Glacier wants it: signing for the client, verifying for the endpoint. Other services with
//! plain requests, such as SNS, differ in the name alone.
//!
//! Everything here is a pure function of a request's method, raw path, raw query, headers and payload hash, of the time,
//! and of a secret. Both sides build the canonical request with the same code from the raw request line, so nothing that
//! a framework does to paths or queries can break a signature; the vectors in `tests/data/sigv4-vectors.json`, made by
//! others, keep that code honest. The payload hash is `x-amz-content-sha256` where that header is sent (uploads), else
//! the SHA-256 of the body.
//!
//! The signing key (four HMACs, about a microsecond) is derived for each request: a cache would cost a lock and keep
//! secrets around to save less than a hundredth of what the rest of a request takes.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, DATE, HOST, HeaderMap, HeaderValue};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use crate::glacier::wire::header;

/// The signing algorithm, the first word of `Authorization` and of the string to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service name in the credential scope.
pub const SERVICE: &str = "glacier";
/// The last element of the credential scope.
pub const TERMINATOR: &str = "aws4_request";
/// How far a request's time may be from the service's, either way.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What stays unescaped in a canonical query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What stays unescaped in a canonical path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// An access key with its secret, and a session token when the credentials are temporary.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key ID, which is public.
    pub access_key: String,
    /// The secret key; never printed.
    pub secret_key: String,
    /// The token that goes with temporary credentials; never printed.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The request line of a request, as sent.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The path as on the wire: percent-encoded, not normalised, without the query.
    pub path: &'a str,
    /// The query as on the wire, without the question mark; empty when there is none.
    pub query: &'a str,
}

/// The SHA-256 of a body in memory as a payload hash.
pub fn payload_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Signs a request to Glacier; see [`sign_for`].
pub fn sign(
    credentials: &Credentials,
    region: &str,
    time: Timestamp,
    line: RequestLine<'_>,
    headers: &mut HeaderMap,
    payload_hash: &str,
) -> Result<(), http::header::InvalidHeaderValue> {
    sign_for(SERVICE, credentials, region, time, line, headers, payload_hash)
}

/// Signs a request to `service` at `time`: adds `x-amz-date`, `x-amz-security-token` when there is a token, and `Authorization`.
///
/// All of `headers` are signed, so they should hold what the service needs (`host` among them) and nothing that a proxy
/// may change; what needs no signature is added afterwards.
pub fn sign_for(
    service: &str,
    credentials: &Credentials,
    region: &str,
    time: Timestamp,
    line: RequestLine<'_>,
    headers: &mut HeaderMap,
    payload_hash: &str,
) -> Result<(), http::header::InvalidHeaderValue> {
    let date = amz_date(time);
    headers.remove(AUTHORIZATION);
    headers.insert(header::DATE, HeaderValue::from_str(&date)?);
    if let Some(token) = &credentials.session_token {
        let mut token = HeaderValue::from_str(token)?;
        token.set_sensitive(true);
        headers.insert(header::SECURITY_TOKEN, token);
    }
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let signed_headers = names.join(";");
    let scope = Scope { date: &date[..8], region, service, terminator: TERMINATOR };
    let canonical = canonical_request(line, headers, &signed_headers, payload_hash);
    let to_sign = string_to_sign(&date, scope, &canonical);
    let signature = hex::encode(hmac(&signing_key(&credentials.secret_key, scope), to_sign.as_bytes()));
    let access_key = &credentials.access_key;
    let mut authorization = HeaderValue::from_str(&format!(
        "{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
    ))?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(())
}

/// A credential scope; displays as `20130320/us-east-1/glacier/aws4_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The UTC day, `YYYYMMDD`.
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service, [`SERVICE`] when right.
    pub service: &'a str,
    /// [`TERMINATOR`] when right.
    pub terminator: &'a str,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }
}

/// Why a request's signature was refused. The `Display` form is the message of the service's error body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no `Authorization` header.
    #[error("Missing Authentication Token")]
    Missing,
    /// `Authorization` or the request's date can't be understood, or too little is signed.
    #[error("{0}")]
    Malformed(String),
    /// The credential scope names another day, region, service or terminator than it should.
    #[error("{0}")]
    WrongScope(String),
    /// The request was signed too long ago.
    #[error("Signature expired: {} is now earlier than {} ({} - 5 min.)", amz_date(*.signed), amz_date(shifted(*.now, -SKEW)), amz_date(*.now))]
    Expired {
        /// When it was signed.
        signed: Timestamp,
        /// The service's time.
        now: Timestamp,
    },
    /// The request was signed in the future.
    #[error("Signature not yet current: {} is still later than {} ({} + 5 min.)", amz_date(*.signed), amz_date(shifted(*.now, SKEW)), amz_date(*.now))]
    NotYetCurrent {
        /// When it was signed.
        signed: Timestamp,
        /// The service's time.
        now: Timestamp,
    },
    /// The signature is another than the service computes: wrong secret, or a request changed on its way.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request \
         should have been\n'{canonical_request}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch {
        /// The canonical request that the service computed.
        canonical_request: String,
        /// The string to sign that the service computed.
        string_to_sign: String,
    },
}

/// A parsed `Authorization` header with the time the request claims to be signed at. Nothing in it is verified yet.
#[derive(Clone, Debug)]
pub struct Authorization<'a> {
    /// The access key ID, by which the caller finds the secret.
    pub access_key: &'a str,
    /// The scope of the signing key.
    pub scope: Scope<'a>,
    /// The signed header names: lower case, separated by `;`.
    pub signed_headers: &'a str,
    /// When the request says it was signed.
    pub signed_at: Timestamp,
    date: &'a str,
    signature: [u8; 32],
}

impl<'a> Authorization<'a> {
    /// Reads `Authorization` and the request's date. Fails with [`Refusal::Missing`] or [`Refusal::Malformed`].
    pub fn parse(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(AUTHORIZATION).ok_or(Refusal::Missing)?;
        let value = value.to_str().map_err(|_| malformed("Authorization holds bytes that aren't printable ASCII."))?;
        let Some(parameters) = value.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')) else {
            return Err(malformed(format!("Unsupported Authorization: allowed is {ALGORITHM}.")));
        };
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for parameter in parameters.split(',') {
            let slot = match parameter.trim().split_once('=') {
                Some(("Credential", value)) => credential.replace(value),
                Some(("SignedHeaders", value)) => signed_headers.replace(value),
                Some(("Signature", value)) => signature.replace(value),
                _ => return Err(malformed(format!("'{parameter}' not a valid key=value pair in Authorization."))),
            };
            if slot.is_some() {
                return Err(malformed(format!("Authorization header gives '{parameter}' a second time.")));
            }
        }
        let requires = |name| malformed(format!("Authorization header requires '{name}' parameter."));
        let credential = credential.ok_or_else(|| requires("Credential"))?;
        let signed_headers = signed_headers.ok_or_else(|| requires("SignedHeaders"))?;
        let signature = signature.ok_or_else(|| requires("Signature"))?;

        // From the right, because nothing says that an access key has no slash.
        let mut elements = credential.rsplitn(5, '/');
        let mut element = || elements.next().filter(|element| !element.is_empty());
        let (terminator, service, region, date, access_key) = (element(), element(), element(), element(), element());
        let (Some(terminator), Some(service), Some(region), Some(scope_date), Some(access_key)) =
            (terminator, service, region, date, access_key)
        else {
            return Err(malformed(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'."
            )));
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| malformed("Signature must be 64 hexadecimal digits."))?;
        let (date, signed_at, date_header) = request_date(headers)?;
        for name in [HOST.as_str(), date_header] {
            if !signed_headers.split(';').any(|signed| signed == name) {
                return Err(malformed(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
            }
        }
        let scope = Scope { date: scope_date, region, service, terminator };
        Ok(Authorization { access_key, scope, signed_headers, signed_at, date, signature: bytes })
    }

    /// Verifies a request to Glacier; see [`Self::verify_for`].
    pub fn verify(
        &self,
        secret_key: &str,
        region: &str,
        line: RequestLine<'_>,
        headers: &HeaderMap,
        payload_hash: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.verify_for(SERVICE, secret_key, region, line, headers, payload_hash, now)
    }

    /// Verifies the signature with the secret of [`Self::access_key`], for `service` in `region`, whose time is `now`.
    ///
    /// `headers` are those that were parsed; `payload_hash` is `x-amz-content-sha256` where sent (the caller compares it
    /// with the body once that has arrived), else the hash of the body. Signatures are compared in constant time.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the signature")]
    pub fn verify_for(
        &self,
        service: &str,
        secret_key: &str,
        region: &str,
        line: RequestLine<'_>,
        headers: &HeaderMap,
        payload_hash: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_scope(service, region)?;
        let signed = self.signed_at;
        if now.duration_since(signed) > SKEW {
            return Err(Refusal::Expired { signed, now });
        }
        if signed.duration_since(now) > SKEW {
            return Err(Refusal::NotYetCurrent { signed, now });
        }
        let canonical_request = canonical_request(line, headers, self.signed_headers, payload_hash);
        let string_to_sign = string_to_sign(self.date, self.scope, &canonical_request);
        let mut mac = new_mac(&signing_key(secret_key, self.scope));
        mac.update(string_to_sign.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_| Refusal::Mismatch { canonical_request, string_to_sign })
    }

    fn check_scope(&self, expected: &str, region: &str) -> Result<(), Refusal> {
        let Scope { date, region: given, service, terminator } = self.scope;
        let day = &self.date[..8];
        if given != region {
            Err(format!("Credential should be scoped to a valid region, not '{given}'."))
        } else if service != expected {
            Err(format!("Credential should be scoped to correct service: '{expected}'."))
        } else if terminator != TERMINATOR {
            Err(format!("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."))
        } else if date != day {
            Err(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
                 '{day}', from '{}'.",
                self.date
            ))
        } else {
            Ok(())
        }
        .map_err(Refusal::WrongScope)
    }
}

/// `time` moved by `by`, or as it is at the ends of the calendar.
fn shifted(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::Malformed(message.into())
}

/// The time a request says it was signed at: `x-amz-date`, else `Date`; as sent, parsed, and which header it was. Only
/// the ISO basic form counts.
fn request_date(headers: &HeaderMap) -> Result<(&str, Timestamp, &'static str), Refusal> {
    let (name, value) = match (headers.get(header::DATE), headers.get(DATE)) {
        (Some(value), _) => (header::DATE, value),
        (None, Some(value)) => ("date", value),
        (None, None) => {
            let message = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
            return Err(malformed(message));
        }
    };
    let text = value.to_str().unwrap_or_default();
    let time = parse_amz_date(text)
        .ok_or_else(|| malformed(format!("Date must be in ISO-8601 'basic format'. Got '{text}' in {name}.")))?;
    Ok((text, time, name))
}

/// `YYYYMMDD'T'HHMMSS'Z'`, the form of `x-amz-date`; fractions of a second are cut.
pub fn amz_date(time: Timestamp) -> String {
    let utc = TimeZone::UTC.to_datetime(time);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    )
}

/// Parses the form that [`amz_date`] writes, and no other.
pub fn parse_amz_date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0i16, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0')))
    };
    let small = |from| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let (hour, minute, second) = (small(9)?, small(11)?, small(13)?);
    let utc = civil::DateTime::new(number(0, 4)?, small(4)?, small(6)?, hour, minute, second, 0).ok()?;
    TimeZone::UTC.to_timestamp(utc).ok()
}

/// The canonical request of the signature, over the headers named in `signed_headers` (lower case, separated by `;`).
pub fn canonical_request(
    line: RequestLine<'_>,
    headers: &HeaderMap,
    signed_headers: &str,
    payload_hash: &str,
) -> String {
    let mut canonical = String::with_capacity(512);
    canonical.push_str(line.method);
    canonical.push('\n');
    canonical.extend(percent_encode(normalized_path(line.path).as_bytes(), PATH));
    canonical.push('\n');
    push_query(&mut canonical, line.query);
    canonical.push('\n');
    for name in signed_headers.split(';') {
        canonical.push_str(name);
        canonical.push(':');
        for (i, value) in headers.get_all(name).iter().enumerate() {
            if i > 0 {
                canonical.push(',');
            }
            push_value(&mut canonical, value.as_bytes());
        }
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(signed_headers);
    canonical.push('\n');
    canonical.push_str(payload_hash);
    canonical
}

/// The path without empty and dot segments, as SDKs sign it whatever they send.
fn normalized_path(path: &str) -> Cow<'_, str> {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if path.starts_with('/') && !path[1..].split('/').any(odd) {
        return Cow::Borrowed(path);
    }
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let tail = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{tail}", kept.join("/")))
}

/// Appends the query with both sides of each pair re-encoded, sorted by name, then value.
fn push_query(canonical: &mut String, query: &str) {
    let encode = |text: &str| -> String {
        let raw: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&raw, QUERY).collect()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            canonical.push('&');
        }
        canonical.push_str(name);
        canonical.push('=');
        canonical.push_str(value);
    }
}

/// Appends a header value without outer spaces and with inner runs of spaces as one. Bytes beyond ASCII count as Latin-1,
/// as the service reads them.
fn push_value(canonical: &mut String, value: &[u8]) {
    let words = value.split(|byte| *byte == b' ' || *byte == b'\t').filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        if i > 0 {
            canonical.push(' ');
        }
        canonical.extend(word.iter().copied().map(char::from));
    }
}

/// The string to sign. `date` is the request's time as sent.
pub fn string_to_sign(date: &str, scope: Scope<'_>, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", payload_hash(canonical_request.as_bytes()))
}

/// The key that `secret_key` signs with in `scope`.
pub fn signing_key(secret_key: &str, scope: Scope<'_>) -> [u8; 32] {
    let key = hmac(format!("AWS4{secret_key}").as_bytes(), scope.date.as_bytes());
    [scope.region, scope.service, scope.terminator].iter().fold(key, |key, part| hmac(&key, part.as_bytes()))
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = new_mac(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn new_mac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length; the error exists for other MACs.
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "us-east-1";
    const LINE: RequestLine<'static> = RequestLine { method: "PUT", path: "/-/vaults/v", query: "b=2&a=1" };

    fn credentials() -> Credentials {
        Credentials { access_key: "AKID".into(), secret_key: "TopSecret".into(), session_token: Some("TOKEN".into()) }
    }

    fn at(text: &str) -> Timestamp {
        parse_amz_date(text).expect(text)
    }

    fn signed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8210"));
        headers.insert(header::VERSION, HeaderValue::from_static(header::API_VERSION));
        let time = at("20130320T170343Z");
        sign(&credentials(), REGION, time, LINE, &mut headers, &payload_hash(b"")).expect("plain headers");
        headers
    }

    fn verify(headers: &HeaderMap, line: RequestLine<'_>, now: &str) -> Result<(), Refusal> {
        let authorization = Authorization::parse(headers)?;
        authorization.verify("TopSecret", REGION, line, headers, &payload_hash(b""), at(now))
    }

    fn with(name: &'static str, change: impl Fn(&str) -> String) -> HeaderMap {
        let mut headers = signed();
        let value = change(headers[name].to_str().expect("ASCII"));
        headers.insert(name, value.parse().expect("a header value"));
        headers
    }

    /// Promise: what one side signs the other verifies, within five minutes either way, and neither order of the query
    /// nor case of the signature matters.
    #[test]
    fn signed_requests_verify() {
        for now in ["20130320T165843Z", "20130320T170343Z", "20130320T170843Z"] {
            assert_eq!(verify(&signed(), LINE, now), Ok(()), "{now}");
        }
        let sorted = RequestLine { query: "a=1&b=%32", ..LINE };
        assert_eq!(verify(&signed(), sorted, "20130320T170343Z"), Ok(()));
    }

    /// Promise: a clock that is off is told so in the service's words.
    #[test]
    fn skew_is_named() {
        let message = |now| verify(&signed(), LINE, now).expect_err(now).to_string();
        assert_eq!(
            message("20130320T170844Z"),
            "Signature expired: 20130320T170343Z is now earlier than 20130320T170344Z (20130320T170844Z - 5 min.)"
        );
        assert_eq!(
            message("20130320T165842Z"),
            "Signature not yet current: 20130320T170343Z is still later than 20130320T170342Z (20130320T165842Z + 5 min.)"
        );
    }

    /// Promise: a change of anything signed, or of the secret, is a mismatch that shows what the service computed.
    #[test]
    fn every_change_is_a_mismatch() {
        let now = "20130320T170343Z";
        let lines = [
            RequestLine { method: "DELETE", ..LINE },
            RequestLine { path: "/-/vaults/w", ..LINE },
            RequestLine { query: "a=1", ..LINE },
        ];
        for line in lines {
            assert!(matches!(verify(&signed(), line, now), Err(Refusal::Mismatch { .. })), "{line:?}");
        }
        for (name, value) in [("host", "other"), ("x-amz-security-token", "OTHER"), ("x-amz-glacier-version", "x")] {
            let refusal = verify(&with(name, |_| value.into()), LINE, now).expect_err(name);
            assert!(refusal.to_string().contains(&format!("{name}:{value}\n")), "{refusal}");
        }
        let headers = signed();
        let authorization = Authorization::parse(&headers).expect("well formed");
        assert_eq!(authorization.access_key, "AKID");
        let refusal = authorization.verify("Other", REGION, LINE, &headers, &payload_hash(b""), at(now));
        assert!(matches!(refusal, Err(Refusal::Mismatch { .. })), "{refusal:?}");
        let refusal = authorization.verify("TopSecret", REGION, LINE, &headers, &payload_hash(b"x"), at(now));
        assert!(matches!(refusal, Err(Refusal::Mismatch { .. })), "{refusal:?}");
    }

    /// Promise: a scope for another region, service, terminator or day is told apart from a wrong secret.
    #[test]
    fn wrong_scopes_are_named() {
        for (from, to, says) in [
            ("/us-east-1/", "/eu-west-1/", "valid region, not 'eu-west-1'"),
            ("/glacier/", "/s3/", "correct service: 'glacier'"),
            ("/aws4_request", "/aws5_request", "valid terminator"),
            ("/20130320/", "/20130319/", "'20130319' != '20130320'"),
        ] {
            let headers = with("authorization", |value| value.replace(from, to));
            let refusal = verify(&headers, LINE, "20130320T170343Z").expect_err(to);
            assert!(matches!(&refusal, Refusal::WrongScope(message) if message.contains(says)), "{refusal:?}");
        }
    }

    /// Promise: a missing or malformed header is refused with what is wrong, never a panic.
    #[test]
    fn malformed_headers_are_named() {
        let mut headers = signed();
        headers.remove(AUTHORIZATION);
        assert_eq!(verify(&headers, LINE, "20130320T170343Z"), Err(Refusal::Missing));
        for (name, from, to, says) in [
            ("authorization", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", "allowed is AWS4-HMAC-SHA256"),
            ("authorization", "AWS4-HMAC-SHA256", "Basic", "allowed is AWS4-HMAC-SHA256"),
            ("authorization", ", Signature=", ", Sig=", "not a valid key=value pair"),
            ("authorization", "SignedHeaders=", "Signature=x, SignedHeaders=", "a second time"),
            ("authorization", "AKID/", "", "5 slash-delimited"),
            ("authorization", "AKID/", "/", "5 slash-delimited"),
            ("authorization", "Signature=", "Signature=é", "printable ASCII"),
            ("authorization", "Signature=", "Signature=0", "64 hexadecimal digits"),
            ("authorization", "=host;", "=", "'host' must be a 'SignedHeader'"),
            ("authorization", ";x-amz-date;", ";", "'x-amz-date' must be a 'SignedHeader'"),
            ("x-amz-date", "20130320T170343Z", "Wed, 20 Mar 2013 17:03:43 GMT", "ISO-8601 'basic format'"),
            ("x-amz-date", "20130320T170343Z", "20130320T176343Z", "ISO-8601 'basic format'"),
            ("x-amz-date", "20130320T170343Z", "", "ISO-8601 'basic format'"),
        ] {
            let refusal = verify(&with(name, |value| value.replacen(from, to, 1)), LINE, "20130320T170343Z");
            assert!(matches!(&refusal, Err(Refusal::Malformed(m)) if m.contains(says)), "{to}: {refusal:?}");
        }
        let mut headers = signed();
        headers.remove(header::DATE);
        let refusal = verify(&headers, LINE, "20130320T170343Z").expect_err("no date");
        assert!(refusal.to_string().contains("'X-Amz-Date' or a 'Date' header"), "{refusal}");
    }

    /// Promise: neither secret nor token appears in debug output, of credentials or of signed headers.
    #[test]
    fn debug_hides_secrets() {
        let text = format!("{:?} {:?}", credentials(), signed());
        assert!(text.contains("AKID") && !text.contains("TopSecret") && !text.contains("TOKEN"), "{text}");
        assert!(!text.contains("Signature="), "{text}");
    }

    /// Promise: paths are signed as SDKs sign them: dot and empty segments resolved, escapes escaped again.
    #[test]
    fn canonical_paths() {
        for (path, canonical) in [
            ("/-/vaults/v", "/-/vaults/v"),
            ("/-/vaults/a%3Ab", "/-/vaults/a%253Ab"),
            ("//-//vaults/./x/../v/", "/-/vaults/v/"),
            ("/~a:b", "/~a%3Ab"),
            ("/..", "/"),
            ("/", "/"),
            ("", "/"),
        ] {
            let request = canonical_request(RequestLine { method: "GET", path, query: "" }, &HeaderMap::new(), "", "");
            assert_eq!(request.lines().nth(1), Some(canonical), "{path}");
        }
    }

    /// Promise: dates of `x-amz-date` survive the way there and back, and only that form is read.
    #[test]
    fn dates() {
        assert_eq!(amz_date(at("19691231T235959Z")), "19691231T235959Z");
        for bad in
            ["20130230T000000Z", "2013-03-20T17:03:43Z", "20130320T170343", "+0130320T170343Z", "20130320T1703430"]
        {
            assert_eq!(parse_amz_date(bad), None, "{bad}");
        }
    }
}
