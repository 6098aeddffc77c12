//! The search for secrets in the logs of the tests finds them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wechatpay_tests::leaks::{forms, search};

/// The logs of a run in which these lines were written while these were secret.
fn run(secrets: &[&[u8]], lines: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let hex = |secret: &&[u8]| secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    std::fs::write(folder.path().join("1.secrets"), secrets.iter().map(hex).collect::<String>()).expect("written");
    std::fs::write(folder.path().join("2.log"), lines.join("\n")).expect("written");
    let leaks = search(folder.path()).expect("searched").leaks;
    let place = |leak: String| leak.rsplit_once("2.log:").expect("a place").1.to_owned();
    leaks.into_iter().map(place).collect()
}

#[test]
fn a_secret_is_found_in_every_form_wherever_it_stands() {
    let secret = b"CANARY CODE/9=7\"\xe5\x8d\xa1";
    let key: Vec<u8> = (100..148).collect();
    for secret in [&secret[..], &key] {
        let shown = forms(secret);
        assert!(shown.len() >= 6, "{shown:?}");
        for form in shown {
            let lines = ["TRACE one".to_owned(), format!("TRACE uri=/v3/x/{form}&y"), "TRACE three".to_owned()];
            assert_eq!(run(&[b"another secret", secret], &lines), ["2"], "{form}");
        }
    }
    // Inside a longer base64 text, however it is shifted there.
    for before in 0..3 {
        let whole = [&vec![b'x'; before], &key[..], b"after"].concat();
        assert_eq!(run(&[&key], &[STANDARD.encode(whole)]), ["1"], "after {before} bytes");
    }
}

#[test]
fn what_no_log_may_hold_is_found_without_being_named() {
    let lines = [
        "authorization: WECHATPAY2-SHA256-RSA2048 mchid=\"1\",signature=\"YQ==\"".to_owned(),
        "-----BEGIN PRIVATE KEY-----".to_owned(),
        r#"{"key":"-----BEGIN PRIVATE KEY-----\nMII"}"#.to_owned(),
        "-----BEGIN PRIVATE KEY-----\r".to_owned(),
        "an attempt operation=favor.get_stock status=200".to_owned(),
        "no PEM block; name the private key file, with the lines -----BEGIN PRIVATE KEY----- and".to_owned(),
    ];
    assert_eq!(run(&[b"another secret"], &lines), ["1", "2", "3", "4"]);
    assert!(run(&[b"another secret"], &lines[4..]).is_empty());
}
