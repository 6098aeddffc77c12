//! Several merchants, a partner and a brand over one pool of connections.

mod start;

use start::{Failure, merchant, trust};
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::ListStocks;
use wechatpay_model::product_coupon::{GetNotifyConfig, SetNotifyConfig};
use wechatpay_protocol::crypto::aws_lc::Signer;
use wechatpay_protocol::{BaseUrl, Brand, Client};
use wechatpay_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().merchant("1900000001").merchant("1900000002").brand("120344").start().await?;
    let [one, two] = sandbox.merchants() else { return Err("two merchants were asked for".into()) };
    let [of_brand] = sandbox.brands() else { return Err("a brand was asked for".into()) };

    // The first client brings the connections; the others share them, each with its own key and its own trust.
    let first =
        Client::new(Hyper::new(), merchant(one)?, trust(one)?).with_base_url(BaseUrl::parse(&sandbox.base_url())?);
    let second = first.for_identity(merchant(two)?, trust(two)?);

    for client in [&first, &second] {
        let mchid = client.identity().id();
        let list = ListStocks::builder().offset(0).limit(10).stock_creator_mchid(mchid).build();
        println!("{mchid} has {} stocks", client.send(&list).await?.value.total_count);
    }

    // A brand calls in its own name: other scheme, other paths, the same types.
    let signer = Signer::from_pem(&of_brand.private_key_pem)?;
    let brand = Brand::new(of_brand.mchid.as_str(), of_brand.serial_no.as_str(), signer);
    let brand = first.for_identity(brand, trust(of_brand)?);
    brand.send(&SetNotifyConfig::builder().notify_url("https://brand.example.com/notify").build()).await?;

    // A partner that the brand has authorised uses the same operation under its own name, and has its own address.
    first.send(&SetNotifyConfig::builder().notify_url("https://partner.example.com/notify").build()).await?;
    for client in [&brand, &first] {
        let address = client.send(&GetNotifyConfig::builder().build()).await?.value.notify_url;
        println!("{} hears at {address}", client.identity().id());
    }
    Ok(())
}
