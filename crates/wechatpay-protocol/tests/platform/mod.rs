//! WeChat Pay's side of a test: keys, sealed texts, signed messages.

#![allow(dead_code, reason = "not every test uses everything")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::path::Path;
use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, Signer};
use wechatpay_protocol::crypto::{Certificate, Signer as _};
use wechatpay_protocol::response;

pub(crate) const APIV3_KEY: &str = "0123456789abcdefABCDEF-fixture-k";
pub(crate) const OLD: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
pub(crate) const NEW: &str = "40FFEE09EFDC096DE15EBE81A47057A7232F1B8E";
pub(crate) const EC: &str = "0EC0000000000000000000000000000000000001";
pub(crate) const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000000012026010100000001";
pub(crate) const SIGNATURE_HEADERS: [&str; 5] =
    ["wechatpay-nonce", "wechatpay-serial", "wechatpay-signature", "wechatpay-signature-type", "wechatpay-timestamp"];

/// The text of a file in `fixtures/trust`.
pub(crate) fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trust").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn certificate(name: &str) -> Certificate {
    Certificate::from_pem(&fixture(&format!("{name}.cert.pem"))).unwrap()
}

pub(crate) fn signer(name: &str) -> Signer {
    let key = fixture(&format!("{name}.key.pem"));
    wechatpay_leaks::private_key(&key);
    Signer::from_pem(&key).unwrap()
}

pub(crate) fn apiv3_key() -> ApiV3Key {
    wechatpay_leaks::secret(APIV3_KEY.as_bytes());
    ApiV3Key::new(APIV3_KEY).unwrap()
}

/// A signed message as it arrives.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) now: i64,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// One from `fixtures/trust`, made by the recipe there.
    pub(crate) fn fixture(name: &str) -> Self {
        let json: Value = serde_json::from_str(&fixture(name)).unwrap();
        let headers = json["headers"].as_object().unwrap().iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse::<HeaderValue>().unwrap())
        });
        let (now, body) = (json["now"].as_i64().unwrap(), json["body"].as_str().unwrap());
        Self { now, headers: headers.collect(), body: body.into() }
    }

    /// A message signed here.
    pub(crate) fn signed(signer: &Signer, serial: &str, now: i64, nonce: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let signature = signer.sign(&response::message(&now.to_string(), nonce, &body)).unwrap();
        let values = [nonce, serial, &STANDARD.encode(signature), "WECHATPAY2-SHA256-RSA2048", &now.to_string()]
            .map(str::to_owned);
        let headers = SIGNATURE_HEADERS.into_iter().zip(values);
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        Self { now, headers: headers.collect(), body }
    }

    /// The same with another value in one header, or without it.
    pub(crate) fn with(mut self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.headers.insert(name, value.parse().unwrap()),
            None => self.headers.remove(name),
        };
        self
    }
}

/// Base64 of a text sealed with the APIv3 key.
pub(crate) fn seal(nonce: [u8; 12], associated_data: &str, plain: &[u8]) -> String {
    if let Ok(plain) = serde_json::from_slice(plain) {
        wechatpay_leaks::request(&plain);
    }
    STANDARD.encode(apiv3_key().seal(nonce, associated_data.as_bytes(), plain).unwrap())
}
