//! Calls that come too often. That every documented limit holds is tested inside of the sandbox, where no call is signed.

use serde_json::json;
use wechatpay_sandbox::Basis::{Documented, Guess};
use wechatpay_tests::rehearsal::{MERCHANTS, Refusal, Rehearsal, number, refusal};
use wechatpay_tests::story::{Example, set};

async fn use_flow(world: &Rehearsal, merchant: usize) -> Result<serde_json::Value, Refusal> {
    world.call_as(merchant, "favor.get_use_flow", json!({"stock_id": "4711"})).await
}

#[tokio::test]
async fn the_sixth_record_in_a_minute_is_refused_where_limits_hold() {
    let world = Rehearsal::start().await;
    for _ in 0..7 {
        assert_eq!(
            use_flow(&world, 0).await,
            refusal(404, "RESOURCE_NOT_EXISTS", Documented),
            "they do not by default"
        );
    }
    // A limit of one's own stands beside them and changes none.
    world.settings(json!({"rate_limits": true, "calls_per_second": 1000}));
    for _ in 0..5 {
        assert_eq!(use_flow(&world, 0).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
    }
    let limited = || refusal(429, "FREQUENCY_LIMIT_EXCEED", Documented);
    assert_eq!(use_flow(&world, 0).await, limited());
    assert!(world.last().why.contains("5 calls in 60 seconds, counted per ip"), "{}", world.last().why);
    assert_eq!(use_flow(&world, 1).await, limited(), "from the same address");
    world.advance(59);
    assert_eq!(use_flow(&world, 0).await, limited());
    world.advance(1);
    assert_eq!(use_flow(&world, 0).await, refusal(404, "RESOURCE_NOT_EXISTS", Documented));
}

#[tokio::test]
async fn uploads_are_limited_where_a_setting_says_so() {
    let world = Rehearsal::with(json!({"busifavor_upload_rate": 2})).await;
    let mut stock = Example::named("busifavor.create_stock", "with uploaded codes").request();
    set(&mut stock, "/belong_merchant", json!(MERCHANTS[0]));
    set(&mut stock, "/out_request_no", json!(number()));
    let stock = world.done("busifavor.create_stock", stock).await["stock_id"].clone();
    let upload = async |code: &str| {
        let request = json!({"stock_id": stock, "coupon_code_list": [code], "upload_request_no": number()});
        world.call("busifavor.upload_coupon_codes", request).await
    };
    assert!(upload("A").await.is_ok() && upload("B").await.is_ok());
    assert_eq!(upload("C").await, refusal(429, "FREQUENCY_LIMITED", Guess));
    assert_eq!(world.sandbox.ledger().coupon_codes.len(), 2, "it was not acted upon");
    world.advance(1);
    assert!(upload("C").await.is_ok());
}
