//! Keys and certificates that were cut, mixed up, mangled in transport or made of something else.

use crate::counted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use wechatpay_protocol::crypto::{Certificate, KeyError, aws_lc, pkcs8_from_pem, rsa, spki_from_pem};

/// The keys and certificates that the tests of the protocol have, of all kinds.
fn originals() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wechatpay-protocol/tests/fixtures/crypto");
    let mut texts = Vec::new();
    for folder in [folder.clone(), folder.join("published")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(texts.len() >= 20);
    texts
}

/// The text with something done to it.
fn mangled(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let without =
        |at: usize| lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, l)| format!("{l}\n")).collect();
    let mut all: Vec<String> = (0..lines.len()).map(without).collect();
    all.extend((0..lines.len()).map(|at| lines[..at].join("\n")));
    all.extend(
        [
            text.repeat(2),
            text.replace('\n', "\\n"),
            text.replace('\n', ""),
            text.replace('\n', " "),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            format!("\u{feff}{text}"),
            format!("Bag Attributes\n{text}"),
            text.replace("-----", "----"),
            text.replace("-----", "—"),
            text.replace("BEGIN", "begin"),
            text.replace("END", "BEGIN"),
            text.replace("KEY", "CERTIFICATE"),
            text.replace("CERTIFICATE", "PRIVATE KEY"),
            text.replace("PRIVATE", "PUBLIC"),
            text.replace("PUBLIC", "PRIVATE"),
            text.replace('=', ""),
            text.replace(['+', '/'], "-"),
            text.replace('A', "\u{0}"),
            text.to_lowercase(),
            text.chars().rev().collect(),
            STANDARD.encode(text),
            text.lines().filter(|line| !line.starts_with('-')).collect(),
        ]
        .map(|text: String| text),
    );
    let label = text.split("-----").nth(1).unwrap_or_default().replace("BEGIN ", "");
    let body: String = text.split("-----").nth(2).unwrap_or_default().split_whitespace().collect();
    if let Ok(der) = STANDARD.decode(body) {
        for at in (0..der.len()).step_by(der.len() / 24 + 1).chain(0..der.len().min(24)) {
            for change in [0x01, 0x80, 0xff] {
                let mut der = der.clone();
                der[at] ^= change;
                all.push(framed(&label, &der));
            }
            all.push(framed(&label, &der[..at]));
        }
        all.push(framed(&label, &[der.clone(), vec![0]].concat()));
        all.push(framed(&label, &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]));
        all.push(framed(&label, &[0x30, 0x80, 0x00, 0x00]));
        all.push(framed(&label, &[0x30; 5000]));
    }
    all
}

fn framed(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// An error that says what to do and repeats nothing of what may be a secret.
fn checked<T>(text: &str, result: Result<T, KeyError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let shown = format!("{error} {error:?}");
            let secret = text.lines().filter(|line| line.len() >= 40 && !line.contains([' ', '-']));
            secret.for_each(|line| assert!(!shown.contains(line), "{shown}"));
            None
        }
    }
}

#[test]
fn none_panics_and_both_providers_read_the_same() {
    let (mut cases, mut refused) = (0, 0);
    for original in originals() {
        for text in mangled(&original) {
            let pkcs8 = checked(&text, pkcs8_from_pem(&text));
            let spki = checked(&text, spki_from_pem(&text));
            let certificate = checked(&text, Certificate::from_pem(&text));
            let meanings = [pkcs8.is_some(), spki.is_some(), certificate.is_some()];
            assert!(meanings.iter().filter(|yes| **yes).count() <= 1, "{text}");
            // What a provider takes has the form; beyond it, numbers that do not belong together may be refused.
            assert!(pkcs8.is_some() || checked(&text, aws_lc::Signer::from_pem(&text)).is_none());
            assert!(pkcs8.is_some() || checked(&text, rsa::Signer::from_pem(&text)).is_none());
            assert!(spki.is_some() || checked(&text, aws_lc::VerifyingKey::from_public_key_pem(&text)).is_none());
            assert!(spki.is_some() || checked(&text, rsa::VerifyingKey::from_public_key_pem(&text)).is_none());
            if pkcs8.is_some() {
                checked(&text, aws_lc::Signer::from_pem(&text));
                checked(&text, rsa::Signer::from_pem(&text));
            }
            if spki.is_some() {
                checked(&text, aws_lc::VerifyingKey::from_public_key_pem(&text));
                checked(&text, rsa::VerifyingKey::from_public_key_pem(&text));
            }
            if let Some(certificate) = certificate {
                let serial = certificate.serial();
                assert!(!serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_hexdigit()), "{serial}");
                checked(&text, aws_lc::VerifyingKey::from_certificate(&certificate));
                checked(&text, rsa::VerifyingKey::from_certificate(&certificate));
            }
            refused += usize::from(meanings == [false; 3]);
            cases += 1;
        }
    }
    assert!(refused > cases / 2 && refused < cases, "{refused} of {cases}");
    counted("keys", cases);
}
