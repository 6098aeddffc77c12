//! The life of a product coupon against the sandbox: what is known about its states, by typed client, as a partner and as
//! the brand itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use wechatpay_model::Operation;
use wechatpay_model::product_coupon::{
    BrandCouponSend, ConfirmCoupon, CouponSend, CouponState, ImageGeneration, ListAssociatedStores, ListStocks,
    ListUserCoupons, UploadImage, UseCoupon,
};
use wechatpay_protocol::Error;
use wechatpay_protocol::pages::{List, UntypedList};
use wechatpay_protocol::request::File;
use wechatpay_sandbox::Basis::{Documented, Guess, Sandbox};
use wechatpay_tests::rehearsal::{AS_BRAND, BRAND, Refusal, Rehearsal, number, refusal};
use wechatpay_tests::scene::{APP, USER};
use wechatpay_tests::stocks::{
    product_bundle as new_bundle, product_several as several, product_single as single, product_stock as new_stock,
};
use wechatpay_tests::story::set;

/// A request number: six characters at least.
fn fresh() -> String {
    format!("number-{}", number())
}

/// Who calls, in which world.
#[derive(Clone, Copy)]
struct Hand<'w> {
    world: &'w Rehearsal,
    caller: usize,
}

/// A product coupon, and a stock or a bundle of it.
#[derive(Clone)]
struct Offer {
    product: String,
    stock: String,
}

impl Offer {
    fn ids(&self) -> Value {
        json!({"brand_id": BRAND, "product_coupon_id": self.product, "stock_id": self.stock})
    }

    fn bundle_ids(&self) -> Value {
        json!({"brand_id": BRAND, "product_coupon_id": self.product, "stock_bundle_id": self.stock})
    }
}

fn with(mut request: Value, fields: Value) -> Value {
    request.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    request
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl<'w> Hand<'w> {
    /// Somebody who has said where notifications go.
    async fn of(world: &'w Rehearsal, caller: usize) -> Self {
        let hand = Self { world, caller };
        hand.done("set_notify_config", json!({"notify_url": "https://www.example.com/notify"})).await;
        hand
    }

    async fn call(&self, operation: &str, request: Value) -> Result<Value, Refusal> {
        self.world.call_as(self.caller, &format!("product_coupon.{operation}"), request).await
    }

    async fn done(&self, operation: &str, request: Value) -> Value {
        self.call(operation, request.clone()).await.unwrap_or_else(|refusal| {
            panic!("{operation} {request}: {refusal:?}: {}", self.world.last().why);
        })
    }

    async fn create(&self, changes: &[(&str, Value)]) -> Offer {
        let created = self.done("create_product_coupon", single(changes)).await;
        Offer { product: text(&created["product_coupon_id"]), stock: text(&created["stock"]["stock_id"]) }
    }

    async fn create_bundle(&self, changes: &[(&str, Value)]) -> Offer {
        let created = self.done("create_product_coupon", several(changes)).await;
        Offer { product: text(&created["product_coupon_id"]), stock: text(&created["stock_bundle"]["stock_bundle_id"]) }
    }

    async fn send_to(&self, offer: &Offer, openid: &str) -> Result<Value, Refusal> {
        let gift = json!({"openid": openid, "appid": APP, "send_request_no": fresh()});
        self.call("send_coupon", with(offer.ids(), gift)).await
    }

    /// The code of a coupon that the user has, unconfirmed.
    async fn send(&self, offer: &Offer) -> String {
        text(&self.send_to(offer, USER).await.expect("sent")["coupon_code"])
    }

    /// The same, confirmed.
    async fn give(&self, offer: &Offer) -> String {
        let code = self.send(offer).await;
        self.change("confirm_coupon", offer, &code).await.expect("confirmed");
        code
    }

    /// The request of a call that changes a coupon.
    fn request(&self, operation: &str, offer: &Offer, code: &str) -> Value {
        let request = json!({"openid": USER, "appid": APP, "coupon_code": code, "out_request_no": fresh()});
        let more = match operation {
            "use_coupon" => {
                let now = wechatpay_tests::road::from_now(&self.world.sandbox, 0);
                json!({"use_time": now, "associated_order_info": {"transaction_id": "4200000001"}})
            }
            "deactivate_coupon" => json!({"deactivate_reason": "商品已下线"}),
            _ => json!({}),
        };
        with(with(offer.ids(), request), more)
    }

    async fn change(&self, operation: &str, offer: &Offer, code: &str) -> Result<Value, Refusal> {
        self.call(operation, self.request(operation, offer, code)).await
    }

    async fn coupon(&self, offer: &Offer, code: &str) -> Value {
        let named = json!({"openid": USER, "appid": APP, "coupon_code": code});
        self.done("get_user_coupon", with(offer.ids(), named)).await
    }

    async fn state(&self, offer: &Offer, code: &str) -> String {
        text(&self.coupon(offer, code).await["coupon_state"])
    }

    /// Why the newest request got what it got.
    fn why(&self) -> String {
        self.world.last().why
    }
}

/// A refusal whose words are documented, and whose code is not.
fn invalid<T>() -> Result<T, Refusal> {
    refusal(400, "INVALID_REQUEST", Guess)
}

/// A refusal of what does not go together.
fn broken<T>() -> Result<T, Refusal> {
    refusal(400, "INVALID_REQUEST", Documented)
}

#[tokio::test]
async fn an_unconfirmed_coupon_cannot_be_used_and_the_refusal_says_so() {
    let world = Rehearsal::start().await;
    for caller in [0, AS_BRAND] {
        let hand = Hand::of(&world, caller).await;
        let offer = hand.create(&[]).await;
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh(), "attach": "mine"});
        let gift = with(offer.ids(), gift);
        let sent = hand.done("send_coupon", gift.clone()).await;
        assert_eq!((&sent["coupon_state"], &sent["attach"]), (&json!("CONFIRMING"), &json!("mine")));
        assert_eq!(sent.get("brand_id").is_some(), caller == 0, "answers to a brand do not name it");
        assert_eq!(hand.done("send_coupon", gift.clone()).await, sent, "the first answer again, one effect");
        assert_eq!(
            hand.call("send_coupon", with(gift, json!({"attach": "yours"}))).await,
            refusal(400, "ALREADY_EXISTS", Guess)
        );

        // The notification tells of the coupon.
        let events = world.sandbox.events();
        let event = events.last().expect("an event");
        assert_eq!(event.notify_url.as_deref(), Some("https://www.example.com/notify"));
        let (code, stock) = if caller == 0 {
            let read: CouponSend = serde_json::from_value(event.payload.clone()).expect("it is read");
            assert_eq!((event.event_type, read.brand_id.as_deref()), ("PRODUCT_COUPON_SP.SEND", Some(BRAND)));
            (read.coupon_code, read.stock_id)
        } else {
            let read: BrandCouponSend = serde_json::from_value(event.payload.clone()).expect("it is read");
            assert_eq!(event.event_type, "PRODUCT_COUPON.SEND");
            (read.coupon_code, read.stock_id)
        };
        assert_eq!((code.as_str(), stock.as_str()), (sent["coupon_code"].as_str().unwrap(), offer.stock.as_str()));
        assert_eq!((&event.payload["openid"], &event.payload["attach"]), (&json!(USER), &json!("mine")));

        // Used without confirmation: refused, and both sides say what is missing.
        let client = world.client_of(caller);
        let typed: UseCoupon =
            serde_json::from_value(hand.request("use_coupon", &offer, code.as_str())).expect("a request");
        match client.send(&typed).await {
            Err(Error::Api(refusal)) => {
                assert_eq!((refusal.status, refusal.code.as_str()), (400, "INVALID_REQUEST"));
                assert_eq!(refusal.message, "用户券状态非法");
                assert!(refusal.remedy().expect("a remedy").contains("confirm_coupon"), "{refusal:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(hand.why().contains("confirm_coupon was not called"), "{}", hand.why());
        assert_eq!(hand.state(&offer, code.as_str()).await, "CONFIRMING");

        let confirm: ConfirmCoupon =
            serde_json::from_value(hand.request("confirm_coupon", &offer, code.as_str())).expect("a request");
        let confirmed = client.send(&confirm).await.expect("confirmed").value;
        assert_eq!(confirmed.coupon_state, CouponState::Effective);
        assert_eq!(confirmed.confirm_request_no.as_ref(), Some(&confirm.out_request_no));
        assert_eq!(client.send(&confirm).await.expect("again").value, confirmed);

        let used = client.send(&typed).await.expect("used").value;
        assert_eq!(used.coupon_state, CouponState::Used);
        let detail = used.single_usage_detail.as_ref().expect("how");
        assert_eq!(detail.use_request_no.as_ref(), Some(&typed.out_request_no));
        assert_eq!(detail.use_time.as_ref(), Some(&typed.use_time));
        assert_eq!(client.send(&typed).await.expect("again").value, used, "repeating a use is safe");
        assert_eq!(hand.change("use_coupon", &offer, code.as_str()).await, invalid());
        assert!(hand.why().contains("another number"), "{}", hand.why());
    }
    let ledger = world.sandbox.ledger();
    let coupons: Vec<_> = ledger.coupons.iter().map(|coupon| (coupon.family, coupon.status, coupon.count)).collect();
    assert_eq!(coupons, [("product_coupon", "USED", 1); 2]);
    assert!(ledger.stocks.iter().all(|stock| (stock.family, stock.status) == ("product_coupon", "SENDING")));
    assert_eq!(ledger.stocks.iter().map(|stock| stock.creator.as_str()).collect::<BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn a_coupon_goes_from_state_to_state_as_known() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let period = "/stock/single_usage_rule/coupon_available_period";
    let three_days = hand.create(&[(&format!("{period}/available_days"), json!(3))]).await;
    let later = hand
        .create(&[(
            period,
            json!({
                "available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00",
                "available_days": 3, "wait_days_after_receive": 2
            }),
        )])
        .await;
    let operations = ["confirm_coupon", "use_coupon", "return_coupon", "deactivate_coupon"];
    // State, and the next one after each of the four, where there is one.
    let rows: [(&str, [Option<&str>; 4]); 7] = [
        ("CONFIRMING", [Some("EFFECTIVE"), None, None, Some("DEACTIVATED")]),
        ("PENDING", [None, None, None, Some("DEACTIVATED")]),
        ("EFFECTIVE", [None, Some("USED"), None, Some("DEACTIVATED")]),
        ("USED", [None, None, Some("EFFECTIVE"), None]),
        ("EXPIRED", [None; 4]),
        ("DELETED", [None; 4]),
        ("DEACTIVATED", [None; 4]),
    ];
    for (state, nexts) in rows {
        for (operation, next) in operations.into_iter().zip(nexts) {
            world.turn_to("2026-01-05T10:00:00+08:00");
            let offer = if state == "PENDING" { &later } else { &three_days };
            let code = hand.send(offer).await;
            if state != "CONFIRMING" {
                hand.change("confirm_coupon", offer, &code).await.expect("confirmed");
            }
            match state {
                "USED" => drop(hand.change("use_coupon", offer, &code).await.expect("used")),
                "DEACTIVATED" => drop(hand.change("deactivate_coupon", offer, &code).await.expect("deactivated")),
                "DELETED" => {
                    drop(world.act(json!({"act": "user_delete", "stock_id": offer.stock, "coupon_code": code})));
                }
                "EXPIRED" => world.advance(3 * 86_400),
                _ => {}
            }
            assert_eq!(hand.state(offer, &code).await, state);
            let found = hand.change(operation, offer, &code).await.map(|coupon| text(&coupon["coupon_state"]));
            match next {
                Some(next) => assert_eq!(found, Ok(next.to_owned()), "{state} {operation}"),
                None => assert_eq!(found, invalid(), "{state} {operation}"),
            }
            assert_eq!(hand.state(offer, &code).await, next.unwrap_or(state), "{state} {operation}");
        }
    }

    // An unconfirmed coupon runs out too; a used one is not returned after its time.
    for used in [false, true] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        let code = hand.send(&three_days).await;
        if used {
            hand.change("confirm_coupon", &three_days, &code).await.expect("confirmed");
            hand.change("use_coupon", &three_days, &code).await.expect("used");
        }
        world.turn_to("2026-01-07T23:59:59+08:00");
        assert_eq!(hand.state(&three_days, &code).await, if used { "USED" } else { "CONFIRMING" });
        world.advance(1);
        let (operation, state) = if used { ("return_coupon", "USED") } else { ("confirm_coupon", "EXPIRED") };
        assert_eq!(hand.change(operation, &three_days, &code).await, invalid());
        assert!(hand.why().contains("time of the coupon is over"), "{}", hand.why());
        assert_eq!(hand.state(&three_days, &code).await, state);
    }

    // What is shown along the way.
    world.turn_to("2026-01-05T10:00:00+08:00");
    let code = hand.give(&later).await;
    let shown = hand.coupon(&later, &code).await;
    assert_eq!(shown["valid_begin_time"], "2026-01-07T00:00:00+08:00");
    assert_eq!(shown["valid_end_time"], "2026-01-09T23:59:59+08:00");
    world.turn_to("2026-01-07T00:00:00+08:00");
    assert_eq!(hand.state(&later, &code).await, "EFFECTIVE");
    hand.change("use_coupon", &later, &code).await.expect("used");
    let returned = hand.change("return_coupon", &later, &code).await.expect("returned");
    assert!(returned["single_usage_detail"]["return_request_no"].is_string());
    let again = hand.change("use_coupon", &later, &code).await.expect("usable again");
    assert!(again["single_usage_detail"].get("return_request_no").is_none());
    let code = hand.give(&later).await;
    let gone = hand.change("deactivate_coupon", &later, &code).await.expect("deactivated");
    assert_eq!(gone["deactivate_reason"], "商品已下线");
}

#[tokio::test]
async fn the_coupons_of_a_bundle_come_one_after_the_other() {
    let world = Rehearsal::start().await;
    for caller in [0, AS_BRAND] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        let hand = Hand::of(&world, caller).await;
        let bundle = hand.create_bundle(&[("/progressive_bundle_usage_info/interval_days", json!(1))]).await;
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
        let sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        let set = text(&sent["user_coupon_bundle_id"]);
        let list = async || {
            let request = json!({"brand_id": BRAND, "openid": USER, "appid": APP, "user_coupon_bundle_id": set});
            let mut list = hand.done("list_user_coupons", request).await["user_coupon_list"].take();
            list.as_array_mut().expect("a list").reverse();
            list
        };
        let of = |coupon: &Value| Offer { product: bundle.product.clone(), stock: text(&coupon["stock"]["stock_id"]) };
        let mut codes = Vec::new();
        for index in 0..3 {
            let listed = list().await;
            assert_eq!(listed.as_array().map(Vec::len), Some(index + 1), "the next comes once one is used");
            let coupon = listed[index].clone();
            assert_eq!(coupon["coupon_state"], "CONFIRMING", "each is confirmed");
            assert_eq!(
                coupon["user_product_coupon_bundle_info"],
                json!({
                    "user_coupon_bundle_id": set, "user_coupon_bundle_index": index, "total_count": 3,
                    "used_count": index
                })
            );
            assert_eq!(coupon["stock"]["stock_bundle_info"]["stock_bundle_index"], index);
            let amount = coupon["stock"]["progressive_bundle_usage_rule"]["normal_coupon"]["discount_amount"].clone();
            assert_eq!(amount, [1000, 1000, 2000][index]);
            let event = world.sandbox.events().last().expect("an event").clone();
            assert_eq!(event.payload["coupon_code"], coupon["coupon_code"]);
            assert_eq!(event.payload["user_coupon_bundle_id"], json!(set));
            assert_eq!(event.payload["stock_bundle_id"], json!(bundle.stock));

            let (offer, code) = (of(&coupon), text(&coupon["coupon_code"]));
            hand.change("confirm_coupon", &offer, &code).await.expect("confirmed");
            if index > 0 {
                assert_eq!(hand.state(&offer, &code).await, "PENDING", "a day between two uses");
                assert_eq!(hand.change("use_coupon", &offer, &code).await, invalid());
                world.turn_to(&format!("2026-01-{:02}T00:00:00+08:00", 5 + index));
            }
            let used = hand.change("use_coupon", &offer, &code).await.expect("used");
            assert!(used["progressive_bundle_usage_detail"]["use_request_no"].is_string());
            codes.push((offer, code));
        }
        // Only the last that was used can be returned, and the one before is then used first.
        let [first, second, third] = &codes[..] else { panic!("three") };
        assert_eq!(hand.change("return_coupon", &second.0, &second.1).await, invalid());
        assert!(hand.why().contains("only the last one"), "{}", hand.why());
        hand.change("return_coupon", &third.0, &third.1).await.expect("returned");
        hand.change("return_coupon", &second.0, &second.1).await.expect("now the last");
        assert_eq!(hand.change("use_coupon", &third.0, &third.1).await, invalid());
        assert!(hand.why().contains("the coupon before it"), "{}", hand.why());
        hand.change("use_coupon", &second.0, &second.1).await.expect("used again");
        assert_eq!(list().await.as_array().map(Vec::len), Some(3), "there is a third already");

        let end = json!({
            "openid": USER, "appid": APP, "user_coupon_bundle_id": set, "out_request_no": fresh(),
            "deactivate_reason": "下线"
        });
        let end = with(bundle.bundle_ids(), end);
        let ended = hand.done("deactivate_coupon_bundle", end.clone()).await;
        let states: Vec<_> =
            ended["user_product_coupon_list"].as_array().unwrap().iter().map(|c| text(&c["coupon_state"])).collect();
        assert_eq!(states, ["USED", "USED", "DEACTIVATED"]);
        let again = with(end.clone(), json!({"out_request_no": fresh()}));
        assert_eq!(hand.call("deactivate_coupon_bundle", again).await, invalid(), "nothing is left");
        let other = with(end, json!({"openid": "another", "out_request_no": fresh()}));
        assert_eq!(hand.call("deactivate_coupon_bundle", other).await, refusal(404, "RESOURCE_NOT_EXISTS", Guess));
        hand.change("return_coupon", &first.0, &first.1).await.expect_err("a later one is used");

        // What is deactivated early gets no next one.
        let gift = json!({"openid": "other", "appid": APP, "send_request_no": fresh()});
        let sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        let end = json!({
            "openid": "other", "appid": APP, "user_coupon_bundle_id": sent["user_coupon_bundle_id"],
            "out_request_no": fresh(), "deactivate_reason": "下线"
        });
        let ended = hand.done("deactivate_coupon_bundle", with(bundle.bundle_ids(), end)).await;
        assert_eq!(ended["user_product_coupon_list"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn what_is_done_to_a_bundle_is_done_to_each_of_its_stocks() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let bundle = hand.create_bundle(&[("/stock_bundle/store_scope", json!("SPECIFIC"))]).await;
    let stocks = async || {
        let request = with(bundle.bundle_ids(), json!({"page_size": 2}));
        let first = hand.done("list_stocks", request.clone()).await;
        assert_eq!((&first["total_count"], first["stock_list"].as_array().map(Vec::len)), (&json!(3), Some(2)));
        let next = with(request, json!({"page_token": first["next_page_token"]}));
        let second = hand.done("list_stocks", next).await;
        assert!(second.get("next_page_token").is_none());
        let mut all = first["stock_list"].as_array().unwrap().clone();
        all.extend(second["stock_list"].as_array().unwrap().clone());
        all
    };
    let listed = stocks().await;
    let indices: Vec<_> = listed.iter().map(|stock| stock["stock_bundle_info"]["stock_bundle_index"].clone()).collect();
    assert_eq!(indices, [0, 1, 2]);

    let change = json!({"out_request_no": fresh(), "remark": "新的"});
    let changed = hand.done("update_stock_bundle", with(bundle.bundle_ids(), change)).await;
    assert!(changed["stock_list"].as_array().unwrap().iter().all(|stock| stock["remark"] == "新的"));
    let stores = json!({"store_list": [{"store_id": "1"}, {"store_id": "2"}, {"store_id": "12"}]});
    world.settings(json!({"product_coupon_unknown_stores": ["12"]}));
    let outcome = hand.done("associate_bundle_stores", with(bundle.bundle_ids(), stores.clone())).await;
    assert_eq!(outcome["total_count"], 3);
    assert_eq!(outcome["failed_store_list"][0]["store_id"], "12");
    for stock in stocks().await {
        let ids = json!({
            "brand_id": BRAND, "product_coupon_id": bundle.product, "stock_id": stock["stock_id"], "page_size": 1
        });
        let page = hand.done("list_associated_stores", ids.clone()).await;
        assert_eq!((&page["total_count"], &page["store_list"]), (&json!(2), &json!([{"store_id": "1"}])));
        let page = hand.done("list_associated_stores", with(ids, json!({"page_token": page["next_page_token"]}))).await;
        assert_eq!((&page["store_list"], page.get("next_page_token")), (&json!([{"store_id": "2"}]), None));
    }
    let off = json!({"store_list": [{"store_id": "1"}]});
    hand.done("disassociate_bundle_stores", with(bundle.bundle_ids(), off)).await;
    let budget = |current: i64, target: i64| {
        let change = json!({
            "out_request_no": fresh(), "update_mode": "MAX_COUNT", "current_max_count": current,
            "target_max_count": target
        });
        with(bundle.bundle_ids(), change)
    };
    assert_eq!(hand.call("update_stock_bundle_budget", budget(5, 6)).await, invalid(), "the present value is 1000");
    let changed = hand.done("update_stock_bundle_budget", budget(1000, 1)).await;
    let all_one = |stock: &Value| stock["stock_send_rule"]["max_count"] == 1;
    assert!(changed["stock_list"].as_array().unwrap().iter().all(all_one));

    // A stock in a bundle is not reached alone.
    let one = Offer { product: bundle.product.clone(), stock: text(&listed[1]["stock_id"]) };
    assert_eq!(hand.done("get_stock", one.ids()).await["stock_bundle_info"]["stock_bundle_index"], 1);
    for (operation, more) in [
        ("update_stock", json!({"out_request_no": fresh(), "remark": "x"})),
        ("associate_stores", json!({"store_list": [{"store_id": "1"}]})),
        ("disassociate_stores", json!({"store_list": [{"store_id": "1"}]})),
        (
            "update_stock_budget",
            json!({
                "out_request_no": fresh(), "update_mode": "MAX_COUNT", "current_max_count": 1, "target_max_count": 2
            }),
        ),
        ("send_coupon", json!({"openid": USER, "appid": APP, "send_request_no": fresh()})),
        ("pre_send_coupon", json!({"openid": USER, "appid": APP, "send_request_no": fresh()})),
    ] {
        assert_eq!(hand.call(operation, with(one.ids(), more)).await, invalid(), "{operation}");
        assert!(hand.why().contains("name the bundle"), "{operation}: {}", hand.why());
    }
    // All stocks of a bundle must allow a gift.
    let gift =
        |openid: &str| with(bundle.bundle_ids(), json!({"openid": openid, "appid": APP, "send_request_no": fresh()}));
    hand.done("send_coupon_bundle", gift(USER)).await;
    assert_eq!(hand.call("send_coupon_bundle", gift("b")).await, invalid(), "max_count is 1");
    hand.done("update_stock_bundle_budget", budget(1, 9)).await;
    world.act(json!({"act": "console", "stock_id": listed[2]["stock_id"], "to": "pause"}));
    assert_eq!(hand.call("send_coupon_bundle", gift("b")).await, invalid(), "the third is paused");
    let end = json!({"out_request_no": fresh(), "deactivate_reason": "x"});
    hand.done("deactivate_stock", with(one.ids(), end)).await;
    for (operation, more) in [
        ("update_stock_bundle", json!({"out_request_no": fresh(), "remark": "x"})),
        ("associate_bundle_stores", stores),
        (
            "update_stock_bundle_budget",
            json!({"out_request_no": fresh(), "update_mode": "MAX_COUNT", "current_max_count": 9, "target_max_count": 10}),
        ),
    ] {
        assert_eq!(hand.call(operation, with(bundle.bundle_ids(), more)).await, invalid(), "{operation}");
        assert!(hand.why().contains("ended or was deactivated"), "{operation}: {}", hand.why());
    }
}

/// Whatever one of its stocks does not allow is done to none of them.
#[tokio::test]
async fn a_bundle_changes_as_a_whole_or_not_at_all() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let stocks = async |bundle: &Offer| hand.done("list_stocks", bundle.bundle_ids()).await["stock_list"].take();

    // Yesterday the first stock handed out three coupons, today the second did.
    let bundle = hand.create_bundle(&[("/stock_bundle/stock_send_rule/max_count_per_day", json!(5))]).await;
    let mut coupons = Vec::new();
    for _ in 0..3 {
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
        let mut sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        coupons.push(sent["user_product_coupon_list"][0].take());
    }
    world.advance(86_400);
    for coupon in &coupons {
        let offer = Offer { product: bundle.product.clone(), stock: text(&coupon["stock"]["stock_id"]) };
        hand.change("confirm_coupon", &offer, &text(&coupon["coupon_code"])).await.expect("confirmed");
        hand.change("use_coupon", &offer, &text(&coupon["coupon_code"])).await.expect("used");
    }
    let before = stocks(&bundle).await;
    let today = |index: usize| before[index]["sent_count_info"]["today_count"].clone();
    assert_eq!([today(0), today(1), today(2)], [0, 3, 0]);
    let budget = |current: i64, target: i64| {
        let change = json!({
            "out_request_no": fresh(), "update_mode": "MAX_COUNT_PER_DAY", "current_max_count_per_day": current,
            "target_max_count_per_day": target
        });
        with(bundle.bundle_ids(), change)
    };
    assert_eq!(
        hand.call("update_stock_bundle_budget", budget(5, 2)).await,
        broken(),
        "the second has handed out three"
    );
    assert_eq!(stocks(&bundle).await, before);
    let changed = hand.done("update_stock_bundle_budget", budget(5, 3)).await;
    let limit = |stock: &Value| stock["stock_send_rule"]["max_count_per_day"].clone();
    assert_eq!(changed["stock_list"].as_array().unwrap().iter().map(limit).collect::<Vec<_>>(), [3, 3, 3]);

    // One of its stocks is reviewed, the others are not yet.
    world.settings(json!({"product_coupon_first_state": "AUDITING"}));
    let bundle = hand.create_bundle(&[]).await;
    world.act(json!({"act": "audit", "stock_id": stocks(&bundle).await[0]["stock_id"], "to": "pass"}));
    let before = stocks(&bundle).await;
    let change = with(bundle.bundle_ids(), json!({"out_request_no": fresh(), "remark": "新的"}));
    assert_eq!(hand.call("update_stock_bundle", change).await, invalid());
    assert_eq!(stocks(&bundle).await, before);
}

/// The days of the next coupon are counted from when it can be used.
#[tokio::test]
async fn the_next_coupon_of_a_bundle_lasts_as_long_as_the_first() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    for (interval, period, begins, ends) in [
        (7, json!({"available_days": 3}), "2026-01-12T00:00:00+08:00", "2026-01-14T23:59:59+08:00"),
        (7, json!({"available_seconds": 7200}), "2026-01-12T00:00:00+08:00", "2026-01-12T02:00:00+08:00"),
        (
            7,
            json!({"wait_days_after_receive": 9, "available_days": 3}),
            "2026-01-23T00:00:00+08:00",
            "2026-01-25T23:59:59+08:00",
        ),
        (1, json!({}), "2026-01-06T00:00:00+08:00", "2026-12-31T23:59:59+08:00"),
    ] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        let place = "/stock_bundle/progressive_bundle_usage_rule/coupon_available_period";
        let mut changes = vec![("/progressive_bundle_usage_info/interval_days".to_owned(), json!(interval))];
        changes
            .extend(period.as_object().unwrap().iter().map(|(name, value)| (format!("{place}/{name}"), value.clone())));
        let changes: Vec<_> = changes.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
        let bundle = hand.create_bundle(&changes).await;
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
        let sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        let first = &sent["user_product_coupon_list"][0];
        let offer = Offer { product: bundle.product.clone(), stock: text(&first["stock"]["stock_id"]) };
        let code = text(&first["coupon_code"]);
        hand.change("confirm_coupon", &offer, &code).await.expect("confirmed");
        let waits = period["wait_days_after_receive"].as_i64().unwrap_or(0);
        if waits > 0 {
            world.turn_to("2026-01-14T00:00:00+08:00");
        }
        hand.change("use_coupon", &offer, &code).await.expect("used");
        let request = json!({
            "brand_id": BRAND, "openid": USER, "appid": APP, "user_coupon_bundle_id": sent["user_coupon_bundle_id"]
        });
        let list = hand.done("list_user_coupons", request).await;
        let next = &list["user_coupon_list"][0];
        assert_eq!(next["user_product_coupon_bundle_info"]["user_coupon_bundle_index"], 1);
        assert_eq!((&next["valid_begin_time"], &next["valid_end_time"]), (&json!(begins), &json!(ends)), "{period}");
    }
}

/// What could never be used is not handed out.
#[tokio::test]
async fn no_coupon_ends_before_it_begins() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let time = |begin: &str, end: &str, more: Value| {
        let time = json!({"available_begin_time": format!("{begin}:00+08:00"), "available_end_time": format!("{end}:59+08:00")});
        with(time, more)
    };
    let (begin, end) = ("2026-01-01T00:00", "2026-01-08T23:59");
    let waits = |days: i64| json!({"wait_days_after_receive": days, "available_days": 3});
    for (period, validity) in [
        // Received before the begin: seconds count from the begin, as days do.
        (
            time("2026-01-10T12:00", "2026-12-31T23:59", json!({"available_seconds": 3600})),
            Some(("2026-01-10T12:00:00+08:00", "2026-01-10T13:00:00+08:00")),
        ),
        (
            time("2026-01-10T12:00", "2026-12-31T23:59", json!({"available_days": 1})),
            Some(("2026-01-10T12:00:00+08:00", "2026-01-10T23:59:59+08:00")),
        ),
        (time(begin, end, waits(3)), Some(("2026-01-08T00:00:00+08:00", "2026-01-08T23:59:59+08:00"))),
        (time(begin, end, waits(4)), None),
    ] {
        let offer = hand.create(&[("/stock/single_usage_rule/coupon_available_period", period.clone())]).await;
        let (sent, told) = (hand.send_to(&offer, USER).await, world.sandbox.events().len());
        let Some((begins, ends)) = validity else {
            assert_eq!(sent, invalid(), "{period}");
            assert!(hand.why().contains("end before it begins"), "{}", hand.why());
            let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
            assert_eq!(hand.call("pre_send_coupon", with(offer.ids(), gift)).await, invalid(), "{period}");
            assert_eq!(world.sandbox.events().len(), told, "nobody is told");
            let count = hand.done("get_stock", offer.ids()).await["sent_count_info"].take();
            assert_eq!(count, json!({"total_count": 0, "today_count": 0}));
            continue;
        };
        let sent = sent.expect("sent");
        assert_eq!((&sent["valid_begin_time"], &sent["valid_end_time"]), (&json!(begins), &json!(ends)), "{period}");
    }

    // The next of a bundle would begin on the day after its stock ends, or on its last day.
    for (interval, coupons) in [(4, 1), (3, 2)] {
        let period = "/stock_bundle/progressive_bundle_usage_rule/coupon_available_period";
        let changes =
            [("/progressive_bundle_usage_info/interval_days", json!(interval)), (period, time(begin, end, json!({})))];
        let bundle = hand.create_bundle(&changes).await;
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
        let sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        let first = &sent["user_product_coupon_list"][0];
        let offer = Offer { product: bundle.product.clone(), stock: text(&first["stock"]["stock_id"]) };
        let code = text(&first["coupon_code"]);
        for operation in ["confirm_coupon", "use_coupon"] {
            hand.change(operation, &offer, &code).await.expect("done");
        }
        let set = json!({"user_coupon_bundle_id": sent["user_coupon_bundle_id"]});
        let list = with(json!({"brand_id": BRAND, "openid": USER, "appid": APP}), set);
        assert_eq!(hand.done("list_user_coupons", list).await["total_count"], coupons, "{interval} days");
    }
}

/// Whether a coupon was used is not undone by what becomes of it later, and what cannot be used any more bars nothing.
#[tokio::test]
async fn a_coupon_that_is_gone_does_not_bar_the_next_of_its_bundle() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let days = "/stock_bundle/progressive_bundle_usage_rule/coupon_available_period/available_days";
    // What becomes of the first, whether the second can be used then, and how many count as used before that.
    for (deeds, usable, used) in [
        (&[][..], true, 1),
        (&["user_delete"], true, 1),
        (&["return_coupon"], false, 0),
        (&["return_coupon", "user_delete"], true, 0),
        (&["return_coupon", "deactivate_coupon"], true, 0),
        (&["return_coupon", "expire"], true, 0),
    ] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        // The second can be used when the first, a day long, is over.
        let changes = [("/progressive_bundle_usage_info/interval_days", json!(1)), (days, json!(1))];
        let bundle = hand.create_bundle(if deeds.contains(&"expire") { &changes } else { &[] }).await;
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
        let sent = hand.done("send_coupon_bundle", with(bundle.bundle_ids(), gift)).await;
        let place = |coupon: &Value| {
            let stock = text(&coupon["stock"]["stock_id"]);
            (Offer { product: bundle.product.clone(), stock }, text(&coupon["coupon_code"]))
        };
        let (first, code) = place(&sent["user_product_coupon_list"][0]);
        for operation in ["confirm_coupon", "use_coupon"] {
            hand.change(operation, &first, &code).await.expect("done");
        }
        let list = json!({"user_coupon_bundle_id": sent["user_coupon_bundle_id"], "page_size": 1});
        let list = with(json!({"brand_id": BRAND, "openid": USER, "appid": APP}), list);
        let (second, next) = place(&hand.done("list_user_coupons", list).await["user_coupon_list"][0]);
        hand.change("confirm_coupon", &second, &next).await.expect("confirmed");
        for deed in deeds {
            match *deed {
                "user_delete" => {
                    drop(world.act(json!({"act": "user_delete", "stock_id": first.stock, "coupon_code": code})));
                }
                "expire" => world.turn_to("2026-01-06T10:00:00+08:00"),
                operation => drop(hand.change(operation, &first, &code).await.expect("done")),
            }
        }
        let info = hand.coupon(&second, &next).await["user_product_coupon_bundle_info"].take();
        assert_eq!(info["used_count"], used, "{deeds:?}");
        let found = hand.change("use_coupon", &second, &next).await.map(|_| ());
        if usable {
            found.unwrap_or_else(|refusal| panic!("{deeds:?}: {refusal:?}: {}", hand.why()));
            assert_eq!(
                hand.coupon(&second, &next).await["user_product_coupon_bundle_info"]["used_count"],
                used + 1,
                "{deeds:?}"
            );
        } else {
            assert_eq!(found, invalid(), "{deeds:?}");
            assert!(hand.why().contains("is used first"), "{}", hand.why());
        }
        if deeds.is_empty() {
            world.act(json!({"act": "user_delete", "stock_id": second.stock, "coupon_code": next}));
            assert_eq!(hand.change("return_coupon", &first, &code).await, invalid(), "the later one was used");
            assert!(hand.why().contains("only the last one"), "{}", hand.why());
        }
    }
}

#[tokio::test]
async fn codes_are_uploaded_and_each_is_given_once() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let offer = hand.create(&[("/stock/coupon_code_mode", json!("UPLOAD"))]).await;
    let upload = async |codes: &[&str]| {
        let request = json!({"out_request_no": fresh(), "code_list": codes});
        hand.call("upload_coupon_codes", with(offer.ids(), request)).await
    };
    assert_eq!(hand.send_to(&offer, USER).await, invalid(), "no code, no coupon");
    let sorted = upload(&["A-1", "B_2", "A-1", "C"]).await.expect("uploaded");
    let wanted = json!({"total_count": 3, "success_code_list": ["A-1", "B_2", "C"], "duplicate_code_list": ["A-1"]});
    assert_eq!(sorted, wanted);
    let sorted = upload(&["C", "D"]).await.expect("uploaded");
    assert_eq!(sorted, json!({"total_count": 2, "success_code_list": ["D"], "already_exist_code_list": ["C"]}));
    let request = json!({"out_request_no": fresh(), "code_list": ["E"]});
    let request = with(offer.ids(), request);
    let first = hand.done("upload_coupon_codes", request.clone()).await;
    assert_eq!(hand.done("upload_coupon_codes", request).await, first, "one effect for one number");

    // What a client of this library refuses to send is sorted out one by one.
    let path = format!(
        "/v3/marketing/partner/product-coupon/product-coupons/{}/stocks/{}/upload-coupon-codes",
        offer.product, offer.stock
    );
    let long = "x".repeat(41);
    let body = json!({"brand_id": BRAND, "out_request_no": fresh(), "code_list": ["F", "G 1", long]});
    let sorted = world.client.post(&path, &body).await.expect("sorted").value;
    assert_eq!(sorted["success_code_list"], json!(["F"]));
    let failed = sorted["failed_code_list"].as_array().expect("a list");
    assert_eq!(failed.iter().map(|code| text(&code["coupon_code"])).collect::<Vec<_>>(), ["G 1", long.as_str()]);

    let count = async || hand.done("get_stock", offer.ids()).await["coupon_code_count_info"].take();
    assert_eq!(count().await, json!({"total_count": 6, "available_count": 6}));
    let mut given = BTreeSet::new();
    for _ in 0..6 {
        assert!(given.insert(hand.send(&offer).await));
    }
    assert_eq!(given, ["A-1", "B_2", "C", "D", "E", "F"].map(str::to_owned).into());
    assert_eq!(hand.send_to(&offer, USER).await, invalid(), "the pool is empty");
    assert_eq!(count().await, json!({"total_count": 6, "available_count": 0}));
    let ledger = world.sandbox.ledger();
    let codes: Vec<_> = ledger.coupon_codes.iter().map(|code| (code.code.as_str(), code.count)).collect();
    assert_eq!(codes, ["A-1", "B_2", "C", "D", "E", "F"].map(|code| (code, 1)));

    world.settings(json!({"product_coupon_code_limit": 7}));
    assert_eq!(upload(&["H", "I"]).await, invalid());
    upload(&["H"]).await.expect("seven");
    let assigned = hand.create(&[("/stock/coupon_code_mode", json!("API_ASSIGN"))]).await;
    for (other, mode) in [(&hand.create(&[]).await, "WECHATPAY"), (&assigned, "API_ASSIGN")] {
        let request = with(other.ids(), json!({"out_request_no": fresh(), "code_list": ["Z"]}));
        assert_eq!(hand.call("upload_coupon_codes", request).await, invalid(), "{mode}");
    }
    let end = json!({"out_request_no": fresh(), "deactivate_reason": "x"});
    hand.done("deactivate_stock", with(offer.ids(), end)).await;
    assert_eq!(upload(&["Z"]).await, invalid(), "the stock is deactivated");

    // The sender's own codes.
    let named = |offer: &Offer, code: &str| {
        let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh(), "coupon_code": code});
        with(offer.ids(), gift)
    };
    assert_eq!(hand.send_to(&assigned, USER).await, refusal(400, "PARAM_ERROR", Guess));
    assert_eq!(hand.done("send_coupon", named(&assigned, "MINE")).await["coupon_code"], "MINE");
    assert_eq!(hand.call("send_coupon", named(&assigned, "MINE")).await, invalid());
    let plain = hand.create(&[]).await;
    assert_eq!(hand.call("send_coupon", named(&plain, "MINE")).await, refusal(400, "PARAM_ERROR", Guess));
}

#[tokio::test]
async fn a_gift_keeps_to_the_limits_of_its_stock() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let rule = "/stock/stock_send_rule";
    let one = hand.create(&[(&format!("{rule}/max_count_per_user"), json!(1))]).await;
    hand.send_to(&one, "a").await.expect("the first");
    assert_eq!(hand.send_to(&one, "a").await, invalid(), "an unconfirmed one counts");
    hand.send_to(&one, "b").await.expect("another user");
    let two = hand.create(&[(&format!("{rule}/max_count"), json!(2))]).await;
    for wanted in [true, true, false] {
        assert_eq!(hand.send_to(&two, "a").await.is_ok(), wanted);
    }
    let daily = hand.create(&[(&format!("{rule}/max_count_per_day"), json!(1))]).await;
    hand.send_to(&daily, "a").await.expect("the first");
    assert_eq!(hand.send_to(&daily, "a").await, invalid());
    // Ten in the morning: fourteen hours to midnight in China.
    world.advance(14 * 3600 - 1);
    assert_eq!(hand.send_to(&daily, "a").await, invalid());
    world.advance(1);
    hand.send_to(&daily, "a").await.expect("the next day");
    let count = hand.done("get_stock", daily.ids()).await["sent_count_info"].take();
    assert_eq!(count, json!({"total_count": 2, "today_count": 1}));
    // The clock goes back to a day that has had its coupon.
    world.advance(-86_400);
    assert_eq!(hand.send_to(&daily, "a").await, invalid());
    let count = hand.done("get_stock", daily.ids()).await["sent_count_info"].take();
    assert_eq!(count, json!({"total_count": 2, "today_count": 1}));
    world.advance(86_400);

    // A budget goes from what it is to what was not handed out yet; a limit for the day stays or stays away.
    let budget = |offer: &Offer, mode: &str, name: &str, current: i64, target: i64| {
        let change = json!({
            "out_request_no": fresh(), "update_mode": mode, (format!("current_{name}")): current,
            (format!("target_{name}")): target
        });
        with(offer.ids(), change)
    };
    let all = |offer: &Offer, current, target| budget(offer, "MAX_COUNT", "max_count", current, target);
    let day = |offer: &Offer, current, target| budget(offer, "MAX_COUNT_PER_DAY", "max_count_per_day", current, target);
    assert_eq!(hand.call("update_stock_budget", all(&two, 3, 9)).await, invalid());
    assert_eq!(hand.call("update_stock_budget", all(&two, 2, 1)).await, broken(), "two were handed out");
    assert_eq!(hand.done("update_stock_budget", all(&two, 2, 3)).await["stock_send_rule"]["max_count"], 3);
    hand.send_to(&two, "a").await.expect("a third");
    assert_eq!(hand.call("update_stock_budget", day(&two, 1, 5)).await, broken(), "it has no limit for the day");
    hand.done("update_stock_budget", day(&daily, 1, 5)).await;
    hand.send_to(&daily, "a").await.expect("five a day");

    // Seconds, and the end of the stock.
    let short = hand.create(&[("/stock/single_usage_rule/coupon_available_period/available_seconds", json!(60))]).await;
    let code = hand.give(&short).await;
    world.advance(60);
    assert_eq!(hand.state(&short, &code).await, "EFFECTIVE");
    world.advance(1);
    assert_eq!(hand.state(&short, &code).await, "EXPIRED");
    let code = hand.give(&one).await;
    assert_eq!(hand.coupon(&one, &code).await["valid_end_time"], "2026-12-31T23:59:59+08:00");
    world.turn_to("2027-01-01T00:00:00+08:00");
    assert_eq!(hand.state(&one, &code).await, "EXPIRED");
    assert_eq!(hand.send_to(&one, "c").await, invalid());
    assert_eq!(hand.done("get_stock", one.ids()).await["state"], "STOPPED");
    assert_eq!(hand.call("update_stock_budget", all(&one, 1000, 2000)).await, invalid());
}

#[tokio::test]
async fn hours_spans_and_stores_decide_where_and_when() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let period = "/stock/single_usage_rule/coupon_available_period";
    let weekly =
        json!({"day_list": ["MONDAY", "TUESDAY"], "day_period_list": [{"begin_time": 36_000, "end_time": 39_600}]});
    let weekly = hand.create(&[(&format!("{period}/weekly_available_period"), weekly)]).await;
    let span = json!([{"begin_time": "2026-01-06T00:00:00+08:00", "end_time": "2026-01-06T12:00:00+08:00"}]);
    let spans = hand.create(&[(&format!("{period}/irregular_available_period_list"), span)]).await;
    for (time, in_week, in_span) in [
        ("2026-01-05T09:59:59+08:00", false, false),
        ("2026-01-05T10:00:00+08:00", true, false),
        ("2026-01-06T11:00:00+08:00", true, true),
        ("2026-01-06T11:00:01+08:00", false, true),
        ("2026-01-06T12:00:01+08:00", false, false),
        ("2026-01-07T10:30:00+08:00", false, false),
    ] {
        world.turn_to(time);
        for (offer, wanted) in [(&weekly, in_week), (&spans, in_span)] {
            let code = hand.give(offer).await;
            let used = hand.change("use_coupon", offer, &code).await.map(|_| ());
            assert_eq!(used, if wanted { Ok(()) } else { invalid() }, "{time}");
        }
    }
    let offer = hand.create(&[("/stock/store_scope", json!("SPECIFIC"))]).await;
    hand.done("associate_stores", with(offer.ids(), json!({"store_list": [{"store_id": "1"}]}))).await;
    for (store, wanted) in [(Some("2"), invalid()), (Some("1"), Ok(())), (None, Ok(()))] {
        let code = hand.give(&offer).await;
        let mut request = hand.request("use_coupon", &offer, &code);
        if let Some(store) = store {
            request["store_id"] = json!(store);
        }
        assert_eq!(hand.call("use_coupon", request).await.map(|_| ()), wanted, "{store:?}");
    }
    hand.done("disassociate_stores", with(offer.ids(), json!({"store_list": [{"store_id": "1"}]}))).await;
    assert_eq!(hand.done("list_associated_stores", offer.ids()).await["total_count"], 0);
    for scope in ["NONE", "ALL"] {
        let offer = hand.create(&[("/stock/store_scope", json!(scope))]).await;
        let stores = with(offer.ids(), json!({"store_list": [{"store_id": "1"}]}));
        assert_eq!(hand.call("associate_stores", stores.clone()).await, invalid(), "{scope}");
        assert_eq!(hand.call("disassociate_stores", stores).await, invalid(), "{scope}");
        assert_eq!(hand.call("list_associated_stores", offer.ids()).await, invalid(), "{scope}");
    }
    // A score order, and what was saved.
    let code = hand.give(&offer).await;
    let mut request = hand.request("use_coupon", &offer, &code);
    set(&mut request, "/associated_order_info", Value::Null);
    request["associated_pay_score_order_info"] = json!({"order_id": "1564"});
    request["saved_amount"] = json!(1500);
    let detail = hand.done("use_coupon", request).await["single_usage_detail"].take();
    assert_eq!(
        (&detail["saved_amount"], &detail["associated_pay_score_order_info"]["order_id"]),
        (&json!(1500), &json!("1564"))
    );
}

#[tokio::test]
async fn product_coupons_and_stocks_are_reviewed_paused_and_deactivated() {
    let world = Rehearsal::with(json!({"product_coupon_first_state": "AUDITING"})).await;
    let hand = Hand::of(&world, 0).await;
    let end = || json!({"out_request_no": fresh(), "deactivate_reason": "x"});
    let add = |offer: &Offer| {
        let request = json!({"out_request_no": fresh(), "stock": new_stock(&[])});
        with(json!({"brand_id": BRAND, "product_coupon_id": offer.product}), request)
    };
    let product = |offer: &Offer| json!({"brand_id": BRAND, "product_coupon_id": offer.product});
    let offer = hand.create(&[]).await;
    assert_eq!(hand.done("get_product_coupon", product(&offer)).await["state"], "AUDITING");
    assert_eq!(hand.done("get_stock", offer.ids()).await["state"], "AUDITING");
    let change = json!({"out_request_no": fresh(), "remark": "x"});
    for (operation, request) in [
        ("create_stock", add(&offer)),
        ("deactivate_product_coupon", with(product(&offer), end())),
        ("deactivate_stock", with(offer.ids(), end())),
        ("update_stock", with(offer.ids(), change)),
    ] {
        assert_eq!(hand.call(operation, request).await, invalid(), "{operation}");
    }
    assert_eq!(hand.send_to(&offer, USER).await, invalid());
    world.act(json!({"act": "audit", "product_coupon_id": offer.product, "to": "pass"}));
    let code = hand.give(&offer).await;
    let second = hand.done("create_stock", add(&offer)).await;
    assert_eq!(second["state"], "AUDITING");
    world.act(json!({"act": "audit", "stock_id": second["stock_id"], "to": "refuse"}));
    let states = async |state: Option<&str>| {
        let mut request = product(&offer);
        if let Some(state) = state {
            request["state"] = json!(state);
        }
        hand.done("list_stocks", request).await["total_count"].take()
    };
    assert_eq!((states(None).await, states(Some("SENDING")).await), (json!(2), json!(1)));
    assert_eq!(states(Some("DEACTIVATED")).await, 1);
    assert!(world.sandbox.act(&json!({"act": "audit", "stock_id": offer.stock, "to": "pass"})).is_err());

    for (to, sends) in [("pause", false), ("restart", true)] {
        world.act(json!({"act": "console", "stock_id": offer.stock, "to": to}));
        assert_eq!(hand.send_to(&offer, USER).await.is_ok(), sends, "{to}");
        let change = json!({"out_request_no": fresh(), "remark": to});
        assert_eq!(hand.done("update_stock", with(offer.ids(), change)).await["remark"], to);
    }
    let look = json!({"name": "新名字", "image_url": "https://a/1", "background_url": "https://a/2"});
    let look = with(product(&offer), json!({"out_request_no": fresh(), "display_info": look}));
    assert_eq!(hand.done("update_product_coupon", look.clone()).await["display_info"]["name"], "新名字");

    let ended = hand.done("deactivate_product_coupon", with(product(&offer), end())).await;
    assert_eq!((&ended["state"], &ended["deactivate_reason"]), (&json!("DEACTIVATED"), &json!("x")));
    assert_eq!(hand.done("get_stock", offer.ids()).await["state"], "DEACTIVATED", "its stocks go with it");
    assert_eq!(hand.send_to(&offer, USER).await, invalid());
    hand.change("use_coupon", &offer, &code).await.expect("users keep what they have");
    for (operation, request) in [
        ("create_stock", add(&offer)),
        ("deactivate_product_coupon", with(product(&offer), end())),
        ("deactivate_stock", with(offer.ids(), end())),
        ("update_product_coupon", with(look, json!({"out_request_no": fresh()}))),
    ] {
        assert_eq!(hand.call(operation, request).await, invalid(), "{operation}");
    }
}

#[tokio::test]
async fn a_product_coupon_has_200_open_stocks_at_most() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let fifteen: Vec<_> = (1..=15).map(|yuan| json!({"threshold": 0, "discount_amount": yuan * 100})).collect();
    let list = ("/progressive_bundle_usage_rule/normal_coupon_list", json!(fifteen));
    let bundle = new_bundle(&[list]);
    let changes = [("/progressive_bundle_usage_info/count", json!(15)), ("/stock_bundle", bundle.clone())];
    let offer = hand.create_bundle(&changes).await;
    let add = || {
        let request = json!({"out_request_no": fresh(), "stock_bundle": bundle});
        with(json!({"brand_id": BRAND, "product_coupon_id": offer.product}), request)
    };
    for _ in 1..13 {
        hand.done("create_stock_bundle", add()).await;
    }
    assert_eq!(hand.call("create_stock_bundle", add()).await, broken(), "195 and 15 are more than 200");
    let listed = hand.done("list_stocks", json!({"brand_id": BRAND, "product_coupon_id": offer.product})).await;
    assert_eq!((&listed["total_count"], listed["stock_list"].as_array().map(Vec::len)), (&json!(195), Some(20)));
    for stock in listed["stock_list"].as_array().unwrap().iter().take(10) {
        let ids = json!({"brand_id": BRAND, "product_coupon_id": offer.product, "stock_id": stock["stock_id"]});
        hand.done("deactivate_stock", with(ids, json!({"out_request_no": fresh(), "deactivate_reason": "x"}))).await;
    }
    hand.done("create_stock_bundle", add()).await;
}

#[tokio::test]
async fn what_does_not_go_together_is_not_created() {
    let world = Rehearsal::start().await;
    let first = Hand { world: &world, caller: 0 };
    assert_eq!(first.call("get_notify_config", json!({})).await, refusal(404, "RESOURCE_NOT_EXISTS", Guess));
    assert_eq!(first.call("create_product_coupon", single(&[])).await, invalid(), "first say where to notify");
    world.settings(json!({"product_coupon_needs_address": false}));
    first.create(&[]).await;
    world.settings(json!({"product_coupon_needs_address": true}));
    let hand = Hand::of(&world, 0).await;
    let set = hand.done("get_notify_config", json!({})).await;
    assert_eq!(set["notify_url"], "https://www.example.com/notify");
    let local = json!({"notify_url": "http://127.0.0.1:9/notify"});
    hand.done("set_notify_config", local).await;
    assert_eq!(world.last().basis, Sandbox);
    let open = json!({"notify_url": "http://www.example.com/notify"});
    assert_eq!(hand.call("set_notify_config", open).await, refusal(400, "PARAM_ERROR", Guess));

    let goods = ("/display_info/original_price", json!(9900));
    let in_stock = |kind: &str| {
        let rule = match kind {
            "discount" => json!({"threshold": 0, "percent_off": 20}),
            "exchange" => json!({"threshold": 0, "exchange_price": 990}),
            _ => json!({"threshold": 0, "discount_amount": 100}),
        };
        (format!("/stock/single_usage_rule/{kind}_coupon"), rule)
    };
    let (own, exchange) = (in_stock("normal"), in_stock("exchange"));
    let own = (own.0.as_str(), own.1);
    let exchange = (exchange.0.as_str(), exchange.1);
    let for_goods = [("/scope", json!("SINGLE")), ("/single_usage_info", Value::Null), goods.clone(), own.clone()];
    let (product, exchanged) = (single(&for_goods), {
        let mut changes = for_goods[..3].to_vec();
        changes.extend([("/type", json!("EXCHANGE")), exchange.clone()]);
        single(&changes)
    });
    hand.done("create_product_coupon", exchanged).await;
    let product = text(&hand.done("create_product_coupon", product).await["product_coupon_id"]);
    let period = "/stock/single_usage_rule/coupon_available_period";
    let wait = format!("{period}/wait_days_after_receive");
    let span = format!("{period}/irregular_available_period_list");
    let span_of_a_day = json!([{"begin_time": "2026-01-06T00:00:00+08:00", "end_time": "2026-01-06T12:00:00+08:00"}]);
    let cases: Vec<(&str, Value)> = vec![
        ("EXCHANGE for all goods", single(&[("/type", json!("EXCHANGE"))])),
        ("no discount", single(&[("/single_usage_info", Value::Null)])),
        ("the discount of another type", single(&[("/type", json!("DISCOUNT"))])),
        ("two discounts", single(std::slice::from_ref(&own))),
        ("certain goods, general discount", single(&[("/scope", json!("SINGLE")), goods.clone()])),
        ("certain goods without a price", single(&[for_goods[0].clone(), for_goods[1].clone(), own.clone()])),
        ("certain goods, no discount", single(&for_goods[..3])),
        ("waiting for ever", single(&[(&wait, json!(1))])),
        ("spans beside days", single(&[(&span, span_of_a_day), (&format!("{period}/available_days"), json!(3))])),
        ("no times", single(&[("/stock/single_usage_rule", Value::Null)])),
        ("two of three discounts", several(&[("/progressive_bundle_usage_info/count", json!(4))])),
        ("codes of its own", several(&[("/stock_bundle/coupon_code_mode", json!("API_ASSIGN"))])),
        (
            "a smaller discount later",
            several(&[(
                "/stock_bundle/progressive_bundle_usage_rule/normal_coupon_list/1/discount_amount",
                json!(999),
            )]),
        ),
        (
            "a higher price later",
            several(&[
                ("/scope", json!("SINGLE")),
                ("/type", json!("EXCHANGE")),
                goods,
                (
                    "/stock_bundle/progressive_bundle_usage_rule/exchange_coupon_list",
                    json!([
                        {"threshold": 0, "exchange_price": 3}, {"threshold": 0, "exchange_price": 2},
                        {"threshold": 0, "exchange_price": 3}
                    ]),
                ),
            ]),
        ),
        (
            "a smaller share later",
            several(&[
                ("/type", json!("DISCOUNT")),
                (
                    "/stock_bundle/progressive_bundle_usage_rule/discount_coupon_list",
                    json!([
                        {"threshold": 0, "percent_off": 30}, {"threshold": 0, "percent_off": 30},
                        {"threshold": 0, "percent_off": 20}
                    ]),
                ),
            ]),
        ),
    ];
    for (name, request) in cases {
        assert_eq!(hand.call("create_product_coupon", request).await, broken(), "{name}");
    }
    let old = single(&[
        ("/usage_mode", json!("SEQUENTIAL")),
        ("/sequential_usage_info", json!({"type": "EQUAL", "count": 3, "available_days": 3})),
    ]);
    assert_eq!(hand.call("create_product_coupon", old).await, invalid(), "newer pages have another mode");

    // Later stocks and bundles keep to their product coupon.
    let (all, bundle) = (hand.create(&[]).await, hand.create_bundle(&[]).await);
    let stock = |product: &str, changes: &[(&str, Value)]| {
        json!({
            "brand_id": BRAND, "product_coupon_id": product, "out_request_no": fresh(), "stock": new_stock(changes)
        })
    };
    let own = ("/single_usage_rule/normal_coupon", json!({"threshold": 0, "discount_amount": 100}));
    assert_eq!(hand.call("create_stock", stock(&bundle.product, &[])).await, broken());
    assert_eq!(hand.call("create_stock", stock(&all.product, std::slice::from_ref(&own))).await, broken());
    assert_eq!(hand.call("create_stock", stock(&product, &[])).await, broken());
    hand.done("create_stock", stock(&product, &[own])).await;
    let more = json!({
        "brand_id": BRAND, "product_coupon_id": all.product, "out_request_no": fresh(), "stock_bundle": new_bundle(&[])
    });
    assert_eq!(hand.call("create_stock_bundle", more).await, broken());
}

#[tokio::test]
async fn a_user_opens_what_was_prepared_or_comes_upon_a_coupon() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let offer = hand.create(&[("/stock/stock_send_rule/max_count_per_user", json!(1))]).await;
    let prepare = async |offer: &Value, operation: &str, openid: &str| {
        let gift = json!({"openid": openid, "appid": APP, "send_request_no": fresh(), "attach": "mine"});
        hand.call(operation, with(offer.clone(), gift)).await.map(|body| text(&body["token"]))
    };
    let token = prepare(&offer.ids(), "pre_send_coupon", USER).await.expect("a token");
    assert!(world.sandbox.events().is_empty(), "nothing is handed out before the user comes");
    let opened = world.act(json!({"act": "user_receive", "token": token}));
    assert_eq!(opened["status"], "CONFIRMING");
    assert_eq!(world.act(json!({"act": "user_receive", "token": token})), opened, "received already");
    assert_eq!(world.sandbox.events().len(), 1);
    let payload = world.sandbox.events()[0].payload.clone();
    assert_eq!((&payload["send_channel"], &payload["attach"]), (&json!("RECEIVE_COMPONENT"), &json!("mine")));
    assert_eq!(prepare(&offer.ids(), "pre_send_coupon", USER).await, invalid(), "the limit is reached");
    let late = prepare(&offer.ids(), "pre_send_coupon", "b").await.expect("a token");
    world.advance(301);
    assert!(world.sandbox.act(&json!({"act": "user_receive", "token": late})).unwrap_err().contains("five minutes"));

    let found = world.act(json!({"act": "user_receive", "stock_id": offer.stock, "openid": "c", "channel": "MEMBER"}));
    assert_eq!(world.sandbox.events()[1].payload["send_channel"], "MEMBER");
    assert_eq!(found["status"], "CONFIRMING", "whatever the channel, it is to be confirmed");
    for action in [
        json!({"act": "user_receive", "stock_id": offer.stock}),
        json!({"act": "user_receive", "stock_id": offer.stock, "openid": "c"}),
    ] {
        assert!(world.sandbox.act(&action).is_err(), "{action}");
    }
    let bundle = hand.create_bundle(&[]).await;
    let token = prepare(&bundle.bundle_ids(), "pre_send_coupon_bundle", USER).await.expect("a token");
    world.act(json!({"act": "user_receive", "token": token}));
    world.act(json!({"act": "user_receive", "stock_bundle_id": bundle.stock, "openid": "d"}));
    let events = world.sandbox.events();
    assert!(events[2..].iter().all(|event| event.payload["stock_bundle_id"] == json!(bundle.stock)));
    assert_eq!(events.len(), 4);
    // What is misspelt is not passed over.
    let request = with(bundle.bundle_ids(), json!({"page_size": 1}));
    let in_bundle = hand.done("list_stocks", request).await["stock_list"][0]["stock_id"].take();
    for (named, said) in [
        (json!({"token": "typo", "stock_id": offer.stock}), "no gift waits under this \"token\""),
        (json!({"stock_bundle_id": "typo", "stock_id": offer.stock}), "there is no stock_bundle \"typo\""),
        (json!({"stock_bundle_id": "typo"}), "there is no stock_bundle \"typo\""),
        (json!({"stock_id": in_bundle}), "name the bundle in \"stock_bundle_id\""),
    ] {
        let action = with(json!({"act": "user_receive", "openid": "e"}), named);
        let refused = world.sandbox.act(&action).expect_err("nothing is given");
        assert!(refused.contains(said), "{action}: {refused}");
    }
    assert_eq!(world.sandbox.events().len(), 4);
    let unknown = world.sandbox.act(&json!({"act": "user_delete", "stock_id": offer.stock, "coupon_code": "no"}));
    assert!(unknown.unwrap_err().contains("coupon_code"));

    let list = async |changes: Value| {
        let request = json!({"brand_id": BRAND, "openid": USER, "appid": APP});
        hand.call("list_user_coupons", with(request, changes)).await
    };
    let total = async |changes: Value| list(changes).await.expect("a list")["total_count"].take();
    assert_eq!(total(json!({})).await, 2);
    assert_eq!(total(json!({"stock_id": offer.stock})).await, 1);
    assert_eq!(total(json!({"product_coupon_id": bundle.product})).await, 1);
    assert_eq!(total(json!({"coupon_state": "USED"})).await, 0);
    let page = list(json!({"page_size": 1})).await.expect("a page");
    assert_eq!(
        page["user_coupon_list"][0]["product_coupon"]["product_coupon_id"],
        json!(bundle.product),
        "newest first"
    );
    let last = list(json!({"page_size": 1, "page_token": page["next_page_token"]})).await.expect("a page");
    assert!(last.get("next_page_token").is_none());
    assert_eq!(list(json!({"page_token": "nobody"})).await, refusal(400, "PARAM_ERROR", Guess));
}

#[tokio::test]
async fn nobody_reaches_what_another_has_created() {
    let world = Rehearsal::start().await;
    let hand = Hand::of(&world, 0).await;
    let offer = hand.create(&[("/stock/store_scope", json!("SPECIFIC"))]).await;
    let bundle = hand.create_bundle(&[]).await;
    let code = hand.give(&offer).await;
    let (number, why) = (json!({"out_request_no": fresh()}), json!({"deactivate_reason": "x"}));
    let product = json!({"brand_id": BRAND, "product_coupon_id": offer.product});
    let gift = json!({"openid": USER, "appid": APP, "send_request_no": fresh()});
    let stores = json!({"store_list": [{"store_id": "1"}]});
    let budget = json!({"update_mode": "MAX_COUNT", "current_max_count": 1, "target_max_count": 2});
    let look = json!({"name": "新名字", "image_url": "https://a/1", "background_url": "https://a/2"});
    let end = with(number.clone(), why.clone());
    let (mut calls, ids, of_bundle) = (Vec::new(), offer.ids(), bundle.bundle_ids());
    for (operation, request) in [
        ("get_product_coupon", product.clone()),
        ("update_product_coupon", with(with(product.clone(), number.clone()), json!({"display_info": look}))),
        ("deactivate_product_coupon", with(product.clone(), end.clone())),
        ("list_stocks", product.clone()),
        ("create_stock", with(with(product.clone(), number.clone()), json!({"stock": new_stock(&[])}))),
        ("get_stock", ids.clone()),
        ("update_stock", with(ids.clone(), number.clone())),
        ("deactivate_stock", with(ids.clone(), end.clone())),
        ("update_stock_budget", with(with(ids.clone(), number.clone()), budget.clone())),
        ("associate_stores", with(ids.clone(), stores.clone())),
        ("disassociate_stores", with(ids.clone(), stores.clone())),
        ("list_associated_stores", ids.clone()),
        ("upload_coupon_codes", with(with(ids.clone(), number.clone()), json!({"code_list": ["A"]}))),
        ("send_coupon", with(ids.clone(), gift.clone())),
        ("pre_send_coupon", with(ids.clone(), gift.clone())),
        ("update_stock_bundle", with(of_bundle.clone(), number.clone())),
        ("update_stock_bundle_budget", with(with(of_bundle.clone(), number.clone()), budget)),
        ("associate_bundle_stores", with(of_bundle.clone(), stores.clone())),
        ("disassociate_bundle_stores", with(of_bundle.clone(), stores)),
        ("send_coupon_bundle", with(of_bundle.clone(), gift.clone())),
        ("pre_send_coupon_bundle", with(of_bundle, gift)),
        ("get_user_coupon", with(ids.clone(), json!({"openid": USER, "appid": APP, "coupon_code": code}))),
    ] {
        calls.push((operation, request));
    }
    for operation in ["confirm_coupon", "use_coupon", "return_coupon", "deactivate_coupon"] {
        calls.push((operation, hand.request(operation, &offer, &code)));
    }
    // Another partner of the same brand, and the brand itself.
    for stranger in [1, AS_BRAND] {
        let stranger = Hand::of(&world, stranger).await;
        for (operation, request) in &calls {
            let found = stranger.call(operation, request.clone()).await;
            assert_eq!(found, refusal(404, "RESOURCE_NOT_EXISTS", Guess), "{operation}");
        }
        let listed = json!({"brand_id": BRAND, "openid": USER, "appid": APP});
        assert_eq!(stranger.done("list_user_coupons", listed).await["total_count"], 0);
    }
    world.settings(json!({"product_coupon_unauthorised_brands": [BRAND]}));
    for (operation, request) in &calls {
        assert_eq!(hand.call(operation, request.clone()).await, refusal(403, "NO_AUTH", Documented), "{operation}");
    }
    world.settings(json!({"product_coupon_unauthorised_brands": [], "product_coupon_unbound_appids": [APP]}));
    for (operation, request) in calls.iter().filter(|(_, request)| request.get("appid").is_some()) {
        assert_eq!(hand.call(operation, request.clone()).await, broken(), "{operation}");
    }
    for request in [single(&[]), several(&[])] {
        assert_eq!(hand.call("create_product_coupon", request).await, broken(), "notify_appid");
    }
    world.settings(json!({"product_coupon_unbound_appids": []}));
    // Another user has no such coupon.
    let mut request = hand.request("use_coupon", &offer, &code);
    request["openid"] = json!("another");
    assert_eq!(hand.call("use_coupon", request).await, refusal(404, "RESOURCE_NOT_EXISTS", Guess));
}

#[tokio::test]
async fn pictures_are_uploaded_and_made() {
    let world = Rehearsal::start().await;
    for caller in [0, AS_BRAND] {
        let hand = Hand::of(&world, caller).await;
        let picture = b"\xff\xd8\xff no picture";
        let digest: String = Sha256::digest(picture).iter().map(|byte| format!("{byte:02x}")).collect();
        let upload = |name: &str| UploadImage::builder().filename(name).sha256(digest.as_str()).build();
        let client = world.client_of(caller);
        let answer = client.upload(&upload("a.PNG"), File { name: "a.png", bytes: picture }).await.expect("uploaded");
        assert!(answer.value.image_url.contains(&digest));
        let refused = client.upload(&upload("a.gif"), File { name: "a.gif", bytes: picture }).await;
        assert!(matches!(refused, Err(Error::Api(refusal)) if refusal.status == 400));

        let (before, task_id) = (world.sandbox.events().len(), fresh());
        let task = json!({
            "brand_id": BRAND, "task_id": task_id, "image_generation_type": "CUT_OUT",
            "cut_out": {"image_url": "https://a/1"}
        });
        assert_eq!(hand.done("create_image_task", task).await["task_id"], json!(task_id));
        let read = |kind: &str| json!({"brand_id": BRAND, "task_id": task_id, "image_generation_type": kind});
        let made = hand.done("get_image_task", read("CUT_OUT")).await;
        assert_eq!(made["task_state"], "SUCCESS");
        let other = hand.call("get_image_task", read("COMBINE_IMAGE")).await;
        assert_eq!(other, refusal(404, "RESOURCE_NOT_EXISTS", Guess));
        let event = world.sandbox.events()[before].clone();
        let told: ImageGeneration = serde_json::from_value(event.payload).expect("it is read");
        assert_eq!(told.task_id, task_id);
        assert_eq!(
            told.cut_out_result.map(|made| made.image_url),
            made["cut_out_result"]["image_url"].as_str().map(str::to_owned)
        );
    }
}

/// The items of a list, each as what tells it from the others, and how many requests asked for them.
async fn all<L: List, F: Fn(L::Item) -> String>(hand: &Hand<'_>, list: L, id: F) -> (Vec<String>, usize) {
    let before = hand.world.sandbox.requests().len();
    let mut items = hand.world.client_of(hand.caller).items(list);
    let mut found = Vec::new();
    while let Some(item) = items.next().await {
        found.push(id(item.expect("an item")));
    }
    (found, hand.world.sandbox.requests().len() - before)
}

#[tokio::test]
async fn lists_by_token_show_each_item_once() {
    let world = Rehearsal::start().await;
    for caller in [0, AS_BRAND] {
        let hand = Hand::of(&world, caller).await;
        let bundle = hand.create_bundle(&[]).await;
        let mut list = ListStocks::builder().product_coupon_id(&*bundle.product).brand_id(BRAND).page_size(2).build();
        let (mut stocks, pages) = all(&hand, list.clone(), |stock| stock.stock_id.as_str().to_owned()).await;
        stocks.sort();
        stocks.dedup();
        assert_eq!((stocks.len(), pages), (3, 2));
        list.page_size = Some(3);
        let (same, pages) = all(&hand, list, |stock| stock.stock_id.as_str().to_owned()).await;
        assert_eq!((same.len(), pages), (3, 1), "a full page that is the last names no next one");

        let offer = hand.create(&[("/stock/store_scope", json!("SPECIFIC"))]).await;
        let mut stores: Vec<_> = (100..145).map(|store| store.to_string()).collect();
        let request: Vec<_> = stores.iter().map(|store| json!({"store_id": store})).collect();
        hand.done("associate_stores", with(offer.ids(), json!({"store_list": request}))).await;
        let list = ListAssociatedStores::builder().product_coupon_id(&*offer.product).brand_id(BRAND);
        let (mut found, pages) = all(&hand, list.stock_id(&*offer.stock).build(), |store| store.store_id).await;
        found.sort();
        stores.sort();
        assert_eq!((found, pages), (stores, 3), "twenty on a page where the request says nothing");

        let mut codes = Vec::new();
        for _ in 0..5 {
            codes.push(hand.send(&offer).await);
        }
        let list = json!({"brand_id": BRAND, "openid": USER, "appid": APP, "stock_id": offer.stock, "page_size": 2});
        let list = UntypedList::new(ListUserCoupons::SPEC, list).expect("a list");
        let (mut found, pages) = all(&hand, list, |coupon| text(&coupon["coupon_code"])).await;
        found.sort();
        codes.sort();
        assert_eq!((found, pages), (codes, 3));
    }
}
