//! Keys and certificates in PEM. The first line says how the rest is to be taken: `text` as it is, or `private`,
//! `public`, `certificate` as DER to be put into a frame.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use wechatpay_fuzz::first_line;
use wechatpay_protocol::crypto::{Certificate, KeyError, Signer as _, aws_lc, pkcs8_from_pem, rsa, spki_from_pem};

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = first_line(input) else { return };
    let framed = |label: &str| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(rest));
    let text = match how {
        "text" => match std::str::from_utf8(rest) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
        "private" => framed("PRIVATE KEY"),
        "public" => framed("PUBLIC KEY"),
        "certificate" => framed("CERTIFICATE"),
        _ => return,
    };
    let private = private(&text);
    let public = public(&text);
    let certificate = checked(&text, Certificate::from_pem(&text));
    if let Some(certificate) = &certificate {
        assert!(!certificate.serial().is_empty());
        assert!(certificate.serial().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')));
        let _ = aws_lc::VerifyingKey::from_certificate(certificate);
        let _ = rsa::VerifyingKey::from_certificate(certificate);
    }
    assert!(u8::from(private) + u8::from(public) + u8::from(certificate.is_some()) <= 1, "one text, two meanings");
});

fn private(text: &str) -> bool {
    let der = checked(text, pkcs8_from_pem(text));
    let aws = checked(text, aws_lc::Signer::from_pem(text));
    let rsa = checked(text, rsa::Signer::from_pem(text));
    assert!(der.is_some() || aws.is_none() && rsa.is_none());
    if let (Some(aws), Some(rsa)) = (&aws, &rsa) {
        // A signature of this kind has no randomness in it.
        if let (Ok(one), Ok(other)) = (aws.sign(b"message"), rsa.sign(b"message")) {
            assert_eq!(one, other);
        }
    }
    der.is_some()
}

fn public(text: &str) -> bool {
    let der = checked(text, spki_from_pem(text));
    let aws = checked(text, aws_lc::VerifyingKey::from_public_key_pem(text));
    let rsa = checked(text, rsa::VerifyingKey::from_public_key_pem(text));
    assert!(der.is_some() || aws.is_none() && rsa.is_none());
    der.is_some()
}

/// An error says nothing of the text: no run of 16 characters of its base64 is in it.
fn checked<T>(text: &str, result: Result<T, KeyError>) -> Option<T> {
    result
        .map_err(|error| {
            let shown = format!("{error} {error:?}");
            for line in text.lines().filter(|line| !line.contains('-') && !line.contains(' ') && line.len() >= 16) {
                assert!(!shown.contains(line), "{shown}");
            }
        })
        .ok()
}
