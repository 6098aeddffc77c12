//! The connection is cut after the sandbox acted and before the client knows: one effect, and the client gets its result.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_model::operation::{Body, Idempotency};
use wechatpay_protocol::retry::Sleep;
use wechatpay_protocol::{Error, Executed, RetryPolicy, Transport, TransportError};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{WithHeader, client, from_now};
use wechatpay_tests::story::{Example, set};

/// Loses the reply to the first request that passes, and to no other.
struct LosesOne<T>(T, AtomicBool);

impl<T: Transport> Transport for LosesOne<T> {
    type Body = T::Body;

    async fn call(&self, mut request: http::Request<Bytes>) -> Result<http::Response<T::Body>, TransportError> {
        if !self.1.swap(true, Ordering::SeqCst) {
            request.headers_mut().insert("x-sandbox-fault", "lose-reply".parse().expect("a header value"));
        }
        self.0.call(request).await
    }
}

/// Pauses take no time; what limits an attempt does.
fn at_once(duration: Duration) -> Sleep {
    if duration < Duration::from_secs(1) {
        Box::pin(std::future::ready(()))
    } else {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[tokio::test]
async fn every_idempotent_operation_survives_a_lost_reply_with_one_effect() {
    let mut survived = 0;
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let mut examples: Vec<_> = Example::all()
        .filter(|example| example.named_violations().is_empty())
        .filter(|example| example.spec.body() != Body::Multipart && example.spec.idempotency() != Idempotency::None)
        .collect();
    examples.dedup_by_key(|example| example.spec.id());
    for example in examples {
        // The example as the sandbox's merchant would send it today.
        let mut request = example.request();
        for (place, value) in [
            ("/belong_merchant", sandbox.merchant().mchid.into()),
            ("/available_begin_time", from_now(&sandbox, 60)),
            ("/available_end_time", from_now(&sandbox, 86_400)),
            ("/coupon_use_rule/coupon_available_time/available_begin_time", from_now(&sandbox, 60)),
            ("/coupon_use_rule/coupon_available_time/available_end_time", from_now(&sandbox, 86_400)),
        ] {
            if request.pointer(place).is_some() {
                set(&mut request, place, value);
            }
        }
        let lossy = client(&sandbox, LosesOne(Hyper::new(), AtomicBool::new(false)))
            .with_retry(RetryPolicy::default(), at_once);
        let before = sandbox.requests().len();
        let outcome = lossy.call(example.spec, request).await;
        let mut logged: Vec<_> = sandbox.requests();
        logged.sort_by_key(|exchange| exchange.id);
        let logged = &logged[before..];
        match outcome {
            // Refused before it was sent: an example of another day.
            Err(Error::Invalid(_)) => assert!(logged.is_empty(), "{}", example.title()),
            // A refusal is lost and repeated like any answer. That the first answer was one, too, nobody saw.
            Err(Error::OutcomeUnknown(unknown)) if !unknown.method.is_safe() => {
                assert!(matches!(unknown.source, Error::Api(_)), "{}: {unknown}", example.title());
                assert_eq!(logged.len(), 2, "{}", example.title());
                survived += 1;
            }
            Err(Error::Api(_)) if example.spec.method().as_str() != "GET" => {
                panic!("{}: what the first attempt did is forgotten", example.title())
            }
            Ok(_) | Err(Error::Api(_)) => {
                assert_eq!(logged.len(), 2, "{}: {outcome:?}", example.title());
                assert_eq!(logged[0].fault.as_deref(), Some("lose-reply"), "{}", example.title());
                survived += 1;
            }
            Err(error) => panic!("{}: {error}", example.title()),
        }
    }
    assert!(survived >= 30, "{survived}");
    let ledger = serde_json::to_value(sandbox.ledger()).expect("JSON");
    for number in ledger["request_numbers"].as_array().expect("a list") {
        assert!(number["effects"].as_u64() <= Some(1), "{number}");
    }
    assert!(!ledger["request_numbers"].as_array().expect("a list").is_empty());
}

#[tokio::test]
async fn a_lost_reply_to_anything_else_is_an_outcome_unknown_that_carries_the_request() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let lossy = client(&sandbox, WithHeader(Hyper::new(), "x-sandbox-fault", "lose-reply".to_owned()))
        .with_retry(RetryPolicy::default(), at_once);
    let body = json!({ "mchid": sandbox.merchant().mchid, "notify_url": "https://example.com/notify" });
    match lossy.post("/v3/marketing/favor/callbacks", &body).await {
        Err(Error::OutcomeUnknown(unknown)) => {
            assert_eq!(unknown.source.executed(), Executed::Maybe);
            assert_eq!(unknown.body, Bytes::from(body.to_string()));
            assert_eq!(unknown.target, "/v3/marketing/favor/callbacks");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(sandbox.requests().len(), 1, "it is not repeated");
}
