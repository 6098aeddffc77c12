//! Bodies of answers, refusals, notifications and certificates.

use crate::{NOW, SERIAL, Seal, counted, lines, places, signed, trust};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use wechatpay_model::{Operation, Payload, Spec};
use wechatpay_protocol::certificates::CertificatesError;
use wechatpay_protocol::crypto::{OpenError, Opener};
use wechatpay_protocol::notification::{NotificationError, Received, Receiver, Unguarded};
use wechatpay_protocol::response::{decode, receive};
use wechatpay_protocol::{Certificates, Error, Executed, Retry};
use wechatpay_tests::story::Example;

/// Reads a verified body as the answer of this operation.
fn read(spec: &Spec, body: &str) -> Result<(), Error> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let verified = receive(Some(spec), StatusCode::OK, &signed(&body), body, &trust(), NOW).expect("genuine");
    macro_rules! each {
        ($operation:ty) => {
            if <$operation>::SPEC.id() == spec.id() {
                return decode::<<$operation as Operation>::Response>(spec.answer(), &verified).map(drop);
            }
        };
    }
    wechatpay_model::for_each_operation!(each);
    panic!("{} has no type", spec.id());
}

/// Objects to unless it is an error that says where, keeps the body, and claims no more than is known.
fn assert_typed(spec: &Spec, body: &str, outcome: Result<(), Error>) {
    let Err(error) = outcome else { panic!("{}: {body:?} is read", spec.id()) };
    assert_eq!((error.executed(), error.retry()), (Executed::Yes, Retry::ReadFirst), "{body:?}");
    let Error::Decode(error) = error else { panic!("{error:?} of {body:?}") };
    assert_eq!((error.status, &error.body[..]), (200, body.as_bytes()));
    assert!(!error.path.is_empty() && !error.source.to_string().is_empty(), "{body:?}");
}

#[test]
fn no_error_repeats_what_stands_in_an_answer() {
    // A code where seed 002 has it, in a text instead of a list.
    let spec = wechatpay_model::busifavor::UploadCouponCodes::SPEC;
    let body = json!({"stock_id": "1", "total_count": 1, "success_codes": "SECRET9588200"}).to_string();
    let error = read(spec, &body).expect_err("a text is no list");
    assert!(!format!("{error} {error:?}").contains("SECRET9588200"), "{error:?}");
}

#[test]
fn what_is_no_object_is_no_answer() {
    let mut cases = 0;
    for spec in wechatpay_model::operations() {
        for body in lines("json.txt").iter().chain(&lines("values.txt")) {
            assert_typed(spec, body, read(spec, body));
            cases += 1;
        }
    }
    counted("texts that are no JSON, or no object, as answers", cases);
}

/// What may stand where something else belongs.
fn wrong() -> Vec<Value> {
    let texts = ["", "a", "-1", "1.0", "true", "null", "[]", "{}", "2026-02-30", "\u{0}", "\u{1f600}"];
    let mut all: Vec<_> = texts.into_iter().map(Value::from).collect();
    all.extend([json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(1e300), json!(u64::MAX), json!([])]);
    all.extend([json!([null]), json!([[]]), json!({}), json!({"": 1}), json!({"a": {"b": {}}}), json!(["a", 1, {}])]);
    all.push("x".repeat(100_000).into());
    all
}

#[test]
fn a_value_of_the_wrong_kind_is_read_leniently_or_named() {
    let (mut cases, mut refused) = (0, 0);
    for example in Example::all() {
        let spec = example.spec;
        let answer = &example.json["response"];
        if answer.is_null() {
            continue;
        }
        for place in places(answer) {
            for value in wrong() {
                let mut spoilt = answer.clone();
                *spoilt.pointer_mut(&place).expect("the place") = value;
                let body = spoilt.to_string();
                let outcome = read(spec, &body);
                if outcome.is_err() {
                    refused += 1;
                    assert_typed(spec, &body, outcome);
                }
                cases += 1;
            }
        }
    }
    // Most kinds are wrong in most places, and a text is wrong in none.
    assert!(refused > cases / 3 && refused < cases, "{refused} of {cases}");
    counted("examples with a value of the wrong kind, as answers", cases);
}

/// Opens by doing nothing.
struct NoSeal;

impl Opener for NoSeal {
    fn open(&self, _: &[u8], _: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        Ok(sealed.to_vec())
    }
}

#[test]
fn the_same_texts_as_refusals_notifications_and_certificates() {
    use base64::Engine as _;
    let mut cases = 0;
    for body in lines("json.txt").iter().chain(&lines("values.txt")) {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        // A refusal keeps its status and its body, whatever it says.
        for status in [StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR] {
            let outcome = receive(None, status, &HeaderMap::new(), bytes.clone(), &trust(), NOW);
            let Err(Error::Api(refusal)) = outcome else { panic!("{body:?}: {outcome:?}") };
            assert_eq!((refusal.status, &refusal.body, refusal.code.as_str()), (status.as_u16(), &bytes, ""));
        }
        let receiver = Receiver::new(trust(), NoSeal).with_replay_guard(Unguarded);
        let outcome = receiver.receive(&signed(&bytes), &bytes, NOW);
        let Err(error @ NotificationError::Unreadable(_)) = outcome else { panic!("{body:?}: {outcome:?}") };
        assert!(error.answer().into_response().status().is_client_error());

        // What was sealed is no payload either.
        let sealed = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let resource = json!({"algorithm": "AEAD_AES_256_GCM", "nonce": "n", "ciphertext": sealed});
        let envelope = json!({"id": "EV", "create_time": "2026-07-14T10:00:00+08:00", "event_type": "COUPON.USE",
            "resource": resource})
        .to_string();
        let outcome = receiver.receive(&signed(envelope.as_bytes()), envelope.as_bytes(), NOW);
        let Ok(Received::New(delivery)) = outcome else { panic!("{outcome:?}") };
        macro_rules! each {
            ($payload:ty) => {
                let outcome = delivery.read::<$payload>();
                assert!(outcome.is_err(), "{body:?} is a payload of {}", <$payload as Payload>::EVENT_TYPE);
            };
        }
        wechatpay_model::for_each_payload!(each);

        let certificates = Certificates::new(NoSeal, |_| Ok(Seal)).with_public_key(SERIAL, Seal);
        let outcome = certificates.accept(&signed(&bytes), &bytes, NOW);
        assert!(matches!(outcome, Err(CertificatesError::Unreadable(_))), "{body:?}: {outcome:?}");
        let outcome = certificates.import(body, NOW);
        assert!(matches!(outcome, Err(CertificatesError::Unreadable(_))), "{body:?}: {outcome:?}");
        assert!(certificates.serials().is_empty());
        cases += 6;
    }
    counted("texts as refusals, notifications, certificates", cases);
}
