//! Which documented refusals a state of the sandbox leads to, and which are asked for by `error=`.
//!
//! The snapshot is the list. It is made from what is tried here, and the tests of whole lives reach some rows more. A row counts as reached when a request without a fault was refused with it: with nothing
//! there, as a stranger, with merchants, apps and users that are unknown, with a number used twice, and under each setting.
//! 429 is reached with the setting `rate_limits`, where a rate is documented.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Body, ErrorRow, Idempotency};
use wechatpay_protocol::response::document;
use wechatpay_protocol::{Error, Reply};
use wechatpay_sandbox::Settings;
use wechatpay_tests::rehearsal::{Rehearsal, number};
use wechatpay_tests::scene::{APP, USER, as_printed, ready};
use wechatpay_tests::story::set;

/// Settings that make a call fail that would be done.
fn adversities() -> Vec<Value> {
    vec![
        json!({"favor_opened": false}),
        json!({"favor_balance": 0}),
        json!({"favor_audience_imported": false}),
        json!({"favor_user_limit": "request_blocked"}),
        json!({"favor_unbound_appids": [APP], "busifavor_unbound_appids": [APP]}),
        json!({"favor_abnormal_users": [USER], "busifavor_unknown_users": [USER]}),
        json!({"favor_openids": {USER: "wxAnother"}}),
        json!({"busifavor_code_limit": 0}),
        json!({"busifavor_repeat": "already_exists", "guessed_repeat": "already_exists"}),
        json!({"refuse_unknown_merchants": true}),
        json!({"certificates": false}),
    ]
}

/// What happens outside the API between what comes before and the call.
fn misfortunes(fields: &Value) -> Vec<Value> {
    let mut acts = Vec::new();
    let stock = &fields["stock_id"];
    if stock.is_string() {
        acts.push(json!({"act": "console", "stock_id": stock, "to": "pause"}));
        acts.push(json!({"act": "console", "stock_id": stock, "to": "stop"}));
        acts.push(json!({"act": "user_delete", "stock_id": stock, "coupon_code": fields["coupon_code"]}));
    }
    acts
}

/// The rows that were reached: operation and place in its table.
#[derive(Default)]
struct Reached(BTreeSet<(&'static str, usize)>);

impl Reached {
    fn note<T>(&mut self, spec: &'static Spec, outcome: Result<Reply<T>, Error>) -> Option<Reply<T>> {
        let refusal = match outcome {
            Ok(reply) => return Some(reply),
            Err(Error::Api(refusal)) => refusal,
            Err(Error::OutcomeUnknown(unknown)) => match unknown.source {
                Error::Api(refusal) => refusal,
                other => panic!("{}: {other}", spec.id()),
            },
            // What the client does not send leads nowhere.
            Err(Error::Invalid(_)) => return None,
            Err(other) => panic!("{}: {other}", spec.id()),
        };
        // Where the message picks no row, nothing says which it was.
        if let [row] = document(Some(spec), refusal.status, refusal.code.as_str(), &refusal.message)[..] {
            let place = spec.errors().iter().position(|own: &ErrorRow| std::ptr::eq(own, row));
            self.0.extend(place.map(|place| (spec.id(), place)));
        }
        None
    }
}

async fn call(world: &Rehearsal, reached: &mut Reached, merchant: usize, spec: &'static Spec, request: Value) {
    let outcome = world.client_of(merchant).call(spec, request).await;
    reached.note(spec, outcome);
}

/// A request whose bytes break the limits; the client would not send it.
async fn broken(world: &Rehearsal, reached: &mut Reached, spec: &'static Spec) {
    let path: Vec<_> = spec.path().split('/').map(|part| if part.starts_with('{') { "a%20b" } else { part }).collect();
    let method: Method = spec.method().as_str().parse().expect("a method");
    let body = json!({});
    let body = (spec.body() == Body::Json).then_some(&body);
    let outcome = world.client.send_raw(method, &path.join("/"), &[("offset", "x"), ("limit", "0")], body).await;
    reached.note(spec, outcome);
}

/// Everything that is tried with one operation.
async fn provoke(world: &Rehearsal, reached: &mut Reached, spec: &'static Spec) {
    let id = spec.id();
    let afresh = || {
        world.sandbox.reset();
        world.sandbox.set_settings(Settings::default());
        world.turn_to("2026-01-05T10:00:00+08:00");
    };
    afresh();
    call(world, reached, 0, spec, as_printed(id, &json!({}))).await;
    broken(world, reached, spec).await;
    let fields = ready(world, id).await;
    let request = as_printed(id, &fields);
    call(world, reached, 2, spec, request.clone()).await;
    for (name, value) in
        [("mchid", "1900000999"), ("stock_creator_mchid", "1900000999"), ("belong_merchant", "1900000999")]
    {
        if request.get(name).is_some() {
            let mut unknown = request.clone();
            set(&mut unknown, &format!("/{name}"), json!(value));
            call(world, reached, 0, spec, unknown).await;
        }
    }
    for name in ["payee_merchant", "creator_merchant", "creator_mchid"] {
        let mut unknown = request.clone();
        set(&mut unknown, &format!("/{name}"), json!("1900000999"));
        call(world, reached, 0, spec, unknown).await;
    }
    for (name, value) in fields.as_object().expect("an object") {
        if value.is_string() && (name.ends_with("_id") || name == "coupon_code") {
            let mut absent = request.clone();
            absent[name] = json!("4711");
            call(world, reached, 0, spec, absent).await;
        }
    }
    for setting in adversities() {
        afresh();
        let fields = ready(world, id).await;
        world.settings(setting);
        call(world, reached, 0, spec, as_printed(id, &fields)).await;
    }
    // What is new takes a while.
    afresh();
    if ["favor.start_stock", "busifavor.upload_coupon_codes"].contains(&id) {
        world.settings(json!({"favor_registration_delay": 60, "busifavor_creating": 60}));
        let fields = ready(world, id).await;
        call(world, reached, 0, spec, as_printed(id, &fields)).await;
    }
    afresh();
    for act in 0..misfortunes(&ready(world, id).await).len() {
        afresh();
        let fields = ready(world, id).await;
        // Not every coupon can be deleted and not every stock paused; the call is made all the same.
        let _ = world.sandbox.act(&misfortunes(&fields)[act]);
        call(world, reached, 0, spec, as_printed(id, &fields)).await;
    }
    // The same number for another thing.
    if let Idempotency::Key(place) = spec.idempotency() {
        afresh();
        let place = if place.starts_with('/') { place.to_owned() } else { format!("/{place}") };
        let reused = json!(number());
        for _ in 0..2 {
            let mut request = as_printed(id, &ready(world, id).await);
            set(&mut request, &place, reused.clone());
            call(world, reached, 0, spec, request).await;
        }
        // And another number for what was done.
        afresh();
        let mut request = as_printed(id, &ready(world, id).await);
        for _ in 0..3 {
            set(&mut request, &place, json!(number()));
            call(world, reached, 0, spec, request.clone()).await;
        }
    }
}

#[tokio::test]
async fn what_a_state_leads_to_and_what_must_be_asked_for() {
    let world = Rehearsal::start().await;
    let mut reached = Reached::default();
    for spec in wechatpay_model::operations() {
        provoke(&world, &mut reached, spec).await;
    }
    let mut text = String::new();
    let (mut by_state, mut all) = (0, 0);
    for spec in wechatpay_model::operations() {
        writeln!(text, "{}", spec.id()).unwrap();
        let mut seen: Vec<(u16, &str)> = Vec::new();
        for (place, row) in spec.errors().iter().enumerate() {
            seen.push((row.status(), row.code()));
            let n = seen.iter().filter(|other| **other == (row.status(), row.code())).count();
            let how = match reached.0.contains(&(spec.id(), place)) {
                true => "by state",
                // That each documented rate ends in this row is a test of the sandbox.
                false if row.status() == 429 && !spec.rate().is_empty() => "by rate",
                false => "by error=",
            };
            let line = format!("  {how:10} {}:{}:{n} {}", row.status(), row.code(), row.message());
            writeln!(text, "{}", line.trim_end()).unwrap();
            all += 1;
            by_state += usize::from(how == "by state");
        }
    }
    writeln!(text, "{by_state} of {all} rows by state").unwrap();
    insta::assert_snapshot!(text);
}
