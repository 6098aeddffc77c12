//! What a test can have the sandbox do: another time, another ending, and a look behind the scenes.

mod start;

use serde_json::json;
use start::Failure;
use std::sync::Arc;
use std::time::Duration;
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::{GetUserCoupon, SendCoupon, StartStock};
use wechatpay_protocol::{BoxError, Client, Stamper, SystemStamper};
use wechatpay_sandbox::{Clock, Sandbox};

/// The client goes by the sandbox's clock, so that both can be turned together.
struct ClockOf(Arc<Sandbox>);

impl Stamper for ClockOf {
    fn now(&self) -> i64 {
        self.0.now()
    }
    fn nonce(&self) -> Result<String, BoxError> {
        SystemStamper.nonce()
    }
    fn monotonic(&self) -> Duration {
        SystemStamper.monotonic()
    }
    fn jitter(&self) -> u16 {
        0
    }
}

/// Hands a coupon to a user; its id.
async fn hand_out(client: &Client<Hyper>, sandbox: &Sandbox, number: &str) -> Result<String, Failure> {
    let mchid = sandbox.merchant().mchid;
    let stock_id = client.send(&start::stock(sandbox, number)?).await?.value.stock_id;
    sandbox.advance_clock(120)?;
    client.send(&StartStock::builder().stock_id(stock_id.clone()).stock_creator_mchid(mchid.as_str()).build()).await?;
    let gift = SendCoupon::builder()
        .openid("o-alice")
        .stock_id(stock_id)
        .out_request_no(number)
        .appid("wx233544546545989")
        .stock_creator_mchid(mchid)
        .build();
    Ok(client.send(&gift).await?.value.coupon_id.into_string())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // A clock that stands still until it is turned: 2026-01-05T10:00:00+08:00.
    let sandbox = Arc::new(Sandbox::builder().clock(Clock::Virtual(1_767_578_400)).start().await?);
    let client = start::client(&sandbox, Hyper::new())?.with_stamper(ClockOf(Arc::clone(&sandbox)));

    // What no API does: the user pays with the coupon.
    let coupon = hand_out(&client, &sandbox, "gift-1").await?;
    sandbox.act(&json!({"act": "pay_with_coupon", "coupon_id": coupon}))?;
    let read =
        |coupon: &str| GetUserCoupon::builder().coupon_id(coupon).appid("wx233544546545989").openid("o-alice").build();
    println!("after paying: {}", client.send(&read(&coupon)).await?.value.status);

    // Eight days later a coupon that nobody used has expired.
    let coupon = hand_out(&client, &sandbox, "gift-2").await?;
    sandbox.advance_clock(8 * 24 * 3600)?;
    println!("eight days later: {}", client.send(&read(&coupon)).await?.value.status);

    // The third read of a coupon from now on comes with a forged signature.
    sandbox.add_fault("forge;operation=favor.get_user_coupon;nth=3".parse()?)?;
    for attempt in 1..=3 {
        match client.send(&read(&coupon)).await {
            Ok(_) => println!("read {attempt}: believed"),
            Err(error) => println!("read {attempt}: {}", error.kind()),
        }
    }

    // What really happened: effects are counted, and each request was judged.
    println!("{} coupons were handed out", sandbox.ledger().coupons.len());
    if let Some(last) = sandbox.last_request() {
        println!("{}: {}", last.operation.unwrap_or_default(), last.fault.unwrap_or_default());
    }
    Ok(())
}
