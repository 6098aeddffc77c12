//! Receives notifications with axum: `POST /notify` on port 3000 of this machine.
//!
//! WECHATPAY_APIV3_KEY holds the APIv3 key, WECHATPAY_PUBLIC_KEY_ID the id of WeChat Pay's public key and
//! WECHATPAY_PUBLIC_KEY the path of its file. WECHATPAY_LISTEN is another address than 127.0.0.1:3000.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use std::error::Error;
use wechatpay_model::favor::CouponUse;
use wechatpay_protocol::crypto::aws_lc::{ApiV3Key, VerifyingKey};
use wechatpay_protocol::notification::{Acknowledge, Event, Received, Receiver};
use wechatpay_protocol::{Stamper, SystemStamper, Trust};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = VerifyingKey::from_public_key_pem(&std::fs::read_to_string(std::env::var("WECHATPAY_PUBLIC_KEY")?)?)?;
    let trust = Trust::new().with_public_key(std::env::var("WECHATPAY_PUBLIC_KEY_ID")?, key);
    let receiver = Receiver::new(trust, ApiV3Key::new(std::env::var("WECHATPAY_APIV3_KEY")?)?);

    let address = std::env::var("WECHATPAY_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, app(receiver)).await?)
}

fn app(receiver: Receiver) -> Router {
    Router::new().route("/notify", post(notify)).layer(DefaultBodyLimit::max(1 << 20)).with_state(receiver)
}

/// Takes the body as bytes, never as `Json`: the signature is over what was sent.
async fn notify(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let acknowledge = match receiver.receive(&headers, &body, SystemStamper.now()) {
        Ok(Received::New(delivery)) => match process(&delivery).await {
            Ok(()) => delivery.done(),
            Err(error) => {
                eprintln!("{delivery:?}: {error}");
                delivery.failed("not processed")
            }
        },
        Ok(Received::Duplicate(_)) => Acknowledge::Success,
        Err(error) => {
            eprintln!("{error}");
            error.answer()
        }
    };
    acknowledge.into_response().map(Body::from)
}

/// Stores what happened. WeChat Pay waits five seconds, so whatever takes longer comes after the answer.
async fn process(event: &Event) -> Result<(), Box<dyn Error + Send + Sync>> {
    if let Some(used) = event.payload::<CouponUse>()? {
        println!("{}: a coupon of stock {} was used", event.id, used.stock_id);
    } else {
        println!("{}: {}, which is passed over", event.id, event.event_type);
    }
    Ok(())
}
