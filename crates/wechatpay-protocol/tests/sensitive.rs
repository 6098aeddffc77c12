//! Sensitive fields: encrypted for WeChat Pay, decrypted for the merchant, both against openssl.
//!
//! These tests run the `openssl` command.

#![cfg(any(feature = "aws-lc-rs", feature = "rsa"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

#[cfg(all(feature = "aws-lc-rs", feature = "rsa"))]
mod platform;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wechatpay_protocol::crypto::{CipherError, VerifyingKey};

type MakeKey = fn(&str) -> Box<dyn VerifyingKey>;

const PROVIDERS: &[(&str, MakeKey)] = &[
    #[cfg(feature = "aws-lc-rs")]
    ("aws_lc", |pem| Box::new(wechatpay_protocol::crypto::aws_lc::VerifyingKey::from_public_key_pem(pem).unwrap())),
    #[cfg(feature = "rsa")]
    ("rsa", |pem| Box::new(wechatpay_protocol::crypto::rsa::VerifyingKey::from_public_key_pem(pem).unwrap())),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/crypto").join(name)
}

fn fixture(name: &str) -> String {
    let text = std::fs::read_to_string(path(name)).unwrap();
    if name.starts_with("rsa") && name.ends_with(".key.pem") {
        wechatpay_leaks::private_key(&text);
    }
    text
}

/// What `openssl pkeyutl` makes of this; `None` if it refuses.
fn openssl(action: &str, key: &str, input: &[u8]) -> Option<Vec<u8>> {
    let options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha1", "rsa_mgf1_md:sha1"];
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", action, "-inkey"]).arg(path(key));
    if action == "-encrypt" {
        command.arg("-pubin");
    }
    command.args(options.iter().flat_map(|option| ["-pkeyopt", option]));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

#[test]
#[cfg_attr(miri, ignore = "runs openssl")]
fn openssl_decrypts_what_is_encrypted() {
    for ((name, make), (bits, most)) in PROVIDERS.iter().flat_map(|p| [(p, (2048, 214)), (p, (4096, 470))]) {
        let key = make(&fixture(&format!("rsa{bits}.pub.pem")));
        let encryptor = key.encryptor().unwrap();
        for plain in [&b""[..], "张三".as_bytes(), &[0; 20], &vec![0xff; most]] {
            let encrypted = encryptor.encrypt(plain).unwrap();
            assert_eq!(encrypted.len(), bits / 8, "{name}");
            assert_ne!(encryptor.encrypt(plain).unwrap(), encrypted, "{name}: not random");
            let decrypted = openssl("-decrypt", &format!("rsa{bits}.key.pem"), &encrypted);
            assert_eq!(decrypted.as_deref(), Some(plain), "{name}, {bits} bits, {} bytes", plain.len());
        }
        let bytes = most + 1;
        assert_eq!(encryptor.encrypt(&vec![0; bytes]), Err(CipherError::TooLong { bytes, most }), "{name}");
    }
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn what_openssl_encrypts_is_decrypted() {
    use wechatpay_protocol::crypto::Decryptor as _;
    use wechatpay_protocol::crypto::aws_lc::DecryptingKey;

    for (bits, most) in [(2048, 214), (4096, 470)] {
        let key = DecryptingKey::from_pem(&fixture(&format!("rsa{bits}.key.pem"))).unwrap();
        for plain in [&b"x"[..], "张三".as_bytes(), &[0; 20], &vec![0xff; most]] {
            let encrypted = openssl("-encrypt", &format!("rsa{bits}.pub.pem"), plain).unwrap();
            assert_eq!(&**key.decrypt(&encrypted).unwrap(), plain, "{bits} bits, {} bytes", plain.len());
        }
    }

    // Changed, cut, for another key, or not encrypted at all: always the same answer.
    let key = DecryptingKey::from_pem(&fixture("rsa2048.key.pem")).unwrap();
    let encrypted = openssl("-encrypt", "rsa2048.pub.pem", b"secret").unwrap();
    for bit in (0..2048).step_by(61) {
        let mut wrong = encrypted.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.decrypt(&wrong), Err(CipherError::Refused), "bit {bit}");
    }
    let other = openssl("-encrypt", "rsa4096.pub.pem", b"secret").unwrap();
    for wrong in [&[][..], &encrypted[1..], &encrypted[..255], &[0; 256], &[0xff; 256], &other] {
        assert_eq!(key.decrypt(wrong), Err(CipherError::Refused), "{} bytes", wrong.len());
    }
    assert_eq!(format!("{key:?}"), "aws_lc::DecryptingKey { .. }");
    assert!(DecryptingKey::from_pem(&fixture("rsa1024.key.pem")).is_err());
    assert!(DecryptingKey::from_pem(&fixture("ec.key.pem")).is_err());
}

#[cfg(feature = "rsa")]
#[test]
fn the_rsa_provider_never_decrypts() {
    use wechatpay_protocol::crypto::Decryptor as _;
    use wechatpay_protocol::crypto::rsa::DecryptingKey;

    let error = DecryptingKey.decrypt(&[0; 256]).unwrap_err();
    assert_eq!(error, CipherError::Unsupported("rsa"));
    assert_eq!(error.to_string(), "the provider rsa does not decrypt; use aws_lc::DecryptingKey");
}

/// Answers of a schema of its own: no coupon operation has a sensitive field.
#[cfg(all(feature = "aws-lc-rs", feature = "rsa"))]
mod answers {
    use super::{fixture, openssl, platform};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use http_body_util::Full;
    use platform::{Message, PUBLIC_KEY_ID, certificate, signer};
    use serde_json::{Value, json};
    use wechatpay_protocol::crypto::{CipherError, Decryptor, aws_lc, rsa};
    use wechatpay_protocol::model::Spec;
    use wechatpay_protocol::model::operation::{Body, Method, Shape};
    use wechatpay_protocol::{Client, Error, Merchant, Stamper, SystemStamper, TransportError, Trust};

    type Key = Option<Box<dyn Decryptor>>;

    static NOTHING: Shape = Shape::Object(&[]);
    static GET: Spec = Spec::new("payees.get", Method::Get, "/v3/payees", Body::None, &NOTHING).with_sealed(&[
        "/name",
        "/payees/*/id_card",
        "/payees/*/card/holder",
    ]);

    fn seal(plain: &str) -> String {
        STANDARD.encode(openssl("-encrypt", "rsa2048.pub.pem", plain.as_bytes()).unwrap())
    }

    /// What the client makes of this answer.
    fn read(answer: &Value, decryptor: Key) -> Result<Value, Error> {
        read_by(answer, decryptor, false)
    }

    /// The same, or what a client makes of it that another merchant has made of its own.
    fn read_by(answer: &Value, decryptor: Key, another: bool) -> Result<Value, Error> {
        let body = answer.to_string();
        let transport = move |_: http::Request<Bytes>| {
            let message = Message::signed(&signer("old"), PUBLIC_KEY_ID, SystemStamper.now(), "n", body.clone());
            let mut response = http::Response::new(Full::new(Bytes::from(message.body)));
            *response.headers_mut() = message.headers;
            std::future::ready(Ok::<_, TransportError>(response))
        };
        let key = aws_lc::VerifyingKey::from_certificate(&certificate("old")).unwrap();
        let trust = Trust::new().with_public_key(PUBLIC_KEY_ID, key);
        let mut client = Client::new(transport, Merchant::new("1900000109", "AB", signer("new")), trust.clone());
        if let Some(decryptor) = decryptor {
            client = client.with_decryptor(std::sync::Arc::<dyn Decryptor>::from(decryptor));
        }
        if another {
            client = client.for_identity(Merchant::new("1900000110", "CD", signer("new")), trust);
        }
        let mut call = std::pin::pin!(client.call(&GET, json!({})));
        match call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(outcome) => outcome.map(|reply| reply.value),
            std::task::Poll::Pending => panic!("nothing here waits"),
        }
    }

    fn aws() -> Key {
        Some(Box::new(aws_lc::DecryptingKey::from_pem(&fixture("rsa2048.key.pem")).unwrap()))
    }

    #[test]
    fn p13_marked_fields_of_an_answer_are_decrypted_where_they_stand() {
        let answer = json!({
            "name": seal("张三"),
            "note": "n",
            "payees": [{"id_card": seal("1")}, {"id_card": "", "card": {"holder": seal("李四"), "no": "x"}}, {"id_card": 7}, 5],
        });
        let opened = json!({
            "name": "张三",
            "note": "n",
            "payees": [{"id_card": "1"}, {"id_card": "", "card": {"holder": "李四", "no": "x"}}, {"id_card": 7}, 5],
        });
        assert_eq!(read(&answer, aws()).unwrap(), opened);
        assert_eq!(read(&json!({"payees": {}}), None).unwrap(), json!({"payees": {}}), "there is nothing to decrypt");
    }

    #[test]
    fn p13_the_key_of_one_merchant_is_not_another_s() {
        let answer = json!({"name": seal("张三")});
        assert_eq!(read_by(&answer, aws(), false).unwrap(), json!({"name": "张三"}));
        let Err(Error::Decode(error)) = read_by(&answer, aws(), true) else { panic!("it was decrypted") };
        assert_eq!(error.source.downcast_ref(), Some(&CipherError::NoKey));
    }

    #[test]
    fn p13_what_does_not_decrypt_says_where_and_why() {
        let answer = json!({"payees": [{}, {"id_card": seal("1")}]});
        let other = aws_lc::DecryptingKey::from_pem(&fixture("rsa4096.key.pem")).unwrap();
        let cases: [(Value, Key, CipherError); 4] = [
            (answer.clone(), None, CipherError::NoKey),
            (answer.clone(), Some(Box::new(rsa::DecryptingKey)), CipherError::Unsupported("rsa")),
            (answer, Some(Box::new(other)), CipherError::Refused),
            (json!({"payees": [{}, {"id_card": "not base64"}]}), aws(), CipherError::Refused),
        ];
        for (answer, decryptor, wanted) in cases {
            let Err(Error::Decode(error)) = read(&answer, decryptor) else { panic!("{wanted}") };
            assert_eq!((error.path.as_str(), error.source.downcast_ref()), ("/payees/1/id_card", Some(&wanted)));
            assert!(!error.body.is_empty(), "the answer is not lost");
        }
    }
}
