//! Lost replies: what is repeated, what is not, and what to do then.

mod start;

use start::Failure;
use wechatpay_model::favor::{GetCallback, SetCallback};
use wechatpay_protocol::{Error, RetryPolicy};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (sandbox, client) = start::sandbox().await?;

    // Four attempts within a minute. The timer is that of the runtime.
    let client = client.with_retry(RetryPolicy::default(), wechatpay_hyper::timer);

    // The sandbox creates the stock and loses the reply. The request number makes the repeat the same stock.
    sandbox.add_fault("lose-reply;operation=favor.create_coupon_stock;times=1".parse()?)?;
    let created = client.send(&start::stock(&sandbox, "campaign-1")?).await?;
    println!("created: {}", created.status);
    println!("{} requests, {} stock", sandbox.requests().len(), sandbox.ledger().stocks.len());

    // Setting an address has no request number, so it is not repeated for you: read first.
    sandbox.add_fault("lose-reply;operation=favor.set_callback;times=1".parse()?)?;
    let mchid = sandbox.merchant().mchid;
    let address = "https://example.com/notify";
    let set = SetCallback::builder().mchid(mchid.as_str()).notify_url(address).build();
    match client.send(&set).await {
        Err(Error::OutcomeUnknown(unknown)) => {
            println!("{} may have been executed", unknown.operation);
            let now = client.send(&GetCallback::builder().mchid(mchid).build()).await?.value.notify_url;
            if now == address {
                println!("it was: nothing is left to do");
            } else {
                client.send(&set).await?;
            }
        }
        outcome => println!("{:?}", outcome?.status),
    }
    Ok(())
}
