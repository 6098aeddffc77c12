//! Requests for the stocks that tests are about: what is usual, with some places changed.

use crate::rehearsal::{BRAND, MERCHANTS, number};
use crate::scene::APP;
use crate::story::{Example, set};
use serde_json::{Value, json};

/// Places of a request and what stands there instead; a null takes the field away.
pub type Changes<'c> = &'c [(&'c str, Value)];

/// Face value of cash coupons, in fen.
pub const FACE: i64 = 1_000;

fn changed(mut request: Value, changes: Changes<'_>) -> Value {
    for (place, value) in changes {
        set(&mut request, place, value.clone());
    }
    request
}

/// 1,000 cash coupons of 10 yuan, from then until the end of January 12.
pub fn cash(begin: Value, changes: Changes<'_>) -> Value {
    let request = Example::named("favor.create_coupon_stock", "prepaid, opens a mini program").request();
    let usual = [
        ("/belong_merchant", json!(MERCHANTS[0])),
        ("/available_begin_time", begin),
        ("/available_end_time", json!("2026-01-12T23:59:59+08:00")),
        ("/stock_use_rule/max_coupons", json!(1_000)),
        ("/stock_use_rule/max_amount", json!(1_000 * FACE)),
        ("/stock_use_rule/max_amount_by_day", Value::Null),
        ("/stock_use_rule/max_coupons_per_user", json!(60)),
        ("/stock_use_rule/natural_person_limit", json!(false)),
        ("/out_request_no", json!(number())),
    ];
    changed(changed(request, &usual), changes)
}

/// 1,000 merchant coupons of 5 yuan that can be used all through 2026 and subsidised.
pub fn merchant(changes: Changes<'_>) -> Value {
    let request = json!({
        "stock_name": "活动券", "belong_merchant": MERCHANTS[0], "goods_name": "全场商品", "stock_type": "NORMAL",
        "coupon_use_rule": {
            "coupon_available_time": {
                "available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00"
            },
            "fixed_normal_coupon": {"discount_amount": 500, "transaction_minimum": 1000}, "use_method": "OFF_LINE"
        },
        "stock_send_rule": {"max_coupons": 1000, "max_coupons_per_user": 100},
        "coupon_code_mode": "WECHATPAY_MODE", "out_request_no": number(), "subsidy": true
    });
    changed(request, changes)
}

fn all_2026() -> Value {
    json!({"available_begin_time": "2026-01-01T00:00:00+08:00", "available_end_time": "2026-12-31T23:59:59+08:00"})
}

/// What a new stock of a product coupon says: 1,000 coupons for all of 2026, in no certain store.
pub fn product_stock(changes: Changes<'_>) -> Value {
    let stock = json!({
        "coupon_code_mode": "WECHATPAY",
        "stock_send_rule": {"max_count": 1000, "max_count_per_user": 100},
        "single_usage_rule": {"coupon_available_period": all_2026()},
        "usage_rule_display_info": {"coupon_usage_method_list": ["OFFLINE"], "usage_description": "全场可用"},
        "coupon_display_info": {"code_display_mode": "QRCODE"},
        "notify_config": {"notify_appid": APP}, "store_scope": "NONE"
    });
    changed(stock, changes)
}

/// What a new bundle of three says.
pub fn product_bundle(changes: Changes<'_>) -> Value {
    let mut bundle = product_stock(&[("/single_usage_rule", Value::Null)]);
    bundle["progressive_bundle_usage_rule"] = json!({
        "coupon_available_period": all_2026(),
        "normal_coupon_list": [
            {"threshold": 10000, "discount_amount": 1000},
            {"threshold": 10000, "discount_amount": 1000},
            {"threshold": 10000, "discount_amount": 2000}
        ]
    });
    changed(bundle, changes)
}

/// A product coupon for all goods, used once.
pub fn product_single(changes: Changes<'_>) -> Value {
    let request = json!({
        "brand_id": BRAND, "out_request_no": format!("product-{}", number()), "scope": "ALL", "type": "NORMAL",
        "usage_mode": "SINGLE", "single_usage_info": {"normal_coupon": {"threshold": 10000, "discount_amount": 1500}},
        "display_info": {"name": "全场满100减15", "image_url": "https://a/1", "background_url": "https://a/2"},
        "stock": product_stock(&[])
    });
    changed(request, changes)
}

/// One that is used three times.
pub fn product_several(changes: Changes<'_>) -> Value {
    let request = product_single(&[
        ("/usage_mode", json!("PROGRESSIVE_BUNDLE")),
        ("/single_usage_info", Value::Null),
        ("/stock", Value::Null),
        ("/progressive_bundle_usage_info", json!({"count": 3})),
        ("/stock_bundle", product_bundle(&[])),
    ]);
    changed(request, changes)
}
