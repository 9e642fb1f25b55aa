//! Responses: a status, headers, and a body that is empty, JSON or a stream.

use std::fmt::Display;
use std::io;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;

use crate::glacier::error::ServiceError;
use crate::server::error::bad_request;

/// A response body.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// What an operation answers.
pub(super) type Answer = Result<Reply, ServiceError>;

/// A response in the making.
pub(super) struct Reply(Response<Body>);

impl Reply {
    /// A response with a body.
    pub fn new(status: StatusCode, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Reply(response)
    }

    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, full(Bytes::new()))
    }

    /// A response with a text.
    pub fn text(status: StatusCode, text: String) -> Self {
        Self::new(status, full(text))
    }

    /// 200 with a JSON body.
    pub fn json(value: &impl Serialize) -> Answer {
        let json = serde_json::to_vec(value).map_err(|error| bad_request(error.to_string()))?;
        Self::new(StatusCode::OK, full(json)).with(CONTENT_TYPE.as_str(), "application/json")
    }

    /// Adds a header. An error when the value can't be one, which only a value that a client gave can be.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Answer {
        let bad = |_| bad_request(format!("The value of {name} can't be sent."));
        let value = HeaderValue::from_str(&value.to_string()).map_err(bad)?;
        self.0.headers_mut().insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// Adds `Location`: a path that starts with the account.
    pub fn at(self, location: impl Display) -> Answer {
        self.with(LOCATION.as_str(), location)
    }

    /// The response.
    pub fn into_response(self) -> Response<Body> {
        self.0
    }
}

impl From<ServiceError> for Reply {
    fn from(error: ServiceError) -> Self {
        // All codes have valid statuses.
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut reply = Self::new(status, full(error.body()));
        reply.0.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply
    }
}

/// A body in memory.
fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
