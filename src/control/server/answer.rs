//! Errors as answers, and requests read so that what is wrong with them is one.

use axum::Json;
use axum::extract::FromRequest;
use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::de::DeserializeOwned;

use crate::catalog;
use crate::control::wire::ErrorBody;
use crate::control::wire::ErrorKind;
use crate::service;
use crate::snapshot;
use crate::vault;

/// Why a request isn't answered as it wants. It is an answer itself.
#[derive(Debug)]
pub(super) struct Failure(ErrorBody);

impl Failure {
    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Failure(ErrorBody { error: message.into(), kind: ErrorKind::NotFound })
    }

    /// The request can't be meant.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Failure(ErrorBody { error: message.into(), kind: ErrorKind::Invalid })
    }

    /// It can't be done as things are.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Failure(ErrorBody { error: message.into(), kind: ErrorKind::Conflict })
    }

    /// The daemon failed.
    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Failure::new(ErrorKind::Internal, &error)
    }

    fn new(kind: ErrorKind, error: &dyn std::fmt::Display) -> Self {
        if kind == ErrorKind::Internal {
            log::error!("a control request failed: {error}");
        }
        Failure(ErrorBody { error: error.to_string(), kind })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Remote => StatusCode::BAD_GATEWAY,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

impl From<catalog::Error> for Failure {
    fn from(error: catalog::Error) -> Self {
        Failure::new(ErrorKind::Internal, &error)
    }
}

impl From<snapshot::Error> for Failure {
    fn from(error: snapshot::Error) -> Self {
        let kind = match &error {
            snapshot::Error::Missing(_) => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        };
        Failure::new(kind, &error)
    }
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        use vault::Error;
        let kind = match &error {
            Error::Name(_) => ErrorKind::Invalid,
            Error::Missing(_) => ErrorKind::NotFound,
            Error::Exists(_) | Error::NotEmpty(_) | Error::NotYet { .. } => ErrorKind::Conflict,
            Error::Service(error) if error.kind() == service::Kind::VaultMissing => ErrorKind::NotFound,
            Error::Service(_) => ErrorKind::Remote,
            Error::Reconcile(_) | Error::Catalog(_) => ErrorKind::Internal,
        };
        Failure::new(kind, &error)
    }
}

/// A request's JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(Failure::invalid(format!("the request can't be read: {}", rejection.body_text()))),
        }
    }
}

/// What follows the question mark.
pub(super) struct Question<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Question<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Question(value)),
            Err(rejection) => Err(Failure::invalid(format!("the request can't be read: {}", rejection.body_text()))),
        }
    }
}

/// A name in the path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(name)) => Ok(Name(name)),
            Err(rejection) => Err(Failure::invalid(format!("the request can't be read: {}", rejection.body_text()))),
        }
    }
}

/// Does what may take long on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The daemon ends, and this connection with it: who asks sees that.
        Err(error) if error.is_cancelled() => std::future::pending().await,
        Err(error) => Err(Failure::new(ErrorKind::Internal, &error)),
    }
}
