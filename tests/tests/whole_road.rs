//! From a documented example to a verified answer, through every layer, over real HTTP, with the oracle between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use wechatpay_hyper::Hyper;
use wechatpay_model::busifavor::{CreateStock, UploadCouponCodes};
use wechatpay_model::certificates;
use wechatpay_model::favor::{CreateCouponStock, GetStock, StartStock, StockStatus};
use wechatpay_protocol::response::{receive, verify};
use wechatpay_protocol::{
    BlockingClient, Client, Error, Executed, Retry, Transport, TransportError, TransportErrorKind, UnverifiedReason,
    ViolationKind,
};
use wechatpay_reqwest::{BlockingReqwest, Reqwest};
use wechatpay_sandbox::Sandbox;
use wechatpay_tests::road::{
    Watched, WithHeader, base, certificate, client, from_now, merchant, merchant_rsa, public_key,
};
use wechatpay_tests::story::{Example, set};

/// Seed 000's example, put right, with times that the sandbox's clock allows.
fn create_coupon_stock(sandbox: &Sandbox, number: &str) -> Value {
    let example = Example::named("favor.create_coupon_stock", "as published");
    let mut request = example.request();
    for (place, value) in example.put_right() {
        set(&mut request, &place, value);
    }
    set(&mut request, "/belong_merchant", sandbox.merchant().mchid.into());
    set(&mut request, "/available_begin_time", from_now(sandbox, 60));
    set(&mut request, "/available_end_time", from_now(sandbox, 86_400));
    set(&mut request, "/out_request_no", number.into());
    wechatpay_protocol::check::resolve_aliases(example.spec, &mut request);
    request
}

/// The accepted example of the operation, for this merchant and these times.
fn create_stock(sandbox: &Sandbox, mode: &str, number: &str) -> Value {
    let example = Example::all()
        .find(|e| e.spec.id() == "busifavor.create_stock" && e.named_violations().is_empty())
        .expect("an accepted example");
    let mut request = example.request();
    set(&mut request, "/belong_merchant", sandbox.merchant().mchid.into());
    set(&mut request, "/coupon_code_mode", mode.into());
    set(&mut request, "/out_request_no", number.into());
    set(&mut request, "/coupon_use_rule/coupon_available_time/available_begin_time", from_now(sandbox, 60));
    set(&mut request, "/coupon_use_rule/coupon_available_time/available_end_time", from_now(sandbox, 86_400));
    request
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the example fits its type")
}

/// Both seed operations and what their stories need, typed.
async fn story<T: Transport>(sandbox: &Sandbox, client: &Client<T>) {
    let mchid = sandbox.merchant().mchid;
    let create: CreateCouponStock = typed(create_coupon_stock(sandbox, "89560002019101000121"));
    let created = client.send(&create).await.expect("created");
    assert_eq!((created.status, created.serial), (200, sandbox.merchant().public_key_id));
    assert!(created.request_id.is_some_and(|id| !id.is_empty()));
    let stock_id = created.value.stock_id;

    // The same number and the same parameters: the same stock.
    assert_eq!(client.send(&create).await.expect("repeated").value.stock_id, stock_id);

    let get = GetStock::builder().stock_id(stock_id.clone()).stock_creator_mchid(mchid.as_str()).build();
    assert_eq!(client.send(&get).await.expect("read").value.status, StockStatus::Unactivated);
    let start = StartStock::builder().stock_id(stock_id.clone()).stock_creator_mchid(mchid.as_str()).build();
    let started = client.send(&start).await.expect("started").value;
    assert_eq!(client.send(&start).await.expect("re-entrant").value.start_time, started.start_time);
    assert_eq!(client.send(&get).await.expect("read").value.status, StockStatus::Running);

    let create: CreateStock = typed(create_stock(sandbox, "MERCHANT_UPLOAD", "100002322019090134234sfdf"));
    let stock_id = client.send(&create).await.expect("created").value.stock_id;
    let published = Example::named("busifavor.upload_coupon_codes", "as published").request();
    let upload = UploadCouponCodes::builder()
        .stock_id(stock_id)
        .coupon_code_list(typed(published["coupon_code_list"].clone()))
        .upload_request_no(published["upload_request_no"].as_str().expect("a number"))
        .build();
    let uploaded = client.send(&upload).await.expect("uploaded").value;
    assert_eq!((uploaded.total_count, uploaded.success_count), (2, 2));
    assert_eq!(uploaded.success_codes, upload.coupon_code_list);
}

#[tokio::test]
async fn the_whole_road_over_reqwest_and_hyper_with_the_oracle_between() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let watched = Watched::new(Reqwest::new().expect("a client"), &sandbox.merchant());
    let calls = watched.calls();
    story(&sandbox, &client(&sandbox, watched)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 8, "the oracle saw every call");

    let sandbox = Sandbox::start().await.expect("a sandbox");
    let watched = Watched::new(Hyper::new(), &sandbox.merchant());
    let calls = watched.calls();
    story(&sandbox, &client(&sandbox, watched)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 8, "the oracle saw every call");
    assert!(sandbox.requests().iter().all(|exchange| exchange.status == Some(200)));
}

#[tokio::test]
async fn the_pure_rust_provider_and_certificate_mode_walk_it_too() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let credentials = sandbox.merchant();
    let client =
        Client::new(Hyper::new(), merchant_rsa(&credentials), certificate(&credentials)).with_base_url(base(&sandbox));
    let create: CreateCouponStock = typed(create_coupon_stock(&sandbox, "1"));
    let created = client.send(&create).await.expect("created");
    assert_eq!(created.serial, credentials.platform_serial, "the sandbox signs with the key that was announced");
    let list = client.send(&certificates::List::builder().build()).await.expect("listed");
    assert_eq!(list.value.data[0].serial_no, credentials.platform_serial);
}

#[tokio::test]
async fn both_kinds_of_trust_hold_at_once() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let credentials = sandbox.merchant();
    let both = || {
        let key = wechatpay_protocol::crypto::aws_lc::VerifyingKey::from_public_key_pem(&credentials.public_key_pem);
        certificate(&credentials).with_public_key(credentials.public_key_id.as_str(), key.expect("a key"))
    };
    for serial in [&credentials.public_key_id, &credentials.platform_serial] {
        let transport = WithHeader(Hyper::new(), "wechatpay-serial", serial.clone());
        let client = Client::new(transport, merchant(&credentials), both()).with_base_url(base(&sandbox));
        assert_eq!(&client.get("/v3/certificates").await.expect("verified").serial, serial);
    }
}

#[test]
fn the_blocking_client_walks_it_without_a_runtime_of_its_own() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sandbox = runtime.block_on(Sandbox::start()).expect("a sandbox");
    let credentials = sandbox.merchant();
    let client = BlockingClient::new(
        BlockingReqwest::new().expect("a client"),
        merchant(&credentials),
        public_key(&credentials),
    )
    .with_base_url(base(&sandbox));
    let create: CreateCouponStock = typed(create_coupon_stock(&sandbox, "1"));
    let stock_id = client.send(&create).expect("created").value.stock_id;
    // Seed 001's ways to a path: typed as above, by path string, by index; the answer is untyped.
    let path = format!("/v3/marketing/favor/stocks/{}", stock_id.as_str());
    let query = [("stock_creator_mchid", credentials.mchid.as_str())];
    let read = client.send_raw(Method::GET, &path, &query, None).expect("read");
    assert_eq!(read.value["stock_id"], stock_id.as_str());
}

#[tokio::test]
async fn any_path_is_reached_raw_signed_and_verified_all_the_same() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Watched::new(Hyper::new(), &sandbox.merchant()));
    let body = create_coupon_stock(&sandbox, "1");
    let created = client.post("/v3/marketing/favor/coupon-stocks", &body).await.expect("created");
    assert!(created.value["stock_id"].is_string());
    match client.get("/v3/marketing/never/heard-of").await {
        Err(Error::Api(refusal)) => assert!(refusal.status == 404 && refusal.authenticated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_comes_with_its_documented_remedy() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Watched::new(Hyper::new(), &sandbox.merchant()));
    let create: CreateStock = typed(create_stock(&sandbox, "WECHATPAY_MODE", "1"));
    let stock_id = client.send(&create).await.expect("created").value.stock_id;
    let upload = UploadCouponCodes::builder()
        .stock_id(stock_id)
        .coupon_code_list(vec!["ABC9588200".into()])
        .upload_request_no("1")
        .build();
    match client.send(&upload).await {
        Err(Error::Api(refusal)) => {
            assert_eq!((refusal.status, refusal.code.as_str()), (400, "INVALID_REQUEST"));
            assert_eq!(refusal.message, "发券模式不合法");
            let remedy = refusal.remedy().expect("one row fits: the message tells it from the other");
            assert!(remedy.contains("MERCHANT_UPLOAD"), "{remedy}");
        }
        other => panic!("{other:?}"),
    }
    match client.send(&StartStock::builder().stock_id("1").stock_creator_mchid("1900000001").build()).await {
        Err(error @ Error::Api(_)) => {
            assert_eq!((error.executed(), error.retry(), error.status()), (Executed::No, Retry::Never, Some(404)));
            assert_eq!(error.remedy(), Some("Check the stock id."));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn codes_are_sorted_into_the_four_documented_lists() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Watched::new(Hyper::new(), &sandbox.merchant()));
    let create: CreateStock = typed(create_stock(&sandbox, "MERCHANT_UPLOAD", "1"));
    let stock_id = client.send(&create).await.expect("created").value.stock_id;
    let path = format!("/v3/marketing/busifavor/stocks/{}/couponcodes", stock_id.as_str());
    let long = "L".repeat(33);
    let first = json!({ "coupon_code_list": ["OLD"], "upload_request_no": "1" });
    client.post(&path, &first).await.expect("uploaded");
    // Raw, because the typed call would refuse the long code before anything is sent.
    let second = json!({ "coupon_code_list": ["OLD", "NEW", "TWICE", "TWICE", long], "upload_request_no": "2" });
    let answer = client.post(&path, &second).await.expect("partial success is a 200").value;
    assert_eq!(answer["success_codes"], json!(["NEW", "TWICE"]));
    assert_eq!(answer["exist_codes"], json!(["OLD"]));
    assert_eq!(answer["duplicate_codes"], json!(["TWICE"]));
    assert_eq!(answer["fail_codes"][0]["code"], "LENGTH_LIMIT");
    assert_eq!(
        (&answer["success_count"], &answer["fail_count"], &answer["total_count"]),
        (&json!(2), &json!(1), &json!(4))
    );

    // The same number again: the same answer, and each code is there once.
    assert_eq!(client.post(&path, &second).await.expect("repeated").value, answer);
    let ledger = sandbox.ledger();
    assert!(ledger.coupon_codes.iter().all(|effect| effect.count == 1), "{ledger:?}");
    assert_eq!(ledger.coupon_codes.len(), 3);
}

#[tokio::test]
async fn what_breaks_the_limits_is_never_sent() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Hyper::new());
    let upload = |codes: Vec<&str>| {
        UploadCouponCodes::builder()
            .stock_id("98065001")
            .coupon_code_list(codes.into_iter().map(Into::into).collect::<Vec<_>>())
            .upload_request_no("1")
            .build()
    };
    let long = "x".repeat(33);
    let cases: [(Vec<&str>, &str, ViolationKind); 6] = [
        (vec![], "/coupon_code_list", ViolationKind::Count),
        (vec!["A"; 201], "/coupon_code_list", ViolationKind::Count),
        (vec!["A", "A\tB"], "/coupon_code_list/1", ViolationKind::Charset),
        (vec![&long], "/coupon_code_list/0", ViolationKind::Length),
        (vec![""], "/coupon_code_list/0", ViolationKind::Length),
        (vec!["A", "🎫"], "/coupon_code_list/1", ViolationKind::Character),
    ];
    for (codes, pointer, kind) in cases {
        match client.send(&upload(codes)).await {
            Err(Error::Invalid(invalid)) => {
                assert_eq!(invalid.violations.len(), 1, "{invalid}");
                assert_eq!((invalid.violations[0].pointer.as_str(), invalid.violations[0].kind), (pointer, kind));
            }
            other => panic!("{other:?}"),
        }
    }
    let body = json!({ "stock_name": "🎫", "comment": null });
    assert!(matches!(client.post("/v3/x", &body).await, Err(Error::Invalid(invalid)) if invalid.violations.len() == 2));
    assert!(sandbox.requests().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn the_sandbox_refuses_what_a_client_should_not_have_sent_with_the_same_violations() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Hyper::new());
    for example in Example::all().filter(|example| example.spec.id() == "favor.create_coupon_stock") {
        // Time and caller are the sandbox's here, so the rules that ask for them are compared elsewhere.
        let theirs = |rule: &str| rule == "from_now" || rule == "caller";
        let mut named = example.named_violations();
        named.retain(|(_, rule)| !theirs(rule));
        if named.is_empty() {
            continue;
        }
        match client.post(example.spec.path(), &example.request()).await {
            Err(Error::Api(refusal)) => assert_eq!((refusal.status, refusal.code.as_str()), (400, "PARAM_ERROR")),
            other => panic!("{other:?}"),
        }
        let exchange = sandbox.requests().into_iter().max_by_key(|exchange| exchange.id).expect("logged");
        let mut found: Vec<_> = exchange.violations.iter().map(|v| (v.at.clone(), v.rule.to_owned())).collect();
        found.retain(|(_, rule)| !theirs(rule));
        found.sort();
        assert_eq!(found, named, "{}", example.title());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_not() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    type Expected = fn(&UnverifiedReason) -> bool;
    let cases: [(&str, Expected); 8] = [
        ("unsigned", |r| *r == UnverifiedReason::Unsigned),
        ("forge", |r| *r == UnverifiedReason::Mismatch),
        ("tamper", |r| *r == UnverifiedReason::Mismatch),
        ("stale", |r| matches!(r, UnverifiedReason::Stale(seconds) if *seconds < -300)),
        ("future", |r| matches!(r, UnverifiedReason::Stale(seconds) if *seconds > 300)),
        ("unknown-serial", |r| matches!(r, UnverifiedReason::UnknownSerial(_))),
        ("duplicate-header", |r| matches!(r, UnverifiedReason::DuplicateHeader(_))),
        ("probe", |r| *r == UnverifiedReason::Probe),
    ];
    for (fault, expected) in cases {
        let over_hyper = client(&sandbox, WithHeader(Hyper::new(), "x-sandbox-fault", fault.to_owned()));
        let over_reqwest =
            client(&sandbox, WithHeader(Reqwest::new().expect("a client"), "x-sandbox-fault", fault.to_owned()));
        for outcome in [over_hyper.get("/v3/certificates").await, over_reqwest.get("/v3/certificates").await] {
            match outcome {
                Err(Error::Unverified(unverified)) => assert!(expected(&unverified.reason), "{fault}: {unverified:?}"),
                other => panic!("{fault}: {other:?}"),
            }
            let logged = sandbox.requests().into_iter().max_by_key(|exchange| exchange.id).expect("logged");
            assert_eq!(logged.fault.as_deref(), Some(fault), "the log proves that the fault was applied");
        }
    }
    // A gateway's page is no answer of WeChat Pay, and nobody signed it.
    let client = client(&sandbox, WithHeader(Hyper::new(), "x-sandbox-fault", "html-502".to_owned()));
    match client.get("/v3/certificates").await {
        Err(Error::Api(refusal)) => {
            assert_eq!((refusal.status, refusal.authenticated, refusal.code.as_str()), (502, false, ""));
            assert!(refusal.body.starts_with(b"<"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_documented_error_row_comes_back_as_its_code_with_its_remedy() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let mut rows = 0;
    for spec in wechatpay_model::operations() {
        let mut nth = std::collections::HashMap::new();
        for row in spec.errors() {
            let n = nth.entry((row.status(), row.code())).and_modify(|n| *n += 1).or_insert(1);
            let fault = format!("error={}:{}:{n}", row.status(), row.code());
            let example = Example::all().find(|e| e.spec.id() == spec.id() && e.named_violations().is_empty());
            let request = example.expect("an accepted example").request();
            let path = spec.path().split('/').map(|segment| match segment.strip_prefix('{') {
                Some(name) => request[name.trim_end_matches('}')].as_str().expect("text").to_owned(),
                None => segment.to_owned(),
            });
            let path = path.collect::<Vec<_>>().join("/");
            let client = client(&sandbox, WithHeader(Hyper::new(), "x-sandbox-fault", fault.clone()));
            let method: Method = spec.method().as_str().parse().expect("a method");
            // A raw POST is not known to be idempotent, so what may have run comes wrapped.
            let outcome = match client.send_raw(method, &path, &[], None).await {
                Err(Error::OutcomeUnknown(unknown)) => Err(unknown.source),
                other => other,
            };
            match outcome {
                Err(Error::Api(refusal)) => {
                    assert_eq!(
                        (refusal.status, refusal.code.as_str()),
                        (row.status(), row.code()),
                        "{} {fault}",
                        spec.id()
                    );
                    let documented = wechatpay_protocol::response::document(
                        Some(spec),
                        refusal.status,
                        refusal.code.as_str(),
                        &refusal.message,
                    );
                    assert!(documented.contains(&row), "{} {fault}: {}", spec.id(), refusal.message);
                    if !row.message().is_empty() {
                        assert_eq!(documented, [row], "{} {fault}: the message picks one row", spec.id());
                    }
                    rows += 1;
                }
                // 401 is unsigned; anything else here would be a broken test.
                other => panic!("{} {fault}: {other:?}", spec.id()),
            }
        }
    }
    assert!(rows >= 50, "{rows}");
}

/// Keeps the last answer as it came over the wire.
struct Keeping<T>(T, Arc<Mutex<Option<(http::StatusCode, HeaderMap, Bytes)>>>);

impl<T: Transport> Transport for Keeping<T> {
    type Body = Full<Bytes>;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Full<Bytes>>, TransportError> {
        let (parts, body) = self.0.call(request).await?.into_parts();
        let body = body.collect().await.map_err(TransportError::interrupted)?.to_bytes();
        *self.1.lock().expect("unpoisoned") = Some((parts.status, parts.headers.clone(), body.clone()));
        Ok(http::Response::from_parts(parts, Full::new(body)))
    }
}

#[tokio::test]
async fn every_single_bit_change_of_a_signed_answer_is_refused() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let kept = Arc::default();
    let client = client(&sandbox, Keeping(Hyper::new(), Arc::clone(&kept)));
    client.post("/v3/marketing/favor/coupon-stocks", &create_coupon_stock(&sandbox, "1")).await.expect("created");
    let (status, headers, body) = kept.lock().expect("unpoisoned").take().expect("an answer");
    let trust = public_key(&sandbox.merchant());
    let now = sandbox.now();
    assert!(receive(None, status, &headers, body.clone(), &trust, now).is_ok());

    let mut changes = 0;
    for bit in 0..body.len() * 8 {
        let mut changed = body.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&headers, &changed, &trust, now), Err(UnverifiedReason::Mismatch), "bit {bit} of the body");
        changes += 1;
    }
    for name in [
        "wechatpay-timestamp",
        "wechatpay-nonce",
        "wechatpay-serial",
        "wechatpay-signature",
        "wechatpay-signature-type",
    ] {
        let name = HeaderName::from_static(name);
        let value = headers[&name].as_bytes().to_vec();
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Some changes make no header value at all; HTTP itself refuses those.
            let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
            let mut altered = headers.clone();
            altered.insert(name.clone(), changed);
            assert!(verify(&altered, &body, &trust, now).is_err(), "bit {bit} of {name}");
            changes += 1;
        }
    }
    assert!(changes >= 2000, "{changes}");
    // The signature, decoded: every bit of it.
    let signature = STANDARD.decode(headers["wechatpay-signature"].as_bytes()).expect("base64");
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut altered = headers.clone();
        altered.insert("wechatpay-signature", STANDARD.encode(changed).parse().expect("a header value"));
        assert_eq!(verify(&altered, &body, &trust, now), Err(UnverifiedReason::Mismatch), "bit {bit} of the signature");
    }
}

#[tokio::test]
async fn a_field_that_stands_in_the_path_and_in_the_body_is_refused_by_name() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let body = json!({ "stock_id": "2", "stock_creator_mchid": sandbox.merchant().mchid });
    match client(&sandbox, Hyper::new()).post("/v3/marketing/favor/stocks/1/start", &body).await {
        Err(Error::Api(refusal)) => {
            assert_eq!((refusal.status, refusal.code.as_str()), (400, "PARAM_ERROR"));
            assert_eq!(refusal.field(), Some("/body/stock_id"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sandbox_that_is_gone_has_been_sent_nothing() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let client = client(&sandbox, Hyper::new());
    sandbox.shutdown().await;
    match client.get("/v3/certificates").await {
        Err(Error::Transport(error)) => assert_eq!(error.kind(), TransportErrorKind::Connect),
        other => panic!("{other:?}"),
    }
}
