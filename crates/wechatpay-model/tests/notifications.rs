//! Payloads of notifications: every example of every schema is read, and written again.

#![cfg(all(feature = "schemas", feature = "favor", feature = "busifavor"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde::Serialize;
use serde_json::{Value, json};
use wechatpay_model::busifavor::{CouponSend, SendChannel};
use wechatpay_model::favor::CouponUse;
use wechatpay_model::{EventSpec, Payload};

/// Reads a payload and writes it again.
fn again<P: Payload + Serialize>(event: &EventSpec, payload: &Value) -> Value {
    assert_eq!((P::EVENT.id(), P::EVENT_TYPE), (event.id(), event.event_type()));
    let payload: P = serde_json::from_value(payload.clone()).unwrap_or_else(|error| panic!("{}: {error}", event.id()));
    serde_json::to_value(payload).unwrap()
}

#[test]
fn every_example_is_read_and_written_again() {
    let mut events = Vec::new();
    for event in wechatpay_model::notifications() {
        let schema: Value = serde_json::from_str(event.schema()).unwrap();
        let examples = schema["examples"].as_array().expect("examples");
        for example in examples {
            let payload = &example["payload"];
            let found = match event.id() {
                "busifavor.coupon_send" => again::<CouponSend>(event, payload),
                "favor.coupon_use" => again::<CouponUse>(event, payload),
                other => panic!("{other} has no test: add it here"),
            };
            assert_eq!(&found, example.get("read_as").unwrap_or(payload), "{}: {}", event.id(), example["name"]);
        }
        events.push((event.event_type(), examples.len() >= 2));
    }
    assert_eq!(events, [("COUPON.SEND", true), ("COUPON.USE", true)]);
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
