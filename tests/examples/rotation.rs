//! The platform changes its certificate, and calls go on.

mod start;

use start::{Failure, merchant};
use std::sync::Arc;
use wechatpay_hyper::Hyper;
use wechatpay_model::favor::ListStocks;
use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, VerifyingKey};
use wechatpay_protocol::{BaseUrl, Certificates, Client, Stamper, SystemStamper};
use wechatpay_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start().await?;
    let keys = sandbox.merchant();

    // Certificates are opened with the APIv3 key, and kept until they end. Public keys may stand beside them.
    let certificates = Arc::new(Certificates::new(ApiV3Key::new(&keys.apiv3_key)?, VerifyingKey::from_certificate));
    let client = Client::new(Hyper::new(), merchant(&keys)?, Arc::clone(&certificates))
        .with_base_url(BaseUrl::parse(&sandbox.base_url())?);

    // At the start, so that the first call need not wait; then a task looks after them.
    client.refresh_certificates().await?;
    let keeper = client.clone();
    let task = tokio::spawn(async move { keeper.keep_certificates_fresh(wechatpay_hyper::timer).await });
    println!("trusted: {}", certificates.serials().len());

    // A new certificate signs from now on. The answer that names it is verified once it has been downloaded.
    sandbox.rotate()?;
    let list = ListStocks::builder().offset(0).limit(10).stock_creator_mchid(keys.mchid.as_str()).build();
    let reply = client.send(&list).await?;
    println!("{}, signed by the new one: {}", reply.status, reply.serial != keys.platform_serial);
    println!("trusted: {}", certificates.serials().len());

    // Over a restart: public certificates only, but whoever can change the file decides who is believed.
    let saved = certificates.export();
    let restarted = Certificates::new(ApiV3Key::new(&keys.apiv3_key)?, VerifyingKey::from_certificate);
    let changed = restarted.import(&saved, SystemStamper.now())?;
    println!("trusted after a restart: {}", changed.added.len());

    task.abort();
    Ok(())
}
