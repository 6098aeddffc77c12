//! What the programs of the guide begin with: a sandbox in this process, and a client of its merchant.

#![allow(dead_code, reason = "no program needs all of it")]

use wechatpay_hyper::Hyper;
use wechatpay_model::favor::{CouponUseRule, CreatableStockType, CreateCouponStock, FixedNormalCoupon, StockUseRule};
use wechatpay_model::types::{Fen, Timestamp};
use wechatpay_protocol::crypto::aws_lc::{Signer, VerifyingKey};
use wechatpay_protocol::{BaseUrl, Client, Merchant, Transport, Trust};
use wechatpay_sandbox::{Credentials, Sandbox};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// A sandbox, and a client of its merchant.
pub(crate) async fn sandbox() -> Result<(Sandbox, Client<Hyper>), Failure> {
    let sandbox = Sandbox::start().await?;
    let client = client(&sandbox, Hyper::new())?;
    Ok((sandbox, client))
}

/// A client of the sandbox's merchant over any transport.
pub(crate) fn client<T: Transport>(sandbox: &Sandbox, transport: T) -> Result<Client<T>, Failure> {
    let keys = sandbox.merchant();
    let client = Client::new(transport, merchant(&keys)?, trust(&keys)?);
    Ok(client.with_base_url(BaseUrl::parse(&sandbox.base_url())?))
}

/// Who signs.
pub(crate) fn merchant(keys: &Credentials) -> Result<Merchant<Signer>, Failure> {
    let signer = Signer::from_pem(&keys.private_key_pem)?;
    Ok(Merchant::new(keys.mchid.as_str(), keys.serial_no.as_str(), signer))
}

/// Who is believed.
pub(crate) fn trust(keys: &Credentials) -> Result<Trust, Failure> {
    let key = VerifyingKey::from_public_key_pem(&keys.public_key_pem)?;
    Ok(Trust::new().with_public_key(keys.public_key_id.as_str(), key))
}

/// A hundred coupons of 10 yuan off 100, for a week from a minute after the sandbox's now.
pub(crate) fn stock(sandbox: &Sandbox, number: &str) -> Result<CreateCouponStock, Failure> {
    let mchid = sandbox.merchant().mchid;
    let at = |seconds: i64| Timestamp::from_unix(sandbox.now() + seconds).ok_or("a year of five digits");
    let rule = StockUseRule::builder()
        .max_coupons(100)
        .max_amount(Fen::new(100_000))
        .max_coupons_per_user(5)
        .natural_person_limit(false)
        .prevent_api_abuse(false)
        .build();
    let worth =
        FixedNormalCoupon::builder().coupon_amount(Fen::new(1000)).transaction_minimum(Fen::new(10_000)).build();
    let stock = CreateCouponStock::builder()
        .stock_name("Ten off 100")
        .belong_merchant(mchid.as_str())
        .available_begin_time(at(60)?)
        .available_end_time(at(7 * 24 * 3600)?)
        .stock_use_rule(rule)
        .coupon_use_rule(
            CouponUseRule::builder().available_merchants(vec![mchid.into()]).fixed_normal_coupon(worth).build(),
        )
        .no_cash(true)
        .stock_type(CreatableStockType::Normal)
        .out_request_no(number);
    Ok(stock.build())
}
