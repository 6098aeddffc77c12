//! An answer: the first line is its status, then the message. What is believed is exactly what was signed.

#![no_main]

use bytes::Bytes;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wechatpay_fuzz::{Message, NOW, SERIAL, first_line, trust};
use wechatpay_model::operation::Answer;
use wechatpay_protocol::Error;
use wechatpay_protocol::response::{decode, receive};

fuzz_target!(|input: &[u8]| {
    let Some((status, rest)) = first_line(input) else { return };
    let Some(status) = status.parse().ok().and_then(|status: u16| StatusCode::from_u16(status).ok()) else { return };
    let message = Message::read(rest);
    let genuine = message.is_genuine(&trust());
    let body = Bytes::from(message.body.clone());
    match receive(None, status, &message.headers, body.clone(), &trust(), NOW) {
        Ok(verified) => {
            assert!(genuine && status.is_success() && status != StatusCode::ACCEPTED);
            assert_eq!((&verified.body, verified.serial.as_str(), verified.status), (&body, SERIAL, status));
            let read = serde_json::from_slice::<Value>(&body).ok();
            assert_eq!(decode::<Value>(Answer::Json, &verified).ok(), read);
        }
        Err(Error::Pending(pending)) => {
            assert!(genuine && status == StatusCode::ACCEPTED);
            assert_eq!(pending.body, body);
        }
        Err(Error::Api(refusal)) => {
            assert!(!status.is_success());
            assert_eq!(refusal.authenticated, genuine);
            assert!(genuine || !message.carries_signature());
            assert_eq!((refusal.status, refusal.body), (status.as_u16(), body));
        }
        Err(Error::Unverified(unverified)) => {
            assert!(!genuine && (status.is_success() || message.carries_signature()));
            assert_eq!(unverified.status, status.as_u16());
        }
        Err(other) => panic!("{other:?}"),
    }
});
