//! The bytes on the wire: what gets signed, what is sent, and which answers are believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use wechatpay_protocol::crypto::{Signer as _, VerifyingKey as _};
use wechatpay_protocol::model::operation::{Answer, ErrorRow};
use wechatpay_protocol::model::{COMMON_ERRORS, NoContent};
use wechatpay_protocol::request::{Authorization, message, prepare_raw};
use wechatpay_protocol::response::{self, document, receive};
use wechatpay_protocol::{
    BaseUrl, BlockingClient, BoxError, Client, Error, Executed, Merchant, Retry, Stamp, Stamper, TransportError, Trust,
    UnverifiedReason,
};

const SERIAL: &str = "PUB_KEY_ID_0119000000012026010100000001";
const NOW: i64 = 1_784_000_000;

#[cfg(feature = "aws-lc-rs")]
mod keys {
    use wechatpay_protocol::crypto::aws_lc::{Signer, VerifyingKey};

    pub(crate) fn signer() -> Signer {
        let key = include_str!("fixtures/crypto/rsa2048.key.pem");
        wechatpay_leaks::private_key(key);
        Signer::from_pem(key).expect("a key")
    }

    pub(crate) fn verifying() -> VerifyingKey {
        VerifyingKey::from_public_key_pem(include_str!("fixtures/crypto/rsa2048.pub.pem")).expect("a key")
    }
}

/// Without that provider, which is C, signatures are not what is tested here.
#[cfg(not(feature = "aws-lc-rs"))]
mod keys {
    use wechatpay_protocol::BoxError;
    use wechatpay_protocol::crypto;

    #[derive(Debug)]
    pub(crate) struct Cheap;

    impl crypto::Signer for Cheap {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
            Ok(message.to_vec())
        }
    }

    impl crypto::VerifyingKey for Cheap {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            message == signature
        }
    }

    pub(crate) fn signer() -> Cheap {
        Cheap
    }

    pub(crate) fn verifying() -> Cheap {
        Cheap
    }
}

use keys::{signer, verifying};

fn trust() -> Trust {
    Trust::new().with_public_key(SERIAL, verifying())
}

/// Fixed time and nonce.
struct Fixed;

impl Stamper for Fixed {
    fn now(&self) -> i64 {
        NOW
    }
    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn jitter(&self) -> u16 {
        0
    }
    fn nonce(&self) -> Result<String, BoxError> {
        Ok("593BEC0C930BF1AFEB40B4A08C8FB242".to_owned())
    }
}

/// The headers of an answer signed at `timestamp`.
fn signed(timestamp: i64, body: &[u8]) -> HeaderMap {
    let message = [format!("{timestamp}\nc5ac7061fccab6bf3e254dcf98995b8c\n").as_bytes(), body, b"\n"].concat();
    let signature = signer().sign(&message).expect("a signature");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("wechatpay-timestamp", timestamp.to_string()),
        ("wechatpay-nonce", "c5ac7061fccab6bf3e254dcf98995b8c".to_owned()),
        ("wechatpay-signature", STANDARD.encode(signature)),
        ("wechatpay-serial", SERIAL.to_owned()),
        ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048".to_owned()),
        ("request-id", "08F7-1".to_owned()),
    ] {
        headers.insert(name, value.parse().expect("a header value"));
    }
    headers
}

fn outcome(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let status = StatusCode::from_u16(status).expect("a status");
    receive(None, status, headers, Bytes::copy_from_slice(body), &trust(), NOW).map(|_| ())
}

fn reason(status: u16, headers: &HeaderMap, body: &[u8]) -> UnverifiedReason {
    match outcome(status, headers, body) {
        Err(Error::Unverified(unverified)) => unverified.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p1_the_message_has_five_lines_each_with_its_line_feed() {
    let stamp = Stamp { timestamp: 1_554_208_460, nonce: "593BEC0C930BF1AFEB40B4A08C8FB242".to_owned() };
    let cases: [(Method, &str, &[u8], &str); 3] = [
        (
            Method::GET,
            "/v3/certificates",
            b"",
            "GET\n/v3/certificates\n1554208460\n593BEC0C930BF1AFEB40B4A08C8FB242\n\n",
        ),
        (
            Method::GET,
            "/v3/a?b=%E4%B8%AD&c=1",
            b"",
            "GET\n/v3/a?b=%E4%B8%AD&c=1\n1554208460\n593BEC0C930BF1AFEB40B4A08C8FB242\n\n",
        ),
        (
            Method::POST,
            "/v3/x",
            "{\"名\":1}".as_bytes(),
            "POST\n/v3/x\n1554208460\n593BEC0C930BF1AFEB40B4A08C8FB242\n{\"名\":1}\n",
        ),
    ];
    for (method, target, body, wanted) in cases {
        assert_eq!(String::from_utf8(message(&method, target, &stamp, body)).expect("UTF-8"), wanted);
    }
}

#[test]
fn p2_the_authorization_is_this_exact_string() {
    let authorization = Authorization {
        scheme: "WECHATPAY2-SHA256-RSA2048",
        mchid: "1900009191",
        serial_no: "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C",
    };
    let stamp = Stamp { timestamp: 1_554_208_460, nonce: "593BEC0C930BF1AFEB40B4A08C8FB242".to_owned() };
    assert_eq!(
        authorization.header(&stamp, b"signature"),
        "WECHATPAY2-SHA256-RSA2048 mchid=\"1900009191\",nonce_str=\"593BEC0C930BF1AFEB40B4A08C8FB242\",\
         timestamp=\"1554208460\",serial_no=\"1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C\",signature=\"c2lnbmF0dXJl\""
    );
}

#[test]
fn p4_every_request_carries_the_headers_that_the_document_asks_for() {
    let prepared =
        prepare_raw(Method::POST, "/v3/x", &[("a b", "中/é")], Some(&json!({"b": 1, "a": "文"}))).expect("valid");
    let authorization = Authorization { scheme: "S", mchid: "1", serial_no: "2" };
    let stamp = Stamp { timestamp: 1, nonce: "n".to_owned() };
    let base = BaseUrl::parse("http://127.0.0.1:8080").expect("a URL");
    let request = prepared.sign_with(&base, &authorization, Some(SERIAL), &stamp, b"s").expect("a request");
    assert_eq!(request.uri(), "http://127.0.0.1:8080/v3/x?a%20b=%E4%B8%AD%2F%C3%A9");
    assert_eq!(request.body(), "{\"a\":\"文\",\"b\":1}");
    let header = |name: &str| request.headers()[name].to_str().expect("ASCII");
    assert_eq!(header("accept"), "application/json");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("wechatpay-serial"), SERIAL);
    assert!(header("user-agent").starts_with("wechatpay-rust/"));
    assert!(request.headers()["authorization"].is_sensitive());
    assert!(!format!("{prepared:?} {:?}", request.headers()).contains("signature"));
}

#[test]
fn raw_paths_that_an_http_library_would_rewrite_are_refused() {
    let accepted = ["/v3/certificates", "/v3/a?b=c&d=%20e", "/v3/a%2Fb/c:d", "/"];
    let refused = [
        "",
        "v3/a",
        "//host/v3",
        "/v3/../a",
        "/v3/./a",
        "/v3/a b",
        "/v3/中",
        "/v3/a#b",
        "/v3/a\"",
        "/v3/a|b",
        "/a?b='c'",
        "/a\n",
    ];
    for path in accepted {
        assert!(prepare_raw(Method::GET, path, &[], None).is_ok(), "{path}");
    }
    for path in refused {
        let invalid = prepare_raw(Method::GET, path, &[], None).expect_err(path);
        assert_eq!(invalid.violations.len(), 1, "{path}");
    }
    // A path may say who somebody is.
    for (path, body) in
        [("/v3/marketing/favor/users/oSECRET/coupons", json!({"a": null})), ("/users/oSECRET /x", json!({}))]
    {
        let invalid = prepare_raw(Method::POST, path, &[("openid", "oSECRET")], Some(&body)).expect_err(path);
        assert!(!format!("{invalid} {invalid:?}").contains("oSECRET"), "{invalid:?}");
    }
}

#[test]
fn base_urls_hold_a_scheme_and_a_host_and_nothing_else() {
    for good in ["https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com/", "http://[::1]:8080"] {
        assert!(BaseUrl::parse(good).is_ok(), "{good}");
    }
    for bad in
        ["", "api.mch.weixin.qq.com", "ftp://x", "https://x/v3", "https://x?a", "https://u:p@x", "https://", "/v3"]
    {
        let message = BaseUrl::parse(bad).expect_err(bad);
        assert!(message.contains("write it like https://"), "{message}");
    }
    assert_eq!(BaseUrl::official().to_string(), "https://api.mch.weixin.qq.com");
}

#[test]
fn p6_a_success_must_be_signed_and_a_refusal_need_not() {
    let headers = signed(NOW, b"{}");
    assert!(outcome(200, &headers, b"{}").is_ok());
    assert_eq!(reason(200, &HeaderMap::new(), b"{}"), UnverifiedReason::Unsigned);
    assert_eq!(reason(204, &HeaderMap::new(), b""), UnverifiedReason::Unsigned);
    // A refusal that claims to be signed must be.
    assert_eq!(reason(400, &headers, b"{\"code\":\"PARAM_ERROR\"}"), UnverifiedReason::Mismatch);
    let body = b"{\"code\":\"PARAM_ERROR\",\"message\":\"m\"}";
    match outcome(400, &signed(NOW, body), body) {
        Err(Error::Api(refusal)) => {
            assert!(refusal.authenticated);
            assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("PARAM_ERROR", "m"));
            assert_eq!(refusal.request_id.as_deref(), Some("08F7-1"));
        }
        other => panic!("{other:?}"),
    }
    match outcome(502, &HeaderMap::new(), b"<html><h1>502 Bad Gateway</h1></html>") {
        Err(error @ Error::Api(_)) => {
            assert_eq!((error.executed(), error.retry()), (Executed::Maybe, Retry::Later));
            assert!(error.to_string().contains("not signed"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn p7_each_way_to_be_unbelievable_has_its_own_reason() {
    let body = b"{\"stock_id\":\"98065001\"}";
    let change = |edit: &dyn Fn(&mut HeaderMap)| {
        let mut headers = signed(NOW, body);
        edit(&mut headers);
        reason(200, &headers, body)
    };
    let set = |name: &'static str, value: &'static str| {
        change(&move |headers| {
            headers.insert(name, value.parse().expect("a header value"));
        })
    };
    for name in ["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"] {
        let lower: http::HeaderName = name.parse().expect("a header name");
        assert_eq!(
            change(&|headers| {
                headers.remove(&lower);
            }),
            UnverifiedReason::MissingHeader(name)
        );
        assert_eq!(
            change(&|headers| {
                let value = headers[&lower].clone();
                headers.append(&lower, value);
            }),
            UnverifiedReason::DuplicateHeader(name)
        );
    }
    assert_eq!(set("wechatpay-timestamp", "soon"), UnverifiedReason::MalformedHeader("Wechatpay-Timestamp"));
    assert_eq!(set("wechatpay-nonce", "other"), UnverifiedReason::Mismatch);
    assert_eq!(set("wechatpay-signature", "****"), UnverifiedReason::MalformedHeader("Wechatpay-Signature"));
    assert_eq!(set("wechatpay-signature", "YWJj"), UnverifiedReason::Mismatch);
    assert_eq!(set("wechatpay-signature", "WECHATPAY/SIGNTEST/abc"), UnverifiedReason::Probe);
    assert_eq!(set("wechatpay-serial", "PUB_KEY_ID_9"), UnverifiedReason::UnknownSerial("PUB_KEY_ID_9".to_owned()));
    assert_eq!(set("wechatpay-signature-type", "SM2"), UnverifiedReason::UnknownType("SM2".to_owned()));
    // The type may be left out, as old answers do.
    let mut headers = signed(NOW, body);
    headers.remove("wechatpay-signature-type");
    assert!(outcome(200, &headers, body).is_ok());
}

#[test]
fn p7_five_minutes_are_tolerated_and_no_second_more() {
    for (offset, believed) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        let headers = signed(NOW + offset, b"{}");
        match outcome(200, &headers, b"{}") {
            Ok(()) => assert!(believed, "{offset}"),
            Err(Error::Unverified(unverified)) => {
                assert!(!believed, "{offset}");
                assert_eq!(unverified.reason, UnverifiedReason::Stale(offset));
            }
            other => panic!("{other:?}"),
        }
    }
    let mut headers = signed(NOW, b"{}");
    headers.insert("wechatpay-timestamp", i64::MIN.to_string().parse().expect("a header value"));
    assert!(matches!(reason(200, &headers, b"{}"), UnverifiedReason::Stale(_)));
}

#[test]
fn p8_a_probe_is_no_success_and_proves_nothing() {
    let mut headers = signed(NOW, b"{}");
    headers.insert("wechatpay-signature", "WECHATPAY/SIGNTEST/0000".parse().expect("a header value"));
    // It is not signed, so the status is a claim like the rest.
    for status in [200, 404, 500] {
        let error = outcome(status, &headers, b"{}").expect_err("a probe is no success");
        assert!(matches!(&error, Error::Unverified(answer) if answer.reason == UnverifiedReason::Probe), "{error:?}");
        assert_eq!((error.executed(), error.retry()), (Executed::Maybe, Retry::Later));
    }
}

#[test]
fn p10_202_is_not_success() {
    match outcome(202, &signed(NOW, b"{}"), b"{}") {
        Err(error @ Error::Pending(_)) => assert_eq!(error.retry(), Retry::Later),
        other => panic!("{other:?}"),
    }
    assert_eq!(reason(202, &HeaderMap::new(), b"{}"), UnverifiedReason::Unsigned);
}

#[test]
fn p10_status_and_code_decide_about_a_repeat() {
    for (status, code, executed, retry) in [
        (400, "PARAM_ERROR", Executed::No, Retry::Never),
        (400, "SYSTEM_ERROR", Executed::Maybe, Retry::Later),
        (400, "RESOURCE_ALREADY_EXISTS", Executed::No, Retry::ReadFirst),
        (400, "STATEMENT_CREATING", Executed::No, Retry::Later),
        (403, "NOT_ENOUGH", Executed::No, Retry::Never),
        (404, "RESOURCE_NOT_EXISTS", Executed::No, Retry::Never),
        (429, "NEVER_HEARD_OF", Executed::No, Retry::Later),
        (500, "SYSTEM_ERROR", Executed::Maybe, Retry::Later),
        (503, "SERVICE_UNAVAILABLE", Executed::Maybe, Retry::Later),
    ] {
        let body = json!({"code": code, "message": "m"}).to_string();
        let error = outcome(status, &signed(NOW, body.as_bytes()), body.as_bytes()).expect_err("a refusal");
        assert_eq!((error.executed(), error.retry()), (executed, retry), "{status} {code}");
    }
}

#[test]
fn p9_refusals_of_any_shape_are_read() {
    for (body, code, field, issue) in [
        (
            r#"{"code":"PARAM_ERROR","message":"m","detail":{"field":"/a/b","issue":"too long","location":"body"}}"#,
            "PARAM_ERROR",
            Some("/a/b"),
            Some("too long"),
        ),
        (
            r#"{"code":"SIGN_ERROR","message":"m","detail":{"detail":{"issue":"sign not match"},"field":"signature","location":"authorization"}}"#,
            "SIGN_ERROR",
            Some("signature"),
            Some("sign not match"),
        ),
        (
            r#"{"code":"PARAM_ERROR","message":"m","detail":{"location":"uri_template","value":""}}"#,
            "PARAM_ERROR",
            None,
            None,
        ),
        (r#"{"code":"NEVER_HEARD_OF","message":7,"detail":null}"#, "NEVER_HEARD_OF", None, None),
        (r#"{"code":5}"#, "", None, None),
        ("[]", "", None, None),
        ("", "", None, None),
        ("\u{feff}{", "", None, None),
    ] {
        match outcome(400, &HeaderMap::new(), body.as_bytes()) {
            Err(Error::Api(refusal)) => {
                assert_eq!(refusal.code.as_str(), code, "{body}");
                assert_eq!((refusal.field(), refusal.issue()), (field, issue), "{body}");
                assert_eq!(refusal.body, body);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A transport that signs whatever it is told to answer and remembers the request.
fn canned(
    status: u16,
    body: &'static str,
    seen: Arc<Mutex<Vec<http::Request<Bytes>>>>,
) -> impl Fn(http::Request<Bytes>) -> std::future::Ready<Result<http::Response<Full<Bytes>>, TransportError>> {
    move |request| {
        seen.lock().expect("unpoisoned").push(request);
        let mut response = http::Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = signed(NOW, body.as_bytes());
        std::future::ready(Ok(response))
    }
}

fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn the_signed_bytes_are_the_sent_bytes() {
    let seen = Arc::default();
    let merchant = Merchant::new("1900000001", "AB", signer());
    let client = Client::new(canned(200, "{}", Arc::clone(&seen)), merchant, trust()).with_stamper(Fixed);
    let body = json!({"z": "字", "a": [1, 2]});
    now_or_never(client.post("/v3/x?y=1", &body)).expect("believed");

    let request = &seen.lock().expect("unpoisoned")[0];
    let header = request.headers()["authorization"].to_str().expect("ASCII");
    let signature = header.rsplit("signature=\"").next().and_then(|rest| rest.strip_suffix('"')).expect("a signature");
    let signature = STANDARD.decode(signature).expect("base64");
    let message = format!(
        "POST\n/v3/x?y=1\n{NOW}\n593BEC0C930BF1AFEB40B4A08C8FB242\n{}\n",
        std::str::from_utf8(request.body()).expect("UTF-8")
    );
    assert!(verifying().verify(message.as_bytes(), &signature));
    assert_eq!(serde_json::from_slice::<Value>(request.body()).expect("JSON"), body);
}

#[test]
fn a_verified_answer_that_cannot_be_read_says_where() {
    use wechatpay_protocol::model::favor::StartStock;
    let merchant = || Merchant::new("1900000001", "AB", signer());
    let operation = StartStock::builder().stock_creator_mchid("1900000001").stock_id("98065001").build();
    for (body, path) in [
        (r#"{"start_time":"2015-05-20T13:29:35+08:00","stock_id":5}"#, "stock_id"),
        ("[]", "."),
        // By position it would fit.
        (r#"["2015-05-20T13:29:35+08:00","98065001"]"#, "."),
        ("", "."),
        (r#"{"start_time":"2015-05-20T13:29:35+08:00","stock_id":"5"} x"#, "the end of the body"),
        (r#""secret""#, "."),
        (r#"{"start_time":["secret"],"stock_id":"5"}"#, "start_time"),
        (r#"{"start_time":"2015-05-20T13:29:35+08:00","stock_id":{"secret":1}}"#, "stock_id"),
    ] {
        let client = Client::new(canned(200, body, Arc::default()), merchant(), trust()).with_stamper(Fixed);
        match now_or_never(client.send(&operation)) {
            Err(error @ Error::Decode(_)) => {
                assert!(error.to_string().contains(&format!("read at {path}")), "{error}");
                assert!(!format!("{error} {error:?}").contains("secret"), "a value of the answer: {error:?}");
                assert_eq!((error.executed(), error.retry()), (Executed::Yes, Retry::ReadFirst));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "writes 8 MiB byte by byte, which takes minutes there")]
fn an_answer_without_end_is_cut_off() {
    let endless =
        |_: http::Request<Bytes>, _: Option<std::time::Duration>| Ok(http::Response::new(std::io::repeat(b' ')));
    let client = BlockingClient::new(endless, Merchant::new("1900000001", "AB", signer()), trust());
    let error = client.get("/v3/certificates").expect_err("too large");
    assert!(error.to_string().contains("larger than"), "{error}");
    assert_eq!(error.executed(), Executed::Maybe);
}

#[test]
fn nothing_is_sent_when_the_signer_fails() {
    struct Broken;
    impl wechatpay_protocol::crypto::Signer for Broken {
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
            Err("the HSM is out of reach".into())
        }
    }
    let seen = Arc::default();
    let client = Client::new(canned(200, "{}", Arc::clone(&seen)), Merchant::new("1", "AB", Broken), trust());
    let error = now_or_never(client.get("/v3/certificates")).expect_err("unsigned");
    assert!(error.to_string().contains("the HSM is out of reach"), "{error}");
    assert_eq!(error.executed(), Executed::No);
    assert!(seen.lock().expect("unpoisoned").is_empty());
}

#[test]
fn a_signer_may_wait() {
    struct Remote;
    impl wechatpay_protocol::crypto::AsyncSigner for Remote {
        fn sign<'a>(&'a self, message: &'a [u8]) -> wechatpay_protocol::crypto::Signing<'a> {
            Box::pin(async move { wechatpay_protocol::crypto::Signer::sign(&signer(), message) })
        }
    }
    let client =
        Client::new(canned(200, "{}", Arc::default()), Merchant::new("1", "AB", Remote), trust()).with_stamper(Fixed);
    assert_eq!(now_or_never(client.get("/v3/certificates")).expect("believed").serial, SERIAL);
}

#[test]
fn secrets_reach_no_debug() {
    let client = Client::new(canned(200, "{}", Arc::default()), Merchant::new("1900000001", "AB", signer()), trust());
    let error = outcome(400, &HeaderMap::new(), br#"{"code":"PARAM_ERROR","detail":{"value":"secret-openid"}}"#)
        .expect_err("a refusal");
    let shown = format!("{client:?} {error:?} {error} {:?} {:?}", signer(), trust());
    assert!(!shown.contains("secret-openid") && !shown.contains("BEGIN") && !shown.contains("MII"), "{shown}");
}

/// A row of a table of errors, to be compared.
fn cells(row: &ErrorRow) -> (u16, &str, &str, &str) {
    (row.status(), row.code(), row.message(), row.meaning())
}

#[test]
#[cfg_attr(miri, ignore = "compares every documented row with every other, which takes minutes there")]
fn documented_rows_are_found_by_status_code_and_message() {
    let letters = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let look = |spec, status, code: &str, message: &str| -> Vec<_> {
        document(spec, status, code, message).into_iter().map(cells).collect()
    };
    let (mut several, mut alone) = (0, 0);
    for spec in wechatpay_protocol::model::operations() {
        let spec = Some(spec);
        let rows = || spec.iter().flat_map(|spec| spec.errors()).map(cells);
        for (status, code, message, _) in rows() {
            let own: Vec<_> = rows().filter(|row| (row.0, row.1) == (status, code)).collect();
            let said = look(spec, status, code, message);
            if own.len() == 1 {
                alone += 1;
                assert_eq!(said, own);
                // What an operation says itself goes before what is said of all.
                for common in COMMON_ERRORS.iter().filter(|row| (row.status(), row.code()) == (status, code)) {
                    assert_eq!(look(spec, status, code, common.message()), own);
                }
            } else if !letters(message).is_empty() {
                several += 1;
                let same: Vec<_> = own.iter().copied().filter(|row| letters(row.2) == letters(message)).collect();
                assert_eq!(said, same);
                // Punctuation and case are nothing, and a word more or less is not much.
                assert_eq!(look(spec, status, code, &format!("。{}！", message.to_uppercase())), same);
                let said = letters(message) + "qqqqq";
                let fits = |row: &(_, _, &str, _)| !letters(row.2).is_empty() && said.contains(&letters(row.2));
                let within: Vec<_> = own.iter().copied().filter(fits).collect();
                assert_eq!(look(spec, status, code, &said), within);
            }
            // What nobody has documented decides nothing.
            assert_eq!(look(spec, status, code, "qqqqq"), own);
            assert_eq!(look(spec, status, code, ""), own);
            assert_eq!(look(spec, status, "QQQQQ", message), []);
            assert_eq!(look(spec, 299, code, message), []);
        }
    }
    assert!(several > 10 && alone > 10, "{several} {alone}");
    for (status, code, message, _) in COMMON_ERRORS.iter().map(cells) {
        let common: Vec<_> = COMMON_ERRORS.iter().map(cells).filter(|row| (row.0, row.1) == (status, code)).collect();
        assert_eq!(look(None, status, code, message), common);
        assert_eq!(look(None, status, code, "qqqqq"), common);
    }
}

#[test]
fn an_operation_that_answers_nothing_takes_an_empty_body_and_no_other() {
    let verified = |body: &'static str| response::Verified {
        status: StatusCode::NO_CONTENT,
        request_id: None,
        serial: "AB".to_owned(),
        body: Bytes::from_static(body.as_bytes()),
    };
    assert!(response::decode::<NoContent>(Answer::Empty, &verified("")).is_ok());
    for body in [" ", "null", "{}", "\n"] {
        match response::decode::<NoContent>(Answer::Empty, &verified(body)) {
            Err(Error::Decode(error)) => {
                assert_eq!((error.path.as_str(), &error.body[..]), ("the body", body.as_bytes()))
            }
            other => panic!("{body:?}: {other:?}"),
        }
    }
}
