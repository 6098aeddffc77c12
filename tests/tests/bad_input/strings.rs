//! Naughty strings in every field of every request that is a text.

use crate::{NOW, counted, naughty};
use http::Uri;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use wechatpay_model::Spec;
use wechatpay_protocol::check::{Context, check, resolve_aliases};
use wechatpay_protocol::request::{Route, prepare};
use wechatpay_sandbox::Reading;
use wechatpay_tests::story::MCHID;

/// A request with every field that its schema knows; a list has one item. What the texts say is put in later.
pub(crate) fn full(spec: &Spec) -> Value {
    fn make(document: &Value, node: &Value) -> Value {
        if let Some(reference) = node["$ref"].as_str() {
            return make(document, document.pointer(reference.trim_start_matches('#')).expect("it leads somewhere"));
        }
        match node["type"].as_str() {
            Some("object") => {
                let fields = node["properties"].as_object().cloned().unwrap_or_default();
                fields.iter().map(|(name, node)| (name.clone(), make(document, node))).collect::<Map<_, _>>().into()
            }
            Some("array") => json!([make(document, &node["items"])]),
            Some("integer") => node["minimum"].as_i64().unwrap_or(1).into(),
            Some("boolean") => true.into(),
            _ => "".into(),
        }
    }
    let document: Value = serde_json::from_str(spec.schema()).expect("the embedded schema is JSON");
    make(&document, &document["request"])
}

/// Puts the same text in all places that hold one; how many there are.
fn fill(value: &mut Value, text: &str) -> usize {
    match value {
        Value::String(old) => {
            text.clone_into(old);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| fill(item, text)).sum(),
        Value::Object(fields) => fields.values_mut().map(|field| fill(field, text)).sum(),
        _ => 0,
    }
}

#[test]
fn in_every_field_they_are_taken_or_named_and_never_repeated() {
    let (mut cases, mut fields, mut taken) = (0, 0, 0);
    let sandbox = Reading::default();
    let context = Context { now: NOW, mchid: MCHID };
    let naughty = naughty();
    for (at, spec) in wechatpay_model::operations().enumerate() {
        let mut request = full(spec);
        for (number, text) in naughty.iter().enumerate() {
            let count = fill(&mut request, text);
            if count == 0 {
                break;
            }
            (cases, fields) = (cases + 1, fields + count);
            let mut resolved = request.clone();
            resolve_aliases(spec, &mut resolved);
            let found = check(spec, &resolved, &context);
            for violation in found.iter().filter(|_| text.chars().count() >= 12) {
                assert!(!violation.to_string().contains(text.as_str()), "{}: {violation}", spec.id());
            }
            // The sandbox's reading takes longer, so each of its turns sees another part.
            if (number + at).is_multiple_of(7) {
                let theirs = sandbox.violations(spec, &request, NOW, MCHID).expect("its schema");
                let theirs: BTreeSet<_> = theirs.into_iter().map(|v| (v.at, v.rule.to_owned())).collect();
                let ours = found.iter().map(|v| (v.pointer.clone(), v.kind.as_str().to_owned())).collect();
                assert_eq!(theirs, ours, "{} with {text:?}", spec.id());
            }
            match prepare(spec, request.clone(), &context) {
                Ok(prepared) => {
                    assert!(found.is_empty(), "{}: {text:?}", spec.id());
                    let uri: Uri = prepared.target().parse().expect("a target");
                    let back = Route::find([spec], prepared.method(), uri.path()).expect("it leads back");
                    assert!(back.path.iter().all(|(_, value)| value == text), "{}: {text:?}", spec.id());
                    taken += 1;
                }
                Err(invalid) => assert!(!invalid.violations.is_empty()),
            }
        }
    }
    println!("{fields} fields, {taken} requests that nothing is wrong with");
    assert!(fields > 400_000 && taken > 0, "{fields} {taken}");
    counted("strings in all fields of all requests", cases);
}
