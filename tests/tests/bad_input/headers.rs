//! The headers of a signature.

use crate::{NOW, Seal, counted, fixture, signed, trust};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use wechatpay_protocol::certificates::CertificatesError;
use wechatpay_protocol::crypto::{OpenError, Opener};
use wechatpay_protocol::notification::{NotificationError, Receiver};
use wechatpay_protocol::response::receive;
use wechatpay_protocol::{Certificates, Error, UnverifiedReason};

struct Closed;

impl Opener for Closed {
    fn open(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, OpenError> {
        panic!("what is not genuine is not opened")
    }
}

/// What the corpus calls a reason.
fn named(reason: &UnverifiedReason, header: &str) -> &'static str {
    match reason {
        UnverifiedReason::MissingHeader(name) if *name == header => "missing",
        UnverifiedReason::DuplicateHeader(name) if *name == header => "duplicate",
        UnverifiedReason::MalformedHeader(name) if *name == header => "malformed",
        UnverifiedReason::UnknownType(_) => "unknown type",
        UnverifiedReason::Stale(_) => "stale",
        UnverifiedReason::UnknownSerial(_) => "unknown serial",
        UnverifiedReason::Mismatch => "mismatch",
        UnverifiedReason::Probe => "probe",
        _ => "of another header",
    }
}

#[test]
fn each_has_its_reason_wherever_it_arrives() {
    let corpus: Value = serde_json::from_str(&fixture("headers.json")).unwrap();
    let mut cases = 0;
    for (header, reasons) in corpus.as_object().unwrap().iter().filter(|(name, _)| *name != "about") {
        for (wanted, values) in reasons.as_object().unwrap() {
            for value in values.as_array().unwrap() {
                cases += 3;
                refused_everywhere(header, value, wanted);
            }
        }
    }
    counted("headers", cases);
}

fn refused_everywhere(header: &str, value: &Value, wanted: &str) {
    let body = r#"{"data":[]}"#;
    let mut headers = signed(body.as_bytes());
    let right = headers["wechatpay-signature"].to_str().unwrap().to_owned();
    let name: HeaderName = header.parse().unwrap();
    headers.remove(&name);
    let values = match value {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    for value in values {
        let text = value.as_str().unwrap().replace('@', &right);
        headers.append(&name, HeaderValue::from_bytes(text.as_bytes()).unwrap());
    }
    let case = format!("{header} = {value}");
    let reason = |found: UnverifiedReason| assert_eq!(named(&found, header), wanted, "{case}: {found}");

    match receive(None, StatusCode::OK, &headers, Bytes::from_static(body.as_bytes()), &trust(), NOW) {
        Err(Error::Unverified(error)) => reason(error.reason),
        other => panic!("{case}: {other:?}"),
    }
    match Receiver::new(trust(), Closed).receive(&headers, body.as_bytes(), NOW) {
        Err(NotificationError::Unverified(found)) => reason(found),
        other => panic!("{case}: {other:?}"),
    }
    let certificates = Certificates::new(Closed, |_| Ok(Seal)).with_public_key(crate::SERIAL, Seal);
    match certificates.accept(&headers, body.as_bytes(), NOW) {
        Err(CertificatesError::Unverified(found)) => reason(found),
        other => panic!("{case}: {other:?}"),
    }
}
