//! A brand calls in its own name: the same operations, another scheme, other paths.

#![cfg(feature = "aws-lc-rs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod platform;

use bytes::Bytes;
use http::{HeaderMap, Method as HttpMethod};
use http_body_util::Full;
use platform::{Message, PUBLIC_KEY_ID};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use wechatpay_protocol::crypto::aws_lc::{Signer, VerifyingKey};
use wechatpay_protocol::model::Spec;
use wechatpay_protocol::model::favor::GetStock;
use wechatpay_protocol::model::operation::{Body, Field, Method, Shape, Text};
use wechatpay_protocol::request::{Route, parse};
use wechatpay_protocol::{
    Brand, Client, Error, Identity, Merchant, Stamper, SystemStamper, TransportError, Trust, ViolationKind,
};

const TEXT: &Shape = &Shape::Text(Text::ANY);
static GET: Shape = Shape::Object(&[Field::new("brand_id", TEXT), Field::new("thing_id", TEXT)]);
static GET_THING: Spec = Spec::new("things.get_thing", Method::Get, "/v3/partner/things/{thing_id}", Body::None, &GET)
    .with_query(&["brand_id"])
    .with_brand_path("/brand/things/{thing_id}");
static USE: Shape = Shape::Object(&[Field::new("brand_id", TEXT), Field::new("thing_id", TEXT), Field::new("n", TEXT)]);
static USE_THING: Spec = Spec::new(
    "things.use_thing",
    Method::Post,
    "/v3/partner/brands/{brand_id}/things/{thing_id}/use",
    Body::Json,
    &USE,
)
.with_brand_path("/brand/things/{thing_id}/use");
static SET: Shape = Shape::Object(&[Field::new("url", TEXT)]);
static SET_URL: Spec =
    Spec::new("things.set_url", Method::Post, "/v3/partner/url", Body::Json, &SET).with_brand_path("/brand/url");

type Seen = Arc<Mutex<Vec<http::Request<Bytes>>>>;

/// Answers everything with `{}` under this signature type, and keeps what it was asked.
fn client(
    identity: Identity<Signer>,
    signature_type: &'static str,
) -> (Client<impl wechatpay_protocol::Transport>, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let transport = move |request: http::Request<Bytes>| {
        keep.lock().unwrap().push(request);
        let message = Message::signed(&platform::signer("old"), PUBLIC_KEY_ID, SystemStamper.now(), "n", "{}")
            .with("wechatpay-signature-type", Some(signature_type));
        let mut response = http::Response::new(Full::new(Bytes::from(message.body)));
        *response.headers_mut() = message.headers;
        std::future::ready(Ok::<_, TransportError>(response))
    };
    let key = VerifyingKey::from_certificate(&platform::certificate("old")).unwrap();
    (Client::new(transport, identity, Trust::new().with_public_key(PUBLIC_KEY_ID, key)), seen)
}

fn brand() -> Identity<Signer> {
    Brand::new("120344", "7777", platform::signer("new")).into()
}

fn merchant() -> Identity<Signer> {
    Merchant::new("1900000109", "5555", platform::signer("new")).into()
}

fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

const MERCHANTS: &str = "WECHATPAY2-SHA256-RSA2048";
const BRANDS: &str = "WECHATPAY-BRAND-SHA256-RSA2048";

#[test]
fn the_identity_chooses_scheme_path_and_whether_the_brand_is_named() {
    let cases: [(&'static Spec, Value, &str, &str, &str, &str); 3] = [
        (
            &GET_THING,
            json!({"brand_id": "120344", "thing_id": "a/b"}),
            "/v3/partner/things/a%2Fb?brand_id=120344",
            "",
            "/brand/things/a%2Fb",
            "",
        ),
        (
            &USE_THING,
            json!({"brand_id": "120344", "thing_id": "a/b", "n": "1"}),
            "/v3/partner/brands/120344/things/a%2Fb/use",
            r#"{"n":"1"}"#,
            "/brand/things/a%2Fb/use",
            r#"{"n":"1"}"#,
        ),
        (&SET_URL, json!({"url": "u"}), "/v3/partner/url", r#"{"url":"u"}"#, "/brand/url", r#"{"url":"u"}"#),
    ];
    for (spec, arguments, path, body, brand_path, brand_body) in cases {
        for (name, start, (client, seen), path, body) in [
            ("merchant", format!("{MERCHANTS} mchid=\"1900000109\","), client(merchant(), MERCHANTS), path, body),
            ("brand", format!("{BRANDS} brand_id=\"120344\","), client(brand(), BRANDS), brand_path, brand_body),
        ] {
            now_or_never(client.call(spec, arguments.clone())).unwrap_or_else(|error| panic!("{name}: {error}"));
            let seen = seen.lock().unwrap();
            let authorization = seen[0].headers()["authorization"].to_str().unwrap();
            assert!(authorization.starts_with(&start), "{name}: {authorization}");
            assert_eq!(seen[0].uri().path_and_query().unwrap().as_str(), path, "{name}");
            assert_eq!(seen[0].body(), body, "{name}");
            assert_eq!(seen[0].headers()["wechatpay-serial"], PUBLIC_KEY_ID, "{name}");
        }
    }
    // A brand need not name itself at all.
    let (client, seen) = client(brand(), BRANDS);
    now_or_never(client.call(&USE_THING, json!({"thing_id": "a/b", "n": "1"}))).unwrap();
    assert_eq!(seen.lock().unwrap()[0].uri().path(), "/brand/things/a%2Fb/use");
}

#[test]
fn what_a_brand_cannot_send_is_refused_before_anything_is_sent() {
    let (client, seen) = client(brand(), BRANDS);
    let other = json!({"brand_id": "999", "thing_id": "1", "n": "1"});
    let typed = GetStock::builder().stock_id("1").stock_creator_mchid("1900000109").build();
    for (outcome, pointer, words) in [
        (now_or_never(client.call(&USE_THING, other)).map(|_| ()), "/brand_id", "must be the calling brand, 120344"),
        (now_or_never(client.send(&typed)).map(|_| ()), "", "no path for brands"),
    ] {
        let Err(Error::Invalid(invalid)) = outcome else { panic!("{outcome:?}") };
        let [violation] = &invalid.violations[..] else { panic!("{invalid}") };
        assert_eq!((violation.pointer.as_str(), violation.kind), (pointer, ViolationKind::Caller));
        assert!(violation.message.contains(words), "{violation}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_brand_has_no_platform_certificates_to_refresh() {
    let key = VerifyingKey::from_certificate(&platform::certificate("old")).unwrap();
    let trust = wechatpay_protocol::Certificates::new(platform::apiv3_key(), VerifyingKey::from_certificate)
        .with_public_key(PUBLIC_KEY_ID, key);
    let (client, seen) = client(merchant(), MERCHANTS);
    let client = client.for_identity(brand(), trust);
    let outcome = now_or_never(client.refresh_certificates());
    assert!(matches!(outcome, Err(wechatpay_protocol::RefreshError::Fixed)), "{outcome:?}");
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!((client.identity().id(), client.identity().brand_id()), ("120344", Some("120344")));
}

#[test]
fn a_server_finds_the_operation_by_either_path_and_reads_each_field_once() {
    let specs = || [&GET_THING, &USE_THING, &SET_URL];
    let find = |path: &str| Route::find(specs(), &HttpMethod::POST, path).unwrap();
    for (path, brand, fields) in [
        ("/brand/things/7/use", true, json!({"thing_id": "7", "n": "1"})),
        ("/v3/partner/brands/5/things/7/use", false, json!({"brand_id": "5", "thing_id": "7", "n": "1"})),
    ] {
        let route = find(path);
        assert_eq!((route.spec.id(), route.brand), ("things.use_thing", brand));
        assert_eq!(parse(&route, None, &HeaderMap::new(), br#"{"n":"1"}"#).unwrap(), fields);
    }
    // A field that travels in the path stands in the body too: neither silently wins.
    let unreadable = parse(&find("/brand/things/7/use"), None, &HeaderMap::new(), br#"{"thing_id":"8"}"#).unwrap_err();
    assert_eq!((unreadable.location, unreadable.field.as_str()), ("body", "/body/thing_id"));
    let route = Route::find(specs(), &HttpMethod::GET, "/v3/partner/things/7").unwrap();
    let twice = parse(&route, Some("brand_id=1&brand_id=1"), &HeaderMap::new(), b"").unwrap_err();
    assert_eq!((twice.location, twice.field.as_str()), ("query", "brand_id"));
}
