//! Gift activities and partnerships against the sandbox, from creation to end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::{Value, json};
use wechatpay_model::types::Timestamp;
use wechatpay_sandbox::Basis::{Documented, Guess};
use wechatpay_tests::rehearsal::{MERCHANTS, Rehearsal, number, refusal};
use wechatpay_tests::story::{Example, set};

/// A stock of merchant coupons of the first merchant.
async fn stock(world: &Rehearsal) -> String {
    let mut request = Example::named("busifavor.create_stock", "with uploaded codes").request();
    set(&mut request, "/belong_merchant", json!(MERCHANTS[0]));
    set(&mut request, "/out_request_no", json!(number()));
    world.done("busifavor.create_stock", request).await["stock_id"].as_str().expect("an id").to_owned()
}

/// A request for an activity from the first of February to the end of April 2026.
fn activity(stock: &str, changes: &[(&str, Value)]) -> Value {
    let mut request = Example::named("paygiftactivity.create_activity", "one coupon").request();
    set(&mut request, "/award_send_rule/award_list/0/stock_id", json!(stock));
    set(&mut request, "/activity_base_info/out_request_no", json!(number()));
    for (place, value) in changes {
        set(&mut request, place, value.clone());
    }
    request
}

#[tokio::test]
async fn an_activity_lives_by_the_clock_until_it_is_ended() {
    let world = Rehearsal::start().await;
    let stock = stock(&world).await;
    let color = ("/activity_base_info/background_color", json!("COLOR020"));
    let request = activity(&stock, &[color]);
    let created = world.done("paygiftactivity.create_activity", request.clone()).await;
    assert_eq!(world.done("paygiftactivity.create_activity", request.clone()).await, created, "one effect");
    let id = created["activity_id"].clone();
    let read = async || world.done("paygiftactivity.get_activity", json!({"activity_id": id})).await;
    let state = async || read().await["activity_status"].take();
    assert_eq!(read().await["activity_base_info"]["background_color"], "Color020");
    assert_eq!(read().await["award_send_rule"]["full_send_rule"]["award_list"][0]["stock_id"], json!(stock));
    assert_eq!(state().await, "CREATE_ACT_STATUS");
    world.turn_to("2026-02-01T00:00:00+08:00");
    assert_eq!(state().await, "ONGOING_ACT_STATUS");
    world.act(json!({"act": "console", "activity_id": id, "to": "pause"}));
    assert_eq!(state().await, "STOP_ACT_STATUS");
    assert!(world.sandbox.act(&json!({"act": "console", "activity_id": id, "to": "pause"})).is_err());
    world.act(json!({"act": "console", "activity_id": id, "to": "restart"}));
    assert_eq!(read().await["recovery_time"], "2026-02-01T00:00:00+08:00");
    let ended = world.done("paygiftactivity.terminate_activity", json!({"activity_id": id})).await;
    assert_eq!(state().await, "TERMINATE_ACT_STATUS");
    world.advance(60);
    assert_eq!(world.done("paygiftactivity.terminate_activity", json!({"activity_id": id})).await, ended);
    assert_eq!(world.last().basis, Guess);

    let second = world.done("paygiftactivity.create_activity", activity(&stock, &[])).await;
    world.turn_to("2026-05-01T00:00:00+08:00");
    let read = world.done("paygiftactivity.get_activity", json!({"activity_id": second["activity_id"]})).await;
    assert_eq!(read["activity_status"], "OVER_TIME_ACT_STATUS");
}

#[tokio::test]
async fn activities_are_refused_as_documented_and_listed() {
    let world = Rehearsal::start().await;
    let id = stock(&world).await;
    let create =
        async |changes: &[(&str, Value)]| world.call("paygiftactivity.create_activity", activity(&id, changes)).await;
    let unknown = ("/award_send_rule/merchant_id_list/0", json!("1900000999"));
    assert_eq!(create(&[unknown]).await, refusal(400, "MCH_NOT_EXISTS", Documented));
    let stock_at = "/award_send_rule/award_list/0/stock_id";
    assert_eq!(create(&[(stock_at, json!("4711"))]).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    let package = ("/award_send_rule/send_content", json!("GIFT_PACKAGE"));
    assert_eq!(create(&[package]).await, refusal(400, "INVALID_REQUEST", Guess), "a package has three");
    world.settings(json!({"paygift_check_stocks": false}));
    let first = create(&[(stock_at, json!("4711"))]).await.expect("not looked at");
    let named = ("/activity_base_info/activity_name", json!("春节有礼"));
    let second = create(&[named]).await.expect("created");

    let list = async |filter: Value| {
        let mut request = filter;
        let fields = request.as_object_mut().expect("an object");
        fields.entry("offset").or_insert(json!(0));
        fields.entry("limit").or_insert(json!(10));
        let page = world.done("paygiftactivity.list_activities", request).await;
        let data = page["data"].as_array().cloned().unwrap_or_default();
        data.into_iter().map(|item| item["activity_id"].clone()).collect::<Vec<_>>()
    };
    let (first, second) = (first["activity_id"].clone(), second["activity_id"].clone());
    assert_eq!(list(json!({})).await, [second.clone(), first.clone()]);
    assert_eq!(list(json!({"activity_name": "春节"})).await, std::slice::from_ref(&second));
    assert_eq!(list(json!({"activity_status": "ACT_STATUS_UNKNOWN"})).await.len(), 2);
    assert!(list(json!({"activity_status": "ONGOING_ACT_STATUS"})).await.is_empty());
    assert_eq!(list(json!({"offset": 1, "limit": 1})).await, std::slice::from_ref(&first));

    for operation in ["get_activity", "list_activity_goods", "list_activity_merchants", "terminate_activity"] {
        let operation = format!("paygiftactivity.{operation}");
        let stranger = world.call_as(1, &operation, json!({"activity_id": first})).await;
        assert_eq!(stranger, refusal(403, "NO_AUTH", Documented), "{operation}");
        let missing = world.call(&operation, json!({"activity_id": "1"})).await;
        assert_eq!(missing, refusal(404, "RESOURCE_NOT_EXISTS", Documented), "{operation}");
    }
    let goods = world.done("paygiftactivity.list_activity_goods", json!({"activity_id": first})).await;
    assert_eq!(goods["total_count"], 0);
}

#[tokio::test]
async fn merchants_come_and_go_once_for_each_number() {
    let world = Rehearsal::start().await;
    let stock = stock(&world).await;
    let created = world.done(
        "paygiftactivity.create_activity",
        activity(&stock, &[("/award_send_rule/merchant_id_list", json!([MERCHANTS[0]]))]),
    );
    let id = created.await["activity_id"].clone();
    let merchants = async || {
        let page = world.done("paygiftactivity.list_activity_merchants", json!({"activity_id": id})).await;
        let data = page["data"].as_array().cloned().unwrap_or_default();
        data.into_iter().map(|item| item["mchid"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(merchants().await, [MERCHANTS[0]]);
    let add = json!({
        "activity_id": id, "merchant_id_list": [MERCHANTS[1], MERCHANTS[2], "1900000999"], "add_request_no": "a"
    });
    let added = world.done("paygiftactivity.add_activity_merchants", add.clone()).await;
    assert_eq!(
        added["invalid_merchant_id_list"][0]["mchid"], "1900000999",
        "200 can carry merchants that were refused"
    );
    assert_eq!(merchants().await, MERCHANTS);
    let delete = json!({"activity_id": id, "merchant_id_list": [MERCHANTS[1]], "delete_request_no": "d"});
    world.done("paygiftactivity.delete_activity_merchants", delete.clone()).await;
    assert_eq!(merchants().await, [MERCHANTS[0], MERCHANTS[2]]);
    assert_eq!(world.done("paygiftactivity.add_activity_merchants", add.clone()).await, added);
    assert_eq!(merchants().await, [MERCHANTS[0], MERCHANTS[2]], "a repeat adds nobody");
    for (operation, mut request) in [("add_activity_merchants", add), ("delete_activity_merchants", delete)] {
        let operation = format!("paygiftactivity.{operation}");
        request["merchant_id_list"] = json!([MERCHANTS[0]]);
        let reused = world.call(&operation, request.clone()).await;
        assert_eq!(reused, refusal(400, "RESOURCE_ALREADY_EXISTS", Guess));
        world.turn_to("2026-05-01T00:00:00+08:00");
        for field in ["add_request_no", "delete_request_no"] {
            if request.get(field).is_some() {
                request[field] = json!("late");
            }
        }
        assert_eq!(world.call(&operation, request).await, refusal(400, "INVALID_REQUEST", Guess), "it is over");
    }
}

#[tokio::test]
async fn a_partnership_is_built_listed_and_ended() {
    let world = Rehearsal::start().await;
    let id = stock(&world).await;
    let (app, merchant) =
        (json!({"type": "APPID", "appid": "wx1"}), json!({"type": "MERCHANT", "merchant_id": MERCHANTS[1]}));
    let data = json!({"business_type": "BUSIFAVOR_STOCK", "stock_id": id});
    let request = |partner: &Value, data: &Value| json!({"Idempotency-Key": number(), "partner": partner, "authorized_data": data});
    let build = async |request: Value| world.call("partnerships.create_partnership", request).await;
    let first = request(&app, &data);
    let built = build(first.clone()).await.expect("built");
    assert_eq!((&built["state"], &built["partner"]), (&json!("ESTABLISHED"), &app));
    world.advance(60);
    assert_eq!(build(first.clone()).await.expect("repeated"), built, "one effect");
    let mut reused = first;
    reused["partner"] = merchant.clone();
    assert_eq!(build(reused).await, refusal(400, "RESOURCE_ALREADY_EXISTS", Guess));
    build(request(&merchant, &data)).await.expect("built");
    let foreign = json!({"business_type": "BUSIFAVOR_STOCK", "stock_id": "4711"});
    assert_eq!(build(request(&app, &foreign)).await, refusal(403, "NO_AUTH", Documented));
    let other = world.call_as(1, "partnerships.create_partnership", request(&app, &data)).await;
    assert_eq!(other, refusal(403, "NO_AUTH", Documented));
    world.settings(json!({"partnership_check_stocks": false}));
    let cash = json!({"business_type": "FAVOR_STOCK", "stock_id": "4711"});
    assert_eq!(build(request(&merchant, &cash)).await, refusal(400, "INVALID_REQUEST", Guess));
    build(request(&app, &cash)).await.expect("not looked at");

    let list = async |filter: Value| world.done("partnerships.list_partnerships", filter).await;
    let found = |page: &Value| page["data"].as_array().map_or(0, Vec::len);
    let all = list(json!({})).await;
    assert_eq!((found(&all), &all["total_count"], &all["limit"]), (3, &json!(3), &json!(20)));
    assert!(all["data"][0].get("state").is_none(), "told when it is created only");
    assert_eq!(found(&list(json!({"partner": {"type": "APPID"}})).await), 2);
    assert_eq!(found(&list(json!({"partner": app, "authorized_data": data})).await), 1);
    let second = list(json!({"limit": 2, "offset": 1})).await;
    assert_eq!((found(&second), second.get("total_count")), (1, None), "told on the first page");
    let beyond = list(json!({"limit": 2, "offset": 9})).await;
    assert_eq!((found(&beyond), &beyond["total_count"]), (0, &json!(3)), "and on an empty one");

    let end = async || world.call("partnerships.terminate_partnership", request(&app, &data)).await;
    let ended = end().await.expect("ended");
    assert_eq!(end().await, refusal(400, "INVALID_REQUEST", Guess), "there is none in force");
    let page = list(json!({"partner": app, "authorized_data": data})).await;
    assert_eq!(page["data"][0]["terminate_time"], ended["terminate_time"]);
    build(request(&app, &data)).await.expect("built again");
    assert!(list(json!({"partner": app, "authorized_data": data})).await["data"][0].get("terminate_time").is_none());
}

/// No operation of the three families falls back on the answers of its examples.
#[tokio::test]
async fn every_operation_is_answered_from_state() {
    let world = Rehearsal::start().await;
    let mut counted = 0;
    for spec in wechatpay_model::operations() {
        if !["busifavor", "paygiftactivity", "partnerships"].contains(&spec.family()) {
            continue;
        }
        counted += 1;
        let fits =
            |example: &Example| example.spec.id() == spec.id() && example.violations(&example.request()).is_empty();
        let example = Example::all().find(fits).expect("an accepted example");
        world.sandbox.reset();
        world.turn_to(&time_text(example.now()));
        let _ = world.call(spec.id(), example.request()).await;
        let why = world.last().why;
        assert!(!why.starts_with("no state"), "{}: {why}", spec.id());
    }
    assert_eq!(counted, 26 + 8 + 3);
}

fn time_text(unix: i64) -> String {
    Timestamp::from_unix(unix).expect("a year of four digits").as_str().to_owned()
}
