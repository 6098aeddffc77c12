//! Notifications that were kept, judged without anybody to call.

use crate::common::{Run, command, fixture, run_with};
use serde_json::Value;

const KEY: &str = "0123456789abcdefABCDEF-fixture-k";
const NOW: &str = "2025-09-11T12:30:01+08:00";

/// A genuine notification as a file holds it.
fn capture() -> String {
    let text = std::fs::read_to_string(fixture("../trust/notification.json")).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let headers = kept["headers"].as_object().unwrap().iter();
    let headers: String = headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
    format!("POST /notify HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n{}", kept["body"].as_str().unwrap())
}

fn decrypt(capture: &str, arguments: &[&str], key: &str, certificate: &str) -> Run {
    let mut command = command(&[&["notify", "decrypt", "-"], arguments].concat());
    command.env("WECHATPAY_APIV3_KEY", key).env("WECHATPAY_PLATFORM_CERT", fixture(certificate));
    let run = run_with(&mut command, capture.as_bytes());
    assert!(!run.stdout.contains(key) && !run.stderr.contains(key), "{run:?}");
    run
}

#[test]
fn a_notification_is_verified_and_opened() {
    let run = decrypt(&capture(), &["--json", "--now", NOW], KEY, "../trust/old.cert.pem");
    let event = &run.json()[0];
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!((event["event_type"].as_str(), event["original_type"].as_str()), (Some("COUPON.USE"), Some("coupon")));
    assert!(event["id"].is_string() && event["create_time"].is_string(), "{event}");
    assert!(event["resource"]["coupon_id"].is_string(), "{event}");

    let people = decrypt(&capture(), &["--now", NOW], KEY, "../trust/old.cert.pem");
    assert!(
        people.stderr.contains("COUPON.USE · verified with 5157F09EFDC096DE15EBE81A47057A7232F1B8E1"),
        "{people:?}"
    );
    assert_eq!(serde_json::from_str::<Value>(&people.stdout).unwrap(), *event);
}

#[test]
fn a_notification_that_is_not_taken_says_why() {
    let (genuine, now, old) = (capture(), &["--now", NOW][..], "../trust/old.cert.pem");
    let wrong_key = "another key that has 32 bytes....";
    let length = format!("Content-Length: {}\r\n", genuine.split("\r\n\r\n").nth(1).unwrap().len());
    let kept = genuine.replace("Host: example.com\r\n", &length) + "\n";
    let rows = [
        (genuine.clone(), now, KEY, old, 0, "", ""),
        (kept, now, KEY, old, 0, "", ""),
        (genuine.clone(), &[], KEY, old, 4, "stale", "--now 2026"),
        (genuine.clone(), now, KEY, "../trust/new.cert.pem", 4, "unknown_serial", "certs download"),
        (genuine.clone(), now, &wrong_key[..32], old, 4, "", "check that WECHATPAY_APIV3_KEY"),
        (genuine.replace("COUPON.USE", "COUPON.SEN"), now, KEY, old, 4, "mismatch", ""),
        (genuine.clone() + "\n", now, KEY, old, 4, "mismatch", "Content-Length"),
        (genuine.replace("Wechatpay-Signature: ", "Was: "), now, KEY, old, 4, "missing_header", ""),
        (genuine.replace("Host: example.com", "Wechatpay-Nonce: x"), now, KEY, old, 4, "duplicate_header", ""),
        (
            genuine.replace("Wechatpay-Signature: ", "Wechatpay-Signature: WECHATPAY/SIGNTEST/"),
            now,
            KEY,
            old,
            4,
            "probe",
            "",
        ),
        (genuine + &" ".repeat(1 << 20), now, KEY, old, 2, "", ""),
    ];
    for (capture, arguments, key, certificate, code, reason, next) in rows {
        let run = decrypt(&capture, &[&["--json"], arguments].concat(), key, certificate);
        let line = run.json()[0].clone();
        let error = &line["error"];
        let found = (run.code, error["reason"].as_str().unwrap_or_default());
        assert_eq!(found, (code, reason), "{run:?}");
        assert!(error["next"].as_str().unwrap_or_default().contains(next), "{next}: {run:?}");
    }
}
