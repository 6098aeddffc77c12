//! The three styles of wechatpay-php, and what they become.

#![allow(clippy::indexing_slicing, reason = "JSON is null where there is nothing")]

mod start;

use serde_json::{Value, json};
use start::{Failure, merchant, trust};
use wechatpay_model::Operation as _;
use wechatpay_model::favor::{CreateCouponStock, GetStock};
use wechatpay_protocol::{BaseUrl, BlockingClient};
use wechatpay_reqwest::BlockingReqwest;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (sandbox, client) = start::sandbox().await?;
    let typed = start::stock(&sandbox, "campaign-1")?;
    let body: Value = serde_json::to_value(&typed)?;

    // By path, as `$instance->chain('v3/marketing/favor/coupon-stocks')->postAsync(['json' => …])`.
    let reply = client.post("/v3/marketing/favor/coupon-stocks", &body).await?;
    let stock_id = reply.value["stock_id"].as_str().unwrap_or_default().to_owned();
    println!("by path: {}", reply.status);

    // By name, with untyped arguments that are checked before anything is signed.
    let reply = client.call(CreateCouponStock::SPEC, body.clone()).await?;
    println!("by name: {}, the same stock: {}", reply.status, reply.value["stock_id"] == stock_id.as_str());

    // Typed. The number and the parameters are the same each time, so it is one stock still.
    let reply = client.send(&typed).await?;
    println!("typed: {}, the same stock: {}", reply.status, reply.value.stock_id.as_str() == stock_id);

    // Path variables and query of `…->stocks->_stock_id_->getAsync([…])`: fields like all others.
    let get = GetStock::builder().stock_id(stock_id).stock_creator_mchid(sandbox.merchant().mchid).build();
    println!("read: {}", client.send(&get).await?.value.status);

    // `->then(…)->otherwise(…)` of several promises: futures that are awaited together.
    let (one, two) = tokio::join!(client.send(&get), client.get("/v3/certificates"));
    println!("together: {} and {}", one?.status, two?.status);

    // `->post(…)` without `Async`: a blocking client, here on a thread of its own.
    let (keys, base) = (sandbox.merchant(), BaseUrl::parse(&sandbox.base_url())?);
    let (merchant, trust) = (merchant(&keys)?, trust(&keys)?);
    let blocking = std::thread::spawn(move || {
        let client = BlockingClient::new(BlockingReqwest::new().map_err(|error| error.to_string())?, merchant, trust);
        let reply = client.with_base_url(base).post("/v3/marketing/favor/coupon-stocks", &body);
        reply.map(|reply| reply.status).map_err(|error| error.to_string())
    });
    match blocking.join() {
        Ok(status) => println!("blocking: {}", status?),
        Err(_) => return Err("the thread panicked".into()),
    }

    // What is missing or wrong is said before anything is signed.
    let mistaken = json!({"stock_name": "微信支付代金券批次", "no_cash": true, "max_coupons": 0});
    if let Err(error) = client.call(CreateCouponStock::SPEC, mistaken).await {
        println!("{} mistakes", error.to_string().lines().count() - 1);
    }
    Ok(())
}
