//! What a fault does to a request, or to the answer on its way out.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;

use super::Strike;
use super::plan::{Fault, Refusal};
use crate::glacier::error::{ErrorCode, ServiceError};
use crate::server::cut::{Cut, End};
use crate::server::reply::{Answer, Body, Reply};
use crate::server::service::Service;

/// How long what was sent before a cut gets to leave.
const LEAVE: Duration = Duration::from_millis(50);
/// How often a piece of a dripping body comes.
const DROP: Duration = Duration::from_millis(50);

impl Strike {
    /// Answers `request`, or doesn't, as the fault has it.
    pub async fn answer(self, service: &Service, request: Request<Incoming>, cut: Cut) -> Response<Body> {
        log::debug!("{} {}: {:?}", request.method(), request.uri(), self.fault);
        match &self.fault {
            Fault::Error(refusal) => {
                let (head, body) = request.into_parts();
                return service.respond(&head, body, refusal.answer()).await;
            }
            Fault::ResetRequest(at) => match reset_in(request, at.after, &cut).await {},
            Fault::Delay(span) => tokio::time::sleep(span.0).await,
            _ => {}
        }
        let response = service.answer(request).await;
        self.spoil(response, cut).await
    }

    /// What becomes of the service's answer.
    async fn spoil(self, mut response: Response<Body>, cut: Cut) -> Response<Body> {
        if let Fault::LoseResponse(_) = self.fault {
            match cut.now(End::Close).await {}
        }
        let length = length(&mut response);
        if length == 0 {
            // There is no body to spoil; a reset leaves nothing of the answer.
            if let Fault::ResetResponse(_) = self.fault {
                match cut.now(End::Reset).await {}
            }
            return response;
        }
        let before_end = |after: Option<u64>| after.unwrap_or(length / 2).min(length - 1);
        match self.fault {
            Fault::ResetResponse(at) => response.map(|body| first(body, before_end(at.after), Some((cut, End::Reset)))),
            Fault::Truncate(at) => {
                let after = before_end(at.after);
                if at.fix_length {
                    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(after));
                }
                let end = (!at.fix_length).then_some((cut, End::Close));
                response.map(|body| first(body, after, end))
            }
            Fault::Corrupt(place) => {
                let at = place.at.unwrap_or(self.chance % length).min(length - 1);
                response.map(|body| corrupt(body, at))
            }
            Fault::Drip(drip) => response.map(|body| slow(body, drip.bytes_per_second.0)),
            Fault::Error(_) | Fault::Delay(_) | Fault::ResetRequest(_) | Fault::LoseResponse(_) => response,
        }
    }
}

impl Refusal {
    fn answer(&self) -> Answer {
        let Some(code) = &self.code else {
            let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let page = format!("<html><body><h1>{status}</h1></body></html>\n");
            return Reply::text(status, page).with(CONTENT_TYPE.as_str(), "text/html");
        };
        let message = self.message.clone().unwrap_or_else(|| "This fault was asked for.".to_owned());
        let mut error = ServiceError::new(ErrorCode::from(code.as_str()), message);
        error.status = self.status.unwrap_or(error.status);
        Err(error)
    }
}

/// Reads `after` bytes of the request's body, or half of it, and resets the connection.
async fn reset_in(request: Request<Incoming>, after: Option<u64>, cut: &Cut) -> Infallible {
    let mut body = request.into_body();
    let mut left = after.unwrap_or_else(|| body.size_hint().lower() / 2);
    while left > 0 {
        let Some(Ok(frame)) = body.frame().await else { break };
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
    }
    cut.now(End::Reset).await
}

/// The length of an answer's body, which the head tells from now on.
fn length(response: &mut Response<Body>) -> u64 {
    let told = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(length) = told {
        return length;
    }
    // Every body without the header is in memory.
    let length = response.body().size_hint().exact().unwrap_or_default();
    if length > 0 {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    length
}

/// A body that is made of the one before: `next` gives its pieces.
fn made<S, F>(state: S, next: impl FnMut(S) -> F + Send + 'static) -> Body
where
    S: Send + 'static,
    F: Future<Output = std::io::Result<Option<(Bytes, S)>>> + Send + 'static,
{
    let mut next = next;
    let frames = stream::try_unfold(state, move |state| {
        let piece = next(state);
        async move { Ok(piece.await?.map(|(data, state)| (Frame::data(data), state))) }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The next data of a body.
async fn data(body: &mut Body) -> std::io::Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await.transpose()? {
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The first `length` bytes of a body. Then it ends, with the connection if told so.
fn first(body: Body, length: u64, end: Option<(Cut, End)>) -> Body {
    made((body, length, end), |(mut body, left, end)| async move {
        let piece = match left {
            0 => None,
            _ => data(&mut body).await?,
        };
        match (piece, end) {
            (Some(mut piece), end) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Ok(Some((piece, (body, left, end))))
            }
            (None, None) => Ok(None),
            (None, Some((cut, end))) => {
                tokio::time::sleep(LEAVE).await;
                match cut.now(end).await {}
            }
        }
    })
}

/// A body with a wrong bit in the byte `at`.
fn corrupt(body: Body, at: u64) -> Body {
    made((body, Some(at)), |(mut body, at)| async move {
        let Some(piece) = data(&mut body).await? else { return Ok(None) };
        let length = piece.len() as u64;
        match at {
            Some(at) if at < length => {
                let mut piece = Vec::from(piece);
                // It is less than a length in memory.
                piece[at as usize] ^= 1;
                Ok(Some((piece.into(), (body, None))))
            }
            at => Ok(Some((piece, (body, at.map(|at| at - length))))),
        }
    })
}

/// A body that comes at `speed` bytes a second.
fn slow(body: Body, speed: u64) -> Body {
    made((body, Bytes::new()), move |(mut body, mut rest)| async move {
        if rest.is_empty() {
            let Some(piece) = data(&mut body).await? else { return Ok(None) };
            rest = piece;
        }
        let at_a_time = (speed.saturating_mul(DROP.as_millis() as u64) / 1000).max(1);
        let piece = rest.split_to(rest.len().min(usize::try_from(at_a_time).unwrap_or(usize::MAX)));
        tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / speed as f64)).await;
        Ok(Some((piece, (body, rest))))
    })
}
