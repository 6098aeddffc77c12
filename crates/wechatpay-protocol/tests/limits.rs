//! Nothing that a peer sends exhausts memory or the stack: what is too large or too deep is a typed error.

#![cfg(feature = "aws-lc-rs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod platform;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;
use platform::{Message, PUBLIC_KEY_ID, apiv3_key, certificate, signer};
use std::io::Cursor;
use std::time::Duration;
use wechatpay_protocol::certificates::CertificatesError;
use wechatpay_protocol::crypto::aws_lc::VerifyingKey;
use wechatpay_protocol::model::favor::StartStock;
use wechatpay_protocol::notification::{NotificationError, Receiver};
use wechatpay_protocol::{
    BlockingClient, Certificates, Client, Error, Merchant, Stamper, SystemStamper, TransportError, Trust,
};

fn trust() -> Trust {
    Trust::new().with_public_key(PUBLIC_KEY_ID, VerifyingKey::from_certificate(&certificate("old")).unwrap())
}

fn merchant() -> Merchant<wechatpay_protocol::crypto::aws_lc::Signer> {
    Merchant::new("1900000109", "AB", signer("new"))
}

/// A genuine answer with this body and, beside the signature, these headers.
fn answer(status: u16, body: &str, more: &HeaderMap) -> http::Response<Bytes> {
    let message = Message::signed(&signer("old"), PUBLIC_KEY_ID, SystemStamper.now(), "n", body);
    let mut response = http::Response::new(Bytes::from(message.body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = message.headers;
    response.headers_mut().extend(more.clone());
    response
}

fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

/// The outcome of a call over each kind of client.
fn outcomes(status: u16, body: &str, more: &HeaderMap) -> [Result<(), Error>; 2] {
    let given = answer(status, body, more);
    let start = StartStock::builder().stock_creator_mchid("1900000109").stock_id("1").build();
    let response = given.clone();
    let transport =
        move |_: http::Request<Bytes>| std::future::ready(Ok::<_, TransportError>(response.clone().map(Full::new)));
    let first = now_or_never(Client::new(transport, merchant(), trust()).send(&start)).map(|_| ());
    let transport = move |_: http::Request<Bytes>, _: Option<Duration>| Ok(given.clone().map(Cursor::new));
    let second = BlockingClient::new(transport, merchant(), trust()).send(&start).map(|_| ());
    [first, second]
}

const STARTED: &str = r#"{"stock_id":"1","start_time":"2026-07-14T10:00:00+08:00"}"#;

#[test]
fn headers_beyond_any_use_are_refused() {
    let many = |count: usize| -> HeaderMap {
        (0..count).map(|n| (format!("x-{n}").parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"))).collect()
    };
    let long = |bytes: usize| -> HeaderMap {
        [(HeaderName::from_static("x-long"), HeaderValue::from_str(&"x".repeat(bytes)).unwrap())].into_iter().collect()
    };
    // Five are those of the signature.
    for (headers, believed) in [(many(251), true), (many(252), false), (long(64 << 10), false), (long(60 << 10), true)]
    {
        for outcome in outcomes(200, STARTED, &headers) {
            match outcome {
                Ok(()) => assert!(believed, "{} headers", headers.len()),
                Err(Error::Transport(error)) => {
                    assert!(!believed && error.to_string().contains("headers of"), "{error}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// JSON that is valid, and nested far deeper than anything that is read.
fn deep() -> String {
    let depth = 100_000;
    format!("{{\"stock_id\":{}1{}}}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn deep_json_is_a_typed_error_wherever_it_comes_from() {
    let deep = deep();
    for outcome in outcomes(200, &deep, &HeaderMap::new()) {
        assert!(matches!(&outcome, Err(Error::Decode(_))), "{outcome:?}");
    }
    // A refusal is reported by its status, and with its raw body.
    for outcome in outcomes(400, &deep, &HeaderMap::new()) {
        let Err(Error::Api(refusal)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((refusal.status, refusal.code.as_str(), refusal.body.len()), (400, "", deep.len()));
    }
    let Message { now, headers, body } = Message::signed(&signer("old"), PUBLIC_KEY_ID, 1_784_000_000, "n", deep);
    let received = Receiver::new(trust(), apiv3_key()).receive(&headers, &body, now);
    assert!(matches!(received, Err(NotificationError::Unreadable(_))), "{received:?}");
    let certificates = Certificates::new(apiv3_key(), VerifyingKey::from_certificate);
    let accepted = certificates.accept(&headers, &body, now);
    assert!(matches!(accepted, Err(CertificatesError::Unreadable(_))), "{accepted:?}");
    let imported = certificates.import(std::str::from_utf8(&body).unwrap(), now);
    assert!(matches!(imported, Err(CertificatesError::Unreadable(_))), "{imported:?}");
}

#[test]
fn a_refusal_beyond_any_use_is_kept_and_not_read() {
    for (filling, code) in [(1 << 10, "PARAM_ERROR"), (255 << 10, "PARAM_ERROR"), (256 << 10, "")] {
        let body = format!("{{\"code\":\"PARAM_ERROR\",\"message\":\"{}\"}}", "x".repeat(filling));
        for outcome in outcomes(400, &body, &HeaderMap::new()) {
            let Err(Error::Api(refusal)) = outcome else { panic!("{outcome:?}") };
            assert_eq!((refusal.status, refusal.code.as_str(), refusal.body.len()), (400, code, body.len()));
        }
    }
}

#[test]
fn what_was_sealed_may_be_deep_too() {
    let mut envelope: serde_json::Value = serde_json::from_slice(&Message::fixture("notification.json").body).unwrap();
    envelope["resource"]["ciphertext"] = platform::seal(*b"nT5kQ8vLx2Zc", "coupon", deep().as_bytes()).into();
    envelope["resource"]["nonce"] = "nT5kQ8vLx2Zc".into();
    envelope["resource"]["associated_data"] = "coupon".into();
    let message = Message::signed(&signer("old"), PUBLIC_KEY_ID, 1_784_000_000, "n", envelope.to_string());
    let receiver = Receiver::new(trust(), apiv3_key());
    let wechatpay_protocol::notification::Received::New(delivery) =
        receiver.receive(&message.headers, &message.body, message.now).unwrap()
    else {
        panic!("new")
    };
    assert!(delivery.read::<serde_json::Value>().is_err());
}
