//! The routes under `/_glacierfs/`, for whoever tests with the endpoint: its clock, its inventories, its faults.
//!
//! They exist only when they are asked for, and answer only to a token of their own: whoever has a key of the service
//! must not be able to move its clock past a vault lock.

pub(super) mod clock;
pub(super) mod token;

use std::path::Path;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;

use super::body;
use super::cut::Cut;
use super::error::{bad_request, invalid};
use super::faults::{self, FaultPlan, Faults};
use super::reply::{Answer, Body, Reply};
use super::request::Query;
use super::routes::Route;
use super::service::Service;
use crate::glacier::error::ServiceError;

/// What the paths begin with. No account is called so.
const PREFIX: &str = "/_glacierfs/";

/// What the routes need.
pub(super) struct Admin {
    pub token: token::Token,
    clock: clock::Mover,
    faults: Faults,
}

impl Admin {
    /// For the endpoint on `data`. Blocks.
    pub fn open(data: &Path, faults: Option<FaultPlan>) -> std::io::Result<Self> {
        let token = token::Token::load_or_create(data)?;
        Ok(Admin { token, clock: clock::Mover::new(data), faults: Faults::new(faults) })
    }
}

/// Answers a request: by a route of this module, by the service, or by the service with a fault.
pub(super) async fn answer(service: &Service, request: Request<Incoming>, cut: Cut) -> Response<Body> {
    let Some(admin) = &service.admin else { return service.answer(request).await };
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if path.starts_with(PREFIX) {
        let (head, mut body) = request.into_parts();
        let answer = route(service, admin, &head, &mut body).await;
        return service.respond(&head, body, answer).await;
    }
    let route = Route::find(request.method(), path, &Query::new(query)).ok();
    match route.and_then(|route| admin.faults.strike(route.operation.name())) {
        None => service.answer(request).await,
        Some(strike) => strike.answer(service, request, cut).await,
    }
}

async fn route(service: &Service, admin: &Admin, head: &Parts, body: &mut Incoming) -> Answer {
    admin.token.check(&head.headers)?;
    let body = body::read_small(body, service.body_timeout).await?;
    let path = head.uri.path();
    match (head.method.as_str(), &path[PREFIX.len()..]) {
        ("GET", "clock") => Reply::json(&clock::Shown::of(&service.clock)),
        ("POST", "clock") => {
            admin.clock.apply(&service.clock, &read("move of the clock", &body)?).await?;
            Reply::json(&clock::Shown::of(&service.clock))
        }
        ("POST", "inventory") => {
            let wanted: Wanted = read("inventory request", &body)?;
            let account = wanted.account.map_or_else(|| Arc::clone(service.keys.first_account()), Arc::from);
            service.take_inventory(service.address(account, wanted.vault)).await
        }
        ("GET", "faults") => Reply::json(&admin.faults.status()),
        ("PUT", "faults") => {
            admin.faults.set(read("fault plan", &body)?);
            Reply::json(&admin.faults.status())
        }
        ("DELETE", "faults") => {
            admin.faults.clear();
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (method, _) => Err(bad_request(format!(
            "There is no {method} {path}. There are GET and POST {PREFIX}clock, POST {PREFIX}inventory, and GET, PUT and \
             DELETE {PREFIX}faults."
        ))),
    }
}

/// The vault whose inventory is to be taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    vault: String,
    /// The endpoint's first account unless given.
    account: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, ServiceError> {
    faults::read(json).map_err(|error| invalid(format!("Invalid {what}: {error}")))
}
