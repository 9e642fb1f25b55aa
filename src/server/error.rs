//! The endpoint's own additions to the service's errors: its troubles (500), and the refusals whose wording no source
//! gives.

use std::fmt::Display;

use crate::glacier::error::{ErrorCode, ServiceError};
use crate::server::db::DbError;

/// A trouble of the endpoint itself. The client is told little and may try again; the log is told all.
fn unavailable(reason: impl Display) -> ServiceError {
    log::error!("a request failed: {reason}");
    ServiceError::new(ErrorCode::ServiceUnavailable, format!("The endpoint can't do this now: {reason}"))
}

impl From<DbError> for ServiceError {
    fn from(error: DbError) -> Self {
        unavailable(error)
    }
}

impl From<rusqlite::Error> for ServiceError {
    fn from(error: rusqlite::Error) -> Self {
        unavailable(error)
    }
}

impl From<std::io::Error> for ServiceError {
    fn from(error: std::io::Error) -> Self {
        unavailable(error)
    }
}

impl From<tokio::task::JoinError> for ServiceError {
    fn from(error: tokio::task::JoinError) -> Self {
        unavailable(error)
    }
}

/// 400 for a parameter with a bad value.
pub(super) fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::InvalidParameterValue, message)
}

/// 400 for a request that can't be understood at all.
pub(super) fn bad_request(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::BadRequest, message)
}
