//! A transport of one's own: a fresh connection for each request, over plain hyper.

mod start;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::Uri;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use start::Failure;
use tokio::net::TcpStream;
use wechatpay_model::certificates;
use wechatpay_protocol::{Transport, TransportError, TransportErrorKind};
use wechatpay_sandbox::Sandbox;

/// A connection for each request, without TLS: for a gateway on the same machine, say.
struct OneByOne;

impl Transport for OneByOne {
    type Body = Incoming;

    async fn call(&self, mut request: http::Request<Bytes>) -> Result<http::Response<Incoming>, TransportError> {
        // Host and path go apart on the wire; neither is changed.
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse::<Uri>().map_err(TransportError::not_sent)?;
        request.headers_mut().insert(HOST, HeaderValue::try_from(&host).map_err(TransportError::not_sent)?);

        // No connection: certainly nothing was sent. Anything that goes wrong later: perhaps.
        let unreached = |error| TransportError::new(TransportErrorKind::Connect, error);
        let stream = TcpStream::connect(&host).await.map_err(unreached)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(TransportError::interrupted)?;
        tokio::spawn(connection);
        sender.send_request(request.map(Full::new)).await.map_err(TransportError::interrupted)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::start().await?;
    let client = start::client(&sandbox, OneByOne)?;
    let list = client.send(&certificates::List::builder().build()).await?;
    println!("{}, verified", list.status);

    // A closure is a transport too: this one plays a gateway that is out of order.
    let gateway = |_request: http::Request<Bytes>| async {
        let page = Full::new(Bytes::from("<html>502 Bad Gateway</html>"));
        http::Response::builder().status(502).body(page).map_err(TransportError::not_sent)
    };
    let client = start::client(&sandbox, gateway)?;
    if let Err(error) = client.send(&certificates::List::builder().build()).await {
        println!("{error}");
        println!("executed: {:?}", error.executed());
    }
    Ok(())
}
