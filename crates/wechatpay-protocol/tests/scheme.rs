//! Another signature scheme is added from outside: signer, keys and their names, and no fork.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use std::task::{Context, Poll, Waker};
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::{
    BoxError, Client, Error, Merchant, Stamper, SystemStamper, TransportError, Trust, UnverifiedReason,
};

/// Stands for SM2 with SM3: the name is what matters here.
struct National;

const SCHEME: &str = "WECHATPAY2-SM2-WITH-SM3";

impl Signer for National {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(message.iter().rev().copied().collect())
    }
    fn scheme(&self) -> &str {
        SCHEME
    }
}

impl VerifyingKey for National {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        message.iter().rev().eq(signature)
    }
    fn signature_type(&self) -> &str {
        SCHEME
    }
}

fn answer(signature_type: &'static str) -> Result<(), Error> {
    let transport = move |request: http::Request<Bytes>| {
        let header = request.headers()["authorization"].to_str().expect("ASCII");
        assert!(header.starts_with("WECHATPAY2-SM2-WITH-SM3 mchid=\"1900000109\","), "{header}");
        let now = SystemStamper.now();
        let signature = National.sign(format!("{now}\nn\n{{}}\n").as_bytes()).expect("a signature");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("wechatpay-timestamp", now.to_string()),
            ("wechatpay-nonce", "n".to_owned()),
            ("wechatpay-signature", STANDARD.encode(signature)),
            ("wechatpay-serial", "NATIONAL".to_owned()),
            ("wechatpay-signature-type", signature_type.to_owned()),
        ] {
            headers.insert(name, value.parse().expect("a header value"));
        }
        let mut response = http::Response::new(Full::new(Bytes::from_static(b"{}")));
        *response.headers_mut() = headers;
        std::future::ready(Ok::<_, TransportError>(response))
    };
    let trust = Trust::new().with_certificate("NATIONAL", National);
    let client = Client::new(transport, Merchant::new("1900000109", "AB", National), trust);
    let mut call = std::pin::pin!(client.get("/v3/certificates"));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.map(|reply| assert_eq!(reply.serial, "NATIONAL")),
        Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn p2_another_scheme_signs_and_verifies_under_its_own_name() {
    answer(SCHEME).expect("believed");
}

#[test]
fn p7_a_key_of_one_scheme_does_not_take_the_signature_of_another() {
    match answer("WECHATPAY2-SHA256-RSA2048") {
        Err(Error::Unverified(refused)) => {
            assert_eq!(refused.reason, UnverifiedReason::UnknownType("WECHATPAY2-SHA256-RSA2048".to_owned()));
        }
        other => panic!("{other:?}"),
    }
}
