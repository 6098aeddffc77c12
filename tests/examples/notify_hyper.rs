//! Receives notifications with hyper alone: any path on port 3000 of this machine.
//!
//! WECHATPAY_APIV3_KEY holds the APIv3 key, WECHATPAY_PUBLIC_KEY_ID the id of WeChat Pay's public key and
//! WECHATPAY_PUBLIC_KEY the path of its file. WECHATPAY_LISTEN is another address than 127.0.0.1:3000.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
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
    loop {
        let (stream, _) = listener.accept().await?;
        let receiver = receiver.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| notify(&receiver, request));
            // A connection that breaks is WeChat Pay's to repeat.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn notify(receiver: &Receiver, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let acknowledge = match Limited::new(body, 1 << 20).collect().await {
        Ok(body) => answer(receiver, &Request::from_parts(parts, body.to_bytes())).await,
        Err(_) => Acknowledge::Failure { status: StatusCode::PAYLOAD_TOO_LARGE, message: "too large".into() },
    };
    Ok(acknowledge.into_response().map(Full::new))
}

async fn answer(receiver: &Receiver, request: &Request<Bytes>) -> Acknowledge {
    match receiver.receive_request(request, SystemStamper.now()) {
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
    }
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
