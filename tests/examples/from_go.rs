//! What a program over the official Go SDK becomes.

#![allow(clippy::indexing_slicing, reason = "JSON is null where there is nothing")]

mod start;

use start::{Failure, merchant};
use wechatpay_hyper::Hyper;
use wechatpay_model::ErrorCode;
use wechatpay_model::favor::StartStock;
use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, VerifyingKey};
use wechatpay_protocol::{BaseUrl, Certificates, Client, Error};
use wechatpay_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start().await?;
    let keys = sandbox.merchant();

    // option.WithWechatPayAutoAuthCipher(mchID, serialNo, privateKey, apiV3Key)
    let trust = Certificates::new(ApiV3Key::new(&keys.apiv3_key)?, VerifyingKey::from_certificate);
    let client = Client::new(Hyper::new(), merchant(&keys)?, trust);
    let client = client.with_base_url(BaseUrl::parse(&sandbox.base_url())?);
    client.refresh_certificates().await?;

    // svc.CreateCouponStock(ctx, cashcoupons.CreateCouponStockRequest{…})
    let reply = client.send(&start::stock(&sandbox, "campaign-1")?).await?;
    println!("created: {}, an id of {} digits", reply.status, reply.value.stock_id.as_str().len());

    // client.Get(ctx, "https://api.mch.weixin.qq.com/v3/certificates")
    let raw = client.get("/v3/certificates").await?;
    println!("by path: {}, a list: {}", raw.status, raw.value["data"].is_array());

    // core.IsAPIError(err, "RESOURCE_NOT_EXISTS")
    let start = StartStock::builder().stock_id("404").stock_creator_mchid(keys.mchid).build();
    match client.send(&start).await {
        Err(Error::Api(refusal)) if refusal.code == ErrorCode::ResourceNotExists => {
            println!("{}: {}", refusal.status, refusal.remedy().unwrap_or("no advice"));
        }
        other => println!("{:?}", other?.status),
    }
    Ok(())
}
