//! Each documented example through all of a call that needs no key: checked, laid out, read again as a server does, and
//! its answer decoded. Plain Rust, so `cargo xtask miri` runs it as well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use wechatpay_model::operation::Body;
use wechatpay_model::types::Timestamp;
use wechatpay_model::{Operation, Spec};
use wechatpay_protocol::check::{Context, check, resolve_aliases};
use wechatpay_protocol::request::{Authorization, File, Prepared, Route, parse, prepare, prepare_upload};
use wechatpay_protocol::response::{Verified, decode};
use wechatpay_protocol::{BaseUrl, Error, Invalid, Stamp};

/// Who calls, unless the example says otherwise.
const MCHID: &str = "1900000109";

/// How many examples were what.
#[derive(Default)]
struct Seen {
    accepted: usize,
    refused: usize,
    answers: usize,
}

fn lay_out(spec: &Spec, request: &Value, context: &Context<'_>) -> Result<Prepared, Invalid> {
    match spec.body() {
        Body::Multipart => prepare_upload(spec, request.clone(), File { name: "a.png", bytes: b"\x89PNG" }, context),
        _ => prepare(spec, request.clone(), context),
    }
}

/// The request on the wire, and the arguments that a server finds in it.
fn there_and_back(what: &str, spec: &'static Spec, prepared: &Prepared) -> Value {
    let authorization = Authorization { scheme: "S", mchid: MCHID, serial_no: "AB" };
    let stamp = Stamp { timestamp: 1, nonce: "n".to_owned() };
    let request = prepared.sign_with(&BaseUrl::official(), &authorization, None, &stamp, b"s").expect(what);
    let message = String::from_utf8(prepared.message(&stamp)).expect(what);
    assert!(message.starts_with(&format!("{}\n{}\n1\nn\n", spec.method().as_str(), prepared.target())), "{what}");
    let route = Route::find(wechatpay_model::operations(), request.method(), request.uri().path()).expect(what);
    assert_eq!(route.spec.id(), spec.id(), "{what}");
    parse(&route, request.uri().query(), request.headers(), request.body()).unwrap_or_else(|e| panic!("{what}: {e:?}"))
}

fn request(what: &str, spec: &'static Spec, example: &Value, seen: &mut Seen) {
    let now = example["now"].as_str().unwrap_or("2026-01-01T00:00:00+08:00");
    let now = Timestamp::new(now).instant().expect(what).seconds;
    let context = Context { now, mchid: example["caller"].as_str().unwrap_or(MCHID) };
    let mut arguments = example["request"].clone();
    let outcome = lay_out(spec, &arguments, &context);
    resolve_aliases(spec, &mut arguments);
    let violations = check(spec, &arguments, &context);
    if let Some(named) = example["violations"].as_array() {
        assert_eq!(violations.len(), named.len(), "{what}: {violations:?}");
        assert_eq!(outcome.err().map(|invalid| invalid.violations), Some(violations), "{what}");
        seen.refused += 1;
        return;
    }
    assert_eq!(violations, [], "{what}");
    let prepared = outcome.unwrap_or_else(|invalid| panic!("{what}: {invalid}"));
    if spec.body() != Body::Multipart {
        assert_eq!(there_and_back(what, spec, &prepared), arguments, "{what}");
    }
    seen.accepted += 1;
}

fn answer<O: Operation<Response: Serialize>>(what: &str, answer: &Value, seen: &mut Seen) {
    let verified = |body: &str| Verified {
        status: StatusCode::OK,
        request_id: None,
        serial: "AB".to_owned(),
        body: body.to_owned().into(),
    };
    let body = answer.to_string();
    let read = decode::<O::Response>(O::SPEC.answer(), &verified(&body)).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(serde_json::to_value(read).expect(what), *answer, "{what}");
    let cut = &body[..body.len() - 1];
    assert!(matches!(decode::<O::Response>(O::SPEC.answer(), &verified(cut)), Err(Error::Decode(_))), "{what}");
    seen.answers += 1;
}

fn operation<O: Operation<Response: Serialize>>(seen: &mut Seen) {
    let schema: Value = serde_json::from_str(O::SPEC.schema()).expect("the embedded schema is JSON");
    for example in schema["examples"].as_array().into_iter().flatten() {
        let what = format!("{} ({})", O::SPEC.id(), example["name"]);
        request(&what, O::SPEC, example, seen);
        if !example["response"].is_null() {
            answer::<O>(&what, &example["response"], seen);
        }
    }
}

#[test]
fn every_example_goes_there_and_back() {
    let mut seen = Seen::default();
    // Under miri, which is a thousand times slower, one operation of eight.
    let (mut number, step) = (0, if cfg!(miri) { 8 } else { 1 });
    macro_rules! each {
        ($operation:ty) => {
            if number % step == 0 {
                operation::<$operation>(&mut seen);
            }
            number += 1;
        };
    }
    wechatpay_model::for_each_operation!(each);
    assert_eq!(number, wechatpay_model::operations().count());
    let Seen { accepted, refused, answers } = seen;
    println!("{accepted} requests accepted, {refused} refused, {answers} answers read");
    assert!(accepted >= number / step && refused > 50 / step && answers > 100 / step);
}
