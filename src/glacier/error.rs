//! The service's errors: codes with their status, type and retryability, the body they travel in, and the messages that
//! clients match on word by word.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::glacier::sigv4::Refusal;

/// The longest message taken from a body that isn't the service's, in characters.
const FOREIGN_BODY: usize = 200;

/// An error code of the API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A policy, the account ID or a vault lock forbids it.
    AccessDenied,
    /// No such operation, or a malformed request.
    BadRequest,
    /// The session token has expired.
    ExpiredToken,
    /// `Authorization` is malformed or incomplete.
    IncompleteSignature,
    /// No capacity for an Expedited retrieval now.
    InsufficientCapacity,
    /// A parameter has a bad value.
    InvalidParameterValue,
    /// The signature, its scope, its time or the payload hash is wrong.
    InvalidSignature,
    /// Too many vaults, tags or units of capacity.
    LimitExceeded,
    /// No `Authorization` at all.
    MissingAuthenticationToken,
    /// A required parameter is missing.
    MissingParameterValue,
    /// The service is closed to this account.
    NoLongerSupported,
    /// The data retrieval policy forbids the job.
    PolicyEnforced,
    /// The body arrived too slowly.
    RequestTimeout,
    /// No such vault, archive, upload, job, policy or configuration.
    ResourceNotFound,
    /// The body is not well-formed JSON.
    Serialization,
    /// The service has trouble of its own.
    ServiceUnavailable,
    /// Too many requests.
    Throttling,
    /// Unknown access key or token.
    UnrecognizedClient,
    /// A code that isn't known here, or the status number of a response without any.
    Other(String),
}

use ErrorCode::*;

/// Every known code: on the wire, and the status it comes with.
const CODES: [(ErrorCode, &str, u16); 18] = [
    (AccessDenied, "AccessDeniedException", 403),
    (BadRequest, "BadRequest", 400),
    (ExpiredToken, "ExpiredTokenException", 403),
    (IncompleteSignature, "IncompleteSignatureException", 400),
    (InsufficientCapacity, "InsufficientCapacityException", 503),
    (InvalidParameterValue, "InvalidParameterValueException", 400),
    (InvalidSignature, "InvalidSignatureException", 403),
    (LimitExceeded, "LimitExceededException", 400),
    (MissingAuthenticationToken, "MissingAuthenticationTokenException", 400),
    (MissingParameterValue, "MissingParameterValueException", 400),
    (NoLongerSupported, "NoLongerSupportedException", 400),
    (PolicyEnforced, "PolicyEnforcedException", 400),
    (RequestTimeout, "RequestTimeoutException", 408),
    (ResourceNotFound, "ResourceNotFoundException", 404),
    (Serialization, "SerializationException", 400),
    // 500, not 503: so the API documents it.
    (ServiceUnavailable, "ServiceUnavailableException", 500),
    (Throttling, "ThrottlingException", 400),
    (UnrecognizedClient, "UnrecognizedClientException", 400),
];

impl ErrorCode {
    fn row(&self) -> Option<&'static (ErrorCode, &'static str, u16)> {
        CODES.iter().find(|(code, _, _)| code == self)
    }

    /// The code on the wire.
    pub fn as_str(&self) -> &str {
        match (self, self.row()) {
            (_, Some((_, word, _))) => word,
            (Other(word), None) => word,
            (_, None) => "InternalFailure",
        }
    }

    /// The HTTP status it comes with; 400 for codes not known here.
    pub fn status(&self) -> u16 {
        self.row().map_or(400, |(_, _, status)| *status)
    }

    /// Who is to blame.
    pub fn error_type(&self) -> ErrorType {
        match self {
            InsufficientCapacity | ServiceUnavailable => ErrorType::Server,
            Other(_) => ErrorType::Unknown,
            _ => ErrorType::Client,
        }
    }

    /// Whether the same request may succeed a little later, whatever its status was.
    pub fn is_retryable(&self) -> bool {
        match self {
            InsufficientCapacity | RequestTimeout | ServiceUnavailable | Throttling => true,
            Other(word) => {
                let words = ["Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown", "InternalFailure"];
                words.iter().any(|start| word.starts_with(start))
            }
            _ => false,
        }
    }
}

impl From<&str> for ErrorCode {
    fn from(word: &str) -> Self {
        let known = CODES.iter().find(|(_, known, _)| *known == word);
        known.map_or_else(|| Other(word.to_owned()), |(code, _, _)| code.clone())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who is to blame for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorType {
    /// The request.
    Client,
    /// The service.
    Server,
    /// Nobody knows.
    #[serde(other)]
    Unknown,
}

/// The JSON body of an error. Members are read by name, in any order, and each may be missing.
#[derive(Deserialize)]
struct EnvelopeIn {
    #[serde(alias = "Code", alias = "__type")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(alias = "Type", rename = "type")]
    error_type: Option<ErrorType>,
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(rename = "type")]
    error_type: ErrorType,
}

/// An error of the service, as sent or received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    /// What kind of error.
    pub code: ErrorCode,
    /// For a person; some clients match on it.
    pub message: String,
    /// Who is to blame.
    pub error_type: ErrorType,
    /// The HTTP status.
    pub status: u16,
}

impl ServiceError {
    /// An error with the status and type that belong to its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let (error_type, status) = (code.error_type(), code.status());
        ServiceError { code, message: message.into(), error_type, status }
    }

    /// The JSON body, compact, in the service's order.
    pub fn body(&self) -> String {
        let ServiceError { code, message, error_type, .. } = self;
        let envelope = EnvelopeOut { code: code.as_str(), message, error_type: *error_type };
        // Strings always serialise; were it otherwise, a client copes with an empty body.
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// Reads an error response: status, the `x-amzn-ErrorType` header if there was one, and the body, which may be
    /// anything. Without a code the status number is the code.
    pub fn read(status: u16, header_type: Option<&str>, body: &[u8]) -> Self {
        let envelope = serde_json::from_slice(body).unwrap_or_else(|_| EnvelopeIn {
            code: None,
            message: Some(String::from_utf8_lossy(body).trim().chars().take(FOREIGN_BODY).collect()),
            error_type: None,
        });
        // `Code:http://…` in the header, `namespace#Code` in the body.
        let word = header_type.and_then(|word| word.split(':').next()).map(str::to_owned).or(envelope.code);
        let word = word.as_deref().and_then(|word| word.rsplit('#').next()).filter(|word| !word.is_empty());
        let code = word.map_or_else(|| Other(status.to_string()), ErrorCode::from);
        let error_type = envelope.error_type.unwrap_or(match code {
            Other(_) if status >= 500 => ErrorType::Server,
            _ => code.error_type(),
        });
        ServiceError { code, message: envelope.message.unwrap_or_default(), error_type, status }
    }

    /// Whether the same request may succeed a little later: by its code, else by its status.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable() || matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504 | 509)
    }

    /// 404 for any operation on a vault that doesn't exist.
    pub fn vault_not_found(arn: &str) -> Self {
        Self::new(ResourceNotFound, format!("Vault not found for ARN: {arn}"))
    }

    /// 404 for a job that is unknown or has expired.
    pub fn job_not_found(id: &str) -> Self {
        Self::new(ResourceNotFound, format!("The job ID was not found: {id}"))
    }

    /// 404 for a job over an archive that doesn't exist.
    pub fn archive_not_found(id: &str) -> Self {
        Self::new(ResourceNotFound, format!("The archive ID was not found: {id}"))
    }

    /// 404 for a multipart upload that is unknown, completed or gone.
    pub fn upload_not_found(id: &str) -> Self {
        Self::new(ResourceNotFound, format!("The upload ID was not found: {id}"))
    }

    /// 400 for a vault that can't be deleted yet.
    pub fn vault_not_empty(arn: &str) -> Self {
        Self::new(InvalidParameterValue, format!("Vault not empty or recently written to: {arn}"))
    }

    /// 400 for an archive of another vault.
    pub fn archive_of_another_vault(arn: &str) -> Self {
        Self::new(InvalidParameterValue, format!("Invalid vault name: {arn}"))
    }

    /// 400 for an archive or part whose tree hash isn't the one sent.
    pub fn checksum_mismatch(sent: impl fmt::Display, computed: impl fmt::Display) -> Self {
        Self::new(InvalidParameterValue, format!("Checksum mismatch: expected {sent}, computed {computed}"))
    }

    /// 403 for a body that isn't the one that was signed.
    pub fn payload_hash_mismatch(sent: &str, computed: &str) -> Self {
        Self::new(
            InvalidSignature,
            format!(
                "The value passed in as x-amz-content-sha256 does not match the computed payload hash. Computed digest: \
                 {computed} expected hash: {sent}"
            ),
        )
    }

    /// 400 for a completed multipart upload whose tree hash isn't the one sent.
    pub fn invalid_tree_hash(sent: &str) -> Self {
        Self::new(InvalidParameterValue, format!("Invalid x-amz-sha256-tree-hash: {sent}"))
    }

    /// 400 for the output of a job that isn't completed, or has failed.
    pub fn job_not_available(id: &str) -> Self {
        Self::new(InvalidParameterValue, format!("The job is not currently available for download: {id}"))
    }

    /// 400 for something required: `API version`, `Job Parameters`, `type`, or a header's name.
    pub fn missing_parameter(name: &str) -> Self {
        Self::new(MissingParameterValue, format!("Required parameter missing: {name}"))
    }

    /// 400 for an access key that nobody has.
    pub fn unrecognized_client() -> Self {
        Self::new(UnrecognizedClient, "The security token included in the request is invalid.")
    }

    /// 403 for an account that isn't the caller's.
    pub fn wrong_account(as_sent: &str) -> Self {
        Self::new(AccessDenied, format!("Access denied for account ID: {as_sent}"))
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Missing => MissingAuthenticationToken,
            Refusal::Malformed(_) => IncompleteSignature,
            Refusal::WrongScope(_) | Refusal::Expired { .. } | Refusal::NotYetCurrent { .. } => InvalidSignature,
            Refusal::Mismatch { .. } => InvalidSignature,
        };
        ServiceError::new(code, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: an error body is what the service writes, to the byte, and reads back as the same error.
    #[test]
    fn the_body_is_the_services() {
        let error = ServiceError::missing_parameter("API version");
        let body = error.body();
        let written = r#"{"code":"MissingParameterValueException","message":"Required parameter missing: API version","type":"Client"}"#;
        assert_eq!((body.as_str(), body.len(), error.status), (written, 109, 400));
        assert_eq!(ServiceError::read(400, None, body.as_bytes()), error);
    }

    /// Promise: every code survives the wire with its status, and exactly those that time may heal are retried.
    #[test]
    fn codes() {
        for (code, word, status) in &CODES {
            assert_eq!((&ErrorCode::from(*word), code.as_str(), code.status()), (code, *word, *status));
            let heals = [InsufficientCapacity, RequestTimeout, ServiceUnavailable, Throttling].contains(code);
            assert_eq!(ServiceError::new(code.clone(), "").is_retryable(), heals, "{word}");
        }
        assert!(ErrorCode::from("ThrottledException").is_retryable());
        assert_eq!(ErrorCode::from("Novelty"), Other("Novelty".into()));
    }

    /// Promise: whatever a proxy answers becomes an error with the status as its code, and 5xx is retried.
    #[test]
    fn foreign_bodies() {
        for (status, body, message) in
            [(502, "<html>Bad Gateway</html>", "<html>Bad Gateway</html>"), (403, "", ""), (503, "{}", "")]
        {
            let error = ServiceError::read(status, None, body.as_bytes());
            assert_eq!((error.code.as_str(), error.message.as_str()), (status.to_string().as_str(), message));
            assert_eq!(error.is_retryable(), status >= 500, "{status}");
        }
        let long = ServiceError::read(500, None, &[0xFF; 10_000]);
        assert_eq!(long.message.chars().count(), FOREIGN_BODY);
        let front_end = r#"{"message":"m","code":"InvalidSignatureException","type":"New"}"#;
        let error = ServiceError::read(403, None, front_end.as_bytes());
        assert_eq!((error.code, error.error_type), (InvalidSignature, ErrorType::Unknown));
        let error = ServiceError::read(400, Some("ThrottlingException:http://x/"), b"");
        assert_eq!(error.code, Throttling);
    }
}
