//! What is sent past all checks: the sandbox answers it as WeChat Pay is documented to, signed, and stays up.

use crate::strings::full;
use crate::{counted, lines, naughty, places};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use wechatpay_hyper::Hyper;
use wechatpay_model::Spec;
use wechatpay_model::operation::Body;
use wechatpay_protocol::crypto::{Certificate, Signer as _, aws_lc};
use wechatpay_protocol::response::{Verified, receive};
use wechatpay_protocol::{Error, Transport as _, Trust};
use wechatpay_sandbox::{Clock, Credentials, Sandbox};
use wechatpay_tests::road;
use wechatpay_tests::story::{Example, MCHID};

/// A sandbox, and somebody with the right key who sends what he likes.
struct Sender {
    sandbox: Sandbox,
    credentials: Credentials,
    signer: aws_lc::Signer,
    trust: Trust,
    hyper: Hyper,
    sent: usize,
}

impl Sender {
    async fn new() -> Self {
        let clock = Clock::Virtual(1_767_578_400);
        let sandbox = Sandbox::builder().merchant(MCHID).clock(clock).start().await.expect("a sandbox");
        let credentials = sandbox.merchant();
        let signer = aws_lc::Signer::from_pem(&credentials.private_key_pem).expect("a key");
        let certificate = Certificate::from_pem(&credentials.platform_certificate_pem).expect("a certificate");
        let key = aws_lc::VerifyingKey::from_certificate(&certificate).expect("its key");
        let trust = road::public_key(&credentials).with_certificate(certificate.serial(), key);
        Self { sandbox, credentials, signer, trust, hyper: Hyper::new(), sent: 0 }
    }

    /// What stands for the placeholders of `authorization.txt`, for this request.
    fn items(&mut self, method: &Method, target: &str, body: &[u8]) -> [(&'static str, String); 5] {
        self.sent += 1;
        let (now, nonce) = (self.sandbox.now(), format!("n{}", self.sent));
        let message = [format!("{method}\n{target}\n{now}\n{nonce}\n").as_bytes(), body, b"\n"].concat();
        let signature = STANDARD.encode(self.signer.sign(&message).expect("a signature"));
        let Credentials { mchid, serial_no, .. } = &self.credentials;
        [
            ("{M}", mchid.clone()),
            ("{S}", serial_no.clone()),
            ("{T}", now.to_string()),
            ("{N}", nonce),
            ("{G}", signature),
        ]
    }

    /// Sends bytes under this `Authorization`; the connection must hold.
    async fn send(
        &mut self,
        spec: &Spec,
        target: &str,
        body: &[u8],
        authorization: &str,
        more: &[(&'static str, HeaderValue)],
    ) -> Result<Verified, Error> {
        let method = Method::from_bytes(spec.method().as_str().as_bytes()).expect("a method");
        let mut authorization = authorization.to_owned();
        for (name, value) in self.items(&method, target, body) {
            authorization = authorization.replace(name, &value);
        }
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.sandbox.base_url()))
            .header("Authorization", authorization)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json");
        for (name, value) in more {
            request = request.header(*name, value);
        }
        let request = request.body(Bytes::copy_from_slice(body)).expect("a request");
        let answer = self.hyper.call(request).await.unwrap_or_else(|error| panic!("{}: {target}: {error}", spec.id()));
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{}: {target}: {error}", spec.id())).to_bytes();
        receive(Some(spec), parts.status, &parts.headers, body, &self.trust, self.sandbox.now())
    }
}

const RIGHT: &str =
    r#"WECHATPAY2-SHA256-RSA2048 mchid="{M}",nonce_str="{N}",timestamp="{T}",serial_no="{S}",signature="{G}""#;

fn operation(id: &str) -> &'static Spec {
    wechatpay_model::operations().find(|spec| spec.id() == id).expect("the operation")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_request_and_headers_that_prove_nothing() {
    let mut sender = Sender::new().await;
    let mut cases = 0;
    let bytes: [&[u8]; 12] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"{\"\xff\":1}",
        b"\x00",
        b"{\x00}",
        b"\x1f\x8b\x08\x00",
        b"\xff\xfe{\x00}\x00",
        b"{\"a\":\"\x01\"}",
        b"PK\x03\x04",
    ];
    let texts = lines("json.txt").into_iter().chain(lines("values.txt")).map(String::into_bytes);
    let deep = ["[".repeat(100_000), "{\"a\":".repeat(100_000)].map(String::into_bytes);
    let start = operation("favor.start_stock");
    for body in texts.chain(bytes.map(<[u8]>::to_vec)).chain(deep) {
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        match sender.send(start, "/v3/marketing/favor/stocks/1/start", &body, RIGHT, &[]).await {
            Err(Error::Api(refusal)) => {
                assert_eq!((refusal.status, refusal.code.as_str()), (400, "PARAM_ERROR"), "{shown}: {refusal}");
                assert!(refusal.authenticated, "{shown}");
            }
            other => panic!("{shown}: {other:?}"),
        }
        cases += 1;
    }
    for line in lines("authorization.txt") {
        match sender.send(start, "/v3/marketing/favor/stocks/1/start", b"{}", &line, &[]).await {
            Err(Error::Api(refusal)) => {
                assert_eq!((refusal.status, refusal.code.as_str()), (401, "SIGN_ERROR"), "{line}: {refusal}");
                assert!(!refusal.authenticated, "nobody has proved who asks, so nothing is signed: {line}");
            }
            other => panic!("{line}: {other:?}"),
        }
        cases += 1;
    }
    // And all of it has left the sandbox as it was.
    let verified = sender.send(operation("favor.list_stocks"), "/v3/certificates", b"", RIGHT, &[]).await;
    assert_eq!(verified.expect("it goes on").status, StatusCode::OK);
    counted("bodies and headers to the sandbox", cases);
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A request as it travels.
struct LaidOut {
    target: String,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Vec<u8>,
}

/// Lays a request out without any check; `None` if HTTP cannot carry a header.
fn laid_out(spec: &Spec, request: &Value) -> Option<LaidOut> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut fields: Map<String, Value> = request.as_object().cloned().unwrap_or_default();
    let segments = spec.path().split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        name.map_or(segment.to_owned(), |name| encoded(&fields.remove(name).as_ref().map(plain).unwrap_or_default()))
    });
    let mut target = segments.collect::<Vec<_>>().join("/");
    let mut separator = '?';
    for name in spec.query() {
        if let Some(value) = fields.remove(*name) {
            target += &format!("{separator}{name}={}", encoded(&plain(&value)));
            separator = '&';
        }
    }
    let mut headers = Vec::new();
    for name in spec.header() {
        if let Some(value) = fields.remove(*name) {
            headers.push((*name, HeaderValue::from_str(&plain(&value)).ok()?));
        }
    }
    let body = if spec.body() == Body::None { Vec::new() } else { Value::Object(fields).to_string().into_bytes() };
    Some(LaidOut { target, headers, body })
}

#[tokio::test(flavor = "multi_thread")]
async fn naughty_strings_past_the_check_get_a_documented_and_signed_answer() {
    let mut sender = Sender::new().await;
    let naughty = naughty();
    let (mut next, mut cases, mut done, mut places_seen) = (0, 0, 0, 0);
    for spec in wechatpay_model::operations().filter(|spec| spec.body() != Body::Multipart) {
        let Some(example) =
            Example::all().find(|example| example.spec.id() == spec.id() && example.named_violations().is_empty())
        else {
            panic!("{} has no example", spec.id());
        };
        let mut requests = [example.request(), full(spec)];
        // A field that the example does not have stands in the full request, where more is wrong.
        let shown = places(&requests[0]);
        for (which, request) in requests.iter_mut().enumerate() {
            let mut texts = places(request);
            texts.retain(|place| request.pointer(place).is_some_and(Value::is_string));
            texts.retain(|place| which == 0 || !shown.contains(place));
            for place in texts {
                places_seen += 1;
                for _ in 0..if which == 0 { 2 } else { 1 } {
                    let text = &naughty[next % naughty.len()];
                    next += 1;
                    let mut spoilt = request.clone();
                    *spoilt.pointer_mut(&place).expect("the place") = text.as_str().into();
                    let Some(LaidOut { target, headers, body }) = laid_out(spec, &spoilt) else { continue };
                    match sender.send(spec, &target, &body, RIGHT, &headers).await {
                        Ok(_) => done += 1,
                        Err(Error::Api(refusal)) => {
                            assert!(refusal.status < 500, "{}: {place} = {text:?}: {refusal}", spec.id());
                            assert!(!refusal.documented.is_empty(), "{}: {place} = {text:?}: {refusal}", spec.id());
                            assert!(refusal.authenticated, "{}: {place} = {text:?}: {refusal}", spec.id());
                        }
                        Err(other) => panic!("{}: {place} = {text:?}: {other}", spec.id()),
                    }
                    cases += 1;
                }
            }
        }
    }
    println!("{places_seen} places, {done} of {cases} done");
    assert!(next > naughty.len(), "every string has its turn");
    counted("strings past the check to the sandbox", cases);
}
