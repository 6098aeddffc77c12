//! A transport that holds the answers of the sandbox against the schemas of their operations.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use wechatpay_model::Spec;
use wechatpay_protocol::request::Route;
use wechatpay_protocol::{Transport, TransportError};

/// Passes everything on, and panics where a success does not fit the `response` of its schema.
pub struct Fitting<T>(pub T);

impl<T: Transport> Transport for Fitting<T> {
    type Body = Full<Bytes>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
        let route = Route::find(wechatpay_model::operations(), request.method(), request.uri().path());
        let (parts, body) = self.0.call(request).await?.into_parts();
        let body = body.collect().await.map_err(TransportError::interrupted)?.to_bytes();
        if let (Some(route), true) = (route, parts.status.is_success()) {
            check(route.spec, &body);
        }
        Ok(http::Response::from_parts(parts, Full::new(body)))
    }
}

/// Panics unless the body of a success fits.
pub fn check(spec: &'static Spec, body: &[u8]) {
    static COMPILED: LazyLock<Mutex<HashMap<&str, Option<jsonschema::Validator>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().expect("no check has panicked while it compiled");
    let validator = compiled.entry(spec.id()).or_insert_with(|| {
        let mut file: Value = serde_json::from_str(spec.schema()).expect("the embedded schema is JSON");
        let mut schema = file.get_mut("response")?.take();
        schema["definitions"] = file["definitions"].take();
        let schema = match schema.get("$ref").cloned() {
            // In draft-07 nothing beside a `$ref` counts, so the definitions stand around it.
            Some(target) => serde_json::json!({"allOf": [{"$ref": target}], "definitions": schema["definitions"]}),
            None => schema,
        };
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7).should_validate_formats(true);
        Some(options.build(&schema).expect("the response schema compiles"))
    });
    let faults: Vec<String> = match validator {
        None if body.is_empty() => Vec::new(),
        None => vec!["it should be empty".to_owned()],
        Some(validator) => {
            let value: Value = serde_json::from_slice(body).expect("an answer is JSON");
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
        }
    };
    drop(compiled);
    assert!(faults.is_empty(), "{} answered {}: {faults:?}", spec.id(), String::from_utf8_lossy(body));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: &str) -> &'static Spec {
        wechatpay_model::operations().find(|spec| spec.id() == id).expect("an operation")
    }

    #[test]
    fn what_fits_passes() {
        check(spec("busifavor.update_stock"), b"");
        check(spec("busifavor.get_callback"), br#"{"mchid":"1900000109","notify_url":"https://example.com"}"#);
    }

    #[test]
    #[should_panic(expected = "notify_url")]
    fn what_is_missing_is_found() {
        check(spec("busifavor.get_callback"), br#"{"mchid":"1900000109"}"#);
    }

    #[test]
    #[should_panic(expected = "/status")]
    fn what_is_wrong_behind_a_reference_is_found() {
        check(spec("busifavor.get_subsidy_payment"), br#"{"status":"PAID"}"#);
    }
}
