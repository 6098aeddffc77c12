//! The documented examples, read from the schemas that the model embeds.

use serde_json::Value;
use wechatpay_model::Spec;
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::check::{Context, check, resolve_aliases};

/// Merchant id that examples are called with, unless they say otherwise.
pub const MCHID: &str = "1900000109";

/// One documented example.
#[derive(Debug)]
pub struct Example {
    /// The operation.
    pub spec: &'static Spec,
    /// The example's object in the schema file.
    pub json: Value,
}

impl Example {
    /// The examples of all operations.
    pub fn all() -> impl Iterator<Item = Self> {
        wechatpay_model::operations().flat_map(|spec| {
            let schema: Value = serde_json::from_str(spec.schema()).expect("the embedded schema is JSON");
            let examples = schema["examples"].as_array().cloned().unwrap_or_default();
            examples.into_iter().map(move |json| Self { spec, json })
        })
    }

    /// The example of this operation with this name.
    pub fn named(id: &str, name: &str) -> Self {
        Self::all().find(|example| example.spec.id() == id && example.json["name"] == name).expect("the example exists")
    }

    /// Operation and name, for messages.
    pub fn title(&self) -> String {
        format!("{} ({})", self.spec.id(), self.json["name"].as_str().unwrap_or("unnamed"))
    }

    /// The request as printed.
    pub fn request(&self) -> Value {
        self.json["request"].clone()
    }

    /// What is wrong with it by its own note, as (place, rule), sorted.
    pub fn named_violations(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let named = self.json["violations"].as_array().cloned().unwrap_or_default();
        let mut named: Vec<_> = named.iter().map(|v| (text(&v["at"]), text(&v["rule"]))).collect();
        named.sort();
        named
    }

    /// The named differences: place and new value.
    pub fn put_right(&self) -> Vec<(String, Value)> {
        let named = self.json["put_right"].as_object().cloned().unwrap_or_default();
        named.into_iter().collect()
    }

    /// Unix time at which it is called.
    pub fn now(&self) -> i64 {
        let now = self.json["now"].as_str().unwrap_or("2026-01-01T00:00:00+08:00");
        Timestamp::new(now).instant().expect("`now` is RFC 3339").seconds
    }

    /// Merchant that calls.
    pub fn caller(&self) -> &str {
        self.json["caller"].as_str().unwrap_or(MCHID)
    }

    /// What the protocol finds wrong with a request of this example, as (place, rule), sorted.
    pub fn violations(&self, request: &Value) -> Vec<(String, String)> {
        let mut request = request.clone();
        resolve_aliases(self.spec, &mut request);
        let found = check(self.spec, &request, &Context { now: self.now(), mchid: self.caller() });
        let mut found: Vec<_> = found.into_iter().map(|v| (v.pointer, v.kind.as_str().to_owned())).collect();
        found.sort();
        found
    }
}

/// Sets the value at a JSON pointer whose parent exists; a null takes the field away.
pub fn set(request: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer to a field");
    match request.pointer_mut(parent).expect("the parent exists") {
        Value::Object(map) if value.is_null() => {
            map.remove(name);
        }
        Value::Object(map) => {
            map.insert(name.to_owned(), value);
        }
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        _ => panic!("{pointer} has no parent that can hold it"),
    }
}
