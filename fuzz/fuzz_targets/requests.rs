//! A request from JSON: the first line names the operation, or is `raw` and the second line a path. Method, target and body
//! are compared with what a naive reading of the description gives, and the way back gives the arguments again.

#![no_main]

use http::{HeaderMap, Method, Uri};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use wechatpay_fuzz::{NOW, first_line};
use wechatpay_model::Spec;
use wechatpay_model::operation::Body;
use wechatpay_protocol::check::{Context, check, resolve_aliases};
use wechatpay_protocol::request::{Route, parse, prepare, prepare_raw};

const MCHID: &str = "1900000109";

fuzz_target!(|input: &[u8]| {
    let Some((id, rest)) = first_line(input) else { return };
    if id == "raw" {
        return raw(rest);
    }
    let Some(spec) = wechatpay_model::operations().find(|spec| spec.id() == id) else { return };
    let Ok(arguments) = serde_json::from_slice::<Value>(rest) else { return };
    typed(spec, arguments);
});

fn typed(spec: &'static Spec, mut arguments: Value) {
    let context = Context { now: NOW, mchid: MCHID };
    let prepared = prepare(spec, arguments.clone(), &context);
    resolve_aliases(spec, &mut arguments);
    let violations = check(spec, &arguments, &context);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(invalid) => {
            assert!(!invalid.violations.is_empty());
            assert!(violations.iter().all(|violation| invalid.violations.contains(violation)));
            return;
        }
    };
    assert_eq!(violations, []);
    let Value::Object(fields) = &arguments else { panic!("a request is an object") };
    let (target, body) = naive(spec, fields);
    assert_eq!(prepared.target(), target);
    assert_eq!(prepared.method().as_str(), spec.method().as_str());
    match spec.body() {
        Body::None => assert_eq!(prepared.body().len(), 0),
        _ => assert_eq!(serde_json::from_slice::<Value>(prepared.body()).ok(), Some(Value::Object(body))),
    }
    // HTTP libraries take the target as it is.
    let uri: Uri = target.parse().unwrap_or_else(|error| panic!("{error}: {target}"));
    assert_eq!(uri.path_and_query().map(|both| both.as_str()), Some(&*target));

    let route = Route::find(wechatpay_model::operations(), prepared.method(), uri.path()).expect("it leads back");
    assert_eq!(route.spec.id(), spec.id());
    if spec.header().is_empty() {
        let found = parse(&route, uri.query(), &HeaderMap::new(), prepared.body());
        assert_eq!(found.as_ref().ok(), Some(&arguments), "{found:?}");
    }
}

/// Target and rest of the fields: byte by byte, without a library.
fn naive(spec: &Spec, fields: &Map<String, Value>) -> (String, Map<String, Value>) {
    let mut rest = fields.clone();
    let mut target = String::new();
    let mut template = spec.path();
    while let Some(open) = template.find('{') {
        let close = template.find('}').expect("a name ends");
        target += &template[..open];
        let name = &template[open + 1..close];
        target += &encoded(rest.remove(name).expect("required").as_str().expect("text"));
        template = &template[close + 1..];
    }
    target += template;
    let mut pairs = Vec::new();
    for name in spec.query() {
        match rest.remove(*name) {
            Some(Value::String(text)) => pairs.push(format!("{name}={}", encoded(&text))),
            Some(other) => pairs.push(format!("{name}={}", encoded(&other.to_string()))),
            None => {}
        }
    }
    if !pairs.is_empty() {
        target = format!("{target}?{}", pairs.join("&"));
    }
    for name in spec.header() {
        rest.remove(*name);
    }
    (target, rest)
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// Any path, one query pair, any body.
fn raw(input: &[u8]) {
    let Some((path, rest)) = first_line(input) else { return };
    let Some((value, body)) = first_line(rest) else { return };
    let body = serde_json::from_slice::<Value>(body).ok();
    let Ok(prepared) = prepare_raw(Method::POST, path, &[("q", value)], body.as_ref()) else { return };
    let separator = if path.contains('?') { '&' } else { '?' };
    assert_eq!(prepared.target(), format!("{path}{separator}q={}", encoded(value)));
    // What was signed is what arrives: the library must not write it in another way.
    let uri: Uri = prepared.target().parse().unwrap_or_else(|error| panic!("{error}: {}", prepared.target()));
    assert_eq!(uri.path_and_query().map(|both| both.as_str()), Some(prepared.target()));
    assert_eq!(prepared.body(), &body.map(|body| body.to_string()).unwrap_or_default());
}
