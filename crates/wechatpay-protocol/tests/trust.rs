//! Platform certificates: which answers bring them, which do not, and when they are asked for.

#![cfg(feature = "aws-lc-rs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod platform;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use platform::{APIV3_KEY, EC, Message, NEW, OLD, PUBLIC_KEY_ID, apiv3_key, certificate, fixture, seal, signer};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use wechatpay_protocol::certificates::{
    Certificates, CertificatesError, Changed, EntryFault, MOST_CERTIFICATES, ReadError, SealedError, Skipped,
};
use wechatpay_protocol::crypto::{KeyFault, OpenError, aws_lc};
use wechatpay_protocol::{
    BaseUrl, BoxError, Client, Merchant, RefreshError, RetryPolicy, Stamper, Transport, TransportError,
    TransportErrorKind, Trust, UnverifiedReason, Verifier, response,
};

/// 2029-05-28: the old certificate ends in three days, the new one is a week old.
const NOW: i64 = 1_874_620_800;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const OLD_ENDS: i64 = 1_874_880_000;
/// A time when only the old certificate is out.
const EARLY: i64 = 1_757_565_001;

fn certificates() -> Certificates {
    Certificates::new(apiv3_key(), aws_lc::VerifyingKey::from_certificate)
}

fn key(name: &str) -> aws_lc::VerifyingKey {
    aws_lc::VerifyingKey::from_certificate(&certificate(name)).unwrap()
}

fn accept(certificates: &Certificates, message: &Message) -> Result<Changed, CertificatesError> {
    certificates.accept(&message.headers, &message.body, message.now)
}

fn entry(serial: &str, pem: &[u8]) -> Value {
    entry_as("certificate", serial, pem)
}

fn entry_as(associated_data: &str, serial: &str, pem: &[u8]) -> Value {
    json!({
        "serial_no": serial,
        "effective_time": "2024-06-01T08:00:00+08:00",
        "expire_time": "2029-05-31T08:00:00+08:00",
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": "fixture-nonc",
            "associated_data": associated_data,
            "ciphertext": seal(*b"fixture-nonc", associated_data, pem),
        },
    })
}

fn pem(name: &str) -> String {
    fixture(&format!("{name}.cert.pem"))
}

/// An answer with these entries, signed with a key under a serial.
fn answer(by: (&str, &str), now: i64, entries: &[Value]) -> Message {
    let body = json!({ "data": entries }).to_string();
    Message::signed(&signer(by.0), by.1, now, "c5ac7061fccab6bf3e254dcf98995b8c", body)
}

fn old_answer(now: i64) -> Message {
    answer(("old", OLD), now, &[entry(OLD, pem("old").as_bytes())])
}

/// Whether what this key signs verifies.
fn believes(verifier: &dyn Verifier, by: (&str, &str), now: i64) -> bool {
    let message = Message::signed(&signer(by.0), by.1, now, "n", "{}");
    response::verify(&message.headers, &message.body, verifier, now).is_ok()
}

#[test]
fn the_fixture_brings_both_and_is_signed_with_one_of_them() {
    let certificates = certificates();
    assert_eq!((certificates.preferred(), certificates.serials().len()), (None, 0));
    let message = Message::fixture("certificates.json");
    let changed = accept(&certificates, &message).unwrap();
    assert_eq!(changed.added, [OLD, NEW]);
    assert_eq!(changed.dropped, <[&str; 0]>::default());
    // The certificate of another algorithm is reported and left aside.
    assert!(
        matches!(&*changed.skipped, [Skipped { serial, algorithm, .. }] if serial == EC && algorithm.contains("EC"))
    );
    assert!(!changed.none);

    // Several at once, picked by serial; the one that became valid last is announced.
    assert!(believes(&certificates, ("old", OLD), NOW) && believes(&certificates, ("new", NEW), NOW));
    assert!(!believes(&certificates, ("old", NEW), NOW) && !believes(&certificates, ("old", EC), NOW));
    assert_eq!(certificates.preferred().as_deref(), Some(NEW));
    // A second look changes nothing.
    assert_eq!(accept(&certificates, &message).unwrap().added.len(), 0);

    // Both providers take them.
    #[cfg(feature = "rsa")]
    {
        use wechatpay_protocol::crypto::rsa::VerifyingKey;
        let certificates = Certificates::new(apiv3_key(), VerifyingKey::from_certificate);
        assert_eq!(accept(&certificates, &message).unwrap(), changed);
        assert!(believes(&certificates, ("new", NEW), NOW));
    }
}

#[test]
fn every_refusal_changes_nothing() {
    use CertificatesError::{Entry, TooLarge, TooMany, Unreadable, Unverified};
    use UnverifiedReason::{DuplicateHeader, Mismatch, MissingHeader, Probe, Stale, UnknownSerial, UnknownType};
    let good = || Message::fixture("certificates.json");
    let header = |name, value: &str| good().with(name, Some(value));
    let entry_fault = |fault| Entry { serial: OLD.into(), fault };
    let old = |change: fn(&mut Value)| {
        let mut entry = entry(OLD, pem("old").as_bytes());
        change(&mut entry);
        answer(("old", OLD), NOW, &[entry])
    };
    let text = |text: &[u8]| answer(("old", OLD), NOW, &[entry(OLD, text)]);
    let key_fault = |result: &Result<Changed, CertificatesError>| match result {
        Err(Entry { fault: EntryFault::Key(error), .. }) => Some(error.fault()),
        _ => None,
    };
    let twice = {
        let mut message = good();
        message.headers.append("wechatpay-serial", OLD.parse().unwrap());
        message
    };
    let many = vec![entry(OLD, b""); MOST_CERTIFICATES + 1];
    let opens = |error| entry_fault(EntryFault::Sealed(SealedError::Open(error)));

    #[rustfmt::skip]
    let cases: Vec<(&str, Message, CertificatesError)> = vec![
        // The answer itself.
        ("unsigned", Message { headers: HeaderMap::new(), ..good() }, Unverified(MissingHeader("Wechatpay-Timestamp"))),
        ("no signature", good().with("wechatpay-signature", None), Unverified(MissingHeader("Wechatpay-Signature"))),
        ("two serials", twice, Unverified(DuplicateHeader("Wechatpay-Serial"))),
        ("stale", Message { now: NOW + 301, ..good() }, Unverified(Stale(-301))),
        ("early", Message { now: NOW - 301, ..good() }, Unverified(Stale(301))),
        ("a probe", header("wechatpay-signature", "WECHATPAY/SIGNTEST/x"), Unverified(Probe)),
        ("another type", header("wechatpay-signature-type", "x"), Unverified(UnknownType("x".into()))),
        ("another nonce", header("wechatpay-nonce", "x"), Unverified(Mismatch)),
        ("signed with the other", header("wechatpay-serial", OLD), Unverified(Mismatch)),
        ("signed with none of them", answer(("new", NEW), NOW, &[entry(OLD, pem("old").as_bytes())]), Unverified(UnknownSerial(NEW.into()))),
        ("signed with one that cannot be used", header("wechatpay-serial", EC), Unverified(UnknownSerial(EC.into()))),
        ("signed with one that has ended", old_answer(OLD_ENDS + 1), Unverified(UnknownSerial(OLD.into()))),
        ("a line end more", { let mut m = good(); m.body.push(b'\n'); m }, Unverified(Mismatch)),
        ("nothing in it", answer(("old", OLD), NOW, &[]), Unverified(UnknownSerial(OLD.into()))),
        ("too large", Message { body: vec![b' '; (1 << 20) + 1], ..good() }, TooLarge((1 << 20) + 1)),
        ("too many", answer(("old", OLD), NOW, &many), TooMany(33)),
        // What it brings.
        ("another algorithm only", old(|e| e["encrypt_certificate"]["algorithm"] = "AEAD_SM4_128_GCM".into()), Unverified(UnknownSerial(OLD.into()))),
        ("sealed as an event", answer(("old", OLD), NOW, &[entry_as("coupon", OLD, pem("old").as_bytes())]), entry_fault(EntryFault::AssociatedData)),
        ("associated data left out", old(|e| drop(e["encrypt_certificate"].as_object_mut().unwrap().remove("associated_data"))), entry_fault(EntryFault::AssociatedData)),
        ("no base64", old(|e| e["encrypt_certificate"]["ciphertext"] = "*".into()), entry_fault(EntryFault::Sealed(SealedError::Base64))),
        ("a changed text", old(|e| e["encrypt_certificate"]["ciphertext"] = "AAAA".into()), opens(OpenError::Refused)),
        ("a short nonce", old(|e| e["encrypt_certificate"]["nonce"] = "x".into()), opens(OpenError::NonceLength(1))),
        ("not text", text(&[0xff]), entry_fault(EntryFault::NotText)),
        ("under another serial", answer(("new", OLD), NOW, &[entry(OLD, pem("new").as_bytes())]), entry_fault(EntryFault::Serial(NEW.into()))),
        ("its serial in lower case", answer(("old", OLD), NOW, &[entry(&OLD.to_lowercase(), pem("old").as_bytes())]), Entry { serial: OLD.to_lowercase(), fault: EntryFault::Serial(OLD.into()) }),
    ];
    for (name, message, wanted) in cases {
        let certificates = certificates();
        assert_eq!(accept(&certificates, &message), Err(wanted.clone()), "{name}");
        assert!(certificates.serials().is_empty() && certificates.refresh_due(NOW), "{name}");
        assert!(wanted.to_string().starts_with("platform certificates: "), "{wanted}");
    }
    for (fault, message) in [
        (KeyFault::NotPem, text(b"secret")),
        (KeyFault::SeveralBlocks(2), text(pem("old").repeat(2).as_bytes())),
        (KeyFault::Found(wechatpay_protocol::crypto::KeyKind::PrivateKey), text(fixture("old.key.pem").as_bytes())),
    ] {
        assert_eq!(key_fault(&accept(&certificates(), &message)), Some(fault));
    }
    for (body, path) in [
        ("", "."),
        ("<html>", "."),
        ("{}", "."),
        (r#"{"data":{}}"#, "data"),
        (r#"{"data":[{}]}"#, "data[0]"),
        (r#"{"data":[{"serial_no":1}]}"#, "data[0].serial_no"),
    ] {
        let message = Message::signed(&signer("old"), OLD, NOW, "n", body);
        let Err(Unreadable(ReadError { path: at, .. })) = accept(&certificates(), &message) else { panic!("{body}") };
        assert_eq!(at, path, "{body}");
    }

    // Another APIv3 key.
    let other = Certificates::new(aws_lc::ApiV3Key::new([b'k'; 32]).unwrap(), aws_lc::VerifyingKey::from_certificate);
    assert_eq!(accept(&other, &good()), Err(opens(OpenError::Refused)));
    // One bad certificate spoils the answer: nothing of it is taken.
    let certificates = certificates();
    let bad = answer(("old", OLD), NOW, &[entry(OLD, pem("old").as_bytes()), entry(NEW, b"")]);
    assert!(accept(&certificates, &bad).is_err() && certificates.serials().is_empty());
}

#[test]
fn no_changed_bit_of_the_answer_is_accepted() {
    let good = Message::fixture("certificates.json");
    // Each bit in turn would be many; a prime stride meets all parts of the body and all bits of a byte.
    for bit in (0..8 * good.body.len()).step_by(29) {
        let mut wrong = good.clone();
        wrong.body[bit / 8] ^= 1 << (bit % 8);
        let certificates = certificates();
        assert!(accept(&certificates, &wrong).is_err() && certificates.serials().is_empty(), "bit {bit}");
    }
}

#[test]
fn a_rotation_from_beginning_to_end() {
    let certificates = certificates();
    accept(&certificates, &old_answer(EARLY)).unwrap();
    assert_eq!(certificates.preferred().as_deref(), Some(OLD));

    // The new one, not valid yet, is brought by an answer that the known one signs.
    let before = 1_873_929_600; // 2029-05-20
    let both = [entry(OLD, pem("old").as_bytes()), entry(NEW, pem("new").as_bytes())];
    assert_eq!(accept(&certificates, &answer(("old", OLD), before, &both)).unwrap().added, [NEW]);
    assert_eq!(certificates.preferred().as_deref(), Some(OLD));

    // Both sign; the old one stays although the answer no longer names it.
    let only_new = answer(("new", NEW), NOW, &both[1..]);
    assert_eq!(accept(&certificates, &only_new).unwrap().dropped.len(), 0);
    assert!(believes(&certificates, ("old", OLD), NOW) && believes(&certificates, ("new", NEW), NOW));
    assert_eq!(certificates.preferred().as_deref(), Some(NEW));

    // It is not believed a second longer than it lasts, even before the next answer drops it.
    certificates.refresh_due(OLD_ENDS);
    assert!(believes(&certificates, ("old", OLD), OLD_ENDS));
    certificates.refresh_due(OLD_ENDS + 1);
    assert!(!believes(&certificates, ("old", OLD), OLD_ENDS + 1) && certificates.serials().len() == 2);
    let later = answer(("new", NEW), OLD_ENDS + 1, &both);
    let changed = accept(&certificates, &later).unwrap();
    assert_eq!((changed.added.len(), &*changed.dropped), (0, &[OLD.to_owned()][..]));
    assert_eq!(certificates.serials(), [NEW]);
}

#[test]
fn both_modes_at_once() {
    let certificates = certificates().with_public_key(PUBLIC_KEY_ID, key("new")).with_certificate(&pem("old"));
    let certificates = certificates.unwrap();
    // The public key is announced; both are believed.
    assert_eq!(certificates.preferred().as_deref(), Some(PUBLIC_KEY_ID));
    assert!(believes(&certificates, ("new", PUBLIC_KEY_ID), NOW) && believes(&certificates, ("old", OLD), NOW));
    // An answer that a public key signs brings certificates too.
    let both = [entry(OLD, pem("old").as_bytes()), entry(NEW, pem("new").as_bytes())];
    assert_eq!(accept(&certificates, &answer(("new", PUBLIC_KEY_ID), NOW, &both)).unwrap().added, [NEW]);
    assert_eq!(certificates.preferred().as_deref(), Some(PUBLIC_KEY_ID));

    let shared: Arc<dyn Verifier> = Arc::new(certificates);
    assert!(shared.certificates().is_some() && Arc::new(shared).certificates().is_some());
    assert!(Trust::new().certificates().is_none());
}

#[test]
fn when_a_refresh_is_due() {
    let certificates = certificates();
    assert!(certificates.refresh_due(EARLY), "never asked");
    accept(&certificates, &old_answer(EARLY)).unwrap();
    for (name, at, due) in [
        ("at once", EARLY, false),
        ("after 12 hours less a second", EARLY + 12 * HOUR - 1, false),
        ("after 12 hours", EARLY + 12 * HOUR, true),
        ("a clock put back", EARLY - 1, true),
    ] {
        assert_eq!(certificates.refresh_due(at), due, "{name}");
    }
    // Within ten days of the end of the newest, every hour.
    let near = OLD_ENDS - 10 * DAY;
    accept(&certificates, &old_answer(near)).unwrap();
    assert!(!certificates.refresh_due(near + HOUR - 1) && certificates.refresh_due(near + HOUR));
    // Until there is a newer one.
    accept(&certificates, &Message::fixture("certificates.json")).unwrap();
    assert!(!certificates.refresh_due(NOW + 12 * HOUR - 1) && certificates.refresh_due(NOW + 12 * HOUR));

    for (seconds, interval) in [(0, HOUR), (7200, 2 * HOUR), (u64::MAX, 48 * HOUR)] {
        let certificates = self::certificates().with_refresh_every(Duration::from_secs(seconds));
        accept(&certificates, &old_answer(EARLY)).unwrap();
        assert!(!certificates.refresh_due(EARLY + interval - 1) && certificates.refresh_due(EARLY + interval));
    }
}

#[test]
fn one_at_a_time_and_not_too_often() {
    let certificates = certificates();
    let guard = certificates.begin_refresh(EARLY).unwrap();
    assert!(!certificates.may_refresh(EARLY + DAY) && certificates.begin_refresh(EARLY + DAY).is_none());

    // One that was given up on leaves no trace, one that failed is followed by a minute of rest.
    drop(guard);
    certificates.begin_refresh(EARLY).unwrap().fail();
    assert!(certificates.begin_refresh(EARLY + MINUTE - 1).is_none());
    let guard = certificates.begin_refresh(EARLY + MINUTE).unwrap();
    let refused = guard.finish(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>", EARLY + MINUTE);
    let unsigned = "platform certificates: refused: 502 [nobody who is trusted has signed the refusal]";
    assert_eq!(refused.unwrap_err().to_string(), unsigned);
    drop(certificates.begin_refresh(EARLY + MINUTE));
    assert!(!certificates.may_refresh(EARLY + MINUTE) && certificates.may_refresh(EARLY + 2 * MINUTE));

    // One that brought something is not: an unknown serial right after it may be the next rotation.
    let now = EARLY + 2 * MINUTE;
    let message = old_answer(now);
    let changed = certificates.begin_refresh(now).unwrap().finish(StatusCode::OK, &message.headers, &message.body, now);
    assert_eq!(changed.unwrap().added, [OLD]);
    assert!(certificates.may_refresh(now));
    // One that brought nothing new is, so that serials which nobody knows cause no storm.
    let guard = certificates.begin_refresh(now).unwrap();
    assert_eq!(guard.finish(StatusCode::OK, &message.headers, &message.body, now).unwrap(), Changed::default());
    assert!(!certificates.may_refresh(now + MINUTE - 1) && certificates.may_refresh(now + MINUTE));
    // A clock that was put back stops nothing.
    assert!(certificates.may_refresh(now - DAY));

    // Among many, one gets the turn.
    let certificates = Arc::new(self::certificates());
    let turns = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                if let Some(guard) = certificates.begin_refresh(EARLY) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                    guard.fail();
                }
                assert!(certificates.wait(Duration::from_secs(10)));
            });
        }
    });
    assert_eq!(turns.into_inner(), 1);
}

#[test]
fn many_that_meet_a_new_serial_cause_one_download() {
    let certificates = certificates();
    let downloads = AtomicUsize::new(0);
    let message = old_answer(EARLY);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                match certificates.begin_refresh_for(OLD, EARLY) {
                    Some(guard) => {
                        downloads.fetch_add(1, Ordering::Relaxed);
                        guard.finish(StatusCode::OK, &message.headers, &message.body, EARLY).unwrap();
                    }
                    None => assert!(certificates.wait(Duration::from_secs(10))),
                }
                assert!(certificates.key(OLD).is_some());
            });
        }
    });
    assert_eq!(downloads.into_inner(), 1);
    // So the next rotation, however soon, is not made to rest.
    assert!(certificates.begin_refresh_for(NEW, EARLY).is_some());
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_others_wait_for_the_one() {
    let certificates = certificates();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);

    // Nothing to wait for.
    assert_eq!(pin!(certificates.underway()).poll(&mut context), Poll::Ready(()));
    assert!(certificates.wait(Duration::ZERO));

    let guard = certificates.begin_refresh(EARLY).unwrap();
    assert!(!certificates.wait(Duration::from_millis(10)));
    let (mut first, mut second) = (pin!(certificates.underway()), pin!(certificates.underway()));
    for _ in 0..3 {
        assert_eq!(first.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(second.as_mut().poll(&mut context), Poll::Pending);
    }
    // One that is dropped is not woken.
    let mut third = Box::pin(certificates.underway());
    assert_eq!(third.as_mut().poll(&mut context), Poll::Pending);
    drop(third);
    drop(guard);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    // The next refresh is none of their business.
    let _next = certificates.begin_refresh(EARLY + MINUTE).unwrap();
    assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(()));
    assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(()));
    assert_eq!(pin!(certificates.underway()).poll(&mut context), Poll::Pending);
}

#[test]
fn a_merchant_without_certificates() {
    let body =
        r#"{"code":"RESOURCE_NOT_EXISTS","message":"无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。"}"#;
    let finish = |certificates: &Certificates, message: &Message, status| {
        let guard = certificates.begin_refresh(message.now).unwrap();
        guard.finish(status, &message.headers, &message.body, message.now)
    };
    let unsigned = Message { now: EARLY, headers: HeaderMap::new(), body: body.into() };
    let signed = Message::signed(&signer("new"), PUBLIC_KEY_ID, EARLY, "n", body);
    let refused = |status, code: &str, message: &str| {
        let (code, message) = (code.into(), message.into());
        Err(CertificatesError::Refused { status, code, message, request_id: None, authenticated: false })
    };
    let says = "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。";

    for message in [&unsigned, &signed] {
        let certificates = certificates().with_public_key(PUBLIC_KEY_ID, key("new"));
        let changed = finish(&certificates, message, StatusCode::NOT_FOUND).unwrap();
        assert!(changed.none && changed.added.is_empty());
        // Asked once a day, and not more often for an unknown serial.
        assert!(!certificates.refresh_due(EARLY + DAY - 1) && !certificates.may_refresh(EARLY + DAY - 1));
        assert!(certificates.refresh_due(EARLY + DAY) && certificates.may_refresh(EARLY + DAY));
        assert_eq!(certificates.preferred().as_deref(), Some(PUBLIC_KEY_ID));
        // A merchant can get some later.
        assert!(!accept(&certificates, &old_answer(EARLY + DAY)).unwrap().none);
        assert!(certificates.may_refresh(EARLY + DAY));
    }

    // Who has no certificate yet hears what a refusal says, though nobody known can have signed it.
    let certificates = self::certificates();
    let limited = Message::signed(&signer("old"), OLD, EARLY, "n", r#"{"code":"RATELIMIT_EXCEEDED","message":"m"}"#);
    assert_eq!(finish(&certificates, &limited, StatusCode::TOO_MANY_REQUESTS), refused(429, "RATELIMIT_EXCEEDED", "m"));
    let unknown = |serial: &str| Err(CertificatesError::Unverified(UnverifiedReason::UnknownSerial(serial.into())));
    let by_public_key = Message::signed(&signer("new"), PUBLIC_KEY_ID, EARLY + HOUR, "n", body);
    assert_eq!(finish(&certificates, &by_public_key, StatusCode::NOT_FOUND), unknown(PUBLIC_KEY_ID));
    let unsigned_success = limited.clone();
    let certificates = self::certificates();
    assert!(!matches!(
        finish(&certificates, &unsigned_success, StatusCode::OK),
        Err(CertificatesError::Refused { .. })
    ));
    // Once there is one, it says who may sign.
    let certificates = self::certificates();
    accept(&certificates, &old_answer(EARLY)).unwrap();
    let later = Message::signed(&signer("new"), NEW, EARLY + HOUR, "n", r#"{"code":"NO_AUTH"}"#);
    assert_eq!(finish(&certificates, &later, StatusCode::FORBIDDEN), unknown(NEW));

    // Another refusal is none of this kind.
    let certificates = self::certificates().with_public_key(PUBLIC_KEY_ID, key("new"));
    assert_eq!(finish(&certificates, &unsigned, StatusCode::FORBIDDEN), refused(403, "RESOURCE_NOT_EXISTS", says));
    let page = Message { now: EARLY + HOUR, body: b"<html>404".into(), ..unsigned.clone() };
    assert_eq!(finish(&certificates, &page, StatusCode::NOT_FOUND), refused(404, "", ""));
    // A signature that does not fit is noticed.
    let forged = Message { now: EARLY + 100, ..signed.clone() }.with("wechatpay-nonce", Some("x"));
    let unverified = Err(CertificatesError::Unverified(UnverifiedReason::Mismatch));
    assert_eq!(finish(&certificates, &forged, StatusCode::NOT_FOUND), unverified);
    let empty = Message { now: EARLY + 2 * HOUR, headers: HeaderMap::new(), body: Vec::new() };
    let unsigned_success = Err(CertificatesError::Unverified(UnverifiedReason::Unsigned));
    assert_eq!(finish(&certificates, &empty, StatusCode::NO_CONTENT), unsigned_success);

    // Against certificates that are held, only a signed one counts; they stay until they end.
    let certificates = self::certificates().with_public_key(PUBLIC_KEY_ID, key("new"));
    accept(&certificates, &old_answer(EARLY)).unwrap();
    assert_eq!(finish(&certificates, &unsigned, StatusCode::NOT_FOUND), refused(404, "RESOURCE_NOT_EXISTS", says));
    let mut named = Message { now: EARLY + MINUTE, ..unsigned.clone() };
    named.headers.insert("request-id", "08F7-1".parse().unwrap());
    let error = finish(&certificates, &named, StatusCode::FORBIDDEN).unwrap_err().to_string();
    assert!(error.contains(says) && error.ends_with("has signed the refusal] (Request-ID 08F7-1)"), "{error}");
    let later = Message { now: EARLY + 200, ..signed };
    assert!(finish(&certificates, &later, StatusCode::NOT_FOUND).unwrap().none);
    assert!(believes(&certificates, ("old", OLD), EARLY));
}

#[test]
fn exported_ones_are_trusted_after_a_restart() {
    let certificates = certificates().with_public_key(PUBLIC_KEY_ID, key("new"));
    accept(&certificates, &Message::fixture("certificates.json")).unwrap();
    let saved = certificates.export();
    assert!(!saved.contains(APIV3_KEY) && !saved.contains("PUB_KEY_ID") && !saved.contains("PRIVATE"), "{saved}");

    let restarted = self::certificates();
    assert_eq!(restarted.import(&saved, NOW + HOUR).unwrap().added, [NEW, OLD]);
    assert!(believes(&restarted, ("new", NEW), NOW) && believes(&restarted, ("old", OLD), NOW));
    assert_eq!(restarted.export(), saved);
    // The age goes on.
    assert!(!restarted.refresh_due(NOW + 12 * HOUR - 1) && restarted.refresh_due(NOW + 12 * HOUR));
    // What has ended is dropped.
    let restarted = self::certificates();
    assert_eq!(restarted.import(&saved, OLD_ENDS + 1).unwrap().added, [NEW]);
    // An older save does not make what is held look older.
    let older = saved.replace(&NOW.to_string(), "1");
    assert_ne!(older, saved);
    certificates.import(&older, NOW).unwrap();
    assert_eq!(certificates.export(), saved);
    // A save from the future does not keep from asking.
    let restarted = self::certificates();
    restarted.import(&saved.replace(&NOW.to_string(), "9000000000000000000"), NOW).unwrap();
    assert!(restarted.refresh_due(NOW));

    // Nothing is something too.
    let empty = self::certificates().export();
    assert_eq!(self::certificates().import(&empty, NOW).unwrap(), Changed::default());

    for (damage, wanted) in [
        (String::new(), "platform certificates: cannot be read at .: not JSON (line 1 column 0); download them again"),
        (saved[..saved.len() / 2].to_owned(), "not JSON"),
        ("{}".to_owned(), "missing field `version`"),
        (
            saved.replace("\"version\": 1", "\"version\": 2"),
            "saved in form 2, only form 1 is known; download them again",
        ),
        (saved.replace("MII", "M!I"), "the PEM block is not base64"),
        (saved.replace(OLD, NEW), "the certificate itself has the serial number 5157F0"),
        (saved.replace("BEGIN CERTIFICATE", "BEGIN PRIVATE KEY"), "found a private key"),
        (" ".repeat((1 << 20) + 1), "1048577 bytes are more than"),
    ] {
        let restarted = self::certificates();
        let error = restarted.import(&damage, NOW).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(restarted.serials().is_empty() && restarted.refresh_due(NOW));
    }
}

#[test]
fn debug_shows_serials_and_no_secret() {
    let certificates = certificates().with_public_key(PUBLIC_KEY_ID, key("new")).with_certificate(&pem("old")).unwrap();
    let shown = format!("{certificates:?}");
    assert!(shown.contains(OLD) && shown.contains(PUBLIC_KEY_ID) && !shown.contains(APIV3_KEY), "{shown}");
    let error = self::certificates().with_certificate("-").unwrap_err();
    assert_eq!(error.fault(), KeyFault::NotPem);
}

/// A clock that is set by hand.
#[derive(Clone)]
struct At(Arc<AtomicI64>);

impl Stamper for At {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn nonce(&self) -> Result<String, BoxError> {
        Ok("n".to_owned())
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn jitter(&self) -> u16 {
        0
    }
}

/// What hosts answer, and which were asked: host and path.
type Asked = Arc<std::sync::Mutex<Vec<String>>>;

/// A transport that answers every path but that of the certificates with `answer`, and that one with `certificates`.
fn answering(asked: &Asked, answer: Message, certificates: Message) -> impl Transport + use<> {
    let asked = Arc::clone(asked);
    move |request: http::Request<Bytes>| {
        let uri = request.uri();
        let host = uri.host().unwrap_or_default().split('.').next().unwrap_or_default().to_owned();
        asked.lock().unwrap().push(format!("{host} {}", uri.path()));
        let message = if uri.path() == "/v3/certificates" { certificates.clone() } else { answer.clone() };
        let answer = if host == "api" {
            Err(TransportError::new(TransportErrorKind::Connect, "it is down"))
        } else {
            let mut response = http::Response::new(http_body_util::Full::from(message.body));
            *response.headers_mut() = message.headers;
            Ok(response)
        };
        std::future::ready(answer)
    }
}

#[test]
fn a_call_tells_the_time_and_believes_no_certificate_that_has_ended() {
    let merchant = || Merchant::new("1900000109", "AB", signer("old"));
    for (now, believed) in [(OLD_ENDS, true), (OLD_ENDS + 1, false)] {
        let trust = certificates().with_certificate(&pem("old")).unwrap();
        let empty = Message::signed(&signer("old"), OLD, now, "n", "{}");
        let transport = answering(&Asked::default(), empty.clone(), empty);
        let client = Client::new(transport, merchant(), trust)
            .with_stamper(At(Arc::new(now.into())))
            .with_base_url(BaseUrl::official_backup());
        let outcome = now_or_never(client.get("/v3/x"));
        assert_eq!(outcome.is_ok(), believed, "{now}: {outcome:?}");
    }
}

#[test]
fn the_host_that_names_a_new_serial_is_asked_for_its_certificate() {
    let asked = Asked::default();
    let both = [entry(OLD, pem("old").as_bytes()), entry(NEW, pem("new").as_bytes())];
    let transport =
        answering(&asked, Message::signed(&signer("new"), NEW, NOW, "n", "{}"), answer(("new", NEW), NOW, &both));
    let at_once = |_| -> wechatpay_protocol::retry::Sleep { Box::pin(std::future::pending()) };
    let client = Client::new(transport, Merchant::new("1900000109", "AB", signer("old")), certificates())
        .with_stamper(At(Arc::new(NOW.into())))
        .with_backups([BaseUrl::official_backup()])
        .with_retry(RetryPolicy::default(), move |pause: Duration| {
            // Pauses pass at once, attempts take no time.
            if pause < Duration::from_secs(5) { Box::pin(std::future::ready(())) } else { at_once(pause) }
        });
    now_or_never(client.get("/v3/x")).expect("believed once the certificate is there");
    assert_eq!(*asked.lock().unwrap(), ["api /v3/x", "api2 /v3/x", "api2 /v3/certificates"]);
}

#[test]
fn a_call_goes_on_though_the_one_that_began_the_download_is_not_polled_any_more() {
    /// Answers calls at once, and the download at the second poll.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);
    impl Transport for Slow {
        type Body = http_body_util::Full<Bytes>;
        async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Self::Body>, TransportError> {
            let message = if request.uri().path() == "/v3/certificates" {
                self.0.fetch_add(1, Ordering::Relaxed);
                let mut polled = false;
                std::future::poll_fn(|_| {
                    if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                old_answer(EARLY)
            } else {
                Message::signed(&signer("old"), OLD, EARLY, "n", "{}")
            };
            let mut response = http::Response::new(Bytes::from(message.body).into());
            *response.headers_mut() = message.headers;
            Ok(response)
        }
    }
    let (transport, trust) = (Slow::default(), Arc::new(certificates()));
    let merchant = Merchant::new("1900000109", "AB", signer("old"));
    let client = Client::new(transport.clone(), merchant, Arc::clone(&trust)).with_stamper(At(Arc::new(EARLY.into())));
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (pin!(client.get("/v3/x")), pin!(client.get("/v3/x")));
    assert!(first.as_mut().poll(&mut context).is_pending());
    let Poll::Ready(outcome) = second.as_mut().poll(&mut context) else { panic!("it waits for the first") };
    outcome.expect("believed");
    let Poll::Ready(outcome) = first.as_mut().poll(&mut context) else { panic!("the download is over") };
    outcome.expect("believed");
    assert_eq!(transport.0.load(Ordering::Relaxed), 1, "one download for both");

    // Nor does it wait for one that somebody asked for and does not poll.
    let (transport, trust) = (Slow::default(), Arc::new(certificates()));
    let merchant = Merchant::new("1900000109", "AB", signer("old"));
    let client = Client::new(transport.clone(), merchant, Arc::clone(&trust)).with_stamper(At(Arc::new(EARLY.into())));
    let mut refresh = pin!(client.refresh_certificates());
    assert!(refresh.as_mut().poll(&mut context).is_pending());
    now_or_never(client.get("/v3/x")).expect("believed");
    let Poll::Ready(outcome) = refresh.as_mut().poll(&mut context) else { panic!("the download is over") };
    assert_eq!(outcome.expect("refreshed").added, [OLD]);
    assert_eq!(transport.0.load(Ordering::Relaxed), 1, "one download for both");

    // Given up by all of them, it leaves nothing behind: the next one begins its own, at once.
    let trust = Arc::new(certificates());
    let merchant = Merchant::new("1900000109", "AB", signer("old"));
    let client = Client::new(Slow::default(), merchant, Arc::clone(&trust)).with_stamper(At(Arc::new(EARLY.into())));
    let (mut first, mut second) = (Box::pin(client.get("/v3/x")), Box::pin(client.get("/v3/x")));
    assert!(first.as_mut().poll(&mut context).is_pending() && !trust.may_refresh(EARLY));
    drop(first);
    assert!(trust.may_refresh(EARLY));
    assert!(second.as_mut().poll(&mut context).is_pending() && !trust.may_refresh(EARLY));
    drop(second);
    drop(client);
    assert_eq!(Arc::strong_count(&trust), 1, "nothing holds itself");
}

fn now_or_never<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for somebody"),
    }
}

#[test]
fn a_refresh_that_is_given_up_midway_is_no_failure() {
    /// Never answers at first, then fails, then answers.
    #[derive(Clone, Default)]
    struct Moody(Arc<AtomicUsize>);
    impl Transport for Moody {
        type Body = http_body_util::Full<Bytes>;
        async fn call(&self, _: http::Request<Bytes>) -> Result<http::Response<Self::Body>, TransportError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => std::future::pending().await,
                1 => Err(TransportError::interrupted("cut")),
                _ => {
                    let message = old_answer(EARLY);
                    let mut response = http::Response::new(Bytes::from(message.body).into());
                    *response.headers_mut() = message.headers;
                    Ok(response)
                }
            }
        }
    }
    let (certificates, clock) = (Arc::new(certificates()), At(Arc::new(EARLY.into())));
    let merchant = Merchant::new("1900000109", "AB", signer("old"));
    let client = Client::new(Moody::default(), merchant, Arc::clone(&certificates)).with_stamper(clock.clone());
    let mut context = Context::from_waker(Waker::noop());

    let mut refresh = Box::pin(client.refresh_certificates());
    assert!(refresh.as_mut().poll(&mut context).is_pending() && !certificates.may_refresh(EARLY));
    drop(refresh);
    assert!(certificates.may_refresh(EARLY), "nothing failed, so nothing rests");

    let failed = pin!(client.refresh_certificates()).poll(&mut context);
    assert!(matches!(failed, Poll::Ready(Err(RefreshError::Call(_)))), "{failed:?}");
    assert!(!certificates.may_refresh(EARLY + MINUTE - 1));
    // Given up on while the rest is over: the failure before it is forgotten no sooner than it would have been.
    drop(certificates.begin_refresh(EARLY + MINUTE));
    assert!(!certificates.may_refresh(EARLY + MINUTE - 1) && certificates.may_refresh(EARLY + MINUTE));

    clock.0.store(EARLY + MINUTE, Ordering::Relaxed);
    let Poll::Ready(Ok(changed)) = pin!(client.refresh_certificates()).poll(&mut context) else { panic!() };
    assert_eq!(changed.added, [OLD]);
}
