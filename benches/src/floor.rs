//! The floor: serde_json, aws-lc-rs and `http`, by hand, with nothing checked that need not be.

use crate::keys::{self, KEYS, MCHID, PUBLIC_KEY_ID, SERIAL_NO};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// 32 letters and digits; not quite evenly drawn, as many clients do it.
fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("randomness");
    let mut nonce = String::with_capacity(32);
    bytes.iter().for_each(|byte| write!(nonce, "{byte:02X}").expect("a string takes it"));
    nonce
}

/// A signed request.
pub fn request<B: Serialize>(base: &str, method: Method, target: &str, body: &B) -> Request<Bytes> {
    let body = serde_json::to_vec(body).expect("JSON");
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let nonce = nonce();
    let mut message = format!("{method}\n{target}\n{timestamp}\n{nonce}\n").into_bytes();
    message.extend_from_slice(&body);
    message.push(b'\n');
    let signature = STANDARD.encode(keys::sign(&KEYS.merchant, &message));
    let authorization = format!(
        "WECHATPAY2-SHA256-RSA2048 mchid=\"{MCHID}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",\
         serial_no=\"{SERIAL_NO}\",signature=\"{signature}\""
    );
    Request::builder()
        .method(method)
        .uri(format!("{base}{target}"))
        .header("Accept", "application/json")
        .header("Content-Type", "application/json")
        .header("User-Agent", "floor")
        .header("Authorization", authorization)
        .header("Wechatpay-Serial", PUBLIC_KEY_ID)
        .body(Bytes::from(body))
        .expect("a request")
}

/// The platform's public key.
pub struct Verifier(ParsedPublicKey);

impl Default for Verifier {
    fn default() -> Self {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        use aws_lc_rs::signature::KeyPair as _;
        let der: PublicKeyX509Der<'_> = KEYS.platform.public_key().as_der().expect("a public key");
        Self(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).expect("a public key"))
    }
}

impl Verifier {
    /// Reads a body whose signature fits.
    pub fn read<R: DeserializeOwned>(&self, headers: &HeaderMap, body: &[u8]) -> R {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).expect("a header");
        let mut message = format!("{}\n{}\n", text("Wechatpay-Timestamp"), text("Wechatpay-Nonce")).into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        let signature = STANDARD.decode(text("Wechatpay-Signature")).expect("base64");
        assert_eq!(text("Wechatpay-Serial"), PUBLIC_KEY_ID);
        self.0.verify_sig(&message, &signature).expect("it fits");
        serde_json::from_slice(body).expect("JSON")
    }
}

/// Opens what a notification carries.
pub fn open(nonce: &str, associated_data: &str, ciphertext: &str) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, keys::APIV3_KEY).expect("a key"));
    let mut bytes = STANDARD.decode(ciphertext).expect("base64");
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).expect("12 bytes");
    let plain = key.open_in_place(nonce, Aad::from(associated_data.as_bytes()), &mut bytes).expect("it opens");
    let length = plain.len();
    bytes.truncate(length);
    bytes
}

/// Seals what a notification carries.
pub fn seal(nonce: &str, associated_data: &str, plain: &[u8]) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, keys::APIV3_KEY).expect("a key"));
    let mut bytes = plain.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).expect("12 bytes");
    key.seal_in_place_append_tag(nonce, Aad::from(associated_data.as_bytes()), &mut bytes).expect("it seals");
    STANDARD.encode(bytes)
}
