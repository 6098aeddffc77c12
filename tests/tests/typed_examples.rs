//! Each operation as its documents show it, on the whole road: typed request, client, HTTP, sandbox, verified typed answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use wechatpay_hyper::Hyper;
use wechatpay_model::operation::{Answer, Body, Idempotency};
use wechatpay_model::types::Timestamp;
use wechatpay_model::{Operation, Spec};
use wechatpay_protocol::request::File;
use wechatpay_protocol::{Client, Error, Transport, TransportError};
use wechatpay_sandbox::{Sandbox, Settings};
use wechatpay_tests::generate::Schema;
use wechatpay_tests::rehearsal::Rehearsal;
use wechatpay_tests::road::client;
use wechatpay_tests::scene::{Scene, as_printed};
use wechatpay_tests::story::{Example, MCHID};

/// What is uploaded where a file belongs.
const FILE: &[u8] = b"\xff\xd8\xff no picture";

/// A transport that keeps the last body.
struct Keeping {
    inner: Hyper,
    body: Arc<Mutex<Bytes>>,
}

impl Transport for Keeping {
    type Body = Full<Bytes>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
        let (parts, body) = self.inner.call(request).await?.into_parts();
        let body = body.collect().await.map_err(TransportError::interrupted)?.to_bytes();
        *self.body.lock().unwrap() = body.clone();
        Ok(http::Response::from_parts(parts, Full::new(body)))
    }
}

/// Operations in the order of a life: what makes things first, what ends them last.
fn age(spec: &Spec) -> usize {
    let name = spec.id().split('.').nth(1).unwrap_or_default();
    let verb = name.split('_').next().unwrap_or_default();
    match verb {
        "create" => 0,
        "start" | "upload" | "set" | "add" => 1,
        "send" | "pre" => 2,
        "use" | "associate" | "pause" => 4,
        "return" | "disassociate" | "restart" => 5,
        "stop" | "deactivate" | "delete" | "terminate" => 6,
        _ => 3,
    }
}
const OLDEST: usize = 6;

/// The road, and what was learnt on it.
struct Journey {
    sandbox: Sandbox,
    client: Client<Keeping>,
    body: Arc<Mutex<Bytes>>,
    /// Ids that answers named: family and field → value.
    ids: BTreeMap<(&'static str, String), Value>,
    answered: Vec<&'static Spec>,
    refused: BTreeMap<&'static str, String>,
    numbers: u32,
}

impl Journey {
    async fn start() -> Self {
        let changes = json!({
            "paygift_check_stocks": false, "partnership_check_stocks": false, "product_coupon_needs_address": false
        });
        let settings = Settings::default().with(&changes).expect("settings");
        let sandbox = Sandbox::builder().merchant(MCHID).settings(settings).start().await.expect("a sandbox");
        let body = Arc::default();
        let client = client(&sandbox, Keeping { inner: Hyper::new(), body: Arc::clone(&body) });
        let (ids, answered, refused) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { sandbox, client, body, ids, answered, refused, numbers: 0 }
    }

    /// Sends an example that is accepted: as it is printed but for the date, then about things that are there, then
    /// as the merchant that they belong to, at last without what need not be said.
    async fn visit<O: Operation + DeserializeOwned>(&mut self, round: usize) {
        let spec = O::SPEC;
        let accepted =
            Example::all().filter(|example| example.spec.id() == spec.id() && example.json["violations"].is_null());
        // The first, then the next, if there is one.
        let example =
            accepted.take(round + 1).last().unwrap_or_else(|| panic!("{} has no accepted example", spec.id()));
        let schema = Schema::new(spec.schema());
        for closeness in round..4 {
            if self.answered.iter().any(|answered| answered.id() == spec.id()) {
                return;
            }
            let mut request = example.request();
            move_times(&mut request, self.sandbox.now() - example.now());
            if spec.body() == Body::Multipart {
                let digest = Sha256::digest(FILE);
                request["sha256"] = json!(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            }
            schema.walk_request(&mut request, &mut |name, node, value| {
                let known = self.ids.get(&(spec.family(), name.to_owned()));
                let merchant = node["x-type"] == json!("MchId");
                match known {
                    Some(known) if closeness > 0 => *value = known.clone(),
                    _ if closeness > 0 && node["x-type"] == json!("OpenId") => *value = json!("oTypedExample"),
                    _ if closeness > 0 && node["x-type"] == json!("AppId") => *value = json!("wxTypedExample"),
                    _ if merchant && (closeness > 1 || value == example.caller()) => *value = json!(MCHID),
                    _ => {}
                }
            });
            if closeness > 2 {
                schema.only_required(&mut request);
            }
            if let (Idempotency::Key(place), true) = (spec.idempotency(), closeness > 0) {
                self.numbers += 1;
                let place = if place.starts_with('/') { place.to_owned() } else { format!("/{place}") };
                *request.pointer_mut(&place).expect("the request number") = json!(format!("{MCHID}{}", self.numbers));
            }
            self.send::<O>(&schema, request).await;
        }
    }

    async fn send<O: Operation + DeserializeOwned>(&mut self, schema: &Schema, request: Value) {
        let spec = O::SPEC;
        let typed: O = serde_json::from_value(request).unwrap_or_else(|error| panic!("{}: {error}", spec.id()));
        let outcome = match spec.body() {
            Body::Multipart => self.client.upload(&typed, File { name: "picture.jpg", bytes: FILE }).await,
            _ => self.client.send(&typed).await,
        };
        match outcome {
            Ok(reply) => {
                assert!((200..300).contains(&reply.status), "{}: {}", spec.id(), reply.status);
                let body = self.body.lock().unwrap().clone();
                self.learn(spec, schema, &body);
                self.answered.push(spec);
                self.refused.remove(spec.id());
            }
            Err(Error::Api(refusal)) => {
                assert!(refusal.authenticated, "{}: {refusal}", spec.id());
                let why = self.sandbox.last_request().map(|exchange| exchange.why).unwrap_or_default();
                self.refused.insert(spec.id(), format!("{} {}: {why}", refusal.status, refusal.code));
            }
            // Another example of the same thing may be as good as none.
            Err(Error::Invalid(invalid)) => {
                self.refused.insert(spec.id(), invalid.to_string());
            }
            Err(error) => panic!("{}: {error}", spec.id()),
        }
    }

    /// Holds an answer against its schema, and keeps the ids that it names.
    fn learn(&mut self, spec: &'static Spec, schema: &Schema, body: &[u8]) {
        let Some(document) = schema.answer_document() else {
            assert!(spec.answer() == Answer::Empty && body.is_empty(), "{}", spec.id());
            return;
        };
        let answer: Value = serde_json::from_slice(body).expect("JSON");
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7).should_validate_formats(true);
        let validator = options.build(&document).unwrap_or_else(|error| panic!("{}: {error}", spec.id()));
        let wrong: Vec<_> =
            validator.iter_errors(&answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{} answers {answer}, and {wrong:#?}", spec.id());
        collect_ids(&answer, &mut |name, value| {
            let known = self.ids.entry((spec.family(), name.to_owned())).or_insert_with(|| value.clone());
            // The last that was made is what the next is about; lists may name anything.
            if age(spec) < 3 {
                *known = value.clone();
            }
        });
    }
}

/// Moves every time in a request by so many seconds.
fn move_times(value: &mut Value, seconds: i64) {
    match value {
        Value::String(text) => {
            if let Some(instant) = Timestamp::new(text.as_str()).instant()
                && let Some(moved) = Timestamp::from_unix(instant.seconds + seconds)
            {
                *text = moved.as_str().to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_times(item, seconds)),
        Value::Object(fields) => fields.values_mut().for_each(|field| move_times(field, seconds)),
        _ => {}
    }
}

fn collect_ids(value: &Value, keep: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, keep)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.is_string() && (name.ends_with("_id") || name == "coupon_code") {
                    keep(name, field);
                }
                collect_ids(field, keep);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_gets_a_typed_answer_that_keeps_to_its_schema() {
    let mut journey = Journey::start().await;
    for round in 0..2 {
        if round > 0 {
            // What is left wants things that are as new as they were.
            journey.ids.clear();
            journey.answered.retain(|spec| age(spec) > 0);
        }
        for time in 0..=OLDEST {
            macro_rules! each {
                ($operation:ty) => {
                    if age(<$operation>::SPEC) == time {
                        Box::pin(journey.visit::<$operation>(round)).await;
                    }
                };
            }
            wechatpay_model::for_each_operation!(each);
        }
    }
    let Journey { mut answered, refused, .. } = journey;
    // What only a longer story leads to, each in a world of its own.
    let mut stories = 0;
    macro_rules! told {
        ($operation:ty) => {
            if let Some(why) = refused.get(<$operation>::SPEC.id()) {
                Box::pin(tell::<$operation>(why)).await;
                answered.push(<$operation>::SPEC);
                stories += 1;
            }
        };
    }
    wechatpay_model::for_each_operation!(told);
    println!("{} operations answered, {stories} of them at the end of a story", answered.len());
    assert_eq!(stories, refused.len());
    assert_eq!(answered.len(), wechatpay_model::operations().count());
}

/// Plays what comes before the first example of an operation, then sends that.
async fn tell<O: Operation + DeserializeOwned>(why: &str) {
    let id = O::SPEC.id();
    let world = Rehearsal::start().await;
    let scene = Scene { world: &world, changes: &[] };
    let fields = scene.before(id).await.unwrap_or_else(|| panic!("{id} was refused and has no story: {why}"));
    let request = as_printed(id, &fields);
    let typed: O = serde_json::from_value(request).unwrap_or_else(|error| panic!("{id}: {error}"));
    let reply = world.client.send(&typed).await.unwrap_or_else(|error| panic!("{id}: {error}: {}", world.last().why));
    assert!((200..300).contains(&reply.status), "{id}: {}", reply.status);
}
