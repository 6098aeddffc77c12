//! Payloads of notifications: every example of every schema is read, and written again.

#![cfg(all(feature = "schemas", feature = "favor", feature = "busifavor"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde::Serialize;
use serde_json::{Value, json};
use wechatpay_model::Payload;
use wechatpay_model::busifavor::{CouponSend, SendChannel};

/// Reads each example of a payload's schema, and writes it again; how many there are.
fn again<P: Payload + Serialize>() -> usize {
    let id = P::EVENT.id();
    let schema: Value = serde_json::from_str(P::EVENT.schema()).unwrap();
    let examples = schema["examples"].as_array().expect("examples");
    for example in examples {
        let payload = &example["payload"];
        let read: P = serde_json::from_value(payload.clone()).unwrap_or_else(|error| panic!("{id}: {error}"));
        let written = serde_json::to_value(read).unwrap();
        assert_eq!(&written, example.get("read_as").unwrap_or(payload), "{id}: {}", example["name"]);
    }
    examples.len()
}

#[test]
fn every_example_is_read_and_written_again() {
    let mut events = 0;
    macro_rules! each {
        ($payload:ty) => {
            assert!(again::<$payload>() >= 1, "{} has no example", <$payload>::EVENT_TYPE);
            events += 1;
        };
    }
    wechatpay_model::for_each_payload!(each);
    assert_eq!(events, wechatpay_model::notifications().count());
    assert!(events >= 2, "{events}");
}

#[test]
fn a_payload_is_read_as_it_really_comes() {
    let read = |payload: Value| serde_json::from_value::<CouponSend>(payload);
    let base = json!({"stock_id": "1", "coupon_code": "C", "a field of next year": {"x": [1]}});
    assert_eq!(read(base.clone()).unwrap().attach_info, None);
    for nothing in [json!(""), Value::Null] {
        let mut payload = base.clone();
        payload["attach_info"] = nothing.clone();
        payload["unionid"] = nothing.clone();
        payload["openid"] = nothing;
        let read = read(payload).unwrap();
        assert!(read.attach_info.is_none() && read.unionid.is_none() && read.openid.is_none());
    }
    let mut payload = base.clone();
    payload["attach_info"] = json!({"phone_number": "13800138000", "new": 1});
    payload["unionid"] = json!("o1");
    payload["send_channel"] = json!("A_CHANNEL_OF_NEXT_YEAR");
    let kept = read(payload).unwrap();
    assert_eq!(kept.send_channel, Some(SendChannel::from("A_CHANNEL_OF_NEXT_YEAR")));
    assert_eq!(kept.unionid.as_ref().map(|id| id.as_str()), Some("o1"));
    let debug = format!("{kept:?}");
    assert!(!debug.contains("13800138000") && !debug.contains("o1") && !debug.contains("\"C\""), "{debug}");

    for wrong in [json!([]), json!(1), json!("text")] {
        let mut payload = base.clone();
        payload["attach_info"] = wrong;
        let error = read(payload).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
    assert!(read(json!({"stock_id": "1"})).is_err());
}
