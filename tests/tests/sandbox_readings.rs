//! The limits of a request are read twice: by the client's check, from the generated description, and by the sandbox,
//! from the schema text with a JSON Schema validator. Here both look at the same requests, right ones and spoilt ones:
//! most of them side by side, and a sample over the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use wechatpay_model::Spec;
use wechatpay_model::operation::Body;
use wechatpay_protocol::check::{Context, check, resolve_aliases};
use wechatpay_protocol::crypto::{Signer as _, aws_lc::Signer};
use wechatpay_sandbox::{Clock, Reading, Sandbox};
use wechatpay_tests::generate::{Schema, runner};
use wechatpay_tests::story::{Example, MCHID, set};

/// Each place of a value that holds something.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                found.push(pointer.clone());
                places(value, &pointer, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate().take(1) {
                let pointer = format!("{pointer}/{index}");
                found.push(pointer.clone());
                places(value, &pointer, found);
            }
        }
        _ => {}
    }
}

/// What a value may be replaced by; `null` is set below, because it takes fields away here.
fn replacements() -> Vec<Value> {
    vec![
        json!(""),
        json!("a"),
        json!("\t"),
        json!("a\n"),
        json!("字".repeat(40)),
        json!("x".repeat(2000)),
        json!("\u{ffff}"),
        json!("\u{10000}"),
        json!("2026-02-30T00:00:00+08:00"),
        json!("2026-03-01T00:00:00.5Z"),
        json!("2026-03-01t00:00:00z"),
        json!("2026-03-01 00:00:00Z"),
        json!("2016-12-31T23:59:60Z"),
        json!("2017-01-01T07:59:60+08:00"),
        json!("2026-03-01T00:00:00+24:00"),
        json!("2026-03-01T00:00:00-23:59"),
        json!("0000-01-01T00:00:00Z"),
        json!("2026-03-01T00:00:00"),
        json!(0),
        json!(-1),
        json!(7),
        json!(1.0),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!([]),
        json!([null]),
        json!({}),
        json!({"surprise": 1}),
    ]
}

/// The request with each of its places spoilt in each way; `within` chooses the places.
fn spoilt(original: &Value, within: impl Fn(&str) -> bool) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    places(original, "", &mut found);
    found.retain(|pointer| within(pointer));
    let mut all = Vec::new();
    for pointer in found {
        let mut add = |value: Value| {
            let mut request = original.clone();
            *request.pointer_mut(&pointer).expect("the place") = value;
            all.push((pointer.clone(), request));
        };
        replacements().into_iter().for_each(&mut add);
        add(Value::Null);
        if !pointer.ends_with("/0") {
            let mut without = original.clone();
            set(&mut without, &pointer, Value::Null);
            all.push((pointer, without));
        }
    }
    all
}

/// What the client's check finds, as (place, rule).
fn ours(spec: &Spec, request: &Value, now: i64, mchid: &str) -> BTreeSet<(String, String)> {
    let mut request = request.clone();
    resolve_aliases(spec, &mut request);
    let found = check(spec, &request, &Context { now, mchid });
    found.into_iter().map(|violation| (violation.pointer, violation.kind.as_str().to_owned())).collect()
}

/// Both readings side by side, and how often they agreed.
#[derive(Default)]
struct Readers {
    sandbox: Reading,
    accepted: Cell<usize>,
    refused: Cell<usize>,
}

impl Readers {
    /// What the two find, if it is not the same.
    fn compare(&self, spec: &'static Spec, request: &Value, now: i64, mchid: &str) -> Result<(), String> {
        let ours = ours(spec, request, now, mchid);
        let theirs = self.sandbox.violations(spec, request, now, mchid)?;
        let theirs: BTreeSet<_> = theirs.into_iter().map(|v| (v.at, v.rule.to_owned())).collect();
        if ours != theirs {
            return Err(format!("{}: the client finds {ours:?}, the sandbox {theirs:?} in {request}", spec.id()));
        }
        let count = if ours.is_empty() { &self.accepted } else { &self.refused };
        count.set(count.get() + 1);
        Ok(())
    }
}

/// Spoils a request at a place of chance in a way of chance.
fn spoil(request: &mut Value, place: Index, way: Index, other: Index) {
    let mut found = vec![String::new()];
    places(request, "", &mut found);
    let (place, other) = (found[place.index(found.len())].clone(), found[other.index(found.len())].clone());
    let replacements = replacements();
    let way = way.index(replacements.len() + 4);
    if let Some(value) = replacements.get(way) {
        *request.pointer_mut(&place).expect("the place") = value.clone();
        return;
    }
    let elsewhere = request.pointer(&other).cloned().unwrap_or_default();
    let in_array = place.ends_with(|last: char| last.is_ascii_digit());
    match (way - replacements.len(), request.pointer_mut(&place).expect("the place")) {
        (0, value) => *value = elsewhere,
        (1, _) if !place.is_empty() && !in_array => set(request, &place, Value::Null),
        (2, Value::Object(fields)) => {
            fields.insert("sur~pri/se".to_owned(), elsewhere);
        }
        (_, Value::String(text)) => *text = text.to_uppercase() + text,
        (_, Value::Number(number)) => *number = number.as_i64().unwrap_or(0).wrapping_add(1).into(),
        (_, Value::Array(items)) => items.extend(items.clone()),
        (_, value) => *value = Value::Null,
    }
}

#[test]
fn both_readings_find_the_same_in_generated_requests() {
    let readers = Readers::default();
    for spec in wechatpay_model::operations() {
        let requests = Schema::new(spec.schema()).requests();
        let now = 1_767_225_600i64..1_830_297_600;
        let spoils = proptest::collection::vec(any::<(Index, Index, Index)>(), 0..4);
        let outcome = runner(300).run(&(requests, now, spoils), |((mut request, _), now, spoils)| {
            for (place, way, other) in spoils {
                spoil(&mut request, place, way, other);
            }
            readers.compare(spec, &request, now, MCHID).map_err(TestCaseError::fail)
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        let requests = Schema::new(spec.schema()).requests_at_the_limits();
        let outcome = runner(300).run(&requests, |request| {
            readers.compare(spec, &request, 1_767_225_600, MCHID).map_err(TestCaseError::fail)
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
    let (accepted, refused) = (readers.accepted.get(), readers.refused.get());
    println!("{accepted} requests accepted by both, {refused} refused by both for the same reasons");
    assert!(accepted > 1000 && accepted + refused >= 10_000, "{accepted} and {refused}");
}

#[test]
fn both_readings_find_the_same_in_spoilt_examples() {
    let readers = Readers::default();
    let mut seen = BTreeSet::new();
    for example in Example::all() {
        if !example.named_violations().is_empty() || !seen.insert(example.spec.id()) {
            continue;
        }
        for (_, request) in spoilt(&example.request(), |_| true) {
            readers.compare(example.spec, &request, example.now(), example.caller()).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    let (accepted, refused) = (readers.accepted.get(), readers.refused.get());
    println!("{accepted} requests accepted by both, {refused} refused by both for the same reasons");
    assert!(accepted > 100 && refused > 5000, "{accepted} and {refused}");
}

/// A connection that stays open, with the signer of the merchant.
struct Line {
    stream: BufReader<TcpStream>,
    signer: Signer,
    serial: String,
    sent: u64,
}

impl Line {
    fn call(&mut self, now: i64, method: &str, target: &str, body: &str) {
        self.sent += 1;
        let nonce = format!("n{}", self.sent);
        let message = format!("{method}\n{target}\n{now}\n{nonce}\n{body}\n");
        let signature = STANDARD.encode(self.signer.sign(message.as_bytes()).expect("a signature"));
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: sandbox\r\nContent-Length: {}\r\nAuthorization: \
             WECHATPAY2-SHA256-RSA2048 mchid=\"{MCHID}\",nonce_str=\"{nonce}\",timestamp=\"{now}\",serial_no=\"{}\",\
             signature=\"{signature}\"\r\n\r\n{body}",
            body.len(),
            self.serial
        );
        self.stream.get_mut().write_all(head.as_bytes()).expect("the sandbox reads");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a head");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        self.stream.read_exact(&mut vec![0; length]).expect("a body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_of_a_request_that_arrived_is_what_the_client_finds() {
    let sandbox = Sandbox::builder().merchant(MCHID).clock(Clock::Virtual(0)).start().await.expect("a sandbox");
    let merchant = sandbox.merchant();
    let mut line = Line {
        stream: BufReader::new(TcpStream::connect(sandbox.address()).expect("the sandbox listens")),
        signer: Signer::from_pem(&merchant.private_key_pem).expect("a key"),
        serial: merchant.serial_no,
        sent: 0,
    };
    let mut seen = BTreeSet::new();
    for example in Example::all() {
        let spec = example.spec;
        if spec.body() != Body::Json || !example.named_violations().is_empty() || !seen.insert(spec.id()) {
            continue;
        }
        sandbox.set_clock(example.now()).expect("the clock moves");
        let original = example.request();
        let travels_elsewhere = |pointer: &str| {
            let name = pointer.split('/').nth(1).unwrap_or_default();
            spec.path().contains(&format!("{{{name}}}"))
                || spec.query().contains(&name)
                || spec.header().contains(&name)
        };
        let all = spoilt(&original, |pointer| !travels_elsewhere(pointer));
        // A prime, so that each way of spoiling has its turn.
        for (pointer, request) in all.into_iter().step_by(11) {
            let mut fields = request.as_object().cloned().expect("an object");
            let mut target = spec.path().to_owned();
            let mut separator = '?';
            for (name, value) in original.as_object().expect("an object") {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
                if spec.path().contains(&format!("{{{name}}}")) {
                    target = target.replace(&format!("{{{name}}}"), &text);
                    fields.remove(name);
                } else if spec.query().contains(&name.as_str()) {
                    target += &format!("{separator}{name}={text}");
                    separator = '&';
                    fields.remove(name);
                }
            }
            line.call(example.now(), spec.method().as_str(), &target, &Value::Object(fields).to_string());
            let logged = sandbox.last_request().expect("a request");
            let theirs: BTreeSet<_> = logged.violations.iter().map(|v| (v.at.clone(), v.rule.to_owned())).collect();
            let mut ours: BTreeSet<_> = example.violations(&request).into_iter().collect();
            // Codes are sorted out by the state, not refused by the schema.
            let sorted = |at: &str, rule: &str| {
                spec.id().ends_with(".upload_coupon_codes")
                    && (at.starts_with("/coupon_code_list/") || at.starts_with("/code_list/"))
                    && ["length", "charset"].contains(&rule)
            };
            ours.retain(|(at, rule)| !sorted(at, rule));
            assert_eq!(theirs, ours, "{}: {pointer} = {:?}", example.title(), request.pointer(&pointer));
        }
    }
    assert!(line.sent > 400, "only {} requests were compared", line.sent);
    println!("{} requests of {} operations compared", line.sent, seen.len());
}
