//! The control paths, `/_sandbox/…`: unsigned, for loopback only, everything JSON.

use crate::ambient::{instant, time_text};
use crate::api::Api;
use crate::courier;
use crate::fault_rules::FaultRule;
use crate::log::Exchange;
use crate::snapshot;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// Most bytes of a control request.
const LIMIT: usize = 1 << 20;

/// Most bytes of a snapshot.
const SNAPSHOT_LIMIT: usize = 256 << 20;

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Marks a request of somebody who may use the control paths.
#[derive(Clone, Copy)]
pub(crate) struct Trusted;

/// The routes below `/_sandbox`.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/health", get(health))
        .route("/requests", get(requests))
        .route("/ledger", get(ledger))
        .route("/events", get(events))
        .route("/reset", post(reset))
        .route("/rotate", post(rotate))
        .route("/act", post(act))
        .route("/merchants", get(merchants).post(add_merchant))
        .route("/trigger", post(trigger))
        .route("/snapshot", get(take_snapshot).post(restore_snapshot))
        .route("/clock", get(clock).post(set_clock))
        .route("/settings", get(settings).post(set_settings))
        .route("/faults", get(faults).post(add_fault).delete(remove_faults))
        .route("/faults/{id}", delete(remove_fault))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(axum::middleware::from_fn(loopback_only))
}

async fn loopback_only(request: Request, next: axum::middleware::Next) -> Response {
    if request.extensions().get::<Trusted>().is_some() {
        next.run(request).await
    } else {
        let message = "control paths answer loopback only, unless the sandbox is started with --allow-remote-control";
        refuse(StatusCode::FORBIDDEN, message)
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, json(&json!({"error": message}))).into_response()
}

fn bad(message: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, message)
}

async fn read(request: Request) -> Result<Value, String> {
    read_most(request, LIMIT).await
}

async fn read_most(request: Request, limit: usize) -> Result<Value, String> {
    let bytes = axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the body is not JSON: {error}"))
}

async fn unknown(request: Request) -> Response {
    let message = format!(
        "{} {} is no control path; there are GET /_sandbox/health requests ledger events merchants snapshot clock \
         settings faults, POST /_sandbox/reset rotate act trigger merchants snapshot clock settings faults, and DELETE \
         /_sandbox/faults faults/ID",
        request.method(),
        request.uri().path()
    );
    refuse(StatusCode::NOT_FOUND, &message)
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let world = api.world();
    json(&json!({
        "ready": true,
        "version": env!("CARGO_PKG_VERSION"),
        "seed": world.ambient.seed(),
        "clock": world.ambient.clock_name(),
        "now": world.ambient.now_text(),
        "operations": wechatpay_model::operations().count(),
    }))
}

/// What `GET /_sandbox/requests` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<usize>,
    operation: Option<String>,
    status: Option<u16>,
}

async fn requests(State(api): State<Arc<Api>>, request: Request) -> Response {
    let filter = match axum::extract::Query::<Filter>::try_from_uri(request.uri()) {
        Ok(filter) => filter.0,
        Err(error) => return bad(&format!("{error}; the filters are limit, operation and status")),
    };
    let world = api.world();
    let wanted = |exchange: &&Exchange| {
        filter.operation.as_deref().is_none_or(|operation| exchange.operation == Some(operation))
            && filter.status.is_none_or(|status| exchange.status == Some(status))
    };
    let found: Vec<_> = world.log.newest().filter(wanted).take(filter.limit.unwrap_or(100)).collect();
    json(&json!({"requests": found}))
}

async fn ledger(State(api): State<Arc<Api>>) -> Response {
    json(&api.world().ledger())
}

/// What `GET /_sandbox/events` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Whether to wait until all that is due has been sent.
    #[serde(default)]
    settled: bool,
}

async fn events(State(api): State<Arc<Api>>, uri: Uri) -> Response {
    let wait = match axum::extract::Query::<Wait>::try_from_uri(&uri) {
        Ok(wait) => wait.0,
        Err(error) => return bad(&format!("{error}; settled=true waits until all that is due has been sent")),
    };
    if wait.settled {
        courier::settled(&api).await;
    }
    let world = api.world();
    let events: Vec<_> = world.state.outbox.all().collect();
    json(&json!({"events": events}))
}

async fn reset(State(api): State<Arc<Api>>) -> Response {
    api.world().reset();
    json(&json!({"reset": true}))
}

async fn rotate(State(api): State<Arc<Api>>) -> Response {
    match api.rotate() {
        Ok(serial) => json(&json!({"platform_serial": serial})),
        Err(message) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &message),
    }
}

async fn act(State(api): State<Arc<Api>>, request: Request) -> Response {
    match read(request).await.and_then(|action| api.world().act(&action)) {
        Ok(done) => json(&done),
        Err(message) => bad(&message),
    }
}

async fn merchants(State(api): State<Arc<Api>>) -> Response {
    let merchants =
        api.keys.merchants().map(|merchant| json!({"mchid": merchant.mchid, "serial_no": merchant.serial_no}));
    json(&json!({"merchants": merchants.collect::<Vec<_>>()}))
}

/// What `POST /_sandbox/merchants` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMerchant {
    mchid: String,
}

async fn add_merchant(State(api): State<Arc<Api>>, request: Request) -> Response {
    let form = "write {\"mchid\": \"1900000002\"}";
    let wanted = read(request).await.and_then(|body| serde_json::from_value(body).map_err(|e| format!("{e}; {form}")));
    let NewMerchant { mchid } = match wanted {
        Ok(wanted) => wanted,
        Err(message) => return bad(&message),
    };
    let now = api.world().ambient.now();
    // An RSA key takes its time.
    match tokio::task::spawn_blocking(move || api.keys.add(&mchid, now)).await {
        Ok(Ok(credentials)) => json(&credentials),
        Ok(Err(message)) => bad(&message),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn trigger(State(api): State<Arc<Api>>, request: Request) -> Response {
    let sent = match read(request).await {
        Ok(wish) => crate::trigger::trigger(&api, &wish).await,
        Err(message) => Err(message),
    };
    match sent {
        Ok(event) => json(&event),
        Err(message) => bad(&message),
    }
}

async fn take_snapshot(State(api): State<Arc<Api>>) -> Response {
    match snapshot::take(&api.world()) {
        Ok(snapshot) => json(&snapshot),
        Err(message) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &message),
    }
}

async fn restore_snapshot(State(api): State<Arc<Api>>, request: Request) -> Response {
    let snapshot = read_most(request, SNAPSHOT_LIMIT).await;
    match snapshot.and_then(|snapshot| snapshot::restore(&mut api.world(), &snapshot)) {
        Ok(()) => json(&json!({"restored": true})),
        Err(message) => bad(&message),
    }
}

async fn clock(State(api): State<Arc<Api>>) -> Response {
    let world = api.world();
    json(&json!({"now": world.ambient.now_text(), "unix": world.ambient.now(), "clock": world.ambient.clock_name()}))
}

/// What `POST /_sandbox/clock` takes: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Turn {
    AdvanceSeconds(i64),
    Set(String),
}

async fn set_clock(State(api): State<Arc<Api>>, request: Request) -> Response {
    let form = "write {\"advance_seconds\": N} or {\"set\": \"2026-01-01T00:00:00+08:00\"}";
    let turn = read(request).await.and_then(|body| serde_json::from_value(body).map_err(|e| format!("{e}; {form}")));
    let mut world = api.world();
    let turned = turn.and_then(|turn| match turn {
        Turn::AdvanceSeconds(seconds) => world.turn(|ambient| ambient.advance(seconds)),
        Turn::Set(text) => match instant(&text) {
            Some((seconds, _)) => world.turn(|ambient| ambient.set(seconds)),
            None => Err(format!("{text:?} is no RFC 3339 time; {form}")),
        },
    });
    match turned {
        Ok(()) => json(&json!({"now": time_text(world.ambient.now())})),
        Err(message) => bad(&message),
    }
}

async fn settings(State(api): State<Arc<Api>>) -> Response {
    json(&api.world().settings)
}

async fn set_settings(State(api): State<Arc<Api>>, request: Request) -> Response {
    let changes = read(request).await;
    let mut world = api.world();
    match changes.and_then(|changes| world.settings.with(&changes)) {
        Ok(settings) => {
            world.settings = settings;
            json(&world.settings)
        }
        Err(message) => bad(&message),
    }
}

async fn faults(State(api): State<Arc<Api>>) -> Response {
    json(&json!({"faults": api.world().faults.all()}))
}

async fn add_fault(State(api): State<Arc<Api>>, request: Request) -> Response {
    let form = "write {\"fault\": \"NAME[=argument]\"} and, if wanted, operation, nth, probability, times and seed";
    let rule = read(request).await.and_then(|body| serde_json::from_value(body).map_err(|e| format!("{e}; {form}")));
    let mut world = api.world();
    match rule.and_then(|rule: FaultRule| world.add_fault(rule)) {
        Ok(standing) => json(&standing),
        Err(message) => bad(&message),
    }
}

async fn remove_faults(State(api): State<Arc<Api>>) -> Response {
    json(&json!({"removed": api.world().faults.remove(None)}))
}

async fn remove_fault(State(api): State<Arc<Api>>, Path(id): Path<u64>) -> Response {
    match api.world().faults.remove(Some(id)) {
        0 => refuse(StatusCode::NOT_FOUND, &format!("there is no fault rule {id}; GET /_sandbox/faults lists them")),
        removed => json(&json!({"removed": removed})),
    }
}
