//! Notifications on their way from the sandbox to a merchant's server, and what the merchant makes of them.

use crate::till::{Act, Found, Till};
use aes_gcm::aead::{Aead, KeyInit, Payload as Sealed};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wechatpay_model::favor::SetCallback;
use wechatpay_model::operation::{EventSpec, Payload};
use wechatpay_model::types::Timestamp;
use wechatpay_protocol::Trust;
use wechatpay_sandbox::Basis::{self, Documented, Guess};
use wechatpay_sandbox::{Attempt, Event, Standing};
use wechatpay_tests::oracle::{PublicKey, check_answer};
use wechatpay_tests::rehearsal::{MERCHANTS, Rehearsal, number, refusal};
use wechatpay_tests::road::{certificate, public_key};
use wechatpay_tests::story::{Example, set};

const APPID: &str = "wx233544546545989";

/// A sandbox, and the server of its first merchant.
struct Shop {
    world: Rehearsal,
    till: Till,
}

impl Shop {
    /// Both kinds of events go to the till.
    async fn open() -> Self {
        let world = Rehearsal::start().await;
        let till = Till::open(&world.sandbox, public_key(&world.sandbox.merchant())).await;
        let shop = Self { world, till };
        shop.call_at(&shop.till.url).await;
        shop
    }

    /// Sets both addresses through the API.
    async fn call_at(&self, url: &str) {
        let set = SetCallback::builder().mchid(MERCHANTS[0]).notify_url(url).build();
        self.world.client.send(&set).await.expect("an address");
        self.world.done("busifavor.set_callback", json!({"notify_url": url})).await;
    }

    /// A coupon is used: COUPON.USE.
    async fn pay(&self) {
        let mut stock = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
        for (place, value) in [
            ("/belong_merchant", json!(MERCHANTS[0])),
            ("/available_begin_time", json!("2026-01-05T10:00:00+08:00")),
            ("/available_end_time", json!("2026-01-12T23:59:59+08:00")),
            ("/out_request_no", json!(number())),
        ] {
            set(&mut stock, place, value);
        }
        let now = Timestamp::from_unix(self.world.sandbox.now()).expect("a time");
        set(&mut stock, "/available_begin_time", json!(now.as_str()));
        let stock = self.world.done("favor.create_coupon_stock", stock).await["stock_id"].clone();
        let start = json!({"stock_id": stock, "stock_creator_mchid": MERCHANTS[0]});
        self.world.done("favor.start_stock", start).await;
        let gift = json!({
            "stock_id": stock, "openid": "u", "appid": APPID, "out_request_no": number(),
            "stock_creator_mchid": MERCHANTS[0],
        });
        let coupon = self.world.done("favor.send_coupon", gift).await["coupon_id"].clone();
        self.world.act(json!({"act": "pay_with_coupon", "coupon_id": coupon}));
    }

    /// A coupon is received: COUPON.SEND.
    async fn give(&self) {
        let mut stock = Example::named("busifavor.create_stock", "with uploaded codes").request();
        set(&mut stock, "/belong_merchant", json!(MERCHANTS[0]));
        set(&mut stock, "/coupon_code_mode", json!("WECHATPAY_MODE"));
        set(&mut stock, "/out_request_no", json!(number()));
        let stock = self.world.done("busifavor.create_stock", stock).await["stock_id"].clone();
        let gift = json!({"stock_id": stock, "openid": "u", "appid": APPID, "out_request_no": number()});
        self.world.done("busifavor.send_coupon", gift).await;
    }

    async fn happen(&self, spec: &EventSpec) {
        match spec.event_type() {
            "COUPON.USE" => self.pay().await,
            "COUPON.SEND" => self.give().await,
            // Those of product coupons go the same way; what leads to them is told with their lives.
            other => {
                let wish = json!({"event": other, "to": self.till.url});
                self.world.sandbox.trigger(&wish).await.expect("it is sent");
            }
        }
    }

    /// Waits until the courier is done for now; the newest event.
    async fn settled(&self) -> Event {
        self.world.sandbox.settled().await;
        self.world.sandbox.events().pop().expect("an event")
    }
}

fn header(request: &http::Request<bytes::Bytes>, name: &str) -> String {
    request.headers()[name].to_str().expect("ASCII").to_owned()
}

/// Opens the envelope with other code than the project's.
fn open(body: &[u8], key: &str) -> Value {
    let envelope: Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!(envelope["resource_type"], "encrypt-resource");
    let resource = &envelope["resource"];
    assert_eq!(resource["algorithm"], "AEAD_AES_256_GCM");
    let text = |name: &str| resource[name].as_str().expect("a text").to_owned();
    let cipher = Aes256Gcm::new_from_slice(key.as_bytes()).expect("32 bytes");
    let (sealed, aad) = (STANDARD.decode(text("ciphertext")).expect("base64"), text("associated_data"));
    let nonce = text("nonce");
    let plain = cipher.decrypt(Nonce::from_slice(nonce.as_bytes()), Sealed { msg: &sealed, aad: aad.as_bytes() });
    serde_json::from_slice(&plain.expect("it opens")).expect("JSON")
}

#[tokio::test]
async fn each_event_arrives_and_opens() {
    let shop = Shop::open().await;
    let credentials = shop.world.sandbox.merchant();
    let key = PublicKey::from_pem(&credentials.public_key_pem);
    for spec in wechatpay_model::notifications() {
        shop.happen(spec).await;
        let event = shop.settled().await;
        let [taken] = &shop.till.taken()[..] else { panic!("one came") };
        let Found::New(id, event_type, resource) = &taken.found else { panic!("{:?}", taken.found) };
        assert_eq!((id, event_type.as_str(), resource), (&event.id, spec.event_type(), &event.payload));
        let mut read = 0;
        macro_rules! each {
            ($payload:ty) => {
                if <$payload>::EVENT_TYPE == spec.event_type() {
                    serde_json::from_value::<$payload>(resource.clone()).expect("its type");
                    read += 1;
                }
            };
        }
        wechatpay_model::for_each_payload!(each);
        assert_eq!(read, 1, "{}", spec.event_type());
        check_answer(taken.request.headers(), taken.request.body(), &key, &credentials.public_key_id);
        assert_eq!(open(taken.request.body(), &credentials.apiv3_key), event.payload);
        assert_eq!(
            (taken.request.method().as_str(), taken.request.uri().to_string().as_str()),
            ("POST", "/notify?shop=1")
        );
        assert_eq!(header(&taken.request, "content-type"), "application/json");

        assert_eq!((event.standing, event.next_attempt), (Standing::Delivered, None));
        let [attempt] = &event.attempts[..] else { panic!("one attempt") };
        assert_eq!(
            (attempt.status, attempt.accepted, attempt.probe, attempt.duplicate),
            (Some(200), true, false, false)
        );
        assert_eq!(attempt.serial.as_deref(), Some(credentials.public_key_id.as_str()));
    }
}

/// The attempts that a ladder of the documents allows, to the second.
#[tokio::test]
async fn a_refused_event_comes_again_as_documented() {
    let shop = Shop::open().await;
    for spec in wechatpay_model::notifications() {
        let ladder = spec.delivery().expect("it is documented");
        assert_eq!(ladder.attempts(), if spec.event_type() == "COUPON.USE" { 9 } else { 11 });
        shop.till.will(vec![Act::Answer(500, r#"{"code":"FAIL","message":"later"}"#); 20]);
        let begun = shop.world.sandbox.now();
        shop.happen(spec).await;
        shop.settled().await;
        let mut taken = shop.till.taken();
        for _ in 1..ladder.attempts() {
            shop.world.advance(i64::from(ladder.every_seconds()) - 1);
            assert_eq!(shop.settled().await.standing, Standing::Waiting);
            assert!(shop.till.taken().is_empty(), "not a second early");
            shop.world.advance(1);
            shop.settled().await;
            taken.extend(shop.till.taken());
        }
        let event = shop.settled().await;
        assert_eq!((event.standing, &event.next_attempt), (Standing::GivenUp, &None));
        shop.world.advance(86_400);
        shop.settled().await;
        assert!(shop.till.taken().is_empty(), "never again");

        let every = i64::from(ladder.every_seconds());
        let times: Vec<_> = taken.iter().map(|taken| taken.now - begun).collect();
        assert_eq!(times, (0..i64::from(ladder.attempts())).map(|step| step * every).collect::<Vec<_>>());
        let due = |attempt: &Attempt| Timestamp::new(attempt.due.as_str()).instant().expect("RFC 3339").seconds - begun;
        assert_eq!(event.attempts.iter().map(due).collect::<Vec<_>>(), times);
        assert!(event.attempts.iter().all(|attempt| attempt.status == Some(500) && attempt.reason.contains("FAIL")));

        // The same event each time, sealed and signed afresh.
        assert!(taken.iter().all(|taken| matches!(&taken.found, Found::New(id, ..) if *id == event.id)), "{taken:?}");
        for name in ["wechatpay-nonce", "wechatpay-signature", "wechatpay-timestamp"] {
            let values: BTreeSet<_> = taken.iter().map(|taken| header(&taken.request, name)).collect();
            assert_eq!(values.len(), taken.len(), "{name}");
        }
        let bodies: BTreeSet<_> = taken.iter().map(|taken| taken.request.body().clone()).collect();
        assert_eq!(bodies.len(), taken.len());
    }
}

#[tokio::test]
async fn the_answer_decides_whether_it_comes_again() {
    let shop = Shop::open().await;
    for (answers, attempts) in [
        (vec![Act::TakeSilently], 1),
        (vec![Act::Answer(200, r#"{"code":"FAIL"}"#)], 2),
        (vec![Act::Answer(201, ""), Act::Answer(302, ""), Act::Answer(404, "<html>")], 4),
        (vec![Act::Answer(200, r#"{"code":"SUCCESS","message":"OK"}"#)], 1),
    ] {
        let wanted = answers.iter().map(|act| if let Act::Answer(status, _) = act { *status } else { 204 });
        let mut wanted: Vec<_> = wanted.map(Some).collect();
        wanted.extend((wanted.len() < attempts).then_some(Some(200)));
        shop.till.will(answers);
        shop.give().await;
        // A long jump: what has fallen due meanwhile is sent at once, one after the other, until one is accepted.
        shop.settled().await;
        shop.world.advance(3600);
        let event = shop.settled().await;
        assert_eq!(event.standing, Standing::Delivered);
        assert_eq!(event.attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), wanted);
        assert_eq!(shop.till.taken().len(), attempts, "and no redirect is followed");
    }
    // Nobody listens, and somebody who is never in time.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    shop.call_at(&format!("http://{closed}/")).await;
    shop.give().await;
    let event = shop.settled().await;
    assert!(event.attempts[0].reason.contains("no connection"), "{event:?}");
    assert_eq!((event.attempts[0].status, event.standing), (None, Standing::Waiting));
    shop.call_at(&shop.till.url).await;
    shop.world.settings(json!({"notify_timeout": 0}));
    shop.till.will([Act::Nothing]);
    shop.give().await;
    let event = shop.settled().await;
    assert!(event.attempts[0].reason.contains("no answer within 0 seconds"), "{event:?}");
    assert_eq!(event.standing, Standing::Waiting);
}

#[tokio::test]
async fn duplicates_reach_the_replay_guard_and_the_order_can_be_turned() {
    let shop = Shop::open().await;
    shop.world.settings(json!({"notify_duplicates": 2, "notify_delay": 30, "notify_newest_first": true}));
    for _ in 0..3 {
        shop.give().await;
        shop.settled().await;
    }
    assert!(shop.till.taken().is_empty(), "they wait");
    shop.world.advance(30);
    shop.settled().await;
    let ids: Vec<_> = shop.world.sandbox.events().into_iter().map(|event| event.id).collect();
    let found: Vec<_> = shop.till.taken().into_iter().map(|taken| taken.found).collect();
    let new = |found: &Found| if let Found::New(id, ..) = found { Some(id.clone()) } else { None };
    let seen: Vec<_> = found.iter().filter_map(new).collect();
    assert_eq!(seen, ids.iter().rev().cloned().collect::<Vec<_>>(), "the newest first");
    for id in &ids {
        let again = found.iter().filter(|found| **found == Found::Duplicate(id.clone())).count();
        assert_eq!(again, 2, "{found:?}");
    }
    assert_eq!(found.len(), 9);
    let event = shop.settled().await;
    assert_eq!(event.attempts.iter().map(|attempt| attempt.duplicate).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!((event.standing, event.next_attempt), (Standing::Delivered, None));
}

#[tokio::test]
async fn either_kind_of_key_signs_and_probes_come_at_the_rate_that_is_set() {
    let world = Rehearsal::start().await;
    let credentials = world.sandbox.merchant();
    let both = || {
        let key = wechatpay_protocol::crypto::aws_lc::VerifyingKey::from_public_key_pem(&credentials.public_key_pem);
        certificate(&credentials).with_public_key(credentials.public_key_id.as_str(), key.expect("a key"))
    };
    let till = Till::open(&world.sandbox, both()).await;
    let shop = Shop { world, till };
    let send = async || {
        let event = shop.world.sandbox.trigger(&json!({"event": "COUPON.USE", "to": shop.till.url})).await;
        event.expect("it is sent")
    };
    let serial = async || {
        let event = send().await;
        assert_eq!(event.standing, Standing::Delivered, "{event:?}");
        event.attempts.last().and_then(|attempt| attempt.serial.clone()).expect("a serial")
    };
    assert_eq!(serial().await, credentials.public_key_id);
    shop.world.settings(json!({"sign_with": "certificate"}));
    assert_eq!(serial().await, credentials.platform_serial);
    shop.world.settings(json!({"certificates": false}));
    assert_eq!(serial().await, credentials.public_key_id, "there are none");
    shop.world.settings(json!({"certificates": true, "sign_with": "both"}));
    let mut serials = BTreeSet::new();
    for _ in 0..16 {
        serials.insert(serial().await);
    }
    assert_eq!(serials.len(), 2, "now one, now the other");
    shop.till.taken();

    shop.world.settings(json!({"probes_in_notifications": 1000}));
    let event = send().await;
    assert_eq!(
        (event.standing, event.attempts[0].probe, event.attempts[0].status),
        (Standing::Waiting, true, Some(401))
    );
    let taken = shop.till.taken();
    assert_eq!(taken[0].found, Found::Probe);
    assert!(header(&taken[0].request, "wechatpay-signature").starts_with("WECHATPAY/SIGNTEST/"));
    shop.world.settings(json!({"probes_in_notifications": 0}));
    shop.world.advance(60);
    assert_eq!(shop.settled().await.standing, Standing::Delivered, "and the same event comes with a right one");
}

/// 0.0.0.0 leads to this machine, where somebody listens, but is no loopback address.
#[tokio::test]
async fn nothing_else_is_contacted() {
    let shop = Shop::open().await;
    let port = shop.till.url.split([':', '/']).nth(4).expect("a port").to_owned();
    for url in [
        format!("http://0.0.0.0:{port}/notify"),
        format!("http://127.0.0.1.nip.io:{port}/"),
        "http://merchant.example/notify".to_owned(),
        "https://merchant.example/notify".to_owned(),
        format!("https://127.0.0.1:{port}/"),
    ] {
        shop.world.settings(json!({"notify_url": url}));
        shop.give().await;
        let event = shop.settled().await;
        assert_eq!((event.standing, &event.next_attempt), (Standing::Refused, &None), "{event:?}");
        let [attempt] = &event.attempts[..] else { panic!("the reason is recorded") };
        assert_eq!((attempt.status, &attempt.serial, attempt.accepted), (None, &None, false));
        assert!(attempt.reason.contains("loopback") || attempt.reason.contains("http only"), "{}", attempt.reason);
    }
    assert!(shop.till.taken().is_empty());
    shop.world.settings(json!({"notify_url": format!("http://0.0.0.0:{port}/"), "notify_anywhere": true}));
    shop.give().await;
    assert_eq!(shop.settled().await.standing, Standing::Delivered, "it would have been reached");

    let nobody = Rehearsal::start().await;
    let shop = Shop { till: Till::open(&nobody.sandbox, Trust::new()).await, world: nobody };
    shop.give().await;
    let event = shop.settled().await;
    assert_eq!((event.standing, event.attempts.len()), (Standing::NoAddress, 0));
}

/// An address is taken if it is one that events may go to, or one of the kind that the documents ask for.
#[tokio::test]
async fn the_addresses_that_are_taken_are_those_that_are_contacted() {
    let world = Rehearsal::start().await;
    let (loopback, anywhere, never) = ((true, true), (false, true), (false, false));
    for (url, taken) in [
        ("http://127.0.0.1:8080/x", loopback),
        ("http://127.9.9.9/x", loopback),
        ("http://LocalHost:1/x", loopback),
        ("http://[::1]/x", loopback),
        ("http://app:8080/x", anywhere),
        ("http://192.0.2.1/x", anywhere),
        ("http://merchant.example/x", anywhere),
        ("http://user@127.0.0.1/x", never),
        ("ftp://127.0.0.1/x", never),
        ("127.0.0.1:8080/x", never),
        ("https://merchant.example/x", loopback),
    ] {
        for (elsewhere, taken) in [(false, taken.0), (true, taken.1)] {
            world.settings(json!({"notify_anywhere": elsewhere}));
            for operation in ["busifavor.set_callback", "product_coupon.set_notify_config"] {
                let set = world.call(operation, json!({"notify_url": url})).await;
                let basis = if url.starts_with("https") { Documented } else { Basis::Sandbox };
                match taken {
                    true => assert_eq!(set.map(|_| world.last().basis), Ok(basis), "{operation} {url}"),
                    false => assert_eq!(set, refusal(400, "PARAM_ERROR", Guess), "{operation} {url}"),
                }
            }
        }
    }
}
