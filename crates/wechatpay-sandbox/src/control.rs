//! The control paths, `/_sandbox/…`: unsigned, for loopback only, everything JSON but the page.
//!
//! [`ROWS`] lists them all, once: the router and the OpenAPI document are both made from it, so a path that is served is
//! documented too.

mod guard;
mod openapi;

use crate::Ledger;
use crate::ambient::{instant, time_text};
use crate::api::Api;
use crate::courier;
use crate::fault_rules::{FaultRule, StandingRule};
use crate::keys::Credentials;
use crate::log::Exchange;
use crate::page;
use crate::settings::Settings;
use crate::snapshot;
use crate::state::{ACTIONS, Event};
use crate::trigger::{self, Wish};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, any_service, delete, get, post};
use schemars::JsonSchema;
use schemars::r#gen::SchemaGenerator;
use schemars::schema::Schema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where all control paths begin.
const PREFIX: &str = "/_sandbox";

/// Most bytes of a control request.
const LIMIT: usize = 1 << 20;

/// Most bytes of a snapshot.
const SNAPSHOT_LIMIT: usize = 256 << 20;

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Marks a request of somebody who may use the control paths.
#[derive(Clone, Copy)]
pub(crate) struct Trusted {
    /// Whether others than loopback may, too; they know the sandbox by names of their own.
    pub(crate) remote: bool,
}

/// Describes a type as JSON Schema.
type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One method of one control path: what it does, takes and answers, and the code behind it.
struct Row {
    method: &'static str,
    /// Behind `/_sandbox`.
    path: &'static str,
    summary: &'static str,
    /// An object whose properties are the parameters in the path.
    place: Option<Describe>,
    /// An object whose properties are the query parameters.
    query: Option<Describe>,
    takes: Option<Describe>,
    gives: Gives,
    serve: fn() -> MethodRouter<Arc<Api>>,
}

/// What a path answers.
enum Gives {
    Json(Describe),
    /// Another type of content.
    Other(&'static str),
}

impl Row {
    const fn get<T: JsonSchema>(
        path: &'static str,
        summary: &'static str,
        serve: fn() -> MethodRouter<Arc<Api>>,
    ) -> Self {
        let gives = Gives::Json(SchemaGenerator::subschema_for::<T>);
        Self { method: "GET", path, summary, place: None, query: None, takes: None, gives, serve }
    }

    const fn post<T: JsonSchema>(
        path: &'static str,
        summary: &'static str,
        serve: fn() -> MethodRouter<Arc<Api>>,
    ) -> Self {
        Self { method: "POST", ..Self::get::<T>(path, summary, serve) }
    }

    const fn delete<T: JsonSchema>(
        path: &'static str,
        summary: &'static str,
        serve: fn() -> MethodRouter<Arc<Api>>,
    ) -> Self {
        Self { method: "DELETE", ..Self::get::<T>(path, summary, serve) }
    }

    const fn file(
        path: &'static str,
        content_type: &'static str,
        summary: &'static str,
        serve: fn() -> MethodRouter<Arc<Api>>,
    ) -> Self {
        Self { gives: Gives::Other(content_type), ..Self::get::<Value>(path, summary, serve) }
    }

    const fn place<T: JsonSchema>(self) -> Self {
        Self { place: Some(T::json_schema), ..self }
    }

    const fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(T::json_schema), ..self }
    }

    const fn takes<T: JsonSchema>(self) -> Self {
        self.takes_schema(SchemaGenerator::subschema_for::<T>)
    }

    const fn takes_schema(self, takes: Describe) -> Self {
        Self { takes: Some(takes), ..self }
    }

    const fn gives_schema(self, gives: Describe) -> Self {
        Self { gives: Gives::Json(gives), ..self }
    }
}

/// All control paths.
const ROWS: &[Row] = &[
    Row::get::<Health>("/health", "Whether it is ready, with version, seed and clock", || get(health)),
    Row::get::<Requests>(
        "/requests",
        "The newest requests, newest first: what was checked and why it was answered so",
        || get(requests),
    )
    .query::<Filter>(),
    Row::get::<Ledger>("/ledger", "The effects of requests, each with its count", || get(ledger)),
    Row::get::<Events>("/events", "The notifications, oldest first, each with its attempts", || get(events))
        .query::<Wait>(),
    Row::get::<Merchants>("/merchants", "The merchants", || get(merchants)),
    Row::post::<Credentials>("/merchants", "Take in a merchant, for this run; the answer holds its keys", || {
        post(add_merchant)
    })
    .takes::<NewMerchant>(),
    Row::post::<Done>("/reset", "Forget all state, the log and the nonces", || post(reset)),
    Row::post::<Rotated>("/rotate", "Give the platform a new key and certificate", || post(rotate)),
    Row::post::<Value>("/act", "Do what happens outside the API", || post(act)).takes_schema(action),
    Row::post::<Event>("/trigger", "Send an event that never happened, and wait for the first attempt", || {
        post(trigger)
    })
    .takes::<Wish>(),
    Row::get::<Value>("/snapshot", "The whole state, with settings, clock and numbers", || get(take_snapshot))
        .gives_schema(saved),
    Row::post::<Restored>("/snapshot", "Put a snapshot back, all of it or nothing", || post(restore_snapshot))
        .takes_schema(saved),
    Row::get::<Time>("/clock", "The time of the sandbox's clock", || get(clock)),
    Row::post::<Time>("/clock", "Advance or set the clock", || post(set_clock)).takes::<Turn>(),
    Row::get::<Settings>("/settings", "The settings", || get(settings)),
    Row::post::<Settings>("/settings", "Change some settings; the others keep their values", || post(set_settings))
        .takes::<Settings>(),
    Row::get::<Faults>("/faults", "The fault rules, each with its counts", || get(faults)),
    Row::post::<StandingRule>("/faults", "Add a fault rule behind the others", || post(add_fault)).takes::<FaultRule>(),
    Row::delete::<Removed>("/faults", "Remove all fault rules", || delete(remove_faults)),
    Row::delete::<Removed>("/faults/{id}", "Remove a fault rule", || delete(remove_fault)).place::<RuleId>(),
    Row::get::<Value>("/openapi.json", "This document", || get(|| async { json(&openapi::document()) })),
    Row::file("/", "text/html", "All of this as a page for people", || get(page::show)).query::<Filter>(),
    Row::file("/page.css", "text/css", "How the page looks", || get(page::style)),
    Row::file("/page.js", "text/javascript", "Keeps the page up to date", || get(page::script)),
];

/// The router of the control paths.
pub(crate) fn routes(api: Arc<Api>) -> Router<Arc<Api>> {
    let add = |router: Router<_>, row: &Row| router.route(&format!("{PREFIX}{}", row.path), (row.serve)());
    let rows = ROWS
        .iter()
        .fold(Router::new(), add)
        .route(PREFIX, get(|| async { Redirect::permanent("/_sandbox/") }))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(api);
    // A form may name another method than POST, so it is read before a row is chosen.
    [PREFIX.to_owned(), format!("{PREFIX}/"), format!("{PREFIX}/{{*rest}}")]
        .iter()
        .fold(Router::new(), |router, path| router.route(path, any_service(rows.clone())))
        .layer(axum::middleware::from_fn(guard::forms))
        .layer(axum::middleware::from_fn(guard::local))
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
    let known: Vec<_> = ROWS.iter().map(|row| format!("{} {PREFIX}{}", row.method, row.path)).collect();
    let (method, path) = (request.method(), request.uri().path());
    refuse(StatusCode::NOT_FOUND, &format!("{method} {path} is no control path; there are {}", known.join(", ")))
}

/// That the sandbox is ready.
#[derive(Serialize, JsonSchema)]
struct Health {
    ready: bool,
    version: &'static str,
    /// What ids and nonces follow from.
    seed: u64,
    /// `system` or `virtual`.
    clock: &'static str,
    /// RFC 3339.
    now: String,
    /// How many operations it knows.
    operations: usize,
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let world = api.world();
    json(&Health {
        ready: true,
        version: env!("CARGO_PKG_VERSION"),
        seed: world.ambient.seed(),
        clock: world.ambient.clock_name(),
        now: world.ambient.now_text(),
        operations: wechatpay_model::operations().count(),
    })
}

/// Which requests are wanted: those that fit all that is given.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// How many at most; 100 by default.
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) limit: Option<usize>,
    /// Id of an operation, as `favor.start_stock`.
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) operation: Option<String>,
    /// HTTP status of the answer.
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) status: Option<u16>,
    /// Merchant whose signature was right.
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) mchid: Option<String>,
    /// Check that refused it: `signature`, `route`, `schema`, `rules` or `state`.
    #[serde(default, deserialize_with = "parsed")]
    pub(crate) failed: Option<String>,
}

/// A form sends an empty text for a field that was left alone.
fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

impl Filter {
    /// The filter in the query of a request.
    pub(crate) fn of(request: &Request) -> Result<Self, String> {
        let filter = axum::extract::Query::<Self>::try_from_uri(request.uri());
        let filter = filter.map_err(|error| format!("{error}; see GET /_sandbox/openapi.json"))?.0;
        match filter.failed.as_deref() {
            Some(name) if !crate::Checks::NAMES.contains(&name) => {
                Err(format!("there is no check {name:?}; `failed` is one of {}", crate::Checks::NAMES.join(", ")))
            }
            _ => Ok(filter),
        }
    }

    /// Those of the requests that fit.
    pub(crate) fn pick<'a>(&self, requests: impl Iterator<Item = &'a Exchange>) -> Vec<&'a Exchange> {
        let fits = |wish: &Option<String>, found: Option<&str>| wish.is_none() || wish.as_deref() == found;
        let wanted = |exchange: &&Exchange| {
            fits(&self.operation, exchange.operation)
                && fits(&self.mchid, exchange.mchid.as_deref())
                && fits(&self.failed, exchange.checks.failed())
                && self.status.is_none_or(|status| exchange.status == Some(status))
        };
        requests.filter(wanted).take(self.limit.unwrap_or(100)).collect()
    }
}

/// Requests and what became of them.
#[derive(Serialize, JsonSchema)]
struct Requests<'a> {
    requests: Vec<&'a Exchange>,
}

async fn requests(State(api): State<Arc<Api>>, request: Request) -> Response {
    match Filter::of(&request) {
        Ok(filter) => json(&Requests { requests: filter.pick(api.world().log.newest()) }),
        Err(message) => bad(&message),
    }
}

async fn ledger(State(api): State<Arc<Api>>) -> Response {
    json(&api.world().ledger())
}

/// Notifications.
#[derive(Serialize, JsonSchema)]
struct Events<'a> {
    events: Vec<&'a Event>,
}

/// What `GET /_sandbox/events` takes.
#[derive(Deserialize, JsonSchema)]
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
    json(&Events { events: api.world().state.outbox.all().collect() })
}

/// That everything was forgotten.
#[derive(Serialize, JsonSchema)]
struct Done {
    reset: bool,
}

async fn reset(State(api): State<Arc<Api>>) -> Response {
    api.world().reset();
    json(&Done { reset: true })
}

/// The new certificate.
#[derive(Serialize, JsonSchema)]
struct Rotated {
    platform_serial: String,
}

async fn rotate(State(api): State<Arc<Api>>) -> Response {
    match api.rotate() {
        Ok(platform_serial) => json(&Rotated { platform_serial }),
        Err(message) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &message),
    }
}

/// What `POST /_sandbox/act` takes.
fn action(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = ACTIONS.iter().map(|action| action.name).collect();
    openapi::schema(json!({
        "type": "object",
        "required": ["act"],
        "properties": {"act": {"enum": names}},
        "additionalProperties": true,
        "description": "What happens, and to what. What each action takes beside `act` is in the README of the crate.",
    }))
}

async fn act(State(api): State<Arc<Api>>, request: Request) -> Response {
    match read(request).await.and_then(|action| api.world().act(&action)) {
        Ok(done) => json(&done),
        Err(message) => bad(&message),
    }
}

/// Merchants that the sandbox has.
#[derive(Serialize, JsonSchema)]
struct Merchants<'a> {
    merchants: Vec<Member<'a>>,
}

/// A merchant.
#[derive(Serialize, JsonSchema)]
struct Member<'a> {
    mchid: &'a str,
    /// Serial number of its API certificate.
    serial_no: &'a str,
}

async fn merchants(State(api): State<Arc<Api>>) -> Response {
    let merchants =
        api.keys.merchants().map(|merchant| Member { mchid: &merchant.mchid, serial_no: &merchant.serial_no });
    json(&Merchants { merchants: merchants.collect() })
}

/// What `POST /_sandbox/merchants` takes.
#[derive(Deserialize, JsonSchema)]
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
        Ok(wish) => trigger::trigger(&api, &wish).await,
        Err(message) => Err(message),
    };
    match sent {
        Ok(event) => json(&event),
        Err(message) => bad(&message),
    }
}

/// A snapshot, as far as it is anybody's affair but the sandbox's.
fn saved(_: &mut SchemaGenerator) -> Schema {
    openapi::schema(json!({
        "type": "object",
        "required": ["format", "version", "settings", "moment", "state"],
        "description": "What `GET /_sandbox/snapshot` has answered, unchanged.",
    }))
}

/// That a snapshot was put back.
#[derive(Serialize, JsonSchema)]
struct Restored {
    restored: bool,
}

async fn take_snapshot(State(api): State<Arc<Api>>) -> Response {
    match snapshot::take(&api.keys, &api.world()) {
        Ok(snapshot) => json(&snapshot),
        Err(message) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &message),
    }
}

async fn restore_snapshot(State(api): State<Arc<Api>>, request: Request) -> Response {
    let snapshot = read_most(request, SNAPSHOT_LIMIT).await;
    match snapshot.and_then(|snapshot| snapshot::restore(&api.keys, &mut api.world(), &snapshot)) {
        Ok(()) => json(&Restored { restored: true }),
        Err(message) => bad(&message),
    }
}

/// The time of the sandbox's clock.
#[derive(Serialize, JsonSchema)]
struct Time {
    /// RFC 3339, in China's time.
    now: String,
    /// Unix time in seconds.
    unix: i64,
    /// `system` or `virtual`.
    clock: &'static str,
}

impl Time {
    fn of(ambient: &crate::ambient::Ambient) -> Self {
        Self { now: time_text(ambient.now()), unix: ambient.now(), clock: ambient.clock_name() }
    }
}

async fn clock(State(api): State<Arc<Api>>) -> Response {
    json(&Time::of(&api.world().ambient))
}

/// One of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Turn {
    /// Seconds by which the clock is moved, back if negative.
    AdvanceSeconds(i64),
    /// RFC 3339.
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
        Ok(()) => json(&Time::of(&world.ambient)),
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

/// The fault rules, in the order in which they are asked.
#[derive(Serialize, JsonSchema)]
struct Faults<'a> {
    faults: &'a [StandingRule],
}

async fn faults(State(api): State<Arc<Api>>) -> Response {
    json(&Faults { faults: api.world().faults.all() })
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

/// How many rules were removed.
#[derive(Serialize, JsonSchema)]
struct Removed {
    removed: usize,
}

async fn remove_faults(State(api): State<Arc<Api>>) -> Response {
    json(&Removed { removed: api.world().faults.remove(None) })
}

/// Which rule is meant.
#[derive(Deserialize, JsonSchema)]
struct RuleId {
    /// Id of the rule.
    id: u64,
}

async fn remove_fault(State(api): State<Arc<Api>>, rule: Result<Path<RuleId>, PathRejection>) -> Response {
    let Ok(Path(RuleId { id })) = rule else { return bad("the id of a fault rule is a number") };
    match api.world().faults.remove(Some(id)) {
        0 => refuse(StatusCode::NOT_FOUND, &format!("there is no fault rule {id}; GET /_sandbox/faults lists them")),
        removed => json(&Removed { removed }),
    }
}
