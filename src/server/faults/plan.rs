//! A fault plan as it is written: which requests something goes wrong with, how often, and what.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::server::routes;

/// What is to go wrong. Rules are tried in order, and the first that strikes is the only one for its request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// What the choices come from; a random one unless given.
    pub(super) seed: Option<u64>,
    pub(super) rules: Vec<Rule>,
}

impl FaultPlan {
    /// Reads a plan from JSON. The error names the wrong field and what is allowed.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        read(json)
    }
}

/// Reads a JSON object; the error starts with the path of the wrong field.
pub(in crate::server) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    // Without names, members would be taken from a list as well.
    if json.trim_ascii_start().starts_with(b"[") {
        return Err("it is a list: a JSON object is needed".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| match error.path().iter().next() {
        Some(_) => error.to_string(),
        None => error.into_inner().to_string(),
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// When which fault strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// The requests that it is about.
    pub operation: Operation,
    /// The share of them that it strikes; all unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How often it strikes; without end unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many of the requests it lets pass first.
    #[serde(default)]
    pub skip: u64,
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// The request is refused. With a code, the answer is an error of the service; without one, a page of HTML as from a
    /// proxy.
    Error(Refusal),
    /// The request waits first: the machine's time, whatever the endpoint's clock is.
    Delay(Span),
    /// The connection is reset after that many bytes of the request's body, half of them unless given; nothing is done.
    ResetRequest(After),
    /// It is done, and the connection reset after that many bytes of the answer's body, half of them unless given.
    ResetResponse(After),
    /// The answer's body lacks its end.
    Truncate(Truncate),
    /// A bit of the answer's body is wrong.
    Corrupt(Corrupt),
    /// The answer's body comes slowly.
    Drip(Drip),
    /// It is done, and the connection closed without an answer.
    LoseResponse(Nothing),
}

/// How a request is refused: at least one of status and code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RefusalIn")]
pub(super) struct Refusal {
    /// That of the code, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalIn {
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
}

impl TryFrom<RefusalIn> for Refusal {
    type Error = String;

    fn try_from(RefusalIn { status, code, message }: RefusalIn) -> Result<Self, String> {
        match (status, &code) {
            (Some(status), _) if !(400..=599).contains(&status) => {
                Err(format!("the status {status} is not allowed: allowed are 400 to 599"))
            }
            (None, None) => Err("neither a status nor a code is given: at least one is needed".to_owned()),
            _ => Ok(Refusal { status, code, message }),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Truncate {
    /// How many bytes it has; half of them unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Whether `Content-Length` says what comes. Otherwise it says what should, and the connection ends early.
    #[serde(default)]
    pub fix_length: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Corrupt {
    /// The offset of the byte; a random one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drip {
    pub bytes_per_second: Speed,
}

/// No settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `*`, or the name of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Operation(String);

impl Operation {
    pub fn is(&self, name: &str) -> bool {
        self.0 == "*" || self.0 == name
    }
}

impl TryFrom<String> for Operation {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == "*" || routes::Operation::is_name(&name) {
            return Ok(Operation(name));
        }
        Err(format!("{name:?} is no operation: allowed are * and the API's names, such as UploadArchive"))
    }
}

/// A share above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Rate(pub f64);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        if rate > 0.0 && rate <= 1.0 {
            return Ok(Rate(rate));
        }
        Err(format!("the rate {rate} is not allowed: allowed are numbers above 0, up to 1"))
    }
}

/// Bytes a second, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Speed(pub u64);

impl TryFrom<u64> for Speed {
    type Error = String;

    fn try_from(speed: u64) -> Result<Self, String> {
        if speed > 0 {
            Ok(Speed(speed))
        } else {
            Err("0 bytes a second are not allowed: at least 1 is needed".to_owned())
        }
    }
}

/// A time as people write it: `2s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = humantime::parse_duration(&text).map(Span);
        parsed
            .map_err(|error| format!("{text:?} is not a duration ({error}): allowed are such as 200ms, 2s or 1min 30s"))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        humantime::format_duration(span.0).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: every kind of fault is read, and written as it is read.
    #[test]
    fn every_kind() {
        let json = r#"{"seed":7,"rules":[
            {"operation":"UploadArchive","rate":0.2,"skip":1,"fault":{"error":{"status":503,"code":"X","message":"m"}}},
            {"operation":"*","count":3,"skip":0,"fault":{"error":{"code":"ThrottlingException"}}},
            {"operation":"*","rate":1.0,"count":3,"skip":0,"fault":{"delay":"2s"}},
            {"operation":"*","skip":0,"fault":{"reset_request":{}}},
            {"operation":"*","skip":0,"fault":{"reset_response":{"after":5}}},
            {"operation":"*","skip":0,"fault":{"truncate":{"after":5,"fix_length":true}}},
            {"operation":"*","skip":0,"fault":{"corrupt":{"at":0}}},
            {"operation":"*","skip":0,"fault":{"drip":{"bytes_per_second":1000}}},
            {"operation":"*","skip":0,"fault":{"lose_response":{}}}]}"#;
        let plan = FaultPlan::parse(json.as_bytes()).expect("a plan");
        let written: serde_json::Value = serde_json::to_value(&plan).expect("JSON");
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).expect("JSON"));
    }

    /// Promise: a bad plan is refused with the path of the wrong field, its value, and what is allowed.
    #[test]
    fn refusals() {
        let rule = |fields: &str| {
            format!(r#"{{"rules":[{{"operation":"*","fault":{{"lose_response":{{}}}}}},{{{fields}}}]}}"#)
        };
        let fault = |fault: &str| rule(&format!(r#""operation":"*","fault":{fault}"#));
        for (json, says) in [
            ("[]".to_owned(), "it is a list: a JSON object is needed"),
            (r#"{"rules":[]} x"#.to_owned(), "trailing characters"),
            (r#"{"rules":[],"sead":1}"#.to_owned(), "sead: unknown field `sead`"),
            (r#"{"seed":-1,"rules":[]}"#.to_owned(), "seed: invalid value: integer `-1`"),
            (rule(r#""operation":"Upload""#), "rules[1].operation: \"Upload\" is no operation: allowed are *"),
            (rule(r#""operation":"*""#), "rules[1]: missing field `fault`"),
            (rule(r#""operation":"*","rate":20"#), "rules[1].rate: the rate 20 is not allowed"),
            (rule(r#""operation":"*","count":"3""#), "rules[1].count: invalid type: string \"3\""),
            (fault(r#"{"explode":{}}"#), "rules[1].fault: unknown variant `explode`, expected one of `error`"),
            (fault(r#"{"delay":"soon"}"#), "rules[1].fault.delay: \"soon\" is not a duration"),
            (fault(r#"{"error":{"status":200}}"#), "rules[1].fault.error: the status 200 is not allowed"),
            (fault(r#"{"error":{}}"#), "rules[1].fault.error: neither a status nor a code"),
            (fault(r#"{"error":{"status":"503"}}"#), "rules[1].fault.error.status: invalid type: string"),
            (fault(r#"{"drip":{"bytes_per_second":0}}"#), "rules[1].fault.drip.bytes_per_second: 0 bytes"),
            (fault(r#"{"truncate":{"at":1}}"#), "rules[1].fault.truncate.at: unknown field `at`"),
        ] {
            let message = FaultPlan::parse(json.as_bytes()).expect_err(&json);
            assert!(message.starts_with(says), "{json}: {message}");
        }
    }
}
