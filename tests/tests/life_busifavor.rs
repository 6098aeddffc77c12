//! The life of a merchant coupon against the sandbox: each row of what is known about states, by typed client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wechatpay_model::busifavor::{CouponSend, SendCoupon, UploadCouponCodes, UseCoupon};
use wechatpay_sandbox::Basis::{Documented, Guess, Observed};
use wechatpay_tests::rehearsal::{MERCHANTS, Refusal, Rehearsal, number, refusal};
use wechatpay_tests::scene::{APP, USER};
use wechatpay_tests::stocks;
use wechatpay_tests::story::set;

const MODE: &str = "/coupon_code_mode";
const TIME: &str = "/coupon_use_rule/coupon_available_time";

async fn create(world: &Rehearsal, changes: &[(&str, Value)]) -> String {
    let created = world.done("busifavor.create_stock", stocks::merchant(changes)).await;
    created["stock_id"].as_str().expect("an id").to_owned()
}

fn gift(stock: &str, openid: &str) -> Value {
    json!({"stock_id": stock, "openid": openid, "appid": APP, "out_request_no": number()})
}

async fn send_to(world: &Rehearsal, stock: &str, openid: &str) -> Result<String, Refusal> {
    let sent = world.call("busifavor.send_coupon", gift(stock, openid)).await?;
    Ok(sent["send_coupon_result"]["coupon_code"].as_str().expect("a code").to_owned())
}

async fn send(world: &Rehearsal, stock: &str) -> String {
    send_to(world, stock, USER).await.expect("sent")
}

async fn upload(world: &Rehearsal, stock: &str, codes: &[&str]) -> Result<Value, Refusal> {
    let request = json!({"stock_id": stock, "coupon_code_list": codes, "upload_request_no": number()});
    world.call("busifavor.upload_coupon_codes", request).await
}

/// The request of one of the five calls that change a coupon.
fn change(world: &Rehearsal, operation: &str, stock: &str, code: &str) -> Value {
    let mut request = json!({"stock_id": stock, "coupon_code": code});
    let fields = match operation {
        "use_coupon" => {
            let now = wechatpay_tests::road::from_now(&world.sandbox, 0);
            json!({"appid": APP, "use_time": now, "use_request_no": number()})
        }
        "return_coupon" => json!({"return_request_no": number()}),
        "deactivate_coupon" => json!({"deactivate_request_no": number(), "deactivate_reason": "设置错误"}),
        _ => json!({"out_trade_no": "order-1", "out_request_no": number()}),
    };
    request.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    request
}

async fn do_to(world: &Rehearsal, operation: &str, stock: &str, code: &str) -> Result<Value, Refusal> {
    world.call(&format!("busifavor.{operation}"), change(world, operation, stock, code)).await
}

async fn coupon(world: &Rehearsal, code: &str) -> Value {
    world.done("busifavor.get_user_coupon", json!({"openid": USER, "appid": APP, "coupon_code": code})).await
}

async fn stock_state(world: &Rehearsal, stock: &str) -> Value {
    world.done("busifavor.get_stock", json!({"stock_id": stock})).await["stock_state"].take()
}

#[tokio::test]
async fn a_stock_runs_is_paused_and_stops() {
    let world = Rehearsal::with(json!({"busifavor_first_state": "UNAUDIT"})).await;
    let id = create(&world, &[]).await;
    for (act, to, state, sends) in [
        ("", "", "UNAUDIT", false),
        ("audit", "pass", "RUNNING", true),
        ("console", "pause", "PAUSED", false),
        ("console", "restart", "RUNNING", true),
        ("console", "stop", "STOPED", false),
    ] {
        if !act.is_empty() {
            world.act(json!({"act": act, "stock_id": id, "to": to}));
        }
        assert_eq!(stock_state(&world, &id).await, state);
        let sent = send_to(&world, &id, USER).await;
        if sends {
            sent.expect("sent");
        } else {
            assert_eq!(sent, refusal(403, "RULELIMIT", Guess), "{state}");
        }
    }
    world.settings(json!({"busifavor_first_state": "RUNNING"}));
    let id = create(&world, &[]).await;
    assert_eq!(stock_state(&world, &id).await, "RUNNING");
    let code = send(&world, &id).await;
    world.turn_to("2026-12-31T23:59:59+08:00");
    assert_eq!(stock_state(&world, &id).await, "RUNNING");
    world.advance(1);
    assert_eq!(stock_state(&world, &id).await, "STOPED");
    assert_eq!(coupon(&world, &code).await["coupon_state"], "EXPIRED");
    world.settings(json!({"busifavor_send_refusals": "plugin"}));
    assert_eq!(send_to(&world, &id, USER).await, refusal(403, "EXPIRED", Guess));
}

#[tokio::test]
async fn what_a_stock_is_can_be_changed_until_it_ends() {
    let world = Rehearsal::start().await;
    let id =
        create(&world, &[("/subsidy", json!(false)), ("/stock_send_rule/natural_person_limit", json!(false))]).await;
    let update = async |changes: Value| {
        let mut request = changes;
        request["stock_id"] = json!(id);
        request["out_request_no"] = json!(number());
        world.call("busifavor.update_stock", request).await
    };
    let changes = json!({
        "comment": "新备注", "goods_name": "部分商品", "subsidy": true, "stock_name": "活动券",
        "stock_send_rule": {"prevent_api_abuse": true, "natural_person_limit": false},
        "coupon_use_rule": {"use_method": "PAYMENT_CODE"}, "notify_config": {"notify_appid": APP},
        "display_pattern_info": {"description": "到店使用"}
    });
    update(changes).await.expect("204");
    let read = world.done("busifavor.get_stock", json!({"stock_id": id})).await;
    assert_eq!(
        (&read["comment"], &read["goods_name"], &read["subsidy"]),
        (&json!("新备注"), &json!("部分商品"), &json!(true))
    );
    assert_eq!(read["stock_send_rule"]["prevent_api_abuse"], true);
    assert_eq!(read["coupon_use_rule"]["use_method"], "PAYMENT_CODE");
    assert_eq!(read["coupon_use_rule"]["fixed_normal_coupon"]["discount_amount"], 500, "the rest is left alone");
    assert_eq!(read["display_pattern_info"]["description"], "到店使用");

    for fixed in [
        json!({"subsidy": false}),
        json!({"stock_name": "另一个"}),
        json!({"stock_send_rule": {"natural_person_limit": true}}),
        json!({"display_pattern_info": {"merchant_name": "别名"}}),
    ] {
        assert_eq!(update(fixed.clone()).await, refusal(400, "INVALID_REQUEST", Guess), "{fixed}");
    }
    world.settings(json!({"busifavor_refuse_fixed": false}));
    update(json!({"stock_name": "另一个", "comment": "再改"})).await.expect("what is fixed is ignored");
    let read = world.done("busifavor.get_stock", json!({"stock_id": id})).await;
    assert_eq!((&read["stock_name"], &read["comment"]), (&json!("活动券"), &json!("再改")));
    world.settings(json!({"busifavor_unbound_appids": [APP]}));
    world.act(json!({"act": "console", "stock_id": id, "to": "stop"}));
    assert_eq!(update(json!({"comment": "晚了"})).await, refusal(400, "INVALID_REQUEST", Guess));
}

#[tokio::test]
async fn a_budget_changes_from_what_it_is() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[("/stock_send_rule/max_coupons", json!(2))]).await;
    let budget = async |changes: Value| {
        let mut request = changes;
        request["stock_id"] = json!(id);
        request["modify_budget_request_no"] = json!(number());
        world.call("busifavor.update_stock_budget", request).await
    };
    send(&world, &id).await;
    send(&world, &id).await;
    assert_eq!(send_to(&world, &id, USER).await, refusal(403, "NOT_ENOUGH", Guess), "max_coupons is reached");
    let wrong = refusal(400, "INVALID_REQUEST", Guess);
    assert_eq!(budget(json!({"target_max_coupons": 9, "current_max_coupons": 3})).await, wrong);
    assert_eq!(budget(json!({"target_max_coupons": 1, "current_max_coupons": 2})).await, wrong, "two were handed out");
    let changed = budget(json!({"target_max_coupons": 3, "current_max_coupons": 2})).await;
    assert_eq!(changed, Ok(json!({"max_coupons": 3})));
    send(&world, &id).await;

    let changed = budget(json!({"target_max_coupons_by_day": 4, "current_max_coupons_by_day": 0})).await;
    assert_eq!(changed, Ok(json!({"max_coupons": 3, "max_coupons_by_day": 4})));
    assert_eq!(budget(json!({"target_max_coupons_by_day": 2, "current_max_coupons_by_day": 4})).await, wrong);
    world.settings(json!({"busifavor_budget_floor": false}));
    assert!(budget(json!({"target_max_coupons_by_day": 2, "current_max_coupons_by_day": 4})).await.is_ok());
    world.act(json!({"act": "console", "stock_id": id, "to": "stop"}));
    assert_eq!(budget(json!({"target_max_coupons": 9, "current_max_coupons": 3})).await, wrong);
}

#[tokio::test]
async fn a_clock_that_goes_back_is_no_delay() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    world.advance(-60);
    upload(&world, &id, &["A"]).await.expect("no setting delays it");
    world.settings(json!({"busifavor_creating": 5}));
    assert_eq!(upload(&world, &id, &["B"]).await, refusal(400, "STATEMENT_CREATING", Observed));
    world.advance(65);
    upload(&world, &id, &["B"]).await.expect("it is there now");
}

#[tokio::test]
async fn a_code_is_uploaded_given_and_deleted() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    upload(&world, &id, &["A", "B", "C/ 1", "D"]).await.expect("uploaded");
    let list = async |changes: Value| {
        let mut request = changes;
        request["stock_id"] = json!(id);
        world.done("busifavor.list_coupon_codes", request).await
    };
    let names = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|code| code["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!(names(&list(json!({})).await), ["A", "B", "C/ 1", "D"]);
    let page = list(json!({"offset": 1, "limit": 2})).await;
    assert_eq!((names(&page), page["total_count"].as_i64()), (vec!["B".to_owned(), "C/ 1".to_owned()], Some(4)));
    world.settings(json!({"offset_unit": "page"}));
    assert_eq!(names(&list(json!({"offset": 1, "limit": 2})).await), ["C/ 1", "D"]);
    assert!(list(json!({"offset": 9, "limit": 2})).await.get("data").is_none());

    let given = send(&world, &id).await;
    let dispatched = list(json!({"status": "DISPATCHED", "appid": APP})).await;
    assert_eq!((names(&dispatched), &dispatched["data"][0]["openid"]), (vec![given.clone()], &json!(USER)));
    assert!(list(json!({"status": "DISPATCHED"})).await["data"][0].get("openid").is_none(), "no app, no user");
    let read = world.done("busifavor.get_coupon_code", json!({"stock_id": id, "coupon_code": given})).await;
    assert_eq!(read["coupon_information"]["coupon_state"], "SENDED");
    let count = world.done("busifavor.get_stock", json!({"stock_id": id})).await["coupon_code_count"].take();
    assert_eq!(count, json!({"total_count": 4, "available_count": 3}));

    let delete = async |code: &str| {
        let request = json!({"stock_id": id, "coupon_code": code, "delete_request_no": number()});
        world.call("busifavor.delete_coupon_code", request).await
    };
    assert_eq!(delete(&given).await, refusal(400, "INVALID_REQUEST", Guess), "a user has it");
    let free = ["A", "B", "C/ 1", "D"].into_iter().find(|code| *code != given).expect("three are free");
    assert!(delete(free).await.is_ok());
    assert_eq!(delete(free).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    let gone = world.call("busifavor.get_coupon_code", json!({"stock_id": id, "coupon_code": free})).await;
    assert_eq!(gone, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    world.settings(json!({"busifavor_reupload": false}));
    assert_eq!(upload(&world, &id, &[free]).await.expect("sorted")["exist_codes"], json!([free]));
    world.settings(json!({"busifavor_reupload": true}));
    assert_eq!(upload(&world, &id, &[free, &given]).await.expect("sorted")["success_codes"], json!([free]));
    for operation in ["use_coupon", "return_coupon", "deactivate_coupon"] {
        do_to(&world, operation, &id, &given).await.expect(operation);
        assert_eq!(
            names(&list(json!({"status": "DISPATCHED"})).await),
            std::slice::from_ref(&given),
            "never available again"
        );
    }

    for mode in ["WECHATPAY_MODE", "MERCHANT_API"] {
        let other = create(&world, &[(MODE, json!(mode))]).await;
        let no_pool = refusal(400, "INVALID_REQUEST", Documented);
        assert_eq!(upload(&world, &other, &["A"]).await, no_pool);
        assert_eq!(world.call("busifavor.list_coupon_codes", json!({"stock_id": other})).await, no_pool);
        let named = json!({"stock_id": other, "coupon_code": "A"});
        assert_eq!(world.call("busifavor.get_coupon_code", named.clone()).await, no_pool);
        let mut named = named;
        named["delete_request_no"] = json!("1");
        assert_eq!(world.call("busifavor.delete_coupon_code", named).await, no_pool);
    }
    world.settings(json!({"busifavor_creating": 60}));
    let young = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    assert_eq!(upload(&world, &young, &["A"]).await, refusal(400, "STATEMENT_CREATING", Observed));
    world.advance(60);
    world.settings(json!({"busifavor_code_limit": 2}));
    assert!(upload(&world, &young, &["A", "B"]).await.is_ok());
    assert_eq!(upload(&world, &young, &["C"]).await, refusal(400, "INVALID_REQUEST", Documented));
}

#[tokio::test]
async fn a_gift_keeps_to_the_limits_of_its_stock() {
    let world = Rehearsal::start().await;
    let limited = |name: &str, value: Value| (format!("/stock_send_rule/{name}"), value);
    let (per_user, by_day) = (limited("max_coupons_per_user", json!(1)), limited("max_coupons_by_day", json!(2)));
    let person = limited("natural_person_limit", json!(true));

    for (refusals, user, day, natural) in
        [("family", "RULELIMIT", "RULELIMIT", "RULELIMIT"), ("plugin", "MAXQUOTA", "DAYLIMIT", "NATURELIMIT")]
    {
        world.settings(
            json!({"busifavor_send_refusals": refusals, "busifavor_persons": {"a": "person", "b": "person"}}),
        );
        let id = create(&world, &[(&per_user.0, per_user.1.clone())]).await;
        send_to(&world, &id, "a").await.expect("the first");
        assert_eq!(send_to(&world, &id, "a").await, refusal(403, user, Guess));
        send_to(&world, &id, "b").await.expect("without the limit each account is a user of its own");
        let id = create(&world, &[(&per_user.0, per_user.1.clone()), (&person.0, person.1.clone())]).await;
        send_to(&world, &id, "a").await.expect("the first");
        assert_eq!(send_to(&world, &id, "b").await, refusal(403, natural, Guess));
        send_to(&world, &id, "c").await.expect("another person");
        let id = create(&world, &[(&by_day.0, by_day.1.clone())]).await;
        send(&world, &id).await;
        send(&world, &id).await;
        assert_eq!(send_to(&world, &id, USER).await, refusal(403, day, Guess));
        // Ten in the morning: fourteen hours to midnight in China.
        world.advance(14 * 3600 - 1);
        assert_eq!(send_to(&world, &id, USER).await, refusal(403, day, Guess));
        world.advance(1);
        send(&world, &id).await;
        let count = world.done("busifavor.get_stock", json!({"stock_id": id})).await["send_count_information"].take();
        let wanted =
            json!({"total_send_num": 3, "total_send_amount": 1500, "today_send_num": 1, "today_send_amount": 500});
        assert_eq!(count, wanted);
        // The clock goes back to a day that has had its coupons.
        world.turn_to("2026-01-05T10:00:00+08:00");
        assert_eq!(send_to(&world, &id, USER).await, refusal(403, day, Guess));
    }
    // What could never be used is not handed out.
    for (days, gives) in [(3, true), (4, false)] {
        let time = json!({
            "available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-01-08T23:59:59+08:00",
            "wait_days_after_receive": days,
        });
        let id = create(&world, &[(TIME, time)]).await;
        for (refusals, code) in [("family", "RULELIMIT"), ("plugin", "EXPIRED")] {
            world.settings(json!({"busifavor_send_refusals": refusals}));
            let (told, sent) = (world.sandbox.events().len(), send_to(&world, &id, USER).await);
            if gives {
                sent.expect("it can be used on the last day");
            } else {
                assert_eq!(sent, refusal(403, code, Guess));
                assert!(world.last().why.contains("end before it begins"), "{}", world.last().why);
                assert_eq!(world.sandbox.events().len(), told, "nobody is told");
            }
        }
    }
    let empty = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    assert_eq!(send_to(&world, &empty, USER).await, refusal(403, "NOT_ENOUGH", Guess), "the pool is empty");

    let with_code = async |stock: &str, code: &str| {
        let mut request = gift(stock, USER);
        request["coupon_code"] = json!(code);
        world.call("busifavor.send_coupon", request).await
    };
    let chosen = create(&world, &[(MODE, json!("MERCHANT_API"))]).await;
    assert_eq!(send_to(&world, &chosen, USER).await, refusal(400, "PARAM_ERROR", Guess));
    assert!(with_code(&chosen, "MINE").await.is_ok());
    assert_eq!(with_code(&chosen, "MINE").await, refusal(400, "RESOURCE_ALREADY_EXISTS", Guess));
    for mode in ["WECHATPAY_MODE", "MERCHANT_UPLOAD"] {
        let other = create(&world, &[(MODE, json!(mode))]).await;
        assert_eq!(with_code(&other, "MINE").await, refusal(400, "PARAM_ERROR", Guess), "{mode}");
    }
    world.settings(json!({"busifavor_unknown_users": ["nobody"], "busifavor_nested_send": false}));
    let id = create(&world, &[]).await;
    assert_eq!(send_to(&world, &id, "nobody").await, refusal(404, "USER_NOT_EXISTS", Documented));
    assert_eq!(send_to(&world, "4711", USER).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    let flat = world.done("busifavor.send_coupon", gift(&id, USER)).await;
    assert_eq!(flat["coupon_code"].as_str().map(str::len), Some(22), "codes by WeChat Pay have 22 digits");
    world.settings(json!({"busifavor_unbound_appids": [APP]}));
    assert_eq!(send_to(&world, &id, USER).await, refusal(400, "APPID_MCHID_NOT_MATCH", Documented));
}

#[tokio::test]
async fn a_coupon_goes_from_state_to_state_as_known() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[(&format!("{TIME}/available_day_after_receive"), json!(3))]).await;
    let (late, gone) = (refusal(403, "RULELIMIT", Guess), refusal(404, "RESOURCE_NOT_EXISTS", Guess));
    let (unfit, twice) = (refusal(400, "INVALID_REQUEST", Guess), refusal(400, "RESOURCE_ALREADY_EXISTS", Documented));
    let deleted = refusal(404, "RESOURCE_NOT_EXISTS", Documented);
    // State, call, and the next state or the refusal.
    let rows: Vec<(&str, &str, Result<&str, Refusal>)> = vec![
        ("SENDED", "use_coupon", Ok("USED")),
        ("SENDED", "return_coupon", late.clone()),
        ("SENDED", "deactivate_coupon", Ok("DEACTIVATED")),
        ("SENDED", "associate_order", Ok("SENDED")),
        ("SENDED", "disassociate_order", unfit.clone()),
        ("USED", "use_coupon", twice),
        ("USED", "return_coupon", Ok("SENDED")),
        ("USED", "deactivate_coupon", late.clone()),
        ("USED", "associate_order", unfit.clone()),
        ("EXPIRED", "use_coupon", late.clone()),
        ("EXPIRED", "return_coupon", late.clone()),
        ("EXPIRED", "deactivate_coupon", late.clone()),
        ("EXPIRED", "associate_order", unfit.clone()),
        ("DEACTIVATED", "use_coupon", late.clone()),
        ("DEACTIVATED", "return_coupon", late.clone()),
        ("DEACTIVATED", "deactivate_coupon", late),
        ("DEACTIVATED", "associate_order", unfit.clone()),
        ("DELETED", "use_coupon", gone.clone()),
        ("DELETED", "return_coupon", deleted),
        ("DELETED", "deactivate_coupon", gone.clone()),
        ("DELETED", "associate_order", gone),
    ];
    for (state, operation, wanted) in rows {
        world.turn_to("2026-01-05T10:00:00+08:00");
        let code = send(&world, &id).await;
        match state {
            "USED" => drop(do_to(&world, "use_coupon", &id, &code).await.expect("used")),
            "DEACTIVATED" => drop(do_to(&world, "deactivate_coupon", &id, &code).await.expect("deactivated")),
            "DELETED" => drop(world.act(json!({"act": "user_delete", "stock_id": id, "coupon_code": code}))),
            "EXPIRED" => world.advance(3 * 86_400),
            _ => {}
        }
        assert_eq!(coupon(&world, &code).await["coupon_state"], state);
        let found = do_to(&world, operation, &id, &code).await.map(|_| ());
        assert_eq!(found, wanted.clone().map(|_| ()), "{state} {operation}: {}", world.last().why);
        let next = wanted.unwrap_or(state);
        assert_eq!(coupon(&world, &code).await["coupon_state"], next, "{state} {operation}");
    }

    // Returned after its time: EXPIRED, or refused.
    for (setting, returned, state) in [(true, Ok(()), "EXPIRED"), (false, refusal(403, "RULELIMIT", Guess), "USED")] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        world.settings(json!({"busifavor_return_expired": setting}));
        let code = send(&world, &id).await;
        do_to(&world, "use_coupon", &id, &code).await.expect("used");
        world.advance(3 * 86_400);
        assert_eq!(do_to(&world, "return_coupon", &id, &code).await.map(|_| ()), returned);
        assert_eq!(coupon(&world, &code).await["coupon_state"], state);
    }

    // What is shown along the way.
    world.turn_to("2026-01-05T10:00:00+08:00");
    let code = send(&world, &id).await;
    do_to(&world, "associate_order", &id, &code).await.expect("associated");
    assert_eq!(coupon(&world, &code).await["associate_out_trade_no"], "order-1");
    let mut other = change(&world, "disassociate_order", &id, &code);
    other["out_trade_no"] = json!("order-2");
    assert_eq!(world.call("busifavor.disassociate_order", other).await, unfit.map(|never: &str| json!(never)));
    do_to(&world, "disassociate_order", &id, &code).await.expect("disassociated");
    assert!(coupon(&world, &code).await.get("associate_out_trade_no").is_none());
    do_to(&world, "use_coupon", &id, &code).await.expect("used");
    assert!(coupon(&world, &code).await["use_request_no"].is_string());
    do_to(&world, "return_coupon", &id, &code).await.expect("returned");
    let shown = coupon(&world, &code).await;
    assert!(shown.get("use_request_no").is_none() && shown["return_request_no"].is_string());
    do_to(&world, "use_coupon", &id, &code).await.expect("usable again with a new number");
    do_to(&world, "return_coupon", &id, &code).await.expect("returned again");
    do_to(&world, "deactivate_coupon", &id, &code).await.expect("deactivated");
    assert_eq!(coupon(&world, &code).await["deactivate_reason"], "设置错误");

    // The stock may be left out only where WeChat Pay made the code; another holder is refused.
    let code = send(&world, &id).await;
    let mut request = change(&world, "use_coupon", &id, &code);
    request["openid"] = json!("another");
    assert_eq!(world.call("busifavor.use_coupon", request.clone()).await, refusal(404, "USER_NOT_EXISTS", Guess));
    request.as_object_mut().expect("an object").remove("stock_id");
    request["openid"] = json!(USER);
    assert_eq!(world.done("busifavor.use_coupon", request.clone()).await["stock_id"], json!(id));
    let chosen = create(&world, &[(MODE, json!("MERCHANT_API"))]).await;
    let mut with_code = gift(&chosen, USER);
    with_code["coupon_code"] = json!("MINE");
    world.done("busifavor.send_coupon", with_code).await;
    request["coupon_code"] = json!("MINE");
    request["use_request_no"] = json!(number());
    assert_eq!(world.call("busifavor.use_coupon", request.clone()).await, refusal(400, "PARAM_ERROR", Guess));
    request["coupon_code"] = json!("NONE");
    assert_eq!(world.call("busifavor.use_coupon", request).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
}

#[tokio::test]
async fn the_time_of_a_coupon_follows_from_its_receipt() {
    let world = Rehearsal::start().await;
    let (mid_begin, end) = ("2026-02-10T12:00:00+08:00", "2026-02-20T23:59:59+08:00");
    // Rules, receipt, and from when until when it can be used then.
    for (rules, received, starts, expires) in [
        (json!({}), "2026-02-12T10:30:00+08:00", mid_begin, end),
        (
            json!({"available_day_after_receive": 3}),
            "2026-02-12T10:30:00+08:00",
            "2026-02-12T00:00:00+08:00",
            "2026-02-15T00:00:00+08:00",
        ),
        (json!({"available_day_after_receive": 3}), "2026-02-19T10:30:00+08:00", "2026-02-19T00:00:00+08:00", end),
        // Received before the begin: days count from the first valid day.
        (
            json!({"available_day_after_receive": 3}),
            "2026-02-01T10:30:00+08:00",
            mid_begin,
            "2026-02-13T00:00:00+08:00",
        ),
        (
            json!({"available_day_after_receive": 2, "wait_days_after_receive": 1}),
            "2026-02-12T23:59:59+08:00",
            "2026-02-13T00:00:00+08:00",
            "2026-02-15T00:00:00+08:00",
        ),
        (json!({"wait_days_after_receive": 2}), "2026-02-12T10:30:00+08:00", "2026-02-14T00:00:00+08:00", end),
        (
            json!({"available_second_after_receive": 90}),
            "2026-02-12T10:30:00+08:00",
            "2026-02-12T10:30:00+08:00",
            "2026-02-12T10:31:30+08:00",
        ),
    ] {
        world.turn_to("2026-01-31T00:00:00+08:00");
        let mut time = json!({"available_begin_time": mid_begin, "available_end_time": end});
        time.as_object_mut().expect("an object").extend(rules.as_object().expect("an object").clone());
        let id = create(&world, &[(TIME, time)]).await;
        world.turn_to(received);
        let code = send(&world, &id).await;
        let shown = coupon(&world, &code).await;
        let found = (shown["available_start_time"].as_str(), shown["expire_time"].as_str());
        assert_eq!(found, (Some(starts), Some(expires)), "{rules} received {received}");
        assert_eq!(shown["receive_time"], received);
        world.turn_to(expires);
        assert_eq!(coupon(&world, &code).await["coupon_state"], "SENDED", "to the last second");
        world.advance(1);
        assert_eq!(coupon(&world, &code).await["coupon_state"], "EXPIRED");
    }
}

#[tokio::test]
async fn a_coupon_is_used_only_in_its_windows() {
    let world = Rehearsal::start().await;
    let week = json!({"week_day": [1, 0], "available_day_time": [{"begin_time": 3600, "end_time": 7199}]});
    let spans = json!([{"begin_time": "2026-03-01T00:00:00+08:00", "end_time": "2026-03-02T00:00:00+08:00"}]);
    let (week_at, spans_at) = (format!("{TIME}/available_week"), format!("{TIME}/irregulary_avaliable_time"));
    for (at, window, times) in [
        // The fifth of January 2026 is a Monday.
        (
            &week_at,
            week,
            [
                ("2026-01-12T00:59:59+08:00", false),
                ("2026-01-12T01:00:00+08:00", true),
                ("2026-01-12T01:59:59+08:00", true),
                ("2026-01-12T02:00:00+08:00", false),
                ("2026-01-13T01:30:00+08:00", false),
                ("2026-01-11T01:30:00+08:00", true),
            ],
        ),
        (
            &spans_at,
            spans,
            [
                ("2026-02-28T23:59:59+08:00", false),
                ("2026-03-01T00:00:00+08:00", true),
                ("2026-03-02T00:00:00+08:00", true),
                ("2026-03-02T00:00:01+08:00", false),
                ("2026-12-31T23:59:59+08:00", false),
                ("2026-03-01T12:00:00+08:00", true),
            ],
        ),
    ] {
        world.turn_to("2026-01-05T10:00:00+08:00");
        let id = create(&world, &[(at, window)]).await;
        let code = send(&world, &id).await;
        for (time, usable) in times {
            world.turn_to(time);
            let used = do_to(&world, "use_coupon", &id, &code).await.map(|_| ());
            let wanted = if usable { Ok(()) } else { refusal(403, "RULELIMIT", Documented) };
            assert_eq!(used, wanted, "{time}");
            if usable {
                do_to(&world, "return_coupon", &id, &code).await.expect("returned");
            }
        }
    }
    world.turn_to("2026-01-05T10:00:00+08:00");
    let id = create(&world, &[(&format!("{TIME}/wait_days_after_receive"), json!(1))]).await;
    let code = send(&world, &id).await;
    assert_eq!(do_to(&world, "use_coupon", &id, &code).await, refusal(403, "RULELIMIT", Documented), "not yet");
}

#[tokio::test]
async fn coupons_of_a_user_are_listed_newest_first() {
    let world = Rehearsal::start().await;
    let (first, second) =
        (create(&world, &[]).await, create(&world, &[("/belong_merchant", json!(MERCHANTS[1]))]).await);
    let mut codes = Vec::new();
    for stock in [&first, &second, &first] {
        codes.push(send(&world, stock).await);
        world.advance(60);
    }
    do_to(&world, "use_coupon", &first, &codes[0]).await.expect("used");
    world.act(json!({"act": "user_delete", "stock_id": second, "coupon_code": codes[1]}));
    let list = async |merchant: usize, filter: Value| {
        let mut request = filter;
        request["openid"] = json!(USER);
        request["appid"] = json!(APP);
        world.call_as(merchant, "busifavor.list_user_coupons", request).await
    };
    let found = |page: &Value| -> Vec<usize> {
        let data = page["data"].as_array().cloned().unwrap_or_default();
        let place = |item: &Value| codes.iter().position(|code| item["coupon_code"] == json!(code)).expect("known");
        data.iter().map(place).collect()
    };
    let (creator, owner) = (json!({"creator_merchant": MERCHANTS[0]}), json!({"belong_merchant": MERCHANTS[1]}));
    for (merchant, filter, wanted) in [
        (0, creator.clone(), vec![2, 1, 0]),
        (0, json!({"sender_merchant": MERCHANTS[0], "offset": 1, "limit": 2}), vec![0]),
        (0, json!({"creator_merchant": MERCHANTS[0], "stock_id": second}), vec![1]),
        (0, json!({"creator_merchant": MERCHANTS[0], "coupon_state": "USED"}), vec![0]),
        (0, json!({"creator_merchant": MERCHANTS[0], "coupon_state": "DELETED"}), vec![1]),
        (1, owner, vec![1]),
    ] {
        let page = list(merchant, filter.clone()).await.expect("a list");
        assert_eq!(found(&page), wanted, "{filter}");
    }
    let page = list(0, creator.clone()).await.expect("a list");
    assert_eq!((&page["total_count"], &page["limit"], &page["offset"]), (&json!(3), &json!(20), &json!(0)));
    assert_eq!(list(2, creator).await, refusal(403, "NOAUTH", Documented), "the caller is none of those it names");
    world.settings(json!({"offset_unit": "row"}));
    let page = list(0, json!({"sender_merchant": MERCHANTS[0], "offset": 1, "limit": 2})).await.expect("a list");
    assert_eq!(found(&page), [1, 0]);
    let read =
        world.call("busifavor.get_user_coupon", json!({"openid": "b", "appid": APP, "coupon_code": codes[0]})).await;
    assert_eq!(read, refusal(404, "RESOURCE_NOT_EXISTS", Documented), "the coupon of another user");
}

/// Codes are unique in a stock only: each merchant sees the newest that it may see.
#[tokio::test]
async fn one_code_of_two_merchants_is_each_ones_own() {
    let world = Rehearsal::start().await;
    let hand_out = async |merchant: usize, name: &str| {
        let changes = [("/belong_merchant", json!(MERCHANTS[merchant])), (MODE, json!("MERCHANT_UPLOAD"))];
        let request = stocks::merchant(&[("/stock_name", json!(name)), changes[0].clone(), changes[1].clone()]);
        let stock =
            world.call_as(merchant, "busifavor.create_stock", request).await.expect("created")["stock_id"].take();
        let codes = json!({"stock_id": stock, "coupon_code_list": ["A"], "upload_request_no": number()});
        world.call_as(merchant, "busifavor.upload_coupon_codes", codes).await.expect("uploaded");
        let gift = gift(stock.as_str().expect("an id"), USER);
        world.call_as(merchant, "busifavor.send_coupon", gift).await.expect("sent");
        world.advance(1);
    };
    for (merchant, name) in [(0, "first"), (2, "theirs"), (0, "second"), (2, "theirs too")] {
        hand_out(merchant, name).await;
    }
    let request = json!({"openid": USER, "appid": APP, "coupon_code": "A"});
    for (merchant, name) in [(0, Some("second")), (2, Some("theirs too")), (1, None)] {
        let read = world.call_as(merchant, "busifavor.get_user_coupon", request.clone()).await;
        match name {
            Some(name) => assert_eq!(read.expect("its own")["stock_name"], name),
            None => assert_eq!(read, refusal(403, "NOAUTH", Documented)),
        }
    }
}

#[tokio::test]
async fn the_creator_is_told_of_each_gift_once_it_has_set_an_address() {
    let world = Rehearsal::start().await;
    let (plain, named) =
        (create(&world, &[]).await, create(&world, &[("/notify_config", json!({"notify_appid": APP}))]).await);
    send(&world, &plain).await;
    assert_eq!(world.sandbox.events()[0].notify_url, None, "nobody has set an address");
    let unset = world.call("busifavor.get_callback", json!({})).await;
    assert_eq!(unset, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    let set = async |url: &str| world.call("busifavor.set_callback", json!({"notify_url": url})).await;
    assert_eq!(set("http://example.com/events").await, refusal(400, "PARAM_ERROR", Guess));
    assert!(set("http://127.0.0.1:8080/events").await.is_ok(), "events go to the same machine here");
    let url = "https://example.com/events";
    assert_eq!(set(url).await.expect("set")["mchid"], MERCHANTS[0]);
    let read = world.done("busifavor.get_callback", json!({"mchid": MERCHANTS[0]})).await;
    assert_eq!(read, json!({"mchid": MERCHANTS[0], "notify_url": url}));
    let other = world.call_as(1, "busifavor.get_callback", json!({"mchid": MERCHANTS[0]})).await;
    assert_eq!(other, refusal(404, "RESOURCE_NOT_EXISTS", Documented), "only what the caller set itself");
    let unknown = json!({"mchid": "1900000999", "notify_url": url});
    let unknown = world.call("busifavor.set_callback", unknown).await;
    assert_eq!(unknown, refusal(400, "MCH_NOT_EXISTS", Documented));

    let request = gift(&plain, USER);
    world.done("busifavor.send_coupon", request.clone()).await;
    world.done("busifavor.send_coupon", request.clone()).await;
    let events = world.sandbox.events();
    assert_eq!(events.len(), 2, "a repeat is one effect");
    let payload = &events[1].payload;
    assert_eq!((events[1].event_type, events[1].notify_url.as_deref()), ("COUPON.SEND", Some(url)));
    assert_eq!(
        (&payload["attach_info"], &payload["unionid"], &payload["openid"]),
        (&json!(""), &json!(""), &json!(""))
    );
    assert_eq!(payload["send_req_no"], request["out_request_no"]);
    let read: CouponSend = serde_json::from_value(payload.clone()).expect("it is read");
    assert_eq!(read.stock_id.as_str(), plain);

    send(&world, &named).await;
    world.act(json!({"act": "user_receive", "stock_id": plain, "openid": USER, "channel": "JSAPI"}));
    let promise = json!({"stock_id": plain, "appid": APP, "openid": USER, "send_request_no": "p1"});
    let promise = world.done("busifavor.pre_send_product_coupon", promise).await;
    assert_eq!(world.sandbox.events().len(), 4, "nothing is handed out before the user comes");
    world.act(json!({"act": "user_receive", "token": promise["token"]}));
    assert!(world.sandbox.act(&json!({"act": "user_receive", "token": promise["token"]})).is_err(), "once");
    let events = world.sandbox.events();
    assert_eq!(events[2].payload["openid"], USER, "the stock names an app");
    assert_eq!(events[3].payload["send_channel"], "JSAPI");
    assert_eq!(events[4].payload["send_req_no"], "p1");
    world.sandbox.reset();
    assert!(world.sandbox.events().is_empty());
}

#[tokio::test]
async fn a_stranger_may_do_nothing_and_a_partner_hands_out() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[("/belong_merchant", json!(MERCHANTS[1])), (MODE, json!("MERCHANT_UPLOAD"))]).await;
    upload(&world, &id, &["A", "B", "C"]).await.expect("uploaded");
    let code = send(&world, &id).await;
    let mut pool = gift(&id, USER);
    let mut calls = vec![
        ("busifavor.get_stock".to_owned(), json!({"stock_id": id})),
        ("busifavor.list_coupon_codes".to_owned(), json!({"stock_id": id})),
        ("busifavor.send_coupon".to_owned(), pool.clone()),
        ("busifavor.get_user_coupon".to_owned(), json!({"openid": USER, "appid": APP, "coupon_code": code})),
    ];
    for operation in ["associate_order", "disassociate_order", "use_coupon", "return_coupon", "deactivate_coupon"] {
        calls.push((format!("busifavor.{operation}"), change(&world, operation, &id, &code)));
    }
    for (operation, request) in &calls {
        let stranger = world.call_as(2, operation, request.clone()).await;
        assert_eq!(stranger, refusal(403, "NOAUTH", Documented), "{operation}");
    }
    let lent = json!({
        "Idempotency-Key": number(), "partner": {"type": "MERCHANT", "merchant_id": MERCHANTS[2]},
        "authorized_data": {"business_type": "BUSIFAVOR_STOCK", "stock_id": id}
    });
    world.done("partnerships.create_partnership", lent.clone()).await;
    pool["out_request_no"] = json!(number());
    world.call_as(2, "busifavor.send_coupon", pool.clone()).await.expect("a partner hands out");
    let codes = world.call_as(2, "busifavor.list_coupon_codes", json!({"stock_id": id})).await;
    assert_eq!(codes, refusal(403, "NOAUTH", Documented), "the pool is no matter of partners");
    let mut ended = lent;
    ended["Idempotency-Key"] = json!(number());
    world.done("partnerships.terminate_partnership", ended).await;
    pool["out_request_no"] = json!(number());
    assert_eq!(world.call_as(2, "busifavor.send_coupon", pool).await, refusal(403, "NOAUTH", Documented));
    for (operation, request) in &calls[4..] {
        let owner = world.call_as(1, operation, request.clone()).await;
        owner.unwrap_or_else(|refusal| panic!("{operation}: {refusal:?}"));
    }
}

#[tokio::test]
async fn each_write_has_one_effect_for_each_number() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[]).await;
    let pool = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    upload(&world, &pool, &["A", "B"]).await.expect("uploaded");
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(send(&world, &id).await);
    }
    do_to(&world, "associate_order", &id, &codes[1]).await.expect("associated");
    do_to(&world, "use_coupon", &id, &codes[2]).await.expect("used");
    let product = json!({"stock_id": id, "openid": USER, "appid": APP, "out_request_no": "x", "coupon_type": "NORMAL"});
    let card = json!({
        "card_id": "c", "appid": APP, "openid": USER, "out_request_no": "x", "send_time": "2026-01-05T09:00:00+08:00"
    });
    let subsidy = json!({
        "stock_id": id, "coupon_code": codes[2], "transaction_id": "4200000913202101152566792388",
        "payer_merchant": MERCHANTS[0], "payee_merchant": MERCHANTS[0], "amount": 100, "description": "x",
        "out_subsidy_no": "x"
    });
    let mut back = subsidy.clone();
    back.as_object_mut().expect("an object").remove("out_subsidy_no");
    back["out_subsidy_return_no"] = json!("x");
    back["refund_id"] = json!("50100506732021010105138718375");
    let mut refund = subsidy.clone();
    refund["out_subsidy_no"] = json!("y");
    let upload = json!({"stock_id": pool, "coupon_code_list": ["C"], "upload_request_no": "x"});
    // Call, request, and another value that the number then refuses.
    let writes = [
        ("create_stock", stocks::merchant(&[]), "/comment", json!("x")),
        ("update_stock", json!({"stock_id": id, "comment": "x", "out_request_no": "x"}), "/comment", json!("y")),
        (
            "update_stock_budget",
            json!({"stock_id": id, "target_max_coupons": 2000, "current_max_coupons": 1000, "modify_budget_request_no": "x"}),
            "/target_max_coupons",
            json!(3000),
        ),
        ("upload_coupon_codes", upload, "/coupon_code_list", json!(["D"])),
        (
            "delete_coupon_code",
            json!({"stock_id": pool, "coupon_code": "A", "delete_request_no": "x"}),
            "/coupon_code",
            json!("B"),
        ),
        ("send_coupon", gift(&id, USER), "/appid", json!("wx2")),
        ("send_product_coupon", product, "/openid", json!("b")),
        ("send_card", card, "/openid", json!("b")),
        (
            "pre_send_product_coupon",
            json!({"stock_id": id, "appid": APP, "send_request_no": "x"}),
            "/openid",
            json!("b"),
        ),
        ("associate_order", change(&world, "associate_order", &id, &codes[0]), "/out_trade_no", json!("y")),
        ("disassociate_order", change(&world, "disassociate_order", &id, &codes[1]), "/out_trade_no", json!("y")),
        ("create_subsidy_payment", subsidy, "/amount", json!(200)),
        ("create_subsidy_return", back, "/amount", json!(50)),
        ("return_coupon", change(&world, "return_coupon", &id, &codes[2]), "/coupon_code", json!(codes[0])),
        ("use_coupon", change(&world, "use_coupon", &id, &codes[0]), "/coupon_code", json!(codes[1])),
        ("deactivate_coupon", change(&world, "deactivate_coupon", &id, &codes[3]), "/deactivate_reason", json!("y")),
    ];
    let documented = ["associate_order", "disassociate_order", "create_subsidy_payment", "create_subsidy_return"];
    for (operation, request, place, other) in writes {
        let id = format!("busifavor.{operation}");
        let first = world.done(&id, request.clone()).await;
        let before = world.sandbox.ledger();
        world.advance(1);
        assert_eq!(world.done(&id, request.clone()).await, first, "{operation}: the first answer again");
        let basis = if documented.contains(&operation) { Documented } else { Guess };
        assert_eq!(world.last().basis, basis, "{operation}");
        let mut changed = request.clone();
        set(&mut changed, place, other);
        let reused = world.call(&id, changed).await;
        assert_eq!(reused, refusal(400, "RESOURCE_ALREADY_EXISTS", Guess), "{operation}: {}", world.last().why);
        assert_eq!(world.sandbox.ledger(), before, "{operation}: one effect");
        let once = before.request_numbers.iter().filter(|n| n.operation == id && n.effects != 1).count();
        assert_eq!(once, 0, "{operation}");
        // Creations have a setting of their own.
        if operation != "create_stock" {
            world.settings(json!({"guessed_repeat": "already_exists"}));
            let repeated = world.call(&id, request).await;
            if documented.contains(&operation) {
                assert_eq!(repeated, Ok(first), "{operation}: documented");
            } else {
                assert_eq!(repeated, refusal(400, "RESOURCE_ALREADY_EXISTS", Guess), "{operation}");
            }
            world.settings(json!({"guessed_repeat": "first_answer"}));
        }
    }
    // The same number for another user is another gift.
    let mut request = gift(&id, USER);
    world.done("busifavor.send_coupon", request.clone()).await;
    request["openid"] = json!("another");
    world.done("busifavor.send_coupon", request).await;
}

#[tokio::test]
async fn a_used_coupon_is_subsidised_and_paid_back() {
    let world = Rehearsal::start().await;
    let used = async |changes: &[(&str, Value)]| {
        let id = create(&world, changes).await;
        let code = send(&world, &id).await;
        let mut request = change(&world, "use_coupon", &id, &code);
        request["transaction_id"] = json!("4200000913202101152566792388");
        world.done("busifavor.use_coupon", request).await;
        (id, code)
    };
    let subsidy = |id: &str, code: &str, changes: Value| {
        let mut request = json!({
            "stock_id": id, "coupon_code": code, "transaction_id": "4200000913202101152566792388",
            "payer_merchant": MERCHANTS[0], "payee_merchant": MERCHANTS[1], "amount": 300, "description": "补差",
            "out_subsidy_no": number()
        });
        request.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        request
    };
    let pay = async |request: Value| world.call("busifavor.create_subsidy_payment", request).await;
    let give_back = async |paid: &Value, amount: i64| {
        let mut request = json!({"out_subsidy_return_no": number(), "amount": amount, "description": "退款"});
        for name in ["stock_id", "coupon_code", "transaction_id", "payer_merchant", "payee_merchant"] {
            request[name] = paid[name].clone();
        }
        request["refund_id"] = json!("50100506732021010105138718375");
        world.call("busifavor.create_subsidy_return", request).await
    };
    let (id, code) = used(&[]).await;
    let unfit = || refusal::<Value>(400, "INVALID_REQUEST", Guess);
    for (changes, wanted) in [
        (json!({"amount": 501}), unfit()),
        (json!({"payer_merchant": MERCHANTS[1]}), unfit()),
        (json!({"transaction_id": "4200000913202101152566792389"}), unfit()),
        (json!({"payee_merchant": "1900000999"}), refusal(400, "MCH_NOT_EXISTS", Documented)),
        (json!({"coupon_code": "none"}), refusal(404, "RESOURCE_NOT_EXISTS", Documented)),
        (json!({"stock_id": "4711"}), refusal(404, "RESOURCE_NOT_EXISTS", Documented)),
    ] {
        assert_eq!(pay(subsidy(&id, &code, changes.clone())).await, wanted, "{changes}");
    }
    let sent = send(&world, &id).await;
    assert_eq!(pay(subsidy(&id, &sent, json!({}))).await, refusal(403, "RULELIMIT", Guess), "not used yet");
    let (other, unsubsidised) = used(&[("/subsidy", json!(false))]).await;
    assert_eq!(pay(subsidy(&other, &unsubsidised, json!({}))).await, unfit());
    let exchange = json!({"exchange_price": 1, "transaction_minimum": 1});
    let (other, exchanged) = used(&[
        ("/stock_type", json!("EXCHANGE")),
        ("/coupon_use_rule/fixed_normal_coupon", Value::Null),
        ("/coupon_use_rule/exchange_coupon", exchange),
    ])
    .await;
    assert_eq!(pay(subsidy(&other, &exchanged, json!({}))).await, unfit());

    // Accepted, then done; accepted, then failed.
    world.settings(json!({"busifavor_subsidy_delay": 60}));
    let paid = pay(subsidy(&id, &code, json!({}))).await.expect("accepted");
    assert_eq!((&paid["status"], paid.get("subsidy_receipt_id")), (&json!("PAY_RECEIPT_ACCEPTED"), None));
    let listed = async || {
        let request = json!({"stock_id": id, "coupon_code": code, "out_subsidy_no": paid["out_subsidy_no"]});
        world.done("busifavor.list_subsidy_payments", request).await["pay_receipt_list"][0].take()
    };
    assert_eq!(listed().await["status"], "PAY_RECEIPT_ACCEPTED");
    world.advance(60);
    let receipt = listed().await["subsidy_receipt_id"].take();
    let get = async || world.done("busifavor.get_subsidy_payment", json!({"subsidy_receipt_id": receipt})).await;
    assert_eq!(get().await["status"], "PAY_RECEIPT_SUCCESS");

    let returned = give_back(&paid, 100).await.expect("accepted");
    assert_eq!((&returned["status"], &returned["subsidy_receipt_id"]), (&json!("RETURN_RECEIPT_ACCEPTED"), &receipt));
    assert_eq!(get().await["status"], "PAY_RECEIPT_RETURNING");
    world.advance(60);
    assert_eq!(get().await["status"], "PAY_RECEIPT_PARTIAL_RETURN");
    assert_eq!(give_back(&paid, 201).await, unfit(), "more than was paid");
    world.settings(json!({"busifavor_subsidy_delay": 0, "busifavor_subsidy_failure": "INSUFFICIENT_BALANCE"}));
    let failed = give_back(&paid, 200).await.expect("answered");
    assert_eq!(
        (&failed["status"], &failed["fail_reason"]),
        (&json!("RETURN_RECEIPT_FAIL"), &json!("RETURN_RECEIPT_INSUFFICIENT_BALANCE"))
    );
    let failed = pay(subsidy(&id, &code, json!({"amount": 1}))).await.expect("answered");
    assert_eq!(failed["fail_reason"], "PAY_RECEIPT_INSUFFICIENT_BALANCE");
    world.settings(json!({"busifavor_subsidy_failure": null}));
    let done = give_back(&paid, 200).await.expect("done");
    let read = json!({"subsidy_return_receipt_id": done["subsidy_return_receipt_id"]});
    assert_eq!(world.done("busifavor.get_subsidy_return", read).await, done);
    assert_eq!(get().await["status"], "PAY_RECEIPT_FULL_RETURN");
    assert_eq!(give_back(&paid, 1).await, unfit());
    let over = pay(subsidy(&id, &code, json!({"amount": 201}))).await.expect("answered");
    assert_eq!(over["fail_reason"], "PAY_RECEIPT_EXCEED_SUBSIDY_AMOUNT_QUOTA", "300 and 201 are more than 500");
    let mut other_order = paid.clone();
    other_order["transaction_id"] = json!("4200000913202101152566792389");
    assert_eq!(give_back(&other_order, 1).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    let stranger = json!({"subsidy_receipt_id": receipt});
    let stranger = world.call_as(2, "busifavor.get_subsidy_payment", stranger).await;
    assert_eq!(stranger, refusal(403, "NOAUTH", Documented));
}

/// A campaign with the merchant's own codes, and the books at its end.
#[tokio::test]
async fn a_thousand_codes_are_uploaded_sent_used_returned_and_accounted_for() {
    let world = Rehearsal::start().await;
    let id = create(&world, &[(MODE, json!("MERCHANT_UPLOAD"))]).await;
    let all: Vec<String> = (0..1000).map(|code| format!("CODE-{code:04}")).collect();
    for (batch, codes) in all.chunks(200).enumerate() {
        let upload = UploadCouponCodes::builder()
            .stock_id(id.as_str())
            .coupon_code_list(codes.iter().map(|code| code.as_str().into()).collect::<Vec<_>>())
            .upload_request_no(format!("upload-{batch}"))
            .build();
        assert_eq!(world.client.send(&upload).await.expect("uploaded").value.success_count, 200);
    }
    let mut sent = Vec::new();
    for user in 0..600 {
        let gift = SendCoupon::builder()
            .stock_id(id.as_str())
            .openid(format!("user-{}", user % 60))
            .appid(APP)
            .out_request_no(format!("gift-{user}"))
            .build();
        let given = world.client.send(&gift).await.expect("sent").value;
        sent.push(given.send_coupon_result.expect("nested").coupon_code.expect("a code").as_str().to_owned());
    }
    let distinct: BTreeSet<_> = sent.iter().cloned().collect();
    assert_eq!(distinct.len(), 600, "no code is dispatched twice");
    assert!(distinct.iter().all(|code| all.contains(code)));
    assert_ne!(sent, all[..600], "they come in no order of ours");

    let mut wanted: BTreeMap<String, &str> = sent.iter().map(|code| (code.clone(), "SENDED")).collect();
    for (index, code) in sent[..400].iter().enumerate() {
        let usage = UseCoupon::builder()
            .stock_id(id.as_str())
            .coupon_code(code.as_str())
            .appid(APP)
            .use_time("2026-01-05T10:00:00+08:00")
            .use_request_no(format!("use-{index}"))
            .build();
        world.client.send(&usage).await.expect("used");
        wanted.insert(code.clone(), "USED");
    }
    for code in &sent[..50] {
        do_to(&world, "return_coupon", &id, code).await.expect("returned");
        wanted.insert(code.clone(), "SENDED");
    }
    for code in &sent[400..420] {
        do_to(&world, "deactivate_coupon", &id, code).await.expect("deactivated");
        wanted.insert(code.clone(), "DEACTIVATED");
    }
    let unsent: Vec<_> = all.iter().filter(|code| !distinct.contains(*code)).collect();
    for code in &unsent[..10] {
        let request = json!({"stock_id": id, "coupon_code": code, "delete_request_no": number()});
        world.done("busifavor.delete_coupon_code", request).await;
    }

    let ledger = world.sandbox.ledger();
    let mut coupons: Vec<_> = ledger.coupons.iter().map(|c| (c.coupon_id.clone(), c.status, c.count)).collect();
    coupons.sort();
    let expected: Vec<_> = wanted.into_iter().map(|(code, status)| (code, status, 1)).collect();
    assert_eq!(coupons, expected);
    let mut codes: Vec<_> = ledger.coupon_codes.iter().map(|c| (c.code.clone(), c.count)).collect();
    codes.sort();
    let kept: Vec<_> = all.iter().filter(|code| !unsent[..10].contains(code)).map(|code| (code.clone(), 1)).collect();
    assert_eq!(codes, kept);
    let mut numbers = BTreeMap::new();
    for entry in &ledger.request_numbers {
        assert_eq!((entry.effects, entry.mchid.as_str()), (1, MERCHANTS[0]));
        *numbers.entry(entry.operation).or_insert(0) += 1;
    }
    let expected = [
        ("busifavor.create_stock", 1),
        ("busifavor.deactivate_coupon", 20),
        ("busifavor.delete_coupon_code", 10),
        ("busifavor.return_coupon", 50),
        ("busifavor.send_coupon", 600),
        ("busifavor.upload_coupon_codes", 5),
        ("busifavor.use_coupon", 400),
    ];
    assert_eq!(numbers, BTreeMap::from(expected));
    let stock = world.done("busifavor.get_stock", json!({"stock_id": id})).await;
    assert_eq!(stock["coupon_code_count"], json!({"total_count": 990, "available_count": 390}));
    assert_eq!(stock["send_count_information"], json!({"total_send_num": 600, "total_send_amount": 300_000}));
}
