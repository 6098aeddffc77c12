//! The body of a refusal: first its status, then, in the second line, the operation. Whatever it says, the status and the
//! raw body survive, and what can be read of it is what a plain JSON reader reads.

#![no_main]

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wechatpay_fuzz::{NOW, first_line, trust};
use wechatpay_protocol::response::receive;
use wechatpay_protocol::{Error, Retry};

fuzz_target!(|input: &[u8]| {
    let Some((status, rest)) = first_line(input) else { return };
    let Some((id, body)) = first_line(rest) else { return };
    let Some(status) = status.parse().ok().and_then(|status: u16| StatusCode::from_u16(status).ok()) else { return };
    if status.is_success() {
        return;
    }
    let spec = wechatpay_model::operations().find(|spec| spec.id() == id);
    let outcome = receive(spec, status, &HeaderMap::new(), Bytes::copy_from_slice(body), &trust(), NOW);
    let Err(error) = outcome else { panic!("a refusal is no success") };
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(shown.starts_with(&format!("refused: {}", status.as_u16())), "{shown}");
    assert!(!debug.is_empty());
    let retry = error.retry();
    let Error::Api(refusal) = error else { panic!("{debug}") };
    assert_eq!((refusal.status, &refusal.body[..], refusal.authenticated), (status.as_u16(), body, false));

    let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((refusal.code.as_str(), &refusal.message), (text("code").as_str(), &text("message")));
    let detail = value.get("detail").filter(|detail| !detail.is_null());
    assert_eq!(refusal.detail.as_ref(), detail);
    assert_eq!(refusal.field(), detail.and_then(|detail| detail.get("field")?.as_str()));
    for row in &refusal.documented {
        assert_eq!((row.status(), row.code()), (refusal.status, refusal.code.as_str()));
    }
    if matches!(status.as_u16(), 429 | 502 | 503) || refusal.code.as_str() == "SYSTEM_ERROR" {
        assert_eq!(retry, Retry::Later);
    }
});
