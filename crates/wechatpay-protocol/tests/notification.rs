//! Notifications from raw bytes to events, and everything that must not become one.

#![cfg(feature = "aws-lc-rs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod platform;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use platform::{Message, NEW, OLD, PUBLIC_KEY_ID, SIGNATURE_HEADERS, apiv3_key, certificate, fixture, seal, signer};
use serde_json::{Value, json};
use std::error::Error as _;
use std::sync::Arc;
use wechatpay_protocol::crypto::{Certificate, OpenError, VerifyingKey, aws_lc};
use wechatpay_protocol::notification::{
    Acknowledge, Event, NotificationError, Received, Receiver, RecentIds, ReplayGuard, SealedError, Seen, Unguarded,
};
use wechatpay_protocol::{Trust, UnverifiedReason};

const NOW: i64 = 1_757_565_001;

type MakeTrust = fn(&Certificate) -> Trust;

fn trust<K: VerifyingKey + 'static>(key: K) -> Trust {
    Trust::new().with_certificate(OLD, key)
}

/// The same trust with each provider.
const PROVIDERS: &[MakeTrust] = &[
    |certificate| trust(aws_lc::VerifyingKey::from_certificate(certificate).unwrap()),
    #[cfg(feature = "rsa")]
    |certificate| trust(wechatpay_protocol::crypto::rsa::VerifyingKey::from_certificate(certificate).unwrap()),
];

fn receivers() -> Vec<Receiver> {
    let unguarded =
        |make: &MakeTrust| Receiver::new(make(&certificate("old")), apiv3_key()).with_replay_guard(Unguarded);
    PROVIDERS.iter().map(unguarded).collect()
}

fn receiver() -> Receiver {
    Receiver::new(PROVIDERS[0](&certificate("old")), apiv3_key())
}

/// What every provider says, which must be the same.
fn receive(message: &Message) -> Result<Event, NotificationError> {
    let mut all = receivers().into_iter().map(|receiver| receive_with(&receiver, message));
    let first = all.next().unwrap();
    assert!(all.all(|other| other == first), "the providers differ: {first:?}");
    first
}

fn receive_with(receiver: &Receiver, message: &Message) -> Result<Event, NotificationError> {
    receiver.receive(&message.headers, &message.body, message.now).map(|received| match received {
        Received::New(delivery) => {
            let event = Event::clone(&delivery);
            assert_eq!(delivery.done(), Acknowledge::Success);
            event
        }
        Received::Duplicate(event) => panic!("unexpected duplicate {event:?}"),
    })
}

fn envelope(id: &str) -> Value {
    let ciphertext = seal(*b"nT5kQ8vLx2Zc", "coupon", br#"{"coupon_id":"98674556"}"#);
    json!({
        "id": id,
        "create_time": "2025-09-11T12:30:00+08:00",
        "resource_type": "encrypt-resource",
        "event_type": "COUPON.USE",
        "summary": "used",
        "resource": {
            "original_type": "coupon",
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": ciphertext,
            "associated_data": "coupon",
            "nonce": "nT5kQ8vLx2Zc",
        },
    })
}

fn signed(body: impl Into<Vec<u8>>) -> Message {
    Message::signed(&signer("old"), OLD, NOW, "EcGW5JQ1kDtXl2JdM0fBAa7yUQvPp9sR", body)
}

/// The envelope with a change, signed.
fn changed(change: impl FnOnce(&mut Value)) -> Message {
    let mut envelope = envelope("EV-1");
    change(&mut envelope);
    signed(envelope.to_string())
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Used {
    coupon_id: String,
    consume_information: Consumed,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Consumed {
    transaction_id: String,
}

/// An event says whose key signed it: each of two that are trusted at once.
#[test]
fn an_event_names_the_key_that_signed_it() {
    let key = |name| aws_lc::VerifyingKey::from_certificate(&certificate(name)).unwrap();
    let trust = Trust::new().with_certificate(OLD, key("old")).with_certificate(NEW, key("new"));
    let receiver = Receiver::new(trust, apiv3_key()).with_replay_guard(Unguarded);
    for (name, serial) in [("old", OLD), ("new", NEW)] {
        let body = envelope("EV-1").to_string();
        let message = Message::signed(&signer(name), serial, NOW, "EcGW5JQ1kDtXl2JdM0fBAa7yUQvPp9sR", body);
        assert_eq!(receive_with(&receiver, &message).unwrap().serial, serial);
    }
}

#[test]
fn the_fixture_opens() {
    let event = receive(&Message::fixture("notification.json")).unwrap();
    assert_eq!(event.id, "EV-2018022511223320873");
    assert_eq!(event.create_time.as_str(), "2025-09-11T12:30:00+08:00");
    assert_eq!(
        (&*event.event_type, &*event.original_type, &*event.summary),
        ("COUPON.USE", "coupon", "代金券核销通知")
    );
    let used: Used = event.read().unwrap();
    assert_eq!(used.coupon_id, "98674556");
    assert_eq!(used.consume_information.transaction_id, "4200000000000000000000000001");

    // The model's own payloads are found by the type of the event.
    let used = event.payload::<wechatpay_protocol::model::favor::CouponUse>().unwrap().expect("this type");
    assert_eq!(used.coupon_id.as_str(), "98674556");
    assert!(event.payload::<wechatpay_protocol::model::busifavor::CouponSend>().unwrap().is_none());

    // Nothing of the resource is in Debug, nor in the error of a type that does not fit.
    let value: Value = event.read().unwrap();
    assert_eq!(value["coupon_name"], "测试代金券");
    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Wrong {
        consume_information: WrongConsumed,
    }
    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct WrongConsumed {
        transaction_id: i64,
    }
    let error = event.read::<Wrong>().unwrap_err();
    assert_eq!(error.path, "consume_information.transaction_id");
    assert!(error.problem.starts_with("expected i64"), "{error}");
    for shown in [format!("{event:?}"), error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("4200000000") && !shown.contains("98674556"), "{shown}");
    }
}

#[test]
fn what_is_left_out_is_taken_as_empty() {
    let message = changed(|envelope| {
        let resource = envelope["resource"].as_object_mut().unwrap();
        resource.remove("associated_data");
        resource.remove("original_type");
        resource["ciphertext"] = seal(*b"nT5kQ8vLx2Zc", "", b"{}").into();
        envelope.as_object_mut().unwrap().remove("summary");
        envelope.as_object_mut().unwrap().remove("resource_type");
        envelope["something_new"] = json!([1]);
    });
    let event = receive(&message).unwrap();
    assert_eq!((&*event.summary, &*event.original_type, event.resource()), ("", "", &b"{}"[..]));

    // The longest id.
    let longest = "E".repeat(128);
    assert_eq!(receive(&changed(|envelope| envelope["id"] = longest.as_str().into())).unwrap().id, longest);

    // The signature type need not be named.
    receive(&changed(|_| {}).with("wechatpay-signature-type", None)).unwrap();
}

#[test]
fn a_whole_request_is_received() {
    let message = Message::fixture("notification.json");
    let mut request = Request::post("/notify").body(Bytes::from(message.body)).unwrap();
    request.headers_mut().extend(message.headers);
    let Received::New(delivery) = receiver().receive_request(&request, message.now).unwrap() else { panic!() };
    assert_eq!(delivery.event_type, "COUPON.USE");
}

#[test]
fn every_refusal() {
    use NotificationError::{Sealed, TooLarge, Unverified};
    use UnverifiedReason::{
        DuplicateHeader, MalformedHeader, Mismatch, MissingHeader, Probe, Stale, UnknownSerial, UnknownType,
    };
    let good = || changed(|_| {});
    let at = |now| Message { now, ..good() };
    let header = |name, value: &str| good().with(name, Some(value));
    let without = |name| good().with(name, None);
    let twice = |name: &'static str| {
        let mut message = good();
        let value = message.headers[name].clone();
        message.headers.append(name, value);
        message
    };
    let body = |body: &[u8]| Message { body: body.to_vec(), ..good() };
    let sealed = |change: fn(&mut Value)| changed(|envelope| change(&mut envelope["resource"]));
    let broken = |source| Sealed { id: "EV-1".into(), source };
    let unsigned = "Wechatpay-Signature-Type";

    #[rustfmt::skip]
    let cases: Vec<(&str, Message, NotificationError)> = vec![
        // Headers.
        ("no timestamp", without("wechatpay-timestamp"), Unverified(MissingHeader("Wechatpay-Timestamp"))),
        ("no nonce", without("wechatpay-nonce"), Unverified(MissingHeader("Wechatpay-Nonce"))),
        ("no signature", without("wechatpay-signature"), Unverified(MissingHeader("Wechatpay-Signature"))),
        ("no serial", without("wechatpay-serial"), Unverified(MissingHeader("Wechatpay-Serial"))),
        ("two timestamps", twice("wechatpay-timestamp"), Unverified(DuplicateHeader("Wechatpay-Timestamp"))),
        ("two nonces", twice("wechatpay-nonce"), Unverified(DuplicateHeader("Wechatpay-Nonce"))),
        ("two signatures", twice("wechatpay-signature"), Unverified(DuplicateHeader("Wechatpay-Signature"))),
        ("two serials", twice("wechatpay-serial"), Unverified(DuplicateHeader("Wechatpay-Serial"))),
        ("two types", twice("wechatpay-signature-type"), Unverified(DuplicateHeader(unsigned))),
        ("another type", header("wechatpay-signature-type", "WECHATPAY2-SM2-WITH-SM3"), Unverified(UnknownType("WECHATPAY2-SM2-WITH-SM3".into()))),
        ("no number", header("wechatpay-timestamp", "now"), Unverified(MalformedHeader("Wechatpay-Timestamp"))),
        ("no base64", header("wechatpay-signature", "***"), Unverified(MalformedHeader("Wechatpay-Signature"))),
        ("a probe", header("wechatpay-signature", "WECHATPAY/SIGNTEST/abc"), Unverified(Probe)),
        ("a stranger's key", header("wechatpay-serial", NEW), Unverified(UnknownSerial(NEW.into()))),
        ("the serial in lower case", header("wechatpay-serial", &OLD.to_lowercase()), Unverified(UnknownSerial(OLD.to_lowercase()))),
        ("a public key id", header("wechatpay-serial", PUBLIC_KEY_ID), Unverified(UnknownSerial(PUBLIC_KEY_ID.into()))),
        // Time.
        ("301 seconds late", at(NOW + 301), Unverified(Stale(-301))),
        ("301 seconds early", at(NOW - 301), Unverified(Stale(301))),
        ("a timestamp beyond all clocks", header("wechatpay-timestamp", "9223372036854775807"), Unverified(Stale(i64::MAX - NOW))),
        // Bytes.
        ("another time", header("wechatpay-timestamp", "1757565002"), Unverified(Mismatch)),
        ("another nonce", header("wechatpay-nonce", "x"), Unverified(Mismatch)),
        ("another body", body(b"{}"), Unverified(Mismatch)),
        ("no body", body(b""), Unverified(Mismatch)),
        ("a line end more", body(&[&*good().body, b"\n"].concat()), Unverified(Mismatch)),
        ("another key", Message::signed(&signer("new"), OLD, NOW, "n", good().body), Unverified(Mismatch)),
        ("an empty signature", header("wechatpay-signature", ""), Unverified(Mismatch)),
        ("as large as may be", body(&vec![b' '; 1 << 20]), Unverified(Mismatch)),
        ("too large", body(&vec![b' '; (1 << 20) + 1]), TooLarge((1 << 20) + 1)),
        // What was sealed.
        ("another algorithm", sealed(|r| r["algorithm"] = "AEAD_SM4_128_GCM".into()), broken(SealedError::Algorithm("AEAD_SM4_128_GCM".into()))),
        ("no base64 inside", sealed(|r| r["ciphertext"] = "***".into()), broken(SealedError::Base64)),
        ("another text", sealed(|r| r["ciphertext"] = seal(*b"another12345", "coupon", b"{}").into()), broken(SealedError::Open(OpenError::Refused))),
        ("another nonce inside", sealed(|r| r["nonce"] = "nT5kQ8vLx2Zd".into()), broken(SealedError::Open(OpenError::Refused))),
        ("a short nonce inside", sealed(|r| r["nonce"] = "nT5k".into()), broken(SealedError::Open(OpenError::NonceLength(4)))),
        ("other associated data", sealed(|r| r["associated_data"] = "".into()), broken(SealedError::Open(OpenError::Refused))),
        ("no tag", sealed(|r| r["ciphertext"] = "".into()), broken(SealedError::Open(OpenError::Refused))),
    ];
    for (name, message, wanted) in cases {
        let error = receive(&message).expect_err(name);
        assert_eq!(error, wanted, "{name}");
        assert!(!error.to_string().is_empty());
        // What does not open says why, to whoever follows the causes.
        let cause = error.source().map(ToString::to_string);
        let wanted = match &error {
            Sealed { source, .. } => Some(source.to_string()),
            _ => None,
        };
        assert_eq!(cause, wanted, "{name}");
    }

    let other = aws_lc::ApiV3Key::new([b'k'; 32]).unwrap();
    let receiver = Receiver::new(PROVIDERS[0](&certificate("old")), other);
    assert_eq!(receive_with(&receiver, &good()), Err(broken(SealedError::Open(OpenError::Refused))));

    // At the edge of the tolerance.
    for difference in [-300, 0, 300] {
        receive(&at(NOW + difference)).unwrap();
    }
}

#[test]
fn genuine_nonsense_is_named() {
    let twice = |field: &str| {
        let text = envelope("EV-1").to_string();
        signed(text.replacen('{', &format!("{{\"{field}\":\"secret\","), 1))
    };
    let set = |pointer: &'static str, value: Value| changed(move |e| *e.pointer_mut(pointer).unwrap() = value);
    for (name, message, path) in [
        ("not JSON", signed("secret"), "."),
        ("nothing", signed(""), "."),
        ("not an object", signed("[\"secret\"]"), "."),
        ("more after it", signed(envelope("EV-1").to_string() + "secret"), "."),
        ("invalid UTF-8", signed(vec![b'"', 0xff, b'"']), "."),
        ("too deep", signed("{\"id\":".repeat(1000)), "id"),
        ("deep in a field that is skipped", signed(format!("{{\"x\":{}", "[".repeat(100_000))), "x"),
        ("id twice", twice("id"), "."),
        ("event_type twice", twice("event_type"), "."),
        ("no id", changed(|e| drop(e.as_object_mut().unwrap().remove("id"))), "."),
        ("empty id", set("/id", "".into()), "id"),
        ("an id too long by one", set("/id", format!("secret{}", "x".repeat(123)).into()), "id"),
        ("endless id", set("/id", "secret".repeat(100).into()), "id"),
        ("numeric id", set("/id", 1.into()), "id"),
        ("no event_type", changed(|e| drop(e.as_object_mut().unwrap().remove("event_type"))), "."),
        ("no create_time", changed(|e| drop(e.as_object_mut().unwrap().remove("create_time"))), "."),
        ("no resource", changed(|e| drop(e.as_object_mut().unwrap().remove("resource"))), "."),
        ("resource is text", set("/resource", "secret".into()), "resource"),
        ("no nonce", changed(|e| drop(e["resource"].as_object_mut().unwrap().remove("nonce"))), "resource"),
        ("ciphertext is a number", set("/resource/ciphertext", 1.into()), "resource.ciphertext"),
    ] {
        let error = receive(&message).expect_err(name);
        let NotificationError::Unreadable(read) = &error else { panic!("{name}: {error}") };
        assert_eq!(read.path, path, "{name}: {read}");
        assert_eq!(error.source().map(ToString::to_string), Some(read.to_string()), "{name}");
        assert!(!error.to_string().contains("secret"), "{name}: {error}");
        assert_eq!(error.answer().into_response().status(), StatusCode::BAD_REQUEST, "{name}");
    }
}

#[test]
fn no_changed_bit_is_accepted() {
    let good = Message::fixture("notification.json");
    let receivers = receivers();
    for receiver in &receivers {
        receive_with(receiver, &good).unwrap();
    }
    let mut messages = Vec::new();
    for bit in 0..8 * good.body.len() {
        let mut wrong = good.clone();
        wrong.body[bit / 8] ^= 1 << (bit % 8);
        messages.push(wrong);
    }
    let mut unsendable = 0;
    for name in SIGNATURE_HEADERS {
        let value = good.headers[name].as_bytes();
        for bit in 0..8 * value.len() {
            let mut bytes = value.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match HeaderValue::from_bytes(&bytes) {
                Ok(value) => {
                    let mut wrong = good.clone();
                    wrong.headers.insert(name, value);
                    messages.push(wrong);
                }
                Err(_) => unsendable += 1,
            }
        }
    }
    assert!(messages.len() >= 10_000, "{} and {unsendable} that no server hands on", messages.len());
    in_halves(&messages, |message| {
        let results: Vec<_> = receivers.iter().map(|receiver| receive_with(receiver, message)).collect();
        assert!(matches!(results[0], Err(NotificationError::Unverified(_))), "{:?}", results[0]);
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
    });
}

#[test]
fn ten_thousand_valid_ones_are_accepted() {
    let (receivers, signer) = (receivers(), signer("old"));
    let guard = Arc::new(RecentIds::new(1000, 3600));
    let guarded = receivers[0].clone().with_replay_guard(Arc::clone(&guard));
    let numbers: Vec<i64> = (0..10_000).collect();
    in_halves(&numbers, |number| {
        let (now, id) = (NOW + number % 1000, format!("EV-{number}"));
        let body = envelope(&id).to_string();
        let message = Message::signed(&signer, OLD, now - 300 + number % 601, &format!("nonce{number}"), body);
        let message = Message { now, ..message };
        for receiver in receivers.iter().chain([&guarded]) {
            assert_eq!(receive_with(receiver, &message).unwrap().id, id);
        }
        assert!(guard.len() <= 1000);
    });
    assert_eq!(guard.len(), 1000);
}

/// Both cores.
fn in_halves<T: Sync>(all: &[T], check: impl Fn(&T) + Sync) {
    let (left, right) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| left.iter().for_each(&check));
        right.iter().for_each(&check);
    });
}

#[test]
fn a_repeat_is_a_duplicate_only_after_success() {
    let receiver = receiver();
    let message = changed(|_| {});
    let receive = || receiver.receive(&message.headers, &message.body, NOW);

    // While it is being processed, a repeat is told to come back.
    let Received::New(first) = receive().unwrap() else { panic!() };
    let underway = receive().unwrap_err();
    assert_eq!(underway, NotificationError::Underway { id: "EV-1".into() });
    assert_eq!(underway.answer().into_response().status(), StatusCode::SERVICE_UNAVAILABLE);

    // Failure, however it comes about, makes the next repeat new.
    assert_eq!(first.failed("no database"), Acknowledge::failure("no database"));
    let Received::New(second) = receive().unwrap() else { panic!("swallowed after a failure") };
    drop(second);
    let Received::New(third) = receive().unwrap() else { panic!("swallowed after a drop") };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _processing = third;
        std::panic::resume_unwind(Box::new("handler"));
    }));
    assert!(panicked.is_err());
    let Received::New(fourth) = receive().unwrap() else { panic!("swallowed after a panic") };

    // Success makes it a duplicate, for clones of the receiver too.
    assert_eq!(fourth.done(), Acknowledge::Success);
    let Received::Duplicate(event) = receive().unwrap() else { panic!("processed twice") };
    assert_eq!(event.id, "EV-1");
    let again = receiver.clone().receive(&message.headers, &message.body, NOW).unwrap();
    assert!(matches!(again, Received::Duplicate(_)));

    // One that is not believed or does not open leaves no trace.
    let other = signed(envelope("EV-2").to_string());
    let forged = other.clone().with("wechatpay-nonce", Some("x"));
    assert!(receiver.receive(&forged.headers, &forged.body, NOW).is_err());
    assert!(matches!(receiver.receive(&other.headers, &other.body, NOW), Ok(Received::New(_))));
}

#[test]
fn recent_ids_are_bounded_by_number_and_age() {
    let guard = RecentIds::new(3, 100);
    assert!(guard.is_empty());
    for id in ["a", "b", "c"] {
        assert_eq!(guard.begin(id, 0), Seen::First);
        guard.done(id);
    }
    assert!(!guard.is_empty());
    // A full memory drops the oldest.
    assert_eq!(guard.begin("d", 10), Seen::First);
    assert_eq!(
        (guard.begin("b", 10), guard.begin("c", 10), guard.begin("d", 10)),
        (Seen::Done, Seen::Done, Seen::Underway)
    );
    assert_eq!(guard.len(), 3);
    // One that is forgotten makes room.
    guard.forget("d");
    assert_eq!(guard.len(), 2);
    assert_eq!(guard.begin("e", 20), Seen::First);
    assert_eq!(guard.begin("b", 100), Seen::Done);
    // Age counts from the first time: b and c are from 0, e from 20.
    assert_eq!(guard.begin("e", 101), Seen::Underway);
    assert_eq!(guard.len(), 1);
    assert_eq!(guard.begin("b", 101), Seen::First);
    // A clock that was put back, or forward beyond reason, does no harm.
    assert_eq!(guard.begin("b", i64::MIN), Seen::Underway);
    assert_eq!(guard.begin("b", i64::MAX), Seen::First);
    // What is not known can be done and forgotten.
    guard.done("x");
    guard.forget("x");
    assert_eq!(guard.len(), 1);

    let guard = RecentIds::new(100, 1000);
    for round in 0..20_000 {
        let id = format!("{}", round % 5000);
        guard.begin(&id, round);
        match round % 3 {
            0 => guard.done(&id),
            1 => guard.forget(&id),
            _ => {}
        }
        assert!(guard.len() <= 100);
    }
    assert_eq!(RecentIds::new(0, 10).begin("a", 0), Seen::First);
    // A guard that is shared is the guard.
    let shared: Arc<dyn ReplayGuard> = Arc::new(RecentIds::new(3, 100));
    assert_eq!((shared.begin("a", 0), shared.begin("a", 0)), (Seen::First, Seen::Underway));
    shared.forget("a");
    assert_eq!(shared.begin("a", 0), Seen::First);
    shared.done("a");
    assert_eq!(shared.begin("a", 0), Seen::Done);
    assert_eq!((Unguarded.begin("a", 0), Unguarded.begin("a", 0)), (Seen::First, Seen::First));
}

#[test]
fn answers() {
    let shown = |acknowledge: Acknowledge| {
        let response = acknowledge.into_response();
        let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), kind, String::from_utf8(response.into_body().to_vec()).unwrap())
    };
    let json = || Some("application/json".to_owned());
    let said = |status, body: &str| (status, json(), body.to_owned());
    assert_eq!(shown(Acknowledge::Success), said(200, r#"{"code":"SUCCESS","message":"OK"}"#));
    assert_eq!(shown(Acknowledge::NoContent), (204, None, String::new()));
    assert_eq!(shown(Acknowledge::failure("later")), said(500, r#"{"code":"FAIL","message":"later"}"#));
    assert_eq!(shown(Acknowledge::failure("\"\n")), said(500, r#"{"code":"FAIL","message":"\"\n"}"#));
    let failure = |status| Acknowledge::Failure { status, message: "no".into() };
    assert_eq!(shown(failure(StatusCode::BAD_GATEWAY)).0, 502);
    assert_eq!(shown(failure(StatusCode::OK)).0, 500);
    assert_eq!(shown(Acknowledge::failure("长".repeat(10_000))).2.chars().filter(|c| *c == '长').count(), 256);
    // No detail for whoever asks.
    let error = NotificationError::Unverified(UnverifiedReason::UnknownSerial("SERIAL".into()));
    assert_eq!(shown(error.answer()), said(401, r#"{"code":"FAIL","message":"signature not accepted"}"#));
    assert_eq!(shown(NotificationError::TooLarge(1 << 30).answer()).0, 413);
    let response: http::Response<Bytes> = Acknowledge::failure("later").into();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.into_body(), Acknowledge::failure("later").into_response().into_body());
}

#[test]
fn no_secret_is_shown() {
    let receiver = receiver();
    let message = Message::fixture("notification.json");
    let Received::New(delivery) = receiver.receive(&message.headers, &message.body, message.now).unwrap() else {
        panic!()
    };
    let secrets = ["98674556", platform::APIV3_KEY, "4200000000000000000000000001"];
    for shown in [format!("{receiver:?}"), format!("{delivery:?}"), format!("{:?}", &*delivery)] {
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
    // The text that the fixture seals is really there.
    assert!(String::from_utf8_lossy(delivery.resource()).contains("98674556"));
    assert!(!fixture("notification.json").contains("98674556"));
}
