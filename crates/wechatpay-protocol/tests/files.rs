//! Files both ways: a picture goes up with only its meta part signed, a record comes down and is checked by its hash.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use bytes::Bytes;
use http_body_util::Full;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wechatpay_protocol::check;
use wechatpay_protocol::crypto::{Signer, VerifyingKey};
use wechatpay_protocol::model::Operation;
use wechatpay_protocol::model::favor::UploadImage;
use wechatpay_protocol::request::{File, prepare_upload};
use wechatpay_protocol::{
    BaseUrl, BlockingClient, BoxError, Client, Error, Merchant, Stamp, TransportError, Trust, UnverifiedReason,
};

struct Cheap;

impl Signer for Cheap {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(message.to_vec())
    }
}

impl VerifyingKey for Cheap {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        message == signature
    }
}

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn operation() -> UploadImage {
    UploadImage::builder().filename("a\"b.png").sha256(SHA256).build()
}

fn context() -> check::Context<'static> {
    check::Context { now: 0, mchid: "1900000109" }
}

#[test]
fn only_the_meta_part_is_signed_and_the_file_arrives_as_it_is() {
    let file = File { name: "a\"b.png", bytes: b"\x89PNG\r\n\x1a\n--\r\n\0\xff" };
    let arguments = serde_json::to_value(operation()).expect("JSON");
    let prepared = prepare_upload(UploadImage::SPEC, arguments, file, &context()).expect("valid");
    let meta = format!(r#"{{"filename":"a\"b.png","sha256":"{SHA256}"}}"#);
    let stamp = Stamp { timestamp: 1, nonce: "n".to_owned() };
    assert_eq!(
        String::from_utf8(prepared.message(&stamp)).expect("UTF-8"),
        format!("POST\n/v3/marketing/favor/media/image-upload\n1\nn\n{meta}\n")
    );

    // Taken apart as RFC 2046 says: parts between boundary lines, each a head, an empty line and a body.
    let authorization = wechatpay_protocol::request::Authorization { scheme: "S", mchid: "1", serial_no: "2" };
    let request = prepared.sign_with(&BaseUrl::official(), &authorization, None, &stamp, b"s").expect("a request");
    let content_type = request.headers()["content-type"].to_str().expect("ASCII");
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
    let body = request.body();
    let marks: Vec<_> =
        (0..body.len()).filter(|at| body[*at..].starts_with(format!("--{boundary}").as_bytes())).collect();
    assert_eq!(marks.len(), 3, "two parts and the end");
    let part = |n: usize| {
        let bytes = &body[marks[n] + boundary.len() + 4..marks[n + 1] - 2];
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        (String::from_utf8(bytes[..head].to_vec()).expect("UTF-8"), &bytes[head + 4..])
    };
    let (head, sent) = part(0);
    assert_eq!(head, "Content-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json");
    assert_eq!(sent, meta.as_bytes(), "the signed text is the sent text");
    let (head, sent) = part(1);
    assert_eq!(
        head,
        "Content-Disposition: form-data; name=\"file\"; filename=\"a%22b.png\"\r\nContent-Type: image/png"
    );
    assert_eq!(sent, file.bytes);
    assert!(body.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()));

    // A file that holds the boundary would be cut in two.
    let file = File { name: "a.png", bytes: boundary.as_bytes() };
    let arguments = serde_json::to_value(operation()).expect("JSON");
    let invalid = prepare_upload(UploadImage::SPEC, arguments, file, &context()).expect_err("cut in two");
    assert!(invalid.to_string().contains("boundary"), "{invalid}");
}

#[test]
fn what_takes_a_file_and_what_does_not_are_told_apart() {
    let never =
        |_: http::Request<Bytes>| async { Err::<http::Response<Full<Bytes>>, _>(TransportError::not_sent("sent")) };
    let client = Client::new(never, Merchant::new("1", "AB", Cheap), Trust::new());
    let error = run(client.send(&operation())).expect_err("no file");
    assert!(error.to_string().contains("use upload"), "{error}");
    let list = wechatpay_protocol::model::certificates::List::builder().build();
    let error = run(client.upload(&list, File { name: "a.png", bytes: b"" })).expect_err("a file");
    assert!(error.to_string().contains("use send"), "{error}");
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing here waits"),
    }
}

const FILE: &[u8] = b"the quick brown fox jumps over the lazy dog\n";
/// `printf 'the quick brown fox jumps over the lazy dog\n' | sha1sum`
const SHA1: &str = "5d2781d78fa5a97b7bafa849fe933dfc9dc93eba";
const URL: &str = "https://download-service.wechatpay.cn/file?token=secret";

/// Fetches with both clients; the chunks of the file that came, and how it ended.
fn fetch(url: &str, sha1: &str, status: u16) -> [(Vec<u8>, Result<(), Error>, usize); 2] {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |request: &http::Request<Bytes>, seen: &Arc<Mutex<Vec<String>>>| {
        assert!(request.headers()["authorization"].to_str().expect("ASCII").starts_with("WECHATPAY2"));
        seen.lock().expect("unpoisoned").push(request.uri().to_string());
    };
    let noted = Arc::clone(&seen);
    let transport = move |request: http::Request<Bytes>| {
        note(&request, &noted);
        let response = http::Response::builder().status(status).body(Full::new(Bytes::from_static(FILE)));
        std::future::ready(response.map_err(TransportError::not_sent))
    };
    let client = Client::new(transport, Merchant::new("1", "AB", Cheap), Trust::new());
    let mut bytes = Vec::new();
    let outcome = run(async {
        let mut download = client.download(url, sha1).await?;
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    });
    let first = (bytes, outcome, std::mem::take(&mut *seen.lock().expect("unpoisoned")).len());

    let noted = Arc::clone(&seen);
    let transport = move |request: http::Request<Bytes>, _: Option<Duration>| {
        note(&request, &noted);
        http::Response::builder().status(status).body(FILE).map_err(TransportError::not_sent)
    };
    let client = BlockingClient::new(transport, Merchant::new("1", "AB", Cheap), Trust::new());
    let mut bytes = Vec::new();
    let outcome = client.download(url, sha1).and_then(|mut download| match download.read_to_end(&mut bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(*error.into_inner().expect("a source").downcast::<Error>().expect("our own")),
    });
    let asked = seen.lock().expect("unpoisoned").len();
    [first, (bytes, outcome, asked)]
}

#[test]
fn a_record_is_believed_by_its_hash_and_only_at_its_end() {
    for (bytes, outcome, asked) in fetch(URL, SHA1, 200) {
        outcome.expect("genuine");
        assert_eq!((bytes.as_slice(), asked), (FILE, 1));
    }
    for (_, outcome, _) in fetch(URL, &SHA1.to_uppercase(), 200) {
        outcome.expect("hex has two cases");
    }
    for sha1 in ["", "0000000000000000000000000000000000000000", &SHA1[1..]] {
        for (_, outcome, _) in fetch(URL, sha1, 200) {
            match outcome {
                Err(Error::Unverified(file)) => assert_eq!(file.reason, UnverifiedReason::HashMismatch),
                other => panic!("{other:?}"),
            }
        }
    }
    for status in [302, 403, 500] {
        for (bytes, outcome, asked) in fetch(URL, SHA1, status) {
            let error = outcome.expect_err("not handed over");
            assert!(
                error.to_string().contains("ask for a new one") && !error.to_string().contains("secret"),
                "{error}"
            );
            assert_eq!((bytes.len(), asked), (0, 1));
        }
    }
}

#[test]
fn a_file_on_a_strange_host_is_not_asked_for() {
    for url in [
        "https://evil.example/file?token=secret",
        "http://download-service.wechatpay.cn/file",
        "https://download-service.wechatpay.cn.evil.example/file",
        "https://user@download-service.wechatpay.cn/file",
        "https://download-service.wechatpay.cn:8443/file",
        "/file",
        "",
        "https://download-service.wechatpay.cn/a b",
    ] {
        for (_, outcome, asked) in fetch(url, SHA1, 200) {
            let error = outcome.expect_err(url);
            assert!(matches!(error, Error::Invalid(_)) && !error.to_string().contains("secret"), "{error}");
            assert_eq!(asked, 0, "{url}: nothing is sent");
        }
    }
}
