//! One call over each of the backends.

mod start;

use start::{Failure, client, merchant, trust};
use wechatpay_hyper::Hyper;
use wechatpay_model::certificates;
use wechatpay_protocol::{BaseUrl, BlockingClient, Client, Error, Tower, Transport};
use wechatpay_reqwest::{BlockingReqwest, Reqwest, reqwest};
use wechatpay_sandbox::Sandbox;

/// Code that calls need not know the backend.
async fn count<T: Transport>(client: &Client<T>) -> Result<usize, Error> {
    Ok(client.send(&certificates::List::builder().build()).await?.value.data.len())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start().await?;

    println!("reqwest: {}", count(&client(&sandbox, Reqwest::new()?)?).await?);

    // With a builder of your own: proxy, roots, pool and timeouts are yours.
    let builder = reqwest::Client::builder().pool_max_idle_per_host(4).https_only(false);
    println!("reqwest, built by hand: {}", count(&client(&sandbox, Reqwest::from_builder(builder)?)?).await?);

    println!("hyper: {}", count(&client(&sandbox, Hyper::new())?).await?);

    // Any tower service is a transport: here one that lets eight calls through at a time.
    let hyper = Hyper::new();
    let stack = tower::ServiceBuilder::new().concurrency_limit(8).service_fn(move |request| {
        let hyper = hyper.clone();
        async move { hyper.call(request).await }
    });
    println!("tower over hyper: {}", count(&client(&sandbox, Tower(stack))?).await?);

    // Without an async runtime. A thread of a runtime must not be held, so this has one of its own.
    let (keys, base) = (sandbox.merchant(), BaseUrl::parse(&sandbox.base_url())?);
    let (merchant, trust) = (merchant(&keys)?, trust(&keys)?);
    let blocking = move || -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        let client = BlockingClient::new(BlockingReqwest::new()?, merchant, trust).with_base_url(base);
        match client.send(&certificates::List::builder().build()) {
            Ok(reply) => Ok(reply.value.data.len()),
            Err(error) => Err(error.to_string().into()),
        }
    };
    match std::thread::spawn(blocking).join() {
        Ok(count) => println!("blocking reqwest: {}", count.map_err(|error| error.to_string())?),
        Err(_) => return Err("the thread panicked".into()),
    }
    Ok(())
}
