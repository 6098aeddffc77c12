//! A sandbox whose clock stands still, clients that go by that clock, and a wire on which every answer is checked against
//! the schema of its operation.

use crate::road::{base, merchant, public_key};
use crate::typed::assert_typed;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_model::operation::{Body, Shape};
use wechatpay_protocol::check::resolve_aliases;
use wechatpay_protocol::request::{self, Route};
use wechatpay_protocol::{Client, Error, Stamper, SystemStamper, Transport, TransportError};
use wechatpay_sandbox::{Basis, Clock, Exchange, Sandbox, Settings};

/// The merchant that owns what the stories are about.
pub const MCHID: &str = "1900000109";
/// Another merchant.
pub const OTHER: &str = "1900000110";
/// 2026-01-05T10:00:00+08:00, a Monday.
pub const NOW: i64 = 1_767_578_400;

/// A client on the stage.
pub type StageClient = Client<Judged<Hyper>>;

/// A sandbox with two merchants and their clients.
pub struct Stage {
    /// The sandbox, at [`NOW`].
    pub sandbox: Arc<Sandbox>,
    /// Client of [`MCHID`].
    pub client: StageClient,
    /// Client of [`OTHER`].
    pub other: StageClient,
}

impl Stage {
    /// A sandbox with these changes of the settings.
    pub async fn with(changes: Value) -> Self {
        let settings = Settings::default().with(&changes).expect("settings");
        let builder = Sandbox::builder().merchant(MCHID).merchant(OTHER).clock(Clock::Virtual(NOW));
        let sandbox = Arc::new(builder.settings(settings).start().await.expect("a sandbox"));
        let [client, other] = [0, 1].map(|index| {
            let credentials = &sandbox.merchants()[index];
            Client::new(Judged(Hyper::new()), merchant(credentials), public_key(credentials))
                .with_base_url(base(&sandbox))
                .with_stamper(ClockOf(Arc::clone(&sandbox)))
        });
        Self { sandbox, client, other }
    }

    /// A sandbox with the default settings.
    pub async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// Changes the settings.
    pub fn set(&self, changes: Value) {
        self.sandbox.set_settings(self.sandbox.settings().with(&changes).expect("settings"));
    }

    /// Moves the clock.
    pub fn wait(&self, seconds: i64) {
        self.sandbox.advance_clock(seconds).expect("the clock moves");
    }

    /// Sets the clock.
    pub fn at(&self, time: &str) {
        let instant = wechatpay_model::types::Timestamp::new(time).instant().expect("RFC 3339");
        self.sandbox.set_clock(instant.seconds).expect("the clock moves");
    }

    /// Does what no API can.
    pub fn act(&self, action: Value) -> Value {
        self.sandbox.act(&action).unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// Why that cannot be done.
    pub fn impossible(&self, action: Value) -> String {
        self.sandbox.act(&action).expect_err("the action is impossible")
    }

    /// The newest request.
    pub fn last(&self) -> Exchange {
        self.sandbox.last_request().expect("a request")
    }

    /// Asserts that a call was refused so, that the message picks one documented row, and on what it rests.
    #[track_caller]
    pub fn refused<T: std::fmt::Debug>(
        &self,
        outcome: Result<T, Error>,
        status: u16,
        code: &str,
        basis: Basis,
    ) -> String {
        match outcome {
            Err(Error::Api(refusal)) => {
                let message = &refusal.message;
                assert_eq!((refusal.status, refusal.code.as_str()), (status, code), "{message}");
                assert_eq!(refusal.documented.len(), 1, "{message}: {:?}", refusal.documented);
                assert!(!refusal.remedy().expect("a remedy").is_empty());
                let last = self.last();
                assert_eq!(last.basis, basis, "{message}: {}", last.why);
                refusal.message.clone()
            }
            other => panic!("{status} {code} was expected: {other:?}"),
        }
    }

    /// Fetches a file and checks its hash.
    ///
    /// # Errors
    /// As the client's.
    pub async fn fetch(&self, url: &str, sha1: &str) -> Result<String, Error> {
        let mut file = self.client.download(url, sha1).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = file.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8(bytes).expect("UTF-8"))
    }
}

/// The clock of a sandbox, for clients.
pub struct ClockOf(pub Arc<Sandbox>);

impl Stamper for ClockOf {
    fn now(&self) -> i64 {
        self.0.now()
    }

    fn nonce(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        SystemStamper.nonce()
    }

    fn monotonic(&self) -> Duration {
        SystemStamper.monotonic()
    }

    fn jitter(&self) -> u16 {
        0
    }
}

/// A transport that checks every successful JSON answer against the schema and the type of its operation. Objects are
/// closed here: the sandbox answers no field that is not in the schema.
pub struct Judged<T>(pub T);

impl<T: Transport> Transport for Judged<T> {
    type Body = Full<Bytes>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
        let route = Route::find(wechatpay_model::operations(), request.method(), request.uri().path());
        let sent = route
            .as_ref()
            .and_then(|route| request::parse(route, request.uri().query(), request.headers(), request.body()).ok());
        let brand_id = brand_of(&request);
        let (parts, body) = self.0.call(request).await?.into_parts();
        let body = body.collect().await.map_err(TransportError::interrupted)?.to_bytes();
        if let Some(route) = route
            && parts.status.is_success()
            && !body.is_empty()
        {
            let answer = serde_json::from_slice(&body).expect("JSON");
            judge(route.spec.id(), route.spec.schema(), "response", &answer);
            if let Some(mut sent) = sent.filter(|_| route.spec.body() != Body::Multipart) {
                resolve_aliases(route.spec, &mut sent);
                let Shape::Object(fields) = route.spec.request() else { panic!("a request is an object") };
                let named = route.brand && fields.iter().any(|field| field.name() == request::BRAND_ID);
                if let Some(brand_id) = brand_id.filter(|_| named) {
                    sent[request::BRAND_ID] = brand_id.into();
                }
                assert_typed(route.spec.id(), &sent, &answer);
            }
        }
        Ok(http::Response::from_parts(parts, Full::new(body)))
    }
}

/// The brand that signed a request, which does not stand in it otherwise.
fn brand_of(request: &http::Request<Bytes>) -> Option<String> {
    let (_, rest) = request.headers().get("authorization")?.to_str().ok()?.split_once("brand_id=\"")?;
    rest.split('"').next().map(str::to_owned)
}

/// Asserts that a value is what a part of a schema file says.
pub fn judge(id: &'static str, schema: &str, part: &'static str, value: &Value) {
    type Judges = Mutex<HashMap<(&'static str, &'static str), Arc<Validator>>>;
    static JUDGES: LazyLock<Judges> = LazyLock::new(Judges::default);
    let mut judges = JUDGES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let judge = judges.entry((id, part)).or_insert_with(|| Arc::new(compile(schema, part)));
    let judge = Arc::clone(judge);
    drop(judges);
    let wrong: Vec<_> = judge.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{id} {part}: {wrong:?} in {value}");
}

fn compile(schema: &str, part: &str) -> Validator {
    let mut file: Value = serde_json::from_str(schema).expect("JSON");
    let (mut schema, definitions) = (file[part].take(), file["definitions"].take());
    schema["definitions"] = definitions;
    if schema["definitions"].is_null() {
        schema["definitions"] = json!({});
    }
    close(&mut schema);
    // draft-07 ignores what stands beside a reference, and so the definitions need a place of their own.
    if let Some(reference) = schema.get("$ref").cloned() {
        schema = json!({"definitions": schema["definitions"], "allOf": [{"$ref": reference}]});
    }
    let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
    options.build(&schema).expect("a schema")
}

fn close(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    if node.get("type").and_then(Value::as_str) == Some("object") {
        node.insert("additionalProperties".to_owned(), json!(false));
    }
    for name in ["properties", "definitions"] {
        if let Some(Value::Object(schemas)) = node.get_mut(name) {
            schemas.values_mut().for_each(close);
        }
    }
    if let Some(items) = node.get_mut("items") {
        close(items);
    }
}
