//! Gifts for payments, and subsidies that are returned after refunds.

use serde_json::{Value, json};
use wechatpay_model::busifavor::CouponSend;
use wechatpay_sandbox::Basis::Guess;
use wechatpay_tests::rehearsal::{MERCHANTS, Rehearsal, number, refusal};
use wechatpay_tests::story::{Example, set};

const APPID: &str = "wx233544546545989";

async fn stock(world: &Rehearsal, edits: &[(&str, Value)]) -> Value {
    let mut stock = Example::named("busifavor.create_stock", "with uploaded codes").request();
    set(&mut stock, "/belong_merchant", json!(MERCHANTS[0]));
    set(&mut stock, "/coupon_code_mode", json!("WECHATPAY_MODE"));
    set(&mut stock, "/out_request_no", json!(number()));
    for (place, value) in edits {
        set(&mut stock, place, value.clone());
    }
    world.done("busifavor.create_stock", stock).await["stock_id"].clone()
}

#[tokio::test]
async fn an_activity_rewards_the_payments_that_it_is_for() {
    let world = Rehearsal::start().await;
    let stock = stock(&world, &[("/stock_send_rule/max_coupons_per_user", json!(1))]).await;
    let mut request = Example::named("paygiftactivity.create_activity", "one coupon").request();
    for (place, value) in [
        ("/award_send_rule/award_list/0/stock_id", stock.clone()),
        ("/award_send_rule/transaction_amount_minimum", json!(1000)),
        ("/award_send_rule/merchant_option", json!("MANUAL_INPUT_MERCHANT")),
        ("/award_send_rule/merchant_id_list", json!([MERCHANTS[1]])),
        ("/activity_base_info/begin_time", json!("2026-01-06T00:00:00+08:00")),
        ("/activity_base_info/end_time", json!("2026-01-10T00:00:00+08:00")),
        (
            "/activity_base_info/available_periods",
            json!({"available_day_time": [{"begin_day_time": "100000", "end_day_time": "115959"}]}),
        ),
        ("/advanced_setting", json!({"goods_tags": ["tea"]})),
    ] {
        set(&mut request, place, value);
    }
    let activity = world.done("paygiftactivity.create_activity", request).await["activity_id"].clone();
    let pay = |changes: Value| {
        let mut action =
            json!({"act": "pay", "mchid": MERCHANTS[1], "openid": "u", "amount": 1000, "goods_tag": "tea"});
        let changes = changes.as_object().expect("an object").clone();
        action.as_object_mut().expect("an object").extend(changes);
        world.act(action)["gifts"].as_array().expect("a list").clone()
    };
    let none = |changes: Value, why: &str| assert!(pay(changes).is_empty(), "{why}");
    none(json!({}), "it has not begun");
    world.turn_to("2026-01-06T09:59:59+08:00");
    none(json!({}), "not at this hour");
    world.turn_to("2026-01-06T12:00:00+08:00");
    none(json!({}), "not at this hour any more");
    world.turn_to("2026-01-06T11:59:59+08:00");
    none(json!({"amount": 999}), "too little");
    none(json!({"mchid": MERCHANTS[0]}), "it does not show the activity");
    none(json!({"goods_tag": "coffee"}), "not for these goods");
    world.act(json!({"act": "console", "activity_id": activity, "to": "pause"}));
    none(json!({}), "it is paused");
    world.act(json!({"act": "console", "activity_id": activity, "to": "restart"}));

    let gifts = pay(json!({"transaction_id": "T1"}));
    assert_eq!((gifts.len(), &gifts[0]["activity_id"], &gifts[0]["stock_id"]), (1, &activity, &stock));
    let event = world.sandbox.events().pop().expect("an event");
    assert_eq!(event.payload["attach_info"], json!({"transaction_id": "T1", "act_code": activity}));
    let read: CouponSend = serde_json::from_value(event.payload.clone()).expect("it is read");
    assert_eq!(read.coupon_code.as_str(), gifts[0]["coupon_code"]);
    assert_eq!(event.payload["send_channel"], "BUSICOUPON_SEND_CHANNEL_PAYGIFT");
    assert_eq!(event.payload["send_merchant"], MERCHANTS[1]);
    let get = json!({"openid": "u", "appid": APPID, "coupon_code": gifts[0]["coupon_code"]});
    assert_eq!(world.done("busifavor.get_user_coupon", get).await["coupon_state"], "SENDED");

    // One payment is rewarded once, whoever is said to have made it; one that got nothing was made as well.
    world.act(json!({"act": "pay", "mchid": MERCHANTS[1], "openid": "v", "amount": 1, "transaction_id": "T2"}));
    for (transaction, openid) in [("T1", "u"), ("T1", "v"), ("T2", "v")] {
        let action = json!({
            "act": "pay", "mchid": MERCHANTS[1], "openid": openid, "amount": 1000, "goods_tag": "tea",
            "transaction_id": transaction
        });
        let refused = world.sandbox.act(&action).expect_err("it is paid already");
        assert!(refused.contains(&format!("transaction {transaction} exists already")), "{refused}");
    }
    let snapshot = world.sandbox.snapshot().expect("it is taken");
    world.sandbox.restore(&snapshot).expect("it is put back");
    let known = json!({"act": "pay", "mchid": MERCHANTS[1], "openid": "v", "amount": 1, "transaction_id": "T2"});
    assert!(world.sandbox.act(&known).is_err(), "a snapshot knows it too");
    let again = pay(json!({}));
    assert!(again[0]["refused"].as_str().expect("why").contains("max_coupons_per_user"), "{again:?}");
    assert_eq!(world.sandbox.events().len(), 1);
    for wrong in [json!({"act": "pay"}), json!({"act": "pay", "mchid": "1", "openid": "u"})] {
        assert!(world.sandbox.act(&wrong).is_err(), "{wrong}");
    }
    world.done("paygiftactivity.terminate_activity", json!({"activity_id": activity})).await;
    none(json!({"openid": "v"}), "it is over");
}

#[tokio::test]
async fn a_subsidy_is_returned_for_a_refund_that_was_made() {
    let world = Rehearsal::with(json!({"busifavor_check_refunds": true})).await;
    let times = json!({
        "available_begin_time": "2026-01-05T10:00:00+08:00", "available_end_time": "2026-01-31T23:59:59+08:00",
    });
    let edits = [("/subsidy", json!(true)), ("/coupon_use_rule/coupon_available_time", times)];
    let stock = stock(&world, &edits).await;
    let gift = json!({"stock_id": stock, "openid": "u", "appid": APPID, "out_request_no": number()});
    let sent = world.done("busifavor.send_coupon", gift).await;
    let code = sent["send_coupon_result"]["coupon_code"].clone();
    let order = "4200000913202101152566792388";
    let used = json!({
        "coupon_code": code, "stock_id": stock, "appid": APPID, "use_request_no": number(), "openid": "u",
        "use_time": "2026-01-05T10:00:00+08:00", "transaction_id": order,
    });
    assert!(world.sandbox.act(&json!({"act": "refund", "transaction_id": order})).is_err(), "nothing is paid yet");
    world.done("busifavor.use_coupon", used).await;
    let mut subsidy = json!({
        "stock_id": stock, "coupon_code": code, "transaction_id": order, "payer_merchant": MERCHANTS[0],
        "payee_merchant": MERCHANTS[1], "amount": 1, "description": "d",
    });
    set(&mut subsidy, "/out_subsidy_no", json!(number()));
    world.done("busifavor.create_subsidy_payment", subsidy.clone()).await;
    set(&mut subsidy, "/out_subsidy_no", Value::Null);
    let give_back = async |refund: &Value| {
        let mut request = subsidy.clone();
        set(&mut request, "/refund_id", refund.clone());
        set(&mut request, "/out_subsidy_return_no", json!(number()));
        world.call("busifavor.create_subsidy_return", request).await
    };
    let invented = json!("50100506732021010105138718375");
    let refused = give_back(&invented).await.expect_err("there is no such refund");
    assert_eq!((refused.0, refused.1.as_str()), (404, "RESOURCE_NOT_EXISTS"));
    assert!(world.last().why.contains("act refund"));
    let refund = world.act(json!({"act": "refund", "transaction_id": order}));
    let done = give_back(&refund["refund_id"]).await.expect("it is given back");
    assert_eq!(done["refund_id"], refund["refund_id"]);
    world.settings(json!({"busifavor_check_refunds": false}));
    let all = refusal::<Value>(400, "INVALID_REQUEST", Guess);
    assert_eq!(give_back(&invented).await, all, "it is looked at no more, and all is given back already");
}
