//! What can go wrong with a request, as the client sees it: what failed where, what a person can do about it, and whether
//! the program can do something by trying again.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use http::HeaderMap;
use http::header::DATE;
use jiff::{SignedDuration, SpanRound, Timestamp, Unit};

use crate::glacier::credentials::NoCredentials;
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::glacier::treehash::TreeHash;
use crate::glacier::wire::header;

/// A failed request. Its `Display` form names operation and endpoint and says what to check.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: &'static str,
    place: Arc<Place>,
    kind: ErrorKind,
}

/// Where a client sends its requests.
#[derive(Debug)]
pub(super) struct Place {
    /// The endpoint's URL.
    pub(super) endpoint: String,
    /// The region it signs for.
    pub(super) region: String,
}

/// How a request failed.
#[derive(Debug)]
pub enum ErrorKind {
    /// The service has answered with an error.
    Service {
        /// Its code, message and status.
        error: ServiceError,
        /// The request's ID at the service.
        request_id: Option<String>,
        /// How far this machine's clock is ahead of the service's (negative: behind), when it said its time.
        clock_ahead: Option<SignedDuration>,
    },
    /// There is no answer: no connection, a broken one, or a timeout.
    Transport {
        /// What happened.
        message: String,
        /// Whether the service has certainly done nothing: the request can't have reached it, or it has refused it with an
        /// answer of which only the beginning came.
        undone: bool,
    },
    /// There are no credentials to sign with.
    Credentials(NoCredentials),
    /// The answer isn't one of this API.
    Malformed(String),
    /// The service has computed another tree hash than we did.
    Corrupted {
        /// What was sent.
        expected: TreeHash,
        /// What the service has.
        answered: TreeHash,
    },
    /// The payload can't be read.
    Payload(io::Error),
    /// The request can't be made: a parameter is bad.
    Invalid(String),
}

impl ErrorKind {
    /// Whether other credentials may help.
    pub(super) fn may_be_credentials(&self) -> bool {
        use ErrorCode::*;
        let refusals = [AccessDenied, ExpiredToken, InvalidSignature, MissingAuthenticationToken, UnrecognizedClient];
        matches!(self, ErrorKind::Service { error, .. } if error.status == 403 || refusals.contains(&error.code))
    }
}

impl Error {
    pub(super) fn new(operation: &'static str, place: &Arc<Place>, kind: ErrorKind) -> Self {
        Error(Box::new(Inner { operation, place: place.clone(), kind }))
    }

    /// The operation that failed, in the API's words.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// How it failed.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The code of the service's error, if it has answered with one.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self.kind() {
            ErrorKind::Service { error, .. } => Some(&error.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later, without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Service { error, .. } => error.is_retryable() || error.code == ErrorCode::ExpiredToken,
            ErrorKind::Transport { .. } | ErrorKind::Malformed(_) | ErrorKind::Corrupted { .. } => true,
            ErrorKind::Credentials(missing) => missing.retryable,
            ErrorKind::Payload(_) | ErrorKind::Invalid(_) => false,
        }
    }

    /// Whether this machine's clock is the trouble: it works again as soon as that is set.
    pub fn is_clock_skew(&self) -> bool {
        match self.kind() {
            ErrorKind::Service { error, .. } => match &error.code {
                ErrorCode::InvalidSignature => {
                    ["Signature expired", "Signature not yet current"].iter().any(|m| error.message.starts_with(m))
                }
                ErrorCode::Other(code) => matches!(code.as_str(), "RequestTimeTooSkewed" | "RequestExpired"),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether only somebody's action can help: other credentials, another request, a policy.
    pub fn is_permanent(&self) -> bool {
        !self.is_retryable() && !self.is_clock_skew()
    }

    /// Whether the request may have had its effect all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        match self.kind() {
            ErrorKind::Service { error, .. } => error.status >= 500 && error.code != ErrorCode::InsufficientCapacity,
            ErrorKind::Transport { undone, .. } => !undone,
            ErrorKind::Malformed(_) | ErrorKind::Corrupted { .. } => true,
            ErrorKind::Credentials(_) | ErrorKind::Payload(_) | ErrorKind::Invalid(_) => false,
        }
    }

    /// What to check, or nothing where the message says it all.
    fn advice(&self) -> Option<String> {
        use ErrorCode::*;
        let Place { endpoint, region } = &*self.0.place;
        let operation = self.0.operation;
        Some(match self.kind() {
            ErrorKind::Service { clock_ahead, .. } if self.is_clock_skew() => match clock_ahead {
                Some(ahead) => {
                    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
                    format!("this machine's clock is {} {side} the service's: set it", human(ahead.abs()))
                }
                None => "this machine's clock is off: set it".into(),
            },
            ErrorKind::Service { error, .. } => match &error.code {
                // Further lines of the message are what was to be signed.
                InvalidSignature if first_line(&error.message).contains("scope") => {
                    format!("requests are signed for region '{region}': check that it is the region of {endpoint}")
                }
                InvalidSignature if first_line(&error.message).contains("x-amz-content-sha256") => {
                    "the data changed on its way".into()
                }
                InvalidSignature => format!(
                    "check the secret access key, that the credentials belong to {endpoint}, and that no proxy changes \
                     requests; a key that is replaced where it was found is taken up by itself"
                ),
                UnrecognizedClient | MissingAuthenticationToken => {
                    format!(
                        "check the access key ID, whether the key is active, and that the credentials belong to {endpoint}; \
                         a key that is replaced where it was found is taken up by itself"
                    )
                }
                ExpiredToken => "the session token has expired: log in again, or renew the credentials".into(),
                AccessDenied => format!(
                    "check that the account ID is right, and that the policies of user, vault and vault lock allow \
                     glacier:{operation}"
                ),
                NoLongerSupported => "AWS has closed this service to accounts that never used it".into(),
                Other(status) if *status == error.status.to_string() => {
                    format!("check that {endpoint} is a Glacier endpoint and that no proxy answers in its place")
                }
                _ => return None,
            },
            ErrorKind::Transport { undone: true, .. } => {
                format!("check the network, the region ('{region}') and that {endpoint} is up")
            }
            ErrorKind::Malformed(_) => format!("check that {endpoint} is a Glacier endpoint"),
            ErrorKind::Credentials(_) => "see the AWS documentation on configuring credentials".into(),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = OneLine(f);
        write!(f, "{} at {}: ", self.0.operation, self.0.place.endpoint)?;
        match self.kind() {
            ErrorKind::Service { error, request_id, .. } => {
                // What follows the first line of a signature error is the canonical request: for the log, not for a person.
                let message = first_line(&error.message);
                write!(f, "{} (status {})", error.code, error.status)?;
                if !message.is_empty() {
                    write!(f, ": {message}")?;
                }
                if let Some(id) = request_id {
                    write!(f, " [request {id}]")?;
                }
            }
            ErrorKind::Transport { message, .. } => f.write_str(message)?,
            ErrorKind::Credentials(missing) => write!(f, "{missing}")?,
            ErrorKind::Malformed(what) => write!(f, "the answer isn't understood: {what}")?,
            ErrorKind::Corrupted { expected, answered } => {
                write!(f, "the service has received other data: tree hash {answered} instead of {expected}")?;
            }
            ErrorKind::Payload(error) => write!(f, "the data to send can't be read: {error}")?,
            ErrorKind::Invalid(what) => f.write_str(what)?,
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// Passes text on without control characters, so that whatever answered can't play with a terminal or fake a line of the
/// log.
struct OneLine<'a, 'b>(&'a mut std::fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for (n, piece) in text.split(char::is_control).enumerate() {
            if n > 0 {
                self.0.write_char(' ')?;
            }
            self.0.write_str(piece)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::Service { error, .. } => Some(error),
            ErrorKind::Payload(error) => Some(error),
            _ => None,
        }
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// The kind of an error response.
pub(super) fn refused(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> ErrorKind {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let service_time = text(DATE.as_str()).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    ErrorKind::Service {
        error: ServiceError::read(status, text("x-amzn-errortype"), body),
        request_id: text(header::REQUEST_ID).map(str::to_owned),
        clock_ahead: service_time.map(|time| now.duration_since(time.timestamp())),
    }
}

/// The kind of an error of the HTTP library.
pub(super) fn transport(error: reqwest::Error) -> ErrorKind {
    let unsent = error.is_connect() || error.is_builder();
    let what = if unsent { "no connection" } else { "the connection failed" };
    ErrorKind::Transport { message: with_causes(what, error), undone: unsent }
}

/// `what` went wrong, and all that the HTTP library says of why.
pub(super) fn with_causes(what: &str, error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut message = what.to_owned();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

/// A duration for a person: `10m 3s`.
fn human(duration: SignedDuration) -> String {
    let span = jiff::Span::try_from(duration).and_then(|span| {
        let whole = SpanRound::new().smallest(Unit::Second).largest(Unit::Hour);
        span.round(whole)
    });
    span.map_or_else(|_| format!("{duration:#}"), |span| format!("{span:#}"))
}
