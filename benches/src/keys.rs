//! Keys of a merchant and of the platform, made for the run.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;

pub const MCHID: &str = "1900000001";
pub const SERIAL_NO: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
pub const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000000012026010100000001";
pub const APIV3_KEY: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
/// The time of all of it, so that what was signed once stays fresh.
pub const NOW: i64 = 1_767_578_400;

pub struct Keys {
    pub merchant: KeyPair,
    pub platform: KeyPair,
}

/// The keys of this run.
pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = || KeyPair::generate(KeySize::Rsa2048).expect("a key");
    Keys { merchant: key(), platform: key() }
});

pub fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
    signature
}

impl Keys {
    pub fn merchant_pem(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.merchant.as_der().expect("a private key");
        pem("PRIVATE KEY", der.as_ref())
    }

    pub fn platform_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.platform.public_key().as_der().expect("a public key");
        pem("PUBLIC KEY", der.as_ref())
    }

    /// The headers of an answer of the platform.
    pub fn answer_headers(&self, body: &[u8]) -> [(&'static str, String); 4] {
        let nonce = "c5ac7061fccab6bf3e254dcf98995b8c";
        let mut message = format!("{NOW}\n{nonce}\n").into_bytes();
        message.extend_from_slice(body);
        message.push(b'\n');
        [
            ("Wechatpay-Timestamp", NOW.to_string()),
            ("Wechatpay-Nonce", nonce.to_owned()),
            ("Wechatpay-Signature", STANDARD.encode(sign(&self.platform, &message))),
            ("Wechatpay-Serial", PUBLIC_KEY_ID.to_owned()),
        ]
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
