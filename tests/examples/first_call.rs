//! The first call: create a coupon stock, start it, read it; and what a mistake looks like.

use std::error::Error;
use wechatpay_model::favor::{
    CouponUseRule, CreatableStockType, CreateCouponStock, FixedNormalCoupon, GetStock, StartStock, StockUseRule,
};
use wechatpay_model::types::{Fen, Timestamp};
use wechatpay_protocol::crypto::aws_lc;
use wechatpay_protocol::{BaseUrl, Client, Merchant, Trust};
use wechatpay_reqwest::Reqwest;
use wechatpay_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A WeChat Pay in this process, with a merchant and its keys.
    let sandbox = Sandbox::start().await?;
    let keys = sandbox.merchant();

    // Who signs: the merchant's private key, under the serial number of its API certificate.
    let signer = aws_lc::Signer::from_pem(&keys.private_key_pem)?;
    let merchant = Merchant::new(keys.mchid.as_str(), keys.serial_no.as_str(), signer);

    // Who is believed: WeChat Pay's public key, under its id.
    let key = aws_lc::VerifyingKey::from_public_key_pem(&keys.public_key_pem)?;
    let trust = Trust::new().with_public_key(keys.public_key_id.as_str(), key);

    // Leave the last part out, and calls go to the official host.
    let client = Client::new(Reqwest::new()?, merchant, trust).with_base_url(BaseUrl::parse(&sandbox.base_url())?);

    let mchid = keys.mchid.as_str();
    let now = sandbox.now();
    let week = 7 * 24 * 3600;
    let create = CreateCouponStock::builder()
        .stock_name("Ten off 100")
        .belong_merchant(mchid)
        .available_begin_time(Timestamp::from_unix(now + 60).ok_or("no such time")?)
        .available_end_time(Timestamp::from_unix(now + week).ok_or("no such time")?)
        .stock_use_rule(
            StockUseRule::builder()
                .max_coupons(100)
                .max_amount(Fen::new(100_000))
                .max_coupons_per_user(5)
                .natural_person_limit(false)
                .prevent_api_abuse(false)
                .build(),
        )
        .coupon_use_rule(
            CouponUseRule::builder()
                .available_merchants(vec![mchid.into()])
                .fixed_normal_coupon(
                    FixedNormalCoupon::builder()
                        .coupon_amount(Fen::new(1000))
                        .transaction_minimum(Fen::new(10_000))
                        .build(),
                )
                .build(),
        )
        .no_cash(true)
        .stock_type(CreatableStockType::Normal)
        .out_request_no("campaign-1")
        .build();

    let stock_id = client.send(&create).await?.value.stock_id;
    client.send(&StartStock::builder().stock_id(stock_id.clone()).stock_creator_mchid(mchid).build()).await?;
    let stock = client.send(&GetStock::builder().stock_id(stock_id).stock_creator_mchid(mchid).build()).await?.value;
    println!("{} is {}", stock.stock_name, stock.status);

    // The budget is no longer a hundred times ten yuan, and the name is too long: nothing is sent.
    let mut wrong = create;
    wrong.stock_use_rule.max_amount = Fen::new(99_999);
    wrong.stock_name = "Ten yuan off a hundred".to_owned();
    if let Err(error) = client.send(&wrong).await {
        println!("{error}");
    }

    // A stock that is not there: WeChat Pay refuses, and the documents know what to do.
    let nobody = StartStock::builder().stock_id("404").stock_creator_mchid(mchid).build();
    if let Err(error) = client.send(&nobody).await {
        println!("{:?} {:?}: {}", error.status(), error.code(), error.remedy().unwrap_or("no advice"));
        println!("executed: {:?}, retry: {:?}", error.executed(), error.retry());
    }
    Ok(())
}
