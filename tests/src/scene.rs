//! What must have happened before an operation can be called as its documents show it, where that is a longer story.

use crate::rehearsal::{BRAND, MERCHANTS, Rehearsal, number};
use crate::road::from_now;
use crate::story::{Example, set};
use serde_json::{Value, json};

/// The user to whom it happens.
pub const USER: &str = "oUser1";
/// The app in which it happens.
pub const APP: &str = "wx1234567889999";
const ORDER: &str = "4200000913202101152566792388";

/// Plays what comes before, and gives the fields to put in place of those that are printed: the ids of what is there now.
///
/// `None` where nothing needs to come before, or the documents' own order of calls suffices.
pub async fn before(world: &Rehearsal, id: &str) -> Option<Value> {
    let fields = match id {
        "busifavor.use_coupon" => {
            let (stock, code) = coupon(world).await;
            json!({"stock_id": stock, "coupon_code": code, "appid": APP, "openid": USER, "use_time": from_now(&world.sandbox, 0)})
        }
        "busifavor.return_coupon" => {
            let (stock, code) = used(world).await;
            json!({"stock_id": stock, "coupon_code": code})
        }
        "busifavor.delete_coupon_code" => {
            let stock = merchant_stock(world, "MERCHANT_UPLOAD").await;
            let upload = json!({"stock_id": stock, "coupon_code_list": ["1212"], "upload_request_no": number()});
            world.done("busifavor.upload_coupon_codes", upload).await;
            json!({"stock_id": stock})
        }
        "busifavor.update_stock_budget" => {
            json!({"stock_id": merchant_stock(world, "WECHATPAY_MODE").await, "current_max_coupons": 1000})
        }
        "busifavor.create_subsidy_payment" => subsidy(world).await,
        "busifavor.get_subsidy_payment" => json!({"subsidy_receipt_id": subsidised(world).await["subsidy_receipt_id"]}),
        "busifavor.create_subsidy_return" => {
            let paid = subsidised(world).await;
            let names = ["stock_id", "coupon_code", "transaction_id", "payer_merchant", "payee_merchant"];
            names.iter().map(|name| ((*name).to_owned(), paid[*name].clone())).collect()
        }
        "busifavor.get_subsidy_return" => {
            let mut fields = Box::pin(before(world, "busifavor.create_subsidy_return")).await?;
            fields["out_subsidy_return_no"] = json!(number());
            let back = call_as_printed(world, "busifavor.create_subsidy_return", fields).await;
            json!({"subsidy_return_receipt_id": back["subsidy_return_receipt_id"]})
        }
        "favor.get_use_flow" | "favor.get_refund_flow" => {
            let stock = settled(world).await;
            world.turn_to("2026-01-13T10:00:00+08:00");
            json!({"stock_id": stock})
        }
        "favor.get_use_flow_by_day" | "favor.get_refund_flow_by_day" => {
            let stock = settled(world).await;
            world.turn_to("2026-01-06T10:00:00+08:00");
            json!({"stock_id": stock, "bill_date": "2026-01-05"})
        }
        "partnerships.terminate_partnership" => {
            world.settings(json!({"partnership_check_stocks": false}));
            let request = Example::named(id, "as published").request();
            let names = ["partner", "authorized_data"];
            let mut build: Value = names.iter().map(|name| ((*name).to_owned(), request[*name].clone())).collect();
            build["Idempotency-Key"] = json!(number());
            world.done("partnerships.create_partnership", build).await;
            json!({})
        }
        "product_coupon.associate_stores" => product(world, "WECHATPAY", "SPECIFIC").await,
        "product_coupon.disassociate_stores" => {
            let ids = product(world, "WECHATPAY", "SPECIFIC").await;
            world.done("product_coupon.associate_stores", as_printed("product_coupon.associate_stores", &ids)).await;
            ids
        }
        "product_coupon.upload_coupon_codes" => product(world, "UPLOAD", "NONE").await,
        "product_coupon.create_stock" => {
            let mut fields = product(world, "WECHATPAY", "NONE").await;
            fields["stock_id"] = Value::Null;
            let mut stock = as_printed(id, &json!({}))["stock"].take();
            stock["single_usage_rule"] = all_2026();
            fields["stock"] = stock;
            fields
        }
        _ => return None,
    };
    Some(fields)
}

/// Plays whatever must be there for the first example of an operation to be done, and gives the fields to put in place.
pub async fn ready(world: &Rehearsal, id: &str) -> Value {
    if let Some(fields) = before(world, id).await {
        return fields;
    }
    let mut fields = match id {
        "favor.create_coupon_stock" | "paygiftactivity.create_activity" => json!({}),
        "favor.start_stock" | "favor.stop_stock" => json!({"stock_id": cash_stock(world).await}),
        "favor.restart_stock" => {
            let stock = running(world).await;
            let pause = json!({"stock_id": stock, "stock_creator_mchid": MERCHANTS[0]});
            world.done("favor.pause_stock", pause).await;
            json!({"stock_id": stock})
        }
        "favor.list_stocks" => json!({"create_start_time": null, "create_end_time": null}),
        "favor.get_user_coupon" => {
            let (_, coupon) = cash_coupon(world).await;
            json!({"coupon_id": coupon})
        }
        "favor.get_callback" => {
            let set = json!({"mchid": MERCHANTS[0], "notify_url": "https://merchant.example/"});
            world.done("favor.set_callback", set).await;
            json!({})
        }
        _ if id.starts_with("favor.") => json!({"stock_id": running(world).await}),
        "busifavor.create_stock" => json!({"belong_merchant": MERCHANTS[0], "out_request_no": number()}),
        "busifavor.upload_coupon_codes" => json!({"stock_id": merchant_stock(world, "MERCHANT_UPLOAD").await}),
        "busifavor.get_coupon_code" | "busifavor.list_coupon_codes" => {
            let mut fields = Box::pin(before(world, "busifavor.delete_coupon_code")).await.unwrap_or_default();
            fields["coupon_code"] = json!("1212");
            fields
        }
        "busifavor.list_subsidy_payments" => subsidy(world).await,
        "busifavor.send_coupon" => json!({"stock_id": merchant_stock(world, "MERCHANT_API").await}),
        "busifavor.send_product_coupon" | "busifavor.pre_send_product_coupon" => {
            json!({"stock_id": merchant_stock(world, "MERCHANT_API").await})
        }
        "busifavor.get_callback" => {
            let set = json!({"mchid": MERCHANTS[0], "notify_url": "https://merchant.example/"});
            world.done("busifavor.set_callback", set).await;
            json!({})
        }
        _ if id.starts_with("busifavor.") => {
            let (stock, code) = coupon(world).await;
            json!({"stock_id": stock, "coupon_code": code, "card_id": stock})
        }
        _ if id.starts_with("product_coupon.") => product(world, "WECHATPAY", "NONE").await,
        _ if id.starts_with("paygiftactivity.") => {
            world.settings(json!({"paygift_check_stocks": false}));
            let created = world
                .done("paygiftactivity.create_activity", as_printed("paygiftactivity.create_activity", &json!({})));
            json!({"activity_id": created.await["activity_id"]})
        }
        _ => json!({}),
    };
    // Merchant, user and app are those of the scene wherever the operation names one.
    let printed = as_printed(id, &json!({}));
    let mine = [
        ("mchid", MERCHANTS[0]),
        ("stock_creator_mchid", MERCHANTS[0]),
        ("creator_mchid", MERCHANTS[0]),
        ("creator_merchant", MERCHANTS[0]),
        ("belong_merchant", MERCHANTS[0]),
        ("sender_merchant", MERCHANTS[0]),
        ("openid", USER),
        ("appid", APP),
    ];
    for (name, value) in mine {
        if printed.get(name).is_some() {
            fields[name] = json!(value);
        }
    }
    let known = fields.as_object_mut().expect("an object");
    known.retain(|name, _| printed.get(name).is_some() || name.ends_with("_time"));
    fields
}

/// The first example of an operation that is accepted, with these fields in place of those that are printed.
pub fn as_printed(id: &str, fields: &Value) -> Value {
    let example = Example::all().find(|example| example.spec.id() == id && example.json["violations"].is_null());
    let mut request = example.unwrap_or_else(|| panic!("{id} has no accepted example")).request();
    let changes = fields.as_object().expect("an object").clone();
    let request_fields = request.as_object_mut().expect("an object");
    request_fields.extend(changes);
    request_fields.retain(|_, value| !value.is_null());
    request
}

async fn call_as_printed(world: &Rehearsal, id: &str, fields: Value) -> Value {
    world.done(id, as_printed(id, &fields)).await
}

/// A stock of 1,000 merchant coupons of 5 yuan that can be used all through 2026 and subsidised.
async fn merchant_stock(world: &Rehearsal, mode: &str) -> String {
    let request = json!({
        "stock_name": "活动券", "belong_merchant": MERCHANTS[0], "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": {
                "available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00"
            },
            "fixed_normal_coupon": {"discount_amount": 500, "transaction_minimum": 1000}, "use_method": "OFF_LINE"
        },
        "stock_send_rule": {"max_coupons": 1000, "max_coupons_per_user": 100},
        "coupon_code_mode": mode, "out_request_no": number(), "subsidy": true
    });
    text(&world.done("busifavor.create_stock", request).await["stock_id"])
}

/// A merchant coupon that a user holds: stock and code.
async fn coupon(world: &Rehearsal) -> (String, String) {
    let stock = merchant_stock(world, "WECHATPAY_MODE").await;
    let gift = json!({"stock_id": stock, "openid": USER, "appid": APP, "out_request_no": number()});
    let sent = world.done("busifavor.send_coupon", gift).await;
    (stock, text(&sent["send_coupon_result"]["coupon_code"]))
}

/// One that was used for an order.
async fn used(world: &Rehearsal) -> (String, String) {
    let (stock, code) = coupon(world).await;
    let request = json!({
        "stock_id": stock, "coupon_code": code, "appid": APP, "use_time": from_now(&world.sandbox, 0),
        "use_request_no": number(), "transaction_id": ORDER
    });
    world.done("busifavor.use_coupon", request).await;
    (stock, code)
}

async fn subsidy(world: &Rehearsal) -> Value {
    let (stock, code) = used(world).await;
    json!({
        "stock_id": stock, "coupon_code": code, "transaction_id": ORDER, "payer_merchant": MERCHANTS[0],
        "payee_merchant": MERCHANTS[1]
    })
}

/// The receipt of a subsidy that was paid.
async fn subsidised(world: &Rehearsal) -> Value {
    let mut fields = subsidy(world).await;
    fields["out_subsidy_no"] = json!(number());
    call_as_printed(world, "busifavor.create_subsidy_payment", fields).await
}

/// A product coupon of the brand, whose partner the first merchant is: its ids and those of its stock.
async fn product(world: &Rehearsal, code_mode: &str, stores: &str) -> Value {
    world.done("product_coupon.set_notify_config", json!({"notify_url": "https://www.example.com/notify"})).await;
    let request = json!({
        "brand_id": BRAND, "out_request_no": format!("product-{}", number()), "scope": "ALL", "type": "NORMAL",
        "usage_mode": "SINGLE", "single_usage_info": {"normal_coupon": {"threshold": 10_000, "discount_amount": 1_500}},
        "display_info": {"name": "全场满100减15", "image_url": "https://a/1", "background_url": "https://a/2"},
        "stock": {
            "coupon_code_mode": code_mode, "stock_send_rule": {"max_count": 1_000, "max_count_per_user": 100},
            "single_usage_rule": all_2026(),
            "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "全场可用"},
            "coupon_display_info": {"code_display_mode": "QRCODE"}, "notify_config": {"notify_appid": APP},
            "store_scope": stores
        }
    });
    let made = world.done("product_coupon.create_product_coupon", request).await;
    json!({
        "brand_id": BRAND, "product_coupon_id": made["product_coupon_id"], "stock_id": made["stock"]["stock_id"]
    })
}

fn all_2026() -> Value {
    json!({"coupon_available_period": {
        "available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00"
    }})
}

/// A stock of cash coupons that ends on January 12, yet to be started.
async fn cash_stock(world: &Rehearsal) -> String {
    let mut request = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
    for (place, value) in [
        ("/belong_merchant", json!(MERCHANTS[0])),
        ("/available_begin_time", from_now(&world.sandbox, 0)),
        ("/available_end_time", json!("2026-01-12T23:59:59+08:00")),
        ("/stock_use_rule/max_coupons", json!(1_000)),
        ("/stock_use_rule/max_amount", json!(1_000_000)),
        ("/stock_use_rule/max_amount_by_day", Value::Null),
        ("/stock_use_rule/natural_person_limit", json!(false)),
        ("/out_request_no", json!(number())),
    ] {
        set(&mut request, place, value);
    }
    text(&world.done("favor.create_coupon_stock", request).await["stock_id"])
}

/// One that runs.
async fn running(world: &Rehearsal) -> String {
    let stock = cash_stock(world).await;
    world.done("favor.start_stock", json!({"stock_id": stock, "stock_creator_mchid": MERCHANTS[0]})).await;
    stock
}

/// A cash coupon that a user holds: stock and coupon.
async fn cash_coupon(world: &Rehearsal) -> (String, String) {
    let stock = running(world).await;
    let gift = json!({
        "stock_id": stock, "openid": USER, "appid": APP, "out_request_no": number(),
        "stock_creator_mchid": MERCHANTS[0]
    });
    let coupon = text(&world.done("favor.send_coupon", gift).await["coupon_id"]);
    (stock, coupon)
}

/// A stock with a coupon that was used and refunded.
async fn settled(world: &Rehearsal) -> String {
    let (stock, coupon) = cash_coupon(world).await;
    let paid = world.act(json!({"act": "pay_with_coupon", "coupon_id": coupon}));
    world.act(json!({"act": "refund", "transaction_id": paid["transaction_id"], "to": "full"}));
    stock
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
