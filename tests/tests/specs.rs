//! What each operation is, reviewed: its Spec as text, and the bytes that its first accepted example puts on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use std::fmt::Write;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Bound, Idempotency};
use wechatpay_protocol::check::{Context, describe_charset};
use wechatpay_protocol::request::{Authorization, prepare};
use wechatpay_protocol::{BaseUrl, Stamp};
use wechatpay_tests::story::Example;

#[test]
fn specs_and_wire_forms_are_as_reviewed() {
    for spec in wechatpay_model::operations() {
        let text = format!("{}\n{}", describe(spec), wire(spec));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(spec.id(), text);
        });
    }
}

fn describe(spec: &Spec) -> String {
    let mut text = String::new();
    let key = match spec.idempotency() {
        Idempotency::Key(field) => format!(" {field}"),
        _ => String::new(),
    };
    writeln!(text, "{} {}", spec.method().as_str(), spec.path()).unwrap();
    writeln!(text, "{} ({})", spec.title(), spec.title_zh()).unwrap();
    writeln!(
        text,
        "query {:?}, header {:?}, body {:?}, answer {:?}",
        spec.query(),
        spec.header(),
        spec.body(),
        spec.answer()
    )
    .unwrap();
    writeln!(text, "idempotency: {}{key}", spec.idempotency().as_str()).unwrap();
    if let Some(page) = spec.page() {
        writeln!(text, "page: {page:?}").unwrap();
    }
    for rate in spec.rate() {
        writeln!(text, "rate: {rate:?}").unwrap();
    }
    text.push_str("\nlimits\n");
    for limit in spec.limits() {
        let bound = match limit.bound {
            Bound::Required => "required".to_owned(),
            Bound::Type(name) => name.to_owned(),
            Bound::OneOf(values) => format!("one of {}", values.join(" ")),
            Bound::OneOfNumbers(values) => format!("one of {values:?}"),
            Bound::Length(min, max) => format!("{} characters", range(min, max)),
            Bound::Charset(charset) => format!("characters {}", describe_charset(charset)),
            Bound::Format(format) => format!("{format:?}"),
            Bound::Range(min, max) => format!(
                "between {} and {}",
                min.map_or("any".to_owned(), |min| min.to_string()),
                max.map_or("any".to_owned(), |max| max.to_string())
            ),
            Bound::Count(min, max) => format!("{} items", range(min, max)),
            other => panic!("{other:?} has no words here"),
        };
        writeln!(text, "  {} {bound}", if limit.pointer.is_empty() { "/" } else { &limit.pointer }).unwrap();
    }
    text.push_str("\nrules\n");
    spec.rules().iter().for_each(|rule| writeln!(text, "  {rule:?}").unwrap());
    text.push_str("\nerrors\n");
    for row in spec.errors() {
        writeln!(text, "  {} {} [{}] {} → {}", row.status(), row.code(), row.message(), row.meaning(), row.remedy())
            .unwrap();
    }
    text
}

fn range(min: usize, max: Option<usize>) -> String {
    max.map_or(format!("at least {min}"), |max| format!("{min} to {max}"))
}

fn wire(spec: &'static Spec) -> String {
    let example = Example::all()
        .find(|example| example.spec.id() == spec.id() && example.named_violations().is_empty())
        .unwrap_or_else(|| panic!("{} has no accepted example", spec.id()));
    let context = Context { now: example.now(), mchid: example.caller() };
    let prepared = match prepare(spec, example.request(), &context) {
        Ok(prepared) => prepared,
        // Multipart bodies take another road.
        Err(invalid) => return format!("wire\n  {}\n", invalid.violations[0]),
    };
    let authorization = Authorization { scheme: "SCHEME", mchid: "MCHID", serial_no: "SERIAL" };
    let stamp = Stamp { timestamp: 1, nonce: "NONCE".to_owned() };
    let request = prepared.sign_with(&BaseUrl::official(), &authorization, None, &stamp, b"").expect("a request");
    let mut text = format!("wire\n{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        if spec.header().iter().any(|known| known.eq_ignore_ascii_case(name.as_str())) {
            writeln!(text, "{name}: {}", value.to_str().expect("ASCII")).unwrap();
        }
    }
    text.push_str(std::str::from_utf8(request.body()).expect("UTF-8"));
    text.push('\n');
    text
}
