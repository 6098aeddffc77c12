//! The limits of a request are read twice: by the client's check, from the generated description, and by the sandbox,
//! from the schema text with a JSON Schema validator. Here both look at the same spoilt requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use wechatpay_model::operation::Body;
use wechatpay_protocol::crypto::{Signer as _, aws_lc::Signer};
use wechatpay_sandbox::{Clock, Sandbox};
use wechatpay_tests::story::{Example, MCHID, set};

/// Each place of a value that holds something.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let pointer = format!("{pointer}/{name}");
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
async fn both_readings_object_to_the_same_places_for_the_same_reasons() {
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
        let mut found = Vec::new();
        places(&original, "", &mut found);
        let travels_elsewhere = |pointer: &str| {
            let name = pointer.split('/').nth(1).unwrap_or_default();
            spec.path().contains(&format!("{{{name}}}"))
                || spec.query().contains(&name)
                || spec.header().contains(&name)
        };
        found.retain(|pointer| !travels_elsewhere(pointer));
        for pointer in &found {
            let mut spoilt = Vec::new();
            for value in replacements() {
                let mut request = original.clone();
                set(&mut request, pointer, value);
                spoilt.push(request);
            }
            let mut without = original.clone();
            if !pointer.ends_with("/0") {
                set(&mut without, pointer, Value::Null);
                spoilt.push(without);
            }
            let mut null = original.clone();
            *null.pointer_mut(pointer).expect("the place") = Value::Null;
            spoilt.push(null);

            for request in spoilt {
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
                    spec.id() == "busifavor.upload_coupon_codes"
                        && at.starts_with("/coupon_code_list/")
                        && ["length", "charset"].contains(&rule)
                };
                ours.retain(|(at, rule)| !sorted(at, rule));
                assert_eq!(theirs, ours, "{}: {pointer} = {:?}", example.title(), request.pointer(pointer));
            }
        }
    }
    assert!(line.sent > 1000, "only {} requests were compared", line.sent);
    println!("{} requests of {} operations compared", line.sent, seen.len());
}
